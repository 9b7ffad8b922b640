//! What the kernel counts of processes: processor time and resident memory, of all their threads and children.
//!
//! Time comes from `/proc/PID/task/*/schedstat`, in nanoseconds. A thread that has ended takes its count with it; where one of those
//! seen before is missing, `/proc/PID/stat` is used, which keeps ended threads and counts in hundredths of a second.

use std::collections::BTreeMap;
use std::fs;

use anyhow::{Context as _, Result};

/// Hundredths of a second, on every Linux of the last twenty years (`getconf CLK_TCK`).
const TICKS_PER_SECOND: f64 = 100.0;

/// A process with all its descendants.
#[derive(Debug, Clone)]
pub(crate) struct Group(Vec<u32>);

/// The processor time of a group so far.
#[derive(Debug)]
pub(crate) struct Time {
    /// Nanoseconds of each thread.
    threads: BTreeMap<u32, u64>,
    /// Of all processes, ended threads included.
    ticks: u64,
}

impl Group {
    /// The process and its descendants, as they are now.
    pub(crate) fn of(pid: u32) -> Self {
        let mut pids = vec![pid];
        let mut at = 0;
        while let Some(parent) = pids.get(at).copied() {
            let children = fs::read_to_string(format!("/proc/{parent}/task/{parent}/children")).unwrap_or_default();
            pids.extend(children.split_whitespace().filter_map(|child| child.parse::<u32>().ok()));
            at += 1;
        }
        Self(pids)
    }

    pub(crate) fn time(&self) -> Result<Time> {
        let mut time = Time { threads: BTreeMap::new(), ticks: 0 };
        for pid in &self.0 {
            time.ticks += ticks(*pid)?;
            for entry in fs::read_dir(format!("/proc/{pid}/task"))? {
                let entry = entry?;
                let Some(thread) = entry.file_name().to_str().and_then(|name| name.parse().ok()) else { continue };
                // A thread may end between the two; it then counts as one that is missing.
                let Ok(text) = fs::read_to_string(entry.path().join("schedstat")) else { continue };
                let first = text.split_whitespace().next().and_then(|field| field.parse().ok());
                time.threads.insert(thread, first.context("schedstat has no number")?);
            }
        }
        Ok(time)
    }

    /// Resident bytes of all processes; pages that they share count for each.
    pub(crate) fn resident(&self) -> Result<u64> {
        self.0.iter().map(|pid| resident(*pid)).sum()
    }
}

impl Time {
    /// Seconds from an earlier reading of the same group to this one.
    #[expect(clippy::cast_precision_loss, reason = "2^52 ns are 52 days")]
    pub(crate) fn seconds_since(&self, earlier: &Self) -> f64 {
        if earlier.threads.keys().any(|thread| !self.threads.contains_key(thread)) {
            return self.ticks.saturating_sub(earlier.ticks) as f64 / TICKS_PER_SECOND;
        }
        let sum = |time: &Self| time.threads.values().sum::<u64>();
        sum(self).saturating_sub(sum(earlier)) as f64 / 1e9
    }
}

/// User and system time of a process, in ticks.
fn ticks(pid: u32) -> Result<u64> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).context("a measured process is gone")?;
    // The name in parentheses may hold blanks; utime and stime are fields 14 and 15.
    let behind = stat.rsplit_once(')').context("/proc/PID/stat has no name")?.1;
    let fields = behind.split_whitespace().skip(11).take(2);
    fields.map(|field| field.parse::<u64>().context("/proc/PID/stat has no number")).sum()
}

fn resident(pid: u32) -> Result<u64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).context("a measured process is gone")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).context("a process without memory")?;
    let kib: u64 = line.trim().trim_end_matches("kB").trim().parse()?;
    Ok(kib << 10)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn time(threads: &[(u32, u64)], ticks: u64) -> Time {
        Time { threads: threads.iter().copied().collect(), ticks }
    }

    #[test]
    fn new_threads_count_and_ended_ones_are_found_in_ticks() {
        let before = time(&[(1, 1_000_000_000), (2, 500)], 100);
        let more = time(&[(1, 2_000_000_000), (2, 500), (3, 500_000_000)], 250);
        assert!((more.seconds_since(&before) - 1.5).abs() < 1e-9);
        let fewer = time(&[(1, 2_000_000_000)], 400);
        assert!((fewer.seconds_since(&before) - 3.0).abs() < 1e-9);
    }

    #[test]
    fn this_process_has_memory_and_time() {
        let group = Group::of(std::process::id());
        assert!(group.resident().unwrap() > 100_000);
        let (before, after) = (group.time().unwrap(), group.time().unwrap());
        assert!(after.seconds_since(&before) >= 0.0);
    }
}

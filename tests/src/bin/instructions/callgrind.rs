//! Runs this program under callgrind, and reads what that counted (Valgrind manual, section 6, "Callgrind Format Specification").

use std::collections::HashMap;
use std::fs::{self, File};
use std::io::ErrorKind;
use std::path::Path;
use std::process::{Command, Stdio};

use crate::run::Measured;

/// What an allocation counts as, with giving it back: what the C library takes for one of a plain call, on average.
///
/// What it really takes is left out, because it depends on all that was freed since the start, in which order: by up to 5% of a
/// plain call from one run to the next.
const ALLOCATION: u64 = 200;

/// What was counted in a run.
#[derive(Debug)]
pub(crate) struct Counts {
    /// What the thread that makes the calls did, from each end of a part to the next.
    pub(crate) parts: Vec<Part>,
    /// Instructions of all other threads together.
    pub(crate) behind: u64,
}

/// What was counted in one thread between two ends of a part.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Part {
    /// Instructions, with a flat number of them for each allocation.
    pub(crate) instructions: u64,
    /// How often memory was asked for.
    pub(crate) allocations: u64,
}

/// Says what to do if there is no callgrind.
pub(crate) fn check() -> Result<(), String> {
    match Command::new("valgrind").arg("--version").stdout(Stdio::null()).status() {
        Ok(_) => Ok(()),
        Err(error) if error.kind() == ErrorKind::NotFound => {
            Err("instructions are counted by callgrind, and there is no `valgrind` here; on Debian: apt-get install valgrind".into())
        }
        Err(error) => Err(format!("`valgrind` cannot be run: {error}")),
    }
}

/// Counts a run, leaving all that it wrote in the folder.
pub(crate) fn count(measured: &Measured, folder: &Path) -> Counts {
    fs::create_dir_all(folder).expect("a folder for what callgrind writes");
    let log = folder.join("stderr");
    let status = command(measured)
        .current_dir(folder)
        .stderr(File::create(&log).expect("a file for the log"))
        .status()
        .expect("valgrind can be run");
    assert!(status.success(), "{measured:?} failed with {status}; it wrote {}", log.display());
    let read = |name: String| fs::read_to_string(folder.join(name)).ok();
    // An end of a part is one of its own thread's alone; what the others did is written at the end of the program.
    let parts = (1..).map_while(|part| read(format!("part.{part}-01")));
    let others = (2..).map_while(|thread| read(format!("part-{thread:02}")));
    Counts {
        parts: parts.map(|profile| Part::read(&profile)).collect(),
        behind: others.map(|profile| total(&profile)).sum(),
    }
}

fn command(measured: &Measured) -> Command {
    let mut command = Command::new("valgrind");
    command.args(["--quiet", "--tool=callgrind", "--separate-threads=yes", "--dump-before=*end_of_part*"]);
    // Threads get their turn in the order in which they ask for it. Without it, who comes first is chance.
    command.args(["--fair-sched=try", "--callgrind-out-file=part"]);
    command.arg(std::env::current_exe().expect("the path of this program")).args(measured.arguments());
    // Where things lie in memory depends on the size of the environment, and what it takes to copy them a little on that.
    command.env_clear();
    command
}

/// What a function has to do with memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Role {
    Allocates,
    Frees,
    Other,
}

impl Role {
    /// By the names of the C library. Nothing in the gateway asks another for memory.
    fn of(name: &str) -> Self {
        match name {
            "malloc" | "calloc" | "realloc" | "posix_memalign" | "aligned_alloc" | "memalign" => Self::Allocates,
            "free" => Self::Frees,
            _ => Self::Other,
        }
    }

    /// That of a function as a profile has it: with a number and its name where it is first mentioned, with the number alone from
    /// then on.
    fn read<'p>(function: &'p str, known: &mut HashMap<&'p str, Self>) -> Self {
        let (number, name) = function.split_once(')').unwrap_or((function, ""));
        if !name.is_empty() {
            known.insert(number, Self::of(name.trim()));
        }
        known.get(number).copied().unwrap_or(Self::Other)
    }
}

impl Part {
    fn read(profile: &str) -> Self {
        let (mut known, mut allocations, mut allocator) = (HashMap::new(), 0, 0);
        let (mut inside, mut called) = (Role::Other, Role::Other);
        let mut lines = profile.lines();
        while let Some(line) = lines.next() {
            if let Some(function) = line.strip_prefix("fn=") {
                inside = Role::read(function, &mut known);
            } else if let Some(function) = line.strip_prefix("cfn=") {
                called = Role::read(function, &mut known);
            } else if let Some(calls) = line.strip_prefix("calls=") {
                // The line behind says what the calls took, with all that they called.
                let cost = lines.next().and_then(|cost| cost.split(' ').next_back());
                if inside != Role::Other || called == Role::Other {
                    continue;
                }
                allocator += number(cost);
                allocations += if called == Role::Allocates { number(calls.split(' ').next()) } else { 0 };
            }
        }
        Self { instructions: total(profile) - allocator + ALLOCATION * allocations, allocations }
    }
}

fn total(profile: &str) -> u64 {
    profile.lines().filter_map(|line| line.strip_prefix("totals:")).map(|total| number(Some(total.trim()))).sum()
}

fn number(text: Option<&str>) -> u64 {
    text.and_then(|text| text.parse().ok()).expect("a number, as callgrind writes it")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_allocator_is_counted_by_how_often_it_is_asked() {
        let profile = "fn=(1) work\n10 500\ncfn=(2) malloc\ncalls=3 0\n10 60\ncfn=(3) mallocate\ncalls=7 0\n10 70\n\n\
            fn=(2)\n1 20\ncfn=(4) _int_malloc\ncalls=1 0\n1 40\n\nfn=(5) realloc\n1 5\ncfn=(2)\ncalls=1 0\n1 15\n\n\
            fn=(6) more\ncfn=(2)\ncalls=4 0\n+3 80\ncfn=(7) free\ncalls=7 0\n* 90\n\ntotals: 1000\n";
        let instructions = 1000 - (60 + 80 + 90) + ALLOCATION * 7;
        assert_eq!(Part::read(profile), Part { instructions, allocations: 7 });
    }
}

//! Runs this program under callgrind, and reads what that counted (Valgrind manual, section 6, "Callgrind Format Specification").

use std::collections::HashSet;
use std::fs::{self, File};
use std::io::ErrorKind;
use std::path::Path;
use std::process::{Command, Stdio};

use crate::measured::Measured;

/// What the allocator of the system is asked for memory by. Nothing in the gateway asks another.
const ALLOCATING: [&str; 6] = ["malloc", "calloc", "realloc", "posix_memalign", "aligned_alloc", "memalign"];

/// What was counted in one run.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    /// Instructions in the thread that makes the calls.
    pub(crate) path: u64,
    /// Instructions in all others.
    pub(crate) behind: u64,
    /// How often the thread that makes the calls asked for memory.
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
    let out = folder.join("threads");
    let status = Command::new("valgrind")
        .args(["--quiet", "--tool=callgrind", "--separate-threads=yes"])
        .arg(format!("--callgrind-out-file={}", out.display()))
        .arg(std::env::current_exe().expect("the path of this program"))
        .args(measured.arguments())
        .stderr(File::create(&log).expect("a file for the log"))
        .status()
        .expect("valgrind can be run");
    assert!(status.success(), "{measured:?} failed with {status}; it wrote {}", log.display());
    let of_thread = |number: usize| fs::read_to_string(format!("{}-{number:02}", out.display())).ok();
    let calling = of_thread(1).expect("what callgrind counted in the first thread");
    let others = (2..).map_while(of_thread);
    Counts {
        path: total(&calling),
        behind: others.map(|profile| total(&profile)).sum(),
        allocations: allocations(&calling),
    }
}

fn total(profile: &str) -> u64 {
    let totals = profile.lines().filter_map(|line| line.strip_prefix("totals:"));
    totals.map(|total| total.trim().parse::<u64>().expect("a number of instructions")).sum()
}

/// How often functions that allocate were called. A function has its name where it is first mentioned, and a number from then on.
fn allocations(profile: &str) -> u64 {
    let (mut allocating, mut count, mut is_meant) = (HashSet::new(), 0, false);
    for line in profile.lines() {
        let called = line.strip_prefix("cfn=");
        if let Some(function) = called.or_else(|| line.strip_prefix("fn=")) {
            let (number, name) = function.split_once(')').unwrap_or((function, ""));
            if ALLOCATING.contains(&name.trim()) {
                allocating.insert(number);
            }
            is_meant = called.is_some() && allocating.contains(number);
        } else if let Some(calls) = line.strip_prefix("calls=").filter(|_| is_meant) {
            count += calls.split(' ').next().and_then(|calls| calls.parse::<u64>().ok()).expect("a number of calls");
        }
    }
    count
}

//! How much memory a key takes in a directory, by what the system says the process holds before and after 100,000 of them.
//!
//! `cargo run --release -p gateway-keystore --example key_memory`

use std::error::Error;
use std::fs;

use gateway_keystore::{Changes, KeyDirectory, KeyRecord};
use gateway_secret::KeyDigest;

const KEYS: u32 = 100_000;

fn record(number: u32) -> KeyRecord {
    let digest = KeyDigest::of(&number.to_le_bytes());
    KeyRecord { name: format!("service {number}").into(), ..KeyRecord::unlimited(&format!("key_{number:022}"), digest) }
}

/// What the process holds of the machine's memory, in kibibytes (proc(5), `VmRSS`).
fn resident() -> Result<u32, Box<dyn Error>> {
    let status = fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).ok_or("no VmRSS")?;
    Ok(line.trim().trim_end_matches(" kB").parse()?)
}

fn main() -> Result<(), Box<dyn Error>> {
    let directory = KeyDirectory::default();
    let before = resident()?;
    // In small pieces, so that what comes from the store does not count.
    for first in (0..KEYS).step_by(100) {
        let keys = (first..first + 100).map(record).collect();
        directory.apply(&Changes { keys, ..Changes::default() });
    }
    let grown = resident()? - before;
    println!("{} keys take {grown} KiB, {} bytes each", directory.len(), u64::from(grown) * 1024 / u64::from(KEYS));
    Ok(())
}

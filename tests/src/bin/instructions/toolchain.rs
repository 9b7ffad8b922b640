//! What the figures depend on beside the code that they are about.

use std::process::Command;

use serde_json::{Map, Value};

/// What this machine counts with, by name.
pub(crate) fn toolchain() -> Map<String, Value> {
    let facts = [
        ("compiler", said_by("rustc", &["--version"])),
        ("library", said_by("getconf", &["GNU_LIBC_VERSION"])),
        ("processor", processor()),
        ("valgrind", said_by("valgrind", &["--version"])),
    ];
    facts.map(|(name, fact)| (name.to_owned(), fact.into())).into_iter().collect()
}

/// The first line that a program prints; nothing if there is no such program.
fn said_by(program: &str, arguments: &[&str]) -> String {
    let output = Command::new(program).args(arguments).output();
    let text = output.map(|output| String::from_utf8_lossy(&output.stdout).into_owned()).unwrap_or_default();
    text.lines().next().unwrap_or_default().to_owned()
}

/// What of the processor valgrind lets show: AVX2 or not.
#[cfg(target_arch = "x86_64")]
fn processor() -> String {
    format!("x86-64 {} AVX2", if is_x86_feature_detected!("avx2") { "with" } else { "without" })
}

#[cfg(not(target_arch = "x86_64"))]
fn processor() -> String {
    std::env::consts::ARCH.to_owned()
}

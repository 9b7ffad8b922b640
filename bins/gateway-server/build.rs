//! Tells the linker to put everything that a start and a first call run into one place.
//!
//! The kernel maps a program in pieces of 64 KiB (`fault_around_bytes`) around what is run. As the compiler orders functions, those that run are strewn over the whole
//! program, and two thirds of it are in memory at rest; next to each other they take 6 MB less. `start.txt` says which they are. A line there that fits
//! no function is of no effect, and a function that is missing works as ever, so the list may be older than the code.
#![expect(clippy::disallowed_methods, reason = "what cargo tells a build script stands in the environment")]

use std::fmt::Write as _;
use std::path::Path;
use std::{env, fs};

const LIST: &str = "start.txt";

fn main() -> std::io::Result<()> {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-changed={LIST}");
    if !is_understood() {
        return Ok(());
    }
    let folder = env::var("OUT_DIR").map_err(std::io::Error::other)?;
    let script = Path::new(&folder).join("start.ld");
    fs::write(&script, script_for(&fs::read_to_string(LIST)?))?;
    println!("cargo::rustc-link-arg-bins=-Wl,-T,{}", script.display());
    Ok(())
}

/// Whether the linker is the one that comes with the compiler, which takes such a script. mold does not, and other systems have
/// other formats.
fn is_understood() -> bool {
    let is = |name: &str, value: &str| env::var(name).is_ok_and(|found| found == value);
    let flags = env::var("CARGO_ENCODED_RUSTFLAGS").unwrap_or_default();
    is("PROFILE", "release")
        && is("CARGO_CFG_TARGET_OS", "linux")
        && is("CARGO_CFG_TARGET_ENV", "gnu")
        && is("CARGO_CFG_TARGET_ARCH", "x86_64")
        && env::var_os("RUSTC_LINKER").is_none()
        && !["linker", "fuse-ld", "link-self-contained"].iter().any(|word| flags.contains(word))
}

/// A section of its own in front of the rest. One list of patterns leaves functions in the order of the compiler, in which those of a
/// crate stand together.
fn script_for(list: &str) -> String {
    let mut script = "SECTIONS { .text.start : { *(.text.startup.*".to_owned();
    for pattern in list.lines().filter(|line| !line.starts_with('#')) {
        // What the compiler takes for cold stands in `.text.unlikely`, also if each start runs it.
        let _ = write!(script, "\n.text.{pattern} .text.unlikely.{pattern}");
    }
    script + ") } }\nINSERT BEFORE .text;\n"
}

//! The outage drill in small; `just drill` is the whole of it.
#![allow(clippy::expect_used)]

use std::process::Command;

use gateway_testing::binary;

/// The gateway waits for so long that no machine is too slow for an upstream that is well, so what is checked does not
/// depend on time: no call fails, and an outage is not multiplied.
#[test]
fn callers_do_not_notice_an_outage() {
    let mut drill = Command::new(env!("CARGO_BIN_EXE_drill"));
    drill.args(["--seconds", "6", "--rate", "100", "--headers-timeout", "5000"]).env("GATEWAY_SERVER", binary::path());
    let output = drill.output().expect("a program that was built for this test");
    let (told, complained) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    println!("{told}");
    assert!(output.status.success(), "{told}\n{complained}");
}

//! The overload drill in small; `just overload` is the whole of it.
#![allow(clippy::expect_used)]

use std::process::Command;

use gateway_testing::binary;

/// So little can be served that any machine can make three times as many calls, and what is checked does not depend on time:
/// whoever is not served is told so, and nearly everybody who is not is of the key that floods.
#[test]
fn an_overload_is_borne_by_whoever_makes_it() {
    let mut drill = Command::new(env!("CARGO_BIN_EXE_overload"));
    drill.args(["--seconds", "6", "--in-flight", "8", "--latency", "200", "--counts-only"]);
    let output = drill.env("GATEWAY_SERVER", binary::path()).output().expect("a program that was built for this test");
    let (told, complained) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    println!("{told}");
    assert!(output.status.success(), "{told}\n{complained}");
}

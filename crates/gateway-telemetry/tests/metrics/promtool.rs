//! Prometheus itself reads what it would scrape.

use std::io::Write as _;
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};

use crate::exposed::{mix, readings};
use gateway_telemetry::{Format, Metrics};

/// Where Prometheus's own checker is. Debian has it in its package `prometheus`.
fn promtool() -> Option<PathBuf> {
    let folders = std::env::var_os("PATH").unwrap_or_default();
    let found = std::env::split_paths(&folders).map(|folder| folder.join("promtool")).find(|path| path.is_file());
    if found.is_none() {
        let problem = "skipped: `promtool` is not installed; Debian has it in its package prometheus";
        assert!(std::env::var_os("GATEWAY_TEST_REQUIRE_ALL").is_none(), "{problem}");
        eprintln!("{problem}");
    }
    found
}

fn run(command: &mut Command, input: &str) -> Output {
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    child.wait_with_output().unwrap()
}

fn exposition(format: Format) -> String {
    let metrics = Metrics::new();
    let _names = mix(&metrics);
    metrics.encode(format, &readings())
}

#[test]
fn the_text_format_is_as_prometheus_wants_it() {
    let Some(promtool) = promtool() else { return };
    let output = run(Command::new(promtool).args(["check", "metrics"]), &exposition(Format::Text));
    assert!(output.status.success() && output.stderr.is_empty(), "{output:?}");
}

/// `promtool check metrics` reads the text format only. Its import reads `OpenMetrics`, and wants to know when the samples are from.
#[test]
fn open_metrics_is_read_by_prometheus() {
    let Some(promtool) = promtool() else { return };
    let text = exposition(Format::OpenMetrics);
    let dated: String = text
        .lines()
        .map(|line| if line.starts_with('#') { format!("{line}\n") } else { format!("{line} 1700000000\n") })
        .collect();
    let folder = tempfile::tempdir().unwrap();
    let (input, blocks) = (folder.path().join("metrics.txt"), folder.path().join("blocks"));
    std::fs::write(&input, dated).unwrap();
    let arguments = ["tsdb", "create-blocks-from", "openmetrics"];
    let output = run(Command::new(promtool).args(arguments).args([&input, &blocks]), "");
    assert!(output.status.success(), "{output:?}");
}

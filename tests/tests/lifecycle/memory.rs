//! What the process asks of the system's memory.

use crate::program::Folder;

/// Where the system gives huge pages to everybody, they double what the process takes at rest (`.cargo/config.toml`).
#[test]
fn huge_pages_are_refused() {
    let folder = Folder::new();
    let mut running = folder.start(&["simulate", "--port", "0"], &[]);
    running.address();
    // Known since Linux 5.0.
    assert!(running.status("THP_enabled").is_none_or(|enabled| enabled == "0"));
}

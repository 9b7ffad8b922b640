//! Programs that some tests need and that may be missing.

use std::path::PathBuf;

/// Finds a program in `PATH` or in one of the `folders`. Where it is missing, says so in one line, so that the test can
/// return; fails the test instead if `GATEWAY_TEST_REQUIRE_ALL` is set.
///
/// # Panics
///
/// If the program is missing and must not be.
pub fn find_program(name: &str, folders: &[PathBuf]) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let candidates = std::env::split_paths(&path).chain(folders.iter().cloned()).map(|folder| folder.join(name));
    let found = candidates.into_iter().find(|candidate| candidate.is_file());
    if found.is_none() {
        let problem = format!(
            "skipped: `{name}` is not installed; Debian has it in its packages postgresql, prometheus and redis-server"
        );
        assert!(std::env::var_os("GATEWAY_TEST_REQUIRE_ALL").is_none(), "{problem}");
        eprintln!("{problem}");
    }
    found
}

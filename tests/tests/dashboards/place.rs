//! Where the files are, and how they are read.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;

/// The path of something under `deploy/`.
pub(crate) fn deploy(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy").join(path)
}

/// A file's text.
pub(crate) fn text(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// A YAML file as JSON has it.
pub(crate) fn yaml(path: &Path) -> Value {
    serde_saphyr::from_str(&text(path)).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The files of a folder whose names end like this, in order.
pub(crate) fn files(folder: &str, end: &str) -> Vec<PathBuf> {
    let entries = fs::read_dir(deploy(folder)).unwrap_or_else(|error| panic!("{folder}: {error}"));
    let paths = entries.map(|entry| entry.unwrap().path());
    let mut paths: Vec<_> = paths.filter(|path| path.to_str().is_some_and(|path| path.ends_with(end))).collect();
    paths.sort();
    assert!(!paths.is_empty(), "{folder} has no *{end}");
    paths
}

/// The entries of a list; none if there is no list.
pub(crate) fn list(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

/// A text; empty if there is none.
pub(crate) fn word(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

/// Panics if anything was found.
pub(crate) fn assert_none(rule: &str, found: &[String]) {
    assert!(found.is_empty(), "{rule}\n  {}", found.join("\n  "));
}

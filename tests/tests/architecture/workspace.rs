//! The workspace as cargo and the file system see it.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use crate::source::{Source, parse};

/// A member of the workspace.
pub(crate) struct Member {
    pub(crate) name: String,
    /// Its folder.
    pub(crate) folder: PathBuf,
    pub(crate) is_published: bool,
    pub(crate) dependencies: Vec<Dependency>,
}

/// One entry of a member's manifest.
pub(crate) struct Dependency {
    pub(crate) name: String,
    /// Whether it is a crate of this workspace.
    pub(crate) is_own: bool,
    /// Whether only tests, examples and benchmarks have it.
    pub(crate) is_for_tests: bool,
}

impl Member {
    /// What the crate is built with.
    pub(crate) fn built_with(&self) -> impl Iterator<Item = &Dependency> {
        self.dependencies.iter().filter(|dependency| !dependency.is_for_tests)
    }

    /// The crate's own code: what is under `src/`.
    pub(crate) fn sources(&self) -> Vec<Source> {
        files(&self.folder.join("src")).iter().filter(|file| is_rust(file)).map(|file| read(file)).collect()
    }

    /// Whether the crate is part of what is built for users, rather than there to test or measure it or to show how it is used.
    pub(crate) fn is_product(&self) -> bool {
        let is_example = self.folder.starts_with(root().join("examples"));
        !is_example && !matches!(self.name.as_str(), "gateway-testing" | "gateway-tests" | "gateway-bench")
    }
}

/// The folder of the whole workspace.
pub(crate) fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..").canonicalize().unwrap()
}

/// The path of a file as a person would type it.
pub(crate) fn shown(path: &Path) -> String {
    path.strip_prefix(root()).unwrap_or(path).display().to_string()
}

/// All members of the workspace.
pub(crate) fn members() -> Vec<Member> {
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--format-version", "1", "--no-deps", "--offline"])
        .current_dir(root())
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let metadata: Value = serde_json::from_slice(&output.stdout).unwrap();
    let members: Vec<_> = metadata["packages"].as_array().unwrap().iter().map(member).collect();
    assert!(members.len() > 10, "cargo knows only {} members", members.len());
    members
}

fn member(package: &Value) -> Member {
    let manifest = Path::new(package["manifest_path"].as_str().unwrap());
    Member {
        name: package["name"].as_str().unwrap().to_owned(),
        folder: manifest.parent().unwrap().to_path_buf(),
        // Cargo writes `publish = false` as a list of no registries.
        is_published: package["publish"].as_array().is_none_or(|registries| !registries.is_empty()),
        dependencies: package["dependencies"].as_array().unwrap().iter().map(dependency).collect(),
    }
}

fn dependency(entry: &Value) -> Dependency {
    Dependency {
        name: entry["name"].as_str().unwrap().to_owned(),
        is_own: entry["path"].is_string(),
        is_for_tests: entry["kind"] == "dev",
    }
}

/// Every file below a folder, in a fixed order; nothing if there is no such folder.
pub(crate) fn files(folder: &Path) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(folder) else { return Vec::new() };
    let mut paths: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    paths.into_iter().flat_map(|path| if path.is_dir() { files(&path) } else { vec![path] }).collect()
}

/// Whether a file holds Rust.
pub(crate) fn is_rust(file: &Path) -> bool {
    file.extension().is_some_and(|extension| extension == "rs")
}

/// A file of Rust, without its tests.
pub(crate) fn read(file: &Path) -> Source {
    // A module of tests in a file of its own is named by `#[cfg(test)] mod tests;` in its parent.
    let is_for_tests = file.file_stem().is_some_and(|stem| stem == "tests");
    let text = if is_for_tests { String::new() } else { fs::read_to_string(file).unwrap() };
    parse(shown(file), &text)
}

//! Whether the document is valid, and whole.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use gateway_testing::client;
use serde_json::Value;

use crate::python;
use crate::scene::{operations, site};

/// What stands for all that the gateway does not know; with `passthrough` a provider's own, and no path.
const UNKNOWN: &str = "/v1/*";

#[tokio::test]
async fn the_document_is_valid() {
    if !python::is_there() {
        return;
    }
    let node = site().await.start();
    let document = client::get(node.process.address(), "/openapi.json").await;
    let run = python::run("validate.py", &document.body);
    let words = String::from_utf8_lossy(&run.stdout);
    assert!(run.status.success(), "{words}{}", String::from_utf8_lossy(&run.stderr));
}

/// The paths in a source file that are written as `"/…"` between two lines.
fn paths_in(file: &str, from: &str, to: &str) -> BTreeSet<String> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let text = fs::read_to_string(root.join(file)).unwrap_or_else(|error| panic!("{file}: {error}"));
    let (_, text) = text.split_once(from).unwrap_or_else(|| panic!("{file} has no `{from}`"));
    let (text, _) = text.split_once(to).unwrap_or((text, ""));
    let texts = text.split('"').skip(1).step_by(2);
    texts.filter(|text| text.starts_with('/') && !text.contains("{}")).map(str::to_owned).collect()
}

/// Every path that the sources have an answer for.
fn known() -> BTreeSet<String> {
    let mut known = paths_in("crates/gateway-core/src/accept.rs", "fn path(self)", "\n}\n");
    known.extend(paths_in("crates/gateway-call/src/endpoint.rs", "const fn path(self)", "    }\n    }\n"));
    known.extend(paths_in("crates/gateway-call/src/endpoint.rs", "fn from_path(", "\n    }\n\n"));
    known.extend(paths_in("bins/gateway-server/src/detailed.rs", "fn handles(", "    }\n"));
    let endpoints = "crates/gateway-admin/src/endpoint";
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().join(endpoints);
    for entry in fs::read_dir(folder).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        let text = paths_in(&format!("{endpoints}/{name}"), "//!", "#[cfg(test)]");
        known.extend(text.into_iter().filter(|path| path.starts_with("/admin/") || path.starts_with("/api/")));
    }
    known.remove(UNKNOWN);
    known
}

#[tokio::test]
async fn every_path_that_the_binary_knows_is_documented_and_no_other() {
    let node = site().await.start();
    let document: Value = client::get(node.process.address(), "/openapi.json").await.json();
    let documented: BTreeSet<_> = operations(&document).into_iter().map(|(path, ..)| path.to_owned()).collect();
    assert_eq!(documented, known());
}

//! Every file under `configs/` is one that a person can start from: it loads, compiles, and passes `check`. So do the
//! configurations in the README.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::collections::{BTreeSet, HashMap};
use std::fs;
use std::path::{Path, PathBuf};

use gateway_config::{ProviderEndpoint, Sources, load};
use gateway_core::Gateway;
use gateway_testing::binary;

fn files() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../configs").canonicalize().unwrap();
    let mut files: Vec<_> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    assert!(!files.is_empty(), "configs/ is empty");
    files
}

/// Values for the variables that a file cannot do without: those in `${NAME}`. Those with a default stay unset, so that
/// the defaults are tested too.
fn needed_variables(text: &str) -> HashMap<String, String> {
    let code = text.lines().map(|line| line.split_once(" #").map_or(line, |(code, _)| code));
    let code: String = code.filter(|line| !line.trim_start().starts_with('#')).collect::<Vec<_>>().join("\n");
    let names: BTreeSet<&str> = code
        .split("${")
        .skip(1)
        .filter_map(|rest| rest.split_once('}'))
        .map(|(name, _)| name)
        .filter(|name| !name.contains(':'))
        .collect();
    names.into_iter().map(|name| (name.to_owned(), value_for(name))).collect()
}

fn value_for(name: &str) -> String {
    match name {
        name if name.ends_with("URL") => "https://api.example.com/v1".to_owned(),
        // Keys of callers must be long enough and differ.
        name => format!("value-of-{name}-0123456789"),
    }
}

#[test]
fn every_file_loads_and_compiles() {
    for file in files() {
        let environment = needed_variables(&fs::read_to_string(&file).unwrap());
        let directory = tempfile::tempdir().unwrap();
        let sources =
            Sources { path: Some(file.clone()), environment, working_directory: directory.path().to_path_buf() };
        let builder = Gateway::builder();
        let loaded = load(&sources, &builder.vocabulary()).unwrap_or_else(|errors| panic!("{errors}"));
        let mut config = loaded.config;
        assert!(!config.providers.is_empty(), "{}: serves nothing", file.display());
        for provider in &mut config.providers {
            if let ProviderEndpoint::Simulator { at } = &mut provider.endpoint {
                *at = Some(http::Uri::from_static("http://127.0.0.1/v1"));
            }
        }
        builder.build(&config).unwrap_or_else(|errors| panic!("{}: {errors}", file.display()));
    }
}

#[test]
fn every_file_passes_the_check_of_the_binary() {
    for file in files() {
        let directory = tempfile::tempdir().unwrap();
        let check = binary::command(directory.path())
            .args(["check", "--config"])
            .arg(&file)
            .envs(needed_variables(&fs::read_to_string(&file).unwrap()))
            .output()
            .unwrap();
        let (summary, words) = (String::from_utf8_lossy(&check.stdout), String::from_utf8_lossy(&check.stderr));
        assert!(check.status.success(), "{}: {words}", file.display());
        assert!(summary.contains("providers"), "{}: no summary in {summary:?}", file.display());
    }
}

/// What a person copies out of the README has to work, too.
#[test]
fn every_configuration_of_the_readme_passes_the_check() {
    let text = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("../README.md")).unwrap();
    let blocks: Vec<&str> = text.split("```yaml\n").skip(1).map(|rest| rest.split("```").next().unwrap()).collect();
    assert_eq!(blocks.len(), 4, "the configurations of README.md");
    for block in &blocks {
        // What has no provider of its own is said of a configuration that has.
        let provider = blocks[0].split("master_keys:").next().unwrap();
        let block = &if block.contains("providers:") { (*block).to_owned() } else { [provider, block].concat() };
        let directory = tempfile::tempdir().unwrap();
        fs::write(directory.path().join("config.yaml"), block).unwrap();
        let check = binary::command(directory.path()).arg("check").envs(needed_variables(block)).output().unwrap();
        assert!(check.status.success(), "{}\n{block}", String::from_utf8_lossy(&check.stderr));
    }
}

#[test]
fn the_check_fails_without_a_variable_that_is_needed() {
    let file = files().into_iter().find(|file| file.ends_with("minimal.yaml")).unwrap();
    let directory = tempfile::tempdir().unwrap();
    let check = binary::command(directory.path()).args(["check", "--config"]).arg(&file).output().unwrap();
    assert!(!check.status.success());
    let words = String::from_utf8_lossy(&check.stderr);
    assert!(words.contains("OPENAI_API_KEY") && words.contains("MASTER_KEY"), "both at once, not: {words}");
}

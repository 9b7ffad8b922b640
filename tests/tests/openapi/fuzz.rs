//! Schemathesis: thousands of requests made from the document, allowed and forbidden by it, and whether all answers are as it
//! says.
//!
//! All its checks but one: that whatever the schemas allow is accepted. They cannot say that an expiry has to be in the future, or
//! that a model needs a provider.

use std::process::Output;

use gateway_tests::administrator::ADMIN_KEY;
use gateway_tests::database::Database;
use gateway_tests::site::{Node, Site};
use gateway_tests::stage::CALLER_KEY;

use crate::python;
use crate::scene::site;

/// The Admin API's paths.
const ADMIN: &str = "^/(admin|api/keys)";

/// What is the same on every run, so that a failure can be looked at again.
const SEED: &str = "20261122";

/// What is asked of the gateway.
struct Course<'a> {
    /// The paths, as a regular expression.
    paths: &'a str,
    /// The key that is presented.
    key: &'a str,
    /// How requests are made: each schema's own boundaries, random ones, sequences.
    phases: &'a str,
    /// The most random ones of each operation.
    examples: &'a str,
}

fn run(site: &Site, node: &Node, course: &Course<'_>) -> Output {
    let header = format!("Authorization: Bearer {}", course.key);
    python::schemathesis(site.folder.path(), site.upstream.api_base().trim_end_matches("/v1"))
        .arg(node.process.url("/openapi.json"))
        .args(["--header", &header, "--include-path-regex", course.paths])
        .args(["--phases", course.phases, "--max-examples", course.examples, "--seed", SEED])
        .args(["--checks", "all", "--exclude-checks", "positive_data_acceptance"])
        .args(["--continue-on-failure", "--request-timeout", "30"])
        // A machine that is slow is no finding.
        .args(["--suppress-health-check", "all"])
        .output()
        .unwrap()
}

fn assert_clean(node: &Node, run: &Output) {
    let words = String::from_utf8_lossy(&run.stdout);
    assert!(
        run.status.success(),
        "{words}{}\nthe gateway's log:\n{}",
        String::from_utf8_lossy(&run.stderr),
        node.process.log_lines().join("\n")
    );
    // How many cases there were, of how many operations.
    println!("{}", words.split("SUMMARY").last().unwrap_or(&words));
}

#[tokio::test(flavor = "multi_thread")]
async fn administrators_are_answered_as_documented() {
    if !python::is_there() {
        return;
    }
    let site = site().await;
    let node = site.start();
    let course = Course { paths: ADMIN, key: ADMIN_KEY, phases: "coverage,fuzzing", examples: "10" };
    assert_clean(&node, &run(&site, &node, &course));
}

#[tokio::test(flavor = "multi_thread")]
async fn administrators_of_postgresql_are_answered_as_documented() {
    let Some(database) = Database::postgres().filter(|_| python::is_there()) else { return };
    let site = site().await.with("DB_URL", &database.url());
    let node = site.start();
    let course = Course { paths: ADMIN, key: ADMIN_KEY, phases: "fuzzing", examples: "10" };
    assert_clean(&node, &run(&site, &node, &course));
}

#[tokio::test(flavor = "multi_thread")]
async fn callers_are_answered_as_documented() {
    if !python::is_there() {
        return;
    }
    let site = site().await;
    let node = site.start();
    let course =
        Course { paths: "^/(v1/|api/llm|health|livez|readyz)", key: CALLER_KEY, phases: "fuzzing", examples: "8" };
    assert_clean(&node, &run(&site, &node, &course));
}

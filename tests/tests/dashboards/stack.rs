//! The stack of `docker compose`, as far as it can be checked where there is no Docker.

use std::collections::BTreeSet;
use std::path::PathBuf;

use gateway_testing::binary;
use serde_json::Value;

use crate::place::{assert_none, deploy, files, list, text, word, yaml};

fn stack() -> Value {
    yaml(&deploy("compose/compose.yaml"))
}

fn services(stack: &Value) -> impl Iterator<Item = (&String, &Value)> {
    stack["services"].as_object().expect("services").iter()
}

/// A path as the file of the stack writes it.
fn beside(path: &str) -> PathBuf {
    deploy("compose").join(path)
}

/// The hosts of all URLs in a text: what stands behind `://` and an optional user, up to the port.
fn hosts(text: &str) -> impl Iterator<Item = &str> {
    let ends = |sign: char| "/\"'\n".contains(sign);
    let addresses = text.split("://").skip(1).map(move |rest| rest.split(ends).next().unwrap_or_default());
    addresses.map(|address| address.rsplit('@').next().unwrap_or_default().split(':').next().unwrap_or_default())
}

#[test]
fn images_are_pinned_and_healthy() {
    let stack = stack();
    let mut found = Vec::new();
    for (name, service) in services(&stack) {
        let tag = word(&service["image"]).split_once(':').map_or("", |(_, tag)| tag);
        // `17.6` is one; `17` and `latest` are not.
        let is_pinned = tag.contains('.') && tag.contains(|sign: char| sign.is_ascii_digit());
        let file = service["build"]["dockerfile"].as_str();
        let is_ours = file.is_some_and(|file| beside(word(&service["build"]["context"])).join(file).is_file());
        if !is_pinned && !is_ours {
            found.push(format!("{name}: {} is neither a version nor built here", service["image"]));
        }
        if list(&service["healthcheck"]["test"]).is_empty() {
            found.push(format!("{name}: nobody knows when it is healthy"));
        }
    }
    assert_none("a service is the same tomorrow, and says when it is ready:", &found);
    let wanted = ["gateway", "grafana", "jaeger", "postgres", "prometheus", "redis"];
    assert_eq!(services(&stack).map(|(name, _)| name.as_str()).collect::<Vec<_>>(), wanted);
}

#[test]
fn what_is_mounted_exists() {
    let stack = stack();
    let declared: BTreeSet<_> = stack["volumes"].as_object().expect("volumes").keys().map(String::as_str).collect();
    let mut used = BTreeSet::new();
    for (name, service) in services(&stack) {
        for volume in list(&service["volumes"]) {
            let (source, _) = word(volume).split_once(':').expect("a source and a place");
            if source.starts_with('.') {
                assert!(beside(source).exists(), "{name}: there is no {source}");
            } else {
                used.insert(source);
            }
        }
    }
    assert_eq!(used, declared, "volumes");
}

#[test]
fn services_find_each_other() {
    let stack = stack();
    let names: BTreeSet<_> = services(&stack).map(|(name, _)| name.as_str()).collect();
    let environments = services(&stack).map(|(_, service)| service["environment"].to_string());
    let sources = files("grafana/provisioning/datasources", ".yaml").iter().map(|path| text(path)).collect::<String>();
    let texts: Vec<_> = environments.chain([sources]).collect();
    let odd: BTreeSet<_> = texts.iter().flat_map(|text| hosts(text)).filter(|host| !names.contains(host)).collect();
    assert!(odd.is_empty(), "no services: {odd:?} of {names:?}");
    for (_, service) in services(&stack) {
        let needed = service["depends_on"].as_object();
        assert!(needed.is_none_or(|needed| needed.keys().all(|name| names.contains(name.as_str()))), "{service}");
    }
}

#[test]
fn the_gateway_is_scraped_where_it_shows_its_metrics() {
    let config = yaml(&deploy("compose/gateway/gateway.yaml"));
    let (_, port) = word(&config["admin"]["listen"]).rsplit_once(':').expect("a port");
    let scraped = yaml(&deploy("prometheus/prometheus.yml"));
    let jobs = list(&scraped["scrape_configs"]);
    let gateways = jobs.iter().find(|job| job["job_name"] == "llm-gateway").expect("the job that the alerts look for");
    assert_eq!(gateways["static_configs"][0]["targets"][0], format!("gateway:{port}"));
}

/// `.env.example` names what has to be filled in, and neither file has a value for it.
#[test]
fn secrets_come_from_the_environment() {
    let example = text(&deploy("compose/.env.example"));
    let lines = example.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
    let named: BTreeSet<_> =
        lines.map(|line| line.strip_suffix('=').unwrap_or_else(|| panic!("a value: {line}"))).collect();
    let written = text(&deploy("compose/compose.yaml"));
    let used = written.split("${").skip(1).map(|rest| rest.split([':', '}']).next().unwrap_or_default());
    assert_eq!(used.collect::<BTreeSet<_>>(), named);
    for (variable, secret) in written.lines().filter_map(|line| line.trim().split_once(": ")) {
        let is_secret = ["PASSWORD", "KEY", "PEPPER"].iter().any(|end| variable.ends_with(end));
        assert!(!is_secret || secret.starts_with("${"), "{variable} has a value in the file");
    }
}

#[test]
fn the_gateways_configuration_passes_its_check() {
    for openai in ["", "sk-openai-0123456789"] {
        let directory = tempfile::tempdir().unwrap();
        let check = binary::command(directory.path())
            .args(["check", "--config"])
            .arg(deploy("compose/gateway/gateway.yaml"))
            .envs([("ADMIN_KEY", "admin-key-0123456789abcdef"), ("OPENAI_API_KEY", openai)])
            .output()
            .unwrap();
        assert!(check.status.success(), "{}", String::from_utf8_lossy(&check.stderr));
    }
}

#[test]
fn grafana_loads_the_dashboard() {
    let provided = yaml(&deploy("grafana/provisioning/dashboards/gateway.yaml"));
    let folder = word(&provided["providers"][0]["options"]["path"]);
    let stack = stack();
    let grafana = &stack["services"]["grafana"];
    let mounted = format!("../grafana/dashboards:{folder}:ro");
    assert!(list(&grafana["volumes"]).iter().any(|volume| word(volume) == mounted), "{mounted}");
    let home = word(&grafana["environment"]["GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH"]);
    let file = home.strip_prefix(folder).expect("the home is one of them").trim_start_matches('/');
    assert!(deploy("grafana/dashboards").join(file).is_file(), "{home}");
}

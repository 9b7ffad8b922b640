//! Floors: a dependency may only point to a lower one, never sideways.

use crate::assert_none;
use crate::workspace::{Member, files, members, root, shown};

/// Every crate and its floor. A new crate gets a line here, and with it a place in the building.
const FLOORS: [(&str, u8); 28] = [
    ("gateway-server", 6),
    ("gateway-tests", 6),
    ("gateway-bench", 6),
    ("custom-policy", 6),
    ("embed-hyper", 6),
    ("gateway-admin", 5),
    ("gateway-reload", 5),
    ("gateway-testing", 5),
    ("gateway-core", 4),
    ("gateway-store-postgres", 4),
    ("gateway-config", 3),
    ("gateway-ratelimit-redis", 3),
    ("gateway-store", 3),
    ("gateway-traces", 3),
    ("gateway-keystore", 2),
    ("gateway-routing", 2),
    ("gateway-upstream", 2),
    ("gateway-simulator", 2),
    ("gateway-protocol", 1),
    ("gateway-ratelimit", 1),
    ("gateway-listener", 1),
    ("gateway-resilience", 1),
    ("gateway-telemetry", 1),
    ("gateway-call", 0),
    ("gateway-sse", 0),
    ("gateway-secret", 0),
    ("gateway-extension", 0),
    ("gateway-tokens", 0),
];

/// Names of files that say nothing, and so end up holding everything.
const DRAWERS: [&str; 6] = ["utils.rs", "util.rs", "common.rs", "helpers.rs", "types.rs", "mod.rs"];

/// Crates that put others together, and so may use as many as they like.
const COMPOSERS: [&str; 3] = ["gateway-config", "gateway-core", "gateway-server"];

/// How many crates of the workspace any other crate may use.
const MOST_OWN_DEPENDENCIES: usize = 5;

fn floor(name: &str) -> Option<u8> {
    FLOORS.iter().find(|(known, _)| *known == name).map(|(_, floor)| *floor)
}

fn arrows(member: &Member) -> Vec<String> {
    let Some(from) = floor(&member.name) else {
        return vec![format!("{} has no floor: give it a line in FLOORS, as low as it can live", member.name)];
    };
    let own = member.dependencies.iter().filter(|dependency| dependency.is_own);
    let upwards = own.filter(|dependency| {
        // The doubles stand above what they test; in tests the arrow may point to them.
        let is_double = dependency.name == "gateway-testing" && dependency.is_for_tests;
        !is_double && floor(&dependency.name).is_none_or(|to| to >= from)
    });
    upwards
        .map(|dependency| {
            let to = floor(&dependency.name).map_or("no floor".to_owned(), |to| format!("floor {to}"));
            let (name, other) = (&member.name, &dependency.name);
            format!("{name} (floor {from}) uses {other} ({to}): move what is shared down, or take it as a value")
        })
        .collect()
}

#[test]
fn dependencies_point_down() {
    let found: Vec<_> = members().iter().flat_map(arrows).collect();
    assert_none("a dependency may only point to a lower floor:", &found);
}

#[test]
fn the_doubles_are_for_tests_only() {
    let members = members();
    let found: Vec<_> = members
        .iter()
        .filter(|member| member.name != "gateway-tests")
        .filter(|member| member.built_with().any(|dependency| dependency.name == "gateway-testing"))
        .map(|member| format!("{}: move gateway-testing to [dev-dependencies]", member.name))
        .collect();
    assert_none("gateway-testing is never part of what is built:", &found);
}

#[test]
fn crates_use_few_others() {
    let members = members();
    let leaves = members.iter().filter(|it| it.is_product() && !COMPOSERS.contains(&it.name.as_str()));
    let found: Vec<_> = leaves
        .map(|member| (member, member.built_with().filter(|dependency| dependency.is_own).count()))
        .filter(|(_, count)| *count > MOST_OWN_DEPENDENCIES)
        .map(|(member, count)| format!("{}: uses {count} crates of the workspace; split it", member.name))
        .collect();
    assert_none("a crate that does not compose others uses at most five of them:", &found);
}

#[test]
fn every_member_keeps_the_house_rules() {
    let mut found = Vec::new();
    for member in members() {
        let manifest = member.folder.join("Cargo.toml");
        let text = std::fs::read_to_string(&manifest).unwrap();
        let lines: Vec<_> = text.lines().map(|line| line.replace(' ', "")).collect();
        let inherits = lines.windows(2).any(|pair| pair == ["[lints]", "workspace=true"])
            || lines.iter().any(|line| line == "lints.workspace=true");
        if !inherits {
            found.push(format!("{}: add `lints.workspace = true`", shown(&manifest)));
        }
        if member.is_published {
            found.push(format!("{}: add `publish.workspace = true`", shown(&manifest)));
        }
    }
    assert_none("every member has the workspace's lints and is not published:", &found);
}

#[test]
fn no_file_is_a_drawer() {
    let folders = ["crates", "bins", "tests", "bench", "examples"].map(|folder| root().join(folder));
    let paths = folders.iter().flat_map(|folder| files(folder));
    let drawers =
        paths.filter(|path| path.file_name().is_some_and(|name| DRAWERS.iter().any(|drawer| name == *drawer)));
    let found: Vec<_> = drawers.map(|path| format!("{}: name it after what is in it", shown(&path))).collect();
    assert_none("a module is `thing.rs` with `thing/` beside it, named after what it holds:", &found);
}

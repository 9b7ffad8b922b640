//! What stays out of which crate. Each rule can be checked by looking for words, and is.

use crate::assert_none;
use crate::source::Source;
use crate::workspace::{Member, files, is_rust, members, read, root};

/// Code that only some crates may contain.
struct Rule {
    says: &'static str,
    code: &'static [&'static str],
    crates: &'static [&'static str],
    instead: &'static str,
}

/// Functions of their arguments: time and randomness are passed in, and there is no I/O.
const POLICY: [&str; 10] = [
    "gateway-call",
    "gateway-sse",
    "gateway-secret",
    "gateway-extension",
    "gateway-keystore",
    "gateway-protocol",
    "gateway-ratelimit",
    "gateway-resilience",
    "gateway-routing",
    "gateway-tokens",
];

const RULES: [Rule; 4] = [
    Rule {
        says: "server sockets are opened only in gateway-listener",
        code: &["TcpListener", "UnixListener", "UnixDatagram", "UdpSocket", ".listen("],
        // PostgreSQL's LISTEN is not a socket's.
        crates: &["gateway-listener", "gateway-store-postgres"],
        instead: "serve through gateway_listener::Listener",
    },
    Rule {
        says: "client sockets are opened only in gateway-upstream and by the clients of stores",
        code: &["TcpStream::connect", "UnixStream::connect", ".connect("],
        crates: &["gateway-upstream", "gateway-store", "gateway-store-postgres", "gateway-ratelimit-redis"],
        instead: "send through gateway_upstream::Upstream",
    },
    Rule {
        says: "sockets are built only in the edge crates",
        code: &["TcpSocket", "socket2"],
        crates: &["gateway-listener", "gateway-upstream"],
        instead: "send through gateway_upstream::Upstream or serve through gateway_listener::Listener",
    },
    Rule {
        says: "the environment is read only in gateway-config",
        code: &["env::var", "env::vars", "env::var_os", "env::vars_os"],
        crates: &["gateway-config"],
        instead: "take the value as an argument; gateway_config::Sources holds the environment",
    },
];

/// Dependencies that only some crates may be built with.
const DEPENDENCIES: [(&str, &[&str], &str); 3] = [
    (
        "serde_json",
        &[
            "gateway-protocol",
            "gateway-simulator",
            "gateway-telemetry",
            "gateway-admin",
            "gateway-store",
            "gateway-server",
        ],
        "the JSON of the protocols belongs into gateway-protocol; that of the gateway's own log, API and store stands there",
    ),
    ("arc-swap", &["gateway-core"], "one thing is swapped, the snapshot, and gateway-core does it"),
    ("rustls", &["gateway-listener", "gateway-upstream", "gateway-ratelimit-redis"], "TLS belongs to the edge crates"),
];

/// What policy crates are never built with.
const IMPURE: [&str; 16] = [
    "tokio",
    "tokio-util",
    "hyper",
    "hyper-util",
    "h2",
    "socket2",
    "rustls",
    "fastrand",
    "rand",
    "getrandom",
    "uuid",
    "arc-swap",
    "redis",
    "sqlx",
    "tracing",
    "notify",
];

fn violations(rule: &Rule, members: &[Member]) -> Vec<String> {
    let strangers = members.iter().filter(|it| it.is_product() && !rule.crates.contains(&it.name.as_str()));
    let sources = strangers.flat_map(Member::sources);
    let find = |source: &Source| {
        let hits = rule.code.iter().flat_map(|code| source.find(code).into_iter().map(move |line| (line, code)));
        let tell = |(line, code)| format!("{}:{line}: `{code}`, but {}; {}", source.path, rule.says, rule.instead);
        hits.map(tell).collect::<Vec<_>>()
    };
    sources.flat_map(|source| find(&source)).collect()
}

#[test]
fn sockets_and_the_environment_stay_where_they_belong() {
    let members = members();
    let found: Vec<_> = RULES.iter().flat_map(|rule| violations(rule, &members)).collect();
    assert_none("each kind of outside world has its one crate:", &found);
}

#[test]
fn the_rules_look_for_what_is_there() {
    let members = members();
    for rule in &RULES {
        let owner = members.iter().find(|member| member.name == rule.crates[0]).unwrap();
        let holds = |code: &&str| owner.sources().iter().any(|source| !source.find(code).is_empty());
        assert!(rule.code.iter().any(holds), "{}: but not even {} does it; look for other code", rule.says, owner.name);
    }
}

#[test]
fn some_dependencies_have_one_home() {
    let members = members();
    for (name, homes, why) in DEPENDENCIES {
        let users = members.iter().filter(|it| it.is_product() && it.built_with().any(|it| it.name == name));
        let strangers = users.filter(|member| !homes.contains(&member.name.as_str()));
        let found: Vec<_> = strangers.map(|member| format!("{}: {why}", member.name)).collect();
        assert_none(&format!("only {} may be built with {name}:", homes.join(", ")), &found);
    }
}

#[test]
fn policy_crates_are_functions_of_their_arguments() {
    let mut found = Vec::new();
    for member in members().iter().filter(|member| POLICY.contains(&member.name.as_str())) {
        let impure = member.built_with().filter(|dependency| IMPURE.contains(&dependency.name.as_str()));
        found.extend(
            impure.map(|it| format!("{}: is built with {}; take the value as an argument", member.name, it.name)),
        );
        // What is shared between threads is tested with threads.
        for source in member.sources().into_iter().filter(|source| !source.path.contains("/tests/")) {
            for code in [
                "Instant::now",
                "SystemTime::now",
                "Timestamp::now",
                "Zoned::now",
                "std::net::Tcp",
                "std::fs",
                "std::thread",
                "std::process",
            ] {
                let lines = source.find(code);
                found.extend(
                    lines.iter().map(|line| format!("{}:{line}: `{code}`; take the value as an argument", source.path)),
                );
            }
        }
    }
    assert_none("policy crates have no runtime, no clock, no randomness and no I/O:", &found);
}

#[test]
fn a_call_loads_the_snapshot_once() {
    let core = members().into_iter().find(|member| member.name == "gateway-core").unwrap();
    // An atomic's `load` takes an ordering; that of a swapped pointer takes nothing. What swaps it is not on any call's path.
    let loads: Vec<_> = core
        .sources()
        .iter()
        .filter(|source| !source.path.ends_with("gateway-core/src/gateway.rs"))
        .flat_map(|source| [".load()", ".load_full()"].map(|code| (source.path.clone(), source.find(code))))
        .flat_map(|(path, lines)| lines.into_iter().map(move |line| format!("{path}:{line}")))
        .collect();
    assert_eq!(loads.len(), 1, "a call sees one configuration from start to end, so it loads it once: {loads:?}");
}

#[test]
fn a_call_spawns_no_task_and_opens_no_channel() {
    let core = members().into_iter().find(|member| member.name == "gateway-core").unwrap();
    let banned =
        ["spawn", "spawn_blocking", "spawn_local", "JoinSet", "mpsc", "oneshot", "broadcast", "watch", "Semaphore"];
    let mut found = Vec::new();
    // A long prompt takes a millisecond and more to count, and the calls that share the worker would wait for it.
    let is_count = |source: &Source, code| source.path.ends_with("reserve/estimate.rs") && code == "spawn_blocking";
    // What frees old configurations is a thread of the gateway's, which no call waits for.
    let serves_no_call = |source: &Source| source.path.ends_with("gateway-core/src/retired.rs");
    for source in core.sources().into_iter().filter(|source| !serves_no_call(source)) {
        for code in banned.into_iter().filter(|code| !is_count(&source, *code)) {
            found.extend(source.find(code).iter().map(|line| {
                format!(
                    "{}:{line}: `{code}`; pull the value when it is wanted, so that dropping the call ends it",
                    source.path
                )
            }));
        }
    }
    assert_none("no task and no channel in gateway-core: tasks belong to connections:", &found);
}

#[test]
fn nothing_is_unsafe() {
    let folders = ["crates", "bins", "tests", "bench", "examples"].map(|folder| root().join(folder));
    let paths = folders.iter().flat_map(|folder| files(folder)).filter(|path| is_rust(path));
    let found: Vec<_> = paths
        .map(|path| read(&path))
        .flat_map(|source| source.find("unsafe").into_iter().map(move |line| format!("{}:{line}", source.path)))
        .map(|place| format!("{place}: find a safe way; the lint forbids the other"))
        .collect();
    assert_none("the workspace holds no unsafe code:", &found);
}

//! What is said to have changed, and what is not.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

use gateway_config::{Config, Difference, Vocabulary};
use proptest::prelude::*;

const BASE: &str = "
auth: none
providers:
  - { name: a, api_key: sk-a, model_mapping: { x: y } }
  - { name: b, weight: 2 }
  - { name: off, enabled: false }
models:
  m: { targets: [{ provider: b, weight: 3 }, { provider: b }], fallback_models: [n] }
  n: { endpoint: 'https://example.com/x', api_key: sk-n }
master_keys:
  - { name: k, key: sk-0123456789-abcdef, metadata: { team: ml } }
  - { name: l, key: sk-0123456789-ghijkl }
passthrough: b
redis: { url: 'redis://localhost' }
store: { url: 'postgresql://localhost/gateway' }
";

fn config(yaml: &str) -> Config {
    let vocabulary = Vocabulary { policies: vec!["weighted", "p2c", "priority"], ..Vocabulary::default() };
    Config::from_yaml_with(yaml, &vocabulary).unwrap_or_else(|errors| panic!("{yaml}\n{errors}"))
}

/// What is said to have changed when this is replaced in the base, in one line.
fn change(from: &str, to: &str) -> String {
    assert!(BASE.contains(from), "{from}");
    account(&Difference::between(&config(BASE), &config(&BASE.replacen(from, to, 1))))
}

fn account(difference: &Difference) -> String {
    let mark = |mark: char, names: &[String]| names.iter().map(|name| format!("{mark}{name}")).collect::<Vec<_>>();
    let Difference { added, removed, changed, needs_restart } = difference;
    [mark('+', added), mark('-', removed), mark('~', changed), mark('!', needs_restart)].concat().join(" ")
}

#[test]
fn entries_are_named() {
    for (from, to, expected) in [
        ("name: a, api_key: sk-a", "name: a, api_key: sk-b", "~providers.a"),
        ("{ x: y }", "{ x: z }", "~providers.a"),
        ("weight: 2", "weight: 2, enabled: true", ""),
        ("name: off, enabled: false", "name: off", "~providers.off"),
        ("sk-a,", "sk-a, enabled: false,", "~providers.a"),
        ("weight: 2 }", "weight: 2 }\n  - { name: c, enabled: false }", "+providers.c"),
        ("  - { name: off, enabled: false }", "", "-providers.off"),
        ("name: off, enabled: false", "name: of, enabled: false", "+providers.of -providers.off"),
        ("weight: 3", "weight: 4", "~models.m"),
        ("[{ provider: b, weight: 3 }, { provider: b }]", "[{ provider: b }, { provider: b, weight: 3 }]", "~models.m"),
        ("fallback_models: [n]", "fallback_models: [x]", "~models.m"),
        ("api_key: sk-n", "api_key: sk-o", "~models.n"),
        ("example.com/x", "example.com/y", "~models.n"),
        ("  n: {", "  n: { balance: p2c,", "~models.n"),
        ("  m: {", "  o: {", "+models.o -models.m"),
        ("ghijkl", "ghijkm", "~master_keys.l"),
        ("team: ml", "team: mm", "~master_keys.k"),
        ("name: l", "name: o", "+master_keys.o -master_keys.l"),
    ] {
        assert_eq!(change(from, to), expected, "{from} -> {to}");
    }
}

#[test]
fn the_order_of_providers_counts_and_their_places_do_not() {
    let (a, b) = ("  - { name: a, api_key: sk-a, model_mapping: { x: y } }\n", "  - { name: b, weight: 2 }\n");
    assert_eq!(change(&format!("{a}{b}"), &format!("{b}{a}")), "~providers");
    // The targets of `m`, the inline provider of `n` and the passthrough move along.
    assert_eq!(change(a, &format!("  - {{ name: 0 }}\n{a}")), "+providers.0");
    let (k, l) = (
        "  - { name: k, key: sk-0123456789-abcdef, metadata: { team: ml } }\n",
        "  - { name: l, key: sk-0123456789-ghijkl }\n",
    );
    assert_eq!(change(&format!("{k}{l}"), &format!("{l}{k}")), "");
}

#[test]
fn every_setting_is_named_and_known_to_need_a_restart_or_not() {
    for (yaml, expected) in [
        ("server: { host: localhost }", "~server.host !server.host"),
        ("server: { port: 1 }", "~server.port !server.port"),
        ("server: { reuse_port: on }", "~server.reuse_port !server.reuse_port"),
        ("server: { workers: 2 }", "~server.workers !server.workers"),
        ("server: { max_body: 1MiB }", "~server.max_body"),
        ("server: { max_in_flight: 1 }", "~server.max_in_flight"),
        ("server: { queue: { size: 1 } }", "~server.queue"),
        ("server: { state_dir: /var }", "~server.state_dir !server.state_dir"),
        ("server: { header_timeout: 1s }", "~server.header_timeout !server.header_timeout"),
        ("server: { body_timeout: 1s }", "~server.body_timeout"),
        ("server: { drain_timeout: 1s }", "~server.drain_timeout !server.drain_timeout"),
        ("server: { tls: { cert: a, key: b } }", "~server.tls !server.tls"),
        ("server: { cors: {} }", "~server.cors"),
        ("admin: { key: an-admin-key }", "~admin.key"),
        ("admin: { listen: '127.0.0.1:1' }", "~admin.listen !admin.listen"),
        ("verify_ssl: false", "~models.n ~providers.a ~providers.b ~providers.off ~verify_ssl"),
        ("timeouts: { idle: 1s }", "~models.n ~providers.a ~providers.b ~providers.off ~timeouts"),
        ("provider_suffix: P", "~provider_suffix"),
        ("rewrite_response: false", "~rewrite_response"),
        ("retry: { max_retries: 1 }", "~retry"),
        ("retry: { budget: { ratio: 0.1 } }", "~retry"),
        ("circuit_breaker: { open: 1s }", "~circuit_breaker"),
        ("health_check: { timeout: 1s }", "~health_check"),
        ("health_check: { interval: 1m }", "~health_check ~providers.a"),
        ("logging: { sample: 0.1 }", "~logging.sample !logging.sample"),
        ("logging: { format: json }", "~logging.format !logging.format"),
        ("logging: { access: off }", "~logging.access !logging.access"),
        ("logging: { upstream_errors: on }", "~logging.upstream_errors"),
    ] {
        let (before, mut after) = (config(BASE), config(&format!("{BASE}{yaml}\n")));
        assert_eq!(account(&Difference::between(&before, &after)), expected, "{yaml}");
        after.keep_fixed(&before);
        let kept = Difference::between(&before, &after);
        assert_eq!((kept.needs_restart, kept.changed.is_empty()), (vec![], expected.contains('!')), "{yaml}");
    }
    for (from, to, expected) in [
        ("auth: none", "auth: required", "~auth"),
        ("passthrough: b", "passthrough: a", "~passthrough"),
        ("passthrough: b", "", "~passthrough"),
        ("redis: { url: 'redis://localhost' }", "", "~redis.url !redis.url"),
        ("redis://localhost", "redis://remote", "~redis.url !redis.url"),
        ("redis://localhost'", "redis://localhost', prefix: p", "~redis.prefix !redis.prefix"),
        ("redis://localhost'", "redis://localhost', on_error: deny", "~redis.on_error !redis.on_error"),
        ("redis://localhost'", "redis://localhost', timeout: 1s", "~redis.timeout !redis.timeout"),
        ("localhost/gateway", "localhost/other", "~store.url !store.url"),
        ("localhost/gateway'", "localhost/gateway', key_pepper: p", "~store.key_pepper !store.key_pepper"),
        ("localhost/gateway'", "localhost/gateway', encryption_key: k", "~store.encryption_key !store.encryption_key"),
    ] {
        assert_eq!(change(from, to), expected, "{from} -> {to}");
    }
    let tls = |cert: &str| config(&format!("{BASE}server: {{ tls: {{ cert: {cert}, key: b }} }}\n"));
    assert_eq!(account(&Difference::between(&tls("a"), &tls("c"))), "~server.tls");
}

/// A configuration of a few entries that may be there or not, in some order.
fn any_config() -> impl Strategy<Value = Config> {
    let provider =
        (prop::sample::select(vec!["a", "b", "c"]), 1..3_u32, any::<bool>()).prop_map(|(name, weight, enabled)| {
            (name, format!("{{ name: {name}, weight: {weight}, enabled: {enabled}, model_mapping: [m, n] }}"))
        });
    let model = (prop::sample::select(vec!["m", "n", "o"]), 0..2_u32).prop_map(|(name, max_retries)| {
        (name, format!("{name}: {{ endpoint: 'https://example.com/x', max_retries: {max_retries} }}"))
    });
    let (providers, models) = (prop::collection::vec(provider, 0..4), prop::collection::vec(model, 0..4));
    (providers, models, 80..82_u16).prop_map(|(providers, models, port)| {
        let (providers, models) = (once_each(providers), once_each(models));
        config(&format!("auth: none\nserver: {{ port: {port} }}\nproviders: [{providers}]\nmodels: {{ {models} }}\n"))
    })
}

fn once_each(entries: Vec<(&'static str, String)>) -> String {
    let mut seen = std::collections::HashSet::new();
    let entries = entries.into_iter().filter(|(name, _)| seen.insert(*name)).map(|(_, entry)| entry);
    entries.collect::<Vec<_>>().join(", ")
}

proptest! {
    #[test]
    fn nothing_changes_between_a_configuration_and_itself(config in any_config()) {
        let difference = Difference::between(&config, &config.clone());
        prop_assert_eq!(&difference, &Difference::default());
        prop_assert!(difference.is_empty());
    }

    #[test]
    fn what_is_added_one_way_is_removed_the_other(before in any_config(), after in any_config()) {
        let (there, back) = (Difference::between(&before, &after), Difference::between(&after, &before));
        prop_assert_eq!((&there.added, &there.changed), (&back.removed, &back.changed));
        prop_assert_eq!(&there.needs_restart, &back.needs_restart);
        // Apart from the order of what is not served or looked up by name, a difference misses nothing.
        let served = |config: &Config| config.providers.iter().filter(|it| it.resolvable).cloned().collect::<Vec<_>>();
        if there.is_empty() {
            prop_assert_eq!((served(&before), &before.server), (served(&after), &after.server));
        }
    }
}

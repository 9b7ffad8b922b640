//! Everything that is no entry of a list: what it is called, whether it changed, and when a change comes into force.

use crate::config::{Admin, Config, Logging, Provider, Redis, Server, Store};

/// A setting in two configurations.
pub(super) struct Setting {
    /// Its key, as in a file.
    pub(super) name: &'static str,
    pub(super) is_changed: bool,
    /// Whether only a restart brings a change into force.
    pub(super) needs_restart: bool,
}

/// Of what the process uses once, when it starts.
fn fixed(name: &'static str, is_changed: bool) -> Setting {
    Setting { name, is_changed, needs_restart: true }
}

/// Of what the process looks at again.
fn live(name: &'static str, is_changed: bool) -> Setting {
    Setting { name, is_changed, needs_restart: false }
}

/// Every setting.
pub(super) fn all(before: &Config, after: &Config) -> Vec<Setting> {
    let mut settings = top_level(before, after);
    settings.extend(server(&before.server, &after.server));
    settings.extend(admin(&before.admin, &after.admin));
    settings.extend(store(&before.store, &after.store));
    settings.extend(redis(before.redis.as_ref(), after.redis.as_ref()));
    settings.extend(logging(before.logging, after.logging));
    settings
}

fn top_level(before: &Config, after: &Config) -> Vec<Setting> {
    vec![
        live("store", before.awaits_store != after.awaits_store),
        live("verify_ssl", before.verify_ssl != after.verify_ssl),
        live("timeouts", before.timeouts != after.timeouts),
        live("retry", (before.retry, before.retry_budget) != (after.retry, after.retry_budget)),
        live("circuit_breaker", before.circuit_breaker != after.circuit_breaker),
        live("health_check", before.health_check != after.health_check),
        live("auth", before.auth != after.auth),
        live("provider_suffix", before.provider_suffix != after.provider_suffix),
        live("passthrough", passthrough(before) != passthrough(after)),
        live("rewrite_response", before.rewrite_response != after.rewrite_response),
    ]
}

/// The name of the provider that gets unknown paths.
fn passthrough(config: &Config) -> Option<&str> {
    config.passthrough.and_then(|index| config.providers.get(index)).map(|provider: &Provider| provider.name.as_str())
}

fn server(before: &Server, after: &Server) -> Vec<Setting> {
    // A listener reads its certificate anew; it does not begin or cease to speak TLS.
    let is_tls_switched = before.tls.is_some() != after.tls.is_some();
    vec![
        fixed("server.host", before.host != after.host),
        fixed("server.port", before.port != after.port),
        fixed("server.reuse_port", before.reuse_port != after.reuse_port),
        fixed("server.workers", before.workers != after.workers),
        live("server.max_body", before.max_body != after.max_body),
        live("server.max_in_flight", before.max_in_flight != after.max_in_flight),
        live("server.queue", before.queue != after.queue),
        fixed("server.state_dir", before.state_dir != after.state_dir),
        fixed("server.header_timeout", before.header_timeout != after.header_timeout),
        live("server.body_timeout", before.body_timeout != after.body_timeout),
        fixed("server.drain_timeout", before.drain_timeout != after.drain_timeout),
        Setting { name: "server.tls", is_changed: before.tls != after.tls, needs_restart: is_tls_switched },
        live("server.cors", before.cors != after.cors),
    ]
}

fn admin(before: &Admin, after: &Admin) -> [Setting; 2] {
    [live("admin.key", before.key != after.key), fixed("admin.listen", before.listen != after.listen)]
}

fn store(before: &Store, after: &Store) -> [Setting; 3] {
    [
        fixed("store.url", before.place != after.place),
        fixed("store.key_pepper", before.key_pepper != after.key_pepper),
        fixed("store.encryption_key", before.encryption_key != after.encryption_key),
    ]
}

fn redis(before: Option<&Redis>, after: Option<&Redis>) -> [Setting; 4] {
    let is_changed = |is_other: fn(&Redis, &Redis) -> bool| match (before, after) {
        (Some(before), Some(after)) => is_other(before, after),
        // Switched on or off: that is its URL's doing.
        _ => false,
    };
    let is_switched = before.is_some() != after.is_some();
    [
        fixed("redis.url", is_switched || is_changed(|one, other| one.url != other.url)),
        fixed("redis.prefix", is_changed(|one, other| one.prefix != other.prefix)),
        fixed("redis.on_error", is_changed(|one, other| one.on_error != other.on_error)),
        fixed("redis.timeout", is_changed(|one, other| one.timeout != other.timeout)),
    ]
}

/// Logging starts once, with the format and with the calls that are logged.
fn logging(before: Logging, after: Logging) -> [Setting; 4] {
    // A share is compared as it was written: the same text is the same number.
    let is_other_share = before.sample.to_bits() != after.sample.to_bits();
    [
        fixed("logging.format", before.format != after.format),
        fixed("logging.access", before.access != after.access),
        fixed("logging.sample", is_other_share),
        live("logging.upstream_errors", before.upstream_errors != after.upstream_errors),
    ]
}

//! What a person sees at start: where the gateway is, what it serves, and a line to try it.

use std::io::{Write, stdout};
use std::net::SocketAddr;

use gateway_config::{Auth, Config};

/// Names shown before the rest is counted.
const SHOWN: usize = 8;

/// Prints the banner to standard output. That nobody reads it is no reason not to serve.
pub(crate) fn print(config: &Config, address: SocketAddr) {
    drop(stdout().write_all(text(config, address).as_bytes()));
}

fn text(config: &Config, address: SocketAddr) -> String {
    let scheme = if config.server.tls.is_some() { "https" } else { "http" };
    let url = format!("{scheme}://{}", reachable(address));
    let models = names(config);
    let providers: Vec<_> = config.providers.iter().map(|provider| provider.name.as_str()).collect();
    let mut lines = vec![
        format!("gateway-server {} listening on {url}", env!("CARGO_PKG_VERSION")),
        format!("  providers  {}", shown(&providers)),
        format!("  models     {}", shown(&models)),
        format!("  health     {url}/health"),
    ];
    lines.extend(example(config, &url, &models).map(|line| format!("try it:\n  {line}")));
    lines.push(String::new());
    lines.join("\n")
}

/// An address that a client on this machine can use: a wildcard is none.
fn reachable(address: SocketAddr) -> String {
    if address.ip().is_unspecified() { format!("127.0.0.1:{}", address.port()) } else { address.to_string() }
}

fn names(config: &Config) -> Vec<&str> {
    let mapped = config.providers.iter().flat_map(|provider| &provider.model_mapping);
    let names = config.models.iter().map(|model| model.name.as_str());
    let mut all: Vec<_> = names.chain(mapped.map(|mapping| mapping.public.as_str())).collect();
    all.sort_unstable();
    all.dedup();
    all
}

fn shown(names: &[&str]) -> String {
    match names.len() {
        0 => "none yet".to_owned(),
        len if len <= SHOWN => names.join(", "),
        len => format!("{} and {} more", names[..SHOWN].join(", "), len - SHOWN),
    }
}

fn example(config: &Config, url: &str, models: &[&str]) -> Option<String> {
    let any_name = config.providers.iter().any(|provider| provider.resolvable && provider.model_mapping.is_empty());
    let model = models.iter().find(|name| !name.contains('*')).copied().or(any_name.then_some("gpt-4o-mini"))?;
    let key = match config.auth {
        Auth::Required => " -H 'authorization: Bearer YOUR_KEY'",
        Auth::None => "",
    };
    Some(format!(
        "curl {url}/v1/chat/completions{key} -H 'content-type: application/json' \
         -d '{{\"model\":\"{model}\",\"messages\":[{{\"role\":\"user\",\"content\":\"Hello\"}}]}}'"
    ))
}

//! A routing policy from outside: `balance: canary` sends one call in ten to the last target of a model.
//!
//! A policy is one type with a name, settings and a `rank`; nothing in the gateway changes when one is added. Run it with
//! `cargo run -p custom-policy`: it sends 50 calls to two simulated providers and counts who served.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use gateway_config::Config;
use gateway_core::Gateway;
use gateway_core::call::Call;
use gateway_core::extension::{BuildError, Extension};
use gateway_core::routing::{Candidate, Draw, Ranking, RoutingPolicy};
use gateway_simulator::{Simulator, SimulatorConfig};
use http_body_util::Full;
use hyper::Request;
use hyper::service::Service;

/// The last target gets every tenth call, the first one the rest. A policy sees only the targets that are in order: while
/// the last one is not, the first of two is the last as well, and gets all calls.
#[derive(Debug)]
struct Canary;

impl Extension<dyn RoutingPolicy> for Canary {
    const NAME: &'static str = "canary";
    type Config = serde::de::IgnoredAny;

    fn build(_: Self::Config) -> Result<Arc<dyn RoutingPolicy>, BuildError> {
        Ok(Arc::new(Self))
    }
}

impl RoutingPolicy for Canary {
    fn rank(&self, _: &Call, draw: Draw, candidates: &[Candidate], ranking: &mut Ranking) {
        if draw.turn % 10 == 9 {
            ranking.push(candidates.len().saturating_sub(1));
        }
        // Whoever is ranked already stays where it is.
        (0..candidates.len()).for_each(|index| ranking.push(index));
    }
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let simulator = Simulator::start(SimulatorConfig::default()).await?;
    let base = simulator.api_base();
    let yaml = format!(
        "
auth: none
providers:
  - {{ name: stable, api_base: '{base}' }}
  - {{ name: canary, api_base: '{base}' }}
models:
  gpt-4o:
    balance: canary
    targets: [{{ provider: stable }}, {{ provider: canary }}]
"
    );
    let builder = Gateway::builder().routing_policy::<Canary>();
    let config = Config::from_yaml_with(&yaml, &builder.vocabulary())?;
    let service = builder.build(&config)?.service();

    let mut served = BTreeMap::new();
    for _ in 0..50 {
        let body = r#"{"model":"gpt-4o","messages":[{"role":"user","content":"Hello"}]}"#;
        let request = Request::post("/v1/chat/completions")
            .header("host", "gateway")
            .header("content-type", "application/json")
            .body(Full::from(Bytes::from(body)))?;
        let answer = service.call(request).await?;
        anyhow::ensure!(answer.status().is_success(), "the gateway answered {}", answer.status());
        let provider = answer.headers().get("x-gateway-provider").cloned();
        *served.entry(provider.map(|name| name.to_str().map(str::to_owned)).transpose()?).or_insert(0) += 1;
    }
    for (provider, calls) in served {
        println!("{:>3} calls served by {}", calls, provider.unwrap_or_default());
    }
    simulator.stop().await;
    Ok(())
}

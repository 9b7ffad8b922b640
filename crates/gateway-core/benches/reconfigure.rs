//! What it costs to change the configuration of a large gateway while it runs: 1,000 providers, 10,000 mappings, 1,000 models.
//!
//! `cargo bench -p gateway-core --bench reconfigure`. The bound is 50 ms for a whole reload, of which this is the part behind
//! the parsing of the file, and 5 ms for what it may cost a call, the last one under the old configuration included.
#![allow(clippy::unwrap_used)]

use std::fmt::Write;
use std::future::{Future, poll_fn};
use std::hint::black_box;
use std::pin::Pin;
use std::sync::Arc;
use std::task::Poll;
use std::thread::yield_now;
use std::time::{Duration, Instant};

use bytes::Bytes;
use criterion::{BatchSize, Criterion, criterion_group, criterion_main};
use gateway_config::Config;
use gateway_core::Gateway;
use http::Request;
use http_body::{Body, Frame};
use hyper::service::Service;
use tokio::runtime::{Builder, Runtime};

const PROVIDERS: usize = 1_000;
const MAPPINGS: usize = 10;
const MODELS: usize = 1_000;
/// Two providers serve each of them.
const NAMES: usize = PROVIDERS * MAPPINGS / 2;

/// A configuration of that size. Providers are at the hosts that `host` names.
fn config(host: impl Fn(usize) -> String) -> Config {
    let mut yaml = "auth: none\nproviders:\n".to_owned();
    for provider in 0..PROVIDERS {
        provider_entry(&mut yaml, provider, &host(provider));
    }
    yaml.push_str("models:\n");
    for model in 0..MODELS {
        model_entry(&mut yaml, model);
    }
    Config::from_yaml(&yaml).unwrap()
}

fn provider_entry(yaml: &mut String, provider: usize, host: &str) {
    let entry = format!(
        "  - name: provider-{provider}\n    api_base: https://{host}/v1\n    api_key: sk-provider-{provider:032}\n    \
         headers: {{ x-team: ml }}\n    max_in_flight: 500\n    model_mapping:\n"
    );
    yaml.push_str(&entry);
    for mapping in 0..MAPPINGS {
        let name = (provider * MAPPINGS + mapping) % NAMES;
        let _ =
            writeln!(yaml, "      name-{name}: {{ mapped_model: upstream-{name}, input_cost_per_1k_tokens: 0.003 }}");
    }
}

fn model_entry(yaml: &mut String, model: usize) {
    let (first, second, fallback) = (model, (model + 1) % PROVIDERS, (model + 1) % MODELS);
    let _ = writeln!(
        yaml,
        "  model-{model}: {{ targets: [ {{ provider: provider-{first}, model: own-{model} }}, {{ provider: \
         provider-{second}, priority: 2 }} ], fallback_models: [ model-{fallback} ] }}"
    );
}

/// A body that never comes, so that its call goes on for as long as it is held.
struct Never;

impl Body for Never {
    type Data = Bytes;
    type Error = std::convert::Infallible;

    fn poll_frame(
        self: Pin<&mut Self>,
        _: &mut std::task::Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        Poll::Pending
    }
}

/// A call that has begun under the configuration in force, and keeps it.
fn begin(gateway: &Gateway, runtime: &Runtime) -> impl Future + use<> {
    let request = Request::post("/v1/chat/completions").header("content-type", "application/json").body(Never);
    let mut call = gateway.service().call(request.unwrap());
    let is_ready = runtime.block_on(poll_fn(|cx| Poll::Ready(call.as_mut().poll(cx).is_ready())));
    assert!(!is_ready, "it waits for its body");
    call
}

#[expect(clippy::disallowed_methods, reason = "what is measured is how much time goes by")]
fn time<T>(what: impl FnOnce() -> T) -> Duration {
    let start = Instant::now();
    black_box(what());
    start.elapsed()
}

/// Changes the configuration, and waits until the former one is freed, which is no part of the time.
fn change(gateway: &Gateway, config: &Config) -> Duration {
    let config = Arc::new(config.clone());
    let former = Arc::downgrade(&gateway.config());
    let took = time(|| gateway.reconfigure(config));
    while former.strong_count() > 0 {
        yield_now();
    }
    took
}

/// The end of the last call under a configuration that is no longer in force.
fn end_of_last_call(gateway: &Gateway, runtime: &Runtime, config: &Config) -> Duration {
    let call = begin(gateway, runtime);
    let config = Arc::new(config.clone());
    gateway.reconfigure(config).unwrap();
    time(|| drop(call))
}

fn reconfigure(criterion: &mut Criterion) {
    let runtime = Builder::new_current_thread().enable_time().build().unwrap();
    let _within = runtime.enter();
    let first = config(|provider| format!("provider-{provider}.example.com"));
    let all_changed = config(|provider| format!("provider-{provider}.example.org"));
    let one_changed = config(|provider| match provider {
        0 => "moved.example.com".to_owned(),
        _ => format!("provider-{provider}.example.com"),
    });
    let gateway = Gateway::builder().build(&first).unwrap();
    let shared = Arc::new(first.clone());
    let build = || Gateway::builder().build_shared(Arc::clone(&shared)).unwrap();

    let mut group = criterion.benchmark_group("1,000 providers, 10,000 mappings, 1,000 models");
    for (name, other) in [("one provider changes", &one_changed), ("every provider changes", &all_changed)] {
        let mut configs = [other, &first].into_iter().cycle();
        group.bench_function(name, |bench| {
            let mut change = |_| configs.next().map(|config| change(&gateway, config));
            bench.iter_custom(|times| (0..times).filter_map(&mut change).sum());
        });
        group.bench_function(format!("{name}: the call that is over last"), |bench| {
            let mut end = |_| configs.next().map(|config| end_of_last_call(&gateway, &runtime, config));
            bench.iter_custom(|times| (0..times).filter_map(&mut end).sum());
        });
    }
    group.bench_function("the first configuration", |bench| bench.iter_with_large_drop(build));
    group.bench_function("the end of a configuration", |bench| {
        bench.iter_batched(build, drop, BatchSize::PerIteration);
    });
    group.finish();
}

criterion_group!(benches, reconfigure);
criterion_main!(benches);

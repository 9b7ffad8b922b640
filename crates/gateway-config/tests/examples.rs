//! The files in `configs/` load, and mean what they say.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use gateway_config::{
    Affinity, Auth, Config, HealthCheckDefaults, Hedge, HedgeDelay, KeyMaterial, Loaded, ProviderEndpoint, Sources,
    Vocabulary, load,
};
use gateway_resilience::{Backoff, BreakerPolicy, BudgetPolicy, RetryPolicy};
use tempfile::TempDir;

const VARIABLES: [(&str, &str); 11] = [
    ("ADMIN_KEY", "an-admin-key-of-24-characters"),
    ("API_BASE_URL", "https://api.example.com"),
    ("API_KEY_1", "provider-key-1"),
    ("API_KEY_2", "provider-key-2"),
    ("MASTER_KEY", "sk-a-master-key-of-mine"),
    ("MASTER_KEY_1", "sk-your-master-key-1"),
    ("MASTER_KEY_UNLIMITED", "sk-your-unlimited-key"),
    ("OPENAI_API_KEY", "sk-openai"),
    ("OPENROUTER_API_KEY", "sk-openrouter"),
    ("EU_KEY_1", "eu-1"),
    ("EU_KEY_2", "eu-2"),
];

fn directory() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../configs")
}

fn load_example(name: &str, variables: &[(&str, &str)]) -> Loaded {
    let empty = TempDir::new().unwrap();
    let environment = variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    let sources = Sources {
        path: Some(directory().join(name).canonicalize().unwrap()),
        environment: environment.collect::<HashMap<_, _>>(),
        working_directory: empty.path().to_owned(),
    };
    load(&sources, &Vocabulary::default()).unwrap_or_else(|errors| panic!("{name}:\n{errors}"))
}

#[test]
fn every_example_loads() {
    let mut seen = 0;
    for entry in std::fs::read_dir(directory()).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        if Path::new(&name).extension().is_some_and(|extension| extension == "yaml") {
            let loaded = load_example(&name, &VARIABLES);
            assert!(!loaded.summary().contains("callers need a key"), "{name}");
            seen += 1;
        }
    }
    assert!(seen >= 6);
}

#[test]
fn the_quick_start_needs_no_account_and_uses_one_if_there_is() {
    let without = load_example("quickstart.yaml", &[]).config;
    assert_eq!((without.auth, without.server.host.as_str()), (Auth::None, "127.0.0.1"));
    let [simulator] = &without.providers[..] else { panic!("{:?}", without.providers) };
    assert_eq!(simulator.endpoint, ProviderEndpoint::Simulator { at: None });
    assert!(simulator.model_mapping.iter().any(|entry| entry.public.matches("sim-slow")));

    let with = load_example("quickstart.yaml", &[("OPENAI_API_KEY", "sk-x")]).config;
    assert_eq!(with.providers.len(), 2);
    assert_eq!(with.providers[1].api_keys[0].expose(), "sk-x");
    assert!(with.providers[1].model_mapping.iter().any(|entry| entry.public.matches("gpt-4o")));
}

#[test]
fn the_drafts_own_shape_loads() {
    let loaded = load_example("reference-chat.yaml", &[]);
    let config = loaded.config;
    let names: Vec<_> = config.models.iter().map(|model| model.name.as_str()).collect();
    assert_eq!(names, ["gpt-3.5-turbo", "llama-2"]);
    let target = &config.models[0].targets[0];
    assert_eq!(target.upstream_model, "gpt-3.5-turbo");
    let provider = &config.providers[target.provider];
    assert_eq!(provider.name, "model:gpt-3.5-turbo");
    assert_eq!(
        provider.endpoint,
        ProviderEndpoint::Complete("https://api.openai.com/v1/chat/completions".parse().unwrap())
    );
    assert!(!provider.resolvable);
    let [key] = &config.master_keys[..] else { panic!("{:?}", config.master_keys) };
    assert_eq!(key.key, KeyMaterial::Plain("admin-key".into()));
    assert_eq!((key.name.as_str(), key.enabled), ("rate_limit_config[1]", true));
    assert!(key.allowed_models[0].matches("anything"));
    assert_eq!((config.retry.max_retries, config.retry.backoff.base), (3, Duration::from_millis(200)));
    assert_eq!(config.retry.backoff.max, Backoff::default().max);
    let own: Vec<_> = config.models.iter().map(|model| (model.max_retries, &model.fallback_models[..])).collect();
    assert_eq!(own, [(Some(5), &["llama-2".to_owned()][..]), (Some(3), &[])]);
    let [quota] = key.limits.requests.iter().collect::<Vec<_>>()[..] else { panic!("{:?}", key.limits) };
    assert_eq!((quota.limit(), quota.period(), quota.burst()), (100, Duration::from_mins(1), 100));
    assert_eq!(loaded.warnings.len(), 1, "{:?}", loaded.warnings);
}

#[test]
fn the_original_readmes_shape_loads() {
    let config = load_example("reference-readme.yaml", &VARIABLES).config;
    assert_eq!((config.server.host.as_str(), config.server.port), ("0.0.0.0", 18000));
    let weights: Vec<_> = config.providers.iter().map(|provider| (provider.name.as_str(), provider.weight)).collect();
    assert_eq!(weights, [("Provider-1", 2), ("Provider-2", 1)]);
    let mapping = &config.providers[0].model_mapping[0];
    assert_eq!(mapping.public.as_str(), "claude-4.5-sonnet");
    assert_eq!(mapping.upstream.as_deref(), Some("actual-model-name"));
    assert_eq!(config.providers[1].api_keys[0].expose(), "provider-key-2");
    assert_eq!(config.master_keys[1].key, KeyMaterial::Plain("sk-your-unlimited-key".into()));
    let limits = &config.master_keys[0].limits;
    let [quota] = limits.requests.iter().collect::<Vec<_>>()[..] else { panic!("{limits:?}") };
    assert_eq!((quota.limit(), quota.period(), quota.burst()), (100, Duration::from_secs(1), 150));
}

#[test]
fn the_example_of_fallbacks_uses_everything_it_explains() {
    let loaded = load_example("fallback.yaml", &VARIABLES);
    assert!(loaded.warnings.is_empty(), "{}", loaded.summary());
    let model = &loaded.config.models[0];
    assert_eq!((model.max_retries, &model.fallback_models[..]), (Some(3), &["gpt-4o-mini".to_owned()][..]));
    assert_eq!(model.hedge, Some(Hedge { after: HedgeDelay::Quantile(0.95), max: 1 }));
    assert_eq!(model.affinity, Some(Affinity::PromptPrefix));
    let names: Vec<_> = model.targets.iter().map(|target| target.upstream_model.as_str()).collect();
    assert_eq!(names, ["gpt-4o", "openai/gpt-4o"]);
    let key = &loaded.config.master_keys[0];
    let is_allowed = |name: &str| key.allowed_models.iter().any(|pattern| pattern.matches(name));
    assert!(is_allowed(&model.name) && is_allowed(&model.fallback_models[0]));
}

#[test]
fn the_full_file_holds_the_defaults() {
    let loaded = load_example("full.yaml", &VARIABLES);
    let config = &loaded.config;
    assert_eq!(config.models[0].timeouts.first_token, Some(Duration::from_secs(10)));
    assert_eq!(config.providers[0].timeouts.connect, Duration::from_secs(2));
    assert_eq!(config.providers[1].timeouts, gateway_config::Timeouts::default());
    assert_eq!(config.passthrough, Some(0));
    assert_eq!(config.provider_suffix.as_deref(), Some("Proxy"));
    let targets: Vec<_> =
        config.models[0].targets.iter().map(|target| (target.provider, target.upstream_model.as_str())).collect();
    assert_eq!(targets, [(0, "gpt-4o"), (1, "gpt-4o")]);
    let tiers: Vec<_> = config.models[1].targets.iter().map(|target| (target.provider, target.priority)).collect();
    assert_eq!((config.models[1].balance.as_str(), tiers), ("priority", vec![(0, 1), (1, 2)]));
    assert_eq!(config.retry, RetryPolicy::default());
    assert_eq!(config.retry_budget, BudgetPolicy::default());
    assert_eq!(config.circuit_breaker, BreakerPolicy::default());
    assert_eq!(config.health_check, HealthCheckDefaults::default());
    assert_eq!(config.logging, Config::from_yaml("auth: none").unwrap().logging);
    insta::assert_snapshot!(
        loaded.summary().replace(&directory().canonicalize().unwrap().display().to_string(), "configs")
    );
}

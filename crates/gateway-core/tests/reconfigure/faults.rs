//! Which entry of the configuration is told to be at fault.

use gateway_config::{Config, ProviderEndpoint};
use gateway_core::Gateway;

use super::TIERS;

/// What is wrong with a configuration, which is good until `spoil` has changed it.
fn faults(yaml: &str, spoil: impl FnOnce(&mut Config)) -> Vec<String> {
    let yaml = yaml.replace("'MAIN'", "'http://127.0.0.1:9/v1'").replace("'SPARE'", "'http://127.0.0.1:9/v1'");
    let mut config = Config::from_yaml(&yaml).unwrap();
    spoil(&mut config);
    let errors = Gateway::builder().build(&config).unwrap_err();
    errors.iter().map(|error| error.at.clone()).collect()
}

/// Adds providers like the first until there are so many.
fn crowd(config: &mut Config, providers: usize) {
    let first = config.providers[0].clone();
    let more = (config.providers.len()..providers)
        .map(|number| gateway_config::Provider { name: format!("p{number}"), ..first.clone() });
    config.providers.extend(more);
}

#[test]
fn it_is_the_one_that_must_change() {
    let inline =
        "auth: none\nmodels: { a: { endpoint: 'http://127.0.0.1:9/x' }, b: { endpoint: 'http://127.0.0.1:9/y' } }\n";
    let nowhere = ProviderEndpoint::Simulator { at: None };
    assert_eq!(faults(TIERS, |config| config.providers[1].endpoint = nowhere.clone()), ["providers.spare"]);
    assert_eq!(faults(inline, |config| config.providers[1].endpoint = nowhere.clone()), ["models.b"]);
    assert_eq!(faults(TIERS, |config| config.providers[1].kind = "none".to_owned()), ["providers.spare"]);
    assert_eq!(faults(TIERS, |config| config.models[0].balance = "none".to_owned()), ["models.m"]);
    let key = |config: &mut Config| config.providers[0].api_keys[1] = "line\nbreak".into();
    assert_eq!(faults(TIERS, key), ["providers.main"]);
}

#[test]
fn of_too_many_it_is_the_first_that_is_one_too_many() {
    for mapping in ["model_mapping: [x]", "model_mapping: ['x*']", "weight: 1"] {
        let yaml = format!("auth: none\nproviders: [{{ name: p0, {mapping} }}]\n");
        assert_eq!(faults(&yaml, |config| crowd(config, 66)), ["providers.p64"], "{mapping}");
    }
    let many = |config: &mut Config| {
        let target = config.models[0].targets[0].clone();
        config.models[0].targets = vec![target; 65];
    };
    assert_eq!(faults(TIERS, many), ["models.m"]);
}

//! Whether providers answer: a real, tiny request for each model, a few at a time.

use std::collections::HashSet;
use std::ops::RangeInclusive;
use std::time::Duration;

use futures_util::{StreamExt, stream};
use gateway_call::ModelPattern;
use gateway_config::{Config, Provider};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::configuration::Prober;
use crate::error::{Fault, Invalid};

/// The most requests at once.
const MAX_CONCURRENT: u64 = 16;
/// The longest that one of them may take, in seconds.
const MAX_TIMEOUT: u64 = 300;
/// The most models, and the most providers, of a request.
const MAX_NAMED: usize = 1000;
/// The most requests that one check comes to: models times providers. Each of them costs money and is a real call.
const MAX_PROBES: usize = 1000;
/// The longest name of a provider or a model, in bytes.
const MAX_NAME: usize = 256;

/// Which models of one provider are tried, and how.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct CheckProvider {
    /// The models' public names; those in the provider's mapping that are no patterns if they are not given.
    #[schemars(length(min = 1, max = MAX_NAMED), inner(length(min = 1, max = MAX_NAME)))]
    pub models: Option<Vec<String>>,
    /// How many requests are under way at once; 2 if it is not given.
    #[schemars(range(min = 1, max = MAX_CONCURRENT))]
    pub max_concurrent: Option<u64>,
    /// How long one request may take; 30 if it is not given.
    #[schemars(range(min = 1, max = MAX_TIMEOUT))]
    pub timeout_secs: Option<u64>,
}

/// Which models of which providers are tried, and how. They must not come to more than 1000 requests.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct CheckProviders {
    /// The providers; if they are not given, all that are enabled and whose models are known.
    #[schemars(length(min = 1, max = MAX_NAMED), inner(length(min = 1, max = MAX_NAME)))]
    pub provider_ids: Option<Vec<String>>,
    /// See `models` of one provider.
    #[schemars(length(min = 1, max = MAX_NAMED), inner(length(min = 1, max = MAX_NAME)))]
    pub models: Option<Vec<String>>,
    /// How many requests are under way at once, to all of them together; 2 if it is not given.
    #[schemars(range(min = 1, max = MAX_CONCURRENT))]
    pub max_concurrent: Option<u64>,
    /// How long one request may take; 30 if it is not given.
    #[schemars(range(min = 1, max = MAX_TIMEOUT))]
    pub timeout_secs: Option<u64>,
}

/// How one provider is doing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct ProviderHealth {
    /// The provider's name.
    pub provider_id: String,
    /// Degraded if some of the models answer.
    pub status: Health,
    /// Its models, in the order in which they were asked for.
    pub models: Vec<ModelHealth>,
}

/// How several providers are doing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct ProvidersHealth {
    /// Degraded if some of the models answer.
    pub status: Health,
    /// Each of the providers.
    pub providers: Vec<ProviderHealth>,
}

/// How a model is doing at a provider.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct ModelHealth {
    /// Its public name.
    pub model: String,
    /// Healthy or unhealthy.
    pub status: Health,
    /// How long the answer took; null if there was none.
    pub response_time_ms: Option<u64>,
    /// What went wrong; null if it answered.
    pub error: Option<String>,
}

/// How something is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Health {
    /// All of it answers.
    Healthy,
    /// Some of it answers.
    Degraded,
    /// None of it answers.
    Unhealthy,
}

/// Why providers were not tried.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum HealthError {
    /// Something in the request cannot be.
    #[error(transparent)]
    Invalid(#[from] Invalid),
    /// There is no such provider.
    #[error("There is no provider with the id `{id}`. List the providers to see those that there are.")]
    NotFound {
        /// What was looked for.
        id: String,
    },
    /// The provider takes no calls.
    #[error("The provider `{id}` is disabled, so nothing is sent to it. Set `is_enabled` to true first.")]
    Disabled {
        /// The provider.
        id: String,
    },
}

/// Tries one provider.
///
/// # Errors
///
/// It cannot be tried, or not like that.
pub async fn check_provider(
    config: &Config,
    prober: &dyn Prober,
    id: &str,
    request: &CheckProvider,
) -> Result<ProviderHealth, HealthError> {
    let pace = Pace::new(request.max_concurrent, request.timeout_secs)?;
    let job = Job::new(find(config, id)?, request.models.as_deref())?;
    let mut tried = tried(prober, vec![job], pace).await;
    Ok(tried.remove(0))
}

/// Tries several providers.
///
/// # Errors
///
/// One of them cannot be tried, or not like that. Then none is.
pub async fn check_providers(
    config: &Config,
    prober: &dyn Prober,
    request: &CheckProviders,
) -> Result<ProvidersHealth, HealthError> {
    let pace = Pace::new(request.max_concurrent, request.timeout_secs)?;
    let models = request.models.as_deref();
    let jobs: Vec<Job<'_>> = if let Some(ids) = request.provider_ids.as_deref() {
        let ids = names("provider_ids", ids)?.into_iter();
        ids.map(|id| Ok(Job::new(find(config, id)?, models)?)).collect::<Result<_, HealthError>>()?
    } else {
        // One whose models nobody knows is tried only if it is asked for.
        let listed = listed(config).filter(|it| models.is_some() || exact_names(it).next().is_some());
        listed.map(|provider| Job::new(provider, models)).collect::<Result<_, _>>()?
    };
    let count: usize = jobs.iter().map(|job| job.models.len()).sum();
    if count > MAX_PROBES {
        let problem = format!(
            "comes to {count} requests, and one check sends at most {MAX_PROBES}; name fewer providers or models"
        );
        return Err(Invalid::new(Fault::InvalidValue, None, problem).into());
    }
    let providers = tried(prober, jobs, pace).await;
    let status = Health::of(&providers.iter().flat_map(|provider| &provider.models).collect::<Vec<_>>());
    Ok(ProvidersHealth { status, providers })
}

/// How fast requests are sent.
#[derive(Clone, Copy)]
struct Pace {
    max_concurrent: usize,
    timeout: Duration,
}

impl Pace {
    fn new(max_concurrent: Option<u64>, timeout_secs: Option<u64>) -> Result<Self, Invalid> {
        let max_concurrent = within("max_concurrent", max_concurrent.unwrap_or(2), 1..=MAX_CONCURRENT)?;
        let timeout = Duration::from_secs(within("timeout_secs", timeout_secs.unwrap_or(30), 1..=MAX_TIMEOUT)?);
        Ok(Self { max_concurrent: usize::try_from(max_concurrent).unwrap_or(1), timeout })
    }
}

fn within(param: &str, number: u64, range: RangeInclusive<u64>) -> Result<u64, Invalid> {
    if range.contains(&number) {
        return Ok(number);
    }
    Err(Invalid::value(param, format!("expected a whole number from {} to {}", range.start(), range.end())))
}

/// A provider and the models that it is tried with.
struct Job<'a> {
    provider: &'a str,
    models: Vec<&'a str>,
}

impl<'a> Job<'a> {
    fn new(provider: &'a Provider, models: Option<&'a [String]>) -> Result<Self, Invalid> {
        let models = match models {
            Some(models) => names("models", models)?,
            None => without_repeats(exact_names(provider)),
        };
        if models.is_empty() {
            let name = &provider.name;
            let problem = format!("is missing, and the mapping of `{name}` names no model that could be tried instead");
            return Err(Invalid::new(Fault::MissingField, Some("models".to_owned()), problem));
        }
        Ok(Self { provider: &provider.name, models })
    }
}

/// Names that somebody wrote, each once.
fn names<'a>(param: &str, names: &'a [String]) -> Result<Vec<&'a str>, Invalid> {
    if !(1..=MAX_NAMED).contains(&names.len()) {
        return Err(Invalid::value(param, format!("expected 1 to {MAX_NAMED} names")));
    }
    if let Some(index) = names.iter().position(|name| !(1..=MAX_NAME).contains(&name.len())) {
        return Err(Invalid::value(&format!("{param}[{index}]"), format!("expected a name of 1 to {MAX_NAME} bytes")));
    }
    Ok(without_repeats(names.iter().map(String::as_str)))
}

fn without_repeats<'a>(names: impl Iterator<Item = &'a str>) -> Vec<&'a str> {
    let mut seen = HashSet::new();
    names.filter(|name| seen.insert(*name)).collect()
}

/// The providers that calls may go to by their names.
fn listed(config: &Config) -> impl Iterator<Item = &Provider> {
    config.providers.iter().filter(|provider| provider.resolvable)
}

fn exact_names(provider: &Provider) -> impl Iterator<Item = &str> {
    provider.model_mapping.iter().map(|entry| &entry.public).filter(|name| name.is_exact()).map(ModelPattern::as_str)
}

fn find<'c>(config: &'c Config, id: &str) -> Result<&'c Provider, HealthError> {
    if let Some(provider) = listed(config).find(|provider| provider.name == id) {
        return Ok(provider);
    }
    let id = id.to_owned();
    let is_disabled = config.disabled_providers.iter().any(|provider| provider.name == id);
    Err(if is_disabled { HealthError::Disabled { id } } else { HealthError::NotFound { id } })
}

/// Sends all requests and sorts the answers by provider.
async fn tried(prober: &dyn Prober, jobs: Vec<Job<'_>>, pace: Pace) -> Vec<ProviderHealth> {
    let each = jobs.iter().flat_map(|job| job.models.iter().map(|model| (job.provider, *model)));
    let requests: Vec<_> = each.enumerate().map(|(index, pair)| one_tried(prober, index, pair, pace.timeout)).collect();
    // None waits for a slower one before it.
    let mut answers: Vec<_> = stream::iter(requests).buffer_unordered(pace.max_concurrent).collect().await;
    answers.sort_by_key(|(index, _)| *index);
    let mut answers = answers.into_iter().map(|(_, health)| health);
    let sorted = jobs.iter().map(|job| {
        let models: Vec<_> = answers.by_ref().take(job.models.len()).collect();
        let status = Health::of(&models.iter().collect::<Vec<_>>());
        ProviderHealth { provider_id: job.provider.to_owned(), status, models }
    });
    sorted.collect()
}

async fn one_tried(
    prober: &dyn Prober,
    index: usize,
    (provider, model): (&str, &str),
    timeout: Duration,
) -> (usize, ModelHealth) {
    (index, ModelHealth::new(model, prober.probe(provider, model, timeout).await))
}

impl ModelHealth {
    fn new(model: &str, answer: Result<Duration, String>) -> Self {
        let model = model.to_owned();
        match answer {
            Ok(time) => {
                let response_time_ms = Some(u64::try_from(time.as_millis()).unwrap_or(u64::MAX));
                Self { model, status: Health::Healthy, response_time_ms, error: None }
            }
            Err(error) => Self { model, status: Health::Unhealthy, response_time_ms: None, error: Some(error) },
        }
    }
}

impl Health {
    /// Of the whole, by its parts; a whole without parts lacks nothing.
    fn of(models: &[&ModelHealth]) -> Self {
        let is_healthy = |model: &&ModelHealth| model.status == Self::Healthy;
        match (models.iter().all(is_healthy), models.iter().any(is_healthy)) {
            (true, _) => Self::Healthy,
            (false, true) => Self::Degraded,
            (false, false) => Self::Unhealthy,
        }
    }
}

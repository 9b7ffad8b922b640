//! Providers and models as administrators write them: the fields that the entries of a file have, in JSON's own types.

use std::collections::BTreeMap;

use gateway_config::Vocabulary;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::Deserialize;
use serde_json::{Value, json};

/// The name of anything: what the configuration takes for one, as a regular expression of JSON Schema (ECMA-262).
const NAME: &str = r"^[^\s\x00-\x1f\x7f-\x9f]([^\x00-\x1f\x7f-\x9f]*[^\s\x00-\x1f\x7f-\x9f])?$";
/// The same without a slash, and without those two that are steps in a path.
const PROVIDER_NAME: &str = r"^(?!\.\.?$)[^\s/\x00-\x1f\x7f-\x9f]([^/\x00-\x1f\x7f-\x9f]*[^\s/\x00-\x1f\x7f-\x9f])?$";
/// The same without a star.
const MODEL_NAME: &str = r"^(?!\.\.?$)[^\s*\x00-\x1f\x7f-\x9f]([^*\x00-\x1f\x7f-\x9f]*[^\s*\x00-\x1f\x7f-\x9f])?$";
/// What goes into a header as a credential.
const CREDENTIAL: &str = "^[!-~]([ -~]*[!-~])?$";
/// The name of a header (RFC 9110, section 5.1).
const HEADER_NAME: &str = r"^[!#$%&'*+.^_`|~0-9A-Za-z-]+$";
/// A duration with its unit, longer than zero.
const DURATION: &str = "^0*[1-9][0-9]{0,8} ?(ms|s|m)$";
/// The same, which may be as long as a day.
const LONG_DURATION: &str = "^0*[1-9][0-9]{0,8} ?(ms|s|m|h|d)$";
/// The beginning of an address: scheme, host and port.
macro_rules! origin {
    () => {
        concat!(
            "^https?://[A-Za-z0-9.-]+(:(",
            "[1-9][0-9]{0,3}|[1-5][0-9]{4}|6[0-4][0-9]{3}|65[0-4][0-9]{2}|655[0-2][0-9]|6553[0-5]",
            "))?"
        )
    };
}
/// An address without user, query and fragment.
const BASE: &str = concat!(origin!(), "(/[!$&-;=A-Z_a-z~]*)?$");
/// An address without user and fragment.
const ENDPOINT: &str = concat!(origin!(), r"(/[!$&-;=A-Z_a-z~]*(\?[!$&-;=?A-Z_a-z~]*)?)?$");

/// A provider. In a new one, fields that are missing or null have their defaults; in a change, those that are missing stay and
/// those that are null go back to their defaults.
#[derive(Default, Deserialize, JsonSchema)]
#[serde(default)]
#[schemars(
    deny_unknown_fields,
    rename = "Provider",
    extend("allOf" = [not_both("api_key", "api_keys")], "examples" = [example_of_provider()])
)]
pub(crate) struct ProviderBody {
    /// Its name, unique among providers; it does not change.
    #[schemars(with = "String", length(min = 1, max = 256), regex(pattern = PROVIDER_NAME))]
    id: Option<String>,
    /// The protocol that it speaks; `openai` by default.
    #[schemars(schema_with = "protocol")]
    provider_type: Option<String>,
    /// Where it is, such as `https://api.openai.com/v1`; a provider of type `openai` or `simulator` may leave it out.
    #[schemars(length(max = 2048), regex(pattern = BASE))]
    api_base: Option<String>,
    /// The key that it is called with. Giving it takes `api_keys` away.
    #[schemars(length(min = 1), regex(pattern = CREDENTIAL))]
    api_key: Option<String>,
    /// Several keys that take turns, instead of `api_key`. Giving them takes `api_key` away.
    #[schemars(length(max = 64), inner(length(min = 1), regex(pattern = CREDENTIAL)))]
    api_keys: Option<Vec<String>>,
    /// Its share among providers of the same model; 1 by default.
    #[schemars(range(min = 1, max = 1000))]
    weight: Option<u32>,
    /// Whether it takes calls; it does by default.
    is_enabled: Option<bool>,
    /// Public names to its own names for models. Patterns such as `gpt-*` are tried in this order; `*` keeps a name. Empty, it
    /// takes any name.
    model_mapping: Option<ModelMapping>,
    /// Headers added to every request. Their values are not shown again.
    #[schemars(schema_with = "headers")]
    headers: Option<BTreeMap<String, String>>,
    /// Names of callers' headers that are let through besides the usual ones.
    #[schemars(inner(regex(pattern = HEADER_NAME)))]
    forward_headers: Option<Vec<String>>,
    /// The most requests that it is sent at once; any number by default.
    #[schemars(range(min = 1, max = 1_000_000))]
    max_in_flight: Option<u32>,
    /// Whether its certificate is checked; as the configuration says for all by default.
    verify_ssl: Option<bool>,
    /// Timeouts that differ from those of all.
    timeouts: Option<TimeoutsBody>,
    /// Whether and how it is asked in the background whether it answers; as the configuration says for all by default.
    health_check: Option<HealthCheckBody>,
}

/// What a public name of a model means, beyond the providers' mappings. Fields that are missing or null are as with providers.
#[derive(Default, Deserialize, JsonSchema)]
#[serde(default)]
#[schemars(
    deny_unknown_fields,
    rename = "Model",
    extend(
        "allOf" = [not_both("api_key", "api_keys"), not_both("targets", "endpoint")],
        "examples" = [json!({ "id": "smart", "targets": [{ "provider": "openai-main", "model": "gpt-4o" }] })]
    )
)]
pub(crate) struct ModelBody {
    /// The public name; it does not change.
    #[schemars(with = "String", length(min = 1, max = 256), regex(pattern = MODEL_NAME))]
    id: Option<String>,
    /// The providers that serve it; all that map the name by default.
    #[schemars(length(min = 1))]
    targets: Option<Vec<TargetBody>>,
    /// The one address that serves it, instead of `targets`.
    #[schemars(length(max = 2048), regex(pattern = ENDPOINT))]
    endpoint: Option<String>,
    /// The key that `endpoint` is called with.
    #[schemars(length(min = 1), regex(pattern = CREDENTIAL))]
    api_key: Option<String>,
    /// Several keys for `endpoint` that take turns, instead of `api_key`.
    #[schemars(length(max = 64), inner(length(min = 1), regex(pattern = CREDENTIAL)))]
    api_keys: Option<Vec<String>>,
    /// What `endpoint` calls the model; its public name by default.
    #[schemars(length(min = 1, max = 256), regex(pattern = NAME))]
    model: Option<String>,
    /// How calls are spread over the targets; `weighted` by default.
    #[schemars(schema_with = "policy")]
    balance: Option<String>,
    /// Attempts beyond the first; as the configuration says for all by default.
    #[schemars(range(max = 20))]
    max_retries: Option<u32>,
    /// The models to go on with when this one fails, in this order.
    #[schemars(length(max = 15), inner(length(min = 1, max = 256), regex(pattern = NAME)))]
    fallback_models: Option<Vec<String>>,
    /// When a slow answer is raced by another attempt; never by default.
    hedge: Option<HedgeBody>,
    /// What calls share that go to the same target; nothing by default.
    affinity: Option<AffinityBody>,
    /// Timeouts that differ from the providers'.
    timeouts: Option<TimeoutsBody>,
    /// Whether answers are rewritten to say who served them; as the configuration says for all by default.
    rewrite_response: Option<bool>,
}

/// Names that stay as they are, or public names to the provider's.
#[derive(Deserialize, JsonSchema)]
#[serde(untagged, expecting = "expected a list of names, or an object of public names and the provider's")]
#[expect(dead_code, reason = "as with providers")]
enum ModelMapping {
    /// Names that stay as they are.
    Kept(#[schemars(inner(length(min = 1, max = 256), regex(pattern = NAME)))] Vec<String>),
    /// Public names to the provider's.
    Renamed(#[schemars(schema_with = "renamed")] BTreeMap<String, MappingBody>),
}

/// The provider's name for a model, perhaps with its price.
#[derive(Deserialize, JsonSchema)]
#[serde(untagged, expecting = "expected a name, or an object with a `mapped_model` and its price")]
#[schemars(rename = "Mapping")]
#[expect(dead_code, reason = "as with providers")]
enum MappingBody {
    /// The name; `*` keeps the public one.
    Name(#[schemars(length(min = 1, max = 256), regex(pattern = UPSTREAM_NAME))] String),
    /// The name and the price.
    Priced(PricedBody),
}

/// The name without a star in it, or a star alone.
const UPSTREAM_NAME: &str = r"^(\*|[^\s*\x00-\x1f\x7f-\x9f]([^*\x00-\x1f\x7f-\x9f]*[^\s*\x00-\x1f\x7f-\x9f])?)$";

/// The provider's name for a model and its price in US dollars, for a thousand tokens or for a million.
#[derive(Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[schemars(rename = "PricedMapping")]
struct PricedBody {
    /// The name; the public one if it is not given.
    #[serde(deserialize_with = "given")]
    #[schemars(with = "String", length(min = 1, max = 256), regex(pattern = UPSTREAM_NAME))]
    mapped_model: Option<String>,
    /// Of the prompt.
    #[serde(deserialize_with = "given")]
    #[schemars(with = "f64", range(min = 0, max = 1000))]
    input_cost_per_1k_tokens: Option<f64>,
    /// Of the answer.
    #[serde(deserialize_with = "given")]
    #[schemars(with = "f64", range(min = 0, max = 1000))]
    output_cost_per_1k_tokens: Option<f64>,
    /// Of the prompt, instead of `input_cost_per_1k_tokens`.
    #[serde(deserialize_with = "given")]
    #[schemars(with = "f64", range(min = 0, max = 1_000_000))]
    input_cost_per_million_tokens: Option<f64>,
    /// Of the answer, instead of `output_cost_per_1k_tokens`.
    #[serde(deserialize_with = "given")]
    #[schemars(with = "f64", range(min = 0, max = 1_000_000))]
    output_cost_per_million_tokens: Option<f64>,
}

/// One way to serve a model.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "Target")]
#[expect(dead_code, reason = "as with providers")]
struct TargetBody {
    /// The provider's `id`.
    #[schemars(length(min = 1, max = 256))]
    provider: String,
    /// What the provider calls the model; what its mapping says by default, or else the public name.
    #[serde(default, deserialize_with = "given")]
    #[schemars(with = "String", length(min = 1, max = 256), regex(pattern = NAME))]
    model: Option<String>,
    /// Its share among the targets; 1 by default.
    #[serde(default, deserialize_with = "given")]
    #[schemars(with = "u32", range(min = 1, max = 1000))]
    weight: Option<u32>,
    /// Its tier under `balance: priority`, lower first; 1 by default.
    #[serde(default, deserialize_with = "given")]
    #[schemars(with = "u32")]
    priority: Option<u32>,
}

/// When another attempt is made beside one that is slow.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "Hedge")]
#[expect(dead_code, reason = "as with providers")]
struct HedgeBody {
    /// After how long: a duration, or a percentile of the recent times to the first content.
    #[schemars(regex(pattern = "^(0*[1-9][0-9]{0,8} ?(ms|s|m)|p[5-9][0-9])$"))]
    after: String,
    /// The most attempts beside the first; 1 by default.
    #[serde(default, deserialize_with = "given")]
    #[schemars(with = "u32", range(min = 1, max = 3))]
    max: Option<u32>,
}

/// What calls share that go to the same target.
#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(rename = "Affinity")]
enum AffinityBody {
    /// The conversation, as the caller names it.
    Session,
    /// The beginning of the prompt.
    PromptPrefix,
}

/// Durations such as `500ms`, `2s` and `5m`.
#[derive(Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[schemars(rename = "TimeoutsToSet")]
struct TimeoutsBody {
    /// For a connection to be made.
    #[serde(deserialize_with = "given")]
    #[schemars(with = "String", regex(pattern = DURATION))]
    connect: Option<String>,
    /// For the head of an answer.
    #[serde(deserialize_with = "given")]
    #[schemars(with = "String", regex(pattern = DURATION))]
    headers: Option<String>,
    /// For the first content of a stream.
    #[serde(deserialize_with = "given")]
    #[schemars(with = "String", regex(pattern = DURATION))]
    first_token: Option<String>,
    /// Between two parts of an answer.
    #[serde(deserialize_with = "given")]
    #[schemars(with = "String", regex(pattern = DURATION))]
    idle: Option<String>,
    /// For the whole.
    #[serde(deserialize_with = "given")]
    #[schemars(with = "String", regex(pattern = DURATION))]
    total: Option<String>,
}

/// Whether and how a provider is asked in the background, with a small real call, whether it answers. It is asked only if there is
/// an `interval`, here or in what the configuration says for all. What is not given is as there.
#[derive(Deserialize, JsonSchema)]
#[serde(untagged, expecting = "expected true, false, or some of `interval`, `timeout` and `model`, all texts")]
#[schemars(rename = "HealthCheckToSet")]
#[expect(dead_code, reason = "as with providers")]
enum HealthCheckBody {
    /// Never if false, as the configuration says for all if true.
    Switch(bool),
    /// What differs from that.
    Settings(HealthCheckSettingsBody),
}

/// How a provider is asked in the background.
#[derive(Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[schemars(rename = "HealthCheckSettings")]
struct HealthCheckSettingsBody {
    /// How often, a duration from `1s` to `24h`.
    #[serde(deserialize_with = "given")]
    #[schemars(with = "String", regex(pattern = LONG_DURATION))]
    interval: Option<String>,
    /// How long the answer may take, from `100ms` to `5m`.
    #[serde(deserialize_with = "given")]
    #[schemars(with = "String", regex(pattern = LONG_DURATION))]
    timeout: Option<String>,
    /// The public name of the model that it is asked for, one of its mapping. By default that of all if it is there, else the first
    /// name in it that is no pattern.
    #[serde(deserialize_with = "given")]
    #[schemars(with = "String", length(min = 1, max = 256), regex(pattern = NAME))]
    model: Option<String>,
}

fn given<'de, D: serde::Deserializer<'de>, T: Deserialize<'de>>(deserializer: D) -> Result<Option<T>, D::Error> {
    T::deserialize(deserializer).map(Some)
}

fn one_of(names: impl Iterator<Item = &'static str>) -> Schema {
    let names: Vec<_> = names.map(Some).chain([None]).collect();
    json_schema!({ "type": ["string", "null"], "enum": names })
}

/// What pages that try the API out begin with: their own inventions fit the patterns, and nobody's eye.
fn example_of_provider() -> Value {
    json!({
        "id": "openai-main",
        "provider_type": "openai",
        "api_base": "https://api.openai.com/v1",
        "api_key": "sk-...",
        "model_mapping": { "gpt-4o": "gpt-4o-2024-08-06" },
    })
}

/// That of two members only one may be there, unless the other is null.
fn not_both(one: &str, other: &str) -> Value {
    json!({ "anyOf": [{ "properties": { one: { "type": "null" } } }, { "properties": { other: { "type": "null" } } }] })
}

fn protocol(_: &mut SchemaGenerator) -> Schema {
    one_of(Vocabulary::default().protocols.into_iter().chain(["simulator"]))
}

fn policy(_: &mut SchemaGenerator) -> Schema {
    one_of(Vocabulary::default().policies.into_iter())
}

fn headers(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": ["object", "null"],
        "propertyNames": { "pattern": HEADER_NAME },
        "additionalProperties": { "type": "string", "pattern": "^[\\x20-\\x7e]*$" },
    })
}

fn renamed(generator: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "object",
        "propertyNames": { "minLength": 1, "maxLength": 256, "pattern": NAME },
        "additionalProperties": generator.subschema_for::<MappingBody>(),
    })
}

//! Where spans go and which are made, from OpenTelemetry's own variables.
//!
//! Operators configure every traced process with the same variables, so this one takes them too, rather than have settings of its
//! own. They are those of the [specification][1], with one difference: what cannot be read is an error rather than a warning, as
//! everywhere in the gateway's configuration. The environment is read by whoever calls.
//!
//! [1]: https://opentelemetry.io/docs/specs/otel/configuration/sdk-environment-variables/

mod error;
mod headers;
mod list;

use std::collections::BTreeMap;
use std::ops::RangeInclusive;
use std::time::Duration;

use gateway_upstream::Origin;
use http::Uri;
use http::uri::PathAndQuery;

use crate::{Sampler, convention};
pub use error::{SettingsError, SettingsProblem};
pub(crate) use headers::SecretHeaders;

/// What the process calls itself where `OTEL_SERVICE_NAME` does not say otherwise.
const DEFAULT_SERVICE_NAME: &str = "llm-gateway";

/// What the path of a base is followed by (OTLP specification, "OTLP/HTTP Request").
const TRACES_PATH: &str = "/v1/traces";

/// How spans are made and where they are sent.
#[derive(Debug)]
pub struct Settings {
    pub(crate) origin: Origin,
    pub(crate) target: PathAndQuery,
    pub(crate) headers: SecretHeaders,
    /// How long one request may take, its answer included.
    pub(crate) timeout: Duration,
    /// Who reports, by the names of attributes.
    pub(crate) resource: BTreeMap<String, String>,
    pub(crate) sampler: Sampler,
    pub(crate) batching: Batching,
}

/// How calls are put together. All of it counts calls, of which each has a span and one more for each attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Batching {
    /// How many wait to be sent at most; more are dropped.
    pub(crate) queue: usize,
    /// How many are sent at once at most.
    pub(crate) size: usize,
    /// How long the first of a batch waits for others.
    pub(crate) delay: Duration,
}

impl Settings {
    /// Reads the variables that `variable` knows; `None` if they do not ask for traces, which needs an endpoint at least.
    ///
    /// | variable | default |
    /// |---|---|
    /// | `OTEL_EXPORTER_OTLP_TRACES_ENDPOINT` | `OTEL_EXPORTER_OTLP_ENDPOINT` followed by `/v1/traces` |
    /// | `OTEL_EXPORTER_OTLP_TRACES_HEADERS`, `OTEL_EXPORTER_OTLP_HEADERS` | none |
    /// | `OTEL_EXPORTER_OTLP_TRACES_TIMEOUT`, `OTEL_EXPORTER_OTLP_TIMEOUT` | 10,000 ms |
    /// | `OTEL_EXPORTER_OTLP_TRACES_PROTOCOL`, `OTEL_EXPORTER_OTLP_PROTOCOL` | `http/protobuf`, the only one there is |
    /// | `OTEL_TRACES_EXPORTER` | `otlp`; `none` for no traces |
    /// | `OTEL_SDK_DISABLED` | `false`; `true` for no traces |
    /// | `OTEL_SERVICE_NAME`, `OTEL_RESOURCE_ATTRIBUTES` | `llm-gateway` and the version |
    /// | `OTEL_TRACES_SAMPLER`, `OTEL_TRACES_SAMPLER_ARG` | `parentbased_always_on`, 1.0 |
    /// | `OTEL_BSP_MAX_QUEUE_SIZE` | 4,096 calls |
    /// | `OTEL_BSP_MAX_EXPORT_BATCH_SIZE` | 512 calls |
    /// | `OTEL_BSP_SCHEDULE_DELAY` | 1,000 ms |
    ///
    /// A variable that is set to nothing counts as not set. Of two in a line the first goes before the second.
    pub fn from_env(variable: &dyn Fn(&str) -> Option<String>) -> Result<Option<Self>, SettingsError> {
        let variables = Variables(variable);
        if variables.is_disabled()? {
            return Ok(None);
        }
        let Some((origin, target)) = variables.endpoint()? else { return Ok(None) };
        variables.check_protocol()?;
        Ok(Some(Self {
            origin,
            target,
            headers: variables.headers()?,
            timeout: variables.timeout()?,
            resource: variables.resource()?,
            sampler: variables.sampler()?,
            batching: variables.batching()?,
        }))
    }
}

/// The variables, by what they say.
struct Variables<'v>(&'v dyn Fn(&str) -> Option<String>);

/// A variable that is set, and to what.
struct Set {
    name: &'static str,
    value: String,
}

impl Set {
    fn wrong(&self, problem: SettingsProblem) -> SettingsError {
        SettingsError { variable: self.name, problem }
    }
}

impl Variables<'_> {
    fn one(&self, name: &'static str) -> Option<Set> {
        let value = (self.0)(name)?;
        let value = value.trim();
        (!value.is_empty()).then(|| Set { name, value: value.to_owned() })
    }

    /// The first that is set: one for traces goes before the one for all signals.
    fn first(&self, names: [&'static str; 2]) -> Option<Set> {
        names.into_iter().find_map(|name| self.one(name))
    }

    fn is_disabled(&self) -> Result<bool, SettingsError> {
        if let Some(disabled) = self.one("OTEL_SDK_DISABLED") {
            match disabled.value.to_ascii_lowercase().as_str() {
                "true" => return Ok(true),
                "false" => {}
                _ => return Err(disabled.wrong(SettingsProblem::Boolean)),
            }
        }
        match self.one("OTEL_TRACES_EXPORTER") {
            Some(exporter) if exporter.value == "none" => Ok(true),
            Some(exporter) if exporter.value != "otlp" => Err(exporter.wrong(SettingsProblem::Exporter)),
            _ => Ok(false),
        }
    }

    fn endpoint(&self) -> Result<Option<(Origin, PathAndQuery)>, SettingsError> {
        if let Some(whole) = self.one("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT") {
            let (origin, path) = place(&whole)?;
            return Ok(Some((origin, path)));
        }
        let Some(base) = self.one("OTEL_EXPORTER_OTLP_ENDPOINT") else { return Ok(None) };
        let (origin, path) = place(&base)?;
        let target = format!("{}{TRACES_PATH}", path.path().trim_end_matches('/'));
        let target = target.parse().map_err(|_| base.wrong(SettingsProblem::Url))?;
        Ok(Some((origin, target)))
    }

    fn check_protocol(&self) -> Result<(), SettingsError> {
        match self.first(["OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL"]) {
            Some(protocol) if protocol.value != "http/protobuf" => Err(protocol.wrong(SettingsProblem::Protocol)),
            _ => Ok(()),
        }
    }

    fn headers(&self) -> Result<SecretHeaders, SettingsError> {
        match self.first(["OTEL_EXPORTER_OTLP_TRACES_HEADERS", "OTEL_EXPORTER_OTLP_HEADERS"]) {
            Some(set) => SecretHeaders::parse(&set.value).map_err(|problem| set.wrong(problem)),
            None => Ok(SecretHeaders::default()),
        }
    }

    fn resource(&self) -> Result<BTreeMap<String, String>, SettingsError> {
        let mut resource = BTreeMap::from([
            (convention::SERVICE_NAME.to_owned(), DEFAULT_SERVICE_NAME.to_owned()),
            (convention::SERVICE_VERSION.to_owned(), env!("CARGO_PKG_VERSION").to_owned()),
        ]);
        if let Some(set) = self.one("OTEL_RESOURCE_ATTRIBUTES") {
            resource.extend(list::parse(&set.value).map_err(|problem| set.wrong(problem))?);
        }
        if let Some(name) = self.one("OTEL_SERVICE_NAME") {
            resource.insert(convention::SERVICE_NAME.to_owned(), name.value);
        }
        Ok(resource)
    }

    fn sampler(&self) -> Result<Sampler, SettingsError> {
        let Some(name) = self.one("OTEL_TRACES_SAMPLER") else { return Ok(Sampler::default()) };
        let ratio = match self.one("OTEL_TRACES_SAMPLER_ARG").filter(|_| name.value.ends_with("traceidratio")) {
            None => 1.0,
            Some(set) => {
                let ratio = set.value.parse().ok().filter(|ratio| (0.0..=1.0).contains(ratio));
                ratio.ok_or_else(|| set.wrong(SettingsProblem::Ratio))?
            }
        };
        Sampler::named(&name.value, ratio).ok_or_else(|| name.wrong(SettingsProblem::Sampler))
    }

    fn timeout(&self) -> Result<Duration, SettingsError> {
        let set = self.first(["OTEL_EXPORTER_OTLP_TRACES_TIMEOUT", "OTEL_EXPORTER_OTLP_TIMEOUT"]);
        number(set, 10_000, 1..=600_000).map(Duration::from_millis)
    }

    fn batching(&self) -> Result<Batching, SettingsError> {
        let calls = |name, default, range| {
            // The ranges end far below what a `usize` holds.
            number(self.one(name), default, range).map(|count| usize::try_from(count).unwrap_or(usize::MAX))
        };
        Ok(Batching {
            queue: calls("OTEL_BSP_MAX_QUEUE_SIZE", 4_096, 1..=1_000_000)?,
            // What is sent at once stays within the 20 MiB that receivers take (OTLP specification, "OTLP/HTTP Request").
            size: calls("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", 512, 1..=4_096)?,
            delay: number(self.one("OTEL_BSP_SCHEDULE_DELAY"), 1_000, 1..=600_000).map(Duration::from_millis)?,
        })
    }
}

fn number(set: Option<Set>, default: u64, range: RangeInclusive<u64>) -> Result<u64, SettingsError> {
    let Some(set) = set else { return Ok(default) };
    let number = set.value.parse().ok().filter(|number| range.contains(number));
    number.ok_or_else(|| set.wrong(SettingsProblem::Number { least: *range.start(), most: *range.end() }))
}

fn place(set: &Set) -> Result<(Origin, PathAndQuery), SettingsError> {
    let uri: Uri = set.value.parse().map_err(|_| set.wrong(SettingsProblem::Url))?;
    let origin = Origin::from_uri(&uri).map_err(|source| set.wrong(SettingsProblem::Endpoint(source)))?;
    let path = uri.path_and_query().cloned().unwrap_or(PathAndQuery::from_static("/"));
    Ok((origin, path))
}

#[cfg(test)]
mod tests;

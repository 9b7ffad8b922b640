//! Where spans go and which are made, from OpenTelemetry's own variables.
//!
//! Operators configure every traced process with the same variables, so this one takes them too, rather than have settings of its
//! own. Names, values and defaults are those of the [specification][1] and of its part on the [exporter][2], but:
//!
//! - Without an endpoint there are no traces, rather than some at `http://localhost:4318`. Then no other variable is looked at.
//! - What cannot be followed keeps the gateway from starting, as everywhere in its configuration, rather than being passed over with a
//!   warning. `OTEL_SDK_DISABLED` is the exception, since the specification says what any value of it means.
//! - The queue and the batches hold calls, each with all of its spans, rather than spans.
//! - A time is at least a millisecond and at most ten minutes; 0 does not mean for ever.
//! - Nothing is compressed, and the gateway shows no certificate of its own: to ask for either is an error. Certificates to trust are
//!   trusted beside the public ones.
//!
//! The environment is read by whoever calls.
//!
//! [1]: https://opentelemetry.io/docs/specs/otel/configuration/sdk-environment-variables/
//! [2]: https://opentelemetry.io/docs/specs/otel/protocol/exporter/

mod error;
mod headers;
mod list;
mod trust;

use std::collections::BTreeMap;
use std::ops::RangeInclusive;
use std::path::Path;
use std::time::Duration;

use gateway_upstream::{ExtraRoots, Origin};
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
    /// How long a batch is tried for.
    pub(crate) patience: Duration,
    /// Who is trusted to be the receiver, beside those whom everybody trusts.
    pub(crate) extra_roots: Option<ExtraRoots>,
    /// Who reports, by the names of attributes.
    pub(crate) resource: BTreeMap<String, String>,
    pub(crate) sampler: Sampler,
    pub(crate) batching: Batching,
    /// What was passed over, to be told once there is a log.
    pub(crate) oddity: Option<SettingsError>,
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
    /// Reads the variables that `variable` knows, and the file of certificates if they name one; `None` if they do not ask for
    /// traces, which needs an endpoint at least.
    ///
    /// | variable | default |
    /// |---|---|
    /// | `OTEL_EXPORTER_OTLP_TRACES_ENDPOINT` | `OTEL_EXPORTER_OTLP_ENDPOINT` followed by `/v1/traces` |
    /// | `OTEL_EXPORTER_OTLP_TRACES_HEADERS`, `OTEL_EXPORTER_OTLP_HEADERS` | none |
    /// | `OTEL_EXPORTER_OTLP_TRACES_TIMEOUT`, `OTEL_EXPORTER_OTLP_TIMEOUT` | 10,000 ms for a request |
    /// | `OTEL_EXPORTER_OTLP_TRACES_PROTOCOL`, `OTEL_EXPORTER_OTLP_PROTOCOL` | `http/protobuf`, the only one there is |
    /// | `OTEL_EXPORTER_OTLP_TRACES_COMPRESSION`, `OTEL_EXPORTER_OTLP_COMPRESSION` | `none`, the only one there is |
    /// | `OTEL_EXPORTER_OTLP_TRACES_CERTIFICATE`, `OTEL_EXPORTER_OTLP_CERTIFICATE` | the public certificates alone |
    /// | `OTEL_EXPORTER_OTLP_TRACES_CLIENT_KEY`, `OTEL_EXPORTER_OTLP_CLIENT_KEY` | none; an error with `https` |
    /// | `OTEL_EXPORTER_OTLP_TRACES_CLIENT_CERTIFICATE`, `OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE` | none; an error with `https` |
    /// | `OTEL_TRACES_EXPORTER` | `otlp`; `none` for no traces |
    /// | `OTEL_SDK_DISABLED` | `false`; `true` for no traces |
    /// | `OTEL_SERVICE_NAME`, `OTEL_RESOURCE_ATTRIBUTES` | `llm-gateway` and the version |
    /// | `OTEL_TRACES_SAMPLER`, `OTEL_TRACES_SAMPLER_ARG` | `parentbased_always_on`, 1.0 |
    /// | `OTEL_BSP_MAX_QUEUE_SIZE` | 2,048 calls |
    /// | `OTEL_BSP_MAX_EXPORT_BATCH_SIZE` | 512 calls |
    /// | `OTEL_BSP_SCHEDULE_DELAY` | 5,000 ms |
    /// | `OTEL_BSP_EXPORT_TIMEOUT` | 30,000 ms for a batch, however often it is sent |
    ///
    /// A variable that is set to nothing counts as not set. Of two in a line the first goes before the second.
    pub fn from_env(variable: &dyn Fn(&str) -> Option<String>) -> Result<Option<Self>, SettingsError> {
        let variables = Variables(variable);
        // First of all: whoever wants no traces from here may have set the others for somebody else.
        let Some(endpoint) = variables.endpoint() else { return Ok(None) };
        let (is_disabled, oddity) = variables.is_disabled();
        if is_disabled || !variables.is_exported()? {
            return Ok(None);
        }
        let (origin, target) = endpoint.place()?;
        variables.check_protocol()?;
        variables.check_compression()?;
        Ok(Some(Self {
            // Of no use without TLS.
            extra_roots: if origin.is_https() { variables.trust()? } else { None },
            origin,
            target,
            headers: variables.headers()?,
            timeout: variables.timeout()?,
            patience: variables.patience()?,
            resource: variables.resource()?,
            sampler: variables.sampler()?,
            batching: variables.batching()?,
            oddity,
        }))
    }
}

/// Where spans go, as it is written.
enum Endpoint {
    /// The place itself.
    OfTraces(Set),
    /// A place below which each signal has its own.
    OfAll(Set),
}

impl Endpoint {
    fn place(&self) -> Result<(Origin, PathAndQuery), SettingsError> {
        let (Self::OfTraces(set) | Self::OfAll(set)) = self;
        let uri: Uri = set.value.parse().map_err(|_| set.wrong(SettingsProblem::Url))?;
        let origin = Origin::from_uri(&uri).map_err(|source| set.wrong(SettingsProblem::Endpoint(source)))?;
        let target = match self {
            Self::OfTraces(_) => uri.path_and_query().cloned().unwrap_or(PathAndQuery::from_static("/")),
            Self::OfAll(_) => {
                let target = format!("{}{TRACES_PATH}", uri.path().trim_end_matches('/'));
                target.parse().map_err(|_| set.wrong(SettingsProblem::Url))?
            }
        };
        Ok((origin, target))
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

    /// The value where case does not matter ("Enum", "Boolean").
    fn lowercase(&self) -> String {
        self.value.to_ascii_lowercase()
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

    fn endpoint(&self) -> Option<Endpoint> {
        let of_traces = self.one("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT").map(Endpoint::OfTraces);
        of_traces.or_else(|| self.one("OTEL_EXPORTER_OTLP_ENDPOINT").map(Endpoint::OfAll))
    }

    /// Nothing but `true` is true ("Boolean"). What is neither that nor `false` is to be warned of.
    fn is_disabled(&self) -> (bool, Option<SettingsError>) {
        let Some(disabled) = self.one("OTEL_SDK_DISABLED") else { return (false, None) };
        match disabled.lowercase().as_str() {
            "true" => (true, None),
            "false" => (false, None),
            _ => (false, Some(disabled.wrong(SettingsProblem::Boolean))),
        }
    }

    fn is_exported(&self) -> Result<bool, SettingsError> {
        let Some(exporter) = self.one("OTEL_TRACES_EXPORTER") else { return Ok(true) };
        match exporter.lowercase().as_str() {
            "otlp" => Ok(true),
            "none" => Ok(false),
            _ => Err(exporter.wrong(SettingsProblem::Exporter)),
        }
    }

    fn check_protocol(&self) -> Result<(), SettingsError> {
        match self.first(["OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL"]) {
            Some(protocol) if protocol.lowercase() != "http/protobuf" => Err(protocol.wrong(SettingsProblem::Protocol)),
            _ => Ok(()),
        }
    }

    fn check_compression(&self) -> Result<(), SettingsError> {
        match self.first(["OTEL_EXPORTER_OTLP_TRACES_COMPRESSION", "OTEL_EXPORTER_OTLP_COMPRESSION"]) {
            Some(compression) if compression.lowercase() != "none" => {
                Err(compression.wrong(SettingsProblem::Compression))
            }
            _ => Ok(()),
        }
    }

    fn trust(&self) -> Result<Option<ExtraRoots>, SettingsError> {
        for names in [
            ["OTEL_EXPORTER_OTLP_TRACES_CLIENT_KEY", "OTEL_EXPORTER_OTLP_CLIENT_KEY"],
            ["OTEL_EXPORTER_OTLP_TRACES_CLIENT_CERTIFICATE", "OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE"],
        ] {
            if let Some(own) = self.first(names) {
                return Err(own.wrong(SettingsProblem::ClientCertificate));
            }
        }
        let file = self.first(["OTEL_EXPORTER_OTLP_TRACES_CERTIFICATE", "OTEL_EXPORTER_OTLP_CERTIFICATE"]);
        file.map(|file| trust::read(Path::new(&file.value)).map_err(|problem| file.wrong(problem))).transpose()
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
        let ratio = match self.one("OTEL_TRACES_SAMPLER_ARG").filter(|_| name.lowercase().ends_with("traceidratio")) {
            None => 1.0,
            Some(set) => {
                let ratio = set.value.parse().ok().filter(|ratio| (0.0..=1.0).contains(ratio));
                ratio.ok_or_else(|| set.wrong(SettingsProblem::Ratio))?
            }
        };
        Sampler::named(&name.lowercase(), ratio).ok_or_else(|| name.wrong(SettingsProblem::Sampler))
    }

    fn timeout(&self) -> Result<Duration, SettingsError> {
        let set = self.first(["OTEL_EXPORTER_OTLP_TRACES_TIMEOUT", "OTEL_EXPORTER_OTLP_TIMEOUT"]);
        milliseconds(set, 10_000)
    }

    fn patience(&self) -> Result<Duration, SettingsError> {
        milliseconds(self.one("OTEL_BSP_EXPORT_TIMEOUT"), 30_000)
    }

    fn batching(&self) -> Result<Batching, SettingsError> {
        let calls = |name, default, range| {
            // The ranges end far below what a `usize` holds.
            number(self.one(name), default, range).map(|count| usize::try_from(count).unwrap_or(usize::MAX))
        };
        Ok(Batching {
            queue: calls("OTEL_BSP_MAX_QUEUE_SIZE", 2_048, 1..=1_000_000)?,
            size: calls("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", 512, 1..=4_096)?,
            delay: milliseconds(self.one("OTEL_BSP_SCHEDULE_DELAY"), 5_000)?,
        })
    }
}

fn number(set: Option<Set>, default: u64, range: RangeInclusive<u64>) -> Result<u64, SettingsError> {
    let Some(set) = set else { return Ok(default) };
    let number = set.value.parse().ok().filter(|number| range.contains(number));
    number.ok_or_else(|| set.wrong(SettingsProblem::Number { least: *range.start(), most: *range.end() }))
}

fn milliseconds(set: Option<Set>, default: u64) -> Result<Duration, SettingsError> {
    number(set, default, 1..=600_000).map(Duration::from_millis)
}

#[cfg(test)]
mod tests;

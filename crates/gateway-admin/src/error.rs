//! Why the admin API refuses a request, and what it says then. Nothing else here makes an error's status.

mod problem;

use std::fmt;

use gateway_keystore::{SettingsKind, StoreError};
use http::{HeaderValue, StatusCode, header};
use schemars::JsonSchema;
use serde::Serialize;

pub use problem::Problem;
pub(crate) use problem::in_short;

use crate::entries::EntryError;
use crate::health::HealthError;
use crate::master_keys::KeyError;
use crate::reply::Reply;
use crate::usage::UsageError;

/// Something in a request that cannot be, with the field that it is in.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub struct Invalid {
    pub(crate) fault: Fault,
    pub(crate) param: Option<String>,
    pub(crate) problem: String,
}

/// What kind of thing is wrong, for programs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    InvalidJson,
    DuplicateField,
    UnknownField,
    MissingField,
    InvalidValue,
}

impl Invalid {
    pub(crate) fn new(fault: Fault, param: Option<String>, problem: impl Into<String>) -> Self {
        Self { fault, param, problem: problem.into() }
    }

    /// A field's value that cannot be.
    pub(crate) fn value(param: &str, problem: impl Into<String>) -> Self {
        Self::new(Fault::InvalidValue, Some(param.to_owned()), problem)
    }

    /// The same under another name, if the field is called `from`.
    pub(crate) fn renamed(mut self, from: &str, to: &str) -> Self {
        if self.param.as_deref() == Some(from) {
            self.param = Some(to.to_owned());
        }
        self
    }

    /// The path of the field at fault, such as `rate_limit.requests_per_second`; none if it is the whole.
    pub fn param(&self) -> Option<&str> {
        self.param.as_deref()
    }

    fn code(&self) -> &'static str {
        match self.fault {
            Fault::InvalidJson => "invalid_json",
            Fault::DuplicateField => "duplicate_field",
            Fault::UnknownField => "unknown_field",
            Fault::MissingField => "missing_field",
            Fault::InvalidValue => "invalid_value",
        }
    }
}

impl fmt::Display for Invalid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.param {
            Some(param) => write!(f, "`{param}`: {}", self.problem),
            None => f.write_str(&self.problem),
        }
    }
}

/// Why a request is refused.
#[derive(Debug, thiserror::Error)]
pub(crate) enum AdminError {
    /// There is no admin key.
    #[error(
        "The admin API is switched off. Set ADMIN_KEY, or `admin.key` in the configuration, to at least 12 characters to \
         switch it on."
    )]
    SwitchedOff,
    /// No admin key was presented.
    #[error("The request carries no admin key. Send `Authorization: Bearer ADMIN_KEY`.")]
    MissingKey,
    /// Another key was presented.
    #[error("The presented key is not the admin key. Check it.")]
    WrongKey,
    /// No such path.
    #[error("There is nothing at this path. /openapi.json describes those that there are.")]
    PathNotFound,
    /// The path exists, the method does not.
    #[error("This path does not take that method. Use one of {allow}.")]
    MethodNotAllowed { allow: String },
    /// The body claims to be something else, or claims nothing.
    #[error("The body has to be JSON. Send it with `content-type: application/json` and without `content-encoding`.")]
    UnsupportedMediaType,
    /// The body is too large.
    #[error("The body is larger than the {limit} bytes that the admin API accepts. Send a smaller one.")]
    BodyTooLarge { limit: usize },
    /// The body did not arrive in time.
    #[error("The body did not arrive in time. Send the request again, without delay.")]
    BodyTimeout,
    /// The connection broke.
    #[error("The body broke off before it was complete. Send the request again.")]
    BodyBroken,
    /// What is asked of keys cannot be done.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// What is asked of providers and models cannot be done.
    #[error(transparent)]
    Entry(#[from] EntryError),
    /// Providers cannot be tried like that.
    #[error(transparent)]
    Health(#[from] HealthError),
    /// No usage can be told.
    #[error(transparent)]
    Usage(#[from] UsageError),
    /// The configuration that was read does not work.
    #[error("{}", in_short(.0))]
    NotReloaded(Vec<Problem>),
}

impl From<Invalid> for AdminError {
    fn from(invalid: Invalid) -> Self {
        Self::Key(invalid.into())
    }
}

/// A refusal as it is written.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Error")]
pub(crate) struct ErrorDocument<'a> {
    error: ErrorBody<'a>,
}

/// Why a request was refused.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "ErrorBody")]
struct ErrorBody<'a> {
    /// For people: what is wrong, and what to do.
    message: String,
    /// The kind of error, in OpenAI's words.
    r#type: &'static str,
    /// What is wrong, for programs.
    code: Option<&'static str>,
    /// The path of the field at fault; null if it is the whole.
    param: Option<&'a str>,
    /// All that is wrong, if that is more than one thing can say.
    #[serde(skip_serializing_if = "<[Problem]>::is_empty")]
    errors: &'a [Problem],
}

impl AdminError {
    /// What the caller gets.
    pub(crate) fn reply(&self) -> Reply {
        let (status, code) = self.verdict();
        let param = self.param();
        let errors = self.problems();
        let error = ErrorBody { message: self.to_string(), r#type: kind(status), code: Some(code), param, errors };
        let mut reply = Reply::json(status, &ErrorDocument { error });
        match self {
            Self::MethodNotAllowed { allow } => reply.set(header::ALLOW, allow),
            Self::MissingKey | Self::WrongKey => reply.set(header::WWW_AUTHENTICATE, "Bearer"),
            _ if status == StatusCode::SERVICE_UNAVAILABLE => reply.set(header::RETRY_AFTER, "1"),
            // The rest of the body is not going to be read.
            Self::BodyTooLarge { .. } | Self::BodyTimeout | Self::BodyBroken => reply.set(header::CONNECTION, "close"),
            _ => {}
        }
        reply
    }

    /// What the log says of it: what the answer does not.
    pub(crate) fn hidden_cause(&self) -> Option<String> {
        match self {
            Self::Key(error) => error.hidden_cause(),
            Self::Entry(error) => error.hidden_cause(),
            Self::Usage(error) => error.hidden_cause(),
            _ => None,
        }
    }

    fn param(&self) -> Option<&str> {
        match self {
            Self::Key(error) => error.param(),
            Self::Usage(error) => error.param(),
            Self::Health(HealthError::Invalid(invalid)) => invalid.param(),
            Self::Entry(EntryError::Taken { .. } | EntryError::TakenInFile { .. }) => Some("id"),
            Self::Entry(error) => error.problems().iter().find_map(|problem| problem.param.as_deref()),
            _ => None,
        }
    }

    fn problems(&self) -> &[Problem] {
        match self {
            Self::Entry(error) => error.problems(),
            Self::NotReloaded(problems) => problems,
            _ => &[],
        }
    }

    fn verdict(&self) -> (StatusCode, &'static str) {
        match self {
            Self::SwitchedOff => (StatusCode::FORBIDDEN, "admin_disabled"),
            Self::MissingKey => (StatusCode::UNAUTHORIZED, "missing_admin_key"),
            Self::WrongKey => (StatusCode::UNAUTHORIZED, "invalid_admin_key"),
            Self::PathNotFound => (StatusCode::NOT_FOUND, "not_found"),
            Self::MethodNotAllowed { .. } => (StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed"),
            Self::UnsupportedMediaType => (StatusCode::UNSUPPORTED_MEDIA_TYPE, "unsupported_media_type"),
            Self::BodyTooLarge { .. } => (StatusCode::PAYLOAD_TOO_LARGE, "request_too_large"),
            Self::BodyTimeout => (StatusCode::REQUEST_TIMEOUT, "request_timeout"),
            Self::BodyBroken => (StatusCode::BAD_REQUEST, "incomplete_body"),
            Self::Key(error) => key_verdict(error),
            Self::Entry(error) => entry_verdict(error),
            Self::Health(error) => health_verdict(error),
            Self::Usage(error) => usage_verdict(error),
            Self::NotReloaded(_) => (StatusCode::UNPROCESSABLE_ENTITY, "invalid_configuration"),
        }
    }
}

fn key_verdict(error: &KeyError) -> (StatusCode, &'static str) {
    match error {
        KeyError::Invalid(invalid) => (StatusCode::BAD_REQUEST, invalid.code()),
        KeyError::NotFound { .. } => (StatusCode::NOT_FOUND, "key_not_found"),
        KeyError::TakenId { .. } => (StatusCode::CONFLICT, "id_taken"),
        KeyError::TakenKey => (StatusCode::CONFLICT, "key_taken"),
        KeyError::InFile { .. } => (StatusCode::CONFLICT, "read_only"),
        KeyError::NoStore => (StatusCode::CONFLICT, "no_store"),
        KeyError::Overlapping { .. } | KeyError::Contended => (StatusCode::CONFLICT, "conflict"),
        KeyError::NotLive { .. }
        | KeyError::Unconfirmed { .. }
        | KeyError::Store(StoreError::Unavailable { .. } | StoreError::Refused { .. }) => {
            (StatusCode::SERVICE_UNAVAILABLE, "store_unavailable")
        }
        KeyError::NotWritten { .. } => (StatusCode::SERVICE_UNAVAILABLE, "store_not_written"),
        KeyError::Damaged { .. } => (StatusCode::INTERNAL_SERVER_ERROR, "key_damaged"),
        KeyError::Store(_) => (StatusCode::INTERNAL_SERVER_ERROR, "store_error"),
        KeyError::NoRandomness(_) => (StatusCode::INTERNAL_SERVER_ERROR, "internal_error"),
    }
}

fn entry_verdict(error: &EntryError) -> (StatusCode, &'static str) {
    match error {
        EntryError::Invalid(_) => (StatusCode::UNPROCESSABLE_ENTITY, "invalid_configuration"),
        EntryError::InUse { .. } => (StatusCode::CONFLICT, "in_use"),
        EntryError::NotFound { kind: SettingsKind::Provider, .. } => (StatusCode::NOT_FOUND, "provider_not_found"),
        EntryError::NotFound { kind: SettingsKind::Model, .. } => (StatusCode::NOT_FOUND, "model_not_found"),
        EntryError::Taken { .. } | EntryError::TakenInFile { .. } => (StatusCode::CONFLICT, "id_taken"),
        EntryError::InFile { .. } => (StatusCode::CONFLICT, "read_only"),
        EntryError::NoStore => (StatusCode::CONFLICT, "no_store"),
        EntryError::Unreadable { .. } | EntryError::Sealed { .. } | EntryError::Damaged { .. } => {
            (StatusCode::CONFLICT, "unreadable")
        }
        EntryError::NotInForce { .. } => (StatusCode::SERVICE_UNAVAILABLE, "not_in_force"),
        EntryError::Contended { .. } => (StatusCode::CONFLICT, "conflict"),
        EntryError::NotLive(_)
        | EntryError::Behind(_)
        | EntryError::Unconfirmed(_)
        | EntryError::Store(StoreError::Unavailable { .. } | StoreError::Refused { .. }) => {
            (StatusCode::SERVICE_UNAVAILABLE, "store_unavailable")
        }
        EntryError::NotWritten(_) => (StatusCode::SERVICE_UNAVAILABLE, "store_not_written"),
        EntryError::Store(_) => (StatusCode::INTERNAL_SERVER_ERROR, "store_error"),
    }
}

fn health_verdict(error: &HealthError) -> (StatusCode, &'static str) {
    match error {
        HealthError::Invalid(invalid) => match invalid.fault {
            Fault::InvalidJson | Fault::DuplicateField => (StatusCode::BAD_REQUEST, invalid.code()),
            _ => (StatusCode::UNPROCESSABLE_ENTITY, invalid.code()),
        },
        HealthError::NotFound { .. } => (StatusCode::NOT_FOUND, "provider_not_found"),
        HealthError::Disabled { .. } => (StatusCode::CONFLICT, "provider_disabled"),
    }
}

fn usage_verdict(error: &UsageError) -> (StatusCode, &'static str) {
    match error {
        UsageError::Invalid(invalid) => (StatusCode::BAD_REQUEST, invalid.code()),
        UsageError::NoStore => (StatusCode::CONFLICT, "no_store"),
        UsageError::Store(StoreError::Busy) => (StatusCode::SERVICE_UNAVAILABLE, "reports_busy"),
        UsageError::Store(StoreError::Unavailable { .. } | StoreError::Refused { .. }) => {
            (StatusCode::SERVICE_UNAVAILABLE, "store_unavailable")
        }
        UsageError::Store(_) => (StatusCode::INTERNAL_SERVER_ERROR, "store_error"),
    }
}

/// What a store's failure is to an administrator.
pub(crate) fn store_message(error: &StoreError) -> &'static str {
    match error {
        StoreError::Unavailable { .. } => "The store cannot be reached. Try again shortly.",
        StoreError::Refused { .. } => "The store can be reached, but cannot be read right now. Try again shortly.",
        _ => "The store cannot be used. See this gateway's log.",
    }
}

/// The `type` that goes with a status, as OpenAI and this gateway's callers' side have them.
fn kind(status: StatusCode) -> &'static str {
    match status {
        StatusCode::UNAUTHORIZED => "authentication_error",
        StatusCode::FORBIDDEN => "permission_error",
        StatusCode::SERVICE_UNAVAILABLE => "overloaded_error",
        _ if status.is_server_error() => "server_error",
        _ => "invalid_request_error",
    }
}

impl Reply {
    /// Sets a header to one of our own values.
    fn set(&mut self, name: header::HeaderName, value: &str) {
        // A value that no header can have is left out; ours are methods and words.
        if let Ok(value) = HeaderValue::from_str(value) {
            self.headers.insert(name, value);
        }
    }
}

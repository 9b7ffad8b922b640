//! `server`, `admin` and `logging`.

use std::path::PathBuf;

use serde::Serialize;

use super::HIDDEN;
use crate::config::{Admin, Cors, LogFormat, Logging, Server, TlsFiles};
use crate::unit::{shown_duration, shown_size};

/// `server`.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[expect(missing_docs, reason = "the fields are the keys of the file, which `configs/full.yaml` explains")]
pub struct RedactedServer {
    pub host: String,
    pub port: u16,
    pub reuse_port: bool,
    /// `auto` or a number.
    pub workers: String,
    pub max_body: String,
    pub max_in_flight: u32,
    pub queue: RedactedQueue,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub state_dir: Option<PathBuf>,
    pub header_timeout: String,
    pub body_timeout: String,
    pub drain_timeout: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tls: Option<RedactedTls>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cors: Option<RedactedCors>,
}

/// `server.queue`.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[expect(missing_docs, reason = "the fields are the keys of the file, which `configs/full.yaml` explains")]
pub struct RedactedQueue {
    pub size: usize,
    pub timeout: String,
}

/// `server.tls`: paths, which are no secrets.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[expect(missing_docs, reason = "the fields are the keys of the file, which `configs/full.yaml` explains")]
pub struct RedactedTls {
    pub cert: PathBuf,
    pub key: PathBuf,
}

/// `server.cors`.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[expect(missing_docs, reason = "the fields are the keys of the file, which `configs/full.yaml` explains")]
pub struct RedactedCors {
    pub allowed_origins: Vec<String>,
    pub allowed_headers: Vec<String>,
    pub max_age: String,
}

/// `admin`.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[expect(missing_docs, reason = "the fields are the keys of the file, which `configs/full.yaml` explains")]
pub struct RedactedAdmin {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub listen: Option<String>,
}

/// `logging`.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[expect(missing_docs, reason = "the fields are the keys of the file, which `configs/full.yaml` explains")]
pub struct RedactedLogging {
    pub format: &'static str,
    pub access: bool,
    pub sample: f64,
    pub upstream_errors: bool,
}

impl From<&Server> for RedactedServer {
    fn from(server: &Server) -> Self {
        Self {
            host: server.host.clone(),
            port: server.port,
            reuse_port: server.reuse_port,
            workers: server.workers.map_or_else(|| "auto".to_owned(), |workers| workers.to_string()),
            max_body: shown_size(server.max_body),
            max_in_flight: server.max_in_flight,
            queue: RedactedQueue { size: server.queue.size, timeout: shown_duration(server.queue.timeout) },
            state_dir: server.state_dir.clone(),
            header_timeout: shown_duration(server.header_timeout),
            body_timeout: shown_duration(server.body_timeout),
            drain_timeout: shown_duration(server.drain_timeout),
            tls: server.tls.as_ref().map(RedactedTls::from),
            cors: server.cors.as_ref().map(RedactedCors::from),
        }
    }
}

impl From<&TlsFiles> for RedactedTls {
    fn from(files: &TlsFiles) -> Self {
        Self { cert: files.cert.clone(), key: files.key.clone() }
    }
}

impl From<&Cors> for RedactedCors {
    fn from(cors: &Cors) -> Self {
        let list = |list: &Option<Vec<String>>| list.clone().unwrap_or_else(|| vec!["*".to_owned()]);
        Self {
            allowed_origins: list(&cors.allowed_origins),
            allowed_headers: list(&cors.allowed_headers),
            max_age: shown_duration(cors.max_age),
        }
    }
}

impl From<&Admin> for RedactedAdmin {
    fn from(admin: &Admin) -> Self {
        Self { key: admin.key.as_ref().map(|_| HIDDEN), listen: admin.listen.map(|address| address.to_string()) }
    }
}

impl From<&Logging> for RedactedLogging {
    fn from(logging: &Logging) -> Self {
        let format = match logging.format {
            LogFormat::Auto => "auto",
            LogFormat::Json => "json",
            LogFormat::Text => "text",
        };
        let Logging { access, sample, upstream_errors, .. } = *logging;
        Self { format, access, sample, upstream_errors }
    }
}

//! What can be wrong with a variable.
//!
//! No value is repeated, because some are secrets and others may hold one by mistake.

use std::io;

use gateway_upstream::BuildError;
use thiserror::Error;

use crate::Sampler;

/// A variable that cannot be followed.
#[derive(Debug, Error)]
#[error("{variable}: {problem}")]
pub struct SettingsError {
    /// The variable's name.
    pub variable: &'static str,
    /// What is wrong, and what to write instead.
    pub problem: SettingsProblem,
}

/// What is wrong with the value of a variable.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum SettingsProblem {
    /// Not a URL.
    #[error("is not a URL; write one such as http://localhost:4318")]
    Url,
    /// A URL that nothing can be sent to.
    #[error(
        "is no place to send traces to ({0}); write a URL such as http://localhost:4318, and keys into OTEL_EXPORTER_OTLP_HEADERS"
    )]
    Endpoint(BuildError),
    /// A protocol that is not spoken here.
    #[error(
        "has to be http/protobuf, which is what is spoken here; receivers of OTLP take it on port 4318, and gRPC on port 4317"
    )]
    Protocol,
    /// An exporter that is not there.
    #[error("has to be otlp, or none for no traces")]
    Exporter,
    /// Neither true nor false; that alone stops nothing.
    #[error("counts as false; write true or false")]
    Boolean,
    /// A compression that is not done here.
    #[error("has to be none, since nothing is compressed here")]
    Compression,
    /// A certificate or a key of the gateway's own, for its receiver.
    #[error(
        "cannot be followed, since the gateway shows no certificate to whom it sends traces; leave it out, or send them to a \
         collector nearby that does"
    )]
    ClientCertificate,
    /// A file that cannot be read.
    #[error("names a file that cannot be read ({0}); name one that has certificates in PEM")]
    File(io::ErrorKind),
    /// A file without certificates, or with some that are none.
    #[error("names a file without certificates that can be trusted; name one that has them in PEM")]
    Certificates,
    /// A number that is none, or out of range.
    #[error("has to be a whole number from {least} to {most}")]
    Number {
        /// The least that is taken.
        least: u64,
        /// The most that is taken.
        most: u64,
    },
    /// A sampler that is not there.
    #[error("has to be {}", Sampler::NAMES)]
    Sampler,
    /// A ratio that is none.
    #[error("has to be a number from 0 to 1, such as 0.1 for every tenth trace")]
    Ratio,
    /// Not a list of names and values.
    #[error("the entry {entry} is not name=value; separate entries by commas, and write a comma inside a value as %2C")]
    List {
        /// Its number, from 1.
        entry: usize,
    },
    /// A name or value that cannot stand in a header.
    #[error(
        "the entry {entry} is not a header; names are letters, digits and hyphens, values visible ASCII once %XX is decoded"
    )]
    Header {
        /// Its number, from 1.
        entry: usize,
    },
    /// A header that belongs to the message itself.
    #[error("the entry {entry} sets a header that is written here; leave it out")]
    Reserved {
        /// Its number, from 1.
        entry: usize,
    },
}

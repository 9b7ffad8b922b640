//! Several things that are wrong at once, each with its place.

use std::fmt;

use gateway_config::ConfigError;
use schemars::JsonSchema;
use serde::Serialize;

use super::Invalid;

/// One of several things that are wrong.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Problem {
    /// The path of the field at fault, in the body's own names; not there if it is none of the body's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub param: Option<String>,
    /// The file that it is in.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub file: Option<String>,
    /// The line in the file, from 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub line: Option<u64>,
    /// The column in the line, from 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub column: Option<u64>,
    /// The path of the key in the configuration.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    /// What is wrong and what to do. Holds no secret.
    pub message: String,
}

impl Problem {
    /// Something that is wrong with a field.
    pub(crate) fn of(param: &str, message: String) -> Self {
        let param = (!param.is_empty()).then(|| param.to_owned());
        Self { param, file: None, line: None, column: None, path: None, message }
    }
}

impl From<&Invalid> for Problem {
    fn from(invalid: &Invalid) -> Self {
        Self::of(invalid.param().unwrap_or_default(), invalid.problem.clone())
    }
}

/// Something that is wrong with the configuration, wherever it is.
impl From<&ConfigError> for Problem {
    fn from(error: &ConfigError) -> Self {
        let ConfigError { file, line, column, path, .. } = error;
        // The message alone would not say where it is, if that is no file.
        let message = if file.is_some() { error.message.clone() } else { error.to_string() };
        let path = (!path.is_empty()).then(|| path.clone());
        let file = file.as_ref().map(|file| file.display().to_string());
        Self { param: None, file, line: *line, column: *column, path, message }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(param) = &self.param {
            write!(f, "`{param}`: ")?;
        } else if let Some(file) = &self.file {
            f.write_str(file)?;
            for number in [self.line, self.column].into_iter().flatten() {
                write!(f, ":{number}")?;
            }
            f.write_str(": ")?;
            if let Some(path) = &self.path {
                write!(f, "{path}: ")?;
            }
        }
        f.write_str(&self.message)
    }
}

/// The first problem and how many there are.
pub(crate) fn in_short(problems: &[Problem]) -> String {
    match problems {
        [] => "Something is wrong with the configuration.".to_owned(),
        [problem] => problem.to_string(),
        [first, ..] => format!("{} things are wrong; the first: {first}", problems.len()),
    }
}

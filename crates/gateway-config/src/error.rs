//! What is wrong with a configuration, all of it at once.
//!
//! An administrator fixes a file once, not once per error, so nothing here stops at the first. A [`ConfigError`] says
//! where (a position in the file, the variable that supplied the value, or the entry of the store), which key, what was found and what is
//! allowed. No error repeats a secret.

use std::fmt;
use std::path::{Path, PathBuf};

use gateway_keystore::SettingsKind;

/// The most errors that one report lists; a file with more is no clearer for it.
pub(crate) const MAX_LISTED: usize = 100;

/// The longest name that a message repeats, in characters; one in a row made by hand may be of any length.
const MAX_NAME: usize = 256;

/// An entry of the store, as messages name it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoreEntry {
    /// What it is.
    pub kind: SettingsKind,
    /// Its name.
    pub name: String,
}

/// As in ``provider `openai` of the store``, on one line whatever the name holds.
impl fmt::Display for StoreEntry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name: String = self.name.chars().take(MAX_NAME).flat_map(char::escape_debug).collect();
        let rest = if self.name.chars().nth(MAX_NAME).is_some() { "…" } else { "" };
        write!(f, "{} `{name}{rest}` of the store", self.kind)
    }
}

/// One thing that is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct ConfigError {
    /// The file, if the error is in one.
    pub file: Option<PathBuf>,
    /// The line in the file, from 1.
    pub line: Option<u64>,
    /// The column in the line in characters, from 1.
    pub column: Option<u64>,
    /// The environment variable that supplied the value, if it overrode the file.
    pub variable: Option<String>,
    /// The entry of the store that holds the value, if it is not in the file. It has no file, line and column.
    pub entry: Option<StoreEntry>,
    /// The key's path, such as `providers[0].timeouts.connect`, or `timeouts.connect` within an entry of the store; empty if
    /// the error is about the whole.
    pub path: String,
    /// What was found and what is allowed. Never a secret.
    pub message: String,
}

impl ConfigError {
    /// An error about a key that only shows when the configuration is put to use, such as a file that cannot be read.
    pub fn of_key(path: impl Into<String>, message: impl Into<String>) -> Self {
        Self { path: path.into(), ..Self::of_text(message) }
    }

    /// An error about a file as a whole.
    pub(crate) fn of_file(file: &Path, message: impl Into<String>) -> Self {
        Self { file: Some(file.to_owned()), ..Self::of_text(message) }
    }

    /// An error about a text that is in no file.
    pub(crate) fn of_text(message: impl Into<String>) -> Self {
        let (file, line, column, variable, entry) = (None, None, None, None, None);
        Self { file, line, column, variable, entry, path: String::new(), message: message.into() }
    }

    /// The same error at a line of its file.
    pub(crate) fn at(mut self, line: u64, column: Option<u64>) -> Self {
        self.line = Some(line);
        self.column = column;
        self
    }

    /// The key and the message, without the place.
    pub(crate) fn finding(&self) -> impl fmt::Display + '_ {
        fmt::from_fn(|f| {
            if !self.path.is_empty() {
                write!(f, "{}: ", self.path)?;
            }
            f.write_str(&self.message)
        })
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(variable) = &self.variable {
            write!(f, "from environment variable {variable}: ")?;
        } else if let Some(entry) = &self.entry {
            write!(f, "{entry}: ")?;
        } else if let Some(file) = &self.file {
            write!(f, "{}", file.display())?;
            for number in [self.line, self.column].into_iter().flatten() {
                write!(f, ":{number}")?;
            }
            f.write_str(": ")?;
        } else if let (Some(line), Some(column)) = (self.line, self.column) {
            write!(f, "line {line}, column {column}: ")?;
        }
        self.finding().fmt(f)
    }
}

impl std::error::Error for ConfigError {}

/// Every error of a configuration, by position; at least one. `Display` is the whole report, a line each.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigErrors {
    errors: Vec<ConfigError>,
    omitted: usize,
}

impl ConfigErrors {
    /// A report of these errors, in this order, cut to a readable length.
    pub(crate) fn new(mut errors: Vec<ConfigError>) -> Self {
        let omitted = errors.len().saturating_sub(MAX_LISTED);
        errors.truncate(MAX_LISTED);
        Self { errors, omitted }
    }

    /// The same errors in a file that was not known when they were found.
    pub(crate) fn in_file(mut self, file: &Path) -> Self {
        for error in &mut self.errors {
            error.file = Some(file.to_owned());
        }
        self
    }

    /// How many more there are than are listed.
    pub(crate) fn omitted(&self) -> usize {
        self.omitted
    }

    /// The errors listed, at most 100.
    pub fn iter(&self) -> std::slice::Iter<'_, ConfigError> {
        self.errors.iter()
    }
}

/// Of no errors, this is a report that says so; whoever collects them looks whether there are any.
impl FromIterator<ConfigError> for ConfigErrors {
    fn from_iter<T: IntoIterator<Item = ConfigError>>(errors: T) -> Self {
        Self::new(errors.into_iter().collect())
    }
}

impl From<ConfigError> for ConfigErrors {
    fn from(error: ConfigError) -> Self {
        Self::new(vec![error])
    }
}

impl IntoIterator for ConfigErrors {
    type Item = ConfigError;
    type IntoIter = std::vec::IntoIter<ConfigError>;

    fn into_iter(self) -> Self::IntoIter {
        self.errors.into_iter()
    }
}

impl<'a> IntoIterator for &'a ConfigErrors {
    type Item = &'a ConfigError;
    type IntoIter = std::slice::Iter<'a, ConfigError>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

impl fmt::Display for ConfigErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for error in &self.errors {
            writeln!(f, "{error}")?;
        }
        match self.errors.len() + self.omitted {
            1 => f.write_str("1 error in the configuration"),
            count if self.omitted == 0 => write!(f, "{count} errors in the configuration"),
            count => write!(f, "{count} errors in the configuration, the first {MAX_LISTED} listed"),
        }
    }
}

impl std::error::Error for ConfigErrors {}

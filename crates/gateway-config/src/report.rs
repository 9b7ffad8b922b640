//! What reading a configuration has to say: errors and warnings.
//!
//! Sections hold the report by shared reference and go on after an error with any stand-in value; a configuration is
//! made only if nothing was reported.

use std::cell::RefCell;
use std::path::PathBuf;

use crate::error::{ConfigError, ConfigErrors};
use crate::tree::Place;

pub(crate) struct Report {
    file: Option<PathBuf>,
    problems: RefCell<Vec<(Place, ConfigError)>>,
    warnings: RefCell<Vec<String>>,
}

impl Report {
    pub(crate) fn new(file: Option<PathBuf>) -> Self {
        Self { file, problems: RefCell::default(), warnings: RefCell::default() }
    }

    pub(crate) fn error(&self, place: &Place, path: &str, message: impl Into<String>) {
        let (line, column, variable) = match place {
            Place::Whole => (None, None, None),
            Place::File { line, column } => (Some(*line), Some(*column), None),
            Place::Environment(variable) => (None, None, Some(variable.to_string())),
        };
        let (path, message) = (path.to_owned(), message.into());
        let error = ConfigError { file: self.file.clone(), line, column, variable, path, message };
        self.problems.borrow_mut().push((place.clone(), error));
    }

    pub(crate) fn warn(&self, path: &str, message: &str) {
        let separator = if path.is_empty() { "" } else { ": " };
        self.warnings.borrow_mut().push(format!("{path}{separator}{message}"));
    }

    /// The warnings if nothing is wrong, else everything that is, by position.
    pub(crate) fn conclude(self) -> Result<Vec<String>, ConfigErrors> {
        let mut problems = self.problems.into_inner();
        if problems.is_empty() {
            return Ok(self.warnings.into_inner());
        }
        problems.sort_by(|(place, _), (other, _)| place.cmp(other));
        Err(ConfigErrors::new(problems.into_iter().map(|(_, error)| error).collect()))
    }
}

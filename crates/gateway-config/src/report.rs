//! What reading a configuration has to say: errors and warnings.
//!
//! Sections hold the report by shared reference and go on after an error with any stand-in value; a configuration is
//! made only if nothing was reported. Each entry of the store has a report of its own, so that its errors are nobody
//! else's.

use std::cell::RefCell;
use std::path::PathBuf;

use crate::error::{ConfigError, ConfigErrors, MAX_LISTED, StoreEntry};
use crate::tree::Place;

/// An error and where it goes in a report.
pub(crate) type Problem = (Place, ConfigError);

#[derive(Default)]
pub(crate) struct Report {
    /// The file that is read, if one is.
    file: Option<PathBuf>,
    /// The entry of the store that is read, if one is.
    entry: Option<StoreEntry>,
    problems: RefCell<Vec<Problem>>,
    warnings: RefCell<Vec<String>>,
}

impl Report {
    /// A report on a file, or on a text that is in none, that begins with these problems.
    pub(crate) fn of_file(file: Option<PathBuf>, problems: Vec<Problem>) -> Self {
        Self { file, problems: RefCell::new(problems), ..Self::default() }
    }

    /// A report on an entry of the store.
    pub(crate) fn of_entry(entry: StoreEntry) -> Self {
        Self { entry: Some(entry), ..Self::default() }
    }

    pub(crate) fn error(&self, place: &Place, path: &str, message: impl Into<String>) {
        let (line, column, variable) = match place {
            Place::Whole | Place::Store { .. } => (None, None, None),
            Place::File { line, column } => (Some(*line), Some(*column), None),
            Place::Environment(variable) => (None, None, Some(variable.to_string())),
        };
        let (file, entry) = (self.file.clone(), self.entry.clone());
        let (path, message) = (path.to_owned(), message.into());
        let error = ConfigError { file, line, column, variable, entry, path, message };
        self.problems.borrow_mut().push((place.clone(), error));
    }

    pub(crate) fn warn(&self, path: &str, message: &str) {
        let subject = self.entry.as_ref().map(ToString::to_string);
        let parts = [subject.as_deref().unwrap_or_default(), path, message];
        let parts: Vec<&str> = parts.into_iter().filter(|part| !part.is_empty()).collect();
        self.warnings.borrow_mut().push(parts.join(": "));
    }

    /// Where something is, for a message about something else, as in `config.yaml:12`. Empty if there is nothing to say.
    pub(crate) fn locate(&self, place: &Place) -> String {
        let file = self.file.as_ref().map(|file| file.display().to_string());
        match (place, file, &self.entry) {
            (Place::Environment(variable), ..) => format!("environment variable {variable}"),
            (_, _, Some(entry)) => entry.to_string(),
            (Place::File { line, .. }, Some(file), _) => format!("{file}:{line}"),
            (Place::File { line, .. }, None, _) => format!("line {line}"),
            (_, file, _) => file.unwrap_or_default(),
        }
    }

    pub(crate) fn is_clean(&self) -> bool {
        self.problems.borrow().is_empty()
    }

    /// Whether a suggestion would still be read. Finding one is a search, and a report is cut to a readable length.
    pub(crate) fn is_worth_a_suggestion(&self) -> bool {
        self.problems.borrow().len() < MAX_LISTED
    }

    /// What was reported so far, to begin another report with.
    pub(crate) fn into_problems(self) -> Vec<Problem> {
        self.problems.into_inner()
    }

    /// The warnings if nothing is wrong, else everything that is, by position. Nothing of it is reported again.
    pub(crate) fn conclude(&self) -> Result<Vec<String>, ConfigErrors> {
        let mut problems = self.problems.take();
        let warnings = self.warnings.take();
        if problems.is_empty() {
            return Ok(warnings);
        }
        problems.sort_by(|(place, _), (other, _)| place.cmp(other));
        Err(ConfigErrors::new(problems.into_iter().map(|(_, error)| error).collect()))
    }
}

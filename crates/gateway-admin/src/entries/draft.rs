//! What is asked of a provider or a model, as it is written in JSON.
//!
//! It is read twice: by its type, which is what the API's document describes, and as members that are kept as they are. What
//! the type lets pass is checked like an entry of a file; so is what it does not, as far as that can be understood, because
//! an administrator wants to know of everything that is wrong at once.

use std::fmt;

use gateway_keystore::SettingsKind;

use super::body::{ModelBody, ProviderBody};
use super::field;
use crate::error::{Fault, Invalid, Problem};
use crate::json::{self, Members, Ordered};

/// What administrators see in the place of a header's value. Whoever sends it back means the value.
pub(super) const HIDDEN: &str = "***";

/// The longest name of an entry, in bytes; the same as in a file.
const MAX_NAME: usize = 256;

/// What is asked of an entry.
#[derive(Clone)]
pub struct Draft {
    /// The name that it is to have.
    pub(super) id: Option<String>,
    /// What else was given, by the names of this API.
    pub(super) members: Members,
    /// What is wrong already.
    pub(super) problems: Vec<Problem>,
}

impl Draft {
    /// Reads a JSON object with the fields of this kind. What is wrong with the fields is told when the draft is put to use.
    ///
    /// # Errors
    ///
    /// It is no JSON, or can be read in two ways.
    pub fn parse(kind: SettingsKind, document: &[u8]) -> Result<Self, Invalid> {
        let typed = match kind {
            SettingsKind::Provider => json::parse::<ProviderBody>(document).map(drop),
            SettingsKind::Model => json::parse::<ModelBody>(document).map(drop),
        };
        let mut problems = Vec::new();
        match typed {
            Err(error) if matches!(error.fault, Fault::InvalidJson | Fault::DuplicateField) => return Err(error),
            Err(error) => problems.push(Problem::from(&error)),
            Ok(()) => {}
        }
        // What is no object has been refused by its type.
        let Ok(Members(all)) = json::parse(document) else {
            return Ok(Self { id: None, members: Members::default(), problems });
        };
        let mut draft = Self { id: None, members: Members::default(), problems };
        for (name, value) in all {
            draft.take(kind, name, value);
        }
        Ok(draft)
    }

    /// The name that it is to have, if it can have it.
    pub(super) fn good_id(&self) -> Option<&str> {
        self.id.as_deref().filter(|_| self.problems.iter().all(|problem| problem.param.as_deref() != Some("id")))
    }

    /// Whether it says what stands in the place of secrets that are lost: a provider's credential, if only that there is none; for
    /// a model, whose `endpoint` is among them, where it is served.
    pub(super) fn brings_secrets(&self, kind: SettingsKind) -> bool {
        match kind {
            SettingsKind::Provider => self.names_any(["api_key", "api_keys"]),
            SettingsKind::Model => self.says_where(kind),
        }
    }

    /// Whether it says where calls go.
    pub(super) fn says_where(&self, kind: SettingsKind) -> bool {
        match kind {
            SettingsKind::Provider => self.names_any(["api_base", "provider_type"]),
            SettingsKind::Model => self.names_any(["endpoint", "targets"]),
        }
    }

    fn names_any(&self, names: [&str; 2]) -> bool {
        names.iter().any(|name| self.members.get(name).is_some())
    }

    fn take(&mut self, kind: SettingsKind, name: String, value: Ordered) {
        match (name.as_str(), value) {
            // Of any other type it has been refused.
            ("id", Ordered::Text(id)) => {
                self.problems.extend(problem_of_name(kind, &id).map(|problem| Problem::of("id", problem)));
                self.id = Some(id);
            }
            ("id", _) => {}
            (_, value) if field::named(kind, &name).is_some() => {
                if name == "headers" && holds_hidden_value(&value) {
                    let problem = format!(
                        "`{HIDDEN}` stands for a value that is not shown; give all values or leave the field out"
                    );
                    self.problems.push(Problem::of(&name, problem));
                }
                self.members.0.push((name, value));
            }
            _ => {
                let names: Vec<_> = field::fields(kind).iter().map(|field| field.name).collect();
                let suggestion = field::nearest(kind, &name);
                let suggestion = suggestion.map_or_else(String::new, |name| format!(" did you mean `{name}`?"));
                let problem = format!("unknown field;{suggestion} allowed here: id, {}", names.join(", "));
                self.problems.push(Problem::of(&name, problem));
            }
        }
    }
}

/// Shows no values: some are secrets.
impl fmt::Debug for Draft {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<_> = self.members.0.iter().map(|(name, _)| name).collect();
        f.debug_struct("Draft").field("id", &self.id).field("fields", &names).finish_non_exhaustive()
    }
}

/// Why an entry cannot have a name: one that a file may have, and that can stand in a path.
fn problem_of_name(kind: SettingsKind, name: &str) -> Option<String> {
    let (reserved, what) = match kind {
        SettingsKind::Provider => ('/', "a slash"),
        SettingsKind::Model => ('*', "a star"),
    };
    let is_step = matches!(name, "." | "..");
    let is_plain = !name.chars().any(|it| it.is_control() || it == reserved) && name.trim() == name;
    let is_good = (1..=MAX_NAME).contains(&name.len()) && is_plain && !is_step;
    let expected = format!(
        "expected a name of 1 to {MAX_NAME} bytes without control characters, outer blanks and {what}, other than `.` and `..`"
    );
    (!is_good).then_some(expected)
}

fn holds_hidden_value(headers: &Ordered) -> bool {
    let Ordered::Object(Members(headers)) = headers else { return false };
    headers.iter().any(|(_, value)| *value == Ordered::Text(HIDDEN.to_owned()))
}

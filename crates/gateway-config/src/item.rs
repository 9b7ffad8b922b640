//! One value of the tree as a section reads it.
//!
//! Every method either returns what was asked for or reports why not, with the position, the key path, what was found
//! and what is allowed. None of them stops the reading, so one pass finds every error of a file.

use std::fmt::Write as _;
use std::ops::RangeInclusive;
use std::rc::Rc;
use std::time::Duration;

use gateway_secret::Secret;

use crate::fields::Fields;
use crate::report::Report;
use crate::suggestion;
use crate::tree::{Entry, Node, Place, Value};
use crate::unit::{self, UnitError};
use crate::way::Way;

/// How much of a wrong value an error repeats, in characters.
const MAX_SHOWN: usize = 60;

/// A value, its key path, and where to complain about it.
#[derive(Clone)]
pub(crate) struct Item<'a> {
    node: &'a Node,
    way: Way<'a>,
    report: &'a Report,
}

/// What stands in a mapping or a list, as values with the way to it.
pub(crate) struct Inside<'a> {
    way: Rc<Way<'a>>,
    report: &'a Report,
}

impl<'a> Inside<'a> {
    pub(crate) fn entry(&self, entry: &'a Entry, index: usize) -> Item<'a> {
        let way = Way::Key(Rc::clone(&self.way), &entry.key, index);
        Item { node: &entry.node, way, report: self.report }
    }

    fn element(&self, node: &'a Node, index: usize) -> Item<'a> {
        Item { node, way: Way::Element(Rc::clone(&self.way), index), report: self.report }
    }
}

impl<'a> Item<'a> {
    pub(crate) fn root(node: &'a Node, report: &'a Report) -> Self {
        Self { node, way: Way::Root, report }
    }

    pub(crate) fn inside(&self) -> Inside<'a> {
        Inside { way: Rc::new(self.way.clone()), report: self.report }
    }

    pub(crate) fn path(&self) -> String {
        self.way.path()
    }

    /// The path and the place, for a message about something else.
    pub(crate) fn whereabouts(&self) -> String {
        let parts = [self.path(), self.report.locate(&self.node.place)];
        parts.into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join(", ")
    }

    pub(crate) fn is_absent(&self) -> bool {
        self.node.is_absent()
    }

    pub(crate) fn is_text(&self) -> bool {
        matches!(self.node.value, Value::Text(_))
    }

    pub(crate) fn is_text_empty(&self) -> bool {
        matches!(&self.node.value, Value::Text(text) if text.is_empty())
    }

    pub(crate) fn is_sequence(&self) -> bool {
        matches!(self.node.value, Value::Sequence(_))
    }

    /// Whether the value is a `${VAR:+…}` whose variable is not set.
    pub(crate) fn is_unset(&self) -> bool {
        self.node.value == Value::Unset
    }

    /// Reports an error at this value.
    pub(crate) fn refuse(&self, message: impl Into<String>) {
        self.refuse_at(&self.node.place, message);
    }

    /// Reports an error about this value at another place, such as its key's.
    pub(crate) fn refuse_at(&self, place: &Place, message: impl Into<String>) {
        if self.is_refused() {
            return;
        }
        self.report.error(place, &self.path(), message);
    }

    /// Whether an error was reported about this value already.
    pub(crate) fn is_refused(&self) -> bool {
        self.node.value == Value::Refused
    }

    /// A clause for an error here: the nearest of a few names, if one is near enough to be meant.
    pub(crate) fn suggest<'n>(&self, found: &str, names: impl IntoIterator<Item = &'n str>) -> String {
        if self.report.is_worth_a_suggestion() { suggestion::did_you_mean(found, names) } else { String::new() }
    }

    /// Reports something doubtful about this value.
    pub(crate) fn warn(&self, message: &str) {
        self.report.warn(&self.path(), message);
    }

    /// Reports a value that is not what was wanted, repeating it.
    pub(crate) fn refuse_text(&self, text: &str, expected: &str) {
        if self.holds_somebodys_secret() {
            return self.refuse_kind(expected);
        }
        let mut shown: String = text.escape_debug().take(MAX_SHOWN).collect();
        if text.chars().count() > MAX_SHOWN {
            shown.push('…');
        }
        self.refuse(format!("found `{shown}`{}, expected {expected}", self.provenance()));
    }

    /// Reports a value that is not what was wanted, without repeating it.
    pub(crate) fn refuse_kind(&self, expected: &str) {
        let found = match &self.node.value {
            Value::Null | Value::Unset | Value::Refused => "nothing",
            Value::Text(text) if text.is_empty() => "an empty text",
            Value::Text(_) => "a single value",
            Value::Sequence(_) => "a list",
            Value::Mapping(_) => "a mapping",
        };
        self.refuse(format!("found {found}{}, expected {expected}", self.provenance()));
    }

    /// Whether the value ended up in the wrong setting and is secret: it stood among secrets, or came from a variable whose
    /// name says so.
    fn holds_somebodys_secret(&self) -> bool {
        if self.node.place == (Place::Store { is_secret: true }) {
            return true;
        }
        let marks = ["KEY", "TOKEN", "SECRET", "PASS"];
        let variable = self.node.variable.as_deref().unwrap_or_default().to_ascii_uppercase();
        marks.iter().any(|mark| variable.contains(mark))
    }

    /// The file's variable that the value came from, for a message.
    fn provenance(&self) -> String {
        self.node.variable.as_ref().map_or_else(String::new, |name| format!(" from the variable {name}"))
    }

    /// A scalar as text, possibly empty.
    pub(crate) fn scalar(&self, expected: &str) -> Option<&'a str> {
        if let Value::Text(text) = &self.node.value {
            return Some(text);
        }
        self.refuse_kind(expected);
        None
    }

    /// A text that is not empty.
    pub(crate) fn text(&self, expected: &str) -> Option<&'a str> {
        let text = self.scalar(expected)?;
        if text.is_empty() {
            self.refuse_kind(expected);
            return None;
        }
        Some(text)
    }

    /// A text for people and logs: not empty, one line, of bounded length.
    pub(crate) fn name(&self, expected: &str) -> Option<&'a str> {
        let text = self.text(expected)?;
        self.checked_name(text, expected)
    }

    /// A name that is this value's key, or has come beside it, rather than the value itself.
    pub(crate) fn checked_name<'n>(&self, text: &'n str, expected: &str) -> Option<&'n str> {
        /// The longest name of anything, in bytes; the same as the request side allows for a model.
        const MAX_NAME: usize = 256;
        // Most names are of letters that are neither, which is seen faster.
        let is_graphic = || text.bytes().all(|byte| byte.is_ascii_graphic());
        let is_one_line = || is_graphic() || !text.chars().any(char::is_control) && text.trim() == text;
        if text.len() > MAX_NAME || !is_one_line() {
            let limits = format!("{expected} of at most {MAX_NAME} bytes, without control characters or outer blanks");
            self.refuse_text(text, &limits);
            return None;
        }
        Some(text)
    }

    /// A whole number within a range.
    pub(crate) fn integer<T: TryFrom<u64>>(&self, range: RangeInclusive<u64>) -> Option<T> {
        self.parsed(
            |text| {
                text.parse().ok().filter(|number| range.contains(number)).and_then(|number| T::try_from(number).ok())
            },
            || match *range.end() {
                u64::MAX => format!("a whole number, at least {}", range.start()),
                end => format!("a whole number from {} to {end}", range.start()),
            },
        )
    }

    /// A finite number within a range.
    pub(crate) fn number(&self, range: RangeInclusive<f64>) -> Option<f64> {
        self.parsed(
            |text| text.parse().ok().filter(|number: &f64| number.is_finite() && range.contains(number)),
            || match range.end() {
                end if end.is_finite() => format!("a number from {} to {end}", range.start()),
                _ => format!("a number, at least {}", range.start()),
            },
        )
    }

    /// A scalar that can be parsed; `expected` is for one that cannot, or for what is none.
    fn parsed<T>(&self, parse: impl FnOnce(&str) -> Option<T>, expected: impl FnOnce() -> String) -> Option<T> {
        let Value::Text(text) = &self.node.value else {
            self.refuse_kind(&expected());
            return None;
        };
        let parsed = parse(text);
        if parsed.is_none() {
            self.refuse_text(text, &expected());
        }
        parsed
    }

    /// A boolean; `on`, `off`, `yes` and `no` are understood too.
    pub(crate) fn flag(&self) -> Option<bool> {
        self.flag_or("true or false")
    }

    /// The same where something else may stand, too: `expected` names all of it.
    pub(crate) fn flag_or(&self, expected: &str) -> Option<bool> {
        const CHOICES: [(&str, bool); 8] = [
            ("true", true),
            ("false", false),
            ("on", true),
            ("off", false),
            ("yes", true),
            ("no", false),
            ("1", true),
            ("0", false),
        ];
        let text = self.scalar(expected)?;
        let choice = CHOICES.iter().find(|(name, _)| name.eq_ignore_ascii_case(text));
        if choice.is_none() {
            self.refuse_text(text, expected);
        }
        choice.map(|(_, value)| *value)
    }

    /// One of a few words.
    pub(crate) fn choice<T: Copy>(&self, choices: &[(&str, T)]) -> Option<T> {
        if let Value::Text(text) = &self.node.value
            && let Some((_, value)) = choices.iter().find(|(name, _)| name == text)
        {
            return Some(*value);
        }
        let names: Vec<&str> = choices.iter().map(|(name, _)| *name).collect();
        let expected = format!("one of {}", names.join(", "));
        let text = self.scalar(&expected)?;
        self.refuse_text(text, &(expected + &self.suggest(text, names)));
        None
    }

    /// One of the names that something is registered under.
    pub(crate) fn one_of(&self, known: &[&str], advice: &str) -> Option<&'a str> {
        let name = self.text("a name")?;
        if known.contains(&name) {
            return Some(name);
        }
        let suggestion = self.suggest(name, known.iter().copied());
        let advice = if suggestion.is_empty() { format!("; {advice}") } else { suggestion };
        self.refuse_text(name, &format!("one of {}{advice}", known.join(", ")));
        None
    }

    /// A duration with its unit, possibly zero.
    pub(crate) fn duration(&self) -> Option<Duration> {
        self.quantity("a duration such as 500ms, 2s, 5m or 1h", unit::duration)
    }

    /// A bare number of milliseconds or seconds, in the settings that are named after their unit.
    pub(crate) fn counted_duration(&self, unit: Duration) -> Option<Duration> {
        let count: u32 = self.integer(0..=u64::from(u32::MAX))?;
        match unit::bounded(unit.saturating_mul(count)) {
            Ok(duration) => Some(duration),
            Err(error) => {
                self.refuse(error.to_string());
                None
            }
        }
    }

    /// A size with its unit, in bytes.
    pub(crate) fn size(&self) -> Option<u64> {
        self.quantity("a size such as 64KiB, 32MiB or 1GB", unit::size)
    }

    /// A number with its unit, as `parse` reads it; `expected` is for what is none.
    pub(crate) fn quantity<T>(&self, expected: &str, parse: impl Fn(&str) -> Result<T, UnitError>) -> Option<T> {
        let text = self.scalar(expected)?;
        match parse(text) {
            Ok(quantity) => return Some(quantity),
            Err(UnitError::NotAQuantity { .. }) => self.refuse_text(text, expected),
            Err(error) => self.refuse(format!("found `{text}`{}; {error}", self.provenance())),
        }
        None
    }

    /// A secret that is not empty and can travel in a header. No error repeats it.
    pub(crate) fn secret(&self) -> Option<Secret> {
        let Value::Text(text) = &self.node.value else {
            self.refuse_kind("a secret as text");
            return None;
        };
        self.checked_secret(text)
    }

    /// A secret that is this value's key rather than the value itself.
    pub(crate) fn checked_secret(&self, text: &str) -> Option<Secret> {
        let mut problem = String::new();
        if text.is_empty() {
            problem.push_str("the secret is empty");
            if let Some(variable) = &self.node.variable {
                let _ = write!(problem, ": the variable {variable} is set to nothing");
            }
            problem.push_str("; give it a value or leave the key out");
        } else if text.trim() != text || !text.bytes().all(|byte| matches!(byte, b' '..=b'~')) {
            // A key read with `$(cat file)` and a stray line end is the usual case.
            problem
                .push_str("the secret holds a line break, an outer blank or another character that no header carries");
        }
        if problem.is_empty() {
            return Some(Secret::from(text));
        }
        self.refuse(problem);
        None
    }

    /// The elements of a list.
    pub(crate) fn items(&self) -> Vec<Item<'a>> {
        let Value::Sequence(nodes) = &self.node.value else {
            self.refuse_kind("a list");
            return Vec::new();
        };
        let inside = self.inside();
        nodes.iter().enumerate().map(|(index, node)| inside.element(node, index)).collect()
    }

    /// The entries of a mapping whose keys are the administrator's own, in file order.
    pub(crate) fn entries(&self) -> Vec<(&'a str, Item<'a>)> {
        let (entries, inside) = (self.mapping().unwrap_or_default(), self.inside());
        entries.iter().enumerate().map(|(index, entry)| (entry.key.as_str(), inside.entry(entry, index))).collect()
    }

    /// Whether this is a mapping with such a key, whatever is wrong with it.
    pub(crate) fn has_key(&self, key: &str) -> bool {
        matches!(&self.node.value, Value::Mapping(entries) if entries.iter().any(|entry| entry.key == key))
    }

    /// A mapping of settings.
    pub(crate) fn fields(&self) -> Option<Fields<'a>> {
        Some(Fields::new(self.clone(), self.mapping()?))
    }

    fn mapping(&self) -> Option<&'a [Entry]> {
        let Value::Mapping(entries) = &self.node.value else {
            self.refuse_kind("a mapping");
            return None;
        };
        self.refuse_repeated_keys(entries);
        Some(entries)
    }

    fn refuse_repeated_keys(&self, entries: &'a [Entry]) {
        /// Most mappings are so small that comparing all keys takes less time than hashing them.
        const FEW: usize = 12;
        let is_new = |(index, entry): (usize, &Entry)| entries[..index].iter().all(|other| other.key != entry.key);
        if entries.len() <= FEW && entries.iter().enumerate().all(is_new) {
            return;
        }
        let mut first_uses = std::collections::HashMap::new();
        for (index, entry) in entries.iter().enumerate() {
            if let Some(first) = first_uses.insert(entry.key.as_str(), &entry.place) {
                let first = match first {
                    Place::File { line, .. } => format!("; the first is on line {line}"),
                    Place::Whole | Place::Environment(_) | Place::Store { .. } => String::new(),
                };
                self.inside().entry(entry, index).refuse_at(&entry.place, format!("the key is given twice{first}"));
            }
        }
    }
}

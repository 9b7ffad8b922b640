//! Providers and models that a store holds, on their way into the configuration.
//!
//! Their texts become the same tree that a file does, and the same sections read them. What they hold is taken literally: whoever may write to the store is not thereby allowed to read the process's environment.
//! Each entry has a report of its own, so one that is wrong harms nothing else.

use std::cell::OnceCell;
use std::collections::HashSet;

use gateway_keystore::{SettingsKind, SettingsRecord, StoredSettings, UnreadableSettings};

use crate::config::Origin;
use crate::error::StoreEntry;
use crate::item::Item;
use crate::left_out::{LeftOut, LeftOutReason};
use crate::report::Report;
use crate::tree::{Entry, Node, Place, Value};
use crate::{json, yaml};

/// The longest text of an entry, in bytes: ten thousand mappings fit.
const MAX_TEXT: usize = 1 << 20;

/// What a store holds, parsed.
pub(crate) struct Stored<'s> {
    pub(crate) providers: Vec<StoredEntry<'s>>,
    pub(crate) models: Vec<StoredEntry<'s>>,
    unreadable: &'s [UnreadableSettings],
    /// Whether this is all there is. If not, it may hold anything.
    pub(crate) is_read: bool,
    /// What becomes of references of the file to what is nowhere.
    pub(crate) dangling: Dangling,
}

/// What becomes of references of the file that lead nowhere, to what the store may have had before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Dangling {
    /// They are errors.
    Refused,
    /// They lead nowhere for now.
    Tolerated,
}

/// One entry.
pub(crate) struct StoredEntry<'s> {
    record: &'s SettingsRecord,
    node: Node,
    report: Report,
    /// What has its name already.
    clash: OnceCell<String>,
}

impl<'s> Stored<'s> {
    /// Parses every entry. `None` is a store that has not been read yet.
    pub(crate) fn open(settings: Option<&'s StoredSettings>, dangling: Dangling) -> Self {
        let of_kind = |kind| {
            let records = settings.map(|settings| settings.records.as_slice()).unwrap_or_default();
            let mut records: Vec<_> = records.iter().filter(|record| record.kind == kind).collect();
            // As they should be; a configuration does not depend on how a store reads its rows.
            records.sort_by(|one, other| one.name.cmp(&other.name));
            records.into_iter().map(StoredEntry::open).collect()
        };
        Self {
            providers: of_kind(SettingsKind::Provider),
            models: of_kind(SettingsKind::Model),
            unreadable: settings.map(|settings| settings.unreadable.as_slice()).unwrap_or_default(),
            is_read: settings.is_some(),
            dangling,
        }
    }

    /// The names of the entries that the store itself could not read.
    pub(crate) fn unreadable(&self, kind: SettingsKind) -> impl Iterator<Item = &'s str> {
        self.unreadable.iter().filter(move |entry| entry.kind == kind).map(|entry| entry.name.as_str())
    }

    /// What is left out, and the warnings about the rest, once everything has been read.
    pub(crate) fn conclude(self) -> (Vec<LeftOut>, Vec<String>) {
        let (mut left_out, mut warnings) = (Vec::new(), Vec::new());
        for entry in self.providers.into_iter().chain(self.models) {
            let reason = match (entry.clash.into_inner(), entry.report.conclude()) {
                (Some(with), _) => LeftOutReason::NameClash { with },
                (None, Err(errors)) => LeftOutReason::Invalid(errors),
                (None, Ok(more)) => {
                    warnings.extend(more);
                    continue;
                }
            };
            left_out.push(LeftOut { kind: entry.record.kind, name: entry.record.name.to_string(), reason });
        }
        left_out.extend(self.unreadable.iter().map(|entry| LeftOut {
            kind: entry.kind,
            name: entry.name.clone(),
            reason: LeftOutReason::Unreadable(entry.problem.clone()),
        }));
        left_out.sort_by(|one, other| (one.kind, &one.name).cmp(&(other.kind, &other.name)));
        (left_out, warnings)
    }
}

impl<'s> StoredEntry<'s> {
    fn open(record: &'s SettingsRecord) -> Self {
        let report = Report::of_entry(StoreEntry { kind: record.kind, name: record.name.to_string() });
        let node = parse(record).unwrap_or_else(|problem| {
            report.error(&Place::Whole, "", problem);
            Node::new(Value::Refused, Place::Whole)
        });
        Self { record, node, report, clash: OnceCell::new() }
    }

    pub(crate) fn name(&self) -> &'s str {
        &self.record.name
    }

    pub(crate) fn item(&self) -> Item<'_> {
        Item::root(&self.node, &self.report)
    }

    pub(crate) fn origin(&self) -> Origin {
        Origin::Store { created_at: self.record.created_at, updated_at: self.record.updated_at }
    }

    /// Leaves the entry out, because its name is that of something else.
    pub(crate) fn yield_name_to(&self, other: &Item<'_>) {
        // The first to have the name is the one to tell of.
        let _ = self.clash.set(other.whereabouts());
    }

    /// Whether there is a reason not to use the entry, as far as it has been read.
    pub(crate) fn is_left_out(&self) -> bool {
        self.clash.get().is_some() || !self.report.is_clean()
    }
}

/// The settings of an entry, with its secrets in their place.
fn parse(record: &SettingsRecord) -> Result<Node, String> {
    let mut entries = parse_object(&record.settings, &Place::Store { is_secret: false })
        .map_err(|problem| format!("the settings are {problem}"))?;
    if let Some(secrets) = &record.secrets {
        // What a parser says of a text may repeat some of it.
        let secrets = parse_object(secrets.expose(), &Place::Store { is_secret: true })
            .map_err(|_| "the secrets are not a JSON object")?;
        let keys: HashSet<&str> = secrets.iter().map(|secret| secret.key.as_str()).collect();
        entries.retain(|entry| !keys.contains(entry.key.as_str()));
        entries.extend(secrets);
    }
    Ok(Node::new(Value::Mapping(entries), Place::Store { is_secret: false }))
}

fn parse_object(text: &str, place: &Place) -> Result<Vec<Entry>, String> {
    const EXPECTED: &str = "not a JSON object";
    if text.len() > MAX_TEXT {
        return Err("larger than 1 MiB".to_owned());
    }
    let node = json::parse(text, place).map_or_else(|| parse_yaml(text, place), Ok);
    match node.map_err(|problem| format!("{EXPECTED}: {problem}"))?.value {
        Value::Mapping(entries) => Ok(entries),
        _ => Err(EXPECTED.to_owned()),
    }
}

/// What somebody wrote by hand may be YAML, and what is neither gets its explanation here.
fn parse_yaml(text: &str, place: &Place) -> Result<Node, String> {
    let mut node = yaml::parse(text).map_err(|error| error.message)?;
    node.relocate(place);
    Ok(node)
}

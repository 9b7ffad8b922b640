//! Overrides from the environment, laid over the file's tree.
//!
//! Four layers, each over the one before: short names of `.env`, its `GATEWAY__…` names, and the same two of the
//! process. A variable that is set to nothing counts as unset, which is what container tools make of an unset one.
//!
//! figment's `Env` provider has the same naming, but reads the process itself, sorts mappings and turns a key of
//! digits into a number; the naming is all that is taken from it. A segment that is a number selects an element of a
//! list, and a value in brackets or braces is read as YAML, so lists can be given too.

use std::sync::Arc;

use crate::report::Report;
use crate::tree::{Entry, Node, Place, Value};
use crate::yaml;

/// The short names and the keys they stand for.
const SHORT_NAMES: [(&str, &[&str]); 10] = [
    ("HOST", &["server", "host"]),
    ("PORT", &["server", "port"]),
    ("VERIFY_SSL", &["verify_ssl"]),
    ("PROVIDER_SUFFIX", &["provider_suffix"]),
    ("DB_URL", &["store", "url"]),
    ("KEY_PEPPER", &["store", "key_pepper"]),
    ("STORE_ENCRYPTION_KEY", &["store", "encryption_key"]),
    ("REDIS_URL", &["redis", "url"]),
    ("ADMIN_KEY", &["admin", "key"]),
    ("LOG_FORMAT", &["logging", "format"]),
];

/// Before the name of any key, in any case.
const PREFIX: &str = "GATEWAY__";

/// Lays one set of variables over the tree.
pub(crate) fn overlay<'v>(root: &mut Node, variables: impl Iterator<Item = (&'v str, &'v str)>, report: &Report) {
    let variables: Vec<_> = variables.filter(|(_, value)| !value.is_empty()).collect();
    for (short_name, path) in SHORT_NAMES {
        if let Some((name, value)) = variables.iter().find(|(name, _)| *name == short_name) {
            Override { name, value }.apply(root, path.iter().copied(), report);
        }
    }
    let mut nested: Vec<_> =
        variables.into_iter().filter_map(|(name, value)| Some((path(name)?, name, value))).collect();
    // In order, so that element 9 of a list comes before element 10, whatever order the process has.
    nested.sort_unstable();
    for (path, name, value) in nested {
        Override { name, value }.apply(root, path.iter().map(|(_, segment)| segment.as_str()), report);
    }
}

/// The key path that a nested name stands for, each segment with its number if it is one.
fn path(name: &str) -> Option<Vec<(Option<usize>, String)>> {
    name.get(..PREFIX.len()).filter(|prefix| prefix.eq_ignore_ascii_case(PREFIX))?;
    let segments = name[PREFIX.len()..].split("__").map(str::to_ascii_lowercase);
    Some(segments.map(|segment| (segment.parse().ok(), segment)).collect())
}

#[derive(Clone, Copy)]
struct Override<'v> {
    name: &'v str,
    value: &'v str,
}

impl Override<'_> {
    fn apply<'p>(self, root: &mut Node, path: impl Iterator<Item = &'p str>, report: &Report) {
        let mut node = root;
        for segment in path {
            let Some(child) = descend(node, segment, &self.place()) else {
                let problem = format!("`{segment}` is not an element of the list, nor the next one");
                return report.error(&self.place(), "", problem);
            };
            node = child;
        }
        *node = self.node();
    }

    fn place(self) -> Place {
        Place::Environment(Arc::from(self.name))
    }

    fn node(self) -> Node {
        if self.value.starts_with(['[', '{'])
            && let Ok(mut parsed) = yaml::parse(self.value)
        {
            parsed.relocate(&self.place());
            return parsed;
        }
        Node::new(Value::Text(self.value.to_owned()), self.place())
    }
}

/// The child that a segment names, made if the file does not have it.
fn descend<'t>(node: &'t mut Node, segment: &str, place: &Place) -> Option<&'t mut Node> {
    let absent = || Node::new(Value::Null, place.clone());
    if !matches!(node.value, Value::Mapping(_) | Value::Sequence(_)) {
        // A first element makes a list, so that providers can be given without any file.
        let container = if segment == "0" { Value::Sequence(Vec::new()) } else { Value::Mapping(Vec::new()) };
        *node = Node::new(container, place.clone());
    }
    match &mut node.value {
        Value::Sequence(items) => {
            let index: usize = segment.parse().ok()?;
            if index == items.len() {
                items.push(absent());
            }
            items.get_mut(index)
        }
        Value::Mapping(entries) => {
            let index = entries.iter().position(|entry| entry.key.eq_ignore_ascii_case(segment));
            let index = index.unwrap_or_else(|| {
                entries.push(Entry { key: segment.to_owned(), place: place.clone(), node: absent() });
                entries.len() - 1
            });
            entries.get_mut(index).map(|entry| &mut entry.node)
        }
        Value::Null | Value::Unset | Value::Refused | Value::Text(_) => None,
    }
}

//! Entries of a file as they were written, for whoever puts them into a store.

use gateway_keystore::SettingsKind;
use serde::ser::{SerializeMap, SerializeSeq};
use serde::{Serialize, Serializer};

use crate::settings::Settings;
use crate::tree::{Entry, Node, Value};

/// One provider or model of a file.
#[derive(Clone, Copy)]
pub struct Written<'s> {
    /// Which of both.
    pub kind: SettingsKind,
    /// Its name.
    pub name: &'s str,
    node: &'s Node,
}

impl Settings {
    /// The providers and models, in the file's order, with variables expanded; those that have no name are not among them.
    /// Whether they make sense is for [`resolve`](Self::resolve) to say.
    pub fn written(&self) -> Vec<Written<'_>> {
        let providers = self.section("providers").map(|node| match &node.value {
            Value::Sequence(nodes) => nodes.as_slice(),
            _ => &[],
        });
        let providers = providers.unwrap_or_default().iter().filter_map(|node| {
            let Value::Text(name) = &member(node, "name")?.value else { return None };
            Some(Written { kind: SettingsKind::Provider, name, node })
        });
        let models = self.section("models").map(entries).unwrap_or_default();
        let models =
            models.iter().map(|Entry { key, node, .. }| Written { kind: SettingsKind::Model, name: key, node });
        providers.chain(models).collect()
    }

    fn section(&self, name: &str) -> Option<&Node> {
        member(self.root(), name)
    }
}

fn entries(node: &Node) -> &[Entry] {
    match &node.value {
        Value::Mapping(entries) => entries,
        _ => &[],
    }
}

fn member<'n>(node: &'n Node, key: &str) -> Option<&'n Node> {
    entries(node).iter().find(|entry| entry.key == key).map(|entry| &entry.node)
}

/// The settings, without the name, as a mapping in clear: what is secret in them is in there.
impl Serialize for Written<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let is_name = |entry: &&Entry| self.kind == SettingsKind::Provider && entry.key == "name";
        let settings = entries(self.node).iter().filter(|entry| !is_name(entry) && !entry.node.is_absent());
        serializer.collect_map(settings.map(|entry| (&entry.key, Plain(&entry.node))))
    }
}

/// A value. The tree holds texts alone; what is written like a number or a truth value comes out as one, and is read again as
/// the same text.
struct Plain<'n>(&'n Node);

impl Serialize for Plain<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match &self.0.value {
            Value::Text(text) => serialize_text(text, serializer),
            Value::Sequence(nodes) => {
                let mut list = serializer.serialize_seq(Some(nodes.len()))?;
                nodes.iter().try_for_each(|node| list.serialize_element(&Plain(node)))?;
                list.end()
            }
            Value::Mapping(entries) => {
                let mut map = serializer.serialize_map(None)?;
                entries.iter().try_for_each(|entry| map.serialize_entry(&entry.key, &Plain(&entry.node)))?;
                map.end()
            }
            Value::Null | Value::Withheld | Value::Refused => serializer.serialize_none(),
        }
    }
}

fn serialize_text<S: Serializer>(text: &str, serializer: S) -> Result<S::Ok, S::Error> {
    match text {
        "true" => return serializer.serialize_bool(true),
        "false" => return serializer.serialize_bool(false),
        _ => {}
    }
    match text.parse::<u64>() {
        Ok(number) if number.to_string() == text => serializer.serialize_u64(number),
        _ => serializer.serialize_str(text),
    }
}

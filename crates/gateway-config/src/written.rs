//! Entries of a file as they were written, for whoever puts them into a store.

use gateway_keystore::SettingsKind;
use serde::ser::{SerializeMap, SerializeSeq};
use serde::{Serialize, Serializer};

use crate::literal::Literal;
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

/// A value. What is written like a number or a truth value, without quotes, comes out as one, and is read again as the same
/// text; what stands in quotes comes out as the text that it is.
struct Plain<'n>(&'n Node);

impl Serialize for Plain<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match &self.0.value {
            Value::Text(text) if self.0.is_quoted => serializer.serialize_str(text),
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
            Value::Null | Value::Unset | Value::Refused => serializer.serialize_none(),
        }
    }
}

fn serialize_text<S: Serializer>(text: &str, serializer: S) -> Result<S::Ok, S::Error> {
    match Literal::of(text) {
        Some(Literal::Flag(flag)) => serializer.serialize_bool(flag),
        Some(Literal::Natural(number)) => serializer.serialize_u64(number),
        Some(Literal::Negative(number)) => serializer.serialize_i64(number),
        Some(Literal::Real(number)) => serializer.serialize_f64(number),
        None => serializer.serialize_str(text),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Value as Json, json};

    use super::*;
    use crate::interpolate::expand_tree;
    use crate::report::Report;
    use crate::tree::Place;
    use crate::{json, yaml};

    /// What becomes of the settings of a model in a file.
    fn written(file: &str) -> Json {
        let settings = Settings::from_yaml(file).unwrap();
        serde_json::to_value(settings.written()[0]).unwrap()
    }

    #[test]
    fn what_stands_in_quotes_is_a_text() {
        let file =
            "models: { m: { a: true, b: 'true', c: 2, d: \"2\", e: -1, f: '-1', g: 0.5, h: '0.5', i: 'null', j: no } }";
        let json = json!({
            "a": true, "b": "true", "c": 2, "d": "2", "e": -1, "f": "-1", "g": 0.5, "h": "0.5", "i": "null", "j": "no",
        });
        // The anchor takes nothing from the meaning, and the file away from the faster reader.
        for file in [file.to_owned(), file.replace("m:", "m: &anchor")] {
            assert_eq!(written(&file), json, "{file}");
        }
    }

    /// What becomes of a text with one variable.
    fn with_five(mut node: Node) -> Json {
        let variables = [("N".to_owned(), "5".to_owned())].into();
        expand_tree(&mut node, &variables, &Report::default());
        serde_json::to_value(Plain(&node)).unwrap()
    }

    #[test]
    fn quotes_hold_a_text_together_with_what_is_expanded_into_it() {
        let file = "a: ${N}\nb: '${N}'\nc: \"${N}\"\nd: ${M:-0.5}\ne: '${M:-0.5}'\nf: x${N}\n";
        let json = json!({ "a": 5, "b": "5", "c": "5", "d": 0.5, "e": "0.5", "f": "x5" });
        for file in [file.to_owned(), file.replace(": ", ": &anchor ")] {
            assert_eq!(with_five(yaml::parse(&file).ok().unwrap()), json, "{file}");
        }
        let of_store = json::parse(r#"{ "a": 5, "b": "${N}" }"#, &Place::Store { is_secret: false });
        assert_eq!(with_five(of_store.unwrap()), json!({ "a": 5, "b": "5" }));
    }

    #[test]
    fn a_tag_and_a_block_say_what_is_a_text() {
        let file =
            "a: !!str ${N}\nb: !!str 5\nc: |-\n  ${N}\nd: >-\n  5\ne: ! ${N}\nf: !!int '5'\ng: &g '${N}'\nh: *g\n";
        let json = json!({ "a": "5", "b": "5", "c": "5", "d": "5", "e": "5", "f": 5, "g": "5", "h": "5" });
        assert_eq!(with_five(yaml::parse(file).ok().unwrap()), json);
    }

    #[test]
    fn what_json_would_write_in_another_way_is_a_text() {
        let file =
            "models: { m: { a: [010, 0x1F, 1.50, 1_000, .5, .inf, +1, -0, 1e16, 1e+16, 18446744073709551616] } }";
        let texts = ["010", "0x1F", "1.50", "1_000", ".5", ".inf", "+1", "-0", "1e16", "1e+16", "18446744073709551616"];
        assert_eq!(written(file), json!({ "a": texts }));
    }

    fn any_settings() -> impl Strategy<Value = Json> {
        let leaf = prop_oneof![
            any::<bool>().prop_map(|value| json!(value)),
            any::<i64>().prop_map(|value| json!(value)),
            any::<u64>().prop_map(|value| json!(value)),
            (any::<i32>(), 0..5_i32).prop_map(|(value, digits)| json!(f64::from(value) / 10_f64.powi(digits))),
            "(true|false|True|null|~|yes|on|-?[0-9]{1,3}(\\.[0-9]{1,2})?(e[0-9])?|0x1F|\\.inf|)"
                .prop_map(|value| json!(value)),
            "[a-z0-9:#'\" \n\\-é]{0,6}".prop_map(|value| json!(value)),
        ];
        leaf.prop_recursive(3, 12, 4, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4).prop_map(|items| json!(items)),
                prop::collection::btree_map("[a-z]{1,3}|true|1", inner, 0..4).prop_map(|entries| json!(entries)),
            ]
        })
    }

    proptest! {
        #[test]
        fn what_is_exported_is_imported_as_it_was(value in any_settings()) {
            let file = json!({ "models": { "m": { "a": value } } });
            let expected = json!({ "a": value });
            prop_assert_eq!(written(&serde_saphyr::to_string(&file).unwrap()), expected.clone());
            prop_assert_eq!(written(&file.to_string()), expected);
        }
    }
}

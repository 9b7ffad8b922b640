#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use proptest::prelude::*;

use super::*;
use crate::yaml;

fn variables() -> HashMap<String, String> {
    [("SET", "value"), ("EMPTY", ""), ("PORT", "8080"), ("EVIL", "x\nkey: injected # ${SET}\n*a: [")]
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .into()
}

fn value(text: &str) -> Result<Value, ExpansionError> {
    expand(text, &variables()).map(Expanded::into_value)
}

#[test]
fn every_form_expands() {
    let text = |text: &str| Ok(Value::Text(text.to_owned()));
    for (scalar, expected) in [
        ("plain", text("plain")),
        ("${SET}", text("value")),
        ("a${SET}b${PORT}c", text("avalueb8080c")),
        ("${UNSET:-default}", text("default")),
        ("${EMPTY:-default}", text("default")),
        ("${SET:-default}", text("value")),
        ("${UNSET:-a:-b:c}", text("a:-b:c")),
        ("${SET:+there}", text("there")),
        ("$${SET}", text("${SET}")),
        ("$$${SET}", text("$${SET}")),
        ("$SET costs $5", text("$SET costs $5")),
        ("${EMPTY}", text("")),
        ("${UNSET:-}", Ok(Value::Null)),
        ("${EMPTY:-}", Ok(Value::Null)),
        ("x${UNSET:-}", text("x")),
        ("${UNSET:+there}", Ok(Value::Unset)),
        ("${EMPTY:+there}", Ok(Value::Unset)),
        ("${UNSET}", Err(ExpansionError::Unset("UNSET".to_owned()))),
        ("${SET", Err(ExpansionError::Unterminated)),
        ("${}", Err(ExpansionError::Malformed)),
        ("${1A}", Err(ExpansionError::Malformed)),
        ("${A B}", Err(ExpansionError::Malformed)),
        ("${SET:?required}", Err(ExpansionError::Malformed)),
        ("${SET:}", Err(ExpansionError::Malformed)),
        ("${UNSET:-${SET}}", Err(ExpansionError::Nested)),
    ] {
        assert_eq!(value(scalar), expected, "{scalar}");
    }
}

#[test]
fn what_a_variable_holds_is_not_expanded_again() {
    assert_eq!(value("${EVIL}"), Ok(Value::Text(variables()["EVIL"].clone())));
}

/// The tree without its scalars.
fn shape(node: &Node) -> String {
    match &node.value {
        Value::Null | Value::Unset | Value::Refused | Value::Text(_) => ".".to_owned(),
        Value::Sequence(items) => format!("[{}]", items.iter().map(shape).collect::<Vec<_>>().join(",")),
        Value::Mapping(entries) => {
            let entries = entries.iter().map(|entry| format!("{:?}:{}", entry.key, shape(&entry.node)));
            format!("{{{}}}", entries.collect::<Vec<_>>().join(","))
        }
    }
}

proptest! {
    #[test]
    fn a_text_without_a_dollar_stays_as_it_is(text in "[^$]*") {
        prop_assert_eq!(expand(&text, &variables()).unwrap().text, text);
    }

    #[test]
    fn expansion_never_panics(text in "[${}:+a-zA-Z_ ]*") {
        let _ = expand(&text, &variables());
    }

    #[test]
    fn expansion_never_changes_the_shape_of_the_tree(injected in any::<String>(), default in "[^}$]*") {
        let document = format!("a: ${{VALUE}}\n${{KEY}}: [\"${{VALUE}}\", {{b: ${{VALUE:+x}}}}]\nc: {:?}", format!("${{NO:-{default}}}"));
        let Ok(mut root) = yaml::parse(&document) else { return Ok(()) };
        let before = shape(&root);
        let variables = [("VALUE".to_owned(), injected.clone()), ("KEY".to_owned(), injected)].into();
        expand_tree(&mut root, &variables, &Report::default());
        prop_assert_eq!(shape(&root), before);
    }
}

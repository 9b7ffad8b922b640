//! `${VAR}` in scalars, expanded after parsing and before typing.
//!
//! Because the tree already has its shape, nothing in a variable can add a key, a line or an anchor; it is text in the
//! one place where it was asked for. Keys are never expanded, and what a variable holds is not expanded again.
//!
//! Three forms: `${VAR}` must be set; `${VAR:-default}` uses the default if it is unset or empty; `${VAR:+value}` is
//! the value if it is set and not empty, else nothing. `$${` is a literal `${`.
//!
//! A scalar left empty by a default or by an unset `:+` counts as absent, so `key: ${ADMIN_KEY:-}` is the same as no
//! key at all; one left empty by a plain `${VAR}` is an empty text, which most settings refuse.

use std::collections::HashMap;
use std::rc::Rc;
use std::sync::Arc;

use thiserror::Error;

use crate::report::Report;
use crate::tree::{Entry, Node, Place, Value};
use crate::way::Way;

/// What is wrong with a scalar's variables. Never repeats the scalar, which may be part of a secret.
#[derive(Debug, Error, PartialEq, Eq)]
pub(crate) enum ExpansionError {
    #[error("the variable `{0}` is not set; set it, or give a default as in ${{{0}:-value}}")]
    Unset(String),
    #[error("a variable begins with `${{` but no `}}` ends it; write `$${{` for a literal `${{`")]
    Unterminated,
    #[error(
        "not a variable between `${{` and `}}`; the forms are ${{NAME}}, ${{NAME:-default}} and ${{NAME:+value}}, with letters, digits and _ in the name"
    )]
    Malformed,
    #[error("a variable's default cannot contain another variable")]
    Nested,
}

/// A scalar after expansion.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Expanded {
    pub(crate) text: String,
    /// The last variable that the text was made from.
    pub(crate) variable: Option<String>,
    /// Whether an empty text was asked for, and by which form.
    emptied: Option<Form>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    Default,
    Alternative,
}

/// Expands every scalar that came from the file; an override from the environment is taken literally.
pub(crate) fn expand_tree(root: &mut Node, variables: &HashMap<String, String>, report: &Report) {
    expand_node(root, Way::Root, variables, report);
}

fn expand_node(node: &mut Node, way: Way<'_>, variables: &HashMap<String, String>, report: &Report) {
    match &mut node.value {
        Value::Null | Value::Unset | Value::Refused => {}
        Value::Sequence(items) => {
            let way = Rc::new(way);
            for (index, item) in items.iter_mut().enumerate() {
                expand_node(item, Way::Element(Rc::clone(&way), index), variables, report);
            }
        }
        Value::Mapping(entries) => {
            let way = Rc::new(way);
            for (index, Entry { key, node, .. }) in entries.iter_mut().enumerate() {
                expand_node(node, Way::Key(Rc::clone(&way), key, index), variables, report);
            }
        }
        Value::Text(text) => {
            if matches!(node.place, Place::Environment(_)) || !text.contains('$') {
                return;
            }
            match expand(text, variables) {
                Ok(expanded) => {
                    node.variable = expanded.variable.as_deref().map(Arc::from);
                    node.value = expanded.into_value();
                }
                Err(error) => {
                    report.error(&node.place, &way.path(), error.to_string());
                    node.value = Value::Refused;
                }
            }
        }
    }
}

/// Expands one scalar.
pub(crate) fn expand(text: &str, variables: &HashMap<String, String>) -> Result<Expanded, ExpansionError> {
    let mut expanded = Expanded { text: String::with_capacity(text.len()), variable: None, emptied: None };
    let mut rest = text;
    while let Some(dollar) = rest.find('$') {
        expanded.text.push_str(&rest[..dollar]);
        rest = &rest[dollar..];
        if let Some(after) = rest.strip_prefix("$${") {
            expanded.text.push_str("${");
            rest = after;
        } else if let Some(after) = rest.strip_prefix("${") {
            let end = after.find('}').ok_or(ExpansionError::Unterminated)?;
            expanded.append(&after[..end], variables)?;
            rest = &after[end + 1..];
        } else {
            expanded.text.push('$');
            rest = &rest[1..];
        }
    }
    expanded.text.push_str(rest);
    Ok(expanded)
}

impl Expanded {
    fn append(&mut self, reference: &str, variables: &HashMap<String, String>) -> Result<(), ExpansionError> {
        let (name, form) = match reference.split_once(':') {
            Some((name, rest)) => (name, Some(rest)),
            None => (reference, None),
        };
        if !is_variable_name(name) {
            return Err(ExpansionError::Malformed);
        }
        if reference.contains("${") {
            return Err(ExpansionError::Nested);
        }
        let held = variables.get(name).map(String::as_str);
        let set = held.filter(|value| !value.is_empty());
        let (value, emptied) = match form.map(|form| (form.as_bytes().first(), form.get(1..).unwrap_or_default())) {
            None => (held.ok_or_else(|| ExpansionError::Unset(name.to_owned()))?, None),
            Some((Some(b'-'), default)) => (set.unwrap_or(default), Some(Form::Default)),
            Some((Some(b'+'), value)) => (set.map_or("", |_| value), Some(Form::Alternative)),
            Some(_) => return Err(ExpansionError::Malformed),
        };
        self.text.push_str(value);
        self.variable = Some(name.to_owned());
        self.emptied = emptied.or(self.emptied);
        Ok(())
    }

    fn into_value(self) -> Value {
        match self.emptied.filter(|_| self.text.is_empty()) {
            Some(Form::Default) => Value::Null,
            Some(Form::Alternative) => Value::Unset,
            None => Value::Text(self.text),
        }
    }
}

fn is_variable_name(name: &str) -> bool {
    !name.is_empty()
        && !name.starts_with(|c: char| c.is_ascii_digit())
        && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
}

#[cfg(test)]
mod tests;

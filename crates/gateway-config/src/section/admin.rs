//! `admin`: the Admin API's key and listener.

use std::net::SocketAddr;

use crate::fields::Fields;
use crate::item::Item;

/// Below this an admin key can be guessed and is refused, in characters.
const MIN_KEY: usize = 12;
/// Below this an admin key is accepted with a warning, in characters.
const STRONG_KEY: usize = 24;

pub(super) fn read(root: &mut Fields<'_>) {
    let Some(mut fields) = root.take("admin").and_then(|item| item.fields()) else { return };
    // An empty key is how the Admin API is switched off, so it is not an empty secret.
    if let Some(item) = fields.take("key")
        && !item.is_text_empty()
    {
        item.report().note_not_in_force(item.path());
        check_key(&item);
    }
    if let Some(item) = fields.take_not_in_force("listen") {
        let expected = "an address with its port, such as 127.0.0.1:18001";
        if let Some(text) = item.text(expected)
            && text.parse::<SocketAddr>().is_err()
        {
            item.refuse_text(text, expected);
        }
    }
    fields.finish();
}

fn check_key(item: &Item<'_>) {
    let Some(key) = item.secret() else { return };
    let length = key.expose().chars().count();
    if length < MIN_KEY {
        item.refuse(format!("the key has {length} characters, expected at least {MIN_KEY}"));
    } else if length < STRONG_KEY {
        item.warn(&format!("the key has {length} characters; use {STRONG_KEY} or more"));
    }
}

//! `admin`: the Admin API's key and listener.

use std::net::SocketAddr;

use gateway_secret::Secret;

use crate::config::Admin;
use crate::fields::Fields;
use crate::item::Item;

/// Below this an admin key can be guessed and is refused, in characters.
const MIN_KEY: usize = 12;
/// Below this an admin key is accepted with a warning, in characters.
const STRONG_KEY: usize = 24;

pub(super) fn read(root: &mut Fields<'_>) -> Admin {
    let Some(mut fields) = root.take("admin").and_then(|item| item.fields()) else { return Admin::default() };
    // An empty key is how the Admin API is switched off, so it is not an empty secret.
    let key = fields.take("key").filter(|item| !item.is_text_empty()).and_then(|item| read_key(&item));
    let listen = fields.take("listen").and_then(|item| read_address(&item));
    fields.finish();
    Admin { key, listen }
}

fn read_address(item: &Item<'_>) -> Option<SocketAddr> {
    let expected = "an address with its port, such as 127.0.0.1:18001";
    let text = item.text(expected)?;
    let address = text.parse().ok();
    if address.is_none() {
        item.refuse_text(text, expected);
    }
    address
}

fn read_key(item: &Item<'_>) -> Option<Secret> {
    let key = item.secret()?;
    let length = key.expose().chars().count();
    if length < MIN_KEY {
        item.refuse(format!("the key has {length} characters, expected at least {MIN_KEY}"));
    } else if length < STRONG_KEY {
        item.warn(&format!("the key has {length} characters; use {STRONG_KEY} or more"));
    }
    Some(key)
}

//! The next state of an entry: from what is asked, without writing anything.

use gateway_keystore::{SettingsKind, SettingsRecord, preview};
use gateway_secret::Secret;
use jiff::Timestamp;

use super::draft::{Draft, HIDDEN};
use super::field;
use crate::json::{Members, Ordered};

/// Two names for one thing: whichever is given takes the place of the other.
const RIVALS: [(&str, &str); 2] = [("api_key", "api_keys"), ("api_keys", "api_key")];

/// A new entry.
pub(super) fn new(kind: SettingsKind, id: &str, draft: &Draft, now: Timestamp) -> SettingsRecord {
    let empty = SettingsRecord {
        kind,
        name: id.into(),
        settings: String::new(),
        secrets: None,
        revision: 1,
        created_at: now,
        updated_at: now,
    };
    changed(&empty, draft, now)
}

/// An entry as a file has it, by the names of a file.
pub(crate) fn of_file(kind: SettingsKind, name: &str, members: Members, now: Timestamp) -> SettingsRecord {
    let (mut settings, mut secrets) = (members, Members::default());
    set_secrets_apart(kind, &mut settings, &mut secrets);
    SettingsRecord {
        kind,
        name: name.into(),
        settings: text(&settings),
        secrets: (!secrets.is_empty()).then(|| text(&secrets).into()),
        revision: 1,
        created_at: now,
        updated_at: now,
    }
}

/// An entry after a change; the same if nothing is different.
pub(super) fn changed(before: &SettingsRecord, draft: &Draft, now: Timestamp) -> SettingsRecord {
    let (mut settings, mut secrets) = members(before);
    // In a row made by hand they may stand on the wrong side.
    set_secrets_apart(before.kind, &mut settings, &mut secrets);
    for (name, value) in &draft.members.0 {
        let Some(field) = field::named(before.kind, name) else { continue };
        let rival = RIVALS.iter().find(|(given, _)| given == name).map(|(_, rival)| *rival);
        if let Some(rival) = rival.filter(|rival| *value != Ordered::Null && draft.members.get(rival).is_none()) {
            settings.remove(rival);
            secrets.remove(rival);
        }
        let (home, other) = if field.is_secret { (&mut secrets, &mut settings) } else { (&mut settings, &mut secrets) };
        other.remove(field.key);
        match value {
            Ordered::Null => home.remove(field.key),
            value => home.set(field.key, value.clone()),
        }
    }
    let mut after = before.clone();
    after.settings = text(&settings);
    after.secrets = (!secrets.is_empty()).then(|| text(&secrets).into());
    if !is_same(before, &after) {
        after.updated_at = now;
    }
    after
}

/// An entry as it is, but with each secret where it is sealed; the very same if there they are.
pub(crate) fn tidied(before: &SettingsRecord, now: Timestamp) -> SettingsRecord {
    let (mut settings, mut secrets) = members(before);
    if !set_secrets_apart(before.kind, &mut settings, &mut secrets) {
        return before.clone();
    }
    let secrets = Some(text(&secrets).into());
    SettingsRecord { settings: text(&settings), secrets, updated_at: now, ..before.clone() }
}

/// Whether there are settings that a change can leave as they are.
pub(super) fn can_keep_settings(record: &SettingsRecord) -> bool {
    Members::parse(&record.settings).is_some()
}

/// Settings and secrets. What is no object held none that could be kept.
fn members(record: &SettingsRecord) -> (Members, Members) {
    let settings = Members::parse(&record.settings).unwrap_or_default();
    let secrets = record.secrets.as_ref().map(Secret::expose).and_then(Members::parse).unwrap_or_default();
    (settings, secrets)
}

/// Moves secrets from the settings, which everybody reads who can read the database, to those that are sealed. One that is
/// there already counts, and the other is gone. Says whether there was any.
fn set_secrets_apart(kind: SettingsKind, settings: &mut Members, secrets: &mut Members) -> bool {
    let is_secret = |key: &str| field::fields(kind).iter().any(|field| field.key == key && field.is_secret);
    let (found, plain): (Vec<_>, Vec<_>) = settings.0.drain(..).partition(|(key, _)| is_secret(key));
    settings.0 = plain;
    let has_any = !found.is_empty();
    for (key, value) in found {
        if secrets.get(&key).is_none() {
            secrets.set(&key, value);
        }
    }
    has_any
}

/// Whether two states of an entry say the same.
pub(crate) fn is_same(one: &SettingsRecord, other: &SettingsRecord) -> bool {
    one.settings == other.settings && one.secrets == other.secrets
}

/// What may be shown of a record by the names of this API: its settings as they are, and of its secrets what they are.
pub(super) fn shown(record: &SettingsRecord) -> Members {
    let mut shown = Members::default();
    let (settings, secrets) = members(record);
    for (key, value) in settings.0.into_iter().chain(secrets.0) {
        match field::fields(record.kind).iter().find(|field| field.key == key) {
            Some(field) if field.is_secret => {
                let (name, value) = preview_of(field.name, &value);
                shown.set(name, value);
            }
            Some(field) => shown.set(field.name, without_credentials(value)),
            // What nobody knows may be a secret by a wrong name.
            None => shown.set(&key, Ordered::Text(HIDDEN.to_owned())),
        }
    }
    shown
}

/// An address without what some put credentials in: a user before the host, and a query. Anything else as it is.
fn without_credentials(value: Ordered) -> Ordered {
    let Ordered::Text(text) = &value else { return value };
    let Some((scheme, rest)) = text.split_once("://") else { return value };
    let (host, path) = rest.split_at(rest.find(['/', '?', '#']).unwrap_or(rest.len()));
    let user = if host.contains('@') { format!("{HIDDEN}@") } else { String::new() };
    let host = host.rsplit('@').next().unwrap_or(host);
    let (path, query) = path.split_at(path.find(['?', '#']).unwrap_or(path.len()));
    let query = if query.is_empty() { String::new() } else { format!("?{HIDDEN}") };
    Ordered::Text(format!("{scheme}://{user}{host}{path}{query}"))
}

fn preview_of(name: &'static str, value: &Ordered) -> (&'static str, Ordered) {
    let shown = |value: &Ordered| match value {
        Ordered::Text(key) => Ordered::Text(preview(key)),
        _ => Ordered::Text(HIDDEN.to_owned()),
    };
    match (name, value) {
        ("api_key", value) => ("api_key_preview", shown(value)),
        ("api_keys", Ordered::List(keys)) => ("api_key_previews", Ordered::List(keys.iter().map(shown).collect())),
        (name, Ordered::Object(Members(members))) => {
            let hidden = members.iter().map(|(name, _)| (name.clone(), Ordered::Text(HIDDEN.to_owned())));
            (name, Ordered::Object(Members(hidden.collect())))
        }
        (name, _) => (name, Ordered::Text(HIDDEN.to_owned())),
    }
}

/// What the audit log keeps of an entry; `damage` is why its secrets cannot be opened.
pub(crate) fn audited(record: &SettingsRecord, damage: Option<&str>) -> String {
    let mut all = Members(vec![("id".to_owned(), Ordered::Text(record.name.to_string()))]);
    all.0.extend(damage.map(|problem| ("damaged".to_owned(), Ordered::Text(problem.to_owned()))));
    all.0.extend(shown(record).0);
    text(&all)
}

/// The same of one whose row makes no sense.
pub(super) fn audited_damage(id: &str, problem: &str) -> String {
    serde_json::json!({ "id": id, "damaged": problem }).to_string()
}

fn text(members: &Members) -> String {
    // Names are texts and numbers are finite, so there is nothing in it that could not be written.
    serde_json::to_string(members).unwrap_or_default()
}

#[cfg(test)]
mod tests;

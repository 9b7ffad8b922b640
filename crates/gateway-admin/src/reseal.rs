//! What is sealed, sealed anew: so that a key of `STORE_ENCRYPTION_KEY` can be taken away, and what was stored in clear is not
//! any more.

use std::sync::Arc;

use gateway_keystore::{
    Action, Actor, AuditEntry, Changes, NotedChange, SettingsChange, SettingsRecord, StoreChange, StoredSettings,
    UnreadableSettings,
};
use jiff::Timestamp;

use crate::entries::record;
use crate::import::{Plan, Step};

/// Every entry that has a secret, to be written back as it is by one transaction: a store seals with the first of its keys
/// whatever it writes. A secret among the readable settings of a row made by hand goes where it is sealed.
///
/// Entries without secrets are left alone, and so are rows that cannot be read, whose steps say what is wrong with them: while
/// there are some, no key should be taken away.
pub fn reseal(stored: &Changes, actor: Actor, now: Timestamp) -> Plan {
    let mut plan = Plan::default();
    let nothing = StoredSettings::default();
    let settings = stored.settings.as_ref().unwrap_or(&nothing);
    for before in &settings.records {
        let what = format!("{} {}", before.kind, before.name);
        let after = record::tidied(before, now);
        if after.secrets.is_none() {
            plan.steps.push(Step::Keep(what));
            continue;
        }
        plan.changes.push(written_back(before, after, actor, now));
        plan.steps.push(Step::Seal(what));
    }
    for UnreadableSettings { kind, name, problem } in &settings.unreadable {
        let why = format!("it cannot be read: {problem}");
        plan.steps.push(Step::LeaveAlone { what: format!("{kind} {name}"), why });
    }
    plan
}

fn written_back(before: &SettingsRecord, after: SettingsRecord, actor: Actor, at: Timestamp) -> NotedChange {
    let note = AuditEntry {
        at,
        actor,
        action: Action::UpdateSettings(before.kind),
        object: Arc::clone(&before.name),
        before: Some(record::audited(before, None)),
        after: Some(record::audited(&after, None)),
    };
    NotedChange { change: StoreChange::Settings(SettingsChange::Replace(after)), note }
}

#[cfg(test)]
mod tests {
    use gateway_keystore::SettingsKind;
    use gateway_secret::Secret;

    use super::*;

    fn record(name: &str, settings: &str, secrets: Option<&str>) -> SettingsRecord {
        SettingsRecord {
            kind: SettingsKind::Provider,
            name: name.into(),
            settings: settings.to_owned(),
            secrets: secrets.map(Secret::from),
            revision: 7,
            created_at: Timestamp::UNIX_EPOCH,
            updated_at: Timestamp::UNIX_EPOCH,
        }
    }

    #[test]
    fn whatever_has_a_secret_is_written_back_as_it_is() {
        // As it stands there, blanks and all.
        let sealed = record("a", r#"{ "weight": 2 }"#, Some(r#"{ "api_key": "sk-sealed" }"#));
        let by_hand = record("b", r#"{"api_key":"sk-in-clear","weight":2}"#, None);
        let unreadable = UnreadableSettings {
            kind: SettingsKind::Model,
            name: "m".to_owned(),
            problem: "secrets: is sealed with a key that is not there".to_owned(),
        };
        let records = vec![sealed, by_hand, record("c", "{}", None)];
        let settings = Some(StoredSettings { records, unreadable: vec![unreadable] });
        let plan = reseal(&Changes { settings, ..Changes::default() }, Actor::Cli, Timestamp::MAX);

        let words: Vec<_> = plan.steps.iter().map(Step::to_string).collect();
        let model = "keep model m (it cannot be read: secrets: is sealed with a key that is not there)";
        assert_eq!(words, ["seal provider a", "seal provider b", "unchanged provider c", model]);
        let written: Vec<_> = plan.changes.iter().map(|noted| &noted.change).collect();
        let [
            StoreChange::Settings(SettingsChange::Replace(first)),
            StoreChange::Settings(SettingsChange::Replace(second)),
        ] = written.as_slice()
        else {
            panic!("{written:?}")
        };
        let text = |record: &SettingsRecord| record.secrets.as_ref().map(|secrets| secrets.expose().to_owned());
        assert_eq!(
            (&*first.settings, text(first).as_deref()),
            (r#"{ "weight": 2 }"#, Some(r#"{ "api_key": "sk-sealed" }"#))
        );
        assert_eq!((first.revision, first.updated_at), (7, Timestamp::UNIX_EPOCH));
        assert_eq!(
            (&*second.settings, text(second).as_deref()),
            (r#"{"weight":2}"#, Some(r#"{"api_key":"sk-in-clear"}"#))
        );
        assert_eq!(second.updated_at, Timestamp::MAX);
        let notes = format!("{:?}", plan.changes.iter().map(|noted| &noted.note).collect::<Vec<_>>());
        assert!(notes.contains("provider.update") || notes.contains("UpdateSettings"), "{notes}");
        assert!(!notes.contains("sk-sealed") && !notes.contains("sk-in-clear"), "{notes}");
    }
}

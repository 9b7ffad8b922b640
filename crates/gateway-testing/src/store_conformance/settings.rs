//! Providers and models are written, read and told of.

use gateway_keystore::{
    Action, KeyChange, NotedChange, Position, SettingsChange, SettingsKind, SettingsRecord, StoreChange, StoreError,
    StoredSettings, Version,
};
use gateway_secret::Secret;
use gateway_store::Backend;
use jiff::Timestamp;
use tokio::task::JoinSet;

use super::{Subject, done, insert, note, plain_key, write};

const SECRETS: &str = r#"{"api_key":"sk-geheim"}"#;

/// One with nothing particular about it.
pub fn plain_settings(kind: SettingsKind, name: &str) -> SettingsRecord {
    let made = Timestamp::constant(1_700_000_000, 123_456_000);
    SettingsRecord {
        kind,
        name: name.into(),
        settings: r#"{"api_base":"https://example.com"}"#.to_owned(),
        secrets: None,
        revision: 1,
        created_at: made,
        updated_at: made,
    }
}

/// A provider of this name.
pub fn plain_provider(name: &str) -> SettingsRecord {
    plain_settings(SettingsKind::Provider, name)
}

/// A change with its note.
pub fn noted(change: SettingsChange) -> NotedChange {
    let (kind, name) = change.object();
    let action = match &change {
        SettingsChange::Insert(_) => Action::CreateSettings(kind),
        SettingsChange::Replace(_) => Action::UpdateSettings(kind),
        SettingsChange::Remove { .. } => Action::DeleteSettings(kind),
    };
    let note = note(action, name);
    NotedChange { change: StoreChange::Settings(change), note }
}

/// Makes a change and notes it, if the backend takes it.
pub async fn try_write_settings(backend: &dyn Backend, change: SettingsChange) -> Result<Version, StoreError> {
    backend.write_all(&[noted(change)]).await
}

/// Writes a change that can be made.
///
/// # Panics
///
/// If it cannot.
pub async fn write_settings(backend: &dyn Backend, change: SettingsChange) -> Version {
    done(try_write_settings(backend, change).await)
}

fn remove(kind: SettingsKind, name: &str) -> SettingsChange {
    SettingsChange::Remove { kind, name: name.into() }
}

/// Everything that can be seen of one.
fn seen(record: &SettingsRecord) -> impl PartialEq + std::fmt::Debug + use<> {
    let secrets = record.secrets.as_ref().map(|secrets| secrets.expose().to_owned());
    let SettingsRecord { kind, name, settings, revision, created_at, updated_at, .. } = record.clone();
    (kind, name, settings, secrets, revision, created_at, updated_at)
}

async fn found(backend: &dyn Backend, kind: SettingsKind, name: &str) -> SettingsRecord {
    done(backend.find(kind, name).await).unwrap_or_else(|| panic!("{kind} {name} is not there"))
}

async fn all(backend: &dyn Backend) -> StoredSettings {
    let changes = done(backend.changes(None).await);
    changes.settings.unwrap_or_else(|| panic!("everything has all of them"))
}

async fn position(backend: &dyn Backend) -> Position {
    done(backend.changes(None).await).position
}

/// What is told of who has not changed since, and where the store is now.
async fn told(backend: &dyn Backend, since: &Position) -> (Option<StoredSettings>, Position) {
    let changes = done(backend.changes(Some(since)).await);
    assert!(!changes.is_everything);
    (changes.settings, changes.position)
}

fn names(settings: &StoredSettings) -> Vec<String> {
    settings.records.iter().map(|record| format!("{} {}", record.kind, record.name)).collect()
}

pub(super) async fn come_back_as_they_were(subject: &impl Subject) {
    let backend = subject.backend();
    assert!(all(&*backend).await.records.is_empty());
    let secret = SettingsRecord { secrets: Some(Secret::from(SECRETS)), ..plain_provider("Ключ \"№ 1\" 🔑") };
    let odd =
        SettingsRecord { settings: "no JSON, and none of the store's business".to_owned(), ..plain_provider("b") };
    let model = plain_settings(SettingsKind::Model, "b");
    // The store counts, whatever it is given.
    let counted = SettingsRecord { revision: 9, ..plain_provider("a") };
    for record in [&secret, &odd, &model, &counted] {
        write_settings(&*backend, SettingsChange::Insert(record.clone())).await;
        let expected = SettingsRecord { revision: 1, ..record.clone() };
        assert_eq!(seen(&found(&*backend, record.kind, &record.name).await), seen(&expected));
    }
    assert!(done(backend.find(SettingsKind::Model, "a").await).is_none());
    for nobody in ["a\0", "\0", "\u{1}", ""] {
        assert!(done(backend.find(SettingsKind::Provider, nobody).await).is_none(), "{nobody:?}");
        assert!(done(backend.key(nobody).await).is_none(), "{nobody:?}");
    }
    let all = all(&*backend).await;
    assert_eq!(names(&all), ["provider a", "provider b", "provider Ключ \"№ 1\" 🔑", "model b"]);
    let [a, b, full, _] = all.records.as_slice() else { panic!("{all:?}") };
    assert_eq!((seen(a), seen(b), seen(full)), (seen(&plain_provider("a")), seen(&odd), seen(&secret)));
}

pub(super) async fn are_replaced_once_for_each_revision(subject: &impl Subject) {
    let backend = subject.backend();
    for kind in SettingsKind::ALL {
        let before = plain_settings(kind, "x");
        write_settings(&*backend, SettingsChange::Insert(before.clone())).await;
        let again = try_write_settings(&*backend, SettingsChange::Insert(before.clone())).await;
        assert!(matches!(again, Err(StoreError::TakenId)), "{again:?}");
        let changed = SettingsRecord {
            settings: "{}".to_owned(),
            secrets: Some(Secret::from(SECRETS)),
            updated_at: Timestamp::constant(1_800_000_000, 0),
            // When it was made is not changed.
            created_at: Timestamp::constant(5, 0),
            ..before.clone()
        };
        write_settings(&*backend, SettingsChange::Replace(changed.clone())).await;
        let expected = SettingsRecord { revision: 2, created_at: before.created_at, ..changed.clone() };
        assert_eq!(seen(&found(&*backend, kind, "x").await), seen(&expected));
        for stale in [1, 3] {
            let change = SettingsChange::Replace(SettingsRecord { revision: stale, ..before.clone() });
            let answer = try_write_settings(&*backend, change).await;
            assert!(matches!(answer, Err(StoreError::Stale)), "revision {stale}: {answer:?}");
        }
        write_settings(&*backend, SettingsChange::Replace(SettingsRecord { revision: 2, ..before })).await;
        assert!(found(&*backend, kind, "x").await.secrets.is_none(), "what was there is cleared");

        let unknown = try_write_settings(&*backend, SettingsChange::Replace(plain_settings(kind, "y"))).await;
        assert!(matches!(unknown, Err(StoreError::NotFound)), "{unknown:?}");
        write_settings(&*backend, remove(kind, "x")).await;
        assert!(done(backend.find(kind, "x").await).is_none());
        let gone = try_write_settings(&*backend, remove(kind, "x")).await;
        assert!(matches!(gone, Err(StoreError::NotFound)), "{gone:?}");
    }
}

pub(super) async fn are_all_written_or_none(subject: &impl Subject) {
    let backend = subject.backend();
    insert(&*backend, "key").await;
    write_settings(&*backend, SettingsChange::Insert(plain_provider("there"))).await;
    let before = position(&*backend).await;
    let notes = done(backend.audit(None, 99).await).len();
    let key = |change, id| NotedChange { change: StoreChange::Key(change), note: note(Action::CreateKey, id) };
    let fine = || {
        vec![
            noted(SettingsChange::Insert(plain_provider("new"))),
            key(KeyChange::Insert(plain_key("new")), "new"),
            noted(SettingsChange::Insert(plain_settings(SettingsKind::Model, "new"))),
            noted(SettingsChange::Replace(plain_provider("there"))),
        ]
    };
    for (refused, expected) in [
        (noted(SettingsChange::Insert(plain_provider("new"))), "TakenId"),
        (noted(SettingsChange::Replace(plain_provider("there"))), "Stale"),
        (noted(remove(SettingsKind::Provider, "nobody")), "NotFound"),
        (key(KeyChange::Insert(plain_key("key")), "key"), "TakenId"),
    ] {
        let mut changes = fine();
        changes.push(refused);
        let answer = backend.write_all(&changes).await;
        assert!(matches!(&answer, Err(error) if format!("{error:?}") == expected), "{expected}: {answer:?}");
        assert_eq!(position(&*backend).await, before, "{expected}");
        assert_eq!(done(backend.audit(None, 99).await).len(), notes, "{expected}");
    }
    let version = done(backend.write_all(&fine()).await);
    let after = done(backend.changes(Some(&before)).await);
    assert_eq!((after.position.version, after.keys.len()), (version, 1));
    assert_eq!(
        after.settings.map(|all| names(&all)).unwrap_or_default(),
        ["provider new", "provider there", "model new"]
    );
    let notes = done(backend.audit(None, 4).await);
    let told: Vec<_> = notes.iter().map(|note| (note.action.as_str(), note.object.as_str())).collect();
    let expected = [
        ("provider.update", "there"),
        ("model.create", "new"),
        ("master_key.create", "new"),
        ("provider.create", "new"),
    ];
    assert_eq!(told, expected);
    assert_eq!(done(backend.write_all(&[]).await), version, "nothing is no change");
    // One change may go on from the one before.
    let insert = noted(SettingsChange::Insert(plain_provider("brief")));
    done(backend.write_all(&[insert, noted(remove(SettingsKind::Provider, "brief"))]).await);
    assert!(done(backend.find(SettingsKind::Provider, "brief").await).is_none());
}

pub(super) async fn are_written_by_one_of_many_at_once(subject: &impl Subject) {
    let backend = subject.backend();
    for name in ["a", "b"] {
        write_settings(&*backend, SettingsChange::Insert(plain_provider(name))).await;
    }
    let mut writers = JoinSet::new();
    for number in 0..8 {
        let backend = subject.backend();
        writers.spawn(async move {
            let mut changes = ["a", "b"].map(|name| noted(SettingsChange::Replace(plain_provider(name))));
            // In either order: nobody waits for one who waits for him.
            if number % 2 == 0 {
                changes.reverse();
            }
            backend.write_all(&changes).await
        });
    }
    let answers = writers.join_all().await;
    assert_eq!(answers.iter().filter(|answer| answer.is_ok()).count(), 1, "{answers:?}");
    assert!(answers.iter().all(|answer| matches!(answer, Ok(_) | Err(StoreError::Stale))), "{answers:?}");
    assert!(all(&*backend).await.records.iter().all(|record| record.revision == 2));
}

pub(super) async fn are_written_only_where_they_were_tried(subject: &impl Subject) {
    let backend = subject.backend();
    let try_at = async |position: &Position, name: &str| {
        backend.write_all_at(position, &[noted(SettingsChange::Insert(plain_provider(name)))]).await
    };
    // Nothing is known of a store that was never looked at.
    let nowhere = try_at(&Position::default(), "a").await;
    assert!(matches!(nowhere, Err(StoreError::Stale)), "{nowhere:?}");
    let start = position(&*backend).await;
    done(try_at(&start, "a").await);
    let here = position(&*backend).await;
    let late = try_at(&start, "b").await;
    assert!(matches!(late, Err(StoreError::Stale)), "{late:?}");
    assert_eq!(position(&*backend).await, here);

    // Keys are nothing to it, whoever makes them.
    insert(&*backend, "key").await;
    subject.execute("UPDATE master_keys SET name = 'another'").await;
    done(try_at(&here, "b").await);
    for sql in [
        "INSERT INTO models (name, settings) VALUES ('m', '{}')",
        "UPDATE providers SET settings = '{}' WHERE name = 'a'",
        "DELETE FROM models",
    ] {
        let here = position(&*backend).await;
        subject.execute(sql).await;
        let late = try_at(&here, "c").await;
        assert!(matches!(late, Err(StoreError::Stale)), "{sql}: {late:?}");
    }
    let here = position(&*backend).await;
    let elsewhere = [
        Position { store: "another".into(), ..here.clone() },
        Position { token: "another".into(), ..here.clone() },
        Position { version: Version(here.version.0 + 1), ..here.clone() },
    ];
    for elsewhere in elsewhere {
        let answer = try_at(&elsewhere, "c").await;
        assert!(matches!(answer, Err(StoreError::Stale)), "{elsewhere:?}: {answer:?}");
    }
    done(try_at(&here, "c").await);
    assert_eq!(names(&all(&*backend).await), ["provider a", "provider b", "provider c"]);
}

pub(super) async fn are_written_by_one_of_many_who_tried_at_once(subject: &impl Subject) {
    let backend = subject.backend();
    let here = position(&*backend).await;
    let mut writers = JoinSet::new();
    for number in 0..8 {
        let (backend, here) = (subject.backend(), here.clone());
        let change = SettingsChange::Insert(plain_provider(&format!("made {number}")));
        writers.spawn(async move { backend.write_all_at(&here, &[noted(change)]).await });
    }
    let answers = writers.join_all().await;
    assert_eq!(answers.iter().filter(|answer| answer.is_ok()).count(), 1, "{answers:?}");
    assert!(answers.iter().all(|answer| matches!(answer, Ok(_) | Err(StoreError::Stale))), "{answers:?}");
    assert_eq!(all(&*backend).await.records.len(), 1);
}

pub(super) async fn are_told_when_one_has_changed(subject: &impl Subject) {
    let backend = subject.backend();
    let start = position(&*backend).await;
    insert(&*backend, "key").await;
    let (nothing, here) = told(&*backend, &start).await;
    assert!(nothing.is_none(), "a key is no setting");
    write_settings(&*backend, SettingsChange::Insert(plain_provider("a"))).await;
    write_settings(&*backend, SettingsChange::Insert(plain_settings(SettingsKind::Model, "m"))).await;
    let (both, next) = told(&*backend, &here).await;
    assert_eq!(both.map(|all| names(&all)).unwrap_or_default(), ["provider a", "model m"]);
    write(&*backend, KeyChange::Remove("key".into())).await;
    let (nothing, next) = told(&*backend, &next).await;
    assert!(nothing.is_none());
    write_settings(&*backend, remove(SettingsKind::Model, "m")).await;
    let (rest, last) = told(&*backend, &next).await;
    assert_eq!(rest.map(|all| names(&all)).unwrap_or_default(), ["provider a"]);
    assert_eq!(last, position(&*backend).await);
}

pub(super) async fn are_seen_when_they_are_made_by_hand(subject: &impl Subject) {
    let backend = subject.backend();
    for (kind, table) in [(SettingsKind::Provider, "providers"), (SettingsKind::Model, "models")] {
        let mut here = position(&*backend).await;
        let mut after = async |sql: &str| {
            subject.execute(&sql.replace("TABLE", table)).await;
            let (settings, position) = told(&*backend, &here).await;
            assert!(position.version > here.version, "{sql}");
            here = position;
            let records = settings.unwrap_or_else(|| panic!("{sql}: nothing is told")).records;
            records.into_iter().filter(|record| record.kind == kind).collect::<Vec<_>>()
        };
        let made = after(r#"INSERT INTO TABLE (name, settings) VALUES ('x', '{"api_base":"y"}')"#).await;
        let [record] = made.as_slice() else { panic!("{made:?}") };
        assert_eq!((&*record.name, record.settings.as_str(), record.revision), ("x", r#"{"api_base":"y"}"#, 1));
        assert!(record.secrets.is_none() && record.created_at == record.updated_at);
        let changed = after(&format!("UPDATE TABLE SET secrets = '{SECRETS}' WHERE name = 'x'")).await;
        assert_eq!(changed[0].secrets.as_ref().map(Secret::expose), Some(SECRETS), "in clear, with a key or without");
        assert_eq!(changed[0].revision, 2);
        let stale = try_write_settings(&*backend, SettingsChange::Replace(record.clone())).await;
        assert!(matches!(stale, Err(StoreError::Stale)), "a change by hand is not overwritten: {stale:?}");
        let taken = try_write_settings(&*backend, SettingsChange::Insert(record.clone())).await;
        assert!(matches!(taken, Err(StoreError::TakenId)), "{taken:?}");
        let renamed = after("UPDATE TABLE SET name = 'y' WHERE name = 'x'").await;
        assert_eq!((renamed.len(), &*renamed[0].name, renamed[0].revision), (1, "y", 3));
        assert_eq!(after("INSERT INTO TABLE (name, settings) VALUES ('a', '{}'), ('b', '{}')").await.len(), 3);
        assert_eq!(after("DELETE FROM TABLE WHERE name = 'y'").await.len(), 2);
        assert_eq!(after("DELETE FROM TABLE").await.len(), 0);
    }
}

pub(super) async fn are_left_out_if_they_cannot_be_read(subject: &impl Subject) {
    let backend = subject.backend();
    let faults = [
        ("secrets", "'nonsense'"),
        ("secrets", r#"'["geheim"]'"#),
        ("secrets", r#"'"geheim"'"#),
        ("secrets", "'null'"),
        ("secrets", r#"'{"api_key":"geheim"'"#),
        ("secrets", "'sealed:v1:geheim'"),
        ("secrets", "'sealed:v1:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA'"),
        ("created_at", "9223372036854775807"),
        ("updated_at", "-9223372036854775807"),
    ];
    let name = |number: usize| format!("row {number:02}");
    write_settings(&*backend, SettingsChange::Insert(plain_provider("aaa"))).await;
    for number in 0..faults.len() {
        write_settings(&*backend, SettingsChange::Insert(plain_provider(&name(number)))).await;
    }
    write_settings(&*backend, SettingsChange::Insert(plain_provider("zzz"))).await;
    let here = position(&*backend).await;
    for (number, (column, value)) in faults.iter().enumerate() {
        subject.execute(&format!("UPDATE providers SET {column} = {value} WHERE name = '{}'", name(number))).await;
    }
    for settings in [all(&*backend).await, told(&*backend, &here).await.0.unwrap_or_default()] {
        assert_eq!(names(&settings), ["provider aaa", "provider zzz"]);
        assert_eq!(settings.unreadable.len(), faults.len(), "{:?}", settings.unreadable);
        for (number, row) in settings.unreadable.iter().enumerate() {
            assert_eq!((row.kind, row.name.clone()), (SettingsKind::Provider, name(number)));
            let problem = &row.problem;
            assert!(problem.starts_with(&format!("{}: ", faults[number].0)), "{:?}: {problem}", faults[number]);
            assert!(!problem.contains("geheim"), "{problem}");
        }
    }
    for (number, fault) in faults.iter().enumerate() {
        let answer = backend.find(SettingsKind::Provider, &name(number)).await;
        let Err(StoreError::Unreadable { id, problem }) = answer else { panic!("{fault:?}: {answer:?}") };
        assert!(id == name(number) && problem.contains(fault.0), "{problem}");
        write_settings(&*backend, remove(SettingsKind::Provider, &id)).await;
    }
    assert!(all(&*backend).await.unreadable.is_empty(), "what cannot be read can be removed");
    subject.execute("INSERT INTO providers (name, settings, secrets) VALUES ('m', '{}', 'x')").await;
    subject.execute("UPDATE providers SET secrets = ' {} ' WHERE name = 'm'").await;
    assert_eq!(names(&all(&*backend).await), ["provider aaa", "provider m", "provider zzz"], "what is mended is back");
}

/// With a key, what others read in the database is nothing to them.
pub(super) async fn have_secrets_that_are_sealed(subject: &impl Subject) {
    let record = SettingsRecord { secrets: Some(Secret::from(SECRETS)), ..plain_provider("a") };
    let (backend, sealed) = (subject.backend(), subject.sealing());
    write_settings(&*sealed, SettingsChange::Insert(record.clone())).await;
    assert_eq!(seen(&found(&*sealed, SettingsKind::Provider, "a").await), seen(&record));
    let without = backend.find(SettingsKind::Provider, "a").await;
    let is_told = |problem: &str| problem.contains("STORE_ENCRYPTION_KEY") && !problem.contains("geheim");
    assert!(matches!(&without, Err(StoreError::Unreadable { problem, .. }) if is_told(problem)), "{without:?}");
    let readable = done(backend.find_without_secrets(SettingsKind::Provider, "a").await);
    let expected = SettingsRecord { secrets: None, ..record.clone() };
    assert_eq!(readable.as_ref().map(seen), Some(seen(&expected)), "whoever gives it others need not open them");
    let all_without = all(&*backend).await;
    assert!(all_without.records.is_empty() && is_told(&all_without.unreadable[0].problem), "{all_without:?}");

    // What is sealed stays where it was put.
    subject.execute("UPDATE providers SET name = 'b'").await;
    subject.execute("INSERT INTO models (name, settings, secrets) SELECT 'a', settings, secrets FROM providers").await;
    let moved = all(&*sealed).await;
    assert!(moved.records.is_empty() && moved.unreadable.len() == 2, "{moved:?}");
    subject.execute("UPDATE providers SET name = 'a'").await;
    let back = SettingsRecord { revision: 3, ..record };
    assert_eq!(seen(&found(&*sealed, SettingsKind::Provider, "a").await), seen(&back));

    // What was stored without a key can be read, and is sealed when it is written again.
    let clear = SettingsRecord { secrets: Some(Secret::from(SECRETS)), ..plain_provider("c") };
    write_settings(&*backend, SettingsChange::Insert(clear.clone())).await;
    assert_eq!(seen(&found(&*sealed, SettingsKind::Provider, "c").await), seen(&clear));
    write_settings(&*sealed, SettingsChange::Replace(clear)).await;
    assert!(backend.find(SettingsKind::Provider, "c").await.is_err());
}

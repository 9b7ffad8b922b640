//! What every backend of the store has to do.
//!
//! [`run`] is called from the tests of each backend. Every case gets a store of its own, with tables and without keys.

mod feed;
mod keys;
mod ledger;
mod schema;
mod settings;
mod usage;

use std::sync::Arc;

use gateway_keystore::{Action, Actor, AuditEntry, KeyChange, KeyRecord, StoreError, Version};
use gateway_secret::KeyDigest;
use gateway_store::Backend;
use jiff::Timestamp;

pub use settings::{noted, plain_provider, plain_settings, try_write_settings, write_settings};

/// A store that is tested, and the way into it that administrators take who know SQL.
pub trait Subject {
    /// The store.
    fn backend(&self) -> Arc<dyn Backend>;

    /// The same store as somebody has it who seals secrets.
    fn sealing(&self) -> Arc<dyn Backend>;

    /// Executes a statement over a connection that is not the store's.
    fn execute(&self, sql: &str) -> impl Future<Output = ()>;

    /// How the database writes bytes, given in hexadecimal.
    fn bytes(&self, hex: &str) -> String;
}

/// Runs every case, each with a new store.
///
/// # Panics
///
/// If the store does not do what it has to.
pub async fn run<S: Subject>(fresh: impl AsyncFn() -> S) {
    keys::come_back_as_they_were(&fresh().await).await;
    keys::are_listed_page_by_page(&fresh().await).await;
    keys::have_identifiers_and_values_of_their_own(&fresh().await).await;
    keys::are_replaced_once_for_each_revision(&fresh().await).await;
    keys::are_replaced_by_one_of_many_at_once(&fresh().await).await;
    keys::are_gone_once_removed(&fresh().await).await;
    keys::are_noted_with_every_change_and_only_then(&fresh().await).await;
    feed::tells_what_has_changed_since(&fresh().await).await;
    feed::tells_everything_where_it_has_forgotten(&fresh().await).await;
    feed::tells_everything_to_who_was_elsewhere(&fresh().await).await;
    feed::counts_changes_that_come_at_once(&fresh().await).await;
    feed::sees_what_is_done_by_hand(&fresh().await).await;
    feed::leaves_out_what_cannot_be_read(&fresh().await).await;
    feed::wakes_when_something_has_changed(&fresh().await).await;
    ledger::adds_what_was_spent(&fresh().await).await;
    ledger::adds_what_many_have_spent(&fresh().await).await;
    ledger::holds_any_amount(&fresh().await).await;
    ledger::notes_use_and_changes_nothing_else(&fresh().await).await;
    run_settings(&fresh).await;
    run_usage(&fresh).await;
    schema::goes_down_and_up_again(&fresh().await).await;
}

async fn run_usage<S: Subject>(fresh: &impl AsyncFn() -> S) {
    usage::is_added_up_and_told_apart(&fresh().await).await;
    usage::is_told_page_by_page(&fresh().await).await;
    usage::of_many_nodes_adds_up(&fresh().await).await;
    usage::is_added_once_however_often_it_is_given(&fresh().await).await;
    usage::holds_any_name_and_any_number(&fresh().await).await;
    usage::is_forgotten_after_a_time(&fresh().await).await;
}

async fn run_settings<S: Subject>(fresh: &impl AsyncFn() -> S) {
    settings::come_back_as_they_were(&fresh().await).await;
    settings::are_replaced_once_for_each_revision(&fresh().await).await;
    settings::are_all_written_or_none(&fresh().await).await;
    settings::are_written_by_one_of_many_at_once(&fresh().await).await;
    settings::are_written_only_where_they_were_tried(&fresh().await).await;
    settings::are_written_by_one_of_many_who_tried_at_once(&fresh().await).await;
    settings::are_told_when_one_has_changed(&fresh().await).await;
    settings::are_seen_when_they_are_made_by_hand(&fresh().await).await;
    settings::are_left_out_if_they_cannot_be_read(&fresh().await).await;
    settings::have_secrets_that_are_sealed(&fresh().await).await;
}

/// A key with nothing particular about it; its value is its identifier.
pub fn plain_key(id: &str) -> KeyRecord {
    let made = Timestamp::constant(1_700_000_000, 123_456_000);
    KeyRecord {
        name: format!("name of {id}").into(),
        preview: "sk-gw-AbC…xyz".to_owned(),
        created_at: made,
        updated_at: made,
        ..KeyRecord::unlimited(id, KeyDigest::of(id.as_bytes()))
    }
}

/// The note of a change, which says which it is.
pub fn note(action: Action, id: &str) -> AuditEntry {
    AuditEntry {
        at: Timestamp::constant(1_700_000_001, 0),
        actor: Actor::Cli,
        action,
        object: id.into(),
        before: None,
        after: Some(format!(r#"{{"id":"{id}"}}"#)),
    }
}

/// Writes a change that can be made.
///
/// # Panics
///
/// If it cannot.
pub async fn write(backend: &dyn Backend, change: KeyChange) -> Version {
    done(try_write(backend, change).await)
}

/// Makes a change and notes it, if the backend takes it.
pub async fn try_write(backend: &dyn Backend, change: KeyChange) -> Result<Version, StoreError> {
    let (action, id) = match &change {
        KeyChange::Insert(key) => (Action::CreateKey, Arc::clone(&key.id)),
        KeyChange::Replace(key) => (Action::UpdateKey, Arc::clone(&key.id)),
        KeyChange::Remove(id) => (Action::DeleteKey, Arc::clone(id)),
    };
    backend.write(&change, &note(action, &id)).await
}

async fn insert(backend: &dyn Backend, id: &str) -> Version {
    write(backend, KeyChange::Insert(plain_key(id))).await
}

async fn key(backend: &dyn Backend, id: &str) -> KeyRecord {
    done(backend.key(id).await).unwrap_or_else(|| panic!("{id} is not there"))
}

fn done<T>(answer: Result<T, StoreError>) -> T {
    answer.unwrap_or_else(|error| panic!("{error:?}"))
}

fn ids(keys: &[KeyRecord]) -> Vec<&str> {
    let mut ids: Vec<_> = keys.iter().map(|key| &*key.id).collect();
    ids.sort_unstable();
    ids
}

//! What administrators do with the providers and models of a store: one set of rules, whoever asks.
//!
//! The admin API comes here, and the command line can. A change is first tried on the whole configuration, so that nothing is
//! stored that would not work; each write takes its line in the audit log with it, and is live on this node when the method
//! returns. Entries of the configuration file are shown beside those of the store and cannot be changed.
//!
//! Changes through one node are made one after the other, each tried on what the one before has made. Changes through two
//! nodes, and those of `gateway-server import`, may still be tried at the same time, each without the other; so may one that
//! follows on another which this node does not see yet. What then does not go together is left out of the configuration and
//! reported as such. To prevent it, all nodes would have to wait while one of them tries a configuration.

mod body;
mod draft;
mod error;
mod field;
pub(crate) mod record;
mod view;

use std::sync::Arc;

use gateway_config::{ConfigError, ConfigErrors, Origin};
use gateway_keystore::{
    Action, Actor, AuditEntry, NotedChange, SettingsChange, SettingsKind, SettingsRecord, SettingsRepository,
    StoreChange, StoreError, Version,
};
use jiff::Timestamp;
use tokio::sync::{Mutex, MutexGuard};

pub(crate) use body::{ModelBody, ProviderBody};
pub use draft::Draft;
pub use error::EntryError;
pub use view::{EntryView, LeftOutView, ModelView, ProviderView};
pub(crate) use view::{ListedModel, ListedProvider};

use crate::configuration::Configuration;
use crate::error::Problem;
use crate::master_keys::{AlwaysVisible, Visibility, to_microsecond};
use crate::system::{Clock, System};

/// How often a change is made again to what somebody else has just changed.
const MAX_TRIES: usize = 8;

/// What stands for the name of an entry whose own cannot be.
const UNNAMED: &str = "(unnamed)";

/// The providers and models of a store, and those of the configuration file beside them, for administrators.
///
/// Clones make their changes one after the other. There has to be one for each store in a process, and its clones.
#[derive(Clone)]
pub struct StoredEntries {
    /// None if there are only those of the file.
    store: Option<Store>,
    configuration: Arc<dyn Configuration>,
    visibility: Arc<dyn Visibility>,
    clock: Arc<dyn Clock>,
}

/// Where entries are kept, and who is noted to have changed them.
#[derive(Clone)]
struct Store {
    repository: Arc<dyn SettingsRepository>,
    actor: Actor,
    /// Held from the first look at what is stored until this node sees what was made of it. Calls never wait for it.
    alone: Arc<Mutex<()>>,
}

impl StoredEntries {
    /// The entries of a store that is a part of this configuration. `actor` is who the audit log says it was.
    pub fn new(repository: Arc<dyn SettingsRepository>, configuration: Arc<dyn Configuration>, actor: Actor) -> Self {
        let store = Store { repository, actor, alone: Arc::default() };
        Self { store: Some(store), ..Self::without_store(configuration) }
    }

    /// No entries but those of the configuration file, which can be looked at and not changed.
    pub fn without_store(configuration: Arc<dyn Configuration>) -> Self {
        Self { store: None, configuration, visibility: Arc::new(AlwaysVisible), clock: Arc::new(System) }
    }

    /// Waiting for this node to see each write.
    pub fn with_visibility(self, visibility: Arc<dyn Visibility>) -> Self {
        Self { visibility, ..self }
    }

    /// With another clock than the system's.
    pub fn with_clock(self, clock: Arc<dyn Clock>) -> Self {
        Self { clock, ..self }
    }

    /// All entries of a kind by their names, those that are left out among them.
    pub fn list(&self, kind: SettingsKind) -> Vec<EntryView> {
        view::all(kind, &self.configuration.config(), &self.configuration.left_out())
    }

    /// One entry. Of one that is left out, also what the store has of it, if it can be asked.
    ///
    /// # Errors
    ///
    /// There is none.
    pub async fn find(&self, kind: SettingsKind, id: &str) -> Result<EntryView, EntryError> {
        let view = view::one(kind, &self.configuration.config(), &self.configuration.left_out(), id);
        let view = view.ok_or_else(|| EntryError::NotFound { kind, id: id.to_owned() })?;
        let EntryView::LeftOut(left_out) = view else { return Ok(view) };
        let stored = match &self.store {
            Some(store) => store.repository.find(kind, id).await.ok().flatten(),
            None => None,
        };
        Ok(EntryView::LeftOut(left_out.with(stored.as_ref())))
    }

    /// Makes an entry.
    ///
    /// # Errors
    ///
    /// Its name is taken, or the configuration would not work with it.
    pub async fn create(&self, kind: SettingsKind, draft: &Draft) -> Result<EntryView, EntryError> {
        let store = self.store()?;
        let Some(id) = draft.good_id() else { return Err(self.refused_without_name(kind, draft).await) };
        if self.is_in_file(kind, id) {
            return Err(EntryError::TakenInFile { kind, id: id.to_owned() });
        }
        let _alone = store.alone.lock().await;
        match store.repository.find(kind, id).await {
            Ok(None) => {}
            Ok(Some(_)) | Err(StoreError::Unreadable { .. }) => {
                return Err(EntryError::Taken { kind, id: id.to_owned() });
            }
            Err(error) => return Err(EntryError::of_read(error, kind)),
        }
        let record = record::new(kind, id, draft, self.now());
        let note =
            AuditEntry { after: Some(record::audited(&record)), ..store.note(Action::CreateSettings(kind), &record) };
        let change = SettingsChange::Insert(record);
        self.check(&change, draft).await?;
        let version = store.write(change, note).await.map_err(|error| EntryError::of_write(error, kind, id))?;
        self.go_live(version).await?;
        self.in_force(kind, id).await
    }

    /// Changes an entry. If somebody else changes it at the same time, neither change is lost.
    ///
    /// # Errors
    ///
    /// There is no such entry, it cannot be changed, or the configuration would not work with it.
    pub async fn update(&self, kind: SettingsKind, id: &str, draft: &Draft) -> Result<EntryView, EntryError> {
        if let Some(other) = draft.id.as_deref().filter(|other| *other != id) {
            let message = format!("is `{id}` and does not change; create `{other}` and delete this one");
            return Err(EntryError::Invalid(vec![Problem::of("id", message)]));
        }
        let _alone = self.alone().await;
        for _ in 0..MAX_TRIES {
            let before = self.stored(kind, id).await?;
            let after = record::changed(&before, draft, self.now());
            if record::is_same(&before, &after) && draft.problems.is_empty() {
                return self.find(kind, id).await;
            }
            let store = self.store()?;
            let note = store.note(Action::UpdateSettings(kind), &after);
            let (before, after_note) = (Some(record::audited(&before)), Some(record::audited(&after)));
            let note = AuditEntry { before, after: after_note, ..note };
            let change = SettingsChange::Replace(after);
            self.check(&change, draft).await?;
            match store.write(change, note).await {
                Err(StoreError::Stale) => {}
                written => {
                    self.go_live(written.map_err(|error| EntryError::of_write(error, kind, id))?).await?;
                    return self.in_force(kind, id).await;
                }
            }
        }
        Err(EntryError::Contended { kind, id: id.to_owned() })
    }

    /// Takes an entry away, also one whose row in the store makes no sense.
    ///
    /// # Errors
    ///
    /// There is no such entry, it is one of the configuration file, or something else needs it.
    pub async fn remove(&self, kind: SettingsKind, id: &str) -> Result<(), EntryError> {
        let _alone = self.alone().await;
        let before = match self.stored(kind, id).await {
            Ok(record) => record::audited(&record),
            Err(EntryError::Unreadable { problem, .. }) => record::audited_damage(id, &problem),
            Err(error) => return Err(error),
        };
        let store = self.store()?;
        let name: Arc<str> = id.into();
        let change = SettingsChange::Remove { kind, name: Arc::clone(&name) };
        if let Err(errors) = self.configuration.check(&change).await {
            let problems = errors.iter().map(Problem::from).collect();
            return Err(EntryError::InUse { kind, id: id.to_owned(), problems });
        }
        let (at, actor, action) = (self.now(), store.actor, Action::DeleteSettings(kind));
        let note = AuditEntry { at, actor, action, object: name, before: Some(before), after: None };
        let version = store.write(change, note).await.map_err(|error| EntryError::of_write(error, kind, id))?;
        self.go_live(version).await
    }

    /// What has just been written, as it is served. Another node may have changed what it rests on, or it itself, meanwhile.
    async fn in_force(&self, kind: SettingsKind, id: &str) -> Result<EntryView, EntryError> {
        match self.find(kind, id).await {
            Err(EntryError::NotFound { kind, id }) => Err(EntryError::NotInForce { kind, id }),
            found => found,
        }
    }

    /// Everything that is wrong with a draft that has no name, or none that it could have.
    async fn refused_without_name(&self, kind: SettingsKind, draft: &Draft) -> EntryError {
        if draft.problems.iter().any(|problem| problem.param.is_none()) {
            // It was no object at all.
            return EntryError::Invalid(draft.problems.clone());
        }
        let mut draft = draft.clone();
        if draft.id.is_none() {
            // It may have been refused for its type.
            draft.problems.retain(|problem| problem.param.as_deref() != Some("id"));
            draft.problems.insert(0, Problem::of("id", "is missing; expected a name as text".to_owned()));
        }
        let change = SettingsChange::Insert(record::new(kind, UNNAMED, &draft, self.now()));
        self.check(&change, &draft).await.err().unwrap_or(EntryError::Invalid(draft.problems))
    }

    /// Whether the configuration would work with a change. Whatever is wrong with the draft already is told too.
    async fn check(&self, change: &SettingsChange, draft: &Draft) -> Result<(), EntryError> {
        let found = self.configuration.check(change).await;
        let found = found.err().map(|errors| problems_of(change, &errors)).unwrap_or_default();
        // What the configuration says of a field is more exact than what its type does.
        let is_told =
            |param: &str| found.iter().filter_map(|it| it.param.as_deref()).any(|it| is_at_or_below(it, param));
        let own = draft.problems.iter().filter(|it| it.param.as_deref().is_none_or(|param| !is_told(param)));
        let problems: Vec<_> = own.cloned().chain(found.iter().cloned()).collect();
        if problems.is_empty() { Ok(()) } else { Err(EntryError::Invalid(problems)) }
    }

    /// An entry that can be changed.
    async fn stored(&self, kind: SettingsKind, id: &str) -> Result<SettingsRecord, EntryError> {
        if let Some(store) = &self.store {
            let found = store.repository.find(kind, id).await.map_err(|error| EntryError::of_read(error, kind))?;
            if let Some(record) = found {
                return Ok(record);
            }
        }
        let is_in_file = self.is_in_file(kind, id);
        let id = id.to_owned();
        Err(if is_in_file { EntryError::InFile { kind, id } } else { EntryError::NotFound { kind, id } })
    }

    fn is_in_file(&self, kind: SettingsKind, id: &str) -> bool {
        view::origin(kind, &self.configuration.config(), id) == Some(Origin::File)
    }

    fn store(&self) -> Result<&Store, EntryError> {
        self.store.as_ref().ok_or(EntryError::NoStore)
    }

    /// Keeps the changes of others through this node waiting. Without a store there is nothing to change.
    async fn alone(&self) -> Option<MutexGuard<'_, ()>> {
        match &self.store {
            Some(store) => Some(store.alone.lock().await),
            None => None,
        }
    }

    async fn go_live(&self, version: Version) -> Result<(), EntryError> {
        self.visibility.wait_until_visible(version).await.map_err(EntryError::NotLive)
    }

    fn now(&self) -> Timestamp {
        to_microsecond(self.clock.now())
    }
}

impl Store {
    /// What is noted of something that is done to an entry.
    fn note(&self, action: Action, record: &SettingsRecord) -> AuditEntry {
        let object = Arc::clone(&record.name);
        AuditEntry { at: record.updated_at, actor: self.actor, action, object, before: None, after: None }
    }

    async fn write(&self, change: SettingsChange, note: AuditEntry) -> Result<Version, StoreError> {
        self.repository.write_all(&[NotedChange { change: StoreChange::Settings(change), note }]).await
    }
}

/// What is wrong with a configuration, in the names of the body that changes it where it is that which is wrong.
fn problems_of(change: &SettingsChange, errors: &ConfigErrors) -> Vec<Problem> {
    let (kind, name) = change.object();
    let problem = |error: &ConfigError| match &error.entry {
        Some(entry) if entry.kind == kind && entry.name == **name => {
            let (path, message) = of_missing(error).unwrap_or_else(|| (error.path.clone(), error.message.clone()));
            Problem::of(&field::path_in_names(kind, &path), message)
        }
        _ => Problem::from(error),
    };
    errors.iter().map(problem).collect()
}

/// Of a field that is missing, its own path instead of its parent's, as the types of bodies have it.
fn of_missing(error: &ConfigError) -> Option<(String, String)> {
    let name = error.message.strip_prefix('`')?.strip_suffix("` is missing")?;
    let path = if error.path.is_empty() { name.to_owned() } else { format!("{}.{name}", error.path) };
    Some((path, "is missing".to_owned()))
}

/// Whether a path is another, or leads on from it.
fn is_at_or_below(path: &str, other: &str) -> bool {
    path.strip_prefix(other).is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '[']))
}

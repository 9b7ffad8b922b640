//! What administrators do with the providers and models of a store: one set of rules, whoever asks.
//!
//! The admin API comes here, and the command line can. A change is first tried on the whole configuration, so that nothing is
//! stored that would not work; each write takes its line in the audit log with it, and is live on this node when the method
//! returns. Entries of the configuration file are shown beside those of the store and cannot be changed.
//!
//! Changes through one node are made one after the other, each tried on what the one before has made. A change is only written
//! to a store whose providers and models are still those that it was tried on; if somebody else has changed one meanwhile,
//! through another node or by `gateway-server import`, this node waits until it sees that and tries the change again. So nodes
//! need not wait for each other while one of them tries a configuration, and nothing in the store comes about that does not go
//! together; what another node's file says is not known here. Only what is written by hand is not tried at all; what is wrong
//! with it is left out of the configuration and reported.

mod body;
mod draft;
mod error;
mod field;
mod planning;
pub(crate) mod record;
mod view;

use std::sync::Arc;
use std::time::Duration;

use gateway_config::{ConfigError, ConfigErrors, Origin};
use gateway_keystore::{
    Action, Actor, AuditEntry, NotedChange, Position, SettingsChange, SettingsKind, SettingsRecord, SettingsRepository,
    StoreError, Version,
};
use jiff::Timestamp;
use tokio::sync::Mutex;
use tokio::time::Instant;

pub(crate) use body::{ModelBody, ProviderBody};
pub use draft::Draft;
pub use error::EntryError;
pub use view::{EntryView, LeftOutView, ModelView, ProviderView};
pub(crate) use view::{ListedModel, ListedProvider};

use self::planning::Wish;
use crate::configuration::Configuration;
use crate::error::Problem;
use crate::master_keys::{AlwaysVisible, Visibility, to_microsecond};
use crate::system::{Clock, System};

/// How long a change is tried again on what somebody else has just changed; a try that has begun is brought to its end. Those
/// who wait are not served in their order, least of all by SQLite, so a node may lose many times in a row to one that makes
/// many changes at once. Until then all other changes through this node wait.
const CONTENTION: Duration = Duration::from_secs(10);

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
            Some(store) => store.shown(kind, id).await,
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
        let store = self.store.as_ref().ok_or(EntryError::NoStore)?;
        let Some(id) = draft.good_id() else { return Err(self.refused_without_name(kind, draft).await) };
        let _alone = store.alone.lock().await;
        self.make(store, kind, id, Wish::Create(draft)).await?;
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
        let store = self.store_of(kind, id)?;
        let _alone = store.alone.lock().await;
        self.make(store, kind, id, Wish::Update(draft)).await?;
        self.in_force(kind, id).await
    }

    /// Takes an entry away, also one whose row in the store makes no sense.
    ///
    /// # Errors
    ///
    /// There is no such entry, it is one of the configuration file, or something else needs it.
    pub async fn remove(&self, kind: SettingsKind, id: &str) -> Result<(), EntryError> {
        let store = self.store_of(kind, id)?;
        let _alone = store.alone.lock().await;
        self.make(store, kind, id, Wish::Remove).await
    }

    /// Makes a wish come true: tries it, writes it if what it was tried on is still what there is, and does so again until
    /// that is the case.
    async fn make(&self, store: &Store, kind: SettingsKind, id: &str, wish: Wish<'_>) -> Result<(), EntryError> {
        let deadline = Instant::now() + CONTENTION;
        loop {
            // Before it is tried: what this node then knows is this state of the store or a later one.
            let tried_at = self.visibility.position();
            let Some(planned) = self.plan(store, kind, id, wish).await? else { return Ok(()) };
            match store.write(tried_at.as_ref(), planned).await {
                Err(StoreError::Stale) if Instant::now() < deadline => {}
                Err(StoreError::Stale) => return Err(EntryError::Contended { kind, id: id.to_owned() }),
                written => {
                    let version = written.map_err(|error| EntryError::of_write(error, kind, id))?;
                    return self.go_live(version).await;
                }
            }
            if let Some(position) = tried_at {
                self.visibility.wait_until_not_at(&position).await.map_err(EntryError::Behind)?;
            }
        }
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

    fn is_in_file(&self, kind: SettingsKind, id: &str) -> bool {
        view::origin(kind, &self.configuration.config(), id) == Some(Origin::File)
    }

    /// The store, which has to have an entry that is to be changed.
    fn store_of(&self, kind: SettingsKind, id: &str) -> Result<&Store, EntryError> {
        self.store.as_ref().ok_or_else(|| self.not_stored(kind, id))
    }

    /// Why an entry that the store does not have cannot be changed.
    fn not_stored(&self, kind: SettingsKind, id: &str) -> EntryError {
        let is_in_file = self.is_in_file(kind, id);
        let id = id.to_owned();
        if is_in_file { EntryError::InFile { kind, id } } else { EntryError::NotFound { kind, id } }
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
    fn note(&self, action: Action, object: &Arc<str>, at: Timestamp) -> AuditEntry {
        let object = Arc::clone(object);
        AuditEntry { at, actor: self.actor, action, object, before: None, after: None }
    }

    /// What there is of an entry, as far as it can be read.
    async fn shown(&self, kind: SettingsKind, id: &str) -> Option<SettingsRecord> {
        let found = match self.repository.find(kind, id).await {
            Err(StoreError::Unreadable { .. }) => self.repository.find_without_secrets(kind, id).await,
            found => found,
        };
        found.ok().flatten()
    }

    async fn write(&self, tried_at: Option<&Position>, change: NotedChange) -> Result<Version, StoreError> {
        match tried_at {
            Some(position) => self.repository.write_all_at(position, &[change]).await,
            None => self.repository.write_all(&[change]).await,
        }
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

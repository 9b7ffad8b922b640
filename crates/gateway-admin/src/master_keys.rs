//! What administrators do with keys: one set of rules, whoever asks.
//!
//! The admin API and the command line both come here. A request is checked as a whole before anything is written; each
//! write takes its line in the audit log with it, and is live on this node when the method returns.

mod error;
mod page;
mod record;
mod request;
mod rule;
mod view;

use std::sync::Arc;

use gateway_keystore::{
    Action, Actor, AuditEntry, AuditRecord, KeyChange, KeyRecord, KeyRepository, MintedKey, Position, StoreError,
    StoreFuture, Version, key_id,
};
use gateway_secret::{KeyDigest, KeyDigester, Secret};
use jiff::Timestamp;

pub use error::KeyError;
pub use page::{Cursor, KeyPage};
pub use request::{Change, CreateKey, RotateKey, UpdateKey, UpdateLimits};
pub(crate) use rule::{MAX_ID, missing, to_microsecond};
pub(crate) use view::IssuedKey;
pub(crate) use view::audited;
pub use view::{FileKey, Issued, KeySource, KeyView};

use crate::system::{Clock, Rng, System};
use view::audited_damage;

/// How often a change is made again to what somebody else has just changed.
const MAX_TRIES: usize = 8;

/// The keys of a store, and those of the configuration file beside them, for administrators.
#[derive(Clone)]
pub struct MasterKeys {
    /// None if there are only those of the file.
    store: Option<Store>,
    digester: KeyDigester,
    file_keys: Arc<dyn Fn() -> Vec<FileKey> + Send + Sync>,
    visibility: Arc<dyn Visibility>,
    clock: Arc<dyn Clock>,
    rng: Arc<dyn Rng>,
}

/// Where keys are kept, and who is noted to have changed them.
#[derive(Clone)]
struct Store {
    repository: Arc<dyn KeyRepository>,
    actor: Actor,
}

/// Makes this node see what was written.
pub trait Visibility: Send + Sync {
    /// Returns when calls on this node see the store as it is at this version or later.
    ///
    /// # Errors
    ///
    /// The store cannot be read now. The write stands all the same.
    fn wait_until_visible(&self, version: Version) -> StoreFuture<'_, ()>;

    /// The state of the store that this node is at, or has just left for a later one; none if it is always at the latest.
    fn position(&self) -> Option<Position>;

    /// Returns when this node is at a state of the store other than this, be it later or, if the store was put back, earlier.
    ///
    /// # Errors
    ///
    /// The store cannot be read now.
    fn wait_until_not_at<'a>(&'a self, position: &'a Position) -> StoreFuture<'a, ()>;
}

impl MasterKeys {
    /// The keys of a store. `digester` has to be that of calls; `actor` is who the audit log says it was.
    pub fn new(repository: Arc<dyn KeyRepository>, digester: KeyDigester, actor: Actor) -> Self {
        Self { store: Some(Store { repository, actor }), ..Self::without_store(digester) }
    }

    /// No keys but those of the configuration file, which can be looked at and not changed.
    pub fn without_store(digester: KeyDigester) -> Self {
        Self {
            store: None,
            digester,
            file_keys: Arc::new(Vec::new),
            visibility: Arc::new(AlwaysVisible),
            clock: Arc::new(System),
            rng: Arc::new(System),
        }
    }

    /// With these keys of the configuration file beside them, asked for anew each time.
    pub fn with_file_keys(self, file_keys: impl Fn() -> Vec<FileKey> + Send + Sync + 'static) -> Self {
        Self { file_keys: Arc::new(file_keys), ..self }
    }

    /// Waiting for this node to see each write.
    pub fn with_visibility(self, visibility: Arc<dyn Visibility>) -> Self {
        Self { visibility, ..self }
    }

    /// With another clock than the system's.
    pub fn with_clock(self, clock: Arc<dyn Clock>) -> Self {
        Self { clock, ..self }
    }

    /// With other random numbers than the system's.
    pub fn with_rng(self, rng: Arc<dyn Rng>) -> Self {
        Self { rng, ..self }
    }

    /// Makes a key.
    ///
    /// # Errors
    ///
    /// A field is wrong, or what has to be unique is taken.
    pub async fn create(&self, request: CreateKey) -> Result<Issued, KeyError> {
        let store = self.store()?;
        let id = match &request.id {
            Some(id) => id.clone(),
            None => self.made_id()?,
        };
        let key = match &request.key {
            Some(key) => key.clone(),
            None => MintedKey::from_random(self.random()?).secret,
        };
        let record = record::new(&id, request, &key, self.digest(&key), self.now())?;
        self.refuse_rival_in_file(&record)?;
        let note = AuditEntry { after: audited(&record), ..store.note(Action::CreateKey, &id, record.created_at) };
        let view = KeyView::from(&record);
        let version = store.repository.write(&KeyChange::Insert(record), &note).await;
        let version = version.map_err(|error| KeyError::of_write(error, &id))?;
        if view.weak {
            tracing::warn!(id = &*id, "a key was supplied that is short enough to be guessed");
        }
        // The key can be told only now, so it is, whatever the reader of the store says.
        self.visibility.wait_until_visible(version).await.unwrap_or_else(|error| warn_not_live(&error));
        Ok(Issued { key, view })
    }

    /// The keys behind a cursor, or the first ones; at most `limit`, which is at least 1.
    ///
    /// # Errors
    ///
    /// The store did not answer.
    pub async fn list(&self, after: Option<&Cursor>, limit: u32) -> Result<KeyPage, KeyError> {
        let wanted = limit.max(1) as usize;
        let mut keys = match after {
            None => self.stored_behind(None, limit).await?,
            Some(Cursor::Store(id)) => self.stored_behind(Some(id), limit).await?,
            Some(Cursor::StoreEnd | Cursor::File(_)) => Vec::new(),
        };
        if keys.len() > wanted {
            keys.truncate(wanted);
            let next = keys.last().map(|last| Cursor::Store(last.id.clone()));
            return Ok(KeyPage { keys, next });
        }
        let mut files = self.sorted_file_keys();
        if let Some(Cursor::File(name)) = after {
            files.retain(|key| key.name > *name);
        }
        let room = wanted - keys.len();
        let last = files.get(..room).and_then(<[_]>::last).map(|last| Cursor::File(last.name.clone()));
        let next = (files.len() > room).then(|| last.unwrap_or(Cursor::StoreEnd));
        keys.extend(files.iter().take(room).map(KeyView::from));
        Ok(KeyPage { keys, next })
    }

    /// One key: the store's, or else the file's.
    ///
    /// # Errors
    ///
    /// There is none, or the store did not answer.
    pub async fn find(&self, id: &str) -> Result<KeyView, KeyError> {
        if let Some(record) = self.read(id).await? {
            return Ok(KeyView::from(&record));
        }
        let in_file = (self.file_keys)().into_iter().find(|key| key.name == id);
        in_file.as_ref().map(KeyView::from).ok_or_else(|| KeyError::NotFound { id: id.to_owned() })
    }

    /// Changes a key. If somebody else changes it at the same time, neither change is lost.
    ///
    /// # Errors
    ///
    /// There is no such key, it cannot be changed, or a field is wrong.
    pub async fn update(&self, id: &str, request: &UpdateKey) -> Result<KeyView, KeyError> {
        let change = |before: &KeyRecord, now| Ok(record::changed(before, request, now)?);
        let (after, version) = self.replace(id, Action::UpdateKey, change).await?;
        if let Some(version) = version {
            self.go_live(version).await?;
        }
        Ok(KeyView::from(&after))
    }

    /// Makes a new key in the place of the present one, which stays good for the overlap. Without an overlap, the one before
    /// that ends as well.
    ///
    /// # Errors
    ///
    /// There is no such key, it cannot be changed, a field is wrong, or the overlap of the last rotation is not over.
    pub async fn rotate(&self, id: &str, request: RotateKey) -> Result<Issued, KeyError> {
        let overlap = rule::overlap(request.overlap_secs)?;
        let key = MintedKey::from_random(self.random()?).secret;
        let digest = self.digest(&key);
        let change = |before: &KeyRecord, now| record::rotated(before, &key, digest, overlap, now);
        let (after, version) = self.replace(id, Action::RotateKey, change).await?;
        if let Some(version) = version {
            // As with a new key.
            self.visibility.wait_until_visible(version).await.unwrap_or_else(|error| warn_not_live(&error));
        }
        Ok(Issued { view: KeyView::from(&after), key })
    }

    /// Ends a key, also one whose row in the store makes no sense.
    ///
    /// # Errors
    ///
    /// There is no such key, or it is one of the configuration file.
    pub async fn remove(&self, id: &str) -> Result<(), KeyError> {
        let before = match self.stored(id).await {
            Ok(record) => audited(&record),
            Err(KeyError::Damaged { problem, .. }) => Some(audited_damage(id, &problem)),
            Err(error) => return Err(error),
        };
        let store = self.store()?;
        let note = AuditEntry { before, ..store.note(Action::DeleteKey, id, self.now()) };
        let removed = store.repository.write(&KeyChange::Remove(id.into()), &note).await;
        self.go_live(removed.map_err(|error| KeyError::of_write(error, id))?).await
    }

    /// What was done, the latest first, from before the entry of this number; at most `limit` entries.
    ///
    /// # Errors
    ///
    /// The store did not answer.
    pub async fn audit(&self, before: Option<i64>, limit: u32) -> Result<Vec<AuditRecord>, KeyError> {
        match &self.store {
            Some(store) => store.repository.audit(before, limit).await.map_err(KeyError::of_read),
            None => Ok(Vec::new()),
        }
    }

    /// Changes what is stored, and again if it has become something else meanwhile. No version if there was nothing to change.
    async fn replace(
        &self,
        id: &str,
        action: Action,
        change: impl Fn(&KeyRecord, Timestamp) -> Result<KeyRecord, KeyError>,
    ) -> Result<(KeyRecord, Option<Version>), KeyError> {
        for _ in 0..MAX_TRIES {
            let before = self.stored(id).await?;
            let now = self.now();
            let mut after = change(&before, now)?;
            if after == before {
                return Ok((after, None));
            }
            after.updated_at = now;
            let store = self.store()?;
            let note = AuditEntry { before: audited(&before), after: audited(&after), ..store.note(action, id, now) };
            match store.repository.write(&KeyChange::Replace(after.clone()), &note).await {
                Err(StoreError::Stale) => {}
                written => {
                    let version = written.map_err(|error| KeyError::of_write(error, id))?;
                    return Ok((after, Some(version)));
                }
            }
        }
        Err(KeyError::Contended)
    }

    fn store(&self) -> Result<&Store, KeyError> {
        self.store.as_ref().ok_or(KeyError::NoStore)
    }

    /// A key that can be changed.
    async fn stored(&self, id: &str) -> Result<KeyRecord, KeyError> {
        if let Some(record) = self.read(id).await? {
            return Ok(record);
        }
        let id = id.to_owned();
        let is_in_file = (self.file_keys)().iter().any(|key| key.name == id);
        Err(if is_in_file { KeyError::InFile { id } } else { KeyError::NotFound { id } })
    }

    async fn read(&self, id: &str) -> Result<Option<KeyRecord>, KeyError> {
        match &self.store {
            Some(store) => store.repository.key(id).await.map_err(KeyError::of_read),
            None => Ok(None),
        }
    }

    /// The store's keys behind an identifier: one more than `limit`, if there is, to know whether there is another page.
    async fn stored_behind(&self, id: Option<&str>, limit: u32) -> Result<Vec<KeyView>, KeyError> {
        let Some(store) = &self.store else { return Ok(Vec::new()) };
        let records = store.repository.keys(id, limit.max(1).saturating_add(1)).await.map_err(KeyError::of_read)?;
        Ok(records.iter().map(KeyView::from).collect())
    }

    fn refuse_rival_in_file(&self, record: &KeyRecord) -> Result<(), KeyError> {
        let files = (self.file_keys)();
        if files.iter().any(|key| key.name == *record.id) {
            return Err(KeyError::TakenId { id: record.id.to_string() });
        }
        if files.iter().any(|key| key.digest == record.digest) {
            return Err(KeyError::TakenKey);
        }
        Ok(())
    }

    fn sorted_file_keys(&self) -> Vec<FileKey> {
        let mut keys = (self.file_keys)();
        keys.sort_by(|one, other| one.name.cmp(&other.name));
        keys
    }

    async fn go_live(&self, version: Version) -> Result<(), KeyError> {
        self.visibility.wait_until_visible(version).await.map_err(|source| KeyError::NotLive { source })
    }

    fn digest(&self, key: &Secret) -> KeyDigest {
        self.digester.digest(key.expose().as_bytes())
    }

    fn made_id(&self) -> Result<String, KeyError> {
        let bits = self.random()?;
        Ok(key_id(std::array::from_fn(|index| bits[index])))
    }

    fn now(&self) -> Timestamp {
        rule::to_microsecond(self.clock.now())
    }

    fn random(&self) -> Result<[u8; 32], KeyError> {
        self.rng.random().map_err(KeyError::NoRandomness)
    }
}

impl Store {
    /// What is noted of something that is done to the key of this identifier.
    fn note(&self, action: Action, id: &str, at: Timestamp) -> AuditEntry {
        AuditEntry { at, actor: self.actor, action, object: id.into(), before: None, after: None }
    }
}

fn warn_not_live(error: &StoreError) {
    tracing::warn!(error = error.with_cause(), "a new key is stored, but this node cannot read it yet");
}

/// For who serves no calls.
pub(crate) struct AlwaysVisible;

impl Visibility for AlwaysVisible {
    fn wait_until_visible(&self, _: Version) -> StoreFuture<'_, ()> {
        Box::pin(async { Ok(()) })
    }

    fn position(&self) -> Option<Position> {
        None
    }

    fn wait_until_not_at<'a>(&'a self, _: &'a Position) -> StoreFuture<'a, ()> {
        Box::pin(async { Ok(()) })
    }
}

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
    AuditEntry, AuditRecord, KeyChange, KeyRecord, KeyRepository, MintedKey, Pending, StoreError, Version,
};
use gateway_secret::KeyDigester;
use jiff::Timestamp;

pub use error::KeyError;
pub use page::{Cursor, KeyPage};
pub use request::{BudgetForm, Change, CreateKey, RotateKey, UpdateKey, UpdateLimits};
pub(crate) use rule::missing;
pub use view::{BudgetView, FileKey, Issued, KeySource, KeyView};

use crate::surroundings::{Surroundings, SystemSurroundings};
use view::audited;

/// How often a change is made again to what somebody else has just changed.
const MAX_TRIES: usize = 8;

/// The keys of a store, and those of the configuration file beside them, for administrators.
#[derive(Clone)]
pub struct MasterKeys {
    /// None if there are only those of the file.
    repository: Option<Arc<dyn KeyRepository>>,
    digester: KeyDigester,
    actor: &'static str,
    file_keys: Arc<dyn Fn() -> Vec<FileKey> + Send + Sync>,
    refresh: Arc<dyn Refresh>,
    surroundings: Arc<dyn Surroundings>,
}

/// Makes this node see what was written.
pub trait Refresh: Send + Sync {
    /// Returns when calls on this node see the store as it is at this version or later.
    ///
    /// # Errors
    ///
    /// The store cannot be read now. The write stands all the same.
    fn refresh(&self, version: Version) -> Pending<'_, ()>;
}

impl MasterKeys {
    /// The keys of a store. `digester` has to be that of calls; `actor` is who the audit log says it was.
    pub fn new(repository: Arc<dyn KeyRepository>, digester: KeyDigester, actor: &'static str) -> Self {
        Self { repository: Some(repository), actor, ..Self::without_store(digester) }
    }

    /// No keys but those of the configuration file, which can be looked at and not changed.
    pub fn without_store(digester: KeyDigester) -> Self {
        Self {
            repository: None,
            digester,
            actor: "",
            file_keys: Arc::new(Vec::new),
            refresh: Arc::new(NoRefresh),
            surroundings: Arc::new(SystemSurroundings),
        }
    }

    /// With these keys of the configuration file beside them, asked for anew each time.
    pub fn with_file_keys(self, file_keys: impl Fn() -> Vec<FileKey> + Send + Sync + 'static) -> Self {
        Self { file_keys: Arc::new(file_keys), ..self }
    }

    /// Waiting for this node to see each write.
    pub fn with_refresh(self, refresh: Arc<dyn Refresh>) -> Self {
        Self { refresh, ..self }
    }

    /// With another clock and other random numbers than the system's.
    pub fn with_surroundings(self, surroundings: Arc<dyn Surroundings>) -> Self {
        Self { surroundings, ..self }
    }

    /// Makes a key.
    ///
    /// # Errors
    ///
    /// A field is wrong, or what has to be unique is taken.
    pub async fn create(&self, request: CreateKey) -> Result<Issued, KeyError> {
        let repository = self.repository.as_deref().ok_or(KeyError::NoStore)?;
        let key = match &request.key {
            Some(key) => key.clone(),
            None => MintedKey::from_random(self.random()?).secret,
        };
        let record = record::new(request, &key, self.digester.digest(key.expose().as_bytes()), &*self.surroundings)?;
        self.refuse_rival_in_file(&record)?;
        let note = self.note(("master_key.create", record.created_at), None, Some(&record));
        let id = Arc::clone(&record.id);
        let view = KeyView::from(&record);
        let version = repository.write(&KeyChange::Insert(record), &note).await;
        let version = version.map_err(|error| KeyError::of_write(error, &id))?;
        if view.weak {
            tracing::warn!(id = &*id, "a key was supplied that is short enough to be guessed");
        }
        // The key can be told only now, so it is, whatever the reader of the store says.
        self.refresh.refresh(version).await.unwrap_or_else(|error| warn_not_live(&error));
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
        let (after, version) = self.replace(id, "master_key.update", change).await?;
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
        let digest = self.digester.digest(key.expose().as_bytes());
        let change = |before: &KeyRecord, now| record::rotated(before, (&key, digest), overlap, now);
        let (after, version) = self.replace(id, "master_key.rotate", change).await?;
        if let Some(version) = version {
            // As with a new key.
            self.refresh.refresh(version).await.unwrap_or_else(|error| warn_not_live(&error));
        }
        Ok(Issued { view: KeyView::from(&after), key })
    }

    /// Ends a key.
    ///
    /// # Errors
    ///
    /// There is no such key, or it cannot be changed.
    pub async fn remove(&self, id: &str) -> Result<(), KeyError> {
        let (repository, before) = self.stored(id).await?;
        let note = self.note(("master_key.delete", self.now()), Some(&before), None);
        let removed = repository.write(&KeyChange::Remove(before.id), &note).await;
        self.go_live(removed.map_err(|error| KeyError::of_write(error, id))?).await
    }

    /// What was done, the latest first, from before the entry of this number; at most `limit` entries.
    ///
    /// # Errors
    ///
    /// The store did not answer.
    pub async fn audit(&self, before: Option<i64>, limit: u32) -> Result<Vec<AuditRecord>, KeyError> {
        match &self.repository {
            Some(repository) => repository.audit(before, limit).await.map_err(KeyError::Store),
            None => Ok(Vec::new()),
        }
    }

    /// Changes what is stored, and again if it has become something else meanwhile. No version if there was nothing to change.
    async fn replace(
        &self,
        id: &str,
        action: &'static str,
        change: impl Fn(&KeyRecord, Timestamp) -> Result<KeyRecord, KeyError>,
    ) -> Result<(KeyRecord, Option<Version>), KeyError> {
        for _ in 0..MAX_TRIES {
            let (repository, before) = self.stored(id).await?;
            let now = self.now();
            let mut after = change(&before, now)?;
            if after == before {
                return Ok((after, None));
            }
            after.updated_at = now;
            let note = self.note((action, now), Some(&before), Some(&after));
            match repository.write(&KeyChange::Replace(after.clone()), &note).await {
                Err(StoreError::Stale) => {}
                written => {
                    let version = written.map_err(|error| KeyError::of_write(error, id))?;
                    return Ok((after, Some(version)));
                }
            }
        }
        Err(KeyError::Contended)
    }

    /// A key that can be changed, and where.
    async fn stored(&self, id: &str) -> Result<(&dyn KeyRepository, KeyRecord), KeyError> {
        if let (Some(repository), Some(record)) = (self.repository.as_deref(), self.read(id).await?) {
            return Ok((repository, record));
        }
        let id = id.to_owned();
        let is_in_file = (self.file_keys)().iter().any(|key| key.name == id);
        Err(if is_in_file { KeyError::InFile { id } } else { KeyError::NotFound { id } })
    }

    async fn read(&self, id: &str) -> Result<Option<KeyRecord>, KeyError> {
        match &self.repository {
            Some(repository) => repository.key(id).await.map_err(KeyError::Store),
            None => Ok(None),
        }
    }

    /// The store's keys behind an identifier: one more than `limit`, if there is, to know whether there is another page.
    async fn stored_behind(&self, id: Option<&str>, limit: u32) -> Result<Vec<KeyView>, KeyError> {
        let Some(repository) = &self.repository else { return Ok(Vec::new()) };
        let records = repository.keys(id, limit.max(1).saturating_add(1)).await.map_err(KeyError::Store)?;
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
        self.refresh.refresh(version).await.map_err(|source| KeyError::NotLive { source })
    }

    fn note(
        &self,
        (action, at): (&'static str, Timestamp),
        before: Option<&KeyRecord>,
        after: Option<&KeyRecord>,
    ) -> AuditEntry {
        let object = after.or(before).map(|record| Arc::clone(&record.id));
        AuditEntry {
            at,
            actor: self.actor,
            action,
            object: object.unwrap_or_else(|| "".into()),
            before: before.and_then(audited),
            after: after.and_then(audited),
        }
    }

    fn now(&self) -> Timestamp {
        rule::to_microsecond(self.surroundings.now())
    }

    fn random(&self) -> Result<[u8; 32], KeyError> {
        self.surroundings.random().map_err(KeyError::NoRandomness)
    }
}

fn warn_not_live(error: &StoreError) {
    tracing::warn!(error = error as &dyn std::error::Error, "a new key is stored, but this node cannot read it yet");
}

/// For who serves no calls.
struct NoRefresh;

impl Refresh for NoRefresh {
    fn refresh(&self, _: Version) -> Pending<'_, ()> {
        Box::pin(async { Ok(()) })
    }
}

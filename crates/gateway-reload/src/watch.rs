//! Tells when files have changed, and their writers are done.
//!
//! Directories are watched, not files: a file that another has replaced is gone from its watch. A file is read when its writer
//! has closed it or has renamed it into its place, so nobody sees half of one; a writer that keeps it open counts as done when
//! it has been still for a while. Where the system says nothing, on a network file system or out of watches, a look at the
//! files four times a second has to do.

use std::collections::{BTreeMap, HashSet};
use std::fs::{File, Metadata};
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use gateway_secret::KeyDigest;
use notify::{RecommendedWatcher, RecursiveMode, Watcher};
use tokio::time::{Instant, timeout};

use crate::hops::hops;
use crate::looks::{Identity, Looks, identity};
use crate::pending::Pending;

/// How often to look where the system says nothing: on a network, or when a directory further up was replaced.
const LOOK: Duration = Duration::from_millis(250);
/// How long it has to be still behind a file that was closed or renamed: several of them often come together.
const QUIET: Duration = Duration::from_millis(15);
/// How long it has to be still behind a write whose end nobody tells, where nobody ever does.
const STALL: Duration = Duration::from_millis(250);
/// The same where the system tells when a writer has closed a file: this one keeps it open, or is slow.
const UNCLOSED: Duration = Duration::from_secs(5);
/// How long a file may be missing, as between the two renames of some editors.
const ABSENCE: Duration = Duration::from_millis(500);
/// When to say that somebody writes without end.
const PATIENCE: Duration = Duration::from_secs(10);
/// What is read of a file to know it, in bytes; more than any configuration may have.
const MAX_READ: u64 = 32 << 20;

/// Watches files. A file that is not there may come.
#[derive(Debug)]
pub struct FileWatch {
    files: Vec<PathBuf>,
    pending: Arc<Pending>,
    /// None where the system has no watches to give.
    watcher: Option<RecommendedWatcher>,
    /// The directories that are watched, and which ones they were at that time.
    directories: BTreeMap<PathBuf, Identity>,
    looks: Looks,
    /// None if nothing is known of them.
    contents: Option<Vec<Option<KeyDigest>>>,
}

impl FileWatch {
    /// Watches these files from now on. What they hold at first counts as a change.
    pub fn new(files: Vec<PathBuf>) -> Self {
        let pending = Arc::new(Pending::default());
        let heard = Arc::clone(&pending);
        let watcher = notify::recommended_watcher(move |event| heard.note(&event));
        let watcher = watcher.map_err(|error| {
            tracing::warn!(%error, "files cannot be watched; they are looked at now and then");
        });
        Self {
            files,
            pending,
            watcher: watcher.ok(),
            directories: BTreeMap::new(),
            looks: Looks::default(),
            contents: None,
        }
    }

    /// Watches other files from now on. What they hold at first counts as a change.
    pub fn set_files(&mut self, files: Vec<PathBuf>) {
        if files != self.files {
            self.files = files;
            self.forget();
        }
    }

    /// Returns when some file holds something else than it did when this last returned. Looks at files, which may take its
    /// time: not for a task that others wait for.
    pub async fn changed(&mut self) {
        loop {
            let mut is_told = false;
            if self.look() == self.looks {
                // An error says that it was still.
                is_told = timeout(LOOK, self.pending.stirred()).await.is_ok();
            }
            // Links may lead elsewhere by now, and directories may be others of the same name.
            self.watch_directories();
            if !is_told && self.look() == self.looks {
                continue;
            }
            let contents = Some(self.settled().await);
            if contents != self.contents {
                self.contents = contents;
                return;
            }
        }
    }

    /// What the files hold once nobody seems to be writing, however long that takes: half a file may be a good one.
    async fn settled(&mut self) -> Vec<Option<KeyDigest>> {
        let mut impatient_at = Some(Instant::now() + PATIENCE);
        loop {
            self.wait_for_writers().await;
            let before = self.look();
            let contents = self.files.iter().map(|file| digest(file)).collect();
            if self.look() == before && !self.pending.take().is_stirred {
                self.looks = before;
                return contents;
            }
            if impatient_at.is_some_and(|at| Instant::now() >= at) {
                tracing::warn!("a configuration file is being written all the time; it is read when that is over");
                impatient_at = None;
            }
        }
    }

    async fn wait_for_writers(&self) {
        let mut looks = self.look();
        loop {
            let seen = self.pending.take();
            let is_missing = looks.has_lost_any_of(&self.looks);
            let pause = match (seen.is_writing, &self.watcher) {
                _ if is_missing => ABSENCE,
                (false, Some(_)) => QUIET,
                (true, Some(_)) if cfg!(any(target_os = "linux", target_os = "android")) => UNCLOSED,
                _ => STALL,
            };
            let is_told = timeout(pause, self.pending.stirred()).await.is_ok();
            let after = self.look();
            if !is_told && after == looks {
                self.pending.give_up_on_writer();
                return;
            }
            looks = after;
        }
    }

    /// Takes whatever the files hold next for a change, be it what they held before.
    pub(crate) fn forget(&mut self) {
        self.contents = None;
        self.looks = Looks::default();
    }

    /// How the files looked when they were last found to be whole.
    pub(crate) fn looks(&self) -> &Looks {
        &self.looks
    }

    fn look(&self) -> Looks {
        Looks::at(&self.files)
    }

    /// Watches every directory on which it depends what the files are.
    fn watch_directories(&mut self) {
        let Some(watcher) = &mut self.watcher else { return };
        let entries: HashSet<PathBuf> = self.files.iter().flat_map(|file| hops(file)).collect();
        let wanted = entries.iter().filter_map(|entry| entry.parent());
        let wanted: BTreeMap<_, _> = wanted.filter_map(|it| Some((it.to_owned(), identity(it)?))).collect();
        self.pending.set_entries(entries);
        for (directory, _) in self.directories.iter().filter(|(path, id)| wanted.get(*path) != Some(*id)) {
            // It may be gone already, and its watch with it.
            drop(watcher.unwatch(directory));
        }
        let is_new = |(path, id): &(&PathBuf, &Identity)| self.directories.get(*path) != Some(*id);
        for (directory, _) in wanted.iter().filter(is_new) {
            if let Err(error) = watcher.watch(directory, RecursiveMode::NonRecursive) {
                tracing::warn!(%error, directory = %directory.display(), "a directory cannot be watched; its files are looked at now and then");
            }
        }
        self.directories = wanted;
    }
}

/// What a file holds; none if it cannot be read, or is something that may never end.
fn digest(file: &Path) -> Option<KeyDigest> {
    file.metadata().ok().filter(Metadata::is_file)?;
    let mut bytes = Vec::new();
    File::open(file).ok()?.take(MAX_READ).read_to_end(&mut bytes).ok()?;
    Some(KeyDigest::of(&bytes))
}

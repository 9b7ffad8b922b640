//! How files look from outside: enough to see that one is not what it was, without reading it.

use std::fs::{self, Metadata};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// Device and inode.
pub(crate) type Identity = (u64, u64);

/// Which directory is at a path; none if there is none.
pub(crate) fn identity(directory: &Path) -> Option<Identity> {
    fs::metadata(directory).ok().map(|metadata| (metadata.dev(), metadata.ino()))
}

/// How some files looked at one moment.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Looks(Vec<(PathBuf, Option<Look>)>);

/// Seconds and nanoseconds.
type Time = (i64, i64);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Look {
    identity: Identity,
    /// While a file is being written anew it is shorter than it was or will be.
    size: u64,
    written: Time,
    /// Also when its name was changed: a file that is renamed into its place may have been written long ago.
    changed: Time,
}

impl Looks {
    /// Looks at files.
    pub(crate) fn at(files: &[PathBuf]) -> Self {
        let look = |file: &PathBuf| (file.clone(), fs::metadata(file).ok().as_ref().map(Look::of));
        Self(files.iter().map(look).collect())
    }

    /// Whether the files still look like this.
    pub(crate) fn are_the_same(&self) -> bool {
        self.0.iter().all(|(file, look)| fs::metadata(file).ok().as_ref().map(Look::of) == *look)
    }

    /// Whether a file is missing that was there.
    pub(crate) fn has_lost_any_of(&self, before: &Self) -> bool {
        self.0.iter().zip(&before.0).any(|((_, now), (_, before))| now.is_none() && before.is_some())
    }
}

impl Look {
    fn of(metadata: &Metadata) -> Self {
        Self {
            identity: (metadata.dev(), metadata.ino()),
            size: metadata.len(),
            written: (metadata.mtime(), metadata.mtime_nsec()),
            changed: (metadata.ctime(), metadata.ctime_nsec()),
        }
    }
}

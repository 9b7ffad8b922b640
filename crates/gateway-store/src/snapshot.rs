//! The last good state of a store, in a file, for a start without the store.
//!
//! JSON lines: a head that says how many keys follow, then one key a line, digests only. The file is written beside and
//! then put in place, so that there is a whole one at any moment.

use std::fs::{self, File, OpenOptions};
use std::io::{self, BufRead, BufReader, BufWriter, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use gateway_keystore::{Changes, KeyRecord, RetiredKey, Version};
use gateway_ratelimit::RateLimit;
use gateway_secret::KeyDigest;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::json::{WrittenBudget, read_json, written_json};

/// How the lines are to be understood.
const FORMAT: u32 = 1;

/// The first line.
#[derive(Debug, Serialize, Deserialize)]
struct Head {
    format: u32,
    version: i64,
    keys: usize,
}

/// A key. Times are microseconds since the epoch, as in a store.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Line {
    id: String,
    name: String,
    digest: String,
    preview: String,
    is_weak: bool,
    previous: Option<(String, i64)>,
    allowed_models: Vec<String>,
    rate_limit: Option<RateLimit>,
    budget: Option<WrittenBudget>,
    expires_at: Option<i64>,
    is_enabled: bool,
    metadata: String,
    created_at: i64,
    updated_at: i64,
    last_used_at: Option<i64>,
    revision: i64,
}

/// Puts a state in the place of the one before.
pub(crate) fn write(path: &Path, state: &Changes) -> io::Result<()> {
    let beside = beside(path);
    let written = write_new(&beside, state).and_then(|()| fs::rename(&beside, path));
    if written.is_err() {
        // What is half written helps nobody; that it cannot be removed either is no news.
        let _ = fs::remove_file(&beside);
    }
    written?;
    // The new name is on the disk once its folder is.
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    File::open(folder)?.sync_all()
}

/// A name that another process does not take.
fn beside(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(format!(".{}", std::process::id()));
    PathBuf::from(name)
}

fn write_new(path: &Path, state: &Changes) -> io::Result<()> {
    let file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path)?;
    let mut out = BufWriter::new(file);
    let head = Head { format: FORMAT, version: state.version.0, keys: state.keys.len() };
    writeln!(out, "{}", written_json(&head))?;
    for key in &state.keys {
        serde_json::to_writer(&mut out, &Line::from(key))?;
        out.write_all(b"\n")?;
    }
    out.into_inner()?.sync_all()
}

/// The state that was last written; none if none ever was.
pub(crate) fn read(path: &Path) -> io::Result<Option<Changes>> {
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    let mut lines = BufReader::new(file).lines();
    let head = lines.next().transpose()?.unwrap_or_default();
    let head: Head = read_json(&head).map_err(io::Error::other)?;
    if head.format != FORMAT {
        return Err(io::Error::other(format!("it has format {}, this program knows {FORMAT}", head.format)));
    }
    let keys = lines.map(|line| key(&line?).map_err(io::Error::other)).collect::<io::Result<Vec<_>>>()?;
    if keys.len() != head.keys {
        return Err(io::Error::other(format!("it has {} of {} keys", keys.len(), head.keys)));
    }
    Ok(Some(Changes { version: Version(head.version), is_everything: true, keys, ..Changes::default() }))
}

impl From<&KeyRecord> for Line {
    fn from(key: &KeyRecord) -> Self {
        Self {
            id: key.id.to_string(),
            name: key.name.to_string(),
            digest: hex(&key.digest),
            preview: key.preview.clone(),
            is_weak: key.is_weak,
            previous: key.previous.map(|previous| (hex(&previous.digest), previous.valid_until.as_microsecond())),
            allowed_models: key.allowed_models.clone(),
            rate_limit: key.rate_limit.clone(),
            budget: key.budget.as_ref().map(WrittenBudget::from),
            expires_at: key.expires_at.map(Timestamp::as_microsecond),
            is_enabled: key.is_enabled,
            metadata: key.metadata.clone(),
            created_at: key.created_at.as_microsecond(),
            updated_at: key.updated_at.as_microsecond(),
            last_used_at: key.last_used_at.map(Timestamp::as_microsecond),
            revision: key.revision,
        }
    }
}

fn key(line: &str) -> Result<KeyRecord, String> {
    let line: Line = read_json(line)?;
    let previous = line
        .previous
        .map(|(digest, until)| Ok::<_, String>(RetiredKey { digest: unhex(&digest)?, valid_until: time(until)? }));
    Ok(KeyRecord {
        digest: unhex(&line.digest)?,
        previous: previous.transpose()?,
        budget: line.budget.map(TryInto::try_into).transpose()?,
        expires_at: line.expires_at.map(time).transpose()?,
        created_at: time(line.created_at)?,
        updated_at: time(line.updated_at)?,
        last_used_at: line.last_used_at.map(time).transpose()?,
        id: line.id.into(),
        name: line.name.into(),
        preview: line.preview,
        is_weak: line.is_weak,
        allowed_models: line.allowed_models,
        rate_limit: line.rate_limit,
        is_enabled: line.is_enabled,
        metadata: line.metadata,
        revision: line.revision,
    })
}

fn time(microseconds: i64) -> Result<Timestamp, String> {
    Timestamp::from_microsecond(microseconds).map_err(|error| error.to_string())
}

fn hex(digest: &KeyDigest) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let digit = |value: u8| char::from(DIGITS[usize::from(value & 0xF)]);
    digest.as_bytes().iter().flat_map(|byte| [digit(byte >> 4), digit(*byte)]).collect()
}

fn unhex(text: &str) -> Result<KeyDigest, String> {
    let byte = |pair: &[u8]| std::str::from_utf8(pair).ok().and_then(|pair| u8::from_str_radix(pair, 16).ok());
    let bytes = text.as_bytes().chunks(2).map(byte).collect::<Option<Vec<_>>>();
    let bytes = bytes.and_then(|bytes| <[u8; 32]>::try_from(bytes).ok());
    bytes.map(KeyDigest::from_bytes).ok_or_else(|| "a digest is not 64 hexadecimal digits".to_owned())
}

#[cfg(test)]
mod tests;

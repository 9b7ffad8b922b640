//! A file of lines, each under a checksum, to which lines are appended.
//!
//! A checksum is that of the line and of the one before, and so of all lines before: SHA-256, or HMAC-SHA-256 under the
//! pepper of the keys if there is one. Damage, a line that was changed and lines that were moved or left out all show. That
//! the file ends earlier than it did does not show, unless it ends within what was written as a whole.
//!
//! Nodes may share the file, as those on one machine do that share an SQLite file, or two while one replaces the other. One
//! of them holds a lock on it and writes it (flock, which ends with the process); the others can read it.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, BufRead, BufReader, BufWriter, Read, Seek, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use gateway_secret::{KeyDigest, KeyDigester};

use super::line::{Head, Line, read_line};
use crate::hex::hex;
use crate::json::written_json;

/// How the lines are to be understood. Format 2 had no settings and did not say of which store it was; it can be read.
pub(super) const FORMAT: u32 = 3;
const FORMER: u32 = 2;
/// How much may be appended to a file before it is worth the while to write it anew, however short it was.
const FLOOR: u64 = 1 << 20;

/// How long a head may be, in bytes: it names a place, which is a path or a host.
const LONGEST_HEAD: u64 = 64 * 1024;
/// When a draft that nobody holds has been left behind.
const ABANDONED: Duration = Duration::from_mins(1);

/// A file that lines can be appended to.
#[derive(Debug)]
pub(super) struct Log {
    path: PathBuf,
    file: File,
    chain: Chain,
    /// How long it was when it was written as a whole, in bytes,
    whole: u64,
    /// and how much has come to it since.
    appended: u64,
}

/// Of which store a file is.
#[derive(Debug, Clone, Copy)]
pub(super) struct Origin<'a> {
    /// Its identifier.
    pub(super) store: &'a str,
    /// Where it is.
    pub(super) place: &'a str,
}

/// A file that was read.
#[derive(Debug)]
pub(super) enum Found {
    /// Ready to be appended to.
    Own(Box<Log>),
    /// Another process writes it.
    Anothers,
}

/// A file that is not in its place yet. Dropping it removes it.
#[derive(Debug)]
pub(super) struct Draft {
    beside: PathBuf,
    log: Option<Log>,
    store: String,
}

impl Draft {
    /// Puts the file in its place, with what has changed since it was begun.
    /// `before` is the one that this process has there. Fails as [`is_anothers`] says if another process has one there.
    /// One of another store is kept beside.
    pub(super) fn publish(mut self, before: Option<&Log>, meanwhile: &[Line]) -> io::Result<Log> {
        let mut log = self.log.take().ok_or(io::ErrorKind::NotFound)?;
        if before.is_none_or(|before| !before.is_in_place()) && is_anothers(&log.path) {
            return Err(io::ErrorKind::ResourceBusy.into());
        }
        log.extend(meanwhile, true)?;
        set_aside(&log.path, &self.store)?;
        fs::rename(&self.beside, &log.path)?;
        // The new name is on the disk once its folder is.
        File::open(folder_of(&log.path))?.sync_all()?;
        Ok(log)
    }
}

impl Drop for Draft {
    fn drop(&mut self) {
        // What is half written helps nobody. That it cannot be removed, or is in its place by now, is no news.
        let _ = fs::remove_file(&self.beside);
    }
}

/// The checksum so far.
#[derive(Debug)]
struct Chain {
    digester: KeyDigester,
    last: KeyDigest,
}

impl Chain {
    fn begin(digester: &KeyDigester) -> Self {
        Self { digester: digester.clone(), last: digester.digest(b"") }
    }

    fn next(&self, text: &[u8]) -> KeyDigest {
        self.digester.digest(&[self.last.as_bytes(), text].concat())
    }

    /// The line as it is in the file.
    fn seal(&mut self, line: &Line) -> String {
        let text = written_json(line);
        self.last = self.next(text.as_bytes());
        format!("{} {text}\n", hex(self.last.as_bytes()))
    }

    /// What a line of the file says.
    fn open<'a>(&mut self, sealed: &'a [u8]) -> Result<&'a [u8], String> {
        let (checksum, text) = sealed.split_at_checked(64).ok_or("is cut off")?;
        let text = text.strip_prefix(b" ").and_then(|text| text.strip_suffix(b"\n")).ok_or("is cut off")?;
        let expected = self.next(text);
        if hex(expected.as_bytes()).as_bytes() != checksum {
            return Err("is not what was written, or was written under another KEY_PEPPER".to_owned());
        }
        self.last = expected;
        Ok(text)
    }
}

impl Log {
    /// Writes a file beside, to be put in the place of the one before when it is whole, so that there is a whole one at any
    /// moment.
    pub(super) fn draft(path: &Path, digester: &KeyDigester, of: Origin<'_>, lines: Vec<Line>) -> io::Result<Draft> {
        let mut draft = Draft { beside: beside(path), log: None, store: of.store.to_owned() };
        let (store, place) = (Some(of.store.to_owned()), Some(of.place.to_owned()));
        let head = Line::Head(Head { format: FORMAT, lines: lines.len() as u64, store, place });
        let (file, chain) = write(&draft.beside, digester, [head].into_iter().chain(lines))?;
        let whole = file.metadata()?.len();
        draft.log = Some(Self { path: path.to_owned(), file, chain, whole, appended: 0 });
        Ok(draft)
    }

    /// Reads what is there, line by line; none if there is no file. A last line that has no end was not finished by a
    /// process that crashed, which has told nobody of it: it is removed. There is nothing to append to if the file is
    /// another process's.
    pub(super) fn open(
        path: &Path,
        digester: &KeyDigester,
        mut take: impl FnMut(&[u8]) -> Result<(), String>,
    ) -> io::Result<Option<Found>> {
        let file = match OpenOptions::new().read(true).append(true).open(path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        };
        let is_anothers = matches!(file.try_lock(), Err(TryLockError::WouldBlock));
        let mut reader = BufReader::new(&file);
        let mut chain = Chain::begin(digester);
        let (mut sound, mut whole, mut line) = (0, 0, Vec::new());
        let mut say = |line: &[u8], number: u64| {
            chain.open(line).and_then(&mut take).map_err(|problem| io::Error::other(format!("line {number} {problem}")))
        };
        reader.read_until(b'\n', &mut line)?;
        let (mut number, lines) = (0, head(&line).map_err(io::Error::other)?);
        while number <= lines || line.ends_with(b"\n") {
            number += 1;
            say(&line, number)?;
            sound += line.len() as u64;
            if number == lines + 1 {
                whole = sound;
            }
            line.clear();
            reader.read_until(b'\n', &mut line)?;
        }
        if is_anothers {
            return Ok(Some(Found::Anothers));
        }
        file.set_len(sound)?;
        (&file).seek(io::SeekFrom::End(0))?;
        let log = Self { path: path.to_owned(), file, chain, whole, appended: sound - whole };
        Ok(Some(Found::Own(Box::new(log))))
    }

    /// Appends lines. If they are to be `durable`, they survive a power cut from then on, otherwise only the process's end.
    /// After an error the file must not be appended to any more.
    pub(super) fn append(&mut self, lines: &[Line], durable: bool) -> io::Result<()> {
        if self.is_in_place() {
            return self.extend(lines, durable);
        }
        if is_anothers(&self.path) {
            return Err(io::ErrorKind::ResourceBusy.into());
        }
        Err(io::Error::other("it was deleted or replaced"))
    }

    fn is_in_place(&self) -> bool {
        let (named, open) = (fs::metadata(&self.path), self.file.metadata());
        named
            .and_then(|named| Ok((named.dev(), named.ino()) == open.map(|open| (open.dev(), open.ino()))?))
            .unwrap_or(false)
    }

    fn extend(&mut self, lines: &[Line], durable: bool) -> io::Result<()> {
        let sealed: String = lines.iter().map(|line| self.chain.seal(line)).collect();
        self.file.write_all(sealed.as_bytes())?;
        self.appended += sealed.len() as u64;
        if durable { self.file.sync_data() } else { Ok(()) }
    }

    /// Whether it has grown to more than twice of what there is to say.
    pub(super) fn is_long(&self) -> bool {
        self.appended > self.whole.max(FLOOR)
    }
}

/// Whether another process has a file there that it writes.
pub(super) fn is_anothers(path: &Path) -> bool {
    File::open(path).is_ok_and(|file| matches!(file.try_lock(), Err(TryLockError::WouldBlock)))
}

/// How many lines follow the first one at least.
fn head(line: &[u8]) -> Result<u64, String> {
    let (_, text) = line.split_at_checked(65).ok_or("it has no head")?;
    match read_line(text)? {
        Line::Head(Head { format: FORMAT | FORMER, lines, .. }) => Ok(lines),
        Line::Head(Head { format, .. }) => Err(format!("it has format {format}, this program knows {FORMAT}")),
        _ => Err("it has no head".to_owned()),
    }
}

/// What the file that is there says of itself, without looking whether that is what was written. None if there is no file or
/// it says nothing.
pub(super) fn head_of(path: &Path) -> Option<Head> {
    let mut line = Vec::new();
    BufReader::new(File::open(path).ok()?).take(LONGEST_HEAD).read_until(b'\n', &mut line).ok()?;
    match read_line(line.split_at_checked(65)?.1).ok()? {
        Line::Head(head) => Some(head),
        _ => None,
    }
}

/// Keeps the file of another store under another name, where nobody looks for it but people: it may be the only place where
/// its keys still are.
fn set_aside(path: &Path, store: &str) -> io::Result<()> {
    let Some(other) = head_of(path).and_then(|head| head.store).filter(|other| other != store) else {
        return Ok(());
    };
    let mut aside = path.as_os_str().to_owned();
    let name: String = other.chars().filter(char::is_ascii_alphanumeric).take(8).collect();
    aside.push(format!(".of-{name}"));
    let aside = PathBuf::from(aside);
    fs::rename(path, &aside)?;
    tracing::warn!(
        path = %path.display(), kept = %aside.display(),
        "the last good state was that of another store; it is kept under another name"
    );
    Ok(())
}

/// Removes the drafts of processes that have ended in the middle of writing them.
pub(super) fn clear_away_drafts(path: &Path) -> io::Result<()> {
    let prefix = [path.file_name().unwrap_or_default().as_bytes(), b"."].concat();
    for entry in fs::read_dir(folder_of(path))? {
        let entry = entry?;
        let name = entry.file_name();
        let is_draft = name.as_bytes().strip_prefix(&*prefix).is_some_and(is_draft);
        // One that was just begun may not be locked yet.
        let is_old =
            || entry.metadata()?.modified()?.elapsed().map_or(Ok(false), |age| io::Result::Ok(age > ABANDONED));
        if is_draft && is_old()? && !is_anothers(&entry.path()) {
            fs::remove_file(entry.path())?;
        }
    }
    Ok(())
}

/// Whether a name ends as [`beside`] has it.
fn is_draft(end: &[u8]) -> bool {
    let is_number = |part: &[u8]| !part.is_empty() && part.iter().all(u8::is_ascii_digit);
    let mut parts = end.split(|byte| *byte == b'.');
    parts.clone().count() == 2 && parts.all(is_number)
}

fn folder_of(path: &Path) -> &Path {
    path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// A name that nobody else takes: in containers, all processes have the same number.
fn beside(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(format!(".{}.{}", std::process::id(), fastrand::u64(..)));
    PathBuf::from(name)
}

fn write(path: &Path, digester: &KeyDigester, lines: impl Iterator<Item = Line>) -> io::Result<(File, Chain)> {
    // A file that a crash has left there is written over.
    let _ = fs::remove_file(path);
    let file = OpenOptions::new().append(true).create_new(true).mode(0o600).open(path)?;
    // Nobody knows of it yet, so an error says that there are no locks here.
    let _ = file.try_lock();
    let mut out = BufWriter::new(file);
    let mut chain = Chain::begin(digester);
    for line in lines {
        out.write_all(chain.seal(&line).as_bytes())?;
    }
    let file = out.into_inner()?;
    file.sync_all()?;
    Ok((file, chain))
}

use std::fs::{self, File};
use std::sync::atomic::AtomicI64;

use gateway_keystore::{KeyRecord, RetiredKey};
use gateway_ratelimit::{Budget, BudgetPeriod, NanoUsd, RateLimit};
use gateway_secret::{KeyDigest, Secret};
use proptest::prelude::*;
use tempfile::TempDir;

use super::*;

mod settings;
mod whose;

fn everything() -> Changes {
    let time = |microsecond| Timestamp::from_microsecond(microsecond).unwrap();
    let full = KeyRecord {
        id: "full".into(),
        name: "Ключ \"1\"\n".into(),
        digest: KeyDigest::of(b"full"),
        preview: "sk-gw-AbC…xyz".to_owned(),
        is_weak: true,
        previous: Some(RetiredKey { digest: KeyDigest::of(b"previous"), valid_until: time(1) }),
        allowed_models: vec!["gpt-*".to_owned()],
        rate_limit: Some(RateLimit { max_concurrent: Some(0), ..RateLimit::default() }),
        budget: Some(Budget { limit: NanoUsd(12_345_678_901), period: BudgetPeriod::Day }),
        expires_at: Some(time(i64::from(u32::MAX))),
        is_enabled: false,
        metadata: r#"{"a":{"b":[1,"\n"]}}"#.to_owned(),
        created_at: time(-1),
        updated_at: time(2),
        last_used_at: Some(time(3)),
        revision: 7,
    };
    let plain = KeyRecord {
        id: "plain".into(),
        previous: None,
        rate_limit: None,
        budget: None,
        expires_at: None,
        last_used_at: None,
        metadata: "{}".to_owned(),
        ..full.clone()
    };
    Changes { position: at(42), is_everything: true, keys: vec![full, plain], ..Changes::default() }
}

fn snapshot(folder: &TempDir) -> Snapshot {
    snapshot_of(folder, KeyDigester::default())
}

fn snapshot_of(folder: &TempDir, digester: KeyDigester) -> Snapshot {
    Snapshot::new(folder.path().join("keys"), digester, "here".to_owned(), Sealing::default())
}

/// A state of the one store that there is.
fn at(version: i64) -> Position {
    Position { version: Version(version), store: "store".into(), token: version.to_string().into() }
}

/// What a start without the store would serve.
fn keys_in(folder: &TempDir) -> Changes {
    snapshot(folder).read(Wanted::Everything, None).unwrap().unwrap().everything.unwrap()
}

/// Writes the whole anew, from a store that is read now.
fn rewrite(snapshot: &Snapshot, everything: &Changes) {
    snapshot.begin();
    snapshot.rewrite(everything);
}

fn change(version: i64, keys: Vec<KeyRecord>, removed: &[&str]) -> Changes {
    let removed = removed.iter().map(|id| Arc::from(*id)).collect();
    Changes { position: at(version), keys, removed, ..Changes::default() }
}

fn spend(account: &str, amount: u64) -> Spend {
    let window = BudgetWindow { period: BudgetPeriod::Total, start: Timestamp::UNIX_EPOCH };
    Spend { account: account.into(), window, amount: NanoUsd(amount) }
}

#[test]
fn what_was_written_is_read() {
    let folder = tempfile::tempdir().unwrap();
    assert!(snapshot(&folder).read(Wanted::Everything, None).unwrap().is_none());
    for keys in [2, 1, 0] {
        let state = Changes { keys: everything().keys[..keys].to_vec(), ..everything() };
        snapshot(&folder).follow(&state);
        let found = keys_in(&folder);
        assert!(found.keys == state.keys && found.position.version == state.position.version && found.is_everything);
    }
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
}

#[test]
fn what_has_changed_is_there_as_soon_as_it_was_followed() {
    let folder = tempfile::tempdir().unwrap();
    let running = snapshot(&folder);
    let [full, plain]: [KeyRecord; 2] = everything().keys.try_into().unwrap();
    running.follow(&everything());
    let disabled = KeyRecord { is_enabled: false, revision: 8, ..plain };
    let read = || keys_in(&folder);
    running.follow(&change(43, vec![disabled.clone()], &["full"]));
    assert!(read().keys == [disabled] && read().position.version == Version(43));
    running.follow(&Changes { unreadable: vec![("plain".into(), "nonsense".into())], ..change(44, vec![], &[]) });
    assert!(read().keys.is_empty(), "what cannot be read is not served");
    running.follow(&change(45, vec![full.clone()], &[]));
    assert!(read().keys == [full]);
    running.begin();
    running.follow(&change(46, vec![], &["full"]));
    running.follow(&change(47, vec![], &["plain"]));
    running.rewrite(&Changes { position: at(46), ..everything() });
    assert!(
        read().keys == everything().keys[..1] && read().position.version == Version(47),
        "only what came after the reading is done again"
    );
    running.rewrite(&Changes { position: at(46), ..everything() });
    assert_eq!(read().position.version, Version(47), "nobody knows what has changed since");
    running.begin();
    running.give_up();
    running.rewrite(&Changes { position: at(46), ..everything() });
    assert_eq!(read().position.version, Version(47));
}

#[test]
fn what_changes_before_there_is_time_to_write_it_all_is_there_too() {
    let folder = tempfile::tempdir().unwrap();
    snapshot(&folder).follow(&everything());
    // The store was put back to an earlier version meanwhile.
    let next = snapshot(&folder);
    next.read(Wanted::Everything, None).unwrap();
    next.begin();
    next.follow(&change(8, vec![], &["full"]));
    assert_eq!(keys_in(&folder).keys.len(), 1);
    assert!(next.wants_rewriting());
    next.rewrite(&Changes { position: at(8), keys: vec![], ..everything() });
    let found = keys_in(&folder);
    assert!(found.position.version == Version(8) && found.keys.is_empty() && !next.wants_rewriting());
}

#[test]
fn who_has_the_keys_reads_what_was_spent_and_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    let before = snapshot(&folder);
    before.follow(&everything());
    before.note_spending(&[spend("a", 1)], Some(&[spend("b", 2)]));
    drop(before);
    let next = snapshot(&folder);
    let found = next.read(Wanted::Spending, None).unwrap().unwrap();
    assert!(found.everything.is_none(), "they are not read twice");
    assert_eq!((found.recorded, found.unrecorded), (vec![spend("a", 1)], vec![spend("b", 2)]));
    next.follow(&change(43, vec![], &["full"]));
    drop(next);
    let found = snapshot(&folder).read(Wanted::Everything, None).unwrap().unwrap();
    assert!(found.everything.is_some_and(|keys| keys.keys.len() == 1 && keys.position.version == Version(43)));
    assert_eq!(found.unrecorded, [spend("b", 2)]);
}

#[test]
fn what_a_crash_has_left_half_written_is_removed() {
    let folder = tempfile::tempdir().unwrap();
    let running = snapshot(&folder);
    running.follow(&everything());
    for name in ["keys.12.3", "keys.12.3.old", "keys.old", "other.1.2"] {
        let file = File::create(folder.path().join(name)).unwrap();
        file.set_modified(std::time::SystemTime::UNIX_EPOCH).unwrap();
    }
    fs::write(folder.path().join("keys.1.1"), "just begun").unwrap();
    let written = File::create(folder.path().join("keys.4.5")).unwrap();
    written.set_modified(std::time::SystemTime::UNIX_EPOCH).unwrap();
    written.lock().unwrap();
    assert_eq!(keys_in(&folder).position.version, Version(42));
    let mut left: Vec<_> = fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    left.sort();
    assert_eq!(left, ["keys", "keys.1.1", "keys.12.3.old", "keys.4.5", "keys.old", "other.1.2"]);
}

/// Somebody writes it all, and somebody else goes on.
#[test]
fn what_changes_while_it_is_written_is_not_lost() {
    let folder = tempfile::tempdir().unwrap();
    // The store has a change before anybody is told.
    let removed = AtomicI64::new(0);
    let everything = |removed: i64| {
        let key = |number: i64| KeyRecord::unlimited(&number.to_string(), KeyDigest::of(&number.to_le_bytes()));
        let keys = (removed..300).map(key).collect();
        Changes { position: at(1000 + removed), is_everything: true, keys, ..Changes::default() }
    };
    let running = snapshot(&folder);
    running.follow(&everything(0));
    std::thread::scope(|scope| {
        let write = |_| {
            running.begin();
            running.rewrite(&everything(removed.load(Ordering::SeqCst)));
        };
        let writer = scope.spawn(move || (0..20).for_each(write));
        for number in 0..100 {
            removed.store(number + 1, Ordering::SeqCst);
            running.follow(&change(1001 + number, vec![], &[&number.to_string()]));
            let found = keys_in(&folder);
            let is_there = |id: i64| found.keys.iter().any(|key| *key.id == *id.to_string());
            assert!((0..=number).all(|id| !is_there(id)) && is_there(299), "{number}");
        }
        writer.join().unwrap();
    });
}

#[test]
fn what_was_spent_is_there_until_its_window_is_over() {
    let folder = tempfile::tempdir().unwrap();
    let running = snapshot(&folder);
    running.follow(&everything());
    let yesterday = Timestamp::now().checked_sub(jiff::SignedDuration::from_hours(24)).unwrap();
    let over = Spend { window: BudgetPeriod::Day.window(yesterday), ..spend("a", 1) };
    running.note_spending(&[spend("a", 5), over.clone()], Some(&[spend("a", 2), spend("b", 3)]));
    let read = || {
        let found = snapshot(&folder).read(Wanted::Everything, None).unwrap().unwrap();
        (found.recorded, found.unrecorded)
    };
    assert_eq!(
        read(),
        (vec![over.clone(), spend("a", 5)], vec![]),
        "what a running process has spent it records itself"
    );
    running.release();
    assert_eq!(read(), (vec![over, spend("a", 5)], vec![spend("a", 2), spend("b", 3)]));
    let running = snapshot(&folder);
    running.read(Wanted::Everything, None).unwrap();
    running.note_spending(&[spend("a", 7)], Some(&[spend("b", 3)]));
    running.release();
    assert_eq!(read().1, [spend("b", 3)]);
    // All at once, and by a process that knows of it from the file alone.
    let next = snapshot(&folder);
    next.read(Wanted::Everything, None).unwrap();
    next.follow(&everything());
    next.release();
    assert_eq!(read(), (vec![spend("a", 7)], vec![spend("b", 3)]));
}

#[test]
fn half_a_line_at_the_end_is_dropped_and_no_other() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("keys");
    let running = snapshot(&folder);
    running.follow(&everything());
    let whole = fs::read(&path).unwrap();
    running.follow(&change(43, vec![], &["full"]));
    running.release();
    let longer = fs::read(&path).unwrap();
    let removed = whole.len() + longer[whole.len()..].iter().position(|byte| *byte == b'\n').unwrap() + 1;
    for length in 0..longer.len() {
        fs::write(&path, &longer[..length]).unwrap();
        let found = snapshot(&folder).read(Wanted::Everything, None);
        if length < whole.len() {
            assert!(found.is_err(), "{length}");
            continue;
        }
        let found = found.unwrap().unwrap().everything.unwrap();
        assert_eq!(
            (found.position.version, found.keys.len()),
            (Version(42), if length < removed { 2 } else { 1 }),
            "{length}"
        );
        // Who goes on writing begins a line of his own.
        let next = snapshot(&folder);
        next.read(Wanted::Everything, None).unwrap();
        next.follow(&change(44, vec![], &["plain"]));
        assert_eq!(keys_in(&folder).position.version, Version(44), "{length}");
        next.release();
    }
}

#[test]
fn another_pepper_makes_it_unreadable() {
    let folder = tempfile::tempdir().unwrap();
    let under = |pepper: &str| {
        snapshot_of(&folder, KeyDigester::peppered(&Secret::from(pepper))).read(Wanted::Everything, None).map(|_| ())
    };
    snapshot_of(&folder, KeyDigester::peppered(&Secret::from("one"))).follow(&everything());
    assert!(under("one").is_ok());
    assert!(under("two").unwrap_err().to_string().contains("KEY_PEPPER"));
    assert!(snapshot(&folder).read(Wanted::Everything, None).is_err());
}

#[test]
fn of_several_processes_one_writes_it() {
    let folder = tempfile::tempdir().unwrap();
    let (one, other) = (snapshot(&folder), snapshot(&folder));
    let version = || keys_in(&folder).position.version.0;
    one.follow(&everything());
    assert_eq!(
        other.read(Wanted::Everything, None).unwrap().unwrap().everything.unwrap().position.version,
        Version(42),
        "it can be read"
    );
    other.follow(&Changes { position: at(50), ..everything() });
    other.follow(&change(51, vec![], &["full"]));
    assert!(version() == 42 && !other.is_failing() && !other.is_kept() && !other.wants_rewriting());
    one.follow(&change(43, vec![], &["full"]));
    rewrite(&one, &Changes { position: at(44), ..everything() });
    assert!(version() == 44 && one.is_kept());
    one.release();
    assert!(other.wants_rewriting());
    rewrite(&other, &Changes { position: at(52), ..everything() });
    one.follow(&change(53, vec![], &["full"]));
    assert!(version() == 52 && other.is_kept() && !one.is_kept());
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
}

#[test]
fn what_a_process_leaves_behind_is_taken_over_by_the_one_beside_it() {
    let folder = tempfile::tempdir().unwrap();
    let (one, other) = (snapshot(&folder), snapshot(&folder));
    one.follow(&everything());
    one.note_spending(&[spend("a", 1)], Some(&[spend("a", 2), spend("b", 3)]));
    assert_eq!(other.read(Wanted::Everything, None).unwrap().unwrap().unrecorded, []);
    other.note_spending(&[spend("a", 1)], Some(&[spend("a", 7)]));
    assert_eq!(other.take_inherited(), [], "it is still there to record it");
    one.release();
    // Before anybody has had the time to write it all anew.
    other.follow(&change(43, vec![], &["full"]));
    assert_eq!(keys_in(&folder).position.version, Version(43));
    assert_eq!(other.take_inherited(), [spend("a", 2), spend("b", 3)]);
    assert_eq!(other.take_inherited(), []);
    // What it had spent itself is to be recorded, together with that.
    other.note_spending(&[], Some(&[spend("a", 9), spend("b", 3)]));
    other.release();
    let unrecorded = || snapshot(&folder).read(Wanted::Spending, None).unwrap().unwrap().unrecorded;
    assert_eq!(unrecorded(), [spend("a", 9), spend("b", 3)]);
    let next = snapshot(&folder);
    next.read(Wanted::Spending, None).unwrap();
    next.note_spending(&[spend("a", 10), spend("b", 3)], Some(&[]));
    drop(next);
    assert_eq!(unrecorded(), []);
}

proptest! {
    /// Whatever byte is another, and whatever line is missing, moved or there twice: it shows.
    #[test]
    fn what_is_not_what_was_written_is_not_read(at in any::<prop::sample::Index>(), other in any::<u8>(), way in 0..4) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("keys");
        let running = snapshot(&folder);
        running.follow(&everything());
        running.follow(&change(43, vec![], &["full"]));
        running.note_spending(&[spend("a", 5)], Some(&[spend("b", 6)]));
        let sound = fs::read(&path).unwrap();
        let mut lines: Vec<_> = sound.split_inclusive(|byte| *byte == b'\n').map(<[u8]>::to_vec).collect();
        // The very last one may go.
        let line = at.index(lines.len() - 1);
        match way {
            0 => drop(lines.remove(line)),
            1 => lines.swap(line, line + 1),
            2 => lines.insert(line, lines[line].clone()),
            _ => {
                let byte = at.index(lines[line].len());
                prop_assume!(lines[line][byte] != other);
                lines[line][byte] = other;
            }
        }
        fs::write(&path, lines.concat()).unwrap();
        prop_assert!(snapshot(&folder).read(Wanted::Everything, None).is_err());
    }
}

#[test]
fn a_file_that_cannot_be_written_is_written_anew_when_it_can_be() {
    let folder = tempfile::tempdir().unwrap();
    let home = folder.path().join("home");
    let running = Snapshot::new(home.join("keys"), KeyDigester::default(), "here".to_owned(), Sealing::default());
    running.follow(&everything());
    assert!(running.is_failing() && running.wants_rewriting());
    fs::create_dir(&home).unwrap();
    rewrite(&running, &everything());
    assert!(!running.is_failing() && !running.wants_rewriting());
    // A folder that is gone takes nothing more, although the file is open.
    fs::remove_dir_all(&home).unwrap();
    running.follow(&change(43, vec![], &["full"]));
    assert!(running.is_failing() && running.wants_rewriting());
    // A folder cannot be replaced by a file either, and nothing half written is left.
    fs::create_dir_all(home.join("keys")).unwrap();
    rewrite(&running, &Changes { position: at(43), ..everything() });
    assert!(running.is_failing());
    assert_eq!(fs::read_dir(&home).unwrap().count(), 1);
}

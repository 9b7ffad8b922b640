//! `keys create`: a key that is printed this once.

use gateway_testing::{Folder, Run};
use serde_json::{Value, json};

/// Every option that there is.
const EVERYTHING: &str = "\
    keys create --json --name team --id team-a.1 --allowed-model gpt-* --allowed-model o3 \
    --requests-per-second 5 --burst-size 9 --requests-per-minute 100 --tokens-per-minute 0 --max-concurrent 3 \
    --limit 1000 --period-seconds 3600 --budget-usd 12.5 --budget-period month \
    --expires-at 2999-01-31T00:00:00+01:00 --disabled --metadata {\"centre\":7}";

/// The last word of the line that begins with this one.
pub(crate) fn word(run: &Run, name: &str) -> String {
    let line = run.stdout.lines().find(|line| line.starts_with(&format!("{name} ")));
    let line = line.unwrap_or_else(|| panic!("no {name} in {run:?}"));
    line.split_whitespace().last().unwrap().to_owned()
}

/// What a command prints as JSON. Panics if it fails.
pub(crate) fn printed(run: &Run) -> Value {
    assert_eq!(run.code, Some(0), "{run:?}");
    serde_json::from_str(&run.stdout).unwrap_or_else(|error| panic!("{error} in {run:?}"))
}

pub(crate) fn list(folder: &Folder) -> Vec<Value> {
    printed(&folder.run(&["keys", "list", "--json"], &[])).as_array().unwrap().clone()
}

#[test]
fn a_key_is_printed_once_and_kept_nowhere() {
    let folder = Folder::empty();
    let run = folder.run(&["keys", "create", "--name", "Team Ä"], &[]);
    assert_eq!(run.code, Some(0), "{run:?}");
    let key = word(&run, "key");
    assert!(key.starts_with("sk-gw-") && key.len() == 55, "{key}");
    assert_eq!(run.stdout, format!("id    {}\nname  Team Ä\nkey   {key}\n", word(&run, "id")));
    assert_eq!(run.stderr, "The key is shown this once; the store keeps only its digest.\n");
    let list = folder.run(&["keys", "list"], &[]);
    assert!(list.stdout.contains("Team Ä") && list.stdout.contains(&key[..9]), "{list:?}");
    assert!(!list.stdout.contains(&key), "{list:?}");
    let files = folder.files();
    assert!(files.iter().any(|path| path.ends_with("gateway.db")), "{files:?}");
    for path in files {
        let content = std::fs::read(&path).unwrap();
        assert!(!content.windows(key.len()).any(|window| window == key.as_bytes()), "{path:?} holds the key");
    }
}

#[test]
fn everything_that_a_key_has_can_be_said() {
    let folder = Folder::empty();
    let run = folder.run(&EVERYTHING.split_whitespace().collect::<Vec<_>>(), &[]);
    let mut made = printed(&run);
    assert_eq!(run.stdout.matches("sk-gw-").count(), 2, "the key and its preview: {}", run.stdout);
    assert!(!run.stderr.contains("sk-gw-"), "{}", run.stderr);
    made.as_object_mut().unwrap().remove("key");
    let expected = json!({
        "id": "team-a.1",
        "name": "team",
        "allowed_models": ["gpt-*", "o3"],
        "rate_limit": {
            "requests_per_second": 5, "burst_size": 9, "requests_per_minute": 100, "tokens_per_minute": 0,
            "max_concurrent": 3, "limit": 1000, "period_seconds": 3600,
        },
        "budget": { "usd": 12.5, "period": "month" },
        "expires_at": "2999-01-30T23:00:00Z",
        "is_enabled": false,
        "metadata": { "centre": 7 },
    });
    for (name, value) in expected.as_object().unwrap() {
        assert_eq!(made[name], *value, "{name}");
    }
    assert_eq!(list(&folder), [made]);
}

#[test]
fn a_key_may_come_from_standard_input() {
    let folder = Folder::empty();
    let create = |key: &str| folder.run_with_input(&["keys", "create", "--name", "x", "--key-stdin"], &[], key);
    for (input, key, is_weak) in [
        ("sk-brought-along-0001\n", "sk-brought-along-0001", false),
        ("sk-brought-along-0002", "sk-brought-along-0002", false),
        ("sk-brought-along-0003\r\n", "sk-brought-along-0003", false),
        ("weak\n", "weak", true),
        ("with some blanks in it\nand another line\n", "with some blanks in it", false),
    ] {
        let run = create(input);
        assert_eq!(run.code, Some(0), "{run:?}");
        assert!(run.stdout.ends_with(&format!("key   {key}\n")), "{run:?}");
        assert_eq!(run.stderr.contains("warning: the key is short"), is_weak, "{run:?}");
        assert!(!run.stderr.contains(key), "{run:?}");
    }
    for (input, words) in [
        ("", "no key on standard input"),
        ("\n", "no key on standard input"),
        ("weak\n", "same value"),
        (" sk-with-a-blank-0001\n", "`key`"),
        ("sk-with-\u{7}-a-bell-0001\n", "`key`"),
    ] {
        let run = create(input);
        assert_eq!((run.code, &*run.stdout), (Some(1), ""), "{run:?}");
        assert!(run.stderr.starts_with("error: ") && run.stderr.contains(words), "{run:?}");
        assert!(!run.stderr.contains("weak") && !run.stderr.contains("0001"), "{run:?}");
    }
    assert_eq!(list(&folder).len(), 5);
}

/// A pipe that nobody reads has swallowed the key, so that is a failure.
#[test]
fn a_key_that_nobody_read_is_told_of() {
    let folder = Folder::empty();
    for arguments in [&["keys", "create", "--name", "x"][..], &["keys", "list"], &["migrate", "version"]] {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let mut command = gateway_testing::binary::command(folder.path());
        let output = command.args(arguments).stdout(writer).stderr(std::process::Stdio::piped()).output().unwrap();
        let error = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(1), "{arguments:?}: {error}");
        assert!(error.contains("standard output cannot be written"), "{arguments:?}: {error}");
        assert!(!error.contains("sk-gw-"), "{error}");
    }
}

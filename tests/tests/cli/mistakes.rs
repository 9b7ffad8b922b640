//! What people type wrong.

use gateway_testing::Folder;
use gateway_tests::site::FILED;

use crate::create::list;

#[test]
fn mistakes_are_explained_and_nothing_is_stored() {
    let folder = Folder::empty();
    assert_eq!(folder.run(&["keys", "create", "--name", "x", "--id", "taken"], &[]).code, Some(0));
    let create = ["keys", "create", "--name", "x"];
    let with = |more: &[&'static str]| [&create[..], more].concat();
    for (arguments, code, words) in [
        // What clap knows to be wrong.
        (vec!["keys"], 2, "Usage"),
        (vec!["keys", "make"], 2, "unrecognized subcommand 'make'"),
        (vec!["keys", "create"], 2, "--name"),
        (vec!["keys", "rotate"], 2, "<ID>"),
        (vec!["keys", "revoke"], 2, "<ID>"),
        (vec!["keys", "revoke", "a", "b"], 2, "'b'"),
        (vec!["migrate"], 2, "Usage"),
        (vec!["migrate", "sideways"], 2, "sideways"),
        (with(&["--requests-per-second", "-1"]), 2, "'-1'"),
        (with(&["--requests-per-second", "many"]), 2, "many"),
        (with(&["--requests-per-second", "18446744073709551616"]), 2, "--requests-per-second"),
        (with(&["--max-concurrent", "4294967296"]), 2, "--max-concurrent"),
        (with(&["--budget-usd", "1"]), 2, "--budget-period"),
        (with(&["--budget-period", "day"]), 2, "--budget-usd"),
        (with(&["--budget-usd", "1", "--budget-period", "week"]), 2, "week"),
        (with(&["--key", "sk-0123456789abcdef"]), 2, "'--key'"),
        // What the rules of the Admin API know.
        (with(&["--id", "taken"]), 1, "`taken` is taken"),
        (with(&["--id", "a/b"]), 1, "`id`"),
        (with(&["--id", "x'; DROP TABLE master_keys; --"]), 1, "`id`"),
        (vec!["keys", "create", "--name", ""], 1, "`name`"),
        (vec!["keys", "create", "--name", "a\nb"], 1, "`name`"),
        (with(&["--allowed-model", ""]), 1, "`allowed_models[0]`"),
        (with(&["--burst-size", "3"]), 1, "burst_size"),
        (with(&["--requests-per-second", "18446744073709551615"]), 1, "requests_per_second"),
        (with(&["--period-seconds", "3"]), 1, "period_seconds"),
        (with(&["--limit", "3", "--period-seconds", "0"]), 1, "period_seconds"),
        (with(&["--budget-usd", "-1", "--budget-period", "day"]), 2, "-1"),
        (with(&["--budget-usd=-1", "--budget-period", "day"]), 1, "budget.usd"),
        (with(&["--budget-usd", "NaN", "--budget-period", "day"]), 1, "budget.usd"),
        (with(&["--budget-usd", "inf", "--budget-period", "day"]), 1, "budget.usd"),
        (with(&["--expires-at", "2001-01-01T00:00:00Z"]), 1, "`expires_at`"),
        (with(&["--expires-at", "tomorrow"]), 1, "`expires_at`"),
        (with(&["--metadata", "[]"]), 1, "--metadata is no JSON object"),
        (with(&["--metadata", "{"]), 1, "--metadata is no JSON object"),
        (vec!["keys", "rotate", "taken", "--overlap-secs", "2592001"], 1, "`overlap_secs`"),
        (vec!["keys", "rotate", "nobody"], 1, "`nobody`"),
        (vec!["keys", "revoke", ""], 1, "no key"),
    ] {
        let run = folder.run(&arguments, &[]);
        assert_eq!((run.code, &*run.stdout), (Some(code), ""), "{arguments:?}: {run:?}");
        assert!(run.stderr.contains(words), "{arguments:?}: no {words:?} in {}", run.stderr);
        assert!(code == 2 || run.stderr.starts_with("error: "), "{arguments:?}: {}", run.stderr);
        assert!(!run.stderr.contains("panicked") && !run.stderr.contains("sk-gw-"), "{}", run.stderr);
    }
    assert_eq!(list(&folder).len(), 1);
}

#[test]
fn a_configuration_with_errors_is_not_worked_with() {
    let folder = Folder::with_config("providers: [\n");
    for arguments in [&["keys", "list"][..], &["keys", "create", "--name", "x"], &["migrate", "up"]] {
        let run = folder.run(arguments, &[]);
        assert_eq!((run.code, &*run.stdout), (Some(1), ""), "{run:?}");
        assert!(run.stderr.contains("config.yaml"), "{run:?}");
    }
    // A key of the file that cannot be read would not be seen beside those of the store.
    let folder = Folder::with_config(FILED);
    let run = folder.run(&["keys", "list"], &[]);
    assert_eq!(run.code, Some(1), "{run:?}");
    assert!(run.stderr.contains("CALLER_KEY"), "{run:?}");
    let run = folder.run(&["keys", "list", "--config", "nowhere.yaml"], &[]);
    assert!(run.code == Some(1) && run.stderr.contains("nowhere.yaml"), "{run:?}");
    assert!(!folder.path().join("gateway.db").exists(), "{:?}", folder.files());
}

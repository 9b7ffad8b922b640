//! Whatever stands in the file, calls go on, and the error says where it is.

use std::fs::{self, File};
use std::io::{Seek, Write};
use std::process::Command;

use gateway_tests::edited::{Scene, file, with_model};
use gateway_tests::stage::{CALL, CALLER_KEY};

/// What is written, and what is said of it.
fn bad_files() -> Vec<(&'static str, Vec<u8>, &'static str)> {
    let level =
        |number: usize| format!("a{number}: &a{number} [{}]\n", vec![format!("*a{}", number - 1); 9].join(", "));
    let bomb = (1..12).fold("a0: &a0 [x, x, x, x, x, x, x, x, x]\n".to_owned(), |bomb, number| bomb + &level(number));
    let truncated = file("cut");
    let truncated = &truncated[..truncated.len() - 30];
    let unknown_provider = with_model("other", "models: { o3: { targets: [ { provider: mian } ] } }\n");
    vec![
        ("empty", Vec::new(), "the file is empty"),
        ("comments only", b"# nothing\n---\n".to_vec(), "the file is empty"),
        ("truncated", truncated.into(), "not valid YAML"),
        ("binary", vec![0, 159, 146, 150, 0, 1, 2, 3], "not UTF-8"),
        ("not UTF-8", b"server:\n  host: caf\xe9\n".to_vec(), "config.yaml:2"),
        ("fifty megabytes", vec![b'#'; 50 << 20], "larger than 16 MiB"),
        ("an alias bomb", bomb.into(), "not valid YAML"),
        ("one bad field", with_model("other", "server: { max_body: 3 bananas }\n").into(), "server.max_body"),
        ("a misspelt key", with_model("other", "retri: { max_retries: 1 }\n").into(), "did you mean `retry`?"),
        ("a provider that is gone", unknown_provider.into(), "did you mean `main`?"),
        (
            "a missing certificate",
            with_model("other", "server: { tls: { cert: no.pem, key: no.key } }\n").into(),
            "no.pem",
        ),
        ("an unset variable", with_model("other", "provider_suffix: ${NOT_SET}\n").into(), "NOT_SET"),
        ("a header that is none", HEADER.into(), "headers"),
    ]
}

const HEADER: &str = "providers: [ { name: main, api_base: 'http://127.0.0.1:1/v1', headers: { \"x y\": z } } ]\n";

#[tokio::test]
async fn a_bad_file_changes_nothing_and_says_where_it_is_bad() {
    let scene = Scene::new().await;
    let before = scene.version().await;
    for (what, text, words) in bad_files() {
        scene.replace(&text);
        let reason = scene.refused(words).await;
        assert!(reason.contains("config.yaml") || what == "a missing certificate", "{what}: {reason}");
        let answer = scene.node.admin().send("POST", "/admin/v1/config/reload", "").await;
        assert_eq!(answer.status, 422, "{what}: {}", answer.text());
        let errors = &answer.json()["error"]["errors"];
        assert!(errors.as_array().is_some_and(|errors| !errors.is_empty()), "{what}: {}", answer.text());
        assert_eq!(scene.node.call(CALLER_KEY).await.status, 200, "{what}");
        assert_eq!(scene.models().await, ["first", "gpt-4o"], "{what}");
        assert_eq!(scene.version().await["version"], before["version"], "{what}");
    }
    // And then it is mended.
    scene.replace(file("mended"));
    scene.served("mended").await;
    scene.accepted().await;
}

#[tokio::test]
async fn a_file_that_is_gone_or_cannot_be_read_changes_nothing() {
    let scene = Scene::new().await;
    fs::remove_file(scene.path()).unwrap();
    scene.refused("does not exist").await;
    assert_eq!(scene.node.call_with(CALLER_KEY, CALL).await.status, 200);
    fs::create_dir(scene.path()).unwrap();
    let answer = scene.node.admin().send("POST", "/admin/v1/config/reload", "").await;
    assert_eq!(answer.status, 422);
    assert!(answer.text().contains("cannot be read"), "{}", answer.text());
    assert_eq!(scene.node.call(CALLER_KEY).await.status, 200);
    fs::remove_dir(scene.path()).unwrap();
    scene.write(file("back"));
    scene.served("back").await;
}

#[tokio::test]
async fn every_error_of_a_file_is_listed() {
    let scene = Scene::new().await;
    scene.replace(with_model("other", "server: { max_body: 1 }\nretri: {}\nauth: maybe\n"));
    scene.refused("auth").await;
    let answer = scene.node.admin().send("POST", "/admin/v1/config/reload", "").await.json();
    let errors = answer["error"]["errors"].as_array().unwrap().clone();
    let places: Vec<_> = errors.iter().map(|error| error["path"].as_str().unwrap().to_owned()).collect();
    assert_eq!(places, ["server.max_body", "retri", "auth"]);
    assert!(errors.iter().all(|error| error["line"].is_u64() && error["file"] == "config.yaml"), "{errors:?}");
}

#[tokio::test]
async fn what_is_no_file_is_waited_for_by_nobody() {
    let scene = Scene::new().await;
    fs::remove_file(scene.path()).unwrap();
    assert!(Command::new("mkfifo").arg(scene.path()).status().unwrap().success());
    let answer = scene.node.admin().send("POST", "/admin/v1/config/reload", "").await;
    assert_eq!(answer.status, 422);
    assert!(answer.text().contains("not a file"), "{}", answer.text());
    scene.signal("-HUP");
    assert_eq!(scene.node.call(CALLER_KEY).await.status, 200);
    fs::remove_file(scene.path()).unwrap();
    scene.write(file("back"));
    scene.served("back").await;
    scene.node.process.stop();
}

#[tokio::test]
async fn half_a_file_is_never_in_force_however_slow_its_writer_is() {
    let scene = Scene::new().await;
    // Files are watched from now on at the latest.
    scene.write(file("watched"));
    scene.served("watched").await;
    let whole = with_model("whole", "# the end\n");
    let (half, rest) = whole.split_at(whole.find("# the end").unwrap());
    let mut writer = File::create(scene.path()).unwrap();
    // As it stands, this is a good file.
    writer.write_all(half.replace("whole", "half").as_bytes()).unwrap();
    for _ in 0..100 {
        assert!(!scene.models().await.contains(&"half".to_owned()));
    }
    writer.set_len(0).unwrap();
    writer.rewind().unwrap();
    writer.write_all(half.as_bytes()).unwrap();
    writer.write_all(rest.as_bytes()).unwrap();
    drop(writer);
    scene.served("whole").await;
}

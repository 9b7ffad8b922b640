//! Digests under a pepper, without which the store is of no use to who stole it.

use gateway_secret::{KeyDigest, KeyDigester, Secret};
use gateway_tests::site::{FILED, STORED, Site, bad, good};
use gateway_tests::stage::CALLER_KEY;
use serde_json::json;

const PEPPER: &str = "pepper-5b7e0c";

#[tokio::test]
async fn keys_are_known_under_their_pepper_alone() {
    let mut site = Site::of(&[STORED, FILED].concat()).await;
    let mut keys = Vec::new();
    let peppers = ["", PEPPER, "another-pepper"];
    for pepper in peppers {
        site.set("KEY_PEPPER", pepper);
        let node = site.start();
        keys.push(node.admin().create(json!({ "name": "x" })).await.key);
        let unlike = node.admin().create(json!({ "name": "the same under each", "key": "sk-0123456789abcdef" })).await;
        assert_eq!(node.verdict(&unlike.key).await, good());
        node.process.stop();
    }
    for (pepper, own) in peppers.iter().zip(0..) {
        site.set("KEY_PEPPER", pepper);
        let node = site.start();
        for (number, key) in keys.iter().enumerate() {
            let expected = if number == own { good() } else { bad(401, "invalid_api_key") };
            assert_eq!(node.verdict(key).await, expected, "{number} under {pepper:?}");
        }
        // Those of the file are in the file, whatever the pepper.
        assert_eq!(node.verdict(CALLER_KEY).await, good());
        assert_eq!(node.verdict("sk-0123456789abcdef").await, good());
        assert_eq!(node.admin().list().await.len(), 7);
        let rotated = node.admin().rotate(&id(&node.admin().list().await, &keys[own]), 0).await;
        assert_eq!(node.verdict(&rotated.key).await, good());
        node.admin().send("POST", "/api/keys", json!({ "key": CALLER_KEY }).to_string()).await;
        assert_eq!(node.admin().list().await.len(), 7, "the file's key is known for what it is");
    }
}

fn id(keys: &[serde_json::Value], key: &str) -> String {
    let preview = format!("{}…{}", &key[..9], &key[52..]);
    let found = keys.iter().find(|it| it["key_preview"] == *preview);
    found.and_then(|found| found["id"].as_str()).expect("a key that is listed").to_owned()
}

#[tokio::test]
async fn the_shell_knows_the_pepper_too() {
    let site = Site::new().await.with("KEY_PEPPER", PEPPER);
    let run = site.run(&["keys", "create", "--name", "x", "--json"]);
    let made: serde_json::Value = serde_json::from_str(&run.stdout).expect(&run.stderr);
    let key = made["key"].as_str().unwrap();
    let node = site.start();
    assert_eq!(node.verdict(key).await, good());
    node.process.stop();
    // What lies on the disk is the digest under the pepper, not the plain one, and not the pepper.
    let files = site.folder.files().into_iter().filter(|path| !path.ends_with("gateway.db.last-good"));
    let stored = files.map(|path| std::fs::read(path).unwrap()).collect::<Vec<_>>().concat();
    let holds = |bytes: &[u8]| stored.windows(bytes.len()).any(|window| window == bytes);
    let peppered = KeyDigester::peppered(&Secret::from(PEPPER)).digest(key.as_bytes());
    assert!(holds(peppered.as_bytes()));
    assert!(!holds(KeyDigest::of(key.as_bytes()).as_bytes()));
    assert!(!holds(PEPPER.as_bytes()));
}

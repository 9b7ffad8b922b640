//! Canaries: keys that must not be seen in any log, in any answer but the one that tells them, nor on the disk.

use std::os::unix::fs::PermissionsExt;

use gateway_secret::{KeyDigest, KeyDigester, Secret};
use gateway_testing::client;
use gateway_tests::administrator::{ADMIN_KEY, Administrator, KEYS, one};
use gateway_tests::hexadecimal::digits;
use gateway_tests::patience::until;
use gateway_tests::site::{FILED, STORED, Site, bad, good};
use gateway_tests::stage::{CALLER_KEY, with_header};
use serde_json::json;

const PEPPER: &str = "pepper-0d9c41e7";
const BROUGHT: &str = "sk-brought-along-7c21f0";
const WEAK: &str = "weak-7c21f0";
/// Never becomes a key: it is in what is refused.
const REFUSED: &str = "sk-refused-5e90aa13b7";
const STRANGERS: &str = "sk-stranger-61b0ffce20";

/// Everything that must not be seen, and the forms in which it might be.
struct Canaries(Vec<Vec<u8>>);

impl Canaries {
    /// Keys in clear.
    fn of(keys: &[&str]) -> Self {
        Self(keys.iter().map(|key| key.as_bytes().to_vec()).collect())
    }

    /// And their digests, as digits and as lists of numbers.
    fn and_digests(mut self) -> Self {
        let digester = KeyDigester::peppered(&Secret::from(PEPPER));
        let digests: Vec<_> = self.0.iter().flat_map(|key| [KeyDigest::of(key), digester.digest(key)]).collect();
        for digest in digests {
            let bytes = digest.as_bytes();
            let digits = digits(bytes);
            self.0.push(digits.to_uppercase().into_bytes());
            self.0.push(digits.into_bytes());
            self.0.push(format!("{:?}", &bytes[..6]).trim_matches(['[', ']']).as_bytes().to_vec());
        }
        self
    }

    fn assert_absent(&self, place: &str, content: &[u8]) {
        for canary in &self.0 {
            if let Some(at) = content.windows(canary.len()).position(|window| window == canary.as_slice()) {
                let around = &content[at.saturating_sub(200)..at + canary.len()];
                panic!("{place} tells {}: {}", String::from_utf8_lossy(canary), String::from_utf8_lossy(around));
            }
        }
    }
}

/// Requests that are refused, with keys in places where keys do not belong.
async fn go_wrong(admin: Administrator) -> Vec<String> {
    let mut told = Vec::new();
    for body in [
        format!(r#"{{"name":"x","kye":"{REFUSED}"}}"#),
        format!(r#"{{"name":"x","{REFUSED}":1}}"#),
        format!(r#"{{"name":"x","key":["{REFUSED}"]}}"#),
        format!(r#"{{"name":"x","key":{{"value":"{REFUSED}"}}}}"#),
        format!(r#"{{"name":"x","key":"{REFUSED}","key":"{REFUSED}"}}"#),
        format!(r#"{{"name":"x","key":"{REFUSED}\n"}}"#),
        format!(r#"{{"name":"x","key":"{REFUSED}"#),
        format!(r#"{{"name":"","key":"{REFUSED}"}}"#),
        format!(r#"{{"name":"x","id":"a b","key":"{REFUSED}"}}"#),
        format!(r#"{{"name":"x","key":"{BROUGHT}"}}"#),
        format!(r#"{{"name":"x","key":"{CALLER_KEY}"}}"#),
        format!(r#""{REFUSED}""#),
    ] {
        for (method, path) in [("POST", KEYS.to_owned()), ("POST", "/api/keys".to_owned()), ("PATCH", one("made"))] {
            let answer = admin.send(method, &path, body.clone()).await;
            assert!(answer.status.is_client_error(), "{method} {path} {body}: {}", answer.text());
            // Names of fields are told, so that they can be put right.
            if !body.contains(&format!(r#""{REFUSED}":1"#)) {
                told.push(answer.text());
            }
            told.push(format!("{:?}", answer.headers));
        }
    }
    for path in [
        format!("{KEYS}?key={STRANGERS}"),
        format!("{KEYS}?{STRANGERS}"),
        format!("{KEYS}?cursor={STRANGERS}"),
        format!("/admin/v1/{STRANGERS}"),
    ] {
        told.push(admin.send("GET", &path, "").await.text());
    }
    for (name, value) in [
        ("authorization", format!("Bearer {STRANGERS}")),
        ("authorization", format!("Basic {STRANGERS}")),
        ("x-api-key", ADMIN_KEY.to_owned()),
        ("cookie", format!("admin={ADMIN_KEY}")),
    ] {
        let request = with_header(client::request("GET", KEYS, ""), name, &value);
        let answer = gateway_testing::Client::connect(admin.0).await.send(request).await;
        told.push(format!("{} {:?}", answer.text(), answer.headers));
    }
    told
}

#[tokio::test]
async fn no_key_is_told_twice_nor_written_down() {
    let site = Site::of(&[STORED, FILED].concat()).await;
    let site = site.with("KEY_PEPPER", PEPPER).with("RUST_LOG", "trace");
    let node = site.start();
    let admin = node.admin();
    let made = admin.create(json!({ "id": "made", "name": "made" })).await;
    let newer = admin.rotate("made", 600).await;
    let mut told = Vec::new();
    for key in [BROUGHT, WEAK] {
        admin.create(json!({ "name": "brought along", "key": key })).await;
    }
    for key in [&*made.key, &*newer.key, BROUGHT, WEAK, CALLER_KEY] {
        assert_eq!(node.verdict(key).await, good());
    }
    let ended = admin.create(json!({ "id": "ended", "name": "ended" })).await;
    admin.remove("ended").await;
    for key in [STRANGERS, ADMIN_KEY, &ended.key] {
        let answer = node.call(key).await;
        assert_eq!(gateway_tests::site::verdict(&answer), bad(401, "invalid_api_key"));
        told.push(format!("{} {:?}", answer.text(), answer.headers));
    }
    told.extend(go_wrong(admin).await);
    told.push(admin.change("made", json!({ "name": "another", "metadata": { "a": 1 } })).await.to_string());
    told.push(json!([admin.list().await, admin.audit().await, admin.find("made").await]).to_string());
    let printed = site.run(&["keys", "list", "--json"]);
    told.push(printed.stdout + &printed.stderr);

    let clear = [&*made.key, &newer.key, &ended.key, BROUGHT, WEAK, CALLER_KEY, ADMIN_KEY, PEPPER, REFUSED, STRANGERS];
    Canaries::of(&clear).and_digests().assert_absent("an answer", told.join("\n").as_bytes());
    // The last good state is written within moments, and holds the key by then.
    let snapshot = site.folder.path().join("gateway.db.last-good");
    let written = async || std::fs::read_to_string(&snapshot).is_ok_and(|text| text.contains("another")).then_some(());
    until("the last good state", written).await;
    let assert_disk = |moment: &str| {
        let files = site.folder.files();
        assert!(files.len() >= 3, "{files:?}");
        for path in files {
            let content = std::fs::read(&path).unwrap();
            Canaries::of(&clear).assert_absent(&format!("{} {moment}", path.display()), &content);
            let permissions = path.metadata().unwrap().permissions().mode() & 0o777;
            let is_private = permissions == 0o600 || path.ends_with("config.yaml");
            assert!(is_private, "{} {moment}: {permissions:o}", path.display());
        }
    };
    assert_disk("while it runs");
    let log = node.process.stop().join("\n");
    assert!(log.lines().count() > 10, "the log is written: {log}");
    Canaries::of(&clear).and_digests().assert_absent("the log", log.as_bytes());
    assert_disk("afterwards");
}

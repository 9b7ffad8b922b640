//! Keys whose rows make no sense, because somebody wrote them by hand.

use gateway_tests::administrator::{KEYS, Made, one};
use gateway_tests::database::Database;
use gateway_tests::site::{Node, Site, bad, good, verdict};
use serde_json::{Value, json};

/// Columns with what cannot be read there.
const DAMAGES: [(&str, &str); 6] = [
    ("rate_limit", "'{bad'"),
    ("rate_limit", "'[]'"),
    ("budget", "'[5,\"day\"]'"),
    ("allowed_models", "'{}'"),
    ("metadata", "'[]'"),
    ("expires_at", "9223372036854775807"),
];

/// Makes a key and overwrites a column of it.
async fn damaged(database: &Database, node: &Node, (column, value): (&str, &str)) -> Made {
    let made = node.admin().create(json!({ "id": "damaged", "name": "x", "rate_limit": { "limit": 5 } })).await;
    database.execute(&format!("UPDATE master_keys SET {column} = {value} WHERE id = 'damaged'")).await;
    // It is refused as soon as this node has seen that.
    let unknown = async || (node.verdict(&made.key).await == bad(401, "invalid_api_key")).then_some(());
    gateway_tests::patience::until("the gateway to know", unknown).await;
    made
}

#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_key_is_said_to_be_and_can_be_deleted() {
    for database in Database::each() {
        let site = Site::new().await.with("DB_URL", &database.url());
        let node = site.start();
        let sound = node.admin().create(json!({ "id": "sound", "name": "x" })).await;
        for damage in DAMAGES {
            let row = format!("{}: {damage:?}", database.name());
            let made = damaged(&database, &node, damage).await;
            for (method, path, body) in [
                ("GET", one("damaged"), ""),
                ("PATCH", one("damaged"), r#"{"is_enabled":false}"#),
                ("POST", format!("{}/rotate", one("damaged")), ""),
            ] {
                let answer = node.admin().send(method, &path, body).await;
                assert_eq!(verdict(&answer), bad(500, "key_damaged"), "{row}: {method}");
                let message = answer.json()["error"]["message"].as_str().unwrap().to_owned();
                assert!(message.contains(damage.0) && message.contains("Delete it"), "{row}: {message}");
            }
            let listed: Vec<_> = node.admin().list().await.iter().map(|key| key["id"].clone()).collect();
            assert_eq!(listed, [json!("sound")], "{row}");

            node.admin().remove("damaged").await;
            let noted = node.admin().audit().await.swap_remove(0);
            assert_eq!((&noted["action"], &noted["object"]), (&json!("master_key.delete"), &json!("damaged")), "{row}");
            let words = noted["before"]["damaged"].as_str().unwrap_or_default();
            assert!(words.contains(damage.0) && noted["after"] == Value::Null, "{row}: {noted}");
            let again = node.admin().send("DELETE", &one("damaged"), "").await;
            assert_eq!(verdict(&again), bad(404, "key_not_found"), "{row}");
            // Its identifier and its value are free again.
            let same = json!({ "id": "damaged", "name": "x", "key": made.key });
            let answer = node.admin().send("POST", KEYS, same.to_string()).await;
            assert_eq!((answer.status.as_u16(), node.verdict(&made.key).await), (201, good()), "{row}");
            node.admin().remove("damaged").await;
        }
        damaged(&database, &node, DAMAGES[0]).await;
        let revoked = site.run(&["keys", "revoke", "damaged"]);
        assert_eq!((revoked.code, &*revoked.stdout), (Some(0), "revoked damaged\n"), "{revoked:?}");
        assert_eq!(node.verdict(&sound.key).await, good());
    }
}

/// A row that can be read, and holds limits that nobody can keep, is shown as it is and can be changed in every way.
#[tokio::test(flavor = "multi_thread")]
async fn limits_that_make_no_sense_can_be_switched_off_and_mended() {
    for database in Database::each() {
        let site = Site::new().await.with("DB_URL", &database.url());
        let node = site.start();
        let made = damaged(&database, &node, ("rate_limit", r#"'{"burst_size":5}'"#)).await;
        assert_eq!(node.admin().find("damaged").await["rate_limit"], json!({ "burst_size": 5 }));
        let changed = node.admin().change("damaged", json!({ "is_enabled": false })).await;
        assert_eq!(changed["is_enabled"], false, "{}", database.name());
        node.admin().change("damaged", json!({ "is_enabled": true, "rate_limit": null })).await;
        assert_eq!(node.verdict(&made.key).await, good(), "{}", database.name());
    }
}

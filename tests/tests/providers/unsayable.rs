//! Rows made by hand with names that no API would give: they are told apart, and those that are text can be deleted.

use gateway_tests::patience::until;

use crate::scene::{Scene, left_out, one};

#[tokio::test(flavor = "multi_thread")]
async fn rows_with_odd_names_are_told_apart_and_can_be_deleted() {
    for scene in Scene::each().await {
        // A line break and a bell, as both databases write them.
        let breaks = "INSERT INTO providers (name, settings) VALUES ('a\nb', '{}'), ('a\u{7}', '{}'), (' a ', '{}')";
        scene.database.execute(breaks).await;
        let mut expected = vec!["provider a\nb", "provider a\u{7}", "provider  a "];
        let mut paths = vec![one("a%0Ab"), one("a%07"), one("%20a%20")];
        if scene.database.name() == "SQLite" {
            let bytes = "INSERT INTO providers (name, settings) \
                         VALUES (x'01', '{}'), (CAST(x'ff' AS TEXT), '{}'), ('a' || char(0), '{}')";
            scene.database.execute(bytes).await;
            expected.extend(["provider x'01'", "provider x'ff'", "provider a\0"]);
            paths.push(one("a%00"));
        }
        let all = until("all to be left out", async || {
            let all = left_out(&scene.node).await;
            (all.len() == expected.len()).then_some(all)
        });
        let all = all.await.0;
        for name in &expected {
            assert!(all.iter().any(|(found, _)| found == name), "no {name:?} in {all:?}");
        }
        assert!(all.iter().all(|(_, problem)| !problem.contains("::")), "{all:?}");
        for path in &paths {
            scene.admin().get(path).await;
            scene.admin().delete(path).await;
            assert_eq!(scene.admin().send("GET", path, "").await.error_code(), "provider_not_found");
        }
        assert_eq!(left_out(&scene.node).await.len(), expected.len() - paths.len());
        assert_eq!(scene.admin().send("GET", &one("a%00"), "").await.error_code(), "provider_not_found");
    }
}

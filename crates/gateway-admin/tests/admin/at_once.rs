//! Several changes to providers and models at the same time, through one node and through two.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use serde_json::json;
use tokio::sync::Barrier;

use crate::entries::{MODELS, PROVIDERS};
use crate::scene::Scene;

const P: &str = "/admin/v1/providers/p";

async fn scene() -> Scene {
    let scene = Scene::new();
    assert_eq!(scene.call("POST", PROVIDERS, r#"{"id": "p", "weight": 3}"#).await.status.as_u16(), 201);
    scene
}

#[tokio::test]
async fn two_changes_on_two_nodes_lose_nothing() {
    let scene = scene().await;
    let other_node = scene.other_node();
    *scene.store.meeting.lock() = Some(Arc::new(Barrier::new(2)));
    let (one, other) = tokio::join!(
        scene.call("PATCH", P, r#"{"weight": 9}"#),
        other_node.call("PATCH", P, r#"{"is_enabled": false}"#)
    );
    assert_eq!((one.status.as_u16(), other.status.as_u16()), (200, 200));
    let shown = scene.get(P).await.json();
    assert_eq!((&shown["weight"], &shown["is_enabled"]), (&json!(9), &json!(false)));
}

#[tokio::test(start_paused = true)]
async fn a_change_is_tried_again_for_ten_seconds_however_often_that_is() {
    let scene = scene().await;
    scene.store.stale_writes.store(1000, Ordering::Relaxed);
    assert_eq!(scene.call("PATCH", P, r#"{"weight": 8}"#).await.json()["weight"], 8);

    for (seconds, status) in [(9, 200), (10, 409)] {
        // One try before the time goes by, and one after it.
        scene.store.stale_writes.store(2, Ordering::Relaxed);
        let body = json!({ "weight": seconds }).to_string();
        let (answer, ()) =
            tokio::join!(scene.call("PATCH", P, &body), tokio::time::advance(Duration::from_secs(seconds)));
        assert_eq!(answer.status.as_u16(), status, "{seconds} s: {}", answer.text);
        if status == 409 {
            assert_eq!(answer.error().1, "conflict");
        }
    }
}

#[tokio::test]
async fn changes_on_one_node_are_tried_on_what_the_others_have_made() {
    let model = json!({ "id": "n", "targets": [{ "provider": "p", "model": "x" }] }).to_string();
    let scene = scene().await;
    let (gone, made) = tokio::join!(scene.call("DELETE", P, ""), scene.call("POST", MODELS, &model));
    assert_eq!((gone.status.as_u16(), made.status.as_u16()), (204, 422), "{}", made.text);
    assert!(made.text.contains("`p`"), "{}", made.text);

    let scene = self::scene().await;
    let (made, gone) = tokio::join!(scene.call("POST", MODELS, &model), scene.call("DELETE", P, ""));
    assert_eq!((made.status.as_u16(), gone.status.as_u16()), (201, 409), "{}", gone.text);

    // A change is not tried on a configuration without the one before it.
    let renamed = json!({ "targets": [{ "provider": "q", "model": "x" }] }).to_string();
    let (made, changed) = tokio::join!(
        scene.call("POST", PROVIDERS, r#"{"id": "q"}"#),
        scene.call("PATCH", "/admin/v1/models/n", &renamed)
    );
    assert_eq!((made.status.as_u16(), changed.status.as_u16()), (201, 200), "{}", changed.text);
}

/// Both are tried before either is written, so that both seem to go.
#[tokio::test]
async fn changes_on_two_nodes_that_do_not_go_together_are_not_both_made() {
    let model = json!({ "id": "n", "targets": [{ "provider": "p", "model": "x" }] }).to_string();
    let scene = scene().await;
    let other_node = scene.other_node();
    let (gone, made) = tokio::join!(scene.call("DELETE", P, ""), other_node.call("POST", MODELS, &model));
    let (is_gone, is_made) = (gone.status == 204, made.status == 201);
    assert!(is_gone != is_made, "{} {}", gone.text, made.text);
    if is_gone {
        assert_eq!(made.error().1, "invalid_configuration");
    } else {
        assert_eq!(gone.error().1, "in_use");
    }

    // Of two that make the same, one is told that it is there.
    let other_node = scene.other_node();
    let (one, other) = tokio::join!(
        scene.call("POST", PROVIDERS, r#"{"id": "q"}"#),
        other_node.call("POST", PROVIDERS, r#"{"id": "q"}"#)
    );
    let (made, refused) = if one.status == 201 { (one, other) } else { (other, one) };
    assert_eq!((made.status.as_u16(), refused.error().1), (201, "id_taken".to_owned()));
}

#[tokio::test]
async fn a_node_that_cannot_see_what_others_have_changed_changes_nothing() {
    let scene = scene().await;
    scene.node.seen.fetch_sub(1, Ordering::Relaxed);
    scene.node.is_blind.store(true, Ordering::Relaxed);
    let writes = scene.store.writes();
    for (method, path, body) in
        [("POST", PROVIDERS, r#"{"id": "q"}"#), ("PATCH", P, r#"{"weight": 9}"#), ("DELETE", P, "")]
    {
        let answer = scene.call(method, path, body).await;
        assert_eq!(answer.error(), (503, "store_unavailable".to_owned(), None), "{method}");
        assert!(answer.text.contains("Nothing was changed"), "{}", answer.text);
    }
    assert_eq!(scene.store.writes(), writes);
    scene.node.is_blind.store(false, Ordering::Relaxed);
    assert_eq!(scene.call("PATCH", P, r#"{"weight": 9}"#).await.json()["weight"], 9);
}

#[tokio::test]
async fn a_change_that_nobody_waits_for_any_more_holds_up_no_other() {
    let scene = scene().await;
    {
        let mut abandoned = std::pin::pin!(scene.call("PATCH", P, r#"{"weight": 8}"#));
        assert!(futures_util::poll!(&mut abandoned).is_pending());
    }
    assert_eq!(scene.call("PATCH", P, r#"{"weight": 9}"#).await.json()["weight"], 9);
}

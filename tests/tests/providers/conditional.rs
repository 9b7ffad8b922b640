//! Changes on two nodes at the same moment that are good each by itself and not together.

use gateway_testing::Answer;
use gateway_tests::entries::{MODELS, PROVIDERS};
use gateway_tests::patience::until;
use gateway_tests::site::{Node, bad, verdict};
use serde_json::json;

use crate::scene::{Scene, left_out, one, one_model};

/// How often they meet.
const ROUNDS: usize = 50;
/// How many changes are asked for at once: so few that also who loses to all others has its turn before it is told to try again,
/// which is after ten seconds.
const MANY: usize = 20;

/// Whether a provider is gone, and the model that names it was not made, or the other way round. Panics unless exactly one is
/// done, and the other refused because of it.
fn is_gone_and_not_made(gone: &Answer, made: &Answer, round: &str) -> bool {
    let told = (verdict(gone), verdict(made));
    let is_gone = told == ((204, String::new()), bad(422, "invalid_configuration"));
    let is_made = told == (bad(409, "in_use"), (201, String::new()));
    assert!(is_gone || is_made, "{round}: {told:?}: {} {}", gone.text(), made.text());
    is_gone
}

async fn nothing_is_left_out_on(node: &Node) {
    until("nothing to be left out", async || left_out(node).await.is_empty().then_some(())).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_provider_is_deleted_on_one_node_while_a_model_that_names_it_is_made_on_the_other() {
    for scene in Scene::each().await {
        let (name, elsewhere) = (scene.database.name(), scene.site.start_elsewhere());
        let mut deleted = 0;
        for round in 0..ROUNDS {
            // They take turns.
            let (here, there) = if round % 2 == 0 { (&scene.node, &elsewhere) } else { (&elsewhere, &scene.node) };
            here.admin().post(PROVIDERS, &scene.provider("made", "m")).await;
            let is_there = async || (there.admin().send("GET", &one("made"), "").await.status == 200).then_some(());
            until("the provider on both nodes", is_there).await;
            let model = json!({ "id": "named", "targets": [{ "provider": "made" }] }).to_string();
            let path = one("made");
            let (gone, made) =
                tokio::join!(here.admin().send("DELETE", &path, ""), there.admin().send("POST", MODELS, model));
            if is_gone_and_not_made(&gone, &made, &format!("{name}: round {round}")) {
                deleted += 1;
            } else {
                there.admin().delete(&one_model("named")).await;
                // This node may not have seen the end of the model yet.
                let is_gone =
                    async || (here.admin().send("DELETE", &one("made"), "").await.status == 204).then_some(());
                until("the end of the provider", is_gone).await;
            }
            for node in [here, there] {
                assert!(left_out(node).await.is_empty(), "{name}: round {round}: {:?}", left_out(node).await);
            }
        }
        println!("{name}: {deleted} deleted, {} made", ROUNDS - deleted);
        for node in [&scene.node, &elsewhere] {
            nothing_is_left_out_on(node).await;
        }
    }
}

/// All at once, as scripts do it.
#[tokio::test(flavor = "multi_thread")]
async fn many_are_deleted_on_one_node_while_models_that_name_them_are_made_on_the_other() {
    for scene in Scene::each().await {
        let (name, elsewhere) = (scene.database.name(), scene.site.start_elsewhere());
        let providers: Vec<_> = (0..MANY).map(|number| format!("made-{number}")).collect();
        for id in &providers {
            scene.admin().post(PROVIDERS, &scene.provider(id, id)).await;
        }
        let last = one(&providers[MANY - 1]);
        let is_there = async || (elsewhere.admin().send("GET", &last, "").await.status == 200).then_some(());
        until("the last provider on both nodes", is_there).await;
        let ends = providers.iter().map(|id| {
            let (admin, path) = (scene.admin(), one(id));
            tokio::spawn(async move { admin.send("DELETE", &path, "").await })
        });
        let beginnings = providers.iter().map(|id| {
            let admin = elsewhere.admin();
            let model = json!({ "id": format!("named-{id}"), "targets": [{ "provider": id }] }).to_string();
            tokio::spawn(async move { admin.send("POST", MODELS, model).await })
        });
        let (ends, beginnings): (Vec<_>, Vec<_>) = (ends.collect(), beginnings.collect());
        for (id, (gone, made)) in providers.iter().zip(ends.into_iter().zip(beginnings)) {
            let (gone, made) = (gone.await.unwrap(), made.await.unwrap());
            is_gone_and_not_made(&gone, &made, &format!("{name}: {id}"));
        }
        let (mut here, mut there) = (scene.admin().entries(MODELS).await, elsewhere.admin().entries(MODELS).await);
        for node in [&scene.node, &elsewhere] {
            nothing_is_left_out_on(node).await;
        }
        until("the same models on both nodes", async || {
            (here, there) = (scene.admin().entries(MODELS).await, elsewhere.admin().entries(MODELS).await);
            (here == there).then_some(())
        })
        .await;
        let is_whole = |model: &serde_json::Value| model["problem"].is_null();
        assert!(here.iter().all(is_whole), "{name}: {here:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn many_that_go_together_are_all_made_on_whichever_node() {
    for scene in Scene::each().await {
        let (name, elsewhere) = (scene.database.name(), scene.site.start_elsewhere());
        let answers = (0..MANY).map(|number| {
            let admin = if number % 2 == 0 { scene.admin() } else { elsewhere.admin() };
            let id = format!("made-{number}");
            let body = scene.provider(&id, &id).to_string();
            tokio::spawn(async move { admin.send("POST", PROVIDERS, body).await })
        });
        let answers: Vec<_> = answers.collect();
        for answer in answers {
            let answer = answer.await.unwrap();
            assert_eq!(answer.status, 201, "{name}: {}", answer.text());
        }
        until("all of them on both nodes", async || {
            let [here, there] = [scene.admin(), elsewhere.admin()];
            let (here, there) = (here.entries(PROVIDERS).await.len(), there.entries(PROVIDERS).await.len());
            ((here, there) == (MANY + 1, MANY + 1)).then_some(())
        })
        .await;
    }
}

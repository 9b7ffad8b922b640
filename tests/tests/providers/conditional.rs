//! Changes on two nodes at the same moment that are good each by itself and not together.

use gateway_testing::Answer;
use gateway_tests::entries::{MODELS, PROVIDERS};
use gateway_tests::patience::until;
use gateway_tests::site::{Node, bad, verdict};
use serde_json::json;

use crate::scene::{Scene, left_out, one, one_model};

/// How often they meet.
const ROUNDS: usize = 50;

/// What administrators are told who were too late.
fn is_clean_refusal(answer: &Answer) -> bool {
    let refusals = [bad(409, "in_use"), bad(422, "invalid_configuration"), bad(409, "conflict")];
    refusals.contains(&verdict(answer))
}

async fn nothing_is_left_out_on(node: &Node) {
    until("nothing to be left out", async || left_out(node).await.is_empty().then_some(())).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_provider_is_deleted_on_one_node_while_a_model_that_names_it_is_made_on_the_other() {
    for scene in Scene::each().await {
        let (name, elsewhere) = (scene.database.name(), scene.site.start_elsewhere());
        let mut winners = [0, 0];
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
            let (is_gone, is_made) = (gone.status == 204, made.status == 201);
            assert!(!(is_gone && is_made), "{name}: round {round}: both");
            for (is_done, answer) in [(is_gone, &gone), (is_made, &made)] {
                assert!(
                    is_done || is_clean_refusal(answer),
                    "{name}: round {round}: {} {}",
                    answer.status,
                    answer.text()
                );
            }
            for (winner, is_winner) in winners.iter_mut().zip([is_gone, is_made]) {
                *winner += usize::from(is_winner);
            }
            if is_made {
                there.admin().delete(&one_model("named")).await;
            }
            if !is_gone {
                // This node may not have seen the end of the model yet.
                let is_gone =
                    async || (here.admin().send("DELETE", &one("made"), "").await.status == 204).then_some(());
                until("the end of the provider", is_gone).await;
            }
            for node in [here, there] {
                assert!(left_out(node).await.is_empty(), "{name}: round {round}: {:?}", left_out(node).await);
            }
        }
        println!("{name}: {} deleted, {} made", winners[0], winners[1]);
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
        let providers: Vec<_> = (0..ROUNDS).map(|number| format!("made-{number}")).collect();
        for id in &providers {
            scene.admin().post(PROVIDERS, &scene.provider(id, id)).await;
        }
        let last = one(&providers[ROUNDS - 1]);
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
            let (is_gone, is_made) = (gone.status == 204, made.status == 201);
            assert!(!(is_gone && is_made), "{name}: {id}: both");
            for (is_done, answer) in [(is_gone, &gone), (is_made, &made)] {
                assert!(is_done || is_clean_refusal(answer), "{name}: {id}: {} {}", answer.status, answer.text());
            }
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
        let answers = (0..ROUNDS).map(|number| {
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
            ((here, there) == (ROUNDS + 1, ROUNDS + 1)).then_some(())
        })
        .await;
    }
}

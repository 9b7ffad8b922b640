//! A provider that is taken away, or switched off, and comes back; and the calls that do not notice.

use gateway_core::resilience::BreakerState;
use gateway_testing::{Gate, Script};
use http_body_util::BodyExt;

use super::scene::{CONTENT, Scene, post, smallest};
use super::{TIERS, WITHOUT_MAIN, opened, reconfigure, with};

/// The ways of being gone.
fn ways() -> [(&'static str, String); 2] {
    [("removed", WITHOUT_MAIN.to_owned()), ("switched off", with("name: main,", "name: main, enabled: false,"))]
}

#[tokio::test]
async fn it_begins_afresh() {
    for (row, without) in ways() {
        let scene = opened().await;
        reconfigure(&scene, &without);
        assert_eq!(scene.served().await, "spare", "{row}");
        assert!(scene.gateway.targets().iter().all(|target| target.provider == "spare"), "{row}");
        reconfigure(&scene, TIERS);
        assert_eq!(scene.breaker("main"), BreakerState::Closed, "{row}");
        assert_eq!(scene.served().await, "main", "{row}");
        assert_eq!(scene.main.connections(), 2, "{row}");
    }
}

/// A call from before its removal still holds one of its two places and a connection, and knows that it failed.
#[tokio::test]
async fn it_begins_afresh_although_a_call_from_before_goes_on() {
    for (row, without) in ways() {
        let places = |yaml: &str| yaml.replace("name: main,", "name: main, max_in_flight: 2,");
        let scene = Scene::of(&places(TIERS)).await;
        let gates = [Gate::new(), Gate::new()];
        let stream =
            |gate| Script::event_stream().event(CONTENT).wait(gate).event(CONTENT).event("[DONE]").end_chunks();
        let request = || post("/v1/chat/completions", r#"{"model":"m","stream":true}"#);
        scene.main.push(stream(&gates[0]));
        let old = scene.send(request()).await;
        scene.main.push(Script::json(500, "{}"));
        assert_eq!(scene.served().await, "spare", "{row}");
        assert_eq!((scene.in_flight(), scene.main.connections()), (1, 2), "{row}");

        reconfigure(&scene, &places(&without));
        reconfigure(&scene, &places(TIERS));
        assert_eq!((scene.breaker("main"), scene.in_flight()), (BreakerState::Closed, 0), "{row}");
        let mut new = Vec::new();
        for number in 1..=2 {
            scene.main.push(stream(&gates[1]));
            new.push(scene.send(request()).await);
            assert_eq!((scene.in_flight(), scene.main.connections()), (number, 2 + number as usize), "{row}");
        }
        gates.iter().for_each(Gate::open);
        for answer in new.into_iter().chain([old]) {
            assert_eq!(answer.headers()["x-gateway-provider"], "main", "{row}");
            let text = String::from_utf8(answer.into_body().collect().await.unwrap().to_bytes().to_vec()).unwrap();
            assert_eq!((text.matches("Hello").count(), text.ends_with("data: [DONE]\n\n")), (2, true), "{row}: {text}");
        }
        assert_eq!(scene.in_flight(), 0, "{row}");
    }
}

/// The call is between its attempts while its provider moves and goes away. It asks again where it asked before.
#[tokio::test]
async fn a_call_keeps_its_plan_through_two_changes() {
    let patient =
        with("consecutive_failures: 1,", "consecutive_failures: 9,").replace(", { provider: spare, priority: 2 }", "");
    for (row, last) in ways() {
        let scene = Scene::of(&patient).await;
        let gate = Gate::new();
        scene.main.push(Script::new().wait(&gate).answer(500, "application/json", "{}"));
        let call = tokio::spawn(scene.send(smallest()));
        scene.main.request(0).await;
        reconfigure(&scene, &patient.replace("'MAIN'", "'SPARE'"));
        reconfigure(&scene, &last);
        gate.open();
        let answer = call.await.unwrap();
        assert_eq!(
            (answer.status().as_u16(), &answer.headers()["x-gateway-provider"]),
            (200, &"main".parse().unwrap())
        );
        assert_eq!((scene.main.requests().len(), scene.spare.requests().len()), (2, 0), "{row}");
    }
}

#[tokio::test]
async fn a_stream_goes_on_through_two_changes() {
    for (row, last) in ways() {
        let scene = Scene::of(TIERS).await;
        let gates = [Gate::new(), Gate::new()];
        let script = Script::event_stream().event(CONTENT).wait(&gates[0]).event(CONTENT).wait(&gates[1]);
        scene.main.push(script.event(CONTENT).event("[DONE]").end_chunks());
        let mut answer = scene.send(post("/v1/chat/completions", r#"{"model":"m","stream":true}"#)).await;
        let mut text = Vec::new();
        for (yaml, gate) in [with("'MAIN'", "'SPARE'"), last].iter().zip(&gates) {
            reconfigure(&scene, yaml);
            text.extend(answer.frame().await.unwrap().unwrap().into_data().unwrap());
            gate.open();
        }
        text.extend(answer.into_body().collect().await.unwrap().to_bytes());
        let text = String::from_utf8(text).unwrap();
        assert_eq!((text.matches("Hello").count(), text.ends_with("data: [DONE]\n\n")), (3, true), "{row}: {text}");
        assert_eq!((scene.settled()[0].status, &*scene.settled()[0].attempts), (200, &["main:success".to_owned()][..]));
    }
}

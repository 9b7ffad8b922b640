//! What counts as the gateway's own time: all but the wait for an upstream, for the caller's body, and for a place. The clock is
//! paused, so that waits are exact.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use gateway_config::Config;
use gateway_core::Gateway;
use gateway_core::call::{Event, Observer};
use gateway_core::extension::Answer;
use gateway_core::ratelimit::{Demand, Denial, LimitStore, Limits, LocalLimits, Moment, Reservation, Used};
use gateway_testing::{FakeUpstream, Script};
use http::Request;
use http_body_util::{BodyExt, Full};
use hyper::service::Service;
use parking_lot::Mutex;
use tokio::time::{Instant, sleep};

/// How long a decision takes, as in a Redis that is far away.
const DECISION: Duration = Duration::from_millis(40);

/// How long the upstream takes.
const UPSTREAM: Duration = Duration::from_millis(300);

#[derive(Debug)]
struct FarAway(LocalLimits);

impl LimitStore for FarAway {
    fn reserve<'a>(
        &'a self,
        key: &'a Arc<str>,
        limits: &'a Arc<Limits>,
        demand: Demand,
        at: Moment,
    ) -> Answer<'a, Result<Reservation, Denial>> {
        Answer::later(async move {
            sleep(DECISION).await;
            self.0.decide(key, limits, demand, at)
        })
    }

    fn settle(&self, reservation: Reservation, used: Used, at: Moment) {
        self.0.settle(reservation, used, at);
    }
}

/// The overhead of each call.
#[derive(Default)]
struct Overheads(Mutex<Vec<Duration>>);

impl Observer for Overheads {
    fn on_event(&self, event: &Event<'_>) {
        let Event::Settled(record) = event else { return };
        self.0.lock().push(record.overhead);
    }
}

#[tokio::test(start_paused = true)]
async fn a_decision_on_limits_is_the_gateways_own_time() {
    let upstream = FakeUpstream::start([Script::new().pause(UPSTREAM).answer(200, "application/json", "{}")]);
    let upstream = upstream.await.unwrap();
    let yaml = format!(
        "providers: [{{ name: main, api_base: '{}' }}]\nmaster_keys: [{{ name: a, key: sk-a-6f0c2d9e48b1, rate_limit: {{ \
         requests_per_minute: 1 }} }}]",
        upstream.api_base()
    );
    let overheads = Arc::new(Overheads::default());
    let store = FarAway(LocalLimits::new(Instant::now().into_std()));
    let observer = Arc::clone(&overheads);
    let gateway = Gateway::builder().limit_store(Arc::new(store)).observer(observer);
    let service = gateway.build(&Config::from_yaml(&yaml).unwrap()).unwrap().service();
    for status in [200, 429] {
        let body = Full::from(Bytes::from_static(br#"{"model":"m"}"#));
        let request = Request::post("/v1/chat/completions").header("host", "gateway");
        let request = request.header("x-api-key", "sk-a-6f0c2d9e48b1").header("content-type", "application/json");
        let answer = service.call(request.body(body).unwrap()).await.unwrap();
        assert_eq!(answer.status(), status);
        let told: u64 = answer.headers()["x-gateway-overhead-us"].to_str().unwrap().parse().unwrap();
        let told = Duration::from_micros(told);
        assert!(told >= DECISION && told < UPSTREAM, "{status}: {told:?}");
        answer.into_body().collect().await.unwrap();
        assert_eq!(overheads.0.lock().pop().unwrap().as_micros(), told.as_micros(), "{status}: the log says the same");
    }
}

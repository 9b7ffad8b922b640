//! What holds of the order of a call's attempts, whatever its upstreams do.
//!
//! Scenes are generated: models with targets, retries, hedges, keys and breakers, and upstreams of which most fail. Each
//! attempt is looked at as its request arrives, beside the state of all breakers at that moment. The clock is paused. A
//! scene is its seed: the one that a failure names makes the same scene again.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::collections::HashMap;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use bytes::Bytes;
use gateway_config::Config;
use gateway_core::call::{AttemptRecord, Event, Observer, Outcome};
use gateway_core::resilience::BreakerState;
use gateway_core::{Gateway, TargetReport};
use gateway_testing::{FakeUpstream, ReceivedRequest, Script};
use http::Request;
use http_body_util::{BodyExt, Full};
use hyper::service::Service;
use parking_lot::Mutex;
use tokio::time::{Instant, sleep, timeout};

const SCENES: u64 = 300;

/// A scene has so many calls, one after the other, with some time between them.
const CALLS: u64 = 8;

/// How long a call may take; few take as long.
const TOTAL: Duration = Duration::from_secs(100);

/// How much later than that it may be over.
const SLACK: Duration = Duration::from_millis(50);

/// How long a key is left out that was rejected, and a target that does not know its model.
const REJECTED: Duration = Duration::from_mins(1);

/// How long an upstream that says no more than "slow down" is left alone.
const LIMITED: Duration = Duration::from_secs(1);

/// The providers, each of which has these models.
const PROVIDERS: [&str; 2] = ["main", "spare"];
const UPSTREAM_MODELS: [&str; 3] = ["a", "b", "c"];

/// A provider, and what it calls the model.
type Target = (&'static str, &'static str);

/// A model as it is configured.
#[derive(Debug, Clone)]
struct Model {
    name: String,
    targets: Vec<Target>,
    max_retries: usize,
    /// How many attempts may be beside another.
    hedges: usize,
}

/// What an upstream does about one request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Deed {
    Serves,
    Fails,
    Resets,
    IsSilent,
    TalksNonsense,
    /// For so long, or without a word of how long.
    Limits(Option<Duration>),
    Sheds(Option<Duration>),
    RejectsTheKey,
    MissesTheModel,
    FindsItTooLong,
    FindsFault,
}

impl Deed {
    fn draw(rng: &mut fastrand::Rng) -> Self {
        let wait = rng.bool().then(|| Duration::from_millis(1 << rng.u32(..16)));
        let rare = [Self::Serves, Self::FindsItTooLong, Self::FindsFault, Self::MissesTheModel];
        match rng.u8(..16) {
            0..5 => Self::Fails,
            5 | 6 => Self::Resets,
            7 => Self::IsSilent,
            8 => Self::TalksNonsense,
            9 | 10 => Self::Limits(wait),
            11 | 12 => Self::Sheds(wait),
            13 | 14 => Self::RejectsTheKey,
            _ => rare[rng.usize(..rare.len())],
        }
    }

    /// Each answer is the last of its connection, so that no request is sent twice for one attempt.
    fn script(self) -> Script {
        let answer = |status: u16, headers: &str, body: &str| {
            let length = body.len();
            let head = format!("HTTP/1.1 {status} x\r\nconnection: close\r\n{headers}content-length: {length}\r\n\r\n");
            Script::new().write(head + body).close()
        };
        let after = |wait: Option<Duration>| {
            wait.map(|wait| format!("retry-after-ms: {}\r\n", wait.as_millis())).unwrap_or_default()
        };
        match self {
            Self::Serves => answer(200, "content-type: application/json\r\n", r#"{"id":"c-1","choices":[]}"#),
            Self::Fails => answer(500, "", "{}"),
            Self::Resets => Script::new().reset(),
            Self::IsSilent => Script::new().stall(),
            Self::TalksNonsense => answer(200, "", "<html>"),
            Self::Limits(wait) => answer(429, &after(wait), "{}"),
            Self::Sheds(wait) => answer(503, &after(wait), "{}"),
            Self::RejectsTheKey => answer(401, "", "{}"),
            Self::MissesTheModel => answer(404, "", "{}"),
            Self::FindsItTooLong => answer(400, "", r#"{"error":{"code":"context_length_exceeded"}}"#),
            Self::FindsFault => answer(400, "", r#"{"error":{"code":"other"}}"#),
        }
    }

    /// What it asks to be left alone, and for how long: the one target, or all of its provider's.
    fn cool_down(self) -> Option<(bool, Duration)> {
        match self {
            Self::Limits(wait) => Some((false, wait.unwrap_or(LIMITED))),
            Self::Sheds(wait) => Some((false, wait?)),
            Self::RejectsTheKey => Some((true, REJECTED)),
            Self::MissesTheModel => Some((false, REJECTED)),
            _ => None,
        }
    }
}

/// A request that arrived, and how everything stood then.
#[derive(Debug, Clone)]
struct Arrival {
    at: Instant,
    target: Target,
    deed: Deed,
    health: Vec<TargetReport>,
}

impl Arrival {
    fn breaker(&self, (provider, model): Target) -> BreakerState {
        let found = self.health.iter().find(|it| it.provider == provider && it.model == model);
        found.unwrap_or_else(|| panic!("no target {model} at {provider} in {:?}", self.health)).breaker
    }
}

/// What upstreams do, and what they have seen.
struct Plot {
    rng: fastrand::Rng,
    /// What each target does mostly.
    habits: HashMap<Target, Deed>,
    arrivals: Vec<Arrival>,
}

impl Plot {
    fn receive(&mut self, provider: &'static str, request: &ReceivedRequest, gateway: &Gateway) -> Script {
        let body = String::from_utf8_lossy(&request.body).into_owned();
        let asked = |model: &&&str| body.contains(&format!(r#""model":"{model}""#));
        let model = UPSTREAM_MODELS.iter().find(asked).unwrap_or_else(|| panic!("no model in {body}"));
        let target = (provider, *model);
        let any = Deed::draw(&mut self.rng);
        let deed = if self.rng.u8(..3) == 0 { any } else { *self.habits.entry(target).or_insert(any) };
        self.arrivals.push(Arrival { at: Instant::now(), target, deed, health: gateway.targets() });
        deed.script()
    }
}

/// The last call that was settled.
#[derive(Default)]
struct Trail(Mutex<Vec<AttemptRecord>>);

impl Observer for Trail {
    fn on_event(&self, event: &Event<'_>) {
        if let Event::Settled(record) = event {
            *self.0.lock() = record.attempts.to_vec();
        }
    }
}

/// A configuration, and what of it the laws speak of.
#[derive(Debug)]
struct Setting {
    models: Vec<Model>,
    /// How many keys each provider has.
    keys: [usize; 2],
    /// Whether providers take any retries at all.
    has_budget: bool,
    /// All but the providers' addresses.
    yaml: String,
}

impl Setting {
    fn draw(rng: &mut fastrand::Rng) -> Self {
        let keys = [rng.usize(1..=3), rng.usize(1..=3)];
        let has_budget = rng.u8(..10) > 0;
        let models: Vec<Model> = (0..3).map(|number| draw_model(number, rng)).collect();
        let providers = PROVIDERS.iter().zip(keys).map(|(name, keys)| {
            let keys: Vec<_> = (0..keys).map(|key| format!("key-{key}")).collect();
            let (keys, known) = (keys.join(", "), UPSTREAM_MODELS.join(", "));
            format!("  - {{ name: {name}, api_base: '<{name}>', api_keys: [ {keys} ], model_mapping: [ {known} ] }}\n")
        });
        let providers: String = providers.collect();
        let listed: String = models.iter().map(|model| draw_section(model, rng)).collect();
        let budget = if has_budget { "ratio: 1, min_per_second: 10000" } else { "ratio: 0, min_per_second: 0" };
        let yaml = format!(
            "
auth: none
timeouts: {{ headers: {headers}ms, total: {total}ms }}
providers:\n{providers}models:\n{listed}retry:
  base_delay: {base}ms
  max_delay: 10s
  max_retry_after: {patience}ms
  budget: {{ {budget} }}
circuit_breaker: {{ consecutive_failures: {failures}, open: {open}ms, max_open: 200s, half_open_probes: {probes} }}
",
            headers = 1 << rng.u32(4..14),
            total = TOTAL.as_millis(),
            base = 1 << rng.u32(..12),
            patience = 1 << rng.u32(..15),
            failures = rng.u8(1..8),
            open = 1 << rng.u32(..17),
            probes = rng.u8(1..4),
        );
        Self { models, keys, has_budget, yaml }
    }

    /// The most attempts that one model may get: the first, its retries, those with other keys, and those beside any of
    /// these, as long as a round has targets.
    fn most_attempts(&self, model: &Model) -> usize {
        let counted = 1 + model.max_retries;
        let other_keys = |(provider, _): &Target| self.keys[usize::from(*provider == PROVIDERS[1])] - 1;
        let rotations: usize = model.targets.iter().map(other_keys).sum();
        let hedges = (model.hedges * (counted + rotations)).min(counted * (model.targets.len() - 1));
        counted + rotations + hedges
    }
}

fn draw_model(number: usize, rng: &mut fastrand::Rng) -> Model {
    let all = PROVIDERS.iter().flat_map(|provider| UPSTREAM_MODELS.iter().map(move |model| (*provider, *model)));
    let targets = rng.choose_multiple(all, rng.clone().usize(1..=4));
    let hedges = if rng.bool() { 0 } else { rng.usize(1..=3) };
    Model { name: format!("m{number}"), targets, max_retries: rng.usize(..6), hedges }
}

fn draw_section(model: &Model, rng: &mut fastrand::Rng) -> String {
    let balance = ["weighted", "priority", "p2c", "least_in_flight"][rng.usize(..4)];
    let hedge = match model.hedges {
        0 => String::new(),
        most => format!("hedge: {{ after: {}ms, max: {most} }}, ", 1 << rng.u32(..12)),
    };
    let target = |(provider, model): &Target| {
        format!("{{ provider: {provider}, model: {model}, priority: {} }}", rng.clone().u8(..3))
    };
    let targets = model.targets.iter().map(target).collect::<Vec<_>>().join(", ");
    let Model { name, max_retries, .. } = model;
    format!("  {name}: {{ balance: {balance}, {hedge}max_retries: {max_retries}, targets: [ {targets} ] }}\n")
}

/// A call that is over.
struct Made<'a> {
    setting: &'a Setting,
    /// The models that it listed.
    plan: Vec<&'a Model>,
    began: Instant,
    elapsed: Duration,
    status: u16,
    trail: Vec<AttemptRecord>,
    arrivals: &'a [Arrival],
    /// Those of the calls before it.
    past: &'a [Arrival],
}

impl Made<'_> {
    fn check(&self) {
        assert!(self.elapsed <= TOTAL + SLACK, "it is late");
        assert!(!self.trail.is_empty(), "a call that is alone is refused");
        if !self.setting.has_budget {
            self.check_budget();
        }
        self.check_order_of_models();
        for leg in self.trail.chunk_by(|one, next| one.model == next.model) {
            self.check_leg(leg);
        }
        self.check_end();
        self.check_breakers();
        if self.are_told_apart() {
            self.check_repeats();
        }
    }

    fn model(&self, name: &str) -> &Model {
        self.plan.iter().find(|model| model.name == name).expect("a model of the plan")
    }

    /// The listed order, and then that of the models that were left out at first, because no target of them could be asked
    /// or all wanted to be left alone.
    fn check_order_of_models(&self) {
        let place = |name: &str| self.plan.iter().position(|model| model.name == name).expect("a model of the plan");
        let mut order: Vec<usize> = Vec::new();
        for leg in self.trail.chunk_by(|one, next| one.model == next.model) {
            let this = place(leg[0].model.as_str());
            assert!(!order.contains(&this), "it went back to {}", leg[0].model);
            let first = self.arrivals.iter().find(|it| is_at(&leg[0], it.target));
            let mut skipped = (0..this).filter(|before| !order.contains(before)).flat_map(|it| &self.plan[it].targets);
            let neglected = skipped.find(|target| first.is_some_and(|first| self.is_ready(**target, first)));
            assert!(
                neglected.is_none() || !self.setting.has_budget,
                "{neglected:?} was left out before {}",
                leg[0].model
            );
            order.push(this);
        }
        assert!(order.windows(2).filter(|pair| pair[0] > pair[1]).count() <= 1, "the models' order is {order:?}");
    }

    /// The attempts at one model: not too many, and none behind what decides.
    fn check_leg(&self, leg: &[AttemptRecord]) {
        let model = self.model(leg[0].model.as_str());
        let most = self.setting.most_attempts(model);
        assert!(leg.len() <= most, "{} attempts at {model:?}, and no more than {most} may be", leg.len());
        for (number, attempt) in leg.iter().enumerate() {
            let mut later = leg[number + 1..].iter();
            match attempt.outcome {
                Outcome::Success | Outcome::ClientFault | Outcome::ContextLength => {
                    assert!(later.all(|it| it.outcome == Outcome::Cancelled), "a verdict is not the last");
                }
                Outcome::ModelMissing => {
                    assert!(!later.any(|it| is_same(it, attempt)), "a target was asked again that misses the model");
                }
                _ => {}
            }
        }
    }

    /// What decides a call is the last of it, and what the caller gets.
    fn check_end(&self) {
        let outcomes = || self.trail.iter().map(|it| it.outcome);
        let decides = |outcome| matches!(outcome, Outcome::Success | Outcome::ClientFault);
        let decisive = outcomes().position(decides);
        if let Some(number) = decisive {
            assert_eq!(self.trail[number].model, self.trail.last().unwrap().model, "it was decided at {number}");
        }
        let is_too_long = outcomes().any(|outcome| outcome == Outcome::ContextLength);
        let expected: &[u16] = match decisive.map(|number| self.trail[number].outcome) {
            Some(Outcome::Success) => &[200],
            Some(_) => &[400],
            None if self.elapsed >= TOTAL => &[400, 504],
            None if is_too_long => &[400],
            None => &[502, 504],
        };
        assert!(expected.contains(&self.status), "{expected:?} was to be");
    }

    /// No attempt goes to an open target while another of the same model is closed, or one of a model that has not had its
    /// turn.
    fn check_breakers(&self) {
        for (number, arrival) in self.arrivals.iter().enumerate() {
            if !matches!(arrival.breaker(arrival.target), BreakerState::Open { .. }) || !self.setting.has_budget {
                continue;
            }
            let own = self.trail.iter().filter(|it| is_at(it, arrival.target)).map(|it| it.model.as_str());
            let own: Vec<_> = own.collect();
            for model in &self.plan {
                let mut targets = model.targets.iter();
                if own[..] == [&*model.name] {
                    let closed = targets.find(|target| arrival.breaker(**target) == BreakerState::Closed);
                    assert_eq!(closed, None, "request {number}: {:?} was asked, which is open", arrival.target);
                } else if !self.trail.iter().any(|it| it.model.as_str() == model.name) {
                    let ready = targets.find(|target| self.is_ready(**target, arrival));
                    assert_eq!(ready, None, "request {number}: {:?} was asked, which is open", arrival.target);
                }
            }
        }
    }

    /// No provider without a budget is asked again, unless it answered that what was asked for is not to be had there.
    fn check_budget(&self) {
        for (number, attempt) in self.trail.iter().enumerate() {
            let before = self.trail[..number].iter().rfind(|it| it.provider == attempt.provider);
            let is_free = before.is_none_or(|before| {
                matches!(
                    before.outcome,
                    Outcome::CredentialsRejected
                        | Outcome::RateLimited { .. }
                        | Outcome::ModelMissing
                        | Outcome::ContextLength
                )
            });
            assert!(is_free, "attempt {number} is a retry, for which there is no budget");
        }
    }

    /// Whether it is known of each attempt how everything stood when it began. Every attempt was a request, and every
    /// request an attempt, but for those beside another: they may be given up before they arrive.
    fn are_told_apart(&self) -> bool {
        let is_hedged = self.plan.iter().any(|model| model.hedges > 0);
        let is_told = self.trail.len() == self.arrivals.len()
            && self.trail.iter().zip(self.arrivals).all(|(attempt, arrival)| is_at(attempt, arrival.target));
        assert!(is_told || is_hedged, "the attempts are not the requests");
        let cancelled = self.trail.iter().filter(|it| it.outcome == Outcome::Cancelled).count();
        assert!(self.trail.len() - cancelled <= self.arrivals.len() && self.arrivals.len() <= self.trail.len());
        is_told
    }

    /// No target twice in a row, while another of the same model could be asked that the call has not tried.
    fn check_repeats(&self) {
        for (number, pair) in self.trail.windows(2).enumerate() {
            let [one, next] = pair else { unreachable!("a pair") };
            if one.model != next.model || !is_same(one, next) || !self.setting.has_budget {
                continue;
            }
            let model = self.model(one.model.as_str());
            let so_far: Vec<_> = self.trail[..=number].iter().filter(|it| it.model == one.model).collect();
            // Behind the last retry another key is all that may be tried.
            if so_far.len() > model.max_retries {
                continue;
            }
            let mut untried = model.targets.iter().filter(|target| !so_far.iter().any(|it| is_at(it, **target)));
            let neglected = untried.find(|target| self.is_ready(**target, &self.arrivals[number + 1]));
            assert_eq!(
                neglected, None,
                "it was not tried, but another twice in a row, as attempts {number} and the next"
            );
        }
    }

    /// Whether a target could surely be asked when a request arrived.
    fn is_ready(&self, target: Target, arrival: &Arrival) -> bool {
        arrival.breaker(target) == BreakerState::Closed && !self.is_cooling(target)
    }

    /// Whether a target may have wanted to be left alone at some moment of the call.
    fn is_cooling(&self, target: Target) -> bool {
        self.past.iter().chain(self.arrivals).any(|arrival| {
            let Some((is_of_provider, wait)) = arrival.deed.cool_down() else { return false };
            let is_meant = if is_of_provider { arrival.target.0 == target.0 } else { arrival.target == target };
            is_meant && arrival.at + wait >= self.began
        })
    }
}

fn is_at(attempt: &AttemptRecord, (provider, model): Target) -> bool {
    &*attempt.provider == provider && attempt.upstream_model.as_str() == model
}

fn is_same(one: &AttemptRecord, other: &AttemptRecord) -> bool {
    one.provider == other.provider && one.upstream_model == other.upstream_model
}

/// A scene in front of which calls are made.
struct Scene {
    setting: Setting,
    gateway: Gateway,
    plot: Arc<Mutex<Plot>>,
    trail: Arc<Trail>,
    rng: fastrand::Rng,
    story: Story,
    _upstreams: Vec<FakeUpstream>,
}

/// What has happened in a scene; it is told if the test fails.
struct Story(String);

impl Drop for Story {
    fn drop(&mut self) {
        if std::thread::panicking() {
            println!("{}", self.0);
        }
    }
}

impl Scene {
    async fn of(seed: u64) -> Self {
        // The gateway's own draws, such as the jitter of its delays.
        fastrand::seed(seed);
        let mut rng = fastrand::Rng::with_seed(seed);
        let setting = Setting::draw(&mut rng);
        let plot = Plot { rng: rng.fork(), habits: HashMap::new(), arrivals: Vec::new() };
        let (plot, known) = (Arc::new(Mutex::new(plot)), Arc::new(OnceLock::<Gateway>::new()));
        let mut yaml = setting.yaml.clone();
        let mut upstreams = Vec::new();
        for provider in PROVIDERS {
            let upstream = FakeUpstream::start([]).await.unwrap();
            yaml = yaml.replace(&format!("<{provider}>"), &upstream.api_base());
            let (plot, known) = (Arc::clone(&plot), Arc::clone(&known));
            upstream.otherwise(move |request| plot.lock().receive(provider, request, known.get().unwrap()));
            upstreams.push(upstream);
        }
        let trail = Arc::new(Trail::default());
        let config = Config::from_yaml(&yaml).unwrap();
        let gateway = Gateway::builder().observer(Arc::clone(&trail) as _).build(&config).unwrap();
        known.set(gateway.clone()).unwrap();
        let story = Story(yaml);
        Self { setting, gateway, plot, trail, rng, story, _upstreams: upstreams }
    }

    /// Makes a call for some of the models, in some order, and checks what came of it.
    async fn call(&mut self, told: &str) -> Vec<AttemptRecord> {
        let plan = self.rng.choose_multiple(0..3, self.rng.clone().usize(1..=3));
        let plan: Vec<&Model> = plan.into_iter().map(|number| &self.setting.models[number]).collect();
        let names: Vec<_> = plan.iter().map(|model| format!(r#""{}""#, model.name)).collect();
        let body = format!(r#"{{"model":{},"gateway":{{"models":[{}]}}}}"#, names[0], names.join(","));
        let request = Request::post("/v1/chat/completions").header("host", "gateway");
        let request = request.header("content-type", "application/json").body(Full::new(Bytes::from(body))).unwrap();
        let past = self.plot.lock().arrivals.clone();
        let began = Instant::now();
        let answer = timeout(10 * TOTAL, async {
            let (head, body) = self.gateway.service().call(request).await.unwrap().into_parts();
            (head.status.as_u16(), String::from_utf8(body.collect().await.unwrap().to_bytes().to_vec()).unwrap())
        });
        let answer = answer.await.unwrap_or_else(|_| panic!("it does not end: {told}"));
        let elapsed = began.elapsed();
        let arrivals = self.plot.lock().arrivals.split_off(past.len());
        self.plot.lock().arrivals.extend(arrivals.iter().cloned());
        let trail = self.trail.0.lock().clone();
        let text: Vec<_> = trail.iter().map(describe).collect();
        let line = format!("{told}, plan {names:?}, after {elapsed:?}: {} {}", answer.0, answer.1);
        self.story.0.extend([line, "\n  ".to_owned(), text.join("\n  "), "\n".to_owned()]);
        let (setting, past, arrivals) = (&self.setting, &past[..], &arrivals[..]);
        Made { setting, plan, began, elapsed, status: answer.0, trail: trail.clone(), arrivals, past }.check();
        trail
    }
}

fn describe(attempt: &AttemptRecord) -> String {
    let AttemptRecord { model, provider, upstream_model, outcome, elapsed, .. } = attempt;
    format!("{model} at {provider}/{upstream_model}: {} after {elapsed:?}", outcome.name())
}

#[tokio::test(start_paused = true)]
async fn the_order_of_attempts_keeps_its_laws() {
    let mut lengths = HashMap::<usize, u64>::new();
    for seed in 0..SCENES {
        let mut scene = Scene::of(seed).await;
        for number in 0..CALLS {
            let trail = scene.call(&format!("seed {seed}, call {number}")).await;
            *lengths.entry(trail.len()).or_default() += 1;
            sleep(Duration::from_millis(1 << scene.rng.u32(..16))).await;
        }
    }
    let long: u64 = lengths.iter().filter(|(length, _)| **length > 5).map(|(_, calls)| calls).sum();
    println!("calls by their number of attempts: {lengths:?}");
    assert!(long > CALLS * SCENES / 10, "most end too soon: {lengths:?}");
}

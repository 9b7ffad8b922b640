use gateway_config::Config;
use gateway_simulator::{Simulator, SimulatorConfig};

use super::*;

const ALL: &str = "auth: none\nhealth_check: { interval: 1m, model: m }\n";

fn config(providers: &str) -> Arc<Config> {
    Arc::new(Config::from_yaml(&format!("{ALL}providers: [{providers}]\n")).unwrap())
}

fn found(failure: Option<&'static str>) -> Finding {
    Finding { at: Timestamp::UNIX_EPOCH, failure }
}

/// A list of providers under a configuration, with the time that it is since they were followed.
struct Scene {
    rota: Rota,
    began: Instant,
}

impl Scene {
    /// Everybody's first turn comes at this share of the time until then.
    fn new(providers: &str, share: f64) -> Self {
        let (mut rota, began) = (Rota::default(), Instant::now());
        rota.follow(&config(providers), began, || share);
        Self { rota, began }
    }

    fn follow(&mut self, providers: &str, seconds: u64) {
        self.rota.follow(&config(providers), self.began + Duration::from_secs(seconds), || 0.0);
    }

    /// The names of those whose turn it is then, who are asked for so long.
    fn due(&mut self, seconds: f64) -> Vec<Job> {
        let now = self.began + Duration::from_secs_f64(seconds);
        std::iter::from_fn(|| self.rota.next(now, 0.5)).collect()
    }

    fn names(jobs: &[Job]) -> Vec<&str> {
        let mut names: Vec<_> = jobs.iter().map(|job| &*job.provider().name).collect();
        names.sort_unstable();
        names
    }
}

#[tokio::test]
async fn everybody_is_asked_within_ten_seconds_and_then_once_in_each_interval() {
    let mut scene =
        Scene::new("{ name: a }, { name: b, health_check: false }, { name: c, health_check: { interval: 2s } }", 1.0);
    assert_eq!(scene.rota.idle(scene.began), Some(Duration::from_secs(2)));
    assert!(scene.due(1.9).is_empty());
    for job in scene.due(2.0) {
        assert_eq!(job.provider().name, "c");
        scene.rota.finish(&job, found(None));
    }
    assert!(scene.due(3.9).is_empty());
    let jobs = scene.due(10.0);
    assert_eq!(Scene::names(&jobs), ["a", "c"], "once each, however late");
    for job in &jobs {
        assert_eq!(scene.rota.finish(job, found(None)), News::Nothing);
    }
    assert_eq!(Scene::names(&scene.due(69.9)), ["c"]);
    assert_eq!(Scene::names(&scene.due(70.0)), ["a"]);
}

#[tokio::test]
async fn intervals_are_kept_on_average_and_differ() {
    for (draw, expected) in [(0.0, 54), (0.5, 60), (1.0, 66)] {
        let mut scene = Scene::new("{ name: a }", 0.0);
        let job = scene.rota.next(scene.began, draw).unwrap();
        scene.rota.finish(&job, found(None));
        let idle = scene.rota.idle(scene.began).unwrap().as_secs_f64();
        assert!((idle - f64::from(expected)).abs() < 1e-6, "{draw}: {idle}");
    }
}

#[tokio::test]
async fn nobody_is_asked_twice_at_once() {
    let mut scene = Scene::new("{ name: a }", 0.0);
    let [job] = &scene.due(0.0)[..] else { panic!("it is due") };
    assert!(scene.due(600.0).is_empty());
    assert_eq!((scene.rota.idle(scene.began), scene.rota.under_way()), (None, 1));
    // Not even if it is another one by now.
    scene.follow("{ name: a, weight: 2 }", 600);
    assert!(scene.due(700.0).is_empty());
    scene.follow("", 700);
    scene.follow("{ name: a }", 700);
    assert!(scene.due(800.0).is_empty());
    scene.rota.finish(job, found(None));
    assert_eq!(Scene::names(&scene.due(800.0)), ["a"]);
}

#[tokio::test]
async fn whoever_has_waited_for_longest_is_asked_first() {
    let mut draws = [0.9, 0.1, 0.5].into_iter();
    let (mut rota, began) = (Rota::default(), Instant::now());
    rota.follow(&config("{ name: a }, { name: b }, { name: c }"), began, || draws.next().unwrap());
    let late = began + Duration::from_mins(1);
    let order: Vec<_> = std::iter::from_fn(|| rota.next(late, 0.5)).map(|job| job.provider().name.clone()).collect();
    assert_eq!(order, ["b", "c", "a"]);
}

#[tokio::test]
async fn what_was_found_goes_with_the_provider_that_it_was_found_of() {
    let mut scene = Scene::new("{ name: a }, { name: b }", 0.0);
    assert_eq!(scene.rota.finding("a"), None);
    for job in &scene.due(0.0) {
        assert_eq!(scene.rota.finish(job, found(Some("transport"))), News::Failed);
    }
    assert_eq!(scene.rota.finding("b"), Some(found(Some("transport"))));
    // One moves up and is otherwise the same; the other one is at another place.
    scene.follow("{ name: b }, { name: a, api_base: 'http://127.0.0.1:1/v1' }", 1);
    assert_eq!((scene.rota.finding("a"), scene.rota.finding("b")), (None, Some(found(Some("transport")))));
    let jobs = scene.due(1.0);
    assert_eq!(Scene::names(&jobs), ["a"], "it is asked anew, and the other one in its time");
    // It is another one again before it has answered.
    scene.follow("{ name: b, health_check: false }, { name: a, weight: 3 }", 2);
    assert_eq!(scene.rota.finish(&jobs[0], found(Some("transport"))), News::Nothing);
    assert_eq!((scene.rota.finding("a"), scene.rota.finding("b")), (None, None));
}

#[tokio::test]
async fn what_changes_is_news() {
    let mut scene = Scene::new("{ name: a }", 0.0);
    let findings = [None, Some("transport"), Some("server_error"), None, None];
    let news = findings.into_iter().zip(0_u8..).map(|(failure, minute)| {
        let jobs = scene.due(60.0 * f64::from(minute));
        scene.rota.finish(&jobs[0], found(failure))
    });
    let news: Vec<_> = news.collect();
    assert_eq!(news, [News::Nothing, News::Failed, News::Nothing, News::Recovered, News::Nothing]);
}

/// What a gateway's checks find of all its providers when each is asked once.
async fn findings(config: &Config) -> Vec<(String, Option<&'static str>)> {
    let gateway = Gateway::builder().build(config).unwrap();
    let checks = HealthChecks::new(&gateway);
    let now = Instant::now();
    let (first, _) = checks.due(now);
    let (second, _) = checks.due(now + Duration::from_secs(10));
    for job in first.into_iter().chain(second) {
        let (job, answer) = ask(job).await;
        checks.conclude(&job, answer);
    }
    let names = config.providers.iter().map(|provider| provider.name.clone());
    names.filter_map(|name| checks.finding(&name).map(|finding| (name, finding.failure))).collect()
}

#[tokio::test]
async fn a_real_request_tells_who_answers() {
    let simulator = Simulator::start(SimulatorConfig::default()).await.unwrap();
    let base = simulator.api_base();
    let providers = [
        ("answers", "model_mapping: [sim]", Some(None)),
        ("embeds", "model_mapping: [sim-embed]", Some(None)),
        ("fails", "model_mapping: ['sim?status=500']", Some(Some("server_error"))),
        ("limits", "model_mapping: ['sim?status=429']", Some(Some("rate_limited"))),
        ("refuses", "model_mapping: ['sim?status=401']", Some(Some("credentials_rejected"))),
        ("finds_fault", "model_mapping: ['sim?status=400']", Some(Some("client_fault"))),
        ("is_slow", "model_mapping: ['sim?stall=before_head']", Some(Some("total_timeout"))),
        ("breaks_off", "model_mapping: ['sim?cut=before_head']", Some(Some("transport"))),
        ("is_not_asked", "model_mapping: [sim], health_check: false", None),
    ];
    let listed = providers.map(|(name, rest, _)| format!("{{ name: {name}, api_base: '{base}', {rest} }}"));
    let top = "auth: none\nhealth_check: { interval: 1m, timeout: 500ms, model: sim }";
    let config = Config::from_yaml(&format!("{top}\nproviders: [{}]\n", listed.join(", "))).unwrap();
    let found = findings(&config).await;
    let expected = providers.iter().filter_map(|(name, _, failure)| Some(((*name).to_owned(), (*failure)?)));
    assert_eq!(found, expected.collect::<Vec<_>>());
    simulator.stop().await;
}

#[tokio::test]
async fn only_so_many_are_asked_at_once() {
    let many = MAX_AT_ONCE + 5;
    let providers: Vec<_> = (0..many).map(|index| format!("{{ name: p{index} }}")).collect();
    let gateway = Gateway::builder().build(&config(&providers.join(", "))).unwrap();
    let checks = HealthChecks::new(&gateway);
    let now = Instant::now();
    let (early, wait) = checks.due(now);
    assert!(wait <= LOOK, "another configuration may come");
    let (late, wait) = checks.due(now + Duration::from_secs(10));
    assert_eq!((early.len() + late.len(), wait), (MAX_AT_ONCE, LOOK));
    checks.conclude(&late[0], Ok(Duration::ZERO));
    assert_eq!(checks.due(now + Duration::from_secs(10)).0.len(), 1, "a place is free");
}

//! Notifications that are lost: what changed is known all the same, at the next look, and no call fails meanwhile.

use std::time::Duration;

use gateway_testing::FakeUpstream;
use gateway_tests::database::Database;
use gateway_tests::entries::PROVIDERS;
use gateway_tests::line::{Line, Quality};
use gateway_tests::load::Load;
use gateway_tests::patience::until;
use gateway_tests::site::{Node, Site, good, verdict};
use gateway_tests::stage::CALLER_KEY;
use serde_json::json;

use crate::hush::Hush;
use crate::scene::{FILE, call, one, provider};

/// How often the store is looked at although nothing was heard, and what a machine that has other things to do may add.
const LOOK: Duration = Duration::from_secs(5 + 2);

/// How many changes go unheard.
const ROUNDS: usize = 3;

/// A node that is told, and one that is not.
struct Pair {
    site: Site,
    told: Node,
    untold: Node,
    load: Load,
}

impl Pair {
    async fn of(database: &Database, untold_url: &str) -> Self {
        let mut site = Site::of(FILE).await.with("DB_URL", &database.url());
        let told = site.start();
        site.set("DB_URL", untold_url);
        let untold = site.start_elsewhere();
        told.admin().post(PROVIDERS, &provider(&site.upstream, "steady", "gpt-4o")).await;
        let is_served = async || (verdict(&call(&untold, "gpt-4o").await) == good()).then_some(());
        until("the provider of the load", is_served).await;
        let load = Load::start(&untold, &[CALLER_KEY, CALLER_KEY]);
        Self { site, told, untold, load }
    }

    /// Makes a change on the one node, and gives how long the other took to see it.
    async fn change(&self, upstream: &FakeUpstream, round: usize) -> Duration {
        let model = format!("m-{round}");
        if round == 0 {
            self.told.admin().post(PROVIDERS, &provider(upstream, "made", &model)).await;
        } else {
            self.told.admin().put(&one("made"), &json!({ "model_mapping": [model] })).await;
        }
        let is_served = async || (verdict(&call(&self.untold, &model).await) == good()).then_some(());
        until("a change that was not heard of", is_served).await.1
    }
}

/// As behind a firewall that has forgotten the connection.
#[tokio::test(flavor = "multi_thread")]
async fn notifications_that_are_swallowed() {
    let Some(database) = Database::postgres() else { return };
    let (url, hush) = Hush::of_url(&database.url()).await;
    let pair = Pair::of(&database, &url).await;
    hush.set(true);
    for round in 0..ROUNDS {
        let took = pair.change(&pair.site.upstream, round).await;
        println!("swallowed: seen after {took:?}");
        assert!(took < LOOK, "{took:?}");
    }
    assert!(hush.swallowed() > 0);
    hush.set(false);
    // Once it listens again, it hears at once.
    let mut times = Vec::new();
    for round in ROUNDS..ROUNDS + 5 {
        times.push(pair.change(&pair.site.upstream, round).await);
    }
    println!("heard again: {times:?}");
    assert!(times.iter().any(|took| *took < Duration::from_secs(1)), "{times:?}");
    println!("{} calls were served", pair.load.assert_served().await);
}

/// The connection is cut, and with it all others, for a moment or for longer.
#[tokio::test(flavor = "multi_thread")]
async fn connections_that_are_cut() {
    let Some(database) = Database::postgres() else { return };
    let (url, line) = Line::of_url(&database.url()).await;
    let pair = Pair::of(&database, &url).await;
    for round in 0..ROUNDS {
        line.set(Quality::Cut);
        let is_noticed = async || {
            let (status, told) = pair.untold.readiness().await;
            assert_eq!(status, 200, "{told}");
            (told["store"] == "unreachable, serving the keys known").then_some(())
        };
        if round > 0 {
            until("the cut to be noticed", is_noticed).await;
        }
        let model = format!("m-{round}");
        let fields = provider(&pair.site.upstream, &format!("made-{round}"), &model);
        pair.told.admin().post(PROVIDERS, &fields).await;
        line.set(Quality::Good);
        let is_served = async || (verdict(&call(&pair.untold, &model).await) == good()).then_some(());
        let ((), took) = until("a change during the cut", is_served).await;
        println!("cut: seen after {took:?}");
        assert!(took < LOOK, "{took:?}");
    }
    println!("{} calls were served", pair.load.assert_served().await);
}

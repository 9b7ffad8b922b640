//! Power cuts: a gateway that is killed again and again while keys are written. What was acknowledged is there, nothing is
//! half there, and nothing is there that was not noted.

mod account;
mod writer;

use std::collections::HashMap;
use std::time::Duration;

use gateway_tests::database::Database;
use gateway_tests::site::{Node, Site};
use serde_json::Value;
use sqlx::Connection;
use sqlx::sqlite::SqliteConnection;
use tokio::task::yield_now;
use tokio::time::sleep;

use writer::{Traffic, Writer};

/// How often the gateway is killed.
const KILLS: usize = 50;

/// How many administrators write at once, each to keys of its own.
const WRITERS: usize = 3;

/// After how many answers the gateway is killed, at most.
const MOST_ANSWERS: u64 = 12;

/// How long to wait, at most, before a gateway is killed that is writing: about as long as a write takes.
const WRITE: Duration = Duration::from_millis(6);

#[tokio::test(flavor = "multi_thread")]
async fn sqlite_keeps_what_was_acknowledged() {
    let database = Database::sqlite();
    survive(&database).await;
    let mut connection = SqliteConnection::connect(&database.url()).await.unwrap();
    let check: String = sqlx::query_scalar("PRAGMA integrity_check").fetch_one(&mut connection).await.unwrap();
    assert_eq!(check, "ok");
}

#[tokio::test(flavor = "multi_thread")]
async fn postgresql_keeps_what_was_acknowledged() {
    let Some(database) = Database::postgres() else { return };
    survive(&database).await;
}

async fn survive(database: &Database) {
    let site = Site::new().await.with("DB_URL", &database.url());
    let seed = fastrand::u64(..);
    println!("{}: seed {seed}", database.name());
    let mut random = fastrand::Rng::with_seed(seed);
    let mut writers: Vec<_> = (0..WRITERS).map(|number| Writer::new(number, random.fork())).collect();
    let mut in_flight = 0;
    for _ in 0..KILLS {
        let mut node = site.start();
        for writer in &mut writers {
            writer.settle_accounts(&node).await;
        }
        let traffic = Traffic::default();
        let address = node.admin();
        let tasks: Vec<_> =
            writers.drain(..).map(|writer| tokio::spawn(writer.write_until_killed(address, traffic.clone()))).collect();
        let wanted = random.u64(1..=MOST_ANSWERS);
        while traffic.answered() < wanted || traffic.in_flight() == 0 {
            yield_now().await;
        }
        sleep(WRITE.mul_f64(random.f64())).await;
        in_flight += usize::from(traffic.in_flight() > 0);
        node.process.kill().unwrap();
        for task in tasks {
            writers.push(task.await.unwrap());
        }
    }
    assert!(in_flight > KILLS / 2, "only {in_flight} of {KILLS} kills met a write");
    let node = site.start();
    for writer in &mut writers {
        writer.settle_accounts(&node).await;
        writer.check_all(&node).await;
    }
    assert_noted(&node, &writers).await;
    let done: usize = writers.iter().map(|writer| writer.done).sum();
    let doubtful: usize = writers.iter().map(|writer| writer.doubtful).sum();
    println!("{}: {done} writes, {doubtful} of them in doubt, {in_flight} kills amid writes", database.name());
}

/// Panics unless the audit log has one line for each write, and the last line of each key is what the key is.
async fn assert_noted(node: &Node, writers: &[Writer]) {
    let entries = node.admin().audit().await;
    let mut latest: HashMap<&str, &Value> = HashMap::new();
    let mut created: HashMap<&str, usize> = HashMap::new();
    for entry in &entries {
        let object = entry["object"].as_str().unwrap();
        latest.entry(object).or_insert(entry);
        *created.entry(object).or_default() += usize::from(entry["action"] == "master_key.create");
    }
    let keys = node.admin().list().await;
    for key in &keys {
        let id = key["id"].as_str().unwrap();
        assert_eq!(created.get(id), Some(&1), "{id}");
        let mut expected = key.clone();
        for unnoted in ["last_used_at", "source"] {
            expected.as_object_mut().unwrap().remove(unnoted);
        }
        assert_eq!(latest[id]["after"], expected, "{id}");
    }
    let stored: Vec<_> = keys.iter().map(|key| key["id"].as_str().unwrap()).collect();
    for (id, entry) in latest {
        assert_eq!(entry["after"].is_null(), !stored.contains(&id), "{entry}");
    }
    let done: usize = writers.iter().map(|writer| writer.done).sum();
    assert_eq!(entries.len(), done, "each write is noted once");
    let owned: usize = writers.iter().map(Writer::present).sum();
    assert_eq!(keys.len(), owned, "nothing is there that nobody asked for");
}

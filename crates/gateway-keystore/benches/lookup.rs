//! What it costs to find the key behind a digest among 100,000, and to find that there is none; and what it costs a call to
//! be known and held to its limits, from the text of the key to the settlement.
//!
//! `cargo bench -p gateway-keystore`. How much memory a key takes is printed by
//! `cargo run --release -p gateway-keystore --example key_memory`.

use std::future::Future;
use std::hint::black_box;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use criterion::{Criterion, criterion_group, criterion_main};
use gateway_keystore::{Changes, KeyDirectory, KeyRecord, KeyStore, VirtualKey};
use gateway_ratelimit::{Demand, LimitStore, LocalLimits, Moment, RateLimit, Used};
use gateway_secret::{KeyDigest, KeyDigester, Secret};
use jiff::Timestamp;

const KEYS: usize = 100_000;

fn digest(number: usize) -> KeyDigest {
    KeyDigest::of(&number.to_le_bytes())
}

fn record(number: usize, digest: KeyDigest) -> KeyRecord {
    // So many that none is ever refused.
    let rate_limit = RateLimit { requests_per_second: Some(1_000_000), ..RateLimit::default() };
    KeyRecord {
        name: format!("service {number}").into(),
        rate_limit: Some(rate_limit),
        ..KeyRecord::unlimited(&format!("key_{number:022}"), digest)
    }
}

fn directory_of(digests: impl Iterator<Item = KeyDigest>) -> KeyDirectory {
    let directory = KeyDirectory::default();
    let keys = digests.enumerate().map(|(number, digest)| record(number, digest)).collect();
    let changes = Changes { is_everything: true, keys, ..Changes::default() };
    assert!(directory.apply(&changes).is_empty(), "every key is usable");
    directory.set_reachable(true);
    directory
}

/// The answer of a store that has it at once.
fn now<T>(answer: impl Future<Output = T>) -> Option<T> {
    match pin!(answer).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(answer) => Some(answer),
        Poll::Pending => None,
    }
}

fn find(directory: &KeyDirectory, digest: &KeyDigest) -> Option<Arc<VirtualKey>> {
    now(directory.find(digest))?.ok()?
}

fn is_known(directory: &KeyDirectory, digest: &KeyDigest) -> bool {
    find(directory, digest).is_some()
}

fn lookup(criterion: &mut Criterion) {
    let directory = directory_of((0..KEYS).map(digest));
    let known: Vec<_> = (0..KEYS).map(digest).collect();
    let unknown: Vec<_> = (KEYS..2 * KEYS).map(digest).collect();
    let mut group = criterion.benchmark_group("lookup among 100,000 keys");
    for (name, digests) in [("hit", &known), ("miss", &unknown)] {
        let mut digests = digests.iter().cycle();
        group.bench_function(name, |bench| {
            bench.iter(|| digests.next().is_some_and(|digest| is_known(&directory, black_box(digest))));
        });
    }
    group.bench_function("hit, always the same key", |bench| {
        bench.iter(|| is_known(&directory, black_box(&known[7])));
    });
    group.finish();
}

/// As long as a key that was made here.
fn presented(number: usize) -> String {
    format!("sk-gw-{number:049}")
}

#[expect(clippy::disallowed_methods, reason = "an instant cannot be had otherwise, and any will do")]
fn call(criterion: &mut Criterion) {
    let peppered = KeyDigester::peppered(&Secret::from("a pepper of the operator's own"));
    let mut group = criterion.benchmark_group("a call is known and held to its limit");
    for (name, digester) in [("SHA-256", KeyDigester::default()), ("HMAC-SHA-256", peppered)] {
        let keys: Vec<_> = (0..KEYS).map(presented).collect();
        let directory = directory_of(keys.iter().map(|key| digester.digest(key.as_bytes())));
        let mut at = Moment { now: Instant::now(), wall: Timestamp::constant(1_769_903_990, 0) };
        let limits = LocalLimits::new(at.now);
        let mut admitted = |key: &str| {
            at.now += Duration::from_micros(10);
            let key = find(&directory, &digester.digest(key.as_bytes()))?;
            let reservation = now(limits.reserve(&key.account, &key.limits, Demand::default(), at))?.ok()?;
            limits.settle(reservation, Used::default(), at);
            Some(())
        };
        assert!(admitted(&keys[0]).is_some(), "what is measured is a call that is let through");
        // A few busy keys among many.
        let mut busy = keys.iter().step_by(KEYS / 100).cycle();
        group.bench_function(name, |bench| bench.iter(|| busy.next().and_then(|key| admitted(black_box(key)))));
    }
    group.finish();
}

criterion_group!(benches, lookup, call);
criterion_main!(benches);

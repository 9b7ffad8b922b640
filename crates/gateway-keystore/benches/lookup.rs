//! What it costs to find the key behind a digest among 100,000, and to find that there is none.
//!
//! `cargo bench -p gateway-keystore`. How much memory a key takes is printed by
//! `cargo run --release -p gateway-keystore --example key_memory`.

use std::future::Future;
use std::hint::black_box;
use std::pin::pin;
use std::task::{Context, Poll, Waker};

use criterion::{Criterion, criterion_group, criterion_main};
use gateway_keystore::{Changes, KeyDirectory, KeyRecord, KeyStore, Version};
use gateway_secret::KeyDigest;

const KEYS: usize = 100_000;

fn digest(number: usize) -> KeyDigest {
    KeyDigest::of(&number.to_le_bytes())
}

fn record(number: usize) -> KeyRecord {
    KeyRecord {
        name: format!("service {number}").into(),
        ..KeyRecord::unlimited(&format!("key_{number:022}"), digest(number))
    }
}

fn is_known(directory: &KeyDirectory, digest: &KeyDigest) -> bool {
    let mut context = Context::from_waker(Waker::noop());
    matches!(pin!(directory.find(digest)).poll(&mut context), Poll::Ready(Ok(Some(_))))
}

fn lookup(criterion: &mut Criterion) {
    let directory = KeyDirectory::default();
    let keys = (0..KEYS).map(record).collect();
    let changes = Changes { version: Version(1), is_everything: true, keys, ..Changes::default() };
    assert!(directory.apply(&changes).is_empty(), "every key is usable");
    directory.set_reachable(true);
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

criterion_group!(benches, lookup);
criterion_main!(benches);

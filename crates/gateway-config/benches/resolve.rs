//! What it costs to load a large configuration: 1,000 providers with ten mappings each and 1,000 models, from the text of a
//! file and from the rows of a store. A reload of as much is to take less than 50 ms in all.
//!
//! `cargo bench -p gateway-config --bench resolve`.

#![allow(clippy::expect_used, missing_docs)]

use std::fmt::Write as _;
use std::hint::black_box;

use criterion::{Criterion, criterion_group, criterion_main};
use gateway_config::{Difference, Settings, Sources, Vocabulary};
use gateway_keystore::{SettingsKind, SettingsRecord, StoredSettings};
use jiff::Timestamp;
use tempfile::TempDir;

const PROVIDERS: usize = 1_000;
const MAPPINGS: usize = 10;

fn members(number: usize) -> String {
    let names = (0..MAPPINGS).map(|index| format!("\"model-{number}-{index}\": \"upstream-{index}\""));
    let names: Vec<String> = names.collect();
    format!(
        "\"api_base\": \"https://host-{number}.example.com/v1\", \"api_key\": \"sk-0123456789-{number}\", \"weight\": 2, \
         \"timeouts\": {{\"connect\": \"2s\"}}, \"model_mapping\": {{{}}}",
        names.join(", ")
    )
}

fn model(number: usize) -> String {
    let next = (number + 1) % PROVIDERS;
    format!(
        "{{\"targets\": [{{\"provider\": \"provider-{number}\"}}, {{\"provider\": \"provider-{next}\"}}], \
         \"fallback_models\": [\"alias-{next}\", \"model-{number}-3\"]}}"
    )
}

/// As a program writes it.
fn flow_file() -> String {
    let mut yaml = "auth: none\nproviders:\n".to_owned();
    for number in 0..PROVIDERS {
        let _ = writeln!(yaml, "  - {{ \"name\": \"provider-{number}\", {} }}", members(number));
    }
    yaml.push_str("models:\n");
    for number in 0..PROVIDERS {
        let _ = writeln!(yaml, "  alias-{number}: {}", model(number));
    }
    yaml
}

/// The same as a person writes it.
fn block_file() -> String {
    let mut yaml = "auth: none\nproviders:\n".to_owned();
    for number in 0..PROVIDERS {
        let _ = write!(
            yaml,
            "  - name: provider-{number}\n    api_base: https://host-{number}.example.com/v1\n    \
             api_key: sk-0123456789-{number}\n    weight: 2\n    timeouts:\n      connect: 2s\n    model_mapping:\n"
        );
        for index in 0..MAPPINGS {
            let _ = writeln!(yaml, "      model-{number}-{index}: upstream-{index}");
        }
    }
    yaml.push_str("models:\n");
    for number in 0..PROVIDERS {
        let next = (number + 1) % PROVIDERS;
        let _ = write!(
            yaml,
            "  alias-{number}:\n    targets:\n      - provider: provider-{number}\n      - provider: provider-{next}\n    \
             fallback_models: [alias-{next}, model-{number}-3]\n"
        );
    }
    yaml
}

fn rows() -> StoredSettings {
    let record = |kind, name: String, settings| SettingsRecord {
        kind,
        name: name.into(),
        settings,
        secrets: None,
        revision: 1,
        created_at: Timestamp::UNIX_EPOCH,
        updated_at: Timestamp::UNIX_EPOCH,
    };
    let provider =
        |number| record(SettingsKind::Provider, format!("provider-{number}"), format!("{{{}}}", members(number)));
    let model = |number| record(SettingsKind::Model, format!("alias-{number}"), model(number));
    let records = (0..PROVIDERS).flat_map(|number| [provider(number), model(number)]).collect();
    StoredSettings { records, unreadable: Vec::new() }
}

/// A file of its own in a folder, which goes with the first of both.
fn written(text: &str) -> (TempDir, Sources) {
    let directory = TempDir::new().expect("a directory for the file");
    std::fs::write(directory.path().join("config.yaml"), text).expect("the file is written");
    let sources = Sources { working_directory: directory.path().to_owned(), ..Sources::default() };
    (directory, sources)
}

fn settings(sources: &Sources) -> Settings {
    Settings::read(sources).expect("the file is read")
}

fn resolve(criterion: &mut Criterion) {
    let (vocabulary, nothing, stored) = (Vocabulary::default(), StoredSettings::default(), rows());
    let ((_block, block), (_flow, flow)) = (written(&block_file()), written(&flow_file()));
    // The anchor takes it away from the faster reader.
    let (_anchored, anchored) = written(&flow_file().replacen("none", "&anchor none", 1));
    let (_small, small) = written("auth: none\n");
    criterion.bench_function("read a block file", |bencher| bencher.iter_with_large_drop(|| settings(&block)));
    criterion.bench_function("read a flow file", |bencher| bencher.iter_with_large_drop(|| settings(&flow)));
    criterion.bench_function("read an anchored file", |bencher| bencher.iter_with_large_drop(|| settings(&anchored)));
    let (of_file, of_store) = (settings(&block), settings(&small));
    let file_alone = || of_file.resolve(Some(&nothing), &vocabulary).expect("the file is right");
    let store_alone = || of_store.resolve(Some(&stored), &vocabulary).expect("the file is right");
    assert_eq!((file_alone().config.models.len(), store_alone().config.models.len()), (PROVIDERS, PROVIDERS));
    criterion.bench_function("resolve the file", |bencher| bencher.iter(|| black_box(file_alone())));
    criterion.bench_function("resolve the store", |bencher| bencher.iter(|| black_box(store_alone())));
    let (before, after) = (file_alone().config, file_alone().config);
    criterion.bench_function("compare", |bencher| bencher.iter(|| black_box(Difference::between(&before, &after))));
}

criterion_group!(benches, resolve);
criterion_main!(benches);

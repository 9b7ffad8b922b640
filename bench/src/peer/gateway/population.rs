//! How many providers, models and keys the gateway knows, and which of them calls name.

use std::fmt::Write as _;
use std::net::SocketAddr;

use clap::ValueEnum as _;

use crate::exchange::{Ask, Kind};

/// A limit that is counted and never reached: the highest that the gateway takes.
const LIMITS: &str = "{ requests_per_minute: 60000000 }";
const PROVIDERS: usize = 1_000;
const MAPPINGS_EACH: usize = 10;
const KEYS: usize = 100_000;
/// Keys of one file. A file of 16 MiB with a million values, which is the most that the gateway reads, does not hold all.
const KEYS_A_FILE: usize = 25_000;

/// How much the gateway knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Population {
    /// Two providers, which both have the models of the load, and one key.
    Ordinary,
    /// One provider, one model, one key.
    OneOfEach,
    /// 1,000 providers with ten models each, and 100,000 keys in the store. So many callers make calls, each with a key and a model of
    /// its own at another provider.
    Many { callers: usize },
}

impl Population {
    /// What calls name, in turn.
    pub(crate) fn asks(self, kind: Kind) -> Vec<Ask> {
        match self {
            Self::Ordinary | Self::OneOfEach => vec![Ask { model: kind.public_model(), key: key(0) }],
            Self::Many { callers } => (0..callers).map(|number| ask_of_many(number, callers)).collect(),
        }
    }

    /// What stands in the configuration.
    pub(super) fn in_file(self, upstream: SocketAddr) -> String {
        let kinds = || Kind::value_variants().iter().map(|kind| (kind.public_model(), kind.upstream_model()));
        let mut text = "providers:\n".to_owned();
        match self {
            Self::Ordinary => ["first", "second"].iter().for_each(|name| provider(&mut text, name, upstream, kinds())),
            Self::OneOfEach => provider(&mut text, "first", upstream, kinds().take(1)),
            Self::Many { .. } => (0..PROVIDERS).for_each(|number| {
                let models = (0..MAPPINGS_EACH).map(|index| (model(number, index), Kind::Plain.upstream_model()));
                provider(&mut text, &format!("provider-{number}"), upstream, models);
            }),
        }
        if self == Self::Ordinary { text + &keys(0..1) } else { text }
    }

    /// What stands in the store, in files to import.
    pub(super) fn in_store(self) -> impl Iterator<Item = String> {
        let count = match self {
            Self::Ordinary => 0,
            Self::OneOfEach => 1,
            Self::Many { .. } => KEYS,
        };
        (0..count).step_by(KEYS_A_FILE).map(move |first| keys(first..count.min(first + KEYS_A_FILE)))
    }
}

/// One of so many calls: its key and its model are far from those of its neighbours.
fn ask_of_many(number: usize, count: usize) -> Ask {
    let provider = number * 7 % PROVIDERS;
    Ask { model: model(provider, number % MAPPINGS_EACH), key: key(number * KEYS / count) }
}

fn model(provider: usize, index: usize) -> String {
    format!("model-{provider}-{index}-{}", Kind::Plain.word())
}

fn key(number: usize) -> String {
    format!("sk-bench-{number:06}-0123456789")
}

fn provider(text: &mut String, name: &str, upstream: SocketAddr, models: impl Iterator<Item = (String, String)>) {
    let _ = write!(
        text,
        "  - name: {name}\n    api_base: http://{upstream}/v1\n    api_key: sk-upstream-0123456789\n    model_mapping:\n"
    );
    for (public, upstream) in models {
        let _ = writeln!(text, "      {public}: {upstream}");
    }
}

fn keys(numbers: std::ops::Range<usize>) -> String {
    let mut text = "master_keys:\n".to_owned();
    for number in numbers {
        let _ = writeln!(text, "  - {{ name: caller-{number}, key: {}, rate_limit: {LIMITS} }}", key(number));
    }
    text
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn calls_name_many_keys_and_providers() {
        let asks = Population::Many { callers: 64 }.asks(Kind::Plain);
        let keys: HashSet<_> = asks.iter().map(|ask| &ask.key).collect();
        let models: HashSet<_> = asks.iter().map(|ask| ask.model.split('-').nth(1)).collect();
        assert_eq!((keys.len(), models.len()), (64, 64));
    }

    #[test]
    fn all_keys_are_stored_in_files_that_can_be_read() {
        let files: Vec<_> = Population::Many { callers: 1 }.in_store().collect();
        assert_eq!(files.iter().map(|file| file.lines().count() - 1).sum::<usize>(), KEYS);
        assert!(files.iter().all(|file| file.len() < 16 << 20));
    }
}

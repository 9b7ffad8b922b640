//! Who is to be asked when, and what was found: values of time and chance come in, and nothing goes out.

use std::collections::{HashMap, HashSet};
use std::mem;
use std::sync::Arc;
use std::time::Duration;

use gateway_config::{Config, HealthCheck, Provider};
use jiff::Timestamp;
use tokio::time::Instant;

/// Within this time a provider is asked for the first time, and one that is not what it was for the next time.
const SOON: Duration = Duration::from_secs(10);

/// How far a time between two checks may be from the interval, as a share of it. Otherwise all gateways that were started together
/// would ask together for ever.
const SPREAD: f64 = 0.1;

/// What was found last.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Finding {
    /// When.
    pub(crate) at: Timestamp,
    /// What went wrong, by a constant name; none if the provider has answered.
    pub(crate) failure: Option<&'static str>,
}

/// How a finding goes with the one before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum News {
    /// As before, or about a provider that is not there any more as it was.
    Nothing,
    /// The provider has begun to fail.
    Failed,
    /// The provider answers again.
    Recovered,
}

/// The providers that are checked under one configuration.
#[derive(Default)]
pub(super) struct Rota {
    /// None until one is followed.
    config: Option<Arc<Config>>,
    /// By name.
    turns: HashMap<String, Turn>,
    /// Names of providers that are being asked, whether they are still checked or not.
    under_way: HashSet<String>,
    /// How many jobs there have been.
    jobs: u64,
}

/// One provider.
struct Turn {
    /// Its index in the configuration.
    place: usize,
    due: Instant,
    /// The last job, which is the one whose result counts.
    job: Option<u64>,
    finding: Option<Finding>,
}

/// A provider that is to be asked now.
pub(super) struct Job {
    number: u64,
    config: Arc<Config>,
    place: usize,
    pub(super) check: HealthCheck,
}

impl Job {
    pub(super) fn provider(&self) -> &Provider {
        // The place is one of this very configuration.
        &self.config.providers[self.place]
    }
}

impl Rota {
    /// Takes over what a configuration says, if it is another one. Providers that are what they were keep their turns and what was
    /// found of them. `draw` is a number from 0 to 1, another one each time.
    pub(super) fn follow(&mut self, config: &Arc<Config>, now: Instant, mut draw: impl FnMut() -> f64) {
        if self.config.as_ref().is_some_and(|followed| Arc::ptr_eq(followed, config)) {
            return;
        }
        let former = self.config.replace(Arc::clone(config));
        let former = former.as_ref().map_or(&[][..], |former| &former.providers);
        let mut turns = mem::take(&mut self.turns);
        for (place, provider) in config.providers.iter().enumerate() {
            let Some(check) = &provider.health_check else { continue };
            let is_same = |turn: &Turn| former.get(turn.place) == Some(provider);
            let begin = || {
                let due = now + check.interval.min(SOON).mul_f64(draw());
                Turn { place, due, job: None, finding: None }
            };
            let kept = turns.remove(&provider.name).filter(is_same);
            let turn = kept.map_or_else(begin, |turn| Turn { place, ..turn });
            self.turns.insert(provider.name.clone(), turn);
        }
    }

    /// The provider whose turn has been due for longest, unless it is still being asked. `draw` is a number from 0 to 1.
    pub(super) fn next(&mut self, now: Instant, draw: f64) -> Option<Job> {
        let Self { config, turns, under_way, jobs } = self;
        let due = turns.iter_mut().filter(|(name, turn)| turn.due <= now && !under_way.contains(*name));
        let (name, turn) = due.min_by_key(|(_, turn)| turn.due)?;
        let config = config.as_ref()?;
        let check = config.providers.get(turn.place)?.health_check.clone()?;
        *jobs += 1;
        turn.job = Some(*jobs);
        turn.due = now + check.interval.mul_f64(1.0 - SPREAD + 2.0 * SPREAD * draw);
        under_way.insert(name.clone());
        Some(Job { number: *jobs, config: Arc::clone(config), place: turn.place, check })
    }

    /// How long nobody's turn comes; `None` if nobody's ever does as things are.
    pub(super) fn idle(&self, now: Instant) -> Option<Duration> {
        let waiting = self.turns.iter().filter(|(name, _)| !self.under_way.contains(*name));
        waiting.map(|(_, turn)| turn.due.saturating_duration_since(now)).min()
    }

    /// How many are being asked.
    pub(super) fn under_way(&self) -> usize {
        self.under_way.len()
    }

    /// Takes note of what came of a job.
    pub(super) fn finish(&mut self, job: &Job, finding: Finding) -> News {
        let name = &job.provider().name;
        self.under_way.remove(name);
        let asked = self.turns.get_mut(name).filter(|turn| turn.job == Some(job.number));
        let Some(turn) = asked else { return News::Nothing };
        let has_failed = |finding: Finding| finding.failure.is_some();
        let before = turn.finding.replace(finding).is_some_and(has_failed);
        match (before, has_failed(finding)) {
            (false, true) => News::Failed,
            (true, false) => News::Recovered,
            _ => News::Nothing,
        }
    }

    /// What was found last about a provider, if anything was since it is what it is.
    pub(super) fn finding(&self, provider: &str) -> Option<Finding> {
        self.turns.get(provider)?.finding
    }
}

//! Asks providers in the background whether they answer, as `health_check` in the configuration says.
//!
//! Each check is the request that the Admin API's health check sends, see `probe`. What it finds is shown to operators, in
//! `/health/detailed` and in `llm_proxy_provider_health`, and does nothing else. In particular it opens no circuit breaker: a breaker
//! belongs to one model of a provider and learns from what callers get, whereas a check tries one model that may be the only one
//! that fails, with a connection of its own. A check that goes wrong because of itself must not take a provider away from callers,
//! and one that goes well must not send callers to a model that fails.
//!
//! Nor is a check anybody's call: it takes nothing of a key's limits and budget, waits in no queue, and is in no count of requests,
//! attempts, tokens and cost, in no usage and in no access log.
//!
//! One task does all of it and looks at the configuration in force at every step, at least once a second, so it follows reloads.

mod rota;

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use gateway_core::Gateway;
use jiff::Timestamp;
use parking_lot::Mutex;
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

pub(crate) use self::rota::Finding;
use self::rota::{Job, News, Rota};
use crate::probe::{Failure, probe};

/// How many providers are asked at once. Those that do not answer keep their places until they are given up.
const MAX_AT_ONCE: usize = 16;

/// How long another configuration may go unnoticed.
const LOOK: Duration = Duration::from_secs(1);

/// The checks of a gateway's providers.
#[derive(Clone)]
pub(crate) struct HealthChecks {
    gateway: Gateway,
    rota: Arc<Mutex<Rota>>,
}

impl HealthChecks {
    /// Begins to check, until told to stop. Checks that are under way then are given up.
    pub(crate) fn start(gateway: &Gateway, stop: CancellationToken) -> Self {
        let checks = Self::new(gateway);
        tokio::spawn(stop.run_until_cancelled_owned(checks.clone().run()));
        checks
    }

    fn new(gateway: &Gateway) -> Self {
        Self { gateway: gateway.clone(), rota: Arc::default() }
    }

    /// What was found last about a provider; `None` if it is not checked, or has not been yet.
    pub(crate) fn finding(&self, provider: &str) -> Option<Finding> {
        self.rota.lock().finding(provider)
    }

    async fn run(self) -> Infallible {
        let mut asked = FuturesUnordered::new();
        loop {
            let (jobs, wait) = self.due(Instant::now());
            asked.extend(jobs.into_iter().map(ask));
            tokio::select! {
                Some((job, answer)) = asked.next() => self.conclude(&job, answer),
                () = sleep(wait) => {}
            }
        }
    }

    /// Who is to be asked now, and how long there is nothing else to begin.
    fn due(&self, now: Instant) -> (Vec<Job>, Duration) {
        let config = self.gateway.config();
        let mut rota = self.rota.lock();
        rota.follow(&config, now, fastrand::f64);
        let mut jobs = Vec::new();
        while rota.under_way() < MAX_AT_ONCE {
            let Some(job) = rota.next(now, fastrand::f64()) else {
                return (jobs, rota.idle(now).unwrap_or(LOOK).min(LOOK));
            };
            jobs.push(job);
        }
        // Whoever is next waits for one of those.
        (jobs, LOOK)
    }

    fn conclude(&self, job: &Job, answer: Result<Duration, Failure>) {
        let finding = Finding { at: Timestamp::now(), failure: answer.as_ref().err().map(|failure| failure.class) };
        let news = self.rota.lock().finish(job, finding);
        let (provider, model) = (&*job.provider().name, &*job.check.model);
        match (news, answer) {
            (News::Failed, Err(Failure { class, reason })) => {
                tracing::warn!(provider, model, class, reason, "a provider does not answer its health check");
            }
            (News::Recovered, Ok(_)) => tracing::info!(provider, model, "a provider answers its health check again"),
            _ => {}
        }
    }
}

async fn ask(job: Job) -> (Job, Result<Duration, Failure>) {
    let answer = probe(job.provider(), &job.check.model, job.check.timeout).await;
    (job, answer)
}

#[cfg(test)]
mod tests;

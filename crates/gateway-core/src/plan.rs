//! Step 5: which models may serve this call, in which order, and for how long. The order of a model's targets is settled
//! when its turn comes, by their health at that moment.

use std::sync::Arc;
use std::time::Duration;

use gateway_call::{Deadline, Label, ModelName, Tightening};
use gateway_config::{Affinity, Hedge};
use gateway_ratelimit::Price;
use gateway_resilience::{RetryPolicy, TargetHealth};
use gateway_routing::{Moment, Ranking, Resolved, Target};
use gateway_upstream::Timeouts;
use tokio::time::Instant;

use crate::admit::Permit;
use crate::authenticate::Caller;
use crate::ingest::Asked;
use crate::rejection::Rejection;
use crate::settle::{Addressee, Settlement};
use crate::snapshot::{ModelSettings, ProviderRuntime, Snapshot};
use crate::suggestion::nearest;

/// The models of a call in the order in which they are tried; never empty.
#[derive(Debug)]
pub(crate) struct Plan<'a> {
    pub(crate) legs: Vec<Leg<'a>>,
}

/// One model of a plan.
#[derive(Debug)]
pub(crate) struct Leg<'a> {
    /// The model as answers show it: as the caller spelled it if it is the caller's first choice.
    pub(crate) shown: ModelName,
    /// The model as the configuration knows it; logs and metrics show this name.
    pub(crate) model: ModelName,
    /// Whose turn it is when callers take turns.
    pub(crate) account: Arc<str>,
    /// How often and when it may be tried again.
    pub(crate) retry: RetryPolicy,
    /// Whether the answer is to say who served.
    pub(crate) rewrite: bool,
    resolved: Resolved,
    settings: Option<&'a ModelSettings>,
    affinity: Option<Affinity>,
    snapshot: &'a Snapshot,
    tightening: Tightening,
    started: Instant,
}

/// One target of a leg, with everything that an attempt at it needs.
#[derive(Debug)]
pub(crate) struct Aim<'a> {
    /// The provider.
    pub(crate) provider: &'a ProviderRuntime,
    /// The model as the provider knows it.
    pub(crate) upstream_model: ModelName,
    /// The model as the answer shows it; none for what is passed through, whose model nobody looked for.
    pub(crate) shown: Option<ModelName>,
    /// How long each phase may take.
    pub(crate) timeouts: Timeouts,
    /// When everything has to be over.
    pub(crate) deadline: Deadline,
    /// What the caller is in a hurry about.
    pub(crate) hurry: Hurry,
    /// What it charges.
    pub(crate) price: Price,
}

/// Which of the times it is the caller who set. Missing those says nothing about the target.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Hurry {
    /// Until the first content.
    pub(crate) first_token: bool,
    /// For the whole call.
    pub(crate) total: bool,
}

/// Finds the targets of a call that `permit` allows. All models that the caller lists have to exist; a caller who names
/// one gets its configured fallbacks, as far as the key may use them.
pub(crate) fn plan<'a>(
    permit: &Permit<'_>,
    asked: &Asked,
    snapshot: &'a Snapshot,
    settlement: &mut Settlement,
) -> Result<Plan<'a>, Rejection> {
    let drafter = Drafter { asked, account: permit.caller.account(), snapshot, started: settlement.started() };
    let mut legs: Vec<Leg<'a>> = Vec::with_capacity(permit.models.len());
    for (name, spelled) in permit.models.iter().zip(&asked.call.models) {
        let resolved = snapshot.resolve(name);
        let resolved = resolved.ok_or_else(|| model_not_found(spelled, name, permit.caller, snapshot))?;
        if !legs.iter().any(|leg| leg.model == *name) {
            let shown = if legs.is_empty() { spelled } else { name };
            legs.push(drafter.leg(shown, name, resolved));
        }
    }
    let first = legs.first().ok_or(Rejection::ModelNotFound { model: String::new(), near: Vec::new() })?;
    settlement.note_model(first.model.clone(), first.entry().cloned(), asked.call.tags.clone());
    if legs.len() == 1 {
        for name in first.settings.map_or(&[][..], |settings| &settings.fallbacks) {
            if permit.caller.allows(name.as_str())
                && let Some(resolved) = snapshot.resolve(name)
            {
                legs.push(drafter.leg(name, name, resolved));
            }
        }
    }
    refuse_withheld(&legs, snapshot)?;
    Ok(Plan { legs })
}

/// Refuses a call none of whose models anybody may serve.
fn refuse_withheld(legs: &[Leg<'_>], snapshot: &Snapshot) -> Result<(), Rejection> {
    match legs.first() {
        Some(first) if legs.iter().all(|leg| leg.resolved.route.is_closed()) => {
            // Once the store has been read, it may turn out to be served.
            let is_known = !snapshot.config.awaits_store;
            let withheld = || Rejection::ModelWithheld { model: first.shown.to_string() };
            Err(if is_known { withheld() } else { Rejection::NoHealthyTarget })
        }
        _ => Ok(()),
    }
}

/// What all legs of a call have in common.
struct Drafter<'c, 'a> {
    asked: &'c Asked,
    account: Arc<str>,
    snapshot: &'a Snapshot,
    started: Instant,
}

impl<'a> Drafter<'_, 'a> {
    fn leg(&self, shown: &ModelName, model: &ModelName, resolved: Resolved) -> Leg<'a> {
        let settings = self.snapshot.models.get(model.as_str());
        let tightening = self.asked.call.tightening;
        let configured = settings.and_then(|settings| settings.max_retries);
        let retry = self.snapshot.retry;
        let max_retries = configured.unwrap_or(retry.max_retries);
        let max_retries = tightening.max_retries.map_or(max_retries, |asked| asked.min(max_retries));
        Leg {
            shown: shown.clone(),
            model: model.clone(),
            account: Arc::clone(&self.account),
            retry: RetryPolicy { max_retries, ..retry },
            rewrite: settings.and_then(|settings| settings.rewrite_response).unwrap_or(self.snapshot.rewrite_response),
            resolved,
            affinity: settings.and_then(|settings| settings.affinity),
            settings,
            snapshot: self.snapshot,
            tightening,
            started: self.started,
        }
    }
}

impl Plan<'_> {
    /// The most that the call may cost, whoever serves it.
    pub(crate) fn dearest(&self) -> Price {
        let prices = self.legs.iter().flat_map(Leg::prices);
        prices.fold(Price::default(), |dearest, price| Price {
            input: dearest.input.max(price.input),
            output: dearest.output.max(price.output),
        })
    }
}

impl<'a> Leg<'a> {
    fn prices(&self) -> impl Iterator<Item = Price> {
        self.targets().iter().enumerate().filter_map(|(index, target)| {
            Some(self.price(self.snapshot.providers.get(target.provider)?, &self.resolved.upstream_model(index)?))
        })
    }

    /// What the model costs at a provider.
    fn price(&self, provider: &ProviderRuntime, upstream_model: &ModelName) -> Price {
        provider.prices.price(self.model.as_str(), upstream_model.as_str())
    }

    /// Takes the next turn of the model's route and ranks its targets.
    pub(crate) fn rank(&self, asked: &Asked, now: Instant) -> Ranking {
        let affinity = self.affinity.and_then(|kind| asked.affinity(kind));
        let moment = Moment { now: now.into_std(), random: fastrand::u64(..), affinity };
        self.resolved.route.rank(&asked.call, moment)
    }

    /// The entry of the configuration that the model's name led to.
    pub(crate) fn entry(&self) -> Option<&Label> {
        self.resolved.entry.as_ref()
    }

    /// Who an attempt goes to.
    pub(crate) fn attempt_at(&self, aim: &Aim<'_>) -> Addressee {
        Addressee {
            model: self.model.clone(),
            entry: self.entry().cloned(),
            provider: aim.provider.name.clone(),
            provider_type: aim.provider.kind.clone(),
            upstream_model: aim.upstream_model.clone(),
        }
    }

    /// The targets, which rankings count.
    fn targets(&self) -> &[Target] {
        self.resolved.route.targets()
    }

    /// How the target `index` is doing.
    pub(crate) fn health(&self, index: usize) -> Option<&Arc<TargetHealth>> {
        self.targets().get(index).map(|target| &target.health)
    }

    /// When and how often a second attempt is made beside one that is slow; none by default.
    pub(crate) fn hedge(&self) -> Option<Hedge> {
        self.settings.and_then(|settings| settings.hedge)
    }

    /// What an attempt at the target `index` needs.
    pub(crate) fn aim(&self, index: usize) -> Option<Aim<'a>> {
        let provider = self.snapshot.providers.get(self.targets().get(index)?.provider)?;
        let timeouts = self.settings.map_or(provider.timeouts, |settings| settings.timeouts(provider.timeouts));
        let tightened = tighten(timeouts, self.tightening);
        let upstream_model = self.resolved.upstream_model(index)?;
        Some(Aim {
            provider,
            price: self.price(provider, &upstream_model),
            upstream_model,
            shown: Some(self.shown.clone()),
            timeouts: tightened,
            deadline: Deadline::after(self.started.into_std(), tightened.total),
            hurry: Hurry {
                first_token: tightened.first_token < timeouts.first_token,
                total: tightened.total < timeouts.total,
            },
        })
    }
}

/// The caller's own limits, where they are tighter than the administrator's.
fn tighten(timeouts: Timeouts, asked: Tightening) -> Timeouts {
    let tighter = |own: Duration, asked: Option<Duration>| asked.map_or(own, |asked| asked.min(own));
    Timeouts {
        first_token: tighter(timeouts.first_token, asked.first_token_timeout),
        total: tighter(timeouts.total, asked.timeout),
        ..timeouts
    }
}

/// The refusal of an unknown name, with the names that its caller may use and may have meant.
pub(crate) fn model_not_found(
    spelled: &ModelName,
    name: &ModelName,
    caller: &Caller,
    snapshot: &Snapshot,
) -> Rejection {
    let others = snapshot.routes.each_name().filter(|known| caller.allows(known) && *known != name.as_str());
    Rejection::ModelNotFound { model: spelled.to_string(), near: nearest(name.as_str(), others) }
}

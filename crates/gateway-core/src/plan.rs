//! Step 5: where may this call go, and for how long.

use std::time::Duration;

use gateway_call::{Call, Deadline, ModelName};
use gateway_routing::Resolved;
use gateway_upstream::Timeouts;

use crate::admit::Permit;
use crate::authenticate::Caller;
use crate::rejection::Rejection;
use crate::settle::Settlement;
use crate::snapshot::{ProviderRuntime, Snapshot};

/// The most names that a refusal suggests.
const SUGGESTIONS: usize = 3;

/// How alike a suggestion has to be, from 0 to 1 (Jaro-Winkler).
const ALIKE: f64 = 0.8;

/// One target for one call, with everything that an attempt at it needs.
#[derive(Debug)]
pub(crate) struct Plan<'a> {
    /// The model as the caller spelled it; answers show this name.
    pub(crate) model: ModelName,
    /// The model as the configuration knows it; logs and metrics show this name.
    pub(crate) public_model: ModelName,
    /// The model as the provider knows it.
    pub(crate) upstream_model: ModelName,
    /// The provider.
    pub(crate) provider: &'a ProviderRuntime,
    /// How long each phase may take.
    pub(crate) timeouts: Timeouts,
    /// When everything has to be over.
    pub(crate) deadline: Deadline,
    /// Whether the answer is to say who served.
    pub(crate) rewrite: bool,
}

/// Finds the targets of a call that `permit` allows. All its models have to exist, the first is the one to try.
pub(crate) fn plan<'a>(
    permit: &Permit,
    call: &Call,
    caller: &Caller,
    snapshot: &'a Snapshot,
    ledger: &mut Settlement,
) -> Result<Plan<'a>, Rejection> {
    let mut routes = Vec::with_capacity(permit.models.len());
    for (name, spelled) in permit.models.iter().zip(&call.models) {
        let resolved = snapshot.routes.resolve(name);
        routes.push(resolved.ok_or_else(|| model_not_found(spelled, name, caller, snapshot))?);
    }
    let chosen = routes.first().zip(permit.models.first()).zip(call.first_model());
    let Some(((resolved, public_model), spelled)) = chosen else {
        return Err(Rejection::ModelNotFound { model: String::new(), near: Vec::new() });
    };
    let (provider, upstream_model) = best_target(resolved, call, snapshot)
        .ok_or_else(|| model_not_found(spelled, public_model, caller, snapshot))?;
    ledger.note_model(public_model.clone(), call.tags.clone());
    let settings = snapshot.models.get(public_model.as_str());
    let timeouts = tighten(settings.map_or(provider.timeouts, |settings| settings.timeouts(provider.timeouts)), call);
    Ok(Plan {
        model: spelled.clone(),
        public_model: public_model.clone(),
        upstream_model,
        provider,
        timeouts,
        deadline: Deadline::after(ledger.started().into_std(), timeouts.total),
        rewrite: settings.and_then(|settings| settings.rewrite_response).unwrap_or(snapshot.rewrite_response),
    })
}

fn best_target<'a>(
    resolved: &Resolved,
    call: &Call,
    snapshot: &'a Snapshot,
) -> Option<(&'a ProviderRuntime, ModelName)> {
    let index = resolved.route.rank(call).first()?;
    let provider = snapshot.providers.get(resolved.route.targets().get(index)?.provider)?;
    Some((provider, resolved.upstream_model(index)?))
}

/// The caller's own limits, where they are tighter than the administrator's.
fn tighten(timeouts: Timeouts, call: &Call) -> Timeouts {
    let tighter = |own: Duration, asked: Option<Duration>| asked.map_or(own, |asked| asked.min(own));
    Timeouts {
        first_token: tighter(timeouts.first_token, call.tightening.first_token_timeout),
        total: tighter(timeouts.total, call.tightening.timeout),
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
    let alike = |known: &str| strsim::jaro_winkler(&known.to_lowercase(), &name.as_str().to_lowercase());
    let mut near: Vec<(f64, &str)> = snapshot
        .routes
        .names()
        .into_iter()
        .filter(|known| caller.allows(known) && *known != name.as_str())
        .map(|known| (alike(known), known))
        .filter(|(score, _)| *score >= ALIKE)
        .collect();
    near.sort_by(|left, right| right.0.total_cmp(&left.0).then(left.1.cmp(right.1)));
    Rejection::ModelNotFound {
        model: spelled.to_string(),
        near: near.into_iter().take(SUGGESTIONS).map(|(_, known)| known.to_owned()).collect(),
    }
}

//! How long the answers of models are: the estimate for a call that does not say how long its own may be.

use std::collections::HashMap;
use std::sync::Arc;

use gateway_call::ModelName;
use gateway_ratelimit::RecentMean;
use parking_lot::RwLock;

/// How many models are told apart. Callers choose the names behind a pattern, so there is a bound; those beyond it share one
/// mean.
const MAX_MODELS: usize = 1024;

/// The recent answers of each model, by its public name.
#[derive(Debug, Default)]
pub(crate) struct Outputs {
    means: RwLock<HashMap<ModelName, Arc<RecentMean>>>,
    others: Arc<RecentMean>,
}

impl Outputs {
    /// The mean of a model's answers.
    pub(crate) fn of(&self, model: &ModelName) -> Arc<RecentMean> {
        if let Some(mean) = self.means.read().get(model) {
            return Arc::clone(mean);
        }
        let mut means = self.means.write();
        if means.len() >= MAX_MODELS && !means.contains_key(model) {
            return Arc::clone(&self.others);
        }
        Arc::clone(means.entry(model.clone()).or_default())
    }
}

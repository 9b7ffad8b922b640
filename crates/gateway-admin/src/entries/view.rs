//! Providers and models as administrators see them: as they are in force, defaults filled in, without secrets.

mod model;
mod provider;

use gateway_config::{Config, LeftOut, Origin};
use gateway_keystore::{SettingsKind, SettingsRecord};
use jiff::Timestamp;
use schemars::JsonSchema;
use serde::Serialize;

pub use model::ModelView;
pub use provider::ProviderView;

use super::record;
use crate::json::Members;
use crate::master_keys::KeySource;

/// An entry, of either kind.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(untagged)]
pub enum EntryView {
    /// A provider.
    Provider(Box<ProviderView>),
    /// A model.
    Model(Box<ModelView>),
    /// An entry of the store that is left out.
    LeftOut(LeftOutView),
}

/// A provider as the document describes it.
#[derive(JsonSchema)]
#[schemars(untagged)]
#[expect(dead_code, reason = "what is written is an EntryView; this says which of them it is")]
pub(crate) enum ListedProvider {
    InForce(Box<ProviderView>),
    LeftOut(LeftOutView),
}

/// A model as the document describes it.
#[derive(JsonSchema)]
#[schemars(untagged)]
#[expect(dead_code, reason = "as with providers")]
pub(crate) enum ListedModel {
    InForce(Box<ModelView>),
    LeftOut(LeftOutView),
}

/// An entry of the store that is left out because something is wrong with it.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct LeftOutView {
    /// Its name.
    pub id: String,
    /// In the store, where it can be changed and deleted.
    pub source: KeySource,
    /// What is wrong with it.
    pub problem: String,
    /// What the store has of it, as far as that can be read and shown; only where one entry is asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<serde_json::Map<String, serde_json::Value>>")]
    settings: Option<Members>,
    /// When it was made, if that is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub created_at: Option<Timestamp>,
    /// When it was last changed, if that is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub updated_at: Option<Timestamp>,
}

impl LeftOutView {
    fn of(left_out: &LeftOut) -> Self {
        Self {
            id: left_out.name.clone(),
            source: KeySource::Store,
            problem: left_out.reason.to_string(),
            settings: None,
            created_at: None,
            updated_at: None,
        }
    }

    /// With what the store has of it.
    pub(super) fn with(self, record: Option<&SettingsRecord>) -> Self {
        Self {
            settings: record.map(record::shown),
            created_at: record.map(|record| record.created_at),
            updated_at: record.map(|record| record.updated_at),
            ..self
        }
    }
}

impl EntryView {
    /// Its name.
    pub fn id(&self) -> &str {
        match self {
            Self::Provider(view) => &view.id,
            Self::Model(view) => &view.id,
            Self::LeftOut(view) => &view.id,
        }
    }

    /// Notes an entry of the store that this one keeps out.
    fn note(&mut self, problem: String) {
        match self {
            Self::Provider(view) => view.problem = Some(problem),
            Self::Model(view) => view.problem = Some(problem),
            Self::LeftOut(view) => view.problem = problem,
        }
    }
}

/// All entries by their names. Of two with one name, the one in force.
pub(super) fn all(kind: SettingsKind, config: &Config, left_out: &[LeftOut]) -> Vec<EntryView> {
    let mut views: Vec<EntryView> = match kind {
        SettingsKind::Provider => provider::all(config).map(provider_view).collect(),
        SettingsKind::Model => config.models.iter().map(|model| model_view(model, config)).collect(),
    };
    views.sort_by(|one, other| one.id().cmp(other.id()));
    for entry in left_out.iter().filter(|entry| entry.kind == kind) {
        match views.binary_search_by(|view| view.id().cmp(&entry.name)) {
            Ok(index) => views[index].note(problem_beside(entry)),
            Err(index) => views.insert(index, EntryView::LeftOut(LeftOutView::of(entry))),
        }
    }
    views
}

/// The entry of this name.
pub(super) fn one(kind: SettingsKind, config: &Config, left_out: &[LeftOut], id: &str) -> Option<EntryView> {
    let in_force = match kind {
        SettingsKind::Provider => provider::all(config).find(|provider| provider.name == id).map(provider_view),
        SettingsKind::Model => config.models.iter().find(|it| it.name == id).map(|model| model_view(model, config)),
    };
    let left_out = left_out.iter().find(|entry| entry.kind == kind && entry.name == id);
    match (in_force, left_out) {
        (Some(mut view), Some(left_out)) => {
            view.note(problem_beside(left_out));
            Some(view)
        }
        (None, Some(left_out)) => Some(EntryView::LeftOut(LeftOutView::of(left_out))),
        (in_force, None) => in_force,
    }
}

/// Where the entry of this name that is in force was written.
pub(super) fn origin(kind: SettingsKind, config: &Config, id: &str) -> Option<Origin> {
    match kind {
        SettingsKind::Provider => provider::all(config).find(|it| it.name == id).map(|provider| provider.origin),
        SettingsKind::Model => config.models.iter().find(|it| it.name == id).map(|model| model.origin),
    }
}

fn provider_view(provider: &gateway_config::Provider) -> EntryView {
    EntryView::Provider(Box::new(ProviderView::from(provider)))
}

fn model_view(model: &gateway_config::Model, config: &Config) -> EntryView {
    EntryView::Model(Box::new(ModelView::of(model, config)))
}

fn problem_beside(left_out: &LeftOut) -> String {
    format!("the store has a {} of the same name, which is left out: {}", left_out.kind, left_out.reason)
}

/// Where an entry is kept, and when it was made and changed if that is known.
fn whereabouts(origin: Origin) -> (KeySource, Option<Timestamp>, Option<Timestamp>) {
    match origin {
        Origin::File => (KeySource::File, None, None),
        Origin::Store { created_at, updated_at } => (KeySource::Store, Some(created_at), Some(updated_at)),
    }
}

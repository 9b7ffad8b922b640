//! The store as a configuration file.
//!
//! Keys are exported as digests, which is all that is kept of them. The credentials of providers are left to the environment,
//! as references to variables, unless they are asked for.

use std::collections::{HashMap, HashSet};

use gateway_keystore::{Changes, KeyRecord, SettingsKind, SettingsRecord};
use gateway_ratelimit::{RateLimit, UsdBudget};
use gateway_secret::Secret;
use serde::{Serialize, Serializer};

use crate::json::{Members, Ordered};

/// Everything that a store holds, in the shape of a file when it is serialised.
#[derive(Debug)]
pub struct Export<'c> {
    stored: &'c Changes,
    with_secrets: bool,
}

impl<'c> Export<'c> {
    /// All of it; credentials of providers in clear if `with_secrets`, else as references to variables of the environment.
    pub fn new(stored: &'c Changes, with_secrets: bool) -> Self {
        Self { stored, with_secrets }
    }

    /// The entries whose texts are no JSON objects. They are no part of it: what is served of a row that makes no sense is nothing,
    /// and an entry with nothing but a name would be one that takes calls.
    pub fn damaged(&self) -> impl Iterator<Item = &'c SettingsRecord> {
        self.records().iter().filter(|record| !is_sound(record))
    }

    fn entries(&self, kind: SettingsKind) -> impl Iterator<Item = &'c SettingsRecord> {
        self.records().iter().filter(move |record| record.kind == kind && is_sound(record))
    }

    fn records(&self) -> &'c [SettingsRecord] {
        self.stored.settings.as_ref().map(|settings| settings.records.as_slice()).unwrap_or_default()
    }

    fn provider(&self, record: &SettingsRecord, variables: &mut Variables) -> Ordered {
        let mut members = Members(vec![("name".to_owned(), Ordered::Text(literal(&record.name)))]);
        members.0.extend(self.settings(record, variables).0);
        Ordered::Object(members)
    }

    /// The settings of an entry with its secrets among them.
    fn settings(&self, record: &SettingsRecord, variables: &mut Variables) -> Members {
        let mut settings = Members::parse(&record.settings).unwrap_or_default();
        settings.0.iter_mut().for_each(|(_, value)| escape(value));
        let secrets = record.secrets.as_ref().map(Secret::expose).and_then(Members::parse).unwrap_or_default();
        for (key, mut value) in secrets.0 {
            if self.with_secrets {
                escape(&mut value);
            } else {
                variables.stand_in(&mut value, &format!("{}_{}_{key}", record.kind, record.name));
            }
            settings.set(&key, value);
        }
        settings
    }
}

impl Serialize for Export<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let variables = &mut Variables::default();
        let providers = self.entries(SettingsKind::Provider).map(|record| self.provider(record, variables)).collect();
        let models = self.entries(SettingsKind::Model);
        // The keys of a file hold no variables, so that these names stand as they are.
        let models = models.map(|record| (record.name.to_string(), Ordered::Object(self.settings(record, variables))));
        let models = models.collect();
        let keys = &self.stored.keys;
        let names = names(keys);
        let master_keys = keys.iter().map(|key| ExportedKey::new(key, names[&*key.name] == 1)).collect();
        File { providers, models: Members(models), master_keys }.serialize(serializer)
    }
}

/// Whether both texts of an entry can be read.
fn is_sound(record: &SettingsRecord) -> bool {
    let secrets = record.secrets.as_ref().map(Secret::expose);
    Members::parse(&record.settings).is_some() && secrets.is_none_or(|text| Members::parse(text).is_some())
}

#[derive(Serialize)]
struct File<'k> {
    providers: Vec<Ordered>,
    models: Members,
    master_keys: Vec<ExportedKey<'k>>,
}

/// A key as a file has it.
#[derive(Serialize)]
struct ExportedKey<'k> {
    name: String,
    key_digest: String,
    key_preview: String,
    allowed_models: Vec<String>,
    enabled: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    rate_limit: Option<&'k RateLimit>,
    #[serde(skip_serializing_if = "Option::is_none")]
    budget: Option<UsdBudget>,
    #[serde(skip_serializing_if = "Option::is_none")]
    expires_at: Option<String>,
    #[serde(skip_serializing_if = "Members::is_empty")]
    metadata: Members,
}

impl<'k> ExportedKey<'k> {
    /// In a file names are unique, so one that is not gives way to the identifier.
    fn new(key: &'k KeyRecord, is_unique: bool) -> Self {
        let mut metadata = Members::parse(&key.metadata).unwrap_or_default();
        metadata.0.iter_mut().for_each(|(_, value)| escape(value));
        Self {
            name: literal(if is_unique { &key.name } else { &key.id }),
            key_digest: hexadecimal(key.digest.as_bytes()),
            key_preview: literal(&key.preview),
            allowed_models: key.allowed_models.iter().map(|model| literal(model)).collect(),
            enabled: key.is_enabled,
            rate_limit: key.rate_limit.as_ref(),
            budget: key.budget.map(UsdBudget::from),
            expires_at: key.expires_at.map(|time| time.to_string()),
            metadata,
        }
    }
}

/// How many keys a name could stand for: those of that name, and one with that identifier, which may have to stand for its name.
fn names(keys: &[KeyRecord]) -> HashMap<&str, usize> {
    let mut names = HashMap::new();
    for key in keys {
        *names.entry(&*key.name).or_default() += 1;
        if key.id != key.name {
            *names.entry(&*key.id).or_default() += 1;
        }
    }
    names
}

fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |digits, byte| digits + &format!("{byte:02x}"))
}

/// Takes care that what a store holds literally stays that in a file, where `${` begins a variable.
fn escape(value: &mut Ordered) {
    match value {
        Ordered::Text(text) => *text = literal(text),
        Ordered::List(items) => items.iter_mut().for_each(escape),
        Ordered::Object(Members(members)) => members.iter_mut().for_each(|(_, value)| escape(value)),
        Ordered::Null | Ordered::Flag(_) | Ordered::Number(_) => {}
    }
}

fn literal(text: &str) -> String {
    text.replace("${", "$${")
}

/// The variables of the environment that an export refers to.
#[derive(Default)]
struct Variables(HashSet<String>);

impl Variables {
    /// Puts references in the place of secrets: `PROVIDER_MAIN_API_KEY` for the `api_key` of the provider `main`.
    fn stand_in(&mut self, value: &mut Ordered, name: &str) {
        match value {
            Ordered::List(items) => {
                for (index, item) in items.iter_mut().enumerate() {
                    self.stand_in(item, &format!("{name}_{}", index + 1));
                }
            }
            Ordered::Object(Members(members)) => {
                for (key, value) in members {
                    self.stand_in(value, &format!("{name}_{key}"));
                }
            }
            scalar => *scalar = Ordered::Text(format!("${{{}}}", self.free(name))),
        }
    }

    /// What a variable may be called that no other secret has: `a-b` and `a_b` are one name to the environment.
    fn free(&mut self, name: &str) -> String {
        let plain = |it: char| if it.is_ascii_alphanumeric() { it.to_ascii_uppercase() } else { '_' };
        let wanted: String = name.chars().map(plain).collect();
        let numbered = (2..).map(|number| format!("{wanted}_{number}"));
        let mut names = std::iter::once(wanted.clone()).chain(numbered);
        names.find(|name| self.0.insert(name.clone())).unwrap_or(wanted)
    }
}

#[cfg(test)]
mod tests;

//! The fields of a provider and of a model: what they are called here, what in a file, and which of them nobody may read.

use gateway_keystore::SettingsKind;

/// A field that both name alike, and that everybody may read who may read the rest.
const fn plain(name: &'static str) -> Field {
    Field { name, key: name, is_secret: false }
}

/// The same, but for administrators of the store only.
const fn secret(name: &'static str) -> Field {
    Field { name, key: name, is_secret: true }
}

/// A field.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Field {
    /// What this API calls it.
    pub(super) name: &'static str,
    /// What a file calls it.
    pub(super) key: &'static str,
    /// Whether its value is kept apart, sealed if the store has a key for that.
    pub(super) is_secret: bool,
}

const PROVIDER: [Field; 13] = [
    Field { name: "provider_type", key: "type", is_secret: false },
    plain("api_base"),
    secret("api_key"),
    secret("api_keys"),
    plain("weight"),
    Field { name: "is_enabled", key: "enabled", is_secret: false },
    plain("model_mapping"),
    secret("headers"),
    plain("forward_headers"),
    plain("max_in_flight"),
    plain("verify_ssl"),
    plain("timeouts"),
    plain("health_check"),
];

const MODEL: [Field; 12] = [
    plain("targets"),
    secret("endpoint"),
    secret("api_key"),
    secret("api_keys"),
    plain("model"),
    plain("balance"),
    plain("max_retries"),
    plain("fallback_models"),
    plain("hedge"),
    plain("affinity"),
    plain("timeouts"),
    plain("rewrite_response"),
];

/// The fields of one kind, but for the name.
pub(super) const fn fields(kind: SettingsKind) -> &'static [Field] {
    match kind {
        SettingsKind::Provider => &PROVIDER,
        SettingsKind::Model => &MODEL,
    }
}

/// The field of this name.
pub(super) fn named(kind: SettingsKind, name: &str) -> Option<&'static Field> {
    fields(kind).iter().find(|field| field.name == name)
}

/// What somebody may have meant who wrote a name that no field has: what a file's key is called here, or the name with the fewest
/// edits, if a third of its letters or less are wrong.
pub(super) fn nearest(kind: SettingsKind, found: &str) -> Option<&'static str> {
    let found = found.to_lowercase();
    let of_file = || fields(kind).iter().find(|field| field.key == found).map(|field| field.name);
    if found == "name" {
        return Some("id");
    }
    let mut names: Vec<_> = fields(kind).iter().map(|field| field.name).chain(["id"]).collect();
    names.sort_unstable();
    of_file().or_else(|| gateway_config::nearest(&found, names))
}

/// A path of a file's keys, such as `timeouts.connect`, in this API's names.
pub(super) fn path_in_names(kind: SettingsKind, path: &str) -> String {
    let end = path.find(['.', '[']).unwrap_or(path.len());
    let (key, rest) = path.split_at(end);
    let name = match key {
        "name" => "id",
        key => fields(kind).iter().find(|field| field.key == key).map_or(key, |field| field.name),
    };
    format!("{name}{rest}")
}

#[cfg(test)]
mod tests {
    use schemars::{Schema, schema_for};

    use super::*;
    use crate::entries::{ModelBody, ProviderBody};

    #[test]
    fn every_field_is_described() {
        let described = |schema: Schema| {
            let members = schema.get("properties").and_then(|members| members.as_object()).unwrap();
            members.keys().filter(|name| *name != "id").cloned().collect::<Vec<_>>()
        };
        for (kind, schema) in
            [(SettingsKind::Provider, schema_for!(ProviderBody)), (SettingsKind::Model, schema_for!(ModelBody))]
        {
            let mut names: Vec<_> = fields(kind).iter().map(|field| field.name).collect();
            names.sort_unstable();
            assert_eq!(described(schema), names, "{kind}");
        }
    }

    #[test]
    fn what_was_meant_is_guessed() {
        let provider = |found| nearest(SettingsKind::Provider, found);
        assert_eq!(provider("wieght"), Some("weight"));
        assert_eq!(provider("API_Bse"), Some("api_base"));
        assert_eq!(provider("type"), Some("provider_type"));
        assert_eq!(provider("enabled"), Some("is_enabled"));
        assert_eq!(provider("name"), Some("id"));
        assert_eq!(provider("api_kes"), Some("api_key"));
        assert_eq!(provider("request_timeout_secs"), None);
        assert_eq!(provider(""), None);
        assert_eq!(nearest(SettingsKind::Model, "affinty"), Some("affinity"));
    }

    #[test]
    fn a_path_begins_with_a_name_of_this_api() {
        let provider = |path| path_in_names(SettingsKind::Provider, path);
        assert_eq!(provider("type"), "provider_type");
        assert_eq!(provider("timeouts.connect"), "timeouts.connect");
        assert_eq!(provider("enabled"), "is_enabled");
        assert_eq!(provider("name"), "id");
        assert_eq!(provider("model_mapping.type"), "model_mapping.type");
        assert_eq!(provider("request_timeout_secs"), "request_timeout_secs");
        assert_eq!(path_in_names(SettingsKind::Model, "targets[0].provider"), "targets[0].provider");
    }
}

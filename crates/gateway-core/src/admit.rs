//! Step 4: may this caller make this call.

use gateway_call::{Call, ModelName};

use crate::authenticate::Caller;
use crate::rejection::Rejection;

/// Leave to make one call: every model that it lists was found to be open to the caller.
#[derive(Debug)]
pub(crate) struct Permit<'a> {
    /// Who may make it.
    pub(crate) caller: &'a Caller,
    /// The call's models without the gateway's own prefix, in the call's order.
    pub(crate) models: Vec<ModelName>,
}

/// Checks the permission of every model that a call lists, before anything is sent for any of them.
///
/// What is checked is the name that will be resolved, so a prefix cannot be used to slip past a rule.
pub(crate) fn admit<'a>(caller: &'a Caller, call: &Call, prefix: Option<&str>) -> Result<Permit<'a>, Rejection> {
    let mut models = Vec::with_capacity(call.models.len());
    for spelled in &call.models {
        let model = strip_prefix(spelled.as_str(), prefix);
        if !caller.allows(model) {
            return Err(Rejection::ModelNotAllowed { model: spelled.to_string() });
        }
        let unchanged = model.len() == spelled.as_str().len();
        models.push(if unchanged { spelled.clone() } else { ModelName::from(model) });
    }
    Ok(Permit { caller, models })
}

/// A public model name without the gateway's own prefix, which ends in a slash; other prefixes are part of the name.
pub(crate) fn strip_prefix<'a>(model: &'a str, prefix: Option<&str>) -> &'a str {
    prefix.and_then(|prefix| model.strip_prefix(prefix)).filter(|rest| !rest.is_empty()).unwrap_or(model)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use gateway_call::{Endpoint, ModelPattern, Tightening};
    use gateway_keystore::VirtualKey;

    use super::*;

    fn verdict(allowed: &[&str], models: &[&str]) -> Result<Vec<String>, String> {
        let caller = Caller::Key(Arc::new(VirtualKey {
            allowed_models: allowed.iter().map(|pattern| ModelPattern::new(pattern)).collect(),
            ..VirtualKey::unlimited("test")
        }));
        let call = Call {
            endpoint: Endpoint::ChatCompletions,
            models: models.iter().map(|model| ModelName::from(*model)).collect(),
            stream: false,
            tightening: Tightening::default(),
            tags: Vec::new(),
        };
        let permit = admit(&caller, &call, Some("Proxy/")).map_err(|rejection| rejection.to_string())?;
        Ok(permit.models.iter().map(ToString::to_string).collect())
    }

    #[test]
    fn the_stripped_name_is_what_is_checked_and_what_goes_on() {
        assert_eq!(verdict(&["gpt-4o"], &["Proxy/gpt-4o"]), Ok(vec!["gpt-4o".to_owned()]));
        assert_eq!(verdict(&["*"], &["Other/gpt-4o"]), Ok(vec!["Other/gpt-4o".to_owned()]));
        assert!(verdict(&["Proxy/*"], &["Proxy/gpt-4o"]).is_err());
        assert!(verdict(&["gpt-4o"], &["Proxy/Proxy/gpt-4o"]).is_err(), "the prefix is stripped once");
    }

    #[test]
    fn one_forbidden_model_forbids_the_call() {
        let refused = verdict(&["gpt-*"], &["gpt-4o", "claude"]).unwrap_err();
        assert!(refused.contains("`claude`"), "{refused}");
        assert!(verdict(&[], &["gpt-4o"]).is_err());
    }
}

//! From what the sources say to a configuration that works, whatever single entries of the store are like.
//!
//! Most of what can be wrong with an entry is found while it is read, and leaves out that entry alone. What only shows when
//! the whole is compiled is put down to entries here, and those are left out in turn.

use std::borrow::Cow;

use gateway_config::{Config, ConfigError, ConfigErrors, LeftOut, Loaded, Settings, Vocabulary};
use gateway_core::{CompileError, CompileErrors};
use gateway_keystore::{SettingsKind, StoredSettings, UnreadableSettings};

use crate::host::Host;

/// What a configuration is made with.
pub(crate) struct Making<'m> {
    pub(crate) vocabulary: &'m Vocabulary,
    pub(crate) host: &'m dyn Host,
    /// Whether what the file names and nobody has makes the file bad. Where nobody is there to mend the file, it does not.
    pub(crate) is_strict: bool,
}

/// A configuration that works, and what has come of trying it.
pub(crate) struct Made<T> {
    pub(crate) done: T,
    pub(crate) left_out: Vec<LeftOut>,
    pub(crate) warnings: Vec<String>,
}

/// Why an attempt came to nothing.
pub(crate) enum Setback {
    /// The configuration does not compile, perhaps because of an entry that can be left out.
    Uncompiled(CompileErrors),
    /// It is not wanted.
    Refused(ConfigErrors),
}

impl From<CompileErrors> for Setback {
    fn from(errors: CompileErrors) -> Self {
        Self::Uncompiled(errors)
    }
}

impl From<ConfigErrors> for Setback {
    fn from(errors: ConfigErrors) -> Self {
        Self::Refused(errors)
    }
}

impl Making<'_> {
    /// Makes a configuration and tries it, without the entries of the store for which it does not compile.
    pub(crate) fn make<T>(
        &self,
        settings: &Settings,
        stored: Option<&StoredSettings>,
        mut attempt: impl FnMut(Config, &[LeftOut]) -> Result<T, Setback>,
    ) -> Result<Made<T>, ConfigErrors> {
        let mut stored = stored.map(Cow::Borrowed);
        loop {
            let Loaded { mut config, left_out, warnings, .. } = self.resolve(settings, stored.as_deref())?;
            self.host.prepare(&mut config)?;
            let errors = match attempt(config, &left_out) {
                Ok(done) => return Ok(Made { done, left_out, warnings }),
                Err(Setback::Refused(errors)) => return Err(errors),
                Err(Setback::Uncompiled(errors)) => errors,
            };
            let is_due_to_entries = stored.as_mut().is_some_and(|stored| leave_out(stored, &errors));
            if !is_due_to_entries {
                return Err(compile_errors(&errors));
            }
        }
    }

    fn resolve(&self, settings: &Settings, stored: Option<&StoredSettings>) -> Result<Loaded, ConfigErrors> {
        if self.is_strict {
            settings.resolve(stored, self.vocabulary)
        } else {
            settings.resolve_tolerantly(stored, self.vocabulary)
        }
    }
}

/// Leaves out the entries that errors are about. Returns whether there are any.
fn leave_out(stored: &mut Cow<'_, StoredSettings>, errors: &CompileErrors) -> bool {
    let mut is_any = false;
    for error in errors.iter() {
        let Some(index) = entry_of(stored, error) else { continue };
        let stored = stored.to_mut();
        let record = stored.records.remove(index);
        let (kind, name) = (record.kind, record.name.to_string());
        stored.unreadable.push(UnreadableSettings { kind, name, problem: error.problem.clone() });
        is_any = true;
    }
    is_any
}

/// The place among the records of the entry that an error is about.
fn entry_of(stored: &StoredSettings, error: &CompileError) -> Option<usize> {
    let (section, name) = error.at.split_once('.')?;
    let kind = match section {
        "providers" => SettingsKind::Provider,
        "models" => SettingsKind::Model,
        _ => return None,
    };
    stored.records.iter().position(|record| record.kind == kind && *record.name == *name)
}

/// The same as errors of a configuration.
pub(crate) fn compile_errors(errors: &CompileErrors) -> ConfigErrors {
    errors.iter().map(|error| ConfigError::of_key(error.at.as_str(), error.problem.as_str())).collect()
}

//! Every statement that all databases understand.

/// What an administrator changes, in the order in which it is written.
macro_rules! state {
    () => {
        "name, digest, preview, is_weak, previous_digest, previous_valid_until, allowed_models, rate_limit, budget, \
         expires_at, is_enabled, metadata, updated_at"
    };
}

/// Everything that is kept of a key, in the order in which it is written and read.
macro_rules! columns {
    () => {
        concat!("id, ", state!(), ", created_at, last_used_at, revision")
    };
}

pub(super) const COLUMNS: &str = columns!();

pub(super) const KEY: &str = concat!("SELECT ", columns!(), " FROM master_keys WHERE id = $1");
pub(super) const KEY_EXISTS: &str = "SELECT id FROM master_keys WHERE id = $1";
pub(super) const EVERY_KEY: &str = concat!("SELECT ", columns!(), " FROM master_keys");
pub(super) const FIRST_KEYS: &str = concat!("SELECT ", columns!(), " FROM master_keys ORDER BY id LIMIT $1");
pub(super) const NEXT_KEYS: &str =
    concat!("SELECT ", columns!(), " FROM master_keys WHERE id > $1 ORDER BY id LIMIT $2");

pub(super) const INSERT_KEY: &str = concat!(
    "INSERT INTO master_keys (",
    columns!(),
    ") VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17)"
);
/// The revision is counted by a trigger.
pub(super) const REPLACE_KEY: &str = concat!(
    "UPDATE master_keys SET (",
    state!(),
    ") = ($2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14) WHERE id = $1 AND revision = $15 RETURNING id"
);
pub(super) const REMOVE_KEY: &str = "DELETE FROM master_keys WHERE id = $1 RETURNING id";

/// Of many changes that have one version, the first by its key counts, which takes no time to find.
pub(super) const POSITION: &str = "SELECT version, store_id, \
                                   (SELECT token FROM changes WHERE changes.version = config_version.version \
                                   ORDER BY kind, id LIMIT 1) FROM config_version";
pub(super) const TOKEN: &str = "SELECT token FROM changes WHERE version = $1 ORDER BY kind, id LIMIT 1";
/// Changes nothing, and lets nobody else change anything until the end of the transaction.
pub(super) const BE_ALONE: &str = "UPDATE config_version SET version = version";
pub(super) const SETTINGS_CHANGED: &str =
    "SELECT version FROM changes WHERE kind IN ('provider', 'model') AND version > $1 LIMIT 1";
pub(super) const CHANGED_KEYS: &str = concat!(
    "SELECT ",
    columns!(),
    " FROM master_keys WHERE id IN (SELECT id FROM changes WHERE kind = 'master_key' AND version > $1)"
);
pub(super) const REMOVED_KEYS: &str = "SELECT DISTINCT id FROM changes WHERE kind = 'master_key' AND version > $1 \
                                       AND NOT EXISTS (SELECT 1 FROM master_keys WHERE master_keys.id = changes.id)";

/// Everything that is kept of providers or models, in the order in which it is read.
macro_rules! settings_columns {
    () => {
        "name, settings, secrets, revision, created_at, updated_at"
    };
}

pub(super) const SETTINGS_COLUMNS: &str = settings_columns!();

/// The statements of a table of settings.
pub(super) struct SettingsTable {
    pub(super) every: &'static str,
    pub(super) one: &'static str,
    /// The revision is 1, and is counted by a trigger.
    pub(super) insert: &'static str,
    pub(super) replace: &'static str,
    pub(super) remove: &'static str,
}

macro_rules! settings_table {
    ($table:literal) => {
        SettingsTable {
            every: concat!("SELECT ", settings_columns!(), " FROM ", $table, " ORDER BY name"),
            one: concat!("SELECT ", settings_columns!(), " FROM ", $table, " WHERE name = $1"),
            insert: concat!(
                "INSERT INTO ",
                $table,
                " (name, settings, secrets, updated_at, created_at) VALUES ($1, $2, $3, $4, $5)"
            ),
            replace: concat!(
                "UPDATE ",
                $table,
                " SET (settings, secrets, updated_at) = ($2, $3, $4) WHERE name = $1 AND revision = $5 RETURNING name"
            ),
            remove: concat!("DELETE FROM ", $table, " WHERE name = $1 RETURNING name"),
        }
    };
}

pub(super) const PROVIDERS: SettingsTable = settings_table!("providers");
pub(super) const MODELS: SettingsTable = settings_table!("models");

pub(super) const NOTE: &str = "INSERT INTO audit_log (at, actor, action, object, state_before, state_after) \
                               VALUES ($1, $2, $3, $4, $5, $6)";
pub(super) const NOTES: &str = "SELECT number, at, actor, action, object, state_before, state_after FROM audit_log \
                                WHERE number < $1 ORDER BY number DESC LIMIT $2";

/// `$1` is when the day began, `$2` the month.
pub(super) const TOTALS: &str = "SELECT account, period, window_start, amount FROM budget_spent WHERE period = 'total' \
                                 OR (period = 'day' AND window_start >= $1) OR (period = 'month' AND window_start >= $2)";
pub(super) const FORGET: &str = "DELETE FROM budget_spent WHERE period IN ('day', 'month') AND window_start < $1";

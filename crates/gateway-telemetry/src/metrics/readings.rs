//! What is read when somebody looks, rather than counted as it happens.

use gateway_call::Label;

/// The state of the process at the time of a scrape, passed in by whoever has it.
#[derive(Debug, Clone, Default)]
pub struct Readings {
    /// The version of the configuration in force.
    pub config_version: u64,
    /// How the attempts to put a new configuration in force went.
    pub reloads: Reloads,
    /// Calls that wait for a place at a target.
    pub queue_depth: u64,
    /// Lines of the log that were lost because their reader was too slow.
    pub dropped_log_lines: u64,
    /// Calls whose spans were lost, because what collects them could not be reached or kept up with.
    pub dropped_traces: u64,
    /// Calls whose usage is not in the store yet.
    pub pending_usage: u64,
    /// Every provider of the configuration, each once.
    pub providers: Vec<ProviderReading>,
}

/// Attempts to put a new configuration in force since the process began.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Reloads {
    /// Those that succeeded.
    pub success: u64,
    /// Those that left the one before in force.
    pub failure: u64,
}

/// The state of one provider.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProviderReading {
    /// Its configured name.
    pub name: Label,
    /// Whether calls are sent there, and the last health check, if there was one, went well.
    pub is_healthy: bool,
    /// What its circuit breaker does.
    pub circuit: CircuitState,
    /// How often it was taken out of use, by constant names of the reasons, each once.
    pub ejections: Vec<(&'static str, u64)>,
}

/// What a circuit breaker does, from good to bad.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum CircuitState {
    /// Lets attempts through.
    Closed,
    /// Lets a few through, to see what comes of them.
    HalfOpen,
    /// Lets none through.
    Open,
}

impl CircuitState {
    /// Every state.
    pub const ALL: [Self; 3] = [Self::Closed, Self::Open, Self::HalfOpen];

    /// The name of the state as a label's value.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Closed => "closed",
            Self::Open => "open",
            Self::HalfOpen => "half_open",
        }
    }
}

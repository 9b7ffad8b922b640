//! What a process has beside its gateway that a configuration concerns.

use gateway_config::{Config, ConfigErrors};

/// The process that a gateway runs in: it has listeners, certificates and other things of its own.
pub trait Host: Send + Sync {
    /// Makes of a configuration one that this process can serve, before it is compiled. Called from threads that may wait.
    ///
    /// # Errors
    ///
    /// This process cannot serve it, because a file that it names is missing for instance. It is refused then.
    fn prepare(&self, config: &mut Config) -> Result<(), ConfigErrors>;

    /// Notes that a configuration which was prepared has come into force. Called from threads that may wait.
    fn adopt(&self, config: &Config);
}

/// A process without anything of its own.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoHost;

impl Host for NoHost {
    fn prepare(&self, _: &mut Config) -> Result<(), ConfigErrors> {
        Ok(())
    }

    fn adopt(&self, _: &Config) {}
}

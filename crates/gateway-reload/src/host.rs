//! What a process has beside its gateway that a configuration concerns.

use gateway_config::{Config, ConfigErrors};

/// The process that a gateway runs in: it has listeners, certificates and other things of its own.
pub trait Host: Send + Sync {
    /// Makes of a configuration one that this process can serve, before it is compiled. Called from threads that may wait.
    ///
    /// # Errors
    ///
    /// This process cannot serve it. It is refused then.
    fn prepare(&self, config: &mut Config) -> Result<(), ConfigErrors>;

    /// Takes over what files that the configuration names hold now, just before it comes into force. Not called when the store
    /// has changed, which is no reason to look at files. Called from threads that may wait.
    ///
    /// # Errors
    ///
    /// A file is missing or of no use. The configuration is refused then, and nothing was taken over.
    fn adopt(&self, config: &Config) -> Result<(), ConfigErrors>;
}

/// A process without anything of its own.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoHost;

impl Host for NoHost {
    fn prepare(&self, _: &mut Config) -> Result<(), ConfigErrors> {
        Ok(())
    }

    fn adopt(&self, _: &Config) -> Result<(), ConfigErrors> {
        Ok(())
    }
}

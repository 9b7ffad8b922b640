//! What this process has beside the gateway that a configuration concerns: its simulator and its certificates.

use gateway_config::{Config, ConfigError, ConfigErrors, ProviderEndpoint};
use gateway_listener::{BindError, Certificates};
use gateway_reload::Host;
use gateway_simulator::{RunningSimulator, Simulator, SimulatorConfig};
use http::Uri;
use parking_lot::Mutex;
use tokio::runtime::Handle;

use crate::serve::tls_files;

/// What outlives any one configuration.
#[derive(Default)]
pub(crate) struct ProcessHost {
    /// Started when a provider first asks for it.
    simulator: Mutex<Option<RunningSimulator>>,
    /// Of the callers' and the administrators' listeners, once there are any.
    certificates: Mutex<Vec<Certificates>>,
}

impl Host for ProcessHost {
    fn prepare(&self, config: &mut Config) -> Result<(), ConfigErrors> {
        for provider in &mut config.providers {
            if let ProviderEndpoint::Simulator { at } = &mut provider.endpoint {
                let unavailable =
                    |error| ConfigError::of_key("providers", format!("the simulator cannot be started: {error:#}"));
                *at = Some(self.simulator().map_err(unavailable)?);
            }
        }
        Ok(())
    }

    fn adopt(&self, config: &Config) -> Result<(), ConfigErrors> {
        if config.master_keys.iter().any(|key| key.limits.counts_tokens()) {
            // Otherwise the first call whose tokens count would wait for it. It takes more memory than all else.
            gateway_tokens::load();
        }
        let Some(files) = tls_files(&config.server) else { return Ok(()) };
        let unusable = |error: BindError| ConfigError::of_key("server.tls", error.to_string());
        let certificates = self.certificates.lock();
        if certificates.is_empty() {
            // They are used from the next start on, which had better not fail then.
            files.check().map_err(unusable)?;
        }
        for certificates in certificates.iter() {
            if certificates.reload(&files).map_err(unusable)? {
                tracing::info!("another certificate is in use");
            }
        }
        Ok(())
    }
}

impl ProcessHost {
    /// Keeps these certificates at what the configuration says.
    pub(crate) fn keep(&self, certificates: impl IntoIterator<Item = Certificates>) {
        self.certificates.lock().extend(certificates);
    }

    /// Where the simulator is.
    fn simulator(&self) -> anyhow::Result<Uri> {
        let mut simulator = self.simulator.lock();
        let running = match simulator.take() {
            Some(running) => running,
            // Configurations are prepared on threads that may wait.
            None => Handle::current().block_on(Simulator::start(SimulatorConfig::default()))?,
        };
        Ok(simulator.insert(running).api_base().parse()?)
    }

    /// Stops the simulator, if it runs.
    pub(crate) async fn stop(&self) {
        let simulator = self.simulator.lock().take();
        if let Some(simulator) = simulator {
            simulator.stop().await;
        }
    }
}

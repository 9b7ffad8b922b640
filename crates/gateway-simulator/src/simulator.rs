//! The server around the service: bound first, so that its address is known, then served or spawned.

use std::future::Future;
use std::net::SocketAddr;
use std::time::Duration;

use gateway_listener::{BindError, Drained, Listener, ListenerConfig};
use thiserror::Error;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use crate::service::SimulatorService;
use crate::{BehaviourError, SimulatorConfig};

/// How long running answers may go on when a simulator stops; one that stalls on purpose never ends by itself.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(1);

/// A simulator could not be set up.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum SimulatorError {
    /// The socket could not be bound.
    #[error(transparent)]
    Bind(#[from] BindError),
    /// The behaviour configured for a model cannot be read.
    #[error("the behaviour of the simulated model `{model}` cannot be read")]
    Behaviour {
        /// The model's name in the configuration.
        model: String,
        /// What is wrong with it.
        source: BehaviourError,
    },
}

/// A simulated provider, bound to its address.
#[derive(Debug)]
pub struct Simulator {
    listener: Listener,
    service: SimulatorService,
}

impl Simulator {
    /// Binds the configured address; connections wait until [`serve`](Self::serve) is polled.
    pub async fn bind(config: SimulatorConfig) -> Result<Self, SimulatorError> {
        let mut listening = ListenerConfig::new(&config.address);
        listening.drain_timeout = DRAIN_TIMEOUT;
        let service = SimulatorService::new(config)?;
        Ok(Self { listener: Listener::bind(&listening).await?, service })
    }

    /// Binds the configured address and serves it in a task of its own.
    pub async fn start(config: SimulatorConfig) -> Result<RunningSimulator, SimulatorError> {
        let simulator = Self::bind(config).await?;
        let address = simulator.address();
        let (stop, stopped) = oneshot::channel::<()>();
        // A dropped sender stops the server too, so that no test leaves one behind.
        let task = tokio::spawn(simulator.serve(async move { drop(stopped.await) }));
        Ok(RunningSimulator { address, stop, task })
    }

    /// The address that was bound.
    pub fn address(&self) -> SocketAddr {
        self.listener.local_addr()
    }

    /// Serves until `shutdown` resolves; answers that are not over a second later are cut.
    pub async fn serve(self, shutdown: impl Future<Output = ()>) -> Drained {
        self.listener.serve(self.service, shutdown).await
    }
}

/// A simulator that serves in a task of its own; dropping it stops the server.
#[derive(Debug)]
pub struct RunningSimulator {
    address: SocketAddr,
    stop: oneshot::Sender<()>,
    task: JoinHandle<Drained>,
}

impl RunningSimulator {
    /// The address that was bound.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The API base that clients are configured with, such as `http://127.0.0.1:4010/v1`.
    pub fn api_base(&self) -> String {
        format!("http://{}/v1", self.address)
    }

    /// Stops the server and waits until its connections are closed.
    pub async fn stop(self) -> Drained {
        drop(self.stop);
        // The task ends by itself; it only fails to join if it panicked, and then nothing was drained.
        self.task.await.unwrap_or_default()
    }
}

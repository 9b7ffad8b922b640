//! `gateway-server`: load, build, listen, drain.

use std::future::Future;
use std::path::PathBuf;
use std::sync::Arc;

use anyhow::{Context, bail};
use gateway_admin::AdminService;
use gateway_config::{Config, LogFormat, ProviderEndpoint, Server, Sources, load};
use gateway_core::{Gateway, GatewayBuilder};
use gateway_listener::{Drained, HeadLimits, Listener, ListenerConfig, TlsFiles};
use gateway_simulator::{RunningSimulator, Simulator, SimulatorConfig};
use gateway_telemetry::{AccessLog, LineFormat, LogGuard, start_logging};
use tokio::runtime::{Builder, Runtime};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio_util::sync::CancellationToken;

use crate::front::Front;
use crate::state::State;
use crate::{administration, banner};

/// Serves the configuration until a signal to stop, and then until its calls are over.
pub(crate) fn run(path: Option<PathBuf>) -> anyhow::Result<()> {
    let sources = Sources::from_process(path);
    let builder = Gateway::builder().observer(Arc::new(AccessLog));
    let loaded = load(&sources, &builder.vocabulary())?;
    let log = start_log(&loaded.config, sources.environment.get("RUST_LOG"))?;
    for warning in &loaded.warnings {
        tracing::warn!("{warning}");
    }
    runtime(&loaded.config.server)?.block_on(serve(builder, loaded.config, &log))
}

async fn serve(builder: GatewayBuilder, mut config: Config, log: &LogGuard) -> anyhow::Result<()> {
    let (mut stop, mut stop_at_once) = (StopSignals::listen()?, StopSignals::listen()?);
    // Lives as long as calls do.
    let simulator = start_simulator(&mut config).await?;
    let state = State::open(&config).await?;
    let gateway = state.equip(builder).build(&config)?;
    if state.counts_tokens() || config.master_keys.iter().any(|key| key.limits.counts_tokens()) {
        // Otherwise the first call whose tokens count would wait for it. It takes more memory than all else.
        tokio::task::spawn_blocking(gateway_tokens::load);
    }
    let listeners = Listeners::bind(&config, &gateway, &state).await?;
    banner::print(&config, listeners.callers.local_addr());
    tracing::info!(address = %listeners.callers.local_addr(), "listening");
    let stopping = {
        let gateway = gateway.clone();
        async move {
            stop.next().await;
            gateway.begin_drain();
            tracing::info!("stopping: no new connections, calls in flight go on");
        }
    };
    let asked_twice = async {
        stop_at_once.next().await;
        stop_at_once.next().await;
    };
    let drained = tokio::select! {
        drained = listeners.serve(stopping) => drained,
        problem = state.keep_house() => return Err(problem),
        () = asked_twice => bail!("stopped at once, because it was asked to twice; calls in flight were cut"),
    };
    if let Some(simulator) = simulator {
        simulator.stop().await;
    }
    state.close().await;
    tracing::info!(finished = drained.finished, cut = drained.cut, lost_log_lines = log.dropped_lines(), "stopped");
    Ok(())
}

/// Where callers come in, and where administrators do if that is another place.
struct Listeners {
    callers: Listener,
    front: Front,
    administrators: Option<(Listener, AdminService)>,
}

impl Listeners {
    async fn bind(config: &Config, gateway: &Gateway, state: &State) -> anyhow::Result<Self> {
        let admin = administration::service(config, gateway, state.stored.as_ref());
        let callers = Listener::bind(&listener_config(&config.server)).await?;
        let (shared, own) = match config.admin.listen {
            None => (Some(admin), None),
            Some(address) => {
                let place = ListenerConfig { address: address.to_string(), ..listener_config(&config.server) };
                let listener = Listener::bind(&place).await.context("admin.listen")?;
                tracing::info!(address = %listener.local_addr(), "listening for administrators");
                (None, Some((listener, admin)))
            }
        };
        Ok(Self { callers, front: Front { gateway: gateway.service(), admin: shared }, administrators: own })
    }

    /// Serves until told to stop, and until the calls in flight are over.
    async fn serve(self, stopping: impl Future<Output = ()>) -> Drained {
        let Some((listener, admin)) = self.administrators else {
            return self.callers.serve(self.front, stopping).await;
        };
        let stopped = CancellationToken::new();
        let callers = self.callers.serve(self.front, async {
            stopping.await;
            stopped.cancel();
        });
        let (drained, _) = tokio::join!(callers, listener.serve(admin, stopped.cancelled()));
        drained
    }
}

fn start_log(config: &Config, directives: Option<&String>) -> anyhow::Result<LogGuard> {
    let format = match config.logging.format {
        LogFormat::Auto => LineFormat::Auto,
        LogFormat::Json => LineFormat::Json,
        LogFormat::Text => LineFormat::Text,
    };
    Ok(start_logging(format, config.logging.access, directives.map(String::as_str))?)
}

fn runtime(server: &Server) -> anyhow::Result<Runtime> {
    let mut builder = Builder::new_multi_thread();
    // The default, one per core, already heeds the process's CPU quota and affinity.
    if let Some(workers) = server.workers {
        builder.worker_threads(workers);
    }
    builder.enable_all().build().context("the runtime cannot be started")
}

/// The listener's certificate and key, if it is to have any.
pub(crate) fn tls_files(server: &Server) -> Option<TlsFiles> {
    server.tls.as_ref().map(|tls| TlsFiles { cert: tls.cert.clone(), key: tls.key.clone() })
}

fn listener_config(server: &Server) -> ListenerConfig {
    ListenerConfig {
        address: format!("{}:{}", server.host, server.port),
        tls: tls_files(server),
        head: HeadLimits {
            header_timeout: server.header_timeout,
            // Twice what the gateway itself accepts, so that it gets to explain its refusal.
            max_headers: 200,
            max_head: 128 * 1024,
            ..HeadLimits::default()
        },
        drain_timeout: server.drain_timeout,
    }
}

/// Starts the simulator if a provider of that type has no address of its own, and gives it this one.
async fn start_simulator(config: &mut Config) -> anyhow::Result<Option<RunningSimulator>> {
    let wanted: Vec<_> =
        config.providers.iter_mut().filter(|provider| provider.endpoint == ProviderEndpoint::Simulator).collect();
    if wanted.is_empty() {
        return Ok(None);
    }
    let simulator = Simulator::start(SimulatorConfig::default()).await.context("the simulator cannot be started")?;
    let base: http::Uri = simulator.api_base().parse()?;
    for provider in wanted {
        provider.endpoint = ProviderEndpoint::Base(base.clone());
    }
    Ok(Some(simulator))
}

/// SIGTERM and SIGINT, each of which asks the process to stop.
pub(crate) struct StopSignals {
    terminate: Signal,
    interrupt: Signal,
}

impl StopSignals {
    /// Handles both signals from now on.
    pub(crate) fn listen() -> anyhow::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate()).context("SIGTERM cannot be handled")?,
            interrupt: signal(SignalKind::interrupt()).context("SIGINT cannot be handled")?,
        })
    }

    /// Waits for the next of them.
    pub(crate) async fn next(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}

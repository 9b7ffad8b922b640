//! `gateway-server`: load, build, listen, drain.

use std::convert::Infallible;
use std::future::Future;
use std::path::PathBuf;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, anyhow};
use gateway_config::{Config, LogFormat, Server, Sources};
use gateway_core::{Gateway, GatewayBuilder};
use gateway_listener::{
    Certificates, Drained, HeadLimits, InheritedSocket, Listener, ListenerConfig, TlsFiles, inherited,
};
use gateway_reload::{Cause, Reloader};
use gateway_telemetry::{LineFormat, LogGuard, start_logging};
use tokio::runtime::{Builder, Handle, Runtime};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::detailed::Detailed;
use crate::front::{Back, Front};
use crate::health_checks::HealthChecks;
use crate::host::ProcessHost;
use crate::observation::Observation;
use crate::scrape::{Scrape, ScrapeSources};
use crate::state::State;
use crate::workers::{Workers, cores};
use crate::{administration, banner, service_manager};

/// How long work on threads that may wait is waited for when everything else has ended.
const LAST_MOMENT: Duration = Duration::from_secs(1);

/// Threads for what is not a call, at most: it mostly waits.
const HOUSEKEEPERS: usize = 2;

/// How long a process that ends out of order takes to hand over what it knows of calls. A store that does not answer is given up
/// within that time, and the log says what is lost.
const HASTE: Duration = Duration::from_secs(5);

/// Serves the configuration until a signal to stop, and then until its calls are over.
pub(crate) fn run(path: Option<PathBuf>) -> anyhow::Result<()> {
    let sources = Sources::from_process(path);
    let sockets = inherited(sources.environment.get("LISTEN_FDNAMES").map(String::as_str))?;
    let [callers, administrators] = sockets.assign(["callers", "administrators"])?;
    outlive_hangups()?;
    let builder = Gateway::builder();
    let observation = Observation::new(&|name| sources.environment.get(name).cloned())?;
    let directives = sources.environment.get("RUST_LOG").cloned();
    let host = Arc::new(ProcessHost::default());
    let reloader = Reloader::new(sources, builder.vocabulary(), Arc::<ProcessHost>::clone(&host))?;
    let loaded = reloader.without_store()?;
    let log = start_log(&loaded.config, directives.as_ref())?;
    for warning in &loaded.warnings {
        tracing::warn!("{warning}");
    }
    let workers = Workers::start(loaded.config.server.workers)?;
    let runtime = runtime(&loaded.config.server)?;
    let builder = observation.equip(builder, &loaded.config, &log);
    let sockets = Sockets { callers, administrators };
    let process = Process { host, reloader, observation, sockets, workers: workers.runtimes().to_vec() };
    let served = runtime.block_on(process.serve(builder, &loaded.config, &log));
    workers.stop(LAST_MOMENT);
    // A file that does not answer is no reason to stay.
    runtime.shutdown_timeout(LAST_MOMENT);
    served
}

/// Sees to it that SIGHUP does not end the process from now on, as it would otherwise until it is listened for. One that comes
/// before that is heard by nobody, and the configuration is read after it.
fn outlive_hangups() -> anyhow::Result<()> {
    let runtime = Builder::new_current_thread().enable_io().build().context("the runtime cannot be started")?;
    let _inside = runtime.enter();
    // What is set up for the process stays when this ends.
    signal(SignalKind::hangup()).map(drop).context("SIGHUP cannot be handled")
}

/// What the process has before it serves.
struct Process {
    host: Arc<ProcessHost>,
    reloader: Reloader,
    observation: Observation,
    sockets: Sockets,
    workers: Vec<Handle>,
}

impl Process {
    async fn serve(self, builder: GatewayBuilder, config: &Config, log: &LogGuard) -> anyhow::Result<()> {
        let Self { host, reloader, mut observation, sockets, workers } = self;
        let (stop, mut stop_at_once) = (StopSignals::listen()?, StopSignals::listen()?);
        // From now on, because what SIGHUP does otherwise is to end the process.
        let hangups = signal(SignalKind::hangup()).context("SIGHUP cannot be handled")?;
        let exporting = observation.export();
        let state = State::open(config, &reloader, Arc::clone(&observation.usage)).await?;
        let gateway = reloader.start(state.equip(builder)).await?;
        if state.counts_tokens() {
            // Otherwise the first call whose tokens count would wait for it. It takes more memory than all else.
            tokio::task::spawn_blocking(gateway_tokens::load);
        }
        let config = gateway.config();
        let listeners = Listeners::open(&config, sockets).await?.in_workers(workers);
        host.keep(listeners.certificates());
        banner::print(&config, listeners.callers.local_addr());
        tracing::info!(address = %listeners.callers.local_addr(), "listening");
        service_manager::ready();
        let last_checks = CancellationToken::new();
        let checks = HealthChecks::start(&gateway, last_checks.clone());
        let stop_now = CancellationToken::new();
        let stopping = stop_taking(stop, stop_now.clone(), gateway.clone(), last_checks);
        let asked_twice = async {
            stop_at_once.next().await;
            stop_at_once.next().await;
        };
        tokio::spawn(reload_on_hangups(hangups, reloader.clone()));
        let watching = Watching::start(&reloader);
        let admin = administration::service(&gateway, &reloader, state.stored.as_ref());
        let detailed = Detailed::new(gateway.clone(), reloader.clone(), admin.clone(), checks.clone());
        let front = Front::new(&gateway, detailed);
        let scrape = Scrape::new(ScrapeSources {
            metrics: observation.metrics,
            gateway,
            reloader,
            checks,
            dropped_lines: log.dropped_lines(),
            usage: observation.usage,
            traces: exporting.as_ref().map(|exporting| exporting.traces().clone()),
        });
        let mut serving = pin!(listeners.cut_on(&stop_now).serve(front, Back { admin, scrape }, stopping));
        let ended = tokio::select! {
            drained = &mut serving => Ok(drained),
            problem = state.keep_house() => Err(problem),
            () = asked_twice => Err(anyhow!("stopped at once, because it was asked to twice; calls in flight were cut")),
        };
        if ended.is_err() {
            stop_now.cancel();
            // Calls are accounted for when they are dropped, so they have to be, before that is handed over.
            let _ = timeout(LAST_MOMENT, serving).await;
        }
        let farewell = async {
            watching.stop().await;
            host.stop().await;
            let lost_usage = state.close().await;
            let lost_traces = match exporting {
                Some(exporting) => Some(exporting.stop().await),
                None => None,
            };
            (lost_usage, lost_traces)
        };
        let patience = if ended.is_ok() { Duration::MAX } else { HASTE };
        let (lost_usage, lost_traces) = timeout(patience, farewell).await.unwrap_or_default();
        let lost_log_lines = log.dropped_lines().count();
        let Drained { finished, cut } = ended.as_ref().copied().unwrap_or_default();
        tracing::info!(finished, cut, lost_log_lines, lost_traces, lost_usage, "stopped");
        ended.map(drop)
    }
}

/// Stops to take connections when the process is told to.
async fn stop_taking(
    mut stop: StopSignals,
    stop_now: CancellationToken,
    gateway: Gateway,
    last_checks: CancellationToken,
) {
    tokio::select! {
        () = stop.next() => {}
        () = stop_now.cancelled() => {}
    }
    service_manager::stopping();
    gateway.begin_drain();
    last_checks.cancel();
    tracing::info!("stopping: no new connections, calls in flight go on");
}

/// The watch over the files that the configuration is in.
struct Watching {
    task: JoinHandle<()>,
    end: DropGuard,
}

impl Watching {
    /// On a thread of its own: to look at files may take long, and nobody else is to wait for that.
    fn start(reloader: &Reloader) -> Self {
        let (files, runtime, end) = (reloader.clone(), Handle::current(), CancellationToken::new());
        let ended = end.clone();
        let task = tokio::task::spawn_blocking(move || runtime.block_on(watch_files(&files, &ended)));
        Self { task, end: end.drop_guard() }
    }

    /// What watches files needs the runtime; but one that does not answer is no reason to stay.
    async fn stop(self) {
        drop(self.end);
        let _ = timeout(LAST_MOMENT, self.task).await;
    }
}

/// Reloads the configuration whenever a file has changed, until told to end. Told so, it looks at nothing any more.
async fn watch_files(reloader: &Reloader, ended: &CancellationToken) {
    tokio::select! {
        biased;
        () = ended.cancelled() => {}
        never = reloader.watch_files() => match never {},
    }
}

/// Reloads the configuration whenever the process is sent SIGHUP, for ever.
async fn reload_on_hangups(mut hangups: Signal, reloader: Reloader) -> Infallible {
    loop {
        hangups.recv().await;
        service_manager::reloading();
        // Whatever is wrong has been logged.
        drop(reloader.reload(Cause::Signal).await);
        service_manager::ready();
    }
}

/// Sockets that the process was started with.
struct Sockets {
    callers: Option<InheritedSocket>,
    administrators: Option<InheritedSocket>,
}

/// Where callers come in, and where administrators do if that is another place.
struct Listeners {
    callers: Listener,
    administrators: Option<Listener>,
}

impl Listeners {
    async fn open(config: &Config, sockets: Sockets) -> anyhow::Result<Self> {
        let server = &config.server;
        let callers = open(sockets.callers, format!("{}:{}", server.host, server.port), server).await?;
        let administrators = match (sockets.administrators, config.admin.listen) {
            (None, None) => None,
            (socket, address) => {
                let address = address.map(|address| address.to_string()).unwrap_or_default();
                let listener = open(socket, address, server).await.context("admin.listen")?;
                tracing::info!(address = %listener.local_addr(), "listening for administrators");
                Some(listener)
            }
        };
        Ok(Self { callers, administrators })
    }

    fn certificates(&self) -> impl Iterator<Item = Certificates> {
        [Some(&self.callers), self.administrators.as_ref()].into_iter().flatten().filter_map(Listener::certificates)
    }

    /// Serves callers in these runtimes.
    fn in_workers(self, workers: Vec<Handle>) -> Self {
        Self { callers: self.callers.in_runtimes(workers), ..self }
    }

    /// Cuts the calls in flight when told to.
    fn cut_on(self, cut: &CancellationToken) -> Self {
        let cut_on = |listener: Listener| listener.cut_on(cut.clone());
        Self { callers: cut_on(self.callers), administrators: self.administrators.map(cut_on) }
    }

    /// Serves until told to stop, and until the calls in flight are over.
    async fn serve(self, front: Front, back: Back, stopping: impl Future<Output = ()>) -> Drained {
        let Some(listener) = self.administrators else {
            return self.callers.serve(front.with_back(back), stopping).await;
        };
        let stopped = CancellationToken::new();
        let callers = self.callers.serve(front, async {
            stopping.await;
            stopped.cancel();
        });
        let (drained, _) = tokio::join!(callers, listener.serve(back, stopped.cancelled()));
        drained
    }
}

/// A listener on an inherited socket, else at an address.
async fn open(socket: Option<InheritedSocket>, address: String, server: &Server) -> anyhow::Result<Listener> {
    let config = listener_config(address, server);
    Ok(match socket {
        Some(socket) => Listener::from_socket(socket, &config)?,
        None => Listener::bind(&config).await?,
    })
}

fn start_log(config: &Config, directives: Option<&String>) -> anyhow::Result<LogGuard> {
    let format = match config.logging.format {
        LogFormat::Auto => LineFormat::Auto,
        LogFormat::Json => LineFormat::Json,
        LogFormat::Text => LineFormat::Text,
    };
    Ok(start_logging(format, config.logging.access, directives.map(String::as_str))?)
}

/// The runtime of everything that is not a call.
fn runtime(server: &Server) -> anyhow::Result<Runtime> {
    let threads = server.workers.unwrap_or_else(cores).min(HOUSEKEEPERS);
    Builder::new_multi_thread().worker_threads(threads).enable_all().build().context("the runtime cannot be started")
}

/// The listener's certificate and key, if it is to have any.
pub(crate) fn tls_files(server: &Server) -> Option<TlsFiles> {
    server.tls.as_ref().map(|tls| TlsFiles { cert: tls.cert.clone(), key: tls.key.clone() })
}

fn listener_config(address: String, server: &Server) -> ListenerConfig {
    ListenerConfig {
        tls: tls_files(server),
        head: HeadLimits {
            header_timeout: server.header_timeout,
            // Twice what the gateway itself accepts, so that it gets to explain its refusal.
            max_headers: 200,
            max_head: 128 * 1024,
            ..HeadLimits::default()
        },
        reuse_port: server.reuse_port,
        drain_timeout: server.drain_timeout,
        ..ListenerConfig::new(address)
    }
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

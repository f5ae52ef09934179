//! Everything that waits on sockets: the container runtimes, the HTTP endpoint, signals.
//!
//! Contract: lives on a small runtime of its own; nothing here touches packets. Design: the readers of the runtimes wait for
//! room in the channel, so that no inventory event is lost.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::Context as _;
use crossbeam_channel::Sender;
use tokio::net::TcpListener;
use tokio::runtime::Runtime;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::watch;

use super::LiveOptions;
use super::runtimes;
use super::source::SourceContext;
use crate::input::InventoryEvent;
use crate::serve;

/// How long tasks may take to end.
pub(super) const GRACE: Duration = Duration::from_millis(500);

/// The running tasks.
pub struct AsyncTasks {
    runtime: Runtime,
    stopping: watch::Sender<bool>,
}

/// Starts the readers of the runtimes, the HTTP endpoint, and the wait for the end.
pub fn start(
    options: &LiveOptions,
    context: SourceContext,
    listeners: Vec<Sender<InventoryEvent>>,
) -> anyhow::Result<AsyncTasks> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .thread_name("sockets")
        .enable_all()
        .build()
        .context("starting the runtime for sockets")?;
    let (stopping, stopped) = watch::channel(false);
    let signals = {
        // From here on a signal ends the run in order.
        let _inside = runtime.enter();
        Signals::listen()
    };
    runtime.spawn(wait_for_the_end(signals, options.duration, context.stop, stopping.clone()));
    if let Some(address) = options.listen {
        let listener = runtime.block_on(TcpListener::bind(address)).with_context(|| {
            format!("cannot listen on {address} for metrics; name a free address with --listen, or serve none with --listen none")
        })?;
        let address = listener.local_addr().unwrap_or(address);
        tracing::info!(%address, "metrics and health on http://{address}/");
        let mut stopped = stopped.clone();
        let shared = Arc::clone(&context.shared);
        runtime.spawn(async move {
            let shutdown = async move { drop(stopped.wait_for(|stopped| *stopped).await) };
            if let Err(error) = serve::serve(listener, shared, shutdown).await {
                tracing::error!("serving metrics ended: {error}");
            }
        });
    }
    runtime.spawn(runtimes::watch(
        options.config.runtimes.clone(),
        context.sender,
        listeners,
        context.shared.readers.clone(),
        stopped,
    ));
    Ok(AsyncTasks { runtime, stopping })
}

impl AsyncTasks {
    /// Tells all tasks to end.
    pub fn tell_to_stop(&self) {
        // Fails only when every task has ended already.
        let _ = self.stopping.send(true);
    }

    /// Waits a little for all tasks to end.
    pub fn stop(self) {
        self.runtime.shutdown_timeout(GRACE);
    }
}

/// SIGINT, SIGTERM, or the end of the duration. SIGHUP, which would end the process by default, only writes a log line.
async fn wait_for_the_end(
    signals: io::Result<Signals>,
    duration: Option<Duration>,
    stop: Arc<AtomicBool>,
    stopping: watch::Sender<bool>,
) {
    let after = async {
        match duration {
            Some(duration) => tokio::time::sleep(duration).await,
            None => std::future::pending().await,
        }
    };
    match signals {
        Ok(mut signals) => tokio::select! {
            () = signals.end() => {}
            () = after => {}
        },
        Err(error) => {
            tracing::warn!("signals cannot be caught, so an interruption will lose the summary: {error}");
            after.await;
        }
    }
    stop.store(true, Ordering::Relaxed);
    let _ = stopping.send(true);
}

/// The signals that a run obeys.
struct Signals {
    interrupt: Signal,
    terminate: Signal,
    hangup: Signal,
}

impl Signals {
    fn listen() -> io::Result<Self> {
        Ok(Self {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
            hangup: signal(SignalKind::hangup())?,
        })
    }

    /// Returns at the first signal that ends the run.
    async fn end(&mut self) {
        loop {
            tokio::select! {
                _ = self.interrupt.recv() => return tracing::info!(signal = "SIGINT", "interrupted: draining"),
                _ = self.terminate.recv() => return tracing::info!(signal = "SIGTERM", "ending: draining"),
                _ = self.hangup.recv() => {
                    tracing::info!(signal = "SIGHUP", "SIGHUP: the configuration is not read again; restart hopwatch to apply a change");
                }
            }
        }
    }
}

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
use tokio::runtime::Runtime;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::{mpsc, watch};

use super::LiveOptions;
use super::endpoint::Endpoint;
use super::reload::{AskedBy, Reloader};
use super::runtimes;
use super::source::SourceContext;
use crate::input::InventoryEvent;
use crate::sandbox::{self, Role};
use crate::serve::{ReloadRequest, ReloadRequests};

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
    reloader: Option<Reloader>,
) -> anyhow::Result<AsyncTasks> {
    let runtime = built().context("starting the runtime for sockets")?;
    let (stopping, stopped) = watch::channel(false);
    let (signals, hangup) = {
        // From here on a signal ends the run in order, and SIGHUP does not end it.
        let _inside = runtime.enter();
        (Signals::listen(), signal(SignalKind::hangup()))
    };
    runtime.spawn(wait_for_the_end(signals, options.duration, context.stop, stopping.clone()));
    let (requests, asked) = ReloadRequests::channel();
    let requests = reloader.is_some().then_some(requests);
    if let Some(way) = reloader.as_ref().map(Reloader::way) {
        let mut stopped = stopped.clone();
        runtime.spawn(async move {
            drop(stopped.wait_for(|stopped| *stopped).await);
            way.close();
        });
    }
    let shared = Arc::clone(&context.shared);
    let mut endpoint = Endpoint::new(runtime.handle().clone(), shared, requests, stopped.clone());
    if let Some(address) = options.listen
        && let Some(bound) = endpoint.bind(address)?
    {
        endpoint.serve(bound);
    }
    let reloader = reloader.map(|reloader| reloader.serving(endpoint));
    runtime.spawn(reload_when_asked(reloader, hangup.ok(), asked));
    runtime.spawn(runtimes::watch(
        options.config.runtimes.clone(),
        context.sender,
        listeners,
        context.shared.readers.clone(),
        stopped,
    ));
    Ok(AsyncTasks { runtime, stopping })
}

/// Its threads are born of one that may do what they need.
fn built() -> io::Result<Runtime> {
    let build =
        || tokio::runtime::Builder::new_multi_thread().worker_threads(2).thread_name("sockets").enable_all().build();
    let thread = sandbox::spawn(Role::Sockets, "sockets", build)?;
    thread.join().map_err(|_| io::Error::other("it panicked"))?
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

/// Reads the configuration again at SIGHUP and at each request, one after the other.
async fn reload_when_asked(
    mut reloader: Option<Reloader>,
    mut hangup: Option<Signal>,
    mut requests: mpsc::Receiver<ReloadRequest>,
) {
    loop {
        let signalled = async {
            match &mut hangup {
                Some(hangup) => drop(hangup.recv().await),
                None => std::future::pending().await,
            }
        };
        let request = tokio::select! {
            () = signalled => None,
            Some(request) = requests.recv() => Some(request),
        };
        let Some(mut asked) = reloader.take() else {
            tracing::info!(signal = "SIGHUP", "SIGHUP: this run does not read its configuration again");
            continue;
        };
        let by = if request.is_some() { AskedBy::Request } else { AskedBy::Signal };
        let reload = tokio::task::spawn_blocking(move || {
            let outcome = asked.reload(by).map_err(|error| format!("{error:#}"));
            (asked, outcome)
        });
        // One that panicked was reported by the panic handler.
        let Ok((asked, outcome)) = reload.await else { return };
        reloader = Some(asked);
        if let Some(ReloadRequest(answer)) = request {
            // Who asked may have gone.
            let _ = answer.send(outcome);
        }
    }
}

/// SIGINT, SIGTERM, or the end of the duration.
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
}

impl Signals {
    fn listen() -> io::Result<Self> {
        Ok(Self { interrupt: signal(SignalKind::interrupt())?, terminate: signal(SignalKind::terminate())? })
    }

    /// Returns at the first signal that ends the run.
    async fn end(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => tracing::info!(signal = "SIGINT", "interrupted: draining"),
            _ = self.terminate.recv() => tracing::info!(signal = "SIGTERM", "ending: draining"),
        }
    }
}

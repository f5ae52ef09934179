//! Where a run serves HTTP, and its move to another address.
//!
//! Contract: another address is bound before the old one is closed; what the old one was asked is answered. What cannot be bound changes nothing.
//! Limits: one address at a time. Design: bound by one of the runtime's threads, which alone may; the sandbox allows the port of the start.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use anyhow::Context as _;
use tokio::net::TcpListener;
use tokio::runtime::Handle;
use tokio::sync::{oneshot, watch};

use crate::serve::{self, ReloadRequests, SharedCounters};

/// Serves, or will.
#[derive(Debug)]
pub(super) struct Endpoint {
    runtime: Handle,
    shared: Arc<SharedCounters>,
    requests: Option<ReloadRequests>,
    stopped: watch::Receiver<bool>,
    serving: Option<Serving>,
}

/// What is served now.
#[derive(Debug)]
struct Serving {
    /// As it was asked for.
    at: SocketAddr,
    close: oneshot::Sender<()>,
}

/// An address that is bound, and not served yet.
#[derive(Debug)]
pub(super) struct Bound {
    at: SocketAddr,
    listener: TcpListener,
}

impl Endpoint {
    /// Serves nothing yet.
    pub(super) const fn new(
        runtime: Handle,
        shared: Arc<SharedCounters>,
        requests: Option<ReloadRequests>,
        stopped: watch::Receiver<bool>,
    ) -> Self {
        Self { runtime, shared, requests, stopped, serving: None }
    }

    /// Binds an address, unless it is served already. Not from one of the runtime's own tasks.
    pub(super) fn bind(&self, at: SocketAddr) -> anyhow::Result<Option<Bound>> {
        if self.serving.as_ref().is_some_and(|serving| serving.at == at) {
            return Ok(None);
        }
        let bound = self.runtime.block_on(self.runtime.spawn(TcpListener::bind(at)));
        let listener = bound.map_err(io::Error::other).flatten().with_context(|| self.refused(at))?;
        Ok(Some(Bound { at, listener }))
    }

    /// What to do where an address cannot be bound.
    fn refused(&self, at: SocketAddr) -> String {
        match &self.serving {
            None => format!(
                "cannot listen on {at} for metrics; name a free address with --listen, or serve none with --listen none"
            ),
            Some(serving) if serving.at.port() != at.port() => format!(
                "cannot listen on {at} for metrics, {} stays; free that port, or restart hopwatch if its sandbox allows no other port than {}",
                serving.at,
                serving.at.port()
            ),
            Some(serving) => format!(
                "cannot listen on {at} for metrics, {} stays; another port is needed where one of both is a wildcard",
                serving.at
            ),
        }
    }

    /// Serves there from now on; the address before takes no new connection.
    pub(super) fn serve(&mut self, Bound { at, listener }: Bound) {
        let address = listener.local_addr().unwrap_or(at);
        let (close, closed) = oneshot::channel();
        let (mut stopped, shared, requests) = (self.stopped.clone(), Arc::clone(&self.shared), self.requests.clone());
        self.runtime.spawn(async move {
            let shutdown = async move {
                tokio::select! {
                    _ = stopped.wait_for(|stopped| *stopped) => {}
                    Ok(()) = closed => {}
                }
            };
            if let Err(error) = serve::serve(listener, shared, requests, shutdown).await {
                tracing::error!("serving metrics on {address} ended: {error}");
            }
        });
        tracing::info!(%address, "metrics and health on http://{address}/");
        if let Some(before) = self.serving.replace(Serving { at, close }) {
            // Fails only where it has ended by itself.
            let _ = before.close.send(());
        }
    }
}

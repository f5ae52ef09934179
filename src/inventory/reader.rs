//! What the readers of container runtimes share: the trait, the loop that connects again, its errors and counters.
//!
//! Contract: a reader reports `Connected`, then everything, then `Reconciled`, then what happens; a cut is reported once, with the reason, and
//! the runtime is asked again until it answers. Only read calls. Limits: see [`bounds`] and [`grpc`]. Design: one implementation of
//! [`RuntimeReader`] for each API; [`container_states`] holds no socket, so that every order of events can be tested.

pub(super) mod bounds;
pub(super) mod container_states;
mod counters;
mod error;
pub(super) mod exec_command;
pub(super) mod grpc;
pub(super) mod oci;
pub(super) mod process_start;
pub(super) mod proto;

use std::convert::Infallible;
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;

pub use self::counters::ReaderCounters;
pub use self::error::ReaderError;
pub(super) use self::error::{Reason, chain};
use crate::input::{InventoryEvent, RuntimeId};

const FIRST_WAIT: Duration = Duration::from_millis(100);
const LONGEST_WAIT: Duration = Duration::from_secs(5);

/// Receives what a reader reports.
pub type Emit<'a> = dyn FnMut(InventoryEvent) + Send + 'a;
/// A future of a trait object.
pub type Pending<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;
/// How a connection ends: always by an error.
pub type Ended = Result<Infallible, ReaderError>;

/// A reader of one container runtime; nothing is opened until it is asked to.
pub trait RuntimeReader: Send + Sync {
    /// The name under which it reports.
    fn runtime(&self) -> RuntimeId;

    /// What it did and missed; stays valid while [`run`] owns the reader.
    fn counters(&self) -> &Arc<ReaderCounters>;

    /// What the runtime knows now.
    fn snapshot(&self) -> Pending<'_, Result<Vec<InventoryEvent>, ReaderError>>;

    /// One connection, from the first question to the cut; `connected` once the snapshot was reported.
    fn follow<'a>(&'a mut self, emit: &'a mut Emit<'_>, connected: &'a mut bool) -> Pending<'a, Ended>;
}

/// Reports everything until `stop` turns true (or its sender is gone): connects again after each cut.
pub async fn run(
    mut reader: Box<dyn RuntimeReader>,
    mut emit: impl FnMut(InventoryEvent) + Send,
    mut stop: watch::Receiver<bool>,
) {
    let mut wait = FIRST_WAIT;
    let mut reported = false;
    loop {
        let mut connected = false;
        let ended = tokio::select! {
            biased;
            () = stopped(&mut stop) => return,
            ended = reader.follow(&mut emit, &mut connected) => ended,
        };
        let Err(error) = ended;
        if connected {
            (wait, reported) = (FIRST_WAIT, false);
        }
        if !reported {
            emit(InventoryEvent::Disconnected { runtime: reader.runtime(), error: error.to_string() });
            reported = true;
        }
        tokio::select! {
            biased;
            () = stopped(&mut stop) => return,
            () = tokio::time::sleep(wait) => {}
        }
        wait = (wait * 2).min(LONGEST_WAIT);
        reader.counters().reconnects.add(1);
    }
}

/// Returns once `stop` is true, or its sender is gone.
async fn stopped(stop: &mut watch::Receiver<bool>) {
    // An error means that the sender is gone: then stopping is right as well.
    let _ = stop.wait_for(|stop| *stop).await;
}

/// The path in `unix:///run/containerd/containerd.sock`, or a bare path.
pub(super) fn socket_path(address: &str) -> Result<PathBuf, ReaderError> {
    let path = address.strip_prefix("unix://").unwrap_or(address);
    if path.starts_with('/') {
        return Ok(PathBuf::from(path));
    }
    Err(ReaderError::Address { address: address.to_owned() })
}

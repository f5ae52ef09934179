//! What the readers share: counters and when a process began; those over gRPC (containerd, CRI) also the connection, its loop, and the states of
//! what was told.
//!
//! Contract: a reader tells `Connected`, then everything, then `Reconciled`, then what happens; a cut is told once, with
//! the reason, and the runtime asked again until it answers. Only read calls. Limits: see [`bounds`] and [`grpc`].
//! Design: [`container_states`] holds no socket, so that every order of events can be tested.

pub(super) mod bounds;
pub(super) mod container_states;
mod counters;
mod error;
pub(super) mod grpc;
pub(super) mod process_start;
pub(super) mod proto;

use std::time::Duration;

use tokio::sync::watch;

pub use self::counters::ReaderCounters;
pub use self::error::ReaderError;
pub(super) use self::error::chain;
use crate::input::{InventoryEvent, RuntimeId};

const FIRST_WAIT: Duration = Duration::from_millis(100);
const LONGEST_WAIT: Duration = Duration::from_secs(5);

/// One runtime, as the loop sees it.
pub(super) trait Session: Send {
    /// Why a connection ended.
    type Error: std::fmt::Display;

    /// Under which name it tells.
    fn runtime(&self) -> RuntimeId;

    /// What it did and missed.
    fn counters(&self) -> &ReaderCounters;

    /// One connection, from the first question to the cut; `heard` once the snapshot was told.
    fn session(
        &mut self,
        emit: &mut (dyn FnMut(InventoryEvent) + Send),
        heard: &mut bool,
    ) -> impl Future<Output = Self::Error> + Send;
}

/// Connects again and again until `stop` turns true (or its sender is gone).
pub(super) async fn run(
    mut session: impl Session,
    mut emit: impl FnMut(InventoryEvent) + Send,
    mut stop: watch::Receiver<bool>,
) {
    let mut wait = FIRST_WAIT;
    let mut told = false;
    loop {
        let mut heard = false;
        let error = tokio::select! {
            biased;
            () = stopped(&mut stop) => return,
            error = session.session(&mut emit, &mut heard) => error,
        };
        if heard {
            (wait, told) = (FIRST_WAIT, false);
        }
        if !told {
            emit(InventoryEvent::Disconnected { runtime: session.runtime(), error: error.to_string() });
            told = true;
        }
        tokio::select! {
            biased;
            () = stopped(&mut stop) => return,
            () = tokio::time::sleep(wait) => {}
        }
        wait = (wait * 2).min(LONGEST_WAIT);
        session.counters().reconnects.add(1);
    }
}

/// Returns once `stop` is true, or nobody can make it so any more.
pub(super) async fn stopped(stop: &mut watch::Receiver<bool>) {
    // An error means that the sender is gone: then stopping is right as well.
    let _ = stop.wait_for(|stop| *stop).await;
}

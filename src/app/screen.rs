//! The snapshot that the engine's thread publishes and the terminal reads, and the way to end the run.
//!
//! Contract: neither side waits for the other for longer than a pointer is swapped. Limits: [`crate::engine::WorkloadStatsLimits::SHOWN`] bounds what is kept for it.

use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex};

use crate::sync;
use crate::view::TopSnapshot;

/// The latest snapshot, shared between the engine's thread and the terminal, and the way to end.
#[derive(Clone, Debug, Default)]
pub struct Screen {
    latest: Arc<Mutex<Option<Arc<TopSnapshot>>>>,
    stop: Arc<AtomicBool>,
}

impl Screen {
    /// Replaces the snapshot.
    pub fn publish(&self, snapshot: TopSnapshot) {
        *sync::lock(&self.latest) = Some(Arc::new(snapshot));
    }

    /// Whether the engine has published one.
    pub fn is_published(&self) -> bool {
        sync::lock(&self.latest).is_some()
    }

    /// The latest one; empty before the first.
    pub fn read(&self) -> Arc<TopSnapshot> {
        sync::lock(&self.latest).clone().unwrap_or_default()
    }

    /// What ends the run when it is set.
    pub fn stop(&self) -> Arc<AtomicBool> {
        Arc::clone(&self.stop)
    }
}

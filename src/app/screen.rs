//! The shot that the engine's thread publishes and the terminal reads, and the way to end the run.
//!
//! Contract: neither side waits for the other for longer than a pointer is swapped. Limits: [`LIMITS`] bound what is kept for it.

use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex};

use crate::engine::WorkloadStatsLimits;
use crate::sync;
use crate::view::TopSnapshot;

/// Bounds of what is shown.
pub const LIMITS: WorkloadStatsLimits = WorkloadStatsLimits { rows: 20_000, flows: 262_144, alerts: 100, latest: 32 };

/// The latest shot, shared between the engine's thread and the terminal, and the way to end.
#[derive(Clone, Debug, Default)]
pub struct Screen {
    shot: Arc<Mutex<Arc<TopSnapshot>>>,
    stop: Arc<AtomicBool>,
}

impl Screen {
    /// Replaces the shot.
    pub fn publish(&self, shot: TopSnapshot) {
        *sync::lock(&self.shot) = Arc::new(shot);
    }

    /// The latest one.
    pub fn read(&self) -> Arc<TopSnapshot> {
        Arc::clone(&sync::lock(&self.shot))
    }

    /// What ends the run when it is set.
    pub fn stop(&self) -> Arc<AtomicBool> {
        Arc::clone(&self.stop)
    }
}

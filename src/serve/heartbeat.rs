//! Whether the engine moves.
//!
//! Contract: the engine's loop beats at least every 20 ms, inputs or not, and with every input; without a beat for [`STALLED`] it is
//! stuck, and `/livez` fails so that a supervisor restarts the process. Limits: the clock stands still while the host sleeps.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use crate::clock::instant;

/// Without a beat for so long, the engine is stuck.
pub const STALLED: Duration = Duration::from_secs(10);

/// The time of the latest beat.
#[derive(Debug)]
pub struct Heartbeat {
    started: Instant,
    /// Milliseconds after the start.
    latest: AtomicU64,
}

impl Default for Heartbeat {
    fn default() -> Self {
        Self::since(instant())
    }
}

impl Heartbeat {
    /// The latest beat was then.
    pub const fn since(started: Instant) -> Self {
        Self { started, latest: AtomicU64::new(0) }
    }

    /// The engine has moved.
    pub fn beat(&self) {
        self.latest.store(self.elapsed_millis(), Ordering::Relaxed);
    }

    /// For how long the engine has been stuck.
    pub fn stalled(&self) -> Option<Duration> {
        let silent = self.elapsed_millis().saturating_sub(self.latest.load(Ordering::Relaxed));
        Some(Duration::from_millis(silent)).filter(|silent| *silent >= STALLED)
    }

    fn elapsed_millis(&self) -> u64 {
        u64::try_from(instant().saturating_duration_since(self.started).as_millis()).unwrap_or(u64::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_engine_that_stops_moving_is_stuck_until_it_moves_again() {
        let Some(long_ago) = instant().checked_sub(STALLED + Duration::from_secs(1)) else { return };
        let heartbeat = Heartbeat::since(long_ago);
        assert!(heartbeat.stalled().is_some_and(|stalled| stalled > STALLED));
        heartbeat.beat();
        assert_eq!(heartbeat.stalled(), None);
    }
}

//! The clock that never goes back, in the type of asynchronous tasks.

use std::time::Duration;

use tokio::time::Instant;

use super::instant;

/// The clock of a task that measures or bounds a wait.
pub fn task_instant() -> Instant {
    Instant::from_std(instant())
}

/// After this time, for a task that waits.
pub fn later(period: Duration) -> Instant {
    task_instant() + period
}

//! The clocks: the only file of the shell that reads one.
//!
//! Contract: event time is the wall clock, as the kernel stamps packets with it; what only measures or bounds a wait uses a clock that never
//! goes back. Limits: that one stands still while the host sleeps. Design: clippy bans every other call (`clippy.toml`), so that a reader
//! of the code finds all of them here.

#[cfg(feature = "live")]
pub mod task;

use std::time::{Instant, SystemTime, UNIX_EPOCH};

use crate::time::Timestamp;

/// The wall clock: the time of an event that is seen now.
#[expect(clippy::disallowed_methods, reason = "the clock of the shell")]
pub fn now() -> Timestamp {
    let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Timestamp::from_nanos(i64::try_from(since_epoch.as_nanos()).unwrap_or(i64::MAX))
}

/// The clock of a thread that measures or bounds a wait.
#[expect(clippy::disallowed_methods, reason = "the clock of the shell")]
pub fn instant() -> Instant {
    Instant::now()
}

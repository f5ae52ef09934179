//! What became of attempts to read the configuration again.
//!
//! Contract: the last one is a failure until one succeeds; a run that never tried is in order.

use std::sync::Mutex;

use crate::sync;
use crate::time::Timestamp;

/// Counters that the one who reloads writes and a request reads.
#[derive(Debug, Default)]
pub struct ReloadCounters(Mutex<ReloadSnapshot>);

/// The same at one moment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ReloadSnapshot {
    /// Reloads that put a configuration into force.
    pub succeeded: u64,
    /// Reloads that left the old one in force.
    pub failed: u64,
    /// Whether the last one failed.
    pub last_failed: bool,
    /// When the configuration in force was read.
    pub read_at: Option<Timestamp>,
    /// SHA-256 of the configuration in force, in hexadecimal digits.
    pub sha256: String,
}

impl ReloadCounters {
    /// The run begins with this configuration.
    pub fn begins(&self, sha256: &str, at: Timestamp) {
        let mut all = sync::lock(&self.0);
        (all.sha256, all.read_at) = (sha256.to_owned(), Some(at));
    }

    /// Another one is in force.
    pub fn succeeded(&self, sha256: &str, at: Timestamp) {
        self.begins(sha256, at);
        let mut all = sync::lock(&self.0);
        (all.succeeded, all.last_failed) = (all.succeeded + 1, false);
    }

    /// The old one stays.
    pub fn failed(&self) {
        let mut all = sync::lock(&self.0);
        (all.failed, all.last_failed) = (all.failed + 1, true);
    }

    /// All of it now.
    pub fn read(&self) -> ReloadSnapshot {
        sync::lock(&self.0).clone()
    }
}

//! What became of the evidence of alerts.
//!
//! Contract: every alert that is raised while evidence is kept ends as written or as not kept, with a reason.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::evidence::NotKept;

/// Counters that the collector writes and a request reads.
#[derive(Debug, Default)]
pub struct EvidenceCounters {
    written: AtomicU64,
    incomplete: AtomicU64,
    removed: AtomicU64,
    not_kept: [AtomicU64; NotKept::ALL.len()],
    ring_bytes: AtomicU64,
    disk_bytes: AtomicU64,
}

/// The same at one moment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EvidenceSnapshot {
    /// Bundles that were written.
    pub written: u64,
    /// Of these, bundles that say that something is missing.
    pub incomplete: u64,
    /// Bundles that left for others.
    pub removed: u64,
    /// Alerts without one, by reason.
    pub not_kept: Vec<(&'static str, u64)>,
    /// Bytes of memory that rings hold.
    pub ring_bytes: u64,
    /// Bytes of all bundles.
    pub disk_bytes: u64,
}

impl EvidenceCounters {
    /// A bundle was written.
    pub fn wrote(&self, incomplete: bool) {
        self.written.fetch_add(1, Ordering::Relaxed);
        self.incomplete.fetch_add(u64::from(incomplete), Ordering::Relaxed);
    }

    /// A bundle left for another.
    pub fn removed(&self) {
        self.removed.fetch_add(1, Ordering::Relaxed);
    }

    /// An alert has no bundle.
    pub fn not_kept(&self, why: NotKept) {
        if let Some(count) = NotKept::ALL.iter().position(|one| *one == why).and_then(|at| self.not_kept.get(at)) {
            count.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Bytes that are held now.
    pub fn holds(&self, ring_bytes: u64, disk_bytes: u64) {
        self.ring_bytes.store(ring_bytes, Ordering::Relaxed);
        self.disk_bytes.store(disk_bytes, Ordering::Relaxed);
    }

    /// All of it now.
    pub fn read(&self) -> EvidenceSnapshot {
        let load = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        EvidenceSnapshot {
            written: load(&self.written),
            incomplete: load(&self.incomplete),
            removed: load(&self.removed),
            not_kept: NotKept::ALL.iter().zip(&self.not_kept).map(|(why, count)| (why.as_str(), load(count))).collect(),
            ring_bytes: load(&self.ring_bytes),
            disk_bytes: load(&self.disk_bytes),
        }
    }
}

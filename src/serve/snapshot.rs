//! What a scrape or a health check sees.
//!
//! Contract: a consistent copy, at most as old as the publisher's interval. Design: readers share it by reference count.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use crate::engine::EngineStats;
use crate::input::{LossReason, RuntimeId};
use crate::sync;
use crate::time::Timestamp;

/// Counters of one observation point.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PointCounters {
    /// Packets captured.
    pub packets: u64,
    /// Their bytes on the wire.
    pub frame_bytes: u64,
    /// Packets or events lost, by reason.
    pub dropped: BTreeMap<&'static str, u64>,
    /// Packets not decoded, by reason.
    pub decode_errors: BTreeMap<&'static str, u64>,
    /// Fragments not followed because there were too many.
    pub evicted_fragments: u64,
    /// Payloads not read because too many flows were being looked at.
    pub refused_payloads: u64,
    /// Flows held now.
    pub flows_active: u64,
}

impl PointCounters {
    /// Adds another point's counters.
    pub(super) fn add(&mut self, other: &Self) {
        self.packets += other.packets;
        self.frame_bytes += other.frame_bytes;
        self.flows_active += other.flows_active;
        self.evicted_fragments += other.evicted_fragments;
        self.refused_payloads += other.refused_payloads;
        for (mine, theirs) in [(&mut self.dropped, &other.dropped), (&mut self.decode_errors, &other.decode_errors)] {
            for (reason, count) in theirs {
                *mine.entry(reason).or_default() += count;
            }
        }
    }

    /// All reasons for which something can be lost, those that never occurred included.
    pub(super) fn dropped_by_reason(&self) -> impl Iterator<Item = (&'static str, u64)> + '_ {
        LossReason::ALL
            .map(LossReason::as_str)
            .into_iter()
            .map(|reason| (reason, self.dropped.get(reason).copied().unwrap_or(0)))
    }
}

/// What connection tracking reported.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ConntrackCounters {
    /// Whether the host's is heard.
    pub host: bool,
    /// Network namespaces heard, the host's among them.
    pub namespaces: usize,
    /// Bindings that stand.
    pub bindings: usize,
    /// Reported as bound.
    pub bound: u64,
    /// Reported as released.
    pub released: u64,
    /// Messages of the kernel, about translated connections or not.
    pub messages: u64,
    /// Messages that made no sense.
    pub malformed: u64,
    /// How often the kernel had no room for an event.
    pub overruns: u64,
    /// Facts that found no room on their way to the engine.
    pub refused: u64,
}

/// Everything that is served.
#[derive(Clone, Debug, Default)]
pub struct Snapshot {
    /// When it was taken.
    pub at: Timestamp,
    /// Counters by observation point.
    pub points: BTreeMap<String, PointCounters>,
    /// What the reader of each runtime did and missed.
    pub readers: BTreeMap<RuntimeId, Vec<(&'static str, u64)>>,
    /// What connection tracking reported.
    pub conntrack: ConntrackCounters,
    /// The engine's counters.
    pub engine: EngineStats,
    /// Why not everything is seen now; empty when ready.
    pub not_ready: Vec<String>,
}

/// The latest snapshot, shared between the publisher and the requests.
#[derive(Clone, Debug, Default)]
pub struct SnapshotCell(Arc<Mutex<Arc<Snapshot>>>);

impl SnapshotCell {
    /// Replaces the snapshot.
    pub fn publish(&self, snapshot: Snapshot) {
        *sync::lock(&self.0) = Arc::new(snapshot);
    }

    /// The latest one.
    pub fn read(&self) -> Arc<Snapshot> {
        Arc::clone(&sync::lock(&self.0))
    }
}

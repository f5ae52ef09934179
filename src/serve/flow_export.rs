//! What became of the flows that were to be exported.
//!
//! Contract: every judged flow of a run that exports is exported or lost, with a reason.

use std::sync::atomic::{AtomicU64, Ordering};

/// Why a flow was not exported.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unexported {
    /// The collector is slower than the traffic.
    QueueFull,
    /// It cannot be reached, or broke the connection.
    Collector,
}

impl Unexported {
    /// All, with their words.
    const ALL: [(Self, &'static str); 2] = [(Self::QueueFull, "queue_full"), (Self::Collector, "collector")];
}

/// Counters that the exporter writes and a request reads.
#[derive(Debug, Default)]
pub struct FlowExportCounters {
    exported: AtomicU64,
    lost: [AtomicU64; 2],
}

/// The same at one moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FlowExportSnapshot {
    /// Sent.
    pub exported: u64,
    /// Not sent, by reason.
    pub lost: [(&'static str, u64); 2],
}

impl Default for FlowExportSnapshot {
    fn default() -> Self {
        FlowExportCounters::default().read()
    }
}

impl FlowExportCounters {
    /// Flows were sent.
    pub fn exported(&self, flows: u64) {
        self.exported.fetch_add(flows, Ordering::Relaxed);
    }

    /// Flows were not.
    pub fn lost(&self, why: Unexported, flows: u64) {
        let counts = Unexported::ALL.iter().zip(&self.lost);
        if let Some((_, count)) = counts.into_iter().find(|((one, _), _)| *one == why) {
            count.fetch_add(flows, Ordering::Relaxed);
        }
    }

    /// Both, now.
    pub fn read(&self) -> FlowExportSnapshot {
        let count = |at: usize| self.lost.get(at).map_or(0, |count| count.load(Ordering::Relaxed));
        let [(_, queue), (_, collector)] = Unexported::ALL;
        let lost = [(queue, count(0)), (collector, count(1))];
        FlowExportSnapshot { exported: self.exported.load(Ordering::Relaxed), lost }
    }
}

//! What one scrape sees.

use std::collections::{BTreeMap, BTreeSet};

use super::evidence::EvidenceSnapshot;
use super::flow_export::FlowExportSnapshot;
use super::points::PointSeries;
use super::process::ProcessStats;
use super::reloads::ReloadSnapshot;
use crate::engine::EngineStats;
use crate::input::RuntimeId;
use crate::sandbox::Report;
use crate::sink_counters::SinkCounters;
use crate::time::Timestamp;

/// What connection tracking reported.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ConntrackCounters {
    /// Whether the host's is received.
    pub host: bool,
    /// Network namespaces that are received, the host's among them.
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

/// What a sink delivered and lost.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SinkSnapshot {
    /// Alerts and updates delivered.
    pub delivered: u64,
    /// Lost, by reason.
    pub undelivered: Vec<(&'static str, u64)>,
    /// Waiting now.
    pub waiting: u64,
    /// Attempts that failed.
    pub failures: u64,
    /// When its receiver last took something; none for one without a receiver elsewhere.
    pub last_success: Option<Timestamp>,
    /// When the oldest that waits was added.
    pub oldest: Option<Timestamp>,
}

impl SinkSnapshot {
    pub(super) fn of(sink: &SinkCounters) -> Self {
        Self {
            delivered: sink.delivered_total(),
            undelivered: sink.undelivered().collect(),
            waiting: sink.waiting(),
            failures: sink.failures(),
            last_success: sink.last_success(),
            oldest: sink.oldest(),
        }
    }
}

/// Everything that is scraped.
#[derive(Clone, Debug, Default)]
pub struct Snapshot {
    /// When the engine's counters were copied.
    pub at: Timestamp,
    /// Counters by observation point.
    pub points: PointSeries,
    /// Enabled rules that cannot fire.
    pub blind_rules: BTreeSet<&'static str>,
    /// What the reader of each runtime did and missed.
    pub readers: BTreeMap<RuntimeId, Vec<(&'static str, u64)>>,
    /// What connection tracking reported.
    pub conntrack: ConntrackCounters,
    /// The engine's counters.
    pub engine: EngineStats,
    /// By sink.
    pub sinks: BTreeMap<String, SinkSnapshot>,
    /// Of the evidence of alerts.
    pub evidence: EvidenceSnapshot,
    /// Of judged flows that are exported.
    pub flow_export: FlowExportSnapshot,
    /// Of the configuration in force.
    pub reloads: ReloadSnapshot,
    /// What the process gave up after its start; nothing where it gave up nothing.
    pub sandbox: Option<&'static Report>,
    /// The process itself.
    pub process: ProcessStats,
}

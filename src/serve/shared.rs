//! The counters that all threads write and a request reads at any time.
//!
//! Contract: a request never waits for the engine, a capture thread, a reader or a sink, and sees what they counted even while one of them is
//! stuck. No guard of a map is held across an `await`: a request takes a [`Snapshot`]. Limits: what the engine counts is copied by its own
//! thread four times a second, since its state has one owner; a stuck engine counts nothing, so its copy stays true.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use dashmap::DashMap;

use super::evidence::EvidenceCounters;
use super::flow_export::FlowExportCounters;
use super::heartbeat::Heartbeat;
use super::points::PointTable;
use super::process::ProcessStats;
use super::reloads::ReloadCounters;
use super::snapshot::{ConntrackCounters, SinkSnapshot, Snapshot};
use crate::engine::EngineStats;
use crate::input::RuntimeId;
use crate::sandbox;
use crate::sink_counters::SinkCounters;
use crate::sync;
use crate::time::Timestamp;

/// What a reader of a runtime did and missed, by name.
type Count = Box<dyn Fn() -> Vec<(&'static str, u64)> + Send + Sync>;

/// The counters of all readers, by runtime; shared with those who start them.
#[derive(Clone, Default)]
pub struct ReaderStats(Arc<DashMap<RuntimeId, Count>>);

impl ReaderStats {
    /// Counts what the reader of a runtime does from now on.
    pub fn insert(&self, runtime: &RuntimeId, count: impl Fn() -> Vec<(&'static str, u64)> + Send + Sync + 'static) {
        self.0.insert(*runtime, Box::new(count));
    }

    /// The runtime is no longer read.
    pub fn remove(&self, runtime: &RuntimeId) {
        self.0.remove(runtime);
    }

    fn read(&self) -> BTreeMap<RuntimeId, Vec<(&'static str, u64)>> {
        self.0.iter().map(|reader| (*reader.key(), reader.value()())).collect()
    }
}

impl std::fmt::Debug for ReaderStats {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("ReaderStats").field(&self.read()).finish()
    }
}

/// What the engine's thread counted and knows.
#[derive(Clone, Debug, Default)]
pub struct EngineReport {
    /// When it was copied.
    pub at: Timestamp,
    /// The engine's counters.
    pub stats: EngineStats,
    /// Why not everything is seen now; empty when ready.
    pub not_ready: Vec<String>,
    /// Enabled rules that cannot fire, each with the reason.
    pub blind_rules: BTreeMap<&'static str, String>,
}

/// Everything that a request reads.
#[derive(Debug, Default)]
pub struct SharedCounters {
    /// By observation point.
    pub points: PointTable,
    /// By runtime.
    pub readers: ReaderStats,
    /// Of connection tracking.
    pub conntrack: Arc<Mutex<ConntrackCounters>>,
    /// Of the evidence of alerts.
    pub evidence: Arc<EvidenceCounters>,
    /// Of judged flows that are exported.
    pub flow_export: Arc<FlowExportCounters>,
    /// Of the configuration in force.
    pub reloads: ReloadCounters,
    /// Beats while the engine moves.
    pub heartbeat: Heartbeat,
    pub(super) sinks: DashMap<String, Arc<SinkCounters>>,
    pub(super) engine: Mutex<Arc<EngineReport>>,
}

impl SharedCounters {
    /// Nothing counted, not ready yet.
    pub fn starting() -> Self {
        let shared = Self::default();
        shared.report(EngineReport { not_ready: vec!["starting".to_owned()], ..EngineReport::default() });
        shared
    }

    /// Replaces what the engine's thread reports.
    pub fn report(&self, report: EngineReport) {
        *sync::lock(&self.engine) = Arc::new(report);
    }

    /// A sink whose counters are shown.
    pub fn add_sink(&self, sink: &Arc<SinkCounters>) {
        self.sinks.insert(sink.name().to_owned(), Arc::clone(sink));
    }

    /// Why not everything is seen and delivered now; empty when ready.
    pub fn not_ready(&self) -> Vec<String> {
        let mut reasons = self.engine().not_ready.clone();
        reasons.extend(self.stuck());
        reasons.extend(self.sinks.iter().filter_map(|sink| sink.not_ready()));
        reasons
    }

    /// The rules that cannot fire, a line each.
    pub(super) fn blind_rules(&self) -> String {
        let engine = self.engine();
        engine.blind_rules.iter().map(|(rule, why)| format!("the rule {rule} cannot fire: {why}\n")).collect()
    }

    /// Which configuration is in force, a line.
    pub(super) fn configuration(&self) -> String {
        let reloads = self.reloads.read();
        let Some(read_at) = reloads.read_at.map(Timestamp::readable) else { return String::new() };
        let failed = if reloads.last_failed { "; the last reload failed, the log says why" } else { "" };
        format!("configuration {} read at {read_at}{failed}\n", reloads.sha256)
    }

    /// That the engine is stuck, if it is.
    pub fn stuck(&self) -> Option<String> {
        let stalled = self.heartbeat.stalled()?;
        Some(format!("the engine has not moved for {} s", stalled.as_secs()))
    }

    /// All counters now, for a scrape.
    pub fn scrape(&self) -> Snapshot {
        let engine = self.engine();
        Snapshot {
            at: engine.at,
            points: self.points.scrape(),
            readers: self.readers.read(),
            conntrack: *sync::lock(&self.conntrack),
            engine: engine.stats.clone(),
            blind_rules: engine.blind_rules.keys().copied().collect(),
            sinks: self.sinks.iter().map(|sink| (sink.name().to_owned(), SinkSnapshot::of(&sink))).collect(),
            evidence: self.evidence.read(),
            flow_export: self.flow_export.read(),
            reloads: self.reloads.read(),
            sandbox: sandbox::report(),
            process: ProcessStats::read(),
        }
    }

    fn engine(&self) -> Arc<EngineReport> {
        Arc::clone(&sync::lock(&self.engine))
    }
}

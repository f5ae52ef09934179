//! Reports the engine's counters and readiness for the HTTP endpoint, and takes snapshots for `hopwatch top`.
//!
//! Contract: at most [`INTERVAL`] old. Design: copied by the engine's thread, so that a scrape never waits for it. What other threads count
//! they write to the shared counters themselves.

use std::sync::Arc;
use std::time::Duration;

use super::status::SourceStatus;
use crate::app::screen::Screen;
use crate::engine::{Engine, EngineStats, WorkloadTable};
use crate::flow::PointCounters;
use crate::serve::{EngineReport, SharedCounters};
use crate::time::Timestamp;
use crate::view::TopSnapshot;

/// How often a copy is made.
const INTERVAL: Duration = Duration::from_millis(250);

/// The engine thread's side of the shared counters.
#[derive(Debug)]
pub struct SnapshotPublisher {
    shared: Arc<SharedCounters>,
    published: Timestamp,
    screen: Option<Showing>,
}

/// A terminal that shows the workloads.
#[derive(Debug)]
struct Showing {
    screen: Screen,
    started: Option<Timestamp>,
    /// The workloads as they were copied last, and the revision then.
    workloads: Arc<WorkloadTable>,
    revision: u64,
}

impl SnapshotPublisher {
    /// For these counters, and for a terminal if there is one.
    pub fn new(shared: Arc<SharedCounters>, screen: Option<Screen>) -> Self {
        let screen =
            screen.map(|screen| Showing { screen, started: None, workloads: Arc::default(), revision: u64::MAX });
        Self { shared, published: Timestamp::MIN, screen }
    }

    /// The engine has moved.
    pub fn beat(&self) {
        self.shared.heartbeat.beat();
    }

    /// Whether the interval is over. A clock that went back counts as a new interval.
    pub fn is_due(&self, now: Timestamp) -> bool {
        now < self.published || now >= self.published.plus(INTERVAL)
    }

    /// Publishes.
    pub fn publish(&mut self, now: Timestamp, engine: &mut Engine, sources: &SourceStatus) {
        self.published = now;
        let (stats, not_ready) = (engine.stats(), sources.not_ready());
        if let Some(showing) = &mut self.screen {
            showing.show(now, &stats, &not_ready, engine, sources);
        }
        self.shared.report(EngineReport { at: now, stats, not_ready, blind_rules: sources.blind_rules() });
    }
}

impl Showing {
    fn show(
        &mut self,
        now: Timestamp,
        stats: &EngineStats,
        not_ready: &[String],
        engine: &mut Engine,
        sources: &SourceStatus,
    ) {
        let revision = engine.workload_stats_revision();
        if revision != self.revision
            && let Some(workloads) = engine.workload_stats()
        {
            (self.workloads, self.revision) = (Arc::new(workloads), revision);
        }
        let points = sources.points();
        let sum = |of: fn(&PointCounters) -> u64| points.iter().map(|point| of(&point.counters)).sum();
        self.screen.publish(TopSnapshot {
            at: now,
            started: *self.started.get_or_insert(now),
            packets: sum(|point| point.packets),
            bytes: sum(|point| point.frame_bytes),
            dropped: sum(PointCounters::lost),
            points: sources.running(),
            runtimes: stats.runtimes.clone(),
            not_ready: not_ready.to_vec(),
            workloads: Arc::clone(&self.workloads),
            revision: self.revision,
        });
    }
}

//! Publishes counters and readiness for the HTTP endpoint, and the board for a terminal.
//!
//! Contract: at most [`INTERVAL`] old. Design: copied by the engine's thread, so that a scrape never waits for it.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use super::conntrack::Cell as ConntrackCell;
use super::status::SourceStatus;
use crate::app::screen::Screen;
use crate::engine::{Engine, WorkloadTable};
use crate::input::RuntimeId;
use crate::serve::{PointCounters, Snapshot, SnapshotCell};
use crate::sync;
use crate::time::Timestamp;
use crate::view::TopSnapshot;

/// How often a copy is made.
const INTERVAL: Duration = Duration::from_millis(250);

/// What a reader of a runtime did and missed, by name.
pub type Count = Box<dyn Fn() -> Vec<(&'static str, u64)> + Send>;

/// The counters of all readers, by runtime; shared with those who start them.
#[derive(Clone, Default)]
pub struct ReaderStats(Arc<Mutex<BTreeMap<RuntimeId, Count>>>);

impl ReaderStats {
    /// Counts what the reader of a runtime does from now on.
    pub fn insert(&self, runtime: &RuntimeId, count: impl Fn() -> Vec<(&'static str, u64)> + Send + 'static) {
        sync::lock(&self.0).insert(*runtime, Box::new(count));
    }

    /// The runtime is no longer read.
    pub fn remove(&self, runtime: &RuntimeId) {
        sync::lock(&self.0).remove(runtime);
    }

    fn read(&self) -> BTreeMap<RuntimeId, Vec<(&'static str, u64)>> {
        let readers = sync::lock(&self.0);
        readers.iter().map(|(runtime, count)| (*runtime, count())).collect()
    }
}

impl std::fmt::Debug for ReaderStats {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("ReaderStats").field(&self.read()).finish()
    }
}

/// The publisher's side of the cell.
#[derive(Debug)]
pub struct SnapshotPublisher {
    readers: ReaderStats,
    conntrack: ConntrackCell,
    cell: SnapshotCell,
    published: Timestamp,
    screen: Option<Showing>,
}

/// A terminal that shows the board.
#[derive(Debug)]
struct Showing {
    screen: Screen,
    started: Option<Timestamp>,
    /// The board as it was copied last, and what it was then.
    workloads: Arc<WorkloadTable>,
    revision: u64,
}

impl Default for SnapshotPublisher {
    fn default() -> Self {
        let cell = SnapshotCell::default();
        cell.publish(Snapshot { not_ready: vec!["starting".to_owned()], ..Snapshot::default() });
        let (readers, conntrack) = (ReaderStats::default(), ConntrackCell::default());
        Self { readers, conntrack, cell, published: Timestamp::MIN, screen: None }
    }
}

impl SnapshotPublisher {
    /// The cell that requests read.
    pub fn cell(&self) -> SnapshotCell {
        self.cell.clone()
    }

    /// Where the readers of the runtimes leave their counters.
    pub fn readers(&self) -> ReaderStats {
        self.readers.clone()
    }

    /// Where the thread for connection tracking leaves its counters.
    pub fn conntrack(&self) -> ConntrackCell {
        Arc::clone(&self.conntrack)
    }

    /// Publishes for a terminal as well.
    #[must_use]
    pub fn showing(mut self, screen: Option<Screen>) -> Self {
        self.screen =
            screen.map(|screen| Showing { screen, started: None, workloads: Arc::default(), revision: u64::MAX });
        self
    }

    /// Publishes, unless that was done within the interval. A clock that went back counts as a new interval.
    pub fn publish(&mut self, now: Timestamp, engine: &mut Engine, status: &SourceStatus) {
        if now >= self.published && now < self.published.plus(INTERVAL) {
            return;
        }
        self.published = now;
        let mut points: std::collections::BTreeMap<_, _> = status
            .points()
            .into_iter()
            .map(|point| {
                let counters = PointCounters {
                    packets: point.packets,
                    frame_bytes: point.frame_bytes,
                    dropped: point.dropped,
                    decode_errors: point.not_decoded,
                    evicted_fragments: point.evicted_fragments,
                    refused_payloads: point.refused_payloads,
                    flows_active: 0,
                };
                (point.observation_point, counters)
            })
            .collect();
        for (point, flows) in status.active_flows() {
            points.entry(point.to_string()).or_default().flows_active = flows;
        }
        let readers = self.readers.read();
        let conntrack = *sync::lock(&self.conntrack);
        let snapshot =
            Snapshot { at: now, points, readers, conntrack, engine: engine.stats(), not_ready: status.not_ready() };
        if let Some(showing) = &mut self.screen {
            showing.show(now, &snapshot, engine, status.active_flows().count());
        }
        self.cell.publish(snapshot);
    }
}

impl Showing {
    fn show(&mut self, now: Timestamp, snapshot: &Snapshot, engine: &mut Engine, points: usize) {
        let revision = engine.workload_stats_revision();
        if revision != self.revision
            && let Some(board) = engine.workload_stats()
        {
            (self.workloads, self.revision) = (Arc::new(board), revision);
        }
        let sum = |of: fn(&PointCounters) -> u64| snapshot.points.values().map(of).sum();
        self.screen.publish(TopSnapshot {
            at: now,
            started: *self.started.get_or_insert(now),
            packets: sum(|point| point.packets),
            bytes: sum(|point| point.frame_bytes),
            dropped: sum(|point| point.dropped.values().sum()),
            points,
            runtimes: snapshot.engine.runtimes.clone(),
            not_ready: snapshot.not_ready.clone(),
            workloads: Arc::clone(&self.workloads),
            revision: self.revision,
        });
    }
}

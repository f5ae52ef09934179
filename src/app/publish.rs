//! Publishes counters and readiness for the HTTP endpoint.
//!
//! Contract: at most [`INTERVAL`] old. Design: copied by the engine's thread, so that a scrape never waits for it.

use std::time::Duration;

use super::live::Books;
use crate::engine::Engine;
use crate::serve::{PointCounters, Snapshot, SnapshotCell};
use crate::time::Timestamp;

/// How often a copy is made.
const INTERVAL: Duration = Duration::from_millis(250);

/// The publisher's side of the cell.
#[derive(Debug)]
pub struct Publisher {
    cell: SnapshotCell,
    published: Timestamp,
}

impl Default for Publisher {
    fn default() -> Self {
        let cell = SnapshotCell::default();
        cell.publish(Snapshot { not_ready: vec!["starting".to_owned()], ..Snapshot::default() });
        Self { cell, published: Timestamp::MIN }
    }
}

impl Publisher {
    /// The cell that requests read.
    pub fn cell(&self) -> SnapshotCell {
        self.cell.clone()
    }

    /// Publishes, unless that was done within the interval. A clock that went back counts as a new interval.
    pub fn publish(&mut self, now: Timestamp, engine: &Engine, books: &Books) {
        if now >= self.published && now < self.published.plus(INTERVAL) {
            return;
        }
        self.published = now;
        let mut points: std::collections::BTreeMap<_, _> = books
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
        for (point, flows) in books.active_flows() {
            points.entry(point.to_string()).or_default().flows_active = flows;
        }
        self.cell.publish(Snapshot { points, engine: engine.stats(), not_ready: books.not_ready() });
    }
}

//! The live view of a terminal: what `hopwatch top` shows, and what its keys do.
//!
//! Contract: draws a [`TopSnapshot`] and nothing else; no clock, no thread, no terminal of its own. Text of runtimes is attacker-chosen: what a
//! terminal would obey is shown as escapes, and every text is cut by the width that it takes on the screen.
//! Limits: from 20 columns and 5 lines on; columns that find no room are left out, the name last.
//! Design: [`Top`] is the state between two keys, `draw` a function of it, so that tests draw into memory.

mod draw;
mod format;
mod keys;
mod panes;
mod rates;
mod state;
mod style;
mod table;

use std::collections::BTreeMap;
use std::sync::Arc;

pub use draw::{draw, text};
pub use keys::Act;
pub use state::Top;

use crate::engine::WorkloadTable;
use crate::time::Timestamp;

/// What the engine's thread publishes.
#[derive(Clone, Debug)]
pub struct TopSnapshot {
    /// When.
    pub at: Timestamp,
    /// When the observation began.
    pub started: Timestamp,
    /// Packets captured so far.
    pub packets: u64,
    /// Their bytes on the wire.
    pub bytes: u64,
    /// Packets and events lost so far.
    pub dropped: u64,
    /// Interfaces that are captured now.
    pub points: usize,
    /// Known runtimes, and whether they answer.
    pub runtimes: BTreeMap<crate::input::RuntimeId, bool>,
    /// Why not everything is seen now; empty when ready.
    pub not_ready: Vec<String>,
    /// The engine's table of workloads.
    pub workloads: Arc<WorkloadTable>,
    /// Grows when the table changes.
    pub revision: u64,
}

impl Default for TopSnapshot {
    fn default() -> Self {
        Self {
            at: Timestamp::from_nanos(0),
            started: Timestamp::from_nanos(0),
            packets: 0,
            bytes: 0,
            dropped: 0,
            points: 0,
            runtimes: BTreeMap::new(),
            not_ready: Vec::new(),
            workloads: Arc::default(),
            revision: 0,
        }
    }
}

impl TopSnapshot {
    /// Whether a person would see a difference.
    pub fn differs_from(&self, other: &Self) -> bool {
        let seconds = |snapshot: &Self| snapshot.at.since(snapshot.started).as_secs();
        self.revision != other.revision
            || (self.packets, self.dropped, self.points) != (other.packets, other.dropped, other.points)
            || seconds(self) != seconds(other)
            || self.not_ready != other.not_ready
            || self.runtimes != other.runtimes
    }
}

#[cfg(test)]
mod tests;

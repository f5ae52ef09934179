//! Which flow events the engine is given while it cannot take all of them.
//!
//! Contract: pure. Without pressure everything is admitted. Under pressure each source may have a share of what is free: a quarter for starts that no
//! contract covers, half for those that one may cover, all of it for a conversation. So a source that floods fills its own share and is left out, and one
//! that has little waiting is admitted before the next event of one that has much. A source that exceeded its share is a scanner until it opens
//! fewer than [`SAMPLE`] flows a window; meanwhile only so many of its starts are admitted, and as many that a contract may cover. What belongs to a flow that the engine follows is
//! admitted up to twice the capacity.
//! Limits: [`sources::MAX_SOURCES`] sources a point; all others there share one share.
//! Design: dynamic thresholds (Choudhury and Hahne, 1998): a limit that is a part of the free room needs no count of the sources, and always leaves
//! room for the next one. [ADR 17](../../docs/adr/0017-a-flood-costs-its-source.md) says why.

mod sources;

pub use sources::{Admission, Backlog, PointKind, Receipt, Shed};

use std::time::Duration;

use crate::time::Timestamp;

/// Over so long the starts of a source are counted.
pub const WINDOW: Duration = Duration::from_millis(100);
/// Starts of a scanner that are admitted in a window, as many again that a contract may cover; below so many it is a scanner no more.
pub const SAMPLE: u32 = 200;

/// What losing an event would cost, least first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Worth {
    /// It starts a flow that no contract covers.
    Uncovered,
    /// It starts a flow that a contract may cover.
    Covered,
    /// It belongs to a conversation that the engine does not follow yet: both ends have sent, or it lasts.
    Conversation,
    /// It belongs to a flow that the engine follows.
    Followed,
}

/// Bytes that wait for the engine, and how many may.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pressure {
    /// Of all sources together.
    pub waiting: u64,
    /// The most.
    pub capacity: u64,
}

impl Pressure {
    /// Bytes that a source may have waiting so that one more event of this worth is admitted.
    fn limit(self, worth: Worth) -> u64 {
        let free = self.capacity.saturating_sub(self.waiting);
        match worth {
            Worth::Uncovered => free / 4,
            Worth::Covered => free / 2,
            Worth::Conversation => free,
            Worth::Followed => self.capacity.saturating_mul(2).saturating_sub(self.waiting),
        }
    }

    /// Whether more than half of the room is taken.
    pub const fn is_high(self) -> bool {
        self.waiting > self.capacity / 2
    }
}

/// What one source does.
#[derive(Clone, Copy, Debug, Default)]
pub struct Share {
    window: i64,
    /// Starts in this window: all, and those admitted.
    offered: u32,
    admitted: [u32; 2],
    scans: bool,
}

impl Share {
    /// Whether an event of so many bytes is admitted, while the source has `own` bytes waiting.
    pub fn admits(&mut self, at: Timestamp, worth: Worth, (own, bytes): (u64, u64), pressure: Pressure) -> bool {
        let starts = worth <= Worth::Covered;
        if starts {
            self.count(at);
        }
        let fits = own.saturating_add(bytes) <= pressure.limit(worth);
        if worth == Worth::Followed || !starts {
            return fits || !pressure.is_high() && worth == Worth::Conversation;
        }
        self.scans |= pressure.is_high() && !fits;
        // What a contract may cover has a sample of its own: nobody hides it behind a flood of something else.
        let admitted = &mut self.admitted[usize::from(worth == Worth::Covered)];
        if pressure.is_high() && !fits || self.scans && *admitted >= SAMPLE {
            return false;
        }
        *admitted += 1;
        true
    }

    /// Whether it exceeded its share, and goes on opening flows.
    pub const fn scans(&self) -> bool {
        self.scans
    }

    fn count(&mut self, at: Timestamp) {
        let window = at.as_nanos().div_euclid(i64::try_from(WINDOW.as_nanos()).unwrap_or(i64::MAX));
        if window != self.window {
            // A window in between without a start is one with fewer.
            let is_quiet = self.offered < SAMPLE || window != self.window + 1;
            *self = Self { window, scans: self.scans && !is_quiet, ..Self::default() };
        }
        self.offered = self.offered.saturating_add(1);
    }
}

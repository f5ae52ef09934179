//! What makes two records parts of one trail.

use std::hash::{Hash, Hasher};

use crate::input::{FiveTuple, Mac};

/// A five-tuple without its direction, and who forged the frames, if somebody did: a stranger's frames are a trail of their own (ADR 10).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct TrailKey {
    pub(super) tuple: FiveTuple,
    /// MAC of the workload that sent the first packet and does not own its source address.
    pub(super) stranger: Option<Mac>,
    /// Of a flow that has ended while its five-tuple is in use again.
    pub(super) sequence: Option<u64>,
}

/// Nearly every key is a five-tuple alone.
impl Hash for TrailKey {
    #[inline]
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.tuple.hash(state);
        if self.stranger.is_some() || self.sequence.is_some() {
            (self.stranger, self.sequence).hash(state);
        }
    }
}

impl TrailKey {
    /// Of the ended flow with this sequence.
    pub(super) const fn aside(self, sequence: u64) -> Self {
        Self { sequence: Some(sequence), ..self }
    }

    /// Of the flow that has the five-tuple now.
    pub(super) const fn in_use(self) -> Self {
        Self { sequence: None, ..self }
    }

    /// Of frames that their owner sent.
    pub(super) fn of(tuple: FiveTuple) -> Self {
        Self { tuple: tuple.canonical(), stranger: None, sequence: None }
    }
}

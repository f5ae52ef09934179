//! A flow with what the contracts say of it.

use std::time::Duration;

use super::{Judgement, ObservedFlow, Oriented, Skip, Verdict};
use crate::input::Protocol;
use crate::inventory::Owner;

/// A judged flow; its judgement may be revised until it ends.
#[expect(clippy::struct_excessive_bools, reason = "four independent facts of one flow, not a state")]
#[derive(Clone, Debug)]
pub struct JudgedFlow {
    /// The flow, from the end that asked to the end that answers.
    pub view: ObservedFlow,
    /// The direction in which it was read.
    pub oriented: Oriented,
    /// Who asked.
    pub source: Owner,
    /// Who answers.
    pub responder: Owner,
    /// Whether an answer was seen.
    pub answered: bool,
    /// What the contracts say; `None` where none covers it.
    pub judgement: Option<Judgement>,
    /// Whether a hop sends on what its contract brings to it.
    pub sent_on: bool,
    /// How long after its first packet it was judged, in event time.
    pub took: Duration,
    /// Whether its end was reported already: no progress follows.
    pub over: bool,
    /// Whether it was judged before: by another contract (what its content says came later), or with another result.
    pub again: bool,
    /// The verdict that this one replaces.
    pub revised_from: Option<Verdict>,
}

impl JudgedFlow {
    /// How it skipped a hop, where it did.
    pub fn skip(&self) -> Option<Skip> {
        self.judgement.as_ref().and_then(|judgement| judgement.skip)
    }

    /// Whether nothing can have left: TCP that nobody answered, without payload. What a SYN carries has left.
    pub fn is_attempt(&self) -> bool {
        let record = &self.view.record;
        record.tuple.protocol == Protocol::TCP && !self.answered && record.orig.counters.payload_bytes == 0
    }
}

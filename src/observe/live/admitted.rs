//! A meter's events on their way to the engine, as far as the engine takes them.
//!
//! Contract: an event that is not admitted costs no record; what is admitted counts as waiting. Design: the meter asks before it makes a record, and
//! offers one that was not admitted again when something happens to it.

use std::sync::Arc;

use crate::flow::{Admission, FlowSink, FlowView, Worth};
use crate::input::{Fact, FiveTuple, FlowEvent, FlowEventKind, Input, Mac, NameAnswer, NeighbourClaim, Undecoded};
use crate::time::Timestamp;

/// What an event takes while it waits.
const EVENT: u64 = (size_of::<Input>() + size_of::<FlowEvent>()) as u64;
/// And what its payload said, names and requests.
const FACTS: u64 = 1024;

/// Whether a contract may cover a flow with these ends.
#[derive(Clone)]
pub struct Covers(pub Arc<dyn Fn(&FiveTuple) -> bool + Send + Sync>);

impl Default for Covers {
    fn default() -> Self {
        Self(Arc::new(|_| false))
    }
}

/// Which packets of a group are among the first of their flow, or have a payload that is read.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct TellingPackets {
    /// Packets that were counted.
    packets: u32,
    /// A bit for each of them, the first the lowest.
    pub(super) bits: u64,
}

/// Inputs for the engine, and who decides.
pub(super) struct Admitted<'a> {
    pub(super) inputs: &'a mut Vec<Input>,
    pub(super) admission: &'a mut Admission,
    pub(super) covers: &'a Covers,
    pub(super) telling: TellingPackets,
}

impl FlowSink for Admitted<'_> {
    fn flow(&mut self, at: Timestamp, kind: FlowEventKind, flow: FlowView<'_>) {
        let record = flow.record();
        let facts = if record.app.is_some() { FACTS } else { 0 };
        // That of a start was asked for in `admits`.
        let bytes = if kind == FlowEventKind::Started { facts } else { EVENT + facts };
        if bytes == 0 || self.admission.admits(at, flow.sender(), Worth::Followed, bytes) {
            self.inputs.push(Input::new(at, Fact::Flow(Box::new(FlowEvent { kind, record }))));
        }
    }

    fn admits(&mut self, at: Timestamp, kind: FlowEventKind, flow: FlowView<'_>) -> bool {
        let lasts = kind == FlowEventKind::Updated || flow.is_answered();
        let is_covered = || self.admission.weighs(flow.sender()) && (self.covers.0)(&flow.tuple());
        let worth = if lasts {
            Worth::Conversation
        } else if is_covered() {
            Worth::Covered
        } else {
            Worth::Uncovered
        };
        self.admission.admits(at, flow.sender(), worth, EVENT)
    }

    #[inline]
    fn packet(&mut self) {
        self.telling.packets += 1;
    }

    #[inline]
    fn telling(&mut self) {
        self.telling.bits |= 1_u64.wrapping_shl(self.telling.packets.wrapping_sub(1));
    }

    fn claim(&mut self, at: Timestamp, claim: NeighbourClaim) {
        let sender = claim.frame_mac.unwrap_or(claim.mac);
        if self.admission.admits(at, Some(sender), Worth::Uncovered, EVENT) {
            self.inputs.push(Input::new(at, Fact::Claim(Box::new(claim))));
        }
    }

    /// An answer weighs as its flow does, which asked.
    fn answer(&mut self, at: Timestamp, sender: Option<Mac>, answer: NameAnswer) {
        if self.admission.admits(at, sender, Worth::Conversation, EVENT) {
            self.inputs.push(Input::new(at, Fact::Answer(Box::new(answer))));
        }
    }

    /// A bounded number a report.
    fn undecoded(&mut self, at: Timestamp, frames: Undecoded) {
        self.inputs.push(Input::new(at, Fact::Undecoded(Box::new(frames))));
    }
}

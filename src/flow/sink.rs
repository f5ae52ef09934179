//! Packets in, flow events out: the two sides of a meter as types.
//!
//! Contract: an event is shown, not given: a consumer that needs a record asks for one, and one that only counts pays nothing for it.

use super::id::IdMaker;
use super::payload::PayloadInspector;
use super::state::{self, Cold, Hot, Mark};
use crate::input::{
    Counters, Fact, FiveTuple, FlowEvent, FlowEventKind, FlowRecord, Input, Mac, NameAnswer, NeighbourClaim,
    ObservationPoint, Undecoded,
};
use crate::time::Timestamp;

/// A captured packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Frame<'a> {
    /// When it was captured.
    pub at: Timestamp,
    /// Its length on the wire.
    pub wire_len: u32,
    /// What was captured of it.
    pub data: &'a [u8],
}

impl Frame<'_> {
    /// A place for a frame.
    pub const EMPTY: Self = Self { at: Timestamp::from_nanos(0), wire_len: 0, data: &[] };
}

/// A flow at the moment of an event.
#[derive(Clone, Copy, Debug)]
pub struct FlowView<'a> {
    pub(super) point: &'a ObservationPoint,
    pub(super) ids: IdMaker,
    pub(super) hot: &'a Hot,
    pub(super) cold: &'a Cold,
    pub(super) inspector: &'a PayloadInspector,
}

impl FlowView<'_> {
    /// The record as it stands.
    pub fn record(&self) -> FlowRecord {
        let app = self.inspector.facts(self.hot.budget, &self.cold.payload);
        FlowRecord { app, ..state::record(self.point, self.ids, self.hot, self.cold) }
    }

    /// Source MAC of the originator's first packet.
    pub fn sender(&self) -> Option<Mac> {
        self.cold.sender()
    }

    /// Both ends.
    pub fn tuple(&self) -> FiveTuple {
        self.hot.tuple()
    }

    /// Whether the responder has answered.
    pub const fn is_answered(&self) -> bool {
        self.hot.marks.has(Mark::Answered)
    }

    /// What originator and responder sent so far.
    pub fn counters(&self) -> [Counters; 2] {
        state::counters(self.hot, self.cold)
    }
}

/// Takes what a meter reports.
pub trait FlowSink {
    /// Something happened to a flow. Times never go back.
    fn flow(&mut self, at: Timestamp, kind: FlowEventKind, flow: FlowView<'_>);

    /// Whether a record that was not reported yet is reported now that this happened to it; by default each is.
    fn admits(&mut self, _at: Timestamp, _kind: FlowEventKind, _flow: FlowView<'_>) -> bool {
        true
    }

    /// The next of the captured packets comes to its flow; ignored by default.
    #[inline]
    fn packet(&mut self) {}

    /// That packet is one of the first [`BEGINNING`](super::BEGINNING) of a record, or its payload is read; ignored by default.
    #[inline]
    fn telling(&mut self) {}

    /// ARP or neighbour discovery claimed an address; ignored by default.
    fn claim(&mut self, _at: Timestamp, _claim: NeighbourClaim) {}

    /// A name was answered with addresses, in a flow that asked for it; ignored by default.
    fn answer(&mut self, _at: Timestamp, _sender: Option<Mac>, _answer: NameAnswer) {}

    /// Frames of one sender belong to no flow; reported at most once an update interval, ignored by default.
    fn undecoded(&mut self, _at: Timestamp, _frames: Undecoded) {}
}

impl<S: FlowSink> FlowSink for &mut S {
    fn flow(&mut self, at: Timestamp, kind: FlowEventKind, flow: FlowView<'_>) {
        (**self).flow(at, kind, flow);
    }

    fn admits(&mut self, at: Timestamp, kind: FlowEventKind, flow: FlowView<'_>) -> bool {
        (**self).admits(at, kind, flow)
    }

    #[inline]
    fn packet(&mut self) {
        (**self).packet();
    }

    #[inline]
    fn telling(&mut self) {
        (**self).telling();
    }

    fn claim(&mut self, at: Timestamp, claim: NeighbourClaim) {
        (**self).claim(at, claim);
    }

    fn answer(&mut self, at: Timestamp, sender: Option<Mac>, answer: NameAnswer) {
        (**self).answer(at, sender, answer);
    }

    fn undecoded(&mut self, at: Timestamp, frames: Undecoded) {
        (**self).undecoded(at, frames);
    }
}

/// Inputs for the engine.
impl FlowSink for Vec<Input> {
    fn flow(&mut self, at: Timestamp, kind: FlowEventKind, flow: FlowView<'_>) {
        self.push(Input::new(at, Fact::Flow(Box::new(FlowEvent { kind, record: flow.record() }))));
    }

    fn claim(&mut self, at: Timestamp, claim: NeighbourClaim) {
        self.push(Input::new(at, Fact::Claim(Box::new(claim))));
    }

    fn answer(&mut self, at: Timestamp, _: Option<Mac>, answer: NameAnswer) {
        self.push(Input::new(at, Fact::Answer(Box::new(answer))));
    }

    fn undecoded(&mut self, at: Timestamp, frames: Undecoded) {
        self.push(Input::new(at, Fact::Undecoded(Box::new(frames))));
    }
}

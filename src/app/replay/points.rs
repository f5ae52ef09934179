//! The observation points of a replay: a meter each.
//!
//! Contract: packets go through the meters in batches; what each of them caused is kept apart, so that it is passed on as if it had come
//! alone. Design: the place in memory of an event that was passed on is used again for the next one ([`MAX_SPENT`] of them at once).

use super::super::point_filters::PointFilters;
use super::super::point_places::PointPlaces;
use super::super::summary::PointSummary;
use crate::decode::LinkType;
use crate::flow::{FlowSink, FlowView, Frame, Meter, MeterLimits, Meters, Stages};
use crate::input::{
    Fact, FlowEvent, FlowEventKind, Input, Mac, NameAnswer, NeighbourClaim, ObservationPoint, Undecoded,
};
use crate::observe::filter::{FilterError, FrameFilter};
use crate::observe::{Batch, Interface};
use crate::time::Timestamp;

/// Places of events that wait to be used again: what a batch causes, as a rule.
const MAX_SPENT: usize = 256;

/// What packets of a batch caused, in order.
#[derive(Debug, Default)]
pub(super) struct Caused {
    pub(super) inputs: Vec<Input>,
    #[expect(clippy::vec_box, reason = "an input holds its event in a box, and gives it back as one")]
    spent: Vec<Box<FlowEvent>>,
    /// Where the inputs of each packet begin.
    begins: Vec<usize>,
}

impl Caused {
    /// How many inputs a packet caused.
    pub(super) fn count(&self, packet: usize, total: usize) -> usize {
        let begin = |packet: usize| self.begins.get(packet).copied().unwrap_or(total);
        begin(packet + 1) - begin(packet)
    }

    /// An input was passed on.
    pub(super) fn spend(&mut self, input: Input) {
        if let Fact::Flow(event) = input.fact
            && self.spent.len() < MAX_SPENT
        {
            self.spent.push(event);
        }
    }
}

impl FlowSink for Caused {
    fn flow(&mut self, at: Timestamp, kind: FlowEventKind, flow: FlowView<'_>) {
        let event = FlowEvent { kind, record: flow.record() };
        let event = match self.spent.pop() {
            Some(mut spent) => {
                *spent = event;
                spent
            }
            None => Box::new(event),
        };
        self.inputs.push(Input::new(at, Fact::Flow(event)));
    }

    fn claim(&mut self, at: Timestamp, claim: NeighbourClaim) {
        self.inputs.claim(at, claim);
    }

    fn answer(&mut self, at: Timestamp, sender: Option<Mac>, answer: NameAnswer) {
        self.inputs.answer(at, sender, answer);
    }

    fn undecoded(&mut self, at: Timestamp, frames: Undecoded) {
        self.inputs.undecoded(at, frames);
    }
}

/// Packets of a batch that go through the meters together.
pub(super) struct Run<'a> {
    places: [usize; Batch::MAX],
    frames: [Frame<'a>; Batch::MAX],
    len: usize,
}

impl<'a> Run<'a> {
    pub(super) const fn new() -> Self {
        Self { places: [0; Batch::MAX], frames: [Frame::EMPTY; Batch::MAX], len: 0 }
    }

    /// Adds a packet of the point at this place; a batch has no more of them than there is room for.
    pub(super) fn push(&mut self, place: usize, frame: Frame<'a>) {
        (self.places[self.len], self.frames[self.len]) = (place, frame);
        self.len += 1;
    }

    pub(super) const fn clear(&mut self) {
        self.len = 0;
    }

    pub(super) fn frames(&self) -> &[Frame<'a>] {
        &self.frames[..self.len]
    }
}

/// The meters, and where their events go.
struct Taps<'t> {
    all: &'t mut [Meter],
    caused: &'t mut Caused,
}

impl Meters for Taps<'_> {
    #[inline]
    fn meter(&mut self, place: usize) -> &mut Meter {
        &mut self.all[place]
    }

    #[inline]
    fn with_sink(&mut self, place: usize) -> (&mut Meter, impl FlowSink) {
        self.caused.begins.push(self.caused.inputs.len());
        (&mut self.all[place], &mut *self.caused)
    }
}

/// All points.
pub(super) struct ReplayPoints {
    limits: MeterLimits,
    all: Vec<Meter>,
    stages: Stages,
    places: PointPlaces,
    filter: Option<PointFilters>,
}

impl ReplayPoints {
    pub(super) fn new(limits: MeterLimits, filter: Option<FrameFilter>) -> Self {
        let filter = filter.map(PointFilters::new);
        Self { limits, all: Vec::new(), stages: Stages::default(), places: PointPlaces::default(), filter }
    }

    /// What the filter hid, where that must be told before time passes to this.
    #[inline]
    pub(super) fn tell_hidden_due(&mut self, at: Timestamp) -> Option<Vec<Input>> {
        self.filter.as_mut().filter(|filter| filter.is_due(at)).map(|filter| filter.tell(at))
    }

    /// What it hid and was not told.
    pub(super) fn tell_hidden(&mut self, at: Timestamp) -> Vec<Input> {
        self.filter.as_mut().map(|filter| filter.tell(at)).unwrap_or_default()
    }

    /// Whether a frame of the point at this place is looked at; one that is not is counted.
    #[inline]
    pub(super) fn keeps(&mut self, place: usize, frame: &Frame<'_>) -> bool {
        self.filter.as_mut().is_none_or(|filter| filter.keeps(place, frame))
    }

    /// Whether there is more than one.
    pub(super) const fn are_several(&self) -> bool {
        self.all.len() > 1
    }

    /// Where the meter of a file's interface is; `None` for its first packet.
    #[inline]
    pub(super) fn place(&self, file: usize, number: usize) -> Option<usize> {
        self.places.get(file, number)
    }

    /// The first packet of an interface.
    pub(super) fn meet(&mut self, file: usize, number: usize, interface: &Interface) -> Result<usize, FilterError> {
        let place = self.places.meet(file, number, interface, || {
            self.all.push(Meter::new(interface.point.clone(), interface.link, self.limits));
            self.all.len() - 1
        });
        if let Some(filter) = &mut self.filter {
            filter.meet(place, &interface.point, interface.link)?;
        }
        Ok(place)
    }

    /// Meters packets of known points.
    pub(super) fn take(&mut self, run: &Run<'_>, caused: &mut Caused) {
        caused.begins.clear();
        self.stages.run(&mut Taps { all: &mut self.all, caused }, |n| run.places[n], run.frames());
    }

    /// Time has passed at every point, whether it saw something or not.
    pub(super) fn advance(&mut self, to: Timestamp, out: &mut Vec<Input>) {
        for meter in &mut self.all {
            meter.advance(to, out);
        }
    }

    /// The observation of a point ended at a time: so did its records.
    pub(super) fn end(&mut self, point: &ObservationPoint, at: Timestamp, out: &mut Vec<Input>) {
        for (_, place) in self.places.named().filter(|((name, _), _)| name == point) {
            self.all[place].advance(at, out);
            self.all[place].drain(out);
        }
    }

    /// Ends every record, point by point in order of name.
    pub(super) fn drain(&mut self, out: &mut Vec<Input>) {
        for (_, place) in self.places.named() {
            self.all[place].drain(out);
        }
    }

    /// Names and link types, in order.
    pub(super) fn names(&self) -> impl Iterator<Item = &(ObservationPoint, LinkType)> {
        self.places.named().map(|(name, _)| name)
    }

    /// What each point counted, in order of name.
    pub(super) fn summaries(&self) -> Vec<PointSummary> {
        let summary = |((point, _), place): (&(ObservationPoint, LinkType), usize)| {
            let mut counters = self.all[place].stats();
            counters.dropped.extend(self.filter.as_ref().and_then(|filter| filter.hidden(place)));
            PointSummary::new(point, counters)
        };
        self.places.named().map(summary).collect()
    }
}

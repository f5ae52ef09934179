//! One interface: its ring, its flow table, and what was lost on the way.
//!
//! Contract: a packet is folded into the tap's own flow table and forgotten; only flow events leave. Design: libpcap with
//! `TPACKET_V3` (never immediate mode, which falls back to V2 and loses packets), promiscuous (a bridge shows
//! container-to-container traffic only so), never blocking. Packets are copied from the ring in groups of [`GROUP`], so that
//! the flow table can fetch the memory of a whole group at once.

mod open;

use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Arc;
use std::time::Duration;

use pcap::{Active, Capture, Error as PcapError};

use super::admitted::{Admitted, Covers, TellingPackets};
use super::hiding::HIDDEN_BYTES;
use super::loss::Losses;
use super::ring::HELD_BACK;
use crate::clock::now;
use crate::decode::LinkType;
use crate::flow::{Admission, Backlog, Frame, Meter, PointCounters, PointKind, Receipt, Shed};
use crate::input::{Fact, Input, Loss, LossReason, ObservationPoint, RecordedFact};
use crate::observe::filter::{HiddenFrames, Told};
use crate::time::Timestamp;
pub use open::{CaptureRefused, TapError, TapOptions, may_capture};
use open::{borrow, open, shorten, tap_error};

/// Packets of one turn; then it is another tap's.
pub(super) const TURN_PACKETS: usize = 512;
/// Packets handed to the flow table at once; each has a bit in [`TapSink::group`].
const GROUP: usize = u64::BITS as usize;
/// Bytes after which a group is handed over before it is full.
const GROUP_BYTES: usize = 64 << 10;
/// How often the kernel's drop counters are read.
pub(super) const STATS_INTERVAL: Duration = Duration::from_millis(200);
/// How often what was left out is reported.
const SHED_INTERVAL: Duration = Duration::from_millis(100);
/// The interface's own counter is read so often where no packet comes.
const QUIET_STATS: Duration = Duration::from_secs(5);
/// How often counters are handed over when nothing happened to a flow.
const TELL_INTERVAL: Duration = Duration::from_millis(200);

/// What a tap hands over.
#[derive(Debug)]
pub struct TapBatch {
    /// Where it comes from.
    pub point: ObservationPoint,
    /// Flow events and losses.
    pub inputs: Vec<Input>,
    /// The meter's counters.
    pub stats: PointCounters,
    /// Packets lost so far, by reason.
    pub dropped: Vec<(LossReason, u64)>,
    /// Dropped when the inputs have been consumed.
    pub receipt: Receipt,
}

impl TapBatch {
    /// All that is counted at the point.
    pub fn counters(&self) -> PointCounters {
        let dropped = self.dropped.iter().map(|(reason, count)| (reason.as_str(), *count)).collect();
        PointCounters { dropped, ..self.stats.clone() }
    }
}

/// Takes what a tap makes.
pub trait TapSink {
    /// Takes a batch; must not wait. Gives it back when there is no room.
    fn batch(&mut self, batch: TapBatch) -> Result<(), Box<TapBatch>>;
    /// Sees each packet as captured (for a recording).
    fn packet(&mut self, at: Timestamp, wire_len: u32, data: &[u8]);
    /// Sees the packets of a group when they are in their flows; each that tells something of its flow ([`FlowSink::telling`](crate::flow::FlowSink))
    /// has its bit in `telling`, that of the first packet the lowest. Must not wait; ignored by default.
    fn group(&mut self, _frames: &[Frame<'_>], _telling: u64) {}
    /// Called at every look, whether packets came or not; must not wait.
    fn look(&mut self, _: Timestamp) {}
    /// The tap ended: its last batch, and the reason, unless it was asked to end. Nothing of it may be lost, nor may this wait.
    fn ended(&mut self, last: TapBatch, reason: Option<String>);
}

/// An open capture on one interface.
pub struct Tap {
    point: ObservationPoint,
    capture: Capture<Active>,
    link: LinkType,
    /// The interface is in another namespace.
    inside: bool,
    meter: Meter,
    losses: Losses,
    hidden: Hidden,
    /// What waits to be handed over.
    inputs: Vec<Input>,
    admission: Admission,
    covers: Covers,
    shed_told: Timestamp,
    /// Packets were read since the kernel's counters were.
    has_read: bool,
    /// The last turn did not empty the ring.
    backlog: bool,
    /// Time of the latest packet.
    latest: Timestamp,
    stats_read: Timestamp,
    /// When counters were handed over, and how many packets they had.
    handed_over: Option<(Timestamp, u64)>,
}

impl std::fmt::Debug for Tap {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Tap").field("point", &self.point).field("link", &self.link).finish_non_exhaustive()
    }
}

/// What a filter hides, and how that is known of a packet.
#[derive(Clone, Copy)]
struct Hidden {
    /// Packets shorter than this; without a filter none is.
    shortest: usize,
    /// Those from before this: the socket had no filter yet.
    before: Timestamp,
    frames: HiddenFrames,
}

impl Hidden {
    /// Of a socket without a filter.
    fn nothing() -> Self {
        Self { shortest: 0, before: Timestamp::MIN, frames: HiddenFrames::default() }
    }

    /// Of a socket that had its filter at this time.
    fn behind(attached: Timestamp) -> Self {
        Self { shortest: HIDDEN_BYTES as usize + 1, before: attached, frames: HiddenFrames::default() }
    }
}

/// The ring of a tap that has ended.
pub(super) struct Closing(#[expect(dead_code, reason = "dropped, which is its purpose")] Capture<Active>);

/// A group of packets on their way from the ring to the flow table; one a thread.
#[derive(Debug, Default)]
pub(super) struct Group {
    bytes: Vec<u8>,
    /// Time, length on the wire, and where the copy ends.
    packets: Vec<(Timestamp, u32, usize)>,
}

impl Group {
    fn push(&mut self, at: Timestamp, wire_len: u32, data: &[u8]) {
        self.bytes.extend_from_slice(data);
        self.packets.push((at, wire_len, self.bytes.len()));
    }

    fn is_full(&self) -> bool {
        self.packets.len() >= GROUP || self.bytes.len() >= GROUP_BYTES
    }

    fn flush(&mut self, meter: &mut Meter, out: &mut Admitted<'_>, sink: &mut impl TapSink) {
        let mut frames = [Frame::EMPTY; GROUP];
        let mut start = 0;
        for (frame, (at, wire_len, end)) in frames.iter_mut().zip(&self.packets) {
            *frame = Frame { at: *at, wire_len: *wire_len, data: self.bytes.get(start..*end).unwrap_or_default() };
            start = *end;
        }
        let frames = frames.get(..self.packets.len()).unwrap_or(&frames);
        meter.packets(frames, out);
        sink.group(frames, std::mem::take(&mut out.telling).bits);
        self.packets.clear();
        self.bytes.clear();
    }
}

impl Tap {
    /// Opens the interface.
    pub fn open(point: ObservationPoint, options: &TapOptions) -> Result<Self, TapError> {
        let device = point.as_str().to_owned();
        Self::open_device(&device, point, options)
    }

    /// Opens an interface of the network namespace that this thread is in, under another name.
    pub fn open_inside(device: &str, point: ObservationPoint, options: &TapOptions) -> Result<Self, TapError> {
        let tap = Self::open_device(device, point, options)?;
        Ok(Self { inside: true, ..tap })
    }

    fn open_device(device: &str, point: ObservationPoint, options: &TapOptions) -> Result<Self, TapError> {
        let capture = open(device, options).map_err(|error| tap_error(&point, error))?;
        let number = capture.get_datalink().0;
        // DLT_RAW has another number on the wire of the API than in files.
        let link = if number == 12 { LinkType::RAW } else { LinkType(u16::try_from(number).unwrap_or(u16::MAX)) };
        if !link.is_supported() {
            return Err(TapError::LinkType { point, link: number });
        }
        shorten(borrow(&capture), &point, link, options)?;
        let opened = now();
        Ok(Self {
            meter: Meter::new(point.clone(), link, options.meter),
            point,
            capture,
            link,
            inside: false,
            losses: Losses::default(),
            hidden: options.filter.as_ref().map_or_else(Hidden::nothing, |_| Hidden::behind(opened)),
            inputs: Vec::new(),
            admission: Admission::new(Arc::default(), PointKind::Shared),
            covers: Covers::default(),
            shed_told: opened,
            has_read: true,
            backlog: false,
            latest: opened,
            stats_read: opened,
            handed_over: None,
        })
    }

    /// Its events share the engine's backlog with those of other taps, those that a contract may cover first; by default nothing bounds them.
    #[must_use]
    pub fn sharing(self, backlog: Arc<Backlog>, kind: PointKind, covers: Covers) -> Self {
        Self { admission: Admission::new(backlog, kind), covers, ..self }
    }

    /// Where it captures.
    pub const fn point(&self) -> &ObservationPoint {
        &self.point
    }

    /// The link type of its frames.
    pub const fn link(&self) -> LinkType {
        self.link
    }

    /// Whether the last turn left packets in the ring.
    pub(super) const fn has_backlog(&self) -> bool {
        self.backlog
    }

    /// Time of the latest packet.
    pub(super) const fn latest(&self) -> Timestamp {
        self.latest
    }

    /// Reads what is there, at most [`TURN_PACKETS`].
    pub(super) fn read(&mut self, group: &mut Group, sink: &mut impl TapSink) -> Result<usize, PcapError> {
        let Self { capture, meter, hidden, inputs, admission, covers, latest, .. } = self;
        let mut out = Admitted { inputs, admission, covers, telling: TellingPackets::default() };
        let read = capture.dispatch(Some(TURN_PACKETS), |packet| {
            let header = packet.header;
            // With nanosecond precision tv_usec holds nanoseconds.
            let nanos = header.ts.tv_sec.saturating_mul(1_000_000_000).saturating_add(header.ts.tv_usec);
            let at = Timestamp::from_nanos(nanos);
            *latest = at;
            if packet.data.len() < hidden.shortest || at < hidden.before {
                return hidden.frames.hide(at);
            }
            // Those that came before the filter are through; a clock that is set back makes no others.
            hidden.before = Timestamp::MIN;
            sink.packet(at, header.len, packet.data);
            group.push(at, header.len, packet.data);
            if group.is_full() {
                group.flush(meter, &mut out, sink);
            }
        });
        group.flush(meter, &mut out, sink);
        self.has_read |= read.as_ref().is_ok_and(|count| *count > 0);
        self.backlog = read.as_ref().is_ok_and(|count| *count >= TURN_PACKETS);
        read
    }

    /// Time passed: expires flows, reads the kernel's counters, hands over.
    pub(super) fn look(&mut self, time: Timestamp, sink: &mut impl TapSink) {
        let unread = time.since(self.stats_read);
        if unread >= QUIET_STATS || self.has_read && unread >= STATS_INTERVAL {
            self.read_drops(time);
        }
        // With a backlog the clock is the packets': it must not run ahead of those that wait in the ring.
        if !self.backlog {
            let Self { meter, inputs, admission, covers, .. } = self;
            let mut out = Admitted { inputs, admission, covers, telling: TellingPackets::default() };
            meter.advance(time.minus(HELD_BACK), &mut out);
        }
        self.tell_hidden(time);
        self.hand_over(time, sink);
        sink.look(time);
    }

    /// Ends: everything that is left, and the last counters. What is returned closes the ring when it is dropped, which takes
    /// the kernel some tens of milliseconds.
    pub(super) fn end(mut self, time: Timestamp, reason: Option<String>, sink: &mut impl TapSink) -> Closing {
        self.read_drops(time);
        self.tell_hidden(time);
        self.end_records(time);
        self.inputs.extend(self.losses.unreported(&self.point, time));
        self.report_shed(time);
        sink.ended(self.take_batch(), reason);
        Closing(self.capture)
    }

    /// Ends every record, and says when: a replay ends them at the same time.
    fn end_records(&mut self, time: Timestamp) {
        let Self { meter, inputs, .. } = self;
        if !self.backlog {
            meter.advance(time.minus(HELD_BACK), inputs);
        }
        meter.drain(inputs);
        let ended = RecordedFact::Ended { point: Some(self.point.clone()) };
        inputs.push(Input::new(meter.now(), Fact::Recorded(ended)));
    }

    /// What the filter hid is a loss.
    fn tell_hidden(&mut self, time: Timestamp) {
        if let Some(Told { count, since, .. }) = self.hidden.frames.tell(time) {
            self.losses.add(LossReason::Filter, count, since);
        }
    }

    fn read_drops(&mut self, now: Timestamp) {
        let since = std::mem::replace(&mut self.stats_read, now);
        self.has_read = false;
        self.losses.reach(LossReason::FlowTable, self.meter.stats().evicted_flows, since);
        // An interface that is gone has no counters any more; what it had was read a moment ago.
        if let Ok(stat) = self.capture.stats() {
            self.losses.reach(LossReason::Kernel, u64::from(stat.dropped), since);
            // libpcap reads this one from `/sys/class/net`, which shows an interface of the host's with the same name.
            if !self.inside {
                self.losses.reach(LossReason::Interface, u64::from(stat.if_dropped), since);
            }
        }
    }

    fn take_batch(&mut self) -> TapBatch {
        let mut dropped = self.losses.totals();
        let shed = dropped.iter_mut().filter(|(reason, _)| *reason == LossReason::Shed);
        shed.for_each(|(_, count)| *count = self.admission.shed_total());
        TapBatch {
            point: self.point.clone(),
            inputs: std::mem::take(&mut self.inputs),
            stats: self.meter.stats(),
            dropped,
            receipt: self.admission.receipt(),
        }
    }

    /// What was left out, as facts: of each source, or of the point where there are many.
    fn report_shed(&mut self, time: Timestamp) {
        self.shed_told = time;
        for Shed { source, count, since } in self.admission.unreported() {
            let loss = Loss { point: Some(self.point.clone()), reason: LossReason::Shed, count, since, source };
            self.inputs.push(Input::new(time, loss));
        }
    }

    /// Hands events and losses over, and counters now and then. When there is no room the events are lost, which is a loss in turn.
    pub(super) fn hand_over(&mut self, time: Timestamp, sink: &mut impl TapSink) {
        let events = self.inputs.len() as u64;
        self.inputs.extend(self.losses.unreported(&self.point, time));
        let packets = self.meter.packets_seen();
        let is_due = self.handed_over.is_none_or(|(at, before)| packets != before && time.since(at) >= TELL_INTERVAL);
        let reports_shed = self.admission.has_unreported() && time.since(self.shed_told) >= SHED_INTERVAL;
        if self.inputs.is_empty() && !is_due && !reports_shed {
            return;
        }
        if reports_shed {
            self.report_shed(time);
        }
        self.handed_over = Some((time, packets));
        match sink.batch(self.take_batch()) {
            Ok(()) => {
                self.losses.reported();
                if reports_shed {
                    self.admission.reported();
                }
            }
            Err(refused) => {
                let since = refused.inputs.first().map_or(time, |input| input.at);
                self.losses.add(LossReason::Queue, events, since);
                self.handed_over = None;
            }
        }
    }
}

impl AsFd for Tap {
    fn as_fd(&self) -> BorrowedFd<'_> {
        borrow(&self.capture)
    }
}

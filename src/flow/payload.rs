//! First-payload facts of flows: which payload is wanted, and what it said.
//!
//! Contract: [`PayloadBudget`] is one byte in a flow's hot entry; while it wants nothing, payload costs one comparison. [`PayloadInspector`]
//! takes payload in any order, repeated or cut, and keeps facts. Content decides what a flow speaks; ports decide only for DNS.
//! A flow whose first payload is of no known protocol keeps nothing: no allocation, and [`LOOKS`] more segments are compared
//! with the start of a TLS hello (STARTTLS and the like). Of a side that sent an HTTP request each later segment is compared
//! with the start of a `CONNECT`. What is new is reported at once, a few times a flow.
//! Limits: [`MAX_INSPECTED`] flows with facts, [`MAX_BUFFERED`] bytes waiting, [`MAX_DNS`] questions per flow and a number of them
//! in all, and the parsers' own; what does not fit is counted. Streams are put together only around the messages that are looked for.
//! Design: a message that lies in one segment is read in place; only pieces are copied. What is kept at last is one shared
//! [`AppFacts`] a flow, so that each event shows it without a copy.

mod budget;
mod content;
mod datagram;
mod echo;
mod fragments;
mod keep;
mod stream;

use std::sync::Arc;

use crate::decode::app::{dns, http, tls};
use crate::decode::{Headers, TcpHeader};
use crate::input::{AppFacts, Protocol};
use budget::payload_seq;
pub(super) use budget::{PayloadBudget, PayloadSlot};
use content::{After, Fact, Step};
use datagram::Quic;
use echo::Echoes;
use fragments::Pieces;
use stream::Stream;

/// Flows with facts at once: some 500 bytes each.
const MAX_INSPECTED: usize = 1 << 18;
/// Bytes of unfinished messages, of all flows.
const MAX_BUFFERED: usize = 32 << 20;
/// Questions of a flow that are kept; a repeated one counts once.
const MAX_DNS: usize = 256;
/// Later segments of a flow of unknown content that are compared with the start of a hello.
const LOOKS: u8 = 5;

/// Whether the ports are those of DNS, mDNS or LLMNR.
fn is_dns(headers: &Headers) -> bool {
    [headers.src_port, headers.dst_port].iter().any(|port| matches!(port, 53 | 5353 | 5355))
}

/// What is known of a TCP segment before its bytes are read.
#[derive(Clone, Copy)]
struct Segment {
    /// Its end was not captured.
    is_cut: bool,
    /// A port is one of DNS.
    is_dns: bool,
}

/// Where in a later segment something begins that a flow of this level still wants.
fn first_of_interest(level: u8, payload: &[u8]) -> Option<usize> {
    let connect = || if level == PayloadBudget::REQUESTS { http::next_connect(payload) } else { None };
    if tls::may_begin(payload) { Some(0) } else { connect() }
}

/// What one flow said so far, and what is not finished.
#[derive(Debug, Default)]
struct FlowPayload {
    facts: Option<Arc<AppFacts>>,
    work: Option<Box<Work>>,
    /// Questions that came after the last that was kept.
    more: u32,
    /// There is no room for more questions.
    is_full: bool,
    /// How often it was reported at once.
    reported: u8,
}

const _: () = assert!(size_of::<FlowPayload>() <= 24);

/// Unfinished messages.
#[derive(Debug, Default)]
struct Work {
    streams: [Stream; 2],
    quic: Option<Quic>,
    pieces: Option<Pieces>,
}

impl Work {
    fn is_idle(&self) -> bool {
        self.held() == 0 && self.quic.is_none() && self.pieces.is_none()
    }

    fn held(&self) -> usize {
        let quic = self.quic.as_ref().map(|quic| &quic.crypto);
        let pieces = self.pieces.as_ref().map(|pieces| &pieces.stream);
        self.streams.iter().chain(quic).chain(pieces).map(Stream::held).sum()
    }

    /// Adds what is surely there of messages that are not finished.
    fn show(&self, facts: &mut AppFacts) {
        for (side, stream) in self.streams.iter().enumerate() {
            let mut name = String::new();
            if let Step::Found(fact, _) = content::step(stream.prefix(), true, false, &mut name) {
                fact.keep(facts, side, &name);
            }
        }
        if let Some(hello) = self.quic.as_ref().and_then(|quic| quic.hello(true).whole()) {
            Fact::Tls(hello).keep(facts, 0, "");
        }
    }
}

/// The payload inspector of one meter.
#[derive(Debug, Default)]
pub(super) struct PayloadInspector {
    all: Vec<FlowPayload>,
    free: Vec<u32>,
    /// Bytes waiting in all of them.
    buffered: usize,
    /// Questions kept in all of them, by their [`keep::weight`].
    questions: usize,
    refused: u64,
    echoes: Echoes,
    /// The packet being read brought something that is reported at once.
    is_changed: bool,
    /// The packet being read answered a question of its flow: the name and its addresses.
    answered: Option<Box<(Box<str>, dns::Addresses)>>,
    /// The name of the message being read.
    name: String,
    /// The QUIC packet being read.
    plain: Vec<u8>,
}

impl PayloadInspector {
    /// Flows whose payload was given up because too many others were being looked at.
    pub(super) const fn refused(&self) -> u64 {
        self.refused
    }

    /// Takes a packet that [`PayloadBudget::wants`], from its frame; true when what it brought must be reported at once.
    pub(super) fn inspect(
        &mut self,
        budget: &mut PayloadBudget,
        slot: &mut PayloadSlot,
        side: usize,
        headers: &Headers,
        frame: &[u8],
    ) -> bool {
        if budget.is_echo() {
            return self.echoes.see(slot, headers, frame);
        }
        self.payload(budget, slot, side, headers, headers.payload(frame));
        std::mem::take(&mut self.is_changed) && self.may_report(slot)
    }

    /// What the packet that was just read answered.
    #[inline]
    pub(super) const fn take_answered(&mut self) -> Option<Box<(Box<str>, dns::Addresses)>> {
        self.answered.take()
    }

    /// Whether a second copy of the first payload says something else than the first did; then both are believed: the second
    /// takes the place of the first, which was reported.
    pub(super) fn rewrites(&mut self, slot: &PayloadSlot, side: usize, payload: &[u8]) -> bool {
        let Some(facts) = self.all.get_mut(slot.index as usize).and_then(|flow| flow.facts.as_mut()) else {
            return false;
        };
        let Step::Found(fact, _) = content::step(payload, false, false, &mut self.name) else { return false };
        fact.differs(facts) && fact.replace(Arc::make_mut(facts), side)
    }

    /// The captured payload of a packet.
    fn payload(
        &mut self,
        budget: &mut PayloadBudget,
        slot: &mut PayloadSlot,
        side: usize,
        headers: &Headers,
        payload: &[u8],
    ) {
        if payload.is_empty() {
            // Not captured, and hardly will be later.
            return budget.disappoint(side);
        }
        let piece = headers.fragment.filter(|piece| piece.more || !piece.is_first());
        match (piece, headers.tcp) {
            (Some(piece), _) => self.fragment(budget, slot, side, (headers, piece), payload),
            (None, Some(tcp)) => self.segment(budget, slot, side, (headers, tcp), payload),
            (None, None) if headers.protocol == Protocol::UDP => {
                self.datagram(budget, slot, side, headers, payload);
            }
            (None, None) => {}
        }
    }

    /// What a flow said so far; of an unfinished message what is surely there.
    pub(super) fn facts(&self, budget: PayloadBudget, slot: &PayloadSlot) -> Option<Arc<AppFacts>> {
        if budget.is_echo() {
            return echo::facts(slot).map(|echo| Arc::new(AppFacts { echo: Some(echo), ..AppFacts::default() }));
        }
        let flow = self.all.get(slot.index as usize)?;
        if flow.work.is_none() && flow.more == 0 {
            return flow.facts.clone();
        }
        let mut facts = flow.facts.as_deref().cloned().unwrap_or_default();
        facts.dns_more = u64::from(flow.more);
        if let Some(work) = &flow.work {
            work.show(&mut facts);
        }
        (facts != AppFacts::default()).then(|| Arc::new(facts))
    }

    /// All flows are gone; what was refused stays counted.
    pub(super) fn clear(&mut self) {
        *self = Self { refused: self.refused, ..Self::default() };
    }

    /// The flow is gone.
    pub(super) fn release(&mut self, slot: &mut PayloadSlot) {
        self.drop_work(slot);
        if let Some(flow) = self.all.get_mut(slot.index as usize) {
            let facts = std::mem::take(flow).facts;
            let weight = facts.iter().flat_map(|facts| &facts.dns).map(|known| keep::weight(&known.query)).sum();
            self.questions = self.questions.saturating_sub(weight);
            self.free.push(slot.index);
        }
        slot.index = PayloadSlot::NONE;
    }

    fn drop_work(&mut self, slot: &PayloadSlot) {
        if let Some(work) = self.all.get_mut(slot.index as usize).and_then(|flow| flow.work.take()) {
            self.buffered = self.buffered.saturating_sub(work.held());
        }
    }

    /// The payload facts of a flow, a new one if it has none; `None` when there are too many.
    fn flow_payload(&mut self, slot: &mut PayloadSlot) -> Option<&mut FlowPayload> {
        if slot.index == PayloadSlot::NONE {
            slot.index = match self.free.pop() {
                Some(slot) => slot,
                None if self.all.len() < MAX_INSPECTED => {
                    self.all.push(FlowPayload::default());
                    u32::try_from(self.all.len() - 1).unwrap_or(PayloadSlot::NONE)
                }
                None => {
                    self.refused += 1;
                    return None;
                }
            };
        }
        self.all.get_mut(slot.index as usize)
    }

    /// The unfinished messages of a flow; `None` when too much is waiting.
    fn work(&mut self, slot: &mut PayloadSlot) -> Option<&mut Work> {
        if self.buffered > MAX_BUFFERED {
            self.refused += 1;
            return None;
        }
        Some(self.flow_payload(slot)?.work.get_or_insert_default())
    }

    /// A TCP segment.
    fn segment(
        &mut self,
        budget: &mut PayloadBudget,
        slot: &mut PayloadSlot,
        side: usize,
        (headers, tcp): (&Headers, TcpHeader),
        payload: &[u8],
    ) {
        let (level, seq) = (budget.level(side), payload_seq(tcp));
        let is_look = level < PayloadBudget::MESSAGES;
        // Before the cold entry is touched.
        let found = if is_look { first_of_interest(level, payload) } else { Some(0) };
        let Some(skipped) = found else {
            if level < PayloadBudget::REQUESTS {
                budget.set(side, level - 1);
            }
            return;
        };
        if !slot.is_known[side] {
            return;
        }
        let next = &mut slot.next[side];
        if is_look {
            *next = seq.wrapping_add(u32::try_from(skipped).unwrap_or(0));
            budget.set(side, PayloadBudget::FRESH);
        }
        let ahead = seq.wrapping_sub(*next).cast_signed();
        let known = usize::try_from(ahead.min(0).unsigned_abs()).unwrap_or(usize::MAX);
        let Some(payload) = payload.get(known..).filter(|new| !new.is_empty()) else { return };
        let ahead = usize::try_from(ahead.max(0)).unwrap_or(0);
        let is_cut = payload.len() + known < headers.payload_bytes as usize;
        let is_dns = is_dns(headers);
        let has_work = self.all.get(slot.index as usize).is_some_and(|flow| flow.work.is_some());
        if ahead == 0 && !has_work {
            self.examine(budget, slot, side, payload, Segment { is_cut, is_dns });
        } else {
            self.put_together(budget, slot, side, (ahead, payload), Segment { is_cut, is_dns });
        }
    }

    /// Reads bytes that start where the stream was examined up to. What must wait for more is copied.
    fn examine(
        &mut self,
        budget: &mut PayloadBudget,
        slot: &mut PayloadSlot,
        side: usize,
        bytes: &[u8],
        segment: Segment,
    ) {
        let used = self.read(budget, slot, side, bytes, segment);
        let rest = bytes.get(used..).unwrap_or(&[]);
        if segment.is_cut && budget.level(side) >= PayloadBudget::MESSAGES {
            budget.set(side, 0);
        } else if !rest.is_empty() && budget.level(side) >= PayloadBudget::MESSAGES {
            self.put_together(budget, slot, side, (0, rest), Segment { is_cut: false, ..segment });
        }
    }

    /// Adds a piece to the stream of a side and reads what is complete.
    fn put_together(
        &mut self,
        budget: &mut PayloadBudget,
        slot: &mut PayloadSlot,
        side: usize,
        (ahead, piece): (usize, &[u8]),
        segment: Segment,
    ) {
        let stream = self.work(slot).and_then(|work| work.streams.get_mut(side)).map(std::mem::take);
        let Some(mut stream) = stream else { return budget.set(side, 0) };
        let held = stream.held();
        let has_room = stream.push(ahead, piece);
        if !has_room && budget.level(side) >= PayloadBudget::MESSAGES {
            self.refused += 1;
        }
        if ahead == 0 || !stream.prefix().is_empty() {
            // What does not fit is read as far as it came.
            let whole = Segment { is_cut: segment.is_cut || !has_room, ..segment };
            let used = self.read(budget, slot, side, stream.prefix(), whole);
            stream.consume(used);
        }
        if (!has_room || segment.is_cut) && budget.level(side) >= PayloadBudget::MESSAGES {
            budget.set(side, 0);
        }
        // A side that wants no more messages keeps no pieces; a hello that was cut is in the facts already.
        if budget.level(side) < PayloadBudget::MESSAGES {
            stream = Stream::default();
        }
        self.buffered = (self.buffered + stream.held()).saturating_sub(held);
        self.put_back(slot, side, stream);
    }

    /// Whether the flow has sent an HTTP request.
    fn has_asked(&self, slot: &PayloadSlot) -> bool {
        let facts = self.all.get(slot.index as usize).and_then(|flow| flow.facts.as_ref());
        facts.is_some_and(|facts| facts.http.is_some())
    }

    fn put_back(&mut self, slot: &PayloadSlot, side: usize, stream: Stream) {
        let Some(flow) = self.all.get_mut(slot.index as usize) else { return };
        if let Some(place) = flow.work.as_mut().and_then(|work| work.streams.get_mut(side)) {
            *place = stream;
        }
        if flow.work.as_ref().is_some_and(|work| work.is_idle()) {
            flow.work = None;
        }
    }

    /// Reads messages from the start of `bytes`; gives how many bytes are done with.
    fn read(
        &mut self,
        budget: &mut PayloadBudget,
        slot: &mut PayloadSlot,
        side: usize,
        bytes: &[u8],
        segment: Segment,
    ) -> usize {
        let mut used: usize = 0;
        while let Some(rest) = bytes.get(used..).filter(|rest| !rest.is_empty()) {
            match content::step(rest, segment.is_cut, segment.is_dns, &mut self.name) {
                Step::More => break,
                Step::Other => {
                    let is_first = used == 0 && budget.level(side) == PayloadBudget::FRESH;
                    if is_first && let Some(fact) = content::first_bytes(rest, side) {
                        self.keep(budget, slot, side, fact);
                    }
                    let has_asked = side == 0 && self.has_asked(slot);
                    budget.set(side, if has_asked { PayloadBudget::REQUESTS } else { LOOKS });
                    break;
                }
                Step::Skip(len) => {
                    budget.disappoint(side);
                    used += len;
                }
                Step::Found(fact, after) => {
                    if let Fact::Dns(question) = &fact {
                        // Behind the length.
                        self.note_answer(slot, side, question, rest.get(2..).unwrap_or(&[]));
                    }
                    self.keep(budget, slot, side, fact);
                    match after {
                        After::Bytes(len) => used += len,
                        After::Side => budget.set(side, 0),
                        After::Requests => {
                            // The answers say nothing more; the next request may stand in this segment already.
                            budget.set(side ^ 1, 0);
                            let next = rest.get(1..).and_then(http::next_connect);
                            used += next.map_or(0, |at| 1 + at);
                            if next.is_none() && !budget.is_none() {
                                budget.set(side, PayloadBudget::REQUESTS);
                            }
                        }
                        After::Flow => budget.end(),
                    }
                }
            }
            if budget.level(side) < PayloadBudget::MESSAGES {
                break;
            }
        }
        slot.next[side] = slot.next[side].wrapping_add(u32::try_from(used).unwrap_or(0));
        if budget.is_none() {
            self.drop_work(slot);
        }
        used
    }
}

#[cfg(test)]
mod tests;

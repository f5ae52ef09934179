//! First-payload facts of flows: which payload is wanted, and what it said.
//!
//! Contract: [`Interest`] is one byte in a flow's hot entry; while it wants nothing, payload costs one comparison. [`Probes`]
//! takes payload in any order, repeated or cut, and keeps facts. Content decides what a flow speaks; ports decide only for DNS.
//! A flow whose first payload is of no known protocol keeps nothing: no allocation, and [`LOOKS`] more segments are compared
//! with the start of a TLS hello (STARTTLS and the like). What is new is told of at once, a few times a flow.
//! Limits: [`MAX_PROBES`] flows with facts, [`MAX_BUFFERED`] bytes waiting, [`MAX_DNS`] questions a flow and a number of them
//! in all, and the parsers' own; what does not fit is counted. Streams are put together only around the messages that are looked for.
//! Design: a message that lies in one segment is read in place; only pieces are copied. What is kept at last is one shared
//! [`AppFacts`] a flow, so that each event shows it without a copy.

mod content;
mod datagram;
mod echo;
mod fragments;
mod interest;
mod keep;
mod stream;

use std::sync::Arc;

use crate::decode::app::tls;
use crate::decode::{Headers, TcpHeader};
use crate::input::{AppFacts, Protocol};
use content::{After, Fact, Step};
use datagram::Quic;
use echo::Echoes;
use fragments::Pieces;
use interest::payload_seq;
pub(super) use interest::{Interest, Seat};
use stream::Stream;

/// Flows with facts at once: some 500 bytes each.
const MAX_PROBES: usize = 1 << 18;
/// Bytes of unfinished messages, of all flows.
const MAX_BUFFERED: usize = 32 << 20;
/// Questions of a flow that are kept; a repeated one counts once.
const MAX_DNS: usize = 256;
/// Later segments of a flow of unknown content that are compared with the start of a hello.
const LOOKS: u8 = 6;

/// Whether the ports are those of DNS, mDNS or LLMNR.
fn is_dns(headers: &Headers) -> bool {
    [headers.src_port, headers.dst_port].iter().any(|port| matches!(port, 53 | 5353 | 5355))
}

/// What one flow said so far, and what is not finished.
#[derive(Debug, Default)]
struct Probe {
    facts: Option<Arc<AppFacts>>,
    work: Option<Box<Work>>,
    /// Questions that came after the last that was kept.
    more: u32,
    /// There is no room for more questions.
    is_full: bool,
    /// How often it was told of at once.
    told: u8,
}

const _: () = assert!(size_of::<Probe>() <= 24);

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

/// The probes of one meter.
#[derive(Debug, Default)]
pub(super) struct Probes {
    all: Vec<Probe>,
    free: Vec<u32>,
    /// Bytes waiting in all of them.
    buffered: usize,
    /// Questions kept in all of them, by their [`keep::weight`].
    questions: usize,
    refused: u64,
    echoes: Echoes,
    /// The packet being read brought something that is told of at once.
    is_news: bool,
    /// The name of the message being read.
    name: String,
    /// The QUIC packet being read.
    plain: Vec<u8>,
}

impl Probes {
    /// Flows whose payload was given up because too many others were being looked at.
    pub(super) const fn refused(&self) -> u64 {
        self.refused
    }

    /// Takes a packet that [`Interest::wants`], from its frame; true when what it brought is to be told of at once.
    pub(super) fn feed(
        &mut self,
        interest: &mut Interest,
        seat: &mut Seat,
        side: usize,
        headers: &Headers,
        frame: &[u8],
    ) -> bool {
        if interest.is_echo() {
            return self.echoes.see(seat, headers, frame);
        }
        self.payload(interest, seat, side, headers, headers.payload(frame));
        std::mem::take(&mut self.is_news) && self.may_tell(seat)
    }

    /// The captured payload of a packet.
    fn payload(&mut self, interest: &mut Interest, seat: &mut Seat, side: usize, headers: &Headers, payload: &[u8]) {
        if payload.is_empty() {
            // Not captured, and hardly will be later.
            return interest.disappoint(side);
        }
        let piece = headers.fragment.filter(|piece| piece.more || !piece.is_first());
        match (piece, headers.tcp) {
            (Some(piece), _) => self.fragment(interest, seat, side, (headers, piece), payload),
            (None, Some(tcp)) => self.segment(interest, seat, side, (headers, tcp), payload),
            (None, None) if headers.protocol == Protocol::UDP => {
                self.datagram(interest, seat, side, headers, payload);
            }
            (None, None) => {}
        }
    }

    /// What a flow said so far; of an unfinished message what is surely there.
    pub(super) fn facts(&self, interest: Interest, seat: &Seat) -> Option<Arc<AppFacts>> {
        if interest.is_echo() {
            return echo::facts(seat).map(|echo| Arc::new(AppFacts { echo: Some(echo), ..AppFacts::default() }));
        }
        let probe = self.all.get(seat.slot as usize)?;
        if probe.work.is_none() && probe.more == 0 {
            return probe.facts.clone();
        }
        let mut facts = probe.facts.as_deref().cloned().unwrap_or_default();
        facts.dns_more = u64::from(probe.more);
        if let Some(work) = &probe.work {
            work.show(&mut facts);
        }
        (facts != AppFacts::default()).then(|| Arc::new(facts))
    }

    /// All flows are gone; what was refused stays counted.
    pub(super) fn clear(&mut self) {
        *self = Self { refused: self.refused, ..Self::default() };
    }

    /// The flow is gone.
    pub(super) fn release(&mut self, seat: &mut Seat) {
        self.drop_work(seat);
        if let Some(probe) = self.all.get_mut(seat.slot as usize) {
            let facts = std::mem::take(probe).facts;
            let weight = facts.iter().flat_map(|facts| &facts.dns).map(|known| keep::weight(&known.query)).sum();
            self.questions = self.questions.saturating_sub(weight);
            self.free.push(seat.slot);
        }
        seat.slot = Seat::NONE;
    }

    fn drop_work(&mut self, seat: &Seat) {
        if let Some(work) = self.all.get_mut(seat.slot as usize).and_then(|probe| probe.work.take()) {
            self.buffered = self.buffered.saturating_sub(work.held());
        }
    }

    /// The probe of a flow, a new one if it has none; `None` when there are too many.
    fn probe(&mut self, seat: &mut Seat) -> Option<&mut Probe> {
        if seat.slot == Seat::NONE {
            seat.slot = match self.free.pop() {
                Some(slot) => slot,
                None if self.all.len() < MAX_PROBES => {
                    self.all.push(Probe::default());
                    u32::try_from(self.all.len() - 1).unwrap_or(Seat::NONE)
                }
                None => {
                    self.refused += 1;
                    return None;
                }
            };
        }
        self.all.get_mut(seat.slot as usize)
    }

    /// The unfinished messages of a flow; `None` when too much is waiting.
    fn work(&mut self, seat: &mut Seat) -> Option<&mut Work> {
        if self.buffered > MAX_BUFFERED {
            self.refused += 1;
            return None;
        }
        Some(self.probe(seat)?.work.get_or_insert_default())
    }

    /// A TCP segment.
    fn segment(
        &mut self,
        interest: &mut Interest,
        seat: &mut Seat,
        side: usize,
        (headers, tcp): (&Headers, TcpHeader),
        payload: &[u8],
    ) {
        let (level, seq) = (interest.level(side), payload_seq(tcp));
        let is_look = level < Interest::MESSAGES;
        // Before the cold entry is touched.
        if is_look && !tls::may_begin(payload) {
            return interest.set(side, level - 1);
        }
        if !seat.is_known[side] {
            return;
        }
        let next = &mut seat.next[side];
        if is_look {
            *next = seq;
            interest.set(side, Interest::FRESH);
        }
        let ahead = seq.wrapping_sub(*next).cast_signed();
        let known = usize::try_from(ahead.min(0).unsigned_abs()).unwrap_or(usize::MAX);
        let Some(payload) = payload.get(known..).filter(|new| !new.is_empty()) else { return };
        let ahead = usize::try_from(ahead.max(0)).unwrap_or(0);
        let is_cut = payload.len() + known < headers.payload_bytes as usize;
        let is_dns = is_dns(headers);
        let has_work = self.all.get(seat.slot as usize).is_some_and(|probe| probe.work.is_some());
        if ahead == 0 && !has_work {
            self.examine(interest, seat, side, payload, (is_cut, is_dns));
        } else {
            self.put_together(interest, seat, side, (ahead, payload), (is_cut, is_dns));
        }
    }

    /// Reads bytes that start where the stream was examined up to. What must wait for more is copied.
    fn examine(
        &mut self,
        interest: &mut Interest,
        seat: &mut Seat,
        side: usize,
        bytes: &[u8],
        (is_cut, is_dns): (bool, bool),
    ) {
        let used = self.read(interest, seat, side, bytes, (is_cut, is_dns));
        let rest = bytes.get(used..).unwrap_or(&[]);
        if is_cut && interest.level(side) >= Interest::MESSAGES {
            interest.set(side, 0);
        } else if !rest.is_empty() && interest.level(side) >= Interest::MESSAGES {
            self.put_together(interest, seat, side, (0, rest), (false, is_dns));
        }
    }

    /// Adds a piece to the stream of a side and reads what is complete.
    fn put_together(
        &mut self,
        interest: &mut Interest,
        seat: &mut Seat,
        side: usize,
        (ahead, piece): (usize, &[u8]),
        (is_cut, is_dns): (bool, bool),
    ) {
        let stream = self.work(seat).and_then(|work| work.streams.get_mut(side)).map(std::mem::take);
        let Some(mut stream) = stream else { return interest.set(side, 0) };
        let held = stream.held();
        let has_room = stream.push(ahead, piece);
        if ahead == 0 || !stream.prefix().is_empty() {
            let used = self.read(interest, seat, side, stream.prefix(), (is_cut, is_dns));
            stream.consume(used);
        }
        if (!has_room || is_cut) && interest.level(side) >= Interest::MESSAGES {
            interest.set(side, 0);
        }
        // Whoever wants no more messages keeps no pieces; a hello that was cut is in the facts already.
        if interest.level(side) < Interest::MESSAGES {
            stream = Stream::default();
        }
        self.buffered = (self.buffered + stream.held()).saturating_sub(held);
        self.put_back(seat, side, stream);
    }

    fn put_back(&mut self, seat: &Seat, side: usize, stream: Stream) {
        let Some(probe) = self.all.get_mut(seat.slot as usize) else { return };
        if let Some(place) = probe.work.as_mut().and_then(|work| work.streams.get_mut(side)) {
            *place = stream;
        }
        if probe.work.as_ref().is_some_and(|work| work.is_idle()) {
            probe.work = None;
        }
    }

    /// Reads messages from the start of `bytes`; gives how many bytes are done with.
    fn read(
        &mut self,
        interest: &mut Interest,
        seat: &mut Seat,
        side: usize,
        bytes: &[u8],
        (is_cut, is_dns): (bool, bool),
    ) -> usize {
        let mut used: usize = 0;
        while let Some(rest) = bytes.get(used..).filter(|rest| !rest.is_empty()) {
            match content::step(rest, is_cut, is_dns, &mut self.name) {
                Step::More => break,
                Step::Other => {
                    interest.set(side, LOOKS);
                    break;
                }
                Step::Skip(len) => {
                    interest.disappoint(side);
                    used += len;
                }
                Step::Found(fact, after) => {
                    self.keep(interest, seat, side, fact);
                    match after {
                        After::Bytes(len) => used += len,
                        After::Side => interest.set(side, 0),
                        After::Flow => interest.end(),
                    }
                }
            }
            if interest.level(side) < Interest::MESSAGES {
                break;
            }
        }
        seat.next[side] = seat.next[side].wrapping_add(u32::try_from(used).unwrap_or(0));
        if interest.is_none() {
            self.drop_work(seat);
        }
        used
    }
}

#[cfg(test)]
mod tests;

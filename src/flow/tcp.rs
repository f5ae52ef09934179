//! How TCP connections went, by the rules of Zeek's conn.log.
//!
//! Contract: pure; a packet is one call, [`TcpState::plain`] first and [`TcpState::packet`] where that says no. Sequence
//! numbers are compared modulo 2^32. Letters: S H A D F R as flags, I and Q impossible flags, T resent payload, W zero
//! window, G bytes acknowledged and never seen, ^ first seen from the responder. T, W and G come again at the 10th, 100th …
//! Limits: checksums are not checked, so no C. What was cut off when captured counts as seen. Out of order, one run of
//! bytes a direction is remembered beyond the first hole; a further one joins it. [`TcpHistory`] keeps 24 letters.
//! Design: [`TcpState`] is what every packet touches; [`TcpHistory`] is what only news touches. Spec: docs.zeek.org, `Conn::Info`.

mod history;
#[cfg(test)]
mod tests;

pub use history::TcpHistory;

use crate::decode::TcpHeader;
use crate::input::{ConnState, tcp_flags};
use history::Scaled;

/// Where one end of a connection stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum EndState {
    /// Nothing came from it.
    #[default]
    Inactive,
    SynSent,
    /// It sent a SYN-ACK, as the originator.
    SynAckSent,
    /// It sends, and its SYN was not seen.
    Partial,
    Established,
    Closed,
    Reset,
}

/// What one end sent so far.
#[derive(Clone, Copy, Debug, Default)]
struct End {
    /// Sequence number of the SYN, seen or supposed; follows behind long transfers.
    start: u32,
    /// One past the highest sequence number sent.
    last: u32,
    /// Everything before it was seen, or missed for good.
    edge: u32,
    state: EndState,
    before: EndState,
    /// Letters that need no second look ([`letter`]).
    seen: u8,
    /// What it did for the handshake ([`shake`]).
    shake: u8,
}

/// Bits of [`End::shake`].
mod shake {
    /// It sent a SYN without ACK; the latest one's number is [`super::End::start`].
    pub(super) const ASKED: u8 = 1;
    /// Its SYN-ACK acknowledged the peer's SYN.
    pub(super) const ANSWERED: u8 = 2;
    /// The direction was turned; set on both ends.
    pub(super) const TURNED: u8 = 4;
}

/// Bits of [`End::seen`].
mod letter {
    pub(super) const DATA: u8 = 0x01;
    pub(super) const ACK: u8 = 0x02;
    pub(super) const SYN: u8 = 0x04;
    pub(super) const FIN: u8 = 0x08;
    pub(super) const RST: u8 = 0x10;
    pub(super) const FIN_RST: u8 = 0x20;
    pub(super) const MULTI: u8 = 0x40;
}

const CONTROL: u8 = tcp_flags::SYN | tcp_flags::FIN | tcp_flags::RST;
/// Sequence numbers of SYN and RST that jump further are not believed.
const FAR: i32 = 1 << 20;
/// How far [`End::start`] stays behind.
const TRAIL: u32 = 1 << 30;

/// Signed distance from `from` to `to`.
const fn distance(from: u32, to: u32) -> i32 {
    to.wrapping_sub(from).cast_signed()
}

/// State of a connection; index 0 is the originator, 1 the responder.
#[derive(Clone, Copy, Debug, Default)]
pub struct TcpState {
    ends: [End; 2],
}

/// A packet as the state machine sees it.
#[derive(Clone, Copy)]
struct Segment {
    from_resp: bool,
    flags: u8,
    seq: u32,
    ack: u32,
    len: u32,
    window: u16,
}

impl Segment {
    const fn has(&self, flag: u8) -> bool {
        self.flags & flag != 0
    }

    /// One past its last sequence number; payload of a RST is no part of the stream.
    const fn end(&self) -> u32 {
        let syn = self.has(tcp_flags::SYN) as u32;
        let fin = self.has(tcp_flags::FIN) as u32;
        let len = if self.has(tcp_flags::RST) { 0 } else { self.len };
        self.seq.wrapping_add(len).wrapping_add(syn + fin)
    }
}

impl TcpState {
    /// Takes the common packet: in order, without SYN, FIN and RST, of whose kind one was seen before. False where it is
    /// not, and nothing has changed then.
    #[inline]
    pub fn plain(&mut self, from_resp: bool, header: &TcpHeader, payload_bytes: u32) -> bool {
        let [end, peer] = if from_resp { [1, 0] } else { [0, 1] };
        let peer = self.ends[peer];
        let end = &mut self.ends[end];
        let kind = if payload_bytes == 0 { letter::ACK } else { letter::DATA };
        let news = u32::from(header.flags & (CONTROL | tcp_flags::ACK) ^ tcp_flags::ACK)
            | u32::from(!end.seen & kind)
            | (end.last ^ header.seq)
            | (end.edge ^ header.seq);
        if news != 0
            || header.window == 0
            || distance(peer.edge, header.ack) > 0
            || peer.state == EndState::Inactive
            || end.state == EndState::Reset
            || end.last.wrapping_sub(end.start) >= TRAIL
        {
            return false;
        }
        end.last = end.last.wrapping_add(payload_bytes);
        end.edge = end.last;
        true
    }

    /// Whether a segment, not taken yet, carries payload beyond all that its end has sent.
    pub const fn brings_new(&self, from_resp: bool, header: &TcpHeader, payload_bytes: u32) -> bool {
        let [orig, resp] = &self.ends;
        let end = if from_resp { resp } else { orig };
        distance(end.last, header.seq.wrapping_add(payload_bytes)) > 0
    }

    /// Takes any packet.
    pub fn packet(&mut self, history: &mut TcpHistory, from_resp: bool, header: &TcpHeader, payload_bytes: u32) {
        let TcpHeader { flags, seq, ack, window } = *header;
        let segment = Segment { from_resp, flags, seq, ack, len: payload_bytes, window };
        if from_resp && self.ends.iter().all(|end| end.state == EndState::Inactive) {
            history.push(b'^');
        }
        self.shake(&segment);
        self.locate(&segment);
        let underflow = distance(self.end(&segment).start, seq) < 0;
        self.letters(history, &segment);
        self.window(history, &segment);
        let ack_underflow = self.acknowledged(&segment);
        self.advance(history, &segment);
        self.transition(&segment);
        if segment.has(tcp_flags::ACK) && !ack_underflow {
            self.gaps(history, &segment);
        }
        if segment.end() != seq && !segment.has(tcp_flags::RST) && !underflow {
            self.arrived(history, &segment);
        }
        let end = self.end_mut(&segment);
        if end.last.wrapping_sub(end.start) >= TRAIL {
            end.start = end.last.wrapping_sub(TRAIL / 2);
        }
    }

    /// How the connection went so far.
    pub fn conn_state(&self, history: &TcpHistory) -> ConnState {
        use EndState::{Closed, Established, Inactive, Partial, Reset, SynAckSent, SynSent};
        let [orig, resp] = self.ends;
        let silent = |end: End| matches!(end.state, Inactive | Partial);
        match (orig.state, resp.state) {
            (SynSent | SynAckSent, Reset) => ConnState::REJ,
            (Reset, Reset) if orig.is_empty() && resp.is_empty() => ConnState::REJ,
            (_, Reset) if silent(orig) => ConnState::RSTRH,
            (_, Reset) => ConnState::RSTR,
            (Reset, _) if silent(resp) && history.letters().syn_then_reset() => ConnState::RSTOS0,
            (Reset, _) if silent(resp) => ConnState::OTH,
            (Reset, _) => ConnState::RSTO,
            (Closed, Closed) => ConnState::SF,
            (Closed, _) if silent(resp) => ConnState::SH,
            (Closed, _) => ConnState::S2,
            (_, Closed) if silent(orig) => ConnState::SHR,
            (_, Closed) => ConnState::S3,
            (SynSent, Inactive) => ConnState::S0,
            (Established, Established) => ConnState::S1,
            _ => ConnState::OTH,
        }
    }

    /// Whether a SYN, in a connection that has not ended, asks for another one: its sequence number is not the first SYN's.
    pub fn is_reuse(&self, header: &TcpHeader) -> bool {
        header.flags & (tcp_flags::SYN | tcp_flags::ACK) == tcp_flags::SYN && header.seq != self.ends[0].start
    }

    /// Whether a SYN, or a SYN-ACK, shows that the responder is the one who asks.
    ///
    /// A SYN of the responder does, unless it answered the originator's SYN before, or repeats its own. A SYN-ACK of the
    /// originator does where it acknowledges the responder's SYN. So the side whose SYN was answered last is the originator,
    /// whatever somebody forged before.
    pub fn turns(&self, from_resp: bool, header: &TcpHeader) -> bool {
        let resp = &self.ends[1];
        let asked = |end: &End| end.shake & shake::ASKED != 0;
        if header.flags & tcp_flags::ACK == 0 {
            let is_repeated = asked(resp) && resp.start == header.seq;
            from_resp && resp.shake & shake::ANSWERED == 0 && !is_repeated
        } else {
            !from_resp && asked(resp) && header.ack == resp.start.wrapping_add(1)
        }
    }

    /// The responder becomes the originator.
    pub fn turn(&mut self) {
        self.ends.swap(0, 1);
        for end in &mut self.ends {
            end.shake |= shake::TURNED;
            end.shake &= !shake::ANSWERED;
        }
    }

    /// Whether [`Self::turn`] was called.
    pub const fn is_turned(&self) -> bool {
        self.ends[0].shake & shake::TURNED != 0
    }

    /// Whether a segment brings the first bytes of a stream again.
    pub fn repeats_start(&self, from_resp: bool, header: &TcpHeader, payload_bytes: u32) -> bool {
        let end = &self.ends[usize::from(from_resp)];
        payload_bytes > 0
            && header.flags & tcp_flags::SYN == 0
            && header.seq == end.start.wrapping_add(1)
            && distance(header.seq, end.last) > 0
    }

    const fn end(&self, segment: &Segment) -> &End {
        &self.ends[segment.from_resp as usize]
    }

    const fn end_mut(&mut self, segment: &Segment) -> &mut End {
        &mut self.ends[segment.from_resp as usize]
    }

    const fn peer(&self, segment: &Segment) -> &End {
        &self.ends[!segment.from_resp as usize]
    }

    const fn peer_mut(&mut self, segment: &Segment) -> &mut End {
        &mut self.ends[!segment.from_resp as usize]
    }

    /// Where the sequence numbers of this end start.
    fn locate(&mut self, segment: &Segment) {
        let syn = segment.has(tcp_flags::SYN);
        let end = self.end_mut(segment);
        match end.state {
            EndState::Inactive if !syn => {
                *end = End { start: segment.seq.wrapping_sub(1), last: segment.seq, edge: segment.seq, ..*end };
            }
            EndState::Closed => {}
            EndState::Reset if end.before != EndState::Inactive => {}
            _ if syn && (end.state == EndState::Inactive || segment.seq != end.start) => {
                let after = segment.seq.wrapping_add(1);
                *end = End { start: segment.seq, last: segment.end(), edge: after, ..*end };
            }
            _ => {}
        }
    }

    /// What a SYN says of the handshake.
    const fn shake(&mut self, segment: &Segment) {
        if !segment.has(tcp_flags::SYN) || segment.has(tcp_flags::FIN | tcp_flags::RST) {
            return;
        }
        let peer = *self.peer(segment);
        let end = self.end_mut(segment);
        if !segment.has(tcp_flags::ACK) {
            end.shake |= shake::ASKED;
            return;
        }
        if end.start != segment.seq {
            // It answers with another number: it does not ask any more.
            end.shake &= !shake::ASKED;
        }
        if peer.shake & shake::ASKED != 0 && segment.ack == peer.start.wrapping_add(1) {
            end.shake |= shake::ANSWERED;
        }
    }

    /// Letters for the flags and the payload.
    fn letters(&mut self, history: &mut TcpHistory, segment: &Segment) {
        let start = self.end(segment).start;
        let payload_end = segment.seq.wrapping_add(segment.len);
        let place = usize::from(segment.from_resp);
        let end = self.end_mut(segment);
        let (bit, code, again) = match segment.flags & CONTROL {
            0 if segment.len > 0 => (letter::DATA, b'D', false),
            0 if segment.has(tcp_flags::ACK) => (letter::ACK, b'A', false),
            0 => return,
            tcp_flags::SYN => {
                let code = if segment.has(tcp_flags::ACK) { b'H' } else { b'S' };
                (letter::SYN, code, segment.seq != start)
            }
            tcp_flags::FIN => (letter::FIN, b'F', history.moved_fin(place, payload_end)),
            tcp_flags::RST => (letter::RST, b'R', history.moved_rst(place, segment.seq)),
            both if both & (tcp_flags::FIN | tcp_flags::RST) == tcp_flags::FIN | tcp_flags::RST => {
                (letter::FIN_RST, b'I', false)
            }
            _ => (letter::MULTI, b'Q', false),
        };
        if end.seen & bit == 0 || again {
            end.seen |= bit;
            history.push_from(segment.from_resp, code);
        }
    }

    /// A zero window matters unless it comes with or after a reset, or when the peer will not send any more.
    fn window(&self, history: &mut TcpHistory, segment: &Segment) {
        let peer_goes_on = self.peer(segment).state != EndState::Closed;
        let alive = self.end(segment).state != EndState::Reset && !segment.has(tcp_flags::RST);
        if segment.window == 0 && alive && peer_goes_on {
            history.count(segment.from_resp, Scaled::ZeroWindow);
        }
    }

    /// Sets up a peer of which nothing was seen; true where the acknowledgement is of no use.
    fn acknowledged(&mut self, segment: &Segment) -> bool {
        if !segment.has(tcp_flags::ACK) {
            return true;
        }
        let peer = self.peer_mut(segment);
        if peer.state == EndState::Inactive {
            let start = segment.ack.wrapping_sub(1);
            *peer = End { start, last: start, edge: segment.ack, ..*peer };
            return true;
        }
        distance(peer.start, segment.ack) < 0
    }

    /// Moves the highest sequence number, or notes that payload came again.
    fn advance(&mut self, history: &mut TcpHistory, segment: &Segment) {
        let end = self.end_mut(segment);
        let ahead = distance(end.last, segment.end());
        if segment.has(tcp_flags::SYN | tcp_flags::RST) && !(-FAR..=FAR).contains(&ahead) {
            return;
        }
        if segment.has(tcp_flags::FIN) && end.last == end.start.wrapping_add(1) {
            end.last = segment.end();
        } else if end.state == EndState::Reset {
        } else if ahead > 0 {
            end.last = segment.end();
        } else if segment.len > 0 {
            history.count(segment.from_resp, Scaled::Resent);
        }
    }

    /// Bytes that the peer sent, were acknowledged, and were not seen.
    fn gaps(&mut self, history: &mut TcpHistory, segment: &Segment) {
        let clean = self.ends.iter().all(End::is_clean);
        let peer = self.peer_mut(segment);
        // Nothing comes after a FIN that was seen.
        let beyond = peer.seen & letter::FIN != 0 && distance(peer.last, segment.ack) > 0;
        let ack = if beyond { peer.last } else { segment.ack };
        while distance(peer.edge, ack) > 0 {
            if clean {
                history.count(!segment.from_resp, Scaled::Gap);
            }
            peer.edge = history.after_hole(!segment.from_resp, peer.edge, ack);
        }
    }

    /// Sequence numbers that were seen now; what fills a hole joins what was behind it.
    fn arrived(&mut self, history: &mut TcpHistory, segment: &Segment) {
        let end = &mut self.ends[usize::from(segment.from_resp)];
        let to = segment.end();
        if distance(end.edge, segment.seq) > 0 {
            history.remember(segment.from_resp, segment.seq, to);
        } else if distance(end.edge, to) > 0 {
            end.edge = history.join(segment.from_resp, to);
        }
    }

    /// The state machine: what this packet makes of its sender, and of the peer.
    fn transition(&mut self, segment: &Segment) {
        match self.end(segment).state {
            EndState::Inactive => self.first(segment),
            EndState::SynSent | EndState::SynAckSent => {
                self.end_mut(segment).close(segment);
            }
            EndState::Established | EndState::Partial => self.established(segment),
            EndState::Closed => {
                if segment.has(tcp_flags::RST) && self.peer(segment).state != EndState::Closed {
                    self.end_mut(segment).set(EndState::Reset);
                }
            }
            EndState::Reset => {}
        }
    }

    /// The first packet from an end.
    fn first(&mut self, segment: &Segment) {
        let is_ack = segment.has(tcp_flags::ACK);
        let peer = self.peer(segment).state;
        if segment.has(tcp_flags::SYN) {
            if segment.from_resp {
                if peer == EndState::SynSent {
                    self.peer_mut(segment).set(EndState::Established);
                }
                self.end_mut(segment).set(EndState::Established);
            } else {
                self.end_mut(segment).set(if is_ack { EndState::SynAckSent } else { EndState::SynSent });
            }
        }
        self.end_mut(segment).close(segment);
        if self.end(segment).state != EndState::Inactive {
            return;
        }
        // Some acknowledge a SYN before they answer it.
        let early_ack = segment.from_resp && segment.len == 0 && peer == EndState::SynSent;
        if !early_ack {
            let only_syn_missed = is_ack && peer == EndState::Established;
            self.end_mut(segment).set(if only_syn_missed { EndState::Established } else { EndState::Partial });
        }
    }

    fn established(&mut self, segment: &Segment) {
        let peer = *self.peer(segment);
        let end = self.end_mut(segment);
        let plain_syn = segment.flags & (tcp_flags::SYN | tcp_flags::ACK) == tcp_flags::SYN;
        if plain_syn && end.state == EndState::Partial && peer.state == EndState::Inactive {
            end.set(EndState::SynSent);
        }
        end.close(segment);
        let ended = segment.has(tcp_flags::FIN) && !segment.has(tcp_flags::RST);
        if ended && peer.state == EndState::Reset && peer.before == EndState::Closed {
            // A FIN, then a RST for what came late: a normal end.
            self.peer_mut(segment).set(EndState::Closed);
        }
    }
}

impl End {
    fn set(&mut self, state: EndState) {
        if state != self.state {
            self.before = self.state;
            self.state = state;
        }
    }

    /// FIN closes, RST resets.
    fn close(&mut self, segment: &Segment) {
        if segment.has(tcp_flags::FIN) {
            self.set(EndState::Closed);
        }
        if segment.has(tcp_flags::RST) {
            self.set(EndState::Reset);
        }
    }

    /// Established, or closed after that.
    fn is_clean(&self) -> bool {
        self.state == EndState::Established || (self.state == EndState::Closed && self.before == EndState::Established)
    }

    /// Whether it sent no payload.
    fn is_empty(&self) -> bool {
        let sent = self.last.wrapping_sub(self.start).max(self.edge.wrapping_sub(self.start));
        sent <= 1 + u32::from(self.seen & letter::FIN != 0)
    }
}

const _: () = assert!(size_of::<TcpState>() <= 32);

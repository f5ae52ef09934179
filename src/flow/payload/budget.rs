//! What a flow's entry holds of first-payload facts: which payload is wanted, and where they are kept.
//!
//! Contract: [`PayloadBudget`] is one byte and belongs with the hot fields of a flow, [`PayloadSlot`] with the cold ones.

use crate::decode::{Headers, TcpHeader};
use crate::input::{Protocol, tcp_flags};

/// What a flow still wants of its payload: four bits a direction, the originator's lower.
///
/// 0: nothing. 1 to 5: so many later segments may begin a hello. 6: any later segment may begin a `CONNECT` or a hello. From 7: its messages, and so many of them, less 7, may yet
/// be unreadable. 15: all packets of an ICMP echo flow, for ever.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::flow) struct PayloadBudget(u8);

impl PayloadBudget {
    const ECHO: u8 = 15;
    pub(super) const FRESH: u8 = 14;
    pub(super) const MESSAGES: u8 = 7;
    pub(super) const REQUESTS: u8 = 6;

    /// Of a flow that starts with a packet.
    pub(in crate::flow) fn new(headers: &Headers) -> Self {
        let is_later = headers.fragment.is_some_and(|piece| !piece.is_first());
        let level = match headers.protocol {
            Protocol::TCP | Protocol::UDP if !is_later => Self::FRESH,
            _ if is_echo(headers) && !is_later => Self::ECHO,
            _ => 0,
        };
        Self(level << 4 | level)
    }

    /// Whether a packet of a direction (0: originator) is to be fed: one with payload, if anything is wanted; of an echo each.
    pub(in crate::flow) const fn wants(self, side: usize, payload_bytes: u32) -> bool {
        self.level(side) > if payload_bytes == 0 { Self::FRESH } else { 0 }
    }

    /// Whether it is that of an ICMP echo flow.
    pub(super) const fn is_echo(self) -> bool {
        self.level(0) == Self::ECHO
    }

    pub(super) const fn level(self, side: usize) -> u8 {
        self.0 >> (side * 4) & 0x0f
    }

    pub(super) const fn set(&mut self, side: usize, level: u8) {
        self.0 = self.0 & !(0x0f << (side * 4)) | level << (side * 4);
    }

    pub(super) const fn is_none(self) -> bool {
        self.0 == 0
    }

    /// Something unreadable came.
    pub(super) const fn disappoint(&mut self, side: usize) {
        let level = self.level(side);
        self.set(side, if level > Self::MESSAGES { level - 1 } else { 0 });
    }

    pub(super) const fn end(&mut self) {
        self.0 = 0;
    }

    /// The responder becomes the originator.
    pub(in crate::flow) const fn turn(&mut self) {
        self.0 = self.0.rotate_left(4);
    }
}

/// A flow's place in the [`super::PayloadInspector`], in its cold entry.
#[derive(Clone, Copy, Debug)]
pub(in crate::flow) struct PayloadSlot {
    pub(super) index: u32,
    /// TCP, by direction: sequence number of the first byte that was not examined yet. Echo: odd and unasked replies.
    pub(super) next: [u32; 2],
    /// By direction: whether a packet was seen.
    pub(super) is_known: [bool; 2],
}

impl PayloadSlot {
    pub(super) const NONE: u32 = u32::MAX;

    /// Of a flow without facts.
    pub(in crate::flow) const fn new() -> Self {
        Self { index: Self::NONE, next: [0; 2], is_known: [false; 2] }
    }

    /// The responder becomes the originator.
    pub(in crate::flow) const fn turn(&mut self) {
        self.next.swap(0, 1);
        self.is_known.swap(0, 1);
    }

    /// The first packet of a direction says where its stream starts.
    pub(in crate::flow) fn see_first(&mut self, side: usize, headers: &Headers) {
        if let Some(tcp) = headers.tcp
            && !std::mem::replace(&mut self.is_known[side], true)
        {
            self.next[side] = payload_seq(tcp);
        }
    }
}

/// Sequence number of the first payload byte: a SYN takes one before it.
pub(super) const fn payload_seq(tcp: TcpHeader) -> u32 {
    tcp.seq.wrapping_add((tcp.flags & tcp_flags::SYN != 0) as u32)
}

/// Whether a packet is an echo request, or the reply to one.
pub(super) const fn is_echo(headers: &Headers) -> bool {
    let is_kind =
        matches!((headers.protocol, headers.src_port), (Protocol::ICMP, 0 | 8) | (Protocol::ICMPV6, 128 | 129));
    is_kind && !headers.one_way
}

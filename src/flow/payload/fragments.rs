//! First-payload facts of packets that IP has split.
//!
//! Contract: pieces of the packet that is being put together, one a flow at a time, come back as what was sent. Later
//! pieces must carry the ports of the first, as the meter gives them. Limits: those of a [`Stream`]; the first piece must come first.
//! Design: TCP pieces are segments with a sequence number that is counted on; UDP pieces wait for the whole datagram, except
//! that a first piece long enough for a question is read at once.

use super::budget::payload_seq;
use super::stream::Stream;
use super::{PayloadBudget, PayloadInspector, PayloadSlot};
use crate::decode::app::dns;
use crate::decode::{Fragment, Headers, TcpHeader};

/// The packet in pieces of one flow.
#[derive(Debug)]
pub(super) struct Pieces {
    id: u32,
    side: usize,
    /// Of the first piece.
    tcp: Option<TcpHeader>,
    /// Payload bytes of the first piece.
    first: usize,
    /// Bytes before the payload; known from the second piece on.
    head: Option<usize>,
    pub(super) stream: Stream,
    /// Length of the payload, once the last piece came.
    end: Option<usize>,
}

impl Pieces {
    /// Where a later piece belongs in the payload.
    fn place(&mut self, piece: Fragment) -> Option<usize> {
        let offset = piece.offset as usize;
        // What the second piece starts after is header and payload of the first.
        let head = *self.head.get_or_insert(offset.saturating_sub(self.first));
        offset.checked_sub(head).filter(|_| (8..=60).contains(&head))
    }
}

impl PayloadInspector {
    /// A piece of a packet.
    pub(super) fn fragment(
        &mut self,
        budget: &mut PayloadBudget,
        slot: &mut PayloadSlot,
        side: usize,
        (headers, piece): (&Headers, Fragment),
        payload: &[u8],
    ) {
        if piece.is_first() {
            self.first_piece(budget, slot, side, (headers, piece), payload);
        } else {
            self.later_piece(budget, slot, side, (headers, piece), payload);
        }
    }

    fn first_piece(
        &mut self,
        budget: &mut PayloadBudget,
        slot: &mut PayloadSlot,
        side: usize,
        (headers, piece): (&Headers, Fragment),
        payload: &[u8],
    ) {
        if let Some(tcp) = headers.tcp {
            self.segment(budget, slot, side, (headers, tcp), payload);
        } else if payload.len() >= dns::MAX_QUESTION {
            self.datagram(budget, slot, side, headers, payload);
        }
        let Some(work) = budget.wants(side, 1).then(|| self.work(slot)).flatten() else { return };
        let mut stream = Stream::default();
        if headers.tcp.is_none() {
            stream.push(0, payload);
        }
        let (first, head) = (headers.payload_bytes as usize, headers.tcp.is_none().then_some(8));
        let added = stream.held();
        let pieces = Pieces { id: piece.id, side, tcp: headers.tcp, first, head, stream, end: None };
        let dropped = work.pieces.replace(pieces).map_or(0, |old| old.stream.held());
        self.buffered = (self.buffered + added).saturating_sub(dropped);
    }

    fn later_piece(
        &mut self,
        budget: &mut PayloadBudget,
        slot: &mut PayloadSlot,
        side: usize,
        (headers, piece): (&Headers, Fragment),
        payload: &[u8],
    ) {
        let work = self.all.get_mut(slot.index as usize).and_then(|flow| flow.work.as_mut());
        let Some(mut pieces) = work.and_then(|work| work.pieces.take()) else { return };
        let place = pieces.place(piece).filter(|_| pieces.id == piece.id && pieces.side == side);
        let before = pieces.stream.held();
        if let (Some(place), Some(tcp)) = (place, pieces.tcp) {
            let seq = payload_seq(tcp).wrapping_add(u32::try_from(place).unwrap_or(u32::MAX));
            self.segment(budget, slot, side, (headers, TcpHeader { flags: 0, seq, ..tcp }), payload);
        } else if let Some(place) = place {
            pieces.stream.push(place, payload);
            if !piece.more {
                pieces.end = Some(place + payload.len());
            }
            if pieces.end.is_some_and(|end| pieces.stream.prefix().len() >= end) {
                self.buffered = self.buffered.saturating_sub(before);
                return self.datagram(budget, slot, side, headers, pieces.stream.prefix());
            }
        }
        self.buffered = (self.buffered + pieces.stream.held()).saturating_sub(before);
        let work = self.all.get_mut(slot.index as usize).and_then(|flow| flow.work.as_mut());
        match work {
            Some(work) => work.pieces = Some(pieces),
            None => self.buffered = self.buffered.saturating_sub(pieces.stream.held()),
        }
    }
}

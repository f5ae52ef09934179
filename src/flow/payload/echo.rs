//! Whether ICMP echo replies say what their requests said.
//!
//! Contract: who answers a ping sends back what it got, byte for byte; some cut it short. A reply that says something else, or
//! that nobody asked for, is counted in the flow's [`PayloadSlot`]; no flow takes memory for it.
//! Limits: the last [`REMEMBERED`] requests of all flows of a meter, the first [`PREFIX`] bytes of each; a request that was
//! forgotten makes its reply one that nobody asked for. Of packets that IP has split only the first piece is looked at.
//! Design: a table without chains: a request takes the place that its ends, identifier and number choose. The hash has no
//! random seed, so that a replay counts the same; who chooses colliding requests only has more replies counted.

use std::hash::BuildHasher as _;
use std::net::IpAddr;

use foldhash::fast::FixedState;

use super::PayloadSlot;
use crate::decode::Headers;
use crate::input::EchoFacts;

/// Requests that are remembered.
const REMEMBERED: usize = 512;
/// Bytes of a request that are remembered: an ordinary ping has 56.
const PREFIX: usize = 64;
/// So many replies of a kind are reported at once.
pub(super) const REPORT_AT: u32 = 4;

/// What a request said.
#[derive(Clone, Copy, Debug)]
struct Request {
    tag: u64,
    /// Payload bytes; `None` where IP has split it.
    bytes: Option<u32>,
    seen: u8,
    prefix: [u8; PREFIX],
}

impl Request {
    const NONE: Self = Self { tag: 0, bytes: None, seen: 0, prefix: [0; PREFIX] };

    fn new(tag: u64, headers: &Headers, payload: &[u8]) -> Self {
        let seen = payload.get(..PREFIX).unwrap_or(payload);
        let mut prefix = [0; PREFIX];
        prefix.iter_mut().zip(seen).for_each(|(place, byte)| *place = *byte);
        Self { tag, bytes: bytes(headers), seen: u8::try_from(seen.len()).unwrap_or(0), prefix }
    }

    /// Whether a reply says something else. It may be shorter; what was not captured is not compared.
    fn differs(&self, headers: &Headers, payload: &[u8]) -> bool {
        let is_longer = self.bytes.zip(bytes(headers)).is_some_and(|(asked, answered)| answered > asked);
        let asked = self.prefix.iter().take(usize::from(self.seen));
        is_longer || asked.zip(payload).any(|(asked, answered)| asked != answered)
    }
}

/// How much it carries; `None` for a piece.
fn bytes(headers: &Headers) -> Option<u32> {
    headers.fragment.is_none().then_some(headers.payload_bytes)
}

/// The last requests; no memory before there is one.
#[derive(Debug, Default)]
pub(super) struct Echoes {
    requests: Vec<Request>,
}

impl Echoes {
    /// Takes an echo packet; true when there is something to report about its flow.
    pub(super) fn see(&mut self, slot: &mut PayloadSlot, headers: &Headers, frame: &[u8]) -> bool {
        let is_piece = headers.fragment.is_some_and(|piece| !piece.is_first());
        let identity = (headers.payload_at as usize).checked_sub(4).and_then(|at| frame.get(at..)?.first_chunk::<4>());
        let Some(identity) = identity.filter(|_| !is_piece) else { return false };
        let payload = headers.payload(frame);
        if matches!(headers.src_port, 8 | 128) {
            let tag = tag(headers.src, headers.dst, *identity);
            if self.requests.is_empty() {
                self.requests = vec![Request::NONE; REMEMBERED];
            }
            if let Some(place) = self.requests.get_mut(place(tag)) {
                *place = Request::new(tag, headers, payload);
            }
            return false;
        }
        let tag = tag(headers.dst, headers.src, *identity);
        let request = self.requests.get(place(tag)).filter(|request| request.tag == tag);
        let [odd, unasked] = &mut slot.next;
        match request {
            Some(request) if request.differs(headers, payload) => counted(odd),
            Some(_) => false,
            None => counted(unasked),
        }
    }
}

fn counted(count: &mut u32) -> bool {
    *count = count.saturating_add(1);
    *count == REPORT_AT
}

/// Who asks whom, identifier and number; never 0.
fn tag(from: IpAddr, to: IpAddr, identity: [u8; 4]) -> u64 {
    FixedState::default().hash_one((from, to, identity)) | 1
}

/// The upper bits are the best mixed.
fn place(tag: u64) -> usize {
    (tag >> 32) as usize % REMEMBERED
}

/// What was counted in a slot of an echo flow; nothing where all replies were as they should be.
pub(super) fn facts(slot: &PayloadSlot) -> Option<EchoFacts> {
    let [odd_replies, unasked_replies] = slot.next;
    (odd_replies > 0 || unasked_replies > 0).then_some(EchoFacts { odd_replies, unasked_replies })
}

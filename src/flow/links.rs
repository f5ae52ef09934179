//! Over which pairs of link addresses a direction's packets went.
//!
//! Contract: the first pair of a direction is the record's own and costs a comparison a packet; what goes over another pair is
//! counted by pair, at most [`RareFacts::MAX_LINKS`] of them a direction, then all others together.
//! Limits: Ethernet only, and the outermost header's addresses. Pairs are distinguished by a tag of 32 bits under random keys:
//! nobody can choose addresses with equal tags, and two pairs have the same once in four billion.
//! Design: the tag is made of the frame's first twelve bytes while they are at hand; a flow keeps eight bytes for two directions.

use std::hash::BuildHasher as _;

use super::direction::Direction;
use crate::decode::Headers;
use crate::input::{LinkShare, Mac, RareFacts};

/// Makes tags of pairs of link addresses.
#[derive(Clone, Copy, Debug)]
pub(super) struct Tagger([u64; 2]);

impl Tagger {
    pub(super) fn new() -> Self {
        let seed = foldhash::fast::RandomState::default();
        Self([seed.hash_one(1), seed.hash_one(2)])
    }

    /// The tag of an Ethernet frame; never 0.
    #[inline]
    #[expect(clippy::cast_possible_truncation, reason = "both halves of the product are folded into a tag")]
    pub(super) fn tag(&self, frame: &[u8]) -> u32 {
        let Some(addresses) = frame.first_chunk::<12>() else { return 0 };
        let (Some(upper), Some(lower)) = (addresses.first_chunk::<8>(), addresses.last_chunk::<4>()) else { return 0 };
        let upper = u64::from_le_bytes(*upper) ^ self.0[0];
        let lower = u64::from(u32::from_le_bytes(*lower)) ^ self.0[1];
        let product = u128::from(upper) * u128::from(lower);
        // Both halves matter; the lowest bit says that there is a tag.
        ((product >> 64) as u64 ^ product as u64) as u32 | 1
    }
}

/// What went over one other pair.
#[derive(Clone, Copy, Debug)]
pub(super) struct OtherLink {
    /// 0 for all pairs that are not kept.
    tag: u32,
    direction: Direction,
    mac: Option<Mac>,
    next_hop: Option<Mac>,
    packets: u64,
    frame_bytes: u64,
}

impl OtherLink {
    pub(super) fn share(&self) -> LinkShare {
        let Self { direction, mac, next_hop, packets, frame_bytes, .. } = *self;
        LinkShare { from_orig: direction == Direction::Orig, mac, next_hop, packets, frame_bytes }
    }
}

/// Counts a packet that did not go over its direction's first pair; true when its pair is new.
pub(super) fn count(
    links: &mut Vec<OtherLink>,
    direction: Direction,
    tag: u32,
    headers: &Headers,
    wire_len: u32,
) -> bool {
    let of_side = |link: &&mut OtherLink| link.direction == direction;
    let kept = links.iter_mut().filter(of_side).count();
    let is_known = |link: &mut OtherLink| link.tag == tag || (link.tag == 0 && kept > RareFacts::MAX_LINKS);
    if let Some(link) = links.iter_mut().filter(of_side).find_map(|link| is_known(link).then_some(link)) {
        link.packets += 1;
        link.frame_bytes += u64::from(wire_len);
        return false;
    }
    let has_room = kept < RareFacts::MAX_LINKS;
    let (tag, mac, next_hop) = if has_room { (tag, headers.src_mac, headers.dst_mac) } else { (0, None, None) };
    links.push(OtherLink { tag, direction, mac, next_hop, packets: 1, frame_bytes: u64::from(wire_len) });
    true
}

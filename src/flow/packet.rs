//! A packet on its way through the meter.

use super::key::FlowKey;
use super::layers::Encapsulation;
use crate::decode::Headers;
use crate::time::Timestamp;

/// A decoded packet on its way to its flow.
#[derive(Clone, Copy, Debug)]
pub(super) struct Packet {
    pub(super) at: Timestamp,
    pub(super) wire_len: u32,
    pub(super) hash: u32,
    /// Tag of its link addresses ([`super::links::Tagger`]); 0 where they are not known.
    pub(super) link: u32,
    /// [`FlowKey::NONE`] where it belongs to no flow.
    pub(super) key: FlowKey,
    /// Its sender is the low end of the key.
    pub(super) from_low: bool,
    pub(super) headers: Headers,
}

impl Packet {
    pub(super) const EMPTY: Self = Self {
        at: Timestamp::MIN,
        wire_len: 0,
        hash: 0,
        link: 0,
        key: FlowKey::NONE,
        from_low: false,
        headers: Headers::EMPTY,
    };
}

/// What else is known of a packet.
#[derive(Clone, Copy, Debug)]
pub(super) struct Context<'a> {
    /// The frame; empty when it is gone.
    pub(super) data: &'a [u8],
    pub(super) encapsulation: Encapsulation<'a>,
    /// The slot where its flow was when the batch began.
    pub(super) likely: u32,
}

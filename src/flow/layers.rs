//! Which IP header of a packet is metered, and what a fragment or a tunnel needs before it is.
//!
//! Contract: a packet that is neither a fragment nor a tunnel pays one comparison ([`Layers::is_plain`]). Every packet is
//! metered once: now, or as a fragment that waited.
//! Limits: fragments are not put together again, so a packet that a tunnel splits is entered by its first piece; its later
//! pieces count to the carrying flow.

use super::fragments::{Fragments, Piece};
use crate::decode::{Headers, TunnelPorts, TunnelStack, carried, innermost, may_carry, may_show};
use crate::input::Tunnel;
use crate::time::Timestamp;

/// Which IP header of a packet is metered.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Layer {
    /// The outermost: who talked on this network.
    #[default]
    Outer,
    /// The innermost: who talked through tunnels.
    Inner,
}

/// What is known of the tunnels around a packet.
#[derive(Clone, Copy, Debug)]
pub(super) enum Encapsulation<'a> {
    /// The frame, to look at if it matters.
    Frame(&'a [u8]),
    /// The tunnels that it came through.
    Passed(&'a TunnelStack),
    /// Nothing can be said any more.
    Unknown,
}

/// Finds the header that is metered.
#[derive(Debug, Default)]
pub(super) struct Layers {
    layer: Layer,
    ports: TunnelPorts,
    fragments: Fragments,
}

impl Layers {
    pub(super) fn new(layer: Layer, ports: TunnelPorts) -> Self {
        Self { layer, ports, fragments: Fragments::default() }
    }

    /// Whether the outermost header is metered as it is.
    #[inline]
    pub(super) fn is_plain(&self, outer: &Headers) -> bool {
        outer.fragment.is_none() && (self.layer == Layer::Outer || !may_carry(outer, &self.ports))
    }

    /// The header to meter and the tunnels it came through; `None` when the packet waits.
    pub(super) fn select(&mut self, outer: Piece, data: &[u8], now: Timestamp) -> Option<(Headers, TunnelStack)> {
        let (headers, tunnels) = match self.layer {
            Layer::Outer => (outer.headers, TunnelStack::default()),
            Layer::Inner => innermost(data, &outer.headers, &self.ports),
        };
        // The later pieces of a packet that carries others need the ports of its first one.
        if headers != outer.headers
            && let Some(fragment) = outer.headers.fragment
        {
            self.fragments.put(outer, fragment, now);
        }
        match headers.fragment {
            Some(fragment) => {
                self.fragments.put(Piece { headers, ..outer }, fragment, now).map(|headers| (headers, tunnels))
            }
            None => Some((headers, tunnels)),
        }
    }

    /// A fragment whose waiting is over.
    pub(super) fn ready(&mut self) -> Option<Piece> {
        self.fragments.ready()
    }

    /// When fragments are given up next.
    #[inline]
    pub(super) fn next_deadline(&self) -> Option<Timestamp> {
        self.fragments.next_deadline()
    }

    /// Time passed.
    pub(super) fn expire(&mut self, now: Timestamp) {
        self.fragments.expire(now);
    }

    /// The observation ends.
    pub(super) fn drain(&mut self) {
        self.fragments.drain();
    }

    /// The tunnels that a record names, from its first packet.
    pub(super) fn tunnels(&self, headers: &Headers, encapsulation: Encapsulation<'_>) -> Option<Box<[Tunnel]>> {
        let tunnels: Box<[Tunnel]> = match encapsulation {
            Encapsulation::Frame(data) if !may_show(data, headers, &self.ports) => return None,
            Encapsulation::Frame(data) => carried(data, headers, &self.ports).iter().collect(),
            Encapsulation::Passed(tunnels) => tunnels.iter().collect(),
            Encapsulation::Unknown => return None,
        };
        (!tunnels.is_empty()).then_some(tunnels)
    }

    /// Packets that wait.
    pub(super) fn waiting(&self) -> u64 {
        self.fragments.waiting()
    }

    /// What had to be forgotten.
    pub(super) const fn evicted(&self) -> u64 {
        self.fragments.evicted()
    }
}

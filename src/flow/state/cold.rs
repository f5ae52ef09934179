//! What only events of a flow need, and what most flows never have.
//!
//! Contract: every byte of [`Cold`] is a megabyte at a million flows; what is rare is in [`Extras`].

use std::time::Duration;

use super::{Hot, LowCounters, Mark};
use crate::decode::{Headers, VlanStack, route_addresses};
use crate::flow::direction::Direction;
use crate::flow::links::{self, OtherLink};
use crate::flow::macs::Macs;
use crate::flow::packet::Packet;
use crate::flow::payload::PayloadSlot;
use crate::flow::tcp::TcpHistory;
use crate::input::{Mac, RareFacts, Tunnel};
use crate::time::Timestamp;

/// What only events need.
#[derive(Debug)]
pub(in crate::flow) struct Cold {
    pub(in crate::flow) start: Timestamp,
    /// The meter's clock when the record started.
    pub(in crate::flow) started: Timestamp,
    /// The meter's clock at the last `Started` or `Updated`.
    pub(in crate::flow) reported: Timestamp,
    pub(super) history: TcpHistory,
    /// First-payload facts.
    pub(in crate::flow) payload: PayloadSlot,
    /// Records of this tuple before this one with the same start.
    pub(super) again: u32,
    /// The record was reported: its sink took its `Started`.
    pub(in crate::flow) told: bool,
    /// How often the record has resumed.
    pub(in crate::flow) resumed: u8,
    pub(super) macs: Macs,
    pub(super) extras: Option<Box<Extras>>,
}

/// Every byte here is a megabyte at a million flows.
const _: () = assert!(size_of::<Cold>() <= 120);

/// What most records never have.
#[derive(Debug, Default)]
pub(in crate::flow) struct Extras {
    /// Upper halves of the counters.
    pub(super) carries: [LowCounters; 2],
    /// Next hops that [`Macs`] has no place for.
    pub(super) hops: [Option<Mac>; 2],
    /// Fragments in the record.
    pub(in crate::flow) fragments: u64,
    /// Tunnels around, or in, the record's first packet.
    pub(super) tunnels: Box<[Tunnel]>,
    pub(super) vlans: VlanStack,
    /// The latest packet time, where it is far behind the clock.
    pub(super) end: Timestamp,
    pub(in crate::flow) rare: RareFacts,
    pub(super) links: Vec<OtherLink>,
}

impl Cold {
    /// Of a flow without a record.
    pub(in crate::flow) fn first() -> Self {
        Self {
            start: Timestamp::MIN,
            started: Timestamp::MIN,
            reported: Timestamp::MIN,
            history: TcpHistory::default(),
            payload: PayloadSlot::new(),
            again: 0,
            told: false,
            resumed: 0,
            macs: Macs::NONE,
            extras: None,
        }
    }

    /// Reads a word of what TCP needs.
    #[inline]
    pub(in crate::flow) const fn prefetch(&self) -> u32 {
        self.history.prefetch()
    }

    /// Start of the record and how many before it had the same.
    pub(in crate::flow) const fn position(&self) -> (Timestamp, u32) {
        (self.start, self.again)
    }

    /// The latest packet time of the record.
    pub(super) fn end(&self, hot: &Hot) -> Timestamp {
        match &self.extras {
            Some(extras) if hot.lag == Hot::FAR => extras.end,
            _ => hot.last.minus(Duration::from_nanos(u64::from(hot.lag))),
        }
    }

    /// Who sent the first packet of the originator.
    pub(in crate::flow) fn sender(&self) -> Option<Mac> {
        self.macs.source(Direction::Orig.index())
    }

    /// Whether the ends send from two link addresses, as far as these are known: one host that forges the other end sends from one.
    pub(in crate::flow) fn has_two_senders(&self) -> bool {
        let [orig, resp] = [0, 1].map(|side| self.macs.source(side));
        orig.is_none() || orig != resp
    }

    /// What most records never have.
    pub(in crate::flow) fn extras(&mut self, hot: &mut Hot) -> &mut Extras {
        hot.marks.set(Mark::Extras);
        self.extras.get_or_insert_default()
    }

    /// Keeps what only the first packet of a direction says.
    pub(in crate::flow) fn see_first(&mut self, hot: &mut Hot, direction: Direction, packet: &Packet) {
        let headers = &packet.headers;
        hot.links[direction.index()] = packet.link;
        let misfits = self.macs.see(direction.index(), headers.src_mac, headers.dst_mac);
        for (side, hop) in misfits.into_iter().flatten().flatten() {
            self.extras(hot).hops[side] = Some(hop);
        }
        self.payload.see_first(direction.index(), headers);
    }

    /// A packet came at the meter's clock, or was captured before.
    #[inline]
    pub(in crate::flow) fn see_time(&mut self, hot: &mut Hot, at: Timestamp, now: Timestamp) {
        if at == now {
            hot.lag = 0;
        } else {
            self.set_late(hot, at, now);
        }
        hot.last = now;
    }

    /// Keeps the latest packet time, where a packet is older than the meter's clock.
    #[cold]
    fn set_late(&mut self, hot: &mut Hot, at: Timestamp, now: Timestamp) {
        let end = self.end(hot).max(at);
        hot.lag = Hot::FAR;
        if end <= now
            && let Ok(lag) = u32::try_from(now.since(end).as_nanos())
            && lag < Hot::FAR
        {
            hot.lag = lag;
        } else {
            self.extras(hot).end = end;
        }
    }

    /// Counts a packet by its link addresses; true when its pair is another than all before in its direction.
    #[cold]
    pub(in crate::flow) fn see_link(
        &mut self,
        hot: &mut Hot,
        direction: Direction,
        tag: u32,
        headers: &Headers,
        wire_len: u32,
    ) -> bool {
        let first = &mut hot.links[direction.index()];
        if tag == 0 || *first == 0 {
            // Packets whose link addresses are gone say nothing.
            *first = if *first == 0 { tag } else { *first };
            return false;
        }
        links::count(&mut self.extras(hot).links, direction, tag, headers, wire_len)
    }

    /// Keeps the way that a packet names.
    pub(in crate::flow) fn see_route(&mut self, hot: &mut Hot, headers: &Headers, data: &[u8]) {
        let rare = &mut self.extras(hot).rare;
        rare.routed_packets += 1;
        let sender = headers.src_mac.filter(|mac| !rare.routed_by.contains(mac));
        rare.routed_by.extend(sender.filter(|_| rare.routed_by.len() < RareFacts::MAX_ROUTED_BY));
        route_addresses(headers, data, |ip| {
            if rare.routed_via.len() < RareFacts::MAX_ROUTED_VIA && !rare.routed_via.contains(&ip) {
                rare.routed_via.push(ip);
            }
        });
    }

    /// Counts an ICMP error that quotes a flow of the table.
    pub(in crate::flow) fn see_quote(&mut self, hot: &mut Hot) {
        self.extras(hot).rare.quoting_packets += 1;
    }

    /// The first message came again with other content.
    pub(in crate::flow) fn see_rewritten(&mut self, hot: &mut Hot) {
        self.extras(hot).rare.rewritten = true;
    }

    /// Keeps what overflowed when `added` was added to the counters of a direction.
    #[cold]
    pub(in crate::flow) fn carry(&mut self, hot: &mut Hot, direction: Direction, added: LowCounters) {
        let sums = hot.counters[direction.index()];
        let carries = &mut self.extras(hot).carries[direction.index()];
        for ((carry, sum), added) in carries.iter_mut().zip(sums).zip(added) {
            *carry += u32::from(sum < added);
        }
    }
}

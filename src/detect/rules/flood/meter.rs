//! Amounts by key and second.
//!
//! Contract: event time; the busiest second slides by quarters, so that nothing is lost at an edge; what is added to a flow over a longer time is spread
//! evenly over it. Limits: [`QUARTERS`] quarters of a second are kept, and what comes later than that counts in the sum alone; [`MAX_KEYS`] keys, of which the one that came first
//! goes. Distinct sources of a second are counted to [`MAX_SOURCES`].

use std::collections::VecDeque;
use std::hash::Hash;
use std::net::IpAddr;

use super::is_dhcp;
use crate::detect::anomaly::digest::{Digest, digest};
use crate::detect::anomaly::per_actor::insert_tightly;
use crate::input::{FlowRecord, Protocol, tcp_flags};
use crate::time::Timestamp;

/// Quarters of a second that are kept of each key.
const QUARTERS: usize = 32;
/// Quarters of a second in one.
const WHOLE: u64 = 4;
/// After so many quarters without anything it is another flood.
const GAP: u64 = 600 * WHOLE;
/// Keys of one side.
const MAX_KEYS: usize = 16_384;
/// Sources that are told apart in one key.
const MAX_SOURCES: usize = 1024;

/// What floods.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum FloodKind {
    Syn,
    Udp,
    Icmp,
    Dhcp,
    Fragments,
    Stray,
}

impl FloodKind {
    /// The parameter.
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::Syn => "syn",
            Self::Udp => "udp",
            Self::Icmp => "icmp",
            Self::Dhcp => "dhcp",
            Self::Fragments => "fragments",
            Self::Stray => "stray",
        }
    }
}

/// Packets of a flow, and how many came back.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Amount {
    pub(super) packets: u64,
    pub(super) answered: u64,
    pub(super) fragments: u64,
}

impl Amount {
    /// Of a record as it stands.
    pub(super) const fn of(record: &FlowRecord) -> Self {
        let (packets, answered) = (record.orig.counters.packets, record.resp.counters.packets);
        Self { packets, answered, fragments: record.fragments }
    }

    /// What was added.
    pub(super) const fn since(self, before: Self) -> Self {
        Self {
            packets: self.packets.saturating_sub(before.packets),
            answered: self.answered.saturating_sub(before.answered),
            fragments: self.fragments.saturating_sub(before.fragments),
        }
    }

    /// What it counts as: amount and answers of each kind.
    pub(super) fn kinds(self, record: &FlowRecord, is_over: bool) -> impl Iterator<Item = (FloodKind, (u64, u64))> {
        let protocol = record.tuple.protocol;
        let has_syn = record.tcp.is_some_and(|tcp| (tcp.orig_flags | tcp.resp_flags) & tcp_flags::SYN != 0);
        let is_empty = record.orig.counters.payload_bytes == 0 && record.resp.counters.packets == 0;
        let main = match protocol {
            Protocol::TCP => (is_over && !has_syn && is_empty).then_some((FloodKind::Stray, (1, 0))),
            Protocol::UDP if is_dhcp(record) => Some((FloodKind::Dhcp, (self.packets, self.answered))),
            Protocol::UDP => Some((FloodKind::Udp, (self.packets, self.answered))),
            Protocol::ICMP | Protocol::ICMPV6 => Some((FloodKind::Icmp, (self.packets, self.answered))),
            _ => None,
        };
        let fragments = (self.fragments > 0).then_some((FloodKind::Fragments, (self.fragments, self.answered)));
        main.into_iter().chain(fragments).filter(|(_, (packets, _))| *packets > 0)
    }
}

/// One key's busiest second, and all since it began.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Reading {
    pub(super) rate: u64,
    pub(super) answered: u64,
    pub(super) total: u64,
    pub(super) sources: usize,
}

impl Reading {
    /// Whether it crosses the floor, and is answered too rarely.
    pub(super) const fn is_flood(&self, kind: FloodKind, floor: u64) -> bool {
        let is_rare = match kind {
            FloodKind::Syn => self.answered.saturating_mul(5) <= self.rate,
            FloodKind::Udp | FloodKind::Fragments => self.answered.saturating_mul(20) < self.rate,
            FloodKind::Icmp | FloodKind::Dhcp | FloodKind::Stray => true,
        };
        floor > 0 && self.rate >= floor && is_rare
    }
}

/// A quarter of a second.
#[derive(Clone, Copy, Debug, Default)]
struct Quarter {
    /// How often its room was taken before, since the epoch.
    turn: u32,
    packets: u32,
    answered: u32,
}

#[derive(Debug, Default)]
struct Counter {
    quarters: [Quarter; QUARTERS],
    total: u64,
    last: u64,
    next: u64,
    /// Digests of addresses, in order.
    sources: Vec<Digest>,
}

/// Amounts of each key, by default an address and a kind.
#[derive(Debug)]
pub(super) struct Meter<K = (IpAddr, FloodKind)> {
    /// Boxed: a table has room for twice as many as it holds.
    keys: hashbrown::HashMap<K, Box<Counter>, foldhash::fast::RandomState>,
    order: VecDeque<K>,
    forgotten: u64,
}

impl<K> Default for Meter<K> {
    fn default() -> Self {
        Self { keys: hashbrown::HashMap::default(), order: VecDeque::new(), forgotten: 0 }
    }
}

impl<K: Copy + Eq + Hash> Meter<K> {
    /// Adds what came over a time; the busiest of the seconds that it touched.
    pub(super) fn add(
        &mut self,
        key: K,
        amount: (u64, u64),
        (from, to): (Timestamp, Timestamp),
        source: IpAddr,
    ) -> Reading {
        if let Some(known) = self.keys.get_mut(&key) {
            return known.add(amount, (from, to), source);
        }
        if self.keys.len() >= MAX_KEYS
            && let Some(first) = self.order.pop_front()
        {
            self.keys.remove(&first);
            self.forgotten += 1;
        }
        self.order.push_back(key);
        self.keys.entry(key).or_default().add(amount, (from, to), source)
    }

    /// Whether it is time to speak of a flood: for the first time, then at ten times as much.
    pub(super) fn is_due(&mut self, key: K, total: u64) -> bool {
        let Some(counter) = self.keys.get_mut(&key) else { return false };
        if total < counter.next {
            return false;
        }
        counter.next = total.saturating_mul(10);
        true
    }

    pub(super) const fn forgotten(&self) -> u64 {
        self.forgotten
    }
}

impl Counter {
    fn add(&mut self, (packets, answered): (u64, u64), (from, to): (Timestamp, Timestamp), source: IpAddr) -> Reading {
        let last = quarter(to);
        let from = if from == to { last } else { quarter(from) };
        if last > self.last + GAP {
            *self = Self::default();
        }
        self.last = self.last.max(last);
        self.total = self.total.saturating_add(packets);
        self.see(digest(&source));
        let count = last.saturating_sub(from).max(1);
        let first = (last + 1).saturating_sub(count.min(QUARTERS as u64));
        for number in first..=last {
            if let Some(quarter) = self.at(number) {
                quarter.packets = quarter.packets.saturating_add(saturated(packets.div_ceil(count)));
                quarter.answered = quarter.answered.saturating_add(saturated(answered.div_ceil(count)));
            }
        }
        // Nothing came after the newest quarter: a second that ends later holds no more than the one that ends with it.
        let seconds = (first..(last + WHOLE).min(self.last + 1)).map(|number| self.second(number));
        let (rate, answered) = seconds.max_by_key(|(packets, _)| *packets).unwrap_or_default();
        Reading { rate, answered, total: self.total, sources: self.sources.len() }
    }

    fn see(&mut self, source: Digest) {
        if self.sources.len() >= MAX_SOURCES {
            return;
        }
        if let Err(place) = self.sources.binary_search(&source) {
            insert_tightly(&mut self.sources, place, source);
        }
    }

    /// The quarter of this number, unless a later one took its room.
    fn at(&mut self, number: u64) -> Option<&mut Quarter> {
        let (slot, turn) = place(number)?;
        let quarter = self.quarters.get_mut(slot).filter(|quarter| quarter.turn <= turn)?;
        if quarter.turn < turn {
            *quarter = Quarter { turn, ..Quarter::default() };
        }
        Some(quarter)
    }

    /// What came, and what was answered, in the second that ends with this quarter.
    fn second(&self, last: u64) -> (u64, u64) {
        let of = |number: u64| {
            let (slot, turn) = place(number)?;
            self.quarters.get(slot).filter(|quarter| quarter.turn == turn)
        };
        let quarters = (last.saturating_sub(WHOLE - 1)..=last).filter_map(of);
        quarters.fold((0, 0), |(packets, answered), one| {
            (packets + u64::from(one.packets), answered + u64::from(one.answered))
        })
    }
}

/// Where a quarter has its room, and how often that was taken before.
fn place(number: u64) -> Option<(usize, u32)> {
    let slot = usize::try_from(number % QUARTERS as u64).ok()?;
    Some((slot, saturated(number / QUARTERS as u64)))
}

fn saturated(number: u64) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}

/// Quarters of a second since the epoch.
fn quarter(at: Timestamp) -> u64 {
    u64::try_from(at.as_nanos()).unwrap_or(0) / (1_000_000_000 / WHOLE)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn at(millis: u64) -> Timestamp {
        Timestamp::from_secs(1000).plus(Duration::from_millis(millis))
    }

    #[test]
    fn an_instant_counts_as_a_second_and_a_longer_time_is_spread() {
        let (key, ip) = (
            ("198.51.100.7".parse::<IpAddr>().expect("an address"), FloodKind::Udp),
            "192.0.2.1".parse().expect("an address"),
        );
        let mut meter = Meter::default();
        assert_eq!(meter.add(key, (10_000, 0), (at(0), at(0)), ip).rate, 10_000);
        assert_eq!(meter.add(key, (10_000, 0), (at(60_000), at(70_000)), ip).rate, 1000);
        assert_eq!(meter.add(key, (500, 0), (at(69_000), at(69_100)), ip).rate, 1500, "they add up");
        let late = meter.add(key, (900, 0), (at(1000), at(1001)), ip);
        assert_eq!((late.rate, late.total), (0, 21_400), "its quarter is forgotten");
    }

    #[test]
    fn it_speaks_at_the_floor_and_at_ten_times_as_much() {
        let key = ("198.51.100.7".parse::<IpAddr>().expect("an address"), FloodKind::Icmp);
        let mut meter = Meter::default();
        let mut spoken = 0;
        for number in 0..100 {
            let reading = meter.add(key, (1000, 0), (at(number * 1000), at(number * 1000)), key.0);
            spoken += u32::from(reading.is_flood(key.1, 1000) && meter.is_due(key, reading.total));
        }
        assert_eq!(spoken, 3, "1,000, 10,000 and 100,000");
    }

    #[test]
    fn answers_make_no_flood() {
        let reading = |rate, answered| Reading { rate, answered, ..Reading::default() };
        assert!(reading(500, 100).is_flood(FloodKind::Syn, 500) && !reading(500, 101).is_flood(FloodKind::Syn, 500));
        assert!(
            reading(5000, 249).is_flood(FloodKind::Udp, 5000) && !reading(5000, 250).is_flood(FloodKind::Udp, 5000)
        );
        assert!(reading(1000, 1000).is_flood(FloodKind::Icmp, 1000), "a flood ping is answered");
        assert!(!reading(1000, 0).is_flood(FloodKind::Icmp, 0), "switched off");
    }

    #[test]
    fn keys_are_bounded_and_the_first_goes() {
        let mut meter = Meter::default();
        let ip = |number: u32| IpAddr::from(number.to_be_bytes());
        for number in 0..=u32::try_from(MAX_KEYS).expect("few") {
            meter.add((ip(number), FloodKind::Syn), (1, 0), (at(0), at(0)), ip(1));
        }
        assert_eq!((meter.keys.len(), meter.order.len(), meter.forgotten()), (MAX_KEYS, MAX_KEYS, 1));
    }
}

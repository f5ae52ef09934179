//! Sweeps of hosts that answer, and scans that take hours.
//!
//! Contract: both are fed first contacts only. Limits: [`MAX_WINDOW`] of the latest are compared; of a larger sweep the count goes on.

use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::net::IpAddr;
use std::time::Duration;

use crate::detect::Severity;
use crate::detect::anomaly::outcome::Outcome;
use crate::input::{FiveTuple, Protocol};
use crate::time::Timestamp;

/// First contacts that are compared with each other.
const MAX_WINDOW: usize = 128;

/// How an address was contacted, or looked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Means {
    /// At a port.
    Port(Protocol, u16),
    /// By a protocol without ports; echo requests, mostly.
    Protocol(Protocol),
    /// By ARP or neighbour discovery.
    Question,
    /// By asking for the name that belongs to the address.
    Reverse,
}

impl Means {
    pub(super) const fn of(tuple: &FiveTuple) -> Self {
        match tuple.protocol {
            Protocol::ICMP | Protocol::ICMPV6 => Self::Protocol(tuple.protocol),
            protocol => Self::Port(protocol, tuple.resp.port),
        }
    }
}

impl fmt::Display for Means {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Port(protocol, port) if protocol.has_ports() => write!(f, "at {port}/{protocol}"),
            Self::Port(protocol, _) | Self::Protocol(protocol) => write!(f, "by {protocol}"),
            Self::Question => f.write_str("by asking for their MACs"),
            Self::Reverse => f.write_str("by asking for their names"),
        }
    }
}

/// The latest first contacts.
#[derive(Clone, Debug, Default)]
pub(super) struct Sweep {
    window: VecDeque<(Timestamp, IpAddr, Means)>,
}

/// A sweep.
#[derive(Debug)]
pub(super) struct FoundSweep {
    pub addresses: u32,
    pub neighbours: u32,
    pub network: String,
    pub by: String,
    pub shown: Vec<IpAddr>,
}

impl Sweep {
    /// A first contact.
    pub(super) fn add(&mut self, at: Timestamp, ip: IpAddr, kind: Means, window: Duration) {
        let latest = self.window.back().map_or(at, |(last, ..)| at.max(*last));
        while self.window.front().is_some_and(|(first, ..)| latest.since(*first) > window)
            || self.window.len() >= MAX_WINDOW
        {
            self.window.pop_front();
        }
        self.window.push_back((at, ip, kind));
    }

    /// Whether the latest contact is part of a sweep of so many addresses, of which half are neighbours.
    pub(super) fn found(&self, limit: u32, many: u32) -> Option<(FoundSweep, Severity)> {
        let kind = self.window.back()?.2;
        let alike: Vec<IpAddr> = self.window.iter().filter(|(.., of)| *of == kind).map(|(_, ip, _)| *ip).collect();
        let addresses = u32::try_from(alike.len()).unwrap_or(u32::MAX);
        if addresses < limit {
            return None;
        }
        let mut networks = BTreeMap::<IpAddr, u32>::new();
        for ip in &alike {
            *networks.entry(network(*ip)).or_default() += 1;
        }
        let (network, neighbours) = networks.into_iter().max_by_key(|(ip, count)| (*count, std::cmp::Reverse(*ip)))?;
        let prefix = if network.is_ipv4() { 24 } else { 120 };
        let (network, by) = (format!("{network}/{prefix}"), kind.to_string());
        let severity = if addresses >= many { Severity::Medium } else { Severity::Low };
        (neighbours.saturating_mul(2) >= limit)
            .then_some((FoundSweep { addresses, neighbours, network, by, shown: alike }, severity))
    }
}

/// The /24 or /120 of an address.
fn network(ip: IpAddr) -> IpAddr {
    match ip {
        IpAddr::V4(ip) => (u32::from(ip) & !0xff).to_be_bytes().into(),
        IpAddr::V6(ip) => (u128::from(ip) & !0xff).to_be_bytes().into(),
    }
}

/// First contacts of the last 12 to 24 hours, in two halves that take turns, so that no edge cuts a scan in two.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Day {
    since: Timestamp,
    failed: [u32; 2],
    total: [u32; 2],
}

const HALF: Duration = Duration::from_hours(12);

impl Day {
    /// A first contact that ended so.
    pub(super) fn count(&mut self, outcome: Outcome, at: Timestamp) {
        let Some(succeeded) = outcome.succeeded() else { return };
        let age = at.since(self.since);
        if age >= HALF {
            let keep = |[newer, _]: [u32; 2]| if age < HALF * 2 { [0, newer] } else { [0, 0] };
            (self.failed, self.total, self.since) = (keep(self.failed), keep(self.total), at);
        }
        self.total[0] = self.total[0].saturating_add(1);
        self.failed[0] = self.failed[0].saturating_add(u32::from(!succeeded));
    }

    /// Failed and all, where that is a slow scan.
    pub(super) fn slow(&self, limit: u32) -> Option<(u32, u32)> {
        let sum = |[newer, older]: [u32; 2]| newer.saturating_add(older);
        let (failed, total) = (sum(self.failed), sum(self.total));
        let half = failed >= limit && failed.saturating_mul(2) >= total;
        let third = failed >= limit.saturating_mul(3) && failed.saturating_mul(3) >= total;
        (half || third).then_some((failed, total))
    }
}

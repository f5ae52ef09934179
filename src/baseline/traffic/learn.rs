//! Learns the traffic of services.
//!
//! Contract: the same contacts, starts and doubts in the same order give the same. What looks hostile, and what was seen within one hour of more than
//! a day alone, is held back with its reason and never in force. Limits: [`MAX_SERVICES`] services; of each, [`MAX_ADDRESSES`] addresses are
//! known by their peer: beyond, a doubt about another address holds back all that was new since.
//! Design: a doubt may come after the contact that it is about, so what is held back is decided at the end.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::time::Duration;

use super::{Dealing, Peer, Row, TrafficBaseline, TrafficLearned, Way};
use crate::inventory::configuration::ServiceKey;
use crate::time::Timestamp;

/// Services whose traffic is learned.
const MAX_SERVICES: usize = 4096;
/// Addresses of one service's peers.
const MAX_ADDRESSES: usize = 4096;
/// Doubts about one service; after more, all of its traffic is held back.
const MAX_DOUBTS: usize = 256;
/// What was seen within this time alone was seen once.
const ONE_BURST: Duration = Duration::from_hours(1);
/// From this time of learning on.
const LONG_ENOUGH: Duration = Duration::from_hours(24);

/// Why some of a service's traffic is not to be learned unseen.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Doubt {
    /// The other end that it is about; `None`: all whom the service dealt with first from then on.
    pub address: Option<IpAddr>,
    /// Only where the other end is on the internet and has no name.
    pub unnamed_only: bool,
    /// Since when.
    pub since: Timestamp,
    /// Why.
    pub reason: String,
}

/// What was seen of one service.
#[derive(Debug, Default)]
struct Observed {
    traffic: TrafficBaseline,
    contacts: u64,
    left_out: u64,
    starts: u64,
    by_address: BTreeMap<IpAddr, BTreeSet<Peer>>,
    is_overfull: bool,
    doubts: BTreeSet<Doubt>,
    /// There were more doubts than are kept.
    is_dubious: bool,
}

/// Learns.
#[derive(Debug, Default)]
pub struct TrafficLearner {
    services: BTreeMap<ServiceKey, Observed>,
    span: Option<(Timestamp, Timestamp)>,
    refused: u64,
}

/// What was learned of one service: what is in force, and what is held back with the reason.
#[derive(Debug)]
pub struct Finished {
    /// Which service.
    pub key: ServiceKey,
    /// What is in force.
    pub traffic: TrafficBaseline,
    /// What is not.
    pub held_back: Vec<(Row, String)>,
}

impl TrafficLearner {
    /// Traffic of any sender was seen at a time.
    pub fn see(&mut self, at: Timestamp) {
        let (from, to) = self.span.unwrap_or((at, at));
        self.span = Some((from.min(at), to.max(at)));
    }

    /// A contact ended; `address` is the other end's.
    pub fn apply(&mut self, at: Timestamp, key: &ServiceKey, dealing: &Dealing<'_>, address: IpAddr) {
        self.see(at);
        let Some(observed) = self.of(key) else { return };
        if !observed.traffic.learn(at, dealing) {
            observed.left_out += 1;
            return;
        }
        observed.contacts += 1;
        let (peer, address) = (dealing.peer.clone(), address.to_canonical());
        if observed.by_address.len() < MAX_ADDRESSES || observed.by_address.contains_key(&address) {
            observed.by_address.entry(address).or_default().insert(peer);
        } else {
            observed.is_overfull = true;
        }
    }

    fn of(&mut self, key: &ServiceKey) -> Option<&mut Observed> {
        if !self.services.contains_key(key) {
            if self.services.len() >= MAX_SERVICES {
                self.refused += 1;
                return None;
            }
            self.services.insert(key.clone(), Observed::default());
        }
        self.services.get_mut(key)
    }

    /// A container of a service started while traffic was seen.
    pub fn start(&mut self, key: &ServiceKey) {
        if let Some(observed) = self.of(key) {
            observed.starts += 1;
        }
    }

    /// Something of a service's traffic looks hostile.
    pub fn doubt(&mut self, key: &ServiceKey, doubt: Doubt) {
        let Some(observed) = self.of(key) else { return };
        if observed.doubts.len() < MAX_DOUBTS || observed.doubts.contains(&doubt) {
            observed.doubts.insert(doubt);
        } else {
            observed.is_dubious = true;
        }
    }

    /// When traffic was seen, first and last; `None`: none was.
    pub const fn span(&self) -> Option<(Timestamp, Timestamp)> {
        self.span
    }

    /// Contacts of services that found no room.
    pub const fn refused(&self) -> u64 {
        self.refused
    }

    /// What was learned of each service that had any contact.
    pub fn finish(self) -> Vec<Finished> {
        let Some((from, to)) = self.span else { return Vec::new() };
        let with_traffic = self.services.into_iter().filter(|(_, observed)| observed.contacts > 0);
        with_traffic.map(|(key, observed)| observed.finish(key, from, to)).collect()
    }
}

impl Observed {
    fn finish(mut self, key: ServiceKey, from: Timestamp, to: Timestamp) -> Finished {
        let (starts, contacts, left_out) = (self.starts, self.contacts, self.left_out);
        self.traffic.learned = Some(TrafficLearned { from, to, starts, contacts, left_out });
        let reason_of = |row: &Row| self.doubted(row).or_else(|| one_burst(row, to.since(from)));
        let doubted: BTreeSet<(Way, Peer)> =
            self.traffic.rows().filter(|row| reason_of(row).is_some()).map(|row| (row.way, row.peer)).collect();
        self.traffic.end_learning();
        let mut held_back = Vec::new();
        for (way, peer) in doubted {
            for row in self.traffic.remove(way, &peer) {
                match self.doubted(&row).or_else(|| one_burst(&row, to.since(from))) {
                    Some(reason) => held_back.push((row, reason)),
                    None => drop(self.traffic.insert(row)),
                }
            }
        }
        Finished { key, traffic: self.traffic, held_back }
    }

    fn doubted(&self, row: &Row) -> Option<String> {
        let first = row.facts.seen.span.map(|(first, _)| first);
        let is_new = |since: Timestamp| first.is_some_and(|first| first >= since);
        let found = self.doubts.iter().find(|doubt| {
            if doubt.unnamed_only && !(row.peer.is_outside() && matches!(row.peer, Peer::Network(_))) {
                return false;
            }
            match doubt.address.and_then(|address| self.by_address.get(&address.to_canonical())) {
                Some(peers) => peers.contains(&row.peer),
                None if doubt.address.is_none() => is_new(doubt.since),
                None => self.is_overfull && is_new(doubt.since),
            }
        });
        let too_many = || self.is_dubious.then(|| format!("more than {MAX_DOUBTS} doubts about this service"));
        found.map(|doubt| doubt.reason.clone()).or_else(too_many)
    }
}

/// Why a peer that was seen within an hour alone is held back.
fn one_burst(row: &Row, learned_for: Duration) -> Option<String> {
    let is_one = learned_for > LONG_ENOUGH && row.facts.seen.length() < ONE_BURST;
    is_one.then(|| format!("it was seen within one hour alone, of {}", crate::time::readable(learned_for)))
}

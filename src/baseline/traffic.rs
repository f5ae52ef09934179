//! The traffic of a service: whom it reaches, who reaches it, and how.
//!
//! Contract: pure. Only what a service did with a peer at a port is known; what is asked about costs a few lookups, however much is known.
//! Limits: [`MAX_ROWS`] rows of one service; beyond, a row finds no room and is counted. [`EPHEMERAL_PORTS`] different ephemeral ports of one
//! peer are one range.
//! Design: names before addresses: the caller gives the name of the other end, where one is known, and a network stands for what never had one.

mod learn;
mod peer;
mod row;

use std::collections::{BTreeMap, BTreeSet};

pub use learn::{Doubt, TrafficLearner};
pub use peer::{FIRST_EPHEMERAL, Peer, PeerError, Ports, PortsError};
pub use row::{Facts, KnownTexts, MAX_MARKS, MAX_NAMES, Row, Seen, Way};

use super::volume::VolumeBaseline;
use crate::input::Protocol;
use crate::time::Timestamp;

/// Rows of one service.
pub const MAX_ROWS: usize = 1024;
/// So many different ephemeral ports of one peer are one range.
pub const EPHEMERAL_PORTS: usize = 8;

/// What is expected of a peer, or a port, that is not known.
pub const NOTHING: &str = "nothing of that";

/// From what the traffic of a service was learned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TrafficLearned {
    /// The first traffic of the learning, of any service.
    pub from: Timestamp,
    /// The last.
    pub to: Timestamp,
    /// Starts of its containers that were seen meanwhile; after none, nothing is known of what it does only then.
    pub starts: u64,
    /// Contacts that it was learned from.
    pub contacts: u64,
    /// Contacts that found no room.
    pub left_out: u64,
}

/// One contact, from the side of one service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dealing<'a> {
    /// Whether the service asked or was asked.
    pub way: Way,
    /// The other end.
    pub peer: Peer,
    /// Its full name.
    pub name: Option<&'a str>,
    /// IP protocol.
    pub protocol: Protocol,
    /// The port that was asked.
    pub port: u16,
    /// Protocols that were identified.
    pub speaks: &'a [&'static str],
    /// The service's fingerprint.
    pub ja4: Option<&'a str>,
}

/// What is new about a contact.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Novelty<'a> {
    /// The service never reached this peer, or never was reached by it.
    Peer,
    /// It knows the peer, at other ports.
    Port(Vec<Ports>),
    /// It never answered at this port.
    Listener,
    /// It spoke other protocols with this peer.
    Speaks(&'static str, &'a KnownTexts),
    /// It had other fingerprints with this peer.
    Fingerprint(&'a KnownTexts),
}

type ByPort = BTreeMap<(Protocol, u16), (u16, Facts)>;

/// The traffic of a service.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TrafficBaseline {
    /// From what it was learned; absent where a person wrote it.
    pub learned: Option<TrafficLearned>,
    /// How much it has in an hour; absent: not known, and no hour is news.
    pub volume: Option<VolumeBaseline>,
    rows: BTreeMap<(Way, Peer), ByPort>,
    count: usize,
    /// Bits of the networks among the peers: a lookup tries each.
    prefixes: BTreeSet<u8>,
    /// Ports at which the service listens, and how many rows have each.
    listens: BTreeMap<Ports, usize>,
    /// The same for ranges, which are few.
    listen_ranges: BTreeMap<Ports, usize>,
}

impl TrafficBaseline {
    /// All rows, in order.
    pub fn rows(&self) -> impl Iterator<Item = Row> {
        self.rows.iter().flat_map(|((way, peer), ports)| {
            ports.iter().map(move |((protocol, from), (to, facts))| Row {
                way: *way,
                peer: peer.clone(),
                ports: Ports { protocol: *protocol, from: *from, to: *to },
                facts: facts.clone(),
            })
        })
    }

    /// How many rows there are.
    pub const fn len(&self) -> usize {
        self.count
    }

    /// Whether nothing is expected.
    pub const fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Adds a row, or what it knows to the one that is there; false where there is no room, or where it overlaps another range.
    pub fn insert(&mut self, row: Row) -> bool {
        let Row { way, peer, ports, facts } = row;
        let known = self.rows.get(&(way, peer.clone()));
        if let Some((from, to)) = known.and_then(|known| overlapping(known, ports)) {
            if (from, to) == (ports.from, ports.to)
                && let Some((_, kept)) =
                    self.rows.get_mut(&(way, peer)).and_then(|known| known.get_mut(&(ports.protocol, from)))
            {
                kept.merge(&facts);
                return true;
            }
            return false;
        }
        if self.count >= MAX_ROWS {
            return false;
        }
        if let Peer::Network(network) = &peer {
            self.prefixes.insert(network.prefix());
        }
        if way == Way::Listens {
            *self.listening(ports).entry(ports).or_default() += 1;
        }
        self.rows.entry((way, peer)).or_default().insert((ports.protocol, ports.from), (ports.to, facts));
        self.count += 1;
        true
    }

    /// Takes all rows of a peer out.
    pub fn remove(&mut self, way: Way, peer: &Peer) -> Vec<Row> {
        let Some(ports) = self.rows.remove(&(way, peer.clone())) else { return Vec::new() };
        let row = |((protocol, from), (to, facts)): ((Protocol, u16), (u16, Facts))| {
            let ports = Ports { protocol, from, to };
            Row { way, peer: peer.clone(), ports, facts }
        };
        let rows: Vec<Row> = ports.into_iter().map(row).collect();
        self.count -= rows.len();
        for row in rows.iter().filter(|_| way == Way::Listens) {
            let listening = self.listening(row.ports);
            let left = listening.get(&row.ports).map_or(0, |count| count - 1);
            if left == 0 {
                listening.remove(&row.ports);
            } else {
                listening.insert(row.ports, left);
            }
        }
        rows
    }

    const fn listening(&mut self, ports: Ports) -> &mut BTreeMap<Ports, usize> {
        if ports.from == ports.to { &mut self.listens } else { &mut self.listen_ranges }
    }

    /// Learns a contact; false where there is no room.
    fn learn(&mut self, at: Timestamp, dealing: &Dealing<'_>) -> bool {
        let mut facts = Facts::default();
        facts.names.merge(&KnownTexts::These(dealing.name.map(str::to_owned).into_iter().collect()), MAX_NAMES);
        dealing.speaks.iter().for_each(|spoken| facts.speaks.add(spoken, MAX_MARKS));
        dealing.ja4.iter().for_each(|ja4| facts.ja4.add(ja4, MAX_MARKS));
        facts.seen.count(at);
        if let Some((_, kept)) = self.found_mut(dealing) {
            let days = kept.seen;
            kept.merge(&facts);
            kept.seen = days;
            kept.seen.count(at);
            return true;
        }
        let ports = Ports::one(dealing.protocol, dealing.port);
        let (way, peer) = (dealing.way, dealing.peer.clone());
        let is_room = self.insert(Row { way, peer, ports, facts });
        if ports.is_one_ephemeral() {
            self.collapse(way, &dealing.peer, dealing.protocol);
        }
        is_room
    }

    /// Learning is over: what only it needs is forgotten.
    fn end_learning(&mut self) {
        self.rows.values_mut().flat_map(BTreeMap::values_mut).for_each(|(_, facts)| facts.seen.end());
    }

    /// Makes a row an expected one, together with those of the same peer that it overlaps.
    pub fn absorb(&mut self, row: Row) -> bool {
        let is_met =
            |one: &Ports, other: &Ports| one.protocol == other.protocol && one.from <= other.to && other.from <= one.to;
        let (met, rest): (Vec<Row>, Vec<Row>) =
            self.remove(row.way, &row.peer).into_iter().partition(|known| is_met(&known.ports, &row.ports));
        let mut whole = row;
        for known in met {
            whole.ports.from = whole.ports.from.min(known.ports.from);
            whole.ports.to = whole.ports.to.max(known.ports.to);
            whole.facts.merge(&known.facts);
        }
        for row in rest {
            self.insert(row);
        }
        self.insert(whole)
    }

    /// What is not expected of what was observed, in words; `None`: all of it is.
    pub fn differs(&self, row: &Row) -> Option<String> {
        let nothing = || Some(NOTHING.to_owned());
        let Some(peer) = self.standing(row.way, &row.peer) else { return nothing() };
        let Some((to, known)) = self.rows.get(&(row.way, peer)).and_then(|ports| covering(ports, row.ports)) else {
            return nothing();
        };
        let is_more = |seen: &KnownTexts, known: &KnownTexts| match seen {
            KnownTexts::Any => matches!(known, KnownTexts::These(these) if !these.is_empty()),
            KnownTexts::These(these) => these.iter().any(|text| known.lacks(text)),
        };
        match row.way {
            _ if to < row.ports.to => Some(format!("ports to {to}")),
            Way::Listens => None,
            Way::Reaches if is_more(&row.facts.speaks, &known.speaks) => Some(known.speaks.to_string()),
            Way::Reaches => is_more(&row.facts.ja4, &known.ja4).then(|| format!("JA4 {}", known.ja4)),
        }
    }

    /// Many ephemeral ports of one peer become one range.
    fn collapse(&mut self, way: Way, peer: &Peer, protocol: Protocol) {
        let ephemeral = Ports::ephemeral(protocol);
        let Some(ports) = self.rows.get(&(way, peer.clone())) else { return };
        let many = ports.range((protocol, ephemeral.from)..=(protocol, ephemeral.to)).count();
        if many < EPHEMERAL_PORTS {
            return;
        }
        let (single, rest): (Vec<Row>, Vec<Row>) = self
            .remove(way, peer)
            .into_iter()
            .partition(|row| row.ports.protocol == protocol && row.ports.is_one_ephemeral());
        let mut facts = Facts::default();
        for row in &single {
            facts.merge(&row.facts);
        }
        let range = Row { way, peer: peer.clone(), ports: ephemeral, facts };
        rest.into_iter().chain([range]).for_each(|row| {
            self.insert(row);
        });
    }

    /// The peer as it stands here: an address without a name may lie in a wider network.
    fn standing(&self, way: Way, peer: &Peer) -> Option<Peer> {
        if self.rows.contains_key(&(way, peer.clone())) {
            return Some(peer.clone());
        }
        let Peer::Network(network) = peer else { return None };
        let wider = self.prefixes.range(..network.prefix()).rev();
        wider.map(|prefix| Peer::Network(peer::network(network.ip(), *prefix))).find(|wider| {
            let key = (way, wider.clone());
            self.rows.contains_key(&key)
        })
    }

    fn found_mut(&mut self, dealing: &Dealing<'_>) -> Option<&mut (u16, Facts)> {
        let peer = self.standing(dealing.way, &dealing.peer)?;
        let one = Ports::one(dealing.protocol, dealing.port);
        let ports = self.rows.get_mut(&(dealing.way, peer))?;
        let found = ports.range_mut((one.protocol, 0)..=(one.protocol, one.from)).next_back()?;
        Some(found.1).filter(|(to, _)| *to >= one.from)
    }

    /// What is new about a contact; `None`: it is expected.
    pub fn novelty(&self, dealing: &Dealing<'_>) -> Option<Novelty<'_>> {
        let one = Ports::one(dealing.protocol, dealing.port);
        if dealing.way == Way::Listens && !self.listens_at(one) {
            return Some(Novelty::Listener);
        }
        let Some(peer) = self.standing(dealing.way, &dealing.peer) else { return Some(Novelty::Peer) };
        let ports = self.rows.get(&(dealing.way, peer))?;
        let Some((_, facts)) = covering(ports, one) else {
            let known =
                ports.iter().map(|((protocol, from), (to, _))| Ports { protocol: *protocol, from: *from, to: *to });
            return Some(Novelty::Port(known.collect()));
        };
        // What is said at a port at which the service listens, its peer says.
        if dealing.way == Way::Listens {
            return None;
        }
        if let Some(spoken) = dealing.speaks.iter().find(|spoken| facts.speaks.lacks(spoken)) {
            return Some(Novelty::Speaks(spoken, &facts.speaks));
        }
        dealing.ja4.filter(|ja4| facts.ja4.lacks(ja4)).map(|_| Novelty::Fingerprint(&facts.ja4))
    }

    /// The most contacts of one hour with a peer, or with all of them together, at a port.
    pub fn most_an_hour(&self, way: Way, peer: Option<&Peer>, one: Ports) -> u64 {
        let peer = peer.map(|peer| self.standing(way, peer));
        let is_meant = |known: &Peer| peer.as_ref().is_none_or(|peer| peer.as_ref() == Some(known));
        let rows = self.rows.iter().filter(|((known, peer), _)| *known == way && is_meant(peer));
        let most = rows.filter_map(|(_, ports)| Some(covering(ports, one)?.1.seen.most_an_hour));
        most.fold(0, u64::saturating_add)
    }

    /// Whether any peer reaches the service at this port.
    fn listens_at(&self, one: Ports) -> bool {
        let holds = |ports: &Ports| ports.protocol == one.protocol && (ports.from..=ports.to).contains(&one.from);
        self.listens.contains_key(&one) || self.listen_ranges.keys().any(holds)
    }

    /// Whether any peer is known by its name.
    pub fn has_names(&self) -> bool {
        let first = (Way::Reaches, Peer::Domain(String::new()));
        self.rows
            .range(first..)
            .next()
            .is_some_and(|((way, peer), _)| *way == Way::Reaches && matches!(peer, Peer::Domain(_)))
    }
}

/// The ports among these that overlap.
fn overlapping(ports: &ByPort, one: Ports) -> Option<(u16, u16)> {
    let last = ports.range((one.protocol, 0)..=(one.protocol, one.to)).next_back();
    last.filter(|(_, (to, _))| *to >= one.from).map(|((_, from), (to, _))| (*from, *to))
}

/// The last port of what is known at this one, and what that is.
fn covering(ports: &ByPort, one: Ports) -> Option<(u16, &Facts)> {
    let last = ports.range((one.protocol, 0)..=(one.protocol, one.from)).next_back();
    last.filter(|(_, (to, _))| *to >= one.from).map(|(_, (to, facts))| (*to, facts))
}

#[cfg(test)]
mod tests;

//! From what services did, which path contracts they kept already.
//!
//! Contract: pure, and in order of service. A contract is suggested where services go outside, resolve names or are reached through one place: a proxy
//! (it speaks HTTP and TLS at one port, or SOCKS, or serves at a port that is only for that, and goes outside itself), a resolver, or for a
//! published port the one service that asks there. What goes around the place is counted beside. Limits: what was not seen is not suggested; whether
//! a place is meant to be passed is for a person to say.

use std::collections::{BTreeMap, BTreeSet};

use super::traffic::{KnownTexts, Peer, Row, Way};
use crate::input::Protocol;
use crate::inventory::configuration::ServiceKey;
use crate::path::Service;

/// Ports that only proxies serve at (squid, SOCKS, privoxy, tor).
const PROXY_PORTS: [u16; 4] = [3128, 1080, 8118, 9050];
/// Contacts around a place, of a hundred; with more, it is no place that must be passed.
const MOST_AROUND: u64 = 20;
const DNS: [u16; 2] = [53, 853];

/// A service and what it did.
#[derive(Clone, Copy, Debug)]
pub struct Dealt<'a> {
    /// The service.
    pub key: &'a ServiceKey,
    /// With whom, where.
    pub rows: &'a [Row],
    /// Its ports that the host publishes, each with the host's ports for it.
    pub published: &'a BTreeMap<u16, BTreeSet<u16>>,
}

/// A contract that was kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SuggestedContract {
    /// What traffic it is about.
    pub service: Service,
    /// Whose.
    pub of: BTreeSet<ServiceKey>,
    /// The place that it passes.
    pub via: Place,
    /// Of an ingress contract: the port inside the container.
    pub port: Option<u16>,
    /// Contacts through the place.
    pub through: u64,
    /// Contacts around it.
    pub around: u64,
}

/// A place on the path.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// Who it is.
    pub peer: Peer,
    /// Where it serves; none: anywhere.
    pub port: Option<u16>,
}

/// All that are suggested: egress, then names, then what comes in.
pub fn suggest(all: &[Dealt<'_>]) -> Vec<SuggestedContract> {
    let mut found = by_place(all, Service::Egress, |dealt| through_proxy(all, dealt));
    found.extend(by_place(all, Service::Dns, through_resolver));
    found.extend(all.iter().filter_map(through_ingress));
    found
}

/// What one service did through a place, and around it.
struct Kept {
    via: Place,
    through: u64,
    around: u64,
}

impl Kept {
    /// Whether what goes around is the exception.
    const fn is_a_habit(&self) -> bool {
        self.around.saturating_mul(100) <= (self.through.saturating_add(self.around)).saturating_mul(MOST_AROUND)
    }
}

fn by_place(all: &[Dealt<'_>], service: Service, kept: impl Fn(&Dealt<'_>) -> Option<Kept>) -> Vec<SuggestedContract> {
    let mut places: BTreeMap<Place, SuggestedContract> = BTreeMap::new();
    for dealt in all {
        let Some(Kept { via, through, around }) = kept(dealt).filter(Kept::is_a_habit) else { continue };
        let contract = places.entry(via.clone()).or_insert_with(|| SuggestedContract {
            service,
            of: BTreeSet::new(),
            via,
            port: None,
            through: 0,
            around: 0,
        });
        contract.of.insert(dealt.key.clone());
        contract.through += through;
        contract.around += around;
    }
    // What a place sends on is no habit of its own.
    let is_place: Vec<Peer> = places.keys().map(|place| place.peer.clone()).collect();
    let sends_on = |key: &ServiceKey| is_place.iter().any(|peer| is_service(peer, key));
    let mut contracts: Vec<_> = places.into_values().collect();
    for contract in &mut contracts {
        contract.of.retain(|key| !sends_on(key));
    }
    contracts.retain(|contract| !contract.of.is_empty());
    contracts
}

fn contacts<'a>(rows: impl Iterator<Item = &'a Row>) -> u64 {
    rows.map(|row| row.facts.seen.contacts).sum()
}

fn reaches<'a>(dealt: &Dealt<'a>) -> impl Iterator<Item = &'a Row> {
    dealt.rows.iter().filter(|row| row.way == Way::Reaches)
}

fn is_dns(row: &Row) -> bool {
    row.ports.from == row.ports.to && DNS.contains(&row.ports.from)
}

/// Whether it goes to the internet by itself, other than for names.
fn goes_outside(dealt: &Dealt<'_>) -> bool {
    reaches(dealt).any(|row| row.peer.is_outside() && !is_dns(row))
}

fn through_proxy(all: &[Dealt<'_>], dealt: &Dealt<'_>) -> Option<Kept> {
    let goes_on = |peer: &Peer| all.iter().any(|other| is_service(peer, other.key) && goes_outside(other));
    let is_proxy = |row: &&Row| speaks_as_proxy(row) && goes_on(&row.peer);
    let row = reaches(dealt).filter(is_proxy).max_by_key(|row| row.facts.seen.contacts)?;
    let via = Place { peer: row.peer.clone(), port: Some(row.ports.from) };
    let around = contacts(reaches(dealt).filter(|row| row.peer.is_outside() && !is_dns(row)));
    Some(Kept { via, through: row.facts.seen.contacts, around })
}

fn speaks_as_proxy(row: &Row) -> bool {
    let says = |text: &str| matches!(&row.facts.speaks, KnownTexts::These(these) if these.contains(text));
    let is_one_port = row.ports.protocol == Protocol::TCP && row.ports.from == row.ports.to;
    is_one_port && (PROXY_PORTS.contains(&row.ports.from) || says("socks") || (says("http") && says("tls")))
}

fn through_resolver(dealt: &Dealt<'_>) -> Option<Kept> {
    let asked = || reaches(dealt).filter(|row| is_dns(row));
    // The host is no place that a contract can name by itself.
    let known = asked().filter(|row| row.peer != Peer::Host);
    let mut by_peer: BTreeMap<&Peer, u64> = BTreeMap::new();
    for row in known {
        *by_peer.entry(&row.peer).or_default() += row.facts.seen.contacts;
    }
    let (peer, through) = by_peer.into_iter().max_by_key(|(_, count)| *count)?;
    let around = contacts(asked()).saturating_sub(through);
    // A domain's name is no address to be configured.
    let is_place = !matches!(peer, Peer::Domain(_) | Peer::Inside | Peer::Outside);
    is_place.then(|| Kept { via: Place { peer: peer.clone(), port: Some(53) }, through, around })
}

fn through_ingress(dealt: &Dealt<'_>) -> Option<SuggestedContract> {
    let is_published = |row: &&Row| dealt.published.contains_key(&row.ports.from);
    let asked = || dealt.rows.iter().filter(|row| row.way == Way::Listens && row.ports.from == row.ports.to);
    let by_service = asked().filter(is_published).filter(|row| matches!(row.peer, Peer::Service(_)));
    let row = by_service.max_by_key(|row| row.facts.seen.contacts)?;
    let through = row.facts.seen.contacts;
    // Before its address is translated, a contact shows the host's port.
    let hosts = dealt.published.get(&row.ports.from);
    let is_for_it =
        |other: &&Row| other.ports == row.ports || hosts.is_some_and(|hosts| hosts.contains(&other.ports.from));
    let around = contacts(asked().filter(is_for_it)).saturating_sub(through);
    let kept = Kept { via: Place { peer: row.peer.clone(), port: None }, through, around };
    kept.is_a_habit().then(|| SuggestedContract {
        service: Service::Ingress,
        of: BTreeSet::from([dealt.key.clone()]),
        port: Some(row.ports.from),
        via: kept.via,
        through: kept.through,
        around: kept.around,
    })
}

/// Whether a peer is this service.
fn is_service(peer: &Peer, key: &ServiceKey) -> bool {
    matches!(peer, Peer::Service(name) if *name == key.to_string())
}

#[cfg(test)]
mod tests;

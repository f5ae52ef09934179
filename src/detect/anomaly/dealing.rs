//! A contact from the side of each service that took part, as a baseline knows it.
//!
//! Contract: pure. A contact counts where both ends took part, and a datagram where it was sent: many that are heard are never answered. A name comes
//! before an address, and a service before both. Limits: traffic of the loopback interface is nobody's; a connection whose start was not seen has no
//! direction that is certain, and does not count. SNI and `Host` are what the service wrote: it may write a name that it knows.

use std::net::IpAddr;

use super::actor::Actor;
use super::contacts::Contact;
use super::outcome::Outcome;
use super::spoken::spoken;
use crate::baseline::traffic::{Dealing, Peer, Way};
use crate::detect::naming::known_name;
use crate::input::Protocol;
use crate::inventory::Timeline;
use crate::inventory::configuration::ServiceKey;
use crate::names::{KnownName, Names, registered};
use crate::path::is_internet;

/// What a contact is to the services at its ends.
#[derive(Debug)]
pub struct Dealings {
    source: Option<(Actor, Peer)>,
    target: Option<(Actor, Peer)>,
    name: Option<KnownName>,
    speaks: Vec<&'static str>,
    protocol: Protocol,
    port: u16,
    ends: (IpAddr, IpAddr),
}

/// One side of it.
#[derive(Debug)]
pub struct Side<'a> {
    /// The service.
    pub actor: &'a Actor,
    /// Which it is.
    pub key: &'a ServiceKey,
    /// What it did.
    pub dealing: Dealing<'a>,
    /// The other end's address.
    pub address: IpAddr,
}

impl Dealings {
    /// Of a contact; `None` where no service took part, or where it does not count.
    pub fn of(names: &Names, timeline: &Timeline, contact: &Contact<'_>) -> Option<Self> {
        let is_service = |actor: Option<&Actor>| actor.is_some_and(|actor| actor.service().is_some());
        let tuple = contact.tuple;
        let ends = (tuple.orig.ip.to_canonical(), tuple.resp.ip.to_canonical());
        let is_local = ends.0.is_loopback() || ends.1.is_loopback();
        if !(is_service(contact.source) || is_service(contact.target)) || is_local || !counts(contact) {
            return None;
        }
        let name = known_name(names, contact.flow, contact.record);
        let side = |actor: Option<&Actor>, peer: &dyn Fn() -> Peer| {
            actor.filter(|actor| actor.service().is_some()).map(|actor| (actor.clone(), peer()))
        };
        let service = |actor: Option<&Actor>| actor.and_then(Actor::service).map(|key| Peer::Service(key.to_string()));
        let reached = || service(contact.target).unwrap_or_else(|| reached(timeline, ends.1, name.as_ref()));
        let asking = || service(contact.source).unwrap_or_else(|| asking(timeline, ends.0));
        let source = side(contact.source, &reached);
        let target = side(contact.target, &asking);
        let speaks = spoken(contact.record).into_iter().map(super::spoken::Spoken::as_str).collect();
        Some(Self { source, target, name, speaks, protocol: tuple.protocol, port: tuple.resp.port, ends })
    }

    /// The side of each service; the one that asked first.
    pub fn sides<'a>(&'a self, contact: &'a Contact<'_>) -> impl Iterator<Item = Side<'a>> {
        let ja4 = contact.record.app.as_ref().and_then(|app| app.tls.as_ref()?.ja4.as_deref());
        let both = [(Way::Reaches, &self.source, self.ends.1), (Way::Listens, &self.target, self.ends.0)];
        both.into_iter().filter_map(move |(way, side, address)| {
            let (actor, peer) = side.as_ref()?;
            let (is_asking, peer) = (way == Way::Reaches, peer.clone());
            let name = self.name.as_ref().filter(|_| is_asking && matches!(peer, Peer::Domain(_)));
            let dealing = Dealing {
                way,
                peer,
                name: name.map(|known| &*known.name),
                protocol: self.protocol,
                port: self.port,
                speaks: &self.speaks,
                ja4: ja4.filter(|_| is_asking),
            };
            Some(Side { actor, key: actor.service()?, dealing, address })
        })
    }

    /// The name of the end that was asked, and how it is known.
    pub const fn name(&self) -> Option<&KnownName> {
        self.name.as_ref()
    }
}

/// Whether a contact says whom a service deals with.
pub(super) fn counts(contact: &Contact<'_>) -> bool {
    let is_sent = || contact.tuple.protocol == Protocol::UDP && contact.record.orig.counters.payload_bytes > 0;
    contact.outcome.is_contact() || contact.outcome == Outcome::Silent && is_sent()
}

fn reached(timeline: &Timeline, ip: IpAddr, name: Option<&KnownName>) -> Peer {
    if timeline.is_host_address(ip) {
        return Peer::Host;
    }
    name.map_or_else(|| Peer::at(ip), |known| Peer::Domain(registered(&known.name).to_owned()))
}

fn asking(timeline: &Timeline, ip: IpAddr) -> Peer {
    match ip {
        _ if timeline.is_host_address(ip) => Peer::Host,
        _ if is_internet(ip) => Peer::Outside,
        _ => Peer::Inside,
    }
}

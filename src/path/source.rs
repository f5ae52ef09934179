//! Who sent a flow: by address and socket, and by veth or the frame's MAC where these disagree.
//!
//! Contract: a workload is named only with the way it is known and how sure that is.
//! Design: on a veth a frame comes from the workload behind it, whatever it says; on a bridge the MAC shows which veth it came from unless it is
//! forged too, so it beats a borrowed address.

use std::net::IpAddr;
use std::sync::Arc;

use super::trail::Sighting;
use super::{Oriented, is_internet};
use crate::input::{Endpoint, FiveTuple, FlowRecord, Mac, ObservationPoint, Protocol, TcpFacts, Workload};
use crate::inventory::{AttributionMethod, AttributionQuery, Confidence, Doubt, Owner, SocketQuery, Timeline};
use crate::time::Timestamp;

/// Who owned this end of a flow, by its address alone.
pub fn owner_of(timeline: &Timeline, point: &ObservationPoint, end: Endpoint, at: Timestamp) -> Owner {
    timeline.attribute(&AttributionQuery { point, ip: end.ip, socket: None, mac: None, at })
}

/// Who answers the flow, read in this direction.
pub fn responder_of(timeline: &Timeline, oriented: &Oriented) -> Owner {
    let FiveTuple { protocol, orig, resp } = oriented.tuple;
    let socket = socket(protocol, resp, orig);
    timeline.attribute(&AttributionQuery { point: &oriented.point, ip: resp.ip, socket, mac: None, at: oriented.at })
}

/// What contracts say of workloads that are not what their frames look like.
#[derive(Clone, Copy)]
pub struct Roles<'a> {
    /// A workload that may send from addresses that are not its own.
    pub is_router: &'a dyn Fn(&Workload) -> bool,
    /// A workload that receives copies of frames of others.
    pub is_mirror: &'a dyn Fn(&Workload) -> bool,
}

/// Who sent the flow, read in this direction.
pub fn source_of(timeline: &Timeline, record: &FlowRecord, oriented: &Oriented, roles: Roles<'_>) -> Owner {
    let side = if oriented.forward { &record.orig } else { &record.resp };
    let mac = side.mac;
    let FiveTuple { protocol, orig, resp } = oriented.tuple;
    let socket = socket(protocol, orig, resp);
    let query = AttributionQuery { point: &oriented.point, ip: orig.ip, socket, mac, at: oriented.at };
    let by_address = match timeline.attribute(&query) {
        // A workload that has ended starts nothing: this is the address's next owner, which the runtime has not reported yet.
        Owner::Workload { why: Some(Doubt::Late), .. } if oriented.forward && starts_here(record) => Owner::Unknown,
        owner => owner,
    };
    let sender = timeline.sender_by_veth(&query, resp.ip).filter(|sender| !(roles.is_mirror)(sender));
    if let Some(sender) = sender.filter(|sender| !is_given_to(timeline, sender, side.next_hop, oriented.at)) {
        return by_veth(timeline, sender, by_address, &query);
    }
    if is_forged_as_host(timeline, &query, resp, &by_address) || is_nobodys(timeline, &query, resp, &by_address) {
        return Owner::Unknown;
    }
    let in_network = is_in_network_of(timeline, &oriented.point, orig.ip);
    let sender = mac.and_then(|mac| timeline.owner_of_mac(mac, oriented.at));
    match sender.filter(|sender| in_network || !(roles.is_router)(sender)) {
        Some(sender) => by_mac(timeline, sender, by_address, oriented.at),
        None => by_address,
    }
}

/// The frame carries the MAC of `sender`: if the address belongs to somebody else, or to nobody, this one sent it.
fn by_mac(timeline: &Timeline, sender: &Arc<Workload>, by_address: Owner, at: Timestamp) -> Owner {
    let is_senders = |other: &Workload| timeline.are_together(sender, other, at);
    let why = match &by_address {
        Owner::Workload { workload, .. } if is_senders(workload) => return by_address,
        Owner::Ambiguous { candidates, .. }
            if candidates.is_empty() || candidates.iter().any(|one| is_senders(one)) =>
        {
            return by_address;
        }
        Owner::Workload { .. } | Owner::Ambiguous { .. } | Owner::Host => Doubt::BorrowedAddress,
        Owner::Unknown => Doubt::UnownedAddress,
        Owner::External => Doubt::ForeignAddress,
    };
    likely(sender, AttributionMethod::Mac, why)
}

/// Whether a frame claims the address of a workload of this network, carries the host's MAC, and leads out of the network: the host never sends
/// that, since the workload's own frame came in here. What the host routes back into the network is left out.
fn is_forged_as_host(timeline: &Timeline, query: &AttributionQuery<'_>, resp: Endpoint, by_address: &Owner) -> bool {
    let is_workload = matches!(by_address, Owner::Workload { .. } | Owner::Ambiguous { host: false, .. });
    let by_host = || query.mac.is_some() && timeline.host_mac(query.point) == query.mac;
    let is_bridge =
        || timeline.network_of_point(query.point).is_some_and(|n| n.bridge.as_deref() == Some(query.point.as_str()));
    is_workload
        && !timeline.is_host_address(query.ip)
        && is_bridge()
        && by_host()
        && is_in_network_of(timeline, query.point, query.ip)
        && !is_in_network_of(timeline, query.point, resp.ip)
}

/// Whether a frame comes from outside of its network, or from the host, by its address, and from nobody by its MAC: only the host and routers, whose
/// MACs are known, pass on such frames. Its sender is on this network. A TCP connection into the network shows by its handshake who asked.
fn is_nobodys(timeline: &Timeline, query: &AttributionQuery<'_>, resp: Endpoint, by_address: &Owner) -> bool {
    let protocol = query.socket.map(|socket| socket.protocol);
    let leads_in = || is_in_network_of(timeline, query.point, resp.ip);
    matches!(by_address, Owner::External | Owner::Host)
        && !is_anybodys(query.ip)
        && query.mac.is_some_and(|mac| timeline.is_nobodys_mac(query.point, mac, query.at))
        && (protocol != Some(Protocol::TCP) || !leads_in())
}

fn is_in_network_of(timeline: &Timeline, point: &ObservationPoint, ip: IpAddr) -> bool {
    timeline.network_at(point, ip).is_some_and(|network| network.subnets.iter().any(|subnet| subnet.contains(ip)))
}

/// Who sent the frames of a trail, where a point shows that the address does not tell: another workload's veth.
pub fn sender_at<'a>(
    timeline: &Timeline,
    sighting: &'a Sighting,
    oriented: &Oriented,
    roles: Roles<'_>,
) -> Option<(&'a ObservationPoint, Owner)> {
    let frames = if oriented.forward { sighting.orig } else { sighting.resp };
    let FiveTuple { protocol, orig, resp } = oriented.tuple;
    let socket = socket(protocol, orig, resp);
    let query = AttributionQuery { point: &sighting.point, ip: orig.ip, socket, mac: frames.from, at: sighting.at };
    let sender = timeline.sender_by_veth(&query, resp.ip).filter(|sender| !(roles.is_mirror)(sender))?;
    if is_given_to(timeline, sender, frames.to, sighting.at) {
        return None;
    }
    let owner = by_veth(timeline, sender, timeline.attribute(&query), &query);
    (!owner.owns_address()).then_some((&sighting.point, owner))
}

/// A frame to a workload's own MAC was given to it, on its veth too: others send through a gateway.
fn is_given_to(timeline: &Timeline, workload: &Workload, to: Option<Mac>, at: Timestamp) -> bool {
    let owner = to.and_then(|mac| timeline.owner_of_mac(mac, at));
    owner.is_some_and(|owner| timeline.are_together(owner, workload, at))
}

/// The MAC of a workload that sent the first packet of a record from an address that is not its own, of its sender on a network that is
/// not on its way, or of nobody; `None` for routers, and for addresses that every host may use.
pub fn stranger(timeline: &Timeline, record: &FlowRecord, is_router: impl Fn(&Workload) -> bool) -> Option<Mac> {
    // A SYN-ACK that nobody asked for is a record of the end that it claims to answer.
    let first = record.oriented(record.orig.counters.packets > 0);
    let record = first.as_ref();
    let (ip, at) = (record.tuple.orig.ip, record.start);
    let mac = record.orig.mac?;
    if is_astray(timeline, record, &is_router) {
        return Some(mac);
    }
    let query = AttributionQuery { point: &record.point, ip, socket: None, mac: None, at };
    let Some(sender) = timeline.owner_of_mac(mac, at) else {
        let socket = socket(record.tuple.protocol, record.tuple.orig, record.tuple.resp);
        let query = AttributionQuery { mac: Some(mac), socket, ..query };
        return is_nobodys(timeline, &query, record.tuple.resp, &timeline.attribute(&query)).then_some(mac);
    };
    if sender.addresses().any(|own| own.to_canonical() == ip.to_canonical()) || is_anybodys(ip) || is_router(sender) {
        return None;
    }
    let owns = match timeline.attribute(&query) {
        Owner::Workload { workload, .. } => timeline.are_together(sender, &workload, at),
        Owner::Ambiguous { candidates, .. } => {
            candidates.is_empty() || candidates.iter().any(|one| timeline.are_together(sender, one, at))
        }
        Owner::Host | Owner::Unknown | Owner::External => false,
    };
    (!owns).then_some(mac)
}

/// Whether a record shows frames of the workload that owns the address that they come from.
pub fn shows_an_owner(timeline: &Timeline, record: &FlowRecord) -> bool {
    let others = record.rare.iter().flat_map(|rare| &rare.other_links).map(|link| (link.from_orig, link.mac));
    let senders = [(true, record.orig.mac), (false, record.resp.mac)].into_iter().chain(others);
    senders.filter_map(|(from_orig, mac)| Some((from_orig, mac?))).any(|(from_orig, mac)| {
        let end = if from_orig { record.tuple.orig } else { record.tuple.resp };
        let owner = owner_of(timeline, &record.point, end, record.start);
        let sender = timeline.owner_of_mac(mac, record.start);
        owner.workload().zip(sender).is_some_and(|(owner, sender)| timeline.are_together(sender, owner, record.start))
    })
}

/// Whether a packet lies on a network that neither of its ends is in, and no router takes part: it is not on its way.
fn is_astray(timeline: &Timeline, record: &FlowRecord, is_router: &impl Fn(&Workload) -> bool) -> bool {
    let FiveTuple { orig, resp, .. } = record.tuple;
    let Some(network) = timeline.network_of_point(&record.point) else { return false };
    let is_here = |ip: IpAddr| network.subnets.iter().any(|subnet| subnet.contains(ip));
    if network.subnets.is_empty() || is_here(orig.ip) || is_here(resp.ip) || is_anybodys(orig.ip) {
        return false;
    }
    let owner = |mac: Option<Mac>| mac.and_then(|mac| timeline.owner_of_mac(mac, record.start));
    let routes = |mac: Option<Mac>| owner(mac).is_some_and(|owner| is_router(owner));
    // The runtime may give addresses of which it reports no range.
    let has = |mac: Option<Mac>, ip: IpAddr| {
        let attachments = owner(mac).into_iter().flat_map(|owner| &owner.attachments);
        attachments
            .filter(|attachment| network.holds(attachment))
            .any(|here| here.addresses.contains(&ip.to_canonical()))
    };
    if has(record.orig.mac, orig.ip) || has(record.orig.next_hop, resp.ip) {
        return false;
    }
    !resp.ip.is_multicast() && !routes(record.orig.mac) && !routes(record.orig.next_hop)
}

/// Whether a MAC on a frame of a record is certainly not that of the record's source: another workload's, or, on the network of the source's
/// address, the host's.
pub fn is_anothers(timeline: &Timeline, record: &FlowRecord, mac: Mac, source: &Owner) -> bool {
    let Some(workload) = source.workload() else { return false };
    match timeline.owner_of_mac(mac, record.start) {
        Some(owner) => !timeline.are_together(owner, workload, record.start),
        None => {
            timeline.host_mac(&record.point) == Some(mac)
                && workload.addresses().any(|ip| is_in_network_of(timeline, &record.point, ip))
        }
    }
}

/// Addresses that a host uses before it has one, or on its link only.
fn is_anybodys(ip: IpAddr) -> bool {
    let link_local = match ip {
        IpAddr::V4(ip) => ip.is_link_local(),
        IpAddr::V6(ip) => ip.is_unicast_link_local(),
    };
    link_local || ip.is_unspecified()
}

/// The reading of a record whose first packet was forged by the end that it claims to reach, once that end speaks for itself: the frame carries
/// that end's MAC, or came over its own veth on its way to the host. `reached` says whose address that end's is.
pub fn sent_by_the_other_end<'o>(
    timeline: &Timeline,
    record: &FlowRecord,
    sightings: &[Sighting],
    roles: Roles<'_>,
    reached: impl Fn() -> &'o Owner,
) -> Option<Oriented> {
    let FiveTuple { orig, resp, .. } = record.tuple;
    if record.resp.counters.packets == 0 || orig.ip == resp.ip {
        return None;
    }
    let owner = |end| owner_of(timeline, &record.point, end, record.start);
    let reached = reached().workload()?;
    let is = |sender: &Workload, other: &Workload| timeline.are_together(sender, other, record.start);
    let by_mac = record.orig.mac.and_then(|mac| timeline.owner_of_mac(mac, record.start));
    let by_veth = sightings.iter().filter_map(|sighting| sent_to_the_host(timeline, sighting));
    let mut senders = by_mac.into_iter().chain(by_veth.filter(|sender| !(roles.is_mirror)(sender)));
    let has_orig = |sender: &Workload| owner(orig).workload().is_some_and(|owner| is(sender, owner));
    senders.any(|sender| is(sender, reached) && !has_orig(sender)).then(|| Oriented {
        tuple: record.tuple.reversed(),
        point: record.point.clone(),
        at: record.start,
        forward: false,
        certain: true,
    })
}

/// The workload on whose veth the trail's first frame was on its way to the host's MAC. A bridge never floods that one, and never brings it to a
/// container.
fn sent_to_the_host<'a>(timeline: &'a Timeline, sighting: &Sighting) -> Option<&'a Arc<Workload>> {
    let to = sighting.first(true).to.filter(|_| sighting.sent(true).packets > 0)?;
    let owner = timeline.owner_of_veth(&sighting.point, sighting.at)?;
    let has_bridge = timeline.network_of_point(&sighting.point).is_some_and(|network| network.bridge.is_some());
    (has_bridge && timeline.host_mac(&sighting.point) == Some(to)).then_some(owner)
}

/// The frame came in on the veth of `sender`: whatever its address, this one sent it.
fn by_veth(timeline: &Timeline, sender: &Arc<Workload>, by_address: Owner, query: &AttributionQuery<'_>) -> Owner {
    let is_senders = |other: &Workload| timeline.are_together(sender, other, query.at);
    match &by_address {
        Owner::Workload { workload, why, .. } if is_senders(workload) => {
            if *why == Some(Doubt::MacDiffers) {
                likely(workload, AttributionMethod::Veth, Doubt::VethDiffers)
            } else {
                by_address
            }
        }
        Owner::Ambiguous { candidates, .. }
            if !candidates.is_empty() && candidates.iter().all(|one| is_senders(one)) =>
        {
            by_address
        }
        Owner::Unknown => likely(sender, AttributionMethod::Veth, Doubt::UnownedOnVeth),
        _ => likely(sender, AttributionMethod::Veth, Doubt::VethDiffers),
    }
}

fn likely(sender: &Arc<Workload>, how: AttributionMethod, why: Doubt) -> Owner {
    Owner::Workload { workload: Arc::clone(sender), how, confidence: Confidence::Likely, why: Some(why) }
}

/// What is needed to find the socket of an end; only TCP and UDP have some that the kernel shows.
fn socket(protocol: Protocol, own: Endpoint, remote: Endpoint) -> Option<SocketQuery> {
    let shown = matches!(protocol, Protocol::TCP | Protocol::UDP);
    shown.then_some(SocketQuery { protocol, port: own.port, remote })
}

fn kernel_may_know(timeline: &Timeline, oriented: &Oriented) -> bool {
    let FiveTuple { protocol, orig, resp } = oriented.tuple;
    let socket = socket(protocol, orig, resp);
    timeline.kernel_may_know(&AttributionQuery {
        point: &oriented.point,
        ip: orig.ip,
        socket,
        mac: None,
        at: oriented.at,
    })
}

/// Whether the first packet opened the flow; late packets of a TCP connection carry no SYN.
pub fn starts_here(record: &FlowRecord) -> bool {
    record.tcp.is_none_or(TcpFacts::direction_known)
}

/// Whether the runtime or the kernel may still report more about either end; `responder` answers what [`responder_of`] does.
pub fn is_unsettled<'a>(
    timeline: &Timeline,
    source: &Owner,
    oriented: &Oriented,
    responder: impl FnOnce() -> &'a Owner,
) -> bool {
    let FiveTuple { protocol, orig, .. } = oriented.tuple;
    let has_sockets = matches!(protocol, Protocol::TCP | Protocol::UDP);
    let hidden = || !timeline.is_complete() && !is_internet(orig.ip) && !orig.ip.is_multicast();
    let open = match source {
        // Only a socket can show more.
        Owner::Ambiguous { host: true, .. } | Owner::Workload { why: Some(Doubt::SharedNamespace), .. } => has_sockets,
        Owner::Unknown | Owner::Ambiguous { host: false, .. } => true,
        // Its socket is known already.
        Owner::Workload { why: Some(Doubt::SharedSocket), .. } => false,
        Owner::Workload { how, confidence, .. } => {
            *confidence != Confidence::Exact && *how != AttributionMethod::Snapshot
        }
        Owner::External => hidden(),
        // A process may have got into the host's namespace unseen; where the kernel is looked at, its socket shows soon.
        Owner::Host => has_sockets && kernel_may_know(timeline, oriented),
    };
    open || match responder() {
        Owner::Unknown => true,
        Owner::Ambiguous { host: true, .. } => has_sockets,
        _ => false,
    }
}

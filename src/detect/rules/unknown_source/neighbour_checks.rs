//! Claims of ARP and neighbour discovery against what the runtime gave out.
//!
//! Contract: a claim that agrees with the timeline is forgotten at once. One that does not waits for [`WAIT`], in which a runtime reports a
//! container that is being started, and is wrong only if it agrees neither then nor with what was true when it was made.
//! Limits: [`MAX_WAITING`] claims wait; one more, and the oldest is judged early. While the runtimes' word is not complete nothing is wrong.
//! Design: the host may speak for everybody (proxy ARP); a workload may say all its addresses at each of its MACs, as Linux does; so a
//! claim is wrong where somebody else's MAC stands beside an address whose owner is known, or any MAC beside one without an owner.

use std::collections::VecDeque;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use super::Anomaly;
use crate::detect::{Context, FrameSender, Sent};
use crate::input::{Attachment, Mac, NeighbourClaim, ObservationPoint, RuntimeNetwork, Workload};
use crate::inventory::{AttributionMethod, AttributionQuery, Confidence, Doubt, Owner, Timeline};
use crate::time::Timestamp;

/// For the runtime to report whose address it is.
const WAIT: Duration = Duration::from_millis(600);
/// Claims that wait at once.
const MAX_WAITING: usize = 256;

/// Claims that disagree, until it is sure.
#[derive(Debug, Default)]
pub(super) struct Waiting {
    queue: VecDeque<(Timestamp, NeighbourClaim)>,
}

impl Waiting {
    /// Takes in a claim made now; when to come back, where it disagrees.
    pub(super) fn receive(&mut self, context: Context<'_>, claim: &NeighbourClaim) -> Option<Timestamp> {
        let known = |(_, other): &(Timestamp, NeighbourClaim)| {
            (&other.point, other.ip, other.mac) == (&claim.point, claim.ip, claim.mac)
        };
        if check(context.timeline, claim, context.now).is_none() || self.queue.iter().any(known) {
            return None;
        }
        // Of claims at the same time the order of their points decides, not which one reports first.
        let key = |at: Timestamp, claim: &NeighbourClaim| (at, claim.ip, claim.mac, claim.point.clone());
        let own = key(context.now, claim);
        let after =
            self.queue.iter().rev().take_while(|(at, other)| *at == context.now && key(*at, other) > own).count();
        self.queue.insert(self.queue.len() - after, (context.now, claim.clone()));
        Some(context.now.plus(WAIT))
    }

    /// The next claim that is wrong after its time, with when it was made.
    pub(super) fn next_wrong(&mut self, context: Context<'_>) -> Option<(Timestamp, NeighbourClaim, Anomaly)> {
        loop {
            let (at, _) = self.queue.front()?;
            if at.plus(WAIT) > context.now && self.queue.len() <= MAX_WAITING {
                return None;
            }
            let (at, claim) = self.queue.pop_front()?;
            if let Some(anomaly) = judge(context, &claim, at) {
                return Some((at, claim, anomaly));
            }
        }
    }
}

/// What is wrong with a claim that was made at a time, by what is known now.
pub(super) fn judge(context: Context<'_>, claim: &NeighbourClaim, at: Timestamp) -> Option<Anomaly> {
    let timeline = context.timeline;
    let wrong = check(timeline, claim, at).filter(|_| timeline.is_complete())?;
    check(timeline, claim, context.now)?;
    let sender = sender(timeline, claim, [at, context.now]);
    let forged = !matches!(wrong, Wrong::Nobodys(_));
    let found = report(timeline, claim, wrong, sender);
    Some(Anomaly { frame: Some(Box::new(sent(timeline, claim, found.sender.as_ref(), forged, at))), ..found })
}

/// Who sent the claim's frame.
fn sent(
    timeline: &Timeline,
    claim: &NeighbourClaim,
    workload: Option<&Arc<Workload>>,
    forged: bool,
    at: Timestamp,
) -> FrameSender {
    let (points, mac) = (std::slice::from_ref(&claim.point), claim.frame_mac.or(Some(claim.mac)));
    Sent { workload, ip: claim.ip, mac, points, forged, protocol: None, at }.sender(timeline)
}

/// What is wrong with a claim.
enum Wrong {
    /// The address is the host's.
    Host,
    /// It is another workload's.
    Of(Arc<Workload>),
    /// It is nobody's, and lies in this network.
    Nobodys(String),
    /// Address and MAC are this workload's, but the frame came over another one's veth.
    Place(Arc<Workload>),
}

/// Compares a claim with what was true at a time.
fn check(timeline: &Timeline, claim: &NeighbourClaim, at: Timestamp) -> Option<Wrong> {
    let network = timeline.network_at(&claim.point, claim.ip)?;
    let is_host = |mac: Mac| host_macs(timeline, &claim.point, network).any(|known| known == mac);
    // A workload that says where the host is, or what the host would do, says it in a frame of its own.
    let hosts = is_hosts_address(timeline, claim, at);
    if is_host(claim.mac) && (hosts || claim.frame_mac.is_none_or(is_host)) {
        return None;
    }
    if hosts {
        let blamed = timeline.owner_of_mac(claim.mac, at).is_some() || is_here(timeline, &claim.point, network);
        let host_is_known = host_macs(timeline, &claim.point, network).next().is_some();
        return (blamed && host_is_known).then_some(Wrong::Host);
    }
    let query = AttributionQuery { point: &claim.point, ip: claim.ip, socket: None, mac: None, at };
    let (owners, late) = match timeline.attribute(&query) {
        Owner::Workload { workload, why, .. } => (vec![workload], why == Some(Doubt::Late)),
        Owner::Ambiguous { candidates, .. } if candidates.is_empty() => return None,
        Owner::Ambiguous { candidates, .. } => (candidates, false),
        Owner::Unknown => (Vec::new(), false),
        Owner::Host | Owner::External => return None,
    };
    check_owners(timeline, claim, at, network, &owners, late)
}

/// Compares a claim with the owners of its address; `late`: they had ended shortly before.
fn check_owners(
    timeline: &Timeline,
    claim: &NeighbourClaim,
    at: Timestamp,
    network: &RuntimeNetwork,
    owners: &[Arc<Workload>],
    late: bool,
) -> Option<Wrong> {
    let holder = timeline.owner_of_mac(claim.mac, at);
    let speaks = |owner: &Workload| {
        macs(owner).any(|mac| mac == claim.mac) || holder.is_some_and(|holder| holder.id == owner.id)
    };
    if let Some(owner) = owners.iter().find(|owner| speaks(owner)) {
        return came_over_anothers_veth(timeline, claim, network, owner).then(|| Wrong::Place(Arc::clone(owner)));
    }
    // The kernel reported the address of an owner whose runtime reported no networks.
    let is_owner = |owner: &Workload| {
        attachment(owner, claim.ip, network).is_some() || owner.addresses().all(|own| own != claim.ip)
    };
    if let Some(owner) = owners.iter().find(|owner| !late && is_owner(owner)) {
        let given = attachment(owner, claim.ip, network).and_then(|attachment| attachment.mac);
        // Where no MAC was reported for it, only another workload's can be wrong.
        return (given.is_some() || holder.is_some()).then(|| Wrong::Of(Arc::clone(owner)));
    }
    let inside = network.subnets.iter().any(|subnet| subnet.contains(claim.ip));
    (inside && is_here(timeline, &claim.point, network)).then(|| Wrong::Nobodys(network.name.clone()))
}

/// The gateway's and the link's own addresses; a link-local one means something at its own link only.
fn is_hosts_address(timeline: &Timeline, claim: &NeighbourClaim, at: Timestamp) -> bool {
    let link = timeline.link(&claim.point).filter(|link| link.inside.is_none());
    let query = AttributionQuery { point: &claim.point, ip: claim.ip, socket: None, mac: None, at };
    link.is_some_and(|link| link.addresses.contains(&claim.ip))
        || matches!(timeline.attribute(&query), Owner::Host | Owner::Ambiguous { host: true, .. })
}

/// The MACs that the host has on a network: of the point itself, unless it is inside of a workload, and of the bridge behind it.
fn host_macs<'a>(
    timeline: &'a Timeline,
    point: &'a ObservationPoint,
    network: &'a RuntimeNetwork,
) -> impl Iterator<Item = Mac> + 'a {
    let outside = timeline.link(point).is_none_or(|link| link.inside.is_none());
    let own = timeline.host_mac(point).filter(|_| outside);
    let bridge = network.bridge.as_deref().and_then(|name| timeline.host_mac(&ObservationPoint::new(name)));
    own.into_iter().chain(bridge)
}

/// Whether the point is a part of the network: its bridge, a port of it, or inside of a workload; of a point that no link was reported for (a
/// file from elsewhere) the address decides.
fn is_here(timeline: &Timeline, point: &ObservationPoint, network: &RuntimeNetwork) -> bool {
    network.bridge.as_deref() == Some(point.as_str())
        || timeline.running_behind(point).is_some()
        || timeline.link(point).is_none_or(|link| link.inside.is_some())
}

fn macs(workload: &Workload) -> impl Iterator<Item = Mac> + '_ {
    workload.attachments.iter().filter_map(|attachment| attachment.mac)
}

/// How the workload has this address in this network.
fn attachment<'a>(workload: &'a Workload, ip: IpAddr, network: &RuntimeNetwork) -> Option<&'a Attachment> {
    workload.attachments.iter().find(|attachment| {
        let same = if attachment.network_id.is_empty() {
            attachment.network == network.name
        } else {
            attachment.network_id == network.id
        };
        same && attachment.addresses.contains(&ip)
    })
}

/// What goes to the host's own MAC over a workload's veth came from that workload: a bridge never floods it.
fn came_over_anothers_veth(
    timeline: &Timeline,
    claim: &NeighbourClaim,
    network: &RuntimeNetwork,
    owner: &Workload,
) -> bool {
    let bridge = network.bridge.as_deref().and_then(|name| timeline.host_mac(&ObservationPoint::new(name)));
    let to_host = claim.to.is_some() && claim.to == bridge;
    to_host && timeline.running_behind(&claim.point).is_some_and(|veth| veth.id != owner.id)
}

/// Who said it: the owner of the frame's MAC, or of the MAC claimed; where neither is anybody's, the owner of the veth over which it
/// went to somebody else.
fn sender(
    timeline: &Timeline,
    claim: &NeighbourClaim,
    times: [Timestamp; 2],
) -> Option<(Arc<Workload>, AttributionMethod)> {
    let by_mac = |mac: Mac| times.iter().find_map(|at| timeline.owner_of_mac(mac, *at));
    let named = claim.frame_mac.and_then(by_mac).or_else(|| by_mac(claim.mac));
    if let Some(sender) = named {
        return Some((Arc::clone(sender), AttributionMethod::Mac));
    }
    let to = claim.to.filter(|to| !to.is_multicast())?;
    let owner = timeline.running_behind(&claim.point).filter(|owner| macs(owner).all(|mac| mac != to))?;
    Some((Arc::clone(owner), AttributionMethod::Veth))
}

fn report(
    timeline: &Timeline,
    claim: &NeighbourClaim,
    wrong: Wrong,
    sender: Option<(Arc<Workload>, AttributionMethod)>,
) -> Anomaly {
    let NeighbourClaim { point, mac, frame_mac, .. } = claim;
    let (what, truth, why) = match wrong {
        Wrong::Host => ("gateway", "it is the host's own address".to_owned(), None),
        Wrong::Of(owner) => {
            let given = macs(&owner).map(|mac| format!(", at {mac}")).collect::<String>();
            ("spoofed", format!("it belongs to {}{given}", owner.name), Some(Doubt::BorrowedAddress))
        }
        Wrong::Nobodys(network) => {
            ("unknown", format!("no runtime assigned that address of network {network}"), Some(Doubt::UnownedAddress))
        }
        Wrong::Place(owner) => {
            let veth = timeline.running_behind(point).cloned();
            let whose = veth.as_ref().map_or("no known workload", |veth| veth.name.as_str());
            let truth = format!("the frame came over the veth of {whose}, and both belong to {}", owner.name);
            let sender = veth.map(|veth| (veth, AttributionMethod::Veth));
            return anomaly(claim, "veth", &truth, sender, Some(Doubt::VethDiffers));
        }
    };
    let whose = sender.as_ref().map_or("no known workload", |(sender, _)| sender.name.as_str());
    let frame = frame_mac.map_or(String::new(), |frame| format!(" in a frame from {frame}"));
    let truth = format!("{truth}; sent by {mac}{frame} ({whose})");
    anomaly(claim, what, &truth, sender, why)
}

fn anomaly(
    claim: &NeighbourClaim,
    what: &str,
    truth: &str,
    sender: Option<(Arc<Workload>, AttributionMethod)>,
    why: Option<Doubt>,
) -> Anomaly {
    let NeighbourClaim { point, kind, ip, mac, .. } = claim;
    let attribution = sender.as_ref().zip(why).map(|((workload, how), why)| Owner::Workload {
        workload: Arc::clone(workload),
        how: *how,
        confidence: Confidence::Likely,
        why: Some(why),
    });
    Anomaly {
        may_be_late: sender.is_none() && matches!(what, "spoofed" | "unknown"),
        sender: sender.map(|(workload, _)| workload),
        attribution,
        // The sender chooses the MAC, and an address that belongs to nobody: an alert groups what it cannot choose.
        cause: if what == "unknown" { "claim unknown".to_owned() } else { format!("claim {what} {ip}") },
        kind: "claim",
        text: format!("{} on {point} claims {ip} is at {mac}, but {truth}", kind.as_str()),
        ..Anomaly::default()
    }
}

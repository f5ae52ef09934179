//! Blocks: which pairs of addresses, and which are never blocked.
//!
//! Contract: pure. A gateway, the host, a resolver, a hop, a sink or a protected container is never the other end of a block, whatever is asked; nor is loopback, link-local or multicast. Limits: the
//! addresses of the alert's flow and of its list of destinations.

use std::net::IpAddr;

use super::container::Container;
use super::network::network_of;
use super::protection::{Policy, Refusal};
use super::situation::{Request, Situation};
use super::step::{PlannedStep, Step};
use super::subject::Subject;
use crate::path::Selector;

/// One step for all pairs.
pub(super) fn block(
    subject: &Subject,
    request: &Request,
    container: &Container,
    situation: &Situation,
) -> Result<Vec<Step>, String> {
    if !situation.has_nft {
        return Err("the program nft is not installed here (package nftables)".to_owned());
    }
    if subject.accused.runtime.is_users() {
        return Err("its networks lie in the namespace of the user who runs it, not in the host's".to_owned());
    }
    if request.undo_after.is_zero() {
        return Err("a block always ends by itself: give --for a time".to_owned());
    }
    let Some([orig, resp]) = subject.ends.map(|ends| ends.map(|end| end.to_canonical())) else {
        return Err("the alert is about no flow, so there is no address to block".to_owned());
    };
    let endpoint = network_of(subject, request.network.as_deref(), container)?;
    let driver = situation.networks.get(&endpoint.network_id).map(|network| network.driver.as_str());
    if driver != Some("bridge") {
        let driver = driver.unwrap_or("unknown");
        return Err(format!(
            "its network {} has the driver {driver}: its traffic does not pass the host's bridges",
            endpoint.network
        ));
    }
    if !endpoint.gateways.is_empty() && !endpoint.gateways.iter().any(|ip| situation.host_addresses.contains(ip)) {
        return Err(
            "this process is not in the network namespace of the runtime, so a block here would hit nothing".to_owned()
        );
    }
    let own = |ip: &IpAddr| endpoint.addresses.contains(ip);
    let others: Vec<IpAddr> = match (own(&orig), own(&resp)) {
        (true, _) => [resp].into_iter().chain(subject.destinations.iter().map(IpAddr::to_canonical)).collect(),
        (_, true) => vec![orig],
        _ => return Err("no end of the alert's flow is an address of the container any more".to_owned()),
    };
    // Which network it uses next is its own choice.
    let passes = |id: &str| situation.networks.get(id).is_some_and(|network| network.driver == "bridge");
    let bridged = container.endpoints.iter().filter(|endpoint| passes(&endpoint.network_id));
    let mut pairs = Vec::new();
    for own in bridged.flat_map(|endpoint| &endpoint.addresses) {
        let same = others.iter().filter(|other| other.is_ipv4() == own.is_ipv4());
        pairs.extend(same.map(|other| [*own, *other]));
    }
    pairs.sort_unstable();
    pairs.dedup();
    Ok(vec![Step::Block { pairs, seconds: request.undo_after.as_secs().max(1) }])
}

/// Why one of the other ends is not blocked.
pub(super) fn refusals(
    steps: &[PlannedStep],
    container: &Container,
    situation: &Situation,
    policy: &Policy,
) -> Vec<Refusal> {
    let blocks = steps.iter().filter_map(|planned| match &planned.step {
        Step::Block { pairs, .. } => Some(pairs),
        _ => None,
    });
    let others = blocks.flatten().map(|[_, other]| *other);
    let refused = others.filter_map(|other| Some((other, why_not(other, container, situation, policy)?)));
    refused.map(|(other, why)| Refusal::always(format!("{other} is not blocked: {why}"))).collect()
}

fn why_not(ip: IpAddr, container: &Container, situation: &Situation, policy: &Policy) -> Option<String> {
    if let Some(kind) = special(ip) {
        return Some(kind.to_owned());
    }
    if container.endpoints.iter().any(|endpoint| endpoint.gateways.contains(&ip)) {
        return Some("it is the gateway of one of the container's networks".to_owned());
    }
    if situation.host_addresses.contains(&ip) {
        return Some("it is an address of this host".to_owned());
    }
    if situation.resolvers.contains(&ip) {
        return Some("it is a resolver of this host".to_owned());
    }
    if let Some(hop) = policy.hops.iter().find(|hop| hop.is_address(ip)) {
        return Some(format!("it is the hop {}", hop.name));
    }
    if policy.sinks.iter().any(|(host, _)| host.trim_matches(['[', ']']).parse() == Ok(ip)) {
        return Some("alerts are delivered to it".to_owned());
    }
    let neighbour = situation.neighbours.iter().find(|neighbour| neighbour.addresses().any(|other| other == ip))?;
    let is_protected = Selector::any(&policy.protected, neighbour)
        || policy.hops.iter().any(|hop| hop.is_workload(neighbour))
        || Selector::any(&policy.monitors.workloads, neighbour);
    is_protected.then(|| format!("it is the container {}, which is protected", neighbour.name))
}

fn special(ip: IpAddr) -> Option<&'static str> {
    let link_local = match ip {
        IpAddr::V4(ip) => ip.is_link_local(),
        IpAddr::V6(ip) => ip.is_unicast_link_local(),
    };
    let broadcast = matches!(ip, IpAddr::V4(ip) if ip.is_broadcast());
    match () {
        () if ip.is_loopback() => Some("it is loopback"),
        () if ip.is_unspecified() => Some("it is no address of anything"),
        () if ip.is_multicast() || broadcast => Some("it is multicast"),
        () if link_local => Some("it is link-local"),
        () => None,
    }
}

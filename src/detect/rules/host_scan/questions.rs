//! Sweeps that only ask: for the MACs of many neighbours (ARP, neighbour discovery), or for their names (reverse lookups).
//!
//! Contract: the host itself and routers ask for whom others want to reach, so what they ask of a link is left out. Limits: as of other first contacts.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Arc;

use super::sweep::{Means, Sweep};
use super::{ActorAddresses, HostScan, Params, alternatives, judge_sweep};
use crate::detect::anomaly::contacts::Contact;
use crate::detect::anomaly::per_actor::Recent;
use crate::detect::{Actor, Context, Explanation, Finding, FrameSender, Severity};
use crate::input::{Endpoint, Mac, NeighbourClaim};
use crate::inventory::{AttributionMethod, Confidence, Doubt, Owner};
use crate::path::{Selector, owner_of};
use crate::time::Timestamp;

/// The addresses that an actor asked for in one way.
#[derive(Debug, Default)]
pub(super) struct Questions {
    known: Recent<IpAddr, { super::MAX_KNOWN }>,
    sweep: Sweep,
}

impl Questions {
    /// A question; what it is together with those before.
    fn ask(
        &mut self,
        at: Timestamp,
        (to, kind): (IpAddr, Means),
        params: &Params,
    ) -> Option<(Severity, u32, Explanation)> {
        if !self.known.is_new(to) {
            return None;
        }
        self.sweep.add(at, to, kind, params.sweep_window.get());
        judge_sweep(&self.sweep, params)
    }
}

/// Somebody asks for the MAC of a neighbour.
pub(super) fn asked_on_link(rule: &mut HostScan, context: Context<'_>, claim: &NeighbourClaim) -> Option<Finding> {
    let to = claim.asks?.to_canonical();
    let (actor, owner) = asker(rule, context, claim)?;
    let ActorAddresses { on_link, tally, .. } = rule.actors.of(&actor);
    let (severity, amount, why) = on_link.ask(context.now, (to, Means::Question), &rule.params)?;
    if !tally.is_due(severity, amount) {
        return None;
    }
    let (workload, attribution) = (owner.workload().cloned(), Some(owner));
    let sender = Some(Box::new(FrameSender { mac: Some(frame_mac(claim)), ..FrameSender::default() }));
    let point = Some(claim.point.clone());
    Some(Finding { workload, attribution, sender, point, ..finding(context, &actor, severity, why) })
}

fn frame_mac(claim: &NeighbourClaim) -> Mac {
    claim.frame_mac.unwrap_or(claim.mac)
}

/// Who asks, where that is neither the host nor a router. It may not have been seen in a flow yet.
fn asker(rule: &HostScan, context: Context<'_>, claim: &NeighbourClaim) -> Option<(Actor, Owner)> {
    let owner = sure_owner(context, claim)?;
    let is_allowed = owner.workload().is_some_and(|workload| Selector::any(&rule.params.allowed, workload));
    if is_allowed || rule.routers.contains(frame_mac(claim)) && rule.routers.contains(claim.mac) {
        return None;
    }
    context.actors.of(&owner, claim.ip).map(|actor| (actor, owner))
}

/// Whose doing a question is; `None` for the host's, and where another may have asked. Address and MACs are the sender's words. A frame with another workload's MAC
/// accuses nobody; of one with nobody's MAC the workload is likely the sender where the answers go to its MAC.
fn sure_owner(context: Context<'_>, claim: &NeighbourClaim) -> Option<Owner> {
    let owner_of_mac = |mac| context.timeline.owner_of_mac(mac, context.now);
    let sender = owner_of_mac(frame_mac(claim));
    let owner = owner_of(context.timeline, &claim.point, Endpoint { ip: claim.ip, port: 0 }, context.now);
    match (&owner, sender) {
        (Owner::Host, _) => None,
        (Owner::Workload { workload, .. }, Some(sender)) => (sender.id == workload.id).then_some(owner),
        (Owner::Workload { workload, .. }, None) => {
            let is_answered = owner_of_mac(claim.mac).is_some_and(|asks| asks.id == workload.id);
            let has_no_mac = workload.attachments.iter().all(|attachment| attachment.mac.is_none());
            (is_answered || has_no_mac).then(|| owner.less_sure(Doubt::NotItsFrames))
        }
        (Owner::Ambiguous { candidates, .. }, Some(sender)) => {
            let workload = candidates.iter().find(|one| one.id == sender.id).map(Arc::clone)?;
            let (how, confidence) = (AttributionMethod::Mac, Confidence::Likely);
            Some(Owner::Workload { workload, how, confidence, why: Some(Doubt::MacDecides) })
        }
        (Owner::Ambiguous { .. } | Owner::Unknown | Owner::External, sender) => sender.is_none().then_some(owner),
    }
}

/// An actor asks a resolver for the names of addresses.
pub(super) fn asked_for_names(
    rule: &mut HostScan,
    context: Context<'_>,
    (actor, contact): (&Actor, &Contact<'_>),
) -> Option<Finding> {
    let HostScan { params, actors, asked, .. } = rule;
    let questions = asked.anew(contact);
    if questions.is_empty() {
        return None;
    }
    let ActorAddresses { for_names, tally, .. } = actors.of(actor);
    let mut found = None;
    for question in questions.iter().filter(|question| question.kind == "PTR") {
        let address = address_of(&question.query);
        found = address.and_then(|to| for_names.ask(contact.record.end, (to, Means::Reverse), params)).or(found);
    }
    let (severity, amount, why) = found?;
    tally.is_due(severity, amount).then(|| finding(context, actor, severity, why))
}

fn finding(context: Context<'_>, actor: &Actor, severity: Severity, mut why: Explanation) -> Finding {
    why.alternatives = alternatives().collect();
    "rules.host-scan.allowed (a service), or an exception".clone_into(&mut why.silence);
    Finding { severity, ..Finding::of_actor(&super::META, context.now, actor, "hosts", why) }
}

/// The address that a reverse name stands for (RFC 1035 section 3.5, RFC 3596 section 2.5).
fn address_of(name: &str) -> Option<IpAddr> {
    let name = name.trim_end_matches('.').to_ascii_lowercase();
    if let Some(octets) = name.strip_suffix(".in-addr.arpa") {
        let mut octets = octets.rsplit('.').map(|octet| octet.parse::<u8>().ok());
        let address = Ipv4Addr::new(octets.next()??, octets.next()??, octets.next()??, octets.next()??);
        return octets.next().is_none().then_some(IpAddr::V4(address));
    }
    let nibbles = name.strip_suffix(".ip6.arpa")?.rsplit('.');
    let mut bits = 0_u128;
    let mut count = 0;
    for nibble in nibbles {
        let value = u128::from_str_radix(nibble, 16).ok().filter(|_| nibble.len() == 1)?;
        (bits, count) = (bits << 4 | value, count + 1);
    }
    (count == 32).then(|| IpAddr::V6(Ipv6Addr::from(bits)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reverse_name_is_an_address_and_others_are_none() {
        assert_eq!(address_of("4.3.2.10.IN-ADDR.ARPA."), Some([10, 2, 3, 4].into()));
        let six = format!("{}8.b.d.0.1.0.0.2.ip6.arpa", "1.".to_owned() + &"0.".repeat(23));
        assert_eq!(address_of(&six), "2001:db8::1".parse().ok());
        for other in ["3.2.10.in-addr.arpa", "5.4.3.2.10.in-addr.arpa", "400.3.2.1.in-addr.arpa", "1.0.ip6.arpa", "a.b"]
        {
            assert_eq!(address_of(other), None, "{other}");
        }
    }
}

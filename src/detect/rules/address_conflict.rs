//! `address-conflict`.

mod strategy;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::IpAddr;
use std::time::Duration;

use crate::detect::anomaly::routers::Routers;
use crate::detect::params::rule_params;
use crate::detect::{Alternative, Context, ExpectedFrom, Explanation, Finding, Findings, HoldTime, Rule, Severity};
use crate::input::{Endpoint, Mac, NeighbourClaim, ObservationPoint};
use crate::inventory::Owner;
use crate::path::{Evidence, JudgedFlow, owner_of};
use crate::time::{Timestamp, readable};
pub use strategy::META;

/// Addresses whose claims are followed, and MACs whose addresses are; the one that was claimed first goes.
const MAX_ADDRESSES: usize = 4096;
/// Addresses that are kept of one MAC.
const MAX_OF_MAC: usize = 16;

rule_params! {
    /// How often the claims on one address change within `window`.
    changes: usize = 3,
    /// How long changes count together.
    window: HoldTime = HoldTime::secs(60),
}

type Place = (ObservationPoint, IpAddr);

/// The claims on one address.
#[derive(Debug)]
struct Claims {
    mac: Mac,
    /// When another MAC than before claimed it.
    changes: VecDeque<Timestamp>,
    /// The MAC before.
    before: Option<Mac>,
}

/// The rule; it remembers the claims on each address.
#[derive(Debug)]
pub struct AddressConflict {
    params: Params,
    claims: BTreeMap<Place, Claims>,
    order: VecDeque<Place>,
    /// What each MAC claims.
    of_mac: BTreeMap<Mac, BTreeSet<IpAddr>>,
    routers: Routers,
    forgotten: u64,
}

/// The rule with its parameters.
pub fn rule(params: &Params) -> impl Rule + use<> {
    AddressConflict {
        params: params.clone(),
        claims: BTreeMap::new(),
        order: VecDeque::new(),
        of_mac: BTreeMap::new(),
        routers: Routers::default(),
        forgotten: 0,
    }
}

impl Rule for AddressConflict {
    fn on_flow(&mut self, _: Context<'_>, flow: &JudgedFlow, _: &mut Findings) {
        self.routers.see(flow);
    }

    fn on_claim(&mut self, context: Context<'_>, claim: &NeighbourClaim, findings: &mut Findings) {
        // Of what a runtime owns, `unknown-source` knows whose it is.
        let owner = owner_of(context.timeline, &claim.point, Endpoint { ip: claim.ip, port: 0 }, context.now);
        if matches!(owner, Owner::Workload { .. } | Owner::Ambiguous { .. })
            || is_shared(claim.mac)
            || claim.mac.is_multicast()
        {
            return;
        }
        self.note(claim);
        let Some(before) = self.change(claim, context.now) else { return };
        if !self.are_one_host(claim.mac, before) {
            findings.push(self.finding(claim, before, context.now));
        }
    }

    fn forgotten(&self) -> u64 {
        self.forgotten
    }
}

/// MACs that move between hosts by design: VRRP and CARP, HSRP, GLBP.
const fn is_shared(mac: Mac) -> bool {
    matches!(
        mac.0,
        [0, 0, 0x5e, 0, 1 | 2, _] | [0, 0, 0x0c, 0x07, 0xac, _] | [0, 0, 0x0c, 0x9f, ..] | [0, 0x07, 0xb4, ..]
    )
}

impl AddressConflict {
    /// What a MAC claims, all together.
    fn note(&mut self, claim: &NeighbourClaim) {
        if self.of_mac.len() >= MAX_ADDRESSES && !self.of_mac.contains_key(&claim.mac) {
            self.forgotten += 1;
            self.of_mac.pop_first();
        }
        let own = self.of_mac.entry(claim.mac).or_default();
        if own.len() < MAX_OF_MAC {
            own.insert(claim.ip);
        }
    }

    /// The MAC that the address had before, where the claims on it change too often.
    fn change(&mut self, claim: &NeighbourClaim, now: Timestamp) -> Option<Mac> {
        let place = (claim.point.clone(), claim.ip);
        let Some(known) = self.claims.get_mut(&place) else {
            if self.claims.len() >= MAX_ADDRESSES
                && let Some(oldest) = self.order.pop_front()
            {
                self.forgotten += 1;
                self.claims.remove(&oldest);
            }
            self.order.push_back(place.clone());
            self.claims.insert(place, Claims { mac: claim.mac, changes: VecDeque::new(), before: None });
            return None;
        };
        if known.mac == claim.mac {
            return None;
        }
        let before = std::mem::replace(&mut known.mac, claim.mac);
        // A third one is another story: an address that moves on.
        if known.before.is_some_and(|first| first != claim.mac) {
            known.changes.clear();
        }
        known.before = Some(before);
        known.changes.push_back(now);
        let window: Duration = self.params.window.get();
        while known.changes.front().is_some_and(|first| now.since(*first) > window)
            || known.changes.len() > self.params.changes.max(1)
        {
            known.changes.pop_front();
        }
        (known.changes.len() >= self.params.changes.max(1)).then_some(before)
    }

    /// Whether both claim the same addresses, and several: one host with two interfaces answers on both (ARP flux).
    fn are_one_host(&self, one: Mac, other: Mac) -> bool {
        let (one, other) = (self.of_mac.get(&one), self.of_mac.get(&other));
        one.zip(other).is_some_and(|(one, other)| one.len() >= 2 && one == other)
    }

    fn finding(&self, claim: &NeighbourClaim, before: Mac, now: Timestamp) -> Finding {
        let is_gateway = self.routers.contains(claim.mac) || self.routers.contains(before);
        let count = self.params.changes.max(1);
        let observed = format!(
            "{} is claimed by {} and by {before} in turn: {count} changes within {} at {}, the last by {}",
            claim.ip,
            claim.mac,
            readable(self.params.window.get()),
            claim.point,
            claim.kind.as_str()
        );
        let mut why = Explanation::new(
            observed.clone(),
            "an address is at one MAC at a time; a move is one change",
            ExpectedFrom::Floor,
        );
        why.threshold = format!("{count} changes");
        why.parameter = "rules.address-conflict.changes".into();
        if is_gateway {
            why.signs.push("frames to the outside go to one of them: it is a gateway".into());
        }
        why.alternatives = vec![
            Alternative::new("two hosts that were given the same address", "whether both have it configured"),
            Alternative::new("a bond that balances by answers (balance-alb)", "whether both MACs are of one host"),
        ];
        why.limits.push("claims alone: who of the two is right is not known".into());
        why.silence = "raise rules.address-conflict.changes, or except the address".into();
        // Who really sends, whatever it claims: one sender makes one alert.
        let sender = claim.frame_mac.unwrap_or(claim.mac);
        let pair = if sender < before { [sender, before] } else { [before, sender] };
        Finding {
            severity: if is_gateway { Severity::High } else { Severity::Medium },
            destination: Some(Endpoint { ip: claim.ip, port: 0 }),
            point: Some(claim.point.clone()),
            explanation: Some(Box::new(why)),
            ..Finding::of_nobody(
                &META,
                now,
                &format!("{} {}", pair[0], pair[1]),
                vec![Evidence::new("claims", observed)],
            )
        }
    }
}

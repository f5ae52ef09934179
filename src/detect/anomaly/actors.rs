//! Who acts: a workload's service where the runtime explains the address, else the address itself where it is local.
//!
//! Contract: an address is local if the host or a container network of it owns it, if it lies in [`LocalNetworks`], or if it is loopback. While no
//! end of any flow was local, both ends of every flow act, and what is found of them is `medium` at most. Limits: [`MAX_SERVICES`] services; beyond,
//! all are forgotten and counted. Link-local addresses act, but do not show which end is ours: every host has one.
//! Design: an [`Actor`] is cheap to copy and to compare; services are numbered in the order in which they appear, so the order of actors is that of the
//! inputs. The engine shows every judged flow to [`Actors::see`] before rules see it, and asks [`Actors::settle`] about every finding.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;

use ipnetwork::IpNetwork;

use super::actor::{Actor, ServiceActor};
use crate::detect::{Finding, Severity};
use crate::input::{Workload, WorkloadId};
use crate::inventory::Owner;
use crate::inventory::configuration::ServiceKey;
use crate::path::{JudgedFlow, responder_of};
use crate::{input::Endpoint, inventory::Timeline};

/// Services, and workloads of them, that are known at once.
const MAX_SERVICES: usize = 16_384;

/// The severity of what is found of an end that is only assumed to be ours.
const MOST_IF_ASSUMED: Severity = Severity::Medium;

/// The networks whose addresses are ours where no runtime explains them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LocalNetworks {
    ranges: Option<Vec<IpNetwork>>,
}

impl LocalNetworks {
    /// These, in place of the usual ones; none: the usual ones.
    pub fn new(ranges: Vec<IpNetwork>) -> Self {
        Self { ranges: Some(ranges).filter(|ranges| !ranges.is_empty()) }
    }

    /// Whether an address lies in them. Loopback is the host itself, whatever was configured.
    pub fn contains(&self, ip: IpAddr) -> bool {
        let ip = ip.to_canonical();
        match &self.ranges {
            _ if ip.is_loopback() => true,
            Some(ranges) => ranges.iter().any(|range| range.contains(ip)),
            None => is_usual(ip),
        }
    }
}

/// Private (RFC 1918, RFC 4193), shared (RFC 6598) and link-local addresses.
fn is_usual(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(v4) => {
            let [a, b, ..] = v4.octets();
            v4.is_private() || is_link_local(ip) || (a == 100 && (64..128).contains(&b))
        }
        IpAddr::V6(v6) => v6.is_unique_local() || is_link_local(ip),
    }
}

const fn is_link_local(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(ip) => ip.is_link_local(),
        IpAddr::V6(ip) => ip.is_unicast_link_local(),
    }
}

/// Whether one host can have it: no group, no broadcast, not "none yet".
fn is_of_one_host(ip: IpAddr) -> bool {
    let is_broadcast = matches!(ip, IpAddr::V4(ip) if ip.is_broadcast());
    !(ip.is_multicast() || ip.is_unspecified() || is_broadcast)
}

/// Who acts, as far as it is known.
#[derive(Debug, Default)]
pub struct Actors {
    local: LocalNetworks,
    /// An end of some flow was ours.
    is_any_local: bool,
    services: BTreeMap<ServiceKey, Arc<ServiceActor>>,
    by_workload: hashbrown::HashMap<WorkloadId, Arc<ServiceActor>, foldhash::fast::RandomState>,
    /// The ends of the flow that was seen last: rules ask about them.
    latest: [Option<(Arc<Workload>, Arc<ServiceActor>)>; 2],
    next: u32,
    forgotten: u64,
}

impl Actors {
    /// Nobody was seen.
    pub fn new(local: LocalNetworks) -> Self {
        Self { local, ..Self::default() }
    }

    /// Takes over other networks that are ours.
    pub fn reconfigure(&mut self, local: LocalNetworks) {
        self.local = local;
    }

    /// Takes in who the ends of a flow are.
    pub fn see(&mut self, flow: &JudgedFlow) {
        let tuple = flow.oriented.tuple;
        for (place, owner, end) in [(0, &flow.source, tuple.orig), (1, &flow.responder, tuple.resp)] {
            if let Owner::Workload { workload, .. } = owner
                && self.latest_of(workload).is_none()
            {
                let service = self.know(workload);
                self.latest[place] = Some((Arc::clone(workload), service));
            }
            self.is_any_local =
                self.is_any_local || (!is_link_local(end.ip.to_canonical()) && self.is_local(owner, end.ip));
        }
    }

    fn latest_of(&self, workload: &Arc<Workload>) -> Option<&Arc<ServiceActor>> {
        let mut latest = self.latest.iter().flatten();
        latest.find(|(known, _)| Arc::ptr_eq(known, workload)).map(|(_, service)| service)
    }

    fn know(&mut self, workload: &Arc<Workload>) -> Arc<ServiceActor> {
        if let Some(known) = self.by_workload.get(&workload.id) {
            return Arc::clone(known);
        }
        if self.by_workload.len() >= MAX_SERVICES {
            self.forgotten += self.by_workload.len() as u64;
            self.by_workload.clear();
            self.services.clear();
            self.latest = [None, None];
        }
        let key = ServiceKey::of(workload);
        let next = &mut self.next;
        let service = self.services.entry(key).or_insert_with_key(|key| {
            *next = next.wrapping_add(1);
            Arc::new(ServiceActor { number: *next, key: key.clone(), workload: Arc::clone(workload) })
        });
        self.by_workload.insert(workload.id.clone(), Arc::clone(service));
        Arc::clone(service)
    }

    /// Whether this end of a flow is ours for certain.
    fn is_local(&self, owner: &Owner, ip: IpAddr) -> bool {
        is_of_one_host(ip) && (!matches!(owner, Owner::External) || self.local.contains(ip))
    }

    /// The actor that an owner of an address is; `None` where it is not ours.
    pub fn of(&self, owner: &Owner, ip: IpAddr) -> Option<Actor> {
        if let Owner::Workload { workload, .. } = owner
            && let Some(service) = self.latest_of(workload).or_else(|| self.by_workload.get(&workload.id))
        {
            return Some(Actor::Service(Arc::clone(service)));
        }
        let acts = is_of_one_host(ip) && (self.are_assumed() || self.is_local(owner, ip));
        acts.then(|| Actor::Address(ip.to_canonical()))
    }

    /// The actor that asked, where it is ours.
    pub fn source(&self, flow: &JudgedFlow) -> Option<Actor> {
        self.of(&flow.source, flow.oriented.tuple.orig.ip)
    }

    /// The actor that was asked, where it is ours.
    pub fn responder(&self, timeline: &Timeline, flow: &JudgedFlow) -> Option<Actor> {
        self.of(&responder_of(timeline, &flow.oriented), flow.oriented.tuple.resp.ip)
    }

    /// The actor that has this address, where it is ours and no flow is at hand.
    pub fn at(
        &self,
        timeline: &Timeline,
        point: &crate::input::ObservationPoint,
        ip: IpAddr,
        at: crate::time::Timestamp,
    ) -> Option<Actor> {
        self.of(&crate::path::owner_of(timeline, point, Endpoint { ip, port: 0 }, at), ip)
    }

    /// Whether nothing tells which end of a flow is ours: both ends of every flow act.
    pub const fn are_assumed(&self) -> bool {
        !self.is_any_local
    }

    /// Whether an actor is ours for certain.
    pub fn is_certain(&self, actor: &Actor) -> bool {
        match actor {
            Actor::Service(_) => true,
            Actor::Address(_) => self.is_any_local,
        }
    }

    /// Caps what was found of an actor that is only assumed to be ours; false where it has turned out not to be: nothing is reported then.
    pub fn settle(&self, timeline: &Timeline, finding: &mut Finding) -> bool {
        let Some(Actor::Address(ip)) = finding.actor else { return true };
        if self.local.contains(ip) || timeline.is_on_host(ip) {
            return true;
        }
        finding.severity = finding.severity.min(MOST_IF_ASSUMED);
        finding.is_actor_assumed = true;
        self.are_assumed()
    }

    /// How often a bound cost something.
    pub const fn forgotten(&self) -> u64 {
        self.forgotten
    }
}

#[cfg(test)]
mod tests;

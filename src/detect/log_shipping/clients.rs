//! The containers whose logs the runtime's daemon sends, by the address that their log driver has.
//!
//! Contract: a container is a client from its first report until its end. Limits: [`MAX_CLIENTS`] containers; beyond, flows of their drivers
//! count as the host's, and each is counted. Design: flows are matched by address and port, or by port alone where the setting holds a
//! name or the host's own address, and then only where one target has that port.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use crate::input::{Endpoint, InventoryEvent, Protocol, RecordedFact, Workload, WorkloadId, WorkloadState};
use crate::inventory::Timeline;

use super::DriverTarget;

const MAX_CLIENTS: usize = 16_384;

/// Containers and targets of their log drivers.
#[derive(Debug, Default)]
pub struct Clients {
    by_workload: BTreeMap<WorkloadId, DriverTarget>,
    by_target: BTreeMap<DriverTarget, BTreeSet<WorkloadId>>,
    /// Targets with an address.
    exact: BTreeMap<(Protocol, Endpoint), DriverTarget>,
    /// Those with a name, or with the host's own address.
    vague: BTreeMap<(Protocol, u16), BTreeSet<DriverTarget>>,
    /// How many targets have a port.
    ports: BTreeMap<(Protocol, u16), usize>,
    forgotten: u64,
}

impl Clients {
    /// A workload as it is now.
    pub fn apply(&mut self, workload: &Workload) {
        let logging = workload.configuration.as_ref().and_then(|configuration| configuration.logging.as_ref());
        let target = logging.and_then(DriverTarget::of).filter(|_| workload.state != WorkloadState::Exited);
        if self.by_workload.get(&workload.id) == target.as_ref() {
            return;
        }
        self.remove(&workload.id);
        let Some(target) = target else { return };
        if self.by_workload.len() >= MAX_CLIENTS {
            self.forgotten += 1;
            return;
        }
        self.by_workload.insert(workload.id.clone(), target.clone());
        let clients = self.by_target.entry(target.clone()).or_default();
        if clients.is_empty() {
            *self.ports.entry((target.protocol, target.port)).or_default() += 1;
            match target.address() {
                Some(end) => _ = self.exact.insert((target.protocol, end), target),
                None => _ = self.vague.entry((target.protocol, target.port)).or_default().insert(target),
            }
        }
        clients.insert(workload.id.clone());
    }

    /// Takes in containers and their ends.
    pub fn on_fact(&mut self, timeline: &Timeline, fact: &RecordedFact) {
        let RecordedFact::Inventory(event) = fact else { return };
        match event {
            InventoryEvent::Workload(workload) => self.apply(workload),
            InventoryEvent::Stopped { id, .. } => self.remove(id),
            InventoryEvent::Reconciled { .. } => {
                let gone = self.by_workload.keys().filter(|id| !timeline.is_running(id));
                gone.cloned().collect::<Vec<_>>().iter().for_each(|id| self.remove(id));
            }
            _ => {}
        }
    }

    /// The target of a container's log driver.
    pub fn target_of(&self, id: &WorkloadId) -> Option<&DriverTarget> {
        self.by_workload.get(id)
    }

    /// The containers with this target.
    pub fn of(&self, target: &DriverTarget) -> impl Iterator<Item = &WorkloadId> {
        self.by_target.get(target).into_iter().flatten()
    }

    /// Whether some target has this port.
    pub fn is_port(&self, protocol: Protocol, port: u16) -> bool {
        self.ports.contains_key(&(protocol, port))
    }

    /// The target that a flow of the host with one of these ends goes to. `is_here`: the end is a container of this host, which the host's
    /// own address may lead to.
    pub fn target(&self, protocol: Protocol, ends: [Endpoint; 2], is_here: bool) -> Option<&DriverTarget> {
        let exact = ends.iter().find_map(|end| self.exact.get(&(protocol, *end)));
        exact.or_else(|| {
            let mut vague = ends.iter().filter_map(|end| self.vague.get(&(protocol, end.port)));
            let targets = vague.next()?;
            let mut fitting = targets.iter().filter(|target| is_here || target.host.parse::<IpAddr>().is_err());
            let first = fitting.next()?;
            fitting.next().is_none().then_some(first)
        })
    }

    fn remove(&mut self, id: &WorkloadId) {
        let Some(target) = self.by_workload.remove(id) else { return };
        let Some(clients) = self.by_target.get_mut(&target) else { return };
        clients.remove(id);
        if !clients.is_empty() {
            return;
        }
        self.by_target.remove(&target);
        let place = (target.protocol, target.port);
        if let Some(count) = self.ports.get_mut(&place) {
            *count -= 1;
            if *count == 0 {
                self.ports.remove(&place);
            }
        }
        if let Some(end) = target.address() {
            self.exact.remove(&(target.protocol, end));
        } else if let Some(targets) = self.vague.get_mut(&place) {
            targets.remove(&target);
            if targets.is_empty() {
                self.vague.remove(&place);
            }
        }
    }

    /// Containers that found no room.
    pub const fn forgotten(&self) -> u64 {
        self.forgotten
    }
}

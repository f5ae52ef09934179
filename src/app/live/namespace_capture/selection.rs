//! Which workloads are to be observed from inside, and under which names.
//!
//! Contract: a workload that shares a namespace (the host's, another container's) is never entered for itself; one whose traffic a
//! host-side interface shows is entered only when all are. Limits: [`MAX_WORKLOADS`] are known at once.
//! Design: pure; what it has to know comes from the runtimes' events and a list of the host's interfaces.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use globset::GlobSet;

use crate::config::InsideNamespaces;
use crate::host::Interface;
use crate::input::{
    Attachment, Change, InventoryEvent, NetworkMode, ObservationPoint, Roster, RuntimeNetwork, Workload, WorkloadId,
};
use crate::time::Timestamp;

/// Far more than are entered.
const MAX_WORKLOADS: usize = 32_768;
/// Docker's default address pools hold 31.
const MAX_NETWORKS: usize = 4096;
/// A runtime reports a network, or the veth, a little after the workload; only after that something is missing.
const SETTLE: Duration = Duration::from_secs(2);
/// Characters of a workload's name in a point's name.
const MAX_NAME: usize = 48;

/// What the runtimes reported so far.
pub(super) struct EntryPolicy {
    mode: InsideNamespaces,
    globs: GlobSet,
    roster: Roster,
    workloads: BTreeMap<WorkloadId, (Arc<Workload>, Timestamp)>,
    networks: BTreeMap<String, Arc<RuntimeNetwork>>,
}

/// The host's interfaces by name.
pub(super) type HostLinks<'a> = BTreeMap<&'a str, &'a Interface>;

impl EntryPolicy {
    pub(super) const fn new(mode: InsideNamespaces, globs: GlobSet) -> Self {
        Self { mode, globs, roster: Roster::new(MAX_WORKLOADS), workloads: BTreeMap::new(), networks: BTreeMap::new() }
    }

    /// Takes a runtime's event.
    pub(super) fn apply(&mut self, event: InventoryEvent, now: Timestamp) {
        for change in self.roster.apply(&event) {
            if let Change::Stopped(id) = change {
                self.workloads.remove(&id);
            }
        }
        match event {
            InventoryEvent::Workload(workload) if workload.pid.is_some() && self.roster.contains(&workload.id) => {
                let since = self.workloads.get(&workload.id).map_or(now, |(_, since)| *since);
                self.workloads.insert(workload.id.clone(), (workload, since));
            }
            InventoryEvent::Network(network)
                if self.networks.len() < MAX_NETWORKS || self.networks.contains_key(&network.id) =>
            {
                self.networks.insert(network.id.clone(), network);
            }
            InventoryEvent::NetworkRemoved { id } => drop(self.networks.remove(&id)),
            _ => {}
        }
    }

    /// Those to be entered, in order of id.
    pub(super) fn wanted(&self, host: &HostLinks<'_>, now: Timestamp) -> Vec<Arc<Workload>> {
        let wanted = self
            .workloads
            .values()
            .filter(|(workload, since)| self.is_wanted(workload, host, now.since(*since) >= SETTLE));
        wanted.map(|(workload, _)| Arc::clone(workload)).collect()
    }

    fn is_wanted(&self, workload: &Workload, host: &HostLinks<'_>, settled: bool) -> bool {
        let all = self.mode == InsideNamespaces::All;
        match workload.network_mode {
            NetworkMode::Host | NetworkMode::Container(_) => false,
            NetworkMode::None => all,
            NetworkMode::Rootless(_) => self.mode != InsideNamespaces::Never,
            NetworkMode::Own if workload.attachments.is_empty() => all || settled,
            NetworkMode::Own => all || workload.attachments.iter().any(|one| self.is_unwatched(one, host, settled)),
        }
    }

    /// Whether no captured interface of the host shows the traffic of this attachment.
    fn is_unwatched(&self, attachment: &Attachment, host: &HostLinks<'_>, settled: bool) -> bool {
        let captured = |name: &str| host.contains_key(name) && self.globs.is_match(name);
        let veth = attachment.host_interface.as_deref().and_then(|name| host.get(name));
        let by_veth = veth.is_some_and(|veth| captured(&veth.name) || veth.master.as_deref().is_some_and(captured));
        let by_name = || self.networks.values().find(|network| network.name == attachment.network);
        let network = self.networks.get(&attachment.network_id).or_else(by_name);
        match network {
            _ if by_veth => false,
            Some(network) if network.bridge.is_some() => settled && !network.bridge.as_deref().is_some_and(captured),
            Some(network) => network.driver != "bridge" || settled,
            None => settled,
        }
    }
}

/// `NAME:eth0`, safe to print anywhere, and not among those taken.
pub(super) fn point_name(
    workload: &Workload,
    interface: &str,
    index: u32,
    taken: impl Fn(&ObservationPoint) -> bool,
) -> ObservationPoint {
    let (name, interface) = (safe(&workload.name), safe(interface));
    let id = safe(workload.id.short());
    let told_whole = name == workload.name && !name.is_empty();
    let plain = ObservationPoint::new(&format!("{name}:{interface}"));
    let with_id = ObservationPoint::new(&format!("{name}-{id}:{interface}"));
    match (told_whole && !taken(&plain), taken(&with_id)) {
        (true, _) => plain,
        (false, false) => with_id,
        (false, true) => ObservationPoint::new(&format!("{name}-{id}:{interface}.{index}")),
    }
}

/// Letters, digits and `_.-`; anything else becomes `_`.
fn safe(text: &str) -> String {
    let plain = |c: char| if c.is_ascii_alphanumeric() || "_.-".contains(c) { c } else { '_' };
    text.chars().take(MAX_NAME).map(plain).collect()
}

#[cfg(test)]
mod tests;

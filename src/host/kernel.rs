//! What the kernel shows of workloads: namespaces, interfaces inside, sockets, sniffers, processes, rights, mounts.
//!
//! Contract: a [`Collector`] learns which workloads run and returns, at each scan, what changed since the last one; what could not
//! be seen is a [`KernelFact::Missed`]. The namespace of the thread that makes it is the host's; it
//! stays on that thread. Limits: what lives between two looks only; a thread (not a process) that enters another namespace alone;
//! a process that holds a socket of another namespace than its own. Each table names its bound.
//! Design: netlink where the kernel speaks it, `/proc` for processes and files; no clock: a caller brings the time and decides how
//! often to scan ([`Collector::scan`] costs much, [`Collector::scan_sockets`] little, [`Collector::scan_first`] as much as is asked for).

mod agents;
mod cgroups;
mod diag;
mod first_process;
mod flow_process;
mod interfaces;
mod missed;
mod mounts;
mod name_files;
mod namespaces;
mod packet_sockets;
mod proc;
mod rights;
mod sampling;
pub(in crate::host) mod settings;
mod socket_owners;
mod sockets;
mod workloads;

use self::agents::Agents;
use self::first_process::Matters;
pub use self::flow_process::{FlowEnd, FlowProcess};
use self::missed::Missed;
use self::namespaces::Namespaces;
use self::packet_sockets::PacketSockets;
use self::sockets::{ScanContext, Sockets};
use self::workloads::{MAX_WORKLOADS, Workloads};
use super::HostError;
use super::netlink::BUFFER;
use crate::input::{Change, InventoryEvent, KernelFact, MissedKind, NetnsId, Roster, SocketView, WorkloadId};
use crate::time::Timestamp;

/// Looks at the kernel for workloads.
#[derive(Debug)]
pub struct Collector {
    roster: Roster,
    workloads: Workloads,
    agents: Agents,
    namespaces: Namespaces,
    sockets: Sockets,
    packet_sockets: PacketSockets,
    matters: Matters,
    missed: Missed,
    buffer: Vec<u8>,
}

/// How much is looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Extent {
    /// Every process, interface, socket and sniffer.
    All,
    /// Workloads that were not looked at yet, and what is news.
    New,
    /// Sockets, and what is news.
    Sockets,
}

impl Collector {
    /// The calling thread's network namespace is the host's.
    pub fn new() -> Result<Self, HostError> {
        Ok(Self {
            roster: Roster::new(MAX_WORKLOADS),
            workloads: Workloads::new(),
            agents: Agents::default(),
            namespaces: Namespaces::new()?,
            sockets: Sockets::default(),
            packet_sockets: PacketSockets::default(),
            matters: |_| false,
            missed: Missed::default(),
            buffer: vec![0; BUFFER],
        })
    }

    /// Watches the processes of workloads whose command has such a name.
    pub fn watch_agents(&mut self, is_agent: impl Fn(&str) -> bool + Send + 'static) {
        self.agents.watch(Box::new(is_agent));
    }

    /// Tells what is mounted in workloads at places for which this holds.
    pub fn watch_mounts(&mut self, matters: fn(&str) -> bool) {
        self.matters = matters;
    }

    /// The host's namespace.
    pub const fn host(&self) -> NetnsId {
        self.namespaces.host()
    }

    /// A workload runs with this first process; whether that is new.
    pub fn start(&mut self, id: &WorkloadId, pid: u32) -> bool {
        self.workloads.start(id, pid)
    }

    /// A workload ended; whether it ran.
    pub fn stop(&mut self, id: &WorkloadId) -> bool {
        self.workloads.stop(id)
    }

    /// Takes a runtime's event; whether something started or ended.
    pub fn receive(&mut self, event: &InventoryEvent) -> bool {
        let refused = self.roster.refused();
        let mut changed = false;
        for change in self.roster.apply(event) {
            changed |= match change {
                Change::Started(id, pid) => self.start(&id, pid),
                Change::Stopped(id) => self.stop(&id),
            };
        }
        self.missed.add(MissedKind::Overflow, usize::from(self.roster.refused() > refused));
        if let InventoryEvent::Workload(workload) = event {
            let configuration = workload.configuration.as_deref();
            let resolver = configuration.and_then(|all| all.resolver_path.as_deref());
            let hosts = configuration.and_then(|all| all.hosts_path.as_deref());
            self.workloads.place_files(&workload.id, resolver, hosts);
        }
        changed
    }

    /// Looks at everything.
    pub fn scan(&mut self, at: Timestamp) -> Vec<KernelFact> {
        self.turn(at, Extent::All)
    }

    /// Looks at workloads that are new, at namespaces that changed, and at sockets.
    pub fn scan_new(&mut self, at: Timestamp) -> Vec<KernelFact> {
        self.turn(at, Extent::New)
    }

    /// Looks at namespaces that changed, and at sockets.
    pub fn scan_sockets(&mut self, at: Timestamp) -> Vec<KernelFact> {
        self.turn(at, Extent::Sockets)
    }

    /// Looks for the process behind an end of a flow; what that look showed besides.
    pub fn process_of(&mut self, wanted: &FlowEnd) -> (Option<FlowProcess>, Vec<KernelFact>) {
        let Self { workloads, namespaces, missed, buffer, .. } = self;
        let mut facts = Vec::new();
        let found = flow_process::find(wanted, workloads, namespaces.host(), (buffer, missed, &mut facts));
        (found, facts)
    }

    /// Looks at the first processes of workloads that are due, at most so many: what they may do, and what is mounted for them.
    pub fn scan_first(&mut self, at: Timestamp, most: usize) -> Vec<KernelFact> {
        let mut facts = Vec::new();
        self.workloads.look_at_due(at, most, self.matters, &mut self.missed, &mut facts);
        facts
    }

    /// Whether there are namespaces whose sockets are looked at.
    pub fn has_sockets(&self) -> bool {
        !self.sockets.is_idle()
    }

    fn turn(&mut self, at: Timestamp, extent: Extent) -> Vec<KernelFact> {
        let Self { workloads, agents, namespaces, sockets, packet_sockets, matters, missed, buffer, .. } = self;
        let mut facts = Vec::new();
        if extent != Extent::Sockets {
            workloads.scan(extent == Extent::All, missed, &mut facts);
            workloads.look_at_new(at, *matters, missed, &mut facts);
            namespaces.settle(workloads, missed, &mut facts);
        }
        namespaces.list(at, buffer, missed, &mut facts);
        let listed = extent == Extent::All;
        sockets.scan(&mut ScanContext { at, workloads, namespaces, listed, buffer, missed, facts: &mut facts });
        if listed {
            agents.scan(workloads, &mut facts);
            packet_sockets.scan(workloads, namespaces, buffer, missed, &mut facts);
        }
        facts.extend(missed.take());
        facts
    }
}

/// Looks once at the workloads with these first processes: what is there now, without what came and went. Of mounts, what is at places for which `matters` holds.
pub fn observe_once(workloads: &[(WorkloadId, u32)], matters: fn(&str) -> bool) -> Vec<KernelFact> {
    let Ok(mut collector) = Collector::new() else { return Vec::new() };
    collector.watch_mounts(matters);
    for (id, pid) in workloads {
        collector.start(id, *pid);
    }
    // A socket that nobody holds is sure only at the second look; what comes and goes meanwhile is left out.
    let mut facts = collector.scan(Timestamp::MIN);
    facts.extend(collector.scan(Timestamp::MIN).into_iter().filter_map(|fact| match fact {
        KernelFact::SocketOpened(socket) if socket.since.is_some() => {
            Some(KernelFact::SocketOpened(SocketView { since: None, ..(*socket).clone() }.into()))
        }
        KernelFact::Missed { .. } => None,
        other => Some(other),
    }));
    facts
}

#[cfg(test)]
mod tests {
    use std::net::UdpSocket;

    use super::*;

    #[test]
    fn this_process_as_a_workload_is_shown_with_its_socket() {
        let socket = UdpSocket::bind("127.0.0.1:0").expect("a socket");
        let port = socket.local_addr().expect("an address").port();
        let id = WorkloadId::new("self");
        let facts = observe_once(&[(id.clone(), std::process::id())], |_| false);
        let reported = |wanted: &dyn Fn(&KernelFact) -> bool| facts.iter().filter(|fact| wanted(fact)).count();
        assert_eq!(
            reported(
                &|fact| matches!(fact, KernelFact::Namespace(view) if view.host && view.workloads == [id.clone()])
            ),
            1
        );
        assert_eq!(reported(&|fact| matches!(fact, KernelFact::Processes(of) if of.workload == id)), 1);
        let ours = |fact: &KernelFact| matches!(fact, KernelFact::SocketOpened(view) if view.local.port == port);
        assert_eq!(reported(&ours), 1);
        let Some(KernelFact::SocketOpened(view)) = facts.iter().find(|fact| ours(fact)) else { panic!("{facts:?}") };
        assert_eq!((&view.owners[..], view.since), (&[id][..], None));
    }
}

//! What the kernel showed of namespaces, processes and sniffing sockets, as it stands now.
//!
//! Contract: the latest word of each object; the past of addresses and sockets is the timeline's. Limits: [`MAX_NAMESPACES`],
//! [`MAX_SNIFFERS`]; beyond, newcomers are refused and counted. Design: rules read it; only the timeline writes it.

mod first_processes;

use std::collections::BTreeMap;
use std::sync::Arc;

use self::first_processes::FirstProcesses;
pub use self::first_processes::SeenMounts;
use crate::input::{
    KernelFact, MissedKind, NameFiles, NamespaceView, NetnsId, ProcessNamespaces, ProcessRights, SnifferView, Workload,
    WorkloadId,
};

const MAX_NAMESPACES: usize = 32_768;
const MAX_SNIFFERS: usize = 16_384;

/// The kernel's truth, as far as it was reported.
#[derive(Debug, Default)]
pub struct KernelState {
    host: Option<NetnsId>,
    /// hopwatch's own process.
    sensor: Option<u32>,
    namespaces: BTreeMap<NetnsId, Arc<NamespaceView>>,
    processes: BTreeMap<WorkloadId, Arc<ProcessNamespaces>>,
    first: FirstProcesses,
    sniffers: BTreeMap<(NetnsId, u64), Arc<SnifferView>>,
    missed: BTreeMap<MissedKind, u64>,
    refused: u64,
}

impl KernelState {
    /// Takes in a fact.
    pub(super) fn apply(&mut self, fact: &KernelFact) {
        match fact {
            KernelFact::Namespace(view) => {
                if view.host {
                    self.host = Some(view.netns);
                }
                self.keep_namespace(view);
            }
            KernelFact::NamespaceGone { netns } => {
                self.namespaces.remove(netns);
                self.sniffers.retain(|(of, _), _| of != netns);
            }
            KernelFact::Processes(processes) => {
                if self.processes.len() < MAX_NAMESPACES || self.processes.contains_key(&processes.workload) {
                    self.processes.insert(processes.workload.clone(), Arc::clone(processes));
                } else {
                    self.refused += 1;
                }
            }
            KernelFact::Rights(rights) => self.refused += u64::from(!self.first.may(rights)),
            KernelFact::Names(files) => self.refused += u64::from(!self.first.finds_names_by(files)),
            KernelFact::Mounts(mounts) => self.refused += u64::from(!self.first.sees(mounts)),
            KernelFact::SnifferOpened(sniffer) => {
                if self.sniffers.len() < MAX_SNIFFERS {
                    self.sniffers.insert((sniffer.netns, sniffer.inode), Arc::clone(sniffer));
                } else {
                    self.refused += 1;
                }
            }
            KernelFact::SnifferClosed { netns, inode } => {
                self.sniffers.remove(&(*netns, *inode));
            }
            KernelFact::Sensor { pid } => self.sensor = Some(*pid),
            KernelFact::Missed { what, count } => {
                let missed = self.missed.entry(*what).or_default();
                *missed = missed.saturating_add(*count);
            }
            KernelFact::Agent(_) | KernelFact::SocketOpened(_) | KernelFact::SocketClosed { .. } => {}
        }
    }

    /// Forgets the processes of a workload that ended.
    pub(super) fn forget(&mut self, id: &WorkloadId) {
        self.processes.remove(id);
        self.first.forget(id);
    }

    fn keep_namespace(&mut self, view: &Arc<NamespaceView>) {
        if self.namespaces.len() < MAX_NAMESPACES || self.namespaces.contains_key(&view.netns) {
            self.namespaces.insert(view.netns, Arc::clone(view));
        } else {
            self.refused += 1;
        }
    }

    /// Whether a container is hopwatch's own: it is the first process in there.
    pub fn is_sensor(&self, workload: &Workload) -> bool {
        self.sensor.is_some() && workload.pid == self.sensor
    }

    /// The host's own namespace, once it was reported.
    pub const fn host(&self) -> Option<NetnsId> {
        self.host
    }

    /// A namespace as it is now.
    pub fn namespace(&self, netns: NetnsId) -> Option<&Arc<NamespaceView>> {
        self.namespaces.get(&netns)
    }

    /// All namespaces, in order of inode.
    pub fn namespaces(&self) -> impl Iterator<Item = &Arc<NamespaceView>> {
        self.namespaces.values()
    }

    /// The namespaces of a workload's processes.
    pub fn processes(&self, id: &WorkloadId) -> Option<&Arc<ProcessNamespaces>> {
        self.processes.get(id)
    }

    /// The namespace of a workload's first process.
    pub fn netns_of(&self, id: &WorkloadId) -> Option<NetnsId> {
        self.processes.get(id).map(|processes| processes.netns)
    }

    /// What a container's first process may do; absent where that is not known of the process that its runtime names now.
    pub fn rights(&self, workload: &Workload) -> Option<&Arc<ProcessRights>> {
        self.first.rights(&workload.id).filter(|rights| workload.pid == Some(rights.pid))
    }

    /// What is mounted for a container's first process; absent where that is not known of the process that its runtime names now.
    pub fn mounts(&self, workload: &Workload) -> Option<&SeenMounts> {
        self.first.mounts(&workload.id).filter(|seen| workload.pid == Some(seen.now.pid))
    }

    /// What the files say by which a container finds names; absent where that is not known of the process that its runtime names now.
    pub fn names(&self, workload: &Workload) -> Option<&Arc<NameFiles>> {
        self.first.names(&workload.id).filter(|files| workload.pid == Some(files.pid))
    }

    /// Sniffing sockets that are open now.
    pub fn sniffers(&self) -> impl Iterator<Item = &Arc<SnifferView>> {
        self.sniffers.values()
    }

    /// What could not be seen so far, by kind.
    pub const fn missed(&self) -> &BTreeMap<MissedKind, u64> {
        &self.missed
    }

    /// Objects for which there was no room.
    pub const fn refused(&self) -> u64 {
        self.refused
    }
}

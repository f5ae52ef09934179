//! Where a workload is: the host's network, a pod, another workload's namespace; according to the runtime and to the kernel.
//!
//! Contract: pure questions to the timeline. Limits: joins of joins are followed [`MAX_JOINS`] deep.

use std::sync::Arc;

use crate::input::{NetnsId, NetworkMode, Workload, WorkloadId, WorkloadState};
use crate::inventory::Timeline;

const MAX_JOINS: usize = 4;

/// Whether it runs, as it was last reported.
pub fn runs(timeline: &Timeline, workload: &Workload) -> bool {
    matches!(workload.state, WorkloadState::Running | WorkloadState::Paused) && timeline.is_running(&workload.id)
}

/// The workload of that id, while it runs.
pub fn running<'a>(timeline: &'a Timeline, id: &WorkloadId) -> Option<&'a Arc<Workload>> {
    timeline.workload(id).filter(|workload| runs(timeline, workload))
}

/// How a workload comes to be in the host's network, according to the runtime.
#[derive(Clone, Copy, Debug)]
pub enum ByRuntime<'a> {
    /// Its network mode is the host's.
    Itself,
    /// It joined a workload whose network mode is the host's.
    Joined(&'a Workload),
}

/// Whether and how it is in the host's network, according to the runtime.
pub fn host_by_runtime<'a>(timeline: &'a Timeline, workload: &'a Workload) -> Option<ByRuntime<'a>> {
    match &workload.network_mode {
        NetworkMode::Host => Some(ByRuntime::Itself),
        NetworkMode::Container(_) => {
            let owner = joined(timeline, workload)?;
            (owner.network_mode == NetworkMode::Host).then_some(ByRuntime::Joined(owner))
        }
        NetworkMode::Own | NetworkMode::None | NetworkMode::Rootless(_) => None,
    }
}

/// Whose network namespace it joined, according to the runtime; a join of a join leads to the last one known.
pub fn joined<'a>(timeline: &'a Timeline, workload: &'a Workload) -> Option<&'a Workload> {
    let mut found = None;
    let mut current = workload;
    for _ in 0..MAX_JOINS {
        let NetworkMode::Container(next) = &current.network_mode else { break };
        let Some(next) = timeline.workload(next) else { break };
        found = Some(&**next);
        current = next;
    }
    found
}

/// Whether it is in the host's network namespace, by either word, or one of its processes is.
pub fn in_host_network(timeline: &Timeline, workload: &Workload) -> bool {
    if host_by_runtime(timeline, workload).is_some() {
        return true;
    }
    let kernel = timeline.kernel();
    let (Some(host), Some(processes)) = (kernel.host(), kernel.processes(&workload.id)) else { return false };
    processes.netns == host || processes.strays.iter().any(|stray| stray.netns == host)
}

/// Whether both share a network namespace by right: of one pod, in one container's network according to the runtime, or in that of one
/// rootless daemon.
pub fn belong_together(timeline: &Timeline, one: &Workload, other: &Workload) -> bool {
    let root = |workload: &Workload| joined(timeline, workload).map_or_else(|| workload.id.clone(), |to| to.id.clone());
    let rootless = matches!(one.network_mode, NetworkMode::Rootless(_)) && one.network_mode == other.network_mode;
    same_pod(one, other) || root(one) == root(other) || (rootless && one.runtime == other.runtime)
}

/// Whether its runtime says who joins whom. containerd and CRI receive a path to a namespace, and may not know whose it is.
pub fn reports_joins(workload: &Workload) -> bool {
    workload.runtime.kind().reports_joins()
}

/// Another workload whose namespace this is, and which this one shares with no right. Of two that share unasked, the one that started
/// first is at home.
pub fn intrudes_on<'a>(timeline: &'a Timeline, workload: &Workload, netns: NetnsId) -> Option<&'a Arc<Workload>> {
    let view = timeline.kernel().namespace(netns)?;
    let others = view.workloads.iter().filter(|id| **id != workload.id);
    let others: Vec<_> = others.filter_map(|id| running(timeline, id)).collect();
    if others.iter().any(|other| belong_together(timeline, workload, other)) {
        return None;
    }
    let joins = matches!(workload.network_mode, NetworkMode::Container(_));
    let is_home = view.workloads.contains(&workload.id) && !joins;
    let is_older = |other: &&Arc<Workload>| (other.since, &other.id) < (workload.since, &workload.id);
    others.into_iter().find(|other| !is_home || is_older(other))
}

/// Whether both are of one pod.
pub fn same_pod(one: &Workload, other: &Workload) -> bool {
    match (&one.pod, &other.pod) {
        (Some(one), Some(other)) => one.name == other.name && one.namespace == other.namespace,
        _ => false,
    }
}

/// Whose namespace it is: of the workloads in it, the one that joined nobody; a pod's sandbox before others.
pub fn owner_of(timeline: &Timeline, netns: NetnsId) -> Option<&Arc<Workload>> {
    let view = timeline.kernel().namespace(netns)?;
    let rank = |workload: &Workload| {
        let sandbox = workload.pod.as_ref().is_some_and(|pod| pod.sandbox);
        (matches!(workload.network_mode, NetworkMode::Container(_)), !sandbox)
    };
    view.workloads.iter().filter_map(|id| running(timeline, id)).min_by_key(|workload| rank(workload))
}

//! Which workloads run, and the processes of each.
//!
//! Contract: a workload is its first process (pid and start time) and what is in its own control group; without such a group, what
//! descends from the first process. Limits: [`MAX_WORKLOADS`], [`MAX_PROCESSES`] of each, [`MAX_STRAYS`]. A thread that enters
//! another namespace alone is not seen: namespaces are those of main threads.
//! Design: looking reads one file a group and one link a process.

mod in_turn;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use super::cgroups::{Cgroups, OwnGroup};
use super::first_process::FirstProcess;
use super::missed::Missed;
use super::proc::{self, Unseen};
use super::sampling::{prioritize, rotate};
use crate::input::{KernelFact, MissedKind, NetnsId, ProcessNamespaces, Stray, WorkloadId};

pub(super) const MAX_WORKLOADS: usize = 16_384;
/// Processes of one workload that one look takes in.
const MAX_PROCESSES: usize = 4096;
/// Processes in other namespaces that are reported for one workload.
const MAX_STRAYS: usize = 64;
/// Processes found one below the other, where there is no group.
const MAX_DESCENDANTS: usize = 16_384;
/// Processes of the whole host, where the kernel does not list children.
const MAX_HOST: usize = 32_768;

/// A workload that runs.
#[derive(Debug)]
pub(super) struct Running {
    pid: u32,
    /// Start of the first process; absent until it was seen.
    start: Option<u64>,
    group: Option<OwnGroup>,
    /// Its processes by namespace, as of the last look; empty when the first process is gone.
    processes: BTreeMap<NetnsId, Vec<u32>>,
    netns: Option<NetnsId>,
    reported: Option<Arc<ProcessNamespaces>>,
    cgroup_ids: Vec<u64>,
    /// What was counted already.
    counted: BTreeSet<MissedKind>,
    fresh: bool,
    /// Some process could not be looked at the last time.
    hidden: bool,
    /// More processes than were looked at the last time.
    crowded: bool,
    /// How often it was looked at; of very many processes each look takes another part.
    turn: usize,
    /// Strays that the last look left out.
    left_out: usize,
    first: FirstProcess,
}

/// All of them.
#[derive(Debug, Default)]
pub(super) struct Workloads {
    running: BTreeMap<WorkloadId, Running>,
    cgroups: Cgroups,
    refused: usize,
    /// The last one whose first process was looked at in its turn.
    turn: Option<WorkloadId>,
}

/// Parents and children of the whole host, read once a look and only where needed.
#[derive(Debug, Default)]
pub(super) struct Tree(Option<HashMap<u32, Vec<u32>>>);

impl Running {
    fn new(pid: u32) -> Self {
        Self {
            pid,
            start: None,
            group: None,
            processes: BTreeMap::new(),
            netns: None,
            reported: None,
            cgroup_ids: Vec::new(),
            counted: BTreeSet::new(),
            fresh: true,
            hidden: false,
            crowded: false,
            turn: 0,
            left_out: 0,
            first: FirstProcess::default(),
        }
    }

    /// The namespace of its first process, while that is there.
    pub(super) const fn netns(&self) -> Option<NetnsId> {
        self.netns
    }

    /// Its first process.
    pub(super) const fn pid(&self) -> u32 {
        self.pid
    }

    /// Its processes in a namespace.
    pub(super) fn in_namespace(&self, netns: NetnsId) -> &[u32] {
        self.processes.get(&netns).map_or(&[], Vec::as_slice)
    }

    /// The namespaces with processes of it.
    pub(super) fn namespaces(&self) -> impl Iterator<Item = NetnsId> {
        self.processes.keys().copied()
    }

    /// It has more processes than are looked at in one look.
    pub(super) const fn is_crowded(&self) -> bool {
        self.crowded
    }

    /// Some process could not be looked at.
    pub(super) const fn is_hidden(&self) -> bool {
        self.hidden
    }

    /// Ids of its control groups, where sockets name those.
    pub(super) fn cgroup_ids(&self) -> &[u64] {
        &self.cgroup_ids
    }

    fn scan(
        &mut self,
        id: &WorkloadId,
        surroundings: &Surroundings<'_>,
        tree: &mut Tree,
        missed: &mut Missed,
    ) -> Option<KernelFact> {
        self.fresh = false;
        (self.hidden, self.crowded) = (false, false);
        self.processes.clear();
        self.cgroup_ids.clear();
        self.netns = None;
        let first = match self.first(id, surroundings.cgroups) {
            Ok(first) => first,
            Err(unseen) => {
                self.unseen(unseen, missed);
                return None;
            }
        };
        self.netns = Some(first);
        self.processes.entry(first).or_default().push(self.pid);
        let strays = self.others(first, surroundings, tree, missed);
        let now = ProcessNamespaces { workload: id.clone(), netns: first, strays };
        if self.reported.as_deref() == Some(&now) {
            return None;
        }
        let now = Arc::new(now);
        self.reported = Some(Arc::clone(&now));
        Some(KernelFact::Processes(now))
    }

    /// The first process's namespace, if it is still that process.
    fn first(&mut self, id: &WorkloadId, cgroups: &Cgroups) -> Result<NetnsId, Unseen> {
        let netns = proc::netns(self.pid)?;
        // Read after the namespace: the number was not given to another process in between.
        let start = proc::stat(self.pid).ok_or(Unseen::Gone)?.start;
        if *self.start.get_or_insert(start) != start {
            return Err(Unseen::Gone);
        }
        if self.group.is_none() {
            self.group = cgroups.own(self.pid, id.as_str());
        }
        Ok(netns)
    }

    /// Reads the other processes and returns those that are elsewhere.
    fn others(
        &mut self,
        first: NetnsId,
        surroundings: &Surroundings<'_>,
        tree: &mut Tree,
        missed: &mut Missed,
    ) -> Vec<Stray> {
        let mut strays = Vec::new();
        let (mut gone, mut hidden) = (0, false);
        for pid in self.members(tree, missed).into_iter().filter(|pid| *pid != self.pid) {
            match proc::netns(pid) {
                Ok(netns) => {
                    self.processes.entry(netns).or_default().push(pid);
                    if netns != first {
                        strays.push((pid, netns));
                    }
                }
                Err(Unseen::Gone) => gone += 1,
                Err(Unseen::Hidden) => hidden = true,
            }
        }
        missed.add(MissedKind::Process, gone);
        if hidden {
            self.unseen(Unseen::Hidden, missed);
        }
        let (strays, left_out) = prioritize(strays, MAX_STRAYS, surroundings.host, &surroundings.homes);
        missed.add(MissedKind::Overflow, left_out.saturating_sub(self.left_out));
        self.left_out = left_out;
        strays.into_iter().map(|(pid, netns)| Stray { pid, command: proc::command(pid), netns }).collect()
    }

    fn members(&mut self, tree: &mut Tree, missed: &mut Missed) -> Vec<u32> {
        let members = self.group.as_ref().and_then(OwnGroup::members);
        let (pids, overflow) = if let Some(members) = members {
            self.cgroup_ids = members.ids;
            (members.pids, members.overflow)
        } else {
            // The group is gone, or the process was moved: looked up again the next time.
            self.group = None;
            tree.descendants(self.pid)
        };
        self.turn = self.turn.wrapping_add(1);
        self.crowded = overflow || pids.len() > MAX_PROCESSES;
        if self.crowded && self.counted.insert(MissedKind::Overflow) {
            missed.add(MissedKind::Overflow, 1);
        }
        rotate(pids, MAX_PROCESSES, self.turn)
    }

    /// Counts once a workload.
    fn unseen(&mut self, unseen: Unseen, missed: &mut Missed) {
        self.hidden |= unseen == Unseen::Hidden;
        let kind = match unseen {
            Unseen::Hidden => MissedKind::HiddenProc,
            // One that was seen once has ended; the runtime will report.
            Unseen::Gone if self.reported.is_some() => return,
            Unseen::Gone => MissedKind::Process,
        };
        if self.counted.insert(kind) {
            missed.add(kind, 1);
        }
    }
}

impl Workloads {
    pub(super) fn new() -> Self {
        Self { cgroups: Cgroups::read(), ..Self::default() }
    }

    /// A workload runs with this first process; whether that is new.
    pub(super) fn start(&mut self, id: &WorkloadId, pid: u32) -> bool {
        if self.running.get(id).is_some_and(|running| running.pid == pid) {
            return false;
        }
        if self.running.len() >= MAX_WORKLOADS && !self.running.contains_key(id) {
            self.refused += 1;
            return false;
        }
        self.running.insert(id.clone(), Running::new(pid));
        true
    }

    /// A workload ended; whether it ran.
    pub(super) fn stop(&mut self, id: &WorkloadId) -> bool {
        self.running.remove(id).is_some()
    }

    /// Looks at all, or at those that were not looked at yet.
    pub(super) fn scan(&mut self, all: bool, missed: &mut Missed, facts: &mut Vec<KernelFact>) {
        let mut tree = Tree::default();
        missed.add(MissedKind::Overflow, std::mem::take(&mut self.refused));
        let surroundings =
            Surroundings { cgroups: &self.cgroups, host: proc::own_netns(), homes: homes(&self.running) };
        for (id, running) in self.running.iter_mut().filter(|(_, running)| all || running.fresh) {
            facts.extend(running.scan(id, &surroundings, &mut tree, missed));
        }
        // The runtime will report that they ended, or has been silent when they did.
        self.running.retain(|_, running| running.netns.is_some() || running.hidden);
    }

    /// Looks again at those with a process in a namespace.
    pub(super) fn scan_in(&mut self, netns: NetnsId, missed: &mut Missed, facts: &mut Vec<KernelFact>) {
        let mut tree = Tree::default();
        let surroundings =
            Surroundings { cgroups: &self.cgroups, host: proc::own_netns(), homes: homes(&self.running) };
        for (id, running) in self.running.iter_mut().filter(|(_, running)| running.processes.contains_key(&netns)) {
            facts.extend(running.scan(id, &surroundings, &mut tree, missed));
        }
    }

    /// Looks again at one.
    pub(super) fn scan_one(&mut self, id: &WorkloadId, missed: &mut Missed, facts: &mut Vec<KernelFact>) {
        let surroundings =
            Surroundings { cgroups: &self.cgroups, host: proc::own_netns(), homes: homes(&self.running) };
        if let Some(running) = self.running.get_mut(id) {
            facts.extend(running.scan(id, &surroundings, &mut Tree::default(), missed));
        }
    }

    /// One that runs.
    pub(super) fn get(&self, id: &WorkloadId) -> Option<&Running> {
        self.running.get(id)
    }

    /// As if one had more processes than are looked at.
    #[cfg(test)]
    pub(super) fn set_crowded(&mut self, id: &WorkloadId) {
        if let Some(running) = self.running.get_mut(id) {
            running.crowded = true;
        }
    }

    /// In order of id.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&WorkloadId, &Running)> {
        self.running.iter()
    }
}

/// What a look at one workload must know of the others.
struct Surroundings<'a> {
    cgroups: &'a Cgroups,
    host: Option<NetnsId>,
    /// Where the workloads' first processes are.
    homes: BTreeSet<NetnsId>,
}

fn homes(running: &BTreeMap<WorkloadId, Running>) -> BTreeSet<NetnsId> {
    running.values().filter_map(Running::netns).collect()
}

impl Tree {
    /// A process and everything below it, at most [`MAX_DESCENDANTS`]; whether there were more.
    fn descendants(&mut self, first: u32) -> (Vec<u32>, bool) {
        let mut found = BTreeSet::from([first]);
        let mut waiting = vec![first];
        while let Some(pid) = waiting.pop() {
            let children = match &self.0 {
                Some(tree) => tree.get(&pid).cloned().unwrap_or_default(),
                None => match proc::children(pid) {
                    Some(children) => children,
                    None => self.0.insert(whole_tree()).get(&pid).cloned().unwrap_or_default(),
                },
            };
            for child in children {
                if found.len() >= MAX_DESCENDANTS {
                    return (found.into_iter().collect(), true);
                }
                if found.insert(child) {
                    waiting.push(child);
                }
            }
        }
        (found.into_iter().collect(), false)
    }
}

fn whole_tree() -> HashMap<u32, Vec<u32>> {
    let mut tree: HashMap<u32, Vec<u32>> = HashMap::new();
    for pid in proc::all().take(MAX_HOST) {
        if let Some(stat) = proc::stat(pid) {
            tree.entry(stat.parent).or_default().push(pid);
        }
    }
    tree
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_is_looked_at_once_and_told_once() {
        let (mut workloads, mut missed, mut facts) = (Workloads::new(), Missed::default(), Vec::new());
        let id = WorkloadId::new("one");
        assert!(workloads.start(&id, std::process::id()) && !workloads.start(&id, std::process::id()));
        workloads.scan(false, &mut missed, &mut facts);
        assert!(
            matches!(&facts[..], [KernelFact::Processes(reported)] if reported.workload == id && reported.strays.is_empty())
        );
        workloads.scan(true, &mut missed, &mut facts);
        assert_eq!(facts.len(), 1, "nothing changed");
        assert!(workloads.stop(&id) && !workloads.stop(&id));
    }

    #[test]
    fn a_first_process_that_is_not_there_is_counted_once() {
        let (mut workloads, mut missed, mut facts) = (Workloads::new(), Missed::default(), Vec::new());
        workloads.start(&WorkloadId::new("gone"), u32::MAX);
        workloads.scan(true, &mut missed, &mut facts);
        workloads.scan(true, &mut missed, &mut facts);
        let counted: Vec<_> = missed.take().collect();
        assert_eq!(counted, [KernelFact::Missed { what: MissedKind::Process, count: 1 }]);
        assert!(facts.is_empty() && workloads.iter().next().is_none());
    }

    #[test]
    fn another_process_under_the_same_number_is_not_the_workload() {
        let mut running = Running::new(std::process::id());
        running.start = Some(1);
        assert_eq!(running.first(&WorkloadId::new("x"), &Cgroups::default()), Err(Unseen::Gone));
    }

    #[test]
    fn descendants_are_found() {
        let mut child = std::process::Command::new("sleep").arg("20").spawn().expect("start a program");
        let (found, more) = Tree::default().descendants(std::process::id());
        assert!(found.contains(&child.id()) && !more);
        let whole = whole_tree();
        assert!(whole.get(&std::process::id()).is_some_and(|children| children.contains(&child.id())));
        child.kill().and_then(|()| child.wait().map(drop)).expect("end it");
    }
}

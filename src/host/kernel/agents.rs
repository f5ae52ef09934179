//! The processes of agents inside workloads: whether they run, are stopped, or have ended.
//!
//! Contract: a process is an agent's when its command's name (`/proc/PID/comm`) is one that the caller asks for; from then on it is that
//! process, by pid and start time, whatever its name becomes. A workload's first process counts once it is stopped. What ends with its
//! workload is not reported. Limits: [`MAX_WATCHED`] processes; a name is looked at [`LOOKS`] times, because a program is executed
//! a moment after its process was made; names have 15 characters. Source: proc(5). Design: one file a new process, and one a scan for each
//! that is watched.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;

use super::proc::{self, Stat};
use super::workloads::Workloads;
use crate::input::{AgentProcess, AgentState, KernelFact, WorkloadId};

/// Processes that are watched at once.
const MAX_WATCHED: usize = 4096;
/// Looks at the name of a process.
const LOOKS: u8 = 3;
/// Processes of one workload whose names were looked at.
const MAX_LOOKED: usize = 4096;

/// Whether a command's name is an agent's.
type IsAgent = Box<dyn Fn(&str) -> bool + Send>;

/// What is known of them.
#[derive(Default)]
pub(super) struct Agents {
    is_agent: Option<IsAgent>,
    workloads: BTreeMap<WorkloadId, Watched>,
    watched: usize,
}

impl fmt::Debug for Agents {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Agents").field("workloads", &self.workloads).finish_non_exhaustive()
    }
}

/// The processes of one workload.
#[derive(Debug, Default)]
struct Watched {
    /// How often the name of each was looked at.
    looked: BTreeMap<u32, u8>,
    agents: BTreeMap<u32, AgentProcess>,
}

impl Agents {
    /// Watches processes whose command has such a name.
    pub(super) fn watch(&mut self, is_agent: IsAgent) {
        self.is_agent = Some(is_agent);
    }

    /// Looks at the processes that the workloads have now.
    pub(super) fn scan(&mut self, workloads: &Workloads, facts: &mut Vec<KernelFact>) {
        let Self { is_agent: Some(is_agent), workloads: known, watched } = self else { return };
        let running: BTreeSet<&WorkloadId> = workloads.iter().map(|(id, _)| id).collect();
        known.retain(|id, _| running.contains(id));
        *watched = known.values().map(|of| of.agents.len()).sum();
        for (id, running) in workloads.iter().filter(|(_, running)| running.netns().is_some()) {
            let of = known.entry(id.clone()).or_default();
            of.changed(facts);
            let members: Vec<u32> =
                running.namespaces().flat_map(|netns| running.in_namespace(netns)).copied().collect();
            if !running.is_crowded() {
                let members: BTreeSet<u32> = members.iter().copied().collect();
                of.looked.retain(|pid, _| members.contains(pid));
            }
            for pid in members {
                if *watched < MAX_WATCHED && of.look(id, pid, pid == running.pid(), is_agent, facts) {
                    *watched += 1;
                }
            }
        }
    }
}

impl Watched {
    /// Reports those that stopped, went on or ended.
    fn changed(&mut self, facts: &mut Vec<KernelFact>) {
        self.agents.retain(|pid, agent| {
            let state = proc::stat(*pid).filter(|stat| stat.start == agent.start).map_or(AgentState::Ended, state_of);
            if state != agent.state {
                agent.state = state;
                facts.push(KernelFact::Agent(Arc::new(agent.clone())));
            }
            state != AgentState::Ended
        });
    }

    /// Looks at the name of a process; whether it is watched from now on.
    fn look(
        &mut self,
        id: &WorkloadId,
        pid: u32,
        is_first: bool,
        is_agent: &IsAgent,
        facts: &mut Vec<KernelFact>,
    ) -> bool {
        let full = self.looked.len() >= MAX_LOOKED && !self.looked.contains_key(&pid);
        if full || self.agents.contains_key(&pid) {
            return false;
        }
        let looks = self.looked.entry(pid).or_default();
        if *looks >= LOOKS && !is_first {
            return false;
        }
        *looks = looks.saturating_add(1);
        let Some(stat) = proc::stat(pid) else { return false };
        let program = proc::command(pid);
        let state = state_of(stat);
        let is_watched = is_agent(&program) || (is_first && state == AgentState::Stopped);
        if !is_watched || state == AgentState::Ended {
            return false;
        }
        let agent = AgentProcess { workload: id.clone(), pid, start: stat.start, program, state };
        facts.push(KernelFact::Agent(Arc::new(agent.clone())));
        self.agents.insert(pid, agent);
        true
    }
}

const fn state_of(stat: Stat) -> AgentState {
    match stat {
        Stat { zombie: true, .. } => AgentState::Ended,
        Stat { stopped: true, .. } => AgentState::Stopped,
        _ => AgentState::Running,
    }
}

#[cfg(test)]
mod tests {
    use nix::sys::signal::{Signal, kill};
    use nix::unistd::Pid;

    use super::*;
    use crate::host::kernel::missed::Missed;

    /// What a scan reports of the processes below this one.
    fn scan(agents: &mut Agents, workloads: &mut Workloads) -> Vec<(String, AgentState)> {
        let mut facts = Vec::new();
        workloads.scan(true, &mut Missed::default(), &mut Vec::new());
        agents.scan(workloads, &mut facts);
        let one = |fact| match fact {
            KernelFact::Agent(agent) => (agent.program.clone(), agent.state),
            other => panic!("{other:?}"),
        };
        facts.into_iter().map(one).collect()
    }

    #[test]
    fn a_process_that_is_stopped_goes_on_and_ends_is_reported_each_time() {
        let mut child = std::process::Command::new("sleep").arg("30").spawn().expect("start a program");
        let pid = Pid::from_raw(i32::try_from(child.id()).expect("a pid"));
        let (mut agents, mut workloads) = (Agents::default(), Workloads::new());
        workloads.start(&WorkloadId::new("self"), child.id());
        assert!(scan(&mut agents, &mut workloads).is_empty(), "nobody asked for agents");
        agents.watch(Box::new(|name| name == "sleep"));
        let until = |agents: &mut Agents, workloads: &mut Workloads, wanted: AgentState| {
            crate::host::kernel::agents::tests::eventually(|| {
                scan(agents, workloads).into_iter().find(|(_, state)| *state == wanted)
            })
        };
        assert_eq!(until(&mut agents, &mut workloads, AgentState::Running).0, "sleep");
        assert!(scan(&mut agents, &mut workloads).is_empty(), "nothing changed");
        kill(pid, Signal::SIGSTOP).expect("stop it");
        until(&mut agents, &mut workloads, AgentState::Stopped);
        kill(pid, Signal::SIGCONT).expect("let it go on");
        until(&mut agents, &mut workloads, AgentState::Running);
        child.kill().and_then(|()| child.wait().map(drop)).expect("end it");
        assert!(scan(&mut agents, &mut workloads).is_empty(), "its workload ended with it");
    }

    /// Asks until there is an answer.
    fn eventually<T>(mut ask: impl FnMut() -> Option<T>) -> T {
        for _ in 0..2000 {
            if let Some(found) = ask() {
                return found;
            }
            std::thread::sleep(std::time::Duration::from_millis(5));
        }
        panic!("nothing within 10 s");
    }
}

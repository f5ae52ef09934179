//! What runtimes did lately to each container, and who ran a client of a runtime.
//!
//! Contract: the latest acts of each container, in the order in which they were reported; what a container can cause itself (programs executed inside it, memory that is
//! used up) is kept apart, so that it does not push out how it came to be. Of clients only what the kernel's audit reported is kept, runs of one client by one user within
//! a second as one. Limits: [`MAX_ACTS`] and [`MAX_OWN`] of a container, [`MAX_CONTAINERS`] containers, of which the one without an act for the longest time is
//! forgotten, [`MAX_CALLS`] runs of clients.
//! Design: an index by time beside the containers, so that forgetting one costs no walk.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use crate::input::{ContainerAct, ContainerEvent, HostLog, HostLogEntry, HostLoggingFact, InventoryEvent, LogAct};
use crate::input::{RecordedFact, WorkloadId};
use crate::time::Timestamp;

/// Acts of one container, without those that it can cause itself.
const MAX_ACTS: usize = 6;
/// Acts that one container can cause itself.
const MAX_OWN: usize = 3;
/// Containers with acts.
const MAX_CONTAINERS: usize = 4096;
/// Runs of clients.
const MAX_CALLS: usize = 256;

/// The latest acts.
#[derive(Debug, Default)]
pub struct RecentActs {
    of: BTreeMap<WorkloadId, Acts>,
    by_time: BTreeSet<(Timestamp, WorkloadId)>,
    calls: VecDeque<Arc<HostLogEntry>>,
    forgotten: u64,
}

#[derive(Debug, Default)]
struct Acts {
    latest: Timestamp,
    others: VecDeque<Arc<ContainerEvent>>,
    own: VecDeque<Arc<ContainerEvent>>,
}

impl RecentActs {
    /// Takes in a fact, where it is about this.
    pub fn apply(&mut self, fact: &RecordedFact) {
        match fact {
            RecordedFact::Inventory(InventoryEvent::Container(event)) => self.act(event),
            RecordedFact::HostLogging(HostLoggingFact::Entry(entry))
                if entry.act == LogAct::AskedRuntime && entry.log == HostLog::Audit =>
            {
                self.call(entry);
            }
            _ => {}
        }
    }

    fn call(&mut self, entry: &Arc<HostLogEntry>) {
        if self.calls.back().is_some_and(|last| is_same_call(last, entry)) {
            return;
        }
        self.forgotten += u64::from(self.calls.len() >= MAX_CALLS);
        push(&mut self.calls, Arc::clone(entry), MAX_CALLS);
    }

    fn act(&mut self, event: &Arc<ContainerEvent>) {
        let id = &event.workload;
        if !self.of.contains_key(id)
            && self.of.len() >= MAX_CONTAINERS
            && let Some((_, oldest)) = self.by_time.pop_first()
        {
            self.of.remove(&oldest);
            self.forgotten += 1;
        }
        let acts = self.of.entry(id.clone()).or_default();
        self.by_time.remove(&(acts.latest, id.clone()));
        acts.latest = acts.latest.max(event.at);
        self.by_time.insert((acts.latest, id.clone()));
        match event.action {
            ContainerAct::Exec(_) | ContainerAct::OutOfMemory => push(&mut acts.own, Arc::clone(event), MAX_OWN),
            _ => push(&mut acts.others, Arc::clone(event), MAX_ACTS),
        }
    }

    /// What was done to a container in some time before an instant and up to it, the earliest first.
    pub fn of(&self, id: &WorkloadId, until: Timestamp, within: Duration) -> Vec<&ContainerEvent> {
        let since = until.minus(within);
        let all = self.of.get(id).into_iter().flat_map(|acts| acts.others.iter().chain(&acts.own));
        let mut found: Vec<&ContainerEvent> =
            all.map(|event| &**event).filter(|event| (since..=until).contains(&event.at)).collect();
        found.sort_by_key(|event| event.at);
        found
    }

    /// Runs of a runtime's client in some time before an instant and up to it, as the kernel's audit reported them.
    pub fn calls(&self, until: Timestamp, within: Duration) -> impl Iterator<Item = &HostLogEntry> {
        let since = until.minus(within);
        self.calls.iter().map(|call| &**call).filter(move |call| (since..=until).contains(&call.at))
    }

    /// Containers, and runs of clients, that were forgotten because there were too many.
    pub const fn forgotten(&self) -> u64 {
        self.forgotten
    }
}

/// Whether one client was run by one user within a second.
fn is_same_call(one: &HostLogEntry, other: &HostLogEntry) -> bool {
    let who = |entry: &HostLogEntry| entry.by.as_ref().map(|by| (by.login, by.uid, by.program.clone()));
    other.at.since(one.at) < Duration::from_secs(1) && who(one) == who(other)
}

fn push<T>(all: &mut VecDeque<T>, one: T, most: usize) {
    if all.len() >= most {
        all.pop_front();
    }
    all.push_back(one);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::input::{LogActor, RuntimeId};

    fn event(id: &str, at: i64, action: ContainerAct) -> RecordedFact {
        let (workload, at) = (WorkloadId::new(id), Timestamp::from_secs(at));
        RecordedFact::Inventory(InventoryEvent::Container(Arc::new(ContainerEvent {
            workload,
            runtime: RuntimeId::DOCKER,
            at,
            action,
        })))
    }

    #[test]
    fn health_checks_do_not_push_out_how_a_container_came_to_be() {
        let mut recent = RecentActs::default();
        recent.apply(&event("a", 1, ContainerAct::Created));
        recent.apply(&event("a", 2, ContainerAct::Started));
        for at in 3..100 {
            recent.apply(&event("a", at, ContainerAct::Exec(Box::default())));
        }
        let found = recent.of(&WorkloadId::new("a"), Timestamp::from_secs(100), Duration::from_secs(200));
        let at: Vec<u64> = found.iter().map(|event| event.at.since(Timestamp::from_secs(0)).as_secs()).collect();
        assert_eq!(at, [1, 2, 97, 98, 99]);
        let lately = recent.of(&WorkloadId::new("a"), Timestamp::from_secs(98), Duration::from_secs(1));
        assert_eq!(lately.len(), 2, "what came later did not change it");
    }

    #[test]
    fn a_client_that_is_run_again_and_again_does_not_push_out_the_others() {
        let ran = |at: i64, millis: u64, program: &str| {
            let at = Timestamp::from_secs(at).plus(Duration::from_millis(millis));
            let by = Some(LogActor { uid: Some(0), program: Some(program.to_owned()), ..LogActor::default() });
            let entry = HostLogEntry { log: HostLog::Audit, at, act: LogAct::AskedRuntime, by };
            RecordedFact::HostLogging(HostLoggingFact::Entry(Arc::new(entry)))
        };
        let mut recent = RecentActs::default();
        recent.apply(&ran(1, 0, "/usr/bin/podman"));
        (0..900).for_each(|millis| recent.apply(&ran(2, millis, "/usr/bin/docker")));
        let found: Vec<_> = recent.calls(Timestamp::from_secs(3), Duration::from_mins(1)).collect();
        assert_eq!((found.len(), recent.forgotten()), (2, 0));
        (3..300).for_each(|second| recent.apply(&ran(second, 0, "/usr/bin/docker")));
        assert_eq!(recent.forgotten(), 43);
    }

    #[test]
    fn of_too_many_containers_the_one_without_an_act_for_the_longest_time_is_forgotten() {
        let mut recent = RecentActs::default();
        for number in 0..4096 {
            recent.apply(&event(&format!("c{number}"), 10 + number, ContainerAct::Started));
        }
        recent.apply(&event("c0", 9000, ContainerAct::Updated));
        recent.apply(&event("new", 9001, ContainerAct::Started));
        let is_known =
            |id: &str| !recent.of(&WorkloadId::new(id), Timestamp::from_secs(9001), Duration::MAX).is_empty();
        assert_eq!((is_known("c0"), is_known("c1"), is_known("new"), recent.forgotten()), (true, false, true, 1));
    }
}

//! What runtimes did lately to each container, and who ran a client of a runtime.
//!
//! Contract: the latest acts of each container, in the order in which they were reported; programs executed inside it are kept apart, so that
//! health checks do not push out how it came to be. Of clients only what the kernel's audit reported is kept. Limits: [`MAX_ACTS`] and [`MAX_EXECUTED`] of a
//! container, [`MAX_CONTAINERS`] containers, of which the one without an act for the longest time is forgotten, [`MAX_CALLS`] runs of clients.
//! Design: an index by time beside the containers, so that forgetting one costs no walk.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use crate::input::{ContainerAct, ContainerEvent, HostLog, HostLogEntry, HostLoggingFact, InventoryEvent, LogAct};
use crate::input::{RecordedFact, WorkloadId};
use crate::time::Timestamp;

/// Acts of one container, without programs that were executed inside it.
const MAX_ACTS: usize = 6;
/// Programs that were executed inside one container.
const MAX_EXECUTED: usize = 3;
/// Containers with acts.
const MAX_CONTAINERS: usize = 4096;
/// Runs of clients.
const MAX_CALLS: usize = 64;

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
    executed: VecDeque<Arc<ContainerEvent>>,
}

impl RecentActs {
    /// Takes in a fact, where it is about this.
    pub fn apply(&mut self, fact: &RecordedFact) {
        match fact {
            RecordedFact::Inventory(InventoryEvent::Container(event)) => self.act(event),
            RecordedFact::HostLogging(HostLoggingFact::Entry(entry))
                if entry.act == LogAct::AskedRuntime && entry.log == HostLog::Audit =>
            {
                push(&mut self.calls, Arc::clone(entry), MAX_CALLS);
            }
            _ => {}
        }
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
            ContainerAct::Exec(_) => push(&mut acts.executed, Arc::clone(event), MAX_EXECUTED),
            _ => push(&mut acts.others, Arc::clone(event), MAX_ACTS),
        }
    }

    /// What was done to a container in some time before an instant and up to it, the earliest first.
    pub fn of(&self, id: &WorkloadId, until: Timestamp, within: Duration) -> Vec<&ContainerEvent> {
        let since = until.minus(within);
        let all = self.of.get(id).into_iter().flat_map(|acts| acts.others.iter().chain(&acts.executed));
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

    /// Containers whose acts were forgotten because there were too many.
    pub const fn forgotten(&self) -> u64 {
        self.forgotten
    }
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
    use crate::input::RuntimeId;

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

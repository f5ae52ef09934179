//! First processes, each in its turn.
//!
//! Contract: one that was not looked at yet is looked at with its workload; later each when it is due, at most so many at once, and who was left out comes
//! first the next time, so that nobody is left out for good.

use std::ops::Bound;

use super::{Running, Workloads};
use crate::host::kernel::first_process::{Matters, Whose};
use crate::host::kernel::missed::Missed;
use crate::input::{KernelFact, WorkloadId};
use crate::time::Timestamp;

impl Running {
    /// Looks at what the first process may do and what is mounted for it.
    fn look_at_first(
        &mut self,
        id: &WorkloadId,
        at: Timestamp,
        matters: Matters,
        missed: &mut Missed,
        facts: &mut Vec<KernelFact>,
    ) {
        let Some(start) = self.start else { return };
        if let Err(unseen) = self.first.look(at, Whose { workload: id, pid: self.pid, start }, matters, facts) {
            self.unseen(unseen, missed);
        }
    }
}

impl Workloads {
    /// Where the host's copies of a workload's `resolv.conf` and `hosts` are.
    pub(in crate::host::kernel) fn place_files(
        &mut self,
        id: &WorkloadId,
        resolver: Option<&str>,
        hosts: Option<&str>,
    ) {
        if let Some(running) = self.running.get_mut(id) {
            running.first.place_files(resolver, hosts);
        }
    }

    /// Looks at first processes that were not looked at yet.
    pub(in crate::host::kernel) fn look_at_new(
        &mut self,
        at: Timestamp,
        matters: Matters,
        missed: &mut Missed,
        facts: &mut Vec<KernelFact>,
    ) {
        let new = self.running.iter_mut().filter(|(_, running)| running.netns.is_some() && running.first.is_new());
        new.for_each(|(id, running)| running.look_at_first(id, at, matters, missed, facts));
    }

    /// Looks at first processes that are due, at most so many; who was left out comes first the next time.
    pub(in crate::host::kernel) fn look_at_due(
        &mut self,
        at: Timestamp,
        most: usize,
        matters: Matters,
        missed: &mut Missed,
        facts: &mut Vec<KernelFact>,
    ) {
        let after = self.turn.take().map_or(Bound::Unbounded, Bound::Excluded);
        let is_due = |running: &Running| running.netns.is_some() && running.first.is_due(at);
        let later = self.running.range((after.clone(), Bound::Unbounded));
        let earlier = match &after {
            Bound::Excluded(last) => Some(self.running.range(..=last)),
            _ => None,
        };
        let in_turn = later.chain(earlier.into_iter().flatten());
        let due: Vec<WorkloadId> =
            in_turn.filter(|(_, running)| is_due(running)).map(|(id, _)| id.clone()).take(most).collect();
        for id in &due {
            if let Some(running) = self.running.get_mut(id) {
                running.look_at_first(id, at, matters, missed, facts);
            }
        }
        self.turn = due.into_iter().next_back();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn very_many_are_looked_at_in_turns_and_nobody_is_left_out() {
        let (mut workloads, mut missed, mut facts) = (Workloads::new(), Missed::default(), Vec::new());
        for number in 0..10 {
            workloads.start(&WorkloadId::new(&format!("w{number}")), std::process::id());
        }
        workloads.scan(true, &mut missed, &mut Vec::new());
        let at = Timestamp::from_secs;
        for _ in 0..3 {
            workloads.look_at_due(at(1), 4, |_| false, &mut missed, &mut facts);
        }
        let rights = |facts: &[KernelFact]| facts.iter().filter(|fact| matches!(fact, KernelFact::Rights(_))).count();
        assert_eq!(rights(&facts), 10);
        workloads.look_at_new(at(1), |_| false, &mut missed, &mut facts);
        workloads.look_at_due(at(60), 100, |_| false, &mut missed, &mut facts);
        assert_eq!((rights(&facts), missed.take().count()), (10, 0), "nothing changed");
    }
}

//! What the runtimes, the kernel and the host reported, on its way through the engine.
//!
//! Contract: a fact is known to the timeline, the path and the counters before observers and rules hear of it; flows that wait for it are looked at last.

use std::sync::Arc;

use super::Engine;
use super::asked::Asked;
use crate::alert::Alert;
use crate::input::{InventoryEvent, KernelFact, NatFact, RecordedFact, Workload};
use crate::time::Timestamp;

impl Engine {
    pub(super) fn on_fact(&mut self, fact: &RecordedFact, now: Timestamp, out: &mut Vec<Alert>) {
        let changed = self.learn(fact, now);
        self.recent.apply(fact);
        if let (Some(incidents), RecordedFact::Inventory(InventoryEvent::Container(event))) =
            (&mut self.incidents, fact)
        {
            incidents.event(&self.timeline, event);
        }
        self.observers.iter_mut().for_each(|observer| observer.fact(&self.timeline, fact, now));
        self.ask_rules(Asked::Fact, now, out, |rule, context, found| rule.on_fact(context, fact, found));
        if let Some(workload) = changed {
            self.observers.iter_mut().for_each(|observer| observer.workload(&self.timeline, &workload));
            self.ask_about(&workload, now, out);
        }
        self.approve(fact, now, out);
        self.recheck(fact, now, out);
    }

    /// Looks again at flows that wait for what was reported.
    fn recheck(&mut self, fact: &RecordedFact, now: Timestamp, out: &mut Vec<Alert>) {
        match fact {
            RecordedFact::Inventory(_) | RecordedFact::Kernel(KernelFact::Namespace(_) | KernelFact::Processes(_)) => {
                let touched = self.timeline.take_touched();
                self.track(now, out, |tracker, context, step| tracker.on_inventory(context, &touched, now, step));
            }
            RecordedFact::Kernel(KernelFact::SocketOpened(socket)) => {
                self.track(now, out, |tracker, context, step| tracker.on_socket(context, socket, now, step));
            }
            RecordedFact::Nat(NatFact::Bound(binding)) => {
                self.track(now, out, |tracker, context, step| tracker.on_binding(context, binding, now, step));
            }
            // What is gone or lost says nothing new about those that wait.
            RecordedFact::Kernel(_)
            | RecordedFact::Link(_)
            | RecordedFact::Loss(_)
            | RecordedFact::Nat(_)
            | RecordedFact::LogFile(_)
            | RecordedFact::Baseline(_)
            | RecordedFact::Firewall(_)
            | RecordedFact::HostLogging(_)
            | RecordedFact::Reloaded(_)
            | RecordedFact::OpenAlert(_)
            | RecordedFact::Ended { .. } => {}
        }
    }

    /// Lets the timeline and the counters know; the workload, where one appeared or changed.
    fn learn(&mut self, fact: &RecordedFact, now: Timestamp) -> Option<Arc<Workload>> {
        match fact {
            RecordedFact::Inventory(event) => {
                let changed = match event {
                    InventoryEvent::Workload(workload) => {
                        let known = self.timeline.workload(&workload.id);
                        known.is_none_or(|known| known != workload).then(|| Arc::clone(workload))
                    }
                    _ => None,
                };
                self.stats.runtime(event, now);
                self.timeline.apply(now, event);
                return changed;
            }
            RecordedFact::Link(link) => {
                self.timeline.apply_link(link);
                self.path.apply_link(now, link);
            }
            RecordedFact::Loss(loss) => {
                self.stats.loss(loss);
                self.path.losses.apply(now, loss);
            }
            RecordedFact::Kernel(fact) => self.timeline.apply_kernel(now, fact),
            RecordedFact::Nat(fact) => self.path.bindings.apply(now, fact),
            RecordedFact::LogFile(fact) => self.stats.log_files.count(fact),
            RecordedFact::Firewall(fact) => self.stats.firewall.count(fact),
            RecordedFact::HostLogging(fact) => self.stats.host_logging.count(fact),
            RecordedFact::OpenAlert(left) => self.resume(left, now),
            RecordedFact::Baseline(_) | RecordedFact::Reloaded(_) | RecordedFact::Ended { .. } => {}
        }
        None
    }
}

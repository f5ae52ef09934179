//! What containers were like, for learning and comparing.
//!
//! Contract: follows the engine live and in a replay alike. A workload with an alert of medium or more, other than about its settings, teaches
//! nothing: what it is doing is in doubt. Limits: [`MAX_OBSERVATIONS`]; beyond, the first ones count. Design: settings that are
//! dangerous are held back by the learner itself, so that they are known by name and can be approved.

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::alert::Alert;
use crate::baseline::{Baseline, Learner};
use crate::detect::{Severity, hostile, rules};
use crate::engine::Observer;
use crate::input::{InventoryEvent, RecordedFact, Setting, Workload, WorkloadState};
use crate::inventory::Timeline;
use crate::inventory::configuration::ServiceKey;
use crate::time::Timestamp;

/// Changes of workloads that are kept.
const MAX_OBSERVATIONS: usize = 1 << 20;

/// A workload as it was at a time.
#[derive(Clone, Debug)]
pub struct Observation {
    /// When it was reported.
    pub at: Timestamp,
    /// As it was.
    pub workload: Arc<Workload>,
}

/// Follows the engine.
#[derive(Debug, Default)]
pub struct Learning {
    observations: Vec<Observation>,
    in_doubt: BTreeSet<String>,
    now: Timestamp,
    left_out: u64,
}

impl Observer for Learning {
    fn fact(&mut self, _timeline: &Timeline, _fact: &RecordedFact, now: Timestamp) {
        self.now = now;
    }

    fn workload(&mut self, _timeline: &Timeline, workload: &Arc<Workload>) {
        if self.observations.len() < MAX_OBSERVATIONS {
            self.observations.push(Observation { at: self.now, workload: Arc::clone(workload) });
        } else {
            self.left_out += 1;
        }
    }

    fn alert(&mut self, alert: &Alert) {
        if alert.severity >= Severity::Medium && !rules::is_about_settings(alert.rule) {
            self.in_doubt.extend(alert.workload.as_ref().map(|workload| workload.id.clone()));
        }
    }
}

impl Learning {
    /// What a baseline is learned from: all but what is in doubt.
    pub fn trusted(&self) -> impl Iterator<Item = &Observation> {
        self.observations.iter().filter(|it| !self.in_doubt.contains(it.workload.id.as_str()))
    }

    /// Names of workloads that teach nothing.
    pub fn in_doubt(&self) -> BTreeSet<&str> {
        let doubted = self.observations.iter().filter(|it| self.in_doubt.contains(it.workload.id.as_str()));
        doubted.map(|it| it.workload.name.as_str()).collect()
    }

    /// Changes that found no room.
    pub const fn left_out(&self) -> u64 {
        self.left_out
    }

    /// Learns a baseline; services of `known` stay as they are, unless they are to be learned anew.
    pub fn learn(&self, known: Option<&Baseline>, anew: bool, key: Option<String>) -> Baseline {
        let mut learner = Learner::default();
        for Observation { at, workload } in self.trusted() {
            learner.apply(*at, workload, &hostile(workload));
        }
        let key = key.or_else(|| self.hash_key());
        let mut baseline = learner.finish(known.map_or(0, |known| known.serial), key);
        let Some(known) = known else { return baseline };
        let stays = |key| !anew || baseline.service(key).is_none();
        let kept: Vec<_> = known.services().filter(|service| stays(&service.key)).cloned().collect();
        let items: Vec<_> = known.quarantine.iter().filter(|item| stays(&item.service)).cloned().collect();
        let keys: BTreeSet<&ServiceKey> = kept.iter().map(|service| &service.key).collect();
        baseline.quarantine.retain(|item| !keys.contains(&item.service));
        for service in kept {
            baseline.insert(service);
        }
        baseline.quarantine.extend(items);
        baseline
    }

    /// The key of a recording, by the first hash in it.
    fn hash_key(&self) -> Option<String> {
        let configurations = self.observations.iter().filter_map(|it| it.workload.configuration.as_ref());
        let values =
            configurations.flat_map(|configuration| configuration.environment.iter().map(|variable| &variable.value));
        values.into_iter().find_map(|value| match value {
            Setting::Hashed(text) => text.split_once(':').map(|(key, _)| key.to_owned()),
            _ => None,
        })
    }

    /// The containers as they were last, but for those that ended.
    pub fn latest(&self) -> Vec<Observation> {
        let mut latest = std::collections::BTreeMap::new();
        for observation in &self.observations {
            latest.insert(observation.workload.id.clone(), observation.clone());
        }
        latest.into_values().filter(|it| it.workload.state != WorkloadState::Exited).collect()
    }
}

/// The containers in the events of a runtime's snapshot.
pub fn observed(at: Timestamp, events: &[InventoryEvent]) -> Vec<Observation> {
    let of = |event: &InventoryEvent| match event {
        InventoryEvent::Workload(workload) => Some(Observation { at, workload: Arc::clone(workload) }),
        _ => None,
    };
    events.iter().filter_map(of).collect()
}

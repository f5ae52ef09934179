//! Containers of one service that drift in the same way: one alert that counts them.
//!
//! Contract: a set of settings is reported for the first container of a service that has it; the others that have the same set are counted
//! in the same alert for some time ([`LASTS`] unless the rule says otherwise), each once, and add nothing later. A container without it
//! ends the roll-out when no other container is known to have it; what comes after that is another one. Of a set that shares settings with
//! one that was reported, the rest is reported. Limits: [`MAX_CONTAINERS`] containers and [`MAX_SETS`] sets of settings; beyond, a container
//! is not counted, and a set is reported each time. Both are counted.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use crate::input::{InventoryEvent, RecordedFact, WorkloadId};
use crate::inventory::Timeline;
use crate::inventory::configuration::ServiceKey;
use crate::time::Timestamp;

/// How long further containers are counted.
const LASTS: Duration = Duration::from_hours(1);
/// Containers that one rule remembers.
const MAX_CONTAINERS: usize = 65_536;
/// Sets of settings of all services that one rule remembers.
const MAX_SETS: usize = 65_536;

/// What containers of one service have in common: findings of one roll-out and one cause are one alert.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RollOut {
    /// The service.
    pub service: String,
    /// When the first of them was reported.
    pub since: Timestamp,
}

/// What is to be reported of a container.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::detect) struct Report {
    /// Which of its settings.
    pub(in crate::detect) names: Vec<String>,
    /// The alert that counts it; none where that cannot be remembered.
    pub(in crate::detect) roll_out: Option<RollOut>,
}

/// What one rule reported of each service.
#[derive(Debug)]
pub(super) struct RollOuts {
    lasts: Duration,
    services: BTreeMap<ServiceKey, BTreeMap<String, Set>>,
    sets: usize,
    of: BTreeMap<WorkloadId, (ServiceKey, String)>,
    refused: u64,
}

/// A set of settings that some containers of a service have.
#[derive(Debug)]
struct Set {
    since: Timestamp,
    /// What of it was reported under it.
    names: Vec<String>,
    containers: usize,
}

impl Default for RollOuts {
    fn default() -> Self {
        Self::lasting(LASTS)
    }
}

impl Report {
    /// What makes it one alert.
    pub(in crate::detect) fn cause(&self) -> String {
        self.names.join(", ")
    }
}

impl RollOuts {
    /// Further containers are counted so long.
    pub(super) const fn lasting(lasts: Duration) -> Self {
        Self { lasts, services: BTreeMap::new(), sets: 0, of: BTreeMap::new(), refused: 0 }
    }

    /// Forgets containers that ended, and those that a runtime's whole list does not name.
    pub(super) fn follow(&mut self, timeline: &Timeline, fact: &RecordedFact) {
        match fact {
            RecordedFact::Inventory(InventoryEvent::Stopped { id, .. }) => self.forget(id),
            RecordedFact::Inventory(InventoryEvent::Reconciled { .. }) => self.keep(|id| timeline.is_running(id)),
            _ => {}
        }
    }

    /// A container has these settings now; what of it is to be reported.
    pub(super) fn report(
        &mut self,
        now: Timestamp,
        service: &ServiceKey,
        id: &WorkloadId,
        names: &[&str],
    ) -> Option<Report> {
        let all = names.join(", ");
        if self.of.get(id).is_some_and(|(of, set)| of == service && *set == all) {
            return None;
        }
        self.forget(id);
        self.end(service, names);
        if names.is_empty() {
            return None;
        }
        let is_known = self.services.get(service).is_some_and(|sets| sets.contains_key(&all));
        let fresh = if is_known { Vec::new() } else { self.fresh(service, names) };
        if !is_known && fresh.is_empty() {
            return None;
        }
        if !is_known && self.sets >= MAX_SETS {
            self.refused += 1;
            return Some(Report { names: fresh, roll_out: None });
        }
        self.sets += usize::from(!is_known);
        let sets = self.services.entry(service.clone()).or_default();
        let set = sets.entry(all.clone()).or_insert(Set { since: now, names: fresh, containers: 0 });
        let roll_out = Some(RollOut { service: service.to_string(), since: set.since });
        let report = Report { names: set.names.clone(), roll_out };
        if self.of.len() >= MAX_CONTAINERS {
            self.refused += 1;
            return (!is_known).then_some(report);
        }
        set.containers += 1;
        let is_counted = now.since(set.since) <= self.lasts;
        self.of.insert(id.clone(), (service.clone(), all));
        is_counted.then_some(report)
    }

    /// What of these settings was not reported of the service.
    fn fresh(&self, service: &ServiceKey, names: &[&str]) -> Vec<String> {
        let told = self.services.get(service).into_iter().flat_map(|sets| sets.values()).flat_map(|set| &set.names);
        let told: BTreeSet<&str> = told.map(String::as_str).collect();
        names.iter().filter(|name| !told.contains(*name)).map(|name| (*name).to_owned()).collect()
    }

    /// The alert that counts a container, where there is one.
    pub(super) fn counted(&self, id: &WorkloadId) -> Option<Report> {
        let (service, set) = self.of.get(id)?;
        let set = self.services.get(service)?.get(set)?;
        let roll_out = Some(RollOut { service: service.to_string(), since: set.since });
        Some(Report { names: set.names.clone(), roll_out })
    }

    /// A container is no more.
    pub(super) fn forget(&mut self, id: &WorkloadId) {
        let Some((service, set)) = self.of.remove(id) else { return };
        if let Some(set) = self.services.get_mut(&service).and_then(|sets| sets.get_mut(&set)) {
            set.containers -= 1;
        }
    }

    /// Only these containers are there.
    pub(super) fn keep(&mut self, is_there: impl Fn(&WorkloadId) -> bool) {
        let gone: Vec<WorkloadId> = self.of.keys().filter(|id| !is_there(id)).cloned().collect();
        for id in &gone {
            self.forget(id);
        }
    }

    /// How often a bound was reached.
    pub(super) const fn refused(&self) -> u64 {
        self.refused
    }

    /// A container of the service has only these settings: what no container has is over.
    fn end(&mut self, service: &ServiceKey, names: &[&str]) {
        let Some(sets) = self.services.get_mut(service) else { return };
        let before = sets.len();
        sets.retain(|_, set| set.containers > 0 || set.names.iter().any(|name| names.contains(&name.as_str())));
        self.sets -= before - sets.len();
        if sets.is_empty() {
            self.services.remove(service);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::detect::testing::{at, workload};

    fn told(known: &mut RollOuts, millis: u64, name: &str, settings: &[&str]) -> Option<(Vec<String>, u64)> {
        let service = ServiceKey::of(&workload("web", 1));
        let report = known.report(at(millis), &service, &WorkloadId::new(name), settings)?;
        let since = report.roll_out.expect("there is room").since;
        Some((report.names, u64::try_from(since.since(at(0)).as_millis()).expect("small")))
    }

    fn one(names: &[&str], since: u64) -> (Vec<String>, u64) {
        (names.iter().map(|name| (*name).to_owned()).collect(), since)
    }

    #[test]
    fn each_container_of_a_roll_out_is_counted_once_with_the_first() {
        let mut known = RollOuts::default();
        assert_eq!(told(&mut known, 5, "web-1", &["a", "b"]), Some(one(&["a", "b"], 5)));
        assert_eq!(told(&mut known, 6, "web-2", &[]), None, "not yet rolled out");
        assert_eq!(told(&mut known, 7, "web-3", &["a", "b"]), Some(one(&["a", "b"], 5)));
        assert_eq!(told(&mut known, 8, "web-3", &["a", "b"]), None, "it is counted");
        assert_eq!(told(&mut known, 9, "web-2", &["a", "b"]), Some(one(&["a", "b"], 5)));
        assert_eq!(told(&mut known, 10, "web-4", &["a", "b", "c"]), Some(one(&["c"], 10)), "the rest was told");
        assert_eq!(told(&mut known, 11, "web-5", &["a", "b", "c"]), Some(one(&["c"], 10)));
        assert_eq!(told(&mut known, 12, "web-6", &["b"]), None);
    }

    #[test]
    fn later_containers_add_nothing_until_it_was_over() {
        let mut known = RollOuts::default();
        told(&mut known, 0, "web-1", &["a"]);
        known.forget(&WorkloadId::new("web-1"));
        assert_eq!(
            told(&mut known, 1, "web-2", &["a"]),
            Some(one(&["a"], 0)),
            "a container that starts again and again"
        );
        assert_eq!(told(&mut known, 3_700_000, "web-3", &["a"]), None);
        known.keep(|id| *id == WorkloadId::new("web-3"));
        assert_eq!(told(&mut known, 3_700_001, "web-3", &[]), None);
        assert_eq!(told(&mut known, 3_700_002, "web-4", &["a"]), Some(one(&["a"], 3_700_002)), "another roll-out");
        assert_eq!((known.of.len(), known.sets, known.refused()), (1, 1, 0));
    }
}

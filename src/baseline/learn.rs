//! Learns from containers what their services are expected to be like.
//!
//! Contract: the same containers in the same order give the same baseline. A value that is hostile at first sight, and a second value of a
//! protected field, go to quarantine and never into force. A field may vary only after [`VARIES_AFTER`] values in as many starts.
//! Limits: [`MAX_VALUES`] values a field are told apart, [`MAX_RUNS`] running containers a service; beyond, the first ones count.
//! Design: what is counted is starts, not events: a container that is reported a hundred times has started once.

use std::collections::{BTreeMap, BTreeSet};

use super::model::{Baseline, Expectation, Held, Learned, MAX_SERVICES, QuarantineItem, ServiceBaseline, item_id};
use super::protected::is_protected;
use crate::input::{Workload, WorkloadId, WorkloadState};
use crate::inventory::configuration::{Facets, Field, ServiceKey, Value};
use crate::time::Timestamp;

/// Distinct values, and starts, after which a field may vary.
const VARIES_AFTER: usize = 5;
/// Values of one field.
const MAX_VALUES: usize = 64;
/// Containers of one service.
const MAX_RUNS: usize = 4096;
/// These name what runs, so they never just vary.
const NEVER_ANY: [&str; 2] = ["command", "image.digest"];

/// A setting that is dangerous whatever the service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hostile {
    /// Which field.
    pub field: Field,
    /// Why.
    pub reason: String,
}

/// Learns.
#[derive(Debug, Default)]
pub struct Learner {
    services: BTreeMap<ServiceKey, Observed>,
    /// Services that found no room.
    refused: u64,
}

/// What was seen of a service.
#[derive(Debug)]
struct Observed {
    from: Timestamp,
    to: Timestamp,
    starts: u64,
    runs: BTreeMap<WorkloadId, Option<Timestamp>>,
    fields: BTreeMap<Field, Values>,
    groups: BTreeSet<&'static str>,
}

/// What was seen in a field: each value, and in how many starts.
#[derive(Debug, Default)]
struct Values {
    seen: BTreeMap<Value, Seen>,
    overflow: bool,
}

#[derive(Debug)]
struct Seen {
    first: Timestamp,
    starts: u64,
    hostile: Option<String>,
}

impl Learner {
    /// Takes in a container as it is now; `hostile` names what of it is dangerous whatever the service.
    pub fn apply(&mut self, at: Timestamp, workload: &Workload, hostile: &[Hostile]) {
        let runs = matches!(workload.state, WorkloadState::Running | WorkloadState::Paused);
        let Some(facets) = Facets::of(workload).filter(|_| runs) else { return };
        let key = ServiceKey::of(workload);
        if !self.services.contains_key(&key) && self.services.len() >= MAX_SERVICES {
            self.refused += 1;
            return;
        }
        let observed = self.services.entry(key).or_insert_with(|| Observed::since(at, &facets));
        observed.apply(at, workload, facets, hostile);
    }

    /// Services that found no room.
    pub const fn refused(&self) -> u64 {
        self.refused
    }

    /// The baseline, with the next serial number after `before`.
    pub fn finish(self, before: u64, hash_key: Option<String>) -> Baseline {
        let mut baseline = Baseline::new(before.saturating_add(1), hash_key);
        for (key, observed) in self.services {
            let (service, quarantine) = observed.finish(key);
            baseline.insert(service);
            baseline.quarantine.extend(quarantine);
        }
        baseline
    }
}

impl Observed {
    fn since(at: Timestamp, facets: &Facets) -> Self {
        let groups = facets.groups.clone();
        Self { from: at, to: at, starts: 0, runs: BTreeMap::new(), fields: BTreeMap::new(), groups }
    }

    fn apply(&mut self, at: Timestamp, workload: &Workload, facets: Facets, hostile: &[Hostile]) {
        self.from = self.from.min(at);
        self.to = self.to.max(at);
        let is_new = self.runs.get(&workload.id) != Some(&workload.since);
        if is_new && self.runs.len() < MAX_RUNS {
            self.runs.insert(workload.id.clone(), workload.since);
        }
        self.starts += u64::from(is_new);
        // A group that one runtime reports and another does not is not learned.
        self.groups.retain(|group| facets.groups.contains(group));
        for (field, value) in facets.fields {
            let why = hostile.iter().find(|hostile| hostile.field == field).map(|hostile| &hostile.reason);
            self.fields.entry(field).or_default().count(at, value, is_new, why);
        }
    }

    fn finish(mut self, key: ServiceKey) -> (ServiceBaseline, Vec<QuarantineItem>) {
        let learned = Learned { from: self.from, to: self.to, starts: self.starts, replicas: self.runs.len() as u64 };
        let mut service = ServiceBaseline { learned: Some(learned), ..ServiceBaseline::new(key) };
        let mut quarantine = Vec::new();
        for (field, mut values) in std::mem::take(&mut self.fields) {
            if field.in_group().is_some() && !self.groups.contains(field.name()) {
                continue;
            }
            values.add_unset(&field, self.starts, self.from);
            let (expectation, held_back) = values.finish(&field);
            service.expect.extend(expectation.map(|expectation| (field.clone(), expectation)));
            quarantine.extend(held_back.into_iter().map(|(value, seen, reason)| QuarantineItem {
                id: item_id(&service.key, &field, &value),
                service: service.key.clone(),
                what: Held::Setting(field.clone(), value),
                first: seen.first,
                seen: seen.starts,
                reason,
            }));
        }
        service.groups = self.groups;
        (service, quarantine)
    }
}

impl Values {
    fn count(&mut self, at: Timestamp, value: Value, is_new: bool, hostile: Option<&String>) {
        if let Some(seen) = self.seen.get_mut(&value) {
            seen.starts += u64::from(is_new);
        } else if self.seen.len() < MAX_VALUES {
            self.seen.insert(value, Seen { first: at, starts: 1, hostile: hostile.cloned() });
        } else {
            self.overflow = true;
        }
    }

    /// A member of a group that some starts did not have was unset there.
    fn add_unset(&mut self, field: &Field, starts: u64, from: Timestamp) {
        let with: u64 = self.seen.values().map(|seen| seen.starts).sum();
        if field.in_group().is_some() && with < starts {
            self.seen.insert(Value::UNSET, Seen { first: from, starts: starts - with, hostile: None });
        }
    }

    /// What is in force, and what is held back with the reason.
    fn finish(self, field: &Field) -> (Option<Expectation>, Vec<(Value, Seen, String)>) {
        let overflow = self.overflow;
        let (hostile, mut ordinary): (Vec<_>, Vec<_>) =
            self.seen.into_iter().partition(|(_, seen)| seen.hostile.is_some());
        let mut held_back: Vec<_> = hostile
            .into_iter()
            .map(|(value, seen)| {
                let reason = seen.hostile.clone().unwrap_or_default();
                (value, seen, reason)
            })
            .collect();
        if is_protected(field) && ordinary.len() > 1 {
            // The usual value is in force; of two that are equally usual the one that was there first.
            ordinary.sort_by_key(|(_, seen)| (std::cmp::Reverse(seen.starts), seen.first));
            let reason = "a second value of a protected field";
            held_back.extend(ordinary.drain(1..).map(|(value, seen)| (value, seen, reason.to_owned())));
        }
        let starts: u64 = ordinary.iter().map(|(_, seen)| seen.starts).sum();
        let values: BTreeSet<Value> = ordinary.into_iter().map(|(value, _)| value).collect();
        // What is hostile wherever it was seen leaves a member unset, and any other field unknown.
        (expectation(field, values, starts, overflow), held_back)
    }
}

fn expectation(field: &Field, values: BTreeSet<Value>, starts: u64, overflow: bool) -> Option<Expectation> {
    let numbers: Vec<i64> = values
        .iter()
        .filter_map(|value| match value {
            Value::Number(number) => Some(*number),
            _ => None,
        })
        .collect();
    match (values.len(), numbers.iter().min(), numbers.iter().max()) {
        (0, ..) => None,
        (1, ..) => values.into_iter().next().map(Expectation::Exact),
        (all, Some(least), Some(most)) if numbers.len() == all => Some(Expectation::Range(*least, *most)),
        (all, ..) => {
            let varies = overflow || all >= VARIES_AFTER && starts >= VARIES_AFTER as u64;
            let may_vary = !is_protected(field) && !NEVER_ANY.contains(&field.name());
            Some(if varies && may_vary { Expectation::Any } else { Expectation::OneOf(values) })
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::baseline::deviations;
    use crate::input::{Configuration, Logging, RuntimeId, Setting, Variable};

    fn at(second: i64) -> Timestamp {
        Timestamp::from_secs(1000 + second)
    }

    fn container(number: i64, driver: &str, variables: &[(&str, &str)]) -> Workload {
        let variable = |(name, value): &(&str, &str)| Variable {
            name: (*name).to_owned(),
            value: Setting::Clear((*value).to_owned()),
        };
        let configuration = Configuration {
            logging: Some(Logging { driver: driver.to_owned(), ..Logging::default() }),
            environment: variables.iter().map(variable).collect(),
            ..Configuration::default()
        };
        Workload {
            image: "web:1".to_owned(),
            since: Some(at(number)),
            configuration: Some(Arc::new(configuration)),
            ..Workload::new(WorkloadId::new(&format!("id-{number}")), &format!("web-{number}"), RuntimeId::DOCKER)
        }
    }

    fn learned(all: &[Workload]) -> Baseline {
        let mut learner = Learner::default();
        for (number, workload) in (0..).zip(all) {
            learner.apply(at(number), workload, &[]);
        }
        learner.finish(0, None)
    }

    fn only(baseline: &Baseline) -> &ServiceBaseline {
        baseline.services().next().expect("one service")
    }

    #[test]
    fn what_was_learned_does_not_differ_from_itself() {
        let all: Vec<Workload> =
            (0..3).map(|n| container(n, "json-file", &[("TZ", "UTC"), ("N", &n.to_string())])).collect();
        let baseline = learned(&all);
        assert_eq!((baseline.serial, baseline.services().len(), baseline.quarantine.len()), (1, 1, 0));
        for workload in &all {
            assert_eq!(deviations(only(&baseline), &Facets::of(workload).expect("settings")), []);
        }
        assert_eq!(only(&baseline).learned.as_ref().map(|learned| (learned.starts, learned.replicas)), Some((3, 3)));
    }

    #[test]
    fn the_second_value_of_a_protected_field_waits_and_the_usual_one_is_in_force() {
        let baseline =
            learned(&[container(0, "journald", &[]), container(1, "json-file", &[]), container(2, "json-file", &[])]);
        let driver = Field::single("logging.driver");
        let usual = Expectation::Exact(Value::Text("json-file".to_owned()));
        assert_eq!(only(&baseline).expectation(&driver), Some(&usual));
        let waiting: Vec<_> = baseline.quarantine.iter().map(|item| item.what.to_string()).collect();
        assert_eq!(waiting, ["logging.driver is journald"]);
    }

    #[test]
    fn what_is_hostile_is_never_in_force_however_often_it_was_seen() {
        let mut learner = Learner::default();
        let driver = Field::single("logging.driver");
        let hostile = [Hostile { field: driver.clone(), reason: "nothing is kept".to_owned() }];
        for number in 0..9 {
            learner.apply(at(number), &container(number, "none", &[]), &hostile);
        }
        let baseline = learner.finish(41, None);
        assert_eq!(baseline.serial, 42);
        assert_eq!(only(&baseline).expectation(&driver), None, "nothing was learned of it");
        assert_eq!(baseline.quarantine.len(), 1);
        assert_eq!((baseline.quarantine[0].seen, baseline.quarantine[0].reason.as_str()), (9, "nothing is kept"));
    }

    #[test]
    fn a_field_may_vary_after_five_values_and_not_before() {
        let with = |n: i64| container(n, "json-file", &[("RELEASE", &n.to_string())]);
        let field = Field::member("environment", "RELEASE");
        let four: Vec<_> = (0..4).map(with).collect();
        assert!(matches!(only(&learned(&four)).expectation(&field), Some(Expectation::OneOf(all)) if all.len() == 4));
        let five: Vec<_> = (0..5).map(with).collect();
        assert_eq!(only(&learned(&five)).expectation(&field), Some(&Expectation::Any));
    }

    #[test]
    fn a_container_that_is_reported_again_has_started_once() {
        let one = container(0, "json-file", &[]);
        let baseline = learned(&[one.clone(), one.clone(), one]);
        assert!(only(&baseline).is_single_start());
    }

    #[test]
    fn a_new_member_of_a_learned_group_differs_and_a_missing_one_too() {
        let baseline = learned(&[container(0, "json-file", &[("TZ", "UTC")])]);
        let other = container(1, "json-file", &[("LD_PRELOAD", "/tmp/x.so")]);
        let found = deviations(only(&baseline), &Facets::of(&other).expect("settings"));
        let texts: Vec<String> = found.iter().map(ToString::to_string).collect();
        let expected = [
            "environment.LD_PRELOAD is /tmp/x.so, the baseline has absent",
            "environment.TZ is absent, the baseline has UTC",
        ];
        assert_eq!(texts, expected);
    }
}

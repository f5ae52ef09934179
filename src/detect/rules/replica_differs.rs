//! `replica-differs`.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use crate::detect::params::rule_params;
use crate::detect::roll_out::RollOuts;
use crate::detect::{Ads, Context, Finding, Findings, HoldTime, Rule, RuleMeta, Severity, Technique};
use crate::input::{InventoryEvent, RecordedFact, Workload, WorkloadId, WorkloadState};
use crate::inventory::configuration::{Facets, Field, ServiceKey, UNSET, Value};
use crate::path::{Evidence, Selector};
use crate::time::Timestamp;

rule_params! {
    /// Replicas that may differ from the others: canaries.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    allowed: Vec<Selector> = Vec::new(),
    /// How long after the last start of a replica its service may be in a roll-out, in which replicas differ.
    rollout: HoldTime = HoldTime::secs(120),
}

/// Replicas that are remembered at once.
const MAX_REPLICAS: usize = 65_536;
/// Fewer have no minority.
const FEWEST: usize = 3;

/// The rule; it remembers what matters of each running replica.
#[derive(Debug)]
struct ReplicaDiffers {
    params: Params,
    services: BTreeMap<ServiceKey, Service>,
    of: BTreeMap<WorkloadId, ServiceKey>,
    due: BTreeSet<(Timestamp, ServiceKey)>,
    reported: RollOuts,
    refused: u64,
}

#[derive(Debug, Default)]
struct Service {
    replicas: BTreeMap<WorkloadId, Replica>,
    /// When its roll-out is over.
    due: Timestamp,
}

#[derive(Debug)]
struct Replica {
    workload: Arc<Workload>,
    fields: BTreeMap<Field, Value>,
}

/// The rule with its parameters.
pub fn rule(params: &Params) -> impl Rule + use<> {
    ReplicaDiffers {
        params: params.clone(),
        services: BTreeMap::new(),
        of: BTreeMap::new(),
        due: BTreeSet::new(),
        reported: RollOuts::lasting(Duration::MAX),
        refused: 0,
    }
}

impl Rule for ReplicaDiffers {
    fn on_fact(&mut self, context: Context<'_>, fact: &RecordedFact, _findings: &mut Findings) {
        match fact {
            RecordedFact::Inventory(InventoryEvent::Stopped { id, .. }) => self.forget(id),
            RecordedFact::Inventory(InventoryEvent::Reconciled { .. }) => {
                let gone: Vec<_> = self.of.keys().filter(|id| !context.timeline.is_running(id)).cloned().collect();
                for id in &gone {
                    self.forget(id);
                }
            }
            _ => {}
        }
    }

    fn on_workload(&mut self, context: Context<'_>, workload: &Arc<Workload>, findings: &mut Findings) {
        let runs = matches!(workload.state, WorkloadState::Running | WorkloadState::Paused);
        let is_meant = runs && !Selector::any(&self.params.allowed, workload);
        let Some(facets) = Facets::of(workload).filter(|_| is_meant) else {
            self.forget(&workload.id);
            return;
        };
        let key = ServiceKey::of(workload);
        if self.of.get(&workload.id).is_some_and(|known| *known != key) {
            self.forget(&workload.id);
        }
        if !self.of.contains_key(&workload.id) && self.of.len() >= MAX_REPLICAS {
            self.refused += 1;
            return;
        }
        self.of.insert(workload.id.clone(), key.clone());
        let service = self.services.entry(key.clone()).or_default();
        let fields = facets.fields.into_iter().filter(|(field, value)| matters(field) && !value.is_unset()).collect();
        service.replicas.insert(workload.id.clone(), Replica { workload: Arc::clone(workload), fields });
        self.due.remove(&(service.due, key.clone()));
        service.due = context.now.plus(self.params.rollout.get());
        self.due.insert((service.due, key));
        findings.schedule(service.due);
    }

    fn on_time(&mut self, context: Context<'_>, findings: &mut Findings) {
        while let Some((due, _)) = self.due.first() {
            if *due > context.now {
                break;
            }
            let Some((_, key)) = self.due.pop_first() else { break };
            if let Some(service) = self.services.get(&key) {
                service.check(&key, context.now, &mut self.reported, findings);
            }
        }
    }

    fn forgotten(&self) -> u64 {
        self.refused + self.reported.refused()
    }
}

impl ReplicaDiffers {
    fn forget(&mut self, id: &WorkloadId) {
        self.reported.forget(id);
        let Some(key) = self.of.remove(id) else { return };
        let Some(service) = self.services.get_mut(&key) else { return };
        service.replicas.remove(id);
        if service.replicas.is_empty() {
            self.due.remove(&(service.due, key.clone()));
            self.services.remove(&key);
        }
    }
}

impl Service {
    fn check(&self, key: &ServiceKey, now: Timestamp, reported: &mut RollOuts, findings: &mut Findings) {
        let all = self.replicas.len();
        if all < FEWEST {
            return;
        }
        let usual = usual(&self.replicas);
        let words = |value: &Value| value.words().unwrap_or_else(|| "absent".to_owned());
        for (id, replica) in &self.replicas {
            let own = |field: &Field| replica.fields.get(field).unwrap_or(&UNSET);
            let differs = usual.iter().filter(|(field, (value, _))| own(field) != value);
            // How many have which value changes as replicas come and go; what differs does not.
            let differs: Vec<(String, String)> = differs
                .map(|(field, (value, how_many))| {
                    let name = format!("{field} is {}", words(own(field)));
                    let text = format!("{name}; {how_many} of {all} replicas have {}", words(value));
                    (name, text)
                })
                .collect();
            let names: Vec<&str> = differs.iter().map(|(name, _)| name.as_str()).collect();
            let Some(report) = reported.report(now, key, id, &names) else { continue };
            let mut evidence = vec![Evidence::new("service", format!("it is one of {all} replicas of {key}"))];
            evidence.extend(differs.into_iter().map(|(_, text)| Evidence::new("setting", text)));
            let cause = format!("differs: {}", report.names.join(", "));
            let at = replica.workload.since.unwrap_or(now);
            let finding = Finding::of_workload(&META, at, &replica.workload, &cause, evidence);
            findings.push(Finding { roll_out: report.roll_out, is_change: true, ..finding });
        }
    }
}

/// The value of each field that most replicas have, where not all have it, and how many have it.
fn usual(replicas: &BTreeMap<WorkloadId, Replica>) -> BTreeMap<Field, (Value, usize)> {
    let all = replicas.len();
    let mut counts: BTreeMap<&Field, BTreeMap<&Value, usize>> = BTreeMap::new();
    for (field, value) in replicas.values().flat_map(|replica| &replica.fields) {
        *counts.entry(field).or_default().entry(value).or_default() += 1;
    }
    let usual = |(field, counts): (&Field, BTreeMap<&Value, usize>)| {
        let set: usize = counts.values().sum();
        let unset = (set < all).then_some((&UNSET, all - set));
        let (value, how_many) = counts.into_iter().chain(unset).max_by_key(|(_, how_many)| *how_many)?;
        (how_many * 2 > all && how_many < all).then(|| (field.clone(), (value.clone(), how_many)))
    };
    counts.into_iter().filter_map(usual).collect()
}

/// Whether a difference between replicas says something about monitoring, rights or what runs.
fn matters(field: &Field) -> bool {
    matches!(field.name(), "command" | "image.digest" | "network.mode")
        || super::postures().iter().any(|posture| (posture.owns)(field))
}

/// What the rule is.
pub static META: RuleMeta = RuleMeta {
    name: "replica-differs",
    title: "One replica of a service is configured unlike the others",
    severity: Severity::Medium,
    techniques: &[Technique { name: "Deploy Container", v19: "T1610", v18: "T1610" }],
    ads: Ads {
        goal: "Detects a container that hides among the replicas of a service and has other rights, mounts, logging, proxy or image than \
             most of them.",
        categorization: "Execution: a container that is started beside the replicas of a service, or one of them that was started again \
             with other settings, looks like the service to everybody who goes by names.",
        strategy: "Running containers with one service (manager, name and image repository) are replicas. Two minutes (`rollout`) after the last of \
             them started, fields that the rules about settings own, the command, the network mode and the image's digest are compared. \
             Where more than half of at least three agree, each of the others is reported once for each difference, and those that differ \
             alike are one alert that counts them. Needs no baseline.",
        technical_context: "Compose and Swarm start all replicas of a service with the same settings, and Compose starts them one after \
             the other under temporary names; the waiting time lets a roll-out end. Two replicas that differ have no majority and are \
             not reported: a baseline says which of them is as it should be.",
        blind_spots: &[
            "Services with one or two replicas.",
            "An attacker who changes most of the replicas.",
            "Variables that are neither proxies, certificates, telemetry nor loaders.",
        ],
        assumptions: &["The runtime's inspect can be read.", "Canaries are on the list of allowed workloads."],
        false_positives: &[
            "Canaries that run for long.",
            "Hosts whose devices have different paths, seen through one socket.",
        ],
        true_positives: &["replica-differs"],
        benign_twins: &["replicas-alike"],
        priority: "Medium: unlike containers of one service are a mistake or somebody who hides; look at what differs.",
        response: &[
            "Read what differs, and compare: `docker inspect NAME OTHER`.",
            "Who started it? Labels of Compose name folder and files; the orchestrator has a history.",
            "If it is a canary, add it to rules.replica-differs.allowed, by label or digest.",
            "If nobody can explain it, `docker pause NAME`, and start a replica again from its definition.",
        ],
        resources: &[
            "https://attack.mitre.org/techniques/T1610/",
            "https://docs.docker.com/reference/compose-file/deploy/",
        ],
    },
};

#[cfg(test)]
mod tests {
    use super::*;
    use crate::detect::testing::{Bench, at, workload};
    use crate::input::{Configuration, Logging};

    fn replica(number: u8, driver: &str) -> Arc<Workload> {
        let logging = Some(Logging { driver: driver.to_owned(), ..Logging::default() });
        let configuration = Some(Arc::new(Configuration { logging, ..Configuration::default() }));
        Arc::new(Workload { configuration, image: "web:1".into(), ..workload(&format!("web-{number}"), number) })
    }

    fn found(drivers: &[&str], millis: u64) -> Vec<Finding> {
        let (bench, mut rule) = (Bench::new(&[]), rule(&Params::default()));
        for (number, driver) in (1..).zip(drivers) {
            assert!(bench.on_workload(&mut rule, &replica(number, driver)).is_empty(), "a roll-out is not over");
        }
        bench.on_time(&mut rule, at(millis))
    }

    #[test]
    fn the_one_that_differs_is_reported_when_the_roll_out_is_over() {
        let drivers = ["json-file", "json-file", "none"];
        assert!(found(&drivers, 60_000).is_empty());
        let found = found(&drivers, 121_000);
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].workload.as_ref().map(|workload| workload.name.as_str()), Some("web-3"));
        assert!(
            found[0].evidence[1].text.contains("logging.driver is none; 2 of 3 replicas have json-file"),
            "{found:?}"
        );
    }

    #[test]
    fn replicas_that_differ_alike_are_one_roll_out() {
        let found = found(&["json-file", "json-file", "json-file", "none", "none"], 121_000);
        let [one, two] = &found[..] else { panic!("{found:?}") };
        assert_eq!((&one.cause, &one.roll_out), (&two.cause, &two.roll_out));
        assert!(one.roll_out.is_some() && one.workload != two.workload);
    }

    #[test]
    fn without_a_majority_nothing_is_said() {
        assert!(found(&["json-file", "none"], 121_000).is_empty());
        assert!(found(&["json-file", "json-file", "none", "none"], 121_000).is_empty());
        assert!(found(&["json-file", "json-file", "json-file"], 121_000).is_empty());
    }
}

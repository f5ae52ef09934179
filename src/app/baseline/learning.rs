//! What containers were like, for learning and comparing.
//!
//! Contract: follows the engine live and in a replay alike. Of a workload with an alert of medium or more, other than about its settings, no setting
//! is learned: what it is doing is in doubt; of its traffic, what the alert is about is held back ([`suspects`]). Limits: [`MAX_OBSERVATIONS`]; beyond, the first ones count. Design: settings that are
//! dangerous are held back by the learner itself, so that they are known by name and can be approved.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::suspects::doubts;
use crate::alert::Alert;
use crate::baseline::traffic::{Row, TrafficBaseline, TrafficLearner};
use crate::baseline::volume::{HourRow, SketchError, VolumeLearner, Zone, hour_of};
use crate::baseline::{Baseline, Held, Learner, QuarantineItem, ServiceBaseline, traffic_id};
use crate::detect::{Actor, Contact, ContactStep, Dealings, Hours, Running, Severity, hostile, rules};
use crate::engine::Observer;
use crate::input::{InventoryEvent, RecordedFact, Setting, Workload, WorkloadId, WorkloadState};
use crate::inventory::Timeline;
use crate::inventory::configuration::ServiceKey;
use crate::names::Names;
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

/// What a command looks at.
#[derive(Debug, Default)]
pub struct Observed {
    /// The containers.
    pub containers: Vec<Observation>,
    /// The traffic of each service, where any was seen.
    pub traffic: Vec<(ServiceKey, Vec<Row>)>,
    /// The whole hours of each service.
    pub hours: Vec<(ServiceKey, Vec<HourRow>)>,
}

/// Follows the engine.
#[derive(Debug, Default)]
pub struct Learning {
    observations: Vec<Observation>,
    in_doubt: BTreeSet<String>,
    now: Timestamp,
    left_out: u64,
    traffic: TrafficLearner,
    services: BTreeMap<WorkloadId, (ServiceKey, Option<Timestamp>)>,
    hours: Hours,
    volumes: VolumeLearner,
    /// Services that had traffic: from then on an hour without is one of silence.
    heard: BTreeMap<ServiceKey, Actor>,
}

impl Observer for Learning {
    fn fact(&mut self, _timeline: &Timeline, _fact: &RecordedFact, now: Timestamp) {
        self.now = now;
    }

    fn contact(&mut self, timeline: &Timeline, names: &Names, contact: &Contact<'_>) {
        self.close_hours(timeline, contact.record.end);
        self.hours.note(contact, |_| true);
        for actor in [contact.source, contact.target].into_iter().flatten() {
            if let Some(key) = actor.service()
                && self.heard.len() < MAX_OBSERVATIONS
                && !self.heard.contains_key(key)
            {
                self.heard.insert(key.clone(), actor.clone());
            }
        }
        self.traffic.see(contact.record.start);
        if contact.step != ContactStep::Ended {
            return;
        }
        let Some(dealings) = Dealings::of(names, timeline, contact) else { return };
        for side in dealings.sides(contact) {
            self.traffic.apply(contact.record.start, side.key, &side.dealing, side.address);
        }
    }

    fn workload(&mut self, _timeline: &Timeline, workload: &Arc<Workload>) {
        self.follow(workload);
        if self.observations.len() < MAX_OBSERVATIONS {
            self.observations.push(Observation { at: self.now, workload: Arc::clone(workload) });
        } else {
            self.left_out += 1;
        }
    }

    fn alert(&mut self, alert: &Alert) {
        let known = alert.workload.as_ref().and_then(|workload| self.services.get(&WorkloadId::new(&workload.id)));
        if let Some((key, _)) = known {
            let key = key.clone();
            for doubt in doubts(alert) {
                self.volumes.doubt(&key, hour_of(alert.first_seen), hour_of(alert.last_seen));
                self.traffic.doubt(&key, doubt);
            }
        }
        let is_of_baseline = rules::is_about_settings(alert.rule) || rules::is_about_new_traffic(alert.rule);
        if alert.severity >= Severity::Medium && !is_of_baseline {
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

    /// Notes whose a workload is, and counts its start where traffic was seen before.
    fn follow(&mut self, workload: &Arc<Workload>) {
        let key = ServiceKey::of(workload);
        let known = self.services.get(&workload.id).and_then(|(_, since)| *since);
        let seen_from = self.traffic.span().map(|(from, _)| from);
        if workload.since != known && workload.since.zip(seen_from).is_some_and(|(since, from)| since >= from) {
            self.traffic.start(&key);
        }
        if self.services.len() < MAX_OBSERVATIONS {
            self.services.insert(workload.id.clone(), (key, workload.since));
        }
    }

    /// Takes in the hours that are over.
    fn close_hours(&mut self, timeline: &Timeline, now: Timestamp) {
        while let Some(closed) = self.hours.close(now) {
            let running = Running::all(timeline);
            for (key, actor) in &self.heard {
                let Some(running) = running.get(key) else { continue };
                if running.is_through(closed.hour) {
                    let amounts = closed.amounts.get(actor).copied().unwrap_or_default();
                    self.volumes.apply(key, closed.hour, amounts, running.containers);
                } else {
                    self.volumes.leave_out(key);
                }
            }
        }
    }

    /// Contacts of services that found no room.
    pub const fn traffic_left_out(&self) -> u64 {
        self.traffic.refused() + self.volumes.refused() + self.hours.forgotten()
    }

    /// Learns a baseline; services of `known` stay as they are, unless they are to be learned anew. Traffic is added where a service has none.
    /// So are amounts, whose weeks go by the clock of `zone`.
    pub fn learn(
        &mut self,
        known: Option<&Baseline>,
        anew: bool,
        key: Option<String>,
        zone: &Zone,
    ) -> Result<Baseline, SketchError> {
        let mut learner = Learner::default();
        for Observation { at, workload } in self.trusted() {
            learner.apply(*at, workload, &hostile(workload));
        }
        let key = key.or_else(|| self.hash_key());
        let mut baseline = learner.finish(known.map_or(0, |known| known.serial), key);
        Self::keep_known(known, anew, &mut baseline);
        for one in std::mem::take(&mut self.traffic).finish() {
            let mut service =
                baseline.service(&one.key).cloned().unwrap_or_else(|| ServiceBaseline::new(one.key.clone()));
            if service.traffic.is_some() {
                continue;
            }
            service.traffic = Some(one.traffic);
            baseline.insert(service);
            baseline.quarantine.extend(one.held_back.into_iter().map(|(row, reason)| QuarantineItem {
                id: traffic_id(&one.key, &row),
                service: one.key.clone(),
                first: row.facts.seen.span.map_or(self.now, |(first, _)| first),
                seen: row.facts.seen.contacts,
                what: Held::Traffic(Box::new(row)),
                reason,
            }));
        }
        for (key, learned) in std::mem::take(&mut self.volumes).finish(zone)? {
            let traffic = baseline.service_mut(&key).and_then(|service| service.traffic.as_mut());
            if let Some(traffic) = traffic.filter(|traffic| traffic.volume.is_none()) {
                traffic.volume = Some(learned.volume);
            }
        }
        Ok(baseline)
    }

    /// Puts what stays of a known baseline in.
    fn keep_known(known: Option<&Baseline>, anew: bool, baseline: &mut Baseline) {
        let Some(known) = known else { return };
        let stays = |key| !anew || baseline.service(key).is_none();
        let kept: Vec<_> = known.services().filter(|service| stays(&service.key)).cloned().collect();
        let items: Vec<_> = known.quarantine.iter().filter(|item| stays(&item.service)).cloned().collect();
        let keys: BTreeSet<&ServiceKey> = kept.iter().map(|service| &service.key).collect();
        baseline.quarantine.retain(|item| !keys.contains(&item.service));
        for service in kept {
            baseline.insert(service);
        }
        baseline.quarantine.extend(items);
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

    /// The containers as they were last, but for those that ended, and the traffic of all.
    pub fn latest(&mut self) -> Observed {
        let finished = std::mem::take(&mut self.traffic).finish();
        let rows = |traffic: TrafficBaseline, held_back: Vec<(Row, String)>| {
            traffic.rows().chain(held_back.into_iter().map(|(row, _)| row)).collect()
        };
        let traffic = finished.into_iter().map(|one| (one.key, rows(one.traffic, one.held_back))).collect();
        // Rows are by hours of the epoch: which clock a week goes by does not matter here.
        let volumes = std::mem::take(&mut self.volumes).finish(&Zone::default()).unwrap_or_default();
        let hours = volumes.into_iter().map(|(key, learned)| (key, learned.rows)).collect();
        Observed { containers: self.latest_containers(), traffic, hours }
    }

    fn latest_containers(&self) -> Vec<Observation> {
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

//! What of the running containers, and of the traffic of a recording, is not as the baseline expects.
//!
//! Contract: one item for each value of a field of a service, with the containers that have it, and for each peer at a port; each with its id for
//! `approve`, and the rule that reports it. Of a service without a traffic part no traffic differs. Services that the baseline does not know are listed as a whole. After all items are approved there are none.

use std::collections::BTreeMap;

use serde::Serialize;

use super::{Observation, Observed};
use crate::baseline::traffic::{NOTHING, Row};
use crate::baseline::volume::{Figure, HourRow, Limits, Stand, VolumeBaseline, Within, start_of};
use crate::baseline::{Baseline, Compared, Deviation, Held, Known, ServiceState, item_id, traffic_id, volume_id};
use crate::detect::rules;
use crate::inventory::configuration::{Field, ServiceKey, Value};

/// Name and version of the shape.
const SCHEMA: &str = "hopwatch.baseline-diff/1";
/// Containers named for one item.
const MAX_NAMED: usize = 8;

/// What differs on this host.
#[derive(Debug, Serialize)]
pub struct DiffReport {
    /// Always `hopwatch.baseline-diff/1`.
    pub schema: &'static str,
    /// Serial number of the baseline.
    pub serial: u64,
    /// Containers that were compared.
    pub compared: usize,
    /// Services with differences, and unknown ones.
    pub services: Vec<ServiceDiff>,
}

/// What differs of one service.
#[derive(Debug, Serialize)]
pub struct ServiceDiff {
    /// Its name and image.
    pub service: String,
    #[serde(skip)]
    pub(super) key: Option<ServiceKey>,
    /// `enforced`, `shadow`, `unknown`, or `other image`.
    pub state: &'static str,
    /// Names the whole service for `approve`, where the baseline does not know it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// Its containers, the first ones.
    pub workloads: Vec<String>,
    /// The differences.
    pub items: Vec<DiffItem>,
    /// Where each stands, by what it is about: thousands of containers may differ in thousands of values.
    #[serde(skip)]
    places: BTreeMap<(Field, Value), usize>,
}

/// One value that is not expected.
#[derive(Debug, Serialize)]
pub struct DiffItem {
    /// Names it for `approve`.
    pub id: String,
    /// The field.
    pub field: String,
    /// What the baseline has; absent: nothing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expected: Option<String>,
    /// What it is; absent: nothing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub value: Option<String>,
    /// The containers, the first ones.
    pub workloads: Vec<String>,
    /// The rule that reports it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rule: Option<&'static str>,
    /// What that means for monitoring.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub why: Option<&'static str>,
    #[serde(skip)]
    pub(super) of: Option<Held>,
}

/// Compares.
pub fn diff(baseline: &Baseline, observed: &Observed) -> DiffReport {
    let mut services: BTreeMap<ServiceKey, ServiceDiff> = BTreeMap::new();
    let mut compared = 0;
    for Observation { workload, .. } in &observed.containers {
        let Some(one) = Compared::of(baseline, workload) else { continue };
        compared += 1;
        if one.known == Known::Enforced && one.deviations.is_empty() {
            continue;
        }
        let service = services.entry(one.key.clone()).or_insert_with(|| empty(&one));
        name(&mut service.workloads, &workload.name);
        one.deviations.iter().for_each(|deviation| service.count(&one.key, deviation, &workload.name));
    }
    for (key, rows) in &observed.traffic {
        let Some(known) = baseline.service(key) else { continue };
        let Some(traffic) = &known.traffic else { continue };
        for (row, expected) in rows.iter().filter_map(|row| Some((row, traffic.differs(row)?))) {
            let service = services.entry(key.clone()).or_insert_with(|| of_known(key, known.state));
            service.items.push(DiffItem::of_traffic(key, row, expected));
        }
    }
    for (key, hours) in &observed.hours {
        let known = baseline.service(key);
        let Some(volume) = known.and_then(|known| known.traffic.as_ref()?.volume.as_ref()) else { continue };
        let state = known.map_or_else(ServiceState::default, |known| known.state);
        for item in Figure::ALL.into_iter().filter_map(|figure| DiffItem::of_volume(key, volume, figure, hours)) {
            services.entry(key.clone()).or_insert_with(|| of_known(key, state)).items.push(item);
        }
    }
    services.retain(|_, service| service.id.is_some() || !service.items.is_empty());
    DiffReport { schema: SCHEMA, serial: baseline.serial, compared, services: services.into_values().collect() }
}

fn empty(compared: &Compared) -> ServiceDiff {
    let (state, is_known) = match &compared.known {
        Known::Enforced => ("enforced", true),
        Known::Shadow => ("shadow", true),
        Known::Unknown => ("unknown", false),
        Known::OtherImage(_) => ("other image", false),
    };
    let id = (!is_known).then(|| item_id(&compared.key, &Field::single("image.digest"), &Value::UNSET));
    let (service, key) = (compared.key.to_string(), Some(compared.key.clone()));
    ServiceDiff { service, key, state, id, workloads: Vec::new(), items: Vec::new(), places: BTreeMap::new() }
}

fn of_known(key: &ServiceKey, state: ServiceState) -> ServiceDiff {
    let known = if state == ServiceState::Shadow { Known::Shadow } else { Known::Enforced };
    empty(&Compared { key: key.clone(), known, deviations: Vec::new() })
}

impl ServiceDiff {
    fn count(&mut self, key: &ServiceKey, deviation: &Deviation, workload: &str) {
        let about = (deviation.field.clone(), deviation.value.clone());
        if let Some(known) = self.places.get(&about).and_then(|place| self.items.get_mut(*place)) {
            return name(&mut known.workloads, workload);
        }
        self.places.insert(about, self.items.len());
        let rule = rules::owner_of(&deviation.field);
        self.items.push(DiffItem {
            id: item_id(key, &deviation.field, &deviation.value),
            field: deviation.field.to_string(),
            expected: deviation.expected.clone(),
            value: deviation.value.words(),
            workloads: vec![workload.to_owned()],
            rule: rule.map(|rule| rule.name),
            why: rule.map(|rule| rule.title),
            of: Some(Held::Setting(deviation.field.clone(), deviation.value.clone())),
        });
    }
}

fn name(names: &mut Vec<String>, name: &str) {
    if names.len() < MAX_NAMED && !names.iter().any(|known| known == name) {
        names.push(name.to_owned());
    }
}

impl DiffReport {
    /// Leaves what is about workloads or services whose names hold this text.
    pub fn retain(&mut self, text: &str) {
        self.services.retain(|service| {
            service.service.contains(text) || service.workloads.iter().any(|workload| workload.contains(text))
        });
    }

    /// Whether nothing differs.
    pub fn is_empty(&self) -> bool {
        self.services.is_empty()
    }

    /// For a person.
    pub fn text(&self) -> String {
        let mut text = String::new();
        for service in &self.services {
            text.push_str(&format!("{} ({})\n", service.service, service.state));
            if let Some(id) = &service.id {
                text.push_str(&format!("  {id}  not in the baseline; containers: {}\n", service.workloads.join(", ")));
            }
            service.items.iter().for_each(|item| text.push_str(&item.text()));
        }
        let containers = crate::wording::many(self.compared as u64, "container");
        let serial = self.serial;
        text.push_str(&match self.services.len() {
            0 => format!("{containers} compared with serial {serial}: nothing differs\n"),
            many => format!(
                "{containers} compared with serial {serial}: {} differ; approve with `hopwatch baseline approve ID --why TEXT`\n",
                crate::wording::many(many as u64, "service")
            ),
        });
        text
    }
}

impl DiffItem {
    fn of_traffic(key: &ServiceKey, row: &Row, expected: String) -> Self {
        let rule = rules::owner_of_traffic(row, expected != NOTHING);
        Self {
            id: traffic_id(key, row),
            field: row.to_string(),
            expected: Some(expected),
            value: Some(row.facts.to_string()),
            workloads: Vec::new(),
            rule: Some(rule.name),
            why: Some(rule.title),
            of: Some(Held::Traffic(Box::new(row.clone()))),
        }
    }

    /// The hours of a figure that are far outside of what is expected; `None`: none is.
    fn of_volume(key: &ServiceKey, volume: &VolumeBaseline, figure: Figure, hours: &[HourRow]) -> Option<Self> {
        let limits = Limits::default();
        let outside: Vec<(&HourRow, Stand)> = hours
            .iter()
            .filter_map(|row| Some((row, volume.stand(i64::from(row.hour), figure, row.amount(figure))?)))
            .filter(|(row, stand)| stand.is_far(figure, row.amount(figure), volume.containers, &limits).is_some())
            .collect();
        let amounts = || outside.iter().map(|(row, _)| row.amount(figure));
        let within = Within { from: amounts().min()?, to: amounts().max()? };
        let (first, stand) = outside.first()?;
        let rule = &rules::volume_anomaly::META;
        Some(Self {
            id: volume_id(key, figure),
            field: format!("volume.{}", figure.as_str()),
            expected: Some(format!(
                "about {} in {}, {} to {} at most",
                stand.expected,
                stand.season.as_str(),
                stand.least,
                stand.most
            )),
            value: Some(format!(
                "{} to {} {figure} in {}, the first at {}",
                within.from,
                within.to,
                crate::wording::many(outside.len() as u64, "hour"),
                start_of(i64::from(first.hour)).readable()
            )),
            workloads: Vec::new(),
            rule: Some(rule.name),
            why: Some(rule.title),
            of: Some(Held::Volume(figure, within)),
        })
    }

    fn text(&self) -> String {
        if let Some(Held::Traffic(row)) = &self.of {
            let expected = self.expected.as_deref().unwrap_or_default();
            return format!(
                "  {}  {row} ({}); the baseline has {expected}\n    {}: {}\n",
                self.id,
                row.facts,
                self.rule.unwrap_or_default(),
                self.why.unwrap_or_default()
            );
        }
        let words = |text: &Option<String>| text.clone().unwrap_or_else(|| "absent".to_owned());
        let why = match (self.rule, self.why) {
            (Some(rule), Some(why)) => format!("    {rule}: {why}\n"),
            _ => String::new(),
        };
        format!(
            "  {}  {} is {}, the baseline has {} ({})\n{why}",
            self.id,
            self.field,
            words(&self.value),
            words(&self.expected),
            self.workloads.join(", ")
        )
    }
}

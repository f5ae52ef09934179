//! Approvals: what becomes expected, by whom and why.
//!
//! Contract: items are approved one by one, or several values of one field of one service; the file gets the next serial number, and the state
//! directory its SHA-256 and a copy. A file that a person edited is approved as a whole, with a higher serial number than before.
//! Design: the baseline's own entry of a service says who approved what last; older ones are in the file's history in git.

use std::path::Path;

use super::{Approvals, BaselineError, Document, Observation, Observed, diff, state};
use crate::baseline::traffic::Row;
use crate::baseline::volume::{Figure, Within};
use crate::baseline::{Approval, Baseline, Expectation, Held, Learner};
use crate::clock::now;
use crate::config::Config;
use crate::detect::hostile;
use crate::inventory::configuration::{Field, ServiceKey, Value};

/// What is to be approved.
#[derive(Debug)]
pub struct Approve<'a> {
    /// Ids of differences or quarantined values.
    pub ids: &'a [String],
    /// In place of what was expected, not beside it.
    pub replace: bool,
    /// Who.
    pub by: &'a str,
    /// Why.
    pub why: &'a str,
}

/// One item that was found.
struct Item {
    id: String,
    service: ServiceKey,
    /// `None`: the whole service.
    what: Option<Held>,
}

/// Approves items; what was done, in words.
pub fn approve(
    path: &Path,
    config: &Config,
    observed: &Observed,
    asked: &Approve<'_>,
) -> Result<Vec<String>, BaselineError> {
    // What is changed must be what was approved, so that nobody's edit is approved with it.
    let mut baseline = super::in_force(path, config)?;
    let items = find(&baseline, observed, asked.ids)?;
    let mut done = Vec::new();
    for item in &items {
        done.push(match &item.what {
            Some(Held::Setting(field, value)) => take_in(&mut baseline, &item.service, field, value, asked),
            Some(Held::Traffic(row)) => take_in_traffic(&mut baseline, &item.service, row, asked),
            Some(Held::Volume(figure, within)) => accept(&mut baseline, &item.service, *figure, *within, asked),
            None => learn_service(&mut baseline, &item.service, observed, asked),
        });
        baseline.quarantine.retain(|known| known.id != item.id);
    }
    baseline.serial = baseline.serial.saturating_add(1);
    baseline.hash_key = crate::app::hash_key::prepared_id().or(baseline.hash_key);
    let document = Document::of(baseline)?;
    document.write(path)?;
    Approvals::read(state(config)?)?.keep(path, &document, asked.by, asked.why, now())?;
    if config.baseline_key.is_some() {
        done.push("sign the file again: its signature fits the old one".to_owned());
    }
    Ok(done)
}

/// Approves a file as it is.
pub fn approve_file(path: &Path, config: &Config, by: &str, why: &str) -> Result<u64, BaselineError> {
    let document = Document::read(path, config.baseline_key.as_deref())?;
    let mut approvals = Approvals::read(state(config)?)?;
    let serial = document.baseline.serial;
    if let Some(before) =
        approvals.of(path).filter(|before| before.serial == serial && before.sha256 != document.sha256)
    {
        let next = before.serial.saturating_add(1);
        return Err(BaselineError::Refused(format!(
            "{} was changed and still has serial {serial}, which was approved before; write `serial: {next}`, and approve again",
            path.display()
        )));
    }
    approvals.keep(path, &document, by, why, now())?;
    Ok(serial)
}

/// Takes over a file from elsewhere and approves it.
pub fn import(from: &Path, to: &Path, config: &Config, by: &str, why: &str) -> Result<Document, BaselineError> {
    let document = Document::read(from, config.baseline_key.as_deref())?;
    let mut approvals = Approvals::read(state(config)?)?;
    if let Some(before) = approvals.of(to).filter(|before| document.baseline.serial < before.serial) {
        let (found, approved) = (document.baseline.serial, before.serial);
        return Err(BaselineError::RolledBack { path: from.to_owned(), found, approved });
    }
    document.write(to)?;
    approvals.keep(to, &document, by, why, now())?;
    Ok(document)
}

fn find(baseline: &Baseline, observed: &Observed, ids: &[String]) -> Result<Vec<Item>, BaselineError> {
    let differing = diff(baseline, observed);
    let mut found: Vec<Item> = Vec::new();
    for id in ids {
        let quarantined = baseline.quarantine.iter().find(|item| item.id == *id).map(|item| Item {
            id: id.clone(),
            service: item.service.clone(),
            what: Some(item.what.clone()),
        });
        let in_diff = || {
            differing.services.iter().find_map(|service| {
                let key = service.key.clone()?;
                if service.id.as_ref() == Some(id) {
                    return Some(Item { id: id.clone(), service: key, what: None });
                }
                let item = service.items.iter().find(|item| item.id == *id)?;
                Some(Item { id: id.clone(), service: key, what: item.of.clone() })
            })
        };
        found.push(quarantined.or_else(in_diff).ok_or_else(|| BaselineError::NoSuchItem { id: id.clone() })?);
    }
    let place = |item: &Item| (item.service.clone(), item.what.as_ref().map(place_of));
    if found.windows(2).any(|pair| matches!(pair, [one, other] if place(one) != place(other) || one.what.is_none())) {
        return Err(BaselineError::Several { ids: ids.join(", ") });
    }
    Ok(found)
}

/// What may be approved at once: values of one field, ports of one peer.
fn place_of(what: &Held) -> String {
    match what {
        Held::Setting(field, _) => field.to_string(),
        Held::Traffic(row) => format!("{} {}", row.way.as_str(), row.peer),
        Held::Volume(figure, _) => format!("volume {}", figure.as_str()),
    }
}

/// Makes traffic with a peer expected.
fn take_in_traffic(baseline: &mut Baseline, key: &ServiceKey, row: &Row, asked: &Approve<'_>) -> String {
    let Some(service) = baseline.service_mut(key) else { return format!("{key} is not in the baseline") };
    let traffic = service.traffic.get_or_insert_default();
    if !traffic.absorb(row.clone()) {
        return format!("{key}: `{row}` finds no room in the baseline");
    }
    let (by, at, why) = (asked.by.to_owned(), now(), asked.why.to_owned());
    service.approved = Some(Approval { by, at, why, changes: vec![format!("it {row}")] });
    format!("{key} {row}")
}

/// Makes amounts of an hour expected, whatever was learned.
fn accept(baseline: &mut Baseline, key: &ServiceKey, figure: Figure, within: Within, asked: &Approve<'_>) -> String {
    let Some(service) = baseline.service_mut(key) else { return format!("{key} is not in the baseline") };
    let Some(volume) = service.traffic.as_mut().and_then(|traffic| traffic.volume.as_mut()) else {
        return format!("{key} has no volume in the baseline");
    };
    volume.accept(figure, within);
    let change = Held::Volume(figure, within).to_string();
    let (by, at, why) = (asked.by.to_owned(), now(), asked.why.to_owned());
    service.approved = Some(Approval { by, at, why, changes: vec![format!("it {change}")] });
    format!("{key} {change}")
}

/// Makes a value an expected one.
fn take_in(baseline: &mut Baseline, key: &ServiceKey, field: &Field, value: &Value, asked: &Approve<'_>) -> String {
    let Some(service) = baseline.service_mut(key) else { return format!("{key} is not in the baseline") };
    let before = service.expectation(field).cloned();
    let after = match before.clone() {
        Some(before) if !asked.replace => before.or(value.clone()),
        _ => Expectation::Exact(value.clone()),
    };
    let words = |of: Option<&Expectation>| of.and_then(Expectation::words).unwrap_or_else(|| "absent".to_owned());
    let change = format!("{field} was {}, is {}", words(before.as_ref()), words(Some(&after)));
    service.expect.insert(field.clone(), after);
    let (by, at, why) = (asked.by.to_owned(), now(), asked.why.to_owned());
    service.approved = Some(Approval { by, at, why, changes: vec![change.clone()] });
    format!("{key}: {change}")
}

/// Learns a service that was not known from its containers as they are.
fn learn_service(baseline: &mut Baseline, key: &ServiceKey, observed: &Observed, asked: &Approve<'_>) -> String {
    let mut learner = Learner::default();
    for Observation { at, workload } in observed.containers.iter().filter(|it| ServiceKey::of(&it.workload) == *key) {
        learner.apply(*at, workload, &hostile(workload));
    }
    let service_alone = learner.finish(0, None);
    let held_back = service_alone.quarantine.len();
    baseline.quarantine.retain(|item| item.service != *key);
    baseline.quarantine.extend(service_alone.quarantine.iter().cloned());
    for service in service_alone.services() {
        let (by, at, why) = (asked.by.to_owned(), now(), asked.why.to_owned());
        let changes = vec!["the service was not known".to_owned()];
        let mut service = service.clone();
        service.approved = Some(Approval { by, at, why, changes });
        baseline.insert(service);
    }
    match held_back {
        0 => format!("{key}: learned"),
        some => format!("{key}: learned; {some} of its values wait in quarantine, see `hopwatch baseline show`"),
    }
}

//! What the sources are doing, as their messages say: counters by point, and what is wrong.
//!
//! Contract: every tap's counters are kept after it ended, so that the summary adds up. Limits: [`MAX_ENDED`] ended points.

use std::collections::{BTreeMap, BTreeSet};

use super::blindness::Blindness;
use super::message::SourceMessage;
use crate::app::summary::PointSummary;
use crate::flow::PointCounters;
use crate::input::{Fact, Input, InventoryEvent, ObservationPoint, RecordedFact, RuntimeId};
use crate::observe::live::TapBatch;
use crate::time::Timestamp;
use crate::wording::many;

/// Ended interfaces that the summary lists one by one; those beyond are summed.
const MAX_ENDED: usize = 1000;
/// Under this name.
const OTHERS: &str = "other ended interfaces";
/// Interfaces that the summary warns of by name.
const MAX_NAMED: usize = 20;

const NO_INTERFACE: &str = "no interface matches the configured names; see `capture.interfaces` or -i";
const NO_RUNTIME: &str = "no container runtime was found; start one, or name its socket under `runtime`";

/// Counters by point, and what is wrong.
#[derive(Debug, Default)]
pub struct SourceStatus {
    /// Counters of running taps.
    running: BTreeMap<ObservationPoint, PointCounters>,
    /// Counters of ended taps.
    ended: BTreeMap<ObservationPoint, PointCounters>,
    refused: BTreeMap<ObservationPoint, String>,
    vanished: BTreeSet<ObservationPoint>,
    blindness: Blindness,
    /// Why a runtime does not answer, by runtime.
    silent: BTreeMap<RuntimeId, String>,
    /// The runtimes that are read, and whether their whole list was reported; `None` until they were looked for.
    runtimes: Option<BTreeMap<RuntimeId, bool>>,
}

impl SourceStatus {
    /// Of a run that may be blind in some respects.
    pub fn new(blindness: Blindness) -> Self {
        Self { blindness, ..Self::default() }
    }

    /// Other rules are switched on.
    pub fn enable(&mut self, rules: BTreeSet<&'static str>) {
        self.blindness.enable(rules);
    }

    /// Notes a message and returns its inputs.
    pub fn take(&mut self, message: SourceMessage) -> Vec<Input> {
        match message {
            SourceMessage::Tap(batch) => return self.batch(batch),
            SourceMessage::Fact(input) => {
                self.fact(&input);
                return vec![input];
            }
            SourceMessage::Facts(inputs) => {
                self.blindness.facts(&inputs);
                return inputs;
            }
            SourceMessage::TapEnded { point, reason, ephemeral } => self.tap_ended(point, reason, ephemeral),
            SourceMessage::RefusalOver(point) => drop(self.refused.remove(&point)),
            SourceMessage::TapRefused(point, error) => {
                if self.refused.insert(point, error.clone()).as_ref() != Some(&error) {
                    tracing::warn!("{error}");
                }
            }
            SourceMessage::Runtimes(names) => {
                self.silent.retain(|name, _| names.contains(name));
                let before = self.runtimes.take().unwrap_or_default();
                let complete = |name: &RuntimeId| before.get(name).copied().unwrap_or(false);
                self.runtimes = Some(names.into_iter().map(|name| (name, complete(&name))).collect());
            }
            SourceMessage::Interfaces(scan) => self.blindness.scanned(scan),
            SourceMessage::Reload(change) => return vec![change.fact],
        }
        Vec::new()
    }

    fn batch(&mut self, batch: TapBatch) -> Vec<Input> {
        self.refused.remove(&batch.point);
        let counters = batch.counters();
        self.running.insert(batch.point, counters);
        batch.inputs
    }

    fn tap_ended(&mut self, point: ObservationPoint, reason: Option<String>, ephemeral: bool) {
        self.refused.remove(&point);
        if let Some(counters) = self.running.remove(&point) {
            let crowded = self.ended.len() >= MAX_ENDED && !self.ended.contains_key(&point);
            let name = if crowded { ObservationPoint::new(OTHERS) } else { point.clone() };
            *self.ended.entry(name).or_default() += &counters;
        }
        let Some(reason) = reason else { return };
        if ephemeral {
            tracing::debug!(observation_point = %point, "capture on {point} ended with its container: {reason}");
        } else {
            tracing::info!(observation_point = %point, "capture on {point} ended: {reason}");
            if self.vanished.len() < MAX_NAMED {
                self.vanished.insert(point);
            }
        }
    }

    fn fact(&mut self, input: &Input) {
        let Fact::Recorded(RecordedFact::Inventory(event)) = &input.fact else { return };
        match event {
            InventoryEvent::Disconnected { runtime, error } => {
                tracing::warn!(%runtime, "{runtime} does not answer, workloads may be unresolved: {error}");
                self.silent.insert(*runtime, error.clone());
                self.set_complete(runtime, false);
            }
            InventoryEvent::Reconciled { runtime, running } => {
                let answers_again = self.silent.remove(runtime).is_some();
                if !self.set_complete(runtime, true) || answers_again {
                    let workloads = running.len();
                    tracing::info!(%runtime, workloads, "{runtime} answers; running: {}", many(workloads, "workload"));
                }
            }
            _ => {}
        }
    }

    /// Records whether a runtime's whole list was reported; what was recorded before.
    fn set_complete(&mut self, runtime: &RuntimeId, complete: bool) -> bool {
        self.runtimes.get_or_insert_default().insert(*runtime, complete).unwrap_or(false)
    }

    /// Counters by point, those of ended taps included.
    pub fn points(&self) -> Vec<PointSummary> {
        let mut points = self.ended.clone();
        for (point, counters) in &self.running {
            *points.entry(point.clone()).or_default() += counters;
        }
        points.into_iter().map(|(point, counters)| PointSummary::new(&point, counters)).collect()
    }

    /// Interfaces captured now.
    pub fn running(&self) -> usize {
        self.running.len()
    }

    /// Why not everything is seen now; empty when ready.
    pub fn not_ready(&self) -> Vec<String> {
        let mut reasons = Vec::new();
        if self.running.is_empty() {
            reasons.push(match self.blindness.matching() {
                None => "starting: interfaces have not been listed yet".to_owned(),
                Some(0) => NO_INTERFACE.to_owned(),
                Some(_) => "no interface is captured yet".to_owned(),
            });
        }
        reasons.extend(self.refused.values().cloned());
        reasons.extend(self.silent.iter().map(|(runtime, error)| format!("{runtime} does not answer: {error}")));
        reasons.extend(self.blindness.not_ready());
        match &self.runtimes {
            None => reasons.push("starting: container runtimes have not been listed yet".to_owned()),
            Some(none) if none.is_empty() => {
                reasons.push(NO_RUNTIME.to_owned());
            }
            Some(runtimes) => {
                let waiting =
                    runtimes.iter().filter(|(name, complete)| !**complete && !self.silent.contains_key(*name));
                reasons.extend(waiting.map(|(name, _)| format!("the first snapshot of {name} is not complete yet")));
            }
        }
        reasons
    }

    /// Enabled rules that cannot fire, each with the reason.
    pub fn blind_rules(&self) -> BTreeMap<&'static str, String> {
        self.blindness.rules()
    }

    /// Logs what is not seen, once.
    pub fn log(&mut self, now: Timestamp) {
        let absent = self.absent();
        self.blindness.log(now, absent);
    }

    /// What was looked for and is not there.
    fn absent(&self) -> Vec<String> {
        let no_interface = (self.blindness.matching() == Some(0)).then(|| NO_INTERFACE.to_owned());
        let no_runtime = self.runtimes.as_ref().is_some_and(BTreeMap::is_empty).then(|| NO_RUNTIME.to_owned());
        no_interface.into_iter().chain(no_runtime).collect()
    }

    /// What the summary should warn of.
    pub fn warnings(&self) -> Vec<String> {
        let gone = self.vanished.iter().map(|point| format!("interface {point} went away while it was captured"));
        let silent = self.silent.iter().map(|(runtime, error)| format!("{runtime} did not answer: {error}"));
        let blind = self.absent().into_iter().chain(self.blindness.warnings());
        self.refused.values().cloned().chain(gone).chain(silent).chain(blind).collect()
    }
}

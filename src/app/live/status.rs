//! What the sources are doing, as their messages say: counters by point, and what is wrong.
//!
//! Contract: every tap's counters are kept after it ended, so that the summary adds up. Limits: [`MAX_ENDED`] ended points.

use std::collections::{BTreeMap, BTreeSet};

use super::message::SourceMessage;
use crate::app::summary::PointSummary;
use crate::flow::PointCounters;
use crate::input::{Fact, Input, InventoryEvent, ObservationPoint, RecordedFact, RuntimeId};
use crate::observe::live::TapBatch;

/// Ended interfaces that the summary lists one by one; those beyond are summed.
const MAX_ENDED: usize = 1000;
/// Under this name.
const OTHERS: &str = "other ended interfaces";
/// Interfaces that the summary warns of by name.
const MAX_NAMED: usize = 20;

/// Counters by point, and what is wrong.
#[derive(Debug, Default)]
pub struct SourceStatus {
    /// Counters of running taps.
    running: BTreeMap<ObservationPoint, PointCounters>,
    /// Counters of ended taps.
    ended: BTreeMap<ObservationPoint, PointCounters>,
    refused: BTreeMap<ObservationPoint, String>,
    vanished: BTreeSet<ObservationPoint>,
    matching: Option<usize>,
    /// Why a runtime does not answer, by runtime.
    silent: BTreeMap<RuntimeId, String>,
    /// The runtimes that are read, and whether their whole list was told; `None` until they were looked for.
    runtimes: Option<BTreeMap<RuntimeId, bool>>,
}

impl SourceStatus {
    /// Notes a message and returns its inputs.
    pub fn take(&mut self, message: SourceMessage) -> Vec<Input> {
        match message {
            SourceMessage::Tap(batch) => return self.batch(batch),
            SourceMessage::Fact(input) => {
                self.fact(&input);
                return vec![input];
            }
            SourceMessage::Facts(inputs) => return inputs,
            SourceMessage::TapEnded(point, reason) => self.tap_ended(point, reason),
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
            SourceMessage::Matching(count) => self.matching = Some(count),
        }
        Vec::new()
    }

    fn batch(&mut self, batch: TapBatch) -> Vec<Input> {
        self.refused.remove(&batch.point);
        let counters = batch.counters();
        self.running.insert(batch.point, counters);
        batch.inputs
    }

    fn tap_ended(&mut self, point: ObservationPoint, reason: Option<String>) {
        self.refused.remove(&point);
        if let Some(counters) = self.running.remove(&point) {
            let crowded = self.ended.len() >= MAX_ENDED && !self.ended.contains_key(&point);
            let name = if crowded { ObservationPoint::new(OTHERS) } else { point.clone() };
            *self.ended.entry(name).or_default() += &counters;
        }
        if let Some(reason) = reason {
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
                    tracing::info!(%runtime, workloads, "{runtime} answers: {workloads} workloads run");
                }
            }
            _ => {}
        }
    }

    /// Notes whether a runtime's whole list was told; what was noted before.
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
            reasons.push(match self.matching {
                None => "starting: no interface was looked for yet".to_owned(),
                Some(0) => "no interface matches the configured names; see `capture.interfaces` or -i".to_owned(),
                Some(_) => "no interface is captured yet".to_owned(),
            });
        }
        reasons.extend(self.refused.values().cloned());
        reasons.extend(self.silent.iter().map(|(runtime, error)| format!("{runtime} does not answer: {error}")));
        match &self.runtimes {
            None => reasons.push("starting: no container runtime was looked for yet".to_owned()),
            Some(none) if none.is_empty() => {
                reasons
                    .push("no container runtime was found; start one, or name its socket under `runtime`".to_owned());
            }
            Some(runtimes) => {
                let waiting =
                    runtimes.iter().filter(|(name, complete)| !**complete && !self.silent.contains_key(*name));
                reasons.extend(waiting.map(|(name, _)| format!("the first snapshot of {name} is not complete yet")));
            }
        }
        reasons
    }

    /// What the summary should warn of.
    pub fn warnings(&self) -> Vec<String> {
        let gone = self.vanished.iter().map(|point| format!("interface {point} went away while it was captured"));
        let silent = self.silent.iter().map(|(runtime, error)| format!("{runtime} did not answer: {error}"));
        self.refused.values().cloned().chain(gone).chain(silent).collect()
    }
}

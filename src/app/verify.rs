//! `hopwatch verify`: one workload, one hop, one answer.
//!
//! Contract: judges by a contract made for the question and nothing else of the configuration's contracts; raises no alert. Design: the same
//! pipeline as `sniff` or `replay`, with a verdict log on the engine; the report is made from what both leave.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::output::Output;
use super::replay::{self, ReplayError, ReplayOptions};
use super::summary::Summary;
use crate::engine::{EngineConfig, VerdictLog, VerdictLogLimits};
use crate::input::{Fact, Input, InventoryEvent, RecordedFact, Workload};
use crate::inventory::configuration::ShownLabels;
use crate::inventory::file::read_facts;
use crate::path::Selector;
use crate::report::Question;
use crate::report::verification::{PointRead, Run, Source, Verification};
use crate::time::Timestamp;

/// Bounds of the verdict log.
const LIMITS: VerdictLogLimits =
    VerdictLogLimits { destinations: 100, flows: 10, workloads: 1000, windows: 1000, points: 8 };

/// Names listed for one that is not there.
const MAX_NAMED: usize = 20;

/// The question's selectors need labels, too.
pub(super) fn with_labels_of(question: &Question, shown: &ShownLabels) -> ShownLabels {
    let selectors = question.workloads.iter().chain(&question.hop.workloads);
    shown.with(selectors.flat_map(Selector::label_names).map(str::to_owned))
}

/// Reads a recording to its end.
pub fn recording(
    question: &Question,
    mut options: ReplayOptions,
    progress: &mut dyn FnMut(u64),
) -> Result<Verification, ReplayError> {
    options.shown_labels = with_labels_of(question, &options.shown_labels);
    warn_of_unknown(question, &recorded(&options));
    options.verdict_log = Some(prepare(question, &mut options.engine));
    let report = replay::run(options, &Output::none(), progress)?;
    Ok(Verification::new(question, &report.engine, run(Source::Recording, report.span, report.summary)))
}

/// The containers of a recording. Its facts are read once more for the replay, which reports what is wrong with them.
fn recorded(options: &ReplayOptions) -> Vec<Arc<Workload>> {
    let workload = |input: Input| match input.fact {
        Fact::Recorded(RecordedFact::Inventory(InventoryEvent::Workload(workload))) => Some(workload),
        _ => None,
    };
    let files = options.facts.iter().filter_map(|path| read_facts(path, &options.shown_labels).ok());
    files.flat_map(|file| file.inputs).filter_map(workload).collect()
}

/// Says at the start that a workload or hop of the question is not there, and what is.
pub(super) fn warn_of_unknown(question: &Question, known: &[Arc<Workload>]) {
    let names: BTreeSet<&str> = known.iter().map(|workload| workload.name.as_str()).collect();
    if names.is_empty() {
        return;
    }
    let names = names.into_iter().take(MAX_NAMED).collect::<Vec<_>>().join(", ");
    for (selector, text) in question.workloads.iter().zip(&question.asked) {
        if !known.iter().any(|workload| selector.matches(workload)) {
            tracing::warn!("no container is {text}; there are {names}");
        }
    }
    let hop = &question.hop;
    let by_workload = !hop.workloads.is_empty() && hop.addresses.is_empty() && hop.interfaces.is_empty();
    if by_workload && !known.iter().any(|workload| hop.is_workload(workload)) {
        tracing::warn!("no container is the hop {}; there are {names}", hop.name);
    }
}

pub(super) fn prepare(question: &Question, engine: &mut EngineConfig) -> VerdictLog {
    engine.contracts = question.contracts();
    engine.exceptions = Vec::new();
    VerdictLog::new(LIMITS, &question.scope())
}

pub(super) fn run(source: Source, span: Option<(Timestamp, Timestamp)>, summary: Summary) -> Run {
    let points = summary.points.into_iter().map(|point| PointRead {
        name: point.observation_point,
        packets: point.counters.packets,
        not_decoded: point.counters.not_decoded.values().sum(),
        refused_payloads: point.counters.refused_payloads,
    });
    let points = points.collect();
    Run { source, span, points, warnings: summary.warnings }
}

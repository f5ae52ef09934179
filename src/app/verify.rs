//! `hopwatch verify`: one workload, one hop, one answer.
//!
//! Contract: judges by a contract made for the question and nothing else of the configuration's contracts; raises no alert. Design: the same
//! pipeline as `sniff` or `replay`, with a ledger on the engine; the report is made from what both leave.

use std::time::Duration;

use super::live::{self, LiveOptions};
use super::output::Output;
use super::replay::{self, ReplayError, ReplayOptions};
use super::summary::Summary;
use crate::clock::now;
use crate::engine::{EngineConfig, VerdictLog, VerdictLogLimits};
use crate::report::Question;
use crate::report::verification::{PointRead, Run, Source, Verification};
use crate::time::Timestamp;

/// Bounds of the ledger.
const LIMITS: VerdictLogLimits =
    VerdictLogLimits { destinations: 100, flows: 10, workloads: 1000, windows: 1000, points: 8 };

/// Watches for a time, or until it is interrupted.
pub fn live(question: &Question, mut options: LiveOptions) -> anyhow::Result<Verification> {
    options.ledger = Some(prepare(question, &mut options.config.engine));
    let (asked, from) = (options.duration, now());
    let ended = live::run(options, Output::none())?;
    let run = run(Source::Live, Some((from, ended_at(from, asked))), ended.summary);
    Ok(Verification::new(question, &ended.engine, run))
}

/// Now, but for the time that it takes to end what was to last so long.
fn ended_at(from: Timestamp, asked: Option<Duration>) -> Timestamp {
    asked.map_or(now(), |asked| now().min(from.plus(asked)))
}

/// Reads a recording to its end.
pub fn recording(
    question: &Question,
    mut options: ReplayOptions,
    progress: &mut dyn FnMut(u64),
) -> Result<Verification, ReplayError> {
    options.ledger = Some(prepare(question, &mut options.engine));
    let report = replay::run(options, &Output::none(), progress)?;
    Ok(Verification::new(question, &report.engine, run(Source::Recording, report.span, report.summary)))
}

fn prepare(question: &Question, engine: &mut EngineConfig) -> VerdictLog {
    engine.contracts = vec![question.contract()];
    engine.exceptions = Vec::new();
    VerdictLog::new(LIMITS, question.workloads.clone())
}

fn run(source: Source, span: Option<(Timestamp, Timestamp)>, summary: Summary) -> Run {
    let points = summary.points.into_iter().map(|point| PointRead {
        name: point.observation_point,
        packets: point.counters.packets,
        not_decoded: point.counters.not_decoded.values().sum(),
        refused_payloads: point.counters.refused_payloads,
    });
    let points = points.collect();
    Run { source, span, points, warnings: summary.warnings }
}

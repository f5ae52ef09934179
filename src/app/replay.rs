//! Replay: captures and facts through the same engine as live, on one thread.
//!
//! Contract: two runs over the same files give byte-equal output. Nothing is dropped: reading waits for the engine.
//! What was read before a capture breaks off counts; the break becomes a warning.
//! Design: facts are merged with packets by event time, a fact before a packet of the same time; packets are metered in batches ([`points`]), and what
//! each caused is passed on by itself; what several points saw is put in order as live ([`in_order`]). Time passes at points that see nothing, and until
//! the observation ended ([`passing_time`]).

mod hidden_labels;
mod in_order;
mod passing_time;
mod points;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::alert::Alert;
use crate::config;
use crate::detect::Severity;
use crate::engine::{Engine, EngineConfig, Observer, VerdictLog};
use crate::flow::MeterLimits;
use crate::input::{Fact, Input, Loss, LossReason, RecordedFact, Reload};
use crate::inventory::configuration::ShownLabels;
use crate::inventory::file::{FactsError, read_facts};
use crate::observe::filter::{FilterError, FrameFilter};
use crate::observe::{Batch, CaptureError, CaptureReader, Merge, odd_fractions, unknown_blocks};
use crate::time::Timestamp;

use self::hidden_labels::hidden_labels;
use self::in_order::InOrder;
use self::passing_time::PassingTime;
use self::points::{Caused, ReplayPoints, Run};
use super::output::Output;
use super::summary::Summary;
use crate::wording::many;

/// What to replay.
#[derive(Debug)]
pub struct ReplayOptions {
    /// Capture files; `-` is standard input.
    pub captures: Vec<PathBuf>,
    /// Files with facts.
    pub facts: Vec<PathBuf>,
    /// What is known to be missing already.
    pub warnings: Vec<String>,
    /// The engine's configuration.
    pub engine: EngineConfig,
    /// Labels that selectors need.
    pub shown_labels: ShownLabels,
    /// Bounds of the flow tables.
    pub meter: MeterLimits,
    /// What to do where the run that recorded read its configuration again.
    pub reloads: Reloads,
    /// Keep the verdict of every flow here, for a report.
    pub verdict_log: Option<VerdictLog>,
    /// Follows the engine.
    pub observer: Option<Box<dyn Observer>>,
    /// Frames that are looked at; `None`: all.
    pub filter: Option<FrameFilter>,
    /// Ends the replay when it is set.
    pub stop: Option<Arc<AtomicBool>>,
}

/// What a replay does where the run that recorded read its configuration again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reloads {
    /// The same.
    Follow,
    /// Nothing: another configuration was asked for.
    Ignore,
}

/// Why a replay could not be done.
#[derive(Debug, thiserror::Error)]
pub enum ReplayError {
    /// A capture cannot be read at all.
    #[error(transparent)]
    Capture(#[from] CaptureError),
    /// A facts file cannot be read.
    #[error(transparent)]
    Facts(#[from] FactsError),
    /// The filter does not fit a point's frames.
    #[error(transparent)]
    Filter(#[from] FilterError),
    /// An alert could not be delivered.
    #[error("writing an alert")]
    Deliver(#[from] std::io::Error),
}

/// How a replay ended.
#[derive(Debug)]
pub struct ReplayReport {
    /// The closing summary.
    pub summary: Summary,
    /// The highest severity of all alerts.
    pub worst: Option<Severity>,
    /// The engine as it was at the end.
    pub engine: Engine,
    /// Times of the first and the last packet.
    pub span: Option<(Timestamp, Timestamp)>,
}

/// Batches of packets between two reports of progress.
const PROGRESS_EVERY: u64 = 1 << 7;

/// Replays; alerts go to `output` as they are raised, and `progress` hears how many bytes of all captures were read.
pub fn run(
    options: ReplayOptions,
    output: &Output,
    progress: &mut dyn FnMut(u64),
) -> Result<ReplayReport, ReplayError> {
    let mut facts = Vec::new();
    let mut warnings = options.warnings;
    for path in &options.facts {
        let file = read_facts(path, &options.shown_labels)?;
        if is_recorded(path) && !file.inputs.iter().any(is_end) {
            warnings.push(format!("{}: no fact says that the recording ended: it was killed, or cut", path.display()));
        }
        warnings.extend(file.unknown.iter().map(|text| format!("{}: {text}", path.display())));
        warnings.extend(hidden_labels(path, &file.inputs, &options.shown_labels));
        facts.extend(file.inputs);
        warnings
            .extend(file.cut.map(|line| format!("{}:{line}: the last line is cut off and left out", path.display())));
    }
    facts.sort_by_key(|fact| fact.at);
    warnings.extend(hidden_when_recorded(&facts));
    let readers = options.captures.iter().map(|path| CaptureReader::open(path)).collect::<Result<Vec<_>, _>>()?;
    let mut engine = Engine::new(options.engine);
    if let Some(verdict_log) = options.verdict_log {
        engine.observe(Box::new(verdict_log));
    }
    if let Some(observer) = options.observer {
        engine.observe(observer);
    }
    warnings.extend(options.filter.as_ref().map(FrameFilter::warning));
    let mut replay = Replay {
        engine,
        time: PassingTime::new(&facts),
        facts: facts.into_iter().peekable(),
        order: InOrder::default(),
        points: ReplayPoints::new(options.meter, options.filter),
        reloads: options.reloads,
        reload_warnings: Vec::new(),
        caused: Caused::default(),
        batches: 0,
        inputs: Vec::new(),
        alerts: Vec::new(),
        worst: None,
        span: None,
        stop: options.stop,
        output,
        progress,
    };
    warnings.extend(replay.read(Merge::new(readers))?);
    replay.finish()?;
    warnings.append(&mut replay.reload_warnings);
    let unjudged = &replay.engine.path().unjudged;
    let summary = Summary::new(&replay.engine.stats(), unjudged, replay.points.summaries(), warnings);
    let Replay { engine, worst, span, .. } = replay;
    Ok(ReplayReport { summary, worst, engine, span })
}

/// Whether the file is the facts of a recording, by its name: a snapshot has no end.
fn is_recorded(path: &Path) -> bool {
    path.file_name().is_some_and(|name| name == "facts.jsonl")
}

/// What the filter of the run that recorded hid, for a person.
fn hidden_when_recorded(facts: &[Input]) -> Option<String> {
    let hidden = facts.iter().filter_map(|input| match &input.fact {
        Fact::Recorded(RecordedFact::Loss(loss)) if loss.reason == LossReason::Filter => Some(loss.count),
        _ => None,
    });
    let hidden = hidden.reduce(u64::saturating_add)?;
    Some(format!("a filter (-f) hid {} while this was recorded; their absence proves nothing", many(hidden, "packet")))
}

fn is_end(input: &Input) -> bool {
    matches!(input.fact, Fact::Recorded(RecordedFact::Ended { point: None }))
}

struct Replay<'a> {
    engine: Engine,
    facts: std::iter::Peekable<std::vec::IntoIter<Input>>,
    time: PassingTime,
    order: InOrder,
    points: ReplayPoints,
    reloads: Reloads,
    reload_warnings: Vec<String>,
    caused: Caused,
    batches: u64,
    /// What comes behind the last packet.
    inputs: Vec<Input>,
    alerts: Vec<Alert>,
    worst: Option<Severity>,
    span: Option<(Timestamp, Timestamp)>,
    stop: Option<Arc<AtomicBool>>,
    output: &'a Output,
    progress: &'a mut dyn FnMut(u64),
}

impl Replay<'_> {
    /// Reads to the end; what broke off on the way is returned as warnings.
    fn read(&mut self, mut merge: Merge) -> Result<Vec<String>, ReplayError> {
        let mut warnings = Vec::new();
        while !self.stop.as_ref().is_some_and(|stop| stop.load(Ordering::Relaxed)) {
            match self.read_next(&mut merge) {
                Ok(true) => {}
                Ok(false) => break,
                Err(ReplayError::Capture(error)) if error.is_partial() => warnings.push(error.to_string()),
                Err(error) => return Err(error),
            }
        }
        (self.progress)(merge.bytes_read());
        warnings.extend(merge.readers().iter().filter(|reader| reader.skipped() > 0).map(skipped));
        let odd = merge.readers().iter().filter(|reader| reader.odd_fractions() > 0);
        warnings.extend(odd.map(|reader| odd_fractions(reader.path(), reader.odd_fractions())));
        let unknown = merge.readers().iter().filter(|reader| reader.unknown_blocks() > 0);
        warnings.extend(unknown.map(|reader| unknown_blocks(reader.path(), reader.unknown_blocks())));
        let last = self.span.map_or(Timestamp::MIN, |(_, last)| last);
        self.inputs.extend(self.points.tell_hidden(last));
        self.inputs.extend(self.losses(&merge));
        let unknown = self.points.names().filter(|(_, link)| !link.is_supported());
        warnings.extend(unknown.map(|(point, link)| {
            format!(
                "{point} has link type {}, which hopwatch does not decode; its packets are counted, not judged",
                link.0
            )
        }));
        Ok(warnings)
    }

    /// What the files say that their writers lost: of each it is known at its end only, for all of its time.
    fn losses(&self, merge: &Merge) -> Vec<Input> {
        let (since, at) = self.span.unwrap_or_default();
        let of_file = merge.readers().iter().flat_map(CaptureReader::losses);
        let loss = of_file.map(|loss| Loss {
            point: loss.interface.map(|interface| interface.point.clone()),
            reason: loss.reason,
            count: loss.count,
            since,
            source: None,
        });
        loss.map(|loss| Input::new(at, loss)).collect()
    }

    /// Packets of one file, with the facts that were known before each; `false` at the end.
    fn read_next(&mut self, merge: &mut Merge) -> Result<bool, ReplayError> {
        let Some((file, batch)) = merge.next_batch()? else { return Ok(false) };
        self.take(file, &batch)?;
        self.batches += 1;
        if self.batches.is_multiple_of(PROGRESS_EVERY) {
            (self.progress)(merge.bytes_read());
        }
        Ok(true)
    }

    fn take(&mut self, file: usize, batch: &Batch<'_>) -> Result<(), ReplayError> {
        let mut run = Run::new();
        for (number, frame) in batch.packets() {
            let place = match (self.points.place(file, number), batch.origin(number)) {
                (Some(place), _) => place,
                (None, Some(interface)) => {
                    // What came before knows nothing of this point.
                    self.meter(&mut run)?;
                    self.points.meet(file, number, interface)?
                }
                // The reader gives no packet of an interface that it does not know.
                (None, None) => continue,
            };
            if let Some(hidden) = self.points.tell_hidden_due(frame.at) {
                self.meter(&mut run)?;
                self.tell_hidden(hidden)?;
            }
            if let Some(until) = self.time.due(frame.at, self.points.are_several()) {
                self.meter(&mut run)?;
                self.pass_time(until);
                self.deliver()?;
            }
            if self.points.keeps(place, &frame) {
                run.push(place, frame);
            } else {
                self.pass(frame.at);
            }
        }
        self.meter(&mut run)
    }

    /// What a filter hid is a loss.
    fn tell_hidden(&mut self, losses: Vec<Input>) -> Result<(), ReplayError> {
        for loss in losses {
            self.pass_on_in_order(loss);
        }
        self.release();
        self.deliver()
    }

    /// A packet was there at this time, seen or not.
    fn pass(&mut self, at: Timestamp) {
        let (first, last) = self.span.unwrap_or((at, at));
        self.span = Some((first.min(at), last.max(at)));
    }

    /// Meters packets together, and passes on what each of them caused by itself.
    fn meter(&mut self, run: &mut Run<'_>) -> Result<(), ReplayError> {
        self.points.take(run, &mut self.caused);
        let mut inputs = std::mem::take(&mut self.caused.inputs);
        let total = inputs.len();
        let mut left = inputs.drain(..);
        for (packet, frame) in run.frames().iter().enumerate() {
            self.pass(frame.at);
            let count = self.caused.count(packet, total);
            left.by_ref().take(count).for_each(|input| self.pass_on_in_order(input));
            if self.facts_until(frame.at) || count > 0 {
                self.release();
                self.deliver()?;
            }
        }
        drop(left);
        self.caused.inputs = inputs;
        run.clear();
        Ok(())
    }

    fn finish(&mut self) -> Result<(), ReplayError> {
        let (ends, facts): (Vec<Input>, Vec<Input>) = self.facts.by_ref().partition(is_end);
        let last = facts.iter().chain(&ends).map(|fact| fact.at).max();
        let end = last.max(self.span.map(|(_, last)| last)).unwrap_or(Timestamp::MIN);
        self.facts = facts.into_iter().peekable();
        for input in std::mem::take(&mut self.inputs) {
            self.pass_on(input);
        }
        self.pass_time(end);
        self.facts_until(end);
        let mut rest = Vec::new();
        self.points.drain(&mut rest);
        for input in rest {
            self.pass_on(input);
        }
        self.deliver()?;
        // As live: what was in flight came first.
        for input in self.order.rest().chain(ends).collect::<Vec<_>>() {
            self.push(&input);
        }
        self.engine.finish(&mut self.alerts);
        self.deliver()
    }

    /// To the engine; of several points once its turn has come.
    fn pass_on(&mut self, input: Input) {
        if self.time.waits(self.points.are_several()) {
            self.order.hold(input);
        } else {
            self.push(&input);
            self.caused.spend(input);
        }
    }

    /// Passes on facts from up to a time; whether there was one.
    fn facts_until(&mut self, at: Timestamp) -> bool {
        let mut any = false;
        while let Some(fact) = self.facts.next_if(|fact| fact.at <= at) {
            self.pass_on(fact);
            any = true;
        }
        any
    }

    /// The same, before what packets, or the lack of them, caused.
    fn pass_on_in_order(&mut self, input: Input) {
        self.facts_until(input.at);
        self.pass_on(input);
    }

    /// Time passes at every point.
    fn pass_time(&mut self, until: Timestamp) {
        let mut caused = Vec::new();
        self.time.pass(until, &mut self.points, &mut caused);
        if !self.time.waits(self.points.are_several()) {
            // What waited in the first moment of a point that is alone is older than all that comes now.
            self.release();
        }
        for input in caused {
            self.pass_on_in_order(input);
        }
        self.release();
    }

    /// To the engine, what nothing earlier can come for any more.
    fn release(&mut self) {
        let waits = self.time.waits(self.points.are_several());
        let until = if waits { self.time.reached() } else { Timestamp::MAX };
        while let Some(input) = self.order.pop(until) {
            self.push(&input);
            self.caused.spend(input);
        }
    }

    fn push(&mut self, input: &Input) {
        self.engine.push(input, &mut self.alerts);
        if let Fact::Recorded(RecordedFact::Reloaded(reload)) = &input.fact {
            self.reload(input.at, reload);
        }
    }

    /// The run that recorded put another configuration into force here.
    fn reload(&mut self, at: Timestamp, reload: &Reload) {
        let at = at.readable();
        if self.reloads == Reloads::Ignore {
            self.reload_warnings
                .push(format!("the configuration that was put into force at {at} is not used: another was given"));
            return;
        }
        match config::from_str("configuration in the recording", &reload.configuration) {
            Ok(loaded) => self.engine.reconfigure(loaded.config.engine, &mut self.alerts),
            Err(error) => self.reload_warnings.push(format!(
                "the configuration that was put into force at {at} cannot be read, and the one before it stays: {error}"
            )),
        }
    }

    fn deliver(&mut self) -> Result<(), ReplayError> {
        for alert in self.alerts.drain(..) {
            self.worst = self.worst.max(Some(alert.severity));
            self.output.alert(alert)?;
        }
        for incident in self.engine.take_incidents() {
            self.output.incident(incident)?;
        }
        Ok(())
    }
}

fn skipped(reader: &CaptureReader) -> String {
    format!(
        "{}: left out {} of an interface that the file does not describe",
        reader.path(),
        many(reader.skipped(), "packet")
    )
}

//! A source of facts: a thread that has its own way to the engine, and may receive what the runtimes report.
//!
//! Contract: a source ends when [`SourceContext::stop`] is set; a panic of one is an error of the run that names it. Limits: [`EVENTS`]
//! events wait for a source, then the reader of the runtime waits. Design: all sources start and end in the same way.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, RwLock};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use anyhow::Context as _;
use crossbeam_channel::{Receiver, Sender};

use super::message::SourceMessage;
use crate::app::evidence::keeping::Rings;
use crate::app::recorder::Recorder;
use crate::clock::instant;
use crate::flow::{Backlog, PointKind};
use crate::input::{FiveTuple, InventoryEvent};
use crate::observe::live::{Covers, Progress, Tap};
use crate::path::MayCover;
use crate::sandbox::{self, Role};
use crate::serve::SharedCounters;

/// Events of runtimes that wait for a source.
const EVENTS: usize = 1024;
/// How long the end waits for all of them.
pub(super) const PATIENCE: Duration = Duration::from_millis(500);

/// What every source needs.
#[derive(Clone, Debug)]
pub(super) struct SourceContext {
    /// The way to the engine.
    pub(super) sender: Sender<SourceMessage>,
    /// The recording, if there is one.
    pub(super) recorder: Option<Arc<Recorder>>,
    /// Rings for evidence from before alerts, if it is kept.
    pub(super) rings: Option<Rings>,
    /// Where it counts.
    pub(super) shared: Arc<SharedCounters>,
    /// What waits for the engine.
    pub(super) backlog: Arc<Backlog>,
    /// What contracts may cover.
    pub(super) covered: Arc<RwLock<MayCover>>,
    /// How far the capture threads are.
    pub(super) progress: Arc<Progress>,
    /// Ends all.
    pub(super) stop: Arc<AtomicBool>,
}

impl SourceContext {
    /// The context of a source that is tried alone.
    #[cfg(test)]
    pub(super) fn alone(sender: Sender<SourceMessage>) -> Self {
        Self {
            sender,
            recorder: None,
            rings: None,
            shared: Arc::default(),
            backlog: Arc::default(),
            covered: Arc::default(),
            progress: Arc::default(),
            stop: Arc::default(),
        }
    }

    /// A tap that takes its share of what waits for the engine.
    pub(super) fn sharing(&self, tap: Tap, kind: PointKind) -> Tap {
        let covered = Arc::clone(&self.covered);
        let covers = move |tuple: &FiveTuple| covered.read().is_ok_and(|covered| covered.covers(tuple));
        tap.sharing(Arc::clone(&self.backlog), kind, Covers(Arc::new(covers)))
    }

    /// Whether it is time to end.
    pub(super) fn is_over(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }
}

/// A running source.
#[derive(Debug)]
pub(super) struct Source {
    name: &'static str,
    thread: JoinHandle<()>,
    events: Option<Sender<InventoryEvent>>,
}

/// Starts a source that needs no runtime, with the rights of its role.
pub(super) fn spawn(
    role: Role,
    name: &'static str,
    context: &SourceContext,
    body: impl FnOnce(SourceContext) + Send + 'static,
) -> anyhow::Result<Source> {
    let context = context.clone();
    let thread = sandbox::spawn(role, name, move || body(context));
    Ok(Source { name, thread: thread.with_context(|| format!("starting the thread `{name}`"))?, events: None })
}

/// Starts a source that receives every inventory event.
pub(super) fn spawn_listening(
    role: Role,
    name: &'static str,
    context: &SourceContext,
    body: impl FnOnce(SourceContext, Receiver<InventoryEvent>) + Send + 'static,
) -> anyhow::Result<Source> {
    let (sender, events) = crossbeam_channel::bounded(EVENTS);
    let source = spawn(role, name, context, move |context| body(context, events))?;
    Ok(Source { events: Some(sender), ..source })
}

impl Source {
    /// Where its inventory events go, if it receives them.
    pub(super) fn events(&self) -> Option<Sender<InventoryEvent>> {
        self.events.clone()
    }
}

/// Waits for all, for a while; the error names those that panicked. One that hangs ends with the process, and the log names it.
pub(super) fn join_all(sources: Vec<Source>) -> anyhow::Result<()> {
    join_within(PATIENCE, sources)
}

fn join_within(patience: Duration, sources: Vec<Source>) -> anyhow::Result<()> {
    let deadline = instant() + patience;
    let ends = |source: &Source| {
        while !source.thread.is_finished() && instant() < deadline {
            thread::sleep(Duration::from_millis(5));
        }
        source.thread.is_finished()
    };
    let (ended, hanging): (Vec<_>, Vec<_>) = sources.into_iter().partition(ends);
    for source in hanging {
        tracing::warn!(source = source.name, "the thread `{}` does not end; hopwatch ends without it", source.name);
    }
    let joined = ended.into_iter().map(|source| (source.name, source.thread.join()));
    let panicked: Vec<_> = joined.filter(|(_, ended)| ended.is_err()).map(|(name, _)| name).collect();
    anyhow::ensure!(panicked.is_empty(), "threads panicked: {}", panicked.join(", "));
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_source_that_panics_is_named_and_the_others_are_waited_for() {
        let (sender, receiver) = crossbeam_channel::unbounded();
        let context = SourceContext::alone(sender);
        let well = spawn(Role::Plain, "well", &context, |context| {
            drop(context.sender.send(SourceMessage::Runtimes(Vec::new())));
        });
        let ill = spawn_listening(Role::Plain, "ill", &context, |_, _| panic!("as planned"));
        let sources = vec![ill.expect("a thread"), well.expect("a thread")];
        let error = join_within(Duration::from_mins(1), sources).expect_err("one panicked");
        assert_eq!(error.to_string(), "threads panicked: ill");
        assert!(receiver.try_recv().is_ok());
    }
}

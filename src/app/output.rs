//! The output stage: alerts leave the engine here, on their way to the sinks.
//!
//! Contract: one queue and one thread per sink. Live, the engine never waits for a sink ([`Overflow::DropAndCount`]): what a sink does
//! not take is counted and reported. Replay waits ([`Overflow::Block`]) and loses nothing. Limits: [`queue::CAPACITY`] alerts wait.

#[cfg(feature = "live")]
pub mod delivery;
pub mod queue;
#[cfg(feature = "live")]
pub mod sender_stage;
pub mod stdout;

use std::io;
use std::sync::Arc;

pub use queue::Overflow;
use queue::SinkQueue;
#[cfg(feature = "live")]
use sender_stage::{FindProcess, SenderStage};
pub use stdout::{Format, StdoutSink};

use super::summary::Summary;
use crate::alert::Alert;
use crate::clock::instant;
use crate::incident::Incident;
use crate::sink_counters::{CountedSinks, SinkCounters};

/// Where alerts go. Runs on a thread of its own and may block.
pub trait AlertSink: Send {
    /// Its name in logs and metrics.
    fn name(&self) -> &'static str;
    /// Delivers an alert or an update. After an error the same alert comes again, and delivery goes on where it stopped.
    fn alert(&mut self, alert: &Alert) -> io::Result<()>;
    /// Delivers an incident that is new or has grown, as [`Self::alert`] does an alert.
    fn incident(&mut self, incident: &Incident) -> io::Result<()>;
    /// Delivers the closing summary; nothing comes after it.
    fn finish(&mut self, summary: &Summary) -> io::Result<()>;
    /// Whether somebody takes what it delivers. A run ends with its last reader, whatever else only keeps alerts.
    fn has_reader(&self) -> bool {
        true
    }
    /// What it delivers to, beside itself.
    fn receivers(&self) -> Option<Arc<dyn CountedSinks>> {
        None
    }
}

/// All sinks of a run.
#[derive(Debug)]
pub struct Output {
    sinks: Vec<Arc<SinkQueue>>,
    receivers: Option<Arc<dyn CountedSinks>>,
    /// What alerts pass before the sinks, live.
    #[cfg(feature = "live")]
    stage: Option<SenderStage>,
}

impl Output {
    /// No sinks: alerts are shown elsewhere.
    pub const fn none() -> Self {
        Self {
            sinks: Vec::new(),
            receivers: None,
            #[cfg(feature = "live")]
            stage: None,
        }
    }

    /// Starts a thread for this sink.
    pub fn to(sink: Box<dyn AlertSink>, overflow: Overflow) -> io::Result<Self> {
        Self::none().and_to(sink, overflow)
    }

    /// The same sinks and one more, with a thread of its own.
    pub fn and_to(mut self, sink: Box<dyn AlertSink>, overflow: Overflow) -> io::Result<Self> {
        self.receivers = self.receivers.or_else(|| sink.receivers());
        self.sinks.push(Arc::new(SinkQueue::start(sink, overflow)?));
        Ok(self)
    }

    /// The same sinks, which take alerts with the process that sent. Sinks that are added later get nothing of it.
    #[cfg(feature = "live")]
    pub fn with_processes(mut self, finder: Box<dyn FindProcess>) -> io::Result<Self> {
        // Where nobody takes alerts, nobody asks.
        if !self.sinks.is_empty() {
            self.stage = Some(SenderStage::start(finder, &self.sinks)?);
        }
        Ok(self)
    }

    /// Hands an alert to every sink. Fails only where [`Overflow::Block`] asks for it: a sink has failed.
    pub fn alert(&self, alert: Alert) -> io::Result<()> {
        #[cfg(feature = "live")]
        if let Some(stage) = &self.stage {
            stage.alert(alert);
            return Ok(());
        }
        let alert = Arc::new(alert);
        self.sinks.iter().try_for_each(|sink| sink.alert(&alert))
    }

    /// As [`Self::alert`], after the alerts that made it grow.
    pub fn incident(&self, incident: Incident) -> io::Result<()> {
        let incident = Arc::new(incident);
        #[cfg(feature = "live")]
        if let Some(stage) = &self.stage {
            stage.incident(incident);
            return Ok(());
        }
        self.sinks.iter().try_for_each(|sink| sink.incident(&incident))
    }

    /// What each sink delivered and lost; it goes on counting.
    pub fn counters(&self) -> Vec<Arc<SinkCounters>> {
        let receivers = self.receivers.iter().flat_map(|receivers| receivers.counters());
        self.sinks.iter().map(|sink| Arc::clone(sink.counters())).chain(receivers).collect()
    }

    /// Whether no reader is left: the pipe of standard output was closed.
    pub fn is_gone(&self) -> bool {
        let mut readers = self.sinks.iter().filter_map(|sink| sink.reader_is_gone()).peekable();
        readers.peek().is_some() && readers.all(|is_gone| is_gone)
    }

    /// What the summary says about lost alerts.
    pub fn warnings(&self) -> Vec<String> {
        self.counters().iter().filter_map(|sink| sink.warning()).collect()
    }

    /// Delivers what waits, then the summary. Live, sinks that do not take it within [`queue::LONGEST_END`] are left behind, which the
    /// log says; otherwise the first error of a sink.
    pub fn finish(self, summary: &Summary) -> io::Result<()> {
        let deadline = instant() + queue::PATIENCE;
        #[cfg(feature = "live")]
        if let Some(stage) = self.stage {
            stage.finish(deadline.min(instant() + sender_stage::PATIENCE));
        }
        self.sinks.iter().for_each(|sink| sink.stop());
        let finish = |sink: &Arc<SinkQueue>| sink.finish(summary, deadline.max(instant() + queue::LEAST));
        self.sinks.iter().map(finish).fold(Ok(()), Result::and)
    }
}

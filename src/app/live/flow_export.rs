//! Judged flows to an IPFIX collector, while hopwatch watches.
//!
//! Contract: the engine never waits for the collector; a flow that is judged is exported or counted as not exported, with a reason. A connection that breaks, or is not there, is tried
//! again after [`AGAIN`], as another session with its templates. Limits: [`WAITING`] flows wait; UDP acknowledges nothing. Design: an observer of the engine, and a thread.

use std::io::Write as _;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use crossbeam_channel::{Receiver, Sender, TryRecvError};

use crate::app::collector::FlowCollector;
use crate::app::observe::push_judged;
use crate::clock::instant;
use crate::config::IpfixConfig;
use crate::engine::Observer;
use crate::export::ipfix::{Content, Exporter};
use crate::inventory::Timeline;
use crate::judged_flows::FlowLine;
use crate::names::Names;
use crate::path::JudgedFlow;
use crate::serve::{FlowExportCounters, Unexported};

/// Flows that may wait for the collector.
const WAITING: usize = 4096;
/// Between two attempts to reach it.
const AGAIN: Duration = Duration::from_secs(10);
/// How long the end of a run waits for what was judged last.
const PATIENCE: Duration = Duration::from_millis(200);

/// The engine's side.
#[derive(Debug)]
pub(super) struct ToCollector {
    lines: Sender<Box<FlowLine>>,
    counters: Arc<FlowExportCounters>,
}

/// The thread.
#[derive(Debug)]
pub(super) struct Exporting(Receiver<()>);

impl Exporting {
    /// Waits until all is sent, for [`PATIENCE`] since the engine's side is gone; others end meanwhile.
    pub(super) fn end(self, since: Instant) {
        // It says so by leaving.
        let _ = self.0.recv_deadline(since + PATIENCE);
    }
}

/// Starts to export.
pub(super) fn start(
    config: &IpfixConfig,
    counters: &Arc<FlowExportCounters>,
) -> anyhow::Result<(ToCollector, Exporting)> {
    let (lines, received) = crossbeam_channel::bounded(WAITING);
    let (leaves, ended) = crossbeam_channel::bounded::<()>(0);
    let mut session = Session::new(config.clone(), Arc::clone(counters), AGAIN);
    let run = move || {
        session.run(&received);
        drop(leaves);
    };
    thread::Builder::new().name("to-ipfix".to_owned()).spawn(run).context("starting the thread that exports flows")?;
    Ok((ToCollector { lines, counters: Arc::clone(counters) }, Exporting(ended)))
}

impl Observer for ToCollector {
    fn judged(&mut self, timeline: &Timeline, names: &Names, flow: &JudgedFlow, _goes_on: bool) {
        let line = Box::new(FlowLine::new(timeline, names, flow));
        if self.lines.try_send(line).is_err() {
            self.counters.lost(Unexported::QueueFull, 1);
        }
    }
}

/// What the thread holds.
#[derive(Debug)]
struct Session {
    config: IpfixConfig,
    counters: Arc<FlowExportCounters>,
    again: Duration,
    exporter: Exporter,
    collector: Option<FlowCollector>,
    /// Not before.
    next_attempt: Option<Instant>,
    /// That it cannot be reached was said.
    is_told: bool,
}

impl Session {
    fn new(config: IpfixConfig, counters: Arc<FlowExportCounters>, again: Duration) -> Self {
        let exporter =
            Exporter::new(Content::JudgedFlows, FlowCollector::carrier_of(&config.collector), config.enterprise);
        Self { config, counters, again, exporter, collector: None, next_attempt: None, is_told: false }
    }

    fn run(&mut self, lines: &Receiver<Box<FlowLine>>) {
        loop {
            let line = match lines.try_recv() {
                Ok(line) => line,
                Err(TryRecvError::Disconnected) => break,
                Err(TryRecvError::Empty) => {
                    self.exporter.flush();
                    self.send();
                    let Ok(line) = lines.recv() else { break };
                    line
                }
            };
            push_judged(&mut self.exporter, &line);
            self.send();
        }
        self.exporter.flush();
        self.send();
    }

    /// Sends what is whole, or counts it as lost.
    fn send(&mut self) {
        while let Some(message) = self.exporter.take() {
            let records = u64::from(self.exporter.records_taken());
            match self.write(&message) {
                Ok(()) => self.counters.exported(records),
                Err(error) => {
                    self.collector = None;
                    self.counters.lost(Unexported::Collector, records + self.exporter.restart());
                    self.tell(error.as_ref());
                }
            }
        }
    }

    /// `Err(None)`: it is not time to try again.
    fn write(&mut self, message: &[u8]) -> Result<(), Option<std::io::Error>> {
        if self.collector.is_none() {
            let now = instant();
            if self.next_attempt.is_some_and(|at| now < at) {
                return Err(None);
            }
            self.next_attempt = Some(now + self.again);
            self.collector = Some(FlowCollector::open(&self.config.collector)?);
            if std::mem::take(&mut self.is_told) {
                tracing::info!("flows are exported to {} again", self.config.collector);
            }
        }
        match &mut self.collector {
            Some(collector) => Ok(collector.write_all(message)?),
            None => Err(None),
        }
    }

    fn tell(&mut self, error: Option<&std::io::Error>) {
        if let Some(error) = error
            && !std::mem::replace(&mut self.is_told, true)
        {
            let (to, again) = (&self.config.collector, self.again);
            tracing::warn!("flows are not exported to {to}: {error}; it is tried again every {again:?}");
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;
    use std::net::TcpListener;

    use super::*;
    use crate::detect::testing::{Bench, judged};

    fn line() -> Box<FlowLine> {
        let bench = Bench::new(&[("app", 10)]);
        Box::new(FlowLine::new(&bench.timeline, &bench.names, &judged(None)))
    }

    fn session(listener: &TcpListener, again: Duration) -> (Session, Arc<FlowExportCounters>) {
        let place = listener.local_addr().expect("an address");
        let config = IpfixConfig { collector: format!("tcp://{place}").parse().expect("a collector"), enterprise: 7 };
        let counters = Arc::<FlowExportCounters>::default();
        (Session::new(config, Arc::clone(&counters), again), counters)
    }

    /// One line goes its way.
    fn export(session: &mut Session) {
        push_judged(&mut session.exporter, &line());
        session.exporter.flush();
        session.send();
    }

    /// Whether a message is of templates, and its sequence number.
    fn received(listener: &TcpListener) -> (std::net::TcpStream, bool, u32) {
        let mut stream = listener.accept().expect("a connection").0;
        let mut head = [0; 18];
        stream.read_exact(&mut head).expect("a message");
        (stream, head[16..] == [0, 2], u32::from_be_bytes([head[8], head[9], head[10], head[11]]))
    }

    #[test]
    fn a_connection_that_breaks_is_opened_again_as_another_session_and_what_was_lost_is_counted() {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let (mut session, counters) = session(&listener, Duration::ZERO);
        export(&mut session);
        let (stream, is_template, sequence) = received(&listener);
        assert_eq!((is_template, sequence), (true, 0));
        drop(stream);
        // The kernel learns of it by what it sends.
        let tries = (0..200).take_while(|_| {
            export(&mut session);
            thread::sleep(Duration::from_millis(5));
            counters.read().lost[1].1 == 0
        });
        let tries = u64::try_from(tries.count()).expect("few");
        export(&mut session);
        let (_, is_template, sequence) = received(&listener);
        assert_eq!((is_template, sequence), (true, 0), "another session");
        let read = counters.read();
        assert_eq!(read.exported + read.lost[1].1, tries + 3, "each flow is one or the other: {read:?}");
        assert!(read.lost[1].1 > 0, "{read:?}");
    }

    #[test]
    fn a_collector_that_is_away_is_not_tried_for_every_flow() {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let (mut session, counters) = session(&listener, Duration::from_hours(1));
        drop(listener);
        for _ in 0..3 {
            export(&mut session);
        }
        assert_eq!(counters.read().lost[1].1, 3);
        assert!(session.is_told && session.next_attempt.is_some());
    }

    #[test]
    fn the_engine_never_waits_and_what_did_not_fit_is_counted() {
        let (lines, _received) = crossbeam_channel::bounded(1);
        let counters = Arc::<FlowExportCounters>::default();
        let mut observer = ToCollector { lines, counters: Arc::clone(&counters) };
        let bench = Bench::new(&[("app", 10)]);
        for _ in 0..3 {
            observer.judged(&bench.timeline, &bench.names, &judged(None), false);
        }
        assert_eq!(counters.read().lost[0], ("queue_full", 2));
    }
}

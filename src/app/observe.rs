//! Judged flows on their way to standard output, or to a collector.
//!
//! Contract: lines come in the order of the judgements. In a replay the engine waits for the reader ([`Overflow::Block`]); live it never does, and what
//! was not taken is counted and said at the end. A reader that has gone, a full disk, or a count that is reached ends the run. Limits: [`WAITING`] lines.

mod ipfix;

use std::io::{self, BufWriter, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use anyhow::Context as _;
use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, TrySendError};

#[cfg(feature = "live")]
pub(super) use ipfix::push as push_judged;

use super::collector::FlowCollector;
use super::output::Overflow;
use crate::config::CollectorUrl;
use crate::engine::Observer;
use crate::escape::json;
use crate::export::ipfix::Carrier;
use crate::inventory::Timeline;
use crate::judged_flows::{Detail, FlowFilter, FlowLine, HEAD, render};
use crate::names::Names;
use crate::path::JudgedFlow;

/// Lines that may wait for the reader.
const WAITING: usize = 4096;
/// How long the end of a live run waits for its reader.
const PATIENCE: Duration = Duration::from_millis(500);

/// How lines are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum LineFormat {
    /// For a person, with what each verdict rests on.
    Text,
    /// For a person, one line a flow.
    Compact,
    /// JSON Lines, `hopwatch.judged-flow/1`.
    Jsonl,
    /// IPFIX messages (RFC 7011), for collectors; into a file, or --collector.
    Ipfix,
}

/// How flows are written, and where to.
#[derive(Clone, Debug)]
pub struct Form {
    /// The format.
    pub format: LineFormat,
    /// A collector, which takes IPFIX; `None`: standard output.
    pub to: Option<CollectorUrl>,
    /// Enterprise number of hopwatch's own elements in IPFIX.
    pub enterprise: u32,
}

/// Shared by the engine's side and the writer.
#[derive(Debug, Default)]
struct Shared {
    dropped: AtomicU64,
    /// Ends the run. The run sets it too, and judges what is in flight afterwards.
    stop: Arc<AtomicBool>,
    /// The writer has ended.
    is_over: AtomicBool,
}

/// The engine's side: hands over the flows that are wanted.
#[derive(Debug)]
pub struct FlowStream {
    filter: FlowFilter,
    overflow: Overflow,
    lines: Sender<Box<FlowLine>>,
    shared: Arc<Shared>,
}

/// The writer's side.
#[derive(Debug)]
pub struct FlowWriting {
    written: Receiver<io::Result<u64>>,
    overflow: Overflow,
    shared: Arc<Shared>,
}

/// Starts to write; `most` lines, if that is given.
pub fn start(
    filter: FlowFilter,
    form: Form,
    most: Option<u64>,
    overflow: Overflow,
) -> anyhow::Result<(FlowStream, FlowWriting)> {
    let open = |url: &CollectorUrl| FlowCollector::open(url).with_context(|| format!("connecting to {url}"));
    let collector = form.to.as_ref().map(open).transpose()?;
    let (lines, received) = crossbeam_channel::bounded(WAITING);
    let shared = Arc::<Shared>::default();
    let (tell, written) = crossbeam_channel::bounded(1);
    let own = Arc::clone(&shared);
    let write = move || {
        let written = write(&received, &form, collector, most);
        own.is_over.store(true, Ordering::Relaxed);
        own.stop.store(true, Ordering::Relaxed);
        // The engine may wait for room.
        drop(received);
        drop(tell.send(written));
    };
    std::thread::Builder::new()
        .name("to-stdout".to_owned())
        .spawn(write)
        .context("starting the thread for the output")?;
    let writing = FlowWriting { written, overflow, shared: Arc::clone(&shared) };
    Ok((FlowStream { filter, overflow, lines, shared }, writing))
}

impl FlowWriting {
    /// What ends the run.
    pub fn stop(&self) -> Arc<AtomicBool> {
        Arc::clone(&self.shared.stop)
    }

    /// Waits until all is written, live for [`PATIENCE`] at most; the engine's side must be gone. Returns how many lines were, where that is known.
    pub fn finish(self) -> anyhow::Result<Option<u64>> {
        let written = match self.overflow {
            Overflow::Block => self.written.recv().map_err(|_| RecvTimeoutError::Disconnected),
            Overflow::DropAndCount => self.written.recv_timeout(PATIENCE),
        };
        let dropped = self.shared.dropped.load(Ordering::Relaxed);
        if dropped > 0 {
            tracing::warn!(
                "{dropped} judged flows were not written: the reader of the output is slower than the traffic"
            );
        }
        match written {
            Ok(written) => written.map(Some).context("writing judged flows"),
            Err(RecvTimeoutError::Disconnected) => anyhow::bail!("the thread for the output panicked"),
            Err(RecvTimeoutError::Timeout) => {
                tracing::warn!("the reader of the output takes nothing: what waits for it is lost");
                Ok(None)
            }
        }
    }
}

impl Observer for FlowStream {
    fn judged(&mut self, timeline: &Timeline, names: &Names, flow: &JudgedFlow, _goes_on: bool) {
        if self.shared.is_over.load(Ordering::Relaxed) || !self.filter.may_want(flow) {
            return;
        }
        let line = FlowLine::new(timeline, names, flow);
        if !self.filter.wants(&line) {
            return;
        }
        let line = Box::new(line);
        match self.overflow {
            // The writer has ended, and says why.
            Overflow::Block => drop(self.lines.send(line)),
            Overflow::DropAndCount => {
                if let Err(TrySendError::Full(_)) = self.lines.try_send(line) {
                    self.shared.dropped.fetch_add(1, Ordering::Relaxed);
                }
            }
        }
    }
}

/// Into what was asked for.
fn write(
    lines: &Receiver<Box<FlowLine>>,
    form: &Form,
    collector: Option<FlowCollector>,
    most: Option<u64>,
) -> io::Result<u64> {
    match (collector, form.format) {
        (Some(collector), _) => {
            let carrier = collector.carrier();
            ipfix::write_all(lines, collector, (carrier, form.enterprise), most)
        }
        (None, LineFormat::Ipfix) => {
            ipfix::write_all(lines, BufWriter::new(io::stdout()), (Carrier::Stream, form.enterprise), most)
        }
        (None, format) => write_all(lines, format, most),
    }
}

fn write_all(lines: &Receiver<Box<FlowLine>>, format: LineFormat, most: Option<u64>) -> io::Result<u64> {
    let columns = crate::layout::columns();
    let mut out = BufWriter::new(anstream::stdout());
    let mut written = 0;
    while most.is_none_or(|most| written < most) {
        let Some(line) = next(lines, &mut out)? else { break };
        match format {
            LineFormat::Jsonl => {
                json::to_writer(&mut out, &line)?;
                out.write_all(b"\n")?;
            }
            // Written elsewhere.
            LineFormat::Ipfix => {}
            LineFormat::Text | LineFormat::Compact => {
                if written == 0 {
                    out.write_all(HEAD.as_bytes())?;
                }
                let detail = if format == LineFormat::Text { Detail::Long } else { Detail::Compact };
                out.write_all(render(&line, detail, columns).as_bytes())?;
            }
        }
        written += 1;
    }
    out.flush()?;
    Ok(written)
}

/// The next line; what is written reaches the reader before it is waited for.
fn next(lines: &Receiver<Box<FlowLine>>, out: &mut impl Write) -> io::Result<Option<Box<FlowLine>>> {
    if let Ok(line) = lines.try_recv() {
        return Ok(Some(line));
    }
    out.flush()?;
    Ok(lines.recv().ok())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::detect::testing::{Bench, judged};

    fn stream(overflow: Overflow, most: usize) -> (FlowStream, Receiver<Box<FlowLine>>) {
        let (lines, received) = crossbeam_channel::bounded(most);
        (FlowStream { filter: FlowFilter::default(), overflow, lines, shared: Arc::default() }, received)
    }

    fn judge(stream: &mut FlowStream) {
        let bench = Bench::new(&[("app", 10)]);
        stream.judged(&bench.timeline, &bench.names, &judged(None), false);
    }

    #[test]
    fn what_is_judged_while_the_run_ends_is_written_and_nothing_after_the_writer_has_ended() {
        let (mut stream, received) = stream(Overflow::DropAndCount, 8);
        stream.shared.stop.store(true, Ordering::Relaxed);
        judge(&mut stream);
        assert_eq!(received.len(), 1);
        stream.shared.is_over.store(true, Ordering::Relaxed);
        judge(&mut stream);
        assert_eq!(received.len(), 1);
    }

    #[test]
    fn a_live_run_counts_what_a_slow_reader_does_not_take_and_ends_without_it() {
        let (mut stream, _received) = stream(Overflow::DropAndCount, 1);
        (0..3).for_each(|_| judge(&mut stream));
        assert_eq!(stream.shared.dropped.load(Ordering::Relaxed), 2);
        let (_never, written) = crossbeam_channel::bounded(1);
        let writing = FlowWriting { written, overflow: Overflow::DropAndCount, shared: Arc::clone(&stream.shared) };
        assert_eq!(writing.finish().expect("an end"), None);
    }
}

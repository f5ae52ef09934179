//! Captures to flow records, on one thread.
//!
//! Contract: every packet of the files is counted once, in its file and at its observation point; two runs over the same files
//! give the same bytes. The records of one point come in the order of their end; those of several points as the packets come.
//! What was read before a capture breaks off counts; the break becomes a warning.
//! Limits: one thread. A classic pcap has no interface names, so each such file is a point, and a flow never spans two of them.
//! Design: no engine; a meter a point, found by two array indices; only the end of a record asks for the record.

mod points;
mod summary;

use std::io;
use std::path::PathBuf;

pub use summary::{FLOW_SUMMARY_SCHEMA, FileSummary, FlowSummary, PointFlows, Totals};

use crate::export::FlowWriter;
pub use crate::flow::Layer;
use crate::flow::{FlowSink, FlowView, MeterLimits};
use crate::input::{FlowEventKind, FlowRecord, Mac, NameAnswer};
use crate::names::{self, Asker, KnownName, Names};
use crate::observe::filter::{FilterError, FrameFilter};
use crate::observe::{CaptureError, CaptureReader, Merge};
use crate::time::Timestamp;
use points::Points;

/// Why flow records could not be made.
#[derive(Debug, thiserror::Error)]
pub enum FlowsError {
    /// A capture cannot be read at all.
    #[error(transparent)]
    Capture(#[from] CaptureError),
    /// The filter does not fit a point's frames.
    #[error(transparent)]
    Filter(#[from] FilterError),
    /// The records cannot be written.
    #[error("writing flow records: {0}")]
    Write(#[from] io::Error),
}

/// Batches of packets between two reports of progress.
const PROGRESS_EVERY: u64 = 1 << 8;

/// How packets become flows.
#[derive(Clone, Debug)]
pub struct Metering {
    /// Bounds and timeouts.
    pub limits: MeterLimits,
    /// The IP header that counts.
    pub layer: Layer,
    /// UDP ports at which VXLAN is looked for.
    pub vxlan_ports: Vec<u16>,
    /// Frames that are looked at; `None`: all.
    pub filter: Option<FrameFilter>,
}

/// Opened captures.
#[derive(Debug)]
pub struct Captures(Merge);

impl Captures {
    /// Opens all of them; `-` is standard input.
    pub fn open(paths: &[PathBuf]) -> Result<Self, CaptureError> {
        Ok(Self(Merge::new(paths.iter().map(|path| CaptureReader::open(path)).collect::<Result<_, _>>()?)))
    }
}

/// Where records go, and what went wrong there.
pub struct Records<'a> {
    writer: Box<dyn FlowWriter + 'a>,
    /// Hand over every record at once: somebody is watching.
    at_once: bool,
    names: Names,
    failed: Option<io::Error>,
}

impl std::fmt::Debug for Records<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Records").field("failed", &self.failed).finish_non_exhaustive()
    }
}

impl<'a> Records<'a> {
    /// To this writer; `at_once` for one that somebody is watching.
    pub fn new(writer: Box<dyn FlowWriter + 'a>, at_once: bool) -> Self {
        Self { writer, at_once, names: Names::default(), failed: None }
    }

    fn write(&mut self, at: Timestamp, reason: crate::input::EndReason, flow: FlowView<'_>) {
        if self.failed.is_some() {
            return;
        }
        let record = flow.record();
        let name = self.name(&record);
        let mut written = self.writer.record(at, &record, reason, name.as_ref());
        if self.at_once {
            written = written.and_then(|()| self.writer.flush());
        }
        self.failed = written.err();
    }

    /// The name of the responder: what the flow says itself, or else what its originator asked for before, or others did.
    fn name(&mut self, record: &FlowRecord) -> Option<KnownName> {
        let own = record.app.as_deref().and_then(names::said);
        own.or_else(|| {
            let (asker, ip) = (Asker::Address(record.tuple.orig.ip.to_canonical()), record.tuple.resp.ip);
            self.names.touch(&asker, ip, record.start);
            self.names.of(&asker, ip, record.start)
        })
    }
}

/// Counts the records of a point, and writes them if they are wanted.
struct Tap<'t, 'a> {
    totals: &'t mut Totals,
    records: Option<&'t mut Records<'a>>,
}

impl FlowSink for Tap<'_, '_> {
    fn flow(&mut self, at: Timestamp, kind: FlowEventKind, flow: FlowView<'_>) {
        let FlowEventKind::Ended(reason) = kind else { return };
        self.totals.add(flow.counters(), reason);
        if let Some(records) = self.records.as_deref_mut() {
            records.write(at, reason, flow);
        }
    }

    fn answer(&mut self, at: Timestamp, _: Option<Mac>, answer: NameAnswer) {
        if let Some(records) = self.records.as_deref_mut() {
            records.names.learn(&Asker::Address(answer.asker.to_canonical()), &answer, at);
        }
    }
}

/// Reads the captures to their end; records are written if they are wanted, `progress` hears of the bytes read.
pub fn run(
    captures: Captures,
    metering: Metering,
    mut records: Option<Records<'_>>,
    progress: &mut dyn FnMut(u64),
) -> Result<FlowSummary, FlowsError> {
    let Captures(mut merge) = captures;
    let mut points = Points::new(metering);
    let mut broken = vec![None; merge.readers().len()];
    let mut batches = 0_u64;
    loop {
        match merge.next_batch() {
            Ok(Some((file, batch))) => points.take(file, &batch, records.as_mut())?,
            Ok(None) => break,
            Err(error) if error.is_partial() => note(&merge, &mut broken, &error),
            Err(error) => return Err(error.into()),
        }
        if let Some(error) = records.as_mut().and_then(|records| records.failed.take()) {
            return Err(error.into());
        }
        batches += 1;
        if batches.is_multiple_of(PROGRESS_EVERY) {
            progress(merge.bytes_read());
        }
    }
    progress(merge.bytes_read());
    points.drain(records.as_mut());
    if let Some(mut records) = records {
        records.failed.take().map_or_else(|| records.writer.finish(), Err)?;
    }
    let files = merge.readers().iter().zip(broken).map(|(reader, error)| FileSummary::of(reader, error));
    Ok(FlowSummary::new(files.collect(), points.into_summaries()))
}

/// Remembers what broke off which file; a file that was given twice breaks twice.
fn note(merge: &Merge, broken: &mut [Option<String>], error: &CaptureError) {
    let mut places = merge.readers().iter().zip(broken);
    if let Some((_, place)) = places.find(|(reader, place)| place.is_none() && error.path() == reader.path()) {
        *place = Some(error.to_string());
    }
}

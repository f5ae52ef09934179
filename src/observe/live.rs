//! A tap on one live interface: packets in, batches of flow events out.
//!
//! Contract: runs on a thread of its own and never waits for whoever takes its batches. What the kernel dropped is reported as
//! loss. Ends when told to, or when the interface goes away. Limits: needs `CAP_NET_RAW`.
//! Design: libpcap with `TPACKET_V3` (never immediate mode, which falls back to V2 and loses packets), promiscuous (a bridge shows
//! container-to-container traffic only so), non-blocking reads between waits on the ring's file descriptor.

use std::os::fd::{AsRawFd, BorrowedFd};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use pcap::{Active, Capture, Error as PcapError, Precision};

use crate::decode::LinkType;
use crate::flow::{Meter, MeterLimits, MeterStats};
use crate::input::{Fact, Input, Loss, LossReason, ObservationPoint, RecordedFact};
use crate::time::Timestamp;

/// How long the kernel may hold a filled part of a ring block.
const RETIRE_MILLIS: i32 = 50;
/// How long a tap waits for packets before it looks around.
const WAIT_MILLIS: u16 = 50;
/// Packets read before the batch is handed over.
const BATCH_PACKETS: usize = 512;
/// How often the kernel's drop counters are read.
const STATS_INTERVAL: Duration = Duration::from_secs(1);

/// How to capture.
#[derive(Clone, Copy, Debug)]
pub struct TapOptions {
    /// Bytes of each packet that are looked at.
    pub snap_length: u32,
    /// Size of the kernel's ring, in bytes.
    pub ring_bytes: u32,
    /// Bounds of the flow table.
    pub meter: MeterLimits,
}

/// Why an interface cannot be captured.
#[derive(Debug, thiserror::Error)]
pub enum TapError {
    /// The kernel refused.
    #[error(
        "no permission to capture on {point}: hopwatch needs CAP_NET_RAW; run it as root, or grant it once with \
         `sudo setcap cap_net_raw+ep /path/to/hopwatch`"
    )]
    Permission {
        /// The interface.
        point: ObservationPoint,
    },
    /// Its frames cannot be decoded.
    #[error("interface {point} has link type {link}, which hopwatch does not decode; leave it out with -i")]
    LinkType {
        /// The interface.
        point: ObservationPoint,
        /// The link type's number.
        link: i32,
    },
    /// Anything else.
    #[error("capturing on {point} failed: {source}")]
    Capture {
        /// The interface.
        point: ObservationPoint,
        /// What libpcap said.
        source: PcapError,
    },
}

/// What a tap hands over.
#[derive(Debug)]
pub struct Batch {
    /// Where it comes from.
    pub point: ObservationPoint,
    /// Flow events and losses, ending with a tick.
    pub inputs: Vec<Input>,
    /// The meter's counters.
    pub stats: MeterStats,
    /// Packets lost so far, by reason.
    pub dropped: Vec<(LossReason, u64)>,
}

/// Takes what a tap makes.
pub trait TapSink {
    /// Takes a batch; must not wait. Gives it back when there is no room.
    fn batch(&mut self, batch: Batch) -> Result<(), Box<Batch>>;
    /// Sees each packet as captured (for a recording).
    fn packet(&mut self, at: Timestamp, wire_len: u32, data: &[u8]);
}

/// An open capture on one interface.
pub struct Tap {
    point: ObservationPoint,
    capture: Capture<Active>,
    link: LinkType,
    meter: Meter,
    dropped: Dropped,
}

/// Loss counted so far, and what was last told of it.
#[derive(Debug, Default)]
struct Dropped {
    kernel: u64,
    interface: u64,
    queue: u64,
    flow_table: u64,
}

impl std::fmt::Debug for Tap {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Tap").field("point", &self.point).field("link", &self.link).finish_non_exhaustive()
    }
}

impl Tap {
    /// Opens the interface.
    pub fn open(point: ObservationPoint, options: &TapOptions) -> Result<Self, TapError> {
        let capture = open(&point, options).map_err(|error| tap_error(&point, error))?;
        let number = capture.get_datalink().0;
        // DLT_RAW has another number on the wire of the API than in files.
        let link = if number == 12 { LinkType::RAW } else { LinkType(u16::try_from(number).unwrap_or(u16::MAX)) };
        if !link.is_supported() {
            return Err(TapError::LinkType { point, link: number });
        }
        let meter = Meter::new(point.clone(), link, options.meter);
        Ok(Self { point, capture, link, meter, dropped: Dropped::default() })
    }

    /// The link type of its frames.
    pub const fn link(&self) -> LinkType {
        self.link
    }

    /// Captures until `stop` is set or the interface goes away; the reason is returned in that case.
    pub fn run(mut self, sink: &mut impl TapSink, stop: &AtomicBool) -> Option<String> {
        let mut inputs = Vec::new();
        let mut stats_read = now();
        let ended = loop {
            let stopping = stop.load(Ordering::Relaxed);
            match self.read(sink, &mut inputs) {
                Ok(0) if stopping => break None,
                Ok(0) => wait(&self.capture),
                Ok(_) => {}
                Err(error) => break Some(error.to_string()),
            }
            let time = now();
            if time.since(stats_read) >= STATS_INTERVAL || stopping {
                self.read_drops(stats_read, time, &mut inputs);
                stats_read = time;
            }
            self.meter.advance(time.minus(Duration::from_millis(2 * u64::from(WAIT_MILLIS))), &mut inputs);
            inputs.push(Input::new(time, Fact::Tick));
            self.hand_over(sink, &mut inputs);
        };
        self.read_drops(stats_read, now(), &mut inputs);
        self.meter.drain(&mut inputs);
        self.hand_over(sink, &mut inputs);
        ended
    }

    fn read(&mut self, sink: &mut impl TapSink, inputs: &mut Vec<Input>) -> Result<usize, PcapError> {
        for count in 0..BATCH_PACKETS {
            match self.capture.next_packet() {
                Ok(packet) => {
                    let header = packet.header;
                    // With nanosecond precision tv_usec holds nanoseconds.
                    let nanos = header.ts.tv_sec.saturating_mul(1_000_000_000).saturating_add(header.ts.tv_usec);
                    let at = Timestamp::from_nanos(nanos);
                    sink.packet(at, header.len, packet.data);
                    self.meter.packet(at, header.len, packet.data, inputs);
                }
                Err(PcapError::TimeoutExpired) => return Ok(count),
                Err(error) => return Err(error),
            }
        }
        Ok(BATCH_PACKETS)
    }

    fn read_drops(&mut self, since: Timestamp, now: Timestamp, inputs: &mut Vec<Input>) {
        let evicted = self.meter.stats().evicted_flows;
        let (kernel, interface) = match self.capture.stats() {
            Ok(stat) => (u64::from(stat.dropped), u64::from(stat.if_dropped)),
            Err(_) => (self.dropped.kernel, self.dropped.interface),
        };
        let news = [
            (LossReason::Kernel, kernel.saturating_sub(self.dropped.kernel)),
            (LossReason::Interface, interface.saturating_sub(self.dropped.interface)),
            (LossReason::FlowTable, evicted.saturating_sub(self.dropped.flow_table)),
        ];
        self.dropped.flow_table = evicted;
        self.dropped.kernel = kernel;
        self.dropped.interface = interface;
        for (reason, count) in news.into_iter().filter(|(_, count)| *count > 0) {
            inputs.push(self.loss(reason, count, since, now));
        }
    }

    fn loss(&self, reason: LossReason, count: u64, since: Timestamp, now: Timestamp) -> Input {
        let loss = Loss { point: Some(self.point.clone()), reason, count, since };
        Input::new(now, Fact::Recorded(RecordedFact::Loss(loss)))
    }

    /// Hands the batch over; when there is no room its events are lost, and the next batch says so.
    fn hand_over(&mut self, sink: &mut impl TapSink, inputs: &mut Vec<Input>) {
        let batch = Batch {
            point: self.point.clone(),
            inputs: std::mem::take(inputs),
            stats: self.meter.stats(),
            dropped: vec![
                (LossReason::Kernel, self.dropped.kernel),
                (LossReason::Interface, self.dropped.interface),
                (LossReason::Queue, self.dropped.queue),
                (LossReason::FlowTable, self.dropped.flow_table),
            ],
        };
        if let Err(refused) = sink.batch(batch) {
            let events = refused.inputs.iter().filter(|input| input.fact != Fact::Tick).count() as u64;
            let since = refused.inputs.first().map_or_else(now, |input| input.at);
            self.dropped.queue += events;
            if events > 0 {
                inputs.push(self.loss(LossReason::Queue, events, since, now()));
            }
        }
    }
}

fn open(point: &ObservationPoint, options: &TapOptions) -> Result<Capture<Active>, PcapError> {
    let snap_length = i32::try_from(options.snap_length).unwrap_or(i32::MAX);
    let ring = i32::try_from(options.ring_bytes).unwrap_or(i32::MAX);
    let capture = Capture::from_device(point.as_str())?
        .promisc(true)
        .snaplen(snap_length)
        .buffer_size(ring)
        .timeout(RETIRE_MILLIS)
        .precision(Precision::Nano)
        .open()?;
    capture.setnonblock()
}

fn tap_error(point: &ObservationPoint, error: PcapError) -> TapError {
    let text = error.to_string();
    let refused = ["permission", "Operation not permitted"].iter().any(|word| text.contains(word));
    if refused {
        TapError::Permission { point: point.clone() }
    } else {
        TapError::Capture { point: point.clone(), source: error }
    }
}

fn wait(capture: &Capture<Active>) {
    let raw = capture.as_raw_fd();
    let descriptor = borrow(capture, raw);
    let mut descriptors = [PollFd::new(descriptor, PollFlags::POLLIN)];
    // An interrupted or failed wait only means that the ring is looked at sooner.
    let _ = poll(&mut descriptors, PollTimeout::from(WAIT_MILLIS));
}

#[allow(unsafe_code, reason = "the pcap crate offers the descriptor only as a raw number")]
const fn borrow(_owner: &Capture<Active>, raw: i32) -> BorrowedFd<'_> {
    // SAFETY: `_owner` keeps the descriptor open for the lifetime of the result.
    unsafe { BorrowedFd::borrow_raw(raw) }
}

/// The wall clock.
#[allow(clippy::disallowed_methods, reason = "a live tap stamps ticks and losses with the time at which it looked")]
pub fn now() -> Timestamp {
    let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Timestamp::from_nanos(i64::try_from(since_epoch.as_nanos()).unwrap_or(i64::MAX))
}

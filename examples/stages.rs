//! Where the time of metering goes: reading, decoding, the flow table, first-payload facts, the ring of recent packets.
//! `cargo run --release --example stages FILE [PASSES]`
//!
//! Contract: CPU time of this process (user and system) a packet, the least of the passes; the stages take turns, so that a
//! slow moment of the machine hits all of them. The last line says how many flows were counted.
//! Limits: opening the file is part of a pass. The page cache is not dropped: the first pass fills it.
//! Design: each stage does a bit more than the one before, and the parts are differences. `cut` meters packets whose captured
//! bytes end where their payload starts, which costs a second decoding, and `whole` meters them whole: so the difference is
//! what facts cost, whatever the meter does to find them.

use std::hint::black_box;
use std::path::Path;
use std::time::Duration;

use anyhow::Context as _;
use hopwatch::decode::{Decoded, LinkType, decode};
use hopwatch::evidence::{PacketRing, RingLimits, RingMemory};
use hopwatch::flow::{FlowSink, FlowView, Frame, Meter, MeterLimits};
use hopwatch::input::{FlowEventKind, ObservationPoint};
use hopwatch::observe::{Batch, CaptureReader, Interface};
use hopwatch::time::Timestamp;
use nix::sys::resource::{UsageWho, getrusage};

/// What an unattended meter runs with.
const LIMITS: MeterLimits = MeterLimits {
    max_flows: 4_000_000,
    idle_timeout: Duration::from_mins(1),
    active_timeout: Duration::from_mins(30),
    update_interval: Duration::ZERO,
};

/// Counts records and asks for none.
#[derive(Default)]
struct Count {
    ended: u64,
}

impl FlowSink for Count {
    fn flow(&mut self, _at: Timestamp, kind: FlowEventKind, _flow: FlowView<'_>) {
        self.ended += u64::from(matches!(kind, FlowEventKind::Ended(_)));
    }
}

/// Packets and flows of a pass.
struct Pass {
    packets: u64,
    flows: u64,
}

type Stage = fn(&Path) -> anyhow::Result<Pass>;

const STAGES: [(&str, Stage); 6] =
    [("one by one", one_by_one), ("read", read), ("decode", decoded), ("cut", cut), ("whole", whole), ("kept", kept)];

fn main() -> anyhow::Result<()> {
    let mut args = std::env::args_os().skip(1);
    let file = args.next().context("give a capture file, and the number of passes if not 3")?;
    let passes: u32 = args.next().map_or(Ok(3), |passes| passes.to_string_lossy().parse())?;
    let mut least = [Duration::MAX; STAGES.len()];
    let mut counted = Pass { packets: 0, flows: 0 };
    for _ in 0..passes.max(1) {
        for (least, (_, stage)) in least.iter_mut().zip(STAGES) {
            let before = cpu_time()?;
            counted = stage(Path::new(&file))?;
            *least = (*least).min(cpu_time()?.saturating_sub(before));
        }
    }
    let nanos = least
        .map(|least| i64::try_from(least.as_nanos() * 10).unwrap_or(i64::MAX) / counted.packets.max(1).cast_signed());
    let [one_by_one, read, decode, cut, whole, kept] = nanos;
    let decoding = decode - read;
    show("reading", read, "ns a packet, in batches");
    show("decoding", decoding, "");
    show("table", cut - read - 2 * decoding, "");
    show("facts", whole - (cut - decoding), "");
    show("all", whole, "");
    show("keeping", kept - whole, "recent packets, for evidence from before alerts");
    show("one by one", one_by_one, "reading without batches");
    println!("{} packets, {} flows", counted.packets, counted.flows);
    Ok(())
}

/// CPU time that this process has used.
fn cpu_time() -> anyhow::Result<Duration> {
    let usage = getrusage(UsageWho::RUSAGE_SELF)?;
    let micros = [usage.user_time(), usage.system_time()].map(|time| time.tv_sec() * 1_000_000 + time.tv_usec());
    Ok(Duration::from_micros(u64::try_from(micros.iter().sum::<i64>())?))
}

/// Prints tenths of a nanosecond.
fn show(what: &str, tenths: i64, note: &str) {
    let sign = if tenths < 0 { "-" } else { "" };
    println!("{what:<10} {:>6} {note}", format!("{sign}{}.{}", tenths.abs() / 10, tenths.abs() % 10));
}

fn one_by_one(file: &Path) -> anyhow::Result<Pass> {
    let mut reader = CaptureReader::open(file)?;
    while let Some(packet) = reader.next_packet()? {
        black_box(packet);
    }
    Ok(Pass { packets: reader.packets(), flows: 0 })
}

/// Gives the packets of each batch to a function; the file has one interface.
fn each_batch(file: &Path, mut take: impl FnMut(&Interface, &[Frame<'_>])) -> anyhow::Result<u64> {
    let mut reader = CaptureReader::open(file)?;
    while let Some(batch) = reader.next_batch(Batch::MAX)? {
        let mut frames = [Frame::EMPTY; Batch::MAX];
        let mut number = 0;
        for (place, (interface, frame)) in frames.iter_mut().zip(batch.packets()) {
            (*place, number) = (frame, interface);
        }
        anyhow::ensure!(number == 0, "the capture has several interfaces");
        let origin = batch.origin(number).context("the batch has an interface")?;
        take(origin, &frames[..batch.packets().len()]);
    }
    Ok(reader.packets())
}

fn read(file: &Path) -> anyhow::Result<Pass> {
    let packets = each_batch(file, |_, frames| {
        black_box(frames);
    })?;
    Ok(Pass { packets, flows: 0 })
}

fn decoded(file: &Path) -> anyhow::Result<Pass> {
    let packets = each_batch(file, |origin, frames| {
        for frame in frames {
            let _ = black_box(decode(origin.link, frame.wire_len, frame.data));
        }
    })?;
    Ok(Pass { packets, flows: 0 })
}

/// The frame without its payload.
fn without_payload<'a>(link: LinkType, frame: &Frame<'a>) -> Frame<'a> {
    let end = match decode(link, frame.wire_len, frame.data) {
        Ok(Decoded::Ip(headers)) => headers.payload_at as usize,
        _ => usize::MAX,
    };
    Frame { data: frame.data.get(..end).unwrap_or(frame.data), ..*frame }
}

fn cut(file: &Path) -> anyhow::Result<Pass> {
    metered(file, |meter, link, frames, out| {
        let mut cut = [Frame::EMPTY; Batch::MAX];
        for (cut, frame) in cut.iter_mut().zip(frames) {
            *cut = without_payload(link, frame);
        }
        meter.packets(&cut[..frames.len()], out);
    })
}

fn whole(file: &Path) -> anyhow::Result<Pass> {
    metered(file, |meter, _, frames, out| meter.packets(frames, out))
}

/// The same, and recent packets are kept as `hopwatch sniff` does.
fn kept(file: &Path) -> anyhow::Result<Pass> {
    let limits = RingLimits { bytes: 8 << 20, age: Duration::from_mins(1), snap: 160 };
    let mut ring: Option<PacketRing> = None;
    metered(file, |meter, link, frames, out| {
        let point = || ObservationPoint::new("stages");
        let ring = ring.get_or_insert_with(|| PacketRing::new(point(), link, limits, &RingMemory::new(64 << 20)));
        let mut out = TellingPackets { flows: out, packets: 0, bits: 0 };
        meter.packets(frames, &mut out);
        ring.keep(frames, out.bits);
    })
}

/// Which packets of a batch begin their flow.
struct TellingPackets<'a> {
    flows: &'a mut Count,
    packets: u32,
    bits: u64,
}

impl FlowSink for TellingPackets<'_> {
    fn flow(&mut self, at: Timestamp, kind: FlowEventKind, flow: FlowView<'_>) {
        self.flows.flow(at, kind, flow);
    }

    fn packet(&mut self) {
        self.packets += 1;
    }

    fn telling(&mut self) {
        self.bits |= 1_u64.wrapping_shl(self.packets.wrapping_sub(1));
    }
}

/// One meter, drained at the end.
fn metered(file: &Path, mut feed: impl FnMut(&mut Meter, LinkType, &[Frame<'_>], &mut Count)) -> anyhow::Result<Pass> {
    let mut meter: Option<Meter> = None;
    let mut count = Count::default();
    let packets = each_batch(file, |origin, frames| {
        let meter = meter.get_or_insert_with(|| Meter::new(origin.point.clone(), origin.link, LIMITS));
        feed(meter, origin.link, frames, &mut count);
    })?;
    if let Some(meter) = &mut meter {
        meter.drain(&mut count);
    }
    Ok(Pass { packets, flows: count.ended })
}

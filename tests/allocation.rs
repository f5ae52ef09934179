//! What is held is bounded by what there is: no length in a capture file makes the reader allocate more than the file holds, and all rules together hold little for each
//! destination of each actor.
//!
//! Contract: over whole reads of damaged files, the bytes allocated at once stay below the length of the file, plus the window
//! of the reader, plus a bit for each interface that the file really describes. An actor's further destination costs at most [`PER_PAIR`] bytes.
//! Limits: files that are not compressed; what a decompressor holds is bounded by the source, not by the file.
//! Design: an allocator that counts for each thread, so that tests do not disturb each other.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "helpers of tests; a failure is a failed test")]
#![cfg(feature = "shell")]

#[path = "support/capture.rs"]
mod capture;
#[path = "support/engine_config.rs"]
#[allow(dead_code, reason = "each test file uses its own part")]
mod engine_config;

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::io::Read;
use std::net::IpAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use capture::Order;
use hopwatch::alert::Alert;
use hopwatch::engine::{Engine, EngineConfig};
use hopwatch::input::{
    Counters, EndReason, Endpoint, Fact, FiveTuple, FlowEvent, FlowEventKind, FlowId, FlowRecord, Input,
    ObservationPoint, Protocol, TcpFacts,
};
use hopwatch::observe::CaptureReader;
use hopwatch::time::Timestamp;
use proptest::prelude::*;

/// The window (256 KiB) and what a reader needs besides: names, errors, the stream.
const FIXED: usize = 272 * 1024;
/// What an interface costs: its name three times, of at most 255 bytes, and its place in three tables.
const PER_INTERFACE: usize = 1_500;

/// What an actor and a destination cost, in all rules together.
const PER_PAIR: usize = 75;

thread_local! {
    static HELD: Cell<usize> = const { Cell::new(0) };
    static PEAK: Cell<usize> = const { Cell::new(0) };
}

/// The system's allocator, counted.
struct Counting;

impl Counting {
    fn changed(freed: usize, allocated: usize) {
        // A thread that is ending has no counters any more.
        let _ = HELD.try_with(|held| {
            let now = held.get().saturating_sub(freed) + allocated;
            held.set(now);
            let _ = PEAK.try_with(|peak| peak.set(peak.get().max(now)));
        });
    }
}

#[allow(
    unsafe_code,
    reason = "an allocator can only be wrapped by implementing this trait; every call is passed on unchanged"
)]
// SAFETY: each method hands its arguments to `System` as they came, and returns what it returned.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        Self::changed(0, layout.size());
        // SAFETY: the caller's promise about `layout` is the one that `System` needs.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        Self::changed(0, layout.size());
        // SAFETY: as above.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        Self::changed(layout.size(), 0);
        // SAFETY: as above; `pointer` came from `System`.
        unsafe { System.dealloc(pointer, layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, new_size: usize) -> *mut u8 {
        Self::changed(layout.size(), new_size);
        // SAFETY: as above; `pointer` came from `System`.
        unsafe { System.realloc(pointer, layout, new_size) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// A stream that holds the file without allocating, so that only the reader is measured.
struct Shared {
    file: Arc<[u8]>,
    at: usize,
}

impl Read for Shared {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let mut rest = &self.file[self.at..];
        let count = rest.read(buffer)?;
        self.at += count;
        Ok(count)
    }
}

/// Reads a file to its end; the most that was held meanwhile, and how many interfaces there were.
fn peak_of(file: &Arc<[u8]>) -> (usize, usize) {
    let before = HELD.get();
    PEAK.set(before);
    let stream = Box::new(Shared { file: Arc::clone(file), at: 0 });
    let mut interfaces = 0;
    if let Ok(mut reader) = CaptureReader::from_stream(Path::new("sample.pcap"), stream) {
        while let Ok(Some(_)) = reader.next_batch(64) {}
        interfaces = reader.interfaces().len();
    }
    (PEAK.get() - before, interfaces)
}

fn at(millis: u64) -> Timestamp {
    Timestamp::from_secs(1_764_000_000).plus(Duration::from_millis(millis))
}

/// One connection of each actor to each destination, an actor after the other in rounds, over a day; some bytes each way.
fn contact(engine: &mut Engine, (actors, destinations): (u32, u32), alerts: &mut Vec<Alert>) {
    let mut number = 0;
    for destination in 0..destinations {
        for actor in 0..actors {
            number += 1;
            let start = at(u64::from(destination) * 400_000 + u64::from(actor));
            let end = |ip: u32, port: u32| Endpoint {
                ip: IpAddr::from(ip.to_be_bytes()),
                port: u16::try_from(port).expect("a port"),
            };
            let tuple = FiveTuple {
                protocol: Protocol::TCP,
                orig: end(0x0a00_0100 + actor, 20_000 + destination),
                resp: end(0x1700_0000 + destination * 7919 + actor % 97 * 1_000_003, 5000 + destination % 50),
            };
            let mut record = FlowRecord::new(FlowId(number), ObservationPoint::new("br-net"), tuple, start);
            record.tcp = Some(TcpFacts { orig_flags: 0x1b, resp_flags: 0x1b, ..TcpFacts::default() });
            for side in [&mut record.orig, &mut record.resp] {
                side.counters = Counters { packets: 5, payload_bytes: 600, ..Counters::default() };
            }
            for kind in [FlowEventKind::Started, FlowEventKind::Answered, FlowEventKind::Ended(EndReason::EndOfFlow)] {
                let event = Box::new(FlowEvent { kind, record: record.clone() });
                engine.push(&Input::new(start, Fact::Flow(event)), alerts);
            }
        }
    }
}

/// The bytes that an engine holds after that.
fn held_after(actors: u32, destinations: u32) -> usize {
    let before = HELD.get();
    let mut engine = Engine::new(EngineConfig { max_flows: 262_144, ..engine_config::for_tests() });
    let mut alerts = Vec::new();
    contact(&mut engine, (actors, destinations), &mut alerts);
    engine.push(&Input::new(at(90_000_000), Fact::Tick), &mut alerts);
    assert!(alerts.is_empty(), "contacts that succeed are no anomaly: {:?}", alerts.first());
    HELD.get() - before
}

#[test]
fn a_further_destination_of_an_actor_costs_few_bytes() {
    // Counters of floods are bounded by themselves; both numbers are beyond that bound.
    let (fewer, more) = (held_after(100, 180), held_after(200, 180));
    let pairs = 100 * 180;
    let each = (more - fewer) / pairs;
    println!("{each} bytes for an actor and a destination; {fewer} and {more} in all");
    assert!(each <= PER_PAIR, "{each} bytes for an actor and a destination");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 600, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_more_than_the_file_holds(file in capture::any_file(), damage in capture::any_damage()) {
        let file: Arc<[u8]> = damage.apply(file).into();
        let (peak, interfaces) = peak_of(&file);
        let bound = file.len() + FIXED + interfaces * PER_INTERFACE;
        prop_assert!(peak <= bound, "{peak} bytes for a file of {} with {interfaces} interfaces", file.len());
    }
}

/// Every length field of a small file, with every power of two in it.
#[test]
fn lengths_that_lie_cost_nothing() {
    for big_endian in [false, true] {
        let order = Order(big_endian);
        let pcap = order.pcap(0xa1b2_c3d4, 1, &[(1, 0, 3, b"abcd"), (2, 0, 5, b"efgh")]);
        let interface = order.interface(1, 0, &[order.option(2, b"eth0")]);
        let pcapng =
            [order.section(), interface, order.enhanced(0, 1, 3, b"abcd"), order.block(3, &[b"abcd"])].concat();
        for file in [pcap, pcapng] {
            for place in (0..file.len() - 3).step_by(2) {
                for power in 0..32 {
                    let mut file = file.clone();
                    file[place..place + 4].copy_from_slice(&order.u32((1 << power) | 0xc));
                    let file: Arc<[u8]> = file.into();
                    let (peak, interfaces) = peak_of(&file);
                    assert!(peak <= file.len() + FIXED + interfaces * PER_INTERFACE, "2^{power} at {place}: {peak}");
                }
            }
        }
    }
}

/// A record longer than the window: the window grows with what comes, not by what is promised.
#[test]
fn the_window_grows_with_what_comes() {
    let order = Order(false);
    let whole = order.enhanced(0, 1, 3, &vec![7; 5 << 20]);
    let file = [order.section(), order.interface(1, 0, &[]), whole].concat();
    for len in [file.len(), 3 << 20, 1 << 20, 300 << 10] {
        let file: Arc<[u8]> = file[..len].into();
        let (peak, _) = peak_of(&file);
        assert!(peak > len.min(file.len()) / 2 && peak <= len + FIXED + PER_INTERFACE, "{peak} bytes for {len}");
    }
}

/// The counters count: else nothing above could fail.
#[test]
fn the_allocator_counts() {
    PEAK.set(HELD.get());
    let before = HELD.get();
    drop(std::hint::black_box(vec![0_u8; 1 << 20]));
    assert!(PEAK.get() - before >= 1 << 20 && HELD.get() < before + (1 << 20));
}

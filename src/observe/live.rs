//! Taps on live interfaces: packets in, batches of flow events out.
//!
//! Contract: no tap ever waits for the receiver of its batches. What the kernel dropped is reported as loss. A tap ends when asked
//! to, or when its interface goes away. Limits: needs `CAP_NET_RAW`; one thread reads an interface, never two.
//! Design: a [`Tap`] is one interface with its ring and its flow table; a [`CapturePool`] is the threads that read them, each several;
//! [`Snap`] decides in the kernel how much of a packet is copied, and a filter (`-f`) which of them are looked at; [`ring_bytes`] divides the memory of the rings.

mod admitted;
mod bpf_assembler;
mod capture_pool;
mod hiding;
mod loss;
mod packet_filter;
mod progress;
mod ring;
mod tap;

use std::time::Duration;

pub use admitted::Covers;
pub use bpf_assembler::AssemblyError;
pub use capture_pool::{CapturePool, TapHandle};
pub use packet_filter::{HEADER_BYTES, OTHER_BYTES, Snap};
pub use progress::Progress;
pub use ring::{MIN_RING, ring_bytes};
pub use tap::{CaptureRefused, Tap, TapBatch, TapError, TapOptions, TapSink, may_capture};

/// How long the kernel and a capture thread hold a packet back, at most, while neither is behind.
pub const HELD_BACK: Duration = ring::HELD_BACK;
/// The longest time from a loss to its report.
pub const LOSS_INTERVAL: Duration = tap::STATS_INTERVAL.saturating_add(capture_pool::ROUND);

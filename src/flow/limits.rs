//! Bounds of a meter.

use std::time::Duration;

/// How long an ended TCP connection still takes in late packets, at most the idle timeout; its `Ended` comes after that.
pub const TCP_LINGER: Duration = Duration::from_secs(5);

/// So many packets begin a record of a flow, both directions together.
pub const BEGINNING: u32 = 10;

/// Bounds and timeouts of a meter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MeterLimits {
    /// Flows held at once; at the bound the one nearest to its end (the longest idle) is evicted and counted.
    pub max_flows: usize,
    /// A flow without a packet for so long ends; zero switches it off.
    pub idle_timeout: Duration,
    /// A flow longer than this is reported and goes on in a new record; zero switches it off.
    pub active_timeout: Duration,
    /// `Updated` is sent at most this often; zero switches it off.
    pub update_interval: Duration,
}

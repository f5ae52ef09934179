//! What all taps of a run have in common: how much of a packet is kept, ring buffers, flow tables, and which own traffic is left out.
//!
//! Contract: a recording keeps of every packet what a live run keeps of the most interesting ones. Design: one plan for the host's
//! interfaces and one for those inside of namespaces.

use std::net::SocketAddr;

use super::options::LiveOptions;
use crate::config::{CaptureConfig, SnapLength};
use crate::flow::MeterLimits;
use crate::host::Interface;
use crate::observe::filter::FrameFilter;
use crate::observe::live::{Snap, TapOptions};

/// What all taps have in common.
pub(super) struct CapturePlan {
    pub(super) snap: Snap,
    pub(super) ring_bytes: u32,
    pub(super) ring_budget: u64,
    pub(super) meter: MeterLimits,
    /// Where this process serves, if that is to be left out.
    pub(super) own: Option<SocketAddr>,
    /// Frames that are looked at; `None`: all.
    pub(super) filter: Option<FrameFilter>,
}

impl CapturePlan {
    pub(super) fn new(config: &CaptureConfig, options: &LiveOptions, recording: bool) -> Self {
        Self {
            snap: snap(config, recording),
            ring_bytes: config.ring_bytes,
            ring_budget: config.ring_budget_bytes,
            meter: options.config.meter,
            own: options.listen.filter(|_| config.exclude_own),
            filter: options.filter.clone(),
        }
    }

    /// How the next tap captures.
    pub(super) fn tap(&self, ring_bytes: u32, own: Vec<SocketAddr>) -> TapOptions {
        TapOptions { snap: self.snap, ring_bytes, meter: self.meter, own, filter: self.filter.clone() }
    }

    /// The sockets at which this process serves, where that is left out.
    pub(super) fn own_sockets(&self, all: &[Interface]) -> Vec<SocketAddr> {
        let Some(own) = self.own else { return Vec::new() };
        if !own.ip().is_unspecified() {
            return vec![own];
        }
        let addresses = all.iter().flat_map(|link| &link.addresses);
        addresses.map(|address| SocketAddr::new(*address, own.port())).collect()
    }
}

/// A recording keeps of every packet what live would keep of the most interesting ones: what is asked of it later is not known.
const fn snap(config: &CaptureConfig, recording: bool) -> Snap {
    match config.snap_length {
        SnapLength::Bytes(bytes) => Snap::Flat(bytes),
        SnapLength::Adaptive if recording => Snap::Flat(config.payload_snap_length),
        SnapLength::Adaptive => Snap::Adaptive(config.payload_snap_length),
    }
}

//! Opening an interface: its ring, and the program that decides what is kept of each packet.
//!
//! Contract: what the kernel refuses is one of a few errors, each with what to do about it. Design: the filter that was given (`-f`) and the program that
//! shortens packets are one program, attached to the socket directly: libpcap compiles filters from text only, and makes them keep all of a packet.

use std::net::SocketAddr;
use std::os::fd::{AsRawFd, BorrowedFd};

use nix::errno::Errno;
use nix::sys::socket::{AddressFamily, SockFlag, SockType, socket};
use pcap::{Active, Capture, Error as PcapError, Precision};
use socket2::{SockFilter, SockRef};

use super::super::hiding;
use super::super::packet_filter::{Snap, program};
use super::super::ring::RETIRE;
use crate::decode::LinkType;
use crate::flow::MeterLimits;
use crate::input::ObservationPoint;
use crate::observe::filter::{FrameFilter, Instruction};

/// How to capture.
#[derive(Clone, Debug)]
pub struct TapOptions {
    /// Bytes of each packet that are looked at.
    pub snap: Snap,
    /// Size of the kernel's ring, in bytes.
    pub ring_bytes: u32,
    /// Bounds of the flow table.
    pub meter: MeterLimits,
    /// Sockets of this process whose traffic is not captured.
    pub own: Vec<SocketAddr>,
    /// Frames that are looked at; `None`: all.
    pub filter: Option<FrameFilter>,
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
    /// It is not there, or not up, any more.
    #[error("interface {point} went away before it was captured")]
    Gone {
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
    /// The kernel did not take the program that shortens packets.
    #[error("the packet filter of {point} was refused; report it, and set capture.snap_length to a number: {error}")]
    Filter {
        /// The interface.
        point: ObservationPoint,
        /// Why.
        error: String,
    },
    /// The filter that was given says nothing about its frames, or is too much for the kernel.
    #[error(
        "the filter that was given (-f) cannot be used on {point}, which is not captured: {error}; leave the interface out with -i, or write another filter"
    )]
    Given {
        /// The interface.
        point: ObservationPoint,
        /// Why.
        error: String,
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

/// Why nothing can be captured on any interface.
#[derive(Debug, thiserror::Error)]
pub enum CaptureRefused {
    /// The kernel refuses packet sockets to this process.
    #[error(
        "no permission to capture on any interface: hopwatch needs CAP_NET_RAW; run it as root, or grant it once with \
         `sudo setcap cap_net_raw+ep /path/to/hopwatch`"
    )]
    Permission,
    /// There are no packet sockets.
    #[error("cannot capture on any interface; check that the kernel has packet sockets (CONFIG_PACKET): {0}")]
    Other(Errno),
}

/// Whether this process may capture anywhere in the network namespace of the calling thread.
pub fn may_capture() -> Result<(), CaptureRefused> {
    let probe = socket(AddressFamily::Packet, SockType::Raw, SockFlag::SOCK_CLOEXEC, None);
    probe.map(drop).map_err(|error| match error {
        Errno::EPERM | Errno::EACCES => CaptureRefused::Permission,
        other => CaptureRefused::Other(other),
    })
}

pub(super) fn open(device: &str, options: &TapOptions) -> Result<Capture<Active>, PcapError> {
    let snap_length = i32::try_from(options.snap.most()).unwrap_or(i32::MAX);
    let ring = i32::try_from(options.ring_bytes).unwrap_or(i32::MAX);
    let capture = Capture::from_device(device)?
        .promisc(true)
        .snaplen(snap_length)
        .buffer_size(ring)
        .timeout(i32::try_from(RETIRE.as_millis()).unwrap_or(i32::MAX))
        .precision(Precision::Nano)
        .open()?;
    capture.setnonblock()
}

/// Attaches the filter that was given and the program that shortens packets, as one.
pub(super) fn shorten(
    socket: BorrowedFd<'_>,
    point: &ObservationPoint,
    link: LinkType,
    options: &TapOptions,
) -> Result<(), TapError> {
    let refused = |error: String| match options.filter {
        Some(_) => TapError::Given { point: point.clone(), error },
        None => TapError::Filter { point: point.clone(), error },
    };
    let shortened = program(link, options.snap, &options.own).map_err(|error| refused(error.to_string()))?;
    let program = match &options.filter {
        Some(filter) => filtered(filter, link, &shortened).map_err(refused)?,
        None => shortened,
    };
    let native: Vec<_> =
        program.iter().map(|one| SockFilter::new(one.code, one.jump_true, one.jump_false, one.operand)).collect();
    SockRef::from(&socket).attach_filter(&native).map_err(|error| refused(error.to_string()))
}

fn filtered(filter: &FrameFilter, link: LinkType, then: &[Instruction]) -> Result<Vec<Instruction>, String> {
    let ready = filter.ready(link).map_err(|error| error.to_string())?;
    let ready = ready.ok_or_else(|| format!("its frames are of link type {}", link.0))?;
    hiding::before(&ready, then).map_err(|error| error.to_string())
}

pub(super) fn tap_error(point: &ObservationPoint, error: PcapError) -> TapError {
    let text = error.to_string();
    let says = |words: &[&str]| words.iter().any(|word| text.contains(word));
    if says(&["permission", "Operation not permitted"]) {
        TapError::Permission { point: point.clone() }
    } else if says(&["No such device", "not up", "Network is down", "disappeared"]) {
        TapError::Gone { point: point.clone() }
    } else {
        TapError::Capture { point: point.clone(), source: error }
    }
}

#[expect(unsafe_code, reason = "the pcap crate offers the descriptor only as a raw number")]
pub(super) fn borrow(owner: &Capture<Active>) -> BorrowedFd<'_> {
    // SAFETY: `owner` keeps the descriptor open for the lifetime of the result.
    unsafe { BorrowedFd::borrow_raw(owner.as_raw_fd()) }
}

//! Sends frames on an interface as fast as the kernel takes them, or at a rate. Shared by tests and by `examples/blast.rs`.
//!
//! UDP over IPv4 between addresses of 198.18.0.0/15, the range for measurements (RFC 2544), in as many flows as wanted.

use std::io::IoSlice;
use std::os::fd::{AsRawFd as _, OwnedFd};
use std::time::{Duration, Instant};

use etherparse::PacketBuilder;
use nix::errno::Errno;
use nix::ifaddrs::getifaddrs;
use nix::sys::socket::{AddressFamily, LinkAddr, MsgFlags, MultiHeaders, SockFlag, SockType, bind, sendmmsg, socket};

/// Frames of one system call.
const GROUP: usize = 64;

/// Frame number `flow` of `length` bytes without the checksum at its end: its five-tuple is its own.
pub fn frame(flow: u32, length: usize) -> Vec<u8> {
    let [_, high, middle, low] = flow.to_be_bytes();
    let ethernet = PacketBuilder::ethernet2([2, 0, 0, 0, 0, 1], [2, 0, 0, 0, 0, 2]);
    let step = ethernet.ipv4([198, 18, high, middle], [198, 19, 0, 1], 64).udp(1024 + u16::from(low), 9);
    let mut frame = Vec::with_capacity(length);
    step.write(&mut frame, &vec![0; length.saturating_sub(42)]).expect("a frame in memory");
    frame
}

/// The first frame of flow number `flow` of a flood of this kind: `udp`, `syn`, `spoof`, `dns`, `arp`.
pub fn flood_frame(kind: &str, flow: u32, length: usize) -> Vec<u8> {
    let [top, high, middle, low] = flow.to_be_bytes();
    let (own, gateway) = ([2, 0, 0, 0, 0, 1], [2, 0, 0, 0, 0, 2]);
    let port = 1024 + u16::from(low);
    let padding = vec![0; length.saturating_sub(54)];
    let mut frame_bytes = Vec::with_capacity(length);
    match kind {
        "udp" => return frame(flow, length),
        "syn" => {
            let step = PacketBuilder::ethernet2(own, gateway).ipv4([198, 18, 0, 1], [198, 19, high, middle], 64);
            step.tcp(port, 443, flow, 64_240).syn().write(&mut frame_bytes, &padding).expect("a frame in memory");
        }
        "spoof" => {
            let mac = [2, 1, top, high, middle, low];
            let step = PacketBuilder::ethernet2(mac, gateway).ipv4([198, 18, high, middle], [198, 19, 0, 1], 64);
            step.udp(port, 9).write(&mut frame_bytes, &padding).expect("a frame in memory");
        }
        "dns" => {
            let step = PacketBuilder::ethernet2(own, gateway).ipv4([198, 18, high, middle], [198, 19, 0, 53], 64);
            step.udp(port, 53).write(&mut frame_bytes, &question(flow)).expect("a frame in memory");
        }
        "arp" => frame_bytes = claim([2, 1, top, high, middle, low], [198, 18, high, middle]),
        other => panic!("{other} is no kind of flood: udp, syn, spoof, dns, arp"),
    }
    frame_bytes
}

/// A DNS question (RFC 1035) for a name of its own.
fn question(number: u32) -> Vec<u8> {
    let name = format!("n{number:08x}");
    let mut bytes = vec![0, 1, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0, u8::try_from(name.len()).expect("short")];
    bytes.extend(name.bytes());
    bytes.extend([7, b'e', b'x', b'a', b'm', b'p', b'l', b'e', 0, 0, 1, 0, 1]);
    bytes
}

/// A gratuitous ARP reply (RFC 826): this address is at this MAC.
fn claim(mac: [u8; 6], ip: [u8; 4]) -> Vec<u8> {
    let header = [&[0xff; 6][..], &mac, &[8, 6, 0, 1, 8, 0, 6, 4, 0, 2]].concat();
    [&header[..], &mac, &ip, &[0xff; 6], &ip, &[0; 18]].concat()
}

/// An open packet socket, bound to one interface of the network namespace in which it was made.
pub struct Sender {
    socket: OwnedFd,
}

impl Sender {
    pub fn open(interface: &str) -> Result<Self, Errno> {
        let socket = socket(AddressFamily::Packet, SockType::Raw, SockFlag::SOCK_CLOEXEC, None)?;
        let link = |entry: nix::ifaddrs::InterfaceAddress| entry.address.as_ref()?.as_link_addr().copied();
        let mut named = getifaddrs()?.filter(|entry| entry.interface_name == interface);
        let address: LinkAddr = named.find_map(link).ok_or(Errno::ENODEV)?;
        bind(socket.as_raw_fd(), &address)?;
        Ok(Self { socket })
    }

    /// Sends `frames` in turn until `count` are sent, or the time is over; how many were.
    #[allow(clippy::disallowed_methods, reason = "a rate is kept by the clock")]
    pub fn send(&self, frames: &[Vec<u8>], count: u64, rate: Option<f64>, most: Duration) -> u64 {
        let began = Instant::now();
        let (mut sent, mut next) = (0_u64, frames.iter().cycle());
        while sent < count && began.elapsed() < most {
            #[allow(clippy::cast_precision_loss, reason = "a rate need not be exact")]
            while rate.is_some_and(|rate| sent as f64 > rate * began.elapsed().as_secs_f64()) {
                std::thread::yield_now();
            }
            let size = usize::try_from(count - sent).unwrap_or(GROUP).min(GROUP).min(group(rate));
            let slices: Vec<_> = next.by_ref().take(size).map(|frame| [IoSlice::new(frame)]).collect();
            let mut rest = &slices[..];
            while !rest.is_empty() {
                let done = self.group(rest);
                sent += done as u64;
                rest = &rest[done..];
            }
        }
        sent
    }

    /// How many of these the kernel took.
    fn group(&self, slices: &[[IoSlice<'_>; 1]]) -> usize {
        let mut headers = MultiHeaders::<LinkAddr>::preallocate(slices.len(), None);
        let addresses = vec![None; slices.len()];
        match sendmmsg(self.socket.as_raw_fd(), &mut headers, slices, addresses, [], MsgFlags::empty()) {
            Ok(results) => results.count(),
            // The interface's queue is full: it will have room.
            Err(Errno::ENOBUFS | Errno::EAGAIN | Errno::EINTR) => 0,
            Err(error) => panic!("sending failed: {error}"),
        }
    }
}

/// Slow rates are kept packet by packet.
fn group(rate: Option<f64>) -> usize {
    if rate.is_some_and(|rate| rate < 20_000.0) { 1 } else { GROUP }
}

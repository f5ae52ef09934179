//! Real captures, many times over: each copy with other addresses, all of them merged into one window of time.
//!
//! Contract: lengths, ports, payloads and the order within a file stay; addresses change by copy and checksums follow, right
//! ones stay right and wrong ones wrong. Files that cannot be read, or not whole, give what they have.
//! Limits: Ethernet only; addresses behind tunnels, quoted by ICMP or carried as payload stay as they are.
//! Design: packets are held once, and an index of (time, file, packet, copy) is sorted.

use std::path::{Path, PathBuf};

use anyhow::ensure;
use etherparse::{NetSlice, SlicedPacket, TransportSlice};
use hopwatch::decode::LinkType;
use hopwatch::observe::CaptureReader;

use super::output::{Output, START};
use super::random::Random;

/// What to make.
#[derive(Clone, Copy, Debug)]
pub struct Plan {
    pub copies: u16,
    /// Length of the window.
    pub seconds: u64,
    /// The most packets of one file.
    pub per_file: usize,
    /// Only packets that every tool can read: plain IPv4 with TCP, UDP or ICMP, captured whole.
    pub clean: bool,
}

/// A packet; its time is counted from the start of its file, in microseconds.
struct Packet {
    at: u64,
    wire_len: u32,
    data: Vec<u8>,
}

/// A packet of a copy in the window.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Place {
    at: u64,
    copy: u16,
    file: u32,
    packet: u32,
}

/// Writes the amplified captures.
pub fn write(out: &Path, plan: &Plan, paths: Vec<PathBuf>) -> anyhow::Result<()> {
    let mut files = Vec::new();
    collect(paths, &mut files)?;
    let window = plan.seconds * 1_000_000;
    let captures: Vec<Vec<Packet>> =
        files.iter().map(|file| load(file, plan, window / 3)).filter(|packets| !packets.is_empty()).collect();
    ensure!(!captures.is_empty() && window > 0, "no packets to amplify");
    let mut places = Vec::new();
    let mut random = Random::new(3);
    for copy in 0..plan.copies {
        for (file, packets) in (0..).zip(&captures) {
            let offset = random.below((window * 2 / 3).max(1));
            let place = |(packet, of): (u32, &Packet)| Place { at: offset + of.at, copy, file, packet };
            places.extend((0..).zip(packets).map(place));
        }
    }
    places.sort_unstable();
    let mut out = Output::create(out)?;
    let mut bytes = Vec::new();
    for place in places {
        let packet = &captures[place.file as usize][place.packet as usize];
        bytes.clear();
        bytes.extend_from_slice(&packet.data);
        rewrite(&mut bytes, place.copy.wrapping_mul(0x0101));
        out.packet(START + place.at, packet.wire_len, &bytes)?;
    }
    out.finish()
}

/// Files, and those in folders, in order of their names.
fn collect(mut paths: Vec<PathBuf>, files: &mut Vec<PathBuf>) -> anyhow::Result<()> {
    paths.sort_unstable();
    for path in paths {
        if path.is_dir() {
            let inside = std::fs::read_dir(&path)?.map(|entry| entry.map(|entry| entry.path()));
            collect(inside.collect::<Result<_, _>>()?, files)?;
        } else {
            files.push(path);
        }
    }
    Ok(())
}

/// The Ethernet packets of a file, not longer than `longest` from first to last.
fn load(file: &Path, plan: &Plan, longest: u64) -> Vec<Packet> {
    let mut packets = Vec::new();
    let Ok(mut reader) = CaptureReader::open(file) else { return packets };
    while let Ok(Some(packet)) = reader.next_packet() {
        let is_wanted = packet.origin.link == LinkType::ETHERNET && packet.data.len() >= 14;
        if !is_wanted || (plan.clean && !is_clean(packet.wire_len, packet.data)) {
            continue;
        }
        let at = u64::try_from(packet.at.as_nanos() / 1_000).unwrap_or(0);
        packets.push(Packet { at, wire_len: packet.wire_len, data: packet.data.to_vec() });
        if packets.len() >= plan.per_file {
            break;
        }
    }
    let first = packets.iter().map(|packet| packet.at).min().unwrap_or(0);
    let last = packets.iter().map(|packet| packet.at).max().unwrap_or(0);
    for packet in &mut packets {
        let since = packet.at - first;
        packet.at = if last - first <= longest { since } else { scale(since, longest, last - first) };
    }
    packets
}

fn scale(value: u64, by: u64, of: u64) -> u64 {
    u64::try_from(u128::from(value) * u128::from(by) / u128::from(of)).unwrap_or(u64::MAX)
}

/// Whether no tool has a reason to stumble over it.
fn is_clean(wire_len: u32, data: &[u8]) -> bool {
    let Ok(sliced) = SlicedPacket::from_ethernet(data) else { return false };
    let Some(NetSlice::Ipv4(ip)) = &sliced.net else { return false };
    let is_plain = sliced.link_exts.is_empty() && ip.header().slice().len() == 20 && !ip.is_payload_fragmented();
    let payload = ip.payload().payload.len();
    let is_known = match &sliced.transport {
        Some(TransportSlice::Tcp(_)) => true,
        Some(TransportSlice::Udp(udp)) => usize::from(udp.length()) == payload,
        Some(TransportSlice::Icmpv4(_)) => payload >= 8,
        _ => false,
    };
    data.len() == wire_len as usize && is_plain && is_known
}

/// Gives a frame the addresses of a copy: 16 bits of each address are changed by `pattern`.
fn rewrite(frame: &mut [u8], pattern: u16) {
    let mut at = 12;
    while matches!(word(frame, at), Some(0x8100 | 0x88a8)) && at < 24 {
        at += 4;
    }
    match word(frame, at) {
        Some(0x0800) => rewrite_ipv4(frame, at + 2, pattern),
        Some(0x86dd) => rewrite_ipv6(frame, at + 2, pattern),
        _ => {}
    }
}

fn rewrite_ipv4(frame: &mut [u8], ip: usize, pattern: u16) {
    if frame.len() < ip + 20 {
        return;
    }
    let transport = ip + usize::from(frame[ip] & 15) * 4;
    let is_later_fragment = word(frame, ip + 6).is_some_and(|field| field & 0x1fff != 0);
    let sum = if is_later_fragment { None } else { checksum_at(frame, frame[ip + 9], transport) };
    for address in [ip + 12, ip + 16] {
        // This host, loopback, multicast and broadcast keep their meaning.
        if !matches!(frame[address], 0 | 127 | 224..) {
            change(frame, address, pattern, [Some(ip + 10), sum]);
        }
    }
}

fn rewrite_ipv6(frame: &mut [u8], ip: usize, pattern: u16) {
    if frame.len() < ip + 40 {
        return;
    }
    let sum = checksum_at(frame, frame[ip + 6], ip + 40);
    for address in [ip + 8, ip + 24] {
        if frame[address] != 0xff {
            change(frame, address + 4, pattern, [sum, None]);
        }
    }
}

/// Where the checksum of the transport header is, if it covers the addresses.
fn checksum_at(frame: &[u8], protocol: u8, transport: usize) -> Option<usize> {
    match protocol {
        6 => Some(transport + 16),
        17 => Some(transport + 6).filter(|at| word(frame, *at).is_some_and(|sum| sum != 0)),
        58 => Some(transport + 2),
        _ => None,
    }
}

fn word(frame: &[u8], at: usize) -> Option<u16> {
    frame.get(at..)?.first_chunk().map(|bytes| u16::from_be_bytes(*bytes))
}

fn set_word(frame: &mut [u8], at: usize, value: u16) {
    if let Some(place) = frame.get_mut(at..at + 2) {
        place.copy_from_slice(&value.to_be_bytes());
    }
}

/// Changes a word and updates the checksums over it (RFC 1624, equation 3).
fn change(frame: &mut [u8], at: usize, pattern: u16, sums: [Option<usize>; 2]) {
    let Some(old) = word(frame, at) else { return };
    let new = old ^ pattern;
    set_word(frame, at, new);
    for sum_at in sums.into_iter().flatten() {
        let Some(sum) = word(frame, sum_at) else { continue };
        let total = u32::from(!sum) + u32::from(!old) + u32::from(new);
        let folded = (total & 0xffff) + (total >> 16);
        let folded = (folded & 0xffff) + (folded >> 16);
        set_word(frame, sum_at, !u16::try_from(folded).unwrap_or(0));
    }
}

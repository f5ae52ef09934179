//! How many bytes of each packet are kept, as a program for the kernel's packet filter.
//!
//! Contract: pure. No packet is dropped but the process's own traffic, where that is asked for: a load outside of a packet would
//! drop it, so no load goes beyond [`HEADER_BYTES`], and shorter packets are kept as they are. Limits: the program has no memory, so
//! the later segments of a long request are known only by their size and their PSH flag; what it cannot follow (IPv6 extension
//! headers, tunnels, `PPPoE`, MPLS, cooked captures) is kept up to [`OTHER_BYTES`]. A tag that the kernel took off the frame needs
//! no care: libpcap puts it back later. Design: most packets carry bulk data that nobody looks at, and copying it is the most
//! expensive part of capturing; names and requests are in the first packets of a conversation.

use std::net::{IpAddr, SocketAddr};

use super::bpf_assembler::{
    ACCUMULATOR_INDEX, ADD, ADD_INDEX, AND, ANY_BIT, Assembler, AssemblyError, EQUAL, GREATER, INDEX_ACCUMULATOR,
    INDEX_CONSTANT, Instruction, LOAD_BYTE, LOAD_BYTE_AT_INDEX, LOAD_CELL, LOAD_HALF, LOAD_HALF_AT_INDEX, LOAD_LENGTH,
    LOAD_WORD, LOAD_WORD_AT_INDEX, Label, RETURN, SHIFT_LEFT, SHIFT_RIGHT, STORE_CELL,
};
use crate::decode::LinkType;

/// Kept of every packet: two VLAN tags, IPv4 and TCP with all their options need 142 bytes, a packet inside of VXLAN over IPv6 156.
pub const HEADER_BYTES: u32 = 160;
/// Kept of what the program does not follow.
pub const OTHER_BYTES: u32 = 256;
/// A frame up to this length that ends what its sender wrote (PSH) is a request or an answer, not bulk data.
const MESSAGE_BYTES: u32 = 1200;
/// Addresses of this host that are distinguished; on a host with more, traffic of the others is captured.
pub const MAX_OWN: usize = 64;

const IPV4: u32 = 0x0800;
const IPV6: u32 = 0x86dd;
/// IEEE 802.1Q, and 802.1ad for the outer of two tags.
const TAGS: [u32; 2] = [0x8100, 0x88a8];
const TCP: u32 = 6;
const UDP: u32 = 17;
/// RFC 1035, and multicast DNS (RFC 6762).
const DNS: [u32; 2] = [53, 5353];
/// VXLAN (RFC 7348, and Linux's older choice), Geneve (RFC 8926), GTP-U (TS 29.281), Teredo (RFC 4380).
const TUNNELS: [u32; 5] = [4789, 8472, 6081, 2152, 3544];
/// First four bytes of requests that are longer than a message: HTTP methods and HTTP/2's preface, SSH (RFC 4253), PROXY
/// protocol 1 and 2.
const REQUESTS: [&[u8; 4]; 12] =
    [b"GET ", b"POST", b"PUT ", b"HEAD", b"DELE", b"OPTI", b"PATC", b"CONN", b"PRI ", b"SSH-", b"PROX", b"\r\n\r\n"];
/// A TLS record that holds a handshake message, and one that holds data (RFC 8446, 5.1): type and major version.
const TLS_HANDSHAKE: u32 = 0x1603;
const TLS_DATA: u32 = 0x1703;
const PSH: u32 = 0x08;

/// Bytes kept of a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Snap {
    /// So many of each.
    Flat(u32),
    /// Headers of most; so many of DNS, of what begins a conversation, and of short messages.
    Adaptive(u32),
}

impl Snap {
    /// The most that is kept of any packet.
    pub const fn most(self) -> u32 {
        match self {
            Self::Flat(bytes) => bytes,
            Self::Adaptive(bytes) => {
                if bytes > OTHER_BYTES {
                    bytes
                } else {
                    OTHER_BYTES
                }
            }
        }
    }
}

/// The filter of an interface with this link type; `own` names sockets whose TCP traffic is left out.
pub(super) fn program(link: LinkType, snap: Snap, own: &[SocketAddr]) -> Result<Vec<Instruction>, AssemblyError> {
    let mut writer = Writer { assembler: Assembler::default(), link, base: None };
    for socket in own.iter().take(MAX_OWN) {
        writer.leave_out(*socket);
    }
    match snap {
        Snap::Adaptive(_) if matches!(link, LinkType::ETHERNET | LinkType::RAW) => writer.adaptive(snap.most()),
        Snap::Adaptive(_) => writer.assembler.op(RETURN, OTHER_BYTES),
        Snap::Flat(bytes) => writer.assembler.op(RETURN, bytes),
    }
    writer.assembler.finish()
}

/// Where the program can end.
#[derive(Clone, Copy)]
struct Ends {
    headers: Label,
    other: Label,
    whole: Label,
}

struct Writer {
    assembler: Assembler,
    link: LinkType,
    /// Where the transport header is, if at a fixed place; else the index register says it.
    base: Option<u32>,
}

/// Where a frame without tags and options has its fields.
#[derive(Clone, Copy)]
struct Plain {
    kind: u32,
    protocol: u32,
    transport: u32,
}

const PLAIN_IPV4: Plain = Plain { kind: IPV4, protocol: 23, transport: 34 };
const PLAIN_IPV6: Plain = Plain { kind: IPV6, protocol: 20, transport: 54 };

/// Loads from a fixed place, and from the index register. The kernel's compiler makes a load of the first, and a call of the second.
const BYTE: [u16; 2] = [LOAD_BYTE, LOAD_BYTE_AT_INDEX];
const HALF: [u16; 2] = [LOAD_HALF, LOAD_HALF_AT_INDEX];
const WORD: [u16; 2] = [LOAD_WORD, LOAD_WORD_AT_INDEX];

/// Scratch cells.
const PROTOCOL_CELL: u32 = 0;
const FLAGS_CELL: u32 = 1;

impl Writer {
    fn adaptive(&mut self, whole: u32) {
        let long = self.assembler.label();
        self.assembler.op(LOAD_LENGTH, 0);
        self.assembler.when(GREATER, HEADER_BYTES, long);
        self.assembler.op(RETURN, HEADER_BYTES);
        self.assembler.place(long);
        if self.link == LinkType::ETHERNET {
            self.plain(PLAIN_IPV4, whole);
            self.plain(PLAIN_IPV6, whole);
        }
        let ends = self.ends();
        let (v4, v6) = (self.assembler.label(), self.assembler.label());
        self.network(v4, v6, ends);
        let transport = self.assembler.label();
        self.ipv4(v4, transport, ends);
        self.ipv6(v6);
        self.assembler.place(transport);
        self.assembler.op(LOAD_CELL, PROTOCOL_CELL);
        self.transport(ends);
        self.finish(ends, whole);
    }

    fn ends(&mut self) -> Ends {
        Ends { headers: self.assembler.label(), other: self.assembler.label(), whole: self.assembler.label() }
    }

    fn finish(&mut self, ends: Ends, whole: u32) {
        for (label, bytes) in [(ends.headers, HEADER_BYTES), (ends.other, OTHER_BYTES), (ends.whole, whole)] {
            self.assembler.place(label);
            self.assembler.op(RETURN, bytes);
        }
    }

    /// Frames without tags and options, whose fields are at fixed places; others go on behind this.
    fn plain(&mut self, plain: Plain, whole: u32) {
        let (next, ends) = (self.assembler.label(), self.ends());
        self.assembler.op(LOAD_HALF, 12);
        self.assembler.unless(EQUAL, plain.kind, next);
        if plain.kind == IPV4 {
            self.assembler.op(LOAD_BYTE, 14);
            self.assembler.unless(EQUAL, 0x45, next);
            self.assembler.op(LOAD_HALF, 20);
            self.assembler.when(ANY_BIT, 0x1fff, next);
        }
        self.base = Some(plain.transport);
        self.assembler.op(LOAD_BYTE, plain.protocol);
        self.transport(ends);
        self.base = None;
        self.finish(ends, whole);
        self.assembler.place(next);
    }

    /// Loads from a place in the transport header.
    fn load(&mut self, [fixed, at_index]: [u16; 2], place: u32) {
        match self.base {
            Some(base) => self.assembler.op(fixed, base + place),
            None => self.assembler.op(at_index, place),
        }
    }

    /// The index register to the IP header; then to its version.
    fn network(&mut self, v4: Label, v6: Label, ends: Ends) {
        let asm = &mut self.assembler;
        if self.link == LinkType::RAW {
            asm.op(INDEX_CONSTANT, 0);
            asm.op(LOAD_BYTE, 0);
            asm.op(AND, 0xf0);
            asm.when(EQUAL, 0x40, v4);
            asm.branch(EQUAL, 0x60, v6, ends.other);
            return;
        }
        let kind = asm.label();
        for header in [14, 18] {
            asm.op(INDEX_CONSTANT, header);
            asm.op(LOAD_HALF, header - 2);
            let tagged = asm.label();
            asm.when(EQUAL, TAGS[0], tagged);
            asm.unless(EQUAL, TAGS[1], kind);
            asm.place(tagged);
        }
        asm.op(INDEX_CONSTANT, 22);
        asm.op(LOAD_HALF, 20);
        asm.place(kind);
        asm.when(EQUAL, IPV4, v4);
        asm.branch(EQUAL, IPV6, v6, ends.other);
    }

    /// The protocol to its cell, the index to the transport header. A later fragment has none.
    fn ipv4(&mut self, start: Label, transport: Label, ends: Ends) {
        let asm = &mut self.assembler;
        asm.place(start);
        asm.op(LOAD_HALF_AT_INDEX, 6);
        asm.when(ANY_BIT, 0x1fff, ends.headers);
        asm.op(LOAD_BYTE_AT_INDEX, 9);
        asm.op(STORE_CELL, PROTOCOL_CELL);
        asm.op(LOAD_BYTE_AT_INDEX, 0);
        asm.op(AND, 0x0f);
        asm.op(SHIFT_LEFT, 2);
        asm.op(ADD_INDEX, 0);
        asm.op(INDEX_ACCUMULATOR, 0);
        asm.jump(transport);
    }

    fn ipv6(&mut self, start: Label) {
        let asm = &mut self.assembler;
        asm.place(start);
        asm.op(LOAD_BYTE_AT_INDEX, 6);
        asm.op(STORE_CELL, PROTOCOL_CELL);
        asm.op(ACCUMULATOR_INDEX, 0);
        asm.op(ADD, 40);
        asm.op(INDEX_ACCUMULATOR, 0);
    }

    /// The accumulator holds the protocol.
    fn transport(&mut self, ends: Ends) {
        let (tcp, udp) = (self.assembler.label(), self.assembler.label());
        self.assembler.when(EQUAL, TCP, tcp);
        self.assembler.branch(EQUAL, UDP, udp, ends.other);
        self.assembler.place(tcp);
        self.tcp(ends);
        self.assembler.place(udp);
        self.udp(ends);
    }

    fn tcp(&mut self, ends: Ends) {
        for port in [0, 2] {
            self.load(HALF, port);
            self.assembler.when(EQUAL, DNS[0], ends.whole);
        }
        self.load(BYTE, 13);
        self.assembler.op(STORE_CELL, FLAGS_CELL);
        // The data offset counts words in the upper half of its byte.
        self.load(BYTE, 12);
        let asm = &mut self.assembler;
        asm.op(AND, 0xf0);
        asm.op(SHIFT_RIGHT, 2);
        match self.base {
            Some(base) => asm.op(ADD, base),
            None => asm.op(ADD_INDEX, 0),
        }
        asm.op(INDEX_ACCUMULATOR, 0);
        asm.op(LOAD_HALF_AT_INDEX, 0);
        asm.when(EQUAL, TLS_HANDSHAKE, ends.whole);
        asm.when(EQUAL, TLS_DATA, ends.headers);
        asm.op(LOAD_WORD_AT_INDEX, 0);
        for request in REQUESTS {
            asm.when(EQUAL, u32::from_be_bytes(*request), ends.whole);
        }
        asm.op(LOAD_CELL, FLAGS_CELL);
        asm.unless(ANY_BIT, PSH, ends.headers);
        asm.op(LOAD_LENGTH, 0);
        asm.branch(GREATER, MESSAGE_BYTES, ends.headers, ends.whole);
    }

    fn udp(&mut self, ends: Ends) {
        for (place, tunnels) in [(0, &[][..]), (2, &TUNNELS)] {
            self.load(HALF, place);
            for (known, end) in [(&DNS[..], ends.whole), (tunnels, ends.other)] {
                for port in known {
                    self.assembler.when(EQUAL, *port, end);
                }
            }
        }
        // QUIC's Initial packets carry the ClientHello: RFC 9000 (version 1) and its drafts, RFC 9369 (version 2).
        let (first, second) = (self.assembler.label(), self.assembler.label());
        self.load(WORD, 9);
        let asm = &mut self.assembler;
        asm.when(EQUAL, 1, first);
        asm.when(EQUAL, 0x6b33_43cf, second);
        asm.op(SHIFT_RIGHT, 8);
        asm.unless(EQUAL, 0x00ff_0000, ends.headers);
        for (label, initial) in [(first, 0xc0), (second, 0xd0)] {
            self.assembler.place(label);
            self.load(BYTE, 8);
            let asm = &mut self.assembler;
            asm.op(AND, 0xf0);
            asm.branch(EQUAL, initial, ends.whole, ends.headers);
        }
    }

    /// Ends with nothing kept for TCP from or to this socket, without tags, options and extension headers.
    fn leave_out(&mut self, socket: SocketAddr) {
        let header = match self.link {
            LinkType::ETHERNET => 14,
            LinkType::RAW => 0,
            _ => return,
        };
        let next = self.assembler.label();
        let port = u32::from(socket.port());
        match socket.ip() {
            IpAddr::V4(ip) => {
                self.is_plain_tcp(header, [0x45, 9, 24], IPV4, next);
                self.assembler.op(LOAD_HALF, header + 6);
                self.assembler.when(ANY_BIT, 0x1fff, next);
                let words = [u32::from(ip)];
                self.drop_if(header + 16, &words, (header + 22, port));
                self.drop_if(header + 12, &words, (header + 20, port));
            }
            IpAddr::V6(ip) => {
                self.is_plain_tcp(header, [0x60, 6, 44], IPV6, next);
                let words =
                    ip.octets().as_chunks::<4>().0.iter().map(|word| u32::from_be_bytes(*word)).collect::<Vec<_>>();
                self.drop_if(header + 24, &words, (header + 42, port));
                self.drop_if(header + 8, &words, (header + 40, port));
            }
        }
        self.assembler.place(next);
    }

    /// Goes on only if the packet is long enough and is TCP right behind the IP header.
    fn is_plain_tcp(&mut self, header: u32, [version, protocol, bytes]: [u32; 3], kind: u32, next: Label) {
        let asm = &mut self.assembler;
        asm.op(LOAD_LENGTH, 0);
        asm.unless(GREATER, header + bytes, next);
        if header > 0 {
            asm.op(LOAD_HALF, header - 2);
            asm.unless(EQUAL, kind, next);
        }
        asm.op(LOAD_BYTE, header);
        // IPv6's traffic class shares this byte.
        asm.op(AND, if kind == IPV6 { 0xf0 } else { 0xff });
        asm.unless(EQUAL, version, next);
        asm.op(LOAD_BYTE, header + protocol);
        asm.unless(EQUAL, TCP, next);
    }

    fn drop_if(&mut self, address: u32, words: &[u32], (place, port): (u32, u32)) {
        let asm = &mut self.assembler;
        let other = asm.label();
        for (at, word) in (address..).step_by(4).zip(words) {
            asm.op(LOAD_WORD, at);
            asm.unless(EQUAL, *word, other);
        }
        asm.op(LOAD_HALF, place);
        asm.unless(EQUAL, port, other);
        asm.op(RETURN, 0);
        asm.place(other);
    }
}

#[cfg(test)]
mod tests;

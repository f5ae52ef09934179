//! Ethernet frames with IPv4, built from their meaning: honest ones and forged ones.
//!
//! Contract: a frame is what its fields say, whatever sense they make together. Limits: IPv4, checksums are zero (the decoder reads none).
#![allow(dead_code, reason = "helpers of tests: each binary uses a part")]

use std::net::Ipv4Addr;

use hopwatch::input::Mac;

/// What an IPv4 packet carries.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Content {
    Tcp {
        flags: u8,
        seq: u32,
        ack: u32,
        payload: usize,
    },
    Udp {
        payload: Vec<u8>,
    },
    /// An ICMP message of this type.
    Icmp {
        kind: u8,
        payload: usize,
    },
}

/// A frame.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame {
    pub src: Mac,
    pub dst: Mac,
    pub vlan: Option<u16>,
    pub from: (Ipv4Addr, u16),
    pub to: (Ipv4Addr, u16),
    pub ttl: u8,
    /// IPv4 options; padded to whole words.
    pub options: Vec<u8>,
    /// Only the first bytes of the content, as the first fragment of more.
    pub first_bytes: Option<usize>,
    pub content: Content,
}

impl Frame {
    /// The same frame as its receiver's answer: addresses turned round.
    #[must_use]
    pub fn turned(mut self) -> Self {
        std::mem::swap(&mut self.src, &mut self.dst);
        std::mem::swap(&mut self.from, &mut self.to);
        self
    }

    /// What is on the wire.
    pub fn bytes(&self) -> Vec<u8> {
        let (protocol, mut content) = self.content();
        let more = self.first_bytes.is_some_and(|first| first < content.len());
        content.truncate(self.first_bytes.unwrap_or(usize::MAX));
        let mut options = self.options.clone();
        options.resize(options.len().next_multiple_of(4), 0);
        let words = u8::try_from(5 + options.len() / 4).expect("few options");
        let total = u16::try_from(20 + options.len() + content.len()).expect("a packet").to_be_bytes();
        let place = if more { [0x20, 0] } else { [0, 0] };
        let mut frame = [self.dst.0, self.src.0].concat();
        if let Some(vlan) = self.vlan {
            frame.extend([0x81, 0]);
            frame.extend(vlan.to_be_bytes());
        }
        frame.extend([8, 0, 0x40 | words, 0, total[0], total[1], 0, 7, place[0], place[1], self.ttl, protocol, 0, 0]);
        frame.extend(self.from.0.octets());
        frame.extend(self.to.0.octets());
        frame.extend(options);
        frame.extend(content);
        frame
    }

    fn content(&self) -> (u8, Vec<u8>) {
        let mut bytes = [self.from.1.to_be_bytes(), self.to.1.to_be_bytes()].concat();
        match &self.content {
            Content::Tcp { flags, seq, ack, payload } => {
                bytes.extend(seq.to_be_bytes());
                bytes.extend(ack.to_be_bytes());
                bytes.extend([0x50, *flags, 0xff, 0xff, 0, 0, 0, 0]);
                bytes.resize(20 + payload, 0x61);
                (6, bytes)
            }
            Content::Udp { payload } => {
                bytes.extend(u16::try_from(8 + payload.len()).expect("a datagram").to_be_bytes());
                bytes.extend([0, 0]);
                bytes.extend(payload);
                (17, bytes)
            }
            Content::Icmp { kind, payload } => {
                let mut message = vec![*kind, 0, 0, 0, 0, 9, 0, 1];
                message.resize(8 + payload, 0x61);
                (1, message)
            }
        }
    }
}

/// An ARP answer: `ip` is at `mac`.
pub fn arp_answer(src: Mac, ip: Ipv4Addr, mac: Mac) -> Vec<u8> {
    let message = [&[0, 1, 8, 0, 6, 4, 0, 2][..], &mac.0, &ip.octets(), &[0; 6], &[172, 20, 0, 1], &[0; 18]].concat();
    [&[0xff; 6][..], &src.0, &[8, 6], &message].concat()
}

/// A loose source route over `hops`, as an IPv4 option.
pub fn loose_route(hops: &[Ipv4Addr]) -> Vec<u8> {
    let len = u8::try_from(3 + 4 * hops.len()).expect("few hops");
    [&[0x83, len, 4][..], &hops.iter().flat_map(Ipv4Addr::octets).collect::<Vec<_>>()].concat()
}

//! What a DNS answer says of the name that was asked for: its addresses, and for how long.
//!
//! Contract: only records that the asked name owns count, or that a chain of `CNAME`s leads to from it; addresses stand in A and AAAA records and
//! in the hints of HTTPS and SVCB records (RFC 9460 §7.3). Case makes no difference. What was cut off is not missed.
//! Limits: [`MAX_RECORDS`] records, [`MAX_ADDRESSES`] addresses. A chain that stands behind its addresses is followed once. Signatures are not checked.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::super::reader::Reader;
use super::write_name;

/// Records of an answer that are read.
const MAX_RECORDS: usize = 64;
/// Addresses of a name that are kept.
pub const MAX_ADDRESSES: usize = 16;

/// The types that are read.
mod kind {
    pub const A: u16 = 1;
    pub const CNAME: u16 = 5;
    pub const AAAA: u16 = 28;
    pub const SVCB: u16 = 64;
    pub const HTTPS: u16 = 65;
}

/// What an answer says of the name that was asked for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Addresses {
    /// Where it is, each once, in the order of the message.
    pub addresses: Vec<IpAddr>,
    /// Seconds for which that holds: the least of the chain.
    pub ttl: u32,
}

/// Whether the answer to a question of this type may say addresses.
pub const fn may_have_addresses(kind: u16) -> bool {
    matches!(kind, kind::A | kind::CNAME | kind::AAAA | kind::SVCB | kind::HTTPS)
}

/// Reads the addresses of `name` from an answer with one question; none where it says none.
pub fn addresses(message: &[u8], name: &str) -> Addresses {
    let mut chain = Chain { name: name.to_owned(), found: Addresses { ttl: u32::MAX, ..Addresses::default() } };
    chain.follow(message);
    if chain.found.addresses.is_empty() && chain.name != name {
        // The addresses stand before the chain that leads to them.
        chain.follow(message);
    }
    chain.found
}

/// The name that the next record must belong to, and what was found.
struct Chain {
    name: String,
    found: Addresses,
}

impl Chain {
    /// One pass over the records.
    fn follow(&mut self, message: &[u8]) {
        let mut owner = String::new();
        let Some((count, mut at)) = first_record(message, &mut owner) else { return };
        for _ in 0..count.min(MAX_RECORDS) {
            let Some(next) = self.record(message, at, &mut owner) else { return };
            at = next;
        }
    }

    /// Reads the record at a place; gives the place of the next.
    fn record(&mut self, message: &[u8], at: usize, owner: &mut String) -> Option<usize> {
        let head_at = write_name(message, at, owner)?;
        let mut head = Reader(message.get(head_at..)?);
        let (kind, _class, ttl, len) = (head.u16()?, head.u16()?, head.u32()?, usize::from(head.u16()?));
        let data = head.take(len)?;
        let data_at = head_at + 10;
        if owner.eq_ignore_ascii_case(&self.name) {
            self.take(message, (kind, ttl), (data_at, data), owner);
        }
        Some(data_at + len)
    }

    fn take(&mut self, message: &[u8], (kind, ttl): (u16, u32), (at, data): (usize, &[u8]), text: &mut String) {
        let before = self.found.addresses.len();
        match kind {
            kind::A => self.add_all::<4, Ipv4Addr>(data),
            kind::AAAA => self.add_all::<16, Ipv6Addr>(data),
            kind::CNAME if write_name(message, at, text).is_some() => {
                self.name.clone_from(text);
                self.found.ttl = self.found.ttl.min(ttl);
            }
            kind::HTTPS | kind::SVCB => self.hints(message, at, data, text),
            _ => {}
        }
        if self.found.addresses.len() > before {
            self.found.ttl = self.found.ttl.min(ttl);
        }
    }

    /// Priority, target, parameters (RFC 9460 §2.2): the hints are of the target, which the client connects to in the name's place.
    fn hints(&mut self, message: &[u8], at: usize, data: &[u8], text: &mut String) {
        const IPV4_HINT: u16 = 4;
        const IPV6_HINT: u16 = 6;
        let Some(end) = write_name(message, at + 2, text) else { return };
        let mut parameters = Reader(data.get(end - at..).unwrap_or(&[]));
        while let (Some(key), Some(value)) = (parameters.u16(), parameters.vec16()) {
            match key {
                IPV4_HINT => self.add_all::<4, Ipv4Addr>(value),
                IPV6_HINT => self.add_all::<16, Ipv6Addr>(value),
                _ => {}
            }
        }
    }

    /// One address after another.
    fn add_all<const N: usize, A: From<[u8; N]> + Into<IpAddr>>(&mut self, data: &[u8]) {
        data.as_chunks::<N>().0.iter().for_each(|bytes| self.add(A::from(*bytes).into()));
    }

    /// Block lists answer with the unspecified address: nobody connects there.
    fn add(&mut self, ip: IpAddr) {
        let addresses = &mut self.found.addresses;
        let is_place = !ip.is_unspecified() && !ip.is_multicast();
        if is_place && addresses.len() < MAX_ADDRESSES && !addresses.contains(&ip) {
            addresses.push(ip);
        }
    }
}

/// How many records answer, and where the first is; `None` unless there is one question.
fn first_record(message: &[u8], text: &mut String) -> Option<(usize, usize)> {
    let mut head = Reader(message);
    let (_id, _flags, questions, records) = (head.u16()?, head.u16()?, head.u16()?, head.u16()?);
    let question = if questions == 1 { write_name(message, 12, text)? } else { return None };
    Some((usize::from(records), question + 4))
}

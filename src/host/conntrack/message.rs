//! Messages of `nfnetlink_conntrack`: two tuples, one as the originator sent, one as the reply comes.
//!
//! Contract: total; a message without two sound tuples is counted as malformed, one of another kind is passed over. Nothing is
//! allocated. Limits: protocols other than TCP, UDP and SCTP have no ports here, and ICMP has types for ports, as in the flow meter.

use std::net::IpAddr;

use crate::decode::icmp_ports;
use crate::host::netlink::{DONE, ERROR, Message, attributes, messages};
use crate::input::{Endpoint, FiveTuple, Protocol};

/// `NFNL_SUBSYS_CTNETLINK << 8 | IPCTNL_MSG_CT_NEW`: new connections, and those of a dump.
pub(super) const NEW: u16 = 0x0100;
/// The same with `IPCTNL_MSG_CT_DELETE`.
const DELETE: u16 = 0x0102;
/// Length of `struct nfgenmsg`.
pub(super) const FIXED: usize = 4;

const TUPLE_ORIG: u16 = 1;
const TUPLE_REPLY: u16 = 2;
const ZONE: u16 = 18;

const TUPLE_IP: u16 = 1;
const TUPLE_PROTO: u16 = 2;
const TUPLE_ZONE: u16 = 3;

/// A connection that is translated.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Connection {
    /// Its entry is gone.
    pub gone: bool,
    /// As the originator sent it.
    pub before: FiveTuple,
    /// In the same direction, behind the translation.
    pub after: FiveTuple,
    /// Tells entries apart whose five-tuples are the same: the zone and an identifier of the protocol. 0 for most.
    pub tag: u32,
}

/// How much was read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Messages about connections, translated or not.
    pub messages: u64,
    /// Messages, or ends of answers, that made no sense.
    pub malformed: u64,
}

impl Tally {
    pub(super) const fn add(&mut self, other: Self) {
        self.messages += other.messages;
        self.malformed += other.malformed;
    }
}

/// Reads one datagram of events; `each` sees the translated connections.
pub fn read(datagram: &[u8], mut each: impl FnMut(&Connection)) -> Tally {
    let mut tally = Tally::default();
    for message in messages(datagram) {
        match message {
            Ok(message) if message.kind == DONE => break,
            Ok(message) if message.kind != ERROR => take(&message, &mut tally, &mut each),
            Ok(_) | Err(_) => tally.malformed += 1,
        }
    }
    tally
}

/// Reads one message; `each` sees it if it is about a translated connection.
pub(super) fn take(message: &Message<'_>, tally: &mut Tally, each: &mut dyn FnMut(&Connection)) {
    if !matches!(message.kind, NEW | DELETE) {
        return;
    }
    tally.messages += 1;
    match entry(message.body) {
        Some(entry) => entry.translated(message.kind == DELETE).iter().for_each(each),
        None => tally.malformed += 1,
    }
}

/// A connection, translated or not.
struct Entry {
    orig: Tuple,
    reply: Tuple,
    zone: Option<u16>,
}

impl Entry {
    fn translated(&self, gone: bool) -> Option<Connection> {
        let (before, after) = (self.orig.five(), self.reply.answered(&self.orig));
        let zone = self.zone.or(self.orig.zone).unwrap_or(0);
        let tag = u32::from(self.orig.id()) | u32::from(zone) << 16;
        (before != after).then_some(Connection { gone, before, after, tag })
    }
}

fn entry(body: &[u8]) -> Option<Entry> {
    let (mut orig, mut reply, mut zone) = (None, None, None);
    for (kind, value) in attributes(body.get(FIXED..)?) {
        match kind {
            TUPLE_ORIG => orig = Some(tuple(value)?),
            TUPLE_REPLY => reply = Some(tuple(value)?),
            ZONE => zone = Some(be16(value)?),
            _ => {}
        }
    }
    let (orig, reply) = (orig?, reply?);
    let alike = orig.protocol == reply.protocol && orig.source.is_ipv4() == reply.source.is_ipv4();
    alike.then_some(Entry { orig, reply, zone })
}

/// One direction.
#[derive(Clone, Copy, Debug)]
struct Tuple {
    source: IpAddr,
    destination: IpAddr,
    protocol: Protocol,
    ports: (u16, u16),
    /// Of ICMP, both versions.
    icmp: (u16, u8, u8),
    zone: Option<u16>,
}

impl Tuple {
    /// As the flow meter makes it.
    fn five(&self) -> FiveTuple {
        let (first, second) = self.meter_ports();
        FiveTuple {
            protocol: self.protocol,
            orig: Endpoint { ip: self.source, port: first },
            resp: Endpoint { ip: self.destination, port: second },
        }
    }

    /// What is answered by this, in the direction of the original; ICMP types are those of the question.
    fn answered(&self, question: &Self) -> FiveTuple {
        let ports = match self.protocol {
            Protocol::ICMP | Protocol::ICMPV6 => question.meter_ports(),
            _ => {
                let (first, second) = self.meter_ports();
                (second, first)
            }
        };
        FiveTuple {
            protocol: self.protocol,
            orig: Endpoint { ip: self.destination, port: ports.0 },
            resp: Endpoint { ip: self.source, port: ports.1 },
        }
    }

    fn meter_ports(&self) -> (u16, u16) {
        match self.protocol {
            Protocol::TCP | Protocol::UDP | Protocol::SCTP => self.ports,
            Protocol::ICMP | Protocol::ICMPV6 => {
                let (first, second, _) = icmp_ports(self.protocol, self.icmp.1, self.icmp.2);
                (first, second)
            }
            _ => (0, 0),
        }
    }

    /// What the five-tuple leaves out.
    const fn id(&self) -> u16 {
        match self.protocol {
            Protocol::TCP | Protocol::UDP | Protocol::SCTP => 0,
            Protocol::ICMP | Protocol::ICMPV6 => self.icmp.0,
            // Keys of GRE, ports of protocols of which the meter reads none.
            _ => self.ports.0,
        }
    }
}

fn tuple(value: &[u8]) -> Option<Tuple> {
    let (mut addresses, mut proto, mut zone) = (None, None, None);
    for (kind, value) in attributes(value) {
        match kind {
            TUPLE_IP => addresses = Some(ends(value)?),
            TUPLE_PROTO => proto = Some(protocol(value)?),
            TUPLE_ZONE => zone = Some(be16(value)?),
            _ => {}
        }
    }
    let ((source, destination), (protocol, ports, icmp)) = (addresses?, proto?);
    Some(Tuple { source, destination, protocol, ports, icmp, zone })
}

fn ends(value: &[u8]) -> Option<(IpAddr, IpAddr)> {
    let (mut source, mut destination) = (None, None);
    for (kind, value) in attributes(value) {
        match kind {
            1 | 3 => source = Some(address(kind == 1, value)?),
            2 | 4 => destination = Some(address(kind == 2, value)?),
            _ => {}
        }
    }
    let (source, destination) = (source?, destination?);
    (source.is_ipv4() == destination.is_ipv4()).then_some((source, destination))
}

fn address(v4: bool, value: &[u8]) -> Option<IpAddr> {
    if v4 {
        Some(IpAddr::from(<[u8; 4]>::try_from(value).ok()?))
    } else {
        Some(IpAddr::from(<[u8; 16]>::try_from(value).ok()?))
    }
}

type Proto = (Protocol, (u16, u16), (u16, u8, u8));

fn protocol(value: &[u8]) -> Option<Proto> {
    let (mut number, mut ports, mut icmp) = (None, (0, 0), (0, 0, 0));
    for (kind, value) in attributes(value) {
        match kind {
            1 => number = Some(byte(value)?),
            2 => ports.0 = be16(value)?,
            3 => ports.1 = be16(value)?,
            4 | 7 => icmp.0 = be16(value)?,
            5 | 8 => icmp.1 = byte(value)?,
            6 | 9 => icmp.2 = byte(value)?,
            _ => {}
        }
    }
    Some((Protocol(number?), ports, icmp))
}

fn byte(value: &[u8]) -> Option<u8> {
    value.first().copied()
}

fn be16(value: &[u8]) -> Option<u16> {
    Some(u16::from_be_bytes(*value.first_chunk()?))
}

#[cfg(test)]
mod tests;

//! The information elements of a record: the template, and how each is written.
//!
//! Contract: fixed elements have the length that their template says, texts say their own length. Elements of IANA's registry where there is one (their numbers stand
//! beside them), their reverse under the number of RFC 5103, and hopwatch's own under an enterprise number. Limits: texts of [`MAX_TEXT`] bytes, cut at a character; so a record
//! always fits into one datagram, and a length always into one byte.

use std::net::IpAddr;

use super::{Content, Record};
use crate::escape::printable;
use crate::input::{EndReason, TcpFacts};
use crate::time::Timestamp;

/// Bytes of a text.
pub(super) const MAX_TEXT: usize = 100;
/// The length of a text, in a template.
pub(super) const VARIABLE: u16 = u16::MAX;
/// RFC 5103: what the other direction is counted under.
const REVERSE: u32 = 29_305;
const ENTERPRISE_BIT: u16 = 0x8000;
const FLOWS_V4: u16 = 256;
const FLOWS_V6: u16 = 257;
const JUDGED_V4: u16 = 258;
const JUDGED_V6: u16 = 259;
/// `biflowDirection`: the source is who began.
const INITIATOR: u8 = 1;

/// One field of a template: whose number, the number, the length, and what stands there.
#[derive(Clone, Copy, Debug)]
pub(super) struct Field {
    whose: Whose,
    number: u16,
    pub(super) length: u16,
    write: fn(&Record<'_>, &mut Vec<u8>),
}

#[derive(Clone, Copy, Debug)]
enum Whose {
    Iana,
    Reverse,
    Ours,
}

impl Field {
    const fn iana(number: u16, length: u16, write: fn(&Record<'_>, &mut Vec<u8>)) -> Self {
        Self { whose: Whose::Iana, number, length, write }
    }

    const fn reverse(number: u16, length: u16, write: fn(&Record<'_>, &mut Vec<u8>)) -> Self {
        Self { whose: Whose::Reverse, number, length, write }
    }

    const fn ours(number: u16, write: fn(&Record<'_>, &mut Vec<u8>)) -> Self {
        Self { whose: Whose::Ours, number, length: VARIABLE, write }
    }

    /// Writes the value of a record.
    pub(super) fn write(&self, record: &Record<'_>, out: &mut Vec<u8>) {
        (self.write)(record, out);
    }
}

/// `flowStartMilliseconds`, `flowEndMilliseconds`.
const START: Field = Field::iana(152, 8, |record, out| millis(record.start, out));
const END: Field = Field::iana(153, 8, |record, out| millis(record.end, out));
/// `sourceIPv4Address`, `destinationIPv4Address`.
const SOURCE_V4: Field = Field::iana(8, 4, |record, out| v4(record.tuple.orig.ip, out));
const DESTINATION_V4: Field = Field::iana(12, 4, |record, out| v4(record.tuple.resp.ip, out));
/// `sourceIPv6Address`, `destinationIPv6Address`.
const SOURCE_V6: Field = Field::iana(27, 16, |record, out| v6(record.tuple.orig.ip, out));
const DESTINATION_V6: Field = Field::iana(28, 16, |record, out| v6(record.tuple.resp.ip, out));
/// `sourceTransportPort`, `destinationTransportPort`, `protocolIdentifier`.
const SOURCE_PORT: Field = Field::iana(7, 2, |record, out| out.extend(record.tuple.orig.port.to_be_bytes()));
const DESTINATION_PORT: Field = Field::iana(11, 2, |record, out| out.extend(record.tuple.resp.port.to_be_bytes()));
const PROTOCOL: Field = Field::iana(4, 1, |record, out| out.push(record.tuple.protocol.0));
/// `tcpControlBits`, both ways.
const FLAGS: Field = Field::iana(6, 2, |record, out| flags(record.tcp.map(|tcp: TcpFacts| tcp.orig_flags), out));
const REVERSE_FLAGS: Field = Field::reverse(6, 2, |record, out| flags(record.tcp.map(|tcp| tcp.resp_flags), out));
/// `packetDeltaCount`, `octetDeltaCount`, both ways.
const PACKETS: Field = Field::iana(2, 8, |record, out| out.extend(record.orig.0.to_be_bytes()));
const BYTES: Field = Field::iana(1, 8, |record, out| out.extend(record.orig.1.to_be_bytes()));
const REVERSE_PACKETS: Field = Field::reverse(2, 8, |record, out| out.extend(record.resp.0.to_be_bytes()));
const REVERSE_BYTES: Field = Field::reverse(1, 8, |record, out| out.extend(record.resp.1.to_be_bytes()));
/// `packetTotalCount`, `octetTotalCount`, both ways: a judged flow goes on, and is told again with all that it carried.
const TOTAL_PACKETS: Field = Field::iana(86, 8, |record, out| out.extend(record.orig.0.to_be_bytes()));
const TOTAL_BYTES: Field = Field::iana(85, 8, |record, out| out.extend(record.orig.1.to_be_bytes()));
const REVERSE_TOTAL_PACKETS: Field = Field::reverse(86, 8, |record, out| out.extend(record.resp.0.to_be_bytes()));
const REVERSE_TOTAL_BYTES: Field = Field::reverse(85, 8, |record, out| out.extend(record.resp.1.to_be_bytes()));
/// `flowEndReason`.
const END_REASON: Field = Field::iana(136, 1, |record, out| out.push(end_reason(record.end_reason)));
/// `biflowDirection`.
const DIRECTION: Field = Field::iana(239, 1, |_, out| out.push(INITIATOR));
/// `interfaceName`.
const POINT: Field = Field::iana(82, VARIABLE, |record, out| text(record.point, out));
const COMMUNITY_ID: Field = Field::ours(1, |record, out| text(record.community_id, out));
const NAME: Field = Field::ours(2, |record, out| text(record.name, out));
const VERDICT: Field = Field::ours(10, |record, out| text(record.judged.verdict, out));
const REASON: Field = Field::ours(11, |record, out| text(record.judged.reason, out));
const CONTRACT: Field = Field::ours(12, |record, out| text(record.judged.contract, out));
const MISSING_HOP: Field = Field::ours(13, |record, out| text(record.judged.missing_hop, out));
const WORKLOAD: Field = Field::ours(20, |record, out| text(record.judged.workload, out));
const WORKLOAD_ID: Field = Field::ours(21, |record, out| text(record.judged.workload_id, out));
const CONFIDENCE: Field = Field::ours(22, |record, out| text(record.judged.confidence, out));
const DESTINATION_WORKLOAD: Field = Field::ours(23, |record, out| text(record.judged.destination_workload, out));

/// The ends of a flow, its counters and where it was seen.
macro_rules! flow_fields {
    ($source:ident, $destination:ident) => {
        [
            START,
            END,
            $source,
            $destination,
            SOURCE_PORT,
            DESTINATION_PORT,
            PROTOCOL,
            FLAGS,
            REVERSE_FLAGS,
            PACKETS,
            BYTES,
            REVERSE_PACKETS,
            REVERSE_BYTES,
            END_REASON,
            DIRECTION,
            POINT,
            COMMUNITY_ID,
            NAME,
        ]
    };
}

/// The same of a judged flow, and what is said of it.
macro_rules! judged_fields {
    ($source:ident, $destination:ident) => {
        [
            START,
            END,
            $source,
            $destination,
            SOURCE_PORT,
            DESTINATION_PORT,
            PROTOCOL,
            TOTAL_PACKETS,
            TOTAL_BYTES,
            REVERSE_TOTAL_PACKETS,
            REVERSE_TOTAL_BYTES,
            DIRECTION,
            POINT,
            COMMUNITY_ID,
            NAME,
            VERDICT,
            REASON,
            CONTRACT,
            MISSING_HOP,
            WORKLOAD,
            WORKLOAD_ID,
            CONFIDENCE,
            DESTINATION_WORKLOAD,
        ]
    };
}

/// The template of a record, and its number.
pub(super) const fn of(content: Content, is_v4: bool) -> (u16, &'static [Field]) {
    match (content, is_v4) {
        (Content::Flows, true) => (FLOWS_V4, &const { flow_fields!(SOURCE_V4, DESTINATION_V4) }),
        (Content::Flows, false) => (FLOWS_V6, &const { flow_fields!(SOURCE_V6, DESTINATION_V6) }),
        (Content::JudgedFlows, true) => (JUDGED_V4, &const { judged_fields!(SOURCE_V4, DESTINATION_V4) }),
        (Content::JudgedFlows, false) => (JUDGED_V6, &const { judged_fields!(SOURCE_V6, DESTINATION_V6) }),
    }
}

/// Writes a template record.
pub(super) fn template(id: u16, fields: &[Field], enterprise: u32, out: &mut Vec<u8>) {
    out.extend(id.to_be_bytes());
    out.extend(u16::try_from(fields.len()).unwrap_or(u16::MAX).to_be_bytes());
    for field in fields {
        let number = match field.whose {
            Whose::Iana => None,
            Whose::Reverse => Some(REVERSE),
            Whose::Ours => Some(enterprise),
        };
        let bit = if number.is_some() { ENTERPRISE_BIT } else { 0 };
        out.extend((field.number | bit).to_be_bytes());
        out.extend(field.length.to_be_bytes());
        out.extend(number.map(u32::to_be_bytes).into_iter().flatten());
    }
}

fn millis(at: Timestamp, out: &mut Vec<u8>) {
    out.extend(u64::try_from(at.as_nanos() / 1_000_000).unwrap_or(0).to_be_bytes());
}

fn v4(ip: IpAddr, out: &mut Vec<u8>) {
    match ip {
        IpAddr::V4(ip) => out.extend(ip.octets()),
        // Both are IPv4 where this template is taken.
        IpAddr::V6(_) => out.extend([0; 4]),
    }
}

fn v6(ip: IpAddr, out: &mut Vec<u8>) {
    match ip {
        IpAddr::V4(ip) => out.extend(ip.to_ipv6_mapped().octets()),
        IpAddr::V6(ip) => out.extend(ip.octets()),
    }
}

fn flags(flags: Option<u8>, out: &mut Vec<u8>) {
    out.extend(u16::from(flags.unwrap_or_default()).to_be_bytes());
}

/// 0 where it has not ended, which the registry reserves.
const fn end_reason(reason: Option<EndReason>) -> u8 {
    match reason {
        None => 0,
        Some(EndReason::IdleTimeout) => 1,
        Some(EndReason::ActiveTimeout) => 2,
        Some(EndReason::EndOfFlow) => 3,
        Some(EndReason::ForcedEnd) => 4,
        Some(EndReason::LackOfResources) => 5,
    }
}

/// What a collector shows on a terminal obeys nothing.
fn text(text: &str, out: &mut Vec<u8>) {
    let text = printable(text);
    let cut = text.get(..text.floor_char_boundary(MAX_TEXT)).unwrap_or_default();
    out.push(u8::try_from(cut.len()).unwrap_or_default());
    out.extend(cut.as_bytes());
}

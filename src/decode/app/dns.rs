//! DNS messages (RFC 1035 §4): the first question, and how it was answered. mDNS and LLMNR have the same format.
//!
//! Contract: [`read`] needs the header and the first question; what follows them may be cut or wrong. Names are written as
//! RFC 4343 §2.1 says: `\.` and `\\` inside a label, `\DDD` for what is not printable; the root is `.`.
//! Limits: names of 255 bytes on the wire; a compression pointer must point before the place where the last one led.
//! Messages without a question (answers of mDNS, inverse queries) have none to tell and are passed over.
//! Design: ours, since a library reads all records, which nobody asks for here, and refuses a message for one wrong record.

mod answers;

use std::borrow::Cow;

pub use answers::{Addresses, MAX_ADDRESSES, addresses, may_have_addresses};

use super::Parsed;
use super::reader::Reader;
use crate::input::DnsMessage;

/// Longest name on the wire (RFC 1035 §2.3.4).
const MAX_NAME: usize = 255;
/// Bytes of a message that its header and first question may take.
pub const MAX_QUESTION: usize = 12 + MAX_NAME + 4;
/// Shortest query for a name with a dot in it.
const LEAST_QUERY: usize = 12 + 5 + 4;
/// Longest query that is recognised at any port: an EDNS record with cookie and padding (RFC 8467) included.
const MOST_QUERY: usize = 1024;

/// Header and first question; the name is written into the caller's text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Question {
    /// Identification.
    pub id: u16,
    /// It is an answer.
    pub is_response: bool,
    /// Kind of message: 0 is a query.
    pub opcode: u8,
    /// How it was answered.
    pub rcode: u8,
    /// Type asked for.
    pub kind: u16,
    /// Class asked for.
    pub class: u16,
    /// Bytes that follow the question.
    pub rest: usize,
}

/// Reads a message's first question and writes its name over `name`. `None` where there is none, or it is not well formed.
pub fn read(message: &[u8], name: &mut String) -> Option<Question> {
    let mut head = Reader(message);
    let (id, flags, questions) = (head.u16()?, head.u16()?, head.u16()?);
    // Counts of answers, authorities, additional records.
    head.take(6)?;
    let len = if questions > 0 { write_name(message, 12, name)? } else { return None };
    let mut rest = Reader(message.get(len..)?);
    let (kind, class) = (rest.u16()?, rest.u16()?);
    let [high, low] = flags.to_be_bytes();
    let (is_response, opcode, rcode) = (high & 0x80 != 0, high >> 3 & 0x0f, low & 0x0f);
    Some(Question { id, is_response, opcode, rcode, kind, class, rest: rest.0.len() })
}

/// Whether a message, expected to be one, asks.
pub fn is_question(message: &[u8]) -> bool {
    message.len() >= 12 && message.get(2).is_some_and(|flags| flags & 0x80 == 0)
}

/// Whether the header is that of a standard query for one name, with all bits zero that must be.
pub fn may_be_query(message: &[u8]) -> bool {
    let Some(head) = message.first_chunk::<12>() else { return false };
    let is_query = head[2] & 0xfa == 0 && head[3] & 0xcf == 0;
    is_query && head[4..11] == [0, 1, 0, 0, 0, 0, 0] && head[11] <= 1
}

/// Whether a message that [`may_be_query`] is one beyond doubt, on whatever port: for a host name of class IN and a known
/// type, and nothing follows but an EDNS record.
pub fn is_certain(message: &[u8], name: &str, question: &Question) -> bool {
    let is_host = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    let has_end = if message.get(11) == Some(&0) { question.rest == 0 } else { question.rest >= 11 };
    let is_named = name.contains('.') && name.len() > 3 && name.bytes().all(is_host);
    has_end && is_named && question.class == 1 && type_name(question.kind).is_some()
}

/// One message of a DNS stream over TCP (RFC 1035 §4.2.2): length, message. Gives its first question and its length with
/// the prefix. With `last`, nothing more will come.
pub fn stream(stream: &[u8], last: bool, name: &mut String) -> Parsed<(Option<Question>, usize)> {
    let mut rest = Reader(stream);
    let Some(len) = rest.u16().map(usize::from) else { return if last { Parsed::Other } else { Parsed::More } };
    if len < 12 {
        return Parsed::Other;
    }
    let message = rest.0.get(..len).unwrap_or(rest.0);
    if message.len() < len.min(MAX_QUESTION) && !last {
        return Parsed::More;
    }
    Parsed::Whole((read(message, name), 2 + len))
}

/// As [`stream`], for a connection to any port: a question that [`is_certain`], or the start of one.
pub fn certain_stream(stream: &[u8], last: bool, name: &mut String) -> Parsed<(Question, usize)> {
    let [high, low, message @ ..] = stream else {
        let may_be = !last && stream.first().is_some_and(|high| usize::from(*high) << 8 < MOST_QUERY);
        return if may_be { Parsed::More } else { Parsed::Other };
    };
    let len = usize::from(u16::from_be_bytes([*high, *low]));
    if !(LEAST_QUERY..=MOST_QUERY).contains(&len) || !may_become_query(message) {
        return Parsed::Other;
    }
    let Some(message) = message.get(..len) else { return if last { Parsed::Other } else { Parsed::More } };
    match read(message, name) {
        Some(question) if is_certain(message, name, &question) => Parsed::Whole((question, 2 + len)),
        _ => Parsed::Other,
    }
}

/// Whether what came of a message so far agrees with [`may_be_query`].
fn may_become_query(message: &[u8]) -> bool {
    let mut head = [0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0];
    head.iter_mut().zip(message).for_each(|(place, byte)| *place = *byte);
    may_be_query(&head)
}

/// Writes the name at a place of the message; gives the place after it.
fn write_name(message: &[u8], start: usize, out: &mut String) -> Option<usize> {
    out.clear();
    let (mut at, mut wire_len, mut end) = (start, 1, None);
    let mut limit = start;
    loop {
        let len = *message.get(at)?;
        match len {
            0 => break,
            1..=63 => {
                let label = message.get(at + 1..at + 1 + usize::from(len))?;
                wire_len += label.len() + 1;
                if wire_len > MAX_NAME {
                    return None;
                }
                if !out.is_empty() {
                    out.push('.');
                }
                for byte in label {
                    push_escaped(out, *byte);
                }
                at += 1 + label.len();
            }
            0xc0.. => {
                let target = usize::from(len & 0x3f) << 8 | usize::from(*message.get(at + 1)?);
                end = end.or(Some(at + 2));
                // Always backwards, so it comes to an end.
                if target >= limit {
                    return None;
                }
                (at, limit) = (target, target);
            }
            _ => return None,
        }
    }
    if out.is_empty() {
        out.push('.');
    }
    Some(end.unwrap_or(at + 1))
}

fn push_escaped(out: &mut String, byte: u8) {
    match byte {
        b'.' | b'\\' => out.extend(['\\', char::from(byte)]),
        b' '..=b'~' => out.push(char::from(byte)),
        _ => {
            out.push('\\');
            out.extend([byte / 100, byte / 10 % 10, byte % 10].map(|digit| char::from(b'0' + digit)));
        }
    }
}

impl Question {
    /// What is kept of it.
    pub fn facts(&self, name: &str) -> DnsMessage {
        let rcode = self.is_response.then(|| rcode_name(self.rcode));
        DnsMessage { query: name.to_owned(), kind: kind_name(self.kind), rcode }
    }
}

/// `A`, `AAAA`, … or `TYPE65280` (RFC 3597 §5).
pub fn kind_name(kind: u16) -> Cow<'static, str> {
    type_name(kind).map_or_else(|| Cow::Owned(format!("TYPE{kind}")), Cow::Borrowed)
}

/// `NOERROR`, `NXDOMAIN`, … or `RCODE12`.
pub fn rcode_name(rcode: u8) -> Cow<'static, str> {
    const NAMES: [&str; 12] = [
        "NOERROR",
        "FORMERR",
        "SERVFAIL",
        "NXDOMAIN",
        "NOTIMP",
        "REFUSED",
        "YXDOMAIN",
        "YXRRSET",
        "NXRRSET",
        "NOTAUTH",
        "NOTZONE",
        "DSOTYPENI",
    ];
    NAMES.get(usize::from(rcode)).map_or_else(|| Cow::Owned(format!("RCODE{rcode}")), |name| Cow::Borrowed(*name))
}

/// IANA's names of resource record types.
const fn type_name(kind: u16) -> Option<&'static str> {
    Some(match kind {
        1 => "A",
        2 => "NS",
        5 => "CNAME",
        6 => "SOA",
        10 => "NULL",
        11 => "WKS",
        12 => "PTR",
        13 => "HINFO",
        15 => "MX",
        16 => "TXT",
        17 => "RP",
        18 => "AFSDB",
        24 => "SIG",
        25 => "KEY",
        28 => "AAAA",
        29 => "LOC",
        32 => "NB",
        33 => "SRV",
        35 => "NAPTR",
        36 => "KX",
        37 => "CERT",
        39 => "DNAME",
        41 => "OPT",
        42 => "APL",
        43 => "DS",
        44 => "SSHFP",
        45 => "IPSECKEY",
        46 => "RRSIG",
        47 => "NSEC",
        48 => "DNSKEY",
        49 => "DHCID",
        50 => "NSEC3",
        51 => "NSEC3PARAM",
        52 => "TLSA",
        53 => "SMIMEA",
        55 => "HIP",
        59 => "CDS",
        60 => "CDNSKEY",
        61 => "OPENPGPKEY",
        62 => "CSYNC",
        63 => "ZONEMD",
        64 => "SVCB",
        65 => "HTTPS",
        99 => "SPF",
        108 => "EUI48",
        109 => "EUI64",
        249 => "TKEY",
        250 => "TSIG",
        251 => "IXFR",
        252 => "AXFR",
        255 => "ANY",
        256 => "URI",
        257 => "CAA",
        _ => return None,
    })
}

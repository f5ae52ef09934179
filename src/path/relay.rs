//! Whether two flows are the legs of one relayed conversation: one comes in to a workload, the other goes out of it.
//!
//! Contract: pure; both records are read from the end that asked, as they stand. What matched is said in words. What the inbound leg asked for
//! (CONNECT, SOCKS) and contradicts the outbound leg is never a match.
//! Limits: a relay that re-encrypts and pads, or that keeps connections ready, is matched by nothing here. Equal bytes in both directions say
//! nothing of one pair of legs (echo, heartbeats; see [`echoed`]), nor does a conversation of fewer than [`LEAST_BYTES`] or one that never answered.
//! Design: what names the target comes first, then the same hello, then the same request, then bytes and time.

use std::net::{IpAddr, SocketAddr};
use std::ops::RangeInclusive;
use std::time::Duration;

use crate::input::{AppFacts, ConnState, FiveTuple, FlowRecord, Protocol};
use crate::time::Timestamp;

/// The outbound leg of a named target starts within so long of the inbound one: the relay may have to look up the name first.
const NAMED_WITHIN: Duration = Duration::from_secs(30);
/// Legs that are matched by bytes start, and end, within so long of each other.
const BYTES_WITHIN: Duration = Duration::from_secs(2);
/// Payload of both directions that bytes alone can be believed from.
const LEAST_BYTES: u64 = 200;
/// Payload may differ by one part in so many: retransmissions.
const TOLERANCE: u64 = 256;
/// What CONNECT and its answer take: a request line and a few headers, perhaps with credentials.
const CONNECT: Preamble = Preamble { asked: 16..=2048, answered: 15..=1024 };
/// What SOCKS takes: methods, credentials (RFC 1929), the request, the answers.
const SOCKS: Preamble = Preamble { asked: 9..=1100, answered: 8..=600 };
/// What a PROXY protocol header takes: 107 bytes in version 1, 16 and a few in version 2.
const PROXY: RangeInclusive<u64> = 15..=552;

/// What was the same on both legs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RelayProof {
    /// The inbound leg asked for the outbound leg's other end.
    Target,
    /// The same TLS `ClientHello` passed.
    Hello,
    /// The same HTTP request passed, to the host that it names.
    Request,
    /// As many bytes at the same time.
    Bytes,
}

/// How two legs were matched.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RelayMatch {
    /// What was the same.
    pub proof: RelayProof,
    /// For a person: what is the same on both legs.
    pub text: String,
}

struct Preamble {
    asked: RangeInclusive<u64>,
    answered: RangeInclusive<u64>,
}

/// Where the inbound leg asked to be relayed to.
enum Asked {
    Address(SocketAddr),
    Name(String, u16),
}

/// Whether `outbound` carries on what `inbound` brought; both are read from the end that asked.
pub fn matched(inbound: &FlowRecord, outbound: &FlowRecord) -> Option<RelayMatch> {
    let delay = outbound.start.since(inbound.start);
    let in_time =
        outbound.start >= inbound.start && delay <= NAMED_WITHIN && !(is_over(inbound) && outbound.start > inbound.end);
    let can_relay = |record: &FlowRecord| matches!(record.tuple.protocol, Protocol::TCP | Protocol::UDP);
    if !in_time || !can_relay(inbound) || !can_relay(outbound) || is_same(inbound.tuple, outbound.tuple) {
        return None;
    }
    let asked = asked(inbound);
    if asked.as_ref().is_some_and(|asked| contradicts(asked, outbound)) {
        return None;
    }
    let found = asked
        .as_ref()
        .and_then(|asked| target(asked, outbound))
        .map(|text| (RelayProof::Target, text))
        .or_else(|| hello(inbound, outbound).map(|text| (RelayProof::Hello, text)))
        .or_else(|| request(inbound, outbound).map(|text| (RelayProof::Request, text)))
        .or_else(|| bytes(inbound, outbound, delay).map(|text| (RelayProof::Bytes, text)));
    found.map(|(proof, text)| RelayMatch {
        proof,
        text: format!("{text}; the way out began {} ms after the way in", delay.as_millis()),
    })
}

/// Whether both are one conversation, seen from either end.
fn is_same(one: FiveTuple, other: FiveTuple) -> bool {
    one == other || one == other.reversed()
}

/// Whether the record shows that the conversation is over; only TCP shows it.
fn is_over(record: &FlowRecord) -> bool {
    record.tcp.is_some_and(|tcp| matches!(tcp.state, ConnState::SF | ConnState::RSTO | ConnState::RSTR))
}

fn asked(inbound: &FlowRecord) -> Option<Asked> {
    let app = inbound.app.as_ref()?;
    let connect = app.http.as_ref().and_then(|request| request.connect.as_deref());
    let socks =
        app.socks.as_ref().filter(|request| request.command == "connect").map(|request| request.target.as_str());
    let target = connect.or(socks)?;
    if let Ok(address) = target.parse::<SocketAddr>() {
        return Some(Asked::Address(address));
    }
    let (name, port) = target.rsplit_once(':')?;
    let port = port.parse().ok()?;
    // An IPv6 address without its brackets.
    Some(match name.parse::<IpAddr>() {
        Ok(ip) => Asked::Address(SocketAddr::new(ip, port)),
        Err(_) => Asked::Name(plain(name), port),
    })
}

/// A host name as it is compared: lower case, without the final dot.
fn plain(name: &str) -> String {
    name.trim_end_matches('.').to_ascii_lowercase()
}

/// Whether the outbound leg goes elsewhere than asked, beyond doubt.
fn contradicts(asked: &Asked, outbound: &FlowRecord) -> bool {
    let to = outbound.tuple.resp;
    match asked {
        Asked::Address(address) => address.port() != to.port || address.ip().to_canonical() != to.ip.to_canonical(),
        Asked::Name(_, port) => *port != to.port,
    }
}

/// What was asked for, where the outbound leg (which does not contradict it) is to just that.
fn target(asked: &Asked, outbound: &FlowRecord) -> Option<String> {
    match asked {
        Asked::Address(address) => {
            Some(format!("{address} was asked for on the way in, and is the other end of the way out"))
        }
        Asked::Name(name, port) => {
            let named = sni(outbound).is_some_and(|sni| sni == *name)
                || http_host(outbound).is_some_and(|(host, _)| host == *name);
            named.then(|| format!("{name}:{port} was asked for on the way in, and is the name and port of the way out"))
        }
    }
}

fn app(record: &FlowRecord) -> Option<&AppFacts> {
    record.app.as_deref()
}

fn sni(record: &FlowRecord) -> Option<String> {
    app(record)?.tls.as_ref()?.sni.as_deref().map(plain)
}

/// The host of a request that is no CONNECT, and its port.
fn http_host(record: &FlowRecord) -> Option<(String, u16)> {
    let request = app(record)?.http.as_ref().filter(|request| request.connect.is_none())?;
    let host = request.host.as_deref()?;
    let (name, port) = match host.rsplit_once(':') {
        Some((name, port)) if !port.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit()) => {
            (name, port.parse().ok()?)
        }
        _ => (host, 80),
    };
    Some((plain(name), port)).filter(|(name, _)| !name.is_empty())
}

/// The same hello: server name and fingerprint.
fn hello(inbound: &FlowRecord, outbound: &FlowRecord) -> Option<String> {
    let (one, other) = (app(inbound)?.tls.as_ref()?, app(outbound)?.tls.as_ref()?);
    let print = one.ja4.as_deref().filter(|print| other.ja4.as_deref() == Some(print))?;
    let name = one.sni.as_deref()?;
    (plain(name) == plain(other.sni.as_deref()?))
        .then(|| format!("the TLS hello for {name} with fingerprint {print} passed on both legs"))
}

/// The same request, on the way out to the port that it names and on the way in to another: a forward proxy, not a server that is named so.
fn request(inbound: &FlowRecord, outbound: &FlowRecord) -> Option<String> {
    let (one, other) = (app(inbound)?.http.as_ref()?, app(outbound)?.http.as_ref()?);
    if one.method != other.method {
        return None;
    }
    let (host, port) = http_host(inbound).filter(|named| http_host(outbound).as_ref() == Some(named))?;
    let is_forward = outbound.tuple.resp.port == port && inbound.tuple.resp.port != port;
    is_forward.then(|| format!("the request {} for {host}:{port} passed on both legs", one.method))
}

/// As many bytes in each direction, give or take the preamble that the relay receives on the way in or sends on the way out.
fn bytes(inbound: &FlowRecord, outbound: &FlowRecord, delay: Duration) -> Option<String> {
    let ended_together = !(is_over(inbound) && is_over(outbound)) || apart(inbound, outbound) <= BYTES_WITHIN;
    if inbound.tuple.protocol != outbound.tuple.protocol || delay > BYTES_WITHIN || !ended_together {
        return None;
    }
    let (sent, received) = (outbound.orig.counters.payload_bytes, outbound.resp.counters.payload_bytes);
    let (came, went) = (inbound.orig.counters.payload_bytes, inbound.resp.counters.payload_bytes);
    let is_enough = sent.saturating_add(received) >= LEAST_BYTES && sent > 0 && received > 0;
    if !is_enough || is_near(sent, received) || is_near(came, went) {
        return None;
    }
    let facts = app(inbound);
    let preamble = match facts {
        Some(facts) if facts.http.as_ref().is_some_and(|request| request.connect.is_some()) => Some(&CONNECT),
        Some(facts) if facts.socks.is_some() => Some(&SOCKS),
        _ => None,
    };
    let has_header =
        app(outbound).is_some_and(|facts| facts.proxy.is_some()) && facts.is_none_or(|facts| facts.proxy.is_none());
    let is_equal = match preamble {
        Some(preamble) => more(came, sent, &preamble.asked) && more(went, received, &preamble.answered),
        None if has_header => more(sent, came, &PROXY) && is_near(went, received),
        None => is_near(came, sent) && is_near(went, received),
    };
    is_equal.then(|| format!("{came} bytes came in and {sent} went out, {received} came back and {went} were returned"))
}

/// Bytes each way of two TCP legs that carried as many in all four directions, and began and ended together. One such pair may be chance.
pub fn echoed(inbound: &FlowRecord, outbound: &FlowRecord) -> Option<u64> {
    let together = |from: Timestamp, to: Timestamp| to >= from && to.since(from) <= BYTES_WITHIN;
    let in_time = is_over(inbound)
        && is_over(outbound)
        && together(inbound.start, outbound.start)
        && apart(inbound, outbound) <= BYTES_WITHIN;
    let sides = [&inbound.orig, &inbound.resp, &outbound.orig, &outbound.resp];
    let [came, rest @ ..] = sides.map(|side| side.counters.payload_bytes);
    let is_alike = in_time && !is_same(inbound.tuple, outbound.tuple) && rest.iter().all(|bytes| is_near(came, *bytes));
    (is_alike && 2 * came >= LEAST_BYTES).then_some(came)
}

fn apart(one: &FlowRecord, other: &FlowRecord) -> Duration {
    one.end.since(other.end).max(other.end.since(one.end))
}

/// Equal, give or take retransmissions.
fn is_near(one: u64, other: u64) -> bool {
    one.abs_diff(other) <= one.min(other) / TOLERANCE
}

/// Whether `more` is `less` and a preamble.
fn more(more: u64, less: u64, by: &RangeInclusive<u64>) -> bool {
    let slack = less / TOLERANCE;
    more.checked_sub(less).is_some_and(|extra| extra >= *by.start() && extra <= by.end().saturating_add(slack))
}

#[cfg(test)]
mod tests;

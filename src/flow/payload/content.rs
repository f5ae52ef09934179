//! What the start of a stream, or what follows a message that announced more, turns out to be.
//!
//! Contract: one step reads one message. A step that needs more bytes is repeated with them from the start, so no protocol
//! has a state here. Design: the first byte rules out most protocols, so that unknown content costs a few comparisons.

use crate::decode::app::{Parsed, dns, http, magic, openvpn, proxy, socks, ssh, tls};
use crate::input::{
    AppFacts, DnsMessage, HttpRequest, Magic, OpenVpn, ProxyHeader, QuicInitial, SocksRequest, TlsHello,
};

/// Something that was said.
#[derive(Debug)]
pub(super) enum Fact {
    Tls(TlsHello),
    Quic(QuicInitial),
    /// The name is kept by the reader.
    Dns(dns::Question),
    Http(HttpRequest),
    Socks(SocksRequest),
    Ssh(String),
    Proxy(ProxyHeader),
    OpenVpn(OpenVpn),
    Magic(Magic),
    Mining(&'static str),
    Encrypted,
}

/// What is of budget after a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum After {
    /// What follows so many bytes.
    Bytes(usize),
    /// The other direction.
    Side,
    /// Requests that this side may send later.
    Requests,
    /// Nothing.
    Flow,
}

/// What one step found.
#[derive(Debug)]
pub(super) enum Step {
    Found(Fact, After),
    /// A message without facts; the next is so many bytes later.
    Skip(usize),
    More,
    Other,
}

/// Reads a message at the start of a stream. With `last`, nothing more will come.
pub(super) fn step(bytes: &[u8], last: bool, is_dns: bool, name: &mut String) -> Step {
    let step = match bytes.first() {
        Some(22) => parsed(tls::stream(bytes, last), |hello| (Fact::Tls(hello), After::Flow)),
        Some(b'S') => match parsed(ssh::identification(bytes, last), |line| (Fact::Ssh(line), After::Side)) {
            Step::Other => request(bytes, last),
            step => step,
        },
        Some(b'P' | b'\r' | b'\n') => {
            match parsed(proxy::header(bytes, last), |(header, len)| (Fact::Proxy(header), After::Bytes(len))) {
                Step::Other => request(bytes, last),
                // Until then it may be `POST`, `PUT` or `PATCH` as well.
                Step::More if bytes.len() < 2 => Step::More,
                step => step,
            }
        }
        Some(b'A'..=b'Z') => request(bytes, last),
        Some(4 | 5) if socks::may_begin(bytes) || is_dialogue(bytes) => {
            parsed(socks::request(bytes, last), |(request, len)| (Fact::Socks(request), After::Bytes(len)))
        }
        Some(0..=3) if !is_dns && let Some(step) = certain_question(bytes, last, name) => step,
        // The upper half of a length.
        Some(0..=4) => parsed(openvpn::stream(bytes, last), |(found, _)| (Fact::OpenVpn(found), After::Flow)),
        _ => Step::Other,
    };
    if is_dns && matches!(step, Step::Other) { dns_message(bytes, last, name) } else { step }
}

/// What the first bytes of a side are, where no message of theirs is read.
pub(super) fn first_bytes(bytes: &[u8], side: usize) -> Option<Fact> {
    let encrypted = || (side == 0 && magic::looks_encrypted(bytes)).then_some(Fact::Encrypted);
    let mining = || magic::mining(bytes).map(Fact::Mining);
    magic::magic(bytes).map(Fact::Magic).or_else(mining).or_else(encrypted)
}

/// A choice of methods, and more after it: a stream that was put together.
fn is_dialogue(bytes: &[u8]) -> bool {
    let choice = bytes.get(1).and_then(|methods| bytes.get(..2 + usize::from(*methods)));
    choice.is_some_and(|choice| choice.first() == Some(&5) && choice.len() < bytes.len() && socks::may_begin(choice))
}

fn request(bytes: &[u8], last: bool) -> Step {
    parsed(http::request(bytes, last), |(request, len)| {
        let after = if request.connect.is_some() && len > 0 { After::Bytes(len) } else { After::Requests };
        (Fact::Http(request), after)
    })
}

/// A question at a port that is not one of name resolution.
fn certain_question(bytes: &[u8], last: bool, name: &mut String) -> Option<Step> {
    match parsed(dns::certain_stream(bytes, last, name), |(question, len)| (Fact::Dns(question), After::Bytes(len))) {
        Step::Other => None,
        step => Some(step),
    }
}

fn dns_message(bytes: &[u8], last: bool, name: &mut String) -> Step {
    match dns::stream(bytes, last, name) {
        Parsed::Whole((Some(question), len)) => Step::Found(Fact::Dns(question), After::Bytes(len)),
        Parsed::Whole((None, len)) => Step::Skip(len),
        Parsed::More => Step::More,
        Parsed::Other => Step::Other,
    }
}

fn parsed<T>(parsed: Parsed<T>, found: impl FnOnce(T) -> (Fact, After)) -> Step {
    match parsed {
        Parsed::Whole(value) => {
            let (fact, after) = found(value);
            Step::Found(fact, after)
        }
        Parsed::More => Step::More,
        Parsed::Other => Step::Other,
    }
}

impl Fact {
    /// Whether keeping it changes anything.
    pub(super) fn is_new(&self, facts: &AppFacts, side: usize, name: &str) -> bool {
        match self {
            Self::Tls(_) => facts.tls.is_none(),
            Self::Quic(_) => facts.quic.is_none(),
            Self::Http(request) => facts.http.as_ref().is_none_or(|known| connects_anew(known, request)),
            Self::Socks(_) => facts.socks.is_none(),
            Self::Proxy(_) => facts.proxy.is_none(),
            Self::OpenVpn(_) => facts.openvpn.is_none(),
            Self::Magic(_) => facts.magic.is_none(),
            Self::Mining(_) => facts.mining.is_none(),
            Self::Encrypted => !facts.looks_encrypted,
            Self::Ssh(line) => {
                if side == 0 {
                    facts.ssh.as_ref() != Some(line)
                } else {
                    facts.ssh.is_none()
                }
            }
            Self::Dns(question) => !facts.dns.iter().any(|known| {
                is_asked(known, question, name)
                    && (!question.is_response || known.rcode == Some(dns::rcode_name(question.rcode)))
            }),
        }
    }

    /// Whether a fact of its kind is known, with other content.
    pub(super) fn differs(&self, facts: &AppFacts) -> bool {
        match self {
            Self::Tls(hello) => facts.tls.as_ref().is_some_and(|known| known != hello),
            Self::Http(request) => facts.http.as_ref().is_some_and(|known| known != request),
            Self::Socks(request) => facts.socks.as_ref().is_some_and(|known| known != request),
            _ => false,
        }
    }

    /// Puts it in the place of what is known of its kind.
    pub(super) fn replace(self, facts: &mut AppFacts, side: usize) -> bool {
        match &self {
            Self::Tls(_) => facts.tls = None,
            Self::Http(_) => facts.http = None,
            Self::Socks(_) => facts.socks = None,
            _ => {}
        }
        self.keep(facts, side, "")
    }

    /// Whether it is reported at once: of DNS only the first question, and the fourth, sixteenth and thirty-second, since a resolver's flow
    /// asks all the time, and who counts questions need not wait for an update.
    pub(super) const fn is_urgent(&self, facts: &AppFacts) -> bool {
        match self {
            Self::Dns(question) => {
                facts.dns.is_empty() || (!question.is_response && matches!(facts.dns.len(), 3 | 15 | 31))
            }
            _ => true,
        }
    }

    /// Adds it; the first of its kind stays, except that the client's SSH string (side 0) replaces the server's, and a later
    /// `CONNECT` the request before.
    /// False when there is no room for more.
    pub(super) fn keep(self, facts: &mut AppFacts, side: usize, name: &str) -> bool {
        match self {
            Self::Tls(hello) => _ = facts.tls.get_or_insert(hello),
            Self::Quic(initial) => _ = facts.quic.get_or_insert(initial),
            Self::Http(request) if facts.http.as_ref().is_some_and(|known| connects_anew(known, &request)) => {
                facts.http = Some(request);
            }
            Self::Http(request) => _ = facts.http.get_or_insert(request),
            Self::Socks(request) => _ = facts.socks.get_or_insert(request),
            Self::Proxy(header) => _ = facts.proxy.get_or_insert(header),
            Self::OpenVpn(reset) => _ = facts.openvpn.get_or_insert(reset),
            Self::Magic(magic) => _ = facts.magic.get_or_insert(magic),
            Self::Mining(method) => _ = facts.mining.get_or_insert(method.into()),
            Self::Encrypted => facts.looks_encrypted = true,
            Self::Ssh(line) if side == 0 => facts.ssh = Some(line),
            Self::Ssh(line) => _ = facts.ssh.get_or_insert(line),
            Self::Dns(question) => return keep_question(&mut facts.dns, &question, name),
        }
        true
    }
}

/// Whether a request on a kept connection asks to be relayed to somewhere else than those before.
fn connects_anew(known: &HttpRequest, request: &HttpRequest) -> bool {
    request.connect.is_some() && known.connect != request.connect
}

pub(super) fn is_asked(known: &DnsMessage, question: &dns::Question, name: &str) -> bool {
    known.query == name && known.kind == dns::kind_name(question.kind)
}

/// An answer completes its question.
fn keep_question(known: &mut Vec<DnsMessage>, question: &dns::Question, name: &str) -> bool {
    let open = known.iter_mut().find(|known| known.rcode.is_none() && is_asked(known, question, name));
    if let Some(asked) = open.filter(|_| question.is_response) {
        asked.rcode = Some(dns::rcode_name(question.rcode));
    } else if known.len() < super::MAX_DNS {
        if known.is_empty() {
            known.reserve_exact(1);
        }
        known.push(question.facts(name));
    } else {
        return false;
    }
    true
}

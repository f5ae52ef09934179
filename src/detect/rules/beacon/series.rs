//! The contacts of one actor with one peer.
//!
//! Contract: contacts closer than a second, or than a twentieth of the median, are one. Limits: the last 32 intervals.

use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use crate::detect::Severity;
use crate::detect::anomaly::contacts::{Contact, ContactStep};
use crate::detect::anomaly::digest::Digest;
use crate::detect::anomaly::per_actor::Recent;
use crate::detect::anomaly::regularity::{LOOKS, Regularity, quantile, regularity};
use crate::input::{FlowRecord, Protocol};
use crate::names::KnownName;
use crate::time::Timestamp;

/// Contacts that are closer are one.
pub(super) const ONE: Duration = Duration::from_secs(1);
/// Intervals that are kept.
const KEPT: usize = 32;
/// Names below a domain that are known.
const MAX_NAMES: usize = 64;

/// Whom one contacts: a name where one is known, else an address.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Key {
    peer: Peer,
    port: u16,
    protocol: Protocol,
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
enum Peer {
    Name(Arc<str>),
    Address(IpAddr),
    /// The name servers of this domain: names below it that were not asked for lately.
    Below(Arc<str>),
}

impl Key {
    pub(super) fn of(record: &FlowRecord, name: Option<&KnownName>) -> Self {
        let address = || Peer::Address(record.tuple.resp.ip.to_canonical());
        let peer = name.map_or_else(address, |known| Peer::Name(Arc::clone(&known.name)));
        Self { peer, port: record.tuple.resp.port, protocol: record.tuple.protocol }
    }

    /// Of questions for new names below a domain.
    pub(super) fn below(record: &FlowRecord, domain: &str) -> Self {
        Self { peer: Peer::Below(domain.into()), port: record.tuple.resp.port, protocol: record.tuple.protocol }
    }

    pub(super) fn name(&self) -> Option<&str> {
        match &self.peer {
            Peer::Name(name) | Peer::Below(name) => Some(name),
            Peer::Address(_) => None,
        }
    }

    /// Whether it stands for questions.
    pub(super) const fn is_question(&self) -> bool {
        matches!(self.peer, Peer::Below(_))
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.peer {
            Peer::Name(name) => write!(f, "{name}:{}/{}", self.port, self.protocol),
            Peer::Below(domain) => write!(f, "the name servers of {domain}, by new names below it,"),
            Peer::Address(IpAddr::V6(ip)) => write!(f, "[{ip}]:{}/{}", self.port, self.protocol),
            Peer::Address(ip) => write!(f, "{ip}:{}/{}", self.port, self.protocol),
        }
    }
}

/// Which end spoke again in a connection that was there: 0 the actor, 1 the peer.
fn resumed_by(contact: &Contact<'_>) -> Option<usize> {
    match contact.step {
        ContactStep::Resumed { by_source } => Some(usize::from(!by_source)),
        ContactStep::Decided | ContactStep::GoesOn | ContactStep::Ended => None,
    }
}

/// When a contact was made: at the start of its flow, or when an end spoke again.
pub(super) fn when(contact: &Contact<'_>) -> Timestamp {
    if resumed_by(contact).is_some() { contact.record.end } else { contact.flow.view.record.start }
}

/// What was sent and received when a connection began; nothing of one that was there.
pub(super) fn first_bytes(contact: &Contact<'_>) -> [u32; 2] {
    let of = |bytes: u64| u32::try_from(bytes).unwrap_or(u32::MAX);
    let (sent, received) = (contact.record.orig.counters, contact.record.resp.counters);
    if resumed_by(contact).is_some() { [0; 2] } else { [of(sent.payload_bytes), of(received.payload_bytes)] }
}

/// When one peer was contacted, more than once.
#[derive(Clone, Debug)]
pub(super) struct Series {
    first: Timestamp,
    last: Timestamp,
    /// Milliseconds between starts, the oldest first.
    intervals: Vec<u32>,
    contacts: u32,
    /// Those of them that were payload after a pause, in a connection that was there: of the actor, of the peer.
    resumed: [u32; 2],
    sent: u64,
    received: u64,
    level: Option<Severity>,
    next: u32,
    /// Of questions: the names that were asked for lately.
    names: Option<Box<Recent<Digest, MAX_NAMES>>>,
}

impl Series {
    /// After a first contact, with what was sent and received.
    pub(super) fn after(at: Timestamp, [sent, received]: [u32; 2]) -> Self {
        Self {
            first: at,
            last: at,
            intervals: Vec::new(),
            contacts: 1,
            resumed: [0; 2],
            sent: sent.into(),
            received: received.into(),
            level: None,
            next: 0,
            names: None,
        }
    }

    /// After a first question, for a name of this digest.
    pub(super) fn after_question(at: Timestamp, name: Digest) -> Self {
        let mut series = Self::after(at, [0; 2]);
        series.names.get_or_insert_default().is_new(name);
        series
    }

    /// A contact; whether the series is to be looked at now.
    pub(super) fn add(&mut self, contact: &Contact<'_>) -> bool {
        let [sent, received] = first_bytes(contact);
        self.sent = self.sent.saturating_add(sent.into());
        self.received = self.received.saturating_add(received.into());
        self.add_at(when(contact), resumed_by(contact))
    }

    /// A question; whether its name is new and the series is to be looked at now.
    pub(super) fn ask(&mut self, name: Digest, at: Timestamp) -> bool {
        let is_new = self.names.get_or_insert_default().is_new(name);
        is_new && self.add_at(at, None)
    }

    fn add_at(&mut self, start: Timestamp, resumed_by: Option<usize>) -> bool {
        let interval = start.since(self.last);
        if interval < ONE || interval < self.least() {
            return false;
        }
        if self.intervals.len() >= KEPT {
            self.intervals.remove(0);
        }
        self.intervals.push(u32::try_from(interval.as_millis()).unwrap_or(u32::MAX));
        self.last = start;
        self.contacts = self.contacts.saturating_add(1);
        if let Some(resumed) = resumed_by.and_then(|end| self.resumed.get_mut(end)) {
            *resumed = resumed.saturating_add(1);
        }
        let count = self.contacts as usize - 1;
        LOOKS.contains(&count) || (count > KEPT && count.is_multiple_of(KEPT))
    }

    /// Contacts closer than this are one.
    fn least(&self) -> Duration {
        let median = quantile(&self.sorted(), 0.5).unwrap_or(0.0);
        ONE.max(Duration::from_secs_f64(median / 20.0))
    }

    fn sorted(&self) -> Vec<f64> {
        let mut seconds: Vec<f64> = self.seconds().collect();
        seconds.sort_by(f64::total_cmp);
        seconds
    }

    fn seconds(&self) -> impl Iterator<Item = f64> {
        self.intervals.iter().map(|millis| f64::from(*millis) / 1000.0)
    }

    /// The figures, where the series is long enough: a minute, and six periods.
    pub(super) fn look(&self) -> Option<Regularity> {
        let figures = regularity(&self.seconds().collect::<Vec<_>>())?;
        let least = 60_f64.max(6.0 * figures.median);
        // Six periods with jitter are a little shorter or longer than six medians.
        (figures.intervals >= 6 && self.span().as_secs_f64() >= least * 0.9).then_some(figures)
    }

    pub(super) fn has_lasted(&self, span: Duration, times: u32) -> bool {
        self.span() >= span || self.contacts >= times
    }

    /// Whether to speak now: for the first time, of more severity, or of ten times as many contacts.
    pub(super) fn is_due(&mut self, severity: Severity) -> bool {
        let rises = self.level.is_none_or(|level| severity > level);
        if !rises && self.contacts < self.next {
            return false;
        }
        self.level = self.level.max(Some(severity));
        self.next = self.contacts.saturating_mul(10);
        true
    }

    pub(super) const fn last(&self) -> Timestamp {
        self.last
    }

    pub(super) const fn contacts(&self) -> u32 {
        self.contacts
    }

    pub(super) fn span(&self) -> Duration {
        self.last.since(self.first)
    }

    /// Whether the answers are ten times as large as the questions.
    pub(super) const fn is_download(&self) -> bool {
        self.received > self.sent.saturating_mul(10)
    }

    /// Contacts in a connection that was there, whichever end spoke first.
    const fn inside_count(&self) -> u32 {
        self.resumed[0].saturating_add(self.resumed[1])
    }

    /// Whether most contacts were payload in a connection that was there.
    pub(super) const fn is_mostly_inside(&self) -> bool {
        self.inside_count() > self.contacts / 2
    }

    /// How many were, for a person.
    pub(super) fn inside(&self) -> String {
        let by_peer = match self.resumed {
            [0, 0] => return String::new(),
            [_, 0] => String::new(),
            [_, by_peer] => format!(" ({by_peer} times the peer spoke first)"),
        };
        format!(", {} of them inside a connection that stayed open{by_peer}", self.inside_count())
    }

    /// What the first payload of a connection was like on average, where any was seen.
    pub(super) fn sizes(&self) -> String {
        match self.sent.checked_div(u64::from(self.contacts.saturating_sub(self.inside_count()))) {
            Some(mean) if self.sent > 0 => format!("; {mean} bytes asked at first on average"),
            _ => String::new(),
        }
    }
}

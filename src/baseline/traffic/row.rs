//! What is known of a service's traffic with one peer at one port.
//!
//! Contract: sets only grow while learning; each has a bound, and what would be beyond it stands as [`KnownTexts::Any`]: then nothing of that kind is new.

use std::collections::BTreeSet;
use std::fmt;
use std::time::Duration;

use super::{Peer, Ports};
use crate::time::Timestamp;

/// Full names below one domain; beyond, any.
pub const MAX_NAMES: usize = 64;
/// Protocols and fingerprints of one peer; beyond, any.
pub const MAX_MARKS: usize = 16;
const DAY: Duration = Duration::from_hours(24);
const HOUR: Duration = Duration::from_hours(1);

/// Whether a service asks or is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Way {
    /// It reaches the peer.
    Reaches,
    /// The peer reaches it, at a port at which it listens.
    Listens,
}

impl Way {
    /// The key in the file.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Reaches => "reaches",
            Self::Listens => "listens",
        }
    }
}

/// A set of texts, or any text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KnownTexts {
    /// These; none: not known.
    These(BTreeSet<String>),
    /// So many that no other is news.
    Any,
}

impl Default for KnownTexts {
    fn default() -> Self {
        Self::These(BTreeSet::new())
    }
}

impl KnownTexts {
    /// Adds one.
    pub fn add(&mut self, text: &str, most: usize) {
        let Self::These(these) = self else { return };
        if these.contains(text) {
            return;
        }
        if these.len() >= most {
            *self = Self::Any;
        } else {
            these.insert(text.to_owned());
        }
    }

    /// Adds all of another.
    pub fn merge(&mut self, other: &Self, most: usize) {
        match other {
            Self::Any => *self = Self::Any,
            Self::These(these) => these.iter().for_each(|text| self.add(text, most)),
        }
    }

    /// Whether this one is news: others are known, and it is not among them.
    pub fn lacks(&self, text: &str) -> bool {
        matches!(self, Self::These(these) if !these.is_empty() && !these.contains(text))
    }

    /// Whether nothing is known.
    pub fn is_empty(&self) -> bool {
        matches!(self, Self::These(these) if these.is_empty())
    }
}

impl fmt::Display for KnownTexts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Any => f.write_str("any"),
            Self::These(these) => f.write_str(&these.iter().map(String::as_str).collect::<Vec<_>>().join(", ")),
        }
    }
}

/// When and how often it was seen; nothing of that where a person wrote it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Seen {
    /// First and last.
    pub span: Option<(Timestamp, Timestamp)>,
    /// Days (UTC) on which it was seen.
    pub days: u32,
    /// Contacts.
    pub contacts: u64,
    /// The most contacts of one hour.
    pub most_an_hour: u64,
    /// The latest hour while learning, and its contacts.
    latest: (u64, u64),
}

impl Seen {
    /// So often, on so many days, in this time.
    pub const fn new(span: Option<(Timestamp, Timestamp)>, days: u32, contacts: u64, most_an_hour: u64) -> Self {
        Self { span, days, contacts, most_an_hour, latest: (0, 0) }
    }

    /// Once more.
    pub fn count(&mut self, at: Timestamp) {
        let (first, last) = self.span.unwrap_or((at, at));
        self.days += u32::from(self.contacts == 0 || day(at) > day(last));
        self.span = Some((first.min(at), last.max(at)));
        self.contacts += 1;
        let hour = at.since(Timestamp::default()).as_secs() / HOUR.as_secs();
        let (known, count) = self.latest;
        self.latest = if hour > known { (hour, 1) } else { (known, count + 1) };
        self.most_an_hour = self.most_an_hour.max(self.latest.1);
    }

    /// Learning is over.
    pub const fn end(&mut self) {
        self.latest = (0, 0);
    }

    /// Both together.
    pub fn merge(&mut self, other: &Self) {
        self.span = match (self.span, other.span) {
            (Some((first, last)), Some((from, to))) => Some((first.min(from), last.max(to))),
            (one, other) => one.or(other),
        };
        self.days = self.days.max(other.days);
        self.contacts = self.contacts.saturating_add(other.contacts);
        self.most_an_hour = self.most_an_hour.max(other.most_an_hour);
    }

    /// From the first to the last.
    pub fn length(&self) -> Duration {
        self.span.map_or(Duration::ZERO, |(first, last)| last.since(first))
    }
}

fn day(at: Timestamp) -> u64 {
    at.since(Timestamp::default()).as_secs() / DAY.as_secs()
}

/// What is known of one peer at one port.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Facts {
    /// Full names below the peer's domain.
    pub names: KnownTexts,
    /// Application protocols that were identified.
    pub speaks: KnownTexts,
    /// Client fingerprints (JA4) of the service.
    pub ja4: KnownTexts,
    /// When and how often.
    pub seen: Seen,
}

impl Facts {
    /// Both together.
    pub fn merge(&mut self, other: &Self) {
        self.names.merge(&other.names, MAX_NAMES);
        self.speaks.merge(&other.speaks, MAX_MARKS);
        self.ja4.merge(&other.ja4, MAX_MARKS);
        self.seen.merge(&other.seen);
    }
}

/// `tls, http, JA4 t13d…, 12 contacts on 2 days`.
impl fmt::Display for Facts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.speaks.is_empty() {
            write!(f, "{}, ", self.speaks)?;
        }
        if !self.ja4.is_empty() {
            write!(f, "JA4 {}, ", self.ja4)?;
        }
        if !self.names.is_empty() {
            write!(f, "as {}, ", self.names)?;
        }
        let Seen { contacts, days, .. } = self.seen;
        let plural = |count: u64| if count == 1 { "" } else { "s" };
        write!(f, "{contacts} contact{} on {days} day{}", plural(contacts), plural(u64::from(days)))
    }
}

/// A row of the file: with whom, where, and what is known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    /// Whether the service asks or is asked.
    pub way: Way,
    /// The other end.
    pub peer: Peer,
    /// At which ports.
    pub ports: Ports,
    /// What is known.
    pub facts: Facts,
}

/// `reaches domain updates.example at 443/tcp`.
impl fmt::Display for Row {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.way {
            Way::Reaches => write!(f, "reaches {} at {}", self.peer, self.ports),
            Way::Listens => write!(f, "listens to {} at {}", self.peer, self.ports),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_set_that_is_full_knows_any_and_an_empty_one_says_nothing() {
        let mut known = KnownTexts::default();
        assert!(known.is_empty() && !known.lacks("tls"));
        known.add("tls", 2);
        known.add("tls", 2);
        assert!(!known.lacks("tls") && known.lacks("ssh"));
        known.add("http", 2);
        known.add("ssh", 2);
        assert_eq!((known.to_string().as_str(), known.lacks("dns")), ("any", false));
    }

    #[test]
    fn days_are_counted_once_each() {
        let mut seen = Seen::default();
        for hour in [1, 2, 30, 31, 60] {
            seen.count(Timestamp::from_secs(hour * 3600));
        }
        assert_eq!((seen.days, seen.contacts, seen.length()), (3, 5, Duration::from_hours(59)));
        assert_eq!(seen.most_an_hour, 1);
        (0..7).for_each(|minute| seen.count(Timestamp::from_secs(70 * 3600 + minute * 60)));
        seen.count(Timestamp::from_secs(71 * 3600));
        assert_eq!((seen.contacts, seen.most_an_hour), (13, 7));
    }
}

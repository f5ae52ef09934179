//! The latest sessions of one kind, and which of them are alike.
//!
//! Contract: two sessions are alike where both directions differ by a quarter and 16 bytes at most. Limits: the latest [`MAX_SESSIONS`].

use std::collections::{BTreeSet, VecDeque};
use std::net::IpAddr;
use std::time::Duration;

use crate::detect::Severity;
use crate::time::Timestamp;

/// Sessions that are compared.
const MAX_SESSIONS: usize = 64;
/// Sessions after which one that differs says something.
const USUAL: u32 = 10;

/// What a session carried.
#[derive(Clone, Copy, Debug)]
pub(super) struct Session {
    pub at: Timestamp,
    pub sent: u64,
    pub received: u64,
    pub other: IpAddr,
}

impl Session {
    fn is_like(&self, other: &Self) -> bool {
        let near = |one: u64, of: u64| one.abs_diff(of) <= of / 4 + 16;
        near(self.sent, other.sent) && near(self.received, other.received)
    }
}

/// The sessions of the last while.
#[derive(Clone, Debug)]
pub(super) struct Window {
    sessions: VecDeque<Session>,
    last: Timestamp,
    /// The most frequent pair of sizes, and how many are like it.
    usual: Option<(Session, u32)>,
    reported: Option<Severity>,
    next: u32,
    total: u32,
}

impl Window {
    pub(super) const fn new(at: Timestamp) -> Self {
        Self { sessions: VecDeque::new(), last: at, usual: None, reported: None, next: 0, total: 0 }
    }

    /// Whether a session carried three times as much as the usual ones, after at least ten of these.
    pub(super) fn differs(&self, session: &Session) -> bool {
        let bytes = |session: &Session| session.sent.saturating_add(session.received);
        self.reported.is_some()
            && self
                .usual
                .is_some_and(|(usual, count)| count >= USUAL && bytes(session) > bytes(&usual).saturating_mul(3))
    }

    pub(super) fn add(&mut self, session: Session, window: Duration) {
        self.last = self.last.max(session.at);
        let last = self.last;
        while self.sessions.front().is_some_and(|first| last.since(first.at) > window)
            || self.sessions.len() >= MAX_SESSIONS
        {
            self.sessions.pop_front();
        }
        self.sessions.push_back(session);
        self.total = self.total.saturating_add(1);
    }

    /// How many are alike, where there are enough and more than half are.
    pub(super) fn alike(&mut self, least: u32) -> Option<u32> {
        if self.len() < least {
            return None;
        }
        let count = |of: &Session| self.sessions.iter().filter(|one| one.is_like(of)).count();
        let (usual, count) = self.sessions.iter().map(|one| (*one, count(one))).max_by_key(|(_, count)| *count)?;
        let count = u32::try_from(count).unwrap_or(u32::MAX);
        self.usual = Some((usual, count));
        (count.saturating_mul(2) > self.len()).then_some(count)
    }

    /// Whether to speak now: for the first time, of more severity, or of ten times as many.
    pub(super) fn is_due(&mut self, severity: Severity) -> bool {
        let rises = self.reported.is_none_or(|reported| severity > reported);
        if !rises && self.total < self.next {
            return false;
        }
        self.reported = self.reported.max(Some(severity));
        self.next = self.total.saturating_mul(10);
        true
    }

    pub(super) fn len(&self) -> u32 {
        u32::try_from(self.sessions.len()).unwrap_or(u32::MAX)
    }

    pub(super) fn ends(&self) -> usize {
        self.sessions.iter().map(|session| session.other).collect::<BTreeSet<_>>().len()
    }

    pub(super) const fn last(&self) -> Timestamp {
        self.last
    }

    /// The sizes of most.
    pub(super) fn usual(&self) -> String {
        self.usual.map_or_else(String::new, |(usual, _)| format!("{} bytes out, {} back", usual.sent, usual.received))
    }
}

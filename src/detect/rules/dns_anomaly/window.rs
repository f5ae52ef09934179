//! What was asked for below one domain, and which domains do not exist.
//!
//! Contract: two halves of five minutes each, so that what straddles an edge counts; a day beside it. Limits: [`MAX_DOMAINS`] actors and domains, [`MAX_NAMES`]
//! names a half and [`MAX_DAY`] a day, [`MAX_ACTORS`] actors with [`MAX_FAILED`] failed domains each; at the bound the one that was quiet longest goes, or more is not counted.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::score::{Parts, entropy_ratio, is_odd};
use super::{Key, TunnelScore};
use crate::detect::rules::tunnel_from_container::names::hash;
use crate::detect::{Actor, Alternative, ExpectedFrom, Explanation, Severity};
use crate::time::Timestamp;

/// Actors and domains whose names are counted at once.
const MAX_DOMAINS: usize = 8192;
/// Different names of one half that are known.
const MAX_NAMES: usize = 512;
/// Different names of one day that are known.
const MAX_DAY: usize = 1024;
/// Actors whose failed domains are counted at once.
const MAX_ACTORS: usize = 4096;
/// Failed domains of one actor that are known.
const MAX_FAILED: usize = 128;
const HALF: Duration = Duration::from_mins(5);
const DAY: Duration = Duration::from_hours(24);

/// What was counted in one half.
#[derive(Clone, Debug, Default)]
struct Half {
    names: BTreeSet<u64>,
    bytes: usize,
    asked: u32,
    repeated: u32,
    odd_types: u32,
    odd_bytes: u32,
    lengths: usize,
    /// Of names that are long enough, how irregular they are.
    entropy: f64,
    long: u32,
    sent: u64,
    received: u64,
}

/// The names that an actor asks for below one domain.
#[derive(Debug, Default)]
pub(super) struct DomainWindow {
    halves: [Half; 2],
    since: Timestamp,
    day: BTreeSet<u64>,
    day_bytes: usize,
    day_since: Timestamp,
    level: Option<Severity>,
    age: u64,
}

impl DomainWindow {
    fn turn(&mut self, now: Timestamp) {
        if now.since(self.day_since) > DAY {
            (self.day, self.day_bytes, self.day_since) = (BTreeSet::new(), 0, now);
        }
        let age = now.since(self.since);
        if age > HALF {
            let last = std::mem::take(&mut self.halves[0]);
            self.halves[1] = if age > 2 * HALF { Half::default() } else { last };
            self.since = now;
            if self.halves[1].asked == 0 {
                self.level = None;
            }
        }
    }

    /// A name is asked for.
    pub(super) fn ask(&mut self, below: &[Vec<u8>], kind: &str, now: Timestamp) {
        self.turn(now);
        let hash = hash(below);
        let bytes: usize = below.iter().map(Vec::len).sum();
        let is_known = self.halves.iter().any(|half| half.names.contains(&hash));
        let half = &mut self.halves[0];
        half.asked += 1;
        half.odd_types += u32::from(is_odd(kind));
        if is_known || half.names.len() >= MAX_NAMES {
            half.repeated += u32::from(is_known);
            return;
        }
        half.names.insert(hash);
        half.bytes += bytes;
        half.lengths += bytes + below.len() - 1;
        let is_host = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
        half.odd_bytes += u32::from(below.iter().flatten().any(|byte| !is_host(byte)));
        if let Some(ratio) = below.iter().max_by_key(|label| label.len()).and_then(|label| entropy_ratio(label)) {
            half.entropy += ratio;
            half.long += 1;
        }
        if self.day.len() < MAX_DAY && self.day.insert(hash) {
            self.day_bytes += bytes;
        }
    }

    /// So many bytes were asked with and answered.
    pub(super) const fn carried(&mut self, (sent, received): (u64, u64)) {
        let half = &mut self.halves[0];
        half.sent += sent;
        half.received += received;
    }

    /// Says what gives the tunnel away, when that is new or worse.
    pub(super) fn report(&mut self, limits: &TunnelScore, domain: &str) -> Option<(Severity, Explanation)> {
        let parts = self.parts(limits);
        let points = parts.points();
        let severity = if points >= limits.high {
            Severity::High
        } else if points >= limits.medium {
            Severity::Medium
        } else {
            return None;
        };
        if self.level.is_some_and(|level| level >= severity) {
            return None;
        }
        self.level = Some(severity);
        Some((severity, parts.explain(limits, domain)))
    }

    fn parts(&self, limits: &TunnelScore) -> Parts {
        let sum = |of: fn(&Half) -> u32| -> u32 { self.halves.iter().map(of).sum() };
        let names = self.halves[0].names.union(&self.halves[1].names).count();
        let bytes: usize = self.halves.iter().map(|half| half.bytes).sum();
        let lengths: usize = self.halves.iter().map(|half| half.lengths).sum();
        let [sent, received] =
            [|half: &Half| half.sent, |half: &Half| half.received].map(|of| self.halves.iter().map(of).sum::<u64>());
        let long = sum(|half| half.long);
        Parts {
            names,
            bytes,
            day: (self.day.len(), self.day_bytes),
            asked: sum(|half| half.asked),
            repeated: sum(|half| half.repeated),
            odd_types: sum(|half| half.odd_types),
            odd_bytes: sum(|half| half.odd_bytes),
            length: lengths.checked_div(names).unwrap_or(0),
            entropy: if long == 0 { 0.0 } else { (self.halves[0].entropy + self.halves[1].entropy) / f64::from(long) },
            sent,
            received,
            least: (limits.bytes, limits.day_bytes),
        }
    }
}

/// All windows.
#[derive(Debug, Default)]
pub(super) struct Domains {
    windows: BTreeMap<Key, DomainWindow>,
    ages: BTreeMap<u64, Key>,
    next: u64,
    pub(super) forgotten: u64,
}

impl Domains {
    /// The window of an actor and a domain.
    pub(super) fn window(&mut self, actor: &Actor, domain: &str, now: Timestamp) -> &mut DomainWindow {
        let key = (actor.clone(), domain.to_owned());
        self.next += 1;
        if let Some(known) = self.windows.get(&key) {
            self.ages.remove(&known.age);
        } else if self.windows.len() >= MAX_DOMAINS
            && let Some((_, oldest)) = self.ages.pop_first()
        {
            self.forgotten += 1;
            self.windows.remove(&oldest);
        }
        self.ages.insert(self.next, key.clone());
        let fresh = || DomainWindow { since: now, day_since: now, ..DomainWindow::default() };
        let window = self.windows.entry(key).or_insert_with(fresh);
        window.age = self.next;
        window
    }
}

/// What one actor asked for and does not exist.
#[derive(Debug, Default)]
struct Failed {
    since: Timestamp,
    asked: [u32; 2],
    domains: [BTreeSet<String>; 2],
    counts: [u32; 2],
    is_reported: bool,
}

impl Failed {
    fn turn(&mut self, now: Timestamp) {
        let age = now.since(self.since);
        if age <= HALF {
            return;
        }
        let is_long = age > 2 * HALF;
        self.asked = [0, if is_long { 0 } else { self.asked[0] }];
        self.counts = [0, if is_long { 0 } else { self.counts[0] }];
        let last = std::mem::take(&mut self.domains[0]);
        self.domains[1] = if is_long { BTreeSet::new() } else { last };
        self.is_reported &= !self.domains[1].is_empty();
        self.since = now;
    }
}

/// What all actors asked for and does not exist.
#[derive(Debug, Default)]
pub(super) struct Failures {
    of: BTreeMap<Actor, Failed>,
    pub(super) forgotten: u64,
}

impl Failures {
    fn of(&mut self, actor: &Actor, now: Timestamp) -> &mut Failed {
        if self.of.len() >= MAX_ACTORS && !self.of.contains_key(actor) {
            self.forgotten += 1;
            self.of.pop_first();
        }
        let failed = self.of.entry(actor.clone()).or_insert_with(|| Failed { since: now, ..Failed::default() });
        failed.turn(now);
        failed
    }

    pub(super) fn asked(&mut self, actor: &Actor, now: Timestamp) {
        self.of(actor, now).asked[0] += 1;
    }

    pub(super) fn failed(&mut self, actor: &Actor, domain: String, now: Timestamp) {
        let of = self.of(actor, now);
        if of.domains[0].len() < MAX_FAILED && !of.domains[1].contains(&domain) && of.domains[0].insert(domain) {
            of.counts[0] += 1;
        }
    }

    /// Says that most of what an actor asks for does not exist, once.
    pub(super) fn report(&mut self, actor: &Actor, least: usize) -> Option<Explanation> {
        let of = self.of.get_mut(actor)?;
        let domains: BTreeSet<&String> = of.domains.iter().flatten().collect();
        let (count, asked) = (domains.len(), of.asked[0] + of.asked[1]);
        let is_most = 2 * (of.counts[0] + of.counts[1]) >= asked;
        if least == 0 || count < least || !is_most || of.is_reported {
            return None;
        }
        let observed = format!(
            "{count} registered domains that do not exist were asked for within 10 min, of {asked} questions in all"
        );
        let mut why =
            Explanation::new(observed, "most of what a service asks for exists", ExpectedFrom::Floor).about(domains);
        why.threshold = format!("{least} domains, and half of all questions");
        why.parameter = "rules.dns-anomaly.failed_domains".into();
        why.alternatives = vec![
            Alternative::new("a crawler, a mail filter or a check of links", "what the service is for"),
            Alternative::new("a resolver that passes on what others ask", "name it under rules.dns-anomaly.allowed"),
        ];
        why.silence = "name the service under rules.dns-anomaly.allowed, or raise failed_domains".into();
        of.is_reported = true;
        Some(why)
    }
}

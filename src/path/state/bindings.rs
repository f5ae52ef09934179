//! Which connections are translated, and into what.
//!
//! Contract: a binding is found by either of its two tuples, read in either direction, for flows that began while it stood or shortly before it
//! was reported. A process that may configure a namespace can make its connection tracking say anything, so what a namespace translates by itself is kept
//! apart, and is believed only of what stays inside ([`Bindings::find_inside`]). Limits: [`MAX_BINDINGS`] of either kind; the oldest goes first and
//! is counted. Design: one entry a tuple, the newest; five-tuples are reused too seldom to keep a history.

use std::collections::{HashMap, VecDeque};
use std::time::Duration;

use super::windows::Windows;
use crate::input::{FiveTuple, NatBinding, NatFact, NetnsId};
use crate::time::Timestamp;

/// Entries of a busy host's table, twice.
const MAX_BINDINGS: usize = 131_072;
/// A binding is reported so soon after its first packet, and late packets come so long after its end.
const SLACK: Duration = Duration::from_secs(2);
/// A connection is translated so soon after its first packet was seen: in the same pass through the kernel, which something may interrupt.
const CONFIRMED: Duration = Duration::from_millis(30);
/// So soon after a flow's first packet it is decided, as a rule, whether it is translated.
pub const DECIDED: Duration = Duration::from_millis(80);

#[derive(Clone, Copy, Debug)]
struct Held {
    binding: NatBinding,
    number: u64,
    from: Timestamp,
    until: Option<Timestamp>,
}

/// Entries by either of their tuples.
#[derive(Debug, Default)]
struct Table {
    by_tuple: HashMap<FiveTuple, Held, foldhash::fast::RandomState>,
    oldest_first: VecDeque<(u64, NatBinding)>,
    next: u64,
    evicted: u64,
}

/// The translations that are known.
#[derive(Debug, Default)]
pub struct Bindings {
    host: Table,
    /// Of namespaces that are read beside the host's.
    inside: Table,
    watched_since: Option<Timestamp>,
    missed: Windows<()>,
    /// Up to when every binding of the host's has been reported.
    up_to_date: Option<Timestamp>,
}

impl Table {
    fn bind(&mut self, from: Timestamp, binding: NatBinding) {
        self.make_room();
        let held = Held { binding, number: self.next, from, until: None };
        for tuple in binding.tuples() {
            self.by_tuple.insert(tuple.canonical(), held);
        }
        self.oldest_first.push_back((self.next, binding));
        self.next += 1;
    }

    fn release(&mut self, at: Timestamp, binding: &NatBinding) {
        for tuple in binding.tuples() {
            if let Some(held) = self.by_tuple.get_mut(&tuple.canonical()).filter(|held| held.binding == *binding) {
                held.until.get_or_insert(at);
            }
        }
    }

    /// No source will report the end of what stands.
    fn release_all(&mut self, at: Timestamp, netns: Option<NetnsId>) {
        for held in self.by_tuple.values_mut().filter(|held| held.binding.netns == netns) {
            held.until.get_or_insert(at);
        }
    }

    fn make_room(&mut self) {
        while self.oldest_first.len() >= MAX_BINDINGS {
            let Some((number, binding)) = self.oldest_first.pop_front() else { return };
            let tuples = binding.tuples().map(FiveTuple::canonical);
            let stood = self.by_tuple.get(&tuples[0]).is_some_and(|held| held.number == number && held.until.is_none());
            self.evicted += u64::from(stood);
            for tuple in tuples {
                if self.by_tuple.get(&tuple).is_some_and(|held| held.number == number) {
                    self.by_tuple.remove(&tuple);
                }
            }
        }
    }

    fn find(&self, tuple: &FiveTuple, at: Timestamp) -> Option<&NatBinding> {
        if self.by_tuple.is_empty() {
            return None;
        }
        let held = self.by_tuple.get(&tuple.canonical())?;
        let begun = held.from.minus(SLACK) <= at;
        (begun && held.until.is_none_or(|until| at <= until.plus(SLACK))).then_some(&held.binding)
    }
}

impl Bindings {
    /// Takes in what connection tracking reported.
    pub fn apply(&mut self, at: Timestamp, fact: &NatFact) {
        // What stands when the watch begins is older than the watch.
        let from = if self.watched_since.is_some() { at } else { Timestamp::MIN };
        match fact {
            NatFact::Watched { netns: None } => self.watched_since = self.watched_since.or(Some(at)),
            NatFact::Unwatched { netns, .. } => {
                if netns.is_none() {
                    self.watched_since = None;
                }
                self.table(*netns).release_all(at, *netns);
            }
            NatFact::Watched { .. } => {}
            NatFact::Bound(binding) => self.table(binding.netns).bind(from, *binding),
            NatFact::Released(binding) => self.table(binding.netns).release(at, binding),
            NatFact::UpToDate { until } => self.up_to_date = self.up_to_date.max(Some(*until)),
            NatFact::Missed { since, .. } => self.missed.add((), *since, at),
        }
    }

    const fn table(&mut self, netns: Option<NetnsId>) -> &mut Table {
        if netns.is_none() { &mut self.host } else { &mut self.inside }
    }

    /// The host's translation that a tuple, read in either direction, was a side of at a time.
    pub fn find(&self, tuple: &FiveTuple, at: Timestamp) -> Option<&NatBinding> {
        self.host.find(tuple, at)
    }

    /// The redirection within a namespace that a tuple shows the far side of; the originator and what stays inside cannot be forged by it.
    pub fn find_inside(&self, tuple: &FiveTuple, at: Timestamp) -> Option<&NatBinding> {
        let is_local = |after: &FiveTuple| after.resp.ip.is_loopback() || after.resp.ip == after.orig.ip;
        self.inside.find(tuple, at).filter(|NatBinding { before, after, .. }| {
            after.canonical() == tuple.canonical() && before.orig == after.orig && is_local(after)
        })
    }

    /// Whether every translation on the host has been reported since before a time.
    pub fn is_watched(&self, since: Timestamp) -> bool {
        self.watched_since.is_some_and(|watched| watched <= since)
    }

    /// Whether a connection that began at a time would have been reported by now, if the host translated it.
    pub fn is_decided(&self, began: Timestamp) -> bool {
        self.up_to_date.is_some_and(|until| began.plus(CONFIRMED) <= until)
    }

    /// Whether it is reported up to when the host's bindings are known.
    pub const fn says_when(&self) -> bool {
        self.up_to_date.is_some()
    }

    /// Whether the host's translations are reported at all.
    pub const fn is_watched_now(&self) -> bool {
        self.watched_since.is_some()
    }

    /// Whether events were lost between two times.
    pub fn missed(&self, from: Timestamp, until: Timestamp) -> bool {
        self.missed.overlap(|()| true, from, until)
    }

    /// Stretches of missed events forgotten because there were too many.
    pub const fn forgotten_windows(&self) -> u64 {
        self.missed.forgotten()
    }

    /// Bindings that were forgotten while they stood.
    pub const fn evicted(&self) -> u64 {
        self.host.evicted + self.inside.evicted
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::input::{Endpoint, Protocol};

    fn end(host: u8, port: u16) -> Endpoint {
        Endpoint { ip: std::net::Ipv4Addr::new(192, 0, 2, host).into(), port }
    }

    fn binding(port: u16) -> NatBinding {
        let before = FiveTuple { protocol: Protocol::TCP, orig: end(1, port), resp: end(9, 80) };
        NatBinding { netns: None, before, after: FiveTuple { orig: end(2, port), ..before } }
    }

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_secs(1000 + seconds)
    }

    #[test]
    fn both_sides_lead_to_the_binding_while_it_stands() {
        let mut bindings = Bindings::default();
        assert!(!bindings.is_watched_now());
        bindings.apply(at(0), &NatFact::Watched { netns: None });
        bindings.apply(at(10), &NatFact::Bound(binding(4000)));
        for tuple in [binding(4000).before, binding(4000).after, binding(4000).after.reversed()] {
            assert_eq!(bindings.find(&tuple, at(9)), Some(&binding(4000)), "reported after its first packet");
            assert_eq!(bindings.find(&tuple, at(5)), None, "another connection of the same tuple, before");
        }
        bindings.apply(at(20), &NatFact::Released(binding(4000)));
        assert!(bindings.find(&binding(4000).before, at(21)).is_some(), "late packets");
        assert_eq!(bindings.find(&binding(4000).before, at(30)), None);
    }

    #[test]
    fn what_a_namespace_translates_counts_only_inside() {
        let mut bindings = Bindings::default();
        let mut own = NatBinding { netns: Some(NetnsId(7)), ..binding(4000) };
        bindings.apply(at(10), &NatFact::Bound(own));
        assert!(bindings.find(&own.before, at(10)).is_none() && bindings.find_inside(&own.before, at(10)).is_none());
        own.after =
            FiveTuple { resp: Endpoint { ip: std::net::Ipv4Addr::LOCALHOST.into(), port: 15_001 }, ..own.before };
        bindings.apply(at(11), &NatFact::Bound(own));
        assert_eq!(bindings.find_inside(&own.after.reversed(), at(11)), Some(&own));
        assert!(bindings.find_inside(&own.before, at(11)).is_none(), "it left untranslated");
        bindings.apply(at(12), &NatFact::Unwatched { netns: own.netns, error: String::new() });
        assert!(bindings.find_inside(&own.after, at(20)).is_none());
    }

    #[test]
    fn what_stood_before_the_watch_began_is_older_than_it() {
        let mut bindings = Bindings::default();
        bindings.apply(at(10), &NatFact::Bound(binding(4000)));
        bindings.apply(at(10), &NatFact::Watched { netns: None });
        assert!(bindings.find(&binding(4000).before, at(-900)).is_some());
        assert!(bindings.is_watched(at(10)) && !bindings.is_watched(at(9)));
    }

    #[test]
    fn what_was_not_reported_by_then_is_not_translated() {
        let mut bindings = Bindings::default();
        assert!(!bindings.is_decided(at(1)));
        bindings.apply(at(10), &NatFact::UpToDate { until: at(9) });
        bindings.apply(at(11), &NatFact::UpToDate { until: at(8) });
        assert!(bindings.is_decided(at(9).minus(CONFIRMED)) && !bindings.is_decided(at(9)));
    }

    #[test]
    fn lost_events_are_a_window() {
        let mut bindings = Bindings::default();
        bindings.apply(at(10), &NatFact::Missed { count: 0, since: at(5) });
        assert!(bindings.missed(at(7), at(8)) && bindings.missed(at(1), at(5)) && !bindings.missed(at(11), at(12)));
    }

    #[test]
    fn a_full_table_forgets_the_oldest_and_counts() {
        let mut bindings = Bindings::default();
        for number in 0..=MAX_BINDINGS {
            let mut next = binding(1);
            next.before.resp.port = u16::try_from(number % 60_000).expect("small");
            next.before.orig.port = u16::try_from(number / 60_000).expect("small");
            next.after.resp.port = next.before.resp.port;
            next.after.orig.port = next.before.orig.port;
            bindings.apply(at(1), &NatFact::Bound(next));
        }
        assert_eq!((bindings.evicted(), bindings.host.by_tuple.len()), (1, 2 * MAX_BINDINGS));
    }
}

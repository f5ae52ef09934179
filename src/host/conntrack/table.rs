//! The bindings of a namespace that were reported and stand.
//!
//! Contract: each is reported once, and released once when its last entry is gone; a fact that was refused counts as not reported, and is
//! reported at the next snapshot. Limits: [`MAX_REMEMBERED`] entries; what is beyond is reported without being remembered, so again at each
//! snapshot, and its end is reported when the kernel reports it.

use foldhash::fast::RandomState;
use hashbrown::HashMap;

use super::{Connection, Taker};
use crate::input::{FiveTuple, NatBinding, NatFact, NetnsId};

/// Entries; some 25 MiB when full.
pub const MAX_REMEMBERED: usize = 131_072;

type Pair = (FiveTuple, FiveTuple);

#[derive(Debug)]
pub(super) struct Table {
    netns: Option<NetnsId>,
    most: usize,
    entries: HashMap<(Pair, u32), Entry, RandomState>,
    /// Entries of the same five-tuples: only where an entry has a tag.
    alike: HashMap<Pair, u32, RandomState>,
    turn: u32,
    /// Entries whose end may not be reported.
    quiet: usize,
    /// Something was reported without being remembered.
    overflowed: bool,
}

#[derive(Clone, Copy, Debug)]
struct Entry {
    /// The snapshot that had it last.
    turn: u32,
    quiet: bool,
}

impl Table {
    pub(super) fn new(netns: Option<NetnsId>) -> Self {
        Self::with_room(netns, MAX_REMEMBERED)
    }

    fn with_room(netns: Option<NetnsId>, most: usize) -> Self {
        let (entries, alike) = (HashMap::default(), HashMap::default());
        Self { netns, most, entries, alike, turn: 0, quiet: 0, overflowed: false }
    }

    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there are entries whose end may not be reported.
    pub(super) const fn has_quiet(&self) -> bool {
        self.quiet > 0
    }

    /// Takes an event; whether what it means could be reported.
    pub(super) fn take(&mut self, connection: &Connection, out: &mut Taker<'_>) -> bool {
        if connection.gone { self.release(connection, out) } else { self.bind(connection, false, out) }
    }

    /// A snapshot begins.
    pub(super) const fn begin(&mut self) {
        self.turn = self.turn.wrapping_add(1);
        self.overflowed = false;
    }

    /// Takes a connection of the snapshot; whether what it means could be reported.
    pub(super) fn see(&mut self, connection: &Connection, out: &mut Taker<'_>) -> bool {
        self.bind(connection, true, out)
    }

    /// The snapshot was whole: releases what it did not have; whether all that could be reported.
    pub(super) fn sweep(&mut self, out: &mut Taker<'_>) -> bool {
        let mut gone: Vec<_> =
            self.entries.iter().filter(|(_, entry)| entry.turn != self.turn).map(|(key, _)| *key).collect();
        gone.sort_unstable();
        gone.into_iter().fold(true, |fits, (pair, tag)| {
            let connection = Connection { gone: true, before: pair.0, after: pair.1, tag };
            self.release(&connection, out) && fits
        })
    }

    fn bind(&mut self, connection: &Connection, quiet: bool, out: &mut Taker<'_>) -> bool {
        let (pair, turn) = ((connection.before, connection.after), self.turn);
        let key = (pair, connection.tag);
        if let Some(entry) = self.entries.get_mut(&key) {
            entry.turn = turn;
            return true;
        }
        let fact = NatFact::Bound(self.binding(pair));
        if self.entries.len() >= self.most {
            self.overflowed = true;
            return out(fact);
        }
        let is_first = connection.tag == 0 || !self.alike.contains_key(&pair);
        if is_first && !out(fact) {
            return false;
        }
        if connection.tag != 0 {
            *self.alike.entry(pair).or_insert(0) += 1;
        }
        self.quiet += usize::from(quiet);
        self.entries.insert(key, Entry { turn, quiet });
        true
    }

    fn release(&mut self, connection: &Connection, out: &mut Taker<'_>) -> bool {
        let pair = (connection.before, connection.after);
        let key = (pair, connection.tag);
        let Some(entry) = self.entries.get(&key).copied() else {
            // What was never reported need not be released.
            let others = self.alike.contains_key(&pair);
            return !self.overflowed || others || out(NatFact::Released(self.binding(pair)));
        };
        let others = self.alike.get(&pair).copied().unwrap_or(0).saturating_sub(1);
        if others == 0 && !out(NatFact::Released(self.binding(pair))) {
            return false;
        }
        if connection.tag != 0 {
            match others {
                0 => _ = self.alike.remove(&pair),
                others => _ = self.alike.insert(pair, others),
            }
        }
        self.quiet -= usize::from(entry.quiet);
        self.entries.remove(&key);
        true
    }

    const fn binding(&self, (before, after): Pair) -> NatBinding {
        NatBinding { netns: self.netns, before, after }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::input::{Endpoint, Protocol};

    fn connection(port: u16, tag: u32) -> Connection {
        let end = |last: u8, port| Endpoint { ip: [192, 0, 2, last].into(), port };
        let five = |from: u8| FiveTuple { protocol: Protocol::ICMP, orig: end(from, port), resp: end(9, 0) };
        Connection { gone: false, before: five(1), after: five(2), tag }
    }

    fn gone(connection: Connection) -> Connection {
        Connection { gone: true, ..connection }
    }

    /// What was reported, as `+port` and `-port`.
    #[derive(Default)]
    struct Reported {
        all: Vec<String>,
        shut: bool,
    }

    impl Reported {
        fn take(&mut self, fact: &NatFact) -> bool {
            if !self.shut {
                self.all.push(match fact {
                    NatFact::Bound(binding) => format!("+{}", binding.before.orig.port),
                    NatFact::Released(binding) => format!("-{}", binding.before.orig.port),
                    other => panic!("{other:?}"),
                });
            }
            !self.shut
        }
    }

    #[test]
    fn an_event_and_a_snapshot_of_the_same_entry_are_told_once() {
        let (mut table, mut reported) = (Table::new(None), Reported::default());
        table.begin();
        table.see(&connection(1, 0), &mut |fact| reported.take(&fact));
        table.sweep(&mut |fact| reported.take(&fact));
        table.take(&connection(1, 0), &mut |fact| reported.take(&fact));
        assert!(table.has_quiet(), "no event may come when it ends");
        table.take(&gone(connection(1, 0)), &mut |fact| reported.take(&fact));
        table.take(&gone(connection(1, 0)), &mut |fact| reported.take(&fact));
        table.take(&gone(connection(2, 0)), &mut |fact| reported.take(&fact));
        assert_eq!((reported.all, table.len(), table.has_quiet()), (vec!["+1".to_owned(), "-1".to_owned()], 0, false));
    }

    #[test]
    fn what_a_snapshot_does_not_have_any_more_is_released_in_order() {
        let (mut table, mut reported) = (Table::new(None), Reported::default());
        for port in [7, 3, 5, 4] {
            table.take(&connection(port, 0), &mut |fact| reported.take(&fact));
        }
        table.begin();
        table.see(&connection(4, 0), &mut |fact| reported.take(&fact));
        table.see(&connection(8, 0), &mut |fact| reported.take(&fact));
        assert!(table.sweep(&mut |fact| reported.take(&fact)));
        assert_eq!(reported.all, ["+7", "+3", "+5", "+4", "+8", "-3", "-5", "-7"]);
        assert_eq!(table.len(), 2);
    }

    #[test]
    fn entries_alike_are_one_binding_until_the_last_is_gone() {
        let (mut table, mut reported) = (Table::new(None), Reported::default());
        for tag in [5, 6, 6] {
            table.take(&connection(1, tag), &mut |fact| reported.take(&fact));
        }
        table.take(&gone(connection(1, 5)), &mut |fact| reported.take(&fact));
        assert_eq!(reported.all, ["+1"]);
        table.take(&gone(connection(1, 6)), &mut |fact| reported.take(&fact));
        assert_eq!((reported.all.last().map(String::as_str), table.len(), table.alike.len()), (Some("-1"), 0, 0));
    }

    #[test]
    fn a_refused_fact_is_told_at_the_next_snapshot() {
        let (mut table, mut reported) = (Table::new(None), Reported::default());
        table.take(&connection(1, 0), &mut |fact| reported.take(&fact));
        reported.shut = true;
        assert!(!table.take(&connection(2, 0), &mut |fact| reported.take(&fact)));
        assert!(!table.take(&gone(connection(1, 0)), &mut |fact| reported.take(&fact)));
        reported.shut = false;
        table.begin();
        table.see(&connection(2, 0), &mut |fact| reported.take(&fact));
        table.sweep(&mut |fact| reported.take(&fact));
        assert_eq!(reported.all, ["+1", "+2", "-1"]);
    }

    #[test]
    fn beyond_the_bound_bindings_are_told_but_not_remembered() {
        let (mut table, mut reported) = (Table::with_room(None, 2), Reported::default());
        for port in 1..=3 {
            table.take(&connection(port, 0), &mut |fact| reported.take(&fact));
        }
        table.take(&gone(connection(3, 0)), &mut |fact| reported.take(&fact));
        assert_eq!((&reported.all[..], table.len()), (&["+1", "+2", "+3", "-3"].map(str::to_owned)[..], 2));
    }
}

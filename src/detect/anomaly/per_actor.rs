//! What a rule remembers of each actor, and which of many things an actor did for the first time.
//!
//! Contract: bounded, and what a bound cost is counted. Limits: [`MAX_ACTORS`] actors; beyond, the one that came first is forgotten.
//! Design: looked up by hash; no order of the table reaches the output.

use std::collections::VecDeque;

use super::actor::Actor;

/// Actors that a rule remembers.
const MAX_ACTORS: usize = 10_000;

/// Something for each actor.
#[derive(Debug)]
pub struct PerActor<T> {
    of: hashbrown::HashMap<Actor, T, foldhash::fast::RandomState>,
    order: VecDeque<Actor>,
    forgotten: u64,
}

impl<T> Default for PerActor<T> {
    fn default() -> Self {
        Self { of: hashbrown::HashMap::default(), order: VecDeque::new(), forgotten: 0 }
    }
}

impl<T: Default> PerActor<T> {
    /// What is remembered of an actor.
    pub fn of(&mut self, actor: &Actor) -> &mut T {
        if self.of.len() >= MAX_ACTORS
            && !self.of.contains_key(actor)
            && let Some(first) = self.order.pop_front()
        {
            self.of.remove(&first);
            self.forgotten += 1;
        }
        let Self { of, order, .. } = self;
        of.entry(actor.clone()).or_insert_with(|| {
            order.push_back(actor.clone());
            T::default()
        })
    }

    /// What is remembered of an actor, where it is known.
    pub fn known(&mut self, actor: &Actor) -> Option<&mut T> {
        self.of.get_mut(actor)
    }

    /// Actors forgotten because there were too many.
    pub const fn forgotten(&self) -> u64 {
        self.forgotten
    }
}

/// Inserts into a list that grows by an eighth at a time: there is one for each actor.
pub fn insert_tightly<T>(list: &mut Vec<T>, place: usize, one: T) {
    if list.len() == list.capacity() {
        list.reserve_exact(list.len() / 8 + 4);
    }
    list.insert(place, one);
}

/// The latest things that were seen, so that one knows which are new.
#[derive(Clone, Debug)]
pub struct Recent<K, const MAX: usize> {
    /// In order of the key; with the number of its first sight.
    known: Vec<(K, u32)>,
    next: u32,
}

impl<K, const MAX: usize> Default for Recent<K, MAX> {
    fn default() -> Self {
        Self { known: Vec::new(), next: 0 }
    }
}

impl<K: Ord + Copy, const MAX: usize> Recent<K, MAX> {
    /// How many are known of those from one to another, both included.
    pub fn between(&self, from: K, to: K) -> usize {
        let before = self.known.partition_point(|(known, _)| *known < from);
        let until = self.known.partition_point(|(known, _)| *known <= to);
        until.saturating_sub(before)
    }

    /// Forgets those from one to another, both included.
    pub fn forget_between(&mut self, from: K, to: K) {
        self.known.retain(|(known, _)| *known < from || to < *known);
    }

    /// Whether it is new; from now on it is not. At the bound the one that was seen first is forgotten.
    pub fn is_new(&mut self, key: K) -> bool {
        let Err(mut place) = self.known.binary_search_by_key(&key, |(known, _)| *known) else { return false };
        if self.known.len() >= MAX {
            let first = self.known.iter().enumerate().min_by_key(|(_, (_, number))| *number).map(|(at, _)| at);
            if let Some(first) = first {
                self.known.remove(first);
                place -= usize::from(first < place);
            }
        }
        insert_tightly(&mut self.known, place, (key, self.next));
        self.next = self.next.wrapping_add(1);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::IpAddr;

    #[test]
    fn the_latest_things_are_known_and_the_first_is_forgotten() {
        let mut recent = Recent::<u16, 3>::default();
        assert_eq!([5, 1, 5, 9, 1].map(|key| recent.is_new(key)), [true, true, false, true, false]);
        assert!(recent.is_new(7) && recent.is_new(5), "5 made room for 7");
        assert_eq!(recent.known.iter().map(|(key, _)| *key).collect::<Vec<_>>(), [5, 7, 9]);
    }

    #[test]
    fn actors_are_bounded_and_the_first_is_forgotten() {
        let mut table = PerActor::<u32>::default();
        let actor = |number: u32| Actor::Address(IpAddr::from(number.to_be_bytes()));
        (0..=10_000).for_each(|number| *table.of(&actor(number)) += 1);
        assert_eq!(table.forgotten(), 1);
        assert_eq!([0, 1].map(|number| table.known(&actor(number)).copied()), [None, Some(1)]);
    }
}

//! Followed flows by the order in which they began.
//!
//! Contract: the first is the oldest. Limits: what was removed keeps its place until the half of all places is empty. Design: sequences only grow, so a queue
//! is in order by itself, and a flow that ends costs a search instead of a tree's balance.

use std::collections::VecDeque;

use crate::input::FlowId;

/// Empty places below which nothing is cleaned up.
const FEW: usize = 64;

/// Flows by sequence, the oldest first.
#[derive(Debug, Default)]
pub(super) struct ByAge {
    places: VecDeque<(u64, Option<FlowId>)>,
    flows: usize,
}

impl ByAge {
    /// A flow with a sequence that is higher than all before.
    pub(super) fn push(&mut self, sequence: u64, id: FlowId) {
        debug_assert!(self.places.back().is_none_or(|(last, _)| *last < sequence), "sequences grow");
        self.places.push_back((sequence, Some(id)));
        self.flows += 1;
    }

    /// Another record meters a flow.
    pub(super) fn rename(&mut self, sequence: u64, id: FlowId) {
        if let Some(place) = self.place(sequence) {
            self.flows += usize::from(place.replace(id).is_none());
        }
    }

    /// A flow is followed no more.
    pub(super) fn remove(&mut self, sequence: u64) {
        let removed = self.place(sequence).and_then(Option::take).is_some();
        self.flows -= usize::from(removed);
        while self.places.front().is_some_and(|(_, id)| id.is_none()) {
            self.places.pop_front();
        }
        if self.places.len() > 2 * self.flows + FEW {
            self.places.retain(|(_, id)| id.is_some());
        }
    }

    /// The oldest flow, which is followed no more.
    pub(super) fn pop_first(&mut self) -> Option<FlowId> {
        let first = std::iter::from_fn(|| self.places.pop_front()).find_map(|(_, id)| id);
        self.flows -= usize::from(first.is_some());
        first
    }

    fn place(&mut self, sequence: u64) -> Option<&mut Option<FlowId>> {
        let at = self.places.binary_search_by_key(&sequence, |(known, _)| *known).ok()?;
        self.places.get_mut(at).map(|(_, id)| id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_that_is_left_comes_first_and_empty_places_are_given_up() {
        let mut by_age = ByAge::default();
        (0..1000).for_each(|number| by_age.push(number, FlowId(number)));
        (0..1000).filter(|number| number % 10 != 3).for_each(|number| by_age.remove(number));
        assert!(by_age.places.len() <= 2 * 100 + FEW);
        by_age.rename(13, FlowId(7));
        by_age.remove(13_000);
        let left: Vec<FlowId> = std::iter::from_fn(|| by_age.pop_first()).take(3).collect();
        assert_eq!((left, by_age.flows), (vec![FlowId(3), FlowId(7), FlowId(23)], 97));
    }
}

//! The rules that are switched on, and which events each of them wants.
//!
//! Contract: a rule is at its place in [`rules::ALL`] whether others are switched on or not, so that a timer finds it after a reload. A rule with the same
//! parameters as before keeps what it remembers. Limits: as many as there are rules.

use std::sync::Arc;

use super::asking::Asked;
use crate::detect::Rule;
use crate::detect::rules::{self, RuleParams};
use crate::path::{Contract, Monitors};

/// All of them.
#[derive(Debug)]
pub(super) struct RuleSet {
    params: RuleParams,
    rules: Vec<Option<Box<dyn Rule>>>,
    /// The rules that want each kind of events, by place.
    listeners: [Vec<usize>; Asked::COUNT],
    /// What the bounds of rules that are gone cost.
    forgotten: u64,
}

impl RuleSet {
    /// Rules that have seen nothing.
    pub(super) fn new(params: &RuleParams, contracts: &[Contract], monitors: &Arc<Monitors>) -> Self {
        let mut set = Self {
            params: params.clone(),
            rules: rules::enabled(params),
            listeners: [const { Vec::new() }; Asked::COUNT],
            forgotten: 0,
        };
        set.tell(contracts, monitors);
        set
    }

    /// Takes over another configuration; returns the places of rules that begin now.
    pub(super) fn reconfigure(
        &mut self,
        params: &RuleParams,
        contracts: &[Contract],
        monitors: &Arc<Monitors>,
    ) -> Vec<usize> {
        let mut begun = rules::enabled(params);
        let mut changed = rules::changed(&self.params, params);
        for place in &changed {
            if let Some((rule, begun)) = self.rules.get_mut(*place).zip(begun.get_mut(*place)) {
                let gone = std::mem::replace(rule, begun.take());
                self.forgotten += gone.map_or(0, |rule| rule.forgotten());
            }
        }
        self.params = params.clone();
        self.tell(contracts, monitors);
        changed.retain(|place| matches!(self.rules.get(*place), Some(Some(_))));
        changed
    }

    fn tell(&mut self, contracts: &[Contract], monitors: &Arc<Monitors>) {
        for rule in self.rules.iter_mut().flatten() {
            rule.contracts(contracts);
            rule.monitors(monitors);
        }
        let places: Vec<usize> = self.places().collect();
        self.listeners = std::array::from_fn(|_| places.clone());
    }

    /// The places of all rules that are switched on.
    pub(super) fn places(&self) -> impl Iterator<Item = usize> {
        self.rules.iter().enumerate().filter(|(_, rule)| rule.is_some()).map(|(place, _)| place)
    }

    /// The rule at a place, where it is switched on.
    pub(super) fn get_mut(&mut self, place: usize) -> Option<&mut dyn Rule> {
        Some(self.rules.get_mut(place)?.as_mut()?.as_mut())
    }

    /// The place of one of those that want a kind of events.
    pub(super) fn listener(&self, kind: Asked, number: usize) -> Option<usize> {
        self.listeners.get(kind as usize)?.get(number).copied()
    }

    /// One of them does not want such events.
    pub(super) fn ask_no_more(&mut self, kind: Asked, number: usize) {
        if let Some(listeners) = self.listeners.get_mut(kind as usize) {
            listeners.remove(number);
        }
    }

    /// How often a bound of what rules remember was reached and cost something.
    pub(super) fn forgotten(&self) -> u64 {
        self.forgotten + self.rules.iter().flatten().map(|rule| rule.forgotten()).sum::<u64>()
    }
}

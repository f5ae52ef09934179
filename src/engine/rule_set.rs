//! The rules that are switched on, and which events each of them wants.
//!
//! Contract: a rule is at its place in [`rules::ALL`] whether others are switched on or not, so that a timer finds it after a reload. A rule with the same
//! parameters as before keeps what it remembers. Limits: as many as there are rules.

use std::sync::Arc;

use super::asked::Asked;
use crate::detect::rules::{self, RuleParams};
use crate::detect::{ExceptionTerm, Findings, Rule};
use crate::path::{Contract, Monitors};
use crate::time::Timestamp;

/// What rules are told before anything else.
#[derive(Clone, Copy, Debug)]
pub(super) struct Told<'a> {
    pub(super) contracts: &'a [Contract],
    pub(super) monitors: &'a Arc<Monitors>,
    pub(super) exceptions: &'a [ExceptionTerm],
}

/// All of them.
#[derive(Debug)]
pub(super) struct RuleSet {
    params: RuleParams,
    rules: Vec<Option<Box<dyn Rule>>>,
    /// The rules that want each kind of events, by place.
    listeners: [Vec<usize>; Asked::COUNT],
    /// What the bounds of rules that are gone cost.
    forgotten: u64,
    /// When rules want to be asked about what they were told.
    wakes: Vec<(usize, Timestamp)>,
}

impl RuleSet {
    /// Rules that have seen nothing.
    pub(super) fn new(params: &RuleParams, told: Told<'_>) -> Self {
        let mut set = Self {
            params: params.clone(),
            rules: rules::enabled(params),
            listeners: [const { Vec::new() }; Asked::COUNT],
            forgotten: 0,
            wakes: Vec::new(),
        };
        set.tell(told);
        set
    }

    /// Takes over another configuration; returns the places of rules that begin now.
    pub(super) fn reconfigure(&mut self, params: &RuleParams, told: Told<'_>) -> Vec<usize> {
        let mut begun = rules::enabled(params);
        let mut changed = rules::changed(&self.params, params);
        for place in &changed {
            if let Some((rule, begun)) = self.rules.get_mut(*place).zip(begun.get_mut(*place)) {
                let gone = std::mem::replace(rule, begun.take());
                self.forgotten += gone.map_or(0, |rule| rule.forgotten());
            }
        }
        self.params = params.clone();
        self.tell(told);
        changed.retain(|place| matches!(self.rules.get(*place), Some(Some(_))));
        changed
    }

    fn tell(&mut self, told: Told<'_>) {
        for (place, rule) in self.rules.iter_mut().enumerate() {
            let Some(rule) = rule else { continue };
            rule.contracts(told.contracts);
            rule.monitors(told.monitors);
            self.wakes.extend(rule.exceptions(told.exceptions).map(|at| (place, at)));
        }
        self.listen();
    }

    /// When rules want to be asked about what they were told, by place.
    #[inline]
    pub(super) fn take_wakes(&mut self) -> Vec<(usize, Timestamp)> {
        std::mem::take(&mut self.wakes)
    }

    /// An exception held back a finding.
    pub(super) fn held_back(&mut self, exception: &str) {
        self.rules.iter_mut().flatten().for_each(|rule| rule.held_back(exception));
    }

    /// From now on every rule is asked about everything, until it says that it does not want something.
    pub(super) fn listen(&mut self) {
        let places: Vec<usize> = self.places().collect();
        self.listeners = std::array::from_fn(|_| places.clone());
        let is_about_skips_alone = |place: &usize| {
            self.rules.get(*place).and_then(Option::as_ref).is_some_and(|rule| rule.is_about_skips_alone())
        };
        if let Some(listeners) = self.listeners.get_mut(Asked::Flow as usize) {
            listeners.retain(|place| !is_about_skips_alone(place));
        }
    }

    /// The places of all rules that are switched on.
    pub(super) fn places(&self) -> impl Iterator<Item = usize> {
        self.rules.iter().enumerate().filter(|(_, rule)| rule.is_some()).map(|(place, _)| place)
    }

    /// The rule at a place, where it is switched on.
    pub(super) fn get_mut(&mut self, place: usize) -> Option<&mut dyn Rule> {
        Some(self.rules.get_mut(place)?.as_mut()?.as_mut())
    }

    /// Asks those that want a kind of events, from one of them on, until one has something to say: its place. Nearly always none has.
    pub(super) fn ask(
        &mut self,
        kind: Asked,
        from: &mut usize,
        findings: &mut Findings,
        ask: impl Fn(&mut dyn Rule, &mut Findings),
    ) -> Option<usize> {
        let Self { rules, listeners, .. } = self;
        let listeners = listeners.get_mut(kind as usize)?;
        while let Some(place) = listeners.get(*from).copied() {
            ask(rules.get_mut(place)?.as_mut()?.as_mut(), findings);
            if findings.take_deaf() {
                listeners.remove(*from);
                continue;
            }
            *from += 1;
            if !findings.is_empty() {
                return Some(place);
            }
        }
        None
    }

    /// How often a bound of what rules remember was reached and cost something.
    pub(super) fn forgotten(&self) -> u64 {
        self.forgotten + self.rules.iter().flatten().map(|rule| rule.forgotten()).sum::<u64>()
    }
}

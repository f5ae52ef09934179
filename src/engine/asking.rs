//! Asking the rules, and what becomes of their answers.
//!
//! Contract: rules are asked in their order, those alone that want an event of this kind; a rule that says that it does not is not asked
//! about that kind again. What it finds goes to the grouper at once, and what it wants to be asked later becomes a timer.

use super::asked::Asked;
use super::rule_set::RuleSet;
use super::{Engine, Timer};
use crate::alert::{Alert, Disposition};
use crate::detect::{Context, Due, Finding, Findings, Rule, add_blind_spots, add_changed_by, add_name, add_sender};
use crate::input::{FlowRecord, OpenAlert};
use crate::time::Timestamp;

impl Engine {
    /// Rules that want to be asked about what they were told are, from this input on.
    pub(super) fn wake_rules(&mut self, now: Timestamp) {
        for (place, at) in self.rules.take_wakes() {
            self.timers.set(at.max(now), Timer::Rule(place));
        }
    }

    /// Lets the rules know whose traffic without a verdict grew.
    pub(super) fn report_unjudged(&mut self, now: Timestamp, out: &mut Vec<Alert>) {
        if !self.path.unjudged.is_touched() {
            return;
        }
        for sender in self.path.unjudged.take_touched() {
            self.ask_rules(Asked::Unjudged, now, out, |rule, context, found| rule.on_unjudged(context, &sender, found));
        }
    }

    /// Lets the rules know what became of contacts.
    pub(super) fn contact(&mut self, due: &[Due], record: Option<&FlowRecord>, now: Timestamp, out: &mut Vec<Alert>) {
        for due in due {
            due.each(record, |contact| {
                self.observers.iter_mut().for_each(|observer| observer.contact(&self.timeline, &self.names, contact));
                self.ask_rules(Asked::contact(contact.step), now, out, |rule, context, found| {
                    rule.on_contact(context, contact, found);
                });
            });
        }
    }

    /// What waits is decided as it stands.
    pub(super) fn end_rules(&mut self, now: Timestamp, out: &mut Vec<Alert>) {
        let due = self.contacts.finish(&self.path, now);
        self.contact(&due, None, now, out);
        let places: Vec<usize> = self.rules.places().collect();
        for index in places {
            let mut findings = Findings::default();
            self.ask_rule(index, now, &mut findings, |rule, context, found| rule.on_end(context, found));
            self.take(index, &mut findings, out);
        }
    }

    pub(super) fn ask_rules(
        &mut self,
        kind: Asked,
        now: Timestamp,
        out: &mut Vec<Alert>,
        ask: impl Fn(&mut dyn Rule, Context<'_>, &mut Findings),
    ) {
        let (mut findings, mut number) = (Findings::default(), 0);
        loop {
            let (rules, context) = self.split(now);
            let found = rules.ask(kind, &mut number, &mut findings, |rule, findings| ask(rule, context, findings));
            let Some(index) = found else { return };
            self.take(index, &mut findings, out);
        }
    }

    /// The rules, and what they may look at.
    fn split(&mut self, now: Timestamp) -> (&mut RuleSet, Context<'_>) {
        let (baseline, compared) = (self.baseline.as_deref(), self.compared.as_ref());
        let (timeline, actors, path, names) = (&self.timeline, &self.actors, &self.path, &self.names);
        (&mut self.rules, Context { timeline, actors, baseline, compared, path, names, now })
    }

    pub(super) fn fire_rule(&mut self, index: usize, now: Timestamp, out: &mut Vec<Alert>) {
        let mut findings = Findings::default();
        self.ask_rule(index, now, &mut findings, |rule, context, found| rule.on_time(context, found));
        self.take(index, &mut findings, out);
    }

    pub(super) fn ask_rule(
        &mut self,
        index: usize,
        now: Timestamp,
        findings: &mut Findings,
        ask: impl Fn(&mut dyn Rule, Context<'_>, &mut Findings),
    ) {
        let (rules, context) = self.split(now);
        if let Some(rule) = rules.get_mut(index) {
            ask(rule, context, findings);
        }
    }

    /// An alert that an earlier run left open.
    pub(super) fn resume(&mut self, left: &OpenAlert, now: Timestamp) {
        let due = self.grouper.resume(left, now);
        self.timers.set(due, Timer::LeftOpen);
    }

    /// What a rule found, and when it wants to be asked again.
    pub(super) fn take(&mut self, index: usize, findings: &mut Findings, out: &mut Vec<Alert>) {
        let (found, timers) = std::mem::take(findings).into_parts();
        for at in timers {
            self.timers.set(at, Timer::Rule(index));
        }
        for finding in found {
            self.report(finding, out);
        }
    }

    fn report(&mut self, mut finding: Finding, out: &mut Vec<Alert>) {
        if !self.actors.settle(&self.timeline, &mut finding) {
            return;
        }
        add_name(&self.names, &mut finding);
        let at = finding.at;
        let disposition = self.grouper.ingest(finding, |finding| {
            add_sender(&self.timeline, finding);
            add_blind_spots(&self.timeline, &self.path, finding);
            add_changed_by(&self.recent, finding);
        });
        out.extend(self.grouper.final_updates());
        match disposition {
            Disposition::Deliver(alert) => {
                self.stats.alert(&alert);
                out.push(*alert);
            }
            Disposition::DueAt(due) => self.timers.set(due, Timer::Updates),
            Disposition::Counted => {}
            Disposition::Allowed(exception) => {
                self.rules.held_back(&exception);
                let last = self.stats.exception_last_hits.entry(exception.clone()).or_insert(at);
                *last = at.max(*last);
                *self.stats.exception_hits.entry(exception).or_default() += 1;
            }
        }
    }
}

//! What becomes of a fact that was read: kept, counted, reported.
//!
//! Contract: a fact that changes nothing is not reported, and a flow is reported at most [`MAX_REPORTED`] times. Of DNS only the first
//! question is, and the fourth, sixteenth and thirty-second: a resolver's flow asks all the time, and its events show what it asked since.
//! Limits: where there is no room for a question, it and all later ones of its flow are counted, and not compared.

use std::sync::Arc;

use super::content::{Fact, is_asked};
use super::{PayloadBudget, PayloadInspector, PayloadSlot};
use crate::decode::app::dns;
use crate::input::AppFacts;

/// Packets of a flow that are reported as soon as they brought something new.
const MAX_REPORTED: u8 = 4;
/// Questions of all flows, beyond the first of each, names of up to [`LONG_NAME`] bytes: some 120 bytes each.
const MAX_QUESTIONS: usize = 1 << 19;
/// A longer name counts as several questions.
const LONG_NAME: usize = 128;

/// How many questions a name counts as.
pub(super) const fn weight(name: &str) -> usize {
    1 + name.len() / LONG_NAME
}

impl PayloadInspector {
    /// Records that a flow is reported; false when it was often enough.
    pub(in crate::flow) fn may_report(&mut self, slot: &PayloadSlot) -> bool {
        let Some(flow) = self.all.get_mut(slot.index as usize) else { return false };
        let may = flow.reported < MAX_REPORTED;
        flow.reported += u8::from(may);
        may
    }

    /// Remembers what a message answers, for the name in `self.name`, if the flow asked for it.
    pub(super) fn note_answer(&mut self, slot: &PayloadSlot, side: usize, answer: &dns::Question, message: &[u8]) {
        let may_say = answer.is_response && answer.rcode == 0 && answer.rest > 0 && side == 1;
        if !may_say || !dns::may_have_addresses(answer.kind) {
            return;
        }
        // Of a flow that asked too often its questions are not kept any more.
        let is_asked = self.is_counting(slot)
            || self
                .facts_of(slot)
                .is_some_and(|facts| facts.dns.iter().any(|known| is_asked(known, answer, &self.name)));
        if is_asked {
            let found = dns::addresses(message, &self.name);
            self.answered = (!found.addresses.is_empty())
                .then(|| Box::new((self.name.to_ascii_lowercase().into_boxed_str(), found)));
        }
    }

    fn facts_of(&self, slot: &PayloadSlot) -> Option<&AppFacts> {
        self.all.get(slot.index as usize).and_then(|flow| flow.facts.as_deref())
    }

    /// Keeps a fact; a name that belongs to it is in `self.name`.
    pub(super) fn keep(&mut self, budget: &mut PayloadBudget, slot: &mut PayloadSlot, side: usize, fact: Fact) {
        if let Fact::Dns(question) = &fact
            && self.is_counting(slot)
        {
            return self.count_question(slot, !question.is_response);
        }
        let name = std::mem::take(&mut self.name);
        let is_full = self.questions >= MAX_QUESTIONS;
        if let Some(facts) = self.flow_payload(slot).map(|flow| flow.facts.get_or_insert_default())
            && fact.is_new(facts, side, &name)
        {
            let is_urgent = fact.is_urgent(facts);
            let asks = matches!(&fact, Fact::Dns(question) if !question.is_response);
            // A shared copy was shown by an earlier event and stays as it was.
            let facts = Arc::make_mut(facts);
            let before = facts.dns.len();
            let has_room = (!is_full || before == 0) && fact.keep(facts, side, &name);
            self.questions += if facts.dns.len() > before { weight(&name) } else { 0 };
            self.is_changed |= is_urgent && has_room;
            if !has_room {
                self.refused += u64::from(is_full);
                self.set_full(slot);
                self.count_question(slot, asks);
            }
        } else if slot.index == PayloadSlot::NONE {
            budget.end();
        }
        self.name = name;
    }

    fn set_full(&mut self, slot: &PayloadSlot) {
        if let Some(flow) = self.all.get_mut(slot.index as usize) {
            flow.is_full = true;
        }
    }

    /// Whether there is no room for more questions of a flow.
    pub(super) fn is_counting(&self, slot: &PayloadSlot) -> bool {
        self.all.get(slot.index as usize).is_some_and(|flow| flow.is_full)
    }

    /// Counts a message that is not kept, if it asks.
    pub(super) fn count_question(&mut self, slot: &PayloadSlot, asks: bool) {
        if let Some(flow) = self.all.get_mut(slot.index as usize) {
            flow.more = flow.more.saturating_add(u32::from(asks));
        }
    }
}

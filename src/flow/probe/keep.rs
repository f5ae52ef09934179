//! What becomes of a fact that was read: kept, counted, told of.
//!
//! Contract: a fact that changes nothing is not told of, and a flow is told of at most [`MAX_TOLD`] times. Of DNS only the first
//! question is, and the fourth, sixteenth and thirty-second: a resolver's flow asks all the time, and its events show what it asked since.
//! Limits: where there is no room for a question, it and all later ones of its flow are counted, and not compared.

use std::sync::Arc;

use super::content::Fact;
use super::{Interest, Probes, Seat};

/// Packets of a flow that are told of as soon as they brought something new.
const MAX_TOLD: u8 = 4;
/// Questions of all flows, beyond the first of each, names of up to [`LONG_NAME`] bytes: some 120 bytes each.
const MAX_QUESTIONS: usize = 1 << 19;
/// A longer name counts as several questions.
const LONG_NAME: usize = 128;

/// How many questions a name counts as.
pub(super) const fn weight(name: &str) -> usize {
    1 + name.len() / LONG_NAME
}

impl Probes {
    /// Notes that a flow is told of; false when it was often enough.
    pub(super) fn may_tell(&mut self, seat: &Seat) -> bool {
        let Some(probe) = self.all.get_mut(seat.slot as usize) else { return false };
        let may = probe.told < MAX_TOLD;
        probe.told += u8::from(may);
        may
    }

    /// Keeps a fact; a name that belongs to it is in `self.name`.
    pub(super) fn keep(&mut self, interest: &mut Interest, seat: &mut Seat, side: usize, fact: Fact) {
        if let Fact::Dns(question) = &fact
            && self.is_counting(seat)
        {
            return self.count_question(seat, !question.is_response);
        }
        let name = std::mem::take(&mut self.name);
        let is_full = self.questions >= MAX_QUESTIONS;
        if let Some(facts) = self.probe(seat).map(|probe| probe.facts.get_or_insert_default())
            && fact.is_news(facts, side, &name)
        {
            let is_urgent = fact.is_urgent(facts);
            let asks = matches!(&fact, Fact::Dns(question) if !question.is_response);
            // A shared copy was shown by an earlier event and stays as it was.
            let facts = Arc::make_mut(facts);
            let before = facts.dns.len();
            let has_room = (!is_full || before == 0) && fact.keep(facts, side, &name);
            self.questions += if facts.dns.len() > before { weight(&name) } else { 0 };
            self.is_news |= is_urgent && has_room;
            if !has_room {
                self.refused += u64::from(is_full);
                self.be_full(seat);
                self.count_question(seat, asks);
            }
        } else if seat.slot == Seat::NONE {
            interest.end();
        }
        self.name = name;
    }

    fn be_full(&mut self, seat: &Seat) {
        if let Some(probe) = self.all.get_mut(seat.slot as usize) {
            probe.is_full = true;
        }
    }

    /// Whether there is no room for more questions of a flow.
    pub(super) fn is_counting(&self, seat: &Seat) -> bool {
        self.all.get(seat.slot as usize).is_some_and(|probe| probe.is_full)
    }

    /// Counts a message that is not kept, if it asks.
    pub(super) fn count_question(&mut self, seat: &Seat, asks: bool) {
        if let Some(probe) = self.all.get_mut(seat.slot as usize) {
            probe.more = probe.more.saturating_add(u32::from(asks));
        }
    }
}

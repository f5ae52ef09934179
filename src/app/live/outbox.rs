//! What a source has for the engine, on its way.
//!
//! Contract: in order; never waits, but for at most [`LAST`] at the end. What finds no room is refused: for a source that can say so in a
//! fact, that is reported as soon as there is room; [`Outbox::hold`] returns it to the others, which try again. Limits: [`MAX_WAITING`]
//! wait. Design: facts go in batches, so that a snapshot of a large table does not fill the queue that all sources share.

use std::collections::VecDeque;
use std::time::Duration;

use crossbeam_channel::{SendTimeoutError, Sender, TrySendError};

use super::message::SourceMessage;
use crate::clock::now;
use crate::input::{Fact, Input, RecordedFact};
use crate::time::Timestamp;

/// Messages that wait for the engine.
const MAX_WAITING: usize = 65_536;
/// Facts that go together.
const BATCH: usize = 1024;
/// How long the end waits for room.
const LAST: Duration = Duration::from_secs(1);

/// So many facts are missed; up to this time nothing was.
pub(super) type ReportMissed = fn(u64, Timestamp) -> RecordedFact;

/// A source's way to the engine.
pub(super) struct Outbox {
    sender: Sender<SourceMessage>,
    waiting: VecDeque<SourceMessage>,
    most: usize,
    refused: u64,
    /// How to report what was missed, and what was refused since the last report.
    report: Option<ReportMissed>,
    missing: Option<(u64, Timestamp)>,
}

impl Outbox {
    /// Of a source that tries again with what was refused.
    pub(super) const fn new(sender: Sender<SourceMessage>) -> Self {
        Self { sender, waiting: VecDeque::new(), most: MAX_WAITING, refused: 0, report: None, missing: None }
    }

    /// Of a source that reports what it misses.
    pub(super) const fn reporting(sender: Sender<SourceMessage>, report: ReportMissed) -> Self {
        let mut outbox = Self::new(sender);
        outbox.report = Some(report);
        outbox
    }

    /// How many facts found no room.
    pub(super) const fn refused(&self) -> u64 {
        self.refused
    }

    /// Takes a fact, unless there is no room.
    pub(super) fn fact(&mut self, at: Timestamp, fact: RecordedFact) -> bool {
        self.fact_or_missed(at, fact, (1, at))
    }

    /// Takes a fact. Refused, it counts as so many missed, and everything up to that time was known.
    pub(super) fn fact_or_missed(&mut self, at: Timestamp, fact: RecordedFact, missed: (u64, Timestamp)) -> bool {
        let taken = self.hold(at, SourceMessage::Fact(input(at, fact)));
        if !taken {
            let (count, since) = self.missing.unwrap_or((0, missed.1));
            self.missing = Some((count + missed.0, since.min(missed.1)));
        }
        taken
    }

    /// Takes a message, unless there is no room.
    pub(super) fn message(&mut self, message: SourceMessage) -> bool {
        self.hold(now(), message)
    }

    /// Takes a fact that is rare and must not be lost.
    pub(super) fn rare(&mut self, fact: RecordedFact) {
        self.waiting.push_back(SourceMessage::Fact(input(now(), fact)));
    }

    fn hold(&mut self, at: Timestamp, message: SourceMessage) -> bool {
        self.report_missed(at);
        let room = self.waiting.len() < self.most;
        if room {
            self.waiting.push_back(message);
        } else {
            self.refused += 1;
        }
        room
    }

    /// Reports that some were refused, once there is room for more than that.
    fn report_missed(&mut self, at: Timestamp) {
        if self.waiting.len() + 1 < self.most
            && let (Some((count, since)), Some(report)) = (self.missing.take(), self.report)
        {
            self.waiting.push_back(SourceMessage::Fact(input(at, report(count, since))));
        }
    }

    /// Hands over as much as there is room for.
    pub(super) fn send(&mut self) {
        self.report_missed(now());
        while let Some(message) = self.next() {
            if let Err(TrySendError::Full(message)) = self.sender.try_send(message) {
                return self.put_back(message);
            }
        }
    }

    /// Hands over the rest; waits for room while the engine takes the last messages.
    pub(super) fn finish(mut self) {
        self.report_missed(now());
        while let Some(message) = self.next() {
            match self.sender.send_timeout(message, LAST) {
                Ok(()) => {}
                Err(SendTimeoutError::Timeout(_) | SendTimeoutError::Disconnected(_)) => {
                    let left = self.waiting.len() + 1;
                    return tracing::warn!(left, "the engine took no more messages; the last of a source are lost");
                }
            }
        }
    }

    /// The next message; facts that follow each other go together.
    fn next(&mut self) -> Option<SourceMessage> {
        let first = match self.waiting.pop_front()? {
            SourceMessage::Fact(input) => input,
            other => return Some(other),
        };
        let mut facts = vec![first];
        while facts.len() < BATCH
            && let Some(SourceMessage::Fact(_)) = self.waiting.front()
            && let Some(SourceMessage::Fact(input)) = self.waiting.pop_front()
        {
            facts.push(input);
        }
        Some(SourceMessage::Facts(facts))
    }

    fn put_back(&mut self, message: SourceMessage) {
        match message {
            SourceMessage::Facts(facts) => {
                facts.into_iter().rev().for_each(|input| self.waiting.push_front(SourceMessage::Fact(input)));
            }
            other => self.waiting.push_front(other),
        }
    }
}

fn input(at: Timestamp, fact: RecordedFact) -> Input {
    Input::new(at, Fact::Recorded(fact))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::input::{KernelFact, MissedKind, NatFact};

    fn fact(count: u64) -> RecordedFact {
        RecordedFact::Kernel(KernelFact::Missed { what: MissedKind::ShortSocket, count })
    }

    fn missed(count: u64, since: Timestamp) -> RecordedFact {
        RecordedFact::Nat(NatFact::Missed { count, since })
    }

    fn received(receiver: &crossbeam_channel::Receiver<SourceMessage>) -> Vec<RecordedFact> {
        let inputs = receiver.try_iter().flat_map(|message| match message {
            SourceMessage::Facts(inputs) => inputs,
            other => panic!("{other:?}"),
        });
        let facts = inputs.map(|input| match input.fact {
            Fact::Recorded(fact) => fact,
            other => panic!("{other:?}"),
        });
        facts.collect()
    }

    #[test]
    fn what_finds_no_room_is_refused_and_reported_as_missed() {
        let (sender, receiver) = crossbeam_channel::bounded(1);
        let mut outbox = Outbox { most: 3, ..Outbox::reporting(sender.clone(), missed) };
        sender.send(SourceMessage::Runtimes(Vec::new())).expect("room");
        let second = Timestamp::from_secs;
        let mut hold = |number| outbox.fact_or_missed(second(9), fact(number), (1, second(7)));
        let taken: Vec<bool> = (0..5).map(&mut hold).collect();
        assert_eq!(taken, [true, true, true, false, false]);
        assert!(!outbox.fact_or_missed(second(9), fact(5), (4, second(5))), "itself the report of four");
        outbox.send();
        let first = receiver.try_iter().next();
        assert!(matches!(first, Some(SourceMessage::Runtimes(_))), "the queue was full: all still wait");
        outbox.send();
        assert!(outbox.fact(second(10), fact(9)));
        let mut facts = received(&receiver);
        outbox.send();
        facts.extend(received(&receiver));
        assert_eq!(facts, [fact(0), fact(1), fact(2), missed(6, second(5)), fact(9)]);
        assert_eq!(outbox.refused(), 3);
    }

    #[test]
    fn messages_and_facts_keep_their_order_and_the_rest_goes_at_the_end() {
        let (sender, receiver) = crossbeam_channel::unbounded();
        let mut outbox = Outbox::new(sender);
        let at = Timestamp::from_secs(1);
        assert!(outbox.fact(at, fact(1)) && outbox.fact(at, fact(2)));
        assert!(outbox.message(SourceMessage::Runtimes(Vec::new())));
        assert!(outbox.fact(at, fact(4)));
        outbox.finish();
        let sizes = receiver.iter().map(|message| match message {
            SourceMessage::Facts(facts) => facts.len(),
            SourceMessage::Runtimes(_) => 0,
            other => panic!("{other:?}"),
        });
        assert_eq!(sizes.collect::<Vec<_>>(), [2, 0, 1]);
    }

    #[test]
    fn a_source_that_tries_again_is_refused_and_nothing_is_made_up() {
        let (sender, receiver) = crossbeam_channel::bounded(4);
        let mut outbox = Outbox { most: 1, ..Outbox::new(sender) };
        let at = Timestamp::from_secs(1);
        assert!(outbox.fact(at, fact(1)));
        assert!(!outbox.fact(at, fact(2)) && !outbox.message(SourceMessage::Runtimes(Vec::new())));
        outbox.send();
        assert!(outbox.fact(at, fact(2)));
        outbox.send();
        assert_eq!(received(&receiver), [fact(1), fact(2)]);
    }
}

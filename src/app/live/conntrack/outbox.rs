//! Facts of connection tracking on their way to the engine.
//!
//! Contract: in order; never waits. What finds no room is refused, and told as missed as soon as there is room. Limits: at most
//! [`MAX_WAITING`] wait. Design: handed over in batches, so that a snapshot of a large table does not fill the queue that taps share.

use std::collections::VecDeque;

use crossbeam_channel::{Sender, TrySendError};

use super::super::message::SourceMessage;
use crate::input::{Fact, Input, NatFact, RecordedFact};
use crate::observe::live::now;
use crate::time::Timestamp;

/// Facts that wait for the engine.
const MAX_WAITING: usize = 65_536;
/// Facts handed over at once.
const BATCH: usize = 1024;

/// What was told so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Told {
    pub(super) bound: u64,
    pub(super) released: u64,
    /// Found no room.
    pub(super) refused: u64,
}

pub(super) struct Outbox {
    sender: Sender<SourceMessage>,
    waiting: VecDeque<Input>,
    most: usize,
    told: Told,
    /// Facts refused since that was told, and up to when everything had been told before.
    missing: Option<(u64, Timestamp)>,
}

impl Outbox {
    pub(super) const fn new(sender: Sender<SourceMessage>) -> Self {
        let told = Told { bound: 0, released: 0, refused: 0 };
        Self { sender, waiting: VecDeque::new(), most: MAX_WAITING, told, missing: None }
    }

    pub(super) const fn told(&self) -> Told {
        self.told
    }

    /// Takes a fact, unless there is no room; everything up to `since` was known.
    pub(super) fn hold(&mut self, at: Timestamp, fact: NatFact, since: Option<Timestamp>) -> bool {
        self.report_missed(at);
        if self.waiting.len() >= self.most {
            let (count, since) = match fact {
                NatFact::Missed { count, since } => (count, since),
                _ => (1, since.unwrap_or(at)),
            };
            let (counted, earlier) = self.missing.unwrap_or((0, since));
            self.missing = Some((counted + count, earlier.min(since)));
            self.told.refused += 1;
            return false;
        }
        match fact {
            NatFact::Bound(_) => self.told.bound += 1,
            NatFact::Released(_) => self.told.released += 1,
            _ => {}
        }
        self.waiting.push_back(input(at, fact));
        true
    }

    /// Takes a fact that is rare and must not be lost.
    pub(super) fn tell(&mut self, fact: NatFact) {
        self.waiting.push_back(input(now(), fact));
    }

    /// Tells that some were refused, once there is room for more than that.
    fn report_missed(&mut self, at: Timestamp) {
        if self.waiting.len() + 1 < self.most
            && let Some((count, since)) = self.missing.take()
        {
            self.waiting.push_back(input(at, NatFact::Missed { count, since }));
        }
    }

    /// Hands over as much as there is room for.
    pub(super) fn send(&mut self) {
        self.report_missed(now());
        while !self.waiting.is_empty() {
            let batch: Vec<_> = self.waiting.drain(..self.waiting.len().min(BATCH)).collect();
            if let Err(TrySendError::Full(SourceMessage::Facts(batch))) =
                self.sender.try_send(SourceMessage::Facts(batch))
            {
                batch.into_iter().rev().for_each(|input| self.waiting.push_front(input));
                return;
            }
        }
    }
}

const fn input(at: Timestamp, fact: NatFact) -> Input {
    Input::new(at, Fact::Recorded(RecordedFact::Nat(fact)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::input::{Endpoint, FiveTuple, NatBinding, Protocol};

    fn bound(port: u16) -> NatFact {
        let end = |port| Endpoint { ip: [192, 0, 2, 1].into(), port };
        let five = |port| FiveTuple { protocol: Protocol::TCP, orig: end(port), resp: end(1) };
        NatFact::Bound(NatBinding { netns: None, before: five(port), after: five(port + 1) })
    }

    fn received(receiver: &crossbeam_channel::Receiver<SourceMessage>) -> Vec<NatFact> {
        let inputs = receiver.try_iter().flat_map(|message| match message {
            SourceMessage::Facts(inputs) => inputs,
            other => panic!("{other:?}"),
        });
        let facts = inputs.map(|input| match input.fact {
            Fact::Recorded(RecordedFact::Nat(fact)) => fact,
            other => panic!("{other:?}"),
        });
        facts.collect()
    }

    #[test]
    fn what_finds_no_room_is_refused_and_confessed() {
        let (sender, receiver) = crossbeam_channel::bounded(1);
        let mut outbox = Outbox { most: 3, ..Outbox::new(sender.clone()) };
        sender.send(SourceMessage::Matching(1)).expect("room");
        let second = Timestamp::from_secs;
        let held: Vec<bool> = (0..5).map(|port| outbox.hold(second(9), bound(port), Some(second(7)))).collect();
        assert_eq!(held, [true, true, true, false, false]);
        assert!(!outbox.hold(second(9), NatFact::Missed { count: 0, since: second(5) }, Some(second(7))));
        outbox.send();
        assert!(
            matches!(receiver.try_iter().next(), Some(SourceMessage::Matching(1))),
            "the queue was full: all still wait"
        );
        outbox.send();
        assert!(outbox.hold(second(10), bound(9), Some(second(9))));
        let mut facts = received(&receiver);
        outbox.send();
        facts.extend(received(&receiver));
        let expected = [bound(0), bound(1), bound(2), NatFact::Missed { count: 2, since: second(5) }, bound(9)];
        assert_eq!(facts, expected);
        assert_eq!(outbox.told(), Told { bound: 4, released: 0, refused: 3 });
    }
}

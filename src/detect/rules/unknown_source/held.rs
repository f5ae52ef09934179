//! Accusations of nobody that is known, until the runtime had its time.
//!
//! Contract: what is held is looked at again when its time has come, or the observation ends, and only then reported if it is still wrong: a runtime
//! that answers late reports the container from its start on. Limits: [`MAX_HELD`] at once; one more is reported at once.

use std::collections::VecDeque;
use std::time::Duration;

use crate::input::NeighbourClaim;
use crate::path::JudgedFlow;
use crate::time::Timestamp;

/// Suspects held at once.
const MAX_HELD: usize = 256;

/// What looks wrong, and has no sender that is known.
#[derive(Debug)]
pub(super) enum Suspect {
    /// A flow's first packet.
    Flow(Box<JudgedFlow>),
    /// A claim, and when it was made.
    Claim(Timestamp, NeighbourClaim),
}

/// Suspects in the order in which their time comes.
#[derive(Debug, Default)]
pub(super) struct Held {
    queue: VecDeque<(Timestamp, Suspect)>,
    hold: Duration,
}

impl Held {
    /// Holds for so long.
    pub(super) const fn new(hold: Duration) -> Self {
        Self { queue: VecDeque::new(), hold }
    }

    /// Whether another one is held, and not reported at once.
    pub(super) fn has_room(&self) -> bool {
        !self.hold.is_zero() && self.queue.len() < MAX_HELD
    }

    /// Holds one from now on; until when. One flow is held once.
    pub(super) fn hold(&mut self, now: Timestamp, suspect: Suspect) -> Option<Timestamp> {
        if let Suspect::Flow(flow) = &suspect {
            let id = flow.view.record.id;
            let is_same = |held: &Suspect| matches!(held, Suspect::Flow(held) if held.view.record.id == id);
            if let Some((_, held)) = self.queue.iter_mut().find(|(_, held)| is_same(held)) {
                *held = suspect;
                return None;
            }
        }
        let due = now.plus(self.hold);
        self.queue.push_back((due, suspect));
        Some(due)
    }

    /// A flow was reported.
    pub(super) fn forget(&mut self, flow: &JudgedFlow) {
        let id = flow.view.record.id;
        self.queue.retain(|(_, held)| !matches!(held, Suspect::Flow(held) if held.view.record.id == id));
    }

    /// The next one whose time has come.
    pub(super) fn next_due(&mut self, now: Timestamp) -> Option<Suspect> {
        self.queue.pop_front_if(|(due, _)| *due <= now).map(|(_, suspect)| suspect)
    }

    /// The next one, whatever its time.
    pub(super) fn next(&mut self) -> Option<Suspect> {
        self.queue.pop_front().map(|(_, suspect)| suspect)
    }
}

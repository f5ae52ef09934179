//! Suspicious frames of an unknown sender, while a busy runtime may still report who sent them.
//!
//! Contract: what is held is looked at again when its time has come, or the observation ends, and only then reported if it is still wrong: a runtime
//! that answers late reports the container from its start on. Where nothing can be said then, because a runtime is silent or the network is gone, what was
//! found first stands. Limits: [`MAX_HELD`] at once; for one more the oldest is looked at early.

use std::collections::VecDeque;
use std::net::IpAddr;
use std::time::Duration;

use super::Anomaly;
use crate::input::{NeighbourClaim, ObservationPoint};
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

impl Suspect {
    /// Where it was seen, and the address that looks wrong.
    pub(super) fn place(&self) -> (&ObservationPoint, IpAddr) {
        match self {
            Self::Flow(flow) => {
                let record = &flow.view.record;
                let first = if flow.oriented.forward { record.tuple.orig } else { record.tuple.resp };
                (&record.point, first.ip)
            }
            Self::Claim(_, claim) => (&claim.point, claim.ip),
        }
    }
}

/// A suspect, and what was wrong when it was first looked at.
pub(super) type Accused = (Suspect, Anomaly);

/// Suspects in the order in which their time comes.
#[derive(Debug, Default)]
pub(super) struct Held {
    queue: VecDeque<(Timestamp, Accused)>,
    hold: Duration,
}

impl Held {
    /// Holds for so long.
    pub(super) const fn new(hold: Duration) -> Self {
        Self { queue: VecDeque::new(), hold }
    }

    /// Whether anything is held at all.
    pub(super) const fn holds(&self) -> bool {
        !self.hold.is_zero()
    }

    /// Whether the oldest must leave for another one.
    pub(super) fn is_full(&self) -> bool {
        self.queue.len() >= MAX_HELD
    }

    /// Holds one from now on; until when. One flow is held once.
    pub(super) fn hold(&mut self, now: Timestamp, accused: Accused) -> Option<Timestamp> {
        if let Suspect::Flow(flow) = &accused.0 {
            let id = flow.view.record.id;
            let is_same = |held: &Suspect| matches!(held, Suspect::Flow(held) if held.view.record.id == id);
            if let Some((_, held)) = self.queue.iter_mut().find(|(_, held)| is_same(&held.0)) {
                *held = accused;
                return None;
            }
        }
        let due = now.plus(self.hold);
        self.queue.push_back((due, accused));
        Some(due)
    }

    /// A flow was reported.
    pub(super) fn forget(&mut self, flow: &JudgedFlow) {
        let id = flow.view.record.id;
        self.queue.retain(|(_, held)| !matches!(&held.0, Suspect::Flow(held) if held.view.record.id == id));
    }

    /// The next one whose time has come.
    pub(super) fn next_due(&mut self, now: Timestamp) -> Option<Accused> {
        self.queue.pop_front_if(|(due, _)| *due <= now).map(|(_, accused)| accused)
    }

    /// The next one, whatever its time.
    pub(super) fn next(&mut self) -> Option<Accused> {
        self.queue.pop_front().map(|(_, accused)| accused)
    }
}

//! Connections that ended soon after they began: what was said of them, for their translated sides.
//!
//! Contract: where the translation of a connection is reported after its end, what another point saw of the translated side is the same connection: it is
//! judged by itself only where that says something worse. Limits: [`MAX_ENDED`], the oldest is forgotten first, and then its other side is judged by itself;
//! only what ended within [`SOON`] of its start, since the sides of a longer one were joined while it went on. Design: so early ends the observation, or
//! a flow that a full table gives up; most connections stay here for no time.

use std::collections::VecDeque;
use std::time::Duration;

use super::key::TrailKey;
use super::tracked_flow::TrackedFlow;
use crate::input::NatBinding;
use crate::path::{JudgedFlow, Verdict};
use crate::time::Timestamp;

/// Connections remembered.
const MAX_ENDED: usize = 4096;
/// What goes on for longer is joined with its other side before its end.
const SOON: Duration = Duration::from_secs(5);
/// Both sides of a connection start within so long of each other.
const SAME_START: Duration = Duration::from_secs(2);

/// One that ended.
#[derive(Clone, Copy, Debug)]
struct Ended {
    start: Timestamp,
    /// What was said of it; `None` where no contract covered it.
    verdict: Option<Verdict>,
    number: u64,
}

/// What is remembered, by key.
#[derive(Debug, Default)]
pub(super) struct EndedEarly {
    by_key: hashbrown::HashMap<TrailKey, Ended, foldhash::fast::RandomState>,
    oldest_first: VecDeque<(TrailKey, u64)>,
    next: u64,
}

impl EndedEarly {
    /// A flow is over.
    pub(super) fn remember(&mut self, key: TrailKey, tracked: &TrackedFlow, now: Timestamp) {
        let Some(judged) = tracked.judged.as_ref().filter(|_| now.since(tracked.start) <= SOON) else { return };
        while self.oldest_first.len() >= MAX_ENDED
            && let Some((oldest, number)) = self.oldest_first.pop_front()
        {
            if self.by_key.get(&oldest).is_some_and(|known| known.number == number) {
                self.by_key.remove(&oldest);
            }
        }
        let number = self.next;
        self.next += 1;
        self.by_key.insert(key, Ended { start: tracked.start, verdict: verdict(judged), number });
        self.oldest_first.push_back((key, number));
    }

    /// Whether a judgement says no more than what was said of the connection that this is the translated side of.
    pub(super) fn is_said(&self, binding: Option<&NatBinding>, tracked: &TrackedFlow, judged: &JudgedFlow) -> bool {
        let before = binding.map(|binding| TrailKey::of(binding.before)).filter(|_| !self.by_key.is_empty());
        let Some(ended) =
            before.filter(|before| *before != TrailKey::of(tracked.tuple)).and_then(|before| self.by_key.get(&before))
        else {
            return false;
        };
        let apart = ended.start.since(tracked.start).max(tracked.start.since(ended.start));
        let new = verdict(judged);
        let is_no_worse = new.is_none()
            || new == ended.verdict
            || matches!(ended.verdict, Some(Verdict::Bypassed | Verdict::Partial));
        apart <= SAME_START && is_no_worse
    }
}

fn verdict(judged: &JudgedFlow) -> Option<Verdict> {
    judged.judgement.as_ref().map(|judgement| judgement.verdict)
}

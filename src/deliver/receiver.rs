//! What can take a delivery.

use std::any::Any;
use std::sync::Arc;
use std::time::Duration;

use super::bell::Bell;
use super::outcome::Outcome;
use super::store::Delivery;
use crate::time::Timestamp;

/// The far side of a sink. Runs on a thread of its own and may block, for a bounded time.
pub trait Receiver: Send + Any {
    /// Tries once.
    fn send(&mut self, delivery: &Delivery, now: Timestamp) -> Outcome;

    /// How many it takes at once.
    fn most(&self) -> usize {
        1
    }

    /// Tries each once: at most [`Self::most`] of them, each of another alert. One outcome for each, in their order.
    fn send_some(&mut self, deliveries: &[Delivery], now: Timestamp) -> Vec<Outcome> {
        deliveries.iter().map(|delivery| self.send(delivery, now)).collect()
    }

    /// How long an attempt may take before the receiver counts as slow; none: as long as that of any sink.
    fn slow_after(&self) -> Option<Duration> {
        None
    }

    /// What rings when an attempt that takes long should end; called once, before the first attempt.
    fn heed(&mut self, bell: &Arc<Bell>) {
        let _ = bell;
    }

    /// Does what is due without a delivery; `None` when nothing was.
    fn keep_up(&mut self, now: Timestamp) -> Option<Outcome> {
        let _ = now;
        None
    }

    /// Takes over what its predecessor of the same name remembers; called once, before anything else.
    fn take_over(&mut self, before: Box<dyn Any>) {
        drop(before);
    }

    /// When [`Self::keep_up`] wants to be called next.
    fn next_due(&self) -> Option<Timestamp> {
        None
    }
}

/// The outcome of a single delivery, for receivers that take several at once.
pub(super) fn only(mut outcomes: Vec<Outcome>) -> Outcome {
    outcomes.pop().unwrap_or_else(|| Outcome::ambiguous("nothing was said about it"))
}

//! What can take a delivery.

use std::any::Any;

use super::outcome::Outcome;
use super::store::Delivery;
use crate::time::Timestamp;

/// The far side of a sink. Runs on a thread of its own and may block, for a bounded time.
pub trait Receiver: Send + Any {
    /// Tries once.
    fn send(&mut self, delivery: &Delivery, now: Timestamp) -> Outcome;

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

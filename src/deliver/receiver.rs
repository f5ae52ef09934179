//! What can take a delivery.

use std::io;

use super::alertmanager::Alertmanager;
use super::journal::Journal;
use super::lines::Lines;
use super::outcome::Outcome;
use super::store::Delivery;
use super::syslog::Syslog;
use super::webhook::Webhook;
use crate::config::{Destination, SinkConfig};
use crate::time::Timestamp;

/// The far side of a sink. Runs on a thread of its own and may block, for a bounded time.
pub trait Receiver: Send {
    /// Tries once.
    fn send(&mut self, delivery: &Delivery, now: Timestamp) -> Outcome;

    /// Does what is due without a delivery; `None` when nothing was.
    fn keep_up(&mut self, now: Timestamp) -> Option<Outcome> {
        let _ = now;
        None
    }

    /// When [`Self::keep_up`] wants to be called next.
    fn next_due(&self) -> Option<Timestamp> {
        None
    }
}

/// The receiver of a sink; fails where a secret or a certificate cannot be read.
pub fn receiver(sink: &SinkConfig) -> io::Result<Box<dyn Receiver>> {
    Ok(match &sink.to {
        Destination::File(to) => Box::new(Lines::new(to.clone())),
        Destination::Syslog(to) => Box::new(Syslog::new(to.clone())?),
        Destination::Journald { socket } => Box::new(Journal::new(socket.clone())),
        Destination::Webhook(to) => Box::new(Webhook::new(to)?),
        Destination::Alertmanager(to) => Box::new(Alertmanager::new(to)?),
    })
}

//! What a reader did and missed, for metrics.
//!
//! Contract: counters only grow; reading them never waits. Design: atomics behind one shared struct, so that showing
//! them needs no channel to the reader.

use std::sync::atomic::{AtomicU64, Ordering};

macro_rules! counters {
    ($($(#[$doc:meta])+ $name:ident),+ $(,)?) => {
        /// Counters of a reader, whichever API it speaks; what cannot happen there stays 0.
        #[derive(Debug, Default)]
        pub struct ReaderCounters { $(pub(crate) $name: Count),+ }

        impl ReaderCounters {
            /// Names and values, in a fixed order.
            pub fn all(&self) -> Vec<(&'static str, u64)> {
                vec![$((stringify!($name), self.$name.get())),+]
            }

            $($(#[$doc])+ pub fn $name(&self) -> u64 { self.$name.get() })+
        }
    };
}

counters! {
    /// Events read from the runtime.
    events,
    /// Events of containers that were reported: exec, kill, pause and others.
    container_events,
    /// Programs that were executed as a container's health check, which is not reported.
    health_checks,
    /// Events that could not be read: no id, no time, or an unknown kind.
    events_ignored,
    /// Containers that vanished between list and look (or inspect).
    vanished,
    /// Containers that were gone when their start was looked at; reported with what was known of them before.
    late,
    /// Requests that failed or took too long.
    failed_requests,
    /// Containers, namespaces or events for which there was no room.
    overflow,
    /// Parts of an answer that could not be read; the rest of it was.
    unreadable,
    /// Labels left out or cut, because there were too many or they were too long.
    labels_cut,
    /// Names and image references that were cut.
    texts_cut,
    /// Labels, names and list entries of a Docker API cut or left out because they were too long or too many.
    truncated,
    /// Processes that a user's runtime named and that are not its user's.
    pids_refused,
    /// Attachments or pods whose host-side veth could not be found.
    veth_unknown,
    /// Times the runtime was asked by the clock, because it sends no events.
    polls,
    /// Times the runtime was connected to again.
    reconnects,
    /// Whole lists read.
    reconciles,
}

/// One counter.
#[derive(Debug, Default)]
pub struct Count(AtomicU64);

impl Count {
    /// Counts some more.
    pub fn add(&self, number: u64) {
        self.0.fetch_add(number, Ordering::Relaxed);
    }

    fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

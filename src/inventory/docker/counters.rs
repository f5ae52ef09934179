//! What the reader did and missed, for metrics.
//!
//! Contract: counters only grow; reading them never waits. Design: atomics behind one shared struct, so that whoever shows
//! them needs no channel to the reader.

use std::sync::atomic::{AtomicU64, Ordering};

macro_rules! counters {
    ($($(#[$doc:meta])+ $name:ident),+ $(,)?) => {
        /// Counters of a [`super::DockerReader`].
        #[derive(Debug, Default)]
        pub struct DockerCounters { $(pub(super) $name: Count),+ }

        impl DockerCounters {
            /// Names and values, in a fixed order.
            pub fn all(&self) -> Vec<(&'static str, u64)> {
                vec![$((stringify!($name), self.$name.get())),+]
            }

            $($(#[$doc])+ pub fn $name(&self) -> u64 { self.$name.get() })+
        }
    };
}

counters! {
    /// Events read from the daemon.
    events,
    /// Events that could not be read: no JSON, no usable id, or no time.
    events_ignored,
    /// Containers that vanished between list and inspect.
    vanished,
    /// Containers that had ended when their start was looked at; told with what their network said.
    late,
    /// Requests that failed or took too long.
    failed_requests,
    /// Events for which there was no room; the next reconcile makes up for them.
    overflow,
    /// Labels, names and list entries cut or left out because they were too long or too many.
    truncated,
    /// Processes that a user's runtime named and that are not its user's.
    pids_refused,
    /// Attachments whose host-side veth could not be found.
    veth_unknown,
    /// Times the stream was opened again.
    reconnects,
    /// Whole lists read.
    reconciles,
}

/// One counter.
#[derive(Debug, Default)]
pub(super) struct Count(AtomicU64);

impl Count {
    pub(super) fn add(&self, number: u64) {
        self.0.fetch_add(number, Ordering::Relaxed);
    }

    pub(super) fn set(&self, number: u64) {
        self.0.store(number, Ordering::Relaxed);
    }

    fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

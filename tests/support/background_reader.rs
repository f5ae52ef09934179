//! A reader of a runtime that runs in the background, and what it reported.
//!
//! Contract: waits for what must come, up to [`PATIENCE`], and panics with what came instead; the reader is stopped on drop.

#![allow(dead_code, reason = "each test file uses its own part of the harness")]
#![allow(clippy::expect_used, clippy::disallowed_methods, reason = "test code: failures panic, patience needs a clock")]

use std::sync::Arc;
use std::sync::mpsc::{Receiver, channel};
use std::time::Instant;

use hopwatch::input::{InventoryEvent, Workload, WorkloadId, WorkloadState};
use hopwatch::inventory::docker::reader::{DockerOptions, DockerReader};
use hopwatch::inventory::reader::{self, ReaderCounters, RuntimeReader};
use hopwatch::time::Timestamp;
use tokio::sync::watch;

use super::patience::PATIENCE;

/// A reader that runs in the background.
pub struct BackgroundReader {
    pub events: Receiver<InventoryEvent>,
    stop: watch::Sender<bool>,
    thread: Option<std::thread::JoinHandle<()>>,
    pub counters: Arc<ReaderCounters>,
}

impl BackgroundReader {
    /// A reader of a runtime that speaks the Docker API.
    pub fn by(options: DockerOptions) -> Self {
        Self::of(DockerReader::new(options))
    }

    /// Any reader.
    pub fn of(reader: impl RuntimeReader + 'static) -> Self {
        let (sender, events) = channel();
        let (stop, stopped) = watch::channel(false);
        let counters = Arc::clone(reader.counters());
        let running = reader::run(Box::new(reader), move |event| drop(sender.send(event)), stopped);
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
            runtime.expect("runtime").block_on(running);
        });
        Self { events, stop, thread: Some(thread), counters }
    }

    /// The next event for which `pick` answers something; those before it are skipped.
    pub fn next<T>(&self, what: &str, mut pick: impl FnMut(&InventoryEvent) -> Option<T>) -> T {
        let started = Instant::now();
        let mut skipped = Vec::new();
        while let Some(left) = PATIENCE.checked_sub(started.elapsed()) {
            let Ok(event) = self.events.recv_timeout(left) else { break };
            if let Some(found) = pick(&event) {
                return found;
            }
            skipped.push(event);
        }
        panic!("{what} was not reported; {:?}; reported instead: {skipped:#?}", self.counters.all());
    }

    pub fn in_state(&self, name: &str, state: WorkloadState) -> Arc<Workload> {
        self.next(name, |event| match event {
            InventoryEvent::Workload(w) if w.name == name && w.state == state => Some(w.clone()),
            _ => None,
        })
    }

    pub fn workload(&self, name: &str) -> Arc<Workload> {
        self.in_state(name, WorkloadState::Running)
    }

    pub fn connected(&self) {
        self.next("the connection", |event| matches!(event, InventoryEvent::Connected { .. }).then_some(()));
    }

    pub fn cut(&self) -> String {
        self.next("the cut", |event| match event {
            InventoryEvent::Disconnected { error, .. } => Some(error.clone()),
            _ => None,
        })
    }

    pub fn stopped(&self, id: &WorkloadId) -> Timestamp {
        self.next("the end", |event| match event {
            InventoryEvent::Stopped { id: ended, until } if ended == id => Some(*until),
            _ => None,
        })
    }

    pub fn reconciled(&self) -> Vec<WorkloadId> {
        self.next("a whole list", |event| match event {
            InventoryEvent::Reconciled { running, .. } => Some(running.clone()),
            _ => None,
        })
    }
}

impl Drop for BackgroundReader {
    fn drop(&mut self) {
        let _ = self.stop.send(true);
        let ended = self.thread.take().map(std::thread::JoinHandle::join);
        assert!(std::thread::panicking() || matches!(ended, Some(Ok(()))), "the reader did not end in order");
    }
}

//! Hears the kernel's connection tracking while the sniffer runs: the host's, and that of namespaces which workloads share.
//!
//! Contract: `Watched` is told when every binding that stands was told; where a namespace cannot be heard, that is told once, as
//! `Unwatched` and on the log, and tried again. Never waits for the engine: see [`outbox`]. Snapshots cost at most [`SHARE`] of the time.
//! Limits: a shared namespace is heard within [`TURN`] and the time that its runtime takes to tell; see [`shared_namespaces`] for which are.
//! Design: a thread of its own, in the host's network namespace; sockets of other namespaces are opened by one that enters them and ends.

mod outbox;
mod shared_namespaces;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use anyhow::Context as _;
use crossbeam_channel::{Receiver, Sender};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use self::outbox::Outbox;
use self::shared_namespaces::SharedNamespaces;
use super::message::SourceMessage;
use crate::host::Netns;
use crate::host::conntrack::{BUFFER, Counts, EVENT_BYTES, Want, Watch};
use crate::input::{InventoryEvent, NatFact, NetnsId};
use crate::observe::live::now;
use crate::serve::ConntrackCounters;
use crate::time::Timestamp;

/// Events of runtimes that wait for this thread.
const EVENTS: usize = 1024;
/// How long the thread waits at once.
const TURN: Duration = Duration::from_millis(50);
/// Events that come so soon after each other are read together.
const GATHER: Duration = Duration::from_millis(5);
/// After a refusal, before the next try.
const RETRY: Duration = Duration::from_secs(10);
/// Of the time, for snapshots: a fiftieth.
const SHARE: u32 = 50;
/// At least so long after a snapshot, before the next because events were lost …
const MIN_AGAIN: Duration = Duration::from_secs(1);
/// … and because ends may not have been told.
const MIN_REFRESH: Duration = Duration::from_secs(30);

/// Where the counters are left.
pub type Cell = Arc<Mutex<ConntrackCounters>>;

/// Starts the thread; inventory events are to be sent where it says.
pub fn start(
    sender: Sender<SourceMessage>,
    counters: Cell,
    stop: Arc<AtomicBool>,
) -> anyhow::Result<(Sender<InventoryEvent>, JoinHandle<()>)> {
    let (tell, events) = crossbeam_channel::bounded(EVENTS);
    let tracking = Tracking::new(sender, counters);
    let run = move || tracking.run(&events, &stop);
    let thread = thread::Builder::new().name("conntrack".to_owned()).spawn(run);
    Ok((tell, thread.context("starting the thread for connection tracking")?))
}

struct Tracking {
    /// The host's is under `None`.
    sources: BTreeMap<Option<NetnsId>, Source>,
    shared: SharedNamespaces,
    outbox: Outbox,
    /// Of watches that have ended.
    past: Counts,
    counters: Cell,
    buffer: Vec<u8>,
}

/// A namespace that is to be heard.
struct Source {
    /// A process in it, where it is not the host's.
    pid: Option<u32>,
    watch: Option<Watch>,
    /// What was told last of its not being heard.
    error: Option<String>,
    /// No try, or snapshot, before this.
    due: Timestamp,
    /// Nor one to see what has ended.
    refresh: Timestamp,
}

impl Source {
    const fn new(pid: Option<u32>) -> Self {
        Self { pid, watch: None, error: None, due: Timestamp::MIN, refresh: Timestamp::MIN }
    }

    fn open(&self, netns: Option<NetnsId>) -> Result<Watch, String> {
        let (Some(netns), Some(pid)) = (netns, self.pid) else {
            return Watch::open(None, EVENT_BYTES).map_err(|error| error.to_string());
        };
        let door = Netns::of(pid).map_err(|error| error.to_string())?;
        if door.id() != netns {
            return Err(format!("process {pid} is not in {netns} any more"));
        }
        let opened = door.call(|| Watch::open(Some(netns), EVENT_BYTES)).map_err(|error| error.to_string())?;
        opened.map_err(|error| error.to_string())
    }

    /// Opens, listens, and takes a snapshot where one is due; an error ends the watch.
    fn turn(&mut self, netns: Option<NetnsId>, buffer: &mut [u8], outbox: &mut Outbox) -> Result<(), String> {
        let mut watch = match self.watch.take() {
            Some(watch) => watch,
            None if is_due(self.due, now()) => self.open(netns)?,
            None => return Ok(()),
        };
        let began = now();
        let since = watch.good();
        watch.hear(began, buffer, &mut |fact| outbox.hold(now(), fact, since)).map_err(|error| error.to_string())?;
        let due = match watch.wants() {
            Want::Nothing => None,
            Want::Refresh => Some(self.refresh),
            Want::Now => Some(self.due),
        };
        if due.is_some_and(|due| is_due(due, began)) {
            let began = now();
            let since = watch.good();
            let mut take = |fact| outbox.hold(now(), fact, since);
            watch.snapshot(began, buffer, &mut take).map_err(|error| error.to_string())?;
            let (ended, rest) = (now(), now().since(began).saturating_mul(SHARE));
            (self.due, self.refresh) = (ended.plus(rest.max(MIN_AGAIN)), ended.plus(rest.max(MIN_REFRESH)));
        }
        self.watch = Some(watch);
        Ok(())
    }
}

/// Clocks may be set back: what is due in more than five minutes is due.
fn is_due(due: Timestamp, now: Timestamp) -> bool {
    due <= now || due.since(now) > Duration::from_mins(5)
}

impl Tracking {
    fn new(sender: Sender<SourceMessage>, counters: Cell) -> Self {
        Self {
            sources: BTreeMap::from([(None, Source::new(None))]),
            shared: SharedNamespaces::new(Netns::own().ok()),
            outbox: Outbox::new(sender),
            past: Counts::default(),
            counters,
            buffer: vec![0; BUFFER],
        }
    }

    fn run(mut self, events: &Receiver<InventoryEvent>, stop: &AtomicBool) {
        while !stop.load(Ordering::Relaxed) {
            for event in events.try_iter().take(EVENTS) {
                self.shared.hear(&event);
            }
            self.settle();
            for netns in self.sources.keys().copied().collect::<Vec<_>>() {
                self.turn(netns);
            }
            self.outbox.send();
            self.count();
            self.wait();
        }
    }

    /// Until something is heard; a little longer, so that more can be.
    fn wait(&self) {
        let turn = PollTimeout::try_from(TURN).unwrap_or(PollTimeout::ZERO);
        let watches = self.sources.values().filter_map(|source| source.watch.as_ref());
        let mut descriptors: Vec<_> = watches.map(|watch| PollFd::new(watch.as_fd(), PollFlags::POLLIN)).collect();
        if poll(&mut descriptors, turn) != Ok(0) {
            thread::sleep(GATHER);
        }
    }

    /// Begins and ends with the namespaces that workloads share.
    fn settle(&mut self) {
        let Some(wanted) = self.shared.wanted(now()) else { return };
        let ended: Vec<_> =
            self.sources.keys().filter_map(|netns| *netns).filter(|n| !wanted.contains_key(n)).collect();
        for netns in ended {
            if let Some(watch) = self.sources.remove(&Some(netns)).and_then(|source| source.watch) {
                self.close(&watch);
                let error = "its workloads do not share it any more".to_owned();
                self.outbox.tell(NatFact::Unwatched { netns: Some(netns), error });
            }
        }
        for (netns, pid) in wanted {
            self.sources.entry(Some(netns)).or_insert_with(|| Source::new(None)).pid = Some(pid);
        }
    }

    fn turn(&mut self, netns: Option<NetnsId>) {
        let Some(source) = self.sources.get_mut(&netns) else { return };
        let was_open = source.watch.as_ref().map(Watch::counts);
        match source.turn(netns, &mut self.buffer, &mut self.outbox) {
            Ok(()) if source.watch.is_some() => {
                if source.error.take().is_some() {
                    tracing::info!("address translation {} is seen again", place(netns));
                }
            }
            Ok(()) => {}
            Err(error) => {
                source.due = now().plus(RETRY);
                let is_news = source.error.as_ref() != Some(&error);
                source.error = Some(error.clone());
                if is_news {
                    tracing::warn!("address translation {} is not seen: {error}", place(netns));
                    self.outbox.tell(NatFact::Unwatched { netns, error });
                }
                self.past.add(was_open.unwrap_or_default());
            }
        }
    }

    fn close(&mut self, watch: &Watch) {
        self.past.add(watch.counts());
    }

    fn count(&self) {
        let watches = || self.sources.iter().filter_map(|(netns, source)| Some((netns, source.watch.as_ref()?)));
        let mut counts = self.past;
        watches().for_each(|(_, watch)| counts.add(watch.counts()));
        let is_heard = |(netns, watch): (&Option<NetnsId>, &Watch)| watch.good().is_some().then_some(netns.is_none());
        let heard: Vec<bool> = watches().filter_map(is_heard).collect();
        let told = self.outbox.told();
        *self.counters.lock().unwrap_or_else(PoisonError::into_inner) = ConntrackCounters {
            host: heard.contains(&true),
            namespaces: heard.len(),
            bindings: watches().map(|(_, watch)| watch.bindings()).sum(),
            bound: told.bound,
            released: told.released,
            messages: counts.tally.messages,
            malformed: counts.tally.malformed,
            overruns: counts.overruns,
            refused: told.refused,
        };
    }
}

fn place(netns: Option<NetnsId>) -> String {
    netns.map_or_else(|| "on the host".to_owned(), |netns| format!("in network namespace {netns}"))
}

#[cfg(test)]
mod tests;

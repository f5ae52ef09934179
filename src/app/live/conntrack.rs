//! Reads the kernel's connection tracking while the sniffer runs: the host's, and that of namespaces which workloads share.
//!
//! Contract: sends `Watched` once all existing bindings are reported; if a namespace cannot be read, reports `Unwatched` once, also to the log,
//! and retries. Never waits for the engine: see [`super::outbox`]. Snapshots cost at most [`SHARE`] of the time.
//! Limits: a shared namespace is read within [`IDLE`] and the time that its runtime takes to report it; see [`shared_namespaces`] for which are.
//! Design: a thread of its own, in the host's network namespace; sockets of other namespaces are opened by one that enters them and ends.

mod shared_namespaces;

use std::collections::BTreeMap;
use std::os::fd::AsFd as _;
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use crossbeam_channel::Receiver;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::eventfd::EventFd;

use self::shared_namespaces::SharedNamespaces;
use super::outbox::Outbox;
use super::source::{self, Source, SourceContext};
use crate::clock::now;
use crate::host::conntrack::{BUFFER, Counts, EVENT_BYTES, Want, Watch};
use crate::host::{self, Netns};
use crate::input::{InventoryEvent, NatFact, NetnsId, RecordedFact};
use crate::observe::live::Progress;
use crate::sandbox::Role;
use crate::serve::ConntrackCounters;
use crate::sync;
use crate::time::Timestamp;

/// Events of runtimes that are taken at once.
const EVENTS: usize = 1024;
/// How long the thread waits at once, where nobody waits for it.
const IDLE: Duration = Duration::from_millis(250);
/// And where something was lost that may not be reported yet.
const TURN: Duration = Duration::from_millis(50);
/// And while the engine waits for flows, which it may judge when it is known that they are not translated.
const AWAITED_TURN: Duration = Duration::from_millis(20);
/// For so long after that.
const AWAITED: Duration = Duration::from_millis(200);
/// Events that come so soon after each other are read together.
const GATHER: Duration = Duration::from_millis(5);
/// After a refusal, before the next try.
const RETRY: Duration = Duration::from_secs(10);
/// The longest time from a loss to its report.
pub(super) const LOSS_INTERVAL: Duration = host::conntrack::LOSS_INTERVAL.saturating_add(TURN).saturating_add(GATHER);
/// Of the time, for snapshots: a fiftieth.
const SHARE: u32 = 50;
/// At least so long after a snapshot, before the next because events were lost …
const MIN_AGAIN: Duration = Duration::from_secs(1);
/// … and because ends may not have been reported.
const MIN_REFRESH: Duration = Duration::from_secs(30);

/// Where the counters are left.
pub type Cell = Arc<Mutex<ConntrackCounters>>;

/// Starts the source.
pub(super) fn start(context: &SourceContext, counters: Cell) -> anyhow::Result<Source> {
    source::spawn_listening(Role::Watch, "conntrack", context, |context, events| {
        Tracking::new(&context, counters).run(&events, &context);
    })
}

struct Tracking {
    /// The host's is under `None`.
    namespaces: BTreeMap<Option<NetnsId>, Watched>,
    shared: SharedNamespaces,
    outbox: NatOutbox,
    /// Of watches that have ended.
    past: Counts,
    counters: Cell,
    buffer: Vec<u8>,
    progress: Arc<Progress>,
    /// Says that the engine begins to wait; absent where the kernel gives none.
    waker: Option<Arc<EventFd>>,
    /// Up to when `UpToDate` was sent.
    promised: Option<Timestamp>,
}

/// Facts on their way, and how many of each kind were taken.
struct NatOutbox {
    outbox: Outbox,
    bound: u64,
    released: u64,
}

impl NatOutbox {
    fn new(context: &SourceContext) -> Self {
        let missed = |count, since| RecordedFact::Nat(NatFact::Missed { count, since });
        Self { outbox: Outbox::reporting(context.sender.clone(), missed), bound: 0, released: 0 }
    }

    /// Takes a fact, unless there is no room; everything up to `since` was known.
    fn hold(&mut self, at: Timestamp, fact: NatFact, since: Option<Timestamp>) -> bool {
        let missed = match fact {
            NatFact::Missed { count, since } => (count, since),
            _ => (1, since.unwrap_or(at)),
        };
        let (bound, released) = (matches!(fact, NatFact::Bound(_)), matches!(fact, NatFact::Released(_)));
        let taken = self.outbox.fact_or_missed(at, RecordedFact::Nat(fact), missed);
        self.bound += u64::from(taken && bound);
        self.released += u64::from(taken && released);
        taken
    }
}

/// A namespace whose connection tracking is read.
struct Watched {
    /// A process in it, where it is not the host's.
    pid: Option<u32>,
    watch: Option<Watch>,
    /// The error that was last reported of it.
    error: Option<String>,
    /// No try, or snapshot, before this.
    due: Timestamp,
    /// Nor one to see what has ended.
    refresh: Timestamp,
}

impl Watched {
    const fn new(pid: Option<u32>) -> Self {
        Self { pid, watch: None, error: None, due: Timestamp::MIN, refresh: Timestamp::MIN }
    }

    /// Whether there is nothing to do until something wakes the thread.
    fn is_quiet(&self) -> bool {
        self.watch.as_ref().is_none_or(|watch| matches!(watch.wants(), Want::Nothing | Want::Refresh))
    }

    fn open(&self, netns: Option<NetnsId>) -> Result<Watch, String> {
        let (Some(netns), Some(pid)) = (netns, self.pid) else {
            return Watch::open(None, EVENT_BYTES).map_err(|error| error.to_string());
        };
        let door = Netns::of(pid).map_err(|error| error.to_string())?;
        if door.id() != netns {
            return Err(format!("process {pid} is no longer in {netns}"));
        }
        let opened = door.enter(|| Watch::open(Some(netns), EVENT_BYTES)).map_err(|error| error.to_string())?;
        opened.map_err(|error| error.to_string())
    }

    /// Opens, listens, and takes a snapshot where one is due; an error ends the watch.
    fn turn(&mut self, netns: Option<NetnsId>, buffer: &mut [u8], outbox: &mut NatOutbox) -> Result<(), String> {
        let mut watch = match self.watch.take() {
            Some(watch) => watch,
            None if is_due(self.due, now()) => self.open(netns)?,
            None => return Ok(()),
        };
        let began = now();
        let since = watch.good();
        watch.receive(began, buffer, &mut |fact| outbox.hold(now(), fact, since)).map_err(|error| error.to_string())?;
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
    fn new(context: &SourceContext, counters: Cell) -> Self {
        Self {
            namespaces: BTreeMap::from([(None, Watched::new(None))]),
            shared: SharedNamespaces::new(Netns::own().ok()),
            outbox: NatOutbox::new(context),
            past: Counts::default(),
            counters,
            buffer: vec![0; BUFFER],
            progress: Arc::clone(&context.progress),
            waker: context.progress.waker().ok(),
            promised: None,
        }
    }

    fn run(mut self, events: &Receiver<InventoryEvent>, context: &SourceContext) {
        while !context.is_over() {
            for event in events.try_iter().take(EVENTS) {
                self.shared.receive(&event);
            }
            self.settle();
            for netns in self.namespaces.keys().copied().collect::<Vec<_>>() {
                self.turn(netns);
            }
            self.promise();
            self.outbox.outbox.send();
            self.count();
            self.wait();
        }
        self.outbox.outbox.finish();
    }

    fn is_awaited(&self) -> bool {
        now().since(self.progress.awaited_last()) < AWAITED
    }

    /// While the engine waits for flows, says up to when all translations were reported.
    fn promise(&mut self) {
        let good = self.namespaces.get(&None).and_then(|source| source.watch.as_ref()).and_then(Watch::good);
        if let Some(until) = good.filter(|until| Some(*until) > self.promised && self.is_awaited())
            && self.outbox.outbox.fact(now(), RecordedFact::Nat(NatFact::UpToDate { until }))
        {
            self.promised = Some(until);
        }
    }

    /// Until something arrives; a little longer, so that more can.
    fn wait(&self) {
        let is_quiet = self.waker.is_some() && self.namespaces.values().all(Watched::is_quiet);
        let turn = match (self.is_awaited(), is_quiet) {
            (true, _) => AWAITED_TURN,
            (false, true) => IDLE,
            (false, false) => TURN,
        };
        let turn = PollTimeout::try_from(turn).unwrap_or(PollTimeout::ZERO);
        let watches = self.namespaces.values().filter_map(|source| source.watch.as_ref());
        let mut descriptors: Vec<_> = watches.map(|watch| PollFd::new(watch.as_fd(), PollFlags::POLLIN)).collect();
        descriptors.extend(self.waker.as_ref().map(|waker| PollFd::new(waker.as_fd(), PollFlags::POLLIN)));
        let woken = poll(&mut descriptors, turn) != Ok(0);
        if let Some(waker) = &self.waker {
            let _ = waker.read();
        }
        if woken {
            thread::sleep(GATHER);
        }
    }

    /// Begins and ends with the namespaces that workloads share.
    fn settle(&mut self) {
        let Some(wanted) = self.shared.wanted(now()) else { return };
        let ended: Vec<_> =
            self.namespaces.keys().filter_map(|netns| *netns).filter(|n| !wanted.contains_key(n)).collect();
        for netns in ended {
            if let Some(watch) = self.namespaces.remove(&Some(netns)).and_then(|watched| watched.watch) {
                self.close(&watch);
                let error = "its workloads no longer share it".to_owned();
                self.outbox.outbox.rare(RecordedFact::Nat(NatFact::Unwatched { netns: Some(netns), error }));
            }
        }
        for (netns, pid) in wanted {
            self.namespaces.entry(Some(netns)).or_insert_with(|| Watched::new(None)).pid = Some(pid);
        }
    }

    fn turn(&mut self, netns: Option<NetnsId>) {
        let Some(source) = self.namespaces.get_mut(&netns) else { return };
        let was_open = source.watch.as_ref().map(Watch::counts);
        match source.turn(netns, &mut self.buffer, &mut self.outbox) {
            Ok(()) if source.watch.is_some() => {
                if source.error.take().is_some() {
                    tracing::info!(place = place(netns), "address translation is seen again");
                }
            }
            Ok(()) => {}
            Err(error) => {
                source.due = now().plus(RETRY);
                let is_new = source.error.as_ref() != Some(&error);
                source.error = Some(error.clone());
                if is_new {
                    tracing::warn!(place = place(netns), %error, "address translation is not seen");
                    self.outbox.outbox.rare(RecordedFact::Nat(NatFact::Unwatched { netns, error }));
                }
                self.past.add(was_open.unwrap_or_default());
            }
        }
    }

    fn close(&mut self, watch: &Watch) {
        self.past.add(watch.counts());
    }

    fn count(&self) {
        let watches = || self.namespaces.iter().filter_map(|(netns, source)| Some((netns, source.watch.as_ref()?)));
        let mut counts = self.past;
        watches().for_each(|(_, watch)| counts.add(watch.counts()));
        let is_received =
            |(netns, watch): (&Option<NetnsId>, &Watch)| watch.good().is_some().then_some(netns.is_none());
        let received: Vec<bool> = watches().filter_map(is_received).collect();
        *sync::lock(&self.counters) = ConntrackCounters {
            host: received.contains(&true),
            namespaces: received.len(),
            bindings: watches().map(|(_, watch)| watch.bindings()).sum(),
            bound: self.outbox.bound,
            released: self.outbox.released,
            messages: counts.tally.messages,
            malformed: counts.tally.malformed,
            overruns: counts.overruns,
            refused: self.outbox.outbox.refused(),
        };
    }
}

fn place(netns: Option<NetnsId>) -> String {
    netns.map_or_else(|| "on the host".to_owned(), |netns| format!("in network namespace {netns}"))
}

#[cfg(test)]
mod tests;

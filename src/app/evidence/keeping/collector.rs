//! The thread that collects and writes evidence.
//!
//! Contract: at an alert every ring is asked at once for what belongs to it, and once more when its time after is over; what does not answer within
//! [`PATIENCE`] is missing from the bundle, which says so. Rings of taps that ended are kept for as long as they would have kept their packets.
//! Limits: [`MAX_PENDING`] alerts at once, [`MAX_ENDED`] rings of taps that ended. At the end what is pending is written at once.

use std::collections::{BTreeMap, VecDeque};
use std::sync::atomic::AtomicUsize;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use std::{fs, io, thread};

use crossbeam_channel::{Receiver, RecvTimeoutError};

use super::bundle::{self, Contents, Written};
use super::hub::{Hub, Request, RingId};
use super::replay_check::ReplaySetup;
use super::store::Store;
use crate::alert::Alert;
use crate::clock::{instant, now};
use crate::config::EvidenceConfig;
use crate::evidence::{Budget, Copied, FactHistory, Held, NotKept, PacketRing, Selection};
use crate::input::ObservationPoint;
use crate::serve::EvidenceCounters;
use crate::sync;
use crate::time::Timestamp;

/// Alerts whose evidence is being collected.
pub(super) const MAX_PENDING: usize = 16;
/// Rings of taps that ended.
const MAX_ENDED: usize = 1024;
/// How long an answer is waited for: capture threads look ten times a second.
const PATIENCE: Duration = Duration::from_millis(400);
/// How often is looked whether something is due.
const TURN: Duration = Duration::from_millis(50);
/// How often the log has a reason why evidence is not kept.
const LOG_EVERY: Duration = Duration::from_mins(1);
/// With less time than this left, a bundle is not replayed.
const HASTE: Duration = Duration::from_millis(400);

/// What the collector shares with the engine's thread.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) history: Mutex<FactHistory>,
    pub(super) budget: Mutex<Budget>,
    pub(super) head: Mutex<String>,
    pub(super) counters: Arc<EvidenceCounters>,
    /// What bundles hold of the configuration in force.
    pub(super) setup: Mutex<Arc<ReplaySetup>>,
    /// When the log last had each reason.
    pub(super) logged: Mutex<BTreeMap<NotKept, Timestamp>>,
}

impl Shared {
    /// An alert has no bundle; a flood of them is logged once a minute.
    pub(super) fn not_kept(&self, alert: &Alert, why: NotKept, words: &str) {
        self.counters.not_kept(why);
        let time = now();
        let last = sync::lock(&self.logged).get(&why).copied();
        if last.is_none_or(|last| time.since(last) >= LOG_EVERY) {
            sync::lock(&self.logged).insert(why, time);
            tracing::warn!(alert = alert.id, "the evidence of {} is not kept ({}): {words}", alert.id, why.as_str());
        }
    }
}

/// An alert, and the configuration that it was raised under.
#[derive(Debug)]
pub(super) struct Raised {
    pub(super) alert: Box<Alert>,
    pub(super) setup: Arc<ReplaySetup>,
}

/// The ways to the collector.
pub(super) struct Inbox {
    pub(super) raised: Receiver<Raised>,
    pub(super) ended: Receiver<(RingId, PacketRing)>,
    /// The run ends; what is pending is to be written by then.
    pub(super) end: Receiver<Instant>,
}

/// The collector's own.
pub(super) struct Collector {
    pub(super) config: EvidenceConfig,
    pub(super) hub: Arc<Hub>,
    pub(super) store: Store,
    pub(super) shared: Arc<Shared>,
    pub(super) host: String,
    pub(super) inbox: Inbox,
    pub(super) pending: VecDeque<Pending>,
    pub(super) ended: VecDeque<(RingId, PacketRing)>,
}

/// An alert whose evidence is being collected.
pub(super) struct Pending {
    alert: Box<Alert>,
    setup: Arc<ReplaySetup>,
    selection: Arc<Selection>,
    first: Asked,
    /// When the rings are asked again.
    due: Instant,
}

/// A request on its way.
struct Asked {
    answers: Receiver<(RingId, Copied)>,
    rings: BTreeMap<RingId, ObservationPoint>,
    /// Points that could not be asked.
    full: Vec<ObservationPoint>,
    /// What rings of taps that ended had.
    copies: Vec<(RingId, Copied)>,
}

impl Asked {
    /// Waits for what is not there yet; what never came, in words.
    fn gather(&mut self, deadline: Instant) -> Vec<String> {
        while !self.rings.is_empty()
            && let Ok((id, copied)) = self.answers.recv_deadline(deadline)
        {
            self.rings.remove(&id);
            self.copies.push((id, copied));
        }
        let silent = self.rings.values().map(|point| format!("{point}: its capture thread did not answer in time"));
        let full = self.full.iter().map(|point| format!("{point}: too much was asked of its capture thread"));
        silent.chain(full).collect()
    }
}

impl Collector {
    /// Until the run ends.
    pub(super) fn run(mut self) {
        loop {
            self.take_rings();
            if let Ok(deadline) = self.inbox.end.try_recv() {
                return self.finish(deadline);
            }
            self.close_due();
            self.shared.counters.holds(self.hub.ring_bytes() as u64, sync::lock(&self.shared.budget).bytes());
            if self.pending.len() >= MAX_PENDING {
                thread::sleep(TURN);
                continue;
            }
            match self.inbox.raised.recv_timeout(TURN) {
                Ok(raised) => self.raised(raised),
                Err(RecvTimeoutError::Timeout) => {}
                // The run ended, or broke off.
                Err(RecvTimeoutError::Disconnected) => {
                    let deadline = self.inbox.end.try_recv().unwrap_or_else(|_| instant() + HASTE);
                    return self.finish(deadline);
                }
            }
        }
    }

    /// Takes over rings of taps that ended, and forgets those that would be empty by now.
    fn take_rings(&mut self) {
        self.ended.extend(self.inbox.ended.try_iter());
        let time = now();
        self.ended.iter_mut().for_each(|(_, ring)| ring.expire(time));
        self.ended.retain(|(_, ring)| !ring.is_empty());
        while self.ended.len() > MAX_ENDED {
            self.ended.pop_front();
        }
    }

    fn raised(&mut self, Raised { alert, setup }: Raised) {
        let id = alert.workload.as_ref().map(|workload| workload.id.as_str());
        let networks = id.map(|id| sync::lock(&self.shared.history).attachments(id)).unwrap_or_default();
        let selection = Arc::new(Selection::of(&alert, &networks));
        let first = self.ask(&selection, BTreeMap::new());
        self.pending.push_back(Pending { alert, setup, selection, first, due: instant() + self.config.after });
    }

    fn ask(&mut self, selection: &Arc<Selection>, since: BTreeMap<RingId, u64>) -> Asked {
        let (sender, answers) = crossbeam_channel::bounded(self.hub.taps() + 1);
        let most = usize::try_from(self.config.budget.bundle).unwrap_or(usize::MAX);
        let request = Arc::new(Request {
            selection: Arc::clone(selection),
            since: Arc::new(since),
            left: AtomicUsize::new(most),
            answers: sender,
        });
        if selection.is_empty() {
            return Asked { answers, rings: BTreeMap::new(), full: Vec::new(), copies: Vec::new() };
        }
        let (rings, full) = self.hub.ask(&request);
        // One that ended before it was asked is here by now.
        self.ended.extend(self.inbox.ended.try_iter());
        let copies = self.ended.iter().map(|(id, ring)| (*id, request.of(*id, ring))).collect();
        Asked { answers, rings: rings.into_iter().collect(), full, copies }
    }

    fn close_due(&mut self) {
        while self.pending.front().is_some_and(|pending| pending.due <= instant())
            && let Some(pending) = self.pending.pop_front()
        {
            self.close(pending, None);
        }
    }

    /// Everything that is pending, for as long as there is time.
    fn finish(mut self, deadline: Instant) {
        while let Ok(raised) = self.inbox.raised.try_recv() {
            self.raised(raised);
        }
        while let Some(pending) = self.pending.pop_front() {
            if instant() >= deadline {
                self.shared.not_kept(&pending.alert, NotKept::Busy, "hopwatch ended");
            } else {
                self.close(pending, Some(deadline));
            }
        }
    }

    /// Asks the rings again, and writes the bundle.
    fn close(&mut self, mut pending: Pending, deadline: Option<Instant>) {
        let until = |deadline: Option<Instant>| deadline.unwrap_or_else(|| instant() + PATIENCE);
        let mut incomplete = pending.first.gather(until(deadline));
        let reached = pending.first.copies.iter().map(|(id, copied)| (*id, copied.reached)).collect();
        let mut second = self.ask(&pending.selection, reached);
        let to = now();
        incomplete.extend(second.gather(until(deadline)));
        incomplete.sort_unstable();
        incomplete.dedup();
        let history = sync::lock(&self.shared.history);
        let (facts, is_whole) = (history.copy(), history.is_whole());
        // The engine adds to it.
        drop(history);
        let facts = FactHistory::of_alert(facts, &pending.alert.id);
        if !self.hub.keeps_packets() {
            incomplete.push("packets: none are kept in memory (evidence.ring_mib: 0)".to_owned());
        }
        if !is_whole {
            incomplete.push("facts: more became known than is kept in memory".to_owned());
        }
        let copies = pending.first.copies.into_iter().chain(second.copies).map(|(_, copied)| copied).collect();
        let contents = Contents {
            alert: &pending.alert,
            copies,
            facts,
            incomplete,
            to,
            most: self.config.budget.bundle,
            payload: self.config.payload,
            host: &self.host,
            in_haste: deadline.is_some_and(|deadline| deadline.saturating_duration_since(instant()) < HASTE),
        };
        if self.store.place(&pending.alert.id).exists() {
            return self.shared.not_kept(&pending.alert, NotKept::Exists, "there is a bundle of it");
        }
        match bundle::write(&self.store, contents, &pending.setup) {
            Ok(written) => self.keep(&pending.alert, &written, to),
            Err(error) => self.drop_draft(&pending.alert, NotKept::Disk, &error.to_string()),
        }
    }

    fn keep(&mut self, alert: &Alert, written: &Written, at: Timestamp) {
        let leaving = sync::lock(&self.shared.budget).make_room(written.bytes, alert.severity);
        let leaving = match leaving {
            Ok(leaving) => leaving,
            Err(why) => return self.drop_draft(alert, why, "all room is taken by bundles of higher severities"),
        };
        for held in leaving {
            if let Err(error) = self.store.remove(&held.alert, at) {
                tracing::warn!("the evidence of {} cannot be removed: {error}", held.alert);
            }
            sync::lock(&self.shared.budget).removed(&held.alert);
            self.shared.counters.removed();
            tracing::info!(
                "the evidence of {} ({}) was removed to make room for that of {}",
                held.alert,
                held.severity.as_str(),
                alert.id
            );
        }
        if let Err(error) = self.store.keep(&alert.id, at, &written.manifest) {
            return self.drop_draft(alert, NotKept::Disk, &error.to_string());
        }
        let bundle = Held { alert: alert.id.clone(), made: at, severity: alert.severity, bytes: written.bytes };
        sync::lock(&self.shared.budget).wrote(bundle);
        self.shared.counters.wrote(written.is_incomplete);
        let head = self.store.head();
        tracing::info!(
            alert = alert.id,
            head,
            "the evidence of {} is in {}; head {head}",
            alert.id,
            self.store.place(&alert.id).display()
        );
        *sync::lock(&self.shared.head) = head;
    }

    fn drop_draft(&self, alert: &Alert, why: NotKept, words: &str) {
        if let Err(error) = fs::remove_dir_all(self.store.draft(&alert.id))
            && error.kind() != io::ErrorKind::NotFound
        {
            tracing::warn!("the draft of {} cannot be removed: {error}", alert.id);
        }
        self.shared.not_kept(alert, why, words);
    }
}

//! Keeps evidence from before alerts: rings of packets, recent facts, and bundles on the disk.
//!
//! Contract: capture never waits for it, nor does the engine: an alert whose evidence cannot be collected goes out without, counted by reason. Where the
//! folder cannot be used, hopwatch watches without evidence and says so. Limits: what rings and history hold; see their files.
//! Design: capture threads own the rings ([`hub`]), the engine's thread keeps the facts, a thread of its own collects and writes ([`collector`]).

mod bundle;
mod collector;
mod hub;
mod replay_check;
mod store;

use std::collections::VecDeque;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use crossbeam_channel::{Receiver, Sender};

use super::folder::folder;
use crate::alert::{Alert, AlertBundle};
use crate::clock::{instant, now};
use crate::config::{Config, EvidenceConfig};
use crate::decode::LinkType;
use crate::evidence::{Budget, FactHistory, HistoryLimits, NotKept};
use crate::input::{ObservationPoint, RecordedFact};
use crate::serve::EvidenceCounters;
use crate::sync;
use crate::time::Timestamp;
use collector::{Collector, Inbox, MAX_PENDING, Raised, Shared};
use hub::Hub;
pub(in crate::app) use hub::TapRing;
pub use replay_check::ReplaySetup;
use store::Store;

/// How long the end of a run waits for what is pending.
pub(in crate::app) const LONGEST_END: Duration = Duration::from_millis(1500);
/// Facts that are kept: recent ones, and those from before that still hold.
const RECENT_FACTS: usize = 65_536;
const LASTING_FACTS: usize = 65_536;
/// Rings of taps that ended and wait for the collector.
const ENDED: usize = 1024;

/// Evidence is kept.
#[derive(Debug)]
pub(in crate::app) struct Evidence {
    folder: PathBuf,
    hub: Arc<Hub>,
    shared: Arc<Shared>,
    raised: Sender<Raised>,
    end: Sender<Instant>,
    done: Receiver<()>,
}

/// Where taps get their rings.
#[derive(Clone, Debug)]
pub(in crate::app) struct Rings(Arc<Hub>);

impl Rings {
    /// A ring for a tap.
    pub(in crate::app) fn ring(&self, point: &ObservationPoint, link: LinkType) -> TapRing {
        self.0.ring(point, link)
    }
}

/// Evidence that is being completed.
#[derive(Debug)]
pub(in crate::app) struct Ending {
    done: Receiver<()>,
    deadline: Instant,
}

impl Ending {
    /// Until everything is written, or there is no more time.
    pub(in crate::app) fn wait(self) {
        if self.done.recv_deadline(self.deadline).is_err_and(|error| error.is_timeout()) {
            tracing::warn!("the end does not wait any longer for evidence that is being written");
        }
    }
}

impl Evidence {
    /// Starts the collector; `None` where evidence is switched off or its folder cannot be used.
    pub(in crate::app) fn start(config: &Config, setup: ReplaySetup, counters: &Arc<EvidenceCounters>) -> Option<Self> {
        if !config.evidence.enabled {
            return None;
        }
        let folder = folder(config.evidence.dir.as_deref(), config.state_dir.as_deref());
        let started =
            folder.map_err(Into::into).and_then(|folder| Self::start_in(&folder, &config.evidence, setup, counters));
        started.inspect_err(|error| tracing::warn!("alerts come without evidence from before them: {error:#}")).ok()
    }

    fn start_in(
        folder: &Path,
        config: &EvidenceConfig,
        setup: ReplaySetup,
        counters: &Arc<EvidenceCounters>,
    ) -> anyhow::Result<Self> {
        let folder = std::path::absolute(folder).context("naming the folder of evidence")?;
        let store = Store::open(&folder).with_context(|| format!("using {}", folder.display()))?;
        let limits = HistoryLimits { age: config.ring.age, recent: RECENT_FACTS, lasting: LASTING_FACTS };
        let shared = Arc::new(Shared {
            history: Mutex::new(FactHistory::new(limits)),
            budget: Mutex::new(Budget::new(config.budget, store.held())),
            head: Mutex::new(store.head()),
            counters: Arc::clone(counters),
            setup: Mutex::new(Arc::new(setup)),
            logged: Mutex::default(),
        });
        let (raised, alerts) = crossbeam_channel::bounded(MAX_PENDING);
        let (ended, rings) = crossbeam_channel::bounded(ENDED);
        let (end, ends) = crossbeam_channel::bounded(1);
        let (finished, done) = crossbeam_channel::bounded(1);
        let hub = Hub::new(config.ring, config.ring_budget, ended);
        let collector = Collector {
            config: config.clone(),
            hub: Arc::clone(&hub),
            store,
            shared: Arc::clone(&shared),
            host: nix::unistd::gethostname()
                .map_or_else(|_| "unknown".to_owned(), |name| name.to_string_lossy().into_owned()),
            inbox: Inbox { raised: alerts, ended: rings, end: ends },
            pending: VecDeque::new(),
            ended: VecDeque::new(),
        };
        let run = move || {
            collector.run();
            // Nobody waits any more where it took too long.
            let _ = finished.send(());
        };
        thread::Builder::new().name("evidence".to_owned()).spawn(run).context("starting the thread for evidence")?;
        Ok(Self { folder, hub, shared, raised, end, done })
    }

    /// Where taps get their rings; `None` where no packets are kept.
    pub(in crate::app) fn rings(&self) -> Option<Rings> {
        self.hub.keeps_packets().then(|| Rings(Arc::clone(&self.hub)))
    }

    /// Alerts are raised under this configuration from now on.
    pub(in crate::app) fn reconfigure(&self, setup: Arc<ReplaySetup>) {
        *sync::lock(&self.shared.setup) = setup;
    }

    /// A fact, as the engine takes it.
    pub(in crate::app) fn fact(&self, at: Timestamp, fact: &RecordedFact) {
        sync::lock(&self.shared.history).take(at, fact);
    }

    /// An alert, on its way out: its evidence is collected, and it says where that will be.
    pub(in crate::app) fn raised(&self, alert: &mut Alert) {
        if !alert.is_first_of_run {
            return;
        }
        if let Err(why) = self.collect(alert) {
            alert.bundle = None;
            let words =
                if why == NotKept::Hour { "the hour's bytes are spent" } else { "too many alerts came at once" };
            self.shared.not_kept(alert, why, words);
        }
    }

    fn collect(&self, alert: &mut Alert) -> Result<(), NotKept> {
        sync::lock(&self.shared.budget).admits(alert.severity, now())?;
        let path = self.folder.join(&alert.id).display().to_string();
        alert.bundle = Some(AlertBundle { path, chain_head: sync::lock(&self.shared.head).clone() });
        let setup = Arc::clone(&sync::lock(&self.shared.setup));
        self.raised.try_send(Raised { alert: Box::new(alert.clone()), setup }).map_err(|_| NotKept::Busy)
    }

    /// The run ends: what is pending is written at once.
    pub(in crate::app) fn end(self) -> Ending {
        let deadline = instant() + LONGEST_END;
        // A collector that panicked was reported by the panic handler.
        let _ = self.end.try_send(deadline);
        Ending { done: self.done, deadline }
    }
}

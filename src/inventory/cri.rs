//! A CRI runtime (containerd's plugin, CRI-O) as a source of inventory: pods and their containers.
//!
//! Contract: after `Connected` everything is reported up to `Reconciled`, and from then on as it happens; a runtime that cannot
//! be read is reported once, with the reason, and asked again until it answers. Only read calls. Limits: `runtime.v1` over a unix socket; one
//! without an event stream (containerd before 1.7) is asked every second, so that what was removed in between is not observed.
//! Design: an event only says that it is time to read the lists, which say the rest; where the same socket also answers as
//! containerd, its own events do so too, and date the end of a sandbox, which the interface does not report.

mod client;
mod convert;
mod proto;
mod triggers;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinSet;

use self::client::Client;
use self::triggers::{Trigger, Triggers};
use crate::clock::now;
use crate::input::{InventoryEvent, RuntimeId, WorkloadId};
use crate::inventory::command_words::Vocabulary;
use crate::inventory::configuration::Redaction;
use crate::inventory::reader::container_states::{ContainerStates, ObservedContainer};
use crate::inventory::reader::grpc::TIMEOUT;
use crate::inventory::reader::{Emit, Ended, Pending, ReaderCounters, ReaderError, RuntimeReader, socket_path};
use crate::time::Timestamp;

/// containerd's socket, which answers as a CRI runtime too.
pub const DEFAULT_ENDPOINT: &str = "unix:///run/containerd/containerd.sock";
/// Ends that were received and not yet found in a list.
const MAX_ENDS: usize = 4096;

/// Where the runtime is, and how often its lists are read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CriOptions {
    /// `unix:///run/containerd/containerd.sock`, or a bare path.
    pub endpoint: String,
    /// The name under which it reports; another one for a second runtime.
    pub runtime: RuntimeId,
    /// Between two whole lists that are reported as such; at least a second.
    pub reconcile_interval: Duration,
    /// For one answer; a runtime that needs longer counts as gone.
    pub timeout: Duration,
    /// Between two looks at a runtime that sends no events.
    pub poll_interval: Duration,
    /// Hides values that may be secrets; without it they are only known to be there.
    pub redaction: Redaction,
    /// Words of commands that are shown.
    pub vocabulary: Arc<Vocabulary>,
}

impl Default for CriOptions {
    fn default() -> Self {
        Self {
            endpoint: DEFAULT_ENDPOINT.to_owned(),
            runtime: RuntimeId::CRI,
            reconcile_interval: Duration::from_secs(30),
            timeout: TIMEOUT,
            poll_interval: Duration::from_secs(1),
            redaction: Redaction::default(),
            vocabulary: Arc::default(),
        }
    }
}

/// Reads one CRI runtime.
#[derive(Debug)]
pub struct CriReader {
    options: CriOptions,
    counters: Arc<ReaderCounters>,
    states: ContainerStates,
    /// When what ended, as events said.
    ends: BTreeMap<WorkloadId, Timestamp>,
    /// What ran in the last list.
    running: Vec<WorkloadId>,
}

impl CriReader {
    /// A reader; nothing is opened yet.
    pub fn new(options: CriOptions) -> Self {
        let counters: Arc<ReaderCounters> = Arc::default();
        let states = ContainerStates::new(counters.clone());
        Self { options, counters, states, ends: BTreeMap::new(), running: Vec::new() }
    }

    async fn connect_and_follow(&mut self, emit: &mut Emit<'_>, connected: &mut bool) -> Ended {
        let path = socket_path(&self.options.endpoint)?;
        let mut client = Client::connect(&path, &self.options, &self.counters).await?;
        let mut tasks = JoinSet::new();
        let mut triggers = Triggers::new(&client.grpc, &self.options, &self.counters, &mut tasks);
        self.read_lists(&mut client, Report::Everything, emit).await?;
        *connected = true;
        self.follow_events(&mut client, &mut triggers, emit).await
    }

    /// What the runtime knows now: pods, then containers.
    async fn read_snapshot(&self) -> Result<Vec<InventoryEvent>, ReaderError> {
        let path = socket_path(&self.options.endpoint)?;
        let mut client = Client::connect(&path, &self.options, &self.counters).await?;
        let running = client.everything().await?.into_iter().filter(ObservedContainer::runs).collect();
        Ok(ContainerStates::new(self.counters.clone()).apply_list(running, now(), true))
    }

    /// Reads the lists and reports what is new in them; a list that is reported as such says so.
    async fn read_lists(
        &mut self,
        client: &mut Client,
        report: Report,
        emit: &mut Emit<'_>,
    ) -> Result<(), ReaderError> {
        let at = now();
        let mut all = client.everything().await?;
        for observed in &mut all {
            let received = self.ends.get(&observed.workload.id).copied();
            observed.ended = observed.ended.or(received.filter(|_| !observed.runs()));
        }
        if report == Report::Everything {
            emit(InventoryEvent::Connected { runtime: self.options.runtime });
        }
        let mut running: Vec<WorkloadId> =
            all.iter().filter(|observed| observed.runs()).map(|observed| observed.workload.id.clone()).collect();
        running.sort();
        self.states.apply_list(all, at, report == Report::Everything).into_iter().for_each(&mut *emit);
        let gone = self.running.iter().filter(|id| running.binary_search(id).is_err());
        for id in gone {
            let until = self.ends.remove(id).unwrap_or(at);
            self.states.ended(id, until).into_iter().for_each(&mut *emit);
        }
        self.running.clone_from(&running);
        if report != Report::Changes {
            emit(InventoryEvent::Reconciled { runtime: self.options.runtime, running });
            self.counters.reconciles.add(1);
        }
        Ok(())
    }

    /// Reads the lists whenever there is a reason to, until something fails.
    async fn follow_events(&mut self, client: &mut Client, triggers: &mut Triggers, emit: &mut Emit<'_>) -> Ended {
        // Lists that were put off because more events waited.
        let mut owed = false;
        loop {
            let trigger = triggers.next().await;
            triggers.take_happened().into_iter().for_each(&mut *emit);
            let report = match trigger {
                Trigger::Reported if owed => Report::Changes,
                Trigger::Reported => continue,
                Trigger::Ended { id, at } => {
                    self.states.ended(&id, at).into_iter().for_each(&mut *emit);
                    if self.ends.len() >= MAX_ENDS {
                        self.ends.pop_first();
                    }
                    self.ends.insert(id, at);
                    Report::Changes
                }
                Trigger::Prepared { id, at } => {
                    self.states.prepared(&id, at);
                    Report::Changes
                }
                Trigger::Changed => Report::Changes,
                Trigger::Reconcile => Report::Reconciled,
                Trigger::Cut(error) => return Err(error),
            };
            owed = report == Report::Changes && triggers.is_ahead();
            if owed {
                continue;
            }
            self.read_lists(client, report, emit).await?;
        }
    }
}

/// What of a list is reported.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Report {
    /// After connecting: everything again.
    Everything,
    /// The whole list, reported as such.
    Reconciled,
    /// Only what changed in it.
    Changes,
}

impl RuntimeReader for CriReader {
    fn runtime(&self) -> RuntimeId {
        self.options.runtime
    }

    fn counters(&self) -> &Arc<ReaderCounters> {
        &self.counters
    }

    fn snapshot(&self) -> Pending<'_, Result<Vec<InventoryEvent>, ReaderError>> {
        Box::pin(self.read_snapshot())
    }

    fn follow<'a>(&'a mut self, emit: &'a mut Emit<'_>, connected: &'a mut bool) -> Pending<'a, Ended> {
        Box::pin(self.connect_and_follow(emit, connected))
    }
}

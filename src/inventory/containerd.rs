//! containerd as a source of inventory: a snapshot, then events, then a reconcile now and then.
//!
//! Contract: after `Connected` everything is reported up to `Reconciled`, and from then on as it happens; a daemon that cannot
//! be read is reported once, with the reason, and asked again until it answers. Only read calls. Limits: containerd 1.4 or later over a
//! unix socket; no addresses (see [`convert`]); Docker's namespace is left to Docker, Kubernetes' to CRI unless wanted.
//! Design: events are subscribed to before the snapshot is read, and a second list soon after closes the moment until the
//! subscription stood; what ended during a cut is reported from the tasks that containerd still has.

mod client;
mod convert;
pub(super) mod event;
pub(super) mod proto;

use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval_at};

use self::client::Client;
use self::convert::workload_id;
use self::event::{ContainerdEvent, TaskAction};
use self::proto::Envelope;
use crate::clock::now;
use crate::clock::task::later;
use crate::input::{InventoryEvent, RuntimeId, WorkloadId};
use crate::inventory::command_words::Vocabulary;
use crate::inventory::configuration::Redaction;
use crate::inventory::reader::container_states::{ContainerStates, ObservedContainer};
use crate::inventory::reader::grpc::{Events, TIMEOUT};
use crate::inventory::reader::{Emit, Ended, Pending, ReaderCounters, ReaderError, RuntimeReader, socket_path};

/// The usual place of the socket.
pub const DEFAULT_ADDRESS: &str = "unix:///run/containerd/containerd.sock";
/// Docker's own containers, read through Docker.
const DOCKERS: &str = "moby";
/// The containers of containerd's CRI plugin.
const KUBERNETES: &str = "k8s.io";
/// When the second list is read.
const SOON: Duration = Duration::from_secs(1);

/// Where the daemon is, and what is read of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ContainerdOptions {
    /// `unix:///run/containerd/containerd.sock`, or a bare path.
    pub address: String,
    /// The name under which it reports; another one for a second daemon.
    pub runtime: RuntimeId,
    /// Between two whole lists while the event stream is open; at least a second.
    pub reconcile_interval: Duration,
    /// For one answer; a runtime that needs longer counts as gone.
    pub timeout: Duration,
    /// Whether the namespace `k8s.io` is read too: where no CRI reader covers the same daemon.
    pub kubernetes: bool,
    /// Hides values that may be secrets; without it they are only known to be there.
    pub redaction: Redaction,
    /// Words of commands that are shown.
    pub vocabulary: Arc<Vocabulary>,
}

impl Default for ContainerdOptions {
    fn default() -> Self {
        Self {
            address: DEFAULT_ADDRESS.to_owned(),
            runtime: RuntimeId::CONTAINERD,
            reconcile_interval: Duration::from_secs(30),
            timeout: TIMEOUT,
            kubernetes: false,
            redaction: Redaction::default(),
            vocabulary: Arc::default(),
        }
    }
}

impl ContainerdOptions {
    fn wants(&self, namespace: &str) -> bool {
        namespace != DOCKERS && (self.kubernetes || namespace != KUBERNETES)
    }
}

/// Reads one containerd.
#[derive(Debug)]
pub struct ContainerdReader {
    options: ContainerdOptions,
    counters: Arc<ReaderCounters>,
    states: ContainerStates,
}

impl ContainerdReader {
    /// A reader; nothing is opened yet.
    pub fn new(options: ContainerdOptions) -> Self {
        let counters: Arc<ReaderCounters> = Arc::default();
        Self { options, states: ContainerStates::new(counters.clone()), counters }
    }

    async fn connect_and_follow(&mut self, emit: &mut Emit<'_>, connected: &mut bool) -> Ended {
        let path = socket_path(&self.options.address)?;
        let mut tasks = JoinSet::new();
        let (mut client, events) = Client::connect(&path, &self.options, &self.counters, Some(&mut tasks)).await?;
        let events = events.ok_or_else(|| ReaderError::cut("no events were asked for"))?;
        self.reconcile(&mut client, true, emit).await?;
        *connected = true;
        self.follow_events(&mut client, events, emit).await
    }

    /// What the daemon knows now, in order of namespace and id.
    async fn read_snapshot(&self) -> Result<Vec<InventoryEvent>, ReaderError> {
        let path = socket_path(&self.options.address)?;
        let (mut client, _) = Client::connect(&path, &self.options, &self.counters, None).await?;
        let all = client.everything(|namespace| self.options.wants(namespace)).await?;
        let running = all.into_iter().filter(ObservedContainer::runs).collect();
        Ok(ContainerStates::new(self.counters.clone()).apply_list(running, now(), true))
    }

    /// Reads the whole list and reports what is new in it.
    async fn reconcile(&mut self, client: &mut Client, again: bool, emit: &mut Emit<'_>) -> Result<(), ReaderError> {
        let at = now();
        let options = &self.options;
        client.forget_images();
        let all = client.everything(|namespace| options.wants(namespace)).await?;
        if again {
            emit(InventoryEvent::Connected { runtime: options.runtime });
        }
        let running: Vec<WorkloadId> =
            all.iter().filter(|observed| observed.runs()).map(|observed| observed.workload.id.clone()).collect();
        self.states.apply_list(all, at, again).into_iter().for_each(&mut *emit);
        emit(InventoryEvent::Reconciled { runtime: self.options.runtime, running });
        self.counters.reconciles.add(1);
        Ok(())
    }

    /// Follows the events until something fails.
    async fn follow_events(&mut self, client: &mut Client, mut events: Events<Envelope>, emit: &mut Emit<'_>) -> Ended {
        let period = self.options.reconcile_interval.max(Duration::from_secs(1));
        let mut reconcile = interval_at(later(SOON), period);
        reconcile.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                event = events.recv() => match event {
                    Some(Ok(envelope)) => self.handle_event(client, &envelope, emit).await,
                    Some(Err(status)) => Err(ReaderError::cut(&status)),
                    None => Err(ReaderError::cut("the runtime closed it")),
                },
                _ = reconcile.tick() => self.reconcile(client, false, emit).await,
            }?;
        }
    }

    /// One event of the daemon.
    async fn handle_event(
        &mut self,
        client: &mut Client,
        envelope: &Envelope,
        emit: &mut Emit<'_>,
    ) -> Result<(), ReaderError> {
        self.counters.events.add(1);
        let Some(event) = ContainerdEvent::read(envelope) else {
            self.counters.events_ignored.add(1);
            return Ok(());
        };
        if !self.options.wants(&event.namespace) {
            return Ok(());
        }
        let id = workload_id(&event.namespace, &event.container);
        // The command of a process is read before anything is waited for.
        let happened = event.happened(id.clone(), self.options.runtime, &self.options.vocabulary);
        self.counters.container_events.add(u64::from(happened.is_some()));
        // What ends a container is reported while the container is known.
        let (before, after) = match event.action {
            Some(TaskAction::Ended | TaskAction::Gone) => (happened, None),
            _ => (None, happened),
        };
        before.into_iter().for_each(&mut *emit);
        let events = match event.action {
            None => Vec::new(),
            Some(action) => self.changed(client, &event, &id, action).await?,
        };
        events.into_iter().chain(after).for_each(emit);
        Ok(())
    }

    /// What an event changes.
    async fn changed(
        &mut self,
        client: &mut Client,
        event: &ContainerdEvent,
        id: &WorkloadId,
        action: TaskAction,
    ) -> Result<Vec<InventoryEvent>, ReaderError> {
        Ok(match action {
            TaskAction::Prepared => {
                self.states.prepared(id, event.at);
                Vec::new()
            }
            TaskAction::Ended => self.states.ended(id, event.at),
            TaskAction::Gone => self.states.gone(id, event.at),
            TaskAction::Started | TaskAction::Changed => {
                let observed = client.query(&event.namespace, &event.container, &self.states).await?;
                match observed {
                    observed if action == TaskAction::Started => self.states.started(id, observed, event.at),
                    Some(observed) => self.states.observe(observed, event.at),
                    None => Vec::new(),
                }
            }
        })
    }
}

impl RuntimeReader for ContainerdReader {
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

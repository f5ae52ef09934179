//! A runtime that speaks the Docker API (Docker, Podman) as a source of inventory: a snapshot, then events, then a reconcile
//! now and then.
//!
//! Contract: after `Connected` everything is reported up to `Reconciled`, and from then on as it happens; a daemon that cannot
//! be connected is reported once, with the reason, and asked again until it answers: then its events are asked for from the last
//! one on that took effect. Only read calls. Limits: API 1.41 or later, Podman 4.0 or later, over a unix socket; a container
//! that ends within milliseconds can be missed, which is counted; Docker repeats its last 256 events and none from before
//! its own start. Design: events are asked for from before the snapshot on, so nothing falls between; [`container_states`] keeps the
//! order of each container while [`client`] asks about several at once.

mod acts;
mod bounds;
mod client;
mod container_states;
mod event;
mod http;
mod users;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval_at};

use self::acts::{ExecBudget, Happened};
pub use self::bounds::{MAX_ATTACHMENTS, MAX_LABEL_BYTES, MAX_LABELS, MAX_NAME};
use self::client::Client;
use self::container_states::{Answer, ContainerAction, DockerStates, Query, Step};
use self::event::{RuntimeEvent, introduced};
use self::http::Lines;
use super::api;
use crate::clock::now;
use crate::clock::task::later;
use crate::input::{ContainerAct, ContainerEvent, InventoryEvent, RuntimeId, RuntimeNetwork, WorkloadId};
use crate::inventory::command_words::Vocabulary;
use crate::inventory::configuration::Redaction;
use crate::inventory::reader::{Emit, Ended, Pending, ReaderCounters, ReaderError, RuntimeReader, socket_path};
use crate::time::Timestamp;

/// The usual place of the socket.
pub const DEFAULT_HOST: &str = "unix:///var/run/docker.sock";
/// Events are asked for from this long before the snapshot, against small differences of clocks.
const OVERLAP: Duration = Duration::from_secs(2);
/// After a longer cut, events from before it are not asked for: the whole list says what is true now.
const LONGEST_GAP: Duration = Duration::from_hours(1);
/// Looks under way; while there are so many, no further event is read.
const MAX_TASKS: usize = 4096;
/// Networks reported for one runtime; more count as overflow.
const MAX_NETWORKS: usize = 4096;

/// Where the daemon is, and how often its whole list is read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DockerOptions {
    /// The name under which it is reported: `docker`, `podman`, `podman-1000`.
    pub runtime: RuntimeId,
    /// `unix:///var/run/docker.sock`, or a bare path.
    pub host: String,
    /// The user who must serve the socket, where it was found in a place that others could change.
    pub user: Option<u32>,
    /// Between two whole lists while the event stream is open; at least a second.
    pub reconcile_interval: Duration,
    /// Hides values that may be secrets; without it they are only known to be there.
    pub redaction: Redaction,
    /// Words of commands that are shown.
    pub vocabulary: Arc<Vocabulary>,
}

impl Default for DockerOptions {
    fn default() -> Self {
        let reconcile_interval = Duration::from_secs(30);
        Self {
            runtime: crate::input::RuntimeId::DOCKER,
            host: DEFAULT_HOST.to_owned(),
            user: None,
            reconcile_interval,
            redaction: Redaction::default(),
            vocabulary: Arc::default(),
        }
    }
}

/// Reads one daemon that speaks the Docker API.
#[derive(Debug)]
pub struct DockerReader {
    options: DockerOptions,
    counters: Arc<ReaderCounters>,
    reported: Reported,
}

/// What a finished task learned.
enum Learned {
    Container(WorkloadId, Answer),
    Network(Box<Option<RuntimeNetwork>>),
    /// A command was executed.
    Exec(ContainerEvent),
}

/// What was reported so far; outlives a connection.
#[derive(Debug, Default)]
struct Reported {
    states: DockerStates,
    networks: BTreeMap<String, RuntimeNetwork>,
    execs: ExecBudget,
    /// When it was connected first; the daemon repeats events from before.
    began: Option<Timestamp>,
}

impl DockerReader {
    /// A reader; nothing is opened yet.
    pub fn new(options: DockerOptions) -> Self {
        let counters: Arc<ReaderCounters> = Arc::default();
        let states = DockerStates::new(bounds::quota(options.runtime), Arc::clone(&counters));
        Self { options, counters, reported: Reported { states, ..Reported::default() } }
    }

    async fn connect(&self) -> Result<Client, ReaderError> {
        let path = socket_path(&self.options.host)?;
        Client::connect(self.options.runtime, &path, self.options.user, self.options.redaction.clone(), &self.counters)
            .await
    }

    async fn read_snapshot(&self) -> Result<Vec<InventoryEvent>, ReaderError> {
        let client = self.connect().await?;
        let networks = client.networks().await?;
        let workloads = client.inspect_all(&client.list().await?).await;
        let networks = networks.into_iter().map(|network| InventoryEvent::Network(Arc::new(network)));
        Ok(networks.chain(DockerStates::default().snapshot(workloads)).collect())
    }

    async fn open(
        &self,
        reported: &mut Reported,
        emit: &mut Emit<'_>,
        connected: &mut bool,
    ) -> Result<(Client, Lines), ReaderError> {
        let client = self.connect().await?;
        let since = since(reported.states.checkpoint());
        reported.began.get_or_insert_with(now);
        let networks = client.networks().await?;
        let list = client.list().await?;
        let workloads = client.inspect_all(&list).await;
        let lines = client.events(since).await?;
        *connected = true;
        emit(InventoryEvent::Connected { runtime: self.options.runtime });
        let before = std::mem::take(&mut reported.networks);
        self.report_networks(reported, networks, emit);
        let gone = before.into_keys().filter(|id| !reported.networks.contains_key(id));
        gone.for_each(|id| emit(InventoryEvent::NetworkRemoved { id }));
        reported.states.snapshot(workloads).into_iter().for_each(&mut *emit);
        self.reconciled(list.into_iter().map(|listed| listed.id).collect(), emit);
        Ok((client, lines))
    }

    /// Reports what is new or different.
    fn report_networks(&self, reported: &mut Reported, networks: Vec<RuntimeNetwork>, emit: &mut Emit<'_>) {
        for network in networks {
            if reported.networks.len() >= MAX_NETWORKS && !reported.networks.contains_key(&network.id) {
                self.counters.overflow.add(1);
            } else if reported.networks.get(&network.id) != Some(&network) {
                reported.networks.insert(network.id.clone(), network.clone());
                emit(InventoryEvent::Network(Arc::new(network)));
            }
        }
    }

    fn reconciled(&self, running: Vec<WorkloadId>, emit: &mut Emit<'_>) {
        emit(InventoryEvent::Reconciled { runtime: self.options.runtime, running });
        self.counters.reconciles.add(1);
    }

    /// Follows the events until something fails.
    async fn follow_events(
        &self,
        client: &Client,
        mut lines: Lines,
        reported: &mut Reported,
        emit: &mut Emit<'_>,
    ) -> Ended {
        let mut tasks = JoinSet::new();
        let period = self.options.reconcile_interval.max(Duration::from_secs(1));
        let mut reconcile = interval_at(later(period), period);
        reconcile.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let steps = tokio::select! {
                line = lines.next(), if tasks.len() < MAX_TASKS => match line {
                    Ok(Some(line)) => {
                        let skipped = lines.take_skipped();
                        if skipped > 0 {
                            // Which container it was about is not known: the whole list is.
                            self.counters.overflow.add(skipped);
                            reconcile.reset_immediately();
                        }
                        if line.is_empty() { Vec::new() } else { self.handle_event(client, reported, &line, &mut tasks, emit) }
                    }
                    Ok(None) => return Err(ReaderError::cut("the daemon closed it")),
                    Err(error) => return Err(ReaderError::cut(&error)),
                },
                Some(Ok(learned)) = tasks.join_next() => self.learn(client, reported, learned, emit),
                _ = reconcile.tick() => self.reconcile(client, reported, emit).await?,
            };
            carry_out(steps, client, &mut tasks, emit);
        }
    }

    /// What a finished task says.
    fn learn(&self, client: &Client, reported: &mut Reported, learned: Learned, emit: &mut Emit<'_>) -> Vec<Step> {
        match learned {
            Learned::Container(id, answer) => {
                self.report_networks(reported, client.fresh_networks(), emit);
                reported.states.answered(&id, answer)
            }
            Learned::Exec(event) => reported.states.report(event),
            Learned::Network(network) => {
                self.report_networks(reported, network.into_iter().collect(), emit);
                Vec::new()
            }
        }
    }

    async fn reconcile(
        &self,
        client: &Client,
        reported: &mut Reported,
        emit: &mut Emit<'_>,
    ) -> Result<Vec<Step>, ReaderError> {
        let networks = client.networks().await?;
        let list = client.list().await?;
        self.report_networks(reported, networks, emit);
        let at = now();
        let steps = reported.states.listed(&list, at);
        self.reconciled(list.into_iter().map(|listed| listed.id).collect(), emit);
        Ok(steps)
    }

    /// One event of the daemon.
    fn handle_event(
        &self,
        client: &Client,
        reported: &mut Reported,
        line: &[u8],
        tasks: &mut JoinSet<Learned>,
        emit: &mut Emit<'_>,
    ) -> Vec<Step> {
        self.counters.events.add(1);
        let event = serde_json::from_slice::<api::Event>(line).ok();
        let read = event.and_then(|event| Some((RuntimeEvent::read(&event, client.identity().dialect)?, event)));
        match read {
            Some((RuntimeEvent::Container { id, at, change, mut report }, event)) => {
                let mut steps = Vec::new();
                // The last thing that happens to a container is reported while it is known.
                if let Some(last) = report.take_if(|happened| happened.is_end()) {
                    steps.extend(self.report(client, reported, (&id, at), last, tasks));
                }
                if let Some(change) = change {
                    steps.extend(self.change(client, reported, (&id, at), change, &event));
                }
                if let Some(happened) = report {
                    steps.extend(self.report(client, reported, (&id, at), happened, tasks));
                }
                return steps;
            }
            Some((RuntimeEvent::NetworkMade(id), _)) if !client.identity().rootless => {
                let client = client.clone();
                tasks.spawn(async move { Learned::Network(Box::new(client.network(&id).await)) });
            }
            Some((RuntimeEvent::NetworkGone(id), _)) if reported.networks.remove(&id).is_some() => {
                client.forget_network(&id);
                emit(InventoryEvent::NetworkRemoved { id });
            }
            Some(_) => {}
            None => self.counters.events_ignored.add(1),
        }
        Vec::new()
    }

    /// What an event says besides what it changes.
    fn report(
        &self,
        client: &Client,
        reported: &mut Reported,
        (id, at): (&WorkloadId, Timestamp),
        happened: Happened,
        tasks: &mut JoinSet<Learned>,
    ) -> Vec<Step> {
        let (runtime, workload) = (self.options.runtime, id.clone());
        if reported.began.is_none_or(|began| at < began) {
            return Vec::new();
        }
        let event = match happened {
            Happened::Act(action) => {
                if action == ContainerAct::Removed {
                    client.forget_container(&workload);
                }
                return reported.states.report(ContainerEvent { workload, runtime, at, action });
            }
            Happened::Exec(event) => event,
        };
        if client.is_health_check(&workload, &event) {
            self.counters.health_checks.add(1);
            return Vec::new();
        }
        if !reported.execs.admit(&workload, at) {
            self.counters.overflow.add(1);
            return Vec::new();
        }
        let (client, vocabulary) = (client.clone(), Arc::clone(&self.options.vocabulary));
        tasks.spawn(async move {
            let answer = client.exec(&workload, &event).await;
            let command = acts::command(&workload, &event, answer.as_ref(), &vocabulary);
            let action = ContainerAct::Exec(Box::new(command));
            Learned::Exec(ContainerEvent { workload, runtime, at, action })
        });
        Vec::new()
    }

    /// What an event changes.
    fn change(
        &self,
        client: &Client,
        reported: &mut Reported,
        (id, at): (&WorkloadId, Timestamp),
        change: ContainerAction,
        event: &api::Event,
    ) -> Vec<Step> {
        let started = change == ContainerAction::Started;
        let steps = reported.states.handle(id, change, at);
        if started {
            let (workload, cut) = introduced(event, client.identity());
            self.counters.truncated.add(cut);
            reported.states.introduce(workload);
        }
        steps
    }
}

impl RuntimeReader for DockerReader {
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
        Box::pin(async move {
            let mut reported = std::mem::take(&mut self.reported);
            let ended = match self.open(&mut reported, emit, connected).await {
                Ok((client, lines)) => self.follow_events(&client, lines, &mut reported, emit).await,
                Err(error) => Err(error),
            };
            self.reported = reported;
            ended
        })
    }
}

/// Emits what is to be reported, and starts a task for each query.
fn carry_out(steps: Vec<Step>, client: &Client, tasks: &mut JoinSet<Learned>, emit: &mut Emit<'_>) {
    for step in steps {
        match step {
            Step::Emit(event) => emit(event),
            Step::Ask(query) => {
                let client = client.clone();
                tasks.spawn(async move {
                    let answer = client.answer(&query).await;
                    let (Query::Container(id) | Query::Endpoint { id, .. }) = query;
                    Learned::Container(id, answer)
                });
            }
        }
    }
}

/// Seconds since the epoch from which on events are asked for.
fn since(checkpoint: Option<Timestamp>) -> i64 {
    let now = now();
    let from = checkpoint.map_or(now, |at| at.clamp(now.minus(LONGEST_GAP), now));
    from.minus(OVERLAP).as_nanos().div_euclid(1_000_000_000)
}

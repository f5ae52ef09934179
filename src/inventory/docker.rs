//! The Docker daemon as a source of inventory: a snapshot, then events, then a reconcile now and then.
//!
//! Contract: after `Connected` everything is told up to `Reconciled`, and from then on as it happens; a daemon that cannot
//! be heard is told once, with the reason, and asked again until it answers. Only read calls. Limits: API 1.41 or later
//! over a unix socket; a container that ends within milliseconds can be missed, which is counted.
//! Design: events are asked for from before the snapshot on, so nothing falls between; [`tracker`] keeps the order of each
//! container while [`client`] asks about several at once.

mod client;
mod convert;
mod counters;
mod error;
mod tracker;

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bollard::models::{EventMessage, EventMessageTypeEnum};
use futures_util::StreamExt;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{Instant, MissedTickBehavior, interval_at};

use self::client::{Client, socket_path};
pub use self::convert::{from_inspect, from_network, from_network_inspect};
pub use self::counters::DockerCounters;
pub use self::error::DockerError;
use self::tracker::{Act, Look, Seen, Step, Tracker};
use crate::input::{InventoryEvent, RuntimeNetwork, WorkloadId};
use crate::time::Timestamp;

/// The usual place of the socket.
pub const DEFAULT_HOST: &str = "unix:///var/run/docker.sock";
const FIRST_WAIT: Duration = Duration::from_millis(100);
const LONGEST_WAIT: Duration = Duration::from_secs(5);
/// Events are asked for from this long before the snapshot, against small differences of clocks.
const OVERLAP: Duration = Duration::from_secs(2);

/// Where the daemon is, and how often its whole list is read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DockerOptions {
    /// `unix:///var/run/docker.sock`, or a bare path.
    pub host: String,
    /// Between two whole lists while the event stream is open; at least a second.
    pub reconcile_interval: Duration,
}

impl Default for DockerOptions {
    fn default() -> Self {
        Self { host: DEFAULT_HOST.to_owned(), reconcile_interval: Duration::from_secs(30) }
    }
}

/// Reads one Docker daemon.
#[derive(Debug)]
pub struct DockerReader {
    options: DockerOptions,
    counters: Arc<DockerCounters>,
}

/// What a finished task learned.
enum Learned {
    Container(WorkloadId, Seen),
    Network(Box<Option<RuntimeNetwork>>),
}

impl DockerReader {
    /// A reader; nothing is opened yet.
    pub fn new(options: DockerOptions) -> Self {
        Self { options, counters: Arc::default() }
    }

    /// What it did and missed; stays valid while [`Self::run`] owns the reader.
    pub fn counters(&self) -> Arc<DockerCounters> {
        self.counters.clone()
    }

    /// What the daemon knows now: networks, then everything that runs, each in order of id.
    pub async fn snapshot(&self) -> Result<Vec<InventoryEvent>, DockerError> {
        let client = Client::connect(&socket_path(&self.options.host)?, &self.counters).await?;
        let networks = client.networks().await?;
        let workloads = client.inspect_all(&client.list().await?).await;
        let networks = networks.into_iter().map(|network| InventoryEvent::Network(Arc::new(network)));
        Ok(networks.chain(Tracker::default().snapshot(workloads)).collect())
    }

    /// Tells everything until `stop` turns true (or its sender is gone). Never ends by itself.
    pub async fn run(self, mut emit: impl FnMut(InventoryEvent) + Send, mut stop: watch::Receiver<bool>) {
        let mut tracker = Tracker::default();
        let mut wait = FIRST_WAIT;
        let mut told = false;
        loop {
            let mut heard = false;
            let session = self.session(&mut tracker, &mut emit, &mut heard);
            let error = tokio::select! {
                biased;
                () = stopped(&mut stop) => return,
                error = session => error,
            };
            if heard {
                (wait, told) = (FIRST_WAIT, false);
            }
            if !told {
                emit(InventoryEvent::Disconnected { runtime: convert::RUNTIME.into(), error: error.to_string() });
                told = true;
            }
            tokio::select! {
                biased;
                () = stopped(&mut stop) => return,
                () = tokio::time::sleep(wait) => {}
            }
            wait = (wait * 2).min(LONGEST_WAIT);
            self.counters.reconnects.add(1);
        }
    }

    /// One connection, from the first question to the cut; `heard` once the snapshot was told.
    async fn session(
        &self,
        tracker: &mut Tracker,
        emit: &mut (impl FnMut(InventoryEvent) + Send),
        heard: &mut bool,
    ) -> DockerError {
        match self.open(tracker, emit, heard).await {
            Ok((client, since)) => self.follow(&client, since, tracker, emit).await,
            Err(error) => error,
        }
    }

    async fn open(
        &self,
        tracker: &mut Tracker,
        emit: &mut (impl FnMut(InventoryEvent) + Send),
        heard: &mut bool,
    ) -> Result<(Client, i64), DockerError> {
        let client = Client::connect(&socket_path(&self.options.host)?, &self.counters).await?;
        let since = seconds_now() - i64::try_from(OVERLAP.as_secs()).unwrap_or_default();
        let networks = client.networks().await?;
        let list = client.list().await?;
        let workloads = client.inspect_all(&list).await;
        *heard = true;
        emit(InventoryEvent::Connected { runtime: convert::RUNTIME.into() });
        for network in networks {
            emit(InventoryEvent::Network(Arc::new(network)));
        }
        tracker.snapshot(workloads).into_iter().for_each(&mut *emit);
        let running = list.into_iter().map(|listed| listed.id).collect();
        emit(InventoryEvent::Reconciled { runtime: convert::RUNTIME.into(), running });
        self.counters.reconciles.add(1);
        Ok((client, since))
    }

    /// Follows the events until something fails.
    async fn follow(
        &self,
        client: &Client,
        since: i64,
        tracker: &mut Tracker,
        emit: &mut (impl FnMut(InventoryEvent) + Send),
    ) -> DockerError {
        let mut events = std::pin::pin!(client.events(since));
        let mut tasks = JoinSet::new();
        let period = self.options.reconcile_interval.max(Duration::from_secs(1));
        let mut reconcile = interval_at(later(period), period);
        reconcile.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let steps = tokio::select! {
                event = events.next() => match event {
                    Some(Ok(event)) => self.notice(client, tracker, &event, &mut tasks, emit),
                    Some(Err(error)) => return DockerError::Cut { reason: error::chain(&error) },
                    None => return DockerError::Cut { reason: "the daemon closed it".to_owned() },
                },
                Some(Ok(learned)) = tasks.join_next() => match learned {
                    Learned::Container(id, seen) => tracker.seen(&id, seen),
                    Learned::Network(network) => {
                        (*network).into_iter().for_each(|network| emit(InventoryEvent::Network(Arc::new(network))));
                        Vec::new()
                    }
                },
                _ = reconcile.tick() => match self.reconcile(client, tracker, emit).await {
                    Ok(steps) => steps,
                    Err(error) => return error,
                },
            };
            take(steps, client, &mut tasks, emit);
            self.counters.late.set(tracker.missed.late);
            self.counters.overflow.set(tracker.missed.overflow);
        }
    }

    async fn reconcile(
        &self,
        client: &Client,
        tracker: &mut Tracker,
        emit: &mut (impl FnMut(InventoryEvent) + Send),
    ) -> Result<Vec<Step>, DockerError> {
        let list = client.list().await?;
        let at = Timestamp::from_secs(seconds_now());
        let steps = tracker.listed(&list, at);
        let running = list.into_iter().map(|listed| listed.id).collect();
        emit(InventoryEvent::Reconciled { runtime: convert::RUNTIME.into(), running });
        self.counters.reconciles.add(1);
        Ok(steps)
    }

    /// One event of the daemon.
    fn notice(
        &self,
        client: &Client,
        tracker: &mut Tracker,
        event: &EventMessage,
        tasks: &mut JoinSet<Learned>,
        emit: &mut (impl FnMut(InventoryEvent) + Send),
    ) -> Vec<Step> {
        self.counters.events.add(1);
        match Notice::read(event) {
            Some(Notice::Container { id, act, at }) => return tracker.notice(&id, act, at),
            Some(Notice::NetworkMade(id)) => {
                let client = client.clone();
                tasks.spawn(async move { Learned::Network(Box::new(client.network(&id).await)) });
            }
            Some(Notice::NetworkGone(id)) => {
                client.forget_network(&id);
                emit(InventoryEvent::NetworkRemoved { id });
            }
            None => self.counters.events_ignored.add(1),
        }
        Vec::new()
    }
}

/// An event, as far as it matters.
#[derive(Debug, PartialEq, Eq)]
enum Notice {
    Container { id: WorkloadId, act: Act, at: Timestamp },
    NetworkMade(String),
    NetworkGone(String),
}

impl Notice {
    fn read(event: &EventMessage) -> Option<Self> {
        let actor = event.actor.as_ref()?;
        let (subject, action) = (actor.id.clone()?, event.action.as_deref()?);
        let at = Timestamp::from_nanos(event.time_nano?);
        let joined = || actor.attributes.as_ref()?.get("container").map(|id| WorkloadId::new(id));
        if event.typ == Some(EventMessageTypeEnum::NETWORK) {
            return match action {
                "create" => Some(Self::NetworkMade(subject)),
                "destroy" => Some(Self::NetworkGone(subject)),
                "connect" => Some(Self::Container { id: joined()?, act: Act::Connected { network: subject }, at }),
                "disconnect" => {
                    Some(Self::Container { id: joined()?, act: Act::Disconnected { network: subject }, at })
                }
                _ => None,
            };
        }
        let act = match action {
            "create" => Act::Created,
            "start" => Act::Started,
            "die" => Act::Died,
            "destroy" => Act::Destroyed,
            "pause" | "unpause" | "rename" => Act::Changed,
            _ => return None,
        };
        Some(Self::Container { id: WorkloadId::new(&subject), act, at })
    }
}

/// Emits what is to be told, and starts a task for each look.
fn take(
    steps: Vec<Step>,
    client: &Client,
    tasks: &mut JoinSet<Learned>,
    emit: &mut (impl FnMut(InventoryEvent) + Send),
) {
    for step in steps {
        match step {
            Step::Emit(event) => emit(event),
            Step::Look(look) => {
                let client = client.clone();
                tasks.spawn(async move {
                    let seen = client.look(&look).await;
                    let (Look::Container(id) | Look::Endpoint { id, .. }) = look;
                    Learned::Container(id, seen)
                });
            }
        }
    }
}

/// Returns once `stop` is true, or nobody can make it so any more.
async fn stopped(stop: &mut watch::Receiver<bool>) {
    // An error means that the sender is gone: then stopping is right as well.
    let _ = stop.wait_for(|stop| *stop).await;
}

#[allow(clippy::disallowed_methods, reason = "the daemon is asked for its events from now on")]
fn seconds_now() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).ok().and_then(|age| i64::try_from(age.as_secs()).ok()).unwrap_or(0)
}

fn later(period: Duration) -> Instant {
    Instant::now() + period
}

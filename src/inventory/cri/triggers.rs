//! Reasons to read the lists of a CRI runtime: its events, containerd's own, or the clock.
//!
//! Contract: the clock speaks every second until the runtime is known to send events, and at every reconcile in any case; a
//! stream that the runtime does not have is reported once in the log and done without. Limits: containerd's events count for the
//! namespace `k8s.io` only. Design: an event that waits is a reason not to read the lists yet.

use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::{Interval, MissedTickBehavior, interval_at};
use tonic::{Code, Status};

use super::CriOptions;
use super::convert::moment;
use super::proto::{self, Event};
use crate::clock::task::later;
use crate::input::{ContainerAct, ContainerEvent, InventoryEvent, RuntimeId, WorkloadId};
use crate::inventory::command_words::Vocabulary;
use crate::inventory::containerd::event::{ContainerdEvent, TaskAction, subscription};
use crate::inventory::containerd::proto::{EVENTS, Envelope};
use crate::inventory::reader::grpc::{Events, Grpc};
use crate::inventory::reader::proto::Empty;
use crate::inventory::reader::{ReaderCounters, ReaderError};
use crate::time::Timestamp;

const KUBERNETES: &str = "k8s.io";

/// What came.
#[derive(Debug)]
pub(super) enum Trigger {
    /// A pod or container ended then.
    Ended { id: WorkloadId, at: Timestamp },
    /// Its first process is there, and with it its network.
    Prepared { id: WorkloadId, at: Timestamp },
    /// Something changed, or it is time to look.
    Changed,
    /// Nothing that the lists show.
    Reported,
    /// It is time for a whole list.
    Reconcile,
    /// The runtime is gone.
    Cut(ReaderError),
}

pub(super) struct Triggers {
    /// `None` once the runtime said that it has none.
    own: Option<Events<Event>>,
    containerds: Option<Events<Envelope>>,
    /// Whether the runtime sent an event of its own.
    proven: bool,
    poll: Interval,
    reconcile: Interval,
    /// What happened to containers, to be reported before the lists are read.
    happened: Vec<InventoryEvent>,
    runtime: RuntimeId,
    vocabulary: Arc<Vocabulary>,
    counters: Arc<ReaderCounters>,
}

impl Triggers {
    pub(super) fn new(
        grpc: &Grpc,
        options: &CriOptions,
        counters: &Arc<ReaderCounters>,
        tasks: &mut JoinSet<()>,
    ) -> Self {
        Self {
            own: Some(grpc.follow(proto::EVENTS, Empty {}, tasks)),
            containerds: Some(grpc.follow(EVENTS, subscription(), tasks)),
            proven: false,
            poll: ticking(options.poll_interval.max(Duration::from_millis(100))),
            reconcile: ticking(options.reconcile_interval.max(Duration::from_secs(1))),
            happened: Vec::new(),
            runtime: options.runtime,
            vocabulary: Arc::clone(&options.vocabulary),
            counters: counters.clone(),
        }
    }

    /// What happened since the last call.
    pub(super) fn take_happened(&mut self) -> Vec<InventoryEvent> {
        std::mem::take(&mut self.happened)
    }

    /// Whether more events wait: the lists are read after the last one.
    pub(super) fn is_ahead(&self) -> bool {
        let waits = self.own.as_ref().is_some_and(|events| !events.is_empty());
        waits || self.containerds.as_ref().is_some_and(|events| !events.is_empty())
    }

    /// The next reason.
    pub(super) async fn next(&mut self) -> Trigger {
        loop {
            let trigger = tokio::select! {
                event = next_event(&mut self.own) => self.own_event(event),
                event = next_event(&mut self.containerds) => self.containerds_event(event),
                _ = self.reconcile.tick() => Some(Trigger::Reconcile),
                _ = self.poll.tick(), if !self.proven => {
                    self.counters.polls.add(1);
                    Some(Trigger::Changed)
                }
            };
            if let Some(trigger) = trigger {
                return trigger;
            }
        }
    }

    fn own_event(&mut self, event: Result<Event, Status>) -> Option<Trigger> {
        match event {
            Ok(event) => {
                self.counters.events.add(1);
                self.proven = true;
                self.note(&event);
                let ended = moment(event.created_at).filter(|_| event.kind == proto::STOPPED);
                Some(ended.map_or(Trigger::Changed, |at| Trigger::Ended { id: WorkloadId::new(&event.container), at }))
            }
            Err(status) if status.code() == Code::Unimplemented => {
                tracing::info!("the CRI runtime sends no events of its own: its lists are read every second");
                self.own = None;
                None
            }
            Err(status) => Some(Trigger::Cut(ReaderError::cut(&status))),
        }
    }

    /// Reports an event of the runtime's own, where containerd does not report the same in more detail.
    fn note(&mut self, event: &Event) {
        let action = match event.kind {
            proto::CREATED => ContainerAct::Created,
            proto::STARTED => ContainerAct::Started,
            proto::STOPPED => ContainerAct::Died { exit_code: None },
            proto::DELETED => ContainerAct::Removed,
            _ => return,
        };
        let Some(at) = moment(event.created_at).filter(|_| self.containerds.is_none()) else { return };
        let workload = WorkloadId::new(&event.container);
        let event = ContainerEvent { workload, runtime: self.runtime, at, action };
        self.counters.container_events.add(1);
        self.happened.push(InventoryEvent::Container(Arc::new(event)));
    }

    fn containerds_event(&mut self, event: Result<Envelope, Status>) -> Option<Trigger> {
        match event {
            Ok(envelope) => {
                self.counters.events.add(1);
                let event = ContainerdEvent::read(&envelope);
                self.counters.events_ignored.add(u64::from(event.is_none()));
                let event = event.filter(|event| event.namespace == KUBERNETES)?;
                let id = WorkloadId::new(&event.container);
                let happened = event.happened(id.clone(), self.runtime, &self.vocabulary);
                self.counters.container_events.add(u64::from(happened.is_some()));
                self.happened.extend(happened);
                Some(match event.action {
                    Some(TaskAction::Ended) => Trigger::Ended { id, at: event.at },
                    Some(TaskAction::Prepared) => Trigger::Prepared { id, at: event.at },
                    Some(TaskAction::Started | TaskAction::Changed | TaskAction::Gone) => Trigger::Changed,
                    None => Trigger::Reported,
                })
            }
            Err(status) if status.code() == Code::Unimplemented => {
                self.containerds = None;
                None
            }
            Err(status) => Some(Trigger::Cut(ReaderError::cut(&status))),
        }
    }
}

/// The next event; waits for ever where there is no stream.
async fn next_event<T>(events: &mut Option<Events<T>>) -> Result<T, Status> {
    match events {
        Some(events) => events.recv().await.unwrap_or_else(|| Err(Status::unavailable("the runtime closed it"))),
        None => std::future::pending().await,
    }
}

fn ticking(period: Duration) -> Interval {
    let mut interval = interval_at(later(period), period);
    interval.set_missed_tick_behavior(MissedTickBehavior::Delay);
    interval
}

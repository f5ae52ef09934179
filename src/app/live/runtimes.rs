//! The container runtimes: looked for again and again, each with a reader of its own.
//!
//! Contract: a runtime that appears is read within [`AGAIN`]; one that was found by itself and is gone for [`GONE_AFTER`] is given
//! up, a configured one never. A workload belongs to the runtime that reported it first, or to root's: no user's runtime can speak
//! for another's workloads. Limits: [`MAX_OWNED`] workloads are watched over; beyond it new ones of users' runtimes are refused, and
//! root's take the place of users'. Design: readers only share the way to the engine.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use crossbeam_channel::{Sender, TrySendError};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::Instant;

use super::message::SourceMessage;
use crate::app::readers::reader_of;
use crate::clock::now;
use crate::clock::task::task_instant;
use crate::config::RuntimesConfig;
use crate::input::{Input, InventoryEvent, RuntimeId, RuntimeKind, WorkloadId};
use crate::inventory::discover::{Discovery, Places, Runtime};
use crate::inventory::reader;
use crate::serve::ReaderStats;
use crate::sync;

/// Between two looks.
const AGAIN: Duration = Duration::from_secs(3);
/// A daemon that is being updated is back by then.
const GONE_AFTER: Duration = Duration::from_mins(2);
/// Twice what the inventory remembers by default settings of all runtimes together.
const MAX_OWNED: usize = 131_072;

/// A reader that runs.
struct Running {
    task: JoinHandle<()>,
    stop: watch::Sender<bool>,
    configured: bool,
    /// Whether it must answer, or has done so: a socket of containerd need not speak every API that it could.
    expected: Arc<AtomicBool>,
    seen: Instant,
}

/// What all readers share.
#[derive(Clone)]
struct Shared {
    sender: Sender<SourceMessage>,
    /// Others that receive what changes the inventory before the engine does.
    listeners: Arc<[Sender<InventoryEvent>]>,
    owners: Arc<Mutex<BTreeMap<WorkloadId, RuntimeId>>>,
    readers: ReaderStats,
}

/// Looks for runtimes and reads them until `stopped`.
pub(super) async fn watch(
    config: RuntimesConfig,
    sender: Sender<SourceMessage>,
    listeners: Vec<Sender<InventoryEvent>>,
    readers: ReaderStats,
    mut stopped: watch::Receiver<bool>,
) {
    let mut discovery = Discovery::new(config.sought.clone(), Places::here());
    let shared = Shared { sender, listeners: listeners.into(), owners: Arc::default(), readers };
    let mut running: BTreeMap<RuntimeId, Running> = BTreeMap::new();
    let mut reported = None;
    loop {
        for runtime in discovery.look() {
            let name = runtime.name;
            if let Some(known) = running.get_mut(&name) {
                known.seen = task_instant();
            } else {
                tracing::info!("reading {name} at {}", runtime.host);
                running.insert(name, start(&runtime, &config, &shared));
            }
        }
        give_up(&mut running, &shared);
        let expected = running.iter().filter(|(_, known)| known.expected.load(Ordering::Relaxed));
        let names: Vec<RuntimeId> = expected.map(|(name, _)| *name).collect();
        if reported.as_ref() != Some(&names) {
            reported = Some(names.clone());
            shared.send(SourceMessage::Runtimes(names));
        }
        tokio::select! {
            biased;
            _ = stopped.wait_for(|stopped| *stopped) => break,
            () = tokio::time::sleep(AGAIN) => {}
        }
    }
    for running in running.into_values() {
        let _ = running.stop.send(true);
        drop(running.task.await);
    }
}

/// Ends the readers of runtimes that were found by themselves and are gone.
fn give_up(running: &mut BTreeMap<RuntimeId, Running>, shared: &Shared) {
    running.retain(|name, known| {
        let keep = known.configured || known.seen.elapsed() < GONE_AFTER;
        if !keep {
            tracing::info!("{name} is gone; stopped trying to reconnect");
            shared.readers.remove(name);
            let _ = known.stop.send(true);
            sync::lock(&shared.owners).retain(|_, owner| owner != name);
            shared.report(InventoryEvent::GivenUp { runtime: *name });
        }
        keep
    });
}

/// Starts the reader of a runtime.
fn start(runtime: &Runtime, config: &RuntimesConfig, shared: &Shared) -> Running {
    let (stop, stopped) = watch::channel(false);
    let foreign = Arc::new(AtomicU64::default());
    let must_answer = runtime.configured || matches!(runtime.kind(), RuntimeKind::Docker | RuntimeKind::Podman);
    let expected = Arc::new(AtomicBool::new(must_answer));
    let emit = shared.emit(runtime, &foreign, &expected);
    let reader = reader_of(runtime, config);
    let counters = Arc::clone(reader.counters());
    let task = tokio::spawn(reader::run(reader, emit, stopped));
    shared.readers.insert(&runtime.name, move || {
        let mut all = counters.all();
        all.push(("foreign", foreign.load(Ordering::Relaxed)));
        all
    });
    Running { task, stop, configured: runtime.configured, expected, seen: task_instant() }
}

impl Shared {
    /// The way of a runtime's events to the engine.
    fn emit(
        &self,
        runtime: &Runtime,
        foreign: &Arc<AtomicU64>,
        expected: &Arc<AtomicBool>,
    ) -> impl FnMut(InventoryEvent) + Send + use<> {
        let (shared, name) = (self.clone(), runtime.name);
        let (foreign, expected) = (Arc::clone(foreign), Arc::clone(expected));
        move |event: InventoryEvent| {
            match &event {
                InventoryEvent::Disconnected { error, .. } if !expected.load(Ordering::Relaxed) => {
                    tracing::debug!("{name} was found by itself and does not answer: {error}");
                    return;
                }
                _ => expected.store(true, Ordering::Relaxed),
            }
            let mut owners = sync::lock(&shared.owners);
            let believed = may_report(&mut owners, &name, &event, MAX_OWNED);
            drop(owners);
            if believed {
                shared.report(event);
            } else {
                foreign.fetch_add(1, Ordering::Relaxed);
            }
        }
    }

    /// To the listeners, and then to the engine. Waits for room; a listener that has ended is left out.
    fn report(&self, event: InventoryEvent) {
        let listeners: &[_] = if matches!(event, InventoryEvent::Container(_)) { &[] } else { &self.listeners };
        for listener in listeners {
            if let Err(TrySendError::Full(event)) = listener.try_send(event.clone()) {
                let _ = tokio::task::block_in_place(|| listener.send(event));
            }
        }
        self.send(SourceMessage::Fact(Input::new(now(), event)));
    }

    /// Waits for room, without holding up the other tasks of this thread. Fails only when the engine is gone.
    fn send(&self, message: SourceMessage) {
        if let Err(TrySendError::Full(message)) = self.sender.try_send(message) {
            tokio::task::block_in_place(|| drop(self.sender.send(message)));
        }
    }
}

/// Whether a runtime may say this of a workload.
fn may_report(
    owners: &mut BTreeMap<WorkloadId, RuntimeId>,
    runtime: &RuntimeId,
    event: &InventoryEvent,
    most: usize,
) -> bool {
    let is_root = !runtime.is_users();
    match event {
        InventoryEvent::Workload(workload) => {
            let owner = owners.get(&workload.id);
            if let Some(owner) = owner.filter(|owner| *owner != runtime)
                && (!is_root || !owner.is_users())
            {
                return false;
            }
            if owner.is_none() && owners.len() >= most && (!is_root || !make_room(owners)) {
                // Root's is reported all the same: while the table is full, no user's runtime can claim it.
                return is_root;
            }
            owners.insert(workload.id.clone(), *runtime);
            true
        }
        InventoryEvent::Reconciled { running, .. } => {
            // What ended unheard.
            let running: BTreeSet<&WorkloadId> = running.iter().collect();
            owners.retain(|id, owner| owner != runtime || running.contains(id));
            true
        }
        InventoryEvent::Stopped { id, .. } => {
            let own = owners.get(id).is_none_or(|owner| owner == runtime);
            if own {
                owners.remove(id);
            }
            own
        }
        // Of one that was never reported, or is gone, root's runtimes are believed.
        InventoryEvent::Container(event) => owners.get(&event.workload).map_or(is_root, |owner| owner == runtime),
        _ => true,
    }
}

/// Forgets what the user's runtime with most workloads owns; false when all is root's.
fn make_room(owners: &mut BTreeMap<WorkloadId, RuntimeId>) -> bool {
    let mut held: BTreeMap<&RuntimeId, usize> = BTreeMap::new();
    for owner in owners.values().filter(|owner| owner.is_users()) {
        *held.entry(owner).or_default() += 1;
    }
    let Some(most) = held.into_iter().max_by_key(|(_, held)| *held).map(|(owner, _)| *owner) else {
        return false;
    };
    owners.retain(|_, owner| *owner != most);
    true
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::input::Workload;
    use crate::time::Timestamp;

    fn workload(id: &str, runtime: &str) -> InventoryEvent {
        InventoryEvent::Workload(Arc::new(Workload::new(WorkloadId::new(id), "", runtime.parse().expect("a runtime"))))
    }

    #[test]
    fn no_users_runtime_speaks_for_anothers_workload_but_root_may() {
        let mut owners = BTreeMap::new();
        let mut report = |runtime: &str, event: &InventoryEvent| {
            may_report(&mut owners, &runtime.parse().expect("a runtime"), event, 100)
        };
        let stopped = InventoryEvent::Stopped { id: WorkloadId::new("a"), until: Timestamp::from_nanos(1) };
        assert!(report("docker", &workload("a", "docker")));
        assert!(!report("podman-1000", &workload("a", "podman-1000")), "a user cannot take over root's");
        assert!(!report("podman-1000", &stopped), "nor end it");
        assert!(!report("podman", &workload("a", "podman")), "nor can root's other runtime");
        assert!(report("podman-1000", &workload("b", "podman-1000")));
        assert!(report("docker", &workload("b", "docker")), "root may take back what a user claimed");
        assert!(!report("podman-1000", &workload("b", "podman-1000")));
        assert!(
            report("docker", &stopped) && report("podman-1000", &workload("a", "podman-1000")),
            "ids of the dead are free"
        );
    }

    #[test]
    fn a_full_table_costs_users_their_place_and_never_root_its_own() {
        let mut owners = BTreeMap::new();
        let mut report = |runtime: &str, event: &InventoryEvent| {
            may_report(&mut owners, &runtime.parse().expect("a runtime"), event, 4)
        };
        assert!(report("docker", &workload("root", "docker")));
        for id in ["u1", "u2", "u3"] {
            assert!(report("podman-1000", &workload(id, "podman-1000")));
        }
        assert!(!report("podman-1001", &workload("v1", "podman-1001")), "no room for another user's");
        assert!(report("docker", &workload("late", "docker")), "root's takes a user's place");
        for id in ["root", "late"] {
            assert!(!report("podman-1000", &workload(id, "podman-1000")), "{id} is still root's");
        }
        assert!(report("docker", &workload("r3", "docker")) && report("docker", &workload("r4", "docker")));
        assert!(report("docker", &workload("r5", "docker")), "reported although all is root's");
        assert!(!report("podman-1000", &workload("r5", "podman-1000")));
        let running = ["root", "r3"].map(WorkloadId::new).to_vec();
        assert!(report("docker", &InventoryEvent::Reconciled { runtime: crate::input::RuntimeId::DOCKER, running }));
        assert!(report("podman-1000", &workload("late", "podman-1000")), "what has ended makes room");
        assert!(!report("podman-1000", &workload("root", "podman-1000")));
    }
}

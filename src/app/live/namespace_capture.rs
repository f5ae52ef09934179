//! Observation inside the network namespaces of workloads whose traffic no interface of the host shows.
//!
//! Contract: opened when the runtime reports the workload, closed when it stops; a socket left open would keep the namespace and
//! its interfaces alive. Entered only on demand (`capture.inside_namespaces`); without permission that is said and tried again
//! slowly. Limits: [`MAX_TAPS`] taps, [`MAX_OF_ONE`] a namespace; an interface made later is found within [`LOOK_AGAIN`].
//! Design: a thread and a pool of its own, so that the host's interfaces wait for nobody; a short-lived thread enters a namespace
//! and opens the sockets, which stay there. A quarter of the ring budget is for these taps, beside the rest.

mod selection;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use anyhow::Context as _;
use crossbeam_channel::{Receiver, RecvTimeoutError};

use self::selection::{EntryPolicy, HostLinks, point_name};
use super::capture_plan::CapturePlan;
use super::engine_sink::EngineSink;
use super::host_capture::pool;
use super::interface_names::globs;
use super::message::SourceMessage;
use super::outbox::Outbox;
use super::source::{self, Source, SourceContext};
use crate::clock::now;
use crate::config::CaptureConfig;
use crate::flow::PointKind;
use crate::host::{self, EnterError, Interface, Netns};
use crate::input::{InventoryEvent, LinkEvent, NetnsId, ObservationPoint, RecordedFact, Workload, WorkloadId};
use crate::observe::live::{CapturePool, Tap, TapHandle, TapOptions, ring_bytes};
use crate::sandbox::Role;
use crate::time::Timestamp;

/// Taps at once.
const MAX_TAPS: usize = 256;
/// Of one namespace: its processes can make thousands of interfaces.
const MAX_OF_ONE: usize = 8;
/// Addresses of one interface that are reported; a process in there can give it thousands.
const MAX_ADDRESSES: usize = 64;
/// Namespaces newly entered in one look, which takes long because taps are opened; events are taken in between.
const ENTERED_AT_ONCE: usize = 4;
/// Namespaces looked into again in one look.
const LOOKED_AT_ONCE: usize = 64;
/// How long the thread waits at once, so that it notices the end.
const WAIT: Duration = Duration::from_millis(100);
/// How often is looked whether the processes are still there.
const LOOK: Duration = Duration::from_secs(1);
/// How often a namespace is looked into again.
const LOOK_AGAIN: Duration = Duration::from_secs(5);
/// After a refusal, before the next try.
const PATIENCE: Duration = Duration::from_secs(15);
/// Under this name a refusal that concerns all is reported.
const ALL: &str = "inside namespaces";

/// A namespace that was entered.
struct Entered {
    pid: u32,
    netns: NetnsId,
    looked: Timestamp,
    /// By the interface's index in there.
    taps: BTreeMap<u32, NamespaceTap>,
}

/// A tap in there.
struct NamespaceTap {
    handle: TapHandle,
    reported: LinkEvent,
    ring_bytes: u32,
}

/// What a look into a namespace brought.
struct Found {
    links: Vec<Interface>,
    opened: Vec<(Interface, anyhow::Result<Tap>)>,
    /// Interfaces for which there was no room.
    left_out: usize,
}

struct NamespaceCapture {
    policy: EntryPolicy,
    plan: CapturePlan,
    pool: CapturePool<EngineSink>,
    context: SourceContext,
    outbox: Outbox,
    own: NetnsId,
    entered: BTreeMap<WorkloadId, Entered>,
    /// Told to end; their names are not given again until they have.
    ending: Vec<(ObservationPoint, TapHandle)>,
    /// Not before this time again, and the name under which that was reported.
    refused: BTreeMap<WorkloadId, (Timestamp, Option<ObservationPoint>)>,
}

/// Starts the source.
pub(super) fn start(config: &CaptureConfig, plan: CapturePlan, context: &SourceContext) -> anyhow::Result<Source> {
    let policy = EntryPolicy::new(config.inside_namespaces, globs(&config.interfaces)?);
    let own = Netns::own().context("which network namespace this process is in")?;
    let threads = config.threads;
    source::spawn_listening(Role::Watch, "namespaces", context, move |context, events| {
        let capture = NamespaceCapture {
            policy,
            plan,
            pool: pool(threads, &context),
            outbox: Outbox::new(context.sender.clone()),
            context,
            own,
            entered: BTreeMap::new(),
            ending: Vec::new(),
            refused: BTreeMap::new(),
        };
        capture.run(&events);
    })
}

impl NamespaceCapture {
    fn run(mut self, events: &Receiver<InventoryEvent>) {
        let mut looked = Timestamp::MIN;
        while !self.context.is_over() {
            let changed = match events.recv_timeout(WAIT) {
                Ok(event) => {
                    self.policy.apply(event, now());
                    true
                }
                Err(RecvTimeoutError::Timeout) => false,
                Err(RecvTimeoutError::Disconnected) => {
                    thread::sleep(WAIT);
                    false
                }
            };
            for event in events.try_iter() {
                self.policy.apply(event, now());
            }
            if changed || now().since(looked) >= LOOK {
                looked = now();
                self.sync(looked);
            }
            self.outbox.send();
        }
        self.pool.join();
        self.outbox.finish();
    }

    fn sync(&mut self, time: Timestamp) {
        let mut host = match host::interfaces() {
            Ok(host) => host,
            Err(error) => return tracing::warn!(%error, "cannot list the interfaces"),
        };
        // Where the kernel does not report of bridges, a veth that is not captured itself counts as not captured.
        let _ = host::examine(&mut host, |_| false);
        let by_name: HostLinks<'_> = host.iter().map(|link| (link.name.as_str(), link)).collect();
        let wanted = self.policy.wanted(&by_name, time);
        self.close(&wanted);
        let own = self.plan.own_sockets(&host);
        for workload in self.due(&wanted, time) {
            let options = self.options(own.clone());
            if let Err(error) = self.enter(&workload, &options, time) {
                self.refuse(&workload, &error, time);
            }
        }
    }

    /// Ends what is not wanted any more, or whose process is gone or somebody else's.
    fn close(&mut self, wanted: &[Arc<Workload>]) {
        let is_wanted = |id: &WorkloadId| wanted.binary_search_by(|workload| workload.id.cmp(id)).is_ok();
        let stays =
            |id: &WorkloadId, entered: &Entered| is_wanted(id) && Netns::id_of(entered.pid) == Some(entered.netns);
        let gone: Vec<_> =
            self.entered.iter().filter(|(id, entered)| !stays(id, entered)).map(|(id, _)| id.clone()).collect();
        for id in gone {
            for tap in self.entered.remove(&id).into_iter().flat_map(|entered| entered.taps.into_values()) {
                self.end(tap);
            }
        }
        self.ending.retain(|(_, handle)| !handle.is_ended());
        let outbox = &mut self.outbox;
        self.refused.retain(|id, (_, point)| {
            let stays = is_wanted(id);
            if !stays && let Some(point) = point.clone() {
                return !outbox.message(SourceMessage::RefusalOver(point));
            }
            stays
        });
    }

    /// Tells that a tap ends, and ends it.
    fn end(&mut self, tap: NamespaceTap) {
        tap.handle.stop();
        let point = tap.reported.point.clone();
        self.outbox.rare(RecordedFact::Link(LinkEvent { up: false, ..tap.reported }));
        self.ending.push((point, tap.handle));
    }

    /// Whom to enter now: some that are new, and of the others those that were looked into longest ago.
    fn due(&self, wanted: &[Arc<Workload>], time: Timestamp) -> Vec<Arc<Workload>> {
        let may = |workload: &Workload| self.refused.get(&workload.id).is_none_or(|(until, _)| *until <= time);
        let (mut again, mut due) = (Vec::new(), Vec::new());
        for workload in wanted {
            match self.entered.get(&workload.id) {
                Some(entered) if time.since(entered.looked) >= LOOK_AGAIN => again.push((entered.looked, workload)),
                None if due.len() < ENTERED_AT_ONCE && may(workload) => due.push(Arc::clone(workload)),
                Some(_) | None => {}
            }
        }
        again.sort_by_key(|(looked, _)| *looked);
        due.extend(again.into_iter().take(LOOKED_AT_ONCE).map(|(_, workload)| Arc::clone(workload)));
        due
    }

    fn options(&self, own: Vec<std::net::SocketAddr>) -> TapOptions {
        let used = self.taps().map(|tap| u64::from(tap.ring_bytes)).sum();
        let ring_bytes = ring_bytes(self.plan.ring_bytes, self.plan.ring_budget / 4, used, 1);
        self.plan.tap(ring_bytes, own)
    }

    fn taps(&self) -> impl Iterator<Item = &NamespaceTap> {
        self.entered.values().flat_map(|entered| entered.taps.values())
    }

    /// Looks into a namespace, captures what is new there, reports what changed.
    fn enter(&mut self, workload: &Arc<Workload>, options: &TapOptions, time: Timestamp) -> anyhow::Result<()> {
        let Some(pid) = workload.pid else { return Ok(()) };
        let netns = Netns::of(pid)?;
        let id = netns.id();
        let is_taken = self.entered.iter().any(|(other, entered)| *other != workload.id && entered.netns == id);
        if id == self.own || is_taken {
            // The host's, or one that is observed already: looked at again in case that changes.
            self.refused.insert(workload.id.clone(), (time.plus(PATIENCE), None));
            return Ok(());
        }
        self.forget_ended(&workload.id);
        let room = MAX_TAPS.saturating_sub(self.taps().count());
        let found = netns.enter(|| self.open(workload, options, room))??;
        let mut taps = self.entered.remove(&workload.id).map(|entered| entered.taps).unwrap_or_default();
        self.report_changes(&mut taps, &found.links);
        let mut refusal = (found.left_out > 0).then(|| {
            let (name, left_out) = (&workload.name, found.left_out);
            anyhow::anyhow!("{left_out} interfaces inside {name:?} are not captured: at most {MAX_OF_ONE} of one workload and {MAX_TAPS} in all")
        });
        for (link, tap) in found.opened {
            match tap.and_then(|tap| self.start(tap, &link, &workload.id, options.ring_bytes)) {
                Ok(tap) => drop(taps.insert(link.index, tap)),
                Err(error) => refusal = Some(error),
            }
        }
        self.entered.insert(workload.id.clone(), Entered { pid, netns: id, looked: time, taps });
        if let Some(refusal) = refusal {
            return Err(refusal);
        }
        self.clear(&workload.id);
        Ok(())
    }

    /// Called inside the namespace.
    fn open(&self, workload: &Workload, options: &TapOptions, room: usize) -> anyhow::Result<Found> {
        let mut links = host::interfaces()?;
        links.retain(|link| !link.loopback);
        let known = self.entered.get(&workload.id);
        let has = |link: &Interface| known.is_some_and(|entered| entered.taps.contains_key(&link.index));
        let room = room.min(MAX_OF_ONE.saturating_sub(known.map_or(0, |entered| entered.taps.len())));
        let mut fresh: Vec<_> = links.iter().filter(|link| link.up && !has(link)).cloned().collect();
        let left_out = fresh.len().saturating_sub(room);
        fresh.truncate(room);
        let mut opened: Vec<(Interface, anyhow::Result<Tap>)> = Vec::new();
        for link in fresh {
            let point = point_name(workload, &link.name, link.index, |point| {
                self.is_taken(point) || opened.iter().any(|(_, tap)| tap.as_ref().is_ok_and(|tap| tap.point() == point))
            });
            let tap = Tap::open_inside(&link.name, point, options).map_err(anyhow::Error::from);
            opened.push((link, tap));
        }
        // Afterwards, for only now are they promiscuous. What the kernel does not report stays absent.
        let _ =
            host::examine(&mut links, |link| has(link) || opened.iter().any(|(opened, _)| opened.index == link.index));
        for link in &mut links {
            link.addresses.truncate(MAX_ADDRESSES);
        }
        for (link, _) in &mut opened {
            if let Some(examined) = links.iter().find(|examined| examined.index == link.index) {
                link.clone_from(examined);
            }
        }
        Ok(Found { links, opened, left_out })
    }

    fn is_taken(&self, point: &ObservationPoint) -> bool {
        self.taps().any(|tap| tap.reported.point == *point) || self.ending.iter().any(|(ending, _)| ending == point)
    }

    fn start(
        &mut self,
        tap: Tap,
        link: &Interface,
        inside: &WorkloadId,
        ring_bytes: u32,
    ) -> anyhow::Result<NamespaceTap> {
        let reported = LinkEvent { point: tap.point().clone(), inside: Some(inside.clone()), ..link.link_event() };
        let tap = self.context.sharing(tap, PointKind::OneSource);
        let sink = EngineSink::new(&self.context, &tap, self.plan.snap.most(), true)?;
        let handle = self.pool.add(tap, sink).context("starting a capture thread")?;
        self.outbox.rare(RecordedFact::Link(reported.clone()));
        Ok(NamespaceTap { handle, reported, ring_bytes })
    }

    /// Taps that ended by themselves: their interface went away or down.
    fn forget_ended(&mut self, id: &WorkloadId) {
        let Some(entered) = self.entered.get_mut(id) else { return };
        let ended: Vec<_> = entered.taps.extract_if(.., |_, tap| tap.handle.is_ended()).collect();
        for (_, tap) in ended {
            self.end(tap);
        }
    }

    fn report_changes(&mut self, taps: &mut BTreeMap<u32, NamespaceTap>, links: &[Interface]) {
        for link in links {
            let Some(tap) = taps.get_mut(&link.index) else { continue };
            let kept = LinkEvent {
                point: tap.reported.point.clone(),
                inside: tap.reported.inside.clone(),
                ..link.link_event()
            };
            if kept != tap.reported && self.outbox.fact(now(), RecordedFact::Link(kept.clone())) {
                tap.reported = kept;
            }
        }
    }

    fn refuse(&mut self, workload: &Workload, error: &anyhow::Error, time: Timestamp) {
        let point = match error.downcast_ref::<EnterError>() {
            // It ended meanwhile, which the runtime will report.
            Some(EnterError::Gone { .. }) => None,
            Some(EnterError::Permission) => Some(ObservationPoint::new(ALL)),
            Some(EnterError::Other { .. }) | None => Some(point_name(workload, "all", 0, |_| false)),
        };
        if let Some(point) = &point {
            self.outbox.message(SourceMessage::TapRefused(point.clone(), format!("{error:#}")));
        }
        self.refused.insert(workload.id.clone(), (time.plus(PATIENCE), point));
    }

    /// It was refused before, and is not any more.
    fn clear(&mut self, id: &WorkloadId) {
        if let Some((_, Some(point))) = self.refused.remove(id) {
            self.outbox.message(SourceMessage::RefusalOver(point));
        }
    }
}

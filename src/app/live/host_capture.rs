//! Follows the interfaces that match, with a tap on each.
//!
//! Contract: an interface that appears is captured within 200 ms: the kernel reports at once that something changed, and
//! interfaces are then listed, but not more often than every [`GATHER`]. One that vanishes ends its tap only, and one that came
//! back under its name gets a new tap. An interface is its index: a renamed one is captured under its new name only, or not at all
//! where no glob matches that. What the kernel says of a captured interface is reported when it changes, and once more, as
//! down, when it is gone. Limits: at most [`MAX_TAPS`] at once; what is refused is reported once and tried again slowly.
//! Design: taps are opened by [`OPENERS`] threads, since the kernel lets each wait for all its processors.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use anyhow::Context as _;
use globset::GlobSet;

use super::capture_plan::CapturePlan;
use super::engine_sink::EngineSink;
use super::interface_names::{InterfaceNames, Wanted};
use super::message::{InterfaceScan, SourceMessage};
use super::outbox::Outbox;
use super::source::{self, Source, SourceContext};
use crate::clock::now;
use crate::config::is_default_interface;
use crate::flow::PointKind;
use crate::host::{self, Interface, LinkMonitor};
use crate::input::{LinkEvent, ObservationPoint, RecordedFact};
use crate::observe::live::{CapturePool, Tap, TapError, TapHandle, TapOptions, ring_bytes};
use crate::sandbox::Role;
use crate::time::Timestamp;

/// How often interfaces are listed although the kernel reported no change.
const POLL: Duration = Duration::from_secs(2);
/// How often, where the kernel reports none.
const POLL_WITHOUT_MONITOR: Duration = Duration::from_millis(150);
/// How long the watch waits at once, so that it notices the end.
const WAIT: Duration = Duration::from_millis(400);
/// How soon interfaces are listed again where one that was renamed still ends.
const ENDING: Duration = Duration::from_millis(100);
/// Changes that come so soon after each other are looked at together.
const GATHER: Duration = Duration::from_millis(20);
/// After a refusal, before the next try.
const PATIENCE: Duration = Duration::from_secs(3);
/// Interfaces captured at once.
const MAX_TAPS: usize = 512;
/// Taps opened at the same time.
const OPENERS: usize = 8;

struct Running {
    handle: TapHandle,
    index: u32,
    ring_bytes: u32,
    /// The interface has another name: this tap ends before that one opens.
    renamed: bool,
}

struct HostCapture {
    plan: CapturePlan,
    /// The configured names and globs.
    names: Arc<InterfaceNames>,
    pool: CapturePool<EngineSink>,
    context: SourceContext,
    outbox: Outbox,
    running: BTreeMap<ObservationPoint, Running>,
    /// What was reported of interfaces that are, or were, captured.
    reported: BTreeMap<ObservationPoint, LinkEvent>,
    /// The kernel did not let itself be examined; said once.
    unexamined: bool,
    /// Not before this time again.
    refused: BTreeMap<ObservationPoint, Timestamp>,
}

/// Starts the source.
pub(super) fn start(
    threads: usize,
    names: Arc<InterfaceNames>,
    plan: CapturePlan,
    context: &SourceContext,
) -> anyhow::Result<Source> {
    source::spawn(Role::Taps, "interfaces", context, move |context| {
        HostCapture::new(plan, names, threads, context).run();
    })
}

/// Threads that read taps: as many as are allowed, and no more than there are processors.
pub(super) fn pool(threads: usize, context: &SourceContext) -> CapturePool<EngineSink> {
    let processors = thread::available_parallelism().map_or(1, usize::from);
    CapturePool::new(threads.min(processors), Arc::clone(&context.stop)).reporting(Arc::clone(&context.progress))
}

impl HostCapture {
    fn new(plan: CapturePlan, names: Arc<InterfaceNames>, threads: usize, context: SourceContext) -> Self {
        Self {
            plan,
            names,
            pool: pool(threads, &context),
            outbox: Outbox::new(context.sender.clone()),
            context,
            running: BTreeMap::new(),
            reported: BTreeMap::new(),
            unexamined: false,
            refused: BTreeMap::new(),
        }
    }

    fn run(mut self) {
        let monitor = LinkMonitor::subscribe()
            .inspect_err(|error| {
                tracing::warn!(%error, "the kernel does not report changes of interfaces; they are polled");
            })
            .ok();
        while !self.context.is_over() {
            match host::interfaces() {
                Ok(mut all) => {
                    let wanted = self.names.read();
                    self.examine(&mut all, |link| wanted.globs.is_match(&link.name));
                    self.sync(&all, &wanted);
                }
                Err(error) => tracing::warn!(%error, "cannot list the interfaces"),
            }
            self.wait(monitor.as_ref());
        }
        self.pool.join();
        self.outbox.finish();
    }

    /// Until something changed, or it is time to sync anyway.
    fn wait(&mut self, monitor: Option<&LinkMonitor>) {
        self.outbox.send();
        let Some(monitor) = monitor else { return thread::sleep(POLL_WITHOUT_MONITOR) };
        let is_ending = self.running.values().any(|running| running.renamed);
        let until = now().plus(if is_ending { ENDING } else { POLL });
        while !self.context.is_over() && now() < until {
            if monitor.wait(WAIT.min(until.since(now()))) {
                thread::sleep(GATHER);
                monitor.drain();
                return;
            }
            self.outbox.send();
        }
    }

    fn sync(&mut self, all: &[Interface], wanted: &Wanted) {
        let found: Vec<_> = all.iter().filter(|link| wanted.globs.is_match(&link.name)).collect();
        self.report_scan(all, &found, wanted);
        self.running.retain(|_, running| !running.handle.is_ended());
        self.end_renamed(all, &wanted.globs);
        self.end_unwanted(all, &wanted.globs);
        let time = now();
        let mut fresh = Vec::new();
        for link in &found {
            if self.is_under_another_name(link) {
                continue;
            }
            let point = ObservationPoint::new(&link.name);
            match self.running.get(&point) {
                // Another interface under the same name: its tap is opened when this one has ended.
                Some(running) if running.index != link.index => {
                    running.handle.stop();
                    self.report_gone(&point);
                }
                Some(_) => self.report(link.link_event()),
                None if !link.up => self.report_down(&point),
                None if self.refused.get(&point).is_none_or(|until| *until <= time) => fresh.push((point, *link)),
                None => {}
            }
        }
        self.report_vanished(&found);
        fresh.truncate(MAX_TAPS.saturating_sub(self.running.len()));
        self.open(&fresh, &self.plan.own_sockets(all));
        self.forget_refused(&found);
        self.outbox.send();
    }

    /// Reports what the list shows of what can be seen.
    fn report_scan(&mut self, all: &[Interface], found: &[&Interface], wanted: &Wanted) {
        let mut matched = BTreeSet::new();
        matched.extend(found.iter().flat_map(|link| wanted.globs.matches(&link.name)));
        let unmatched = wanted
            .patterns
            .iter()
            .enumerate()
            .filter(|(at, pattern)| !matched.contains(at) && !is_default_interface(pattern));
        let was_captured = |link: &&&Interface| self.reported.contains_key(&ObservationPoint::new(&link.name));
        let scan = InterfaceScan {
            matching: Some(found.len()),
            unmatched: unmatched.map(|(_, pattern)| pattern.clone()).collect(),
            down: found
                .iter()
                .filter(|link| !link.up && !link.ephemeral)
                .filter(was_captured)
                .map(|link| ObservationPoint::new(&link.name))
                .collect(),
            uncaptured_ways_out: uncaptured_ways_out(all, &wanted.globs),
        };
        self.outbox.message(SourceMessage::Interfaces(scan));
    }

    /// Ends the taps of interfaces that have another name now.
    fn end_renamed(&mut self, all: &[Interface], globs: &GlobSet) {
        let has_another_name = |point: &ObservationPoint, running: &Running| {
            let link = all.iter().find(|link| link.index == running.index)?;
            (!running.renamed && link.name != point.as_str()).then(|| (point.clone(), link.name.clone()))
        };
        let renamed: Vec<_> =
            self.running.iter().filter_map(|(point, running)| has_another_name(point, running)).collect();
        for (point, name) in renamed {
            if globs.is_match(&name) {
                tracing::info!("{point} was renamed to {name}; it is captured under that name");
            } else {
                tracing::warn!("{point} was renamed to {name}, which no configured name matches; its capture ends");
            }
            if let Some(running) = self.running.get_mut(&point) {
                running.handle.stop();
                running.renamed = true;
            }
            self.report_renamed(&point, &name);
        }
    }

    /// Ends the taps of interfaces that are there and that nobody asks for any longer: the names were replaced.
    fn end_unwanted(&self, all: &[Interface], globs: &GlobSet) {
        for (point, running) in &self.running {
            let is_there = all.iter().any(|link| link.index == running.index && link.name == point.as_str());
            if is_there && !globs.is_match(point.as_str()) {
                tracing::info!(observation_point = %point, "{point} is no longer configured; its capture ends");
                running.handle.stop();
            }
        }
    }

    fn is_under_another_name(&self, link: &Interface) -> bool {
        let is_other = |(point, running): (&ObservationPoint, &Running)| {
            running.index == link.index && point.as_str() != link.name
        };
        self.running.iter().any(is_other)
    }

    /// What is gone is refused no more: a short-lived interface must not keep its error for ever.
    fn forget_refused(&mut self, found: &[&Interface]) {
        let outbox = &mut self.outbox;
        self.refused.retain(|point, _| {
            let is_there = found.iter().any(|link| link.name == point.as_str());
            is_there || !outbox.message(SourceMessage::RefusalOver(point.clone()))
        });
    }

    /// Opens taps, several at a time, and hands them to the pool.
    fn open(&mut self, fresh: &[(ObservationPoint, &Interface)], own: &[SocketAddr]) {
        let mut used: u64 = self.running.values().map(|running| u64::from(running.ring_bytes)).sum();
        for (done, group) in fresh.chunks(OPENERS).enumerate() {
            if self.context.is_over() {
                return;
            }
            let waiting = fresh.len() - done * OPENERS;
            let ring_bytes = ring_bytes(self.plan.ring_bytes, self.plan.ring_budget, used, waiting);
            let options = self.plan.tap(ring_bytes, own.to_vec());
            let mut links = Vec::new();
            for ((point, link), tap) in group.iter().zip(open_group(group, &options)) {
                match tap.and_then(|tap| self.start(tap, link.ephemeral)) {
                    Ok(handle) => {
                        self.refused.remove(point);
                        used += u64::from(ring_bytes);
                        let running = Running { handle, index: link.index, ring_bytes, renamed: false };
                        self.running.insert(point.clone(), running);
                        links.push((*link).clone());
                    }
                    Err(error) => self.refuse(point, link.ephemeral, &error),
                }
            }
            // Once more: only now are they promiscuous.
            self.examine(&mut links, |_| true);
            for link in links {
                self.report(link.link_event());
            }
        }
    }

    fn start(&mut self, tap: Tap, ephemeral: bool) -> anyhow::Result<TapHandle> {
        let kind = if ephemeral { PointKind::OneSource } else { PointKind::Shared };
        let tap = self.context.sharing(tap, kind);
        let sink = EngineSink::new(&self.context, &tap, self.plan.snap.most(), ephemeral)?;
        self.pool.add(tap, sink).context("starting a capture thread")
    }

    /// A container that ends while its veth is opened is in order; any other refusal is a gap in what is seen.
    fn refuse(&mut self, point: &ObservationPoint, ephemeral: bool, error: &anyhow::Error) {
        self.refused.insert(point.clone(), now().plus(PATIENCE));
        if ephemeral && matches!(error.downcast_ref(), Some(TapError::Gone { .. })) {
            tracing::debug!("{error:#}");
        } else {
            self.outbox.message(SourceMessage::TapRefused(point.clone(), format!("{error:#}")));
        }
    }

    /// Examines more closely where the kernel lets; else what was reported before still stands.
    fn examine(&mut self, links: &mut [Interface], observed: impl Fn(&Interface) -> bool) {
        if links.is_empty() {
            return;
        }
        let failed = host::examine(links, observed).err();
        if let Some(error) = &failed {
            for link in links {
                let reported = self.reported.get(&ObservationPoint::new(&link.name));
                link.promiscuous = reported.and_then(|reported| reported.promiscuous);
                link.programs = reported.map(|reported| reported.programs.clone()).unwrap_or_default();
            }
            if !self.unexamined {
                tracing::warn!(%error, "cannot see whether interfaces are promiscuous and have programs");
            }
        }
        self.unexamined = failed.is_some();
    }

    /// Reports what changed on an interface that is captured.
    fn report(&mut self, link: LinkEvent) {
        // What finds no room is reported at the next change or poll.
        if self.reported.get(&link.point) != Some(&link) && self.outbox.fact(now(), RecordedFact::Link(link.clone())) {
            self.reported.insert(link.point.clone(), link);
        }
    }

    /// It is there but nothing can be captured on it any more.
    fn report_down(&mut self, point: &ObservationPoint) {
        if let Some(reported) = self.reported.get(point).filter(|reported| reported.up) {
            self.report(LinkEvent { up: false, ..reported.clone() });
        }
    }

    /// It is there under another name.
    fn report_renamed(&mut self, point: &ObservationPoint, name: &str) {
        if let Some(reported) = self.reported.remove(point).filter(|reported| reported.up) {
            let renamed = Some(ObservationPoint::new(name));
            self.outbox.rare(RecordedFact::Link(LinkEvent { up: false, renamed, ..reported }));
        }
    }

    fn report_gone(&mut self, point: &ObservationPoint) {
        self.report_down(point);
        self.reported.remove(point);
    }

    fn report_vanished(&mut self, found: &[&Interface]) {
        let is_there = |point: &ObservationPoint| found.iter().any(|link| link.name == point.as_str());
        let gone: Vec<_> = self.reported.keys().filter(|point| !is_there(point)).cloned().collect();
        for point in gone {
            self.report_gone(&point);
        }
    }
}

/// The interfaces of the default routes, and loopback, where no glob matches any of them.
fn uncaptured_ways_out(all: &[Interface], globs: &GlobSet) -> Vec<String> {
    let mut names = host::default_route_interfaces();
    names.extend(all.iter().filter(|link| link.loopback).map(|link| link.name.clone()));
    if names.iter().any(|name| globs.is_match(name)) { Vec::new() } else { names.into_iter().collect() }
}

/// Opens all of the group at the same time; the results in its order.
fn open_group(group: &[(ObservationPoint, &Interface)], options: &TapOptions) -> Vec<anyhow::Result<Tap>> {
    if let [(point, _)] = group {
        return vec![Tap::open(point.clone(), options).map_err(Into::into)];
    }
    thread::scope(|scope| {
        let opening: Vec<_> =
            group.iter().map(|(point, _)| scope.spawn(|| Tap::open(point.clone(), options))).collect();
        let join = |tap: thread::ScopedJoinHandle<'_, Result<Tap, _>>| match tap.join() {
            Ok(tap) => tap.map_err(Into::into),
            Err(_) => Err(anyhow::anyhow!("opening it panicked")),
        };
        opening.into_iter().map(join).collect()
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::observe::live::Snap;

    #[test]
    fn the_error_of_an_interface_that_is_gone_is_taken_back() {
        let (sender, receiver) = crossbeam_channel::unbounded();
        let context = SourceContext::alone(sender);
        let meter = crate::config::default_meter();
        let plan =
            CapturePlan { snap: Snap::Flat(96), ring_bytes: 4096, ring_budget: 4096, meter, own: None, filter: None };
        let mut capture = HostCapture::new(plan, Arc::default(), 1, context);
        let point = ObservationPoint::new("veth1");
        // It lost the race to be opened, and was gone at the next listing.
        capture.refused.insert(point.clone(), now());
        capture.sync(&[], &Wanted::new(&["veth*".to_owned()]).expect("globs"));
        let ended = |message| matches!(message, SourceMessage::RefusalOver(of) if of == point);
        assert!(receiver.try_iter().any(ended), "or `/readyz` would keep it for ever");
        assert!(capture.refused.is_empty());
    }

    #[test]
    fn only_a_veth_that_is_gone_is_lost_without_a_warning() {
        let (sender, receiver) = crossbeam_channel::unbounded();
        let context = SourceContext::alone(sender);
        let meter = crate::config::default_meter();
        let plan =
            CapturePlan { snap: Snap::Flat(96), ring_bytes: 4096, ring_budget: 4096, meter, own: None, filter: None };
        let mut capture = HostCapture::new(plan, Arc::default(), 1, context);
        let point = ObservationPoint::new("any0");
        let gone = || anyhow::Error::from(TapError::Gone { point: point.clone() });
        let forbidden = || anyhow::Error::from(TapError::Permission { point: point.clone() });
        let mut warns = |ephemeral, error: &anyhow::Error| {
            capture.refuse(&point, ephemeral, error);
            capture.outbox.send();
            receiver.try_iter().any(|message| matches!(message, SourceMessage::TapRefused(..)))
        };
        assert!(!warns(true, &gone()), "its container ended");
        assert!(warns(false, &gone()), "a bridge has no container to end with");
        assert!(warns(true, &forbidden()), "nobody may capture there");
    }
}

//! The observation points as they were reported, and those that went away.
//!
//! Contract: a point that went away is judged after a settling time, by what the runtime says then; while the runtimes' word is
//! not complete it waits. Limits: see [`super`]. Design: what a point is (a network's bridge, a workload's veth, inside a workload, an
//! uplink) is asked of the timeline; which bridges ever were a network's is kept here, because the timeline forgets it.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::time::Duration;

use super::{MAX_POINTS, finding, over};
use crate::detect::{Context, Finding, Findings, Severity};
use crate::input::{LinkEvent, ObservationPoint, RuntimeNetwork, Workload};
use crate::inventory::Timeline;
use crate::time::{Timestamp, readable};

#[derive(Debug)]
pub(super) struct Points {
    settle: Duration,
    known: BTreeMap<ObservationPoint, Point>,
    /// That are, or were, bridges of a network.
    bridges: BTreeSet<ObservationPoint>,
    /// Those that went away, and since when.
    away: BTreeMap<ObservationPoint, Away>,
    /// Those that were reported as gone: since when, and the cause.
    gone: BTreeMap<ObservationPoint, (Timestamp, String)>,
    /// Points and bridges that made room for others, or found none.
    pub(super) forgotten: u64,
}

#[derive(Debug)]
struct Point {
    link: LinkEvent,
    /// It is inside a workload, and the runtime named its MAC.
    given: bool,
}

#[derive(Debug)]
struct Away {
    since: Timestamp,
    /// Judged at this time; absent while the runtimes' word is not complete.
    due: Option<Timestamp>,
    /// Its new name, where the interface is still there.
    renamed: Option<ObservationPoint>,
}

/// Why a point is still needed.
enum Need<'a> {
    Network(&'a RuntimeNetwork),
    Veth(&'a Workload),
    Inside(&'a Workload),
    Uplink,
}

impl Points {
    pub(super) const fn new(settle: Duration) -> Self {
        Self {
            settle,
            known: BTreeMap::new(),
            bridges: BTreeSet::new(),
            away: BTreeMap::new(),
            gone: BTreeMap::new(),
            forgotten: 0,
        }
    }

    /// A point as it is now.
    pub(super) fn link(&mut self, context: Context<'_>, link: &LinkEvent, findings: &mut Findings) {
        let point = &link.point;
        if link.up {
            self.away.remove(point);
            if let Some((since, cause)) = self.gone.remove(point) {
                let text = format!("{point} is up again, after {}", readable(context.now.since(since)));
                findings.push(over(context.now, text, &cause));
            }
            match self.known.get(point) {
                Some(before) => compare(context, &before.link, link, findings),
                None if !link.programs.is_empty() => at_first_sight(context.now, link, findings),
                None => {}
            }
            self.keep(context.timeline, link);
            return;
        }
        let Some(known) = self.known.get_mut(point).filter(|known| known.link.up) else { return };
        known.link.up = false;
        let due = context.now.plus(self.settle);
        self.away.insert(point.clone(), Away { since: context.now, due: Some(due), renamed: link.renamed.clone() });
        findings.schedule(due);
    }

    fn keep(&mut self, timeline: &Timeline, link: &LinkEvent) {
        if self.known.len() >= MAX_POINTS && !self.known.contains_key(&link.point) {
            self.forgotten += 1;
            // One that was judged already; none that still waits.
            let is_over = |known: &&Point| !known.link.up && !self.away.contains_key(&known.link.point);
            let Some(over) = self.known.values().find(is_over).map(|known| known.link.point.clone()) else { return };
            self.known.remove(&over);
        }
        let given = is_given(timeline, link);
        self.known.insert(link.point.clone(), Point { link: link.clone(), given });
    }

    /// A network has this bridge, and so its end is the runtime's business, whatever comes first.
    pub(super) fn bridge(&mut self, name: &str) {
        let bridge = ObservationPoint::new(name);
        if self.bridges.len() >= MAX_POINTS && !self.bridges.contains(&bridge) {
            self.forgotten += 1;
            self.bridges.pop_first();
        }
        self.bridges.insert(bridge);
    }

    /// A runtime's word is complete: those that waited for it are judged a little later.
    pub(super) fn received(&mut self, context: Context<'_>, findings: &mut Findings) {
        let due = context.now.plus(self.settle);
        for away in self.away.values_mut().filter(|away| away.due.is_none()) {
            away.due = Some(due);
            findings.schedule(due);
        }
    }

    /// Judges those whose time has come.
    pub(super) fn settle(&mut self, context: Context<'_>, findings: &mut Findings) {
        let is_due = |away: &Away| away.due.is_some_and(|due| due <= context.now);
        let due: Vec<_> = self.away.iter().filter(|(_, away)| is_due(away)).map(|(point, _)| point.clone()).collect();
        for point in due {
            let (Some(known), Some(away)) = (self.known.get(&point), self.away.get_mut(&point)) else { continue };
            let need = need(context.timeline, known, self.bridges.contains(&point));
            if !context.timeline.is_complete() && !matches!(need, Some(Need::Uplink)) {
                away.due = None;
                continue;
            }
            let Some(away) = self.away.remove(&point) else { continue };
            let has_moved = away.renamed.as_ref().and_then(|name| self.known.get(name)).is_some_and(|new| new.link.up);
            match need {
                // Nothing but its name was needed, and its new name is observed.
                Some(Need::Uplink) if has_moved => drop(self.known.remove(&point)),
                Some(need) => {
                    let finding = gone(&need, &point, &away);
                    if self.gone.len() >= MAX_POINTS {
                        self.forgotten += 1;
                        self.gone.pop_first();
                    }
                    self.gone.insert(point, (away.since, finding.cause.clone()));
                    findings.push(finding);
                }
                None => drop(self.known.remove(&point)),
            }
        }
    }
}

/// The finding with the point that it is about.
fn at(point: &ObservationPoint, finding: Finding) -> Finding {
    Finding { point: Some(point.clone()), ..finding }
}

/// What changed on a point that was known.
fn compare(context: Context<'_>, before: &LinkEvent, link: &LinkEvent, findings: &mut Findings) {
    let (now, point) = (context.now, &link.point);
    let placed: Vec<_> = link.programs.iter().filter(|program| !before.programs.contains(program)).cloned().collect();
    for program in placed {
        let text = format!("{program} on {point} was not there before: {}", effect(&program));
        findings.push(at(point, finding(now, Severity::High, "program", text, &format!("program {point} {program}"))));
    }
    for program in before.programs.iter().filter(|program| !link.programs.contains(program)) {
        let text = format!("{program} on {point} is gone");
        findings.push(over(now, text, &format!("program {point} {program}")));
    }
    let was = before.up && before.promiscuous == Some(true);
    if was && link.promiscuous == Some(false) && by_bridge(context.timeline, point).is_some() {
        let text = format!("{point} is no longer promiscuous: traffic between its containers is not captured");
        findings.push(at(point, finding(now, Severity::High, "promiscuous", text, &format!("promiscuous {point}"))));
    }
    if before.promiscuous == Some(false) && link.promiscuous == Some(true) {
        findings.push(over(now, format!("{point} is promiscuous again"), &format!("promiscuous {point}")));
    }
}

fn at_first_sight(now: Timestamp, link: &LinkEvent, findings: &mut Findings) {
    for program in &link.programs {
        let point = &link.point;
        let text = format!("{program} was on {point} when it was first seen: {}", effect(program));
        findings.push(at(point, finding(now, Severity::Low, "program", text, &format!("program {point} {program}"))));
    }
}

fn effect(program: &str) -> &'static str {
    match program {
        "xdp" => "it may drop, change or redirect frames that come in before they are captured",
        "tc egress" => "it may drop, change or redirect frames that go out before they are captured",
        _ => "it may drop, change or redirect frames that come in after they were captured, past every later hop",
    }
}

fn gone(need: &Need<'_>, point: &ObservationPoint, away: &Away) -> Finding {
    let state = away.renamed.as_ref().map_or_else(|| "gone or down".to_owned(), |name| format!("called {name} now"));
    let (severity, text, what) = match need {
        Need::Network(network) => {
            (Severity::High, format!("{point} is {state}, but network {} still uses it", network.name), "network")
        }
        Need::Veth(workload) => {
            (Severity::High, format!("{point} is {state}, but {} still runs behind it", workload.name), "veth")
        }
        Need::Inside(workload) => {
            let text = format!("{point} is no longer observed, but {} still runs", workload.name);
            (Severity::Medium, text, "inside")
        }
        Need::Uplink => (Severity::Medium, format!("{point}, which had addresses of the host, is {state}"), "uplink"),
    };
    at(point, finding(away.since, severity, "point", text, &format!("gone {what} {point}")))
}

/// Whether, and why, a point that is away should be there.
fn need<'a>(timeline: &'a Timeline, known: &Point, was_bridge: bool) -> Option<Need<'a>> {
    let LinkEvent { point, inside, mac, .. } = &known.link;
    if let Some(id) = inside {
        let workload = timeline.workload(id).filter(|workload| timeline.is_running(&workload.id))?;
        // Of an interface that the runtime gave it, the runtime also says whether it took it away.
        let taken = known.given && !workload.attachments.iter().any(|attachment| attachment.mac == *mac);
        return (!taken).then_some(Need::Inside(workload));
    }
    if let Some(network) = by_bridge(timeline, point) {
        return Some(Need::Network(network));
    }
    if let Some(workload) = timeline.running_behind(point) {
        return Some(Need::Veth(workload));
    }
    (!was_bridge && has_host_address(&known.link)).then_some(Need::Uplink)
}

fn is_given(timeline: &Timeline, link: &LinkEvent) -> bool {
    let workload = link.inside.as_ref().and_then(|id| timeline.workload(id));
    let has = |workload: &Workload| workload.attachments.iter().any(|attachment| attachment.mac == link.mac);
    link.mac.is_some() && workload.is_some_and(|workload| has(workload))
}

fn by_bridge<'a>(timeline: &'a Timeline, point: &ObservationPoint) -> Option<&'a RuntimeNetwork> {
    let nobody = IpAddr::V4(std::net::Ipv4Addr::UNSPECIFIED);
    let network = timeline.network_at(point, nobody)?;
    (network.bridge.as_deref() == Some(point.as_str())).then_some(network)
}

/// Addresses that others reach the host by, not link-local or loopback ones.
fn has_host_address(link: &LinkEvent) -> bool {
    link.addresses.iter().any(|ip| match ip {
        IpAddr::V4(ip) => !ip.is_loopback() && !ip.is_link_local(),
        IpAddr::V6(ip) => !ip.is_loopback() && !ip.is_unicast_link_local(),
    })
}

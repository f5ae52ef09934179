//! What could not be seen during a verification.
//!
//! Contract: this is the one list of what may hide flows ([`crate::report::BLINDNESS`] names its kinds but `filter`): losses and silences where the
//! question's traffic passes, networks that nothing watches, frames that were not understood, input that was not read. An entry that `hides` makes
//! the answer `unknown`. Design: what happened elsewhere is left out, unless it is not known where the traffic passes.

use std::collections::BTreeSet;
use std::time::Duration;

use super::phrases::{share, span};
use super::run::{PointRead, Run};
use super::{NotSeen, WorkloadSeen};
use crate::engine::{Window, WindowKind};
use crate::input::{LossReason, ObservationPoint};
use crate::path::EvidenceKind;
use crate::report::paths::HopView;
use crate::time::Timestamp;
use crate::wording::many;

/// What to do about input that was not read whole.
const READ_IT: &str =
    "give the whole file, or record again; where you know that it hides nothing: --accept input:REASON";

/// Points where the question's traffic, or its hop's, passes.
pub(super) struct Relevant(Option<BTreeSet<String>>);

impl Relevant {
    /// All, where it is not known of every workload where it is seen.
    pub(super) fn new(workloads: &[WorkloadSeen], hop: &HopView) -> Self {
        let unknown = |seen: &WorkloadSeen| seen.workload.observation == "unknown";
        if workloads.is_empty() || workloads.iter().any(unknown) {
            return Self(None);
        }
        let of_workloads = workloads.iter().flat_map(|seen| &seen.workload.observation_points);
        let of_hop = hop.evidence.iter().filter(|evidence| evidence.kind == EvidenceKind::Transit);
        Self(Some(of_workloads.chain(of_hop.flat_map(|evidence| &evidence.by)).cloned().collect()))
    }

    pub(super) fn has(&self, point: &str) -> bool {
        self.0.as_ref().is_none_or(|points| points.contains(point))
    }

    /// Whether something that was lost there may be of the question's traffic; what was lost nowhere in particular may.
    pub(super) fn concerns(&self, point: Option<&ObservationPoint>) -> bool {
        point.is_none_or(|point| self.has(point.as_str()))
    }
}

/// What decides whether something may have hidden flows.
pub(super) struct Measure<'a> {
    pub(super) run: &'a Run,
    pub(super) most_percent: f64,
    pub(super) accepted: &'a [(&'static str, String)],
}

impl Measure<'_> {
    /// More than the question allows; what is not known to be little is much.
    pub(super) fn is_much(&self, part: u64, whole: u64) -> bool {
        whole == 0 || share(part, whole) > self.most_percent
    }

    /// Of the time that was looked at.
    fn lasts_long(&self, since: Timestamp, until: Option<Timestamp>) -> bool {
        let Some((from, to)) = self.run.span else { return true };
        let millis = |span: Duration| u64::try_from(span.as_millis()).unwrap_or(u64::MAX);
        let until = until.unwrap_or(to).min(to);
        self.is_much(millis(until.since(since.max(from))), millis(to.since(from)))
    }

    /// An entry about something that lasted as long as it was looked.
    pub(super) fn all_the_time(&self, what: &'static str) -> NotSeen {
        let (since, until) = self.run.span.unzip();
        NotSeen { since, until, seconds: self.lasted(since, until), ..NotSeen::new(what) }
    }

    /// How long something lasted while it was looked.
    pub(super) fn lasted(&self, since: Option<Timestamp>, until: Option<Timestamp>) -> Option<f64> {
        let (from, to) = self.run.span?;
        let until = until.unwrap_or(to).min(to);
        Some(until.since(since?.max(from)).as_secs_f64())
    }

    fn packets(&self, relevant: &Relevant) -> u64 {
        self.run.points.iter().filter(|point| relevant.has(&point.name)).map(|point| point.packets).sum()
    }
}

/// All of it: in order of time, then networks, then the hop, then what was read and not understood.
pub(super) fn not_seen(
    windows: &[Window],
    workloads: &[WorkloadSeen],
    hop: &HopView,
    relevant: &Relevant,
    (beside, measure): (Vec<NotSeen>, &Measure<'_>),
) -> Vec<NotSeen> {
    let concerned = windows.iter().filter(|window| relevant.concerns(window.point.as_ref()));
    let lost: u64 = windows.iter().filter(|window| matches!(window.kind, WindowKind::Lost(_))).map(|w| w.count).sum();
    let much_lost = measure.is_much(lost, measure.packets(relevant).saturating_add(lost));
    let mut all: Vec<_> = concerned
        .map(|window| NotSeen { hides: hides(window, workloads, measure, much_lost), ..of_window(window, measure) })
        .collect();
    for seen in workloads {
        all.extend(seen.workload.unseen.iter().map(|unseen| NotSeen {
            text: format!("{}: {}", seen.workload.name, unseen.why),
            fix: Some(unseen.fix.clone()),
            hides: true,
            ..measure.all_the_time("network")
        }));
    }
    if !hop.can_be_proven() {
        all.extend(hop.evidence.iter().filter_map(|evidence| evidence.blind.as_ref()).map(|blind| NotSeen {
            text: format!("hop {}: {}", hop.name, blind.why),
            fix: Some(blind.fix.clone()),
            ..measure.all_the_time("hop")
        }));
    }
    for point in measure.run.points.iter().filter(|point| relevant.has(&point.name)) {
        all.extend(of_point(point, measure));
    }
    all.extend(measure.run.warnings.iter().map(|warning| NotSeen {
        text: warning.clone(),
        fix: Some(READ_IT.to_owned()),
        hides: true,
        ..NotSeen::new("input")
    }));
    all.extend(beside);
    all.dedup();
    for accepted in all.iter_mut().filter(|not| measure.accepted.iter().any(|(what, _)| *what == not.what)) {
        accepted.hides = false;
    }
    all
}

/// Whether flows of the question may have passed unseen in a window.
fn hides(window: &Window, workloads: &[WorkloadSeen], measure: &Measure<'_>, much_lost: bool) -> bool {
    let lasts_long = || measure.lasts_long(window.since, window.until);
    match &window.kind {
        // What a filter hides is not known to be anything else.
        WindowKind::Lost(LossReason::Filter) => true,
        // Without a number it is not known to be little.
        WindowKind::Lost(_) => much_lost || window.count == 0,
        WindowKind::Down => {
            let is_only = |seen: &WorkloadSeen| match &seen.workload.observation_points[..] {
                [] => true,
                [only] => window.point.as_ref().is_some_and(|point| point.as_str() == only),
                _ => false,
            };
            workloads.iter().any(is_only) && lasts_long()
        }
        WindowKind::Silent(_) | WindowKind::Translations => lasts_long(),
    }
}

/// What a point captured and did not understand.
fn of_point(point: &PointRead, measure: &Measure<'_>) -> Vec<NotSeen> {
    let PointRead { name, packets, not_decoded, refused_payloads } = point;
    let of = |what, count: u64, text: String, fix: &str, hides| NotSeen {
        text,
        observation_point: Some(name.clone()),
        count: Some(count),
        packets: Some(count),
        fix: Some(fix.to_owned()),
        hides,
        ..measure.all_the_time(what)
    };
    let mut all = Vec::new();
    if *not_decoded > 0 {
        let text = format!("{not_decoded} of {} on {name} could not be decoded", many(*packets, "frame"));
        let fix = "the counters not_decoded of `hopwatch flows --summary` name the reasons";
        all.push(of("not_decoded", *not_decoded, text, fix, measure.is_much(*not_decoded, *packets)));
    }
    if *refused_payloads > 0 {
        let text = format!("{} on {name} not read for names", many(*refused_payloads, "payload"));
        // Names decide only what is asked by name; addresses and frames decide the path.
        all.push(of("payload", *refused_payloads, text, "raise flows.max_flows", false));
    }
    all
}

fn of_window(window: &Window, measure: &Measure<'_>) -> NotSeen {
    let place = window.point.as_ref().map_or_else(|| "everywhere".to_owned(), ToString::to_string);
    let when = span(window.since, window.until);
    let is_packets = matches!(window.kind, WindowKind::Lost(reason) if reason != LossReason::Queue);
    let (what, text, fix) = match &window.kind {
        WindowKind::Lost(reason) => {
            let (why, fix) = about_loss(*reason);
            let is_behind = matches!(reason, LossReason::Queue | LossReason::Shed);
            let thing = if is_behind { "flow event" } else { "packet" };
            let much = if window.count == 0 { format!("some {thing}s") } else { many(window.count, thing) };
            let what = if *reason == LossReason::Filter { "filter" } else { "loss" };
            (what, format!("capture loss on {place} {when}: {much}, because {why}"), Some(fix))
        }
        WindowKind::Down => {
            ("point_down", format!("{place} was down or gone, {when}"), Some("ask again for a time in which it is up"))
        }
        WindowKind::Silent(runtime) => (
            "runtime_silent",
            format!("the runtime {runtime} did not answer, {when}"),
            Some("see why it did not answer, then ask again"),
        ),
        WindowKind::Translations => (
            "translations",
            format!("not all address translations were reported, {when}"),
            Some("run with CAP_NET_ADMIN, on a host that is less busy"),
        ),
    };
    NotSeen {
        text,
        observation_point: window.point.as_ref().map(ToString::to_string),
        since: Some(window.since),
        until: window.until,
        count: (window.count > 0).then_some(window.count),
        packets: (is_packets && window.count > 0).then_some(window.count),
        seconds: measure.lasted(Some(window.since), window.until),
        fix: fix.map(str::to_owned),
        ..NotSeen::new(what)
    }
}

const fn about_loss(reason: LossReason) -> (&'static str, &'static str) {
    match reason {
        LossReason::Kernel => ("the capture ring was full", "raise capture.ring_mib, or capture fewer interfaces"),
        LossReason::Interface => ("the interface dropped them", "read the interface's own counters: ip -s link"),
        LossReason::Queue => {
            ("the engine was behind", "capture fewer interfaces, or give hopwatch more of the processor")
        }
        LossReason::FlowTable => ("the flow table was full", "raise flows.max_flows"),
        LossReason::Filter => {
            ("a filter (-f) hid them", "look, or record, without -f: nothing can be verified with it")
        }
        LossReason::Shed => (
            "their source opened more flows than its share while the engine was behind",
            "see what opens so many flows, or give hopwatch more of the processor",
        ),
    }
}

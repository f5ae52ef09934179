//! What could not be seen while a question was looked at.
//!
//! Contract: losses and silences where the question's traffic passes, networks that nothing watches, a hop that nothing can prove. Design: what
//! happened elsewhere is left out, unless it is not known where the traffic passes.

use std::collections::BTreeSet;

use super::{NotSeen, WorkloadSeen};
use crate::engine::{Window, WindowKind};
use crate::input::{LossReason, ObservationPoint};
use crate::path::EvidenceKind;
use crate::report::paths::HopView;
use crate::time::Timestamp;

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

/// All of it: in order of time, then networks, then the hop.
pub(super) fn not_seen(
    windows: &[Window],
    workloads: &[WorkloadSeen],
    hop: &HopView,
    relevant: &Relevant,
) -> Vec<NotSeen> {
    let mut all: Vec<_> = windows.iter().filter(|w| relevant.concerns(w.point.as_ref())).map(of_window).collect();
    for seen in workloads {
        all.extend(seen.workload.unseen.iter().map(|unseen| NotSeen {
            text: format!("{}: {}", seen.workload.name, unseen.why),
            mend: Some(unseen.mend.clone()),
            ..plain("network")
        }));
    }
    if !hop.can_be_proven() {
        all.extend(hop.evidence.iter().filter_map(|evidence| evidence.blind.as_ref()).map(|blind| NotSeen {
            text: format!("hop {}: {}", hop.name, blind.why),
            mend: Some(blind.mend.clone()),
            ..plain("hop")
        }));
    }
    all.dedup();
    all
}

const fn plain(what: &'static str) -> NotSeen {
    let text = String::new();
    NotSeen { what, text, observation_point: None, since: None, until: None, count: None, mend: None }
}

fn of_window(window: &Window) -> NotSeen {
    let place = window.point.as_ref().map_or_else(|| "everywhere".to_owned(), ToString::to_string);
    let when = span(window.since, window.until);
    let (what, text, mend) = match &window.kind {
        WindowKind::Lost(reason) => {
            let (why, mend) = about_loss(*reason);
            let things = if *reason == LossReason::Queue { "flow events" } else { "packets" };
            let much = if window.count == 0 { "some".to_owned() } else { window.count.to_string() };
            ("loss", format!("capture loss on {place} {when}: {much} {things}, because {why}"), Some(mend))
        }
        WindowKind::Down => ("point_down", format!("{place} was down or gone, {when}"), None),
        WindowKind::Silent(runtime) => {
            ("runtime_silent", format!("the runtime {runtime} did not answer, {when}"), None)
        }
        WindowKind::Translations => {
            ("translations", format!("not all address translations were reported, {when}"), None)
        }
    };
    NotSeen {
        text,
        observation_point: window.point.as_ref().map(ToString::to_string),
        since: Some(window.since),
        until: window.until,
        count: (window.count > 0).then_some(window.count),
        mend: mend.map(str::to_owned),
        ..plain(what)
    }
}

const fn about_loss(reason: LossReason) -> (&'static str, &'static str) {
    match reason {
        LossReason::Kernel => ("the capture ring was full", "raise capture.ring_mib, or capture fewer interfaces"),
        LossReason::Interface => ("the interface dropped them", "look at the interface's own counters: ip -s link"),
        LossReason::Queue => {
            ("the engine was behind", "capture fewer interfaces, or give hopwatch more of the processor")
        }
        LossReason::FlowTable => ("the flow table was full", "raise flows.max_flows"),
    }
}

/// `14:02:11.385 UTC`, `14:02:11.385 to 14:02:19.120 UTC`, `since 14:02:11.385 UTC`.
pub(super) fn span(since: Timestamp, until: Option<Timestamp>) -> String {
    let first = clock(since);
    match until.map(clock) {
        None => format!("since {first}"),
        Some(last) if last == first => first,
        Some(last) => format!("{} to {last}", first.trim_end_matches(" UTC")),
    }
}

/// The time of the day, to the millisecond.
pub(super) fn clock(at: Timestamp) -> String {
    at.readable_clock()
}

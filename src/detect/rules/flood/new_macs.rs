//! Source MACs that appear, send one frame, and are never answered.
//!
//! Contract: per observation point, over ten seconds; a MAC counts once. Frames of workloads and of the host do not count. Limits: [`MAX_POINTS`]
//! points; of each, [`MAX_MACS`] MACs are known: a MAC that was forgotten counts as new when it comes again.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use super::{META, of_nobody};
use crate::detect::anomaly::per_actor::Recent;
use crate::detect::{Alternative, ExpectedFrom, Explanation, Finding};
use crate::input::{FlowRecord, Mac, ObservationPoint};
use crate::inventory::Owner;
use crate::path::JudgedFlow;
use crate::time::{Timestamp, readable};

const MAX_POINTS: usize = 256;
const MAX_MACS: usize = 1024;
const WINDOW: Duration = Duration::from_secs(10);

#[derive(Debug, Default)]
struct AtPoint {
    known: Recent<Mac, MAX_MACS>,
    window: VecDeque<(Timestamp, Mac)>,
    /// Those in the window.
    lone: BTreeSet<Mac>,
    total: u64,
    next: u64,
}

/// The MACs of all points.
#[derive(Debug, Default)]
pub(super) struct NewMacs {
    points: BTreeMap<ObservationPoint, AtPoint>,
}

/// What was found at a point.
pub(super) struct LoneMacs {
    count: usize,
    total: u64,
    least: u64,
    span: Duration,
    shown: Vec<Mac>,
}

impl NewMacs {
    /// Takes in who sent the first frame of a flow that has ended.
    pub(super) fn add(&mut self, flow: &JudgedFlow, record: &FlowRecord, least: u64) -> Option<LoneMacs> {
        let mac = if flow.oriented.forward { record.orig.mac } else { record.resp.mac }?;
        if !self.points.contains_key(&record.point) && self.points.len() >= MAX_POINTS {
            return None;
        }
        let at_point = self.points.entry(record.point.clone()).or_default();
        let is_new = at_point.known.is_new(mac);
        let is_lone = record.orig.counters.packets == 1 && record.resp.counters.packets == 0;
        if !is_lone || matches!(flow.source, Owner::Workload { .. } | Owner::Host) {
            // It sends more, or is answered: it lives.
            if at_point.lone.remove(&mac) {
                at_point.window.retain(|(_, lone)| *lone != mac);
            }
            return None;
        }
        if !is_new {
            return None;
        }
        at_point.push(record.start, mac, least)
    }
}

impl AtPoint {
    fn push(&mut self, at: Timestamp, mac: Mac, least: u64) -> Option<LoneMacs> {
        let is_old = |window: &VecDeque<(Timestamp, Mac)>| {
            window.len() >= MAX_MACS || window.front().is_some_and(|(first, _)| at.since(*first) > WINDOW)
        };
        while is_old(&self.window)
            && let Some((_, old)) = self.window.pop_front()
        {
            self.lone.remove(&old);
        }
        self.window.push_back((at, mac));
        self.lone.insert(mac);
        self.total += 1;
        let count = self.window.len();
        if (count as u64) < least || self.total < self.next {
            return None;
        }
        self.next = self.total.saturating_mul(10);
        let first = self.window.front().map_or(at, |(first, _)| *first);
        let shown = self.window.iter().map(|(_, mac)| *mac).collect();
        Some(LoneMacs { count, total: self.total, least, span: at.since(first), shown })
    }
}

impl LoneMacs {
    /// The finding: whose doing it is cannot be said.
    pub(super) fn finding(self, flow: &JudgedFlow) -> Finding {
        let observed = format!(
            "{} source MACs appeared within {}, sent one frame each and got no answer; {} so far",
            self.count,
            readable(self.span),
            self.total
        );
        let expected = "a host that appears sends more than one frame, or is answered";
        let mut why = Explanation::new(observed, expected, ExpectedFrom::Floor).about(&self.shown);
        why.threshold = format!("{} such MACs within ten seconds at one point", self.least);
        "rules.flood.macs".clone_into(&mut why.parameter);
        why.alternatives = vec![
            Alternative::new(
                "a large switched network whose hosts wake at once",
                "do the addresses belong to one network?",
            ),
            Alternative::new("a test of a switch", "is there a date for it?"),
        ];
        why.limits.push("who sends cannot be said: each MAC is made up; the port of the switch tells".to_owned());
        "rules.flood.macs, or an exception".clone_into(&mut why.silence);
        let record = &flow.view.record;
        Finding { flow: Some(flow.view.clone()), severity: META.severity, ..of_nobody(record, "mac", why) }
    }
}

//! What `hopwatch flows` read and made, in numbers.
//!
//! Contract: JSON `hopwatch.flow_summary/1`; packets = in flows + non-IP + not decoded, at every point and in all; the points add
//! up to the whole, and so do the files. `docs/flows.md` says what each field means.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::decode::LinkType;
use crate::flow::PointCounters;
use crate::input::{Counters, EndReason, ObservationPoint};
use crate::observe::CaptureReader;
use crate::wording::many;

/// Name and version of the shape.
pub const FLOW_SUMMARY_SCHEMA: &str = "hopwatch.flow_summary/1";

/// What the records of a point add up to.
#[derive(Clone, Copy, Debug, Default)]
pub struct Totals {
    counters: Counters,
    reasons: [u64; EndReason::ALL.len()],
}

impl Totals {
    /// Counts a record.
    pub(super) const fn add(&mut self, sides: [Counters; 2], reason: EndReason) {
        let [orig, resp] = sides;
        self.counters.packets += orig.packets + resp.packets;
        self.counters.frame_bytes += orig.frame_bytes + resp.frame_bytes;
        self.counters.ip_bytes += orig.ip_bytes + resp.ip_bytes;
        self.counters.payload_bytes += orig.payload_bytes + resp.payload_bytes;
        self.reasons[reason as usize] += 1;
    }
}

/// Numbers that are kept of a point, and of everything.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Numbers {
    /// What the meter counted; its flows and their packets are those of the records.
    #[serde(flatten)]
    pub counters: PointCounters,
    /// Bytes on the wire of the packets in flows.
    pub flow_frame_bytes: u64,
    /// Bytes of their IP packets.
    pub ip_bytes: u64,
    /// Bytes above their transport headers.
    pub payload_bytes: u64,
    /// Flow records, by why they ended.
    pub end_reasons: BTreeMap<&'static str, u64>,
}

/// One observation point.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct PointFlows {
    /// Its name.
    pub observation_point: String,
    /// Its link type (`LINKTYPE_` number).
    pub link_type: u16,
    /// Its numbers.
    #[serde(flatten)]
    pub numbers: Numbers,
}

/// One capture file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct FileSummary {
    /// Its path as it was given.
    pub path: String,
    /// Packets read from it.
    pub packets: u64,
    /// Packet blocks left out because they name an interface that the file does not describe.
    pub skipped: u64,
    /// Packets whose fraction of a second was a second or more in the file's unit: their time is a guess.
    #[serde(skip_serializing_if = "is_zero")]
    pub odd_fractions: u64,
    /// Packets that the file says its writer lost.
    #[serde(skip_serializing_if = "is_zero")]
    pub lost: u64,
    /// Blocks left out because their type is not known: they may hold packets.
    #[serde(skip_serializing_if = "is_zero")]
    pub unknown_blocks: u64,
    /// What broke it off.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

/// The whole summary.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct FlowSummary {
    /// Always `hopwatch.flow_summary/1`.
    pub schema: &'static str,
    /// The numbers of all points together.
    #[serde(flatten)]
    pub numbers: Numbers,
    /// Points, in order of name.
    pub points: Vec<PointFlows>,
    /// Files, in the order they were given.
    pub files: Vec<FileSummary>,
}

impl Numbers {
    fn add(&mut self, other: &Self) {
        self.counters += &other.counters;
        self.flow_frame_bytes += other.flow_frame_bytes;
        self.ip_bytes += other.ip_bytes;
        self.payload_bytes += other.payload_bytes;
        for (reason, count) in &other.end_reasons {
            *self.end_reasons.entry(reason).or_default() += count;
        }
    }
}

impl PointFlows {
    /// From what a meter counted and its records add up to.
    pub(super) fn of(point: &ObservationPoint, link: LinkType, stats: PointCounters, totals: &Totals) -> Self {
        let reasons = EndReason::ALL.into_iter().map(|reason| (reason.as_str(), totals.reasons[reason as usize]));
        let numbers = Numbers {
            counters: PointCounters {
                flow_packets: totals.counters.packets,
                flows: totals.reasons.iter().sum(),
                ..stats
            },
            flow_frame_bytes: totals.counters.frame_bytes,
            ip_bytes: totals.counters.ip_bytes,
            payload_bytes: totals.counters.payload_bytes,
            end_reasons: reasons.filter(|(_, count)| *count > 0).collect(),
        };
        Self { observation_point: point.to_string(), link_type: link.0, numbers }
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks for it")]
const fn is_zero(number: &u64) -> bool {
    *number == 0
}

impl FileSummary {
    /// From a reader at its end.
    pub(super) fn of(reader: &CaptureReader, error: Option<String>) -> Self {
        Self {
            path: reader.path().to_owned(),
            packets: reader.packets(),
            skipped: reader.skipped(),
            odd_fractions: reader.odd_fractions(),
            lost: reader.losses().fold(0, |lost, loss| lost.saturating_add(loss.count)),
            unknown_blocks: reader.unknown_blocks(),
            error,
        }
    }
}

impl FlowSummary {
    /// Adds the points up.
    pub(super) fn new(files: Vec<FileSummary>, points: Vec<PointFlows>) -> Self {
        let mut numbers = Numbers::default();
        for point in &points {
            numbers.add(&point.numbers);
        }
        Self { schema: FLOW_SUMMARY_SCHEMA, numbers, points, files }
    }

    /// What a person should know of the run.
    pub fn warnings(&self) -> Vec<String> {
        let mut warnings = Vec::new();
        for file in &self.files {
            warnings.extend(file.error.clone());
            if file.odd_fractions > 0 {
                warnings.push(crate::observe::odd_fractions(&file.path, file.odd_fractions));
            }
            if file.lost > 0 {
                warnings.push(format!(
                    "{}: its writer lost {}, as the file says",
                    file.path,
                    many(file.lost, "packet")
                ));
            }
            if file.unknown_blocks > 0 {
                warnings.push(crate::observe::unknown_blocks(&file.path, file.unknown_blocks));
            }
            if file.skipped > 0 {
                let (path, skipped) = (&file.path, many(file.skipped, "packet"));
                warnings.push(format!("{path}: left out {skipped} of an interface that the file does not describe"));
            }
        }
        let unknown = self.points.iter().filter(|point| !LinkType(point.link_type).is_supported());
        warnings.extend(unknown.map(|point| {
            let (point, link) = (&point.observation_point, point.link_type);
            format!(
                "{point} has link type {link}, which hopwatch does not decode; its packets are counted, nothing more"
            )
        }));
        let hidden = self.numbers.counters.hidden();
        if hidden > 0 {
            let all = many(self.numbers.counters.packets.saturating_add(hidden), "packet");
            warnings.push(format!("the filter hid {hidden} of {all}: they are in no flow"));
        }
        if self.numbers.counters.evicted_flows > 0 {
            let evicted = many(self.numbers.counters.evicted_flows, "flow");
            warnings
                .push(format!("the table was full: {evicted} ended early and may appear in pieces; raise --max-flows"));
        }
        warnings
    }
}

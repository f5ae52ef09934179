//! Judged flows as IPFIX, to a collector or to standard output.
//!
//! Contract: one record a judgement; what was judged is sent before the next one is waited for. Limits: counters are those at the time of the judgement, as totals, since a
//! flow that is judged again is told again.

use std::io::{self, Write};
use std::time::Duration;

use crossbeam_channel::Receiver;

use crate::export::ipfix::{Carrier, Content, Exporter, Judged, Record};
use crate::inventory::Confidence;
use crate::judged_flows::FlowLine;

/// Writes until the lines end, or `most` are written; how many were.
pub(super) fn write_all(
    lines: &Receiver<Box<FlowLine>>,
    mut out: impl Write,
    (carrier, enterprise): (Carrier, u32),
    most: Option<u64>,
) -> io::Result<u64> {
    let mut exporter = Exporter::new(Content::JudgedFlows, carrier, enterprise);
    let mut written = 0;
    while most.is_none_or(|most| written < most) {
        let Some(line) =
            lines.try_recv().ok().map_or_else(|| idle(lines, &mut exporter, &mut out), |line| Ok(Some(line)))?
        else {
            break;
        };
        push(&mut exporter, &line);
        exporter.hand_over(&mut out)?;
        written += 1;
    }
    exporter.finish();
    exporter.hand_over(&mut out)?;
    out.flush()?;
    Ok(written)
}

/// Sends what waits, and waits for the next line.
fn idle(
    lines: &Receiver<Box<FlowLine>>,
    exporter: &mut Exporter,
    out: &mut impl Write,
) -> io::Result<Option<Box<FlowLine>>> {
    exporter.flush();
    exporter.hand_over(out)?;
    out.flush()?;
    Ok(lines.recv().ok())
}

/// One judgement, as a record.
pub(in crate::app) fn push(exporter: &mut Exporter, line: &FlowLine) {
    let judged_at = line.first_seen.plus(Duration::from_millis(line.judged_after_ms));
    let (flow, workload) = (&line.flow, line.workload.as_ref());
    let missing_hop = line.missing_hop.as_ref().map(crate::alert::MissingHop::name).unwrap_or_default();
    exporter.push(
        judged_at,
        &Record {
            start: line.first_seen,
            end: judged_at,
            tuple: flow.tuple(),
            orig: (flow.orig.packets, flow.orig.bytes),
            resp: (flow.resp.packets, flow.resp.bytes),
            tcp: None,
            end_reason: None,
            point: flow.observation_points.first().map_or("", |point| point.as_str()),
            community_id: &flow.community_id,
            name: line.name.as_deref().unwrap_or_default(),
            judged: Judged {
                verdict: line.verdict,
                reason: line.reason.map_or("", |reason| reason.as_str()),
                contract: line.contract.as_deref().unwrap_or_default(),
                workload: workload.map_or("", |workload| &workload.name),
                workload_id: workload.map_or("", |workload| &workload.id),
                confidence: line.attribution.confidence.map_or("", Confidence::as_str),
                destination_workload: line.destination_workload.as_ref().map_or("", |workload| &workload.name),
                missing_hop: &missing_hop,
            },
        },
    );
}

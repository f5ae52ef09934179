//! What could not be seen when an alert was raised.
//!
//! Contract: what was lost or down around its first packet, on which of its networks its workload is not seen, and which runtime does not answer; all from
//! facts, so a replay says the same. Limits: [`MAX_NAMED`] of them; losses at points that have nothing to do with the flow are left out.
//! Design: asked once an alert, when it is raised.

use std::time::Duration;

use super::Finding;
use crate::input::ObservationPoint;
use crate::inventory::{Timeline, Watched};
use crate::path::{Evidence, PathState};
use crate::time::Timestamp;

/// How many are named.
const MAX_NAMED: usize = 8;
/// A loss so long before the first packet may have hidden what led to it.
const BEFORE: Duration = Duration::from_secs(10);

/// Says of a finding what could not be seen around it.
pub fn add_blind_spots(timeline: &Timeline, path: &PathState, finding: &mut Finding) {
    let runtimes = timeline.silent_runtimes().map(|runtime| {
        Evidence::new("runtime", format!("{runtime} does not answer: who owned an address is what it said before"))
    });
    let mut all = lost(path, finding);
    all.extend(unwatched(timeline, finding));
    all.extend(runtimes);
    all.truncate(MAX_NAMED);
    finding.blind_spots = all;
}

/// Packets that were lost, and points that are down.
fn lost(path: &PathState, finding: &Finding) -> Vec<Evidence> {
    let from = finding.at.minus(BEFORE);
    let points = finding.flow.as_ref().map_or(&[][..], |flow| &flow.points);
    let is_its = |point: &ObservationPoint| points.contains(point) || finding.point.as_ref() == Some(point);
    let windows = path.losses.windows().filter(|(point, _, until)| *until >= from && point.is_none_or(is_its));
    windows.map(|(point, since, until)| Evidence::new("lost", lost_text(point, since, until))).collect()
}

fn lost_text(point: Option<&ObservationPoint>, since: Timestamp, until: Timestamp) -> String {
    let place = point.map_or_else(|| "everywhere".to_owned(), |point| format!("at {point}"));
    format!("packets may be missing {place} from {} to {}", since.readable(), until.readable())
}

/// Where the traffic of its workload is not seen.
fn unwatched(timeline: &Timeline, finding: &Finding) -> Vec<Evidence> {
    let watched = finding.workload.as_deref().map(|workload| timeline.is_watched(workload));
    let Some(Watched::Partly { unseen, .. }) = watched else { return Vec::new() };
    unseen.into_iter().map(|(network, unseen)| Evidence::new("unwatched", unseen.why(&network))).collect()
}

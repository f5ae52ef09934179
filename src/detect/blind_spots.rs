//! What could not be seen when an alert was raised.
//!
//! Contract: what was lost, hidden by a filter or down around its first packet, on which of its networks its workload is not seen, and which runtime does not
//! answer; all from facts, so a replay says the same. Limits: [`MAX_NAMED`] of them, the rest is a number; losses at points that have nothing to do with
//! the flow are left out.
//! Design: asked once an alert, when it is raised.

use std::time::Duration;

use super::Finding;
use crate::input::{Mac, ObservationPoint};
use crate::inventory::{Timeline, Watched};
use crate::path::{Evidence, LossKind, PathState};
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
    let mut all: Vec<Evidence> = runtimes.chain(unwatched(timeline, finding)).chain(lost(path, finding)).collect();
    if all.len() > MAX_NAMED {
        let more = all.split_off(MAX_NAMED - 1).len();
        all.push(Evidence::new("more", format!("and {more} more")));
    }
    finding.blind_spots = all;
}

/// Packets that were lost, the latest first, and points that are down. What only another sender lost is not its.
fn lost(path: &PathState, finding: &Finding) -> Vec<Evidence> {
    let flow = finding.flow.as_ref();
    let points = flow.map_or_else(|| finding.point.as_slice(), |flow| &flow.points);
    let ends = flow.map(|flow| [flow.record.orig.mac, flow.record.resp.mac]);
    let is_its = |mac: Mac| ends.is_none_or(|ends| ends.contains(&Some(mac)));
    let windows = path.losses.windows_of(|point| points.contains(point), is_its, finding.at.minus(BEFORE));
    let mut windows: Vec<_> = windows.collect();
    windows.sort_by_key(|(_, _, _, until)| std::cmp::Reverse(*until));
    let down = points.iter().filter_map(|point| Some((point, path.losses.down_since(point)?)));
    let down = down.map(|(point, since)| {
        Evidence::new("lost", format!("{point} is down since {}: nothing is seen there", since.readable()))
    });
    let lost = windows.into_iter().map(|(how, point, since, until)| match how {
        LossKind::Lost => Evidence::new("lost", lost_text("packets may be missing", point, since, until)),
        LossKind::Hidden => Evidence::new("hidden", lost_text("a filter (-f) hid packets", point, since, until)),
    });
    down.chain(lost).collect()
}

fn lost_text(what: &str, point: Option<&ObservationPoint>, since: Timestamp, until: Timestamp) -> String {
    let place = point.map_or_else(|| "everywhere".to_owned(), |point| format!("at {point}"));
    format!("{what} {place} from {} to {}", since.readable(), until.readable())
}

/// Where the traffic of its workload is not seen.
fn unwatched(timeline: &Timeline, finding: &Finding) -> Vec<Evidence> {
    let watched = finding.workload.as_deref().map(|workload| timeline.is_watched(workload));
    let Some(Watched::Partly { unseen, .. }) = watched else { return Vec::new() };
    unseen.into_iter().map(|(network, unseen)| Evidence::new("unwatched", unseen.why(&network))).collect()
}

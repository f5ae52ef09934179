//! Frames that belong to no flow: whose they are, and how many.
//!
//! Contract: a frame is its MAC's owner's. One of a MAC that nobody has counts for the network at whose point it was seen, since a bridge floods it to
//! every veth. The host's own frames, and those seen where no network is, count for nobody. A frame that several points saw counts once: the point
//! that saw most counts. Limits: [`MAX_POINTS`] points a sender and reason; further ones see the same frames. A forged MAC accuses its owner.

use std::collections::BTreeMap;

use super::Amount;
use crate::input::{ObservationPoint, Undecoded, WorkloadId};
use crate::inventory::Timeline;

/// Points at which the frames of one sender are compared.
const MAX_POINTS: usize = 64;

/// Who sent traffic that was not judged.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum UnjudgedSender {
    /// A workload.
    Workload(WorkloadId),
    /// Somebody on this network whose MAC no workload has.
    Network(String),
}

/// Who sent frames.
pub(super) fn sender(timeline: &Timeline, frames: &Undecoded) -> Option<UnjudgedSender> {
    let owner = frames.mac.and_then(|mac| timeline.owner_of_mac(mac, frames.last));
    if let Some(owner) = owner {
        return Some(UnjudgedSender::Workload(owner.id.clone()));
    }
    let is_inside = || timeline.link(&frames.point)?.inside.clone();
    if let Some(inside) = is_inside() {
        return Some(UnjudgedSender::Workload(inside));
    }
    let network = timeline.network_of_point(&frames.point)?;
    let bridge = network.bridge.as_deref().map(ObservationPoint::new);
    let mut hosts =
        [Some(frames.point.clone()), bridge].into_iter().flatten().filter_map(|point| timeline.host_mac(&point));
    let is_host = frames.mac.is_some_and(|mac| hosts.any(|host| host == mac));
    (!is_host).then(|| UnjudgedSender::Network(network.name.clone()))
}

/// The network on which a flow of an unknown sender was seen.
pub(super) fn by_network(timeline: &Timeline, point: &ObservationPoint) -> Option<String> {
    timeline.network_of_point(point).map(|network| network.name.clone())
}

/// What each point saw of the frames of one sender and reason.
#[derive(Debug, Default)]
pub(super) struct Sightings {
    points: BTreeMap<ObservationPoint, Amount>,
    most: Amount,
}

impl Sightings {
    /// Counts frames; what no other point had counted.
    pub(super) fn count(&mut self, frames: &Undecoded) -> Amount {
        if self.points.len() >= MAX_POINTS && !self.points.contains_key(&frames.point) {
            return Amount::default();
        }
        let here = self.points.entry(frames.point.clone()).or_default();
        *here += Amount { flows: 0, packets: frames.packets, bytes: frames.frame_bytes };
        let most = self.most.max(*here);
        let new = most.minus(self.most);
        self.most = most;
        new
    }
}

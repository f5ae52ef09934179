//! Where the traffic of a workload can be seen, or why it cannot.
//!
//! Contract: by what was last reported about links, networks and namespaces; a point counts only while packets can be seen there. Limits: what is
//! not known is said to be unknown, never watched. Design: one answer a network, since a workload may be on one that is seen and one that is not.

use super::Timeline;
use crate::input::{Attachment, NetworkMode, ObservationPoint, RuntimeNetwork, Workload};

/// Why the traffic of a workload on a network cannot be seen.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Unseen {
    /// Its driver (`macvlan`, `ipvlan` …) gives it no interface on the host.
    Driver(String),
    /// It has a rootless network stack (`slirp4netns`, `pasta`): on the host its traffic is that of one ordinary process.
    Rootless(String),
    /// The point at which it was seen is down or gone.
    Down(ObservationPoint),
    /// Neither its interface nor its network's bridge is found among those that are watched.
    NoInterface,
}

impl Unseen {
    /// In a sentence without its end.
    pub fn why(&self, network: &str) -> String {
        match self {
            Self::Driver(driver) => {
                format!("network {network} has the driver {driver}, which gives it no interface on the host")
            }
            Self::Rootless(stack) => {
                format!("its network is rootless ({stack}): on the host its traffic is that of one ordinary process")
            }
            Self::Down(point) => format!("{point}, at which network {network} was seen, is down or gone"),
            Self::NoInterface => {
                format!("neither its interface nor the bridge of network {network} is among the captured ones")
            }
        }
    }

    /// What to do about it.
    pub const fn fix(&self) -> &'static str {
        match self {
            Self::Driver(_) => {
                "set `capture.inside_namespaces`, or capture the parent interface of the network, where its frames pass \
                 with the container's own addresses"
            }
            Self::Rootless(_) => {
                "set `capture.inside_namespaces` to see it inside; from outside only the sockets of that process show"
            }
            Self::Down(_) => "bring it up again, or find out who took it down",
            Self::NoInterface => {
                "name the bridge or the veth under `capture.interfaces`, or set `capture.inside_namespaces`"
            }
        }
    }
}

/// Where the traffic of a workload can be seen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Watched {
    /// On each of its networks, at these points; in order.
    At(Vec<ObservationPoint>),
    /// Not on each of them.
    Partly {
        /// Where some of it can be seen, in order; empty when nothing can.
        points: Vec<ObservationPoint>,
        /// Networks on which it cannot, and why; `host` is the host's own.
        unseen: Vec<(String, Unseen)>,
    },
    /// It has no network, or does not run: there is nothing to see.
    NoTraffic,
    /// No link was reported yet, or not what its networks are.
    Unknown,
}

/// What is known of one network of a workload.
enum View {
    At(ObservationPoint),
    Not(Unseen),
    Unknown,
}

impl Timeline {
    /// Where the traffic of a workload can be seen now.
    pub fn is_watched(&self, workload: &Workload) -> Watched {
        if !self.lifecycles.is_running(&workload.id) || workload.network_mode == NetworkMode::None {
            return Watched::NoTraffic;
        }
        if !self.networks.has_links() {
            return Watched::Unknown;
        }
        match &workload.network_mode {
            NetworkMode::Host => self.host_watched(),
            // A namespace has one first owner; a longer chain is refused by every runtime.
            NetworkMode::Container(other) => match self.workload(other) {
                Some(owner) if owner.network_mode == NetworkMode::Own => self.own_watched(owner),
                Some(owner) if owner.network_mode == NetworkMode::Host => self.host_watched(),
                _ => Watched::Unknown,
            },
            NetworkMode::Rootless(stack) => {
                let inside = self.networks.inside_points(&workload.id);
                if inside.is_empty() {
                    unseen(Vec::new(), vec![(workload.network_mode.to_string(), Unseen::Rootless(stack.clone()))])
                } else {
                    Watched::At(inside)
                }
            }
            NetworkMode::Own | NetworkMode::None => self.own_watched(workload),
        }
    }

    /// Where nothing but a workload's traffic can be seen now: its interfaces on the host, and those inside its namespace; in order.
    pub fn own_points(&self, workload: &Workload) -> Vec<ObservationPoint> {
        let outside = workload.attachments.iter().filter_map(|attachment| attachment.host_interface.as_deref());
        let mut points: Vec<_> =
            outside.map(ObservationPoint::new).filter(|point| self.networks.is_up(point)).collect();
        points.extend(self.networks.inside_points(&workload.id));
        points.sort();
        points.dedup();
        points
    }

    fn host_watched(&self) -> Watched {
        let points = self.networks.host_points();
        if points.is_empty() {
            return unseen(points, vec![("host".to_owned(), Unseen::NoInterface)]);
        }
        Watched::At(points)
    }

    fn own_watched(&self, workload: &Workload) -> Watched {
        let (mut points, mut blind, mut unknown) = (Vec::new(), Vec::new(), workload.attachments.is_empty());
        for attachment in &workload.attachments {
            match self.view(workload, attachment) {
                View::At(point) => points.push(point),
                View::Not(why) => blind.push((attachment.network.clone(), why)),
                View::Unknown => unknown = true,
            }
        }
        if workload.attachments.is_empty() {
            points.extend(self.networks.inside_points(&workload.id));
            unknown = points.is_empty();
        }
        points.sort();
        points.dedup();
        match (blind.is_empty(), unknown) {
            (false, _) => unseen(points, blind),
            (true, true) => Watched::Unknown,
            (true, false) => Watched::At(points),
        }
    }

    /// Where the frames of a network without a bridge leave the host: its parent, or, of a VLAN, the interface that carries it.
    fn parent_point(&self, network: &RuntimeNetwork) -> Option<ObservationPoint> {
        let parent = network.parent.as_deref()?;
        let carrier = parent.split_once('.').map(|(carrier, _)| carrier);
        [Some(parent), carrier]
            .into_iter()
            .flatten()
            .map(ObservationPoint::new)
            .find(|point| self.networks.is_up(point))
    }

    /// One network of a workload: its own interface first, then the bridge, then a capture inside, then the parent.
    fn view(&self, workload: &Workload, attachment: &Attachment) -> View {
        let network = self.networks.by_id_or_name(&attachment.network_id, &attachment.network);
        let veth = attachment.host_interface.as_deref();
        let bridge = network.and_then(|network| network.bridge.as_deref());
        let up =
            [veth, bridge].into_iter().flatten().map(ObservationPoint::new).find(|point| self.networks.is_up(point));
        let inside = || self.networks.inside_point(&workload.id, &attachment.addresses);
        if let Some(point) = up.or_else(inside).or_else(|| network.and_then(|network| self.parent_point(network))) {
            return View::At(point);
        }
        let mut points = [veth, bridge].into_iter().flatten().map(ObservationPoint::new);
        if let Some(point) = points.find(|point| self.networks.link(point).is_some_and(|link| !link.up)) {
            return View::Not(Unseen::Down(point));
        }
        match network {
            None if veth.is_some() => View::Not(Unseen::NoInterface),
            None => View::Unknown,
            Some(network) if network.driver == "bridge" || network.bridge.is_some() => View::Not(Unseen::NoInterface),
            Some(network) => View::Not(Unseen::Driver(network.driver.clone())),
        }
    }
}

fn unseen(points: Vec<ObservationPoint>, unseen: Vec<(String, Unseen)>) -> Watched {
    Watched::Partly { points, unseen }
}

//! By what an alert finds its incident: its service, its pod, its network namespace, the hop that it is about.
//!
//! Contract: pure.

use crate::alert::Alert;
use crate::input::{NetworkMode, Workload, WorkloadId};
use crate::inventory::configuration::ServiceKey;

/// By what an incident is found.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Link {
    Host,
    Service(ServiceKey),
    Pod(String, String),
    /// The network namespace of this workload.
    Namespace(WorkloadId),
    /// A hop that does not work.
    Hop(String),
    /// A hop that is gone around.
    Skips(String),
}

/// By what an alert's incident is sought now, and by what it is found later. Who goes around a hop joins the hop's incident, and not that
/// of others who go around it.
pub(super) fn links(workload: Option<&Workload>, alert: &Alert) -> (Vec<Link>, Vec<Link>) {
    let mut sought = workload.map_or_else(|| vec![Link::Host], of_workload);
    let mut found_by = sought.clone();
    let is_about_hop = alert.flow.is_none();
    for hop in alert.missing_hop.iter().flat_map(|hop| &hop.alternatives) {
        sought.push(Link::Hop(hop.clone()));
        if is_about_hop {
            sought.push(Link::Skips(hop.clone()));
        }
        found_by.push(if is_about_hop { Link::Hop(hop.clone()) } else { Link::Skips(hop.clone()) });
    }
    (sought, found_by)
}

pub(super) fn of_workload(workload: &Workload) -> Vec<Link> {
    let owner = match &workload.network_mode {
        NetworkMode::Container(owner) => owner,
        _ => &workload.id,
    };
    let mut links = vec![Link::Service(ServiceKey::of(workload)), Link::Namespace(owner.clone())];
    let pod = workload.pod.as_ref().filter(|pod| !pod.name.is_empty());
    links.extend(pod.map(|pod| Link::Pod(pod.namespace.clone(), pod.name.clone())));
    links
}

//! What the timeline must answer, case by case; the property tests compare it with a naive model.

mod cases;
mod kernel;
mod kernel_model;
mod model;
mod visibility;

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use super::{AttributionQuery, Confidence, Owner, Timeline, TimelineLimits};
use crate::input::{
    Attachment, InventoryEvent, Mac, NetworkMode, ObservationPoint, RuntimeNetwork, Workload, WorkloadId,
};
use crate::time::Timestamp;

fn secs(at: i64) -> Timestamp {
    Timestamp::from_secs(at)
}

fn ip(text: &str) -> IpAddr {
    text.parse().expect("address")
}

fn timeline() -> Timeline {
    Timeline::new(TimelineLimits { workloads: 1000, remember: Duration::from_mins(10) })
}

/// A running workload named as its id, since a time, with one network and these addresses.
fn workload(id: &str, since: Option<i64>, addresses: &[&str]) -> Workload {
    let attachment = Attachment {
        network: "front".to_owned(),
        network_id: "net-front".to_owned(),
        addresses: addresses.iter().map(|text| ip(text)).collect(),
        ..Attachment::default()
    };
    Workload {
        image: "busybox".to_owned(),
        attachments: vec![attachment],
        since: since.map(secs),
        ..Workload::new(WorkloadId::new(id), id, crate::input::RuntimeId::DOCKER)
    }
}

fn with_mac(mut workload: Workload, mac: u8) -> Workload {
    workload.attachments[0].mac = Some(Mac([2, 0, 0, 0, 0, mac]));
    workload
}

fn apply(timeline: &mut Timeline, at: i64, workload: Workload) {
    timeline.apply(secs(at), &InventoryEvent::Workload(Arc::new(workload)));
}

fn stop(timeline: &mut Timeline, at: i64, id: &str, until: i64) {
    timeline.apply(secs(at), &InventoryEvent::Stopped { id: WorkloadId::new(id), until: secs(until) });
}

fn reconcile(timeline: &mut Timeline, at: i64, running: &[&str]) {
    let running = running.iter().map(|id| WorkloadId::new(id)).collect();
    timeline.apply(secs(at), &InventoryEvent::Reconciled { runtime: crate::input::RuntimeId::DOCKER, running });
}

fn front() -> RuntimeNetwork {
    RuntimeNetwork {
        id: "net-front".to_owned(),
        name: "front".to_owned(),
        driver: "bridge".to_owned(),
        subnets: vec!["172.18.0.0/16".parse().expect("range")],
        gateways: vec![ip("172.18.0.1")],
        bridge: Some("br-front".to_owned()),
        parent: None,
    }
}

fn owner(timeline: &Timeline, address: &str, at: Timestamp) -> Owner {
    let point = ObservationPoint::new("br-front");
    timeline.attribute(&AttributionQuery { point: &point, ip: ip(address), socket: None, mac: None, at })
}

fn owner_by(timeline: &Timeline, point: &str, address: &str, mac: Option<u8>, at: i64) -> Owner {
    let point = ObservationPoint::new(point);
    let mac = mac.map(|last| Mac([2, 0, 0, 0, 0, last]));
    timeline.attribute(&AttributionQuery { point: &point, ip: ip(address), socket: None, mac, at: secs(at) })
}

/// `NAME`, `NAME?` when only likely, `A|B` when ambiguous, or the other answers by their word.
fn owner_text(owner: &Owner) -> String {
    match owner {
        Owner::Workload { workload, confidence: Confidence::Exact, .. } => workload.name.clone(),
        Owner::Workload { workload, .. } => format!("{}?", workload.name),
        Owner::Ambiguous { candidates: all, .. } => {
            all.iter().map(|workload| workload.name.as_str()).collect::<Vec<_>>().join("|")
        }
        other => other.as_str().to_owned(),
    }
}

fn at(timeline: &Timeline, address: &str, time: i64) -> String {
    owner_text(&owner(timeline, address, secs(time)))
}

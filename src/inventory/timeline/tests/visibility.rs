//! Where a workload's traffic can be seen, case by case.

use super::*;
use crate::input::LinkEvent;
use crate::inventory::{Unseen, Watched};

fn link(timeline: &mut Timeline, name: &str, up: bool, addresses: &[&str], inside: Option<&str>) {
    timeline.apply_link(&LinkEvent {
        point: ObservationPoint::new(name),
        up,
        addresses: addresses.iter().map(|text| ip(text)).collect(),
        inside: inside.map(WorkloadId::new),
        ..LinkEvent::default()
    });
}

fn points(names: &[&str]) -> Vec<ObservationPoint> {
    names.iter().map(|name| ObservationPoint::new(name)).collect()
}

fn watched(timeline: &Timeline, id: &str) -> Watched {
    timeline.is_watched(timeline.workload(&WorkloadId::new(id)).expect("reported"))
}

fn lan() -> RuntimeNetwork {
    let subnets = vec!["192.168.1.0/24".parse().expect("range")];
    RuntimeNetwork { id: "net-lan".into(), name: "lan".into(), driver: "macvlan".into(), subnets, ..Default::default() }
}

fn on_lan(id: &str) -> Workload {
    let mut workload = workload(id, Some(1), &["192.168.1.9"]);
    workload.attachments[0].network = "lan".into();
    workload.attachments[0].network_id = "net-lan".into();
    workload
}

fn with_networks() -> Timeline {
    let mut timeline = timeline();
    for network in [front(), lan()] {
        timeline.apply(secs(0), &InventoryEvent::Network(Arc::new(network)));
    }
    timeline
}

#[test]
fn a_bridge_or_a_veth_that_is_up_shows_the_traffic() {
    let mut timeline = with_networks();
    let mut web = workload("web", Some(1), &["172.18.0.2"]);
    web.attachments[0].host_interface = Some("veth2".into());
    apply(&mut timeline, 1, web);
    assert_eq!(watched(&timeline, "web"), Watched::Unknown, "no link was reported");
    link(&mut timeline, "eth0", true, &["192.0.2.1"], None);
    let nowhere = |why| Watched::Partly { points: vec![], unseen: vec![("front".into(), why)] };
    assert_eq!(watched(&timeline, "web"), nowhere(Unseen::NoInterface));
    link(&mut timeline, "br-front", true, &["172.18.0.1"], None);
    assert_eq!(watched(&timeline, "web"), Watched::At(points(&["br-front"])));
    link(&mut timeline, "veth2", true, &[], None);
    assert_eq!(watched(&timeline, "web"), Watched::At(points(&["veth2"])));
    link(&mut timeline, "br-front", false, &[], None);
    link(&mut timeline, "veth2", false, &[], None);
    assert_eq!(watched(&timeline, "web"), nowhere(Unseen::Down(ObservationPoint::new("veth2"))));
    stop(&mut timeline, 5, "web", 5);
    assert_eq!(watched(&timeline, "web"), Watched::NoTraffic);
}

#[test]
fn a_driver_without_host_interface_needs_a_point_inside() {
    let mut timeline = with_networks();
    link(&mut timeline, "eth0", true, &["192.0.2.1"], None);
    link(&mut timeline, "br-front", true, &["172.18.0.1"], None);
    let mut both = on_lan("both");
    both.attachments.extend(workload("x", None, &["172.18.0.3"]).attachments);
    apply(&mut timeline, 1, both);
    let unseen = vec![("lan".to_owned(), Unseen::Driver("macvlan".into()))];
    assert_eq!(watched(&timeline, "both"), Watched::Partly { points: points(&["br-front"]), unseen });
    link(&mut timeline, "eth0@both", true, &["192.168.1.9"], Some("both"));
    assert_eq!(watched(&timeline, "both"), Watched::At(points(&["br-front", "eth0@both"])));
    link(&mut timeline, "eth0@both", false, &[], Some("both"));
    assert!(matches!(watched(&timeline, "both"), Watched::Partly { .. }));
}

#[test]
fn a_driver_without_host_interface_is_seen_at_its_parent() {
    for (parent, captured, seen) in [("eth0", "eth0", true), ("eth0.10", "eth0", true), ("eth1", "eth0", false)] {
        let mut timeline = with_networks();
        link(&mut timeline, captured, true, &["192.0.2.1"], None);
        let lan = RuntimeNetwork { parent: Some(parent.into()), ..lan() };
        timeline.apply(secs(0), &InventoryEvent::Network(Arc::new(lan)));
        apply(&mut timeline, 1, on_lan("lan"));
        let expected = seen.then(|| Watched::At(points(&[captured])));
        assert_eq!(matches!(watched(&timeline, "lan"), Watched::At(_)).then(|| watched(&timeline, "lan")), expected);
    }
}

#[test]
fn a_point_inside_with_other_addresses_shows_another_network() {
    let mut timeline = with_networks();
    apply(&mut timeline, 1, on_lan("lan"));
    link(&mut timeline, "eth1@lan", true, &["10.1.1.1"], Some("lan"));
    assert!(matches!(watched(&timeline, "lan"), Watched::Partly { .. }));
}

#[test]
fn other_modes_are_seen_where_their_traffic_goes() {
    let mut timeline = with_networks();
    link(&mut timeline, "br-front", true, &["172.18.0.1"], None);
    let mode = |id: &str, network_mode| Workload { network_mode, attachments: vec![], ..workload(id, Some(1), &[]) };
    apply(&mut timeline, 1, workload("web", Some(1), &["172.18.0.2"]));
    apply(&mut timeline, 1, mode("side", NetworkMode::Container(WorkloadId::new("web"))));
    apply(&mut timeline, 1, mode("orphan", NetworkMode::Container(WorkloadId::new("nobody"))));
    apply(&mut timeline, 1, mode("exporter", NetworkMode::Host));
    apply(&mut timeline, 1, mode("batch", NetworkMode::None));
    apply(&mut timeline, 1, mode("rootless", NetworkMode::Rootless("pasta".into())));
    apply(&mut timeline, 1, mode("cni", NetworkMode::Own));
    assert_eq!(watched(&timeline, "side"), watched(&timeline, "web"));
    assert_eq!(watched(&timeline, "orphan"), Watched::Unknown);
    assert_eq!(watched(&timeline, "batch"), Watched::NoTraffic);
    assert_eq!(watched(&timeline, "cni"), Watched::Unknown);
    let unseen = |network: &str, why| Watched::Partly { points: vec![], unseen: vec![(network.into(), why)] };
    assert_eq!(watched(&timeline, "exporter"), unseen("host", Unseen::NoInterface));
    link(&mut timeline, "eth0", true, &["192.0.2.1"], None);
    assert_eq!(watched(&timeline, "exporter"), Watched::At(points(&["eth0"])));
    assert_eq!(watched(&timeline, "rootless"), unseen("rootless:pasta", Unseen::Rootless("pasta".into())));
    link(&mut timeline, "tap0@rootless", true, &["10.0.2.100"], Some("rootless"));
    assert_eq!(watched(&timeline, "rootless"), Watched::At(points(&["tap0@rootless"])));
}

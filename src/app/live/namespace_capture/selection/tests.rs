//! Who is entered, and what the points are called.

use globset::{Glob, GlobSetBuilder};

use super::*;
use crate::input::{WorkloadId, WorkloadState};

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_secs(1_764_000_000 + seconds)
}

fn known(mode: InsideNamespaces) -> EntryPolicy {
    let globs = GlobSetBuilder::new().add(Glob::new("br-*").expect("glob")).build().expect("globs");
    let mut known = EntryPolicy::new(mode, globs);
    for (driver, bridge) in [("bridge", Some("br-net")), ("macvlan", None)] {
        let network = RuntimeNetwork {
            id: driver.to_owned(),
            name: driver.to_owned(),
            driver: driver.to_owned(),
            bridge: bridge.map(str::to_owned),
            ..RuntimeNetwork::default()
        };
        known.apply(InventoryEvent::Network(Arc::new(network)), at(0));
    }
    known
}

fn workload(name: &str, networks: &[&str]) -> Workload {
    let attachment = |network: &&str| Attachment { network: (*network).to_owned(), ..Attachment::default() };
    Workload {
        attachments: networks.iter().map(attachment).collect(),
        pid: Some(7),
        ..Workload::new(WorkloadId::new(&format!("{name}0123456789abcdef")), name, crate::input::RuntimeId::DOCKER)
    }
}

fn interface(name: &str, master: Option<&str>) -> Interface {
    Interface { name: name.to_owned(), master: master.map(str::to_owned), ..Interface::default() }
}

/// Names of those wanted, so many seconds after the workloads were reported.
fn wanted(known: &EntryPolicy, seconds: i64) -> Vec<String> {
    let links = [
        interface("br-net", None),
        interface("cni0", None),
        interface("veth1", Some("br-net")),
        interface("veth2", Some("cni0")),
    ];
    let host: HostLinks<'_> = links.iter().map(|link| (link.name.as_str(), link)).collect();
    known.wanted(&host, at(seconds)).iter().map(|workload| workload.name.clone()).collect()
}

fn reported(mode: InsideNamespaces, workloads: Vec<Workload>) -> EntryPolicy {
    let mut known = known(mode);
    for workload in workloads {
        known.apply(InventoryEvent::Workload(Arc::new(workload)), at(0));
    }
    known
}

#[test]
fn only_what_no_captured_interface_shows_is_entered() {
    let on_veth = |name: &str, veth: &str| {
        let mut pod = workload(name, &["cni"]);
        pod.attachments[0].host_interface = Some(veth.to_owned());
        pod
    };
    let rootless = Workload { network_mode: NetworkMode::Rootless("pasta".into()), ..workload("rootless", &[]) };
    let known = reported(
        InsideNamespaces::Unwatched,
        vec![
            workload("bridged", &["bridge"]),
            workload("macvlan", &["macvlan"]),
            workload("both", &["bridge", "macvlan"]),
            on_veth("on-captured-bridge", "veth1"),
            on_veth("on-other-bridge", "veth2"),
            workload("pod", &[]),
            rootless,
        ],
    );
    assert_eq!(wanted(&known, 0), ["both", "macvlan", "rootless"], "the others may become clear yet");
    assert_eq!(wanted(&known, 2), ["both", "macvlan", "on-other-bridge", "pod", "rootless"]);
}

#[test]
fn a_shared_namespace_is_not_entered_even_when_all_are() {
    let other = NetworkMode::Container(WorkloadId::new("other"));
    let modes = [NetworkMode::Host, other, NetworkMode::None, NetworkMode::Own];
    let names = ["host", "joined", "none", "own"];
    let all = modes
        .into_iter()
        .zip(names)
        .map(|(network_mode, name)| Workload { network_mode, ..workload(name, &["bridge"]) });
    assert_eq!(wanted(&reported(InsideNamespaces::All, all.collect()), 0), ["none", "own"]);
}

#[test]
fn what_stopped_is_not_wanted_any_more() {
    let mut known = reported(InsideNamespaces::All, ["a", "b", "c"].map(|name| workload(name, &["bridge"])).into());
    known.apply(InventoryEvent::Stopped { id: workload("a", &[]).id, until: at(1) }, at(1));
    assert_eq!(wanted(&known, 1), ["b", "c"]);
    let running = vec![workload("c", &[]).id];
    known.apply(
        InventoryEvent::Reconciled { runtime: crate::input::RuntimeId::PODMAN, running: running.clone() },
        at(2),
    );
    assert_eq!(wanted(&known, 2), ["b", "c"], "another runtime's list");
    known.apply(InventoryEvent::Reconciled { runtime: crate::input::RuntimeId::DOCKER, running }, at(2));
    assert_eq!(wanted(&known, 2), ["c"]);
    let exited = Workload { state: WorkloadState::Exited, ..workload("c", &["bridge"]) };
    known.apply(InventoryEvent::Workload(Arc::new(exited)), at(3));
    assert_eq!(wanted(&known, 3), Vec::<String>::new());
}

#[test]
fn names_are_safe_bounded_and_unique() {
    let name = |name: &str, interface: &str, taken: &[&str]| {
        let taken = |point: &ObservationPoint| taken.contains(&point.as_str());
        point_name(&workload(name, &[]), interface, 5, taken).to_string()
    };
    assert_eq!(name("web-1", "eth0", &[]), "web-1:eth0");
    assert_eq!(name("web", "eth0", &["web:eth0"]), "web-web012345678:eth0");
    assert_eq!(name("web", "eth0", &["web:eth0", "web-web012345678:eth0"]), "web-web012345678:eth0.5");
    let hostile = name("a\u{1b}[2J\"\n", "e\u{7}\"", &[]);
    assert!(hostile.starts_with("a__2J__-") && hostile.ends_with(":e__"), "{hostile}");
    assert!(name(&"x".repeat(5000), &"y".repeat(5000), &[]).len() < 120);
}

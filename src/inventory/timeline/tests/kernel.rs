//! Namespaces, sockets, veths and points inside namespaces, case by case.

use super::*;
use crate::input::{
    Endpoint, InsideInterface, KernelFact, LinkEvent, NamespaceView, NetnsId, Pod, ProcessNamespaces, Protocol,
    SocketEvidence, SocketView, Stray,
};
use crate::inventory::{AttributionMethod, Doubt, SocketQuery};

const POD_IP: &str = "10.244.0.7";
const HOST_IP: &str = "192.0.2.1";
const OUTSIDE: &str = "198.51.100.7";
const HOST: NetnsId = NetnsId(1);

fn apply_kernel(timeline: &mut Timeline, at: i64, fact: &KernelFact) {
    timeline.apply_kernel(secs(at), fact);
}

fn ids(names: &[&str]) -> Vec<WorkloadId> {
    names.iter().map(|name| WorkloadId::new(name)).collect()
}

fn eth0(address: &str, mac: u8, veth: &str) -> InsideInterface {
    InsideInterface {
        name: "eth0".to_owned(),
        index: 2,
        kind: "veth".to_owned(),
        mac: Some(Mac([2, 0, 0, 0, 0, mac])),
        addresses: vec![ip(address)],
        up: true,
        host_interface: Some(veth.to_owned()),
        ..InsideInterface::default()
    }
}

fn view(netns: u64, names: &[&str], interfaces: &[InsideInterface]) -> KernelFact {
    let host = NetnsId(netns) == HOST;
    let interfaces = interfaces.to_vec();
    KernelFact::Namespace(Arc::new(NamespaceView {
        netns: NetnsId(netns),
        host,
        workloads: ids(names),
        interfaces,
        settings: None,
    }))
}

fn end(address: &str, port: u16) -> Endpoint {
    Endpoint { ip: ip(address), port }
}

fn socket(netns: u64, inode: u64, local: Endpoint, remote: Option<Endpoint>, owners: &[&str]) -> SocketView {
    SocketView {
        netns: NetnsId(netns),
        inode,
        protocol: Protocol::TCP,
        local,
        remote,
        owners: ids(owners),
        how: SocketEvidence::Process,
        command: None,
        pid: None,
        since: None,
    }
}

fn open(timeline: &mut Timeline, at: i64, socket: SocketView) {
    apply_kernel(timeline, at, &KernelFact::SocketOpened(Arc::new(socket)));
}

fn close(timeline: &mut Timeline, at: i64, netns: u64, inode: u64) {
    apply_kernel(timeline, at, &KernelFact::SocketClosed { netns: NetnsId(netns), inode });
}

/// Who is behind this end of a TCP flow with the outside.
fn behind(timeline: &Timeline, address: &str, port: u16, at: i64) -> Owner {
    let point = ObservationPoint::new("eth0");
    let socket = Some(SocketQuery { protocol: Protocol::TCP, port, remote: end(OUTSIDE, 443) });
    timeline.attribute(&AttributionQuery { point: &point, ip: ip(address), socket, mac: None, at: secs(at) })
}

fn how(owner: &Owner) -> (String, Option<AttributionMethod>, Option<Doubt>) {
    let (how, why) = match owner {
        Owner::Workload { how, why, .. } => (Some(*how), *why),
        _ => (None, None),
    };
    (owner_text(owner), how, why)
}

fn without_network(id: &str, since: Option<i64>) -> Workload {
    Workload { attachments: Vec::new(), ..workload(id, since, &[]) }
}

fn on_host(id: &str, since: i64) -> Workload {
    Workload { network_mode: NetworkMode::Host, ..without_network(id, Some(since)) }
}

/// A host with its own address, its namespace known.
fn host() -> Timeline {
    let mut timeline = timeline();
    let addresses = vec![ip(HOST_IP)];
    timeline.apply_link(&LinkEvent {
        point: ObservationPoint::new("eth0"),
        up: true,
        addresses,
        ..LinkEvent::default()
    });
    apply_kernel(&mut timeline, 0, &view(1, &[], &[]));
    timeline
}

#[test]
fn an_address_that_only_the_kernel_shows_belongs_to_the_workload_in_its_namespace() {
    let mut timeline = timeline();
    apply(&mut timeline, 2, without_network("pod", Some(1)));
    assert_eq!(at(&timeline, POD_IP, 2), "external");
    apply_kernel(&mut timeline, 3, &view(7, &["pod"], &[eth0(POD_IP, 7, "veth7")]));
    for time in [1, 2, 3, 50] {
        let owner = owner(&timeline, POD_IP, secs(time));
        assert_eq!(how(&owner), ("pod".into(), Some(AttributionMethod::Namespace), None), "{time}");
    }
    assert_eq!(at(&timeline, POD_IP, 0), "external", "it had not started");
    assert_eq!(timeline.owner_of_mac(Mac([2, 0, 0, 0, 0, 7]), secs(2)).map(|w| w.name.as_str()), Some("pod"));
    stop(&mut timeline, 60, "pod", 60);
    assert_eq!((at(&timeline, POD_IP, 59), at(&timeline, POD_IP, 62)), ("pod".into(), "pod?".into()));
    assert_eq!(at(&timeline, POD_IP, 66), "external");
}

#[test]
fn the_kernel_may_tell_before_the_runtime_does() {
    let mut timeline = timeline();
    apply_kernel(&mut timeline, 3, &view(7, &["early"], &[eth0(POD_IP, 7, "veth7")]));
    assert_eq!(at(&timeline, POD_IP, 3), "external");
    apply(&mut timeline, 5, without_network("early", Some(2)));
    assert_eq!((at(&timeline, POD_IP, 1), at(&timeline, POD_IP, 2)), ("external".into(), "early".into()));
    apply_kernel(&mut timeline, 6, &view(8, &["undated"], &[eth0("10.244.0.8", 8, "veth8")]));
    apply(&mut timeline, 7, without_network("undated", None));
    assert_eq!((at(&timeline, "10.244.0.8", 5), at(&timeline, "10.244.0.8", 6)), ("external".into(), "undated".into()));
}

#[test]
fn the_runtimes_word_for_the_same_address_stays_address() {
    let mut timeline = timeline();
    apply(&mut timeline, 1, workload("web", Some(1), &[POD_IP]));
    apply_kernel(&mut timeline, 2, &view(7, &["web"], &[eth0(POD_IP, 7, "veth7")]));
    let owner = owner(&timeline, POD_IP, secs(3));
    assert_eq!(how(&owner), ("web".into(), Some(AttributionMethod::Address), None));
}

#[test]
fn an_address_that_comes_later_counts_from_its_look_and_one_that_goes_until_its() {
    let mut timeline = timeline();
    apply(&mut timeline, 1, without_network("pod", Some(1)));
    apply_kernel(&mut timeline, 2, &view(7, &["pod"], &[eth0(POD_IP, 7, "veth7")]));
    apply_kernel(&mut timeline, 20, &view(7, &["pod"], &[eth0("10.244.0.9", 7, "veth7")]));
    assert_eq!((at(&timeline, "10.244.0.9", 19), at(&timeline, "10.244.0.9", 20)), ("external".into(), "pod".into()));
    assert_eq!((at(&timeline, POD_IP, 19), at(&timeline, POD_IP, 30)), ("pod".into(), "external".into()));
}

#[test]
fn an_inode_that_comes_back_is_another_namespace() {
    for told_gone in [true, false] {
        let mut timeline = timeline();
        apply(&mut timeline, 1, without_network("old", Some(1)));
        apply_kernel(&mut timeline, 2, &view(7, &["old"], &[eth0(POD_IP, 7, "veth7")]));
        stop(&mut timeline, 10, "old", 10);
        if told_gone {
            apply_kernel(&mut timeline, 11, &KernelFact::NamespaceGone { netns: NetnsId(7) });
        }
        apply(&mut timeline, 12, without_network("new", Some(11)));
        apply_kernel(&mut timeline, 13, &view(7, &["new"], &[eth0("10.244.0.9", 9, "veth9")]));
        assert_eq!((at(&timeline, POD_IP, 5), at(&timeline, POD_IP, 12)), ("old".into(), "old?".into()));
        assert_eq!(
            (at(&timeline, "10.244.0.9", 5), at(&timeline, "10.244.0.9", 11)),
            ("external".into(), "new".into())
        );
    }
}

#[test]
fn an_address_reused_within_a_second_is_the_next_owners_though_the_old_namespace_lingers() {
    let millis = |at: i64| Timestamp::from_nanos(at * 1_000_000);
    let mut timeline = timeline();
    apply(&mut timeline, 1, without_network("old", Some(1)));
    apply_kernel(&mut timeline, 2, &view(7, &["old"], &[eth0(POD_IP, 7, "veth7")]));
    let new = Workload { since: Some(millis(10_400)), ..without_network("new", None) };
    timeline.apply_kernel(millis(10_600), &view(8, &["new"], &[eth0(POD_IP, 8, "veth8")]));
    timeline.apply(millis(10_700), &InventoryEvent::Workload(Arc::new(new)));
    timeline.apply(millis(10_800), &InventoryEvent::Stopped { id: WorkloadId::new("old"), until: millis(10_100) });
    let at = |at| owner_text(&owner(&timeline, POD_IP, millis(at)));
    assert_eq!((at(10_050), at(10_200), at(10_450)), ("old".into(), "old?".into(), "new".into()));
}

#[test]
fn what_the_kernel_shows_later_does_not_drive_out_whom_the_runtime_named_before() {
    let mut timeline = timeline();
    apply(&mut timeline, 1, workload("told", Some(1), &[POD_IP]));
    stop(&mut timeline, 10, "told", 10);
    apply(&mut timeline, 5, without_network("shown", Some(5)));
    apply_kernel(&mut timeline, 20, &view(7, &["shown"], &[eth0(POD_IP, 7, "veth7")]));
    assert_eq!((at(&timeline, POD_IP, 7), at(&timeline, POD_IP, 12)), ("told".into(), "told?".into()));
    assert_eq!(at(&timeline, POD_IP, 20), "shown");
}

#[test]
fn an_address_of_another_is_ambiguous_unless_it_is_behind_an_inner_bridge() {
    let mut timeline = timeline();
    apply(&mut timeline, 1, with_mac(workload("owner", Some(1), &[POD_IP]), 1));
    apply(&mut timeline, 1, without_network("thief", Some(1)));
    let inner = InsideInterface { kind: "bridge".into(), host_interface: None, ..eth0(POD_IP, 7, "") };
    apply_kernel(&mut timeline, 2, &view(7, &["thief"], &[inner]));
    assert_eq!(at(&timeline, POD_IP, 3), "owner");
    apply_kernel(&mut timeline, 4, &view(7, &["thief"], &[eth0(POD_IP, 7, "veth7")]));
    assert_eq!((at(&timeline, POD_IP, 3), at(&timeline, POD_IP, 4)), ("owner|thief".into(), "owner|thief".into()));
    assert_eq!(owner_text(&owner_by(&timeline, "br-front", POD_IP, Some(7), 5)), "thief?");
    assert_eq!(owner_text(&owner_by(&timeline, "br-front", POD_IP, Some(1), 5)), "owner?");
}

#[test]
fn the_hosts_address_inside_a_nested_runtime_is_still_the_hosts() {
    let mut timeline = host();
    apply(&mut timeline, 1, without_network("dind", Some(1)));
    let docker0 = InsideInterface { name: "docker0".into(), kind: "bridge".into(), ..eth0(HOST_IP, 7, "") };
    apply_kernel(&mut timeline, 2, &view(7, &["dind"], &[docker0]));
    assert_eq!(at(&timeline, HOST_IP, 3), "host");
}

fn pod() -> Timeline {
    let mut timeline = timeline();
    let sandbox = Pod { name: "web".into(), sandbox: true, ..Pod::default() };
    apply(&mut timeline, 1, Workload { pod: Some(sandbox), ..workload("pause", Some(1), &[POD_IP]) });
    for name in ["app", "side"] {
        let pod = Some(Pod { name: "web".into(), ..Pod::default() });
        let joined = NetworkMode::Container(WorkloadId::new("pause"));
        apply(&mut timeline, 1, Workload { pod, network_mode: joined, ..without_network(name, Some(1)) });
    }
    apply_kernel(&mut timeline, 2, &view(7, &["app", "pause", "side"], &[eth0(POD_IP, 7, "veth7")]));
    timeline
}

#[test]
fn in_a_pod_the_socket_names_the_container_and_without_one_it_is_the_sandboxs() {
    let mut timeline = pod();
    let shared = Some(Doubt::SharedNamespace);
    let address = Some(AttributionMethod::Address);
    assert_eq!(how(&behind(&timeline, POD_IP, 40_000, 3)), ("pause?".into(), address, shared));
    open(&mut timeline, 4, socket(7, 100, end(POD_IP, 40_000), Some(end(OUTSIDE, 443)), &["app"]));
    open(&mut timeline, 4, socket(7, 101, end("0.0.0.0", 80), None, &["side"]));
    let by_socket = Some(AttributionMethod::Socket);
    assert_eq!(how(&behind(&timeline, POD_IP, 40_000, 3)), ("app".into(), by_socket, None));
    assert_eq!(how(&behind(&timeline, POD_IP, 80, 3)), ("side".into(), by_socket, None));
    open(&mut timeline, 5, socket(7, 102, end("0.0.0.0", 80), None, &["app"]));
    assert_eq!(owner_text(&behind(&timeline, POD_IP, 80, 5)), "app|side");
    open(&mut timeline, 5, socket(7, 103, end("0.0.0.0", 90), None, &[]));
    assert_eq!(how(&behind(&timeline, POD_IP, 90, 5)), ("pause?".into(), address, shared), "a tool of the host's");
    open(&mut timeline, 5, socket(8, 104, end("0.0.0.0", 95), None, &["app"]));
    assert_eq!(owner_text(&behind(&timeline, POD_IP, 95, 5)), "pause?", "a socket of another namespace");
}

#[test]
fn while_the_runtime_has_not_told_of_all_in_a_namespace_nobody_is_taken_for_its_only_one() {
    let mut timeline = timeline();
    apply_kernel(&mut timeline, 2, &view(7, &["app", "pause"], &[eth0(POD_IP, 7, "veth7")]));
    apply(&mut timeline, 3, without_network("app", Some(1)));
    assert_eq!(how(&behind(&timeline, POD_IP, 40_000, 3)).2, Some(Doubt::SharedNamespace));
}

#[test]
fn a_namespace_without_sandbox_is_owned_by_the_one_whose_networks_are_its_own() {
    let mut timeline = timeline();
    apply(&mut timeline, 1, without_network("own", Some(1)));
    let joined = NetworkMode::Container(WorkloadId::new("own"));
    apply(&mut timeline, 1, Workload { network_mode: joined, ..without_network("joined", Some(1)) });
    apply_kernel(&mut timeline, 2, &view(7, &["joined", "own"], &[eth0(POD_IP, 7, "veth7")]));
    let shared = Some(Doubt::SharedNamespace);
    let by_namespace = Some(AttributionMethod::Namespace);
    assert_eq!(how(&owner(&timeline, POD_IP, secs(3))), ("own?".into(), by_namespace, shared));
    stop(&mut timeline, 10, "own", 10);
    assert_eq!(
        how(&owner(&timeline, POD_IP, secs(11))),
        ("joined".into(), by_namespace, None),
        "it lifecycles on there"
    );
}

#[test]
fn a_socket_in_the_hosts_namespace_names_the_workload_on_the_uplink_and_on_lo() {
    let mut timeline = host();
    assert_eq!(owner_text(&behind(&timeline, HOST_IP, 40_000, 1)), "host", "nobody else is there");
    apply(&mut timeline, 2, on_host("exporter", 2));
    assert_eq!(behind(&timeline, HOST_IP, 40_000, 1), Owner::Host, "it had not started");
    let unclear = behind(&timeline, HOST_IP, 40_000, 2);
    assert!(matches!(&unclear, Owner::Ambiguous { candidates, host: true } if candidates.len() == 1), "{unclear:?}");

    open(&mut timeline, 3, socket(1, 10, end(HOST_IP, 40_000), Some(end(OUTSIDE, 443)), &["exporter"]));
    open(&mut timeline, 3, socket(1, 11, end("::", 9100), None, &["exporter"]));
    open(&mut timeline, 3, socket(1, 12, end("0.0.0.0", 22), None, &[]));
    let by_socket = ("exporter".into(), Some(AttributionMethod::Socket), None);
    assert_eq!(how(&behind(&timeline, HOST_IP, 40_000, 3)), by_socket);
    for address in [HOST_IP, "127.0.0.1", "::1"] {
        assert_eq!(how(&behind(&timeline, address, 9100, 3)), by_socket, "{address}");
    }
    assert_eq!(behind(&timeline, HOST_IP, 22, 3), Owner::Host, "the kernel shows that it is nobody's");
    let unclear = behind(&timeline, "::1", 22, 3);
    assert!(matches!(unclear, Owner::Ambiguous { host: true, .. }), "0.0.0.0 takes no IPv6");
}

#[test]
fn several_holders_of_one_socket_are_told() {
    let mut timeline = host();
    apply(&mut timeline, 1, on_host("one", 1));
    apply(&mut timeline, 1, on_host("two", 1));
    open(&mut timeline, 2, socket(1, 10, end("0.0.0.0", 80), None, &["one"]));
    open(&mut timeline, 2, socket(1, 11, end("0.0.0.0", 80), None, &[]));
    assert_eq!(how(&behind(&timeline, HOST_IP, 80, 2)).2, Some(Doubt::SharedSocket));
    open(&mut timeline, 3, socket(1, 12, end("0.0.0.0", 81), None, &["one", "two"]));
    let both = behind(&timeline, HOST_IP, 81, 3);
    assert!(matches!(&both, Owner::Ambiguous { candidates, host: false } if candidates.len() == 2), "{both:?}");
    open(&mut timeline, 3, socket(1, 13, end(HOST_IP, 81), None, &["two"]));
    assert_eq!(owner_text(&behind(&timeline, HOST_IP, 81, 3)), "two", "bound to the address goes before bound to all");
}

#[test]
fn a_holder_that_the_runtime_has_not_told_yet_is_waited_for() {
    let mut timeline = host();
    open(&mut timeline, 2, socket(1, 10, end(HOST_IP, 40_000), Some(end(OUTSIDE, 443)), &["late"]));
    let unclear = behind(&timeline, HOST_IP, 40_000, 2);
    assert!(matches!(&unclear, Owner::Ambiguous { candidates, host: true } if candidates.is_empty()), "{unclear:?}");
    apply(&mut timeline, 3, on_host("late", 1));
    assert_eq!(owner_text(&behind(&timeline, HOST_IP, 40_000, 2)), "late");
}

#[test]
fn a_closed_socket_is_found_by_its_interval_and_shortly_after() {
    let mut timeline = host();
    apply(&mut timeline, 1, on_host("first", 1));
    apply(&mut timeline, 1, on_host("second", 1));
    let since = |socket: SocketView, at| SocketView { since: Some(secs(at)), ..socket };
    let tuple = |inode, owner| socket(1, inode, end(HOST_IP, 40_000), Some(end(OUTSIDE, 443)), &[owner]);
    open(&mut timeline, 3, since(tuple(10, "first"), 2));
    close(&mut timeline, 9, 1, 10);
    open(&mut timeline, 31, since(tuple(11, "second"), 30));
    for (time, expected) in [(1, "first"), (2, "first"), (8, "first"), (14, "first"), (29, "second"), (40, "second")] {
        assert_eq!(owner_text(&behind(&timeline, HOST_IP, 40_000, time)), expected, "{time}");
    }
    for time in [0, 15, 28] {
        let nobody =
            matches!(behind(&timeline, HOST_IP, 40_000, time), Owner::Ambiguous { host: true, .. } | Owner::Host);
        assert!(nobody, "{time}");
    }
}

#[test]
fn a_holder_found_late_replaces_nobody() {
    let mut timeline = host();
    apply(&mut timeline, 1, on_host("one", 1));
    let plain = socket(1, 10, end("0.0.0.0", 80), None, &[]);
    open(&mut timeline, 2, plain.clone());
    assert_eq!(behind(&timeline, HOST_IP, 80, 2), Owner::Host);
    open(&mut timeline, 3, SocketView { owners: ids(&["one"]), ..plain });
    assert_eq!(owner_text(&behind(&timeline, HOST_IP, 80, 2)), "one");
    assert_eq!(timeline.sockets.len(), 1);
}

#[test]
fn whoever_the_kernel_shows_in_the_hosts_namespace_may_be_it() {
    let mut timeline = host();
    apply(&mut timeline, 1, workload("stray", Some(1), &[POD_IP]));
    let strays = vec![Stray { pid: 9, command: "nsenter".into(), netns: HOST }];
    let processes = |strays| ProcessNamespaces { workload: WorkloadId::new("stray"), netns: NetnsId(7), strays };
    apply_kernel(&mut timeline, 5, &KernelFact::Processes(Arc::new(processes(strays))));
    assert_eq!(behind(&timeline, HOST_IP, 40_000, 4), Owner::Host);
    assert!(matches!(behind(&timeline, HOST_IP, 40_000, 5), Owner::Ambiguous { host: true, .. }));
    apply_kernel(&mut timeline, 9, &KernelFact::Processes(Arc::new(processes(vec![]))));
    assert_eq!(behind(&timeline, HOST_IP, 40_000, 9), Owner::Host);
    apply_kernel(&mut timeline, 10, &view(1, &["stray"], &[]));
    assert!(matches!(behind(&timeline, HOST_IP, 40_000, 10), Owner::Ambiguous { host: true, .. }));
}

#[test]
fn a_restart_leaves_the_old_namespace() {
    let mut timeline = host();
    apply(&mut timeline, 1, without_network("web", Some(1)));
    apply_kernel(&mut timeline, 2, &view(7, &["web"], &[eth0(POD_IP, 7, "veth7")]));
    stop(&mut timeline, 10, "web", 10);
    apply(&mut timeline, 12, without_network("web", Some(12)));
    assert_eq!(at(&timeline, POD_IP, 30), "external", "nobody knows where it is now");
    apply_kernel(&mut timeline, 31, &view(8, &["web"], &[eth0("10.244.0.8", 8, "veth8")]));
    assert_eq!((at(&timeline, "10.244.0.8", 12), at(&timeline, "10.244.0.8", 11)), ("web".into(), "external".into()));
}

#[test]
fn a_veth_names_the_sender_of_what_no_bridge_floods() {
    let mut timeline = host();
    timeline.apply(secs(0), &InventoryEvent::Network(Arc::new(front())));
    let mac = Some(Mac([2, 0, 0, 0, 0, 99]));
    timeline.apply_link(&LinkEvent { point: ObservationPoint::new("br-front"), up: true, mac, ..LinkEvent::default() });
    for (name, number) in [("thief", 2), ("victim", 3)] {
        let mut attached = with_mac(workload(name, Some(1), &[&format!("172.18.0.{number}")]), number);
        attached.attachments[0].host_interface = Some(format!("veth{number}"));
        apply(&mut timeline, 1, attached);
    }
    let point = ObservationPoint::new("veth2");
    let sender = |from: &str, mac: u8, to: &str| {
        let mac = Some(Mac([2, 0, 0, 0, 0, mac]));
        let query = AttributionQuery { point: &point, ip: ip(from), socket: None, mac, at: secs(5) };
        timeline.sender_by_veth(&query, ip(to)).map(|workload| workload.name.clone())
    };
    let thief = Some("thief".to_owned());
    assert_eq!(sender("172.18.0.3", 3, OUTSIDE), thief, "address and MAC of another");
    assert_eq!(sender("172.18.0.3", 3, "172.18.0.1"), thief, "to the gateway");
    assert_eq!(sender("172.18.0.2", 2, OUTSIDE), thief, "its own");
    assert_eq!(sender("203.0.113.5", 2, OUTSIDE), thief, "it routes, or lies");
    assert_eq!(sender("172.18.0.3", 3, "172.18.0.2"), None, "to the workload");
    assert_eq!(sender("172.18.0.3", 3, "172.18.0.9"), None, "a bridge floods what it does not know");
    assert_eq!(sender("172.18.0.3", 3, "224.0.0.1"), None, "multicast");
    assert_eq!(sender("203.0.113.5", 99, "198.51.100.8"), None, "the host routes it in");
}

#[test]
fn at_a_point_inside_a_namespace_its_addresses_are_the_workloads() {
    let mut timeline = host();
    apply(&mut timeline, 1, without_network("lan", Some(1)));
    let point = ObservationPoint::new("eth0@lan");
    let inside = Some(WorkloadId::new("lan"));
    let addresses = vec![ip("192.168.9.9")];
    timeline.apply_link(&LinkEvent { point: point.clone(), up: true, addresses, inside, ..LinkEvent::default() });
    let at = |point: &ObservationPoint, address: &str| {
        timeline.attribute(&AttributionQuery { point, ip: ip(address), socket: None, mac: None, at: secs(2) })
    };
    for address in ["192.168.9.9", "127.0.0.1"] {
        assert_eq!(how(&at(&point, address)), ("lan".into(), Some(AttributionMethod::Namespace), None));
    }
    assert_eq!(at(&point, OUTSIDE), Owner::External);
    assert_eq!(at(&ObservationPoint::new("eth0"), "192.168.9.9"), Owner::External, "it is not the host's");
}

#[test]
fn sockets_and_namespaces_are_bounded() {
    let mut timeline = host();
    let at_port = |inode: u64| {
        let port = u16::try_from(inode % 60_000).expect("small");
        SocketView { since: Some(secs(1)), ..socket(1, inode, end(HOST_IP, port), Some(end(OUTSIDE, 443)), &[]) }
    };
    for inode in 0..10 {
        open(&mut timeline, 1, at_port(inode));
        close(&mut timeline, 2, 1, inode);
    }
    for inode in 10..70_000 {
        open(&mut timeline, 3, at_port(inode));
    }
    assert_eq!(timeline.sockets.len(), super::super::sockets::MAX_SOCKETS);
    let counts = timeline.counts();
    assert_eq!((counts.sockets_evicted, counts.sockets_refused), (10, 70_000 - 10 - 65_536));
    let many: Vec<_> = (0..2000).map(|n: u32| eth0(&format!("10.9.{}.{}", n / 200, n % 200), 7, "veth7")).collect();
    apply_kernel(&mut timeline, 4, &view(7, &["hoarder"], &many));
    assert_eq!(timeline.namespaces.len(), 256);
    assert!(timeline.counts().namespaces_refused > 1000);
    apply_kernel(&mut timeline, 5, &KernelFact::NamespaceGone { netns: NetnsId(7) });
    apply_kernel(&mut timeline, 2000, &KernelFact::NamespaceGone { netns: NetnsId(1) });
    apply_kernel(&mut timeline, 4000, &KernelFact::NamespaceGone { netns: NetnsId(2) });
    assert_eq!((timeline.sockets.len(), timeline.namespaces.len()), (0, 0), "the past is forgotten");
}

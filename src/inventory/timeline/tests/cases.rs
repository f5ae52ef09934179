//! Single cases, each named after what happens on a host.

use super::*;
use crate::input::{LinkEvent, WorkloadState};
use crate::inventory::AttributionMethod;

const A: &str = "172.18.0.2";
const B: &str = "172.18.0.3";

#[test]
fn an_address_that_moves_within_seconds_is_decided_by_time() {
    let mut timeline = timeline();
    apply(&mut timeline, 10, workload("old", Some(10), &[A]));
    stop(&mut timeline, 20, "old", 20);
    apply(&mut timeline, 22, workload("new", Some(22), &[A]));
    assert_eq!(at(&timeline, A, 9), "external", "before the first owner");
    assert_eq!(at(&timeline, A, 10), "old");
    assert_eq!(at(&timeline, A, 19), "old");
    assert_eq!(at(&timeline, A, 21), "old?", "late packet before the next owner's start");
    assert_eq!(at(&timeline, A, 22), "new");
}

#[test]
fn a_late_packet_is_likely_for_five_seconds_and_then_nobodys() {
    let mut timeline = timeline();
    timeline.apply(secs(0), &InventoryEvent::Network(Arc::new(front())));
    apply(&mut timeline, 10, workload("app", Some(10), &[A]));
    stop(&mut timeline, 20, "app", 20);
    let late = owner(&timeline, A, secs(25));
    assert!(matches!(late, Owner::Workload { confidence: Confidence::Likely, why: Some(_), .. }), "{late:?}");
    assert_eq!(at(&timeline, A, 26), "unknown");
}

#[test]
fn a_name_that_is_used_again_is_another_workload() {
    let mut timeline = timeline();
    apply(&mut timeline, 1, Workload { name: "web".into(), ..workload("id-1", Some(1), &[A]) });
    stop(&mut timeline, 5, "id-1", 5);
    apply(&mut timeline, 6, Workload { name: "web".into(), ..workload("id-2", Some(6), &[B]) });
    let Owner::Workload { workload: first, .. } = owner(&timeline, A, secs(4)) else { panic!("owner of the first") };
    let Owner::Workload { workload: second, .. } = owner(&timeline, B, secs(7)) else { panic!("owner of the second") };
    assert_eq!((first.id.as_str(), second.id.as_str()), ("id-1", "id-2"));
}

#[test]
fn a_rename_keeps_the_old_name_for_the_past() {
    let mut timeline = timeline();
    apply(&mut timeline, 1, workload("app", Some(1), &[A]));
    apply(&mut timeline, 10, Workload { name: "renamed".into(), ..workload("app", Some(1), &[A]) });
    assert_eq!((at(&timeline, A, 9), at(&timeline, A, 10)), ("app".into(), "renamed".into()));
}

#[test]
fn a_changed_attachment_holds_from_the_time_of_the_update() {
    let mut timeline = timeline();
    apply(&mut timeline, 1, workload("app", Some(1), &[A]));
    apply(&mut timeline, 10, workload("app", Some(1), &[A, B]));
    apply(&mut timeline, 20, workload("app", Some(1), &[B]));
    assert_eq!((at(&timeline, B, 9), at(&timeline, B, 10)), ("external".into(), "app".into()));
    assert_eq!((at(&timeline, A, 19), at(&timeline, A, 21)), ("app".into(), "app?".into()));
}

#[test]
fn a_restart_whose_end_was_not_heard_ends_the_old_run() {
    let mut timeline = timeline();
    apply(&mut timeline, 1, workload("app", Some(1), &[A]));
    apply(&mut timeline, 30, workload("app", Some(20), &[B]));
    assert_eq!(at(&timeline, A, 19), "app");
    assert_eq!(at(&timeline, A, 29), "external");
    assert_eq!(at(&timeline, B, 20), "app");
}

#[test]
fn words_that_arrive_late_do_not_revive_the_dead_nor_kill_the_living() {
    let mut timeline = timeline();
    apply(&mut timeline, 1, workload("app", Some(1), &[A]));
    stop(&mut timeline, 10, "app", 10);
    apply(&mut timeline, 11, workload("app", Some(1), &[A]));
    assert_eq!((at(&timeline, A, 12), timeline.counts().stale), ("app?".into(), 1));
    apply(&mut timeline, 20, workload("app", Some(20), &[A]));
    stop(&mut timeline, 21, "app", 10);
    assert_eq!(at(&timeline, A, 22), "app");
    assert_eq!(timeline.running().count(), 1);
}

#[test]
fn what_a_full_list_lacks_has_ended_unless_it_started_after() {
    let mut timeline = timeline();
    apply(&mut timeline, 1, workload("gone", Some(1), &[A]));
    apply(&mut timeline, 12, workload("young", Some(12), &[B]));
    let podman = Workload { runtime: crate::input::RuntimeId::PODMAN, ..workload("other", Some(1), &["10.88.0.2"]) };
    apply(&mut timeline, 1, podman);
    reconcile(&mut timeline, 10, &[]);
    let running: Vec<_> = timeline.running().map(|workload| workload.name.as_str()).collect();
    assert_eq!(running, ["other", "young"]);
    assert_eq!(at(&timeline, A, 9), "gone");
    assert_eq!(at(&timeline, A, 16), "external");
}

#[test]
fn an_end_that_was_inferred_wrongly_is_taken_back() {
    let mut timeline = timeline();
    apply(&mut timeline, 1, workload("app", Some(1), &[A]));
    reconcile(&mut timeline, 10, &[]);
    apply(&mut timeline, 40, workload("app", Some(1), &[A]));
    assert_eq!((at(&timeline, A, 9), at(&timeline, A, 30)), ("app".into(), "app".into()));
}

#[test]
fn an_undated_snapshot_answers_only_outside_dated_knowledge() {
    let mut timeline = timeline();
    apply(&mut timeline, 0, workload("seen", None, &[A]));
    apply(&mut timeline, 50, workload("dated", Some(50), &[A]));
    stop(&mut timeline, 60, "dated", 60);
    assert!(timeline.is_complete());
    let Owner::Workload { workload, how, confidence, why } = owner(&timeline, A, secs(3)) else { panic!("owner") };
    assert_eq!((workload.name.as_str(), how, confidence), ("seen", AttributionMethod::Snapshot, Confidence::Likely));
    assert!(why.is_some());
    assert_eq!((at(&timeline, A, 55), at(&timeline, A, 80)), ("dated".into(), "seen?".into()));
}

#[test]
fn a_dated_word_replaces_the_undated_one_of_the_same_workload() {
    let mut timeline = timeline();
    apply(&mut timeline, 0, workload("app", None, &[A]));
    apply(&mut timeline, 50, workload("app", Some(40), &[A]));
    assert_eq!((at(&timeline, A, 39), at(&timeline, A, 40)), ("external".into(), "app".into()));
}

#[test]
fn two_that_claim_one_address_are_ambiguous_unless_mac_or_veth_decides() {
    let mut timeline = timeline();
    let mut second = with_mac(workload("two", Some(2), &[A]), 2);
    second.attachments[0].host_interface = Some("veth2".into());
    apply(&mut timeline, 1, with_mac(workload("one", Some(1), &[A]), 1));
    apply(&mut timeline, 2, second);
    assert_eq!(owner_text(&owner_by(&timeline, "br-front", A, None, 3)), "one|two");
    assert_eq!(owner_text(&owner_by(&timeline, "br-front", A, Some(9), 3)), "one|two");
    let by_mac = owner_by(&timeline, "br-front", A, Some(1), 3);
    assert!(matches!(&by_mac, Owner::Workload { how: AttributionMethod::Mac, workload, .. } if workload.name == "one"));
    let by_veth = owner_by(&timeline, "veth2", A, None, 3);
    assert!(
        matches!(&by_veth, Owner::Workload { how: AttributionMethod::Veth, workload, .. } if workload.name == "two")
    );
}

#[test]
fn a_frame_with_another_workloads_mac_makes_it_only_likely() {
    let mut timeline = timeline();
    apply(&mut timeline, 1, with_mac(workload("one", Some(1), &[A]), 1));
    apply(&mut timeline, 1, with_mac(workload("two", Some(1), &[B]), 2));
    assert_eq!(owner_text(&owner_by(&timeline, "br-front", A, Some(1), 3)), "one");
    assert_eq!(owner_text(&owner_by(&timeline, "br-front", A, Some(2), 3)), "one?");
    assert_eq!(owner_text(&owner_by(&timeline, "br-front", A, Some(77), 3)), "one", "the bridge's own MAC is normal");
    assert_eq!(timeline.owner_of_mac(Mac([2, 0, 0, 0, 0, 2]), secs(3)).map(|owner| owner.name.as_str()), Some("two"));
    assert_eq!(timeline.owner_of_mac(Mac([2, 0, 0, 0, 0, 2]), secs(0)), None);
}

#[test]
fn host_workloads_own_nothing_and_joined_ones_leave_it_to_the_owner() {
    let mut timeline = timeline();
    let host = Workload { network_mode: NetworkMode::Host, ..workload("exporter", Some(1), &["192.0.2.1"]) };
    let owner_id = WorkloadId::new("owner");
    let joined = Workload { network_mode: NetworkMode::Container(owner_id), ..workload("joined", Some(1), &[A]) };
    apply(&mut timeline, 1, host);
    apply(&mut timeline, 1, joined);
    apply(&mut timeline, 1, workload("owner", Some(1), &[A]));
    assert_eq!((at(&timeline, "192.0.2.1", 2), at(&timeline, A, 2)), ("external".into(), "owner?".into()));
    assert_eq!(timeline.running().count(), 3);
    stop(&mut timeline, 3, "joined", 3);
    assert_eq!(at(&timeline, A, 4), "owner", "alone in its namespace again");
}

#[test]
fn the_host_the_unknown_and_the_outside_are_told_apart() {
    let mut timeline = timeline();
    timeline.apply(secs(0), &InventoryEvent::Network(Arc::new(front())));
    let lan = RuntimeNetwork {
        id: "net-lan".into(),
        name: "lan".into(),
        driver: "macvlan".into(),
        subnets: vec!["192.168.1.0/24".parse().expect("range")],
        gateways: vec![ip("192.168.1.1")],
        parent: None,
        bridge: None,
    };
    timeline.apply(secs(0), &InventoryEvent::Network(Arc::new(lan)));
    let uplink = ObservationPoint::new("eth0");
    let mac = Some(Mac([2, 0, 0, 0, 0, 99]));
    timeline.apply_link(&LinkEvent {
        point: uplink.clone(),
        up: true,
        mac,
        addresses: vec![ip("192.0.2.10")],
        ..LinkEvent::default()
    });
    for (address, expected) in [
        ("172.18.0.1", "host"),
        ("192.0.2.10", "host"),
        ("::ffff:192.0.2.10", "host"),
        ("127.0.0.1", "host"),
        ("::1", "host"),
        ("172.18.0.99", "unknown"),
        ("172.18.255.255", "external"),
        ("192.168.1.1", "external"),
        ("192.168.1.50", "external"),
        ("198.51.100.1", "external"),
        ("169.254.169.254", "external"),
        ("fe80::1", "external"),
        ("ff02::1", "external"),
        ("224.0.0.251", "external"),
        ("0.0.0.0", "external"),
        ("255.255.255.255", "external"),
    ] {
        assert_eq!(at(&timeline, address, 1), expected, "{address}");
    }
    assert_eq!(timeline.host_mac(&uplink), mac);
    timeline.apply(secs(1), &InventoryEvent::NetworkRemoved { id: "net-front".into() });
    assert_eq!(at(&timeline, "172.18.0.99", 2), "external");
}

#[test]
fn a_gateway_that_only_a_workload_names_is_the_hosts_in_a_bridge_network() {
    let mut timeline = timeline();
    let front = RuntimeNetwork { gateways: vec![], ..front() };
    timeline.apply(secs(0), &InventoryEvent::Network(Arc::new(front)));
    assert_eq!(at(&timeline, "172.18.0.1", 1), "unknown");
    let mut app = workload("app", Some(1), &[A]);
    app.attachments[0].gateways = vec![ip("172.18.0.1")];
    apply(&mut timeline, 1, app.clone());
    assert_eq!(at(&timeline, "172.18.0.1", 1), "host");
    app.attachments[0].network = "lan".into();
    app.attachments[0].network_id = "net-lan".into();
    app.attachments[0].gateways = vec![ip("192.168.1.1")];
    apply(&mut timeline, 2, app);
    assert_eq!(at(&timeline, "192.168.1.1", 2), "external", "an unknown network may be a macvlan");
}

#[test]
fn the_hosts_mac_can_be_learned_but_a_link_knows_better() {
    let mut timeline = timeline();
    let point = ObservationPoint::new("br-front");
    let mac = |last| Mac([2, 0, 0, 0, 0, last]);
    assert_eq!(timeline.host_mac(&point), None);
    timeline.learn_host_mac(&point, mac(1));
    assert_eq!(timeline.host_mac(&point), Some(mac(1)));
    timeline.apply_link(&LinkEvent { point: point.clone(), up: true, mac: Some(mac(2)), ..LinkEvent::default() });
    assert_eq!(timeline.host_mac(&point), Some(mac(2)));
}

#[test]
fn a_network_is_found_by_bridge_by_veth_and_by_range() {
    let mut timeline = timeline();
    timeline.apply(secs(0), &InventoryEvent::Network(Arc::new(front())));
    let mut app = workload("app", Some(1), &[A]);
    app.attachments[0].host_interface = Some("veth7".into());
    apply(&mut timeline, 1, app);
    let found = |point: &str, address: &str| {
        timeline.network_at(&ObservationPoint::new(point), ip(address)).map(|network| network.name.clone())
    };
    assert_eq!(found("br-front", "203.0.113.1").as_deref(), Some("front"));
    assert_eq!(found("veth7", "203.0.113.1").as_deref(), Some("front"));
    assert_eq!(found("eth0", "172.18.3.4").as_deref(), Some("front"));
    assert_eq!(found("eth0", "203.0.113.1"), None);
}

#[test]
fn the_word_is_complete_between_a_full_list_and_the_next_cut() {
    let mut timeline = timeline();
    let runtime = crate::input::RuntimeId::DOCKER;
    assert!(!timeline.is_complete());
    timeline.apply(secs(1), &InventoryEvent::Connected { runtime });
    assert!(!timeline.is_complete(), "the first list is still being read");
    reconcile(&mut timeline, 2, &[]);
    assert!(timeline.is_complete());
    timeline.apply(secs(3), &InventoryEvent::Disconnected { runtime, error: "cut".into() });
    assert!(!timeline.is_complete());
}

#[test]
fn one_silent_runtime_makes_the_word_of_all_incomplete() {
    let mut timeline = timeline();
    let report = |timeline: &mut super::Timeline, at, event| timeline.apply(secs(at), &event);
    let connected = |runtime: &str| InventoryEvent::Connected { runtime: runtime.parse().expect("a runtime") };
    let lost = |runtime: &str| InventoryEvent::Disconnected {
        runtime: runtime.parse().expect("a runtime"),
        error: "cut".into(),
    };
    let listed =
        |runtime: &str| InventoryEvent::Reconciled { runtime: runtime.parse().expect("a runtime"), running: vec![] };
    report(&mut timeline, 1, listed("docker"));
    report(&mut timeline, 1, lost("podman"));
    assert!(timeline.is_complete(), "podman never answered");
    report(&mut timeline, 2, connected("containerd"));
    assert!(!timeline.is_complete(), "containerd still lists");
    report(&mut timeline, 3, listed("containerd"));
    assert!(timeline.is_complete());
    report(&mut timeline, 4, lost("docker"));
    assert!(!timeline.is_complete(), "containerd does not speak for docker");
    report(&mut timeline, 5, connected("docker"));
    assert!(!timeline.is_complete());
    report(&mut timeline, 6, listed("docker"));
    assert!(timeline.is_complete());
    report(&mut timeline, 7, lost("containerd"));
    assert!(!timeline.is_complete());
    report(&mut timeline, 7, InventoryEvent::GivenUp { runtime: crate::input::RuntimeId::CONTAINERD });
    assert!(timeline.is_complete(), "it was removed");
    report(&mut timeline, 7, listed("podman-1000"));
    report(&mut timeline, 8, lost("podman-1000"));
    assert!(timeline.is_complete(), "a user cannot silence what rests on the host's runtimes");
}

#[test]
fn a_created_container_owns_nothing_until_it_runs() {
    let mut timeline = timeline();
    apply(&mut timeline, 1, Workload { state: WorkloadState::Created, ..workload("app", None, &[A]) });
    assert_eq!((at(&timeline, A, 2), timeline.running().count()), ("external".into(), 0));
    apply(&mut timeline, 4, workload("app", Some(3), &[A]));
    assert_eq!((at(&timeline, A, 2), at(&timeline, A, 3)), ("external".into(), "app".into()));
    apply(&mut timeline, 5, Workload { state: WorkloadState::Paused, ..workload("app", Some(3), &[A]) });
    assert_eq!(at(&timeline, A, 6), "app", "a frozen container keeps its addresses");
}

#[test]
fn ten_thousand_created_and_removed_leave_a_bounded_memory() {
    let mut timeline = Timeline::new(TimelineLimits { workloads: 100, remember: Duration::from_mins(10) });
    for n in 0..10_000 {
        let id = format!("short-{n}");
        apply(&mut timeline, n, workload(&id, Some(n), &[A]));
        stop(&mut timeline, n + 1, &id, n + 1);
    }
    assert_eq!((timeline.len(), timeline.lifecycles.index.len()), (100, 100));
    assert_eq!(timeline.counts().evicted, 9_900);
    assert_eq!(at(&timeline, A, 9_999), "short-9999");
    assert_eq!(at(&timeline, A, 9_000), "external", "the oldest dead went first");
}

#[test]
fn the_dead_are_forgotten_after_their_time() {
    let mut timeline = timeline();
    apply(&mut timeline, 1, workload("app", Some(1), &[A]));
    stop(&mut timeline, 10, "app", 10);
    apply(&mut timeline, 610, workload("later", Some(610), &[B]));
    assert_eq!(timeline.len(), 2);
    apply(&mut timeline, 611, workload("later", Some(610), &[B]));
    assert_eq!((timeline.len(), timeline.counts().evicted), (1, 0));
    assert!(timeline.workload(&WorkloadId::new("app")).is_none());
}

#[test]
fn with_no_dead_left_newcomers_are_refused_and_counted() {
    let mut timeline = Timeline::new(TimelineLimits { workloads: 2, remember: Duration::from_mins(10) });
    for id in ["one", "two", "three"] {
        apply(&mut timeline, 1, workload(id, Some(1), &[A]));
    }
    assert_eq!((timeline.len(), timeline.counts().refused), (2, 1));
    stop(&mut timeline, 2, "one", 2);
    apply(&mut timeline, 3, workload("three", Some(1), &[A]));
    assert!(timeline.workload(&WorkloadId::new("three")).is_some());
}

#[test]
fn one_workload_cannot_fill_the_memory() {
    let mut timeline = timeline();
    for n in 0..2_000_i64 {
        let address = format!("10.{}.{}.2", n / 250, n % 250);
        apply(&mut timeline, n / 10, workload("app", Some(0), &[&address]));
    }
    let many: Vec<String> = (0..2_000).map(|n| format!("10.99.{}.{}", n / 250, n % 250)).collect();
    let many: Vec<&str> = many.iter().map(String::as_str).collect();
    apply(&mut timeline, 300, workload("greedy", Some(300), &many));
    assert!(timeline.lifecycles.index.len() <= 512, "{}", timeline.lifecycles.index.len());
    assert!(timeline.counts().spans_dropped > 3_000);
    assert_eq!(at(&timeline, "10.7.249.2", 200), "app", "the newest is kept");
}

#[test]
fn an_address_of_more_owners_than_are_told_apart_is_anybodys() {
    use crate::inventory::timeline::index::MAX_OWNERS;
    let mut timeline = Timeline::new(TimelineLimits { workloads: 1000, remember: Duration::from_mins(10) });
    let ask = |timeline: &Timeline| {
        let point = ObservationPoint::new("br-net");
        timeline.attribute(&AttributionQuery {
            point: &point,
            ip: ip("172.20.0.9"),
            socket: None,
            mac: None,
            at: secs(60),
        })
    };
    for number in 0..=MAX_OWNERS {
        if number == MAX_OWNERS {
            let Owner::Ambiguous { candidates, host: false } = ask(&timeline) else { panic!("several claim it") };
            assert_eq!(candidates.len(), MAX_OWNERS);
        }
        apply(&mut timeline, 1, workload(&format!("w{number}"), Some(1), &["172.20.0.9"]));
    }
    assert_eq!(ask(&timeline), Owner::Ambiguous { candidates: vec![], host: false });
    assert_eq!(timeline.owner_of_mac(Mac([2, 0, 0, 0, 0, 9]), secs(60)), None);
}

//! `namespace-mismatch` and `joined-namespace`.

use hopwatch::engine::EngineConfig;
use hopwatch::input::*;

use super::facts::{HOST, id, interface, pod, stray};
use crate::support::world::{World, config, named};

fn allowing(name: &str) -> EngineConfig {
    let mut config = config();
    config.rules.namespace_mismatch.allowed = vec![named(name)];
    config.rules.joined_namespace.allowed = vec![named(name)];
    config
}

const MISMATCH: &str = "namespace-mismatch web-1 high";

#[test]
fn a_first_process_in_the_hosts_namespace_is_told_once_it_has_settled_whoever_speaks_first() {
    for kernel_first in [true, false] {
        let mut world = World::new(config());
        world.host(0, &[]);
        if kernel_first {
            world.processes(100, "web-1", HOST, &[]);
            world.start(300, "web-1", 10);
        } else {
            world.start(100, "web-1", 10);
            world.processes(300, "web-1", HOST, &[]);
        }
        world.tick(1299);
        assert!(world.raised().is_empty(), "{:?}", world.raised());
        world.tick(1300);
        assert_eq!(world.raised(), [MISMATCH]);
        let evidence = world.evidence();
        assert!(evidence.contains("[runtime] docker says it has networks of its own"), "{evidence}");
        assert!(evidence.contains("[kernel] the kernel shows its first process in net:[1], the host's"), "{evidence}");
        world.processes(5000, "web-1", HOST, &[]);
        world.tick(9000);
        assert_eq!(world.times("namespace-mismatch"), 1);
    }
}

#[test]
fn it_does_not_matter_when_the_hosts_namespace_is_told() {
    let mut world = World::new(config());
    world.start(0, "web-1", 10);
    world.processes(0, "web-1", HOST, &[]);
    world.tick(5000);
    assert!(world.raised().is_empty());
    world.host(5000, &["web-1"]);
    world.tick(6000);
    assert_eq!(world.raised(), [MISMATCH]);
}

#[test]
fn a_start_that_passes_through_the_hosts_namespace_is_normal() {
    let mut world = World::new(config());
    world.host(0, &[]);
    world.start(100, "web-1", 10);
    world.processes(100, "web-1", HOST, &[]);
    world.processes(400, "web-1", NetnsId(7), &[]);
    world.tick(10_000);
    assert!(world.raised().is_empty(), "{:?}", world.raised());
}

#[test]
fn a_stray_in_the_hosts_namespace_is_told_at_once_and_each_one_counts_once() {
    let mut world = World::new(config());
    world.host(0, &[]);
    let own = world.settled(0, "web-1", 10);
    world.processes(9000, "web-1", own, &[stray(77, "nsenter", HOST)]);
    assert_eq!(world.raised(), [MISMATCH]);
    assert!(world.evidence().contains("its process 77 (nsenter) is in net:[1], the host's namespace"));
    world.processes(9500, "web-1", own, &[stray(77, "nsenter", HOST)]);
    world.processes(9900, "web-1", own, &[stray(77, "nsenter", HOST), stray(78, "curl", HOST)]);
    assert_eq!(world.raised().len(), 1);
    assert_eq!(world.times("namespace-mismatch"), 2);
}

#[test]
fn a_runtimes_helper_gains_a_moment_by_its_name_and_no_more() {
    let mut world = World::new(config());
    world.host(0, &[]);
    let own = world.settled(0, "web-1", 10);
    world.processes(9000, "web-1", own, &[stray(77, "runc:[1:CHILD]", HOST)]);
    world.processes(9100, "web-1", own, &[]);
    world.tick(20_000);
    assert!(world.raised().is_empty(), "{:?}", world.raised());
    world.processes(21_000, "web-1", own, &[stray(78, "runc", HOST)]);
    world.tick(22_000);
    assert_eq!(world.raised(), [MISMATCH]);
}

#[test]
fn a_stray_elsewhere_is_told_when_it_stays_and_whose_namespace_it_is() {
    let (mut stays, mut leaves) = (World::new(config()), World::new(config()));
    for world in [&mut stays, &mut leaves] {
        world.host(0, &[]);
        let own = world.settled(0, "web-1", 10);
        let other = world.settled(0, "db", 20);
        world.processes(9000, "web-1", own, &[stray(77, "nsenter", other)]);
        assert!(world.raised().is_empty(), "{:?}", world.raised());
    }
    leaves.processes(9500, "web-1", NetnsId(110), &[]);
    leaves.tick(20_000);
    assert!(leaves.raised().is_empty());
    stays.processes(9500, "web-1", NetnsId(110), &[stray(77, "nsenter", NetnsId(120))]);
    assert_eq!(stays.raised(), [MISMATCH]);
    assert!(stays.evidence().contains("net:[120], the namespace of db"), "{}", stays.evidence());
}

#[test]
fn an_allowed_workload_and_a_namespace_of_ones_own_making_are_normal() {
    let mut world = World::new(allowing("agent"));
    world.host(0, &[]);
    let agent = world.settled(0, "agent", 10);
    let web = world.settled(0, "web-1", 11);
    world.processes(9000, "agent", agent, &[stray(77, "nsenter", HOST)]);
    world.processes(9000, "web-1", web, &[stray(78, "unshare", NetnsId(999))]);
    world.tick(20_000);
    assert!(world.raised().is_empty(), "{:?}", world.raised());
}

#[test]
fn the_same_process_in_another_namespace_has_moved_and_a_new_one_has_restarted() {
    let mut world = World::new(config());
    world.host(0, &[]);
    world.settled(0, "web-1", 10);
    world.processes(9000, "web-1", NetnsId(555), &[]);
    world.start_with(9200, "web-1", 10, |workload| workload.pid = Some(2));
    world.tick(20_000);
    assert!(world.raised().is_empty(), "a restart: {:?}", world.raised());
    world.processes(21_000, "web-1", NetnsId(556), &[]);
    world.tick(23_000);
    assert_eq!(world.raised(), [MISMATCH]);
    assert!(world.evidence().contains("it started in net:[555]"), "{}", world.evidence());
}

#[test]
fn a_stop_and_a_start_begin_anew() {
    let mut world = World::new(config());
    world.host(0, &[]);
    world.settled(0, "web-1", 10);
    world.stop(9000, "web-1");
    world.start(9500, "web-1", 10);
    world.processes(9600, "web-1", NetnsId(555), &[]);
    world.tick(20_000);
    assert!(world.raised().is_empty(), "{:?}", world.raised());
}

#[test]
fn of_two_that_share_unasked_the_younger_is_told() {
    let mut world = World::new(config());
    world.host(0, &[]);
    world.start(0, "db", 20);
    world.start(1000, "web-1", 10);
    world.processes(1000, "db", NetnsId(7), &[]);
    world.processes(1000, "web-1", NetnsId(7), &[]);
    world.view(1000, NetnsId(7), &["db", "web-1"], vec![]);
    world.tick(5000);
    assert_eq!(world.raised(), [MISMATCH]);
    assert!(world.evidence().contains("the namespace of db"), "{}", world.evidence());
}

#[test]
fn one_pod_and_a_join_by_the_runtimes_word_share_by_right() {
    let mut world = World::new(allowing("sidecar"));
    world.host(0, &[]);
    world.start_with(0, "pause", 20, |workload| workload.pod = Some(pod("shop", true)));
    world.start_with(0, "app", 20, |workload| workload.pod = Some(pod("shop", false)));
    world.start(0, "web", 30);
    world.start_with(0, "sidecar", 30, |workload| workload.network_mode = NetworkMode::Container(id("web")));
    for (name, netns) in [("pause", 7), ("app", 7), ("web", 8), ("sidecar", 8)] {
        world.processes(10, name, NetnsId(netns), &[]);
    }
    world.view(10, NetnsId(7), &["app", "pause"], vec![]);
    world.view(10, NetnsId(8), &["sidecar", "web"], vec![]);
    world.tick(20_000);
    assert!(world.raised().is_empty(), "{:?}", world.raised());
}

fn join(world: &mut World, millis: u64, name: &str, whom: &str) {
    world.start_with(millis, name, 40, |workload| {
        workload.attachments.clear();
        workload.network_mode = NetworkMode::Container(id(whom));
    });
}

#[test]
fn a_join_is_told_once_with_both_words() {
    let mut world = World::new(config());
    world.host(0, &[]);
    world.settled(0, "db", 20);
    world.processes(900, "web-1", NetnsId(120), &[]);
    join(&mut world, 1000, "web-1", "db");
    assert_eq!(world.raised(), ["joined-namespace web-1 medium"]);
    let evidence = world.evidence();
    assert!(evidence.contains("docker says it joined the network of db"), "{evidence}");
    assert!(evidence.contains("the kernel shows both in net:[120]"), "{evidence}");
    world.start_with(2000, "web-1", 40, |workload| {
        workload.network_mode = NetworkMode::Container(id("db"));
        workload.labels.insert("changed".into(), "yes".into());
    });
    world.tick(9000);
    assert_eq!(world.times("joined-namespace"), 1);
}

#[test]
fn a_join_is_normal_inside_a_pod_and_where_it_is_allowed() {
    let mut world = World::new(allowing("sidecar"));
    world.start_with(0, "pause", 20, |workload| workload.pod = Some(pod("shop", true)));
    world.start_with(0, "app", 40, |workload| {
        workload.pod = Some(pod("shop", false));
        workload.network_mode = NetworkMode::Container(id("pause"));
    });
    join(&mut world, 0, "sidecar", "pause");
    world.tick(9000);
    assert!(world.raised().is_empty(), "{:?}", world.raised());
    world.start_with(9000, "thief", 40, |workload| {
        workload.pod = Some(pod("other", false));
        workload.network_mode = NetworkMode::Container(id("pause"));
    });
    assert_eq!(world.raised(), ["joined-namespace thief medium"]);
}

#[test]
fn a_join_waits_a_moment_for_the_workload_that_was_joined() {
    let (mut told, mut untold) = (World::new(config()), World::new(config()));
    for world in [&mut told, &mut untold] {
        join(world, 1000, "web-1", "db");
        assert!(world.raised().is_empty(), "{:?}", world.raised());
    }
    told.start(1500, "db", 20);
    for world in [&mut told, &mut untold] {
        world.tick(2000);
        assert_eq!(world.raised(), ["joined-namespace web-1 medium"]);
    }
    assert!(told.evidence().contains("the network of db"), "{}", told.evidence());
    assert!(untold.evidence().contains("the network of db0000000000, about which it reports nothing more"));
}

#[test]
fn a_join_of_a_container_on_the_hosts_network_is_told_by_the_other_rule_in_either_order() {
    for host_first in [true, false] {
        let mut world = World::new(config());
        let host = |world: &mut World| {
            world.start_with(1000, "agent", 20, |workload| workload.network_mode = NetworkMode::Host);
        };
        if host_first {
            host(&mut world);
        }
        join(&mut world, 1000, "web-1", "agent");
        if !host_first {
            host(&mut world);
        }
        world.tick(9000);
        let mut raised = world.raised();
        raised.sort();
        assert_eq!(raised, ["unexpected-host-network agent high", "unexpected-host-network web-1 high"]);
    }
}

#[test]
fn where_the_runtime_does_not_say_who_joins_whom_the_kernels_word_counts() {
    let mut world = World::new(config());
    world.host(0, &[]);
    for (millis, name) in [(0, "db"), (1000, "thief")] {
        world.start_with(millis, name, 20, |workload| {
            workload.runtime = hopwatch::input::RuntimeId::CONTAINERD;
            workload.attachments.clear();
        });
        world.processes(1000, name, NetnsId(7), &[]);
    }
    world.view(1000, NetnsId(7), &["db", "thief"], vec![]);
    world.tick(5000);
    world.view(6000, NetnsId(7), &["db", "thief"], vec![]);
    assert_eq!(world.raised(), ["joined-namespace thief medium"]);
    assert!(world.evidence().contains("containerd does not say whose network it uses"), "{}", world.evidence());
    assert_eq!(world.times("joined-namespace"), 1);
}

#[test]
fn containers_of_a_rootless_daemon_share_its_namespace_by_right() {
    let mut world = World::new(config());
    world.host(0, &[]);
    for name in ["a", "b"] {
        world.start_with(0, name, 20, |workload| {
            workload.attachments.clear();
            workload.network_mode = NetworkMode::Rootless("rootlesskit".into());
        });
        world.processes(0, name, NetnsId(7), &[]);
    }
    let bridge = interface(3, "bridge", "docker0");
    world.view(0, NetnsId(7), &["a", "b"], vec![interface(2, "tun", "tap0"), bridge]);
    world.tick(1900);
    assert!(world.raised().is_empty(), "{:?}", world.raised());
}

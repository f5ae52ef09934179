//! The kernel's word on a container's first process against its runtime's, driven by facts through the engine.

use std::sync::Arc;

use hopwatch::engine::EngineConfig;
use hopwatch::input::*;
use hopwatch::inventory::configuration::{DOCKER_DEFAULT, effective};

use super::facts::id;
use crate::support::world::{World, config};

const RAISED: &str = "capability-raised app high";

fn world() -> World {
    World::new(EngineConfig { contracts: vec![], ..config() })
}

/// A container of the usual rights, with this first process.
fn start(world: &mut World, millis: u64, name: &str, pid: u32) {
    let capabilities = Some(effective(DOCKER_DEFAULT, &[], &[], false));
    let configuration = Arc::new(Configuration { capabilities, ..Configuration::default() });
    world.start_with(millis, name, 10, |workload| {
        workload.pid = Some(pid);
        workload.configuration = Some(configuration);
    });
}

/// The kernel shows that it may have these beside the usual.
fn shown(world: &mut World, millis: u64, name: &str, pid: u32, more: &[&str]) {
    let bounding = DOCKER_DEFAULT.iter().chain(more).map(|name| (*name).to_owned()).collect();
    let rights = ProcessRights {
        workload: id(name),
        pid,
        start: u64::from(pid),
        effective: [].into(),
        bounding,
        no_new_privileges: Some(false),
        seccomp: Some(SeccompMode::Filter),
        own_users: false,
    };
    world.kernel(millis, KernelFact::Rights(Arc::new(rights)));
}

#[test]
fn a_right_that_the_runtime_denies_is_reported_in_either_order_and_once() {
    for kernel_first in [false, true] {
        let mut world = world();
        if kernel_first {
            shown(&mut world, 0, "app", 7, &["CAP_SYS_ADMIN"]);
        }
        start(&mut world, 10, "app", 7);
        shown(&mut world, 20, "app", 7, &["CAP_SYS_ADMIN"]);
        world.tick(2_900);
        assert!(world.raised().is_empty(), "it may yet be given up");
        world.tick(3_100);
        assert_eq!(world.raised(), [RAISED]);
        start(&mut world, 4_000, "app", 7);
        shown(&mut world, 5_000, "app", 7, &["CAP_SYS_ADMIN"]);
        world.tick(60_000);
        assert_eq!(world.raised(), [RAISED]);
    }
}

#[test]
fn the_runtimes_own_process_at_a_start_is_not() {
    let mut world = world();
    start(&mut world, 10, "app", 7);
    shown(&mut world, 20, "app", 7, &["CAP_SYS_ADMIN"]);
    shown(&mut world, 1_020, "app", 7, &[]);
    world.tick(60_000);
    assert!(world.raised().is_empty());
}

#[test]
fn the_process_of_an_earlier_run_is_not_compared() {
    let mut world = world();
    start(&mut world, 10, "app", 8);
    shown(&mut world, 20, "app", 7, &["CAP_SYS_ADMIN"]);
    world.tick(60_000);
    assert!(world.raised().is_empty());
    shown(&mut world, 61_000, "app", 8, &["CAP_NET_ADMIN"]);
    world.tick(70_000);
    assert_eq!(world.raised(), ["capability-raised app medium"]);
}

#[test]
fn a_container_that_ends_before_it_is_sure_is_forgotten() {
    let mut world = world();
    start(&mut world, 10, "app", 7);
    shown(&mut world, 20, "app", 7, &["CAP_SYS_ADMIN"]);
    world.stop(1_000, "app");
    world.tick(60_000);
    assert!(world.raised().is_empty());
}

/// The kernel shows these mounted: path and kind.
fn mounted(world: &mut World, millis: u64, mounts: &[(&str, &str)]) {
    let mount = |(id, (target, kind)): (u32, &(&str, &str))| KernelMount {
        id,
        target: (*target).to_owned(),
        kind: (*kind).to_owned(),
        source: "x".to_owned(),
        root: "/".to_owned(),
    };
    let mounts = (1..).zip(mounts).map(mount).collect();
    let fact = ProcessMounts { workload: id("app"), pid: 7, start: 7, mounts, omitted: 0 };
    world.kernel(millis, KernelFact::Mounts(Arc::new(fact)));
}

const OWN: [(&str, &str); 2] = [("/etc/resolv.conf", "ext4"), ("/etc/hosts", "ext4")];

#[test]
fn a_mount_that_comes_later_is_the_rules_whose_place_it_covers() {
    for (target, told) in [
        ("/var/log", "sensitive-mount app high"),
        ("/etc/ssl/certs", "sensitive-mount app high"),
        ("/etc/fluent-bit", "sensitive-mount app high"),
        ("/etc", "sensitive-mount app high"),
        ("/etc/hosts", "proxy-settings-changed app high"),
        ("/etc/resolv.conf", "proxy-settings-changed app high"),
    ] {
        let mut world = world();
        start(&mut world, 10, "app", 7);
        mounted(&mut world, 20, &OWN);
        world.tick(10_000);
        assert!(world.raised().is_empty());
        mounted(&mut world, 11_000, &[OWN[0], OWN[1], (target, "tmpfs")]);
        world.tick(30_000);
        assert_eq!(world.raised(), [told], "{target}");
        mounted(&mut world, 31_000, &[OWN[0], OWN[1], (target, "tmpfs"), ("/var/log/x", "tmpfs")][..3]);
        world.tick(60_000);
        assert_eq!(world.raised(), [told], "it was told");
    }
}

#[test]
fn what_was_mounted_at_the_first_look_is_reported_where_no_document_names_it() {
    let mut world = world();
    mounted(&mut world, 5, &[OWN[0], OWN[1], ("/var/log", "tmpfs")]);
    start(&mut world, 10, "app", 7);
    world.tick(10_000);
    assert_eq!(world.raised(), ["sensitive-mount app medium"]);
}

#[test]
fn a_container_that_starts_anew_has_another_first_look() {
    let mut world = world();
    start(&mut world, 10, "app", 7);
    mounted(&mut world, 20, &OWN);
    world.stop(1_000, "app");
    start(&mut world, 2_000, "app", 7);
    mounted(&mut world, 2_010, &[OWN[1], OWN[0]]);
    world.tick(60_000);
    assert!(world.raised().is_empty());
}

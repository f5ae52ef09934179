//! What the Docker reader asks beyond an inspect: whom a name means, and the network that Swarm's workloads leave by.

#![allow(clippy::disallowed_methods, reason = "test code: failures panic, patience needs a clock")]

use std::sync::Arc;
use std::time::Duration;

use crate::support::background_reader::BackgroundReader;
use crate::support::fake_runtime::{Answer, FakeRuntime};
use crate::support::patience::{PATIENCE, wait_until};
use hopwatch::input::{InventoryEvent, NetworkMode, Workload};
use hopwatch::inventory::docker::reader::{DockerOptions, DockerReader};
use hopwatch::inventory::reader::RuntimeReader as _;

const VERSION: &str = r#"{"ApiVersion":"1.41","Components":[{"Name":"Engine","Version":"20.10"}]}"#;
const VPN: &str = "b32da471a39f96783eb3707d6050b199ee1f9a5a27958998bb60b3ddf74bacdf";
const GATEWAY: &str = r#"{"Id":"gw","Name":"docker_gwbridge","Driver":"bridge","IPAM":{"Config":[{"Subnet":"172.18.0.0/16"}]},
    "Containers":{"abc":{"Name":"gateway_1","MacAddress":"02:42:ac:12:00:03","IPv4Address":"172.18.0.3/16"}}}"#;

fn container(mode: &str, settings: &str) -> String {
    format!(
        r#"{{"Id":"abc","Name":"/app","State":{{"Status":"running","Pid":0,"StartedAt":"2026-11-24T12:00:00Z"}},
            "HostConfig":{{"NetworkMode":"{mode}"}},"NetworkSettings":{{{settings}}}}}"#
    )
}

/// A daemon with one container that is described so, a VPN container, and Swarm's gateway network.
fn daemon(described: String) -> FakeRuntime {
    FakeRuntime::new(move |path, answer: Answer| {
        match path {
        "/version" => answer.json(VERSION),
        "/networks" => answer.json(&format!("[{}]", GATEWAY.replace("\"abc\"", "\"\""))),
        "/networks/gw" => answer.json(GATEWAY),
        "/containers/json" => answer.json(
            r#"[{"Id":"abc","Names":["/app"],"State":"running","NetworkSettings":{"Networks":{"over":{"IPAddress":"10.0.1.5"}}}}]"#,
        ),
        "/containers/abc/json" => answer.json(&described),
        "/containers/gluetun/json" | "/containers/b32da471a39f/json" => answer.json(&format!(r#"{{"Id":"{VPN}"}}"#)),
        "/events" => {
            let open = answer.open();
            std::thread::sleep(PATIENCE);
            drop(open);
        }
        _ => answer.gone(),
    }
    })
}

fn options(fake: &FakeRuntime) -> DockerOptions {
    DockerOptions { host: fake.host(), reconcile_interval: Duration::from_secs(1), ..DockerOptions::default() }
}

fn snapshot(fake: &FakeRuntime) -> Arc<Workload> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("runtime");
    let events = runtime.block_on(DockerReader::new(options(fake)).snapshot()).expect("a snapshot");
    let workload = |event| if let InventoryEvent::Workload(workload) = event { Some(workload) } else { None };
    events.into_iter().find_map(workload).expect("a workload")
}

#[test]
fn a_join_by_name_is_resolved_by_the_daemon_and_a_hostile_name_is_never_asked_for() {
    for (reference, means) in [
        ("gluetun", VPN),
        ("b32da471a39f", VPN),
        ("stranded", "stranded"),
        ("../networks", "../networks"),
        ("a?force=1", "a?force=1"),
        (VPN, VPN),
    ] {
        let fake = daemon(container(&format!("container:{reference}"), ""));
        let mode = snapshot(&fake).network_mode.clone();
        assert_eq!(mode.to_string(), format!("container:{means}"), "{reference}");
        let asked = fake.asked().iter().any(|line| line.contains(&format!("/containers/{reference}/")));
        assert_eq!(asked, ["gluetun", "b32da471a39f", "stranded"].contains(&reference), "{:?}", fake.asked());
    }
}

#[test]
fn the_way_out_of_an_overlay_network_is_read_from_its_network() {
    if !nix::unistd::geteuid().is_root() {
        println!("skipped: a user's runtime has no networks of the host");
        return;
    }
    let over = r#""Networks":{"over":{"NetworkID":"o","IPAddress":"10.0.1.5"}}"#;
    let workload = snapshot(&daemon(container("over", over)));
    let addresses: Vec<String> = workload.addresses().map(|ip| ip.to_string()).collect();
    assert_eq!((addresses.join(" "), &workload.network_mode), ("172.18.0.3 10.0.1.5".to_owned(), &NetworkMode::Own));
    let with_gateway = r#""Networks":{"over":{"NetworkID":"o","IPAddress":"10.0.1.5","Gateway":"10.0.1.1"}}"#;
    let fake = daemon(container("over", with_gateway));
    assert_eq!(snapshot(&fake).addresses().count(), 1);
    assert!(fake.asked().iter().all(|line| !line.contains("/networks/gw")), "one that has a gateway needs no other");
}

#[test]
fn a_container_that_did_not_change_costs_no_call_after_the_first() {
    // As the list has it.
    let over = r#""Networks":{"over":{"NetworkID":"o","IPAddress":"10.0.1.5","Gateway":"10.0.1.1"}}"#;
    let fake = daemon(container("over", over));
    let reader = BackgroundReader::by(options(&fake));
    let asked = |part: &str| fake.asked().iter().filter(|line| line.contains(part)).count();
    // The whole list is compared every second.
    wait_until("the list was compared three times", || asked("/containers/json") >= 4);
    assert_eq!(asked("/containers/abc/json"), 1, "{:?}", fake.asked());
    drop(reader);
}

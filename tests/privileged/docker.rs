//! The Docker reader against a real daemon: what it tells must be what happened, and when.
//!
//! Needs root and an installed `dockerd`; says why it skips otherwise. All in one test, because a daemon takes seconds.

#![allow(clippy::disallowed_methods, reason = "test code: failures panic, patience needs a clock")]

use std::sync::Arc;
use std::time::Duration;

use crate::support::background_reader::BackgroundReader;
use crate::support::dockerd::{self, Dockerd, IMAGE};
use crate::support::netns::again_inside;
use crate::support::patience::wait_until;
use hopwatch::input::{InventoryEvent, NetworkMode, RuntimeId, Workload, WorkloadId};
use hopwatch::inventory::docker::reader::{DockerOptions, DockerReader};
use hopwatch::inventory::reader::{ReaderError, RuntimeReader as _};
use hopwatch::time::Timestamp;

/// Names the daemon's socket to the part that runs inside its namespace.
const INSIDE: &str = "HOPWATCH_TEST_DOCKER_HOST";

fn sleeper<'a>(name: &'a str, more: &[&'a str]) -> Vec<&'a str> {
    [&["run", "-d", "--name", name], more, &[IMAGE, "sleep", "600"]].concat()
}

#[test]
fn what_a_real_daemon_does_is_told() {
    if let Some(why) = dockerd::unavailable() {
        println!("skipped: no Docker daemon can be started here: {why}");
        return;
    }
    let mut daemon = Dockerd::start(&["--live-restore"]);
    daemon.docker(&["network", "create", "--subnet", "172.30.1.0/24", "front"]);
    daemon.docker(&sleeper("before", &["--network", "front", "--label", "com.docker.compose.project=shop"]));
    snapshot_of(&daemon);
    veths_of(&daemon);

    let options =
        DockerOptions { host: daemon.host(), reconcile_interval: Duration::from_secs(2), ..DockerOptions::default() };
    let told = BackgroundReader::by(options);
    told.next("the connection", |event| matches!(event, InventoryEvent::Connected { .. }).then_some(()));
    let before = told.workload("before");
    assert_eq!(told.reconciled(), std::slice::from_ref(&before.id));

    start_and_stop(&daemon, &told);
    half_a_second(&daemon, &told);
    two_networks(&daemon, &told);
    shared_namespaces(&daemon, &told);
    networks_come_and_go(&daemon, &told);
    restart(&mut daemon, &told, &before);
}

/// The whole inventory at once, in the reader's own call.
fn snapshot_of(daemon: &Dockerd) {
    let options = DockerOptions { host: daemon.host(), ..DockerOptions::default() };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("runtime");
    let events = runtime.block_on(DockerReader::new(options).snapshot()).expect("snapshot");
    let names: Vec<String> = events
        .iter()
        .filter_map(|event| match event {
            InventoryEvent::Network(network) => Some(network.name.clone()),
            InventoryEvent::Workload(workload) => Some(workload.name.clone()),
            _ => None,
        })
        .collect();
    assert_eq!(names.len(), 5, "{names:?}");
    for name in ["bridge", "host", "none", "front", "before"] {
        assert!(names.iter().any(|known| known == name), "{name} in {names:?}");
    }
    let Some(InventoryEvent::Workload(before)) = events.last() else { panic!("networks come first: {events:?}") };
    assert_eq!(before.compose_project(), Some("shop"));
    let [attachment] = &before.attachments[..] else { panic!("{before:?}") };
    assert_eq!(attachment.addresses, ["172.30.1.2".parse::<std::net::IpAddr>().expect("address")]);
    let settings = before.configuration.as_ref().expect("an inspect");
    assert_eq!(settings.logging.as_ref().map(|logging| logging.driver.as_str()), Some("json-file"));
    assert_eq!(settings.capabilities.as_ref().map(std::collections::BTreeSet::len), Some(14), "Docker's default");
    assert!(settings.unread.is_empty() && !settings.command.is_empty(), "{settings:?}");
    assert!(attachment.mac.is_some() && before.pid.is_some() && before.image_digest.starts_with("sha256:"));
}

/// Runs [`a_reader_in_the_hosts_namespace_names_the_veths`] in the namespace that the daemon takes for the host's.
fn veths_of(daemon: &Dockerd) {
    let said = again_inside(
        daemon.netns(),
        "docker::a_reader_in_the_hosts_namespace_names_the_veths",
        (INSIDE, &daemon.host()),
    );
    assert!(said.contains("found "), "{said}");
}

#[test]
fn a_reader_in_the_hosts_namespace_names_the_veths() {
    let Ok(host) = std::env::var(INSIDE) else {
        println!("not alone: runs as a part of what_a_real_daemon_does_is_told");
        return;
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("runtime");
    let reader = DockerReader::new(DockerOptions { host, ..DockerOptions::default() });
    let events = runtime.block_on(reader.snapshot()).expect("snapshot");
    let Some(InventoryEvent::Workload(before)) = events.last() else { panic!("{events:?}") };
    let veth = before.attachments[0].host_interface.clone().expect("veth");
    let here = hopwatch::host::interfaces().expect("interfaces");
    let found = here.iter().find(|interface| interface.name == veth).expect("an interface of this namespace");
    assert!(found.up && found.mac.is_some() && found.mac != before.attachments[0].mac, "{found:?}");
    let InventoryEvent::Network(network) =
        events.iter().find(|event| matches!(event, InventoryEvent::Network(n) if n.name == "front")).expect("front")
    else {
        panic!("{events:?}")
    };
    let bridge = network.bridge.as_deref().expect("bridge");
    let bridge = here.iter().find(|interface| interface.name == bridge).expect("the bridge");
    assert_eq!(bridge.addresses.first(), before.attachments[0].gateways.first());
    println!("found {veth}");
}

fn start_and_stop(daemon: &Dockerd, told: &BackgroundReader) {
    let id = WorkloadId::new(&daemon.docker(&sleeper("app", &[])));
    let app = told.workload("app");
    assert_eq!((&app.id, app.attachments.len(), app.image.as_str()), (&id, 1, IMAGE));
    let started = daemon.docker(&["inspect", "-f", "{{.State.StartedAt}}", "app"]);
    let (since, written) = (app.since.expect("dated"), started.parse::<Timestamp>().expect("time"));
    assert!(since < written && written.since(since) < Duration::from_secs(5), "{since} {written}: from the connect on");
    daemon.docker(&["rename", "app", "renamed"]);
    assert_eq!(told.workload("renamed").since, Some(since), "a new name is not a new start");
    daemon.docker(&["kill", "renamed"]);
    let until = told.stopped(&id);
    daemon.docker(&["start", "renamed"]);
    let again = told.workload("renamed");
    assert!(again.since.expect("dated") > until, "{again:?} after {until}");
    daemon.docker(&["rm", "-f", "renamed"]);
    told.stopped(&id);
}

fn half_a_second(daemon: &Dockerd, told: &BackgroundReader) {
    daemon.docker(&["run", "--rm", "--name", "short", IMAGE, "sleep", "0.5"]);
    let short = told.workload("short");
    assert_eq!(short.addresses().count(), 1, "{short:?}");
    let until = told.stopped(&short.id);
    let lived = until.since(short.since.expect("dated"));
    assert!(lived >= Duration::from_millis(500) && lived < Duration::from_secs(10), "{lived:?}");

    daemon.docker(&["run", "--rm", "--name", "flash", IMAGE, "true"]);
    let flash = told.workload("flash");
    assert_eq!(flash.addresses().count(), 1, "its network said it at the connect: {flash:?}");
    told.stopped(&flash.id);
}

/// The workload once it is told with so many addresses; the same state may be told more than once before.
fn with_addresses(told: &BackgroundReader, name: &str, count: usize) -> Arc<Workload> {
    told.next("its addresses", |event| match event {
        InventoryEvent::Workload(workload) => {
            (workload.name == name && workload.addresses().count() == count).then(|| Arc::clone(workload))
        }
        _ => None,
    })
}

fn two_networks(daemon: &Dockerd, told: &BackgroundReader) {
    daemon.docker(&["network", "create", "--subnet", "172.30.2.0/24", "back"]);
    daemon.docker(&sleeper("both", &["--network", "front"]));
    let first = told.workload("both");
    daemon.docker(&["network", "connect", "back", "both"]);
    // An inspect that was asked for because of the start may show both already; the connect has its own word.
    let both = told.next("its addresses, dated by the connect", |event| match event {
        InventoryEvent::Workload(one) if one.name == "both" && one.addresses().count() == 2 => {
            (one.since > first.since).then(|| Arc::clone(one))
        }
        _ => None,
    });
    let addresses: Vec<String> = both.addresses().map(|ip| ip.to_string()).collect();
    assert_eq!(addresses, ["172.30.2.2", "172.30.1.3"], "in order of network name");
    daemon.docker(&["network", "disconnect", "front", "both"]);
    let left = with_addresses(told, "both", 1);
    assert_eq!(left.addresses().map(|ip| ip.to_string()).collect::<Vec<_>>(), ["172.30.2.2"]);
    daemon.docker(&["rm", "-f", "both"]);
    told.stopped(&both.id);
}

fn shared_namespaces(daemon: &Dockerd, told: &BackgroundReader) {
    daemon.docker(&sleeper("exporter", &["--network", "host"]));
    let exporter = told.workload("exporter");
    assert_eq!((&exporter.network_mode, exporter.attachments.len()), (&NetworkMode::Host, 0));
    daemon.docker(&sleeper("sidecar", &["--network", "container:before"]));
    let sidecar = told.workload("sidecar");
    assert!(
        matches!(&sidecar.network_mode, NetworkMode::Container(owner) if owner.as_str().len() == 64),
        "{sidecar:?}"
    );
    assert!(sidecar.attachments.is_empty());
    daemon.docker(&["rm", "-f", "exporter", "sidecar"]);
}

fn networks_come_and_go(daemon: &Dockerd, told: &BackgroundReader) {
    let option = "com.docker.network.bridge.name=hwlan0";
    let id = daemon.docker(&["network", "create", "-o", option, "named"]);
    let bridge = told.next("the network", |event| match event {
        InventoryEvent::Network(network) if network.id == id => network.bridge.clone(),
        _ => None,
    });
    assert_eq!(bridge, "hwlan0");
    daemon.docker(&["network", "rm", "named"]);
    told.next("its end", |event| {
        matches!(event, InventoryEvent::NetworkRemoved { id: gone } if *gone == id).then_some(())
    });
}

fn restart(daemon: &mut Dockerd, told: &BackgroundReader, before: &Workload) {
    daemon.stop();
    let error = told.next("the cut", |event| match event {
        InventoryEvent::Disconnected { runtime: RuntimeId::DOCKER, error } => Some(error.clone()),
        _ => None,
    });
    assert!(error.contains("again") || error.contains("start the runtime"), "{error}");
    daemon.launch();
    let mut cuts = 0;
    told.next("the connection", |event| {
        cuts += u32::from(matches!(event, InventoryEvent::Disconnected { .. }));
        matches!(event, InventoryEvent::Connected { .. }).then_some(())
    });
    assert_eq!(cuts, 0, "one cut is told once");
    let again = told.workload("before");
    assert_eq!((again.since, &again.attachments), (before.since, &before.attachments), "it ran on all the time");
    assert_eq!(told.reconciled(), std::slice::from_ref(&before.id));
    assert!(told.counters.reconnects() > 0);
}

#[test]
fn what_is_wrong_with_a_socket_is_told_apart() {
    let folder = tempfile::tempdir().expect("folder");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("runtime");
    let error = |host: String| {
        let reader = DockerReader::new(DockerOptions { host, ..DockerOptions::default() });
        runtime.block_on(reader.snapshot()).expect_err("no daemon")
    };
    let path = |name: &str| folder.path().join(name).display().to_string();
    assert!(matches!(error("tcp://127.0.0.1:2375".into()), ReaderError::Address { .. }));
    assert!(matches!(error(path("absent")), ReaderError::Absent { .. }));
    let dead = std::os::unix::net::UnixListener::bind(path("dead")).expect("socket");
    drop(dead);
    assert!(matches!(error(path("dead")), ReaderError::Refused { .. }));
    std::fs::write(path("file"), "").expect("file");
    assert!(matches!(error(path("file")), ReaderError::Refused { .. } | ReaderError::Socket { .. }));
    let other = std::os::unix::net::UnixListener::bind(path("other")).expect("socket");
    let answering = std::thread::spawn(move || {
        for connection in other.incoming().take(2).flatten() {
            use std::io::Write as _;
            let mut connection = connection;
            let _ = connection.write_all(b"SSH-2.0-other\r\n");
        }
    });
    assert!(matches!(error(path("other")), ReaderError::NotSpoken { .. }));
    answering.join().expect("thread");
}

#[test]
fn a_missing_socket_is_told_once_and_the_reader_stops_when_asked() {
    let options = DockerOptions { host: "/nonexistent/docker.sock".into(), ..DockerOptions::default() };
    let told = BackgroundReader::by(options);
    let error = told.next("the absence", |event| match event {
        InventoryEvent::Disconnected { error, .. } => Some(error.clone()),
        _ => None,
    });
    assert!(error.contains("/nonexistent/docker.sock"), "{error}");
    wait_until("it asks again", || told.counters.reconnects() >= 3);
    assert!(told.events.try_recv().is_err(), "the same cut is not told again");
}

//! The reader against a real Podman, root's and a user's: what it tells must be what happened.
//!
//! Needs root and an installed Podman; says why it skips otherwise. One test a service, because a service takes seconds.

#![allow(clippy::disallowed_methods, reason = "test code: failures panic, patience needs a clock")]

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use crate::support::background_reader::BackgroundReader;
use crate::support::netns::again_inside;
use crate::support::podman::{self, IMAGE, Podman, USER};
use crate::support::recorder::Recorder;
use hopwatch::input::{InventoryEvent, NetworkMode, RuntimeNetwork, Workload, WorkloadId, WorkloadState};
use hopwatch::inventory::docker::reader::{DockerOptions, DockerReader};
use hopwatch::inventory::reader::RuntimeReader as _;

/// Names the service's socket to the part that runs inside its namespace.
const INSIDE: &str = "HOPWATCH_TEST_PODMAN_HOST";

fn sleeper(podman: &Podman, name: &str, more: &[&str]) -> String {
    let cgroup = podman.cgroup();
    let mut arguments = vec!["run", "-d", "--name", name, "--cgroup-parent", &cgroup];
    arguments.extend(more);
    arguments.extend([IMAGE, "sleep", "600"]);
    podman.podman(&arguments)
}

fn options(host: String, runtime: &str) -> DockerOptions {
    DockerOptions {
        runtime: runtime.parse().expect("a runtime"),
        host,
        reconcile_interval: Duration::from_secs(2),
        ..DockerOptions::default()
    }
}

/// Networks and workloads by name.
fn snapshot(host: String, runtime: &str) -> (BTreeMap<String, RuntimeNetwork>, BTreeMap<String, Workload>) {
    let tokio = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("runtime");
    let events = tokio.block_on(DockerReader::new(options(host, runtime)).snapshot()).expect("snapshot");
    let (mut networks, mut workloads) = (BTreeMap::new(), BTreeMap::new());
    for event in events {
        match event {
            InventoryEvent::Network(network) => drop(networks.insert(network.name.clone(), (*network).clone())),
            InventoryEvent::Workload(workload) => drop(workloads.insert(workload.name.clone(), (*workload).clone())),
            other => panic!("{other:?} in a snapshot"),
        }
    }
    (networks, workloads)
}

#[test]
fn what_a_real_podman_does_is_told() {
    if let Some(why) = podman::unavailable(false) {
        println!("skipped: no Podman can be started here: {why}");
        return;
    }
    let mut podman = Podman::start(false);
    podman.podman(&["network", "create", "--subnet", "172.31.1.0/24", "front"]);
    sleeper(&podman, "before", &["--network", "front", "--label", "com.docker.compose.project=shop"]);
    let cgroup = podman.cgroup();
    let pod = ["pod", "create", "--name", "web", "--cgroup-parent", &cgroup, "--infra-image", IMAGE];
    podman.podman(&[&pod[..], &["--infra-command", "sleep 600"]].concat());
    podman.podman(&["run", "-d", "--pod", "web", "--name", "inside", IMAGE, "sleep", "600"]);
    snapshot_of(&podman);
    veths_of(&podman);

    let folder = tempfile::tempdir().expect("folder");
    let socket = podman.host().replace("unix://", "");
    let recorder = Recorder::before(socket.as_ref(), folder.path());
    let told = BackgroundReader::by(options(recorder.host(), "podman"));
    told.next("the connection", |event| matches!(event, InventoryEvent::Connected { .. }).then_some(()));
    assert_eq!(told.reconciled().len(), 3);
    start_and_stop(&podman, &told);
    networks(&podman, &told);
    shared_namespaces(&podman, &told);
    restart(&mut podman, &told);
    let asked = recorder.asked();
    assert!(asked.len() > 20 && asked.iter().all(|line| line.starts_with("GET /")), "{asked:#?}");
}

fn snapshot_of(podman: &Podman) {
    let (networks, workloads) = snapshot(podman.host(), "podman");
    let front = &networks["front"];
    assert_eq!((front.driver.as_str(), front.subnets.len(), front.gateways.len()), ("bridge", 1, 1), "{front:?}");
    let before = &workloads["before"];
    let [attachment] = &before.attachments[..] else { panic!("{before:?}") };
    assert_eq!(attachment.addresses, ["172.31.1.2".parse::<std::net::IpAddr>().expect("address")]);
    assert_eq!(
        (before.runtime, attachment.network_id.as_str()),
        (hopwatch::input::RuntimeId::PODMAN, front.id.as_str()),
        "{before:?}"
    );
    assert!(attachment.mac.is_some() && before.pid.is_some() && before.since.is_some(), "{before:?}");
    assert!(before.image_digest.starts_with("sha256:") && before.image.contains(IMAGE), "{before:?}");
    assert_eq!((before.compose_project(), &before.pod), (Some("shop"), &None));

    let inside = &workloads["inside"];
    let infra = workloads.values().find(|workload| workload.name.ends_with("-infra")).expect("the pod's own container");
    let (pod, own) = (inside.pod.as_ref().expect("a pod"), infra.pod.as_ref().expect("a pod"));
    assert_eq!((pod.name.as_str(), pod.sandbox, own.name.as_str(), own.sandbox), ("web", false, "web", true));
    assert_eq!((&pod.uid, pod.uid.len()), (&own.uid, 64));
    assert_eq!(inside.network_mode, NetworkMode::Container(infra.id.clone()));
    assert_eq!((inside.attachments.len(), infra.addresses().count()), (0, 1), "the address is the pod's");
}

/// Runs [`a_reader_in_the_hosts_namespace_names_the_veths`] in the namespace that the service takes for the host's.
fn veths_of(podman: &Podman) {
    let said = again_inside(
        podman.netns(),
        "podman::a_reader_in_the_hosts_namespace_names_the_veths",
        (INSIDE, &podman.host()),
    );
    assert!(said.contains("found "), "{said}");
}

#[test]
fn a_reader_in_the_hosts_namespace_names_the_veths() {
    let Ok(host) = std::env::var(INSIDE) else {
        println!("not alone: runs as a part of what_a_real_podman_does_is_told");
        return;
    };
    let (networks, workloads) = snapshot(host, "podman");
    let veth = workloads["before"].attachments[0].host_interface.clone().expect("veth");
    let here = hopwatch::host::interfaces().expect("interfaces");
    assert!(here.iter().any(|interface| interface.name == veth), "an interface of this namespace: {veth}");
    let bridge = networks["front"].bridge.clone().expect("bridge");
    let bridge = here.iter().find(|interface| interface.name == bridge).expect("the bridge");
    assert_eq!(bridge.addresses.first(), networks["front"].gateways.first());
    println!("found {veth}");
}

fn start_and_stop(podman: &Podman, told: &BackgroundReader) {
    let id = WorkloadId::new(&sleeper(podman, "app", &[]));
    let app = told.workload("app");
    assert_eq!((&app.id, app.addresses().count(), app.runtime), (&id, 1, hopwatch::input::RuntimeId::PODMAN));
    podman.podman(&["rename", "app", "renamed"]);
    assert_eq!(told.workload("renamed").since, app.since, "a new name is not a new start");
    podman.podman(&["pause", "renamed"]);
    told.next("the pause", |event| match event {
        InventoryEvent::Workload(w) if w.state == WorkloadState::Paused => Some(()),
        _ => None,
    });
    podman.podman(&["unpause", "renamed"]);
    told.workload("renamed");
    podman.podman(&["stop", "-t", "0", "renamed"]);
    let until = told.stopped(&id);
    podman.podman(&["start", "renamed"]);
    let again = told.workload("renamed");
    assert!(again.since.expect("dated") > until, "{again:?} after {until}");
    podman.podman(&["rm", "-f", "-t", "0", "renamed"]);
    told.stopped(&id);

    let cgroup = podman.cgroup();
    podman.podman(&["run", "--rm", "--name", "short", "--cgroup-parent", &cgroup, IMAGE, "sleep", "0.5"]);
    let short = told.workload("short");
    assert_eq!(short.addresses().count(), 1, "{short:?}");
    let until = told.stopped(&short.id);
    assert!(until.since(short.since.expect("dated")) >= Duration::from_millis(400), "{short:?} {until}");
}

fn networks(podman: &Podman, told: &BackgroundReader) {
    podman.podman(&["network", "create", "--subnet", "172.31.2.0/24", "back"]);
    let id = WorkloadId::new(&sleeper(podman, "both", &["--network", "back"]));
    let back = told.next("the network, although no event reports it", |event| match event {
        InventoryEvent::Network(network) if network.name == "back" => Some(Arc::clone(network)),
        _ => None,
    });
    assert!(back.bridge.is_some(), "{back:?}");
    let first = told.workload("both");
    assert_eq!(first.attachments[0].network_id, back.id);
    podman.podman(&["network", "connect", "front", "both"]);
    told.next("both networks, from the connect on", |event| match event {
        InventoryEvent::Workload(w) => {
            (w.id == id && w.addresses().count() == 2 && w.since > first.since).then_some(())
        }
        _ => None,
    });
    podman.podman(&["rm", "-f", "-t", "0", "both"]);
    told.stopped(&id);
    podman.podman(&["network", "rm", "back"]);
}

fn shared_namespaces(podman: &Podman, told: &BackgroundReader) {
    for (name, network, mode) in [("exporter", "host", NetworkMode::Host), ("dark", "none", NetworkMode::None)] {
        sleeper(podman, name, &["--network", network]);
        let workload = told.workload(name);
        assert_eq!((&workload.network_mode, workload.attachments.len()), (&mode, 0));
    }
    let owner = podman.podman(&["inspect", "-f", "{{.Id}}", "before"]);
    sleeper(podman, "sidecar", &["--network", "container:before"]);
    let sidecar = told.workload("sidecar");
    assert_eq!(sidecar.network_mode, NetworkMode::Container(WorkloadId::new(&owner)));
    assert!(sidecar.attachments.is_empty(), "the addresses are the other's: {sidecar:?}");
    podman.podman(&["rm", "-f", "-t", "0", "exporter", "dark", "sidecar"]);
}

/// While nobody answers, one container ends, one starts, and one does both: all of it is told afterwards, with its time.
fn restart(podman: &mut Podman, told: &BackgroundReader) {
    let ending = WorkloadId::new(&sleeper(podman, "ending", &[]));
    told.workload("ending");
    podman.stop();
    let error = told.next("the cut", |event| match event {
        InventoryEvent::Disconnected { error, runtime } if *runtime == hopwatch::input::RuntimeId::PODMAN => {
            Some(error.clone())
        }
        _ => None,
    });
    assert!(error.contains("again") || error.contains("start the runtime"), "{error}");
    podman.podman(&["stop", "-t", "0", "ending"]);
    let ended = podman.podman(&["inspect", "-f", "{{.State.FinishedAt.Unix}}", "ending"]);
    let cgroup = podman.cgroup();
    podman.podman(&["run", "--name", "between", "--cgroup-parent", &cgroup, IMAGE, "sleep", "0.2"]);
    sleeper(podman, "starting", &[]);
    podman.launch();
    told.next("the connection", |event| matches!(event, InventoryEvent::Connected { .. }).then_some(()));
    let mut left = vec!["starting", "between", "between ended", "ending ended"];
    let between = WorkloadId::new(&podman.podman(&["inspect", "-f", "{{.Id}}", "between"]));
    told.next("everything that happened meanwhile", |event| {
        let happened = match event {
            InventoryEvent::Workload(w) if w.state == WorkloadState::Running => w.name.clone(),
            InventoryEvent::Stopped { id, .. } if *id == between => "between ended".to_owned(),
            InventoryEvent::Stopped { id, until } if *id == ending => {
                let seconds = until.as_nanos() / 1_000_000_000;
                assert!((seconds - ended.parse::<i64>().expect("seconds")).abs() <= 1, "{until} is not {ended}");
                "ending ended".to_owned()
            }
            _ => return None,
        };
        left.retain(|name| *name != happened);
        left.is_empty().then_some(())
    });
}

#[test]
fn a_users_podman_is_recognised_as_what_it_is() {
    if let Some(why) = podman::unavailable(true) {
        println!("skipped: no rootless Podman can be started here: {why}");
        return;
    }
    let podman = Podman::start(true);
    // A user may not make cgroups here, so its containers stay in the test's.
    let start = |name: &str, network: &str| {
        podman.podman(&["run", "-d", "--name", name, "--network", network, IMAGE, "sleep", "600"])
    };
    let runtime = format!("podman-{USER}");
    let told = BackgroundReader::by(DockerOptions { user: Some(USER), ..options(podman.host(), &runtime) });
    told.reconciled();
    let rootless = |stack: &str| NetworkMode::Rootless(stack.to_owned());
    for (network, mode) in
        [("slirp4netns", rootless("slirp4netns")), ("bridge", rootless("bridge")), ("host", NetworkMode::Host)]
    {
        let id = start(network, network);
        let workload = told.workload(network);
        assert_eq!((workload.id.as_str(), &workload.network_mode), (id.as_str(), &mode));
        assert_eq!((workload.runtime.to_string(), workload.attachments.len()), (runtime.clone(), 0), "{workload:?}");
        assert!(workload.pid.is_some(), "{workload:?}");
    }
    let (networks, workloads) = snapshot(podman.host(), &runtime);
    assert!(networks.is_empty(), "they lie in the user's namespace: {networks:?}");
    assert_eq!(workloads.len(), 3);
    drop(told);
    let other = BackgroundReader::by(DockerOptions { user: Some(USER + 1), ..options(podman.host(), "podman-1") });
    let error = other.next("the refusal", |event| match event {
        InventoryEvent::Disconnected { error, .. } => Some(error.clone()),
        _ => None,
    });
    assert!(error.contains("not served by the user"), "{error}");
}

//! What real daemons answered, and what they could.

use super::*;

const CONTAINERS: &str = include_str!("../../../../tests/data/docker/containers.json");
const NETWORKS: &str = include_str!("../../../../tests/data/docker/networks.json");
const EXITED: &str = include_str!("../../../../tests/data/docker/exited.json");
const PAUSED: &str = include_str!("../../../../tests/data/docker/paused.json");
const CREATED: &str = include_str!("../../../../tests/data/docker/created.json");

fn read(text: &str) -> Vec<Workload> {
    let all: Vec<Container> = serde_json::from_str(text).expect("inspect output");
    all.iter().map(|container| from_inspect(container, &Redaction::default())).collect()
}

#[test]
fn a_container_on_two_networks_has_both_in_order() {
    let app = &read(CONTAINERS)[0];
    let addresses: Vec<String> = app.addresses().map(|ip| ip.to_string()).collect();
    assert_eq!(addresses, ["172.18.0.2", "172.30.0.2", "fd00:30::2"]);
    let networks: Vec<&str> = app.attachments.iter().map(|a| a.network.as_str()).collect();
    assert_eq!(networks, ["back", "front"]);
    assert_eq!(app.attachments[1].mac.map(|mac| mac.to_string()).as_deref(), Some("02:42:ac:1e:00:02"));
    assert_eq!(app.attachments[1].gateways[0].to_string(), "172.30.0.1");
    assert_eq!((app.name.as_str(), app.image.as_str()), ("app", "bb"));
    assert_eq!((app.compose_project(), app.compose_service()), (Some("shop"), Some("app")));
    assert!(app.image_digest.starts_with("sha256:") && app.pid.is_some() && app.since.is_some());
}

#[test]
fn joined_host_and_dark_containers_have_no_attachments_of_their_own() {
    let all = read(CONTAINERS);
    assert_eq!(all[1].network_mode, NetworkMode::Container(all[0].id.clone()));
    assert_eq!((&all[2].network_mode, &all[3].network_mode), (&NetworkMode::Host, &NetworkMode::None));
    assert!(all[1..].iter().all(|workload| workload.attachments.is_empty()));
}

#[test]
fn states_are_told_apart_and_only_what_runs_has_a_start() {
    for (text, state) in
        [(EXITED, WorkloadState::Exited), (PAUSED, WorkloadState::Paused), (CREATED, WorkloadState::Created)]
    {
        let workload = &read(text)[0];
        let runs = state == WorkloadState::Paused;
        assert_eq!((workload.state, workload.since.is_some(), workload.pid.is_some()), (state, runs, runs));
    }
}

#[test]
fn networks_name_their_bridge() {
    let all: Vec<Network> = serde_json::from_str(NETWORKS).expect("inspect output");
    let [front, default] = [from_network(&all[0]), from_network(&all[1])];
    assert_eq!(front.bridge, Some(format!("br-{}", &front.id[..12])));
    assert_eq!(default.bridge.as_deref(), Some("docker0"));
    assert_eq!(front.subnets.iter().map(ToString::to_string).collect::<Vec<_>>(), ["172.30.0.0/24", "fd00:30::/64"]);
    let named = Network {
        driver: "bridge".into(),
        options: [("com.docker.network.bridge.name".to_owned(), "lan0".to_owned())].into(),
        ..Network::default()
    };
    assert_eq!(from_network(&named).bridge.as_deref(), Some("lan0"));
    let macvlan = Network { driver: "macvlan".into(), ..Network::default() };
    assert_eq!(from_network(&macvlan).bridge, None);
}

#[test]
fn an_endpoint_in_a_network_gives_the_address_before_the_container_does() {
    let all: Vec<Network> = serde_json::from_str(NETWORKS).expect("inspect output");
    let network = from_network(&all[0]);
    let app = &read(CONTAINERS)[0];
    let endpoint = &all[0].containers[app.id.as_str()];
    assert_eq!(from_endpoint(&network, endpoint).addresses, app.attachments[1].addresses);
    assert_eq!(from_endpoint(&network, endpoint).mac, app.attachments[1].mac);
}

#[test]
fn the_repository_digest_is_chosen_in_a_fixed_order() {
    let digests = ["b@sha256:22".to_owned(), "a@sha256:11".to_owned(), "odd".to_owned()];
    assert_eq!(repo_digest(&digests).as_deref(), Some("sha256:11"));
    assert_eq!(repo_digest(&[]), None);
}

#[test]
fn nothing_given_is_nothing_told() {
    let empty = from_inspect(&Container::default(), &Redaction::default());
    assert_eq!((empty.name.as_str(), empty.state, empty.attachments.len()), ("", WorkloadState::Exited, 0));
}

const PODMAN: &str = include_str!("../../../../tests/data/podman/containers.json");
const ROOTLESS: &str = include_str!("../../../../tests/data/podman/rootless.json");
const PODMAN_NETWORKS: &str = include_str!("../../../../tests/data/podman/networks.json");

fn identity(dialect: Dialect, rootless: bool) -> RuntimeIdentity {
    RuntimeIdentity { runtime: RuntimeId::DOCKER, dialect, rootless, redaction: Redaction::default() }
}

#[test]
fn podmans_own_inspect_is_read_with_pods_and_joined_namespaces() {
    let all = read(PODMAN);
    let [bridge, host, joined, infra, inside] = &all[..] else { panic!("five containers") };
    assert_eq!(
        (bridge.runtime, bridge.addresses().count(), bridge.state),
        (RuntimeId::PODMAN, 1, WorkloadState::Running)
    );
    assert!(bridge.image_digest.starts_with("sha256:3929") && bridge.image == "localhost/bb:latest");
    assert_eq!(host.network_mode, NetworkMode::Host);
    assert_eq!(joined.network_mode, NetworkMode::Container(bridge.id.clone()));
    assert!(joined.attachments.is_empty(), "Podman shows the other's addresses; they are not its own");
    let pods: Vec<_> = [infra, inside].iter().filter_map(|workload| workload.pod.as_ref()).collect();
    assert_eq!(pods.iter().map(|pod| pod.sandbox).collect::<Vec<_>>(), [true, false]);
    assert_eq!(pods[0].uid, pods[1].uid);
    assert_eq!(inside.network_mode, NetworkMode::Container(infra.id.clone()));
    assert!(bridge.pod.is_none());
}

#[test]
fn a_rootless_runtimes_bridge_and_addresses_are_none_of_the_hosts() {
    let all: Vec<Container> = serde_json::from_str(ROOTLESS).expect("inspect output");
    let modes = |identity: &RuntimeIdentity| -> Vec<String> {
        let all = all.iter().map(|container| describe(container, identity));
        all.map(|workload| format!("{} {}", workload.network_mode, workload.attachments.len())).collect()
    };
    assert_eq!(modes(&identity(Dialect::Podman, true)), ["rootless:slirp4netns 0", "rootless:bridge 0", "host 0"]);
    let rootlesskit = ["rootless:rootlesskit 0", "rootless:rootlesskit 0", "rootless:rootlesskit 0"];
    assert_eq!(modes(&identity(Dialect::Docker, true)), rootlesskit);
}

#[test]
fn every_word_for_a_network_mode_is_understood_in_its_dialect() {
    let [docker, podman] = [identity(Dialect::Docker, false), identity(Dialect::Podman, false)];
    for (word, identity, mode) in [
        ("pasta", &podman, "rootless:pasta"),
        ("pasta:-t,8080", &podman, "rootless:pasta"),
        ("slirp4netns:port_handler=slirp4netns", &podman, "rootless:slirp4netns"),
        ("ns:/run/netns/x", &podman, "own"),
        ("bridge", &podman, "own"),
        ("container:abc", &podman, "container:abc"),
        // A network may have any name in Docker, and this one must not hide its containers.
        ("pasta", &docker, "own"),
        ("default", &docker, "own"),
        ("none", &docker, "none"),
        ("", &docker, "own"),
    ] {
        assert_eq!(network_mode(word, identity).to_string(), mode, "{word}");
    }
}

#[test]
fn every_state_of_libpod_has_a_meaning() {
    for (word, state) in [
        ("configured", WorkloadState::Created),
        ("created", WorkloadState::Created),
        ("initialized", WorkloadState::Created),
        ("running", WorkloadState::Running),
        ("stopping", WorkloadState::Running),
        ("paused", WorkloadState::Paused),
        ("stopped", WorkloadState::Exited),
        ("removing", WorkloadState::Exited),
        ("exited", WorkloadState::Exited),
        ("unknown", WorkloadState::Exited),
        ("bad", WorkloadState::Exited),
    ] {
        assert_eq!(state_of(&State { status: word.into(), ..State::default() }), state, "{word}");
    }
}

#[test]
fn podmans_networks_name_their_bridge() {
    let all: Vec<PodmanNetwork> = serde_json::from_str(PODMAN_NETWORKS).expect("networks");
    let network = from_podman_network(&all[0]);
    assert_eq!((network.name.as_str(), network.bridge.as_deref()), ("podman", Some("cni-podman0")));
    assert_eq!(
        (network.subnets[0].to_string(), network.gateways[0].to_string()),
        ("10.88.0.0/16".into(), "10.88.0.1".into())
    );
    let macvlan = PodmanNetwork { driver: "macvlan".into(), interface: "eth0".into(), ..PodmanNetwork::default() };
    assert_eq!(from_podman_network(&macvlan).bridge, None);
}

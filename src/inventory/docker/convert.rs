//! Docker's words to ours.
//!
//! Contract: pure and total; what Docker leaves out stays empty, what cannot be read (an address, a time) counts as left
//! out. Limits: nothing here says since when an attachment holds; [`super::tracker`] knows that from events.

use std::collections::HashMap;
use std::net::IpAddr;

use bollard::models::{
    ContainerInspectResponse, ContainerState, ContainerStateStatusEnum, EndpointResource, EndpointSettings, Ipam,
    Network, NetworkInspect,
};
use ipnetwork::IpNetwork;

use crate::input::{Attachment, NetworkMode, RuntimeNetwork, Workload, WorkloadId, WorkloadState};
use crate::time::Timestamp;

/// The name under which this runtime tells.
pub(super) const RUNTIME: &str = "docker";

/// A container as `docker inspect` shows it. The digest is the image id; the veth is not known here.
pub fn from_inspect(container: &ContainerInspectResponse) -> Workload {
    let config = container.config.as_ref();
    let mode = container.host_config.as_ref().and_then(|host| host.network_mode.as_deref());
    let network_mode = network_mode(mode.unwrap_or_default());
    let state = container.state.as_ref().map_or(WorkloadState::Exited, state_of);
    let runs = matches!(state, WorkloadState::Running | WorkloadState::Paused);
    let text = |text: &Option<String>| text.clone().unwrap_or_default();
    let networks = container.network_settings.as_ref().and_then(|settings| settings.networks.as_ref());
    let own = network_mode == NetworkMode::Own;
    let told = |state: &ContainerState| state.started_at.as_deref().and_then(|text| text.parse::<Timestamp>().ok());
    Workload {
        id: WorkloadId::new(container.id.as_deref().unwrap_or_default()),
        name: text(&container.name).trim_start_matches('/').to_owned(),
        image: config.map(|config| text(&config.image)).unwrap_or_default(),
        image_digest: text(&container.image),
        labels: config.and_then(|config| config.labels.clone()).unwrap_or_default().into_iter().collect(),
        runtime: RUNTIME.into(),
        network_mode,
        attachments: networks.filter(|_| own).map(attachments).unwrap_or_default(),
        pod: None,
        pid: container.state.as_ref().filter(|_| runs).and_then(pid_of),
        state,
        since: container.state.as_ref().filter(|_| runs).and_then(told),
    }
}

fn pid_of(state: &ContainerState) -> Option<u32> {
    state.pid.and_then(|pid| u32::try_from(pid).ok()).filter(|pid| *pid > 0)
}

fn network_mode(mode: &str) -> NetworkMode {
    match mode {
        "host" => NetworkMode::Host,
        "none" => NetworkMode::None,
        other => match other.strip_prefix("container:") {
            Some(id) => NetworkMode::Container(WorkloadId::new(id)),
            None => NetworkMode::Own,
        },
    }
}

fn state_of(state: &ContainerState) -> WorkloadState {
    match state.status {
        Some(ContainerStateStatusEnum::CREATED) => WorkloadState::Created,
        Some(ContainerStateStatusEnum::PAUSED) => WorkloadState::Paused,
        Some(ContainerStateStatusEnum::RUNNING | ContainerStateStatusEnum::STOPPING) => WorkloadState::Running,
        Some(ContainerStateStatusEnum::EMPTY) | None if state.running == Some(true) => WorkloadState::Running,
        _ => WorkloadState::Exited,
    }
}

/// Attachments in order of network name.
pub(super) fn attachments(networks: &HashMap<String, EndpointSettings>) -> Vec<Attachment> {
    let mut all: Vec<Attachment> = networks.iter().map(|(name, endpoint)| attachment(name, endpoint)).collect();
    all.sort_by(|a, b| a.network.cmp(&b.network));
    all
}

fn attachment(name: &str, endpoint: &EndpointSettings) -> Attachment {
    let read = |texts: [&Option<String>; 2]| {
        texts.into_iter().flatten().filter_map(|text| text.parse::<IpAddr>().ok()).collect::<Vec<_>>()
    };
    Attachment {
        network: name.to_owned(),
        network_id: endpoint.network_id.clone().unwrap_or_default(),
        addresses: read([&endpoint.ip_address, &endpoint.global_ipv6_address]),
        mac: endpoint.mac_address.as_deref().and_then(|mac| mac.parse().ok()),
        gateways: read([&endpoint.gateway, &endpoint.ipv6_gateway]),
        host_interface: None,
    }
}

/// What a network says of one container's end; addresses carry their prefix length there.
pub(super) fn from_endpoint(network: &RuntimeNetwork, endpoint: &EndpointResource) -> Attachment {
    let texts = [&endpoint.ipv4_address, &endpoint.ipv6_address];
    let read = |text: &String| text.split('/').next().and_then(|ip| ip.parse::<IpAddr>().ok());
    Attachment {
        network: network.name.clone(),
        network_id: network.id.clone(),
        addresses: texts.into_iter().flatten().filter_map(read).collect(),
        mac: endpoint.mac_address.as_deref().and_then(|mac| mac.parse().ok()),
        gateways: network.gateways.clone(),
        host_interface: None,
    }
}

/// The parts of a network that both of Docker's shapes of it have.
struct Parts<'a> {
    id: Option<&'a String>,
    name: Option<&'a String>,
    driver: Option<&'a String>,
    ipam: Option<&'a Ipam>,
    options: Option<&'a HashMap<String, String>>,
}

/// A network of the list.
pub fn from_network(network: &Network) -> RuntimeNetwork {
    convert(&Parts {
        id: network.id.as_ref(),
        name: network.name.as_ref(),
        driver: network.driver.as_ref(),
        ipam: network.ipam.as_ref(),
        options: network.options.as_ref(),
    })
}

/// A network as `docker network inspect` shows it.
pub fn from_network_inspect(network: &NetworkInspect) -> RuntimeNetwork {
    convert(&Parts {
        id: network.id.as_ref(),
        name: network.name.as_ref(),
        driver: network.driver.as_ref(),
        ipam: network.ipam.as_ref(),
        options: network.options.as_ref(),
    })
}

fn convert(parts: &Parts<'_>) -> RuntimeNetwork {
    let text = |text: Option<&String>| text.cloned().unwrap_or_default();
    let (id, name, driver) = (text(parts.id), text(parts.name), text(parts.driver));
    let ranges = parts.ipam.and_then(|ipam| ipam.config.as_deref()).unwrap_or_default();
    let named = parts.options.and_then(|options| options.get("com.docker.network.bridge.name")).cloned();
    let usual = || if name == "bridge" { "docker0".to_owned() } else { format!("br-{}", id.get(..12).unwrap_or(&id)) };
    let gateway = |text: &String| text.split('/').next().and_then(|ip| ip.parse::<IpAddr>().ok());
    RuntimeNetwork {
        bridge: (driver == "bridge").then(|| named.unwrap_or_else(usual)),
        subnets: ranges.iter().filter_map(|range| range.subnet.as_ref()?.parse::<IpNetwork>().ok()).collect(),
        gateways: ranges.iter().filter_map(|range| gateway(range.gateway.as_ref()?)).collect(),
        id,
        name,
        driver,
    }
}

/// The repository digest of an image (`sha256:…`), from its `RepoDigests`.
pub(super) fn repo_digest(digests: &[String]) -> Option<String> {
    digests.iter().filter_map(|text| text.split_once('@')).map(|(_, digest)| digest.to_owned()).min()
}

#[cfg(test)]
mod tests {
    use super::*;

    const CONTAINERS: &str = include_str!("../../../tests/data/docker/containers.json");
    const NETWORKS: &str = include_str!("../../../tests/data/docker/networks.json");
    const EXITED: &str = include_str!("../../../tests/data/docker/exited.json");
    const PAUSED: &str = include_str!("../../../tests/data/docker/paused.json");
    const CREATED: &str = include_str!("../../../tests/data/docker/created.json");

    fn read(text: &str) -> Vec<Workload> {
        let all: Vec<ContainerInspectResponse> = serde_json::from_str(text).expect("inspect output");
        all.iter().map(from_inspect).collect()
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
        let all: Vec<NetworkInspect> = serde_json::from_str(NETWORKS).expect("inspect output");
        let [front, default] = [from_network_inspect(&all[0]), from_network_inspect(&all[1])];
        assert_eq!(front.bridge, Some(format!("br-{}", &front.id[..12])));
        assert_eq!(default.bridge.as_deref(), Some("docker0"));
        assert_eq!(
            front.subnets.iter().map(ToString::to_string).collect::<Vec<_>>(),
            ["172.30.0.0/24", "fd00:30::/64"]
        );
        let named = NetworkInspect {
            driver: Some("bridge".into()),
            options: Some([("com.docker.network.bridge.name".to_owned(), "lan0".to_owned())].into()),
            ..NetworkInspect::default()
        };
        assert_eq!(from_network_inspect(&named).bridge.as_deref(), Some("lan0"));
        let macvlan = NetworkInspect { driver: Some("macvlan".into()), ..NetworkInspect::default() };
        assert_eq!(from_network_inspect(&macvlan).bridge, None);
    }

    #[test]
    fn an_endpoint_in_a_network_gives_the_address_before_the_container_does() {
        let all: Vec<NetworkInspect> = serde_json::from_str(NETWORKS).expect("inspect output");
        let network = from_network_inspect(&all[0]);
        let app = &read(CONTAINERS)[0];
        let endpoint = &all[0].containers.as_ref().expect("containers")[app.id.as_str()];
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
        let empty = from_inspect(&ContainerInspectResponse::default());
        assert_eq!((empty.name.as_str(), empty.state, empty.attachments.len()), ("", WorkloadState::Exited, 0));
    }
}

//! What a daemon answers about containers and networks, as our workloads. What it reports as events becomes facts in the reader's `container_states.rs`.
//!
//! Contract: pure and total; what a runtime leaves out stays empty, what cannot be read (an address, a time) counts as left
//! out. What a rootless runtime says of bridges and addresses is not taken over: they lie in a namespace of its user's, and
//! the host's own may be the same. Limits: nothing here says since when an attachment holds; `reader::container_states` knows that.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;

use ipnetwork::IpNetwork;

use super::api::{Container, Endpoint, Network, NetworkSettings, PodmanNetwork, Resource, State};
use super::configuration;
use super::identity::{Dialect, RuntimeIdentity};
use crate::input::{
    Attachment, NetworkMode, Pod, Protocol, PublishedPort, RuntimeId, RuntimeNetwork, Workload, WorkloadId,
    WorkloadState,
};
use crate::inventory::configuration::{Redaction, hide_labels};
use crate::time::Timestamp;

/// The network by which workloads on overlay networks reach the outside.
pub(super) const GATEWAY_NETWORK: &str = "docker_gwbridge";

/// A container as `docker inspect` or `podman inspect` shows it. The veth is not known here.
pub fn from_inspect(container: &Container, redaction: &Redaction) -> Workload {
    // Only Podman names the image so.
    let dialect = if container.image_name.is_empty() { Dialect::Docker } else { Dialect::Podman };
    let runtime = if dialect == Dialect::Podman { RuntimeId::PODMAN } else { RuntimeId::DOCKER };
    describe(container, &RuntimeIdentity { runtime, dialect, rootless: false, redaction: redaction.clone() })
}

/// A container as its runtime describes it. Its pod is named by id only.
pub(super) fn describe(container: &Container, identity: &RuntimeIdentity) -> Workload {
    let network_mode = network_mode(&container.host_config.get::<String>("NetworkMode"), identity);
    let state = state_of(&container.state);
    let runs = matches!(state, WorkloadState::Running | WorkloadState::Paused);
    let own = network_mode == NetworkMode::Own;
    let reported = |state: &State| state.started_at.parse::<Timestamp>().ok();
    let asked: String = container.config.get("Image");
    let mut workload = Workload {
        id: WorkloadId::new(&container.id),
        name: container.name.trim_start_matches('/').to_owned(),
        image: if asked.is_empty() { container.image_name.clone() } else { asked },
        image_digest: digest(container),
        // A user could publish a port in words only, and be taken for a hop.
        published: if identity.rootless { Vec::new() } else { published_of(container) },
        labels: container.config.map("Labels"),
        runtime: identity.runtime,
        network_mode,
        attachments: if own { own_attachments(&container.network_settings, identity.dialect) } else { Vec::new() },
        pod: pod_of(container),
        pid: u32::try_from(container.state.pid).ok().filter(|pid| runs && *pid > 0),
        state,
        since: Some(&container.state).filter(|_| runs).and_then(reported),
        configuration: None,
    };
    workload.configuration = Some(Arc::new(configuration::of(container, &workload, identity)));
    hide_labels(&mut workload, &identity.redaction);
    workload
}

/// Podman knows the digest; Docker's inspect only names the image's id. Podman writes ids without their algorithm.
fn digest(container: &Container) -> String {
    match (container.image_digest.as_str(), container.image.as_str()) {
        ("", "") => String::new(),
        ("", id) if id.contains(':') => id.to_owned(),
        ("", id) => format!("sha256:{id}"),
        (digest, _) => digest.to_owned(),
    }
}

fn pod_of(container: &Container) -> Option<Pod> {
    let uid = Some(&container.pod).filter(|pod| !pod.is_empty())?.clone();
    Some(Pod { uid, sandbox: container.is_infra, ..Pod::default() })
}

/// Docker's words are `default`, `bridge` or a network's name for its own networks; Podman's are `bridge` for all of them,
/// `slirp4netns` and `pasta` (perhaps with options after a colon), and `ns:PATH`, of which only the kernel knows more.
fn network_mode(mode: &str, identity: &RuntimeIdentity) -> NetworkMode {
    let (word, after) = mode.split_once(':').unwrap_or((mode, ""));
    match (word, identity.dialect, identity.rootless) {
        // Rootless Docker lives in a network namespace of its own, which is what its containers see as the host's.
        ("host", Dialect::Docker, true) => NetworkMode::Rootless("rootlesskit".to_owned()),
        ("host", ..) => NetworkMode::Host,
        ("none", ..) => NetworkMode::None,
        ("container", ..) => NetworkMode::Container(WorkloadId::new(after)),
        ("slirp4netns" | "pasta", Dialect::Podman, _) => NetworkMode::Rootless(word.to_owned()),
        // A bridge in the user's namespace; what leaves it leaves as the traffic of one process.
        (_, Dialect::Podman, true) => NetworkMode::Rootless("bridge".to_owned()),
        (_, Dialect::Docker, true) => NetworkMode::Rootless("rootlesskit".to_owned()),
        (_, _, false) => NetworkMode::Own,
    }
}

/// Docker's states and libpod's, which are more.
fn state_of(state: &State) -> WorkloadState {
    match state.status.as_str() {
        "created" | "configured" | "initialized" => WorkloadState::Created,
        "paused" => WorkloadState::Paused,
        "running" | "stopping" => WorkloadState::Running,
        "" if state.running => WorkloadState::Running,
        _ => WorkloadState::Exited,
    }
}

/// Attachments in order of network name.
pub(super) fn attachments(networks: &BTreeMap<String, Endpoint>) -> Vec<Attachment> {
    networks.iter().map(|(name, endpoint)| attachment(name, endpoint)).collect()
}

/// Docker before 1.9 and Podman before 3 list no networks: the address of the default one is beside the list.
fn own_attachments(settings: &NetworkSettings, dialect: Dialect) -> Vec<Attachment> {
    if !settings.networks.is_empty() || settings.ip.is_empty() && settings.ipv6.is_empty() {
        return attachments(&settings.networks);
    }
    let NetworkSettings { ip, ipv6, mac, gateway, ipv6_gateway, .. } = settings.clone();
    let endpoint = Endpoint { ip, ipv6, mac, gateway, ipv6_gateway, ..Endpoint::default() };
    vec![attachment(if dialect == Dialect::Podman { "podman" } else { "bridge" }, &endpoint)]
}

/// Published ports in order; an entry that cannot be read is left out. Docker writes no address for "all of IPv4".
fn published_of(container: &Container) -> Vec<PublishedPort> {
    let mut all = Vec::new();
    for (name, bindings) in &container.network_settings.ports {
        let (port, protocol) = name.split_once('/').unwrap_or((name, "tcp"));
        let protocol = match protocol {
            "tcp" => Protocol::TCP,
            "udp" => Protocol::UDP,
            "sctp" => Protocol::SCTP,
            _ => continue,
        };
        let Ok(port) = port.parse() else { continue };
        for binding in bindings.iter().flatten() {
            let host_ip = if binding.ip.is_empty() { Ok(IpAddr::from([0, 0, 0, 0])) } else { binding.ip.parse() };
            let (Ok(host_ip), Ok(host_port)) = (host_ip, binding.port.parse()) else { continue };
            all.push(PublishedPort { protocol, host_ip, host_port, port });
        }
    }
    all.sort_unstable();
    all.dedup();
    all
}

/// Adds what the inspected network says of a workload that does not name it itself, as of Swarm's `docker_gwbridge`; whether it did.
pub fn attach_by_network(workload: &mut Workload, network: &Network) -> bool {
    let Some(endpoint) = network.containers.get(workload.id.as_str()) else { return false };
    let is_known = |a: &Attachment| a.network_id == network.id || a.network == network.name;
    if workload.network_mode != NetworkMode::Own || workload.attachments.iter().any(is_known) {
        return false;
    }
    let attachment = from_endpoint(&from_network(network), endpoint);
    if attachment.addresses.is_empty() && attachment.mac.is_none() {
        return false;
    }
    workload.attachments.push(attachment);
    workload.attachments.sort_by(|a, b| a.network.cmp(&b.network));
    true
}

/// The container that `container:REFERENCE` means, as Docker looks it up: by whole id, by name, or by the beginning of one id only.
pub fn referenced<'a>(
    reference: &str,
    workloads: impl Iterator<Item = &'a Workload> + Clone,
) -> Option<&'a WorkloadId> {
    let id_or_name = workloads
        .clone()
        .find(|workload| workload.id.as_str() == reference)
        .or_else(|| workloads.clone().find(|workload| workload.name == reference));
    let mut by_prefix =
        workloads.filter(|workload| !reference.is_empty() && workload.id.as_str().starts_with(reference));
    let only = by_prefix.next().filter(|_| by_prefix.next().is_none());
    id_or_name.or(only).map(|workload| &workload.id)
}

fn attachment(name: &str, endpoint: &Endpoint) -> Attachment {
    let read =
        |texts: [&String; 2]| texts.into_iter().filter_map(|text| text.parse::<IpAddr>().ok()).collect::<Vec<_>>();
    Attachment {
        network: name.to_owned(),
        network_id: endpoint.network_id.clone(),
        addresses: read([&endpoint.ip, &endpoint.ipv6]),
        mac: endpoint.mac.parse().ok(),
        gateways: read([&endpoint.gateway, &endpoint.ipv6_gateway]),
        host_interface: None,
    }
}

fn before_slash<T: std::str::FromStr>(text: &str) -> Option<T> {
    text.split('/').next().and_then(|ip| ip.parse().ok())
}

/// What a network says of one container's end; addresses carry their prefix length there.
pub(super) fn from_endpoint(network: &RuntimeNetwork, endpoint: &Resource) -> Attachment {
    Attachment {
        network: network.name.clone(),
        network_id: network.id.clone(),
        addresses: [&endpoint.ipv4, &endpoint.ipv6].into_iter().filter_map(|text| before_slash(text)).collect(),
        mac: endpoint.mac.parse().ok(),
        gateways: network.gateways.clone(),
        host_interface: None,
    }
}

/// A network as `docker network inspect` or Docker's list shows it.
pub fn from_network(network: &Network) -> RuntimeNetwork {
    let Network { id, name, driver, ipam, options, .. } = network;
    let named = options.get("com.docker.network.bridge.name").cloned();
    let usual = || if name == "bridge" { "docker0".to_owned() } else { format!("br-{}", id.get(..12).unwrap_or(id)) };
    RuntimeNetwork {
        bridge: (driver == "bridge").then(|| named.unwrap_or_else(usual)),
        parent: options.get("parent").filter(|parent| driver != "bridge" && !parent.is_empty()).cloned(),
        subnets: ipam.config.iter().filter_map(|range| range.subnet.parse::<IpNetwork>().ok()).collect(),
        gateways: ipam.config.iter().filter_map(|range| before_slash(&range.gateway)).collect(),
        id: id.clone(),
        name: name.clone(),
        driver: driver.clone(),
    }
}

/// A network as Podman lists it.
pub(super) fn from_podman_network(network: &PodmanNetwork) -> RuntimeNetwork {
    let bridge = Some(&network.interface).filter(|name| network.driver == "bridge" && !name.is_empty());
    RuntimeNetwork {
        id: network.id.clone(),
        name: network.name.clone(),
        driver: network.driver.clone(),
        subnets: network.subnets.iter().filter_map(|range| range.subnet.parse::<IpNetwork>().ok()).collect(),
        gateways: network.subnets.iter().filter_map(|range| range.gateway.parse().ok()).collect(),
        bridge: bridge.cloned(),
        parent: Some(&network.interface).filter(|name| network.driver != "bridge" && !name.is_empty()).cloned(),
    }
}

/// The repository digest of an image (`sha256:…`), from its `RepoDigests`.
pub(super) fn repo_digest(digests: &[String]) -> Option<String> {
    digests.iter().filter_map(|text| text.split_once('@')).map(|(_, digest)| digest.to_owned()).min()
}

#[cfg(test)]
mod tests;

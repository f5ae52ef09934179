//! What is there now: the runtime of an alert, its container, and what depends on it.
//!
//! Contract: only GET. Limits: the list of containers is asked for once, for the names of those that share its network and the one that took its name.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::Path;

use serde_json::Value;

use super::nft_program::{blocked, nft_program};
use super::runtime_client::{CallError, RuntimeClient};
use crate::input::{Attachment, RuntimeId, RuntimeKind, Workload, WorkloadId};
use crate::inventory::discover::{Discovery, Places, Runtime, Sought};
use crate::respond::{Accused, Container, NetworkState, QUARANTINE_LABEL, Responses, Situation};

/// Why the runtime of an alert cannot be asked.
#[derive(Debug, thiserror::Error)]
pub enum FindError {
    /// It speaks another API.
    #[error("nothing can be done through {0} yet: only through Docker and Podman")]
    OtherKind(RuntimeId),
    /// It is not there.
    #[error(
        "there is no runtime {wanted} here; there are: {found}. Name its socket under `runtime` in the configuration"
    )]
    Unknown {
        /// The alert's.
        wanted: RuntimeId,
        /// Those that are there.
        found: String,
    },
}

/// The runtime that reported the container of an alert.
pub fn find_runtime(sought: &Sought, wanted: RuntimeId) -> Result<Runtime, FindError> {
    if !matches!(wanted.kind(), RuntimeKind::Docker | RuntimeKind::Podman) {
        return Err(FindError::OtherKind(wanted));
    }
    let runtimes = Discovery::new(sought.clone(), Places::here()).look();
    let found: Vec<_> = runtimes.iter().map(|runtime| runtime.name.to_string()).collect();
    let found = if found.is_empty() { "none".to_owned() } else { found.join(", ") };
    runtimes.into_iter().find(|runtime| runtime.name == wanted).ok_or(FindError::Unknown { wanted, found })
}

/// A container as it is now; `None` when it is gone.
pub(super) fn inspect(client: &RuntimeClient, id: &str) -> Result<Option<Container>, CallError> {
    match client.get(&format!("/containers/{id}/json")) {
        Ok(document) => {
            let container = Container::read(&document).map_err(CallError::NotUnderstood)?;
            if container.id == id {
                Ok(Some(container))
            } else {
                Err(CallError::NotUnderstood("it is about another container".to_owned()))
            }
        }
        Err(error) if error.is_gone() => Ok(None),
        Err(error) => Err(error),
    }
}

/// What is there.
pub fn situation(
    client: &RuntimeClient,
    runtime: &Runtime,
    accused: &Accused,
    responses: &Responses,
    state_dir: &Path,
) -> Result<Situation, CallError> {
    let container = inspect(client, &accused.id)?;
    let listed = client.get("/containers/json?all=1")?;
    let listed = listed.as_array().map(Vec::as_slice).unwrap_or_default();
    let joins = format!("container:{}", accused.id);
    let joined = listed.iter().filter(|entry| entry["HostConfig"]["NetworkMode"] == joins.as_str());
    let others = || listed.iter().filter(|entry| entry["Id"] != accused.id.as_str());
    let mut named = others().filter(|entry| !accused.name.is_empty() && name_of(entry) == accused.name);
    Ok(Situation {
        host: runtime.host.clone(),
        api: client.api().to_owned(),
        digest: container.as_ref().map(|container| digest(client, container)).unwrap_or_default(),
        replaced_by: named.next().and_then(|entry| entry["Id"].as_str()).map(str::to_owned),
        joined_by: joined.map(name_of).collect(),
        own: own_containers(),
        networks: networks(client)?,
        neighbours: others().map(|entry| neighbour(entry, runtime.name)).collect(),
        host_addresses: host_addresses(),
        resolvers: resolvers(&std::fs::read_to_string("/etc/resolv.conf").unwrap_or_default()),
        has_nft: nft_program().is_some(),
        // What cannot be listed is not there to be shown; each step looks again.
        blocked: blocked().unwrap_or_default(),
        state_dir: Some(state_dir.display().to_string()),
        standing: responses.standing().cloned().collect(),
        recent: 0,
        container,
    })
}

fn name_of(entry: &Value) -> String {
    let name = entry["Names"].as_array().and_then(|names| names.first()).and_then(Value::as_str);
    name.map(|name| name.trim_start_matches('/').to_owned()).unwrap_or_default()
}

/// A container of the list, as selectors see it.
fn neighbour(entry: &Value, runtime: RuntimeId) -> Workload {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let labels = entry["Labels"].as_object().into_iter().flatten();
    let networks = entry["NetworkSettings"]["Networks"].as_object().into_iter().flatten();
    let attachment = |(name, endpoint): (&String, &Value)| Attachment {
        network: name.clone(),
        addresses: ["IPAddress", "GlobalIPv6Address"]
            .iter()
            .filter_map(|key| endpoint[*key].as_str()?.parse().ok())
            .collect(),
        ..Attachment::default()
    };
    Workload {
        image: text(&entry["Image"]),
        image_digest: text(&entry["ImageID"]),
        labels: labels.map(|(key, value)| (key.clone(), text(value))).collect(),
        attachments: networks.map(attachment).collect(),
        ..Workload::new(WorkloadId::new(&text(&entry["Id"])), &name_of(entry), runtime)
    }
}

/// All, by id.
pub(super) fn networks(client: &RuntimeClient) -> Result<BTreeMap<String, NetworkState>, CallError> {
    let listed = client.get("/networks")?;
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let state = |network: &Value| NetworkState {
        name: text(&network["Name"]),
        driver: text(&network["Driver"]),
        is_quarantine: network["Internal"] == true && network["Labels"][QUARANTINE_LABEL].is_string(),
    };
    Ok(listed.as_array().into_iter().flatten().map(|network| (text(&network["Id"]), state(network))).collect())
}

/// Of the network namespace that this process is in.
fn host_addresses() -> Vec<IpAddr> {
    let interfaces = nix::ifaddrs::getifaddrs().into_iter().flatten();
    let address = |interface: nix::ifaddrs::InterfaceAddress| {
        let address = interface.address?;
        let four = address.as_sockaddr_in().map(|address| IpAddr::V4(address.ip()));
        four.or_else(|| address.as_sockaddr_in6().map(|address| IpAddr::V6(address.ip())))
    };
    interfaces.filter_map(address).collect()
}

/// Of `resolv.conf(5)`.
fn resolvers(text: &str) -> Vec<IpAddr> {
    let servers = text.lines().filter_map(|line| line.trim().strip_prefix("nameserver"));
    servers.filter_map(|server| server.trim().split('%').next()?.parse().ok()).collect()
}

/// The digest by which selectors name an image: the repository's, or else the image's id.
fn digest(client: &RuntimeClient, container: &Container) -> String {
    let image = client.get(&format!("/images/{}/json", container.image_id)).unwrap_or_default();
    let digests =
        image["RepoDigests"].as_array().into_iter().flatten().filter_map(|text| text.as_str()?.split_once('@'));
    digests.map(|(_, digest)| digest.to_owned()).min().unwrap_or_else(|| container.image_id.clone())
}

/// Ids of containers that this process runs in: what its cgroup and its mounts name.
fn own_containers() -> Vec<String> {
    let read = |path: &str| std::fs::read_to_string(path).unwrap_or_default();
    let hostname =
        read("/proc/self/mountinfo").lines().filter(|line| line.contains("/etc/hostname")).collect::<String>();
    let texts = [read("/proc/self/cgroup"), hostname];
    let ids = texts.iter().flat_map(|text| text.split(|c: char| !c.is_ascii_hexdigit()));
    ids.filter(|part| part.len() == 64).map(str::to_owned).collect()
}

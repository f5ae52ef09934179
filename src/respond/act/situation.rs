//! What is there now: the runtime of an alert, its container, and what depends on it.
//!
//! Contract: only GET. Limits: the list of containers is asked for once, for the names of those that share its network and the one that took its name.

use std::path::Path;

use super::runtime_client::{CallError, RuntimeClient};
use crate::input::{RuntimeId, RuntimeKind};
use crate::inventory::discover::{Discovery, Places, Runtime, Sought};
use crate::respond::{Accused, Container, Responses, Situation};

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
    let name_of = |entry: &serde_json::Value| {
        let name = entry["Names"].as_array().and_then(|names| names.first()).and_then(|name| name.as_str());
        name.map(|name| name.trim_start_matches('/').to_owned()).unwrap_or_default()
    };
    let joins = format!("container:{}", accused.id);
    let joined = listed.iter().filter(|entry| entry["HostConfig"]["NetworkMode"] == joins.as_str());
    let others = listed.iter().filter(|entry| entry["Id"] != accused.id.as_str());
    let mut named = others.filter(|entry| !accused.name.is_empty() && name_of(entry) == accused.name);
    Ok(Situation {
        host: runtime.host.clone(),
        api: client.api().to_owned(),
        digest: container.as_ref().map(|container| digest(client, container)).unwrap_or_default(),
        replaced_by: named.next().and_then(|entry| entry["Id"].as_str()).map(str::to_owned),
        joined_by: joined.map(name_of).collect(),
        own: own_containers(),
        state_dir: Some(state_dir.display().to_string()),
        standing: responses.standing().cloned().collect(),
        recent: 0,
        container,
    })
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

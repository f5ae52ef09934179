//! What containerd says of a container, as our workload. What it does becomes facts in `event.rs`, beside.
//!
//! Contract: pure and total; what containerd leaves out stays empty. Limits: containerd knows no addresses, so attachments stay
//! empty: the kernel's facts give them by namespace. Whose namespace a path is, is only known where the path names a process.
//! Design: the network mode is read from the OCI runtime specification, as `config-linux.md` describes its `namespaces`.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::proto::{Container, Process, status};
use crate::input::{NetworkMode, Pod, RuntimeId, Workload, WorkloadId, WorkloadState};
use crate::inventory::reader::ReaderCounters;
use crate::inventory::reader::bounds::{labels, text};
use crate::inventory::reader::container_states::ObservedContainer;
use crate::inventory::reader::proto::Time;

/// A container's own name in nerdctl.
const NAME: &str = "nerdctl/name";
/// The pod's sandbox, as containerd's CRI plugin writes it into the specification.
const SANDBOX: &str = "io.kubernetes.cri.sandbox-id";

/// The id under which a container is reported. containerd's ids are unique in their namespace only; those of 64 hexadecimal digits
/// (nerdctl, CRI) everywhere.
pub(super) fn workload_id(namespace: &str, id: &str) -> WorkloadId {
    let everywhere = id.len() == 64 && id.bytes().all(|byte| byte.is_ascii_hexdigit());
    if everywhere { WorkloadId::new(id) } else { WorkloadId::new(&format!("{namespace}/{id}")) }
}

/// A container with its task, if it has one. `owner_of` knows whose first process a pid is.
pub(super) fn observed(
    runtime: &RuntimeId,
    namespace: &str,
    container: &Container,
    task: Option<&Process>,
    owner_of: impl Fn(u32) -> Option<WorkloadId>,
    counters: &ReaderCounters,
) -> ObservedContainer {
    let id = workload_id(namespace, &container.id);
    let labels = labels(&container.labels, counters);
    let name = labels.get(NAME).cloned().unwrap_or_else(|| text(container.id.as_bytes(), counters));
    let state = task.map_or(WorkloadState::Created, |task| state_of(task.status));
    let runs = matches!(state, WorkloadState::Running | WorkloadState::Paused);
    let spec = Spec::read(container, counters);
    let sandbox = spec.annotations.get(SANDBOX).map(|owner| workload_id(namespace, owner));
    let pod = pod_of(&labels, sandbox.as_ref() == Some(&id));
    let workload = Workload {
        name,
        image: text(&container.image, counters),
        image_digest: String::new(),
        published: Vec::new(),
        labels,
        runtime: *runtime,
        network_mode: spec.network_mode(&id, sandbox, owner_of),
        attachments: Vec::new(),
        pid: task.filter(|_| runs).map(|task| task.pid).filter(|pid| *pid > 0),
        pod,
        state,
        since: container.created_at.and_then(Time::at),
        configuration: None,
        id,
    };
    ObservedContainer { workload, ended: task.filter(|_| !runs).and_then(|task| task.exited_at).and_then(Time::at) }
}

/// A status that is not known is one of a task that exists: it runs.
const fn state_of(word: i32) -> WorkloadState {
    match word {
        status::CREATED => WorkloadState::Created,
        status::STOPPED => WorkloadState::Exited,
        status::PAUSED | status::PAUSING => WorkloadState::Paused,
        _ => WorkloadState::Running,
    }
}

/// The kubelet labels every container with its pod.
fn pod_of(labels: &BTreeMap<String, String>, sandbox: bool) -> Option<Pod> {
    let get = |key: &str| labels.get(key).cloned();
    Some(Pod {
        name: get("io.kubernetes.pod.name")?,
        namespace: get("io.kubernetes.pod.namespace").unwrap_or_default(),
        uid: get("io.kubernetes.pod.uid").unwrap_or_default(),
        sandbox,
    })
}

/// The parts of an OCI runtime specification that are read.
#[derive(Debug, Default, Deserialize)]
struct Spec {
    linux: Option<Linux>,
    #[serde(default, deserialize_with = "or_default")]
    annotations: BTreeMap<String, String>,
}

#[derive(Debug, Deserialize)]
struct Linux {
    #[serde(default, deserialize_with = "or_default")]
    namespaces: Vec<Namespace>,
}

#[derive(Debug, Deserialize)]
struct Namespace {
    #[serde(rename = "type")]
    kind: String,
    #[serde(default)]
    path: String,
}

/// Go writes `null` for an empty list.
fn or_default<'de, D: serde::Deserializer<'de>, T: Default + Deserialize<'de>>(from: D) -> Result<T, D::Error> {
    Ok(Option::deserialize(from)?.unwrap_or_default())
}

impl Spec {
    fn read(container: &Container, counters: &ReaderCounters) -> Self {
        let Some(spec) = &container.spec else { return Self::default() };
        let read = serde_json::from_slice(&spec.value).ok();
        counters.unreadable.add(u64::from(read.is_none()));
        read.unwrap_or_default()
    }

    /// Without an entry for the network a container stays where its runtime is: in the host's namespace.
    fn network_mode(
        &self,
        id: &WorkloadId,
        sandbox: Option<WorkloadId>,
        owner_of: impl Fn(u32) -> Option<WorkloadId>,
    ) -> NetworkMode {
        let Some(linux) = &self.linux else { return NetworkMode::Own };
        let Some(network) = linux.namespaces.iter().find(|namespace| namespace.kind == "network") else {
            return NetworkMode::Host;
        };
        if let Some(owner) = sandbox.filter(|owner| owner != id) {
            return NetworkMode::Container(owner);
        }
        match process_of(&network.path) {
            Some(1) => NetworkMode::Host,
            Some(pid) => owner_of(pid).filter(|owner| owner != id).map_or(NetworkMode::Own, NetworkMode::Container),
            None => NetworkMode::Own,
        }
    }
}

/// The process in `/proc/4711/ns/net`.
fn process_of(path: &str) -> Option<u32> {
    path.strip_prefix("/proc/")?.strip_suffix("/ns/net")?.parse().ok()
}

#[cfg(test)]
mod tests;

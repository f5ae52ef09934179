//! What the Container Runtime Interface says of pods and containers, as our workloads.
//!
//! Contract: pure and total; what the runtime leaves out stays empty, what cannot be read (an address, a MAC) counts as left out.
//! Limits: the first process, the MAC and the gateways are in the verbose part of an answer, which is free text by the
//! interface; containerd and CRI-O both write JSON under `info`. Design: a pod's sandbox owns the network, its containers join it.

use std::collections::BTreeMap;
use std::net::IpAddr;

use serde::{Deserialize, Deserializer};

use super::proto::{ContainerAnswer, NODE, READY, SandboxAnswer, SandboxStatus, state};
use crate::input::{Attachment, Mac, NetworkMode, Pod, RuntimeId, Workload, WorkloadId, WorkloadState};
use crate::inventory::reader::ReaderCounters;
use crate::inventory::reader::bounds::{labels, text};
use crate::inventory::reader::container_states::ObservedContainer;
use crate::inventory::reader::proto::{Entry, value};
use crate::time::Timestamp;

/// The interface does not name the network of a pod.
const NETWORK: &str = "pod";
/// Addresses of one pod that are kept.
const MAX_ADDRESSES: usize = 64;

/// A pod's sandbox.
pub(super) fn sandbox(
    runtime: &RuntimeId,
    answer: SandboxAnswer,
    counters: &ReaderCounters,
) -> Option<ObservedContainer> {
    let status = answer.status?;
    let info = Info::read(&answer.info, counters);
    let metadata = status.metadata.clone().unwrap_or_default();
    let name = text(&metadata.name, counters);
    let runs = status.state == READY;
    let mode = if on_node(&status) { NetworkMode::Host } else { NetworkMode::Own };
    let attachments = if mode == NetworkMode::Own { attachments(&status, &info) } else { Vec::new() };
    let workload = Workload {
        id: WorkloadId::new(&status.id),
        image: text(info.image.as_bytes(), counters),
        image_digest: String::new(),
        published: Vec::new(),
        labels: labels(&status.labels, counters),
        runtime: *runtime,
        network_mode: mode,
        attachments,
        pid: info.pid.filter(|_| runs),
        pod: Some(Pod {
            name: name.clone(),
            namespace: text(&metadata.namespace, counters),
            uid: text(&metadata.uid, counters),
            sandbox: true,
        }),
        name,
        state: if runs { WorkloadState::Running } else { WorkloadState::Exited },
        since: moment(status.created_at),
        configuration: None,
    };
    Some(ObservedContainer { workload, ended: None })
}

/// A container in the pod with this sandbox.
pub(super) fn container(
    runtime: &RuntimeId,
    answer: ContainerAnswer,
    owner: &str,
    sandbox: Option<&Workload>,
    counters: &ReaderCounters,
) -> Option<ObservedContainer> {
    let status = answer.status?;
    let info = Info::read(&answer.info, counters);
    let state = match status.state {
        state::CREATED => WorkloadState::Created,
        state::RUNNING => WorkloadState::Running,
        state::EXITED => WorkloadState::Exited,
        // CONTAINER_UNKNOWN: the runtime lost it, and it may still run.
        _ => sandbox.map_or(WorkloadState::Exited, |sandbox| sandbox.state),
    };
    let runs = state == WorkloadState::Running;
    let on_node = sandbox.is_some_and(|sandbox| sandbox.network_mode == NetworkMode::Host);
    let image = text(&status.image.unwrap_or_default().image, counters);
    let workload = Workload {
        id: WorkloadId::new(&status.id),
        name: text(&status.metadata.unwrap_or_default().name, counters),
        image,
        image_digest: digest(&text(&status.image_ref, counters)),
        published: Vec::new(),
        labels: labels(&status.labels, counters),
        runtime: *runtime,
        network_mode: if on_node { NetworkMode::Host } else { NetworkMode::Container(WorkloadId::new(owner)) },
        attachments: Vec::new(),
        pid: info.pid.filter(|_| runs),
        pod: sandbox.and_then(|sandbox| sandbox.pod.clone()).map(|pod| Pod { sandbox: false, ..pod }),
        state,
        since: moment(status.started_at).or_else(|| moment(status.created_at)),
        configuration: None,
    };
    Some(ObservedContainer { workload, ended: moment(status.finished_at).filter(|_| state == WorkloadState::Exited) })
}

/// Nanoseconds since the epoch; zero is "not yet".
pub(super) fn moment(nanos: i64) -> Option<Timestamp> {
    (nanos > 0).then(|| Timestamp::from_nanos(nanos))
}

fn on_node(status: &SandboxStatus) -> bool {
    let options = status.linux.as_ref().and_then(|linux| linux.namespaces.as_ref()?.options.as_ref());
    options.is_some_and(|options| options.network == NODE)
}

/// The digest in `name@sha256:…`, or the image's id.
fn digest(reference: &str) -> String {
    reference.rsplit_once('@').map_or(reference, |(_, digest)| digest).to_owned()
}

fn attachments(status: &SandboxStatus, info: &Info) -> Vec<Attachment> {
    let Some(network) = &status.network else { return Vec::new() };
    let texts = std::iter::once(&network.ip).chain(network.additional.iter().map(|more| &more.ip));
    let mut addresses: Vec<IpAddr> = texts.take(MAX_ADDRESSES).filter_map(|text| text.parse().ok()).collect();
    addresses.sort();
    addresses.dedup();
    if addresses.is_empty() {
        return Vec::new();
    }
    let interface = info.cni.interfaces.values().find(|interface| interface.holds(&addresses));
    vec![Attachment {
        network: NETWORK.to_owned(),
        mac: interface.and_then(|interface| interface.mac.parse::<Mac>().ok()),
        gateways: interface.map(Interface::gateways).unwrap_or_default(),
        addresses,
        ..Attachment::default()
    }]
}

/// The verbose part of an answer.
#[derive(Debug, Default, Deserialize)]
struct Info {
    #[serde(default, deserialize_with = "process")]
    pid: Option<u32>,
    #[serde(default, deserialize_with = "or_default")]
    image: String,
    #[serde(rename = "cniResult", default, deserialize_with = "or_default")]
    cni: Cni,
}

/// What the network plugins answered, as containerd's `go-cni` writes it.
#[derive(Debug, Default, Deserialize)]
struct Cni {
    #[serde(rename = "Interfaces", default, deserialize_with = "or_default")]
    interfaces: BTreeMap<String, Interface>,
}

#[derive(Debug, Default, Deserialize)]
struct Interface {
    #[serde(rename = "IPConfigs", default, deserialize_with = "or_default")]
    addresses: Vec<Address>,
    #[serde(rename = "Mac", default, deserialize_with = "or_default")]
    mac: String,
}

#[derive(Debug, Default, Deserialize)]
struct Address {
    #[serde(rename = "IP", default, deserialize_with = "or_default")]
    ip: String,
    #[serde(rename = "Gateway", default, deserialize_with = "or_default")]
    gateway: String,
}

impl Interface {
    fn holds(&self, addresses: &[IpAddr]) -> bool {
        self.addresses.iter().any(|own| own.ip.parse().is_ok_and(|ip| addresses.contains(&ip)))
    }

    fn gateways(&self) -> Vec<IpAddr> {
        self.addresses.iter().take(MAX_ADDRESSES).filter_map(|own| own.gateway.parse().ok()).collect()
    }
}

impl Info {
    fn read(entries: &[Entry], counters: &ReaderCounters) -> Self {
        let Some(text) = value(entries, "info") else { return Self::default() };
        let read = serde_json::from_slice(text).ok();
        counters.unreadable.add(u64::from(read.is_none()));
        read.unwrap_or_default()
    }
}

/// Go writes `null` for what is empty.
fn or_default<'de, D: Deserializer<'de>, T: Default + Deserialize<'de>>(from: D) -> Result<T, D::Error> {
    Ok(Option::deserialize(from)?.unwrap_or_default())
}

fn process<'de, D: Deserializer<'de>>(from: D) -> Result<Option<u32>, D::Error> {
    let pid: Option<i64> = Option::deserialize(from)?;
    Ok(pid.and_then(|pid| u32::try_from(pid).ok()).filter(|pid| *pid > 0))
}

#[cfg(test)]
mod tests;

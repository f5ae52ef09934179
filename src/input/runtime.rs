//! Runtime facts: workloads, their networks, and whether the runtime answers.
//!
//! Contract: a [`Workload`] is the whole of what the runtime says of a container at a time; `since` and `until` bound when
//! that was true (event time of the runtime, not of delivery). Limits: every text is attacker-chosen.
//! Design: each runtime's reader maps its own words to these; nothing else knows them.

use std::collections::BTreeMap;
use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;

use ipnetwork::IpNetwork;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Configuration, ContainerEvent, Mac, Protocol, RuntimeId, WorkloadId};
use crate::time::Timestamp;

/// How a container reaches the network.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum NetworkMode {
    /// Networks of its own.
    #[default]
    Own,
    /// The host's network namespace.
    Host,
    /// No network.
    None,
    /// The network namespace of another container.
    Container(WorkloadId),
    /// A rootless network stack (`slirp4netns`, `pasta`): on the host's side its traffic is that of one ordinary process.
    Rootless(String),
}

impl fmt::Display for NetworkMode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Own => f.write_str("own"),
            Self::Host => f.write_str("host"),
            Self::None => f.write_str("none"),
            Self::Container(id) => write!(f, "container:{id}"),
            Self::Rootless(stack) => write!(f, "rootless:{stack}"),
        }
    }
}

/// Life of a container, as far as it matters here.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum WorkloadState {
    /// Known, not started yet.
    Created,
    /// Running.
    #[default]
    Running,
    /// Frozen; keeps its addresses.
    Paused,
    /// Ended; no longer owns anything.
    Exited,
}

impl WorkloadState {
    /// All states, in order.
    pub const ALL: [Self; 4] = [Self::Created, Self::Running, Self::Paused, Self::Exited];

    /// The word used in JSON and metrics.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Created => "created",
            Self::Running => "running",
            Self::Paused => "paused",
            Self::Exited => "exited",
        }
    }
}

/// One network that a workload is attached to.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Attachment {
    /// Network name.
    pub network: String,
    /// Network id.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub network_id: String,
    /// Addresses in it, IPv4 first.
    #[serde(default)]
    pub addresses: Vec<IpAddr>,
    /// MAC in it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mac: Option<Mac>,
    /// Gateways of it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub gateways: Vec<IpAddr>,
    /// Host-side veth, where it could be found.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub host_interface: Option<String>,
}

/// A port of a container that the host publishes: what arrives at the host's address and port is forwarded to the container's port.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
pub struct PublishedPort {
    /// Of both ports.
    pub protocol: Protocol,
    /// The host's address; unspecified (`0.0.0.0`, `::`) for all of its family.
    pub host_ip: IpAddr,
    /// The host's port.
    pub host_port: u16,
    /// The container's port.
    pub port: u16,
}

/// The Kubernetes pod of a workload.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Pod {
    /// Its name.
    pub name: String,
    /// Its Kubernetes namespace.
    pub namespace: String,
    /// Its uid.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub uid: String,
    /// Whether this workload is the pod's sandbox, which owns its network namespace and addresses.
    #[serde(default)]
    pub sandbox: bool,
}

/// A container, with its pod or compose service if it has one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Workload {
    /// Id.
    pub id: WorkloadId,
    /// Name, without the leading slash.
    pub name: String,
    /// Image as it was asked for.
    pub image: String,
    /// Digest of the image (`sha256:…`): the repository digest, or else the image id.
    #[serde(default)]
    pub image_digest: String,
    /// Labels.
    #[serde(default)]
    pub labels: BTreeMap<String, String>,
    /// Which runtime reported it.
    pub runtime: RuntimeId,
    /// How it reaches the network.
    #[serde(default)]
    pub network_mode: NetworkMode,
    /// Its networks.
    #[serde(default)]
    pub attachments: Vec<Attachment>,
    /// Ports of it that the host publishes, by the word of a runtime of root's.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub published: Vec<PublishedPort>,
    /// First process, as the host numbers it; absent when it does not run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pid: Option<u32>,
    /// Its pod, where it has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pod: Option<Pod>,
    /// State.
    #[serde(default)]
    pub state: WorkloadState,
    /// Since when this is true; absent when only "now" is known (an undated snapshot).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since: Option<Timestamp>,
    /// How it is set up; absent where its runtime was not asked, or did not say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub configuration: Option<Arc<Configuration>>,
}

impl Workload {
    /// One that runs with a network of its own, of which nothing more is known.
    pub fn new(id: WorkloadId, name: &str, runtime: RuntimeId) -> Self {
        Self {
            id,
            name: name.to_owned(),
            image: String::new(),
            image_digest: String::new(),
            labels: BTreeMap::new(),
            runtime,
            network_mode: NetworkMode::Own,
            attachments: Vec::new(),
            published: Vec::new(),
            pid: None,
            pod: None,
            state: WorkloadState::Running,
            since: None,
            configuration: None,
        }
    }

    /// Docker Compose project, if it has one.
    pub fn compose_project(&self) -> Option<&str> {
        self.labels.get("com.docker.compose.project").map(String::as_str)
    }

    /// Docker Compose service, if it has one.
    pub fn compose_service(&self) -> Option<&str> {
        self.labels.get("com.docker.compose.service").map(String::as_str)
    }

    /// All its addresses.
    pub fn addresses(&self) -> impl Iterator<Item = IpAddr> + '_ {
        self.attachments.iter().flat_map(|attachment| attachment.addresses.iter().copied())
    }
}

/// A network of a runtime.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct RuntimeNetwork {
    /// Id.
    pub id: String,
    /// Name.
    pub name: String,
    /// Driver: `bridge`, `host`, `macvlan`, …
    pub driver: String,
    /// Address ranges.
    #[serde(default)]
    #[schemars(with = "Vec<String>")]
    pub subnets: Vec<IpNetwork>,
    /// Gateways.
    #[serde(default)]
    pub gateways: Vec<IpAddr>,
    /// Bridge interface on the host, for the bridge driver.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bridge: Option<String>,
    /// Interface of the host over which its frames leave, for drivers without a bridge (macvlan, ipvlan).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parent: Option<String>,
}

impl RuntimeNetwork {
    /// Whether this is the network of an attachment.
    pub fn holds(&self, attachment: &Attachment) -> bool {
        attachment.network_id == self.id || attachment.network == self.name
    }
}

/// What a runtime reported.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum InventoryEvent {
    /// A workload as it is now; replaces what was known of that id.
    Workload(Arc<Workload>),
    /// A workload ended at a time.
    Stopped {
        /// Which.
        id: WorkloadId,
        /// When, by the runtime's clock.
        until: Timestamp,
    },
    /// The runtime did something to a container. What that changed is reported by the others, most often before.
    Container(Arc<ContainerEvent>),
    /// A network as it is now.
    Network(Arc<RuntimeNetwork>),
    /// A network is gone.
    NetworkRemoved {
        /// Network id.
        id: String,
    },
    /// The runtime answers; the snapshot that follows is complete once `Reconciled` comes.
    Connected {
        /// Which.
        runtime: RuntimeId,
    },
    /// The runtime no longer answers, or its event stream was cut.
    Disconnected {
        /// Which.
        runtime: RuntimeId,
        /// What was seen of it.
        error: String,
    },
    /// hopwatch no longer waits for the runtime: it was found by itself, and its socket is gone for long.
    GivenUp {
        /// Which.
        runtime: RuntimeId,
    },
    /// The whole list of running workloads was read at this time: whatever is not in it has ended.
    Reconciled {
        /// Which.
        runtime: RuntimeId,
        /// All that run.
        running: Vec<WorkloadId>,
    },
}

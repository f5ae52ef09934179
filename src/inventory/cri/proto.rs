//! The Container Runtime Interface's messages, written by hand: only the fields that are read.
//!
//! Contract: field numbers are those of `runtime.v1` in k8s.io/cri-api/pkg/apis/runtime/v1/api.proto. Limits: read calls only.
//! Design: see `inventory::reader::proto` for why texts are bytes.

use prost::Message;

use crate::inventory::reader::proto::Entry;

pub(super) const VERSION: &str = "/runtime.v1.RuntimeService/Version";
pub(super) const SANDBOXES: &str = "/runtime.v1.RuntimeService/ListPodSandbox";
pub(super) const SANDBOX: &str = "/runtime.v1.RuntimeService/PodSandboxStatus";
pub(super) const CONTAINERS: &str = "/runtime.v1.RuntimeService/ListContainers";
pub(super) const CONTAINER: &str = "/runtime.v1.RuntimeService/ContainerStatus";
pub(super) const EVENTS: &str = "/runtime.v1.RuntimeService/GetContainerEvents";

/// `VersionRequest`: the version of the kubelet's own interface, which runtimes do not look at.
#[derive(Clone, PartialEq, Eq, Message)]
pub(super) struct VersionRequest {
    #[prost(string, tag = "1")]
    pub(super) version: String,
}

/// `VersionResponse`.
#[derive(Clone, PartialEq, Eq, Message)]
pub(super) struct Version {
    #[prost(string, tag = "2")]
    pub(super) runtime_name: String,
    #[prost(string, tag = "3")]
    pub(super) runtime_version: String,
}

/// An item of `ListPodSandboxResponse` (`PodSandbox`).
#[derive(Clone, PartialEq, Eq, Message)]
pub(super) struct SandboxItem {
    #[prost(string, tag = "1")]
    pub(super) id: String,
    #[prost(int32, tag = "3")]
    pub(super) state: i32,
}

/// `SANDBOX_READY` of `PodSandboxState`; the other one is `SANDBOX_NOTREADY`.
pub(super) const READY: i32 = 0;

/// An item of `ListContainersResponse` (`Container`).
#[derive(Clone, PartialEq, Eq, Message)]
pub(super) struct ContainerItem {
    #[prost(string, tag = "1")]
    pub(super) id: String,
    #[prost(string, tag = "2")]
    pub(super) sandbox: String,
    #[prost(int32, tag = "6")]
    pub(super) state: i32,
}

/// `ContainerState`.
pub(super) mod state {
    pub(in super::super) const CREATED: i32 = 0;
    pub(in super::super) const RUNNING: i32 = 1;
    pub(in super::super) const EXITED: i32 = 2;
}

/// `PodSandboxStatusRequest` and `ContainerStatusRequest`.
#[derive(Clone, PartialEq, Eq, Message)]
pub(super) struct StatusRequest {
    #[prost(string, tag = "1")]
    pub(super) id: String,
    #[prost(bool, tag = "2")]
    pub(super) verbose: bool,
}

/// `PodSandboxStatusResponse`.
#[derive(Clone, PartialEq, Eq, Message)]
pub(super) struct SandboxAnswer {
    #[prost(message, optional, tag = "1")]
    pub(super) status: Option<SandboxStatus>,
    #[prost(message, repeated, tag = "2")]
    pub(super) info: Vec<Entry>,
}

/// `PodSandboxStatus`.
#[derive(Clone, PartialEq, Eq, Message)]
pub(super) struct SandboxStatus {
    #[prost(string, tag = "1")]
    pub(super) id: String,
    #[prost(message, optional, tag = "2")]
    pub(super) metadata: Option<SandboxMetadata>,
    #[prost(int32, tag = "3")]
    pub(super) state: i32,
    #[prost(int64, tag = "4")]
    pub(super) created_at: i64,
    #[prost(message, optional, tag = "5")]
    pub(super) network: Option<Network>,
    #[prost(message, optional, tag = "6")]
    pub(super) linux: Option<Linux>,
    #[prost(message, repeated, tag = "7")]
    pub(super) labels: Vec<Entry>,
}

/// `PodSandboxMetadata`.
#[derive(Clone, PartialEq, Eq, Message)]
pub(super) struct SandboxMetadata {
    #[prost(bytes = "vec", tag = "1")]
    pub(super) name: Vec<u8>,
    #[prost(bytes = "vec", tag = "2")]
    pub(super) uid: Vec<u8>,
    #[prost(bytes = "vec", tag = "3")]
    pub(super) namespace: Vec<u8>,
}

/// `PodSandboxNetworkStatus`.
#[derive(Clone, PartialEq, Eq, Message)]
pub(super) struct Network {
    #[prost(string, tag = "1")]
    pub(super) ip: String,
    #[prost(message, repeated, tag = "2")]
    pub(super) additional: Vec<PodIp>,
}

/// `PodIP`.
#[derive(Clone, PartialEq, Eq, Message)]
pub(super) struct PodIp {
    #[prost(string, tag = "1")]
    pub(super) ip: String,
}

/// `LinuxPodSandboxStatus`.
#[derive(Clone, PartialEq, Eq, Message)]
pub(super) struct Linux {
    #[prost(message, optional, tag = "1")]
    pub(super) namespaces: Option<Namespaces>,
}

/// `Namespace`.
#[derive(Clone, PartialEq, Eq, Message)]
pub(super) struct Namespaces {
    #[prost(message, optional, tag = "2")]
    pub(super) options: Option<NamespaceOption>,
}

/// `NamespaceOption`.
#[derive(Clone, PartialEq, Eq, Message)]
pub(super) struct NamespaceOption {
    #[prost(int32, tag = "1")]
    pub(super) network: i32,
}

/// `NODE` of `NamespaceMode`: the host's own.
pub(super) const NODE: i32 = 2;

/// `ContainerStatusResponse`.
#[derive(Clone, PartialEq, Eq, Message)]
pub(super) struct ContainerAnswer {
    #[prost(message, optional, tag = "1")]
    pub(super) status: Option<ContainerStatus>,
    #[prost(message, repeated, tag = "2")]
    pub(super) info: Vec<Entry>,
}

/// `ContainerStatus`.
#[derive(Clone, PartialEq, Eq, Message)]
pub(super) struct ContainerStatus {
    #[prost(string, tag = "1")]
    pub(super) id: String,
    #[prost(message, optional, tag = "2")]
    pub(super) metadata: Option<ContainerMetadata>,
    #[prost(int32, tag = "3")]
    pub(super) state: i32,
    #[prost(int64, tag = "4")]
    pub(super) created_at: i64,
    #[prost(int64, tag = "5")]
    pub(super) started_at: i64,
    #[prost(int64, tag = "6")]
    pub(super) finished_at: i64,
    #[prost(message, optional, tag = "8")]
    pub(super) image: Option<ImageSpec>,
    #[prost(bytes = "vec", tag = "9")]
    pub(super) image_ref: Vec<u8>,
    #[prost(message, repeated, tag = "12")]
    pub(super) labels: Vec<Entry>,
}

/// `ContainerMetadata`.
#[derive(Clone, PartialEq, Eq, Message)]
pub(super) struct ContainerMetadata {
    #[prost(bytes = "vec", tag = "1")]
    pub(super) name: Vec<u8>,
}

/// `ImageSpec`.
#[derive(Clone, PartialEq, Eq, Message)]
pub(super) struct ImageSpec {
    #[prost(bytes = "vec", tag = "1")]
    pub(super) image: Vec<u8>,
}

/// `ContainerEventResponse`.
#[derive(Clone, PartialEq, Eq, Message)]
pub(super) struct Event {
    #[prost(string, tag = "1")]
    pub(super) container: String,
    #[prost(int32, tag = "2")]
    pub(super) kind: i32,
    #[prost(int64, tag = "3")]
    pub(super) created_at: i64,
}

/// `ContainerEventType`.
pub(super) const CREATED: i32 = 0;
pub(super) const STARTED: i32 = 1;
pub(super) const STOPPED: i32 = 2;
pub(super) const DELETED: i32 = 3;

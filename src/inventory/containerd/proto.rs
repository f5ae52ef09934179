//! containerd's messages, written by hand: only the fields that are read.
//!
//! Contract: field numbers are those of containerd's `api/` folder (1.6 and 2.x agree in all of these), each file named at its
//! messages. Limits: read calls only. Design: see `inventory::reader::proto` for why texts are bytes.

use prost::Message;

use crate::inventory::reader::proto::{Any, Entry, Time};

pub(super) const VERSION: &str = "/containerd.services.version.v1.Version/Version";
pub(super) const NAMESPACES: &str = "/containerd.services.namespaces.v1.Namespaces/List";
pub(super) const CONTAINERS: &str = "/containerd.services.containers.v1.Containers/ListStream";
pub(super) const CONTAINER: &str = "/containerd.services.containers.v1.Containers/Get";
pub(super) const TASKS: &str = "/containerd.services.tasks.v1.Tasks/List";
pub(super) const TASK: &str = "/containerd.services.tasks.v1.Tasks/Get";
pub(super) const IMAGE: &str = "/containerd.services.images.v1.Images/Get";
pub(crate) const EVENTS: &str = "/containerd.services.events.v1.Events/Subscribe";

/// services/version/v1/version.proto, `VersionResponse`.
#[derive(Clone, PartialEq, Eq, Message)]
pub(super) struct Version {
    #[prost(string, tag = "1")]
    pub(super) version: String,
}

/// A request with one text in field 1: `GetContainerRequest.id`, `tasks.GetRequest.container_id`, `GetImageRequest.name`.
#[derive(Clone, PartialEq, Eq, Message)]
pub(super) struct Named {
    #[prost(string, tag = "1")]
    pub(super) name: String,
}

/// services/namespaces/v1/namespace.proto, `Namespace`.
#[derive(Clone, PartialEq, Eq, Message)]
pub(super) struct Namespace {
    #[prost(string, tag = "1")]
    pub(super) name: String,
}

/// `ListContainerMessage` and `GetContainerResponse` (services/containers/v1/containers.proto) with the container unread.
#[derive(Clone, PartialEq, Eq, Message)]
pub(super) struct Held {
    #[prost(bytes = "vec", tag = "1")]
    pub(super) held: Vec<u8>,
}

/// services/containers/v1/containers.proto, `Container`.
#[derive(Clone, PartialEq, Eq, Message)]
pub(super) struct Container {
    #[prost(string, tag = "1")]
    pub(super) id: String,
    #[prost(message, repeated, tag = "2")]
    pub(super) labels: Vec<Entry>,
    #[prost(bytes = "vec", tag = "3")]
    pub(super) image: Vec<u8>,
    /// The OCI runtime specification as JSON.
    #[prost(message, optional, tag = "5")]
    pub(super) spec: Option<Any>,
    #[prost(message, optional, tag = "8")]
    pub(super) created_at: Option<Time>,
}

/// types/task/task.proto, `Process`.
#[derive(Clone, PartialEq, Eq, Message)]
pub(super) struct Process {
    #[prost(string, tag = "1")]
    pub(super) container_id: String,
    #[prost(string, tag = "2")]
    pub(super) id: String,
    #[prost(uint32, tag = "3")]
    pub(super) pid: u32,
    #[prost(int32, tag = "4")]
    pub(super) status: i32,
    #[prost(message, optional, tag = "10")]
    pub(super) exited_at: Option<Time>,
}

/// types/task/task.proto, `Status`.
pub(super) mod status {
    pub(in super::super) const CREATED: i32 = 1;
    pub(in super::super) const STOPPED: i32 = 3;
    pub(in super::super) const PAUSED: i32 = 4;
    pub(in super::super) const PAUSING: i32 = 5;
}

/// services/tasks/v1/tasks.proto, `GetResponse`.
#[derive(Clone, PartialEq, Eq, Message)]
pub(super) struct Task {
    #[prost(message, optional, tag = "1")]
    pub(super) process: Option<Process>,
}

/// services/images/v1/images.proto, `GetImageResponse` → `Image`.
#[derive(Clone, PartialEq, Eq, Message)]
pub(super) struct ImageAnswer {
    #[prost(message, optional, tag = "1")]
    pub(super) image: Option<Image>,
}

/// services/images/v1/images.proto, `Image`.
#[derive(Clone, PartialEq, Eq, Message)]
pub(super) struct Image {
    #[prost(message, optional, tag = "3")]
    pub(super) target: Option<Descriptor>,
}

/// types/descriptor.proto, `Descriptor`.
#[derive(Clone, PartialEq, Eq, Message)]
pub(super) struct Descriptor {
    #[prost(bytes = "vec", tag = "2")]
    pub(super) digest: Vec<u8>,
}

/// services/events/v1/events.proto, `SubscribeRequest`.
#[derive(Clone, PartialEq, Eq, Message)]
pub(crate) struct Subscribe {
    #[prost(string, repeated, tag = "1")]
    pub(crate) filters: Vec<String>,
}

/// services/events/v1/events.proto, `Envelope`.
#[derive(Clone, PartialEq, Eq, Message)]
pub(crate) struct Envelope {
    #[prost(message, optional, tag = "1")]
    pub(super) timestamp: Option<Time>,
    #[prost(string, tag = "2")]
    pub(super) namespace: String,
    #[prost(string, tag = "3")]
    pub(super) topic: String,
    #[prost(message, optional, tag = "4")]
    pub(super) event: Option<Any>,
}

/// The container's id, field 1 of every event in events/container.proto and events/task.proto that is read.
#[derive(Clone, PartialEq, Eq, Message)]
pub(super) struct Subject {
    #[prost(string, tag = "1")]
    pub(super) container: String,
}

/// events/task.proto, `TaskExecStarted`.
#[derive(Clone, PartialEq, Eq, Message)]
pub(super) struct ExecStarted {
    #[prost(string, tag = "1")]
    pub(super) container: String,
    #[prost(uint32, tag = "3")]
    pub(super) pid: u32,
}

/// events/task.proto, `TaskExit`.
#[derive(Clone, PartialEq, Eq, Message)]
pub(super) struct TaskExit {
    #[prost(string, tag = "1")]
    pub(super) container_id: String,
    /// The process: the container's id for its first one, else that of an exec.
    #[prost(string, tag = "2")]
    pub(super) id: String,
    #[prost(uint32, tag = "4")]
    pub(super) status: u32,
    #[prost(message, optional, tag = "5")]
    pub(super) exited_at: Option<Time>,
}

//! A small CRI client that makes pods, as the kubelet does; the readers of the program only read.
//!
//! Contract: each call panics when the runtime refuses it. Limits: the fields that the tests need, numbered as in `runtime.v1` of
//! k8s.io/cri-api/pkg/apis/runtime/v1/api.proto.

#![allow(clippy::expect_used, clippy::disallowed_methods, reason = "test code: failures panic, patience needs a clock")]

use std::collections::HashMap;

use hyper_util::rt::TokioIo;
use prost::Message;
use tonic::transport::{Channel, Endpoint};
use tonic_prost::ProstCodec;

use super::patience::wait_for;

#[derive(Clone, PartialEq, Message)]
struct PodMetadata {
    #[prost(string, tag = "1")]
    name: String,
    #[prost(string, tag = "2")]
    uid: String,
    #[prost(string, tag = "3")]
    namespace: String,
}

#[derive(Clone, PartialEq, Message)]
struct NamespaceOption {
    #[prost(int32, tag = "1")]
    network: i32,
}

/// `LinuxSandboxSecurityContext`.
#[derive(Clone, PartialEq, Message)]
struct PodSecurity {
    #[prost(message, optional, tag = "1")]
    namespaces: Option<NamespaceOption>,
}

#[derive(Clone, PartialEq, Message)]
struct PodLinux {
    #[prost(string, tag = "1")]
    cgroup_parent: String,
    #[prost(message, optional, tag = "2")]
    security: Option<PodSecurity>,
}

/// `PodSandboxConfig`.
#[derive(Clone, PartialEq, Message)]
pub struct Pod {
    #[prost(message, optional, tag = "1")]
    metadata: Option<PodMetadata>,
    #[prost(string, tag = "2")]
    hostname: String,
    #[prost(map = "string, string", tag = "6")]
    labels: HashMap<String, String>,
    #[prost(message, optional, tag = "8")]
    linux: Option<PodLinux>,
}

#[derive(Clone, PartialEq, Message)]
struct RunPod {
    #[prost(message, optional, tag = "1")]
    config: Option<Pod>,
}

#[derive(Clone, PartialEq, Message)]
struct Id {
    #[prost(string, tag = "1")]
    id: String,
}

#[derive(Clone, PartialEq, Message)]
struct Name {
    #[prost(string, tag = "1")]
    name: String,
}

/// `LinuxContainerSecurityContext`.
#[derive(Clone, PartialEq, Message)]
struct ContainerSecurity {
    #[prost(message, optional, tag = "3")]
    namespaces: Option<NamespaceOption>,
}

#[derive(Clone, PartialEq, Message)]
struct ContainerLinux {
    #[prost(message, optional, tag = "2")]
    security: Option<ContainerSecurity>,
}

#[derive(Clone, PartialEq, Message)]
struct ContainerConfig {
    #[prost(message, optional, tag = "1")]
    metadata: Option<Name>,
    #[prost(message, optional, tag = "2")]
    image: Option<Name>,
    #[prost(string, repeated, tag = "3")]
    command: Vec<String>,
    #[prost(map = "string, string", tag = "9")]
    labels: HashMap<String, String>,
    #[prost(message, optional, tag = "15")]
    linux: Option<ContainerLinux>,
}

#[derive(Clone, PartialEq, Message)]
struct CreateContainer {
    #[prost(string, tag = "1")]
    pod: String,
    #[prost(message, optional, tag = "2")]
    config: Option<ContainerConfig>,
    #[prost(message, optional, tag = "3")]
    pod_config: Option<Pod>,
}

#[derive(Clone, PartialEq, Message)]
struct StopContainer {
    #[prost(string, tag = "1")]
    id: String,
    #[prost(int64, tag = "2")]
    timeout: i64,
}

#[derive(Clone, PartialEq, Message)]
struct Nothing {}

/// A connection; opened again by itself.
pub struct Kubelet {
    runtime: tokio::runtime::Runtime,
    channel: Channel,
    cgroup: String,
}

impl Kubelet {
    /// Talks to the socket; its pods' cgroups are below this one.
    pub fn new(socket: &str, cgroup: &str) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
        let runtime = runtime.expect("runtime");
        let socket = socket.to_owned();
        let connector = tower::service_fn(move |_| {
            let socket = socket.clone();
            async move { tokio::net::UnixStream::connect(socket).await.map(TokioIo::new) }
        });
        let channel = {
            let _inside = runtime.enter();
            Endpoint::from_static("http://localhost").connect_with_connector_lazy(connector)
        };
        Self { runtime, channel, cgroup: format!("/{cgroup}") }
    }

    /// The configuration of a pod.
    pub fn pod(&self, name: &str, labels: &[(&str, &str)], host: bool) -> Pod {
        let metadata = PodMetadata { name: name.to_owned(), uid: format!("uid-{name}"), namespace: "lab".to_owned() };
        let kubelets = [("io.kubernetes.pod.name", name), ("io.kubernetes.pod.namespace", "lab")];
        let labels = kubelets.iter().chain(labels).map(|(key, value)| ((*key).to_owned(), (*value).to_owned()));
        let namespaces = Some(NamespaceOption { network: if host { 2 } else { 0 } });
        Pod {
            metadata: Some(metadata),
            hostname: if host { String::new() } else { name.to_owned() },
            labels: labels.collect(),
            linux: Some(PodLinux { cgroup_parent: self.cgroup.clone(), security: Some(PodSecurity { namespaces }) }),
        }
    }

    /// `RunPodSandbox`; asks again while the plugin starts up.
    pub fn run_pod(&self, pod: &Pod) -> String {
        wait_for("RunPodSandbox", || {
            let answer = self.try_call::<_, Id>("RunPodSandbox", RunPod { config: Some(pod.clone()) });
            answer.map(|answer| answer.id).map_err(|status| format!("{status:?}"))
        })
    }

    /// `CreateContainer` and `StartContainer`.
    pub fn run(&self, pod_id: &str, pod: &Pod, name: &str, image: &str, command: &[&str]) -> String {
        let namespaces = pod.linux.as_ref().and_then(|linux| linux.security.as_ref()?.namespaces.clone());
        let security = Some(ContainerSecurity { namespaces });
        let config = ContainerConfig {
            metadata: Some(Name { name: name.to_owned() }),
            image: Some(Name { name: image.to_owned() }),
            command: command.iter().map(|word| (*word).to_owned()).collect(),
            labels: pod.labels.clone(),
            linux: Some(ContainerLinux { security }),
        };
        let asked = CreateContainer { pod: pod_id.to_owned(), config: Some(config), pod_config: Some(pod.clone()) };
        let id = self.call::<_, Id>("CreateContainer", asked).id;
        let _: Nothing = self.call("StartContainer", Id { id: id.clone() });
        id
    }

    /// `StopContainer`, at once.
    pub fn stop(&self, container: &str) {
        let _: Nothing = self.call("StopContainer", StopContainer { id: container.to_owned(), timeout: 0 });
    }

    /// `StopPodSandbox` and `RemovePodSandbox`.
    pub fn remove_pod(&self, pod: &str) {
        let _: Nothing = self.call("StopPodSandbox", Id { id: pod.to_owned() });
        let _: Nothing = self.call("RemovePodSandbox", Id { id: pod.to_owned() });
    }

    fn call<Q: Message + 'static, A: Message + Default + 'static>(&self, method: &str, question: Q) -> A {
        self.try_call(method, question).unwrap_or_else(|status| panic!("{method}: {status:?}"))
    }

    fn try_call<Q, A>(&self, method: &str, question: Q) -> Result<A, tonic::Status>
    where
        Q: Message + 'static,
        A: Message + Default + 'static,
    {
        self.runtime.block_on(async {
            let mut client = tonic::client::Grpc::new(self.channel.clone());
            client.ready().await.map_err(|error| tonic::Status::unavailable(error.to_string()))?;
            let path = format!("/runtime.v1.RuntimeService/{method}").parse().expect("a method");
            let answer = client.unary(tonic::Request::new(question), path, ProstCodec::<Q, A>::default()).await?;
            Ok(answer.into_inner())
        })
    }
}

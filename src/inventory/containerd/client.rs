//! The questions that containerd is asked; all of them only read.
//!
//! Contract: each answer comes within the time of [`crate::inventory::reader::grpc`] or counts as failed. Limits: [`MAX_NAMESPACES`],
//! [`MAX_KNOWN`] containers and tasks each, [`MAX_DIGESTS`] image digests remembered. Design: one question at a time, so that
//! an answer is never older than the event that it is for.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use tokio::task::JoinSet;
use tonic::{Code, Status};

use super::ContainerdOptions;
use super::convert::{observed, workload_id};
use super::event::subscription;
use super::proto::{self, Container, Envelope, Held, Image, ImageAnswer, Named, Namespace, Process, Task, Version};
use crate::input::{RuntimeId, WorkloadId};
use crate::inventory::configuration::{Redaction, hide_labels};
use crate::inventory::reader::container_states::{ContainerStates, MAX_KNOWN, ObservedContainer};
use crate::inventory::reader::grpc::{Events, Grpc};
use crate::inventory::reader::oci;
use crate::inventory::reader::process_start::started;
use crate::inventory::reader::proto::{Empty, Items, item};
use crate::inventory::reader::{ReaderCounters, ReaderError};

const MAX_NAMESPACES: usize = 256;
const MAX_DIGESTS: usize = 1024;
const WHAT: &str = "containerd's api";

pub(super) struct Client {
    grpc: Grpc,
    runtime: RuntimeId,
    redaction: Redaction,
    digests: BTreeMap<(String, String), String>,
    counters: Arc<ReaderCounters>,
}

impl Client {
    /// Opens the socket, subscribes to the events if `tasks` are given, and asks for the version.
    pub(super) async fn connect(
        path: &Path,
        options: &ContainerdOptions,
        counters: &Arc<ReaderCounters>,
        tasks: Option<&mut JoinSet<()>>,
    ) -> Result<(Self, Option<Events<Envelope>>), ReaderError> {
        let grpc = Grpc::connect(path, options.timeout, counters).await?;
        let events = tasks.map(|tasks| grpc.follow(proto::EVENTS, subscription(), tasks));
        // The subscription goes out before the first question does.
        tokio::task::yield_now().await;
        let version: Result<Version, Status> = grpc.call(proto::VERSION, None, Empty {}).await;
        let version = version.map_err(|status| ReaderError::greeting(path, WHAT, &status))?;
        tracing::debug!("containerd {} answers at {}", version.version.escape_debug(), path.display());
        let redaction = options.redaction.clone();
        let client =
            Self { grpc, runtime: options.runtime, redaction, digests: BTreeMap::new(), counters: counters.clone() };
        Ok((client, events))
    }

    /// Everything in the namespaces that are wanted, ended tasks included.
    pub(super) async fn everything(
        &mut self,
        wanted: impl Fn(&str) -> bool,
    ) -> Result<Vec<ObservedContainer>, ReaderError> {
        let listed: Result<Items, Status> = self.grpc.call(proto::NAMESPACES, None, Empty {}).await;
        let listed = listed.map_err(|status| ReaderError::request("the list of namespaces", &status))?;
        let namespaces: Vec<Namespace> = listed.read(MAX_NAMESPACES, &self.counters);
        let mut all = Vec::new();
        for namespace in namespaces.iter().filter(|namespace| wanted(&namespace.name)) {
            all.extend(self.namespace(&namespace.name).await?);
        }
        Ok(all)
    }

    async fn namespace(&mut self, name: &str) -> Result<Vec<ObservedContainer>, ReaderError> {
        let tasks: Result<Items, Status> = self.grpc.call(proto::TASKS, Some(name), Empty {}).await;
        let tasks = tasks.map_err(|status| ReaderError::request("the list of tasks", &status))?;
        let tasks: Vec<Process> = tasks.read(MAX_KNOWN, &self.counters);
        let tasks: BTreeMap<&str, &Process> = tasks.iter().map(|task| (container_of(task), task)).collect();
        let pids: BTreeMap<u32, &str> = tasks.iter().map(|(id, task)| (task.pid, *id)).collect();
        let parts: Result<Vec<Held>, Status> = self.grpc.list(proto::CONTAINERS, name, Empty {}, MAX_KNOWN).await;
        let parts = parts.map_err(|status| ReaderError::request("the list of containers", &status))?;
        let mut all = Vec::new();
        for part in parts {
            let Some(container) = item::<Container>(&part.held, &self.counters) else { continue };
            let task = tasks.get(&*container.id).copied();
            let owner_of = |pid: u32| pids.get(&pid).map(|id| workload_id(name, id));
            all.push(self.completed(name, &container, task, owner_of).await);
        }
        Ok(all)
    }

    /// One container; `None` when it is gone.
    pub(super) async fn query(
        &mut self,
        name: &str,
        id: &str,
        states: &ContainerStates,
    ) -> Result<Option<ObservedContainer>, ReaderError> {
        let asked = || Named { name: id.to_owned() };
        let failed = |status: Status| ReaderError::request("what a container is", &status);
        let answer: Option<Held> =
            found(self.grpc.call(proto::CONTAINER, Some(name), asked()).await).map_err(failed)?;
        let Some(container) = answer.and_then(|answer| item::<Container>(&answer.held, &self.counters)) else {
            self.counters.vanished.add(1);
            return Ok(None);
        };
        let task: Option<Task> = found(self.grpc.call(proto::TASK, Some(name), asked()).await).map_err(failed)?;
        let task = task.and_then(|task| task.process);
        let owner_of = |pid: u32| states.by_pid(pid).cloned();
        Ok(Some(self.completed(name, &container, task.as_ref(), owner_of).await))
    }

    async fn completed(
        &mut self,
        name: &str,
        container: &Container,
        task: Option<&Process>,
        owner_of: impl Fn(u32) -> Option<WorkloadId>,
    ) -> ObservedContainer {
        let mut observed = observed(&self.runtime, name, container, task, owner_of, &self.counters);
        let spec = container.spec.as_ref().map(|spec| &spec.value[..]);
        let read = spec.and_then(|spec| oci::configuration(spec, &observed.workload, &self.redaction));
        observed.workload.configuration = read.map(Arc::new);
        hide_labels(&mut observed.workload, &self.redaction);
        // The first process is the container's own only if it is not older than the container.
        let began = observed.workload.pid.and_then(started).max(observed.workload.since);
        observed.workload.since = began.or(observed.workload.since);
        observed.workload.image_digest = self.digest(name, &observed.workload.image).await;
        observed
    }

    /// The digest of an image's manifest, or of its index.
    async fn digest(&mut self, namespace: &str, image: &str) -> String {
        let key = (namespace.to_owned(), image.to_owned());
        if image.is_empty() {
            return String::new();
        }
        if let Some(known) = self.digests.get(&key) {
            return known.clone();
        }
        let asked = Named { name: image.to_owned() };
        let answer: Result<ImageAnswer, Status> = self.grpc.call(proto::IMAGE, Some(namespace), asked).await;
        let target = |image: Image| image.target.map(|target| target.digest);
        let digest = answer.ok().and_then(|answer| answer.image).and_then(target).unwrap_or_default();
        let digest = crate::inventory::reader::bounds::text(&digest, &self.counters);
        if self.digests.len() >= MAX_DIGESTS {
            self.digests.pop_first();
        }
        self.digests.insert(key, digest.clone());
        digest
    }

    /// A tag may mean another image from now on.
    pub(super) fn forget_images(&mut self) {
        self.digests.clear();
    }
}

/// A list names the task by its process, a single answer by its container too.
fn container_of(task: &Process) -> &str {
    if task.container_id.is_empty() { &task.id } else { &task.container_id }
}

/// What is gone, or broken for itself (a dead shim, a record too long), is not there; a daemon that does not answer is an error.
fn found<T>(answer: Result<T, Status>) -> Result<Option<T>, Status> {
    match answer {
        Ok(answer) => Ok(Some(answer)),
        Err(status) if matches!(status.code(), Code::Unavailable | Code::DeadlineExceeded) => Err(status),
        Err(_) => Ok(None),
    }
}

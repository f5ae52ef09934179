//! The questions that a CRI runtime is asked; all of them only read.
//!
//! Contract: each answer comes within the time of [`crate::inventory::reader::grpc`] or counts as failed. Limits: [`MAX_KNOWN`] pods and
//! containers each. Design: the lists are short and asked often; a status, which is long, is asked once for each state that a
//! pod or container is observed in.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::{Arc, Mutex};

use prost::Message;
use serde_json::value::RawValue;
use tonic::{Code, Status};

use super::CriOptions;
use super::convert;
use super::proto::{
    self, ContainerAnswer, ContainerItem, READY, SandboxAnswer, SandboxItem, StatusRequest, Version, VersionRequest,
};
use crate::host::{VethFinder, VethRequest};
use crate::input::{NetworkMode, RuntimeId, Workload};
use crate::inventory::configuration::{Redaction, hide_labels};
use crate::inventory::reader::container_states::{MAX_KNOWN, ObservedContainer};
use crate::inventory::reader::grpc::Grpc;
use crate::inventory::reader::oci;
use crate::inventory::reader::proto::{Empty, Items};
use crate::inventory::reader::{ReaderCounters, ReaderError};
use crate::sync;

const WHAT: &str = "the container runtime interface, version 1";
/// The version that the kubelet sends.
const KUBELET: &str = "0.1.0";

pub(super) struct Client {
    pub(super) grpc: Grpc,
    runtime: RuntimeId,
    redaction: Redaction,
    /// What was observed in which state.
    known: BTreeMap<String, (i32, ObservedContainer)>,
    veths: Mutex<VethFinder>,
    counters: Arc<ReaderCounters>,
}

impl Client {
    /// Opens the socket and asks for the version.
    pub(super) async fn connect(
        path: &Path,
        options: &CriOptions,
        counters: &Arc<ReaderCounters>,
    ) -> Result<Self, ReaderError> {
        let grpc = Grpc::connect(path, options.timeout, counters).await?;
        let asked = VersionRequest { version: KUBELET.to_owned() };
        let version: Result<Version, Status> = grpc.call(proto::VERSION, None, asked).await;
        let version = version.map_err(|status| ReaderError::greeting(path, WHAT, &status))?;
        let (name, number) = (version.runtime_name.escape_debug(), version.runtime_version.escape_debug());
        tracing::debug!("{name} {number} answers at {}", path.display());
        let (known, veths) = (BTreeMap::new(), Mutex::default());
        let redaction = options.redaction.clone();
        Ok(Self { grpc, runtime: options.runtime, redaction, known, veths, counters: counters.clone() })
    }

    /// All pods and containers, the ended ones that the runtime still has included; pods come first.
    pub(super) async fn everything(&mut self) -> Result<Vec<ObservedContainer>, ReaderError> {
        let pods: Vec<SandboxItem> = self.list(proto::SANDBOXES, "the list of pods").await?;
        let containers: Vec<ContainerItem> = self.list(proto::CONTAINERS, "the list of containers").await?;
        let mut all = Vec::new();
        for item in &pods {
            all.extend(self.pod(item).await?);
        }
        for item in &containers {
            all.extend(self.container(item).await?);
        }
        let ids: BTreeSet<&str> =
            pods.iter().map(|item| &*item.id).chain(containers.iter().map(|item| &*item.id)).collect();
        self.known.retain(|id, _| ids.contains(&**id));
        Ok(all)
    }

    async fn list<T: Message + Default>(&self, method: &str, what: &'static str) -> Result<Vec<T>, ReaderError> {
        let answer: Result<Items, Status> = self.grpc.call(method, None, Empty {}).await;
        Ok(answer.map_err(|status| ReaderError::request(what, &status))?.read(MAX_KNOWN, &self.counters))
    }

    async fn pod(&mut self, item: &SandboxItem) -> Result<Option<ObservedContainer>, ReaderError> {
        let complete = |observed: &ObservedContainer| {
            let addressed =
                observed.workload.network_mode != NetworkMode::Own || !observed.workload.attachments.is_empty();
            item.state != READY || (addressed && observed.workload.pid.is_some())
        };
        if let Some((state, observed)) = self.known.get(&item.id)
            && *state == item.state
            && complete(observed)
        {
            return Ok(Some(observed.clone()));
        }
        let answer: Option<SandboxAnswer> = self.status(proto::SANDBOX, &item.id).await?;
        let spec = answer.as_ref().and_then(|answer| oci::verbose_spec(&answer.info));
        let before = self.known.get(&item.id).map(|(_, observed)| observed.clone());
        let observed = answer.and_then(|answer| convert::sandbox(&self.runtime, answer, &self.counters));
        let Some(mut observed) = observed else { return Ok(None) };
        self.configure(&mut observed.workload, spec.as_deref());
        if let Some(before) = before.filter(|_| observed.workload.attachments.is_empty()) {
            // A pod that has ended no longer says what it had.
            observed.workload.attachments = before.workload.attachments;
        }
        self.find_veths(&mut observed.workload);
        Ok(Some(self.remember(item.state, observed)))
    }

    async fn container(&mut self, item: &ContainerItem) -> Result<Option<ObservedContainer>, ReaderError> {
        if let Some((_, observed)) = self.known.get(&item.id).filter(|(state, _)| *state == item.state) {
            return Ok(Some(observed.clone()));
        }
        let answer: Option<ContainerAnswer> = self.status(proto::CONTAINER, &item.id).await?;
        let spec = answer.as_ref().and_then(|answer| oci::verbose_spec(&answer.info));
        let owner = self.known.get(&item.sandbox).map(|(_, observed)| &observed.workload);
        let observed =
            answer.and_then(|answer| convert::container(&self.runtime, answer, &item.sandbox, owner, &self.counters));
        let Some(mut observed) = observed else { return Ok(None) };
        self.configure(&mut observed.workload, spec.as_deref());
        Ok(Some(self.remember(item.state, observed)))
    }

    /// Adds how it is set up, where the runtime shows its specification.
    fn configure(&self, workload: &mut Workload, spec: Option<&RawValue>) {
        let read = spec.and_then(|spec| oci::configuration(spec.get().as_bytes(), workload, &self.redaction));
        workload.configuration = read.map(Arc::new);
        hide_labels(workload, &self.redaction);
    }

    /// One status; `None` when the subject is gone.
    async fn status<A: Message + Default + 'static>(&self, method: &str, id: &str) -> Result<Option<A>, ReaderError> {
        let asked = StatusRequest { id: id.to_owned(), verbose: true };
        match self.grpc.call(method, None, asked).await {
            Ok(answer) => Ok(Some(answer)),
            Err(status) if matches!(status.code(), Code::Unavailable | Code::DeadlineExceeded) => {
                Err(ReaderError::request("the state of a pod or container", &status))
            }
            Err(_) => {
                self.counters.vanished.add(1);
                Ok(None)
            }
        }
    }

    fn remember(&mut self, state: i32, observed: ObservedContainer) -> ObservedContainer {
        self.known.insert(observed.workload.id.to_string(), (state, observed.clone()));
        observed
    }

    /// Best effort: names the host-side veth of the pod.
    fn find_veths(&self, workload: &mut Workload) {
        let Some(pid) = workload.pid.filter(|_| workload.network_mode == NetworkMode::Own) else { return };
        let request = |attachment: &crate::input::Attachment| attachment.addresses.clone();
        let addresses: Vec<_> = workload.attachments.iter().map(request).collect();
        let wanted: Vec<_> = addresses.iter().map(|addresses| VethRequest { addresses, bridge: None }).collect();
        let found = sync::lock(&self.veths).find(pid, &wanted);
        for (attachment, veth) in workload.attachments.iter_mut().zip(found) {
            self.counters.veth_unknown.add(u64::from(veth.is_none()));
            attachment.host_interface = veth;
        }
    }
}

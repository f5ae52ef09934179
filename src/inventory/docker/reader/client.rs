//! The questions that a runtime is asked; all of them only read.
//!
//! Contract: each answer comes within the bounds of [`super::http`] or counts as failed. Limits: [`AT_ONCE`] questions of a
//! snapshot and [`QUERIES_AT_ONCE`] of events at a time, [`MAX_REMEMBERED`] digests, pods and bridges remembered.
//! Design: cheap to clone, so that each query runs as a task of its own. Docker is asked by its own API; Podman by the same
//! where it says as much, and by libpod's where only that has pods, network modes and bridges.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, Mutex};

use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use super::acts::{ExecEvent, HealthChecks};
use super::bounds::{self, is_id};
use super::container_states::{Answer, Listed, Query};
use super::http::{Http, HttpError, Lines, MAX_LIST, MAX_ONE};
use super::users::{is_process_of, is_user};
use crate::host::{VethFinder, VethRequest};
use crate::input::{Attachment, NetworkMode, RuntimeId, RuntimeNetwork, Workload, WorkloadId};
use crate::inventory::configuration::Redaction;
use crate::inventory::docker::api::{
    Container, ExecInspect, Image, Network, PodmanNetwork, PodmanPod, Summary, Version,
};
use crate::inventory::docker::convert::{
    GATEWAY_NETWORK, attach_by_network, attachments, describe, from_endpoint, from_network, from_podman_network,
    repo_digest,
};
use crate::inventory::docker::identity::{Dialect, RuntimeIdentity};
use crate::inventory::reader::{ReaderCounters, ReaderError, chain};
use crate::sync;

/// Enough to hide the waiting, too few to trouble the daemon.
const AT_ONCE: usize = 8;
/// More, because an inspect waits while its container starts, and must not hold up the others.
const QUERIES_AT_ONCE: usize = 32;
const MAX_REMEMBERED: usize = 4096;
const MIN_API: (u32, u32) = (1, 41);
/// What this reader knows; a newer daemon is asked in its words.
const MAX_API: (u32, u32) = (1, 52);
const MIN_PODMAN: (u32, u32) = (4, 0);
const NEEDED: &str = "docker 20.10 (api 1.41) or podman 4.0";
const INTERFACE: &str = "docker's api";
/// Of libpod's own questions; every Podman from 4.0 on understands it.
const LIBPOD: &str = "/v4.0.0/libpod";
/// Only these are of use; health checks alone would send two more kinds every few seconds. With `exec_start` among them Docker compares
/// beginnings of words (moby, `daemon/events/filter.go`), by which nothing more matches.
pub(super) const ACTIONS: [&str; 14] = [
    "create",
    "start",
    "die",
    "destroy",
    "pause",
    "unpause",
    "rename",
    "connect",
    "disconnect",
    "kill",
    "oom",
    "update",
    "commit",
    "exec_start",
];

#[derive(Clone)]
pub(super) struct Client {
    http: Http,
    identity: Arc<RuntimeIdentity>,
    /// The user of a rootless runtime.
    user: Option<u32>,
    /// `/v1.41`.
    version: String,
    digests: Arc<Mutex<BTreeMap<String, String>>>,
    pods: Arc<Mutex<BTreeMap<String, String>>>,
    networks: Arc<Mutex<Known>>,
    veths: Arc<Mutex<VethFinder>>,
    checks: Arc<Mutex<HealthChecks>>,
    permits: Arc<Semaphore>,
    counters: Arc<ReaderCounters>,
}

/// What is known of the networks.
#[derive(Debug, Default)]
struct Known {
    bridges: BTreeMap<String, String>,
    /// Podman's containers name their networks, not the networks' ids.
    ids: BTreeMap<String, String>,
    /// Found beside a container; still to be reported.
    fresh: Vec<RuntimeNetwork>,
}

impl Client {
    /// Opens the socket, finds out who answers, and agrees on a version.
    pub(super) async fn connect(
        runtime: RuntimeId,
        path: &Path,
        user: Option<u32>,
        redaction: Redaction,
        counters: &Arc<ReaderCounters>,
    ) -> Result<Self, ReaderError> {
        let http = Http::new(path, user);
        let opening = |error| opening(path, error);
        let owner = http.owner().await.map_err(opening)?;
        let version: Version = http.get("/version", MAX_ONE).await.map_err(opening)?;
        let podman = version.components.iter().find(|component| component.name == "Podman Engine");
        let dialect = if podman.is_some() { Dialect::Podman } else { Dialect::Docker };
        let old = |version: &str| ReaderError::TooOld {
            path: path.to_owned(),
            version: version.chars().take(40).collect(),
            needed: NEEDED,
        };
        let api = number(&version.api).ok_or_else(|| opening(HttpError::NotHttp("it names no version".to_owned())))?;
        if let Some(engine) = podman.filter(|engine| number(&engine.version).is_none_or(|found| found < MIN_PODMAN)) {
            return Err(old(&format!("podman {}", engine.version)));
        }
        if api < MIN_API {
            return Err(old(&format!("docker api {}", version.api)));
        }
        let (major, minor) = api.min(MAX_API);
        Ok(Self {
            http,
            user: owner.filter(|owner| is_user(*owner)),
            // Nobody but root is root: the overflow id stands for a user who is not mapped here.
            identity: Arc::new(RuntimeIdentity { runtime, dialect, rootless: owner.is_some_and(is_user), redaction }),
            version: format!("/v{major}.{minor}"),
            digests: Arc::default(),
            pods: Arc::default(),
            networks: Arc::default(),
            veths: Arc::default(),
            checks: Arc::default(),
            permits: Arc::new(Semaphore::new(QUERIES_AT_ONCE)),
            counters: counters.clone(),
        })
    }

    pub(super) fn identity(&self) -> &RuntimeIdentity {
        &self.identity
    }

    /// Events from a time on (seconds since the epoch); the daemon replays what it still has.
    pub(super) async fn events(&self, since: i64) -> Result<Lines, ReaderError> {
        let kinds = r#""type":["container","network"]"#;
        let filters = match self.identity.dialect {
            Dialect::Docker => format!("{{{kinds},\"event\":[\"{}\"]}}", ACTIONS.join("\",\"")),
            // Podman compares with words of its own, which differ between versions.
            Dialect::Podman => format!("{{{kinds}}}"),
        };
        let target = format!("{}/events?since={since}&filters={}", self.version, escaped(&filters));
        let lines = self.http.lines(&target).await;
        lines.map_err(|error| ReaderError::request("for its events", &error))
    }

    /// All networks, in order of id. Those of a rootless runtime lie in its user's namespace, and are none of the host's.
    pub(super) async fn networks(&self) -> Result<Vec<RuntimeNetwork>, ReaderError> {
        if self.identity.rootless {
            return Ok(Vec::new());
        }
        let listed = self.list_networks().await;
        let mut listed = listed.map_err(|error| ReaderError::request("the list of networks", &error))?;
        listed.retain(|network| is_id(&network.id));
        listed.sort_by(|a, b| a.id.cmp(&b.id));
        for network in &mut listed {
            self.record(network);
        }
        Ok(listed)
    }

    async fn list_networks(&self) -> Result<Vec<RuntimeNetwork>, HttpError> {
        match self.identity.dialect {
            Dialect::Docker => {
                let all: Vec<Network> = self.http.get(&format!("{}/networks", self.version), MAX_LIST).await?;
                Ok(all.iter().map(from_network).collect())
            }
            Dialect::Podman => {
                let all: Vec<PodmanNetwork> = self.http.get(&format!("{LIBPOD}/networks/json"), MAX_LIST).await?;
                Ok(all.iter().map(from_podman_network).collect())
            }
        }
    }

    /// One network; `None` when it is gone.
    pub(super) async fn network(&self, id: &str) -> Option<RuntimeNetwork> {
        self.network_with(id).await.map(|(_, network)| network)
    }

    async fn network_with(&self, id: &str) -> Option<(Network, RuntimeNetwork)> {
        let answer: Network = self.ask(&format!("{}/networks/{id}", self.version)).await?;
        let mut network = RuntimeNetwork { id: id.to_owned(), ..from_network(&answer) };
        self.record(&mut network);
        Some((answer, network))
    }

    /// What runs now, by the list alone.
    pub(super) async fn list(&self) -> Result<Vec<Listed>, ReaderError> {
        let filters = escaped(r#"{"status":["running","paused"]}"#);
        let target = format!("{}/containers/json?filters={filters}", self.version);
        let listed: Result<Vec<Summary>, HttpError> = self.http.get(&target, MAX_LIST).await;
        let listed = listed.map_err(|error| ReaderError::request("the list of containers", &error))?;
        let mut listed: Vec<Listed> = listed.iter().filter(|entry| is_id(&entry.id)).map(list_entry).collect();
        listed.sort_by(|a, b| a.id.cmp(&b.id));
        listed.dedup_by(|a, b| a.id == b.id);
        let most = bounds::quota(self.identity.runtime);
        self.counters.overflow.add(u64::try_from(listed.len().saturating_sub(most)).unwrap_or(u64::MAX));
        listed.truncate(most);
        Ok(listed)
    }

    /// Everything of these containers, in the order asked; what vanished in between is counted and left out.
    pub(super) async fn inspect_all(&self, list: &[Listed]) -> Vec<Workload> {
        let mut found = BTreeMap::new();
        let mut tasks = JoinSet::new();
        let mut ids = list.iter().map(|listed| listed.id.clone());
        loop {
            while tasks.len() < AT_ONCE
                && let Some(id) = ids.next()
            {
                let client = self.clone();
                tasks.spawn(async move { client.inspect(&id).await });
            }
            match tasks.join_next().await {
                Some(Ok(Some(workload))) => drop(found.insert(workload.id.clone(), workload)),
                Some(Ok(None)) => self.counters.vanished.add(1),
                Some(Err(_)) => self.counters.failed_requests.add(1),
                None => return found.into_values().collect(),
            }
        }
    }

    /// The answer to a query.
    pub(super) async fn answer(&self, query: &Query) -> Answer {
        let Ok(_permit) = self.permits.acquire().await else { return Answer::Nothing };
        match query {
            Query::Container(id) => self.inspect(id).await.map_or(Answer::Nothing, |w| Answer::Container(Box::new(w))),
            Query::Endpoint { id, network } => self.endpoint(id, network).await,
        }
    }

    async fn endpoint(&self, id: &WorkloadId, network: &str) -> Answer {
        if self.identity.rootless || !is_id(network) {
            return Answer::Nothing;
        }
        let Some((answer, network)) = self.network_with(network).await else { return Answer::Nothing };
        let endpoint = answer.containers.get(id.as_str());
        endpoint.map_or(Answer::Nothing, |endpoint| Answer::Endpoint(from_endpoint(&network, endpoint)))
    }

    /// One container with its digest, pod and veths; `None` when it is gone or there is no answer.
    async fn inspect(&self, id: &WorkloadId) -> Option<Workload> {
        let folder = if self.identity.dialect == Dialect::Podman { LIBPOD } else { &self.version };
        let answer: Container = self.ask(&format!("{folder}/containers/{id}/json")).await?;
        let mut workload = Workload { id: id.clone(), ..describe(&answer, &self.identity) };
        sync::lock(&self.checks).learn(id, &answer);
        // One that names another's process would speak for somebody else.
        if let (Some(pid), Some(user)) = (workload.pid, self.user)
            && !is_process_of(pid, user)
        {
            workload.pid = None;
            self.counters.pids_refused.add(1);
        }
        if self.identity.dialect == Dialect::Docker
            && let Some(digest) = self.digest(&workload.image_digest).await
        {
            workload.image_digest = digest;
        }
        if let Some(pod) = &mut workload.pod {
            pod.name = self.pod(&pod.uid).await.unwrap_or_default();
        }
        self.resolve_join(&mut workload).await;
        self.name_networks(&mut workload).await;
        self.attach_gateway(&mut workload).await;
        self.counters.truncated.add(bounds::workload(&mut workload));
        self.find_veths(&mut workload);
        Some(workload)
    }

    /// Whether an exec is its container's health check.
    pub(super) fn is_health_check(&self, id: &WorkloadId, event: &ExecEvent) -> bool {
        sync::lock(&self.checks).is_one(id, event)
    }

    /// A container is gone.
    pub(super) fn forget_container(&self, id: &WorkloadId) {
        sync::lock(&self.checks).forget(id);
    }

    /// What the runtime knows of an exec; `None` when it is gone, or cannot be asked about. Podman's events do not name it: it is the last
    /// of its container's.
    pub(super) async fn exec(&self, container: &WorkloadId, event: &ExecEvent) -> Option<ExecInspect> {
        let _permit = self.permits.acquire().await.ok()?;
        let id = match (&event.id, self.identity.dialect) {
            (Some(id), _) => id.clone(),
            (None, Dialect::Docker) => return None,
            (None, Dialect::Podman) => {
                let answer: Container = self.ask(&format!("{LIBPOD}/containers/{container}/json")).await?;
                answer.execs.last().filter(|id| is_id(id))?.clone()
            }
        };
        self.ask(&format!("{}/exec/{id}/json", self.version)).await
    }

    /// A join is described as it was asked for: by id, by name, or by the beginning of an id. One that is gone stays as it is.
    async fn resolve_join(&self, workload: &mut Workload) {
        let NetworkMode::Container(reference) = &workload.network_mode else { return };
        let is_whole =
            reference.as_str().len() == 64 && reference.as_str().bytes().all(|byte| byte.is_ascii_hexdigit());
        if is_whole || !bounds::is_name(reference.as_str()) {
            return;
        }
        let folder = if self.identity.dialect == Dialect::Podman { LIBPOD } else { &self.version };
        let answer: Option<Container> = self.ask(&format!("{folder}/containers/{reference}/json")).await;
        if let Some(owner) = answer.filter(|owner| is_id(&owner.id)) {
            workload.network_mode = NetworkMode::Container(WorkloadId::new(&owner.id));
        }
    }

    /// A workload of Swarm whose networks have no gateway leaves by one more network, which only that network's inspect shows
    /// (libnetwork, `default_gateway.go`).
    async fn attach_gateway(&self, workload: &mut Workload) {
        let needs = |a: &Attachment| !a.addresses.is_empty() && a.gateways.is_empty();
        if self.identity.dialect == Dialect::Podman || !workload.attachments.iter().any(needs) {
            return;
        }
        let Some(id) = sync::lock(&self.networks).ids.get(GATEWAY_NETWORK).cloned() else { return };
        if let Some((answer, _)) = self.network_with(&id).await {
            attach_by_network(workload, &answer);
        }
    }

    /// One answer; whatever is wrong with it but "no such thing" counts as failed.
    async fn ask<T: serde::de::DeserializeOwned>(&self, target: &str) -> Option<T> {
        let answer = self.http.get(target, MAX_ONE).await;
        if let Err(error) = &answer
            && !error.is_gone()
        {
            self.counters.failed_requests.add(1);
            tracing::debug!("{} did not answer {target}: {}", self.identity.runtime, chain(error));
        }
        answer.ok()
    }

    /// The repository digest of an image id, if it has one.
    async fn digest(&self, image: &str) -> Option<String> {
        let known = sync::lock(&self.digests).get(image).cloned();
        if known.is_some() || !is_id(image) {
            return known;
        }
        let answer: Image = self.ask(&format!("{}/images/{image}/json", self.version)).await?;
        let digest = repo_digest(&answer.repo_digests).unwrap_or_else(|| image.to_owned());
        remember(&self.digests, image, &digest);
        Some(digest)
    }

    /// The name of a pod.
    async fn pod(&self, id: &str) -> Option<String> {
        let known = sync::lock(&self.pods).get(id).cloned();
        if known.is_some() || !is_id(id) {
            return known;
        }
        let answer: PodmanPod = self.ask(&format!("{LIBPOD}/pods/{id}/json")).await?;
        remember(&self.pods, id, &answer.name);
        Some(answer.name)
    }

    /// Podman writes a network's name where its id belongs; networks made since the last list are looked for once.
    async fn name_networks(&self, workload: &mut Workload) {
        if self.identity.dialect == Dialect::Docker || workload.attachments.is_empty() {
            return;
        }
        let unknown = {
            let known = sync::lock(&self.networks);
            workload.attachments.iter().any(|attachment| !known.ids.contains_key(&attachment.network))
        };
        // A list that fails is asked for again by the next reconcile.
        if unknown && let Ok(mut networks) = self.list_networks().await {
            networks.retain(|network| is_id(&network.id));
            for network in &mut networks {
                self.record(network);
            }
            sync::lock(&self.networks).fresh = networks;
        }
        let known = sync::lock(&self.networks);
        for attachment in &mut workload.attachments {
            if let Some(id) = known.ids.get(&attachment.network) {
                attachment.network_id.clone_from(id);
            }
        }
    }

    /// Networks that were found beside a container since the last call.
    pub(super) fn fresh_networks(&self) -> Vec<RuntimeNetwork> {
        std::mem::take(&mut sync::lock(&self.networks).fresh)
    }

    /// Best effort: names the host-side veth of each attachment.
    fn find_veths(&self, workload: &mut Workload) {
        let Some(pid) = workload.pid.filter(|_| workload.network_mode == NetworkMode::Own) else { return };
        let known = sync::lock(&self.networks);
        let wanted: Vec<VethRequest<'_>> = workload
            .attachments
            .iter()
            .map(|attachment| VethRequest {
                addresses: &attachment.addresses,
                bridge: known.bridges.get(&attachment.network_id).map(String::as_str),
            })
            .collect();
        let found = sync::lock(&self.veths).find(pid, &wanted);
        drop(known);
        for (attachment, veth) in workload.attachments.iter_mut().zip(found) {
            self.counters.veth_unknown.add(u64::from(veth.is_none() && !attachment.addresses.is_empty()));
            attachment.host_interface = veth;
        }
    }

    /// Cuts a network to its bounds and remembers what containers need of it.
    fn record(&self, network: &mut RuntimeNetwork) {
        self.counters.truncated.add(bounds::network(network));
        let mut known = sync::lock(&self.networks);
        if known.ids.len() < MAX_REMEMBERED {
            known.ids.insert(network.name.clone(), network.id.clone());
        }
        if let Some(bridge) = network.bridge.clone().filter(|_| known.bridges.len() < MAX_REMEMBERED) {
            known.bridges.insert(network.id.clone(), bridge);
        }
    }

    pub(super) fn forget_network(&self, id: &str) {
        let mut known = sync::lock(&self.networks);
        known.bridges.remove(id);
        known.ids.retain(|_, known| known != id);
    }
}

fn remember(cache: &Mutex<BTreeMap<String, String>>, key: &str, value: &str) {
    let mut cache = sync::lock(cache);
    if cache.len() >= MAX_REMEMBERED {
        cache.pop_first();
    }
    cache.insert(key.to_owned(), value.to_owned());
}

fn list_entry(summary: &Summary) -> Listed {
    let own = |name: &&String| !name.trim_start_matches('/').contains('/');
    let name = summary.names.iter().find(own);
    let mut name = name.map(|name| name.trim_start_matches('/').to_owned()).unwrap_or_default();
    // As the inspect's, so that both can be compared.
    bounds::name(&mut name);
    let addresses = attachments(&summary.network_settings.networks).into_iter().flat_map(|a| a.addresses).collect();
    Listed { id: WorkloadId::new(&summary.id), name, paused: summary.state == "paused", addresses }
}

/// The first two numbers of a version.
fn number(version: &str) -> Option<(u32, u32)> {
    let mut parts = version.split('.').map(|part| part.parse().ok());
    Some((parts.next()??, parts.next()??))
}

/// A text as a query's value (RFC 3986, section 2.1).
fn escaped(text: &str) -> String {
    let one = |byte: u8| match byte {
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' => char::from(byte).to_string(),
        other => format!("%{other:02X}"),
    };
    text.bytes().map(one).collect()
}

/// The first question failed.
fn opening(path: &Path, error: HttpError) -> ReaderError {
    match error {
        HttpError::Open(source) => ReaderError::opening(path, source),
        HttpError::Foreign => ReaderError::Foreign { path: path.to_owned() },
        error => ReaderError::not_spoken(path, INTERFACE, &error),
    }
}

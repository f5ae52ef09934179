//! The questions that the daemon is asked; all of them only read.
//!
//! Contract: each answer comes within [`TIMEOUT`] or counts as failed. Limits: [`AT_ONCE`] questions of a
//! snapshot and [`LOOKS_AT_ONCE`] of events at a time, [`MAX_DIGESTS`] image digests remembered. Design: cheap to clone, so that each look runs as a task of its own.

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bollard::Docker;
use bollard::errors::Error;
use bollard::models::{ContainerSummary, ContainerSummaryStateEnum, EventMessage};
use bollard::query_parameters::{EventsOptionsBuilder, ListContainersOptionsBuilder};
use futures_util::Stream;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use super::convert::{attachments, from_endpoint, from_inspect, from_network, from_network_inspect, repo_digest};
use super::counters::DockerCounters;
use super::error::{DockerError, chain};
use super::tracker::{Listed, Look, Seen};
use crate::host::{VethFinder, VethRequest};
use crate::input::{NetworkMode, RuntimeNetwork, Workload, WorkloadId};

/// For one answer. A daemon that needs longer is as good as gone; the event stream has no such bound.
const TIMEOUT: Duration = Duration::from_secs(10);
/// Enough to hide the waiting, too few to trouble the daemon.
const AT_ONCE: usize = 8;
/// More, because an inspect waits while its container starts, and must not hold up the others.
const LOOKS_AT_ONCE: usize = 32;
const MAX_DIGESTS: usize = 1024;
const MIN_API: (usize, usize) = (1, 41);
/// Only these are of use; health checks alone would send three more kinds every few seconds.
const ACTIONS: [&str; 9] = ["create", "start", "die", "destroy", "pause", "unpause", "rename", "connect", "disconnect"];

#[derive(Clone)]
pub(super) struct Client {
    docker: Docker,
    digests: Arc<Mutex<BTreeMap<String, String>>>,
    bridges: Arc<Mutex<BTreeMap<String, String>>>,
    veths: Arc<Mutex<VethFinder>>,
    permits: Arc<Semaphore>,
    counters: Arc<DockerCounters>,
}

impl Client {
    /// Opens the socket and agrees on a version.
    pub(super) async fn connect(path: &Path, counters: &Arc<DockerCounters>) -> Result<Self, DockerError> {
        tokio::net::UnixStream::connect(path).await.map_err(|error| DockerError::opening(path, error))?;
        let no_docker = |error: &Error| DockerError::NotDocker { path: path.to_owned(), reason: chain(error) };
        let text = path.to_string_lossy();
        let docker = Docker::connect_with_unix(&text, TIMEOUT.as_secs(), bollard::API_DEFAULT_VERSION)
            .map_err(|error| no_docker(&error))?;
        let docker = docker.negotiate_version().await.map_err(|error| no_docker(&error))?;
        let version = docker.client_version();
        if (version.major_version, version.minor_version) < MIN_API {
            return Err(DockerError::TooOld { path: path.to_owned(), version: version.to_string() });
        }
        Ok(Self {
            docker,
            digests: Arc::default(),
            bridges: Arc::default(),
            veths: Arc::default(),
            permits: Arc::new(Semaphore::new(LOOKS_AT_ONCE)),
            counters: counters.clone(),
        })
    }

    /// Events from a time on (seconds since the epoch); the daemon replays what it still has.
    pub(super) fn events(&self, since: i64) -> impl Stream<Item = Result<EventMessage, Error>> + use<> {
        let kinds = vec!["container".to_owned(), "network".to_owned()];
        let actions = ACTIONS.iter().map(|action| (*action).to_owned()).collect();
        let filters = HashMap::from([("type".to_owned(), kinds), ("event".to_owned(), actions)]);
        let options = EventsOptionsBuilder::default().since(&since.to_string()).filters(&filters).build();
        let docker = self.docker.clone();
        docker.events(Some(options))
    }

    /// All networks, in order of id.
    pub(super) async fn networks(&self) -> Result<Vec<RuntimeNetwork>, DockerError> {
        let listed = self.docker.list_networks(None).await;
        let listed = listed.map_err(|error| DockerError::request("the list of networks", &error))?;
        let mut networks: Vec<RuntimeNetwork> = listed.iter().map(from_network).collect();
        networks.sort_by(|a, b| a.id.cmp(&b.id));
        for network in &networks {
            self.note_bridge(network);
        }
        Ok(networks)
    }

    /// One network; `None` when it is gone.
    pub(super) async fn network(&self, id: &str) -> Option<RuntimeNetwork> {
        let network = from_network_inspect(&self.docker.inspect_network(id, None).await.ok()?);
        self.note_bridge(&network);
        Some(network)
    }

    /// What runs now, by the list alone.
    pub(super) async fn list(&self) -> Result<Vec<Listed>, DockerError> {
        let only = HashMap::from([("status".to_owned(), vec!["running".to_owned(), "paused".to_owned()])]);
        let options = ListContainersOptionsBuilder::default().filters(&only).build();
        let listed = self.docker.list_containers(Some(options)).await;
        let listed = listed.map_err(|error| DockerError::request("the list of containers", &error))?;
        let mut listed: Vec<Listed> = listed.iter().filter_map(list_entry).collect();
        listed.sort_by(|a, b| a.id.cmp(&b.id));
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

    /// The answer to a look.
    pub(super) async fn look(&self, look: &Look) -> Seen {
        let Ok(_permit) = self.permits.acquire().await else { return Seen::Nothing };
        match look {
            Look::Container(id) => self.inspect(id).await.map_or(Seen::Nothing, |w| Seen::Container(Box::new(w))),
            Look::Endpoint { id, network } => self.endpoint(id, network).await,
        }
    }

    async fn endpoint(&self, id: &WorkloadId, network: &str) -> Seen {
        let Ok(answer) = self.docker.inspect_network(network, None).await else { return Seen::Nothing };
        let network = from_network_inspect(&answer);
        self.note_bridge(&network);
        let endpoint = answer.containers.as_ref().and_then(|all| all.get(id.as_str()));
        endpoint.map_or(Seen::Nothing, |endpoint| Seen::Endpoint(from_endpoint(&network, endpoint)))
    }

    /// One container with its repository digest and veths; `None` when it is gone or there is no answer.
    async fn inspect(&self, id: &WorkloadId) -> Option<Workload> {
        let answer = self.docker.inspect_container(id.as_str(), None).await;
        if let Err(error) = &answer {
            let gone = matches!(error, Error::DockerResponseServerError { status_code: 404, .. });
            self.counters.failed_requests.add(u64::from(!gone));
        }
        let mut workload = from_inspect(&answer.ok()?);
        if let Some(digest) = self.digest(&workload.image_digest).await {
            workload.image_digest = digest;
        }
        self.find_veths(&mut workload);
        Some(workload)
    }

    /// The repository digest of an image id, if it has one.
    async fn digest(&self, image: &str) -> Option<String> {
        let known = self.digests.lock().unwrap_or_else(PoisonError::into_inner).get(image).cloned();
        if let Some(known) = known {
            return Some(known);
        }
        let answer = self.docker.inspect_image(image).await.ok()?;
        let digest = repo_digest(&answer.repo_digests.unwrap_or_default()).unwrap_or_else(|| image.to_owned());
        let mut digests = self.digests.lock().unwrap_or_else(PoisonError::into_inner);
        if digests.len() >= MAX_DIGESTS {
            digests.pop_first();
        }
        digests.insert(image.to_owned(), digest.clone());
        Some(digest)
    }

    /// Best effort: names the host-side veth of each attachment.
    fn find_veths(&self, workload: &mut Workload) {
        let Some(pid) = workload.pid.filter(|_| workload.network_mode == NetworkMode::Own) else { return };
        let bridges = self.bridges.lock().unwrap_or_else(PoisonError::into_inner);
        let wanted: Vec<VethRequest<'_>> = workload
            .attachments
            .iter()
            .map(|attachment| VethRequest {
                addresses: &attachment.addresses,
                bridge: bridges.get(&attachment.network_id).map(String::as_str),
            })
            .collect();
        let found = self.veths.lock().unwrap_or_else(PoisonError::into_inner).find(pid, &wanted);
        drop(bridges);
        for (attachment, veth) in workload.attachments.iter_mut().zip(found) {
            self.counters.veth_unknown.add(u64::from(veth.is_none() && !attachment.addresses.is_empty()));
            attachment.host_interface = veth;
        }
    }

    fn note_bridge(&self, network: &RuntimeNetwork) {
        let mut bridges = self.bridges.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(bridge) = network.bridge.clone().filter(|_| bridges.len() < MAX_DIGESTS) {
            bridges.insert(network.id.clone(), bridge);
        }
    }

    pub(super) fn forget_network(&self, id: &str) {
        self.bridges.lock().unwrap_or_else(PoisonError::into_inner).remove(id);
    }
}

fn list_entry(summary: &ContainerSummary) -> Option<Listed> {
    let networks = summary.network_settings.as_ref().and_then(|settings| settings.networks.as_ref());
    let own = |name: &&String| !name.trim_start_matches('/').contains('/');
    let name = summary.names.as_ref().and_then(|names| names.iter().find(own));
    let addresses = networks.map(attachments).unwrap_or_default().into_iter().flat_map(|a| a.addresses).collect();
    Some(Listed {
        id: WorkloadId::new(summary.id.as_deref()?),
        name: name.map(|name| name.trim_start_matches('/').to_owned()).unwrap_or_default(),
        paused: summary.state == Some(ContainerSummaryStateEnum::PAUSED),
        addresses,
    })
}

/// The path in `unix:///var/run/docker.sock`, or a bare path.
pub(super) fn socket_path(host: &str) -> Result<PathBuf, DockerError> {
    let path = host.strip_prefix("unix://").unwrap_or(host);
    if path.starts_with('/') { Ok(PathBuf::from(path)) } else { Err(DockerError::Host { host: host.to_owned() }) }
}

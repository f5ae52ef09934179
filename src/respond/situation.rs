//! What is asked for, and what is there.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::Duration;

use super::action::Action;
use super::container::Container;
use super::history::Response;
use crate::input::Workload;

/// What is asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// What.
    pub action: Action,
    /// Of which network, where it matters.
    pub network: Option<String>,
    /// Set doubts aside.
    pub force: bool,
    /// When it is undone; zero: by a person.
    pub undo_after: Duration,
}

/// What is there.
#[derive(Clone, Debug, Default)]
pub struct Situation {
    /// The runtime's socket.
    pub host: String,
    /// Version of its API, as it stands in paths: `v1.41`.
    pub api: String,
    /// The container; none when it is gone.
    pub container: Option<Container>,
    /// Digest of its image.
    pub digest: String,
    /// The container that has its name now.
    pub replaced_by: Option<String>,
    /// Names of containers that share its network namespace.
    pub joined_by: Vec<String>,
    /// Ids of containers that hopwatch runs in.
    pub own: Vec<String>,
    /// Folder of hopwatch's state.
    pub state_dir: Option<String>,
    /// Networks of the runtime, by id.
    pub networks: BTreeMap<String, NetworkState>,
    /// Other containers, with their addresses.
    pub neighbours: Vec<Workload>,
    /// Addresses of this network namespace.
    pub host_addresses: Vec<IpAddr>,
    /// Resolvers of the host.
    pub resolvers: Vec<IpAddr>,
    /// Whether the `nft` program is there.
    pub has_nft: bool,
    /// Pairs that are blocked.
    pub blocked: Vec<(&'static str, [IpAddr; 2])>,
    /// Responses that stand.
    pub standing: Vec<Response>,
    /// Responses that were made within the period of the limit.
    pub recent: usize,
}

/// A network of the runtime.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NetworkState {
    /// Its name.
    pub name: String,
    /// Its driver.
    pub driver: String,
    /// Whether it leads nowhere, and is ours.
    pub is_quarantine: bool,
}

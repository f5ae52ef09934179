//! The steps of an action: the orders that do and undo each, and whether it is in effect.
//!
//! Contract: a step asks nothing; it says which orders it needs and reads from what was seen whether it is in effect, since the runtime's calls are not idempotent. Its
//! undo may have several forms: the first that works counts. Limits: what a step saves stands in the audit log, 0600.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::container::Container;
use super::nft::{self, FAMILIES, Pair};
use crate::time::Timestamp;

/// The network that a container under quarantine is on.
pub const QUARANTINE: &str = "hopwatch-quarantine";
/// The label by which it is known.
pub const QUARANTINE_LABEL: &str = "hopwatch.quarantine";
/// Repository of the images that snapshots make.
pub const SNAPSHOTS: &str = "hopwatch-snapshot";
/// The last file of a snapshot: where it is there, the others are.
pub const SNAPSHOT_END: &str = "image.json";
/// The file of logs, which some logging drivers cannot give.
pub const SNAPSHOT_LOGS: &str = "logs.txt";
/// Seconds that a container gets to stop by itself.
const STOP_GRACE: u32 = 10;
/// Lines of a container's log that a snapshot keeps.
const LOG_LINES: u32 = 100_000;

/// One thing that is done to a container.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "step", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Step {
    /// Its processes are frozen.
    Pause,
    /// It is taken off a network.
    Disconnect {
        /// The network's name.
        network: String,
        /// The network's id.
        network_id: String,
        /// How it was connected.
        endpoint: Value,
    },
    /// It is put on the network of those under quarantine.
    Quarantine {
        /// The network is to be made.
        create: bool,
        /// The runtime knows gateways that do not answer.
        isolated: bool,
    },
    /// Traffic between it and other ends is dropped.
    Block {
        /// Its address, and the other end.
        pairs: Vec<Pair>,
        /// For so long, by the kernel's clock.
        seconds: u64,
    },
    /// Its logs, its changed files and an image of it are kept.
    Snapshot {
        /// Folder in the state directory, and tag of the image.
        name: String,
    },
    /// It is stopped.
    Stop {
        /// It is deleted then, as it was started with `--rm`.
        removes: bool,
    },
}

/// What is given to the runtime, or to `nft`.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(untagged)]
pub enum Order {
    /// A request to the runtime.
    Request(Call),
    /// A text for `nft -f -`.
    Nft {
        /// The text.
        nft: String,
    },
}

/// A request to the runtime.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Call {
    /// `GET`, `POST`.
    pub method: &'static str,
    /// Path, without the version of the API.
    pub path: String,
    /// Body.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub body: Option<Value>,
    /// The file of the snapshot that keeps the answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub keep: Option<&'static str>,
}

/// Whether a step is in effect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    /// It is.
    There,
    /// It is not.
    Absent,
}

/// What is there now.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Seen {
    /// The container; none when it is gone.
    pub container: Option<Container>,
    /// Pairs that are blocked, with the family of the table.
    pub blocked: Vec<(&'static str, Pair)>,
    /// Snapshots that are whole.
    pub snapshots: Vec<String>,
}

impl Seen {
    /// With nothing but a container.
    pub fn of(container: &Container) -> Self {
        Self { container: Some(container.clone()), ..Self::default() }
    }

    fn is(&self, holds: impl Fn(&Container) -> bool) -> bool {
        self.container.as_ref().is_some_and(holds)
    }
}

fn post(path: String, body: Option<Value>) -> Order {
    Order::Request(Call { method: "POST", path, body, keep: None })
}

impl Step {
    /// What does it.
    pub fn orders(&self, id: &str) -> Vec<Order> {
        match self {
            Self::Pause => vec![post(format!("/containers/{id}/pause"), None)],
            Self::Disconnect { network_id, .. } => {
                vec![post(format!("/networks/{network_id}/disconnect"), Some(json!({"Container": id, "Force": false})))]
            }
            Self::Quarantine { create, isolated } => quarantine(id, *create, *isolated),
            Self::Block { pairs, seconds } => vec![Order::Nft { nft: nft::block(pairs, *seconds) }],
            Self::Snapshot { name } => snapshot(id, name),
            Self::Stop { .. } => vec![post(format!("/containers/{id}/stop?t={STOP_GRACE}"), None)],
        }
    }

    /// What undoes it: forms, the first that works counts. None: nothing can, or need be.
    pub fn undo(&self, id: &str) -> Vec<Order> {
        match self {
            Self::Pause => vec![post(format!("/containers/{id}/unpause"), None)],
            Self::Disconnect { network_id, endpoint, .. } => connect(id, network_id, endpoint),
            Self::Quarantine { .. } => {
                vec![post(format!("/networks/{QUARANTINE}/disconnect"), Some(json!({"Container": id, "Force": false})))]
            }
            Self::Block { pairs, .. } => vec![Order::Nft { nft: nft::unblock(pairs) }],
            Self::Snapshot { .. } | Self::Stop { removes: true } => Vec::new(),
            Self::Stop { removes: false } => vec![post(format!("/containers/{id}/start"), None)],
        }
    }

    /// Whether it is in effect.
    pub fn effect(&self, seen: &Seen) -> Effect {
        let there = match self {
            Self::Pause => seen.is(|container| container.paused),
            Self::Disconnect { network_id, .. } => seen.is(|container| container.endpoint(network_id).is_none()),
            Self::Quarantine { .. } => seen.is(|container| container.endpoint(QUARANTINE).is_some()),
            Self::Block { pairs, .. } => {
                FAMILIES.iter().all(|family| pairs.iter().all(|pair| seen.blocked.contains(&(*family, *pair))))
            }
            Self::Snapshot { name } => seen.snapshots.contains(name),
            Self::Stop { .. } => !seen.is(|container| container.running),
        };
        if there { Effect::There } else { Effect::Absent }
    }

    /// Whether something of it is still to be undone.
    pub fn can_be_undone(&self, seen: &Seen, started: Timestamp) -> bool {
        let same_run = seen.is(|container| container.started == started);
        match self {
            Self::Snapshot { .. } | Self::Stop { removes: true } => false,
            Self::Pause | Self::Stop { removes: false } => same_run && self.effect(seen) == Effect::There,
            Self::Disconnect { .. } | Self::Quarantine { .. } => self.effect(seen) == Effect::There,
            // The address may be another's by now, all the more so when the container is gone.
            Self::Block { pairs, .. } => seen.blocked.iter().any(|(_, pair)| pairs.contains(pair)),
        }
    }

    /// Whether it ends with the run of the container in which it was done.
    pub const fn ends_with_the_run(&self) -> bool {
        matches!(self, Self::Pause | Self::Stop { .. })
    }

    /// In words, for a list: the container is …
    pub fn describe(&self) -> String {
        match self {
            Self::Pause => "paused".to_owned(),
            Self::Disconnect { network, .. } => format!("off the network {network}"),
            Self::Quarantine { .. } => format!("on the network {QUARANTINE}"),
            Self::Block { pairs, .. } => {
                let others: BTreeSet<_> = pairs.iter().map(|[_, other]| *other).collect();
                let others: Vec<_> = others.iter().map(ToString::to_string).collect();
                format!("blocked from {}", others.join(", "))
            }
            Self::Snapshot { name } => format!("kept as the image {SNAPSHOTS}:{name}"),
            Self::Stop { removes: false } => "stopped".to_owned(),
            Self::Stop { removes: true } => "stopped and deleted".to_owned(),
        }
    }
}

/// As it was connected; without the MAC and then without the address, which older runtimes, or networks without a range of their own, refuse.
fn connect(id: &str, network_id: &str, endpoint: &Value) -> Vec<Order> {
    let without = |keys: &[&str]| {
        let mut less = endpoint.clone();
        if let Some(settings) = less.as_object_mut() {
            settings.retain(|key, _| !keys.contains(&key.as_str()));
        }
        less
    };
    let forms = [endpoint.clone(), without(&["MacAddress"]), without(&["MacAddress", "IPAMConfig"])];
    let path = format!("/networks/{network_id}/connect");
    let order = |endpoint| post(path.clone(), Some(json!({"Container": id, "EndpointConfig": endpoint})));
    let mut orders: Vec<_> = forms.into_iter().map(order).collect();
    orders.dedup();
    orders
}

fn quarantine(id: &str, create: bool, isolated: bool) -> Vec<Order> {
    let mut options = serde_json::Map::new();
    if isolated {
        for family in ["ipv4", "ipv6"] {
            options.insert(format!("com.docker.network.bridge.gateway_mode_{family}"), "isolated".into());
        }
    }
    let network = json!({
        "Name": QUARANTINE, "Driver": "bridge", "Internal": true, "CheckDuplicate": true, "Labels": {QUARANTINE_LABEL: "1"}, "Options": options,
    });
    let make = create.then(|| post("/networks/create".to_owned(), Some(network)));
    let connect = post(format!("/networks/{QUARANTINE}/connect"), Some(json!({"Container": id})));
    make.into_iter().chain([connect]).collect()
}

fn snapshot(id: &str, name: &str) -> Vec<Order> {
    let keep = |method, path, file| Order::Request(Call { method, path, body: None, keep: Some(file) });
    let logs = format!("/containers/{id}/logs?stdout=1&stderr=1&timestamps=1&tail={LOG_LINES}");
    // Without `pause=0` the runtime would freeze the container meanwhile.
    let commit = format!("/commit?container={id}&repo={SNAPSHOTS}&tag={name}&pause=0");
    vec![
        keep("GET", logs, SNAPSHOT_LOGS),
        keep("GET", format!("/containers/{id}/changes"), "changes.json"),
        keep("POST", commit, SNAPSHOT_END),
    ]
}

/// A step and its requests.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct PlannedStep {
    /// What is saved for its undo.
    #[serde(flatten)]
    pub step: Step,
    /// What does it, in order.
    pub orders: Vec<Order>,
    /// What undoes it: forms, the first that the runtime takes counts.
    pub undo: Vec<Order>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::respond::container::tests::document;

    #[test]
    fn what_connects_again_gives_up_the_mac_first_and_the_address_last() {
        let container = Container::read(&document()).expect("a container");
        let front = container.endpoint("front").expect("an endpoint");
        let (network, network_id) = (front.network.clone(), front.network_id.clone());
        let step = Step::Disconnect { network, network_id, endpoint: front.settings.clone() };
        assert_eq!(step.effect(&Seen::of(&container)), Effect::Absent);
        let config = |order: &Order| {
            let Order::Request(call) = order else { panic!("{order:?}") };
            call.body.as_ref().expect("a body")["EndpointConfig"].clone()
        };
        let undo: Vec<_> = step.undo(&container.id).iter().map(config).collect();
        assert_eq!(undo[0], front.settings);
        assert!(undo[1].get("MacAddress").is_none() && undo[1].get("IPAMConfig").is_some());
        assert_eq!(undo[2], json!({"Aliases": ["shop"], "DriverOpts": {"com.example.mtu": "1400"}}));
        assert_eq!(undo.len(), 3);
    }

    #[test]
    fn a_pause_is_over_with_the_run_of_the_container_and_a_disconnection_is_not() {
        let mut container = Container::read(&document()).expect("a container");
        let (before, back) = (container.started, container.endpoints.remove(0));
        container.paused = true;
        let off = Step::Disconnect { network: back.network, network_id: back.network_id, endpoint: back.settings };
        let can = |step: &Step, container: &Container| step.can_be_undone(&Seen::of(container), before);
        assert!(can(&Step::Pause, &container) && can(&off, &container));
        container.started = Timestamp::from_secs(1);
        assert!(!can(&Step::Pause, &container) && can(&off, &container));
    }

    #[test]
    fn a_block_is_undone_also_when_its_container_is_gone_and_is_whole_only_in_both_tables() {
        let pair: Pair = ["172.30.1.9", "198.51.100.7"].map(|ip| ip.parse().expect("an address"));
        let block = Step::Block { pairs: vec![pair], seconds: 60 };
        let half = Seen { blocked: vec![("inet", pair)], ..Seen::default() };
        assert_eq!(block.effect(&half), Effect::Absent);
        assert!(block.can_be_undone(&half, Timestamp::from_secs(1)));
        let whole = Seen { blocked: vec![("inet", pair), ("bridge", pair)], ..Seen::default() };
        assert_eq!(block.effect(&whole), Effect::There);
        assert!(!block.can_be_undone(&Seen::default(), Timestamp::from_secs(1)));
    }

    #[test]
    fn a_stop_is_in_effect_when_the_container_is_gone_and_what_deleted_it_cannot_be_undone() {
        let stop = |removes| Step::Stop { removes };
        assert_eq!(stop(true).effect(&Seen::default()), Effect::There);
        let mut container = Container::read(&document()).expect("a container");
        assert_eq!(stop(false).effect(&Seen::of(&container)), Effect::Absent);
        container.running = false;
        assert!(stop(false).can_be_undone(&Seen::of(&container), container.started));
        assert!(
            !stop(true).can_be_undone(&Seen::of(&container), container.started) && stop(true).undo("id").is_empty()
        );
    }
}

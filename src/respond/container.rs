//! A container as its runtime shows it now: the parts of an inspect document that a response needs.
//!
//! Contract: the environment, the arguments and the mounts' contents are never read, so no plan and no log can hold them; a part that is missing or of another kind is empty,
//! but without id and start there is no container. Limits: [`MAX_NETWORKS`] networks. Design: of an endpoint only what
//! a person or a compose file set is kept for its undo, not what the runtime chose, but for the address, which others know.

use std::collections::BTreeMap;
use std::net::IpAddr;

use serde_json::{Map, Value};

use super::subject::is_container_id;
use crate::input::{Attachment, RuntimeId, Workload, WorkloadId};
use crate::time::Timestamp;

/// Networks of one container.
const MAX_NETWORKS: usize = 64;
/// What the runtime takes back when it connects a container, beside the address.
const SETTINGS: [&str; 4] = ["Links", "DriverOpts", "GwPriority", "MacAddress"];

/// A container.
#[derive(Clone, Debug, PartialEq)]
#[expect(clippy::struct_excessive_bools, reason = "what the runtime says of it, each on its own")]
pub struct Container {
    /// Full id.
    pub id: String,
    /// Name, without the slash.
    pub name: String,
    /// Image, as it was asked for.
    pub image: String,
    /// Its id.
    pub image_id: String,
    /// Labels; for selectors only, never shown.
    pub labels: BTreeMap<String, String>,
    /// Start of this run.
    pub started: Timestamp,
    /// Whether it runs, paused or not.
    pub running: bool,
    /// Whether it is paused.
    pub paused: bool,
    /// Its first process.
    pub pid: Option<u32>,
    /// Whether it is deleted when it stops.
    pub auto_remove: bool,
    /// `bridge`, `host`, `none`, `container:ID`, a network's name.
    pub network_mode: String,
    /// Whether it holds the namespaces of a pod.
    pub is_infra: bool,
    /// Ports of the host that lead to it.
    pub published: Vec<u16>,
    /// Folders of the host that it sees.
    pub mounts: Vec<String>,
    /// Its networks, in order of name.
    pub endpoints: Vec<EndpointState>,
}

/// A container in a network.
#[derive(Clone, Debug, PartialEq)]
pub struct EndpointState {
    /// The network's name.
    pub network: String,
    /// The network's id.
    pub network_id: String,
    /// Its addresses there, IPv4 first.
    pub addresses: Vec<IpAddr>,
    /// Gateways there.
    pub gateways: Vec<IpAddr>,
    /// MAC there.
    pub mac: Option<String>,
    /// Names by which others find it there.
    pub aliases: Vec<String>,
    /// What `connect` gets to make it as it was: an `EndpointConfig`.
    pub settings: Value,
}

impl Container {
    /// Of an inspect document.
    pub fn read(document: &Value) -> Result<Self, String> {
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let (state, host, config) = (&document["State"], &document["HostConfig"], &document["Config"]);
        let id =
            Some(text(&document["Id"])).filter(|id| is_container_id(id)).ok_or("the answer has no container id")?;
        let started = state["StartedAt"].as_str().and_then(|text| text.parse().ok());
        let started = started.ok_or("the answer does not say when the container was started")?;
        let labels = config["Labels"].as_object().into_iter().flatten();
        let labels: BTreeMap<_, _> = labels.map(|(key, value)| (key.clone(), text(value))).collect();
        let name = text(&document["Name"]).trim_start_matches('/').to_owned();
        let mounts = document["Mounts"].as_array().into_iter().flatten();
        Ok(Self {
            name: name.clone(),
            image: text(&config["Image"]),
            image_id: text(&document["Image"]),
            started,
            running: [&state["Running"], &state["Paused"]].iter().any(|said| said.as_bool() == Some(true)),
            paused: state["Paused"].as_bool().unwrap_or_default(),
            pid: state["Pid"].as_u64().and_then(|pid| u32::try_from(pid).ok()).filter(|pid| *pid > 0),
            auto_remove: host["AutoRemove"].as_bool().unwrap_or_default(),
            network_mode: text(&host["NetworkMode"]),
            is_infra: document["IsInfra"].as_bool().unwrap_or_default() || is_sandbox(&name, &labels),
            published: published(&document["NetworkSettings"]["Ports"]),
            mounts: mounts.map(|mount| text(&mount["Source"])).filter(|source| !source.is_empty()).collect(),
            endpoints: endpoints(&document["NetworkSettings"]["Networks"], &id),
            labels,
            id,
        })
    }

    /// The twelve digits that people know.
    pub fn short(&self) -> &str {
        short(&self.id)
    }

    /// Its endpoint in a network, by name or id.
    pub fn endpoint(&self, network: &str) -> Option<&EndpointState> {
        self.endpoints.iter().find(|endpoint| endpoint.network == network || endpoint.network_id == network)
    }

    /// As selectors see it.
    pub(super) fn workload(&self, runtime: RuntimeId, digest: &str) -> Workload {
        let attachment = |endpoint: &EndpointState| Attachment {
            network: endpoint.network.clone(),
            network_id: endpoint.network_id.clone(),
            addresses: endpoint.addresses.clone(),
            ..Attachment::default()
        };
        Workload {
            image: self.image.clone(),
            image_digest: digest.to_owned(),
            labels: self.labels.clone(),
            attachments: self.endpoints.iter().map(attachment).collect(),
            ..Workload::new(WorkloadId::new(&self.id), &self.name, runtime)
        }
    }
}

/// The twelve digits that people know.
pub(super) fn short(id: &str) -> &str {
    id.get(..12).unwrap_or(id)
}

/// The container that a kubelet makes through Docker to hold a pod's namespaces.
fn is_sandbox(name: &str, labels: &BTreeMap<String, String>) -> bool {
    name.starts_with("k8s_POD_") && labels.get("io.kubernetes.docker.type").is_some_and(|kind| kind == "podsandbox")
}

fn published(ports: &Value) -> Vec<u16> {
    let bindings =
        ports.as_object().into_iter().flatten().flat_map(|(_, bound)| bound.as_array().into_iter().flatten());
    let mut ports: Vec<u16> = bindings.filter_map(|bound| bound["HostPort"].as_str()?.parse().ok()).collect();
    ports.sort_unstable();
    ports.dedup();
    ports
}

fn endpoints(networks: &Value, id: &str) -> Vec<EndpointState> {
    let mut all: Vec<_> =
        networks.as_object().into_iter().flatten().map(|(name, value)| endpoint(name, value, id)).collect();
    all.sort_by(|a, b| a.network.cmp(&b.network));
    all.truncate(MAX_NETWORKS);
    all
}

fn endpoint(name: &str, value: &Value, id: &str) -> EndpointState {
    let addresses = |keys: [&str; 2]| keys.into_iter().filter_map(|key| value[key].as_str()?.parse().ok()).collect();
    let aliases = value["Aliases"].as_array().into_iter().flatten().filter_map(Value::as_str);
    // The runtime adds the short id itself.
    let aliases: Vec<String> = aliases.filter(|alias| *alias != short(id)).map(str::to_owned).collect();
    let mut endpoint = EndpointState {
        network: name.to_owned(),
        network_id: value["NetworkID"].as_str().unwrap_or_default().to_owned(),
        addresses: addresses(["IPAddress", "GlobalIPv6Address"]),
        gateways: addresses(["Gateway", "IPv6Gateway"]),
        mac: value["MacAddress"].as_str().filter(|mac| !mac.is_empty()).map(str::to_owned),
        aliases,
        settings: Value::Null,
    };
    endpoint.settings = settings(value, &endpoint);
    endpoint
}

/// An `EndpointConfig` with what was set, and with the address that it has.
fn settings(value: &Value, endpoint: &EndpointState) -> Value {
    let mut settings = Map::new();
    let mut address = value["IPAMConfig"].as_object().cloned().unwrap_or_default();
    for ip in &endpoint.addresses {
        address.insert(if ip.is_ipv4() { "IPv4Address" } else { "IPv6Address" }.to_owned(), ip.to_string().into());
    }
    if !address.is_empty() {
        settings.insert("IPAMConfig".to_owned(), address.into());
    }
    if !endpoint.aliases.is_empty() {
        settings.insert("Aliases".to_owned(), endpoint.aliases.clone().into());
    }
    for key in SETTINGS {
        let said = &value[key];
        let is_empty = said.is_null()
            || said == ""
            || said == 0
            || said == &Value::Array(vec![])
            || said == &Value::Object(Map::new());
        if !is_empty {
            settings.insert(key.to_owned(), said.clone());
        }
    }
    settings.into()
}

#[cfg(test)]
pub(super) mod tests {
    use serde_json::json;

    use super::*;

    /// An inspect document with two networks and a secret.
    pub fn document() -> Value {
        json!({
            "Id": "ab".repeat(32), "Name": "/web", "Image": "sha256:11",
            "State": {"Running": true, "Paused": false, "StartedAt": "2026-11-29T02:00:00.5Z", "Pid": 42},
            "Config": {"Image": "shop/web:1", "Labels": {"tier": "front"}, "Env": ["TOKEN=hunter2"], "Cmd": ["--password=hunter2"]},
            "HostConfig": {"AutoRemove": false, "NetworkMode": "front"},
            "Mounts": [{"Source": "/srv/web", "Destination": "/data"}],
            "NetworkSettings": {
                "Ports": {"80/tcp": [{"HostIp": "0.0.0.0", "HostPort": "8080"}, {"HostIp": "::", "HostPort": "8080"}], "90/tcp": null},
                "Networks": {
                    "front": {
                        "NetworkID": "f".repeat(64), "IPAddress": "172.30.1.9", "GlobalIPv6Address": "", "Gateway": "172.30.1.1",
                        "MacAddress": "02:42:ac:1e:01:09", "IPAMConfig": {"IPv4Address": "172.30.1.9"}, "Aliases": ["shop", "abababababab"],
                        "Links": null, "DriverOpts": {"com.example.mtu": "1400"}, "GwPriority": 0,
                    },
                    "back": {"NetworkID": "b".repeat(64), "IPAddress": "172.30.2.2", "MacAddress": "02:42:ac:1e:02:02", "IPAMConfig": null, "Aliases": null},
                },
            },
        })
    }

    #[test]
    fn what_an_undo_needs_is_kept_and_secrets_are_not_read() {
        let container = Container::read(&document()).expect("a container");
        assert_eq!(
            (container.name.as_str(), container.pid, container.published.as_slice()),
            ("web", Some(42), &[8080][..])
        );
        let front = container.endpoint("front").expect("an endpoint");
        assert_eq!(
            front.settings,
            json!({
                "IPAMConfig": {"IPv4Address": "172.30.1.9"}, "Aliases": ["shop"], "DriverOpts": {"com.example.mtu": "1400"},
                "MacAddress": "02:42:ac:1e:01:09"
            })
        );
        let back = container.endpoint(&"b".repeat(64)).expect("an endpoint, by its id");
        assert_eq!(back.settings["IPAMConfig"]["IPv4Address"], "172.30.2.2", "the address that others know");
        assert!(!format!("{container:?}").contains("hunter2"));
    }

    #[test]
    fn an_answer_without_id_or_start_is_no_container() {
        for key in ["/Id", "/State/StartedAt"] {
            let mut broken = document();
            *broken.pointer_mut(key).expect("a field") = Value::Null;
            assert!(Container::read(&broken).is_err(), "{key}");
        }
        assert!(Container::read(&json!([])).is_err());
    }
}

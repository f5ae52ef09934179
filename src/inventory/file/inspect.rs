//! The output of `docker inspect`: containers and networks, in arrays or as objects one after the other, mixed or not.
//!
//! Contract: containers become undated workloads, networks become networks and come first. Limits: where a network was
//! not inspected, only Docker's own `bridge` is filled in from its containers; of others the driver is not known.
//! Design: an object with `State` is a container, one with `IPAM` a network; anything else is refused at its place.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use serde::Deserialize;
use serde::de::value::MapAccessDeserializer;
use serde::de::{DeserializeSeed, Deserializer, Error as _, IgnoredAny, MapAccess, SeqAccess, Visitor};

use super::{UNDATED_AT, Wrong};
use crate::input::{Input, InventoryEvent, NetworkMode, RuntimeNetwork, Workload};
use crate::inventory::configuration::Redaction;
use crate::inventory::docker::{Container, Network, attach_by_network, from_inspect, from_network, referenced};

const EXPECTED: &str = "the output of docker inspect";
const SHAPE: &str = "inspected containers and networks, in an array or one after the other";

/// What an object is, known by the parts that it has. A person wrote or picked the file, so parts of a wrong kind are reported at
/// their place, where a runtime's answer would be read as far as it goes.
#[derive(Deserialize)]
#[serde(expecting = "an inspected container or network", rename_all = "PascalCase")]
#[allow(dead_code, reason = "read only to be checked")]
struct Kind {
    id: Option<String>,
    name: Option<String>,
    image: Option<String>,
    state: Option<State>,
    config: Option<Config>,
    host_config: Option<HostConfig>,
    network_settings: Option<NetworkSettings>,
    #[serde(rename = "IPAM")]
    ipam: Option<IgnoredAny>,
    driver: Option<String>,
    options: Option<BTreeMap<String, String>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
#[allow(dead_code, reason = "read only to be checked")]
struct State {
    status: Option<String>,
    running: Option<bool>,
    pid: Option<i64>,
    started_at: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
#[allow(dead_code, reason = "read only to be checked")]
struct Config {
    image: Option<String>,
    labels: Option<BTreeMap<String, String>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
#[allow(dead_code, reason = "read only to be checked")]
struct HostConfig {
    network_mode: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
#[allow(dead_code, reason = "read only to be checked")]
struct NetworkSettings {
    networks: Option<BTreeMap<String, Endpoint>>,
    #[serde(rename = "IPAddress")]
    ip: Option<String>,
    #[serde(rename = "GlobalIPv6Address")]
    ipv6: Option<String>,
    mac_address: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
#[allow(dead_code, reason = "read only to be checked")]
struct Endpoint {
    #[serde(rename = "IPAddress")]
    ip: Option<String>,
    #[serde(rename = "GlobalIPv6Address")]
    ipv6: Option<String>,
    mac_address: Option<String>,
    gateway: Option<String>,
}

/// What was found so far.
struct Found<'a> {
    redaction: &'a Redaction,
    networks: BTreeMap<String, Network>,
    default: Option<RuntimeNetwork>,
    workloads: Vec<Workload>,
}

/// What one top-level value holds: the objects of an array, or one object.
struct Kinds(Vec<Kind>);

impl<'de> Deserialize<'de> for Kinds {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(KindsVisitor)
    }
}

struct KindsVisitor;

impl<'de> Visitor<'de> for KindsVisitor {
    type Value = Kinds;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(SHAPE)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut array: A) -> Result<Kinds, A::Error> {
        let mut kinds = Vec::new();
        while let Some(kind) = array.next_element()? {
            kinds.push(kind);
        }
        Ok(Kinds(kinds))
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Kinds, A::Error> {
        Kind::deserialize(MapAccessDeserializer::new(map)).map(|kind| Kinds(vec![kind]))
    }
}

/// Reads one top-level value whose objects are of these kinds. Reading twice keeps line and column of every error.
struct Value<'a, 'r> {
    kinds: &'a [Kind],
    found: &'a mut Found<'r>,
}

impl<'de> DeserializeSeed<'de> for Value<'_, '_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Value<'_, '_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(SHAPE)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut array: A) -> Result<(), A::Error> {
        for (number, kind) in self.kinds.iter().enumerate() {
            array.next_element_seed(Object { kind, number, found: &mut *self.found })?;
        }
        while array.next_element::<IgnoredAny>()?.is_some() {}
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<(), A::Error> {
        let Some(kind) = self.kinds.first() else { return Ok(()) };
        Object { kind, number: 0, found: self.found }.deserialize(MapAccessDeserializer::new(map))
    }
}

/// Reads one object of a kind.
struct Object<'a, 'r> {
    kind: &'a Kind,
    number: usize,
    found: &'a mut Found<'r>,
}

impl<'de> DeserializeSeed<'de> for Object<'_, '_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        if self.kind.state.is_some() {
            self.found.container(&Container::deserialize(deserializer)?);
        } else if self.kind.ipam.is_some() {
            let network = Network::deserialize(deserializer)?;
            self.found.networks.insert(network.id().to_owned(), network);
        } else {
            IgnoredAny::deserialize(deserializer)?;
            // The place of the error is after the object; its number says which it is.
            let reason = format!("object {} has neither State (a container) nor IPAM (a network)", self.number + 1);
            return Err(D::Error::custom(reason));
        }
        Ok(())
    }
}

impl Found<'_> {
    fn container(&mut self, container: &Container) {
        if self.default.is_none() {
            self.default = default_bridge(container);
        }
        self.workloads.push(Workload { since: None, ..from_inspect(container, self.redaction) });
    }

    /// A join is written as it was asked for; one that no container of the file answers to stays as it is.
    fn resolve_joins(&mut self) {
        let mut resolved = Vec::new();
        for (index, workload) in self.workloads.iter().enumerate() {
            let NetworkMode::Container(reference) = &workload.network_mode else { continue };
            let others =
                self.workloads.iter().filter(|other| other.runtime == workload.runtime && other.id != workload.id);
            resolved.extend(referenced(reference.as_str(), others).map(|id| (index, id.clone())));
        }
        for (index, id) in resolved {
            self.workloads[index].network_mode = NetworkMode::Container(id);
        }
    }

    /// Networks first, because workloads name them.
    fn into_inputs(mut self) -> Vec<Input> {
        self.resolve_joins();
        for workload in &mut self.workloads {
            for network in self.networks.values() {
                attach_by_network(workload, network);
            }
        }
        let mut networks: BTreeMap<String, RuntimeNetwork> =
            self.networks.iter().map(|(id, network)| (id.clone(), from_network(network))).collect();
        if let Some(network) = self.default {
            networks.entry(network.id.clone()).or_insert(network);
        }
        let networks = networks.into_values().map(|network| InventoryEvent::Network(Arc::new(network)));
        let workloads = self.workloads.into_iter().map(|workload| InventoryEvent::Workload(Arc::new(workload)));
        let input = |event| Input::new(UNDATED_AT, event);
        networks.chain(workloads).map(input).collect()
    }
}

/// Whether the first value is one inspected object: it has an `Id`, and names no schema.
pub(super) fn is_object(bytes: &[u8]) -> bool {
    #[derive(Deserialize)]
    struct Head {
        #[serde(rename = "Id")]
        id: Option<IgnoredAny>,
        schema: Option<IgnoredAny>,
    }
    let mut values = serde_json::Deserializer::from_slice(bytes).into_iter::<Head>();
    matches!(values.next(), Some(Ok(head)) if head.id.is_some() && head.schema.is_none())
}

pub(super) fn parse(bytes: &[u8], redaction: &Redaction) -> Result<Vec<Input>, Wrong> {
    let wrong = |error: serde_json::Error| Wrong::json(1, EXPECTED, &error);
    let values = serde_json::Deserializer::from_slice(bytes).into_iter::<Kinds>();
    let values: Vec<Kinds> = values.collect::<Result<_, _>>().map_err(wrong)?;
    let (networks, default, workloads) = Default::default();
    let mut found = Found { redaction, networks, default, workloads };
    let mut deserializer = serde_json::Deserializer::from_slice(bytes);
    for Kinds(kinds) in &values {
        Value { kinds, found: &mut found }.deserialize(&mut deserializer).map_err(wrong)?;
    }
    Ok(found.into_inputs())
}

/// Docker's own network as a container on it describes it; its name is reserved, so its driver is known.
fn default_bridge(container: &Container) -> Option<RuntimeNetwork> {
    let endpoint = container.endpoint("bridge").filter(|endpoint| !endpoint.network_id().is_empty())?;
    Some(RuntimeNetwork {
        id: endpoint.network_id().to_owned(),
        name: "bridge".to_owned(),
        driver: "bridge".to_owned(),
        subnets: endpoint.range().into_iter().collect(),
        gateways: endpoint.gateway().into_iter().collect(),
        bridge: Some("docker0".to_owned()),
        parent: None,
    })
}

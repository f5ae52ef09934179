//! The output of `docker inspect`: containers and networks, in one array or in several, mixed or not.
//!
//! Contract: containers become undated workloads, networks become networks and come first. Limits: where a network was
//! not inspected, only Docker's own `bridge` is filled in from its containers; of others the driver is not known.
//! Design: an object with `State` is a container, one with `IPAM` a network; anything else is refused at its place.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use serde::Deserialize;
use serde::de::{DeserializeSeed, Deserializer, Error as _, IgnoredAny, SeqAccess, Visitor};

use super::{UNDATED_AT, Wrong};
use crate::input::{Fact, Input, InventoryEvent, RecordedFact, RuntimeNetwork, Workload};
use crate::inventory::docker::{Container, Network, from_inspect, from_network};

const EXPECTED: &str = "the output of docker inspect";

/// What an object is, told by the parts that it has. A person wrote or picked the file, so parts of a wrong kind are told at
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
#[derive(Default)]
struct Found {
    networks: BTreeMap<String, RuntimeNetwork>,
    default: Option<RuntimeNetwork>,
    workloads: Vec<Workload>,
}

/// Reads one array whose objects are of these kinds. Reading twice keeps line and column of every error.
struct Array<'a> {
    kinds: &'a [Kind],
    found: &'a mut Found,
}

impl<'de> DeserializeSeed<'de> for Array<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_seq(self)
    }
}

impl<'de> Visitor<'de> for Array<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an array of inspected containers and networks")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut array: A) -> Result<(), A::Error> {
        for (number, kind) in self.kinds.iter().enumerate() {
            if kind.state.is_some() {
                let Some(container) = array.next_element()? else { break };
                self.found.container(&container);
            } else if kind.ipam.is_some() {
                let Some(network) = array.next_element::<Network>()? else { break };
                let network = from_network(&network);
                self.found.networks.insert(network.id.clone(), network);
            } else {
                array.next_element::<IgnoredAny>()?;
                // The place of the error is after the object; its number says which it is.
                let reason = format!("object {} has neither State (a container) nor IPAM (a network)", number + 1);
                return Err(A::Error::custom(reason));
            }
        }
        while array.next_element::<IgnoredAny>()?.is_some() {}
        Ok(())
    }
}

impl Found {
    fn container(&mut self, container: &Container) {
        if self.default.is_none() {
            self.default = default_bridge(container);
        }
        self.workloads.push(undated(container));
    }

    /// Networks first, because workloads name them.
    fn into_inputs(mut self) -> Vec<Input> {
        if let Some(network) = self.default {
            self.networks.entry(network.id.clone()).or_insert(network);
        }
        let networks = self.networks.into_values().map(|network| InventoryEvent::Network(Arc::new(network)));
        let workloads = self.workloads.into_iter().map(|workload| InventoryEvent::Workload(Arc::new(workload)));
        let input = |event| Input::new(UNDATED_AT, Fact::Recorded(RecordedFact::Inventory(event)));
        networks.chain(workloads).map(input).collect()
    }
}

pub(super) fn parse(bytes: &[u8]) -> Result<Vec<Input>, Wrong> {
    let wrong = |error: serde_json::Error| Wrong::json(1, EXPECTED, &error);
    let arrays = serde_json::Deserializer::from_slice(bytes).into_iter::<Vec<Kind>>();
    let arrays: Vec<Vec<Kind>> = arrays.collect::<Result<_, _>>().map_err(wrong)?;
    let mut found = Found::default();
    let mut deserializer = serde_json::Deserializer::from_slice(bytes);
    for kinds in &arrays {
        Array { kinds, found: &mut found }.deserialize(&mut deserializer).map_err(wrong)?;
    }
    Ok(found.into_inputs())
}

fn undated(container: &Container) -> Workload {
    Workload { since: None, ..from_inspect(container) }
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
    })
}

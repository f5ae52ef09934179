//! The output of `docker inspect`: containers and networks, in one array or in several, mixed or not.
//!
//! Contract: containers become undated workloads, networks become networks and come first. Limits: where a network was
//! not inspected, only Docker's own `bridge` is filled in from its containers; of others the driver is not known.
//! Design: an object with `State` is a container, one with `IPAM` a network; anything else is refused at its place.

use std::collections::BTreeMap;
use std::sync::Arc;

use bollard::models::{ContainerInspectResponse, EndpointSettings, NetworkInspect};
use ipnetwork::IpNetwork;
use serde::Deserialize;
use serde_json::value::RawValue;

use super::{UNDATED_AT, Wrong};
use crate::input::{Fact, Input, InventoryEvent, RecordedFact, RuntimeNetwork, Workload};
use crate::inventory::docker::{from_inspect, from_network_inspect};

const EXPECTED: &str = "the output of docker inspect";

#[derive(Deserialize)]
struct Kind<'a> {
    #[serde(rename = "State", borrow)]
    state: Option<&'a RawValue>,
    #[serde(rename = "IPAM", borrow)]
    ipam: Option<&'a RawValue>,
}

pub(super) fn parse(bytes: &[u8]) -> Result<Vec<Input>, Wrong> {
    let mut networks: BTreeMap<String, RuntimeNetwork> = BTreeMap::new();
    let mut default = None;
    let mut workloads = Vec::new();
    for array in serde_json::Deserializer::from_slice(bytes).into_iter::<Vec<&RawValue>>() {
        for object in array.map_err(|error| Wrong::json(1, EXPECTED, &error))? {
            let text = object.get();
            let first_line = line_of(bytes, text);
            let wrong = |expected| move |error: serde_json::Error| Wrong::json(first_line, expected, &error);
            let kind: Kind<'_> = serde_json::from_str(text).map_err(wrong(EXPECTED))?;
            if kind.state.is_some() {
                let container = serde_json::from_str(text).map_err(wrong("an inspected container"))?;
                default = default.or_else(|| default_bridge(&container));
                workloads.push(undated(&container));
            } else if kind.ipam.is_some() {
                let network: NetworkInspect = serde_json::from_str(text).map_err(wrong("an inspected network"))?;
                let network = from_network_inspect(&network);
                networks.insert(network.id.clone(), network);
            } else {
                let reason = "neither State (a container) nor IPAM (a network) in it".to_owned();
                return Err(Wrong { line: first_line, column: 1, expected: EXPECTED, reason });
            }
        }
    }
    if let Some(network) = default {
        networks.entry(network.id.clone()).or_insert(network);
    }
    let networks = networks.into_values().map(|network| InventoryEvent::Network(Arc::new(network)));
    let workloads = workloads.into_iter().map(|workload| InventoryEvent::Workload(Arc::new(workload)));
    let input = |event| Input::new(UNDATED_AT, Fact::Recorded(RecordedFact::Inventory(event)));
    Ok(networks.chain(workloads).map(input).collect())
}

fn undated(container: &ContainerInspectResponse) -> Workload {
    Workload { since: None, ..from_inspect(container) }
}

/// Docker's own network as a container on it describes it; its name is reserved, so its driver is known.
fn default_bridge(container: &ContainerInspectResponse) -> Option<RuntimeNetwork> {
    let endpoint = container.network_settings.as_ref()?.networks.as_ref()?.get("bridge")?;
    let id = endpoint.network_id.clone().filter(|id| !id.is_empty())?;
    Some(RuntimeNetwork {
        id,
        name: "bridge".to_owned(),
        driver: "bridge".to_owned(),
        subnets: range_of(endpoint).into_iter().collect(),
        gateways: endpoint.gateway.iter().filter_map(|gateway| gateway.parse().ok()).collect(),
        bridge: Some("docker0".to_owned()),
    })
}

fn range_of(endpoint: &EndpointSettings) -> Option<IpNetwork> {
    let ip = endpoint.ip_address.as_ref()?.parse().ok()?;
    let prefix = u8::try_from(endpoint.ip_prefix_len?).ok().filter(|prefix| *prefix > 0)?;
    let range = IpNetwork::new(ip, prefix).ok()?;
    IpNetwork::new(range.network(), prefix).ok()
}

/// The line on which a part of the file begins.
fn line_of(bytes: &[u8], part: &str) -> usize {
    let offset = (part.as_ptr().addr()).saturating_sub(bytes.as_ptr().addr());
    let before = bytes.get(..offset).unwrap_or_default();
    1 + before.iter().filter(|byte| **byte == b'\n').count()
}

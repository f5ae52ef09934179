//! `hopwatch inventory --format json`: what the runtimes know at one moment.
//!
//! Contract: written and read back without loss; replayed, it is a complete and dated word of its runtimes at that moment.
//! Design: one object, so that people can read it and other tools can pick from it.

use std::collections::BTreeMap;
use std::sync::Arc;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::unknown::Reader;
use super::{FactsFile, Wrong};
use crate::input::{Input, InventoryEvent, RuntimeId, RuntimeNetwork, Workload, WorkloadId};
use crate::time::Timestamp;

/// The schema that the object names.
pub const INVENTORY_SCHEMA: &str = "hopwatch.inventory/1";

/// The workloads and networks of one moment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct InventoryFile {
    /// [`INVENTORY_SCHEMA`].
    pub schema: String,
    /// When it was read.
    pub at: Timestamp,
    /// Networks.
    pub networks: Vec<Arc<RuntimeNetwork>>,
    /// Running workloads.
    pub workloads: Vec<Arc<Workload>>,
}

impl InventoryFile {
    /// From what a reader's snapshot reported; events other than workloads and networks are left out.
    pub fn from_events(at: Timestamp, events: &[InventoryEvent]) -> Self {
        let (mut networks, mut workloads) = (Vec::new(), Vec::new());
        for event in events {
            match event {
                InventoryEvent::Network(network) => networks.push(network.clone()),
                InventoryEvent::Workload(workload) => workloads.push(workload.clone()),
                _ => {}
            }
        }
        Self { schema: INVENTORY_SCHEMA.to_owned(), at, networks, workloads }
    }

    /// As the events that a runtime would have reported: connected, networks, workloads, and the end of the list.
    pub fn to_events(&self) -> Vec<InventoryEvent> {
        let mut running: BTreeMap<RuntimeId, Vec<WorkloadId>> = BTreeMap::new();
        for workload in &self.workloads {
            running.entry(workload.runtime).or_default().push(workload.id.clone());
        }
        let connected: Vec<_> = running.keys().map(|runtime| InventoryEvent::Connected { runtime: *runtime }).collect();
        let networks = self.networks.iter().cloned().map(InventoryEvent::Network);
        let workloads = self.workloads.iter().cloned().map(InventoryEvent::Workload);
        let listed = running.into_iter().map(|(runtime, running)| InventoryEvent::Reconciled { runtime, running });
        connected.into_iter().chain(networks).chain(workloads).chain(listed).collect()
    }

    /// As inputs for the engine.
    pub fn to_inputs(&self) -> Vec<Input> {
        let input = |event| Input::new(self.at, event);
        self.to_events().into_iter().map(input).collect()
    }
}

pub(super) fn parse(bytes: &[u8]) -> Result<FactsFile, Wrong> {
    let expected = "the output of hopwatch inventory --format json";
    let mut reader = Reader::new(|| schemars::schema_for!(InventoryFile));
    let read: InventoryFile = reader.read(1, bytes).map_err(|error| Wrong::json(1, expected, &error))?;
    Ok(FactsFile { inputs: read.to_inputs(), cut: None, unknown: reader.unknown() })
}

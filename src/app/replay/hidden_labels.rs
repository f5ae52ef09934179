//! Labels whose values a facts file hides, although this configuration selects by them.
//!
//! Contract: a warning a label, which says for how many workloads no selector can match. Limits: who wrote the file decides what it hides.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use crate::input::{Fact, Input, InventoryEvent, RecordedFact, WorkloadId};
use crate::inventory::configuration::{ShownLabels, is_hidden};
use crate::wording::many;

/// Labels that this configuration selects by, and that are hidden in a file: the one who wrote it did not select by them.
pub(super) fn hidden_labels(path: &Path, inputs: &[Input], shown: &ShownLabels) -> Vec<String> {
    let workloads = inputs.iter().filter_map(|input| match &input.fact {
        Fact::Recorded(RecordedFact::Inventory(InventoryEvent::Workload(workload))) => Some(workload),
        _ => None,
    });
    let mut hidden: BTreeMap<&str, BTreeSet<&WorkloadId>> = BTreeMap::new();
    for workload in workloads {
        for (name, _) in workload.labels.iter().filter(|(name, value)| shown.contains(name) && is_hidden(value)) {
            hidden.entry(name).or_default().insert(&workload.id);
        }
    }
    let warning = |(name, of): (&str, BTreeSet<&WorkloadId>)| {
        format!(
            "{}: the label {name:?}, by which this configuration selects, is hidden in it for {}: no selector matches its value; \
             record with a configuration that selects by it",
            path.display(),
            many(of.len(), "workload")
        )
    };
    hidden.into_iter().map(warning).collect()
}

//! Which containers of a service an alert about its roll-out counts.
//!
//! Contract: their number, and the names of the first. Limits: [`MAX_COUNTED`] are distinguished, [`MAX_NAMED`] are named. Names are chosen by
//! the one who starts a container.

use std::collections::BTreeSet;

use crate::input::{Workload, WorkloadId};
use crate::path::Evidence;

/// Containers that are distinguished.
const MAX_COUNTED: usize = 1000;
/// Containers that a line names.
const MAX_NAMED: usize = 8;

#[derive(Debug, Default)]
pub(super) struct Replicas {
    ids: BTreeSet<WorkloadId>,
    named: Vec<String>,
}

impl Replicas {
    pub(super) fn count(&mut self, workload: &Workload) {
        if self.ids.len() >= MAX_COUNTED || !self.ids.insert(workload.id.clone()) {
            return;
        }
        if self.named.len() < MAX_NAMED {
            self.named.push(workload.name.clone());
        }
    }

    /// What the alert says; nothing where it is about one container.
    pub(super) fn evidence(&self) -> Option<Evidence> {
        let all = self.ids.len();
        if all < 2 {
            return None;
        }
        let least = if all < MAX_COUNTED { "" } else { "at least " };
        let more = all - self.named.len();
        let more = if more > 0 { format!(", and {more} more") } else { String::new() };
        let text = format!("found alike in {least}{all} containers of the service: {}{more}", self.named.join(", "));
        Some(Evidence::new("replicas", text))
    }
}

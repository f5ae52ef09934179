//! What an alert says about the further causes that it summarises.
//!
//! Contract: the number of causes and of findings, and the latest causes in words. Limits: [`MAX_CAUSES`] are distinguished, [`MAX_NAMED`] are named
//! in a line, each with at most [`MAX_TEXT`] characters.

use std::collections::{BTreeSet, VecDeque};
use std::hash::BuildHasher;

use foldhash::fast::FixedState;

use super::key::Key;
use crate::detect::Finding;
use crate::path::Evidence;

/// Causes that are distinguished.
const MAX_CAUSES: usize = 1000;
/// Causes that one line names.
const MAX_NAMED: usize = 8;
/// Characters of each.
const MAX_TEXT: usize = 300;

#[derive(Clone, Debug, Default)]
pub(super) struct Further {
    /// Hashes of contract and cause.
    causes: BTreeSet<u64>,
    findings: u64,
    named: VecDeque<String>,
}

impl Further {
    /// Counts a finding whose own alert would have had this key.
    pub(super) fn count(&mut self, key: &Key, finding: &Finding) {
        self.findings += u64::from(!finding.is_revision);
        let hash = FixedState::default().hash_one((&key.contract, &key.cause));
        if self.causes.len() >= MAX_CAUSES || !self.causes.insert(hash) {
            return;
        }
        if self.named.len() >= MAX_NAMED {
            self.named.pop_front();
        }
        let text = finding.evidence.first().map_or(&key.cause, |evidence| &evidence.text);
        self.named.push_back(text.chars().take(MAX_TEXT).collect());
    }

    /// What the alert says.
    pub(super) fn evidence(&self) -> impl Iterator<Item = Evidence> + '_ {
        let least = if self.causes.len() < MAX_CAUSES { "" } else { "at least " };
        let text = format!(
            "this rule raised many alerts about this sender; {least}{} further causes, found {} times, are counted in this one",
            self.causes.len(),
            self.findings
        );
        let named = self.named.iter().map(|text| Evidence::new("grouping", format!("also: {text}")));
        [Evidence::new("grouping", text)].into_iter().chain(named)
    }
}

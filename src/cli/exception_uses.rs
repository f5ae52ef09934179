//! How often exceptions held something back, wherever that is known from.

use std::collections::BTreeMap;

use crate::time::Timestamp;

/// Of each exception that was looked at.
#[derive(Debug, Default)]
pub(super) struct ExceptionUses {
    /// Findings, by exception.
    pub(super) hits: BTreeMap<String, u64>,
    /// The last of them.
    pub(super) last: BTreeMap<String, Timestamp>,
    /// Since when they are counted, where that is not a whole recording.
    pub(super) since: Option<Timestamp>,
}

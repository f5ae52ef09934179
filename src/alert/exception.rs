//! What is allowed although a rule fires: by whom, why, and until when.
//!
//! Contract: every given part must hold; an expired exception no longer counts and says so.

use crate::path::{DestinationSet, PortSpec, Selector};
use crate::time::Timestamp;

/// An exception to a rule.
#[derive(Clone, Debug)]
pub struct Exception {
    /// Its name: how reports and counters call it.
    pub name: String,
    /// Which rule.
    pub rule: String,
    /// Whose doing; `None`: any workload, known or not.
    pub workload: Option<Selector>,
    /// To where; empty: anywhere.
    pub destinations: Vec<DestinationSet>,
    /// To which ports; empty: any.
    pub ports: Vec<PortSpec>,
    /// Who answers for it.
    pub owner: String,
    /// Why it is allowed.
    pub reason: String,
    /// From when on it no longer counts.
    pub expires: Timestamp,
}

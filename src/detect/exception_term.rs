//! What rules know of the exceptions in force.
//!
//! Contract: names are those of the configuration; exceptions that share a name are all passed on. Limits: as many as the configuration has.

use crate::time::Timestamp;

/// An exception, as far as its own time is concerned.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExceptionTerm {
    /// Its name.
    pub name: String,
    /// The rule whose findings it holds back.
    pub rule: String,
    /// Who answers for it.
    pub owner: String,
    /// Why it was allowed.
    pub reason: String,
    /// From when on it no longer counts.
    pub expires: Timestamp,
}

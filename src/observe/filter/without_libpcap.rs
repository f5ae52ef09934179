//! A build without libpcap has nothing that compiles filters.
//!
//! Contract: says so. Design: takes the place of `compile` where the feature `live` is off.

use super::Program;
use crate::decode::LinkType;

/// Whether there is libpcap.
pub(super) const IS_THERE: bool = false;

/// Refuses every expression.
pub(super) fn compile(_: &str, _: LinkType) -> Result<Program, String> {
    Err("it is not in this build".to_owned())
}

//! Which engine answers, and what of its answers is hidden.

use crate::input::RuntimeId;
use crate::inventory::configuration::Redaction;

/// Which of the engines that serve the Docker API it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Dialect {
    Docker,
    Podman,
}

/// Who speaks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct RuntimeIdentity {
    pub(super) runtime: RuntimeId,
    pub(super) dialect: Dialect,
    /// Runs as a user other than root, in a user namespace.
    pub(super) rootless: bool,
    /// Hides values that may be secrets.
    pub(super) redaction: Redaction,
}

//! What the kernel shows of workloads: namespaces, interfaces inside, sockets, sniffers, processes.

use crate::input::{KernelFact, WorkloadId};

/// Looks once at the workloads with these first processes.
pub fn observe_once(_workloads: &[(WorkloadId, u32)]) -> Vec<KernelFact> {
    Vec::new()
}

//! What is there now, for the steps of a response: the container, the sets of nftables, the snapshots.
//!
//! Contract: only what the steps need is asked for.

use std::path::Path;

use super::nft_program::blocked;
use super::runtime_client::RuntimeClient;
use super::situation::inspect;
use crate::respond::{SNAPSHOT_END, Seen, Step};

/// What is there.
pub(super) fn look(client: &RuntimeClient, id: &str, steps: &[Step], snapshots: &Path) -> Result<Seen, String> {
    let container = inspect(client, id).map_err(|error| error.to_string())?;
    let mut seen = Seen { container, ..Seen::default() };
    if steps.iter().any(|step| matches!(step, Step::Block { .. })) {
        seen.blocked = blocked()?;
    }
    for step in steps {
        if let Step::Snapshot { name } = step
            && snapshots.join(name).join(SNAPSHOT_END).is_file()
        {
            seen.snapshots.push(name.clone());
        }
    }
    Ok(seen)
}

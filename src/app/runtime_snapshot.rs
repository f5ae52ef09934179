//! One query of all container runtimes.
//!
//! Contract: what every runtime knows now, in order of runtime; one that does not answer is logged, and is an error only
//! when no other answers. Limits: containers that come and go meanwhile may be missed.

use anyhow::{Context as _, bail};

use super::readers::reader_of;
use crate::config::RuntimesConfig;
use crate::input::InventoryEvent;
use crate::inventory::discover::{Discovery, Places};

/// The networks and running workloads of all runtimes.
pub fn query(config: &RuntimesConfig) -> anyhow::Result<Vec<InventoryEvent>> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.context("starting the runtime for sockets")?.block_on(ask(config))
}

async fn ask(config: &RuntimesConfig) -> anyhow::Result<Vec<InventoryEvent>> {
    let mut all = Vec::new();
    let mut failed = Vec::new();
    let mut answered = false;
    for runtime in Discovery::new(config.sought.clone(), Places::here()).look() {
        match reader_of(&runtime, config).snapshot().await {
            Ok(events) => {
                answered = true;
                all.push(InventoryEvent::Connected { runtime: runtime.name });
                all.extend(events);
            }
            Err(error) => failed.push((runtime, error)),
        }
    }
    if !answered {
        match failed.into_iter().next() {
            Some((runtime, error)) => return Err(error).with_context(|| format!("cannot read {}", runtime.name)),
            None => bail!("no container runtime was found; start one, or name its socket under `runtime`"),
        }
    }
    // A socket that was found by itself need not speak every API that it could.
    for (runtime, error) in failed.into_iter().filter(|(runtime, _)| runtime.configured) {
        tracing::warn!(runtime = %runtime.name, "{error:#}");
    }
    Ok(all)
}

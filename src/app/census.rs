//! One look at all container runtimes.
//!
//! Contract: what every runtime knows now, in order of runtime; one that does not answer is told on the log, and is an error only
//! when no other answers. Limits: containers that come and go meanwhile may be missed.

use anyhow::bail;

use crate::config::RuntimesConfig;
use crate::input::InventoryEvent;
use crate::inventory::discover::{Discovery, Kind, Places, Runtime};
use crate::inventory::docker::{DockerOptions, DockerReader};

/// The networks and running workloads of all runtimes.
pub async fn take(config: &RuntimesConfig) -> anyhow::Result<Vec<InventoryEvent>> {
    let mut all = Vec::new();
    let mut failed = Vec::new();
    let mut answered = false;
    for runtime in Discovery::new(config.sought.clone(), Places::here()).look() {
        match snapshot(&runtime, config).await {
            None => {}
            Some(Ok(events)) => {
                answered = true;
                all.extend(events);
            }
            Some(Err(error)) => failed.push(error),
        }
    }
    if !answered {
        match failed.into_iter().next() {
            Some(error) => return Err(error),
            None => bail!("no container runtime was found; start one, or name its socket under `runtime`"),
        }
    }
    for error in failed {
        tracing::warn!("{error:#}");
    }
    Ok(all)
}

/// `None` for a kind that has no reader.
async fn snapshot(runtime: &Runtime, config: &RuntimesConfig) -> Option<anyhow::Result<Vec<InventoryEvent>>> {
    match runtime.kind {
        Kind::Docker | Kind::Podman => {
            let reader = DockerReader::new(DockerOptions {
                runtime: runtime.name.clone(),
                host: runtime.host.clone(),
                user: runtime.user,
                reconcile_interval: config.reconcile_interval(runtime.kind),
            });
            Some(reader.snapshot().await.map_err(anyhow::Error::from))
        }
        // The readers of containerd and CRI are asked here.
        Kind::Containerd | Kind::Cri => None,
    }
}

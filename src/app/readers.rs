//! The reader of a runtime, whichever API it speaks.
//!
//! Contract: the one place that knows which reader belongs to which kind. Limits: what each reader says of itself. Design: an enum, as the kinds
//! are few and closed.

use tokio::sync::watch;

use crate::config::RuntimesConfig;
use crate::input::{InventoryEvent, RuntimeKind};
use crate::inventory::containerd::{ContainerdOptions, ContainerdReader};
use crate::inventory::cri::{CriOptions, CriReader};
use crate::inventory::discover::Runtime;
use crate::inventory::docker::{DockerOptions, DockerReader};

/// Containers of containerd's CRI plugin; left out where a CRI reader reports them.
const KUBERNETES: &str = "k8s.io";

/// A reader of one runtime; nothing is opened yet.
#[derive(Debug)]
pub(super) enum Reader {
    Docker(DockerReader),
    Containerd(ContainerdReader),
    Cri(CriReader),
}

impl Reader {
    /// The reader that this runtime needs.
    pub(super) fn new(runtime: &Runtime, config: &RuntimesConfig) -> Self {
        let reconcile_interval = config.reconcile_interval(runtime.kind());
        let (name, address) = (runtime.name, runtime.host.clone());
        match runtime.kind() {
            RuntimeKind::Docker | RuntimeKind::Podman => Self::Docker(DockerReader::new(DockerOptions {
                runtime: name,
                host: address,
                user: runtime.user,
                reconcile_interval,
            })),
            RuntimeKind::Containerd => Self::Containerd(ContainerdReader::new(ContainerdOptions {
                address,
                runtime: name,
                reconcile_interval,
                kubernetes: !runtime.others.contains(&KUBERNETES),
                ..ContainerdOptions::default()
            })),
            RuntimeKind::Cri => Self::Cri(CriReader::new(CriOptions {
                endpoint: address,
                runtime: name,
                reconcile_interval,
                ..CriOptions::default()
            })),
        }
    }

    /// What it did and missed, whenever asked.
    pub(super) fn counters(&self) -> Box<dyn Fn() -> Vec<(&'static str, u64)> + Send + Sync> {
        match self {
            Self::Docker(reader) => {
                let counters = reader.counters();
                Box::new(move || counters.all())
            }
            Self::Containerd(reader) => {
                let counters = reader.counters();
                Box::new(move || counters.all())
            }
            Self::Cri(reader) => {
                let counters = reader.counters();
                Box::new(move || counters.all())
            }
        }
    }

    /// What the runtime knows now.
    pub(super) async fn snapshot(&self) -> anyhow::Result<Vec<InventoryEvent>> {
        Ok(match self {
            Self::Docker(reader) => reader.snapshot().await?,
            Self::Containerd(reader) => reader.snapshot().await?,
            Self::Cri(reader) => reader.snapshot().await?,
        })
    }

    /// Tells everything until `stop` turns true.
    pub(super) async fn run(self, emit: impl FnMut(InventoryEvent) + Send, stop: watch::Receiver<bool>) {
        match self {
            Self::Docker(reader) => reader.run(emit, stop).await,
            Self::Containerd(reader) => reader.run(emit, stop).await,
            Self::Cri(reader) => reader.run(emit, stop).await,
        }
    }
}

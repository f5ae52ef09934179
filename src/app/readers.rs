//! The reader of a runtime, whichever API it speaks.
//!
//! Contract: the one place that knows which reader belongs to which kind. Limits: see each reader.

use std::sync::Arc;

use super::hash_key;
use crate::config::RuntimesConfig;
use crate::input::RuntimeKind;
use crate::inventory::configuration::Redaction;
use crate::inventory::containerd::{ContainerdOptions, ContainerdReader};
use crate::inventory::cri::{CriOptions, CriReader};
use crate::inventory::discover::Runtime;
use crate::inventory::docker::reader::{DockerOptions, DockerReader};
use crate::inventory::reader::RuntimeReader;

/// Containers of containerd's CRI plugin; left out where a CRI reader reports them.
const KUBERNETES: &str = "k8s.io";

/// The reader that this runtime needs; nothing is opened yet.
pub(super) fn reader_of(runtime: &Runtime, config: &RuntimesConfig) -> Box<dyn RuntimeReader> {
    let reconcile_interval = config.reconcile_interval(runtime.kind());
    let redaction = Redaction { key: hash_key::of_this_process(), shown: config.shown_labels.clone() };
    let (name, address) = (runtime.name, runtime.host.clone());
    match runtime.kind() {
        RuntimeKind::Docker | RuntimeKind::Podman => Box::new(DockerReader::new(DockerOptions {
            runtime: name,
            host: address,
            user: runtime.user,
            reconcile_interval,
            redaction: redaction.clone(),
            vocabulary: Arc::clone(&config.vocabulary),
        })),
        RuntimeKind::Containerd => Box::new(ContainerdReader::new(ContainerdOptions {
            address,
            runtime: name,
            reconcile_interval,
            kubernetes: !runtime.others.contains(&KUBERNETES),
            redaction: redaction.clone(),
            vocabulary: Arc::clone(&config.vocabulary),
            ..ContainerdOptions::default()
        })),
        RuntimeKind::Cri => Box::new(CriReader::new(CriOptions {
            endpoint: address,
            runtime: name,
            reconcile_interval,
            redaction: redaction.clone(),
            vocabulary: Arc::clone(&config.vocabulary),
            ..CriOptions::default()
        })),
    }
}

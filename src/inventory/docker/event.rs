//! The events of a runtime, as far as they matter.
//!
//! Contract: Docker's words and Podman's give the same events; what cannot be read is distinguished from what does not matter.
//! Limits: an event names its container's image, name and labels, but no address.

use std::collections::BTreeMap;

use super::api::Event;
use super::bounds::{self, is_id};
use super::container_states::ContainerAction;
use super::convert::{Dialect, RuntimeIdentity};
use crate::input::{NetworkMode, Workload, WorkloadId};
use crate::inventory::configuration::hide_labels;
use crate::time::Timestamp;

/// Attributes of an event that are none of the container's labels.
const NO_LABELS: [&str; 9] =
    ["image", "name", "exitCode", "signal", "execDuration", "execID", "oldName", "containerExitCode", "podId"];

/// An event that matters.
#[derive(Debug, PartialEq)]
pub(super) enum RuntimeEvent {
    Container {
        id: WorkloadId,
        action: ContainerAction,
        at: Timestamp,
    },
    NetworkMade(String),
    NetworkGone(String),
    /// Well formed, and of no use.
    Other,
}

impl RuntimeEvent {
    /// `None` when it cannot be read.
    pub(super) fn read(event: &Event, dialect: Dialect) -> Option<Self> {
        let (subject, action) = (&event.actor.id, event.action.as_str());
        if event.time_nano <= 0 || action.is_empty() {
            return None;
        }
        let at = Timestamp::from_nanos(event.time_nano);
        let read = match event.kind.as_str() {
            "network" => network(event, dialect, at)?,
            "container" => container_action(action).map_or(Self::Other, |action| Self::Container {
                id: WorkloadId::new(subject),
                action,
                at,
            }),
            _ => Self::Other,
        };
        (read == Self::Other || is_id(subject)).then_some(read)
    }
}

fn network(event: &Event, dialect: Dialect, at: Timestamp) -> Option<RuntimeEvent> {
    let subject = &event.actor.id;
    let joined = |action| {
        let id = event.actor.attributes.get("container").filter(|id| is_id(id))?;
        Some(RuntimeEvent::Container { id: WorkloadId::new(id), action, at })
    };
    match (event.action.as_str(), dialect) {
        // Podman names the container where Docker names the network.
        ("connect" | "disconnect", Dialect::Podman) => {
            Some(RuntimeEvent::Container { id: WorkloadId::new(subject), action: ContainerAction::Rewired, at })
        }
        ("connect", Dialect::Docker) => joined(ContainerAction::Connected { network: subject.clone() }),
        ("disconnect", Dialect::Docker) => joined(ContainerAction::Disconnected { network: subject.clone() }),
        ("create", _) => Some(RuntimeEvent::NetworkMade(subject.clone())),
        ("destroy" | "remove", _) => Some(RuntimeEvent::NetworkGone(subject.clone())),
        _ => Some(RuntimeEvent::Other),
    }
}

fn container_action(action: &str) -> Option<ContainerAction> {
    match action {
        // Podman's `init`: its network stands, its process does not run yet.
        "create" | "init" => Some(ContainerAction::Created),
        "start" => Some(ContainerAction::Started),
        "die" | "died" => Some(ContainerAction::Died),
        "destroy" | "remove" => Some(ContainerAction::Destroyed),
        "pause" | "unpause" | "rename" | "update" => Some(ContainerAction::Changed),
        _ => None,
    }
}

/// What an event says of its container, for one that is gone before it can be looked at.
pub(super) fn introduced(event: &Event, identity: &RuntimeIdentity) -> (Workload, u64) {
    let attribute = |name: &str| event.actor.attributes.get(name).cloned().unwrap_or_default();
    let labels: BTreeMap<String, String> = match identity.dialect {
        Dialect::Docker => event.actor.attributes.clone(),
        Dialect::Podman => BTreeMap::new(),
    };
    let mut workload = Workload {
        image: attribute("image"),
        labels: labels.into_iter().filter(|(key, _)| !NO_LABELS.contains(&key.as_str())).collect(),
        network_mode: if identity.rootless { NetworkMode::Rootless("unknown".to_owned()) } else { NetworkMode::Own },
        ..Workload::new(WorkloadId::new(&event.actor.id), &attribute("name"), identity.runtime)
    };
    hide_labels(&mut workload, &identity.redaction);
    let cut = bounds::workload(&mut workload);
    (workload, cut)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str, dialect: Dialect) -> Option<RuntimeEvent> {
        RuntimeEvent::read(&serde_json::from_str(text).expect("an event"), dialect)
    }

    fn action_of(event: Option<RuntimeEvent>) -> Option<ContainerAction> {
        match event {
            Some(RuntimeEvent::Container { action, .. }) => Some(action),
            _ => None,
        }
    }

    #[test]
    fn both_runtimes_words_for_an_end_and_a_removal_are_understood() {
        let event = |action: &str| {
            format!(r#"{{"Type":"container","Action":"{action}","Actor":{{"ID":"ab"}},"time":1,"timeNano":1000}}"#)
        };
        for (word, action) in [
            ("die", ContainerAction::Died),
            ("died", ContainerAction::Died),
            ("destroy", ContainerAction::Destroyed),
            ("remove", ContainerAction::Destroyed),
            ("init", ContainerAction::Created),
        ] {
            assert_eq!(action_of(read(&event(word), Dialect::Podman)), Some(action), "{word}");
        }
        assert_eq!(read(&event("exec_create: sh"), Dialect::Docker), Some(RuntimeEvent::Other));
    }

    #[test]
    fn podman_names_the_container_where_docker_names_the_network() {
        let text =
            r#"{"Type":"network","Action":"connect","Actor":{"ID":"ab","Attributes":{"container":"cd"}},"timeNano":5}"#;
        let Some(RuntimeEvent::Container { id, action, .. }) = read(text, Dialect::Podman) else { panic!() };
        assert_eq!((id.as_str(), action), ("ab", ContainerAction::Rewired));
        let Some(RuntimeEvent::Container { id, action, .. }) = read(text, Dialect::Docker) else { panic!() };
        assert_eq!((id.as_str(), action), ("cd", ContainerAction::Connected { network: "ab".into() }));
    }

    #[test]
    fn an_id_that_would_change_the_question_is_not_read() {
        for id in ["", "../../images", "a b", "a?x=1", "é", &"a".repeat(200)] {
            let text = format!(r#"{{"Type":"container","Action":"start","Actor":{{"ID":"{id}"}},"timeNano":5}}"#);
            assert_eq!(read(&text, Dialect::Docker), None, "{id:?}");
        }
        for text in [r#"{"Type":"container","Action":"start","Actor":{"ID":"ab"}}"#, "{}"] {
            assert_eq!(read(text, Dialect::Docker), None, "{text}");
        }
    }
}

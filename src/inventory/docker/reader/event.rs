//! The events of a runtime, as far as they matter.
//!
//! Contract: Docker's words and Podman's give the same events; what cannot be read is distinguished from what does not matter.
//! Design: one reading gives what an event changes and what it reports, so that both speak of the same container and moment.
//! Limits: an event names its container's image, name and labels, but no address.

use std::collections::BTreeMap;

use super::acts::{ExecEvent, Happened, MAX_TEXT};
use super::bounds::{self, is_id};
use super::container_states::ContainerAction;
use crate::input::{ContainerAct, NetworkMode, Workload, WorkloadId};
use crate::inventory::configuration::hide_labels;
use crate::inventory::docker::api::Event;
use crate::inventory::docker::identity::{Dialect, RuntimeIdentity};
use crate::time::Timestamp;

/// Attributes of an event that are none of the container's labels.
const NO_LABELS: [&str; 9] =
    ["image", "name", "exitCode", "signal", "execDuration", "execID", "oldName", "containerExitCode", "podId"];

/// An event that matters.
#[derive(Debug, PartialEq)]
pub(super) enum RuntimeEvent {
    Container {
        id: WorkloadId,
        at: Timestamp,
        /// What it changes.
        change: Option<ContainerAction>,
        /// What it reports.
        report: Option<Happened>,
    },
    NetworkMade(String),
    NetworkGone(String),
    /// Well formed, and of no use.
    Other,
}

impl RuntimeEvent {
    /// `None` when it cannot be read.
    pub(super) fn read(event: &Event, dialect: Dialect) -> Option<Self> {
        if event.time_nano <= 0 || event.action.is_empty() {
            return None;
        }
        let subject = event.actor.id.as_str();
        let (id, (change, report)) = match (event.kind.as_str(), event.action.as_str()) {
            ("container", _) => (subject, container(event)),
            ("network", "connect" | "disconnect") => (joined(event, dialect)?, network(event, dialect)),
            ("network", "create") => return is_id(subject).then(|| Self::NetworkMade(subject.to_owned())),
            ("network", "destroy" | "remove") => return is_id(subject).then(|| Self::NetworkGone(subject.to_owned())),
            _ => return Some(Self::Other),
        };
        if change.is_none() && report.is_none() {
            return Some(Self::Other);
        }
        let at = Timestamp::from_nanos(event.time_nano);
        is_id(id).then(|| Self::Container { id: WorkloadId::new(id), at, change, report })
    }
}

/// What an event of a container changes, and what it reports.
fn container(event: &Event) -> (Option<ContainerAction>, Option<Happened>) {
    use ContainerAction as Change;
    let attribute = |name: &str| event.actor.attributes.get(name);
    let (word, text) = event.action.split_once(": ").unwrap_or((&event.action, ""));
    let (change, act) = match word {
        // Podman's: its network stands, its process does not run yet.
        "init" => return (Some(Change::Created), None),
        "exec_start" | "exec" => {
            let id = attribute("execID").filter(|id| is_id(id)).cloned();
            return (None, Some(Happened::Exec(ExecEvent::new(text, id))));
        }
        "create" => (Some(Change::Created), ContainerAct::Created),
        "start" => (Some(Change::Started), ContainerAct::Started),
        "kill" => (None, ContainerAct::Killed { signal: attribute("signal").and_then(|number| number.parse().ok()) }),
        "die" | "died" => {
            let code = attribute("exitCode").or_else(|| attribute("containerExitCode"));
            (Some(Change::Died), ContainerAct::Died { exit_code: code.and_then(|code| code.parse().ok()) })
        }
        "oom" => (None, ContainerAct::OutOfMemory),
        "pause" => (Some(Change::Changed), ContainerAct::Paused),
        "unpause" => (Some(Change::Changed), ContainerAct::Unpaused),
        "commit" => (None, ContainerAct::Committed),
        "rename" => (Some(Change::Changed), ContainerAct::Renamed),
        "update" => (Some(Change::Changed), ContainerAct::Updated),
        "destroy" | "remove" => (Some(Change::Destroyed), ContainerAct::Removed),
        _ => return (None, None),
    };
    (change, Some(Happened::Act(act)))
}

/// The container that joined or left a network. Podman names the container where Docker names the network.
fn joined(event: &Event, dialect: Dialect) -> Option<&str> {
    match dialect {
        Dialect::Docker => event.actor.attributes.get("container").map(String::as_str).filter(|id| is_id(id)),
        Dialect::Podman => Some(&event.actor.id),
    }
}

/// Networks have no labels that could overwrite what the event says.
fn network(event: &Event, dialect: Dialect) -> (Option<ContainerAction>, Option<Happened>) {
    let attribute = |name: &str| event.actor.attributes.get(name).map(String::as_str).filter(|text| !text.is_empty());
    let named = match dialect {
        Dialect::Docker => attribute("name").unwrap_or(&event.actor.id),
        Dialect::Podman => attribute("name").or_else(|| attribute("network")).unwrap_or("(not reported)"),
    };
    let name = named.get(..named.floor_char_boundary(MAX_TEXT)).unwrap_or_default().to_owned();
    let (is_joined, network) = (event.action == "connect", event.actor.id.clone());
    let change = match (dialect, is_joined) {
        (Dialect::Podman, _) => ContainerAction::Rewired,
        (Dialect::Docker, true) => ContainerAction::Connected { network },
        (Dialect::Docker, false) => ContainerAction::Disconnected { network },
    };
    let act = if is_joined {
        ContainerAct::Connected { network: name }
    } else {
        ContainerAct::Disconnected { network: name }
    };
    (Some(change), Some(Happened::Act(act)))
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
    use super::super::client::ACTIONS;
    use super::*;

    fn read(text: &str, dialect: Dialect) -> Option<RuntimeEvent> {
        RuntimeEvent::read(&serde_json::from_str(text).expect("an event"), dialect)
    }

    fn action_of(event: Option<RuntimeEvent>) -> Option<ContainerAction> {
        match event {
            Some(RuntimeEvent::Container { change, .. }) => change,
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
        let Some(RuntimeEvent::Container { id, change, .. }) = read(text, Dialect::Podman) else { panic!() };
        assert_eq!((id.as_str(), change), ("ab", Some(ContainerAction::Rewired)));
        let Some(RuntimeEvent::Container { id, change, .. }) = read(text, Dialect::Docker) else { panic!() };
        assert_eq!((id.as_str(), change), ("cd", Some(ContainerAction::Connected { network: "ab".into() })));
    }

    #[test]
    fn one_reading_gives_what_an_event_changes_and_what_it_reports() {
        let event = |kind: &str, action: &str| {
            format!(
                r#"{{"Type":"{kind}","Action":"{action}","Actor":{{"ID":"ab","Attributes":{{"container":"cd","name":"front"}}}},"timeNano":5}}"#
            )
        };
        let at = Timestamp::from_nanos(5);
        let network = Some(ContainerAction::Disconnected { network: "ab".into() });
        let left = Some(Happened::Act(ContainerAct::Disconnected { network: "front".into() }));
        for (kind, action, id, change, report) in [
            ("container", "pause", "ab", Some(ContainerAction::Changed), Some(Happened::Act(ContainerAct::Paused))),
            ("container", "oom", "ab", None, Some(Happened::Act(ContainerAct::OutOfMemory))),
            ("container", "init", "ab", Some(ContainerAction::Created), None),
            ("network", "disconnect", "cd", network, left),
        ] {
            let wanted = RuntimeEvent::Container { id: WorkloadId::new(id), at, change, report };
            assert_eq!(read(&event(kind, action), Dialect::Docker), Some(wanted), "{action}");
        }
        for asked_for in ACTIONS {
            let kind = if asked_for.ends_with("connect") { "network" } else { "container" };
            let read = read(&event(kind, asked_for), Dialect::Docker);
            assert!(matches!(read, Some(RuntimeEvent::Container { report: Some(_), .. })), "{asked_for}: {read:?}");
        }
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

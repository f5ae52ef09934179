//! containerd's events, as far as they matter.
//!
//! Contract: total; what is of no use or cannot be read is `None`. Limits: containerd replays nothing, so a late
//! subscriber asks for the whole list afterwards. Design: the topic decides; the payload is read for the id and an end's time.

use prost::Message as _;

use super::proto::{Envelope, Subject, Subscribe, TaskExit};
use crate::inventory::reader::proto::Time;
use crate::time::Timestamp;

/// What happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum TaskAction {
    /// The first process and its namespaces are there, its program does not run yet.
    Prepared,
    Started,
    Ended,
    /// Created, paused, resumed, or other labels.
    Changed,
    /// The container's record is gone.
    Gone,
}

/// An event of a container.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ContainerdEvent {
    pub(crate) namespace: String,
    /// As containerd names it.
    pub(crate) container: String,
    pub(crate) action: TaskAction,
    pub(crate) at: Timestamp,
}

/// Asks for these topics only (containerd's filter language, `filters` package).
pub(crate) fn subscription() -> Subscribe {
    let filters = ["topic~=\"^/tasks/(create|start|exit|paused|resumed)$\"", "topic~=\"^/containers/\""];
    Subscribe { filters: filters.map(str::to_owned).to_vec() }
}

impl ContainerdEvent {
    pub(crate) fn read(envelope: &Envelope) -> Option<Self> {
        let body = envelope.event.as_ref()?;
        let reported = envelope.timestamp.and_then(Time::at)?;
        let event = |container: String, action, at| {
            (!container.is_empty()).then(|| Self { namespace: envelope.namespace.clone(), container, action, at })
        };
        if envelope.topic == "/tasks/exit" {
            let exit = TaskExit::decode(&*body.value).ok()?;
            let whole = exit.id == exit.container_id || exit.id.is_empty();
            let at = exit.exited_at.and_then(Time::at).unwrap_or(reported);
            return event(exit.container_id, TaskAction::Ended, at).filter(|_| whole);
        }
        let action = match envelope.topic.as_str() {
            "/tasks/create" => TaskAction::Prepared,
            "/tasks/start" => TaskAction::Started,
            "/tasks/paused" | "/tasks/resumed" | "/containers/create" | "/containers/update" => TaskAction::Changed,
            "/containers/delete" => TaskAction::Gone,
            _ => return None,
        };
        event(Subject::decode(&*body.value).ok()?.container, action, reported)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::inventory::reader::proto::{Any, Time};

    fn envelope(topic: &str, body: &impl prost::Message) -> Envelope {
        let event = Any { type_url: String::new(), value: body.encode_to_vec() };
        Envelope {
            timestamp: Some(Time { seconds: 10, nanos: 5 }),
            namespace: "default".to_owned(),
            topic: topic.to_owned(),
            event: Some(event),
        }
    }

    #[test]
    fn the_end_of_a_container_has_its_own_time_and_the_end_of_an_exec_is_none() {
        let exit = |id: &str, seconds| TaskExit {
            container_id: "web".to_owned(),
            id: id.to_owned(),
            exited_at: Some(Time { seconds, nanos: 0 }),
        };
        let event = ContainerdEvent::read(&envelope("/tasks/exit", &exit("web", 7))).unwrap();
        assert_eq!((event.action, event.at, &*event.container), (TaskAction::Ended, Timestamp::from_secs(7), "web"));
        assert_eq!(
            ContainerdEvent::read(&envelope("/tasks/exit", &exit("web", 0))).unwrap().at.as_nanos(),
            10_000_000_005
        );
        assert_eq!(ContainerdEvent::read(&envelope("/tasks/exit", &exit("shell-1", 7))), None);
    }

    #[test]
    fn garbage_is_no_event() {
        let subject = Subject { container: "web".to_owned() };
        assert_eq!(ContainerdEvent::read(&envelope("/tasks/start", &subject)).unwrap().action, TaskAction::Started);
        assert_eq!(ContainerdEvent::read(&envelope("/tasks/oom", &subject)), None);
        assert_eq!(ContainerdEvent::read(&envelope("/tasks/start", &Subject::default())), None);
        let mut garbled = envelope("/tasks/start", &subject);
        garbled.event.as_mut().unwrap().value = vec![0x0a, 0xff, 0xff];
        assert_eq!(ContainerdEvent::read(&garbled), None);
        garbled.event = None;
        assert_eq!(ContainerdEvent::read(&garbled), None);
    }
}

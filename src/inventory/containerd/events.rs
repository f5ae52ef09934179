//! containerd's events, as far as they matter.
//!
//! Contract: total; what is of no use or cannot be read is `None`. Limits: containerd replays nothing, so whoever subscribes
//! late asks for the whole list afterwards. Design: the topic decides; the payload is read for the id and an end's time.

use prost::Message as _;

use super::proto::{Envelope, Subject, Subscribe, TaskExit};
use crate::inventory::reader::proto::Time;
use crate::time::Timestamp;

/// What happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Act {
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
pub(crate) struct Notice {
    pub(crate) namespace: String,
    /// As containerd names it.
    pub(crate) container: String,
    pub(crate) act: Act,
    pub(crate) at: Timestamp,
}

/// Asks for these topics only (containerd's filter language, `filters` package).
pub(crate) fn subscription() -> Subscribe {
    let filters = ["topic~=\"^/tasks/(create|start|exit|paused|resumed)$\"", "topic~=\"^/containers/\""];
    Subscribe { filters: filters.map(str::to_owned).to_vec() }
}

impl Notice {
    pub(crate) fn read(envelope: &Envelope) -> Option<Self> {
        let body = envelope.event.as_ref()?;
        let told = envelope.timestamp.and_then(Time::at)?;
        let notice = |container: String, act, at| {
            (!container.is_empty()).then(|| Self { namespace: envelope.namespace.clone(), container, act, at })
        };
        if envelope.topic == "/tasks/exit" {
            let exit = TaskExit::decode(&*body.value).ok()?;
            let whole = exit.id == exit.container_id || exit.id.is_empty();
            let at = exit.exited_at.and_then(Time::at).unwrap_or(told);
            return notice(exit.container_id, Act::Ended, at).filter(|_| whole);
        }
        let act = match envelope.topic.as_str() {
            "/tasks/create" => Act::Prepared,
            "/tasks/start" => Act::Started,
            "/tasks/paused" | "/tasks/resumed" | "/containers/create" | "/containers/update" => Act::Changed,
            "/containers/delete" => Act::Gone,
            _ => return None,
        };
        notice(Subject::decode(&*body.value).ok()?.container, act, told)
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
        let notice = Notice::read(&envelope("/tasks/exit", &exit("web", 7))).unwrap();
        assert_eq!((notice.act, notice.at, &*notice.container), (Act::Ended, Timestamp::from_secs(7), "web"));
        assert_eq!(Notice::read(&envelope("/tasks/exit", &exit("web", 0))).unwrap().at.as_nanos(), 10_000_000_005);
        assert_eq!(Notice::read(&envelope("/tasks/exit", &exit("shell-1", 7))), None);
    }

    #[test]
    fn garbage_is_no_event() {
        let subject = Subject { container: "web".to_owned() };
        assert_eq!(Notice::read(&envelope("/tasks/start", &subject)).unwrap().act, Act::Started);
        assert_eq!(Notice::read(&envelope("/tasks/oom", &subject)), None);
        assert_eq!(Notice::read(&envelope("/tasks/start", &Subject::default())), None);
        let mut garbled = envelope("/tasks/start", &subject);
        garbled.event.as_mut().unwrap().value = vec![0x0a, 0xff, 0xff];
        assert_eq!(Notice::read(&garbled), None);
        garbled.event = None;
        assert_eq!(Notice::read(&garbled), None);
    }
}

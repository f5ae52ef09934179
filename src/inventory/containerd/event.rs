//! containerd's events, as far as they matter.
//!
//! Contract: total; what is of no use or cannot be read is `None`. Limits: containerd replays nothing, so a late
//! subscriber asks for the whole list afterwards. Design: the topic decides; the payload is read for the id and an end's time.

use std::sync::Arc;

use prost::Message as _;

use super::proto::{Envelope, ExecStarted, Subject, Subscribe, TaskExit};
use crate::input::{ContainerAct, ContainerEvent, InventoryEvent, RuntimeId, WorkloadId};
use crate::inventory::command_words::Vocabulary;
use crate::inventory::reader::exec_command::command_of;
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
    /// What it changes; `None` where it leaves the container as it was.
    pub(crate) action: Option<TaskAction>,
    /// What happened, as it is reported beside that.
    pub(crate) act: Option<TaskAct>,
    pub(crate) at: Timestamp,
}

/// What happened to a container.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum TaskAct {
    Act(ContainerAct),
    /// A program was started in it, as this process.
    Exec(u32),
}

/// Asks for these topics only (containerd's filter language, `filters` package).
pub(crate) fn subscription() -> Subscribe {
    let filters =
        ["topic~=\"^/tasks/(create|start|exit|paused|resumed|oom|exec-started)$\"", "topic~=\"^/containers/\""];
    Subscribe { filters: filters.map(str::to_owned).to_vec() }
}

impl ContainerdEvent {
    pub(crate) fn read(envelope: &Envelope) -> Option<Self> {
        let body = envelope.event.as_ref()?;
        let reported = envelope.timestamp.and_then(Time::at)?;
        let event = |container: String, action, act, at| {
            let namespace = envelope.namespace.clone();
            (!container.is_empty()).then_some(Self { namespace, container, action, act, at })
        };
        if envelope.topic == "/tasks/exit" {
            let exit = TaskExit::decode(&*body.value).ok()?;
            let whole = exit.id == exit.container_id || exit.id.is_empty();
            let at = exit.exited_at.and_then(Time::at).unwrap_or(reported);
            let act = TaskAct::Act(ContainerAct::Died { exit_code: i32::try_from(exit.status).ok() });
            return event(exit.container_id, Some(TaskAction::Ended), Some(act), at).filter(|_| whole);
        }
        if envelope.topic == "/tasks/exec-started" {
            let exec = ExecStarted::decode(&*body.value).ok()?;
            return event(exec.container, None, Some(TaskAct::Exec(exec.pid)), reported);
        }
        let (action, act) = match envelope.topic.as_str() {
            "/tasks/create" => (Some(TaskAction::Prepared), None),
            "/tasks/start" => (Some(TaskAction::Started), Some(ContainerAct::Started)),
            "/tasks/paused" => (Some(TaskAction::Changed), Some(ContainerAct::Paused)),
            "/tasks/resumed" => (Some(TaskAction::Changed), Some(ContainerAct::Unpaused)),
            "/tasks/oom" => (None, Some(ContainerAct::OutOfMemory)),
            "/containers/create" => (Some(TaskAction::Changed), Some(ContainerAct::Created)),
            "/containers/update" => (Some(TaskAction::Changed), Some(ContainerAct::Updated)),
            "/containers/delete" => (Some(TaskAction::Gone), Some(ContainerAct::Removed)),
            _ => return None,
        };
        event(Subject::decode(&*body.value).ok()?.container, action, act.map(TaskAct::Act), reported)
    }

    /// What happened, as a fact.
    pub(crate) fn happened(
        &self,
        workload: WorkloadId,
        runtime: RuntimeId,
        vocabulary: &Vocabulary,
    ) -> Option<InventoryEvent> {
        let action = match self.act.as_ref()? {
            TaskAct::Act(act) => act.clone(),
            TaskAct::Exec(pid) => ContainerAct::Exec(Box::new(command_of(*pid, vocabulary))),
        };
        Some(InventoryEvent::Container(Arc::new(ContainerEvent { workload, runtime, at: self.at, action })))
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
            status: 137,
            exited_at: Some(Time { seconds, nanos: 0 }),
        };
        let event = ContainerdEvent::read(&envelope("/tasks/exit", &exit("web", 7))).unwrap();
        assert_eq!(
            (event.action, event.at, &*event.container),
            (Some(TaskAction::Ended), Timestamp::from_secs(7), "web")
        );
        assert_eq!(event.act, Some(TaskAct::Act(ContainerAct::Died { exit_code: Some(137) })));
        assert_eq!(
            ContainerdEvent::read(&envelope("/tasks/exit", &exit("web", 0))).unwrap().at.as_nanos(),
            10_000_000_005
        );
        assert_eq!(ContainerdEvent::read(&envelope("/tasks/exit", &exit("shell-1", 7))), None);
    }

    #[test]
    fn garbage_is_no_event() {
        let subject = Subject { container: "web".to_owned() };
        assert_eq!(
            ContainerdEvent::read(&envelope("/tasks/start", &subject)).unwrap().action,
            Some(TaskAction::Started)
        );
        let oom = ContainerdEvent::read(&envelope("/tasks/oom", &subject)).unwrap();
        assert_eq!((oom.action, oom.act), (None, Some(TaskAct::Act(ContainerAct::OutOfMemory))));
        let exec = ExecStarted { container: "web".to_owned(), pid: 7 };
        let exec = ContainerdEvent::read(&envelope("/tasks/exec-started", &exec)).unwrap();
        assert_eq!((exec.action, exec.act), (None, Some(TaskAct::Exec(7))));
        assert_eq!(ContainerdEvent::read(&envelope("/tasks/delete", &subject)), None);
        assert_eq!(ContainerdEvent::read(&envelope("/tasks/start", &Subject::default())), None);
        let mut garbled = envelope("/tasks/start", &subject);
        garbled.event.as_mut().unwrap().value = vec![0x0a, 0xff, 0xff];
        assert_eq!(ContainerdEvent::read(&garbled), None);
        garbled.event = None;
        assert_eq!(ContainerdEvent::read(&garbled), None);
    }
}

//! Questions of the output stage to the kernel's poller: which process sent this?
//!
//! Contract: an answer that does not come within [`PATIENCE`] is none. Limits: one question waits; there is one who asks.

use crossbeam_channel::{Receiver, Sender};

use crate::alert::{Alert, ProcessEvidence, SenderProcess};
use crate::app::output::sender_stage::{FindProcess, PATIENCE};
use crate::host::kernel::{FlowEnd, FlowProcess};
use crate::input::{Protocol, WorkloadId};

/// Where the poller gets them.
pub(super) type Asked = Receiver<Question>;

/// A question.
#[derive(Debug)]
pub(super) struct Question {
    pub(super) end: FlowEnd,
    answer: Sender<Option<FlowProcess>>,
}

impl Question {
    pub(super) fn answer(&self, found: Option<FlowProcess>) {
        // Nobody waits any more where it took too long.
        let _ = self.answer.try_send(found);
    }
}

/// The one who asks.
#[derive(Debug)]
pub(super) struct Questions(Sender<Question>);

/// A way to ask, and its other end.
pub(super) fn channel() -> (Questions, Asked) {
    let (sender, asked) = crossbeam_channel::bounded(1);
    (Questions(sender), asked)
}

impl FindProcess for Questions {
    fn find(&self, alert: &Alert) -> Option<SenderProcess> {
        let (answer, answered) = crossbeam_channel::bounded(1);
        self.0.try_send(Question { end: sending_end(alert)?, answer }).ok()?;
        let found = answered.recv_timeout(PATIENCE).ok().flatten()?;
        Some(SenderProcess { pid: Some(found.pid), command: found.command, how: ProcessEvidence::Socket })
    }
}

/// The end of an alert's flow that sent what it is about.
fn sending_end(alert: &Alert) -> Option<FlowEnd> {
    let (workload, flow) = (alert.workload.as_ref()?, alert.flow.as_ref()?);
    let (orig, resp) = (flow.orig.endpoint, flow.resp.endpoint);
    let is_answer = alert.is_about_an_answer();
    let (local, remote) = if is_answer { (resp, orig) } else { (orig, resp) };
    let workload = WorkloadId::new(&workload.id);
    let forged = alert.sender.as_ref().is_some_and(|sender| sender.forged);
    let connected = forged || flow.protocol == Protocol::TCP && !is_answer;
    Some(FlowEnd { workload, protocol: flow.protocol, local, remote, connected })
}

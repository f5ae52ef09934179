//! The facts that a replay of the recent packets needs.
//!
//! Contract: every fact of the last [`HistoryLimits::age`], and of those before it the ones that still hold: the latest word on each workload, network,
//! interface, namespace, socket and so on, with their own times. Events that changed nothing lasting (a command that was executed, a loss)
//! go with their age. Limits: [`HistoryLimits::recent`] and [`HistoryLimits::lasting`] facts; [`FactHistory::is_whole`] says whether one was left out.
//! Design: facts are shared, not copied, so that a bundle can be written elsewhere while the engine goes on.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use crate::input::{
    Attachment, BaselineFact, FirewallFact, HostLoggingFact, InventoryEvent, KernelFact, LinkEvent, LogFileFact,
    NatBinding, NatFact, NetnsId, ObservationPoint, RecordedFact, RuntimeId, WorkloadId,
};
use crate::time::Timestamp;

/// The bounds of a history.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HistoryLimits {
    /// How long each fact is kept.
    pub age: Duration,
    /// Facts of that time.
    pub recent: usize,
    /// Facts from before it.
    pub lasting: usize,
}

/// A fact and when it became known.
pub type Known = (Timestamp, Arc<RecordedFact>);

/// What became known.
#[derive(Debug)]
pub struct FactHistory {
    limits: HistoryLimits,
    recent: VecDeque<Known>,
    lasting: BTreeMap<Subject, Known>,
    left_out: u64,
}

/// What a fact is the latest word on.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Subject {
    Workload(WorkloadId),
    Network(String),
    Connection(RuntimeId),
    Reconciled(RuntimeId),
    Link(ObservationPoint),
    Namespace(NetnsId),
    Processes(WorkloadId),
    Rights(WorkloadId),
    Mounts(WorkloadId),
    Names(WorkloadId),
    Socket(NetnsId, u64),
    Sniffer(NetnsId, u64),
    Sensor,
    Agent(WorkloadId, u32, u64),
    NatWatch(Option<NetnsId>),
    NatUpToDate,
    Nat(NatBinding),
    LogFile(Option<WorkloadId>, String),
    BaselineApproved,
    BaselineState,
    Firewall(Option<String>),
    HostLogging(Option<String>),
    OpenAlert(String),
}

/// What a fact changes of what lasts.
enum Change {
    /// It is the latest word.
    Says(Subject),
    /// There is nothing to say any more.
    Ends(Vec<Subject>),
    Nothing,
}

impl FactHistory {
    /// Nothing is known.
    pub const fn new(limits: HistoryLimits) -> Self {
        Self { limits, recent: VecDeque::new(), lasting: BTreeMap::new(), left_out: 0 }
    }

    /// Takes a fact.
    pub fn take(&mut self, at: Timestamp, fact: &RecordedFact) {
        // A bundle holds the configuration that was in force when its alert was raised.
        if matches!(fact, RecordedFact::Ended { .. } | RecordedFact::Reloaded(_)) {
            return;
        }
        self.recent.push_back((at, Arc::new(fact.clone())));
        let oldest = at.minus(self.limits.age);
        while let Some((known, _)) = self.recent.front()
            && (*known < oldest || self.recent.len() > self.limits.recent)
            && let Some(old) = self.recent.pop_front()
        {
            self.left_out += u64::from(old.0 >= oldest && matches!(change(&old.1), Change::Nothing));
            self.settle(old);
        }
    }

    /// A fact that is no longer recent.
    fn settle(&mut self, known: Known) {
        match change(&known.1) {
            Change::Nothing => {}
            Change::Ends(subjects) => subjects.iter().for_each(|subject| drop(self.lasting.remove(subject))),
            Change::Says(subject) => {
                if self.lasting.len() < self.limits.lasting || self.lasting.contains_key(&subject) {
                    self.lasting.insert(subject, known);
                } else {
                    self.left_out += 1;
                }
            }
        }
    }

    /// Whether nothing was left out that a replay may need.
    pub const fn is_whole(&self) -> bool {
        self.left_out == 0
    }

    /// All that holds or is recent, not in order: the thread that fills the history waits meanwhile.
    pub fn copy(&self) -> Vec<Known> {
        self.lasting.values().chain(&self.recent).cloned().collect()
    }

    /// The facts of a copy that belong to the evidence of an alert, in order of time: other open alerts of the run before do not.
    pub fn of_alert(mut facts: Vec<Known>, id: &str) -> Vec<Known> {
        facts.retain(|(_, fact)| !matches!(&**fact, RecordedFact::OpenAlert(left) if left.id != id));
        facts.sort_by_key(|(at, _)| *at);
        facts
    }

    /// Where a workload is or was: its networks.
    pub fn attachments(&self, id: &str) -> Vec<Attachment> {
        let of_workload = |known: &Known| match &*known.1 {
            RecordedFact::Inventory(InventoryEvent::Workload(workload)) if workload.id.as_str() == id => {
                Some(workload.attachments.clone())
            }
            _ => None,
        };
        self.lasting.values().chain(&self.recent).filter_map(of_workload).flatten().collect()
    }
}

fn change(fact: &RecordedFact) -> Change {
    match fact {
        RecordedFact::Inventory(event) => inventory(event),
        RecordedFact::Link(link) => of_link(link),
        RecordedFact::Kernel(fact) => kernel(fact),
        RecordedFact::Nat(fact) => nat(fact),
        RecordedFact::LogFile(fact) => log_file(fact),
        RecordedFact::Baseline(BaselineFact::Approved { .. }) => Change::Says(Subject::BaselineApproved),
        RecordedFact::Baseline(_) => Change::Says(Subject::BaselineState),
        RecordedFact::Firewall(FirewallFact::Rules(_)) => Change::Says(Subject::Firewall(None)),
        RecordedFact::Firewall(FirewallFact::Unwatched { part, .. }) => {
            Change::Says(Subject::Firewall(Some(part.clone())))
        }
        RecordedFact::OpenAlert(left) => Change::Says(Subject::OpenAlert(left.condition.clone())),
        RecordedFact::HostLogging(HostLoggingFact::State(_)) => Change::Says(Subject::HostLogging(None)),
        RecordedFact::HostLogging(HostLoggingFact::Unwatched { part, .. }) => {
            Change::Says(Subject::HostLogging(Some(part.clone())))
        }
        RecordedFact::HostLogging(_)
        | RecordedFact::Loss(_)
        | RecordedFact::Reloaded(_)
        | RecordedFact::Ended { .. } => Change::Nothing,
    }
}

fn inventory(event: &InventoryEvent) -> Change {
    match event {
        InventoryEvent::Workload(workload) => Change::Says(Subject::Workload(workload.id.clone())),
        InventoryEvent::Stopped { id, .. } => {
            let of: [fn(WorkloadId) -> Subject; 5] =
                [Subject::Workload, Subject::Processes, Subject::Rights, Subject::Mounts, Subject::Names];
            Change::Ends(of.map(|subject| subject(id.clone())).into())
        }
        InventoryEvent::Container(_) => Change::Nothing,
        InventoryEvent::Network(network) => Change::Says(Subject::Network(network.id.clone())),
        InventoryEvent::NetworkRemoved { id } => Change::Ends(vec![Subject::Network(id.clone())]),
        InventoryEvent::Connected { runtime }
        | InventoryEvent::Disconnected { runtime, .. }
        | InventoryEvent::GivenUp { runtime } => Change::Says(Subject::Connection(*runtime)),
        InventoryEvent::Reconciled { runtime, .. } => Change::Says(Subject::Reconciled(*runtime)),
    }
}

fn of_link(link: &LinkEvent) -> Change {
    let subject = Subject::Link(link.point.clone());
    if link.up { Change::Says(subject) } else { Change::Ends(vec![subject]) }
}

fn kernel(fact: &KernelFact) -> Change {
    match fact {
        KernelFact::Namespace(view) => Change::Says(Subject::Namespace(view.netns)),
        KernelFact::NamespaceGone { netns } => Change::Ends(vec![Subject::Namespace(*netns)]),
        KernelFact::Processes(processes) => Change::Says(Subject::Processes(processes.workload.clone())),
        KernelFact::SocketOpened(socket) => Change::Says(Subject::Socket(socket.netns, socket.inode)),
        KernelFact::SocketClosed { netns, inode } => Change::Ends(vec![Subject::Socket(*netns, *inode)]),
        KernelFact::SnifferOpened(sniffer) => Change::Says(Subject::Sniffer(sniffer.netns, sniffer.inode)),
        KernelFact::SnifferClosed { netns, inode } => Change::Ends(vec![Subject::Sniffer(*netns, *inode)]),
        KernelFact::Agent(agent) => Change::Says(Subject::Agent(agent.workload.clone(), agent.pid, agent.start)),
        KernelFact::Rights(rights) => Change::Says(Subject::Rights(rights.workload.clone())),
        KernelFact::Names(files) => Change::Says(Subject::Names(files.workload.clone())),
        KernelFact::Mounts(mounts) => Change::Says(Subject::Mounts(mounts.workload.clone())),
        KernelFact::Sensor { .. } => Change::Says(Subject::Sensor),
        KernelFact::Missed { .. } => Change::Nothing,
    }
}

fn nat(fact: &NatFact) -> Change {
    match fact {
        NatFact::Watched { netns } | NatFact::Unwatched { netns, .. } => Change::Says(Subject::NatWatch(*netns)),
        NatFact::Bound(binding) => Change::Says(Subject::Nat(*binding)),
        NatFact::Released(binding) => Change::Ends(vec![Subject::Nat(*binding)]),
        NatFact::UpToDate { .. } => Change::Says(Subject::NatUpToDate),
        NatFact::Missed { .. } => Change::Nothing,
    }
}

fn log_file(fact: &LogFileFact) -> Change {
    match fact {
        LogFileFact::Watched { workload, path } => Change::Says(Subject::LogFile(Some(workload.clone()), path.clone())),
        LogFileFact::Unwatched { workload, path, .. } => Change::Says(Subject::LogFile(workload.clone(), path.clone())),
        LogFileFact::Changed(_) | LogFileFact::Missed { .. } => Change::Nothing,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::input::Workload;

    fn second(second: i64) -> Timestamp {
        Timestamp::from_secs(second)
    }

    fn history(recent: usize, lasting: usize) -> FactHistory {
        FactHistory::new(HistoryLimits { age: Duration::from_mins(1), recent, lasting })
    }

    fn workload(id: &str, address: &str) -> RecordedFact {
        let addresses = vec![address.parse().expect("an address")];
        let attachments = vec![Attachment { addresses, ..Attachment::default() }];
        let workload = Workload::new(WorkloadId::new(id), id, RuntimeId::DOCKER);
        let workload = Workload { attachments, ..workload };
        RecordedFact::Inventory(InventoryEvent::Workload(Arc::new(workload)))
    }

    fn stopped(id: &str) -> RecordedFact {
        RecordedFact::Inventory(InventoryEvent::Stopped { id: WorkloadId::new(id), until: second(0) })
    }

    #[test]
    fn of_what_is_old_only_the_latest_word_stays_with_its_own_time() {
        let mut history = history(1000, 1000);
        history.take(second(1), &workload("a", "192.0.2.1"));
        history.take(second(2), &workload("b", "192.0.2.2"));
        history.take(second(3), &workload("a", "192.0.2.3"));
        history.take(second(4), &stopped("b"));
        history.take(
            second(5),
            &RecordedFact::Kernel(KernelFact::Missed { what: crate::input::MissedKind::Process, count: 1 }),
        );
        assert_eq!(history.copy().len(), 5, "all are recent");
        history.take(second(500), &workload("c", "192.0.2.4"));
        let times: Vec<_> = FactHistory::of_alert(history.copy(), "").iter().map(|(at, _)| *at).collect();
        assert_eq!(times, [second(3), second(500)]);
        assert!(history.is_whole());
        let [attachment] = &history.attachments("a")[..] else { panic!("one network") };
        assert_eq!(attachment.addresses, ["192.0.2.3".parse::<std::net::IpAddr>().expect("an address")]);
    }

    #[test]
    fn what_finds_no_room_is_known_to_be_missing() {
        let mut history = history(2, 2);
        for number in 0..5 {
            history.take(second(number), &workload(&format!("w{number}"), "192.0.2.1"));
        }
        assert_eq!(history.copy().len(), 4);
        assert!(!history.is_whole());
    }
}

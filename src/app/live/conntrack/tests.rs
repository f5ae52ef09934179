//! The thread itself, with the kernel as it is here.

use std::process::{Child, Command};
use std::sync::atomic::Ordering;
use std::time::Duration;

use super::*;
use crate::app::live::message::SourceMessage;
use crate::input::{Fact, RecordedFact};

fn is_root() -> bool {
    nix::unistd::Uid::effective().is_root()
}

fn facts(receiver: &crossbeam_channel::Receiver<SourceMessage>) -> impl Iterator<Item = NatFact> + '_ {
    let feeds = std::iter::from_fn(|| receiver.recv_timeout(Duration::from_secs(20)).ok());
    let inputs = feeds.flat_map(|message| match message {
        SourceMessage::Facts(inputs) => inputs,
        _ => Vec::new(),
    });
    inputs.filter_map(|input| match input.fact {
        Fact::Recorded(RecordedFact::Nat(fact)) => Some(fact),
        _ => None,
    })
}

/// Ends with the test.
struct Sleeper(Child);

impl Sleeper {
    fn start(line: &[&str]) -> Self {
        let [program, arguments @ ..] = line else { panic!("no program") };
        Self(Command::new(program).args(arguments).spawn().expect("start a program"))
    }
}

impl Drop for Sleeper {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn the_hosts_is_told_to_be_heard_or_not_and_the_thread_ends() {
    let (sender, receiver) = crossbeam_channel::unbounded();
    let (context, counters) = (SourceContext::alone(sender), Cell::default());
    let source = start(&context, Arc::clone(&counters)).expect("the thread");
    let events = source.events().expect("it listens");
    let first = facts(&receiver).find(|fact| !matches!(fact, NatFact::Bound(_) | NatFact::Released(_)));
    let is_received = match first.expect("reported") {
        NatFact::Watched { netns: None } => true,
        NatFact::Unwatched { netns: None, error } => {
            assert!(!error.is_empty());
            false
        }
        other => panic!("{other:?}"),
    };
    context.stop.store(true, Ordering::Relaxed);
    source::join_all(vec![source]).expect("ends when asked to");
    assert_eq!(counters.lock().expect("the counters").host, is_received);
    assert!(events.send(InventoryEvent::NetworkRemoved { id: String::new() }).is_err(), "nobody listens any more");
}

#[test]
fn a_namespace_that_two_share_is_heard_until_one_stops() {
    if !is_root() {
        println!("skipped: a_namespace_that_two_share_is_heard_until_one_stops: needs root, for network namespaces");
        return;
    }
    let first = Sleeper::start(&["unshare", "--net", "sleep", "300"]);
    let own = Netns::own().expect("the own namespace");
    let netns = std::iter::repeat_with(|| Netns::id_of(first.0.id())).flatten().find(|netns| *netns != own);
    let netns = netns.expect("its namespace");
    let door = format!("--net=/proc/{}/ns/net", first.0.id());
    let second = Sleeper::start(&["nsenter", &door, "sleep", "300"]);
    std::iter::repeat_with(|| Netns::id_of(second.0.id())).find(|found| *found == Some(netns)).expect("in there");

    let (sender, receiver) = crossbeam_channel::unbounded();
    let context = SourceContext::alone(sender);
    let source = start(&context, Cell::default()).expect("the thread");
    let events = source.events().expect("it listens");
    for (id, child) in [("a", &first), ("b", &second)] {
        let pid = child.0.id();
        let text = format!(r#"{{"id": "{id}", "name": "", "image": "", "runtime": "docker", "pid": {pid}}}"#);
        let workload = serde_json::from_str(&text).expect("a workload");
        events.send(InventoryEvent::Workload(Arc::new(workload))).expect("the thread");
    }
    let watched = NatFact::Watched { netns: Some(netns) };
    assert!(facts(&receiver).any(|fact| fact == watched));
    let until = Timestamp::from_secs(1);
    events.send(InventoryEvent::Stopped { id: crate::input::WorkloadId::new("a"), until }).expect("the thread");
    assert!(facts(&receiver).any(|fact| matches!(fact, NatFact::Unwatched { netns: Some(of), .. } if of == netns)));
    context.stop.store(true, Ordering::Relaxed);
    source::join_all(vec![source]).expect("ends when asked to");
}

//! Orders of events and answers that a daemon really produces.

use super::*;

fn secs(at: i64) -> Timestamp {
    Timestamp::from_secs(at)
}

fn id() -> WorkloadId {
    WorkloadId::new("app")
}

fn attachment(address: &str) -> Attachment {
    Attachment {
        network: "front".into(),
        network_id: "net".into(),
        addresses: address.parse().into_iter().collect(),
        ..Attachment::default()
    }
}

/// What inspect says: state, start, address.
fn inspected(state: WorkloadState, since: Option<i64>, address: &str) -> Answer {
    Answer::Container(Box::new(Workload {
        image: "busybox".into(),
        attachments: vec![attachment(address)],
        pid: since.map(|_| 42),
        state,
        since: since.map(secs),
        ..Workload::new(id(), "app", crate::input::RuntimeId::DOCKER)
    }))
}

fn connected() -> ContainerAction {
    ContainerAction::Connected { network: "net".into() }
}

/// The steps in short: `inspect`, `endpoint`, `app STATE since ADDRESS`, `stopped AT`.
fn short(steps: Vec<Step>) -> Vec<String> {
    let time = |at: Timestamp| at.as_nanos() / 1_000_000_000;
    let one = |step: Step| match step {
        Step::Ask(Query::Container(_)) => "inspect".to_owned(),
        Step::Ask(Query::Endpoint { .. }) => "endpoint".to_owned(),
        Step::Emit(InventoryEvent::Workload(workload)) => {
            let addresses: Vec<String> = workload.addresses().map(|ip| ip.to_string()).collect();
            format!("{:?} {:?} {}", workload.state, workload.since.map(time), addresses.join(","))
        }
        Step::Emit(InventoryEvent::Stopped { until, .. }) => format!("stopped {}", time(until)),
        Step::Emit(other) => format!("{other:?}"),
    };
    steps.into_iter().map(one).collect()
}

#[test]
fn a_container_is_owned_from_its_connect_on_not_from_its_written_start() {
    let mut states = DockerStates::default();
    assert_eq!(short(states.handle(&id(), ContainerAction::Created, secs(9))), ["inspect"]);
    assert_eq!(short(states.answered(&id(), inspected(WorkloadState::Created, None, ""))), ["Created None "]);
    assert_eq!(short(states.handle(&id(), connected(), secs(10))), ["endpoint"]);
    assert!(states.answered(&id(), Answer::Endpoint(attachment("172.18.0.2"))).is_empty());
    assert_eq!(short(states.handle(&id(), ContainerAction::Started, secs(12))), ["inspect"]);
    let steps = states.answered(&id(), inspected(WorkloadState::Running, Some(11), "172.18.0.2"));
    assert_eq!(short(steps), ["Running Some(10) 172.18.0.2"]);
    assert_eq!(short(states.handle(&id(), ContainerAction::Died, secs(20))), ["stopped 20"]);
}

#[test]
fn one_that_ended_before_the_look_is_told_with_what_its_network_said() {
    let mut states = DockerStates::default();
    states.handle(&id(), ContainerAction::Created, secs(9));
    states.answered(&id(), inspected(WorkloadState::Created, None, ""));
    states.handle(&id(), connected(), secs(10));
    assert!(states.handle(&id(), ContainerAction::Started, secs(11)).is_empty(), "waits for the endpoint");
    assert!(states.handle(&id(), ContainerAction::Died, secs(12)).is_empty());
    assert_eq!(short(states.answered(&id(), Answer::Endpoint(attachment("172.18.0.2")))), ["inspect"]);
    let steps = states.answered(&id(), inspected(WorkloadState::Exited, None, ""));
    assert_eq!(short(steps), ["Running Some(10) 172.18.0.2", "stopped 12"]);
    assert_eq!(states.counters.late(), 1);
}

#[test]
fn one_that_is_removed_before_the_look_is_told_from_its_creation() {
    let mut states = DockerStates::default();
    states.handle(&id(), ContainerAction::Created, secs(9));
    states.answered(&id(), inspected(WorkloadState::Created, None, ""));
    states.handle(&id(), connected(), secs(10));
    states.answered(&id(), Answer::Endpoint(attachment("172.18.0.2")));
    for (action, at) in [(ContainerAction::Started, 11), (ContainerAction::Died, 12), (ContainerAction::Destroyed, 13)]
    {
        states.handle(&id(), action, secs(at));
    }
    let steps = short(states.answered(&id(), Answer::Nothing));
    assert_eq!(steps, ["Running Some(10) 172.18.0.2", "stopped 12", "stopped 13"]);
    assert!(states.containers.is_empty());
}

#[test]
fn a_restart_is_a_new_run_with_its_own_start() {
    let mut states = DockerStates::default();
    states.handle(&id(), connected(), secs(1));
    states.answered(&id(), Answer::Endpoint(attachment("172.18.0.2")));
    states.handle(&id(), ContainerAction::Started, secs(2));
    states.answered(&id(), inspected(WorkloadState::Running, Some(2), "172.18.0.2"));
    states.handle(&id(), ContainerAction::Died, secs(100));
    states.handle(&id(), ContainerAction::Disconnected { network: "net".into() }, secs(100));
    states.handle(&id(), connected(), secs(101));
    states.answered(&id(), Answer::Endpoint(attachment("172.18.0.3")));
    states.handle(&id(), ContainerAction::Started, secs(102));
    let steps = states.answered(&id(), inspected(WorkloadState::Running, Some(102), "172.18.0.3"));
    assert_eq!(short(steps), ["Running Some(101) 172.18.0.3"]);
}

/// The daemon answers late, when the container runs already.
#[test]
fn a_connect_that_waits_for_an_answer_counts_for_the_run_that_the_answer_shows() {
    let mut states = DockerStates::default();
    assert_eq!(short(states.handle(&id(), ContainerAction::Created, secs(9))), ["inspect"]);
    assert!(states.handle(&id(), connected(), secs(10)).is_empty());
    let running = || inspected(WorkloadState::Running, Some(12), "172.18.0.2");
    assert_eq!(short(states.answered(&id(), running())), ["Running Some(10) 172.18.0.2", "inspect"]);
    assert_eq!(short(states.answered(&id(), running())), ["Running Some(10) 172.18.0.2"]);
}

#[test]
fn another_network_holds_from_the_time_of_its_connect() {
    let mut states = DockerStates::default();
    states.handle(&id(), ContainerAction::Started, secs(2));
    states.answered(&id(), inspected(WorkloadState::Running, Some(2), "172.18.0.2"));
    assert_eq!(short(states.handle(&id(), connected(), secs(50))), ["inspect"]);
    let steps = states.answered(&id(), inspected(WorkloadState::Running, Some(2), "172.18.0.9"));
    assert_eq!(short(steps), ["Running Some(50) 172.18.0.9"]);
    states.handle(&id(), ContainerAction::Changed, secs(60));
    let steps = states.answered(&id(), inspected(WorkloadState::Paused, Some(2), "172.18.0.9"));
    assert_eq!(short(steps), ["Paused Some(50) 172.18.0.9"], "a pause changes no start");
}

#[test]
fn a_connect_long_before_the_start_is_not_the_start() {
    let mut states = DockerStates::default();
    states.handle(&id(), connected(), secs(1));
    states.answered(&id(), Answer::Nothing);
    states.handle(&id(), ContainerAction::Started, secs(500));
    let steps = states.answered(&id(), inspected(WorkloadState::Running, Some(499), "172.18.0.2"));
    assert_eq!(short(steps), ["Running Some(499) 172.18.0.2"]);
}

#[test]
fn an_end_from_before_the_snapshot_does_not_end_the_present_run() {
    let mut states = DockerStates::default();
    let Answer::Container(workload) = inspected(WorkloadState::Running, Some(50), "172.18.0.2") else { panic!() };
    assert_eq!(states.snapshot(vec![*workload]).len(), 1);
    assert!(states.handle(&id(), ContainerAction::Died, secs(49)).is_empty());
    assert_eq!(short(states.handle(&id(), ContainerAction::Died, secs(51))), ["stopped 51"]);
}

#[test]
fn a_snapshot_after_a_cut_keeps_the_refined_start_and_drops_what_waited() {
    let mut states = DockerStates::default();
    states.handle(&id(), connected(), secs(10));
    states.answered(&id(), Answer::Endpoint(attachment("172.18.0.2")));
    states.handle(&id(), ContainerAction::Started, secs(12));
    states.answered(&id(), inspected(WorkloadState::Running, Some(11), "172.18.0.2"));
    states.handle(&id(), ContainerAction::Changed, secs(13));
    let Answer::Container(workload) = inspected(WorkloadState::Running, Some(11), "172.18.0.2") else { panic!() };
    let events = states.snapshot(vec![*workload]);
    assert_eq!(short(events.into_iter().map(Step::Emit).collect()), ["Running Some(10) 172.18.0.2"]);
    assert_eq!(
        short(states.handle(&id(), ContainerAction::Changed, secs(20))),
        ["inspect"],
        "nothing is under way any more"
    );
    assert!(states.snapshot(Vec::new()).is_empty());
    states.snapshot(Vec::new());
    assert!(states.containers.is_empty(), "the second list without it is the end of its memory");
}

#[test]
fn an_end_during_a_cut_is_dated_by_the_event_that_is_asked_for_again() {
    let mut states = DockerStates::default();
    let Answer::Container(workload) = inspected(WorkloadState::Running, Some(50), "172.18.0.2") else { panic!() };
    states.snapshot(vec![*workload]);
    states.handle(&id(), ContainerAction::Changed, secs(60));
    assert_eq!(states.checkpoint(), Some(secs(60)));
    assert!(states.snapshot(Vec::new()).is_empty(), "the cut: it is not in the list any more");
    assert_eq!(short(states.handle(&id(), ContainerAction::Died, secs(70))), ["stopped 70"]);
}

#[test]
fn what_waited_at_a_cut_is_asked_for_again() {
    let mut states = DockerStates::default();
    assert_eq!(states.checkpoint(), None);
    states.handle(&id(), ContainerAction::Started, secs(10));
    states.handle(&id(), ContainerAction::Died, secs(20));
    states.handle(&WorkloadId::new("other"), ContainerAction::Died, secs(30));
    assert_eq!(states.checkpoint(), Some(secs(10)), "the look at its start is still under way");
    states.answered(&id(), inspected(WorkloadState::Exited, None, ""));
    assert_eq!(states.checkpoint(), Some(secs(30)));
}

#[test]
fn one_that_lived_and_was_removed_during_a_cut_is_told_from_its_events() {
    let mut states = DockerStates::default();
    states.handle(&id(), ContainerAction::Started, secs(10));
    let Answer::Container(introduced) = inspected(WorkloadState::Running, None, "") else { panic!() };
    states.introduce(*introduced);
    states.handle(&id(), ContainerAction::Died, secs(11));
    states.handle(&id(), ContainerAction::Destroyed, secs(12));
    assert_eq!(short(states.answered(&id(), Answer::Nothing)), ["Running Some(10) ", "stopped 11", "stopped 12"]);
}

#[test]
fn an_address_seen_between_network_and_start_holds_for_one_that_ended_before_the_look() {
    let mut states = DockerStates::default();
    states.handle(&id(), ContainerAction::Created, secs(9));
    states.answered(&id(), inspected(WorkloadState::Created, None, "10.88.0.2"));
    states.handle(&id(), ContainerAction::Started, secs(10));
    assert_eq!(
        short(states.answered(&id(), inspected(WorkloadState::Exited, None, ""))),
        ["Running Some(10) 10.88.0.2"]
    );
    states.handle(&id(), ContainerAction::Died, secs(11));
    states.handle(&id(), ContainerAction::Started, secs(20));
    let again = short(states.answered(&id(), inspected(WorkloadState::Exited, None, "")));
    assert_eq!(again, ["Running Some(20) "], "the next run has another address");
}

#[test]
fn a_network_more_or_less_holds_from_its_event_on_although_it_is_not_named() {
    let mut states = DockerStates::default();
    states.handle(&id(), ContainerAction::Started, secs(2));
    states.answered(&id(), inspected(WorkloadState::Running, Some(2), "172.18.0.2"));
    assert_eq!(short(states.handle(&id(), ContainerAction::Rewired, secs(50))), ["inspect"]);
    let steps = states.answered(&id(), inspected(WorkloadState::Running, Some(2), "172.18.0.9"));
    assert_eq!(short(steps), ["Running Some(50) 172.18.0.9"]);
}

#[test]
fn a_list_leads_to_looks_only_at_what_differs() {
    let mut states = DockerStates::default();
    let Answer::Container(workload) = inspected(WorkloadState::Running, Some(50), "172.18.0.2") else { panic!() };
    states.snapshot(vec![*workload]);
    let same =
        Listed { id: id(), name: "app".into(), paused: false, addresses: "172.18.0.2".parse().into_iter().collect() };
    assert!(states.listed(std::slice::from_ref(&same), secs(60)).is_empty());
    let renamed = Listed { name: "other".into(), ..same.clone() };
    assert_eq!(short(states.listed(&[renamed], secs(70))), ["inspect"]);
    states.answered(&id(), Answer::Nothing);
    assert!(states.listed(&[], secs(80)).is_empty());
    assert_eq!(short(states.listed(&[same], secs(90))), ["inspect"], "it was gone, so it is looked at again");
}

#[test]
fn an_end_that_the_list_shows_before_the_event_is_still_dated_by_the_event() {
    let mut states = DockerStates::default();
    let Answer::Container(workload) = inspected(WorkloadState::Running, Some(50), "172.18.0.2") else { panic!() };
    states.snapshot(vec![*workload.clone()]);
    states.listed(&[], secs(60));
    assert_eq!(short(states.handle(&id(), ContainerAction::Died, secs(59))), ["stopped 59"]);
    states.snapshot(vec![*workload]);
    states.listed(&[], secs(70));
    states.listed(&[], secs(80));
    assert!(states.handle(&id(), ContainerAction::Died, secs(81)).is_empty(), "twice not listed is the end");
}

#[test]
fn waiting_events_are_bounded_and_counted() {
    let mut states = DockerStates::default();
    for at in 0..1_000 {
        states.handle(&id(), ContainerAction::Changed, secs(at));
    }
    assert_eq!(states.containers[&id()].waiting.len(), MAX_WAITING);
    assert!(states.counters.overflow() > 900);
}

#[test]
fn what_is_beyond_a_quota_is_counted_and_left_out() {
    let mut states = DockerStates::new(2, Arc::default());
    for name in ["a", "b", "c"] {
        states.handle(&WorkloadId::new(name), ContainerAction::Started, secs(1));
    }
    assert_eq!((states.containers.len(), states.counters.overflow()), (2, 1));
}

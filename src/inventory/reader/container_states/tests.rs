//! The states in every order of lists and events.

use super::*;

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_secs(seconds)
}

fn observed(id: &str, state: WorkloadState, pid: Option<u32>, since: i64) -> ObservedContainer {
    let workload = Workload {
        image: "image".to_owned(),
        pid,
        state,
        since: Some(at(since)),
        ..Workload::new(WorkloadId::new(id), id, crate::input::RuntimeId::CONTAINERD)
    };
    ObservedContainer { workload, ended: None }
}

fn running(id: &str, pid: u32, since: i64) -> ObservedContainer {
    observed(id, WorkloadState::Running, Some(pid), since)
}

fn exited(id: &str, since: i64, ended: i64) -> ObservedContainer {
    ObservedContainer { ended: Some(at(ended)), ..observed(id, WorkloadState::Exited, None, since) }
}

/// `+id@since` for a run, `?id` for a created one, `-id@until` for an end.
fn reported(events: &[InventoryEvent]) -> String {
    let seconds = |at: Timestamp| at.as_nanos() / 1_000_000_000;
    let word = |event: &InventoryEvent| match event {
        InventoryEvent::Workload(w) if w.state == WorkloadState::Created => format!("?{}", w.id),
        InventoryEvent::Workload(w) => format!("+{}@{}", w.id, seconds(w.since.unwrap())),
        InventoryEvent::Stopped { id, until } => format!("-{id}@{}", seconds(*until)),
        other => format!("{other:?}"),
    };
    events.iter().map(word).collect::<Vec<_>>().join(" ")
}

#[test]
fn a_run_begins_with_its_preparation_and_ends_once() {
    let mut states = ContainerStates::default();
    let id = WorkloadId::new("a");
    assert_eq!(reported(&states.observe(observed("a", WorkloadState::Created, None, 9), at(9))), "?a");
    states.prepared(&id, at(10));
    assert_eq!(reported(&states.observe(running("a", 7, 12), at(12))), "+a@10");
    assert_eq!(reported(&states.observe(running("a", 7, 11), at(13))), "", "nothing new");
    assert_eq!(reported(&states.ended(&id, at(20))), "-a@20");
    assert_eq!(reported(&states.observe(exited("a", 9, 20), at(21))), "");
    assert_eq!(reported(&states.gone(&id, at(22))), "");
}

#[test]
fn a_preparation_of_long_ago_belongs_to_another_run() {
    let mut states = ContainerStates::default();
    states.prepared(&WorkloadId::new("a"), at(10));
    assert_eq!(reported(&states.observe(running("a", 7, 100), at(100))), "+a@100");
}

#[test]
fn another_process_is_another_run() {
    let mut states = ContainerStates::default();
    states.observe(running("a", 7, 10), at(10));
    assert_eq!(reported(&states.observe(running("a", 8, 30), at(30))), "-a@30 +a@30");
}

#[test]
fn an_answer_from_before_the_end_does_not_bring_it_back() {
    let mut states = ContainerStates::default();
    states.observe(running("a", 7, 10), at(10));
    states.ended(&WorkloadId::new("a"), at(20));
    assert_eq!(reported(&states.observe(running("a", 7, 10), at(20))), "");
    assert_eq!(reported(&states.observe(running("a", 9, 25), at(25))), "+a@25");
}

#[test]
fn what_ran_only_while_nobody_listened_is_told_with_its_times_but_the_past_before_is_not() {
    let mut states = ContainerStates::default();
    let first = vec![running("a", 7, 10), exited("old", 1, 5)];
    assert_eq!(reported(&states.apply_list(first, at(50), true)), "+a@10");
    let second = vec![exited("a", 10, 60), exited("old", 1, 5), exited("short", 70, 71)];
    assert_eq!(reported(&states.apply_list(second.clone(), at(80), true)), "-a@60 +short@70 -short@71");
    assert_eq!(reported(&states.apply_list(second, at(90), true)), "", "not twice");
}

/// Under load the runtime still shows it as created when its run is over.
#[test]
fn a_run_that_lists_show_late_is_reported_although_it_ended_before_the_last_of_them() {
    let mut states = ContainerStates::default();
    let created = || vec![observed("a", WorkloadState::Created, None, 50)];
    states.apply_list(Vec::new(), at(40), true);
    assert_eq!(reported(&states.apply_list(created(), at(55), false)), "?a");
    assert_eq!(reported(&states.apply_list(created(), at(80), false)), "");
    assert_eq!(reported(&states.apply_list(vec![exited("a", 59, 60)], at(90), false)), "+a@59 -a@60");
    assert_eq!(reported(&states.apply_list(vec![exited("a", 59, 60)], at(99), false)), "", "once");
}

#[test]
fn after_a_cut_everything_that_runs_is_told_again_with_its_first_moment() {
    let mut states = ContainerStates::default();
    states.prepared(&WorkloadId::new("a"), at(10));
    states.observe(running("a", 7, 12), at(12));
    assert_eq!(reported(&states.apply_list(vec![running("a", 7, 12)], at(50), false)), "");
    assert_eq!(reported(&states.apply_list(vec![running("a", 7, 12)], at(50), true)), "+a@10");
}

#[test]
fn what_a_list_lacks_waits_for_its_end_once_and_is_then_forgotten() {
    let mut states = ContainerStates::default();
    states.apply_list(vec![running("a", 7, 10), running("b", 8, 10)], at(50), true);
    assert_eq!(reported(&states.apply_list(Vec::new(), at(60), false)), "");
    assert_eq!(reported(&states.ended(&WorkloadId::new("a"), at(59))), "-a@59");
    states.apply_list(Vec::new(), at(70), false);
    assert!(states.get(&WorkloadId::new("b")).is_none());
}

#[test]
fn a_container_gone_before_it_was_looked_at_is_told_from_its_creation() {
    let mut states = ContainerStates::default();
    let id = WorkloadId::new("a");
    states.observe(observed("a", WorkloadState::Created, None, 9), at(9));
    states.prepared(&id, at(10));
    assert_eq!(reported(&states.started(&id, None, at(11))), "+a@10");
    assert_eq!(reported(&states.gone(&id, at(12))), "-a@12");
    assert_eq!(reported(&states.started(&WorkloadId::new("never"), None, at(11))), "");
    assert_eq!(states.counters.late(), 2);
}

/// Its process has ended and was removed when the runtime answers: the container looks as before its start.
#[test]
fn a_run_that_was_over_before_the_answer_is_reported_once() {
    let mut states = ContainerStates::default();
    let id = WorkloadId::new("a");
    let created = || Some(observed("a", WorkloadState::Created, None, 9));
    states.observe(created().expect("one"), at(9));
    assert_eq!(reported(&states.started(&id, created(), at(11))), "+a@11");
    assert_eq!(reported(&states.ended(&id, at(12))), "-a@12");
    assert_eq!(reported(&states.started(&id, created(), at(20))), "+a@20");
    assert_eq!(reported(&states.started(&id, created(), at(21))), "", "it runs already, and its end is on its way");
    assert_eq!(reported(&states.ended(&id, at(22))), "-a@22");
    assert_eq!(reported(&states.started(&id, created(), at(22))), "", "a list has shown it before its event came");
    let other = || Some(observed("b", WorkloadState::Created, None, 9));
    assert_eq!(reported(&states.started(&WorkloadId::new("b"), other(), at(30))), "?b +b@30");
}

#[test]
fn a_run_never_ends_before_it_began() {
    let mut states = ContainerStates::default();
    states.observe(running("a", 7, 10), at(10));
    assert_eq!(reported(&states.ended(&WorkloadId::new("a"), at(3))), "-a@10");
}

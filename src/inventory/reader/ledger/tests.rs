//! The ledger in every order of lists and events.

use super::*;
use crate::input::NetworkMode;

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_secs(seconds)
}

fn seen(id: &str, state: WorkloadState, pid: Option<u32>, since: i64) -> Seen {
    let workload = Workload {
        id: WorkloadId::new(id),
        name: id.to_owned(),
        image: "image".to_owned(),
        image_digest: String::new(),
        labels: BTreeMap::new(),
        runtime: "containerd".into(),
        network_mode: NetworkMode::Own,
        attachments: Vec::new(),
        pid,
        pod: None,
        state,
        since: Some(at(since)),
    };
    Seen { workload, ended: None }
}

fn running(id: &str, pid: u32, since: i64) -> Seen {
    seen(id, WorkloadState::Running, Some(pid), since)
}

fn exited(id: &str, since: i64, ended: i64) -> Seen {
    Seen { ended: Some(at(ended)), ..seen(id, WorkloadState::Exited, None, since) }
}

/// `+id@since` for a run, `?id` for a created one, `-id@until` for an end.
fn told(events: &[InventoryEvent]) -> String {
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
    let mut ledger = Ledger::default();
    let id = WorkloadId::new("a");
    assert_eq!(told(&ledger.see(seen("a", WorkloadState::Created, None, 9), at(9))), "?a");
    ledger.prepared(&id, at(10));
    assert_eq!(told(&ledger.see(running("a", 7, 12), at(12))), "+a@10");
    assert_eq!(told(&ledger.see(running("a", 7, 11), at(13))), "", "nothing new");
    assert_eq!(told(&ledger.ended(&id, at(20))), "-a@20");
    assert_eq!(told(&ledger.see(exited("a", 9, 20), at(21))), "");
    assert_eq!(told(&ledger.gone(&id, at(22))), "");
}

#[test]
fn a_preparation_of_long_ago_belongs_to_another_run() {
    let mut ledger = Ledger::default();
    ledger.prepared(&WorkloadId::new("a"), at(10));
    assert_eq!(told(&ledger.see(running("a", 7, 100), at(100))), "+a@100");
}

#[test]
fn another_process_is_another_run() {
    let mut ledger = Ledger::default();
    ledger.see(running("a", 7, 10), at(10));
    assert_eq!(told(&ledger.see(running("a", 8, 30), at(30))), "-a@30 +a@30");
}

#[test]
fn an_answer_from_before_the_end_does_not_bring_it_back() {
    let mut ledger = Ledger::default();
    ledger.see(running("a", 7, 10), at(10));
    ledger.ended(&WorkloadId::new("a"), at(20));
    assert_eq!(told(&ledger.see(running("a", 7, 10), at(20))), "");
    assert_eq!(told(&ledger.see(running("a", 9, 25), at(25))), "+a@25");
}

#[test]
fn what_ran_only_while_nobody_listened_is_told_with_its_times_but_the_past_before_is_not() {
    let mut ledger = Ledger::default();
    let first = vec![running("a", 7, 10), exited("old", 1, 5)];
    assert_eq!(told(&ledger.whole(first, at(50), true)), "+a@10");
    let second = vec![exited("a", 10, 60), exited("old", 1, 5), exited("short", 70, 71)];
    assert_eq!(told(&ledger.whole(second.clone(), at(80), true)), "-a@60 +short@70 -short@71");
    assert_eq!(told(&ledger.whole(second, at(90), true)), "", "not twice");
}

#[test]
fn after_a_cut_everything_that_runs_is_told_again_with_its_first_moment() {
    let mut ledger = Ledger::default();
    ledger.prepared(&WorkloadId::new("a"), at(10));
    ledger.see(running("a", 7, 12), at(12));
    assert_eq!(told(&ledger.whole(vec![running("a", 7, 12)], at(50), false)), "");
    assert_eq!(told(&ledger.whole(vec![running("a", 7, 12)], at(50), true)), "+a@10");
}

#[test]
fn what_a_list_lacks_waits_for_its_end_once_and_is_then_forgotten() {
    let mut ledger = Ledger::default();
    ledger.whole(vec![running("a", 7, 10), running("b", 8, 10)], at(50), true);
    assert_eq!(told(&ledger.whole(Vec::new(), at(60), false)), "");
    assert_eq!(told(&ledger.ended(&WorkloadId::new("a"), at(59))), "-a@59");
    ledger.whole(Vec::new(), at(70), false);
    assert!(ledger.get(&WorkloadId::new("b")).is_none());
}

#[test]
fn a_container_gone_before_it_was_looked_at_is_told_from_its_creation() {
    let mut ledger = Ledger::default();
    let id = WorkloadId::new("a");
    ledger.see(seen("a", WorkloadState::Created, None, 9), at(9));
    ledger.prepared(&id, at(10));
    assert_eq!(told(&ledger.started_unseen(&id, at(11))), "+a@10");
    assert_eq!(told(&ledger.gone(&id, at(12))), "-a@12");
    assert_eq!(told(&ledger.started_unseen(&WorkloadId::new("never"), at(11))), "");
    assert_eq!(ledger.counters.late(), 2);
}

#[test]
fn a_run_never_ends_before_it_began() {
    let mut ledger = Ledger::default();
    ledger.see(running("a", 7, 10), at(10));
    assert_eq!(told(&ledger.ended(&WorkloadId::new("a"), at(3))), "-a@10");
}

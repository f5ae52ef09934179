//! The worker beside an outbox that fails, changes under its hands, or holds what is not due.

use super::*;
use crate::deliver::store::{Addressed, Entry};
use crate::detect::Severity;

type Step = Box<dyn FnMut(&Delivery) -> Outcome + Send>;

/// Does what the test wants with each delivery, and says what it wants when nothing is due.
struct Scripted {
    send: Step,
    keep_up: Vec<Outcome>,
}

impl Receiver for Scripted {
    fn send(&mut self, delivery: &Delivery, _: Timestamp) -> Outcome {
        (self.send)(delivery)
    }

    fn keep_up(&mut self, _: Timestamp) -> Option<Outcome> {
        self.keep_up.pop()
    }
}

fn worker(store: &Arc<Store>, send: impl FnMut(&Delivery) -> Outcome + Send + 'static) -> Worker {
    let receiver = Scripted { send: Box::new(send), keep_up: Vec::new() };
    let counters = Arc::new(SinkCounters::new("s"));
    Worker::new("s".to_owned(), Arc::clone(store), Box::new(receiver), counters, Arc::default())
}

fn keep(store: &Store, update: u32, supersedes: bool) {
    let entry =
        Entry { id: "a", update, severity: Severity::Low, rule: "rule", at: now(), json: b"{}", text: "", open: None };
    let to = Addressed { sink: "s".to_owned(), body: b"body".to_vec(), supersedes };
    store.add(&entry, &[to], now()).expect("kept");
}

fn in_memory() -> Arc<Store> {
    Arc::new(Store::in_memory().expect("begins"))
}

#[test]
fn an_outbox_that_cannot_be_written_repeats_no_delivery() {
    let store = in_memory();
    keep(&store, 0, false);
    keep(&store, 1, false);
    let full = Arc::clone(&store);
    let mut worker = worker(&store, move |_| {
        full.refuse_writes(true);
        Outcome::Delivered
    });
    for _ in 0..3 {
        assert_eq!(worker.step(now()), Err(()));
    }
    assert_eq!(worker.counters.delivered_total(), 0, "it is not known to be noted");
    store.refuse_writes(false);
    assert_eq!(worker.step(now()), Err(()), "the next one, after the first was noted");
    assert_eq!(worker.counters.delivered_total(), 1);
    assert_eq!(store.waiting("s").expect("counted").count, 1, "each was sent once");
}

#[test]
fn an_update_behind_one_that_is_not_due_is_no_reason_to_look_again_at_once() {
    let store = in_memory();
    keep(&store, 0, false);
    keep(&store, 1, false);
    let mut worker = worker(&store, |_| Outcome::again("down"));
    assert_eq!(worker.step(now()), Ok(true));
    worker.paused = None;
    assert_eq!(worker.step(now()), Ok(false));
    let pause = worker.pause(now());
    assert!(pause > Duration::from_millis(200), "{pause:?}");
}

#[test]
fn one_that_is_superseded_on_its_way_leaves_the_later_one_waiting() {
    let store = in_memory();
    keep(&store, 0, true);
    let during = Arc::clone(&store);
    let mut outcomes = vec![Outcome::Refused { why: "400".to_owned() }, Outcome::Delivered];
    let mut update = 0;
    let mut worker = worker(&store, move |_| {
        update += 1;
        keep(&during, update, true);
        outcomes.pop().expect("two are sent")
    });
    for delivered in [1, 1] {
        assert_eq!(worker.step(now()), Ok(true));
        assert_eq!((worker.counters.waiting(), worker.counters.delivered_total()), (1, delivered));
    }
    assert!(worker.counters.undelivered().all(|(_, lost)| lost == 0), "a later update stands for the refused one");
}

#[test]
fn a_pause_ends_when_a_person_asks_for_another_attempt() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("outbox.sqlite");
    let store = Arc::new(Store::open(&path).expect("opens").0);
    keep(&store, 0, false);
    let mut worker = worker(&store, |_| Outcome::Configuration { why: "401".to_owned() });
    assert_eq!(worker.step(now()), Ok(true));
    assert_eq!(worker.step(now()), Ok(false), "it pauses for a minute");
    Store::visit(&path).expect("opens beside").retry(None, None, now()).expect("asked for");
    assert_eq!(worker.step(now()), Ok(true));
    assert_eq!(worker.step(now()), Ok(false));
}

#[test]
fn a_receiver_that_chokes_on_what_is_open_still_gets_what_waits() {
    let store = in_memory();
    let mut worker = worker(&store, |_| Outcome::Delivered);
    let keep_up = vec![Outcome::again("choked"); 9];
    worker.receiver = Box::new(Scripted { send: Box::new(|_| Outcome::Delivered), keep_up });
    for update in 0..2 {
        keep(&store, update, false);
    }
    for delivered in [0, 1, 1, 2] {
        worker.paused = None;
        assert_eq!(worker.step(now()), Ok(true));
        assert_eq!(worker.counters.delivered_total(), delivered, "in turn");
    }
}

#[test]
fn a_receiver_that_works_again_is_not_reported_any_more() {
    let store = in_memory();
    let mut worker = worker(&store, |_| Outcome::Delivered);
    let keep_up = vec![Outcome::Delivered, Outcome::again("down")];
    worker.receiver = Box::new(Scripted { send: Box::new(|_| Outcome::Delivered), keep_up });
    assert_eq!(worker.step(now()), Ok(true));
    assert!(worker.counters.not_ready().is_some_and(|why| why.contains("down")));
    worker.paused = None;
    assert_eq!(worker.step(now()), Ok(true));
    assert_eq!(worker.counters.not_ready(), None);
}

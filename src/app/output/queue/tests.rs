//! A sink that blocks, one that fails and recovers, one that is gone.

use std::collections::BTreeMap;
use std::sync::Mutex;

use super::*;
use crate::alert::SCHEMA;
use crate::detect::Severity;
use crate::engine::EngineStats;
use crate::time::Timestamp;

/// An alert that says nothing but its number.
pub fn alert(number: u64) -> Alert {
    Alert {
        schema: SCHEMA,
        id: format!("{number:016x}"),
        update: 0,
        rule: "egress-skips-proxy",
        title: "Egress skips the proxy",
        severity: Severity::High,
        first_seen: Timestamp::default(),
        last_seen: Timestamp::default(),
        count: number,
        workload: None,
        actor: None,
        anomaly: None,
        flow: None,
        destinations: Vec::new(),
        destinations_omitted: 0,
        destinations_new: 0,
        contract: None,
        verdict: None,
        missing_hop: None,
        blind_spots: Vec::new(),
        witnesses: Vec::new(),
        evidence: Vec::new(),
        attribution: None,
        sender: None,
        attack: Vec::new(),
        seed_reference: "",
        response: Vec::new(),
        link: String::new(),
        config_sha256: None,
        ended: false,
        is_first_of_run: true,
        condition: None,
        bundle: None,
    }
}

/// Asks before each alert what to do with it, and keeps what it took.
struct Scripted {
    answers: Receiver<io::Result<()>>,
    taken: Arc<Mutex<Vec<u64>>>,
    finished: Arc<AtomicBool>,
}

impl AlertSink for Scripted {
    fn name(&self) -> &'static str {
        "scripted"
    }

    fn alert(&mut self, alert: &Alert) -> io::Result<()> {
        // A sink whose test has ended blocks no longer.
        self.answers.recv().unwrap_or(Ok(()))?;
        self.taken.lock().expect("no panic").push(alert.count);
        Ok(())
    }

    fn incident(&mut self, incident: &Incident) -> io::Result<()> {
        self.answers.recv().unwrap_or(Ok(()))?;
        self.taken.lock().expect("no panic").push(incident.update.into());
        Ok(())
    }

    fn finish(&mut self, _: &Summary) -> io::Result<()> {
        self.finished.store(true, Ordering::Relaxed);
        Ok(())
    }
}

struct Scene {
    queue: SinkQueue,
    answers: Sender<io::Result<()>>,
    taken: Arc<Mutex<Vec<u64>>>,
    finished: Arc<AtomicBool>,
}

fn scene(overflow: Overflow, capacity: usize) -> Scene {
    let (answers, asked) = crossbeam_channel::unbounded();
    let (taken, finished) = (Arc::<Mutex<Vec<u64>>>::default(), Arc::<AtomicBool>::default());
    let sink = Scripted { answers: asked, taken: Arc::clone(&taken), finished: Arc::clone(&finished) };
    let queue = SinkQueue::with_capacity(Box::new(sink), overflow, capacity).expect("a thread");
    Scene { queue, answers, taken, finished }
}

fn summary() -> Summary {
    Summary::new(&EngineStats::default(), &crate::path::UnjudgedTraffic::default(), Vec::new(), Vec::new())
}

/// As the end of a run does it.
fn finish(queue: &SinkQueue) -> io::Result<()> {
    queue.stop();
    queue.finish(&summary(), instant() + PATIENCE)
}

fn undelivered(counters: &SinkCounters) -> BTreeMap<&'static str, u64> {
    counters.undelivered().filter(|(_, count)| *count > 0).collect()
}

#[test]
fn a_sink_that_blocks_holds_up_neither_the_sender_nor_the_end_and_every_alert_is_accounted_for() {
    let Scene { queue, answers, finished, .. } = scene(Overflow::DropAndCount, 4);
    for number in 0..100 {
        queue.alert(&Arc::new(alert(number))).expect("never fails");
    }
    let counters = Arc::clone(queue.counters());
    assert!(undelivered(&counters)["queue_full"] >= 95, "{:?}", undelivered(&counters));
    let begun = instant();
    finish(&queue).expect("never fails");
    assert!(begun.elapsed() < PATIENCE * 2, "the end waited for the sink");
    assert_eq!(undelivered(&counters).values().sum::<u64>(), 100, "{:?}", undelivered(&counters));
    assert!(counters.warning().is_some_and(|warning| warning.contains("100 alerts were not delivered to scripted")));
    assert!(!finished.load(Ordering::Relaxed));
    drop(answers);
}

#[test]
fn an_error_is_retried_and_nothing_is_lost() {
    let Scene { queue, answers, taken, finished } = scene(Overflow::DropAndCount, 4);
    for answer in [Err(io::ErrorKind::StorageFull.into()), Ok(()), Ok(())] {
        answers.send(answer).expect("the sink listens");
    }
    queue.alert(&Arc::new(alert(1))).expect("never fails");
    queue.alert(&Arc::new(alert(2))).expect("never fails");
    let counters = Arc::clone(queue.counters());
    while counters.delivered_total() < 2 {
        thread::sleep(Duration::from_millis(5));
    }
    finish(&queue).expect("never fails");
    assert_eq!(*taken.lock().expect("no panic"), [1, 2]);
    assert!(undelivered(&counters).is_empty() && finished.load(Ordering::Relaxed));
}

#[test]
fn a_closed_pipe_is_gone_for_good_and_counted() {
    let Scene { queue, answers, .. } = scene(Overflow::DropAndCount, 4);
    answers.send(Err(io::ErrorKind::BrokenPipe.into())).expect("the sink listens");
    queue.alert(&Arc::new(alert(1))).expect("never fails");
    let counters = Arc::clone(queue.counters());
    while !counters.is_gone() {
        thread::sleep(Duration::from_millis(5));
    }
    queue.alert(&Arc::new(alert(2))).expect("never fails");
    finish(&queue).expect("a closed pipe is no failure of a live run");
    assert_eq!(undelivered(&counters), BTreeMap::from([("sink_gone", 2)]));
}

/// Keeps alerts that nobody takes from it.
struct Keeper;

impl AlertSink for Keeper {
    fn name(&self) -> &'static str {
        "keeper"
    }

    fn has_reader(&self) -> bool {
        false
    }

    fn alert(&mut self, _: &Alert) -> io::Result<()> {
        Ok(())
    }

    fn incident(&mut self, _: &Incident) -> io::Result<()> {
        Ok(())
    }

    fn finish(&mut self, _: &Summary) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn a_run_ends_with_its_last_reader_whatever_else_only_keeps_alerts() {
    let answering = |answer: io::Result<()>| {
        let (answers, asked) = crossbeam_channel::unbounded();
        answers.send(answer).expect("room");
        Box::new(Scripted { answers: asked, taken: Arc::default(), finished: Arc::default() })
    };
    let broken = || answering(Err(io::ErrorKind::BrokenPipe.into()));
    let kept = crate::app::output::Output::to(Box::new(Keeper), Overflow::DropAndCount).expect("a thread");
    kept.alert(alert(1)).expect("never fails");
    assert!(!kept.is_gone(), "nobody was there who could go");
    let both = kept.and_to(broken(), Overflow::DropAndCount).expect("a thread");
    both.alert(alert(2)).expect("never fails");
    while !both.is_gone() {
        thread::sleep(Duration::from_millis(5));
    }
    let three = both.and_to(answering(Ok(())), Overflow::DropAndCount).expect("a thread");
    assert!(!three.is_gone(), "one more reads");
}

#[test]
fn a_replay_waits_for_room_and_loses_nothing() {
    let Scene { queue, answers, taken, finished } = scene(Overflow::Block, 1);
    // Answers as fast as the sink asks.
    drop(answers);
    for number in 0..500 {
        queue.alert(&Arc::new(alert(number))).expect("the sink takes all");
    }
    finish(&queue).expect("the sink takes the summary");
    assert_eq!(*taken.lock().expect("no panic"), (0..500).collect::<Vec<_>>());
    assert!(finished.load(Ordering::Relaxed));
}

#[test]
fn a_replay_ends_with_the_first_error_of_its_sink() {
    let Scene { queue, answers, .. } = scene(Overflow::Block, 1);
    answers.send(Err(io::ErrorKind::StorageFull.into())).expect("the sink listens");
    let failed = (0..10).find_map(|number| queue.alert(&Arc::new(alert(number))).err());
    let error = failed.unwrap_or_else(|| finish(&queue).expect_err("it failed"));
    assert_eq!(error.kind(), io::ErrorKind::StorageFull);
}

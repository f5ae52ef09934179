//! Which alerts are looked at, in which order they go on, and how the end is reached.

use std::sync::Mutex;

use super::*;
use crate::alert::{FrameSender, ProcessEvidence};
use crate::app::output::queue::tests::alert;
use crate::app::output::{AlertSink, Output, Overflow};
use crate::app::summary::Summary;
use crate::engine::EngineStats;

/// What a sink got: alert, update, process.
type Taken = Arc<Mutex<Vec<(u64, u32, Option<String>)>>>;

struct Keeper(Taken);

impl AlertSink for Keeper {
    fn name(&self) -> &'static str {
        "keeper"
    }

    fn alert(&mut self, alert: &Alert) -> io::Result<()> {
        let process = alert.sender.as_ref().and_then(|sender| sender.process.as_ref());
        let command = process.map(|process| process.command.clone());
        self.0.lock().expect("no panic").push((alert.count, alert.update, command));
        Ok(())
    }

    fn incident(&mut self, _: &Incident) -> io::Result<()> {
        Ok(())
    }

    fn finish(&mut self, _: &Summary) -> io::Result<()> {
        Ok(())
    }
}

/// Finds `curl`, once it is let go.
struct Curl(Receiver<()>);

impl FindProcess for Curl {
    fn find(&self, _: &Alert) -> Option<SenderProcess> {
        // A test that has ended holds nobody up.
        let _ = self.0.recv();
        Some(SenderProcess { pid: Some(1), command: "curl".to_owned(), how: ProcessEvidence::Socket })
    }
}

fn sent(number: u64, update: u32) -> Alert {
    Alert { update, sender: Some(Box::new(FrameSender { forged: true, ..FrameSender::default() })), ..alert(number) }
}

fn scene() -> (Output, Sender<()>, Taken) {
    let (go, wait) = crossbeam_channel::unbounded();
    let taken = Taken::default();
    let output = Output::to(Box::new(Keeper(Arc::clone(&taken))), Overflow::DropAndCount).expect("a thread");
    (output.with_processes(Box::new(Curl(wait))).expect("a thread"), go, taken)
}

fn finish(output: Output) {
    let unjudged = crate::path::UnjudgedTraffic::default();
    let summary = Summary::new(&EngineStats::default(), &unjudged, Vec::new(), Vec::new());
    output.finish(&summary).expect("never fails");
}

#[test]
fn an_alert_and_its_updates_name_the_process_and_one_without_a_sender_is_not_looked_at() {
    let (output, go, taken) = scene();
    drop(go);
    for each in [sent(1, 0), alert(2), sent(1, 1), sent(3, 1)] {
        output.alert(each).expect("never fails");
    }
    while taken.lock().expect("no panic").len() < 4 {
        thread::yield_now();
    }
    finish(output);
    let curl = || Some("curl".to_owned());
    let expected = [(1, 0, curl()), (2, 0, None), (1, 1, curl()), (3, 1, None)];
    assert_eq!(*taken.lock().expect("no panic"), expected, "in their order; the raised line of 3 was never seen");
}

#[test]
fn a_flood_and_a_look_that_hangs_hold_up_nobody_and_lose_nothing() {
    let (output, go, taken) = scene();
    // An engine that waited would hang here.
    for number in 0..500 {
        output.alert(sent(number, 0)).expect("never fails");
    }
    go.send(()).expect("it waits");
    // It goes on with the others, most without a look; the last ones look again, and hang.
    while taken.lock().expect("no panic").len() < 500 - BUSY - 1 {
        thread::yield_now();
    }
    drop(go);
    finish(output);
    let taken = taken.lock().expect("no panic");
    assert_eq!(taken.iter().map(|(number, ..)| *number).collect::<Vec<_>>(), (0..500).collect::<Vec<_>>());
    let looked = taken.iter().filter(|(_, _, process)| process.is_some()).count();
    assert!((1..=BUSY + 2).contains(&looked), "{looked}");
}

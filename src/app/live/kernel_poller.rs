//! KernelPoller at the kernel while the sniffer runs: who is in which namespace, who holds which socket.
//!
//! Contract: hears every inventory event; a workload that starts is looked at at once (events that come within [`GATHER`] together),
//! sockets every 20 ms (where there are none to look at, news every 50 ms) and everything every 100 ms, or less often, so that each costs
//! at most [`SHARE`] of a core. Never waits for the engine: facts that find no room wait here, at most [`MAX_WAITING`], beyond which
//! they are dropped and counted.
//! Design: a thread of its own, in the host's network namespace; without permission it says so once and shows what it can.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use anyhow::Context as _;
use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, TrySendError};
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use nix::sys::time::TimeValLike as _;
use nix::time::{ClockId, clock_gettime};

use super::message::SourceMessage;
use crate::host::kernel::Collector;
use crate::input::{Fact, Input, InventoryEvent, KernelFact, MissedKind, RecordedFact};
use crate::observe::live::now;
use crate::time::Timestamp;

/// Events that wait for this thread; the runtime's reader waits when there are more.
const EVENTS: usize = 1024;
/// Facts that wait for the engine.
const MAX_WAITING: usize = 65_536;
/// Events that come so soon after each other are looked at together.
const GATHER: Duration = Duration::from_millis(5);
/// Of the time of a core, for each kind of look: a fortieth, so 5 % together.
const SHARE: u32 = 40;
/// Enough for every namespace, every tap, and the sockets of runtimes.
const DESCRIPTORS: u64 = 8192;
/// How long this thread waits at once, so that it notices the end.
const NOTICE: Duration = Duration::from_millis(100);
/// How often at most, and how seldom at most.
const MIN_SOCKETS: Duration = Duration::from_millis(20);
const MIN_NEWS: Duration = Duration::from_millis(50);
const MIN_ALL: Duration = Duration::from_millis(100);
const MAX_PERIOD: Duration = Duration::from_secs(10);

/// Starts the thread; inventory events are to be sent where it says.
pub fn start(
    sender: Sender<SourceMessage>,
    stop: Arc<AtomicBool>,
) -> anyhow::Result<(Sender<InventoryEvent>, JoinHandle<()>)> {
    allow_descriptors();
    let (tell, events) = crossbeam_channel::bounded(EVENTS);
    let run = move || match Collector::new() {
        Ok(collector) => KernelPoller::new(collector, sender).run(&events, &stop),
        Err(error) => tracing::warn!("the kernel's namespaces and sockets are not looked at: {error}"),
    };
    let thread = thread::Builder::new().name("kernel".to_owned()).spawn(run).context("starting the kernel's thread")?;
    Ok((tell, thread))
}

/// A socket a namespace: more than the 1,024 descriptors that a shell usually allows, and never more than the administrator does.
fn allow_descriptors() {
    if let Ok((soft, hard)) = getrlimit(Resource::RLIMIT_NOFILE)
        && soft < DESCRIPTORS.min(hard)
    {
        let _ = setrlimit(Resource::RLIMIT_NOFILE, DESCRIPTORS.min(hard), hard);
    }
}

struct KernelPoller {
    collector: Collector,
    sender: Sender<SourceMessage>,
    waiting: VecDeque<Input>,
    dropped: u64,
    sockets: PollInterval,
    all: PollInterval,
}

/// When the next look of a kind is due.
#[derive(Clone, Copy, Debug)]
struct PollInterval {
    least: Duration,
    due: Timestamp,
}

impl PollInterval {
    const fn new(least: Duration) -> Self {
        Self { least, due: Timestamp::MIN }
    }

    /// After a look that cost so much of the processor.
    fn spent(&mut self, now: Timestamp, cost: Duration) {
        self.due = now.plus(period(self.least, cost));
    }

    /// Clocks may be set back: never later than the longest period.
    fn left(&self, now: Timestamp) -> Duration {
        self.due.since(now).min(MAX_PERIOD)
    }
}

fn period(least: Duration, cost: Duration) -> Duration {
    cost.saturating_mul(SHARE).clamp(least, MAX_PERIOD)
}

impl KernelPoller {
    fn new(collector: Collector, sender: Sender<SourceMessage>) -> Self {
        let (sockets, all) = (PollInterval::new(MIN_SOCKETS), PollInterval::new(MIN_ALL));
        Self { collector, sender, waiting: VecDeque::new(), dropped: 0, sockets, all }
    }

    fn run(mut self, events: &Receiver<InventoryEvent>, stop: &AtomicBool) {
        while !stop.load(Ordering::Relaxed) {
            let time = now();
            let left = self.sockets.left(time).min(self.all.left(time)).min(NOTICE);
            match events.recv_timeout(left) {
                Ok(event) => self.hear(&event, events),
                Err(RecvTimeoutError::Timeout) => self.look(),
                // No runtime is read any more; what runs goes on.
                Err(RecvTimeoutError::Disconnected) => {
                    thread::sleep(left);
                    self.look();
                }
            }
            self.send();
        }
    }

    fn hear(&mut self, event: &InventoryEvent, events: &Receiver<InventoryEvent>) {
        let mut news = self.collector.receive(event);
        if news {
            thread::sleep(GATHER);
        }
        for event in events.try_iter().take(EVENTS) {
            news |= self.collector.receive(&event);
        }
        if news {
            let facts = self.collector.scan_new(now());
            self.hold(facts);
        }
        self.look();
    }

    /// What is due.
    fn look(&mut self) {
        let (time, before) = (now(), processor_time());
        if self.all.left(time).is_zero() {
            let facts = self.collector.scan(time);
            self.hold(facts);
            let cost = processor_time().saturating_sub(before);
            self.all.spent(now(), cost);
            self.sockets.due = now().plus(self.sockets.least);
        } else if self.sockets.left(time).is_zero() {
            let facts = self.collector.scan_sockets(time);
            self.hold(facts);
            self.sockets.least = if self.collector.has_sockets() { MIN_SOCKETS } else { MIN_NEWS };
            self.sockets.spent(now(), processor_time().saturating_sub(before));
        }
    }

    /// The time of facts is when the look had ended: what they say was true by then.
    fn hold(&mut self, facts: Vec<KernelFact>) {
        let at = now();
        for fact in facts {
            if self.waiting.len() < MAX_WAITING {
                self.waiting.push_back(Input::new(at, Fact::Recorded(RecordedFact::Kernel(fact))));
            } else {
                self.dropped += 1;
            }
        }
    }

    fn send(&mut self) {
        if self.dropped > 0 && self.waiting.len() < MAX_WAITING {
            let count = std::mem::take(&mut self.dropped);
            self.hold(vec![KernelFact::Missed { what: MissedKind::Overflow, count }]);
        }
        while let Some(input) = self.waiting.pop_front() {
            if let Err(TrySendError::Full(SourceMessage::Fact(input))) =
                self.sender.try_send(SourceMessage::Fact(input))
            {
                return self.waiting.push_front(input);
            }
        }
    }
}

/// Of this thread so far.
fn processor_time() -> Duration {
    let time = clock_gettime(ClockId::CLOCK_THREAD_CPUTIME_ID).map_or(0, |time| time.num_nanoseconds());
    Duration::from_nanos(u64::try_from(time).unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dear_look_is_made_less_often() {
        assert_eq!(period(MIN_SOCKETS, Duration::from_micros(100)), MIN_SOCKETS);
        assert_eq!(period(MIN_SOCKETS, Duration::from_millis(5)), Duration::from_millis(200));
        assert_eq!(period(MIN_SOCKETS, Duration::from_secs(9)), MAX_PERIOD);
    }

    #[test]
    fn a_clock_that_is_set_back_does_not_stop_the_looks() {
        let mut interval = PollInterval::new(MIN_ALL);
        interval.spent(Timestamp::from_secs(1_000_000), Duration::ZERO);
        assert_eq!(interval.left(Timestamp::from_secs(5)), MAX_PERIOD);
        assert_eq!(interval.left(Timestamp::from_secs(1_000_001)), Duration::ZERO);
    }

    #[test]
    fn a_workload_is_looked_at_when_its_start_is_told() {
        let (sender, receiver) = crossbeam_channel::unbounded();
        let stop = Arc::new(AtomicBool::new(false));
        let (tee, thread) = start(sender, Arc::clone(&stop)).expect("the thread");
        let text =
            format!(r#"{{"id": "self", "name": "", "image": "", "runtime": "test", "pid": {}}}"#, std::process::id());
        tee.send(InventoryEvent::Workload(Arc::new(serde_json::from_str(&text).expect("a workload"))))
            .expect("the thread");
        let told = std::iter::from_fn(|| receiver.recv_timeout(Duration::from_secs(10)).ok()).any(|message| {
            matches!(message, SourceMessage::Fact(Input { fact: Fact::Recorded(RecordedFact::Kernel(KernelFact::Processes(told))), .. })
                if told.workload.as_str() == "self")
        });
        assert!(told);
        stop.store(true, Ordering::Relaxed);
        thread.join().expect("ends when it is told to");
        assert!(tee.send(InventoryEvent::NetworkRemoved { id: String::new() }).is_err(), "nobody listens any more");
    }

    #[test]
    fn facts_that_find_no_room_wait_in_order() {
        let (sender, receiver) = crossbeam_channel::bounded(1);
        let mut looks = KernelPoller::new(Collector::new().expect("the kernel"), sender);
        let missed = |count| KernelFact::Missed { what: MissedKind::ShortSocket, count };
        looks.hold(vec![missed(1), missed(2), missed(3)]);
        let mut counts = Vec::new();
        for _ in 0..3 {
            looks.send();
            for message in receiver.try_iter() {
                let SourceMessage::Fact(input) = message else { panic!("{message:?}") };
                let Fact::Recorded(RecordedFact::Kernel(KernelFact::Missed { count, .. })) = input.fact else {
                    panic!("{input:?}")
                };
                counts.push(count);
            }
        }
        assert_eq!(counts, [1, 2, 3]);
    }
}

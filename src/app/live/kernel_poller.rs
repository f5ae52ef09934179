//! Polls the kernel while the sniffer runs: who is in which namespace, who holds which socket.
//!
//! Contract: hears every inventory event; a workload that starts is looked at at once (events that come within [`GATHER`] together),
//! sockets every 20 ms (where there are none to look at, news every 100 ms), everything every 100 ms, and each first process's rights and mounts every 5 s,
//! or less often, so that each of the three costs at most [`SHARE`] of a core. Never waits for the engine: facts that find no room wait here, at most [`MAX_WAITING`], beyond which
//! they are dropped and counted.
//! Design: a thread of its own, in the host's network namespace; without permission it says so once and shows what it can.

use std::sync::Arc;
use std::thread;
use std::time::Duration;

use crossbeam_channel::{Receiver, never, select};
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use nix::sys::time::TimeValLike as _;
use nix::time::{ClockId, clock_gettime};

use super::outbox::Outbox;
use super::process_questions::{Asked, Question};
use super::source::{self, Source, SourceContext};
use crate::clock::now;
use crate::host::kernel::Collector;
use crate::input::{InventoryEvent, KernelFact, MissedKind, RecordedFact};
use crate::inventory::command_words::Vocabulary;
use crate::inventory::mount_places;
use crate::sandbox::Role;
use crate::time::Timestamp;

/// Events that come so soon after each other are looked at together.
const GATHER: Duration = Duration::from_millis(5);
/// Of these at most so many.
const GATHERED: usize = 1024;
/// Of the time of a core, for each kind of scan: a fortieth, so 7.5 % together.
const SHARE: u32 = 40;
/// Enough for every namespace, every tap, and the sockets of runtimes.
const DESCRIPTORS: u64 = 8192;
/// How long this thread waits at once, so that it notices the end.
const NOTICE: Duration = Duration::from_millis(100);
/// How often at most, and how seldom at most.
const MIN_SOCKETS: Duration = Duration::from_millis(20);
const MIN_NEWS: Duration = Duration::from_millis(100);
const MIN_ALL: Duration = Duration::from_millis(100);
const MAX_PERIOD: Duration = Duration::from_secs(10);
/// First processes that are looked at together, and how often at most.
const FIRST: usize = 32;
const MIN_FIRST: Duration = Duration::from_millis(100);

/// Starts the source.
pub(super) fn start(context: &SourceContext, agents: &Arc<Vocabulary>, asked: Asked) -> anyhow::Result<Source> {
    allow_descriptors();
    let agents = Arc::clone(agents);
    source::spawn_listening(Role::Watch, "kernel", context, move |context, events| match Collector::new() {
        Ok(mut collector) => {
            collector.watch_agents(move |name| agents.is_process(name));
            collector.watch_mounts(mount_places::matters);
            KernelPoller::new(collector, &context).run(&events, &asked, &context);
        }
        Err(error) => tracing::warn!(%error, "namespaces and sockets of workloads are not observed"),
    })
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
    outbox: Outbox,
    sockets: PollInterval,
    all: PollInterval,
    first: PollInterval,
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
    fn new(collector: Collector, context: &SourceContext) -> Self {
        let [sockets, all, first] = [MIN_SOCKETS, MIN_ALL, MIN_FIRST].map(PollInterval::new);
        Self { collector, outbox: Outbox::reporting(context.sender.clone(), missed), sockets, all, first }
    }

    fn run(mut self, events: &Receiver<InventoryEvent>, asked: &Asked, context: &SourceContext) {
        // Before the runtimes report its own container.
        self.hold(vec![KernelFact::Sensor { pid: std::process::id() }]);
        self.outbox.send();
        // No runtime is read any more, or nobody asks: what runs goes on.
        let (mut events, mut asked) = (events.clone(), asked.clone());
        while !context.is_over() {
            let time = now();
            let left = self.sockets.left(time).min(self.all.left(time)).min(self.first.left(time)).min(NOTICE);
            select! {
                recv(events) -> event => match event {
                    Ok(event) => self.receive(&event, &events),
                    Err(_) => events = never(),
                },
                recv(asked) -> question => match question {
                    Ok(question) => self.answer(&question),
                    Err(_) => asked = never(),
                },
                default(left) => self.poll(),
            }
            self.outbox.send();
        }
        self.outbox.finish();
    }

    /// A question goes before what is due: an alert waits for it.
    fn answer(&mut self, question: &Question) {
        let (found, facts) = self.collector.process_of(&question.end);
        self.hold(facts);
        question.answer(found);
        self.poll();
    }

    fn receive(&mut self, event: &InventoryEvent, events: &Receiver<InventoryEvent>) {
        let mut changed = self.collector.receive(event);
        if changed {
            thread::sleep(GATHER);
        }
        for event in events.try_iter().take(GATHERED) {
            changed |= self.collector.receive(&event);
        }
        if changed {
            let facts = self.collector.scan_new(now());
            self.hold(facts);
        }
        self.poll();
    }

    /// What is due.
    fn poll(&mut self) {
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
        } else if self.first.left(time).is_zero() {
            let facts = self.collector.scan_first(time, FIRST);
            self.hold(facts);
            self.first.spent(now(), processor_time().saturating_sub(before));
        }
    }

    /// The time of facts is when the look had ended: what they say was true by then.
    fn hold(&mut self, facts: Vec<KernelFact>) {
        let at = now();
        for fact in facts {
            self.outbox.fact(at, RecordedFact::Kernel(fact));
        }
    }
}

/// Facts that found no room.
const fn missed(count: u64, _: Timestamp) -> RecordedFact {
    RecordedFact::Kernel(KernelFact::Missed { what: MissedKind::Overflow, count })
}

/// Of this thread so far.
fn processor_time() -> Duration {
    let time = clock_gettime(ClockId::CLOCK_THREAD_CPUTIME_ID).map_or(0, |time| time.num_nanoseconds());
    Duration::from_nanos(u64::try_from(time).unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::Ordering;

    use super::*;
    use crate::app::live::message::SourceMessage;
    use crate::input::Fact;

    #[test]
    fn a_scan_that_costs_much_is_made_less_often() {
        assert_eq!(period(MIN_SOCKETS, Duration::from_micros(100)), MIN_SOCKETS);
        assert_eq!(period(MIN_SOCKETS, Duration::from_millis(5)), Duration::from_millis(200));
        assert_eq!(period(MIN_SOCKETS, Duration::from_secs(9)), MAX_PERIOD);
    }

    #[test]
    fn a_clock_that_is_set_back_does_not_stop_the_scans() {
        let mut interval = PollInterval::new(MIN_ALL);
        interval.spent(Timestamp::from_secs(1_000_000), Duration::ZERO);
        assert_eq!(interval.left(Timestamp::from_secs(5)), MAX_PERIOD);
        assert_eq!(interval.left(Timestamp::from_secs(1_000_001)), Duration::ZERO);
    }

    #[test]
    fn a_workload_is_scanned_when_its_start_is_reported() {
        let (sender, receiver) = crossbeam_channel::unbounded();
        let context = SourceContext::alone(sender);
        let source = start(&context, &Arc::default(), never()).expect("the thread");
        let events = source.events().expect("it listens");
        let text =
            format!(r#"{{"id": "self", "name": "", "image": "", "runtime": "docker", "pid": {}}}"#, std::process::id());
        events
            .send(InventoryEvent::Workload(Arc::new(serde_json::from_str(&text).expect("a workload"))))
            .expect("the thread");
        let messages = std::iter::from_fn(|| receiver.recv_timeout(Duration::from_secs(10)).ok());
        let mut facts = messages.flat_map(|message| match message {
            SourceMessage::Facts(inputs) => inputs,
            other => panic!("{other:?}"),
        });
        assert!(facts.any(|input| {
            matches!(input.fact, Fact::Recorded(RecordedFact::Kernel(KernelFact::Processes(of))) if of.workload.as_str() == "self")
        }));
        context.stop.store(true, Ordering::Relaxed);
        source::join_all(vec![source]).expect("it ends when asked to");
        assert!(
            events.send(InventoryEvent::NetworkRemoved { id: String::new() }).is_err(),
            "nothing receives any more"
        );
    }
}

//! Feeds timeline and tracker as the engine does, and the engine too, and compares whose each flow was with the truth.

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::time::Duration;

use hopwatch::engine::{Engine, EngineConfig, Timings};
use hopwatch::input::{Fact, FlowId, Input, KernelFact, RecordedFact, WorkloadId};
use hopwatch::inventory::{Owner, Timeline, TimelineLimits};
use hopwatch::path::{GracePeriods, Judge, JudgeContext, PathState, Step, Tracker, TrackerLimits};
use hopwatch::time::Timestamp;

use super::engine_config::for_tests;
use super::world::{Expected, Kind};

const ATTRIBUTION_GRACE: Duration = Duration::from_millis(600);
const ANSWER_GRACE: Duration = Duration::from_millis(400);
const MAX_FLOWS: usize = 4096;

pub struct Follower {
    timeline: Timeline,
    path: PathState,
    tracker: Tracker,
    timers: BTreeMap<(Timestamp, u64), FlowId>,
    sequence: u64,
    engine: Engine,
    waiting: HashMap<FlowId, Expected>,
    told: Told,
}

/// What came out.
#[derive(Debug, Default)]
pub struct Told {
    pub flows: u64,
    pub attributed: u64,
    pub misattributed: u64,
    pub early: u64,
    pub late: u64,
    kinds: BTreeMap<Kind, u64>,
    hows: BTreeMap<String, u64>,
    wrong: Vec<String>,
}

impl Told {
    pub fn ratio(&self) -> f64 {
        let share = |n: u64| f64::from(u32::try_from(n).expect("small"));
        share(self.attributed) / share(self.flows)
    }

    pub fn of(&self, kind: Kind) -> u64 {
        self.kinds.get(&kind).copied().unwrap_or_default()
    }
}

impl fmt::Display for Told {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { flows, attributed, misattributed, early, late, kinds, hows, wrong } = self;
        write!(
            f,
            "{flows} flows, {attributed} attributed ({:.4} %), {misattributed} to the wrong one; ",
            self.ratio() * 100.0
        )?;
        write!(f, "{early} before the runtime told, {late} after the end; {kinds:?}; {hows:?}; {wrong:#?}")
    }
}

fn limits(remember: Duration) -> TimelineLimits {
    TimelineLimits { workloads: 20_000, remember }
}

fn config(remember: Duration) -> EngineConfig {
    let base = for_tests();
    EngineConfig {
        timings: Timings { close_after: Duration::from_secs(20), ..base.timings },
        timeline: limits(remember),
        max_flows: MAX_FLOWS,
        max_alerts: 64,
        max_destinations: 8,
        ..base
    }
}

impl Follower {
    pub fn new(remember: Duration) -> Self {
        let limits_of_tracker =
            TrackerLimits { attribution_grace: ATTRIBUTION_GRACE, answer_grace: ANSWER_GRACE, max_flows: MAX_FLOWS };
        Self {
            timeline: Timeline::new(limits(remember)),
            path: PathState::default(),
            tracker: Tracker::new(Judge::new(vec![]), limits_of_tracker),
            timers: BTreeMap::new(),
            sequence: 0,
            engine: Engine::new(config(remember)),
            waiting: HashMap::new(),
            told: Told::default(),
        }
    }

    /// Takes in one input; whose flow it starts, if it does.
    pub fn push(&mut self, input: &Input, expected: Option<Expected>) {
        self.engine.push(input, &mut Vec::new());
        while let Some(((due, _), id)) = self.timers.first_key_value().map(|(key, id)| (*key, *id)) {
            if due > input.at {
                break;
            }
            self.timers.pop_first();
            self.step(|context, tracker, step| tracker.on_timer(context, id, due, step));
        }
        if let (Fact::Flow(event), Some(expected)) = (&input.fact, expected) {
            self.waiting.insert(event.record.id, expected);
        }
        self.take(input);
    }

    fn take(&mut self, input: &Input) {
        let at = input.at;
        match &input.fact {
            Fact::Flow(event) => self.step(|context, tracker, step| tracker.on_event(context, event, at, step)),
            Fact::Recorded(RecordedFact::Inventory(event)) => {
                self.timeline.apply(at, event);
                self.on_inventory(at);
            }
            Fact::Recorded(RecordedFact::Kernel(fact)) => {
                self.timeline.apply_kernel(at, fact);
                match fact {
                    KernelFact::SocketOpened(socket) => {
                        self.step(|context, tracker, step| tracker.on_socket(context, socket, at, step));
                    }
                    _ => self.on_inventory(at),
                }
            }
            Fact::Recorded(RecordedFact::Link(link)) => self.timeline.apply_link(link),
            _ => {}
        }
    }

    fn on_inventory(&mut self, at: Timestamp) {
        let touched = self.timeline.take_touched();
        self.step(|context, tracker, step| tracker.on_inventory(context, &touched, at, step));
    }

    fn step(&mut self, act: impl FnOnce(JudgeContext<'_>, &mut Tracker, &mut Step)) {
        let mut step = Step::default();
        let grace = GracePeriods {
            transit: Duration::from_millis(500),
            report: Duration::from_secs(10),
            hop_ready: Duration::from_secs(30),
            answer: Duration::from_millis(400),
            all_reported: false,
        };
        let context = JudgeContext { timeline: &self.timeline, path: &self.path, grace };
        act(context, &mut self.tracker, &mut step);
        for (at, id) in step.timers {
            self.sequence += 1;
            self.timers.insert((at, self.sequence), id);
        }
        for flow in step.judged {
            let expected = self.waiting.remove(&flow.view.record.id).expect("judged once");
            self.told.count(&expected, &flow.source, &flow.view.record.tuple);
        }
    }

    /// What came out; the engine must have counted the same.
    pub fn finish(mut self) -> Told {
        let now = self.timers.last_key_value().map_or(Timestamp::MIN, |((at, _), _)| *at);
        self.step(|context, tracker, step| tracker.finish(context, now, step));
        assert_eq!(self.waiting.len(), 0, "every flow is judged");
        let mut alerts = Vec::new();
        self.engine.finish(&mut alerts);
        let stats = self.engine.stats();
        assert_eq!(stats.flows_judged, self.told.flows);
        let attributed = |(key, n): (&(&str, &str), &u64)| if matches!(key.0, "exact" | "likely") { *n } else { 0 };
        assert_eq!(stats.attributions.iter().map(attributed).sum::<u64>(), self.told.attributed);
        assert_eq!(self.timeline.counts(), hopwatch::inventory::TimelineCounts::default(), "no bound was reached");
        self.told
    }
}

impl Told {
    fn count(&mut self, expected: &Expected, owner: &Owner, tuple: &hopwatch::input::FiveTuple) {
        self.flows += 1;
        *self.kinds.entry(expected.kind).or_default() += 1;
        self.early += u64::from(expected.early);
        self.late += u64::from(expected.late);
        let found = owner.workload().map(|workload| &workload.id);
        let is_right = |id: &WorkloadId| *id == expected.id;
        match (found, owner) {
            (Some(id), Owner::Workload { how, confidence, .. }) if is_right(id) => {
                self.attributed += 1;
                *self.hows.entry(format!("{} {}", how.as_str(), confidence.as_str())).or_default() += 1;
            }
            (found, _) => {
                self.attributed += u64::from(found.is_some());
                self.misattributed += u64::from(found.is_some());
                if self.wrong.len() < 12 {
                    self.wrong.push(format!("{expected:?}: {} {found:?} for {tuple:?}", owner.as_str()));
                }
            }
        }
    }
}

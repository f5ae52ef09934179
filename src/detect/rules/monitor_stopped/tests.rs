//! What a monitor's end is, and what is none: by facts alone.

use super::*;
use crate::detect::testing::{Bench, at, named, workload};
use crate::input::{AgentState, Attachment, Configuration, ResourceLimits};

/// A rule, and a timeline in which other things run too.
struct Scene {
    bench: Bench,
    rule: Box<dyn Rule>,
    now: u64,
}

impl Scene {
    fn new() -> Self {
        let mut rule: Box<dyn Rule> = Box::new(rule(&Params::default()));
        rule.monitors(&Arc::new(Monitors { workloads: vec![named("shipper*")], ..Monitors::default() }));
        let mut scene = Self { bench: Bench::new(&[("app", 10)]), rule, now: 1 };
        scene.tell(InventoryEvent::Reconciled { runtime: RuntimeId::DOCKER, running: vec![WorkloadId::new("app")] });
        scene
    }

    fn ask(&mut self, ask: impl FnOnce(&mut dyn Rule, Context<'_>, &mut Findings)) -> Vec<Finding> {
        let mut findings = Findings::default();
        let (timeline, path) = (&self.bench.timeline, &self.bench.path);
        let context = Context {
            timeline,
            actors: &crate::detect::Actors::default(),
            path,
            names: &crate::names::Names::default(),
            baseline: None,
            compared: None,
            now: at(self.now),
        };
        ask(self.rule.as_mut(), context, &mut findings);
        findings.into_parts().0
    }

    fn tell(&mut self, event: InventoryEvent) -> Vec<Finding> {
        self.bench.timeline.apply(at(self.now), &event);
        let workload = match &event {
            InventoryEvent::Workload(workload) => Some(Arc::clone(workload)),
            _ => None,
        };
        let fact = RecordedFact::Inventory(event);
        self.ask(|rule, context, findings| {
            rule.on_fact(context, &fact, findings);
            if let Some(workload) = &workload {
                rule.on_workload(context, workload, findings);
            }
        })
    }

    fn run(&mut self, id: &str, name: &str, change: impl FnOnce(&mut Workload)) -> Vec<Finding> {
        let mut one = Workload { id: WorkloadId::new(id), image: "team/shipper:1".into(), ..workload(name, 20) };
        one.since = Some(at(self.now));
        change(&mut one);
        self.tell(InventoryEvent::Workload(Arc::new(one)))
    }

    fn stop(&mut self, id: &str) -> Vec<Finding> {
        let (id, until) = (WorkloadId::new(id), at(self.now));
        self.tell(InventoryEvent::Stopped { id, until })
    }

    fn act(&mut self, id: &str, action: ContainerAct) -> Vec<Finding> {
        let (workload, at) = (WorkloadId::new(id), at(self.now));
        self.tell(InventoryEvent::Container(Arc::new(ContainerEvent {
            workload,
            runtime: RuntimeId::DOCKER,
            at,
            action,
        })))
    }

    /// Seconds pass.
    fn later(&mut self, seconds: u64) -> Vec<Finding> {
        self.now += seconds * 1000;
        self.ask(|rule, context, findings| rule.on_time(context, findings))
    }
}

fn limited(memory: i64) -> impl FnOnce(&mut Workload) {
    move |one| {
        let limits = ResourceLimits { memory, ..ResourceLimits::default() };
        one.configuration = Some(Arc::new(Configuration { limits, ..Configuration::default() }));
    }
}

#[test]
fn an_end_without_a_successor_is_reported_with_what_the_runtime_did() {
    let mut scene = Scene::new();
    scene.run("1", "shipper", |_| {});
    scene.later(60);
    scene.act("1", ContainerAct::Killed { signal: Some(9) });
    assert!(scene.stop("1").is_empty() && scene.later(119).is_empty());
    let found = scene.later(1);
    assert_eq!((found.len(), &*found[0].cause, found[0].severity), (1, "ended", Severity::High));
    assert_eq!(found[0].at, at(60_001), "when it ended, not when that was sure");
    assert!(found[0].evidence.iter().any(|evidence| evidence.text.ends_with("it was sent signal 9")), "{found:?}");
    assert!(scene.later(600).is_empty(), "once");
}

#[test]
fn a_successor_or_the_same_container_again_is_a_roll_out() {
    let mut scene = Scene::new();
    scene.run("1", "shipper", |_| {});
    scene.later(600);
    scene.stop("1");
    scene.later(10);
    scene.run("1", "shipper", |one| one.pid = Some(2));
    assert!(scene.later(600).is_empty(), "it was restarted");
    // As Compose does: the old one gets another name, the new one starts, the old one goes.
    scene.run("1", "3f2a9c7d1b00_shipper", |one| one.pid = Some(2));
    scene.stop("1");
    scene.later(5);
    scene.run("2", "shipper", |_| {});
    assert!(scene.later(600).is_empty());
}

#[test]
fn a_monitor_that_works_again_ends_its_alert_and_so_does_a_later_one_of_its_service() {
    let over = |found: &[Finding]| -> Vec<(String, String)> {
        let over = found.iter().filter(|finding| finding.is_over);
        over.map(|finding| (finding.cause.clone(), finding.evidence[0].text.clone())).collect()
    };
    let mut scene = Scene::new();
    scene.run("1", "shipper", |_| {});
    scene.run("1", "shipper", |one| one.state = WorkloadState::Paused);
    assert_eq!(scene.later(15).len(), 1);
    let found = scene.run("1", "shipper", |_| {});
    assert_eq!(over(&found), [("paused".to_owned(), "it works again".to_owned())]);
    scene.later(600);
    scene.stop("1");
    assert_eq!(scene.later(120).len(), 1);
    assert!(scene.run("2", "other", |_| {}).is_empty(), "of another service");
    let found = scene.run("3", "shipper", |_| {});
    assert_eq!(over(&found), [("ended".to_owned(), "shipper of the same service runs".to_owned())]);
    assert!(scene.run("4", "shipper", |_| {}).is_empty(), "once");
}

#[test]
fn another_replica_lowers_the_severity_and_another_image_is_no_successor() {
    let mut scene = Scene::new();
    for id in ["1", "2"] {
        scene.run(id, &format!("shipper-{id}"), |_| {});
    }
    scene.later(600);
    scene.stop("1");
    let found = scene.later(120);
    assert_eq!((found.len(), found[0].severity), (1, Severity::Medium));
    scene.stop("2");
    scene.run("3", "shipper-3", |one| one.image = "evil:1".into());
    assert_eq!(scene.later(120).len(), 1);
}

#[test]
fn a_short_pause_is_none_and_a_long_one_is_reported() {
    let mut scene = Scene::new();
    scene.run("1", "shipper", |_| {});
    scene.run("1", "shipper", |one| one.state = WorkloadState::Paused);
    scene.later(5);
    scene.run("1", "shipper", |_| {});
    assert!(scene.later(60).is_empty());
    scene.run("1", "shipper", |one| one.state = WorkloadState::Paused);
    assert_eq!(scene.later(15).iter().map(|found| &*found.cause).collect::<Vec<_>>(), ["paused"]);
}

#[test]
fn a_freezing_signal_a_lost_network_and_a_tiny_limit_are_reported() {
    let mut scene = Scene::new();
    let second = || Attachment { network: "logs".into(), ..Attachment::default() };
    scene.run("1", "shipper", |one| one.attachments.push(second()));
    scene.act("1", ContainerAct::Killed { signal: Some(1) });
    scene.run("1", "shipper", limited(1 << 30));
    let found = scene.later(15);
    assert_eq!(found.iter().map(|found| &*found.cause).collect::<Vec<_>>(), ["disconnected from logs"]);
    scene.run("1", "shipper", limited(6 << 20));
    scene.act("1", ContainerAct::Killed { signal: Some(19) });
    let found = scene.later(15);
    assert_eq!(found.iter().map(|found| &*found.cause).collect::<Vec<_>>(), ["frozen", "starved of memory"]);
}

#[test]
fn nothing_is_said_while_the_runtime_is_silent_or_when_everything_ends() {
    let mut scene = Scene::new();
    scene.run("1", "shipper", |_| {});
    scene.later(600);
    scene.stop("1");
    scene.tell(InventoryEvent::Disconnected { runtime: RuntimeId::DOCKER, error: "gone".into() });
    assert!(scene.later(120).is_empty());
    let mut scene = Scene::new();
    scene.run("1", "shipper", |_| {});
    scene.later(600);
    scene.stop("1");
    scene.stop("app");
    assert!(scene.later(120).is_empty());
}

#[test]
fn an_agent_that_ends_or_is_stopped_in_a_container_that_goes_on_is_reported() {
    let mut scene = Scene::new();
    scene.run("1", "shipper", |_| {});
    let show = |scene: &mut Scene, pid: u32, state: AgentState| {
        let (workload, program) = (WorkloadId::new("1"), "fluent-bit".to_owned());
        let fact =
            RecordedFact::Kernel(KernelFact::Agent(Arc::new(AgentProcess { workload, pid, start: 1, program, state })));
        scene.ask(|rule, context, findings| rule.on_fact(context, &fact, findings))
    };
    show(&mut scene, 7, AgentState::Running);
    show(&mut scene, 8, AgentState::Running);
    show(&mut scene, 7, AgentState::Ended);
    assert!(scene.later(60).is_empty(), "another one runs");
    show(&mut scene, 8, AgentState::Stopped);
    assert_eq!(scene.later(15).iter().map(|found| &*found.cause).collect::<Vec<_>>(), ["fluent-bit stopped"]);
    show(&mut scene, 8, AgentState::Ended);
    show(&mut scene, 9, AgentState::Running);
    assert!(scene.later(60).is_empty(), "its supervisor started it again");
    show(&mut scene, 9, AgentState::Ended);
    assert_eq!(scene.later(15).iter().map(|found| &*found.cause).collect::<Vec<_>>(), ["no process of fluent-bit"]);
    show(&mut scene, 10, AgentState::Running);
    show(&mut scene, 10, AgentState::Ended);
    scene.stop("1");
    assert_eq!(scene.later(15).len(), 0, "its end is the container's");
}

//! Several worlds side by side, since a scenario mostly waits.
//!
//! Contract: each lane is a world of its own with its own daemon, and takes the next scenario that nobody has; a scenario that is `alone` runs
//! while no other does. What came of each reaches the caller in the order in which they end. Limits: a lane that cannot be built is an error, and
//! its scenarios are run by the others; what the kernel has only once (its audit log) is not there for each lane.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Sender, channel};
use std::sync::{PoisonError, RwLock};

use anyhow::{Context, Result, anyhow, ensure};

use crate::run::{Lab, Outcome};
use crate::scenario::Scenario;
use crate::{daemon, images, internet, is_set, keep, netns, process, save};

/// How the laboratory runs.
pub struct Settings {
    /// The program under test; `None` only captures and checks the packets.
    pub hopwatch: Option<String>,
    /// How many worlds stand side by side.
    pub lanes: usize,
    /// How often each scenario runs.
    pub runs: u32,
}

impl Settings {
    /// From the switches.
    pub fn read() -> Result<Self> {
        let binary = std::env::var("HOPWATCH_BIN").unwrap_or_else(|_| env!("CARGO_BIN_EXE_hopwatch").to_owned());
        let binary = std::fs::canonicalize(&binary).with_context(|| format!("no program at {binary}"))?;
        netns::HOPWATCH.get_or_init(|| binary.to_string_lossy().into_owned());
        let hopwatch = (!is_set("HOPWATCH_LAB_CAPTURE_ONLY")).then(|| binary.to_string_lossy().into_owned());
        Ok(Self { hopwatch, lanes: number("HOPWATCH_LAB_LANES", 1)?, runs: number("HOPWATCH_LAB_RUNS", 1)? })
    }
}

/// A switch that is a number of at least one.
fn number<N: std::str::FromStr + PartialOrd + From<u8>>(switch: &str, usual: N) -> Result<N> {
    let Ok(text) = std::env::var(switch) else { return Ok(usual) };
    text.parse()
        .ok()
        .filter(|number| *number >= N::from(1))
        .with_context(|| format!("{switch} is {text:?}, not a number of at least 1"))
}

/// A scenario that has run.
pub struct Done<'s> {
    /// Which.
    pub scenario: &'s Scenario,
    /// What came of it.
    pub outcome: Outcome,
    /// How long it took.
    pub seconds: f64,
}

/// What the lanes share.
struct Queue<'s> {
    scenarios: &'s [Scenario],
    next: AtomicUsize,
    /// Held for reading by a scenario that runs, for writing by one that is alone.
    company: RwLock<()>,
    settings: &'s Settings,
}

impl<'s> Queue<'s> {
    fn take(&self) -> Option<&'s Scenario> {
        self.scenarios.get(self.next.fetch_add(1, Ordering::Relaxed))
    }

    /// Runs what is taken with the company that it may have.
    fn in_company<T>(&self, alone: bool, run: impl FnOnce() -> T) -> T {
        if alone {
            let _nobody = self.company.write().unwrap_or_else(PoisonError::into_inner);
            return run();
        }
        let _others = self.company.read().unwrap_or_else(PoisonError::into_inner);
        run()
    }
}

/// Runs the scenarios, and tells `done` of each as it ends.
pub fn run<'s>(scenarios: &'s [Scenario], settings: &'s Settings, mut done: impl FnMut(Done<'s>)) -> Result<()> {
    let queue = Queue { scenarios, next: AtomicUsize::new(0), company: RwLock::new(()), settings };
    let queue = &queue;
    let lanes = settings.lanes.min(scenarios.len());
    std::thread::scope(|scope| {
        let (tell, told) = channel();
        let lanes: Vec<_> = (1..=lanes)
            .map(|number| (tell.clone(), number))
            .map(|(tell, number)| scope.spawn(move || lane(queue, number, &tell)))
            .collect();
        drop(tell);
        told.iter().for_each(&mut done);
        let ended = lanes.into_iter().map(|lane| lane.join().unwrap_or_else(|_| Err(anyhow!("a lane panicked"))));
        ended.collect::<Vec<_>>().into_iter().collect()
    })
}

/// One lane: builds its world, and runs scenarios until none is left.
fn lane<'s>(queue: &Queue<'s>, number: usize, tell: &Sender<Done<'s>>) -> Result<()> {
    let start = process::clock();
    let world = netns::World::create()?;
    internet::build(&world)?;
    let daemon = daemon::Daemon::start(&world)?;
    images::build(&world)?;
    println!("lane {number} stands after {:.1} s", start.elapsed().as_secs_f64());
    let hopwatch = queue.settings.hopwatch.clone();
    let lab = Lab { world: &world, daemon, hopwatch, has_company: queue.settings.lanes > 1 };
    while let Some(scenario) = queue.take() {
        let mut first = None;
        for run in 1..=queue.settings.runs {
            let done = queue.in_company(scenario.alone, || one(&lab, scenario, &mut first));
            let done = done.with_context(|| format!("{}, run {run}", scenario.name))?;
            if tell.send(done).is_err() {
                return Ok(());
            }
        }
    }
    Ok(())
}

/// One run of a scenario; `first` is what its first run said.
fn one<'s>(lab: &Lab<'_>, scenario: &'s Scenario, first: &mut Option<BTreeSet<String>>) -> Result<Done<'s>> {
    let start = process::clock();
    let mut outcome =
        lab.run(scenario).unwrap_or_else(|error| Outcome { wrong: vec![format!("{error:#}")], ..Outcome::default() });
    ensure!(!process::interrupted(), "interrupted");
    for said in std::mem::take(&mut outcome.alike) {
        match first {
            Some(before) if *before != said => {
                outcome.wrong.push(format!("another run raised {before:?}, this one {said:?}"));
            }
            Some(_) => {}
            None => *first = Some(said),
        }
    }
    let worth_it = scenario.saved && outcome.wrong.is_empty() && lab.hopwatch.is_some();
    if let (Some(into), true) = (crate::folder("HOPWATCH_LAB_SAVE"), worth_it) {
        let saved = save::scenario(lab, scenario, &outcome, &into);
        outcome.wrong.extend(saved.err().map(|error| format!("{error:#}")));
    }
    if !outcome.wrong.is_empty() {
        keep(lab, scenario)?;
    }
    std::fs::remove_dir_all(lab.world.path(&scenario.name))?;
    Ok(Done { scenario, outcome, seconds: start.elapsed().as_secs_f64() })
}

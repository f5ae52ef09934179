//! `hopwatch top`: the live sniffer on a thread of its own, the terminal on this one.
//!
//! Contract: the terminal is given back on every way out: the key, a signal, an error, a panic of either thread. Drawn at most ten times
//! a second, and only when something changed. Limits: [`crate::engine::WorkloadStatsLimits::SHOWN`].
//! Design: the engine's thread publishes a [`TopSnapshot`] that this one reads; neither waits for the other, and capture knows nothing of it.

use std::io::{self, IsTerminal as _};
use std::sync::atomic::Ordering;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use ratatui::crossterm::event::{self, Event};
use ratatui::crossterm::terminal;

use super::live::{self, LiveOptions};
use super::logging::BufferedLog;
use super::output::Output;
use super::screen::Screen;
use super::summary::Summary;
use crate::clock::instant;
use crate::view::{Act, Top, TopSnapshot, draw, text};

/// Between two frames.
const FRAME: Duration = Duration::from_millis(100);
/// How often it is tried whether the engine runs.
const STARTING: Duration = Duration::from_millis(5);
/// How old a flow's counters may be at most, so that rates do not jump.
const FRESH: Duration = Duration::from_secs(2);
/// How long `--once` watches by default.
const ONCE: Duration = Duration::from_secs(3);
/// Columns of a frame that goes elsewhere than to a terminal.
const WIDE: u16 = 160;

type Running = JoinHandle<anyhow::Result<Summary>>;

/// Watches until the key, a signal or the duration ends it.
pub fn run(options: LiveOptions, log: &BufferedLog) -> anyhow::Result<()> {
    let (screen, engine) = start(options)?;
    let shown = show(&screen, &engine);
    screen.stop().store(true, Ordering::Relaxed);
    let ended = join(engine);
    if shown.is_err() || ended.is_err() {
        log.print();
    }
    shown.and(ended.map(drop))
}

/// Watches for a while and returns one frame as text, as it was before the taps were closed.
pub fn once(mut options: LiveOptions) -> anyhow::Result<String> {
    let (duration, begin) = (options.duration.take().unwrap_or(ONCE), instant());
    let (screen, engine) = start(options)?;
    let mut top = Top::new(&host());
    let mut seen = FrameCheck::default();
    while !engine.is_finished() && begin.elapsed() < duration {
        std::thread::sleep(FRAME);
        let snapshot = screen.read();
        seen.note(&snapshot);
        top.update(&snapshot);
    }
    screen.stop().store(true, Ordering::Relaxed);
    join(engine)?;
    seen.anything()?;
    let is_terminal = io::stdout().is_terminal();
    let width = is_terminal.then(|| terminal::size().ok()).flatten().map_or(WIDE, |(width, _)| width.max(80));
    Ok(text(&mut top, width))
}

/// What `--once` saw; a frame about nothing is an error.
#[derive(Debug, Default)]
struct FrameCheck {
    points: usize,
    answered: bool,
    not_ready: Vec<String>,
}

impl FrameCheck {
    fn note(&mut self, snapshot: &TopSnapshot) {
        self.points = self.points.max(snapshot.points);
        self.answered |= snapshot.runtimes.values().any(|answers| *answers);
        if snapshot.points == 0 && !snapshot.not_ready.is_empty() {
            self.not_ready.clone_from(&snapshot.not_ready);
        }
    }

    fn anything(&self) -> anyhow::Result<()> {
        let what = if self.not_ready.is_empty() {
            "interfaces have not been listed yet".to_owned()
        } else {
            self.not_ready.join("; ")
        };
        anyhow::ensure!(self.points > 0 || self.answered, "nothing could be watched: {what}");
        Ok(())
    }
}

fn start(mut options: LiveOptions) -> anyhow::Result<(Screen, Running)> {
    let screen = Screen::default();
    options.screen = Some(screen.clone());
    options.config.meter.update_interval = options.config.meter.update_interval.min(FRESH);
    let engine = std::thread::Builder::new().name("engine".to_owned());
    let engine =
        engine.spawn(move || live::run_for_summary(options, Output::none())).context("starting the engine's thread")?;
    Ok((screen, engine))
}

fn join(engine: Running) -> anyhow::Result<Summary> {
    engine.join().map_err(|_| anyhow::anyhow!("the engine panicked"))?
}

/// The host's name, as `hostname` shows it.
fn host() -> String {
    std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default().trim().to_owned()
}

/// Gives the terminal back when it goes out of scope.
struct Taken(ratatui::DefaultTerminal);

impl Drop for Taken {
    fn drop(&mut self) {
        ratatui::restore();
    }
}

/// Draws and reads keys until the end. The terminal is taken once the engine runs: from then on a signal ends it in order. A panic on any thread restores the terminal before its message (`ratatui::try_init` sees to it).
fn show(screen: &Screen, engine: &Running) -> anyhow::Result<()> {
    while !screen.is_published() {
        if engine.is_finished() {
            return Ok(());
        }
        std::thread::sleep(STARTING);
    }
    let mut terminal = Taken(ratatui::try_init().context("preparing the terminal")?);
    let mut top = Top::new(&host());
    let (mut changed, mut drawn) = (true, None::<Instant>);
    loop {
        changed |= top.update(&screen.read());
        let wait = drawn.map_or(Duration::ZERO, |drawn| FRAME.saturating_sub(drawn.elapsed()));
        if changed && wait.is_zero() {
            terminal.0.draw(|frame| draw(&mut top, frame)).context("drawing on the terminal")?;
            (changed, drawn) = (false, Some(instant()));
        }
        if engine.is_finished() {
            return Ok(());
        }
        if event::poll(if wait.is_zero() { FRAME } else { wait }).context("reading the keyboard")? {
            match event::read().context("reading the keyboard")? {
                Event::Key(key) => match top.key(key) {
                    Act::Quit => return Ok(()),
                    Act::Redraw => changed = true,
                    Act::Nothing => {}
                },
                Event::Resize(..) => changed = true,
                _ => {}
            }
        }
    }
}

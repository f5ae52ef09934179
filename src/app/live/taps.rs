//! Follows the interfaces that match, with a tap on each.
//!
//! Contract: an interface that appears is captured within [`LOOK_AGAIN`]; one that vanishes ends its tap only.
//! Limits: at most [`MAX_TAPS`] at once, each on a thread of its own; what is refused is said once and tried again slowly.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use anyhow::Context as _;
use crossbeam_channel::{Sender, TrySendError};
use globset::{Glob, GlobSet, GlobSetBuilder};

use super::feed::Feed;
use crate::app::recorder::Recorder;
use crate::config::CaptureConfig;
use crate::flow::MeterLimits;
use crate::host::{self, Interface};
use crate::input::{Fact, Input, ObservationPoint, RecordedFact};
use crate::observe::live::{Batch, Tap, TapOptions, TapSink, now};
use crate::time::Timestamp;

/// How often interfaces are listed.
const LOOK_AGAIN: Duration = Duration::from_millis(150);
/// After a refusal, lists that pass before the next try.
const PATIENCE: u32 = 20;
/// Interfaces captured at once.
const MAX_TAPS: usize = 512;

struct Running {
    thread: JoinHandle<()>,
    link: Interface,
}

struct Watch {
    options: TapOptions,
    sender: Sender<Feed>,
    recorder: Option<Arc<Recorder>>,
    stop: Arc<AtomicBool>,
    running: BTreeMap<ObservationPoint, Running>,
    refused: BTreeMap<ObservationPoint, u32>,
}

/// Starts the watch on a thread of its own.
pub fn watch(
    config: &CaptureConfig,
    meter: MeterLimits,
    sender: Sender<Feed>,
    recorder: Option<Arc<Recorder>>,
    stop: Arc<AtomicBool>,
) -> anyhow::Result<JoinHandle<()>> {
    let options = TapOptions { snap_length: config.snap_length, ring_bytes: config.ring_bytes, meter };
    let globs = globs(&config.interfaces)?;
    let mut watch = Watch { options, sender, recorder, stop, running: BTreeMap::new(), refused: BTreeMap::new() };
    let body = move || {
        while !watch.stop.load(Ordering::Relaxed) {
            match host::interfaces_matching(&globs) {
                Ok(found) => watch.look(&found),
                Err(error) => tracing::warn!("listing the interfaces failed: {error}"),
            }
            thread::sleep(LOOK_AGAIN);
        }
        for (_, running) in std::mem::take(&mut watch.running) {
            // A tap that panicked has been reported by the panic handler; its counters up to then are kept.
            let _ = running.thread.join();
        }
    };
    thread::Builder::new().name("interfaces".to_owned()).spawn(body).context("starting the interface watch")
}

fn globs(patterns: &[String]) -> anyhow::Result<GlobSet> {
    let mut globs = GlobSetBuilder::new();
    for pattern in patterns {
        globs.add(Glob::new(pattern).with_context(|| format!("{pattern:?} does not select interfaces"))?);
    }
    Ok(globs.build()?)
}

impl Watch {
    fn look(&mut self, found: &[Interface]) {
        let _ = self.sender.try_send(Feed::Matching(found.len()));
        self.running.retain(|_, running| !running.thread.is_finished());
        for link in found {
            let point = ObservationPoint::new(&link.name);
            match self.running.get_mut(&point) {
                Some(running) if running.link != *link => {
                    running.link = link.clone();
                    self.tell(link);
                }
                Some(_) => {}
                None => self.try_start(point, link),
            }
        }
        self.refused.retain(|point, _| found.iter().any(|link| link.name == point.as_str()));
    }

    fn try_start(&mut self, point: ObservationPoint, link: &Interface) {
        if let Some(wait) = self.refused.get_mut(&point).filter(|wait| **wait > 0) {
            *wait -= 1;
            return;
        }
        if !link.up || self.running.len() >= MAX_TAPS {
            return;
        }
        match self.start(&point) {
            Ok(thread) => {
                self.refused.remove(&point);
                self.running.insert(point, Running { thread, link: link.clone() });
                self.tell(link);
            }
            Err(error) => {
                self.refused.insert(point.clone(), PATIENCE);
                let _ = self.sender.try_send(Feed::TapRefused(point, format!("{error:#}")));
            }
        }
    }

    fn start(&self, point: &ObservationPoint) -> anyhow::Result<JoinHandle<()>> {
        let tap = Tap::open(point.clone(), &self.options)?;
        let interface =
            self.recorder.as_ref().map(|recorder| recorder.interface(point, tap.link(), self.options.snap_length));
        let mut sink = Sink {
            sender: self.sender.clone(),
            recording: self
                .recorder
                .clone()
                .zip(interface.transpose().context("adding the interface to the recording")?),
        };
        let (point, stop) = (point.clone(), Arc::clone(&self.stop));
        let body = move || {
            let reason = tap.run(&mut sink, &stop);
            // Waits: the end of a tap is rare and must not be lost.
            let _ = sink.sender.send(Feed::TapEnded(point, reason));
        };
        thread::Builder::new().name("tap".to_owned()).spawn(body).context("starting a capture thread")
    }

    fn tell(&self, link: &Interface) {
        let input = Input::new(now(), Fact::Recorded(RecordedFact::Link(link.link_event())));
        let _ = self.sender.send(Feed::Fact(input));
    }
}

/// Hands batches to the engine's thread, and packets to the recording.
struct Sink {
    sender: Sender<Feed>,
    recording: Option<(Arc<Recorder>, u32)>,
}

impl TapSink for Sink {
    fn batch(&mut self, batch: Batch) -> Result<(), Box<Batch>> {
        match self.sender.try_send(Feed::Tap(batch)).map_err(TrySendError::into_inner) {
            Err(Feed::Tap(batch)) => Err(Box::new(batch)),
            Ok(()) | Err(_) => Ok(()),
        }
    }

    fn packet(&mut self, at: Timestamp, wire_len: u32, data: &[u8]) {
        if let Some((recorder, interface)) = &self.recording {
            recorder.packet(*interface, at, wire_len, data);
        }
    }
}

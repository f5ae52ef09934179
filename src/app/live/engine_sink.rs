//! Where a tap's batches go: to the engine's queue and the shared counters, and its packets to the recording and the ring for evidence.
//!
//! Contract: never waits. A batch that finds the queue full goes back to the tap, which counts it as a loss. The last batch of a tap is not
//! lost: where the queue is full, a thread of its own waits for room.

use std::sync::Arc;
use std::thread;

use anyhow::Context as _;
use crossbeam_channel::{Sender, TrySendError};

use super::message::SourceMessage;
use super::source::SourceContext;
use crate::app::evidence::keeping::TapRing;
use crate::app::recorder::Recorder;
use crate::clock::now;
use crate::flow::Frame;
use crate::observe::live::{Tap, TapBatch, TapSink};
use crate::serve::SharedCounters;
use crate::time::Timestamp;

/// Hands batches to the engine's thread, and packets to the recording.
#[derive(Debug)]
pub(super) struct EngineSink {
    sender: Sender<SourceMessage>,
    ephemeral: bool,
    recording: Option<(Arc<Recorder>, u32)>,
    ring: Option<TapRing>,
    shared: Arc<SharedCounters>,
}

impl EngineSink {
    /// For a tap that was just opened; its packets are recorded where there is a recording. `ephemeral`: its interface ends with
    /// a container.
    pub(super) fn new(context: &SourceContext, tap: &Tap, snap_length: u32, ephemeral: bool) -> anyhow::Result<Self> {
        let recorder = context.recorder.as_ref();
        let interface = recorder.map(|recorder| recorder.interface(tap.point(), tap.link(), snap_length));
        let interface = interface.transpose().context("adding the interface to the recording")?;
        let recording = recorder.cloned().zip(interface);
        let ring = context.rings.as_ref().map(|rings| rings.ring(tap.point(), tap.link()));
        Ok(Self { sender: context.sender.clone(), ephemeral, recording, ring, shared: Arc::clone(&context.shared) })
    }
}

impl TapSink for EngineSink {
    fn batch(&mut self, batch: TapBatch) -> Result<(), Box<TapBatch>> {
        self.shared.points.update(&batch.point, batch.counters());
        match self.sender.try_send(SourceMessage::Tap(batch)).map_err(TrySendError::into_inner) {
            Err(SourceMessage::Tap(batch)) => Err(Box::new(batch)),
            Ok(()) | Err(_) => Ok(()),
        }
    }

    fn packet(&mut self, at: Timestamp, wire_len: u32, data: &[u8]) {
        if let Some((recorder, interface)) = &self.recording {
            recorder.packet(*interface, at, wire_len, data);
        }
    }

    fn group(&mut self, frames: &[Frame<'_>], telling: u64) {
        if let Some(ring) = &mut self.ring {
            ring.keep(frames, telling);
        }
    }

    fn look(&mut self, now: Timestamp) {
        if let Some(ring) = &mut self.ring {
            ring.look(now);
        }
    }

    /// The end of a tap is rare: where the queue is full, a thread of its own waits for room.
    fn ended(&mut self, last: TapBatch, reason: Option<String>) {
        if let Some(ring) = self.ring.take() {
            ring.end(now());
        }
        self.shared.points.update(&last.point, last.counters());
        self.shared.points.ended(&last.point);
        let ended = SourceMessage::TapEnded { point: last.point.clone(), reason, ephemeral: self.ephemeral };
        let sender = self.sender.clone();
        let refused = match self.sender.try_send(SourceMessage::Tap(last)) {
            Ok(()) => self.sender.try_send(ended).err().map(|error| vec![error.into_inner()]),
            Err(error) => Some(vec![error.into_inner(), ended]),
        };
        if let Some(refused) = refused {
            // Fails only when the engine is gone, or when the host gives no thread any more.
            let wait = move || refused.into_iter().for_each(|message| drop(sender.send(message)));
            let _ = thread::Builder::new().name("last-batch".to_owned()).spawn(wait);
        }
    }
}

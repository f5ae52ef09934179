//! Between the capture threads, which own the rings, and the collector, which asks for copies.
//!
//! Contract: a capture thread never waits here. It looks for requests when it looks at its tap, answers each with a copy, and hands its ring over as
//! a whole when its tap ends. Limits: [`REQUESTS`] requests wait for a tap; a request that finds no room, and an answer that does not come in
//! time, leave the bundle incomplete, which it says.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use crossbeam_channel::{Receiver, Sender, TrySendError};

use crate::decode::LinkType;
use crate::evidence::{Copied, PacketRing, RingLimits, RingMemory, Selection};
use crate::flow::Frame;
use crate::input::ObservationPoint;
use crate::sync;
use crate::time::Timestamp;

/// Requests that wait for one tap: of a second, where alerts come ten a second.
const REQUESTS: usize = 16;

/// One ring of this run: a point that comes back has another one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct RingId(u64);

/// What a tap is asked for.
#[derive(Debug)]
pub(super) struct Request {
    pub(super) selection: Arc<Selection>,
    /// What was copied before, by ring.
    pub(super) since: Arc<BTreeMap<RingId, u64>>,
    /// Bytes that all of them may copy, at most; threads that look at the same moment may each take what is left.
    pub(super) left: AtomicUsize,
    pub(super) answers: Sender<(RingId, Copied)>,
}

impl Request {
    /// What a ring has of it.
    pub(super) fn of(&self, id: RingId, ring: &PacketRing) -> Copied {
        let left = self.left.load(Ordering::Relaxed);
        let copied = ring.copy(&self.selection, self.since.get(&id).copied().unwrap_or(0), left);
        self.left.store(left.saturating_sub(copied.bytes()), Ordering::Relaxed);
        copied
    }
}

/// A tap's point, and the way to it.
type Way = (ObservationPoint, Sender<Arc<Request>>);

/// All taps that have a ring.
#[derive(Debug)]
pub(super) struct Hub {
    limits: RingLimits,
    memory: Arc<RingMemory>,
    next: AtomicU64,
    taps: Mutex<BTreeMap<RingId, Way>>,
    ended: Sender<(RingId, PacketRing)>,
}

impl Hub {
    pub(super) fn new(limits: RingLimits, memory: usize, ended: Sender<(RingId, PacketRing)>) -> Arc<Self> {
        let memory = RingMemory::new(memory);
        Arc::new(Self { limits, memory, next: AtomicU64::new(0), taps: Mutex::default(), ended })
    }

    /// Whether rings may hold anything.
    pub(super) const fn keeps_packets(&self) -> bool {
        self.limits.bytes > 0
    }

    /// Bytes that all rings hold.
    pub(super) fn ring_bytes(&self) -> usize {
        self.memory.used()
    }

    /// A ring for a tap.
    pub(super) fn ring(self: &Arc<Self>, point: &ObservationPoint, link: LinkType) -> TapRing {
        let id = RingId(self.next.fetch_add(1, Ordering::Relaxed));
        let (sender, requests) = crossbeam_channel::bounded(REQUESTS);
        sync::lock(&self.taps).insert(id, (point.clone(), sender));
        let ring = PacketRing::new(point.clone(), link, self.limits, &self.memory);
        TapRing { id, ring, requests, hub: Arc::clone(self) }
    }

    /// Asks every tap; the rings that are to answer, and the points that could not be asked.
    pub(super) fn ask(&self, request: &Arc<Request>) -> (Vec<(RingId, ObservationPoint)>, Vec<ObservationPoint>) {
        let (mut asked, mut full) = (Vec::new(), Vec::new());
        sync::lock(&self.taps).retain(|id, (point, sender)| match sender.try_send(Arc::clone(request)) {
            Ok(()) => {
                asked.push((*id, point.clone()));
                true
            }
            Err(TrySendError::Full(_)) => {
                full.push(point.clone());
                true
            }
            // Its ring is on its way.
            Err(TrySendError::Disconnected(_)) => false,
        });
        (asked, full)
    }

    /// How many taps there are: so many answers come at most.
    pub(super) fn taps(&self) -> usize {
        sync::lock(&self.taps).len()
    }
}

/// The ring of a tap, and what is asked of it.
#[derive(Debug)]
pub(in crate::app) struct TapRing {
    id: RingId,
    ring: PacketRing,
    requests: Receiver<Arc<Request>>,
    hub: Arc<Hub>,
}

impl TapRing {
    /// Keeps packets; see [`PacketRing::keep`].
    pub(in crate::app) fn keep(&mut self, frames: &[Frame<'_>], telling: u64) {
        self.ring.keep(frames, telling);
    }

    /// Forgets what is too old, and answers what was asked.
    pub(in crate::app) fn look(&mut self, now: Timestamp) {
        self.ring.expire(now);
        for request in self.requests.try_iter() {
            // One that is no longer waited for.
            let _ = request.answers.try_send((self.id, request.of(self.id, &self.ring)));
        }
    }

    /// The tap ends: what it has goes to the collector.
    pub(in crate::app) fn end(mut self, now: Timestamp) {
        self.look(now);
        if self.hub.ended.try_send((self.id, self.ring)).is_err() {
            tracing::warn!("a tap ended while the collector of evidence was busy; what it kept is lost");
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn hub() -> (Arc<Hub>, Receiver<(RingId, PacketRing)>) {
        let limits = RingLimits { bytes: 1 << 20, age: Duration::from_mins(1), snap: 256 };
        let (sender, ended) = crossbeam_channel::bounded(4);
        (Hub::new(limits, 64 << 20, sender), ended)
    }

    fn request(capacity: usize) -> (Arc<Request>, Receiver<(RingId, Copied)>) {
        let (answers, answered) = crossbeam_channel::bounded(capacity);
        let (selection, since) = (Arc::default(), Arc::default());
        (Arc::new(Request { selection, since, left: AtomicUsize::new(1 << 20), answers }), answered)
    }

    #[test]
    fn a_tap_that_does_not_look_is_named_and_a_full_queue_for_answers_stops_nobody() {
        let (hub, _ended) = hub();
        let point = ObservationPoint::new("veth1");
        let mut tap = hub.ring(&point, LinkType::ETHERNET);
        let (request, answered) = request(1);
        for _ in 0..REQUESTS {
            assert_eq!(hub.ask(&request).1, []);
        }
        assert_eq!(hub.ask(&request).1, [point]);
        tap.look(Timestamp::from_secs(1));
        assert_eq!(answered.try_iter().count(), 1, "the others found no room");
        assert_eq!(hub.ask(&request).1, [], "it was looked");
    }

    #[test]
    fn the_ring_of_a_tap_that_ended_is_handed_over_as_a_whole() {
        let (hub, ended) = hub();
        let mut tap = hub.ring(&ObservationPoint::new("veth1"), LinkType::ETHERNET);
        tap.keep(&[Frame { at: Timestamp::from_secs(1), wire_len: 60, data: &[0; 60] }], 0);
        tap.end(Timestamp::from_secs(1));
        assert_eq!(ended.try_iter().next().and_then(|(_, ring)| ring.latest()), Some(Timestamp::from_secs(1)));
        let (request, _answered) = request(1);
        assert_eq!(hub.ask(&request), (Vec::new(), Vec::new()));
    }
}

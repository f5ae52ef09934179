//! The threads that read taps, each several.
//!
//! Contract: a tap stays with its thread; a thread goes around its taps and takes [`TURN_PACKETS`] at most from each, so that a
//! flood on one does not starve the others. Limits: as many threads as were allowed; a new one starts only when all others have taps.
//! Design: a new tap goes to the thread that reads the fewest packets. `epoll` names the taps that have packets, so a quiet one costs nothing. Where little is to do, a thread pauses between two rounds,
//! so that many quiet interfaces do not wake it for each of their packets; the rings hold what comes meanwhile.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};

use super::progress::{Progress, ThreadProgress};
use super::ring::{HELD_BACK, RETIRE};
use super::tap::{Closing, Group, TURN_PACKETS, Tap, TapSink};
use crate::clock::now;
use crate::sandbox;
use crate::time::Timestamp;

/// How often a thread looks at all its taps, whether packets came or not.
pub(super) const ROUND: Duration = Duration::from_millis(100);
/// How often while the engine waits for what the taps have.
const AWAITED_ROUND: Duration = Duration::from_millis(10);
/// Taps that are reported ready at once.
const EVENTS: usize = 64;
/// Among the places: the thread is woken.
const WAKER: u64 = u64::MAX;
/// How long a thread pauses after a round with few packets: far less than a ring lasts.
const PAUSE: Duration = Duration::from_millis(4);
/// So many packets in a round are few.
const FEW: usize = TURN_PACKETS;
/// Told to end, a tap reads on until the packets from before that have left the ring.
const LINGER: Duration = Duration::from_millis(60);
/// But no longer than this, where the ring is never empty.
const LINGER_MOST: Duration = Duration::from_secs(1);
/// Rings that one thread closes one after the other.
const CLOSED_TOGETHER: usize = 8;
/// Threads are compared by hundred thousands of packets per second, then by taps.
const LOAD_STEP: u64 = 100_000;

/// Threads with taps.
#[derive(Debug)]
pub struct CapturePool<S> {
    most: usize,
    stop: Arc<AtomicBool>,
    progress: Arc<Progress>,
    workers: Vec<PoolThread<S>>,
}

/// A tap that was given to a pool.
#[derive(Clone, Debug, Default)]
pub struct TapHandle {
    ended: Arc<AtomicBool>,
    stop: Arc<AtomicBool>,
}

impl TapHandle {
    /// Whether it has ended, and said so.
    pub fn is_ended(&self) -> bool {
        self.ended.load(Ordering::Acquire)
    }

    /// Asks it to end.
    pub fn stop(&self) {
        self.stop.store(true, Ordering::Relaxed);
    }
}

#[derive(Debug)]
struct PoolThread<S> {
    sender: Sender<PooledTap<S>>,
    load: Arc<Load>,
    thread: JoinHandle<()>,
}

/// What a thread has to do.
#[derive(Debug, Default)]
struct Load {
    taps: AtomicUsize,
    packets_per_second: AtomicU64,
}

#[derive(Debug)]
struct PooledTap<S> {
    tap: Tap,
    sink: S,
    handle: TapHandle,
    /// Since when it is to end.
    ending: Option<Timestamp>,
}

impl<S: TapSink + Send + 'static> CapturePool<S> {
    /// A pool of at most so many threads; `stop` ends all taps.
    pub fn new(most: usize, stop: Arc<AtomicBool>) -> Self {
        Self { most, stop, progress: Arc::default(), workers: Vec::new() }
    }

    /// Its threads report how far they are.
    #[must_use]
    pub fn reporting(self, progress: Arc<Progress>) -> Self {
        Self { progress, ..self }
    }

    /// Gives a tap to the thread with the least to do, or to a new one.
    pub fn add(&mut self, tap: Tap, sink: S) -> io::Result<TapHandle> {
        let worker = self.worker()?;
        let handle = TapHandle::default();
        worker.load.taps.fetch_add(1, Ordering::Relaxed);
        let pooled = PooledTap { tap, sink, handle: handle.clone(), ending: None };
        let gone = || io::Error::other("a capture thread ended; its panic was reported");
        worker.sender.send(pooled).map_err(|_| gone())?;
        Ok(handle)
    }

    /// Waits for all threads, after they were asked to stop.
    pub fn join(self) {
        for PoolThread { sender, thread, .. } in self.workers {
            drop(sender);
            // One that panicked has been reported by the panic handler; its counters up to then are kept.
            let _ = thread.join();
        }
    }

    fn worker(&mut self) -> io::Result<&PoolThread<S>> {
        self.workers.retain(|worker| !worker.thread.is_finished());
        let all_busy = self.workers.iter().all(|worker| worker.load.taps.load(Ordering::Relaxed) > 0);
        if self.workers.len() < self.most.max(1) && all_busy {
            self.start()?;
        }
        let least = self.workers.iter().min_by_key(|worker| {
            let packets = worker.load.packets_per_second.load(Ordering::Relaxed);
            (packets / LOAD_STEP, worker.load.taps.load(Ordering::Relaxed))
        });
        least.ok_or_else(|| io::Error::other("no capture thread"))
    }

    fn start(&mut self) -> io::Result<()> {
        let (sender, receiver) = channel();
        let load = Arc::<Load>::default();
        let progress = self.progress.add(now())?;
        let epoll = Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC)?;
        epoll.add(progress.waker(), EpollEvent::new(EpollFlags::EPOLLIN, WAKER))?;
        let worker = Worker {
            receiver,
            stop: Arc::clone(&self.stop),
            load: Arc::clone(&load),
            progress,
            epoll,
            taps: Vec::new(),
            ready: Vec::new(),
            closers: Vec::new(),
            closing: Vec::new(),
            group: Group::default(),
            looked: now(),
            counted: (now(), 0),
        };
        let thread = thread::Builder::new().name("capture".to_owned()).spawn(move || {
            sandbox::narrow();
            worker.run();
        })?;
        self.workers.push(PoolThread { sender, load, thread });
        Ok(())
    }
}

/// What is due at a tap.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Visit {
    /// It has packets.
    Read,
    /// It has none; what waits in its flow table is looked at.
    Look,
    /// Both.
    Both,
}

/// The body of a thread.
struct Worker<S> {
    receiver: Receiver<PooledTap<S>>,
    stop: Arc<AtomicBool>,
    load: Arc<Load>,
    progress: Arc<ThreadProgress>,
    epoll: Epoll,
    /// Taps keep their places; a place is what `epoll` names.
    taps: Vec<Option<PooledTap<S>>>,
    /// Places whose taps have packets.
    ready: Vec<usize>,
    /// Threads that close rings.
    closers: Vec<JoinHandle<()>>,
    closing: Vec<Closing>,
    group: Group,
    /// When all taps were last looked at.
    looked: Timestamp,
    /// Packets since then.
    counted: (Timestamp, u64),
}

impl<S: TapSink> Worker<S> {
    fn run(mut self) {
        while self.take_new() {
            self.wait();
            let time = now();
            let all = time.since(self.looked) >= self.round_time();
            let read = self.round(time, all);
            self.close();
            self.count(time, read);
            if (1..FEW).contains(&read) {
                thread::sleep(PAUSE);
            }
        }
        self.progress.rest();
        for closer in self.closers {
            // Dropping a ring does not panic.
            let _ = closer.join();
        }
    }

    fn round_time(&self) -> Duration {
        if self.progress.is_awaited() { AWAITED_ROUND } else { ROUND }
    }

    /// Closes rings elsewhere: it takes the kernel long, and the other taps must be read meanwhile.
    fn close(&mut self) {
        self.closers.retain(|closer| !closer.is_finished());
        while !self.closing.is_empty() {
            let some = self.closing.split_off(self.closing.len().saturating_sub(CLOSED_TOGETHER));
            // Where the host gives no thread any more, the rings are closed here and now.
            self.closers.extend(thread::Builder::new().name("closing".to_owned()).spawn(move || drop(some)));
        }
    }

    /// Takes taps that were given; false when there is nothing left to do.
    fn take_new(&mut self) -> bool {
        while let Ok(pooled) = self.receiver.try_recv() {
            self.place(pooled);
        }
        if self.taps.iter().any(Option::is_some) {
            return true;
        }
        self.progress.rest();
        match self.receiver.recv_timeout(ROUND) {
            Ok(pooled) => self.place(pooled),
            Err(RecvTimeoutError::Disconnected) => return false,
            Err(RecvTimeoutError::Timeout) => return !self.stop.load(Ordering::Relaxed),
        }
        true
    }

    fn place(&mut self, pooled: PooledTap<S>) {
        let place = self.taps.iter().position(Option::is_none).unwrap_or(self.taps.len());
        let event = EpollEvent::new(EpollFlags::EPOLLIN, place as u64);
        if let Err(error) = self.epoll.add(&pooled.tap, event) {
            let reason = format!("the kernel does not report its packets: {error}");
            return self.end(pooled, now(), Some(reason));
        }
        if place == self.taps.len() {
            self.taps.push(None);
        }
        if let Some(free) = self.taps.get_mut(place) {
            *free = Some(pooled);
        }
    }

    /// Waits for packets; leaves the places of the taps that have some.
    fn wait(&mut self) {
        // What is left in a ring is there now.
        self.ready.retain(|place| matches!(self.taps.get(*place), Some(Some(pooled)) if pooled.tap.has_backlog()));
        let timeout = if self.ready.is_empty() { self.round_time() } else { Duration::ZERO };
        let mut events = [EpollEvent::empty(); EVENTS];
        // An interrupted or failed wait only means that the rings are looked at later.
        let timeout = EpollTimeout::try_from(timeout).unwrap_or(EpollTimeout::ZERO);
        let count = self.epoll.wait(&mut events, timeout).unwrap_or(0);
        for event in events.get(..count).unwrap_or_default() {
            match usize::try_from(event.data()) {
                Ok(place) if event.data() != WAKER => {
                    if !self.ready.contains(&place) {
                        self.ready.push(place);
                    }
                }
                _ => _ = self.progress.waker().read(),
            }
        }
    }

    /// Reads the taps that are ready, and looks at all of them where that is due; how many packets were read.
    fn round(&mut self, time: Timestamp, all: bool) -> usize {
        let ready = std::mem::take(&mut self.ready);
        if all {
            self.looked = time;
        }
        // No further than the flow tables are advanced.
        let mut reached = self.looked.minus(HELD_BACK);
        let mut total = 0;
        for place in &ready {
            total += self.visit(*place, time, if all { Visit::Both } else { Visit::Read }, &mut reached);
        }
        self.ready = ready;
        if all {
            for place in 0..self.taps.len() {
                if !self.ready.contains(&place) {
                    total += self.visit(place, time, Visit::Look, &mut reached);
                }
            }
        }
        self.progress.reach(reached);
        total
    }

    /// Reads a tap where it is ready, looks at it where that is due, and ends it where it is over.
    fn visit(&mut self, place: usize, time: Timestamp, visit: Visit, reached: &mut Timestamp) -> usize {
        let stopping = self.stop.load(Ordering::Relaxed);
        let Some(Some(pooled)) = self.taps.get_mut(place) else { return 0 };
        let is_ending = stopping || pooled.handle.stop.load(Ordering::Relaxed);
        let read =
            if visit != Visit::Look || is_ending { pooled.tap.read(&mut self.group, &mut pooled.sink) } else { Ok(0) };
        let reason = read.as_ref().err().map(ToString::to_string);
        let count = *read.as_ref().unwrap_or(&0);
        if reason.is_some() || is_ending && pooled.is_done(time, count == 0) {
            if let Some(pooled) = self.taps.get_mut(place).and_then(Option::take) {
                // One that is gone is not among them any more.
                let _ = self.epoll.delete(&pooled.tap);
                self.end(pooled, time, reason);
            }
            return count;
        }
        if visit != Visit::Read {
            pooled.tap.look(time, &mut pooled.sink);
        } else if count > 0 {
            pooled.tap.hand_over(time, &mut pooled.sink);
        }
        if pooled.tap.has_backlog() {
            *reached = (*reached).min(pooled.tap.latest());
        }
        count
    }

    fn end(&mut self, mut pooled: PooledTap<S>, time: Timestamp, reason: Option<String>) {
        self.load.taps.fetch_sub(1, Ordering::Relaxed);
        self.closing.push(pooled.tap.end(time, reason, &mut pooled.sink));
        pooled.handle.ended.store(true, Ordering::Release);
    }

    fn count(&mut self, time: Timestamp, read: usize) {
        let (since, packets) = &mut self.counted;
        *packets += read as u64;
        if time.since(*since) >= Duration::from_secs(1) {
            self.load.packets_per_second.store(*packets, Ordering::Relaxed);
            self.counted = (time, 0);
        }
    }
}

impl<S> PooledTap<S> {
    /// Whether it has read what came before it was asked to end.
    fn is_done(&mut self, time: Timestamp, empty: bool) -> bool {
        let since = *self.ending.get_or_insert(time);
        let waited = time.since(since);
        self.tap.latest() > since || (empty && waited >= LINGER) || waited >= LINGER_MOST
    }
}

const _: () = assert!(LINGER.as_millis() > RETIRE.as_millis(), "what the kernel holds back must reach a tap that ends");

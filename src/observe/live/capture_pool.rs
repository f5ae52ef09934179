//! The threads that read taps, each several.
//!
//! Contract: a tap stays with its thread; a thread goes around its taps and takes [`TURN_PACKETS`] at most from each, so that a
//! flood on one does not starve the others. Limits: as many threads as were allowed; a new one starts only when all others have taps.
//! Design: a new tap goes to the thread that reads the fewest packets. Where little is to do, a thread pauses between two rounds,
//! so that many quiet interfaces do not wake it for each of their packets; the rings hold what comes meanwhile.

use std::io;
use std::os::fd::AsFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use super::tap::{Closing, Group, RETIRE, TURN_PACKETS, Tap, TapSink};
use crate::clock::now;
use crate::time::Timestamp;

/// How often a thread looks at all its taps, whether packets came or not.
pub(super) const ROUND: Duration = Duration::from_millis(50);
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
/// Threads are told apart by hundred thousands of packets a second, then by taps.
const LOAD_STEP: u64 = 100_000;

/// Threads with taps.
#[derive(Debug)]
pub struct CapturePool<S> {
    most: usize,
    stop: Arc<AtomicBool>,
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

    /// Tells it to end.
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
    pub const fn new(most: usize, stop: Arc<AtomicBool>) -> Self {
        Self { most, stop, workers: Vec::new() }
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

    /// Waits for all threads, after they were told to stop.
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
        let worker = Worker {
            receiver,
            stop: Arc::clone(&self.stop),
            load: Arc::clone(&load),
            taps: Vec::new(),
            closers: Vec::new(),
            group: Group::default(),
            looked: now(),
            counted: (now(), 0),
        };
        let thread = thread::Builder::new().name("capture".to_owned()).spawn(move || worker.run())?;
        self.workers.push(PoolThread { sender, load, thread });
        Ok(())
    }
}

/// The body of a thread.
struct Worker<S> {
    receiver: Receiver<PooledTap<S>>,
    stop: Arc<AtomicBool>,
    load: Arc<Load>,
    taps: Vec<PooledTap<S>>,
    /// Threads that close rings.
    closers: Vec<JoinHandle<()>>,
    group: Group,
    /// When all taps were last looked at.
    looked: Timestamp,
    /// Packets since then.
    counted: (Timestamp, u64),
}

impl<S: TapSink> Worker<S> {
    fn run(mut self) {
        while self.take_new() {
            let ready = self.wait();
            let time = now();
            let all = time.since(self.looked) >= ROUND;
            if all {
                self.looked = time;
            }
            let (read, closing) = self.round(&ready, time, all);
            self.close(closing);
            self.count(time, read);
            if read < FEW {
                thread::sleep(PAUSE);
            }
        }
        for closer in self.closers {
            // Dropping a ring does not panic.
            let _ = closer.join();
        }
    }

    /// Closes rings elsewhere: it takes the kernel long, and the other taps must be read meanwhile.
    fn close(&mut self, mut closing: Vec<Closing>) {
        self.closers.retain(|closer| !closer.is_finished());
        while !closing.is_empty() {
            let some = closing.split_off(closing.len().saturating_sub(CLOSED_TOGETHER));
            // Where the host gives no thread any more, the rings are closed here and now.
            self.closers.extend(thread::Builder::new().name("closing".to_owned()).spawn(move || drop(some)));
        }
    }

    /// Takes taps that were given; false when there is nothing left to do.
    fn take_new(&mut self) -> bool {
        self.taps.extend(self.receiver.try_iter());
        if !self.taps.is_empty() {
            return true;
        }
        match self.receiver.recv_timeout(ROUND) {
            Ok(pooled) => self.taps.push(pooled),
            Err(RecvTimeoutError::Disconnected) => return false,
            Err(RecvTimeoutError::Timeout) => {}
        }
        !(self.taps.is_empty() && self.stop.load(Ordering::Relaxed))
    }

    /// Waits for packets; which taps have some.
    fn wait(&self) -> Vec<bool> {
        let backlog = self.taps.iter().any(|pooled| pooled.tap.has_backlog());
        let timeout = if backlog { PollTimeout::ZERO } else { millis(ROUND) };
        let mut descriptors: Vec<_> =
            self.taps.iter().map(|pooled| PollFd::new(pooled.tap.as_fd(), PollFlags::POLLIN)).collect();
        // An interrupted or failed wait only means that the rings are looked at sooner.
        let failed = poll(&mut descriptors, timeout).is_err();
        let each = self.taps.iter().zip(&descriptors);
        each.map(|(pooled, polled)| failed || pooled.tap.has_backlog() || polled.any().unwrap_or(true)).collect()
    }

    /// Reads the taps that are ready, and looks at all of them where that is due.
    fn round(&mut self, ready: &[bool], time: Timestamp, all: bool) -> (usize, Vec<Closing>) {
        let stopping = self.stop.load(Ordering::Relaxed);
        let (mut total, mut closing) = (0, Vec::new());
        let mut kept = Vec::with_capacity(self.taps.len());
        for (mut pooled, ready) in std::mem::take(&mut self.taps).into_iter().zip(ready) {
            let read = if *ready { pooled.tap.read(&mut self.group, &mut pooled.sink) } else { Ok(0) };
            let reason = read.as_ref().err().map(ToString::to_string);
            total += read.as_ref().map_or(0, |count| *count);
            if reason.is_some() || pooled.is_done(time, stopping, read == Ok(0)) {
                self.load.taps.fetch_sub(1, Ordering::Relaxed);
                closing.push(pooled.tap.end(time, reason, &mut pooled.sink));
                pooled.handle.ended.store(true, Ordering::Release);
                continue;
            }
            if all {
                pooled.tap.look(time, &mut pooled.sink);
            } else if read != Ok(0) {
                pooled.tap.hand_over(time, &mut pooled.sink);
            }
            kept.push(pooled);
        }
        self.taps = kept;
        (total, closing)
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
    /// Whether it was told to end and has read what came before that.
    fn is_done(&mut self, time: Timestamp, stopping: bool, empty: bool) -> bool {
        if !stopping && !self.handle.stop.load(Ordering::Relaxed) {
            return false;
        }
        let since = *self.ending.get_or_insert(time);
        let waited = time.since(since);
        self.tap.latest() > since || (empty && waited >= LINGER) || waited >= LINGER_MOST
    }
}

fn millis(duration: Duration) -> PollTimeout {
    PollTimeout::try_from(duration).unwrap_or(PollTimeout::ZERO)
}

const _: () = assert!(LINGER.as_millis() > RETIRE.as_millis(), "what the kernel holds back must reach a tap that ends");

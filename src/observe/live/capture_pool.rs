//! The threads that read taps, each several.
//!
//! Contract: a tap stays with its thread; a thread goes around its taps and takes [`TURN_PACKETS`] at most from each, so that a
//! flood on one does not starve the others. Limits: as many threads as were allowed; an idle crew has as many as it has taps.
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

use super::now;
use super::tap::{Closing, Group, RETIRE, TURN_PACKETS, Tap, TapSink};
use crate::time::Timestamp;

/// How often a thread looks at all its taps, whether packets came or not.
const ROUND: Duration = Duration::from_millis(50);
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
pub struct Crew<S> {
    most: usize,
    stop: Arc<AtomicBool>,
    workers: Vec<Worker<S>>,
}

/// A tap that was given to a crew.
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
struct Worker<S> {
    sender: Sender<Member<S>>,
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
struct Member<S> {
    tap: Tap,
    sink: S,
    handle: TapHandle,
    /// Since when it is to end.
    ending: Option<Timestamp>,
}

impl<S: TapSink + Send + 'static> Crew<S> {
    /// A crew of at most so many threads; `stop` ends all taps.
    pub const fn new(most: usize, stop: Arc<AtomicBool>) -> Self {
        Self { most, stop, workers: Vec::new() }
    }

    /// Gives a tap to the thread with the least to do, or to a new one.
    pub fn add(&mut self, tap: Tap, sink: S) -> io::Result<TapHandle> {
        let worker = self.worker()?;
        let handle = TapHandle::default();
        worker.load.taps.fetch_add(1, Ordering::Relaxed);
        let member = Member { tap, sink, handle: handle.clone(), ending: None };
        let gone = || io::Error::other("a capture thread ended; its panic was reported");
        worker.sender.send(member).map_err(|_| gone())?;
        Ok(handle)
    }

    /// Waits for all threads, after they were told to stop.
    pub fn join(self) {
        for Worker { sender, thread, .. } in self.workers {
            drop(sender);
            // One that panicked has been reported by the panic handler; its counters up to then are kept.
            let _ = thread.join();
        }
    }

    fn worker(&mut self) -> io::Result<&Worker<S>> {
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
        let rounds = Rounds {
            receiver,
            stop: Arc::clone(&self.stop),
            load: Arc::clone(&load),
            members: Vec::new(),
            closers: Vec::new(),
            group: Group::default(),
            looked: now(),
            counted: (now(), 0),
        };
        let thread = thread::Builder::new().name("capture".to_owned()).spawn(move || rounds.run())?;
        self.workers.push(Worker { sender, load, thread });
        Ok(())
    }
}

/// The body of a thread.
struct Rounds<S> {
    receiver: Receiver<Member<S>>,
    stop: Arc<AtomicBool>,
    load: Arc<Load>,
    members: Vec<Member<S>>,
    /// Threads that close rings.
    closers: Vec<JoinHandle<()>>,
    group: Group,
    /// When all taps were last looked at.
    looked: Timestamp,
    /// Packets since then.
    counted: (Timestamp, u64),
}

impl<S: TapSink> Rounds<S> {
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
        self.members.extend(self.receiver.try_iter());
        if !self.members.is_empty() {
            return true;
        }
        match self.receiver.recv_timeout(ROUND) {
            Ok(member) => self.members.push(member),
            Err(RecvTimeoutError::Disconnected) => return false,
            Err(RecvTimeoutError::Timeout) => {}
        }
        !(self.members.is_empty() && self.stop.load(Ordering::Relaxed))
    }

    /// Waits for packets; which taps have some.
    fn wait(&self) -> Vec<bool> {
        let backlog = self.members.iter().any(|member| member.tap.has_backlog());
        let timeout = if backlog { PollTimeout::ZERO } else { millis(ROUND) };
        let mut descriptors: Vec<_> =
            self.members.iter().map(|member| PollFd::new(member.tap.as_fd(), PollFlags::POLLIN)).collect();
        // An interrupted or failed wait only means that the rings are looked at sooner.
        let failed = poll(&mut descriptors, timeout).is_err();
        let each = self.members.iter().zip(&descriptors);
        each.map(|(member, polled)| failed || member.tap.has_backlog() || polled.any().unwrap_or(true)).collect()
    }

    /// Reads the taps that are ready, and looks at all of them where that is due.
    fn round(&mut self, ready: &[bool], time: Timestamp, all: bool) -> (usize, Vec<Closing>) {
        let stopping = self.stop.load(Ordering::Relaxed);
        let (mut total, mut closing) = (0, Vec::new());
        let mut kept = Vec::with_capacity(self.members.len());
        for (mut member, ready) in std::mem::take(&mut self.members).into_iter().zip(ready) {
            let read = if *ready { member.tap.read(&mut self.group, &mut member.sink) } else { Ok(0) };
            let reason = read.as_ref().err().map(ToString::to_string);
            total += read.as_ref().map_or(0, |count| *count);
            if reason.is_some() || member.is_done(time, stopping, read == Ok(0)) {
                self.load.taps.fetch_sub(1, Ordering::Relaxed);
                closing.push(member.tap.end(time, reason, &mut member.sink));
                member.handle.ended.store(true, Ordering::Release);
                continue;
            }
            if all {
                member.tap.look(time, &mut member.sink);
            } else if read != Ok(0) {
                member.tap.hand_over(time, &mut member.sink);
            }
            kept.push(member);
        }
        self.members = kept;
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

impl<S> Member<S> {
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

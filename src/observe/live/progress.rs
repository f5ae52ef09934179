//! How far the capture threads have read, so that the engine waits for the slowest of them and no longer.
//!
//! Contract: what a thread has reached is a promise: all packets from before that have been handed over. Limits: a timer of the kernel that fires late
//! breaks it, by as much as it is late; so the flow tables are kept as far behind the wall clock. Design: one number a thread; while the engine waits, threads go around more often.

use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::sync::{Arc, Mutex};

use nix::sys::eventfd::{EfdFlags, EventFd};

use super::ring::HELD_BACK;
use crate::sync;
use crate::time::Timestamp;

/// Of all threads.
#[derive(Debug, Default)]
pub struct Progress {
    threads: Mutex<Vec<Arc<ThreadProgress>>>,
    /// Of others that have something to do while the engine waits.
    wakers: Mutex<Vec<Arc<EventFd>>>,
    awaited: Arc<AtomicBool>,
    awaited_last: AtomicI64,
}

/// Of one thread.
#[derive(Debug)]
pub(super) struct ThreadProgress {
    reached: AtomicI64,
    awaited: Arc<AtomicBool>,
    /// Wakes it.
    waker: EventFd,
}

impl Progress {
    /// Up to when all packets were handed over by every thread; `None` where none reads any.
    pub fn reached(&self) -> Option<Timestamp> {
        let threads = sync::lock(&self.threads);
        let slowest = threads.iter().map(|thread| thread.reached.load(Ordering::Acquire)).min()?;
        (slowest < i64::MAX).then(|| Timestamp::from_nanos(slowest))
    }

    /// Whether somebody waits for the threads to get on; wakes them where that is new.
    pub fn set_awaited(&self, awaited: bool, now: Timestamp) {
        if awaited {
            self.awaited_last.store(now.as_nanos(), Ordering::Relaxed);
        }
        if self.awaited.swap(awaited, Ordering::Relaxed) != awaited && awaited {
            // A full counter wakes as well.
            sync::lock(&self.threads).iter().for_each(|thread| _ = thread.waker.write(1));
            sync::lock(&self.wakers).iter().for_each(|waker| _ = waker.write(1));
        }
    }

    /// When somebody last waited.
    pub fn awaited_last(&self) -> Timestamp {
        Timestamp::from_nanos(self.awaited_last.load(Ordering::Relaxed))
    }

    /// What can be read when somebody begins to wait.
    pub fn waker(&self) -> nix::Result<Arc<EventFd>> {
        let waker = Arc::new(EventFd::from_flags(EfdFlags::EFD_NONBLOCK | EfdFlags::EFD_CLOEXEC)?);
        sync::lock(&self.wakers).push(Arc::clone(&waker));
        Ok(waker)
    }

    /// Adds a thread, and forgets those that have ended.
    pub(super) fn add(&self, now: Timestamp) -> nix::Result<Arc<ThreadProgress>> {
        let thread = Arc::new(ThreadProgress {
            reached: AtomicI64::new(now.minus(HELD_BACK).as_nanos()),
            awaited: Arc::clone(&self.awaited),
            waker: EventFd::from_flags(EfdFlags::EFD_NONBLOCK | EfdFlags::EFD_CLOEXEC)?,
        });
        let mut threads = sync::lock(&self.threads);
        threads.retain(|thread| Arc::strong_count(thread) > 1);
        threads.push(Arc::clone(&thread));
        Ok(thread)
    }
}

impl ThreadProgress {
    /// Everything from before this time has been handed over.
    pub(super) fn reach(&self, time: Timestamp) {
        self.reached.store(time.as_nanos(), Ordering::Release);
    }

    /// Nothing is read any more, so nobody need wait.
    pub(super) fn rest(&self) {
        self.reached.store(i64::MAX, Ordering::Release);
    }

    pub(super) fn is_awaited(&self) -> bool {
        self.awaited.load(Ordering::Relaxed)
    }

    pub(super) const fn waker(&self) -> &EventFd {
        &self.waker
    }
}

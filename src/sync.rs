//! Locks that outlive a panic.
//!
//! Contract: a thread that panicked with a lock held is reported by its panic; the others go on with what it left.

use std::sync::{Mutex, MutexGuard, PoisonError};

/// Locks, whether or not a holder panicked.
pub fn lock<T: ?Sized>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

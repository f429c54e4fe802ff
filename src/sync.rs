//! Locks whose holders leave nothing half done.

use std::sync::{Mutex, MutexGuard, PoisonError};

/// Locks a mutex; a holder that panicked leaves only counts behind, which stay usable.
pub fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

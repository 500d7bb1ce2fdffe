//! What threads wait with: std's, or in the tests of interleavings those of a checker that decides who goes on when.

#[cfg(all(test, shuttle))]
pub(super) use shuttle::sync::{Arc, Condvar, Mutex, MutexGuard, mpsc};
#[cfg(not(all(test, shuttle)))]
pub(super) use std::sync::{Arc, Condvar, Mutex, MutexGuard, mpsc};

//! The locks that the threads of a store share. Each thread takes them in one order, so no two can wait for each other.

use std::{
    ops::{Deref, DerefMut},
    sync::PoisonError,
};

use super::sync::{Condvar, Mutex, MutexGuard};

/// The order: whoever holds a lock takes later ones only. Those after `Tail` are held for a moment, and nothing is taken
/// meanwhile.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Place {
    Index,
    Writer,
    Erasures,
    /// How long events are kept.
    Rules,
    /// Segments that have a name.
    Segments,
    /// Whose turn it is to number.
    Turn,
    /// The line of what waits to be numbered.
    Line,
    Tail,
    Mark,
    Witness,
}

/// A mutex with a place in the order. Debug builds check the order at every taking, also where nobody happens to wait.
#[derive(Debug)]
pub(super) struct Ordered<T> {
    place: Place,
    mutex: Mutex<T>,
}

/// A lock that is held.
pub(super) struct Held<'a, T> {
    guard: MutexGuard<'a, T>,
    taken: Taken,
}

impl<T> Ordered<T> {
    pub(super) fn new(place: Place, value: T) -> Self {
        Self { place, mutex: Mutex::new(value) }
    }

    pub(super) fn lock(&self) -> Held<'_, T> {
        let taken = Taken::new(self.place);
        Held { guard: lock(&self.mutex), taken }
    }
}

impl<T> Held<'_, T> {
    /// Lets go of it until the bell rings.
    pub(super) fn wait(self, bell: &Condvar) -> Self {
        let Self { guard, taken } = self;
        Self { guard: bell.wait(guard).unwrap_or_else(PoisonError::into_inner), taken }
    }
}

impl<T> Deref for Held<'_, T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.guard
    }
}

impl<T> DerefMut for Held<'_, T> {
    fn deref_mut(&mut self) -> &mut T {
        &mut self.guard
    }
}

/// Locks, also after a panic of another thread: what our locks guard is changed in one step, or checked before use.
pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The same of one that no checker of interleavings knows of.
pub(super) fn lock_plain<T>(mutex: &std::sync::Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Notes what this thread holds.
struct Taken {
    #[cfg(debug_assertions)]
    place: Place,
}

#[cfg(debug_assertions)]
mod held {
    use std::cell::RefCell;

    #[cfg(all(test, shuttle))]
    use shuttle::thread_local;

    use super::{Place, Taken};

    thread_local! {
        static HELD: RefCell<Vec<Place>> = RefCell::default();
    }

    impl Taken {
        pub(super) fn new(place: Place) -> Self {
            HELD.with(|held| {
                let mut held = held.borrow_mut();
                debug_assert!(held.iter().all(|before| *before < place), "{place:?} is taken after {held:?}");
                held.push(place);
            });
            Self { place }
        }
    }

    impl Drop for Taken {
        fn drop(&mut self) {
            // A thread that ends has forgotten what it held.
            let _ = HELD.try_with(|held| {
                let mut held = held.borrow_mut();
                let last = held.iter().rposition(|place| *place == self.place);
                last.map(|last| held.remove(last))
            });
        }
    }
}

#[cfg(not(debug_assertions))]
impl Taken {
    fn new(_: Place) -> Self {
        Self {}
    }
}

#[cfg(all(test, debug_assertions))]
mod tests {
    use super::*;

    #[test]
    fn locks_out_of_order_are_seen_where_nobody_waits() {
        let (index, tail) = (Ordered::new(Place::Index, 1), Ordered::new(Place::Tail, 2));
        drop((index.lock(), tail.lock()));
        drop(tail.lock());
        drop(index.lock());
        let (first, second) = (index.lock(), tail.lock());
        // Let go of in any order.
        drop(first);
        drop(second);
        let wrong = std::thread::scope(|scope| {
            let other = scope.spawn(|| {
                let _tail = tail.lock();
                drop(index.lock());
            });
            other.join().is_err()
        });
        assert!(wrong);
        let twice = std::thread::scope(|scope| {
            let other = scope.spawn(|| {
                let _once = index.lock();
                drop(index.lock());
            });
            other.join().is_err()
        });
        assert!(twice, "it would wait for itself");
        assert_eq!((*index.lock(), *tail.lock()), (1, 2));
    }
}

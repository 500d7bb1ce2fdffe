//! An engine that fails when told to, for the tests of what stands above it.

use std::{
    io,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use super::engine::{Change, Engine, Pair, Poison};
use crate::error::{Error, Result};

/// On which side of the failing call the error is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum When {
    /// The call fails and nothing was done.
    Before,
    /// The call was done, and fails all the same: the caller cannot know that it was.
    After,
}

/// Wraps an engine, counts the calls of apply, flush, sync, get, range and last, and fails the one it is told to.
/// A failed write poisons it as it does a real engine; after a failed read it goes on.
///
/// To try every place where something can fail, run once and ask for [`calls`](Self::calls), then fail at 1, 2, ...
#[derive(Debug)]
pub(crate) struct FailingEngine<E> {
    inner: E,
    calls: AtomicU64,
    plan: Mutex<Option<(u64, When)>>,
    poison: Poison,
}

impl<E: Engine> FailingEngine<E> {
    /// An engine that does not fail until it is told to.
    pub(crate) fn new(inner: E) -> Self {
        Self { inner, calls: AtomicU64::new(0), plan: Mutex::new(None), poison: Poison::default() }
    }

    /// The `nth` call from now fails (1 is the next one; 0 calls the failure off).
    pub(crate) fn fail_at(&self, nth: u64, when: When) {
        let plan = (nth > 0).then(|| (self.calls() + nth, when));
        *self.plan.lock().unwrap_or_else(PoisonError::into_inner) = plan;
    }

    /// How many calls there were.
    pub(crate) fn calls(&self) -> u64 {
        self.calls.load(Ordering::SeqCst)
    }

    fn read<T>(&self, action: &'static str, run: impl FnOnce(&E) -> Result<T>) -> Result<T> {
        self.call(action, run, |_| ())
    }

    fn write(&self, action: &'static str, run: impl FnOnce(&E) -> Result<()>) -> Result<()> {
        self.poison.check()?;
        self.call(action, run, |error| self.poison.set(error))
    }

    fn call<T>(&self, action: &'static str, run: impl FnOnce(&E) -> Result<T>, failed: impl Fn(&Error)) -> Result<T> {
        let number = self.calls.fetch_add(1, Ordering::SeqCst) + 1;
        let plan = *self.plan.lock().unwrap_or_else(PoisonError::into_inner);
        let Some((_, when)) = plan.filter(|&(at, _)| at == number) else { return run(&self.inner) };
        if when == When::After {
            run(&self.inner)?;
        }
        Err(Error::io(action, "(test)", io::Error::other("told to fail"))).inspect_err(failed)
    }
}

impl<E: Engine> Engine for FailingEngine<E> {
    fn apply(&self, batch: Vec<Change>) -> Result<()> {
        self.write("applying a batch", |inner| inner.apply(batch))
    }

    fn flush(&self) -> Result<()> {
        self.write("flushing", Engine::flush)
    }

    fn sync(&self) -> Result<()> {
        self.write("syncing", Engine::sync)
    }

    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>> {
        self.read("reading a key", |inner| inner.get(key))
    }

    fn range(&self, from: &[u8], to: &[u8], limit: usize) -> Result<Vec<Pair>> {
        self.read("reading a range", |inner| inner.range(from, to, limit))
    }

    fn last(&self, from: &[u8], to: &[u8]) -> Result<Option<Pair>> {
        self.read("reading the last key", |inner| inner.last(from, to))
    }

    fn size_on_disk(&self) -> Result<u64> {
        self.inner.size_on_disk()
    }

    fn may_reopen(&self) -> bool {
        false
    }

    fn close(&self) -> Result<()> {
        let closed = self.inner.close();
        self.poison.check().and(closed)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::{
        super::{
            engine::contract::{self, put},
            memory::MemoryEngine,
        },
        *,
    };
    use crate::error::ErrorKind;

    fn is_poisoned(result: Result<()>) -> bool {
        matches!(result.unwrap_err().kind(), ErrorKind::Poisoned { .. })
    }

    #[test]
    fn keeps_the_contract_until_told_to_fail() {
        let data = MemoryEngine::new();
        contract::check(|| {
            let engine = FailingEngine::new(data.clone());
            engine.fail_at(1_000_000, When::Before);
            engine.fail_at(0, When::Before);
            engine
        });
    }

    #[test]
    fn fails_at_the_nth_call_and_refuses_later_writes() {
        for (when, kept) in [(When::Before, None), (When::After, Some(b"3".to_vec()))] {
            let engine = FailingEngine::new(MemoryEngine::new());
            engine.apply(vec![put("a", "1")]).unwrap();
            engine.fail_at(3, when);
            engine.sync().unwrap();
            engine.get(b"a").unwrap();
            assert!(matches!(engine.apply(vec![put("a", "3")]).unwrap_err().kind(), ErrorKind::Io { .. }));
            assert!(is_poisoned(engine.apply(vec![put("a", "4")])));
            assert!(is_poisoned(engine.flush()));
            assert!(is_poisoned(engine.sync()));
            assert_eq!(engine.get(b"a").unwrap(), kept.or(Some(b"1".to_vec())), "{when:?}");
            assert_eq!(engine.calls(), 5, "refused writes are no calls");
            assert!(is_poisoned(engine.close()));
        }
    }

    #[test]
    fn each_kind_of_call_can_fail() {
        type Fails = fn(&FailingEngine<MemoryEngine>) -> bool;
        let calls: [(&str, bool, Fails); 6] = [
            ("apply", true, |e| e.apply(vec![]).is_err()),
            ("flush", true, |e| e.flush().is_err()),
            ("sync", true, |e| e.sync().is_err()),
            ("get", false, |e| e.get(b"a").is_err()),
            ("range", false, |e| e.range(b"a", b"b", 1).is_err()),
            ("last", false, |e| e.last(b"a", b"b").is_err()),
        ];
        for (name, poisons, fails) in calls {
            let engine = FailingEngine::new(MemoryEngine::new());
            engine.fail_at(1, When::Before);
            assert!(fails(&engine), "{name}");
            assert_eq!(engine.sync().is_err(), poisons, "{name}");
        }
    }
}

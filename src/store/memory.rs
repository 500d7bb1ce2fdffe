//! An engine in memory, for tests: it can forget what a power cut or the death of a process would take.

use std::{
    collections::BTreeMap,
    fmt,
    ops::Bound,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
};

use super::engine::{Change, Engine, Pair, closed, measure};
use crate::error::Result;

type Map = BTreeMap<Vec<u8>, Vec<u8>>;

/// What was applied, and how much of it is how safe. Batches are applied in order, so each state is a prefix of the one
/// before.
#[derive(Default)]
struct States {
    applied: Arc<Map>,
    /// What was applied when it was last flushed or synced.
    flushed: Arc<Map>,
    /// What was applied when it was last synced.
    synced: Arc<Map>,
}

/// An [`Engine`] in memory.
///
/// A clone is what opening it again would give: it shares the data, and it is open even if this one was closed.
#[derive(Default)]
pub(crate) struct MemoryEngine {
    states: Arc<Mutex<States>>,
    closed: AtomicBool,
}

impl MemoryEngine {
    /// An empty one.
    pub(crate) fn new() -> Self {
        Self::default()
    }

    /// A new engine with what a power cut leaves at the least: what was synced. This one goes on as before.
    ///
    /// A real engine may keep more, up to any later batch: what nobody asked it to sync may be on the disk all the same.
    pub(crate) fn after_power_cut(&self) -> Self {
        Self::holding(Arc::clone(&self.lock().synced))
    }

    /// A new engine with what the death of the process leaves at the least: what was flushed. This one goes on as
    /// before.
    ///
    /// A real engine may keep more, up to any later batch: it also flushes when its buffers are full.
    pub(crate) fn after_kill(&self) -> Self {
        Self::holding(Arc::clone(&self.lock().flushed))
    }

    /// A new engine with all that this one holds now. This one goes on as before.
    pub(crate) fn as_it_is(&self) -> Self {
        Self::holding(Arc::clone(&self.lock().applied))
    }

    /// What is there when an engine opens is what the disk has.
    fn holding(map: Arc<Map>) -> Self {
        let states = States { applied: Arc::clone(&map), flushed: Arc::clone(&map), synced: map };
        Self { states: Arc::new(Mutex::new(states)), closed: AtomicBool::new(false) }
    }

    /// The states, also of a closed engine.
    fn lock(&self) -> MutexGuard<'_, States> {
        // Nothing that can panic runs in the middle of a change, so a poisoned lock guards whole maps.
        self.states.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn open_states(&self) -> Result<MutexGuard<'_, States>> {
        if self.closed.load(Ordering::Acquire) { Err(closed()) } else { Ok(self.lock()) }
    }
}

impl Clone for MemoryEngine {
    fn clone(&self) -> Self {
        Self { states: Arc::clone(&self.states), closed: AtomicBool::new(false) }
    }
}

impl fmt::Debug for MemoryEngine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryEngine").finish_non_exhaustive()
    }
}

fn owned((key, value): (&Vec<u8>, &Vec<u8>)) -> Pair {
    (key.clone(), value.clone())
}

impl Engine for MemoryEngine {
    fn apply(&self, batch: Vec<Change>) -> Result<()> {
        measure(&batch)?;
        let mut states = self.open_states()?;
        let map = Arc::make_mut(&mut states.applied);
        for change in batch {
            match change {
                Change::Put(key, value) => map.insert(key, value),
                Change::Remove(key) => map.remove(&key),
            };
        }
        Ok(())
    }

    fn flush(&self) -> Result<()> {
        let mut states = self.open_states()?;
        states.flushed = Arc::clone(&states.applied);
        Ok(())
    }

    fn sync(&self) -> Result<()> {
        let mut states = self.open_states()?;
        states.flushed = Arc::clone(&states.applied);
        states.synced = Arc::clone(&states.applied);
        Ok(())
    }

    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>> {
        Ok(self.open_states()?.applied.get(key).cloned())
    }

    fn range(&self, from: &[u8], to: &[u8], limit: usize) -> Result<Vec<Pair>> {
        let states = self.open_states()?;
        if from >= to {
            // A map's own range would panic.
            return Ok(Vec::new());
        }
        let inside = states.applied.range::<[u8], _>((Bound::Included(from), Bound::Excluded(to)));
        Ok(inside.take(limit).map(owned).collect())
    }

    fn last(&self, from: &[u8], to: &[u8]) -> Result<Option<Pair>> {
        let states = self.open_states()?;
        if from >= to {
            return Ok(None);
        }
        let mut inside = states.applied.range::<[u8], _>((Bound::Included(from), Bound::Excluded(to)));
        Ok(inside.next_back().map(owned))
    }

    /// Nothing is on disk.
    fn size_on_disk(&self) -> Result<u64> {
        self.open_states().map(|_| 0)
    }

    fn may_reopen(&self) -> bool {
        false
    }

    fn close(&self) -> Result<()> {
        self.sync()?;
        self.closed.store(true, Ordering::Release);
        Ok(())
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::{
        super::engine::contract::{self, put},
        *,
    };

    #[test]
    fn keeps_the_contract() {
        let engine = MemoryEngine::new();
        contract::check(|| engine.clone());
    }

    #[test]
    fn a_clone_shares_the_data_and_a_new_one_does_not() {
        let (one, other) = (MemoryEngine::new(), MemoryEngine::new());
        let clone = one.clone();
        one.apply(vec![put("a", "1")]).unwrap();
        one.close().unwrap();
        assert_eq!(clone.get(b"a").unwrap(), Some(b"1".to_vec()));
        assert_eq!(one.clone().get(b"a").unwrap(), Some(b"1".to_vec()), "a clone of a closed one is open");
        assert_eq!(other.get(b"a").unwrap(), None);
    }

    #[test]
    fn a_power_cut_leaves_what_was_synced_and_a_kill_what_was_flushed() {
        let engine = MemoryEngine::new();
        let all = |engine: &MemoryEngine| {
            let pairs = engine.range(b"", b"\xff", 10).unwrap();
            pairs.into_iter().map(|(key, _)| String::from_utf8(key).unwrap()).collect::<String>()
        };
        let left = || (all(&engine.after_power_cut()), all(&engine.after_kill()), all(&engine.clone()));
        let states = |synced: &str, flushed: &str, applied: &str| (synced.into(), flushed.into(), applied.into());
        engine.apply(vec![put("a", "1")]).unwrap();
        assert_eq!(left(), states("", "", "a"));
        engine.flush().unwrap();
        assert_eq!(left(), states("", "a", "a"));
        engine.apply(vec![put("b", "2")]).unwrap();
        assert_eq!(left(), states("", "a", "ab"));
        engine.sync().unwrap();
        assert_eq!(left(), states("ab", "ab", "ab"));
        engine.apply(vec![Change::Remove(b"a".to_vec())]).unwrap();
        assert_eq!(left(), states("ab", "ab", "b"));

        let survivor = engine.after_power_cut();
        survivor.apply(vec![put("c", "3")]).unwrap();
        assert_eq!((all(&survivor), all(&survivor.after_power_cut())), ("abc".into(), "ab".into()), "it forgets again");
        assert_eq!(left(), states("ab", "ab", "b"), "and shares nothing");
        engine.close().unwrap();
        assert_eq!(left(), states("b", "b", "b"), "closing syncs");
    }

    #[test]
    fn debug_does_not_print_the_data() {
        let engine = MemoryEngine::new();
        engine.apply(vec![put("anna", "secret")]).unwrap();
        assert_eq!(format!("{engine:?}"), "MemoryEngine { .. }");
    }
}

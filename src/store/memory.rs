//! An engine that keeps everything in memory: for tests, and for stores without a folder.

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

/// An [`Engine`] in memory.
///
/// A clone is what opening it again would give: it shares the data, and it is open even if this one was closed.
#[derive(Default)]
pub(crate) struct MemoryEngine {
    map: Arc<Mutex<Map>>,
    closed: AtomicBool,
}

impl MemoryEngine {
    /// An empty one.
    pub(crate) fn new() -> Self {
        Self::default()
    }

    fn map(&self) -> Result<MutexGuard<'_, Map>> {
        if self.closed.load(Ordering::Acquire) {
            return Err(closed());
        }
        // Nothing that can panic runs in the middle of a change, so a poisoned lock guards a whole map.
        Ok(self.map.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Clone for MemoryEngine {
    fn clone(&self) -> Self {
        Self { map: Arc::clone(&self.map), closed: AtomicBool::new(false) }
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
        let mut map = self.map()?;
        for change in batch {
            match change {
                Change::Put(key, value) => map.insert(key, value),
                Change::Remove(key) => map.remove(&key),
            };
        }
        Ok(())
    }

    fn flush(&self) -> Result<()> {
        self.map().map(drop)
    }

    fn sync(&self) -> Result<()> {
        self.map().map(drop)
    }

    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>> {
        Ok(self.map()?.get(key).cloned())
    }

    fn range(&self, from: &[u8], to: &[u8], limit: usize) -> Result<Vec<Pair>> {
        let map = self.map()?;
        if from >= to {
            // A map's own range would panic.
            return Ok(Vec::new());
        }
        Ok(map.range::<[u8], _>((Bound::Included(from), Bound::Excluded(to))).take(limit).map(owned).collect())
    }

    fn last(&self, from: &[u8], to: &[u8]) -> Result<Option<Pair>> {
        let map = self.map()?;
        if from >= to {
            return Ok(None);
        }
        Ok(map.range::<[u8], _>((Bound::Included(from), Bound::Excluded(to))).next_back().map(owned))
    }

    /// Nothing is on disk.
    fn size_on_disk(&self) -> Result<u64> {
        self.map().map(|_| 0)
    }

    fn close(&self) -> Result<()> {
        self.map().map(drop)?;
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
    fn debug_does_not_print_the_data() {
        let engine = MemoryEngine::new();
        engine.apply(vec![put("anna", "secret")]).unwrap();
        assert_eq!(format!("{engine:?}"), "MemoryEngine { .. }");
    }
}

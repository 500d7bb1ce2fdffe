//! Which event ids the log has: fingerprints in sorted files, so that a duplicate is found without reading the log.

use std::{collections::HashSet, sync::Arc};

use foldhash::fast::RandomState;
use xxhash_rust::xxh3::xxh3_128;

use super::id_run::IdRun;
use crate::{error::Result, model::EventId};

/// 128 bits of XXH3 over an id. Two ids of a store with 10^9 of them share one with a chance of 10^-21.
pub(crate) fn fingerprint(id: &EventId) -> u128 {
    xxh3_128(id.as_str().as_bytes())
}

/// Fingerprints in memory.
pub(crate) type IdSet = HashSet<u128, RandomState>;

/// The ids of a store: those in files, those being written to one, and the fresh ones.
#[derive(Debug, Clone, Default)]
pub(crate) struct Ids {
    runs: Vec<Arc<IdRun>>,
    sealing: Arc<IdSet>,
    fresh: IdSet,
}

impl Ids {
    pub(crate) fn new(runs: &[Arc<IdRun>]) -> Self {
        Self { runs: runs.to_vec(), ..Self::default() }
    }

    /// Whether the log has an id.
    pub(crate) fn contains(&self, id: u128) -> Result<bool> {
        if self.fresh.contains(&id) || self.sealing.contains(&id) {
            return Ok(true);
        }
        for run in &self.runs {
            if run.contains(id)? {
                return Ok(true);
            }
        }
        Ok(false)
    }

    pub(crate) fn insert(&mut self, id: u128) {
        self.fresh.insert(id);
    }

    /// Takes a fresh id back: its event was not stored.
    pub(crate) fn forget(&mut self, id: u128) {
        self.fresh.remove(&id);
    }

    /// Sets the fresh ones apart to be written.
    pub(crate) fn begin_sealing(&mut self) -> Arc<IdSet> {
        let fresh = std::mem::take(&mut self.fresh);
        self.sealing = if self.sealing.is_empty() {
            Arc::new(fresh)
        } else {
            // An earlier seal failed.
            Arc::new(self.sealing.iter().copied().chain(fresh).collect())
        };
        Arc::clone(&self.sealing)
    }

    /// Takes the files that now hold everything that was set apart, which is handed out.
    pub(crate) fn end_sealing(&mut self, runs: &[Arc<IdRun>]) -> Arc<IdSet> {
        self.turn_to(runs);
        std::mem::take(&mut self.sealing)
    }

    /// Goes by other files, which hold the same.
    pub(crate) fn turn_to(&mut self, runs: &[Arc<IdRun>]) {
        self.runs = runs.to_vec();
    }
}

/// How many ids there are, and a sum of them: whether two sets are the same, without keeping either.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct IdSums {
    count: u64,
    sum: u128,
}

impl IdSums {
    pub(crate) fn add_one(&mut self, id: u128) {
        self.count += 1;
        self.sum = self.sum.wrapping_add(id);
    }

    /// Adds all ids of a store. Reads them all.
    pub(crate) fn add(&mut self, ids: &Ids) -> Result<()> {
        ids.fresh.iter().chain(ids.sealing.iter()).for_each(|id| self.add_one(*id));
        for run in &ids.runs {
            run.for_each(|id| self.add_one(id))?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_found_fresh_sealing_and_sealed() {
        let dir = tempfile::tempdir().unwrap();
        let id = |i: u32| fingerprint(&EventId::new(format!("e{i}")).unwrap());
        let mut ids = Ids::default();
        let mut runs = Vec::new();
        for part in 0..3 {
            (part * 1_000..(part + 1) * 1_000).for_each(|i| ids.insert(id(i)));
            let mut sorted: Vec<u128> = ids.begin_sealing().iter().copied().collect();
            assert!(ids.contains(id(part * 1_000)).unwrap());
            sorted.sort_unstable();
            runs.push(Arc::new(IdRun::write(&dir.path().join(format!("{part}.ids")), &sorted).unwrap()));
            ids.end_sealing(&runs);
        }
        for set in [ids, Ids::new(&runs)] {
            assert!((0..3_000).all(|i| set.contains(id(i)).unwrap()));
            assert!((3_000..6_000).all(|i| !set.contains(id(i)).unwrap()));
        }
    }

    #[test]
    fn ids_of_a_seal_that_failed_are_sealed_with_the_next() {
        let mut ids = Ids::default();
        ids.insert(1);
        assert_eq!(ids.begin_sealing().len(), 1);
        ids.insert(2);
        assert_eq!(ids.begin_sealing().len(), 2);
        assert!(ids.contains(1).unwrap() && ids.contains(2).unwrap() && !ids.contains(3).unwrap());
    }
}

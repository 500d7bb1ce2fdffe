//! Which event ids the log has: fingerprints in sorted files, so that a duplicate is found without reading the log.

use std::{
    collections::HashSet,
    fs::File,
    path::{Path, PathBuf},
    sync::Arc,
};

use xxhash_rust::xxh3::xxh3_128;

use super::files;
use crate::{
    codec::{checksum, frame, unframe},
    error::{Error, Result},
    model::EventId,
};

const KIND: [u8; 4] = *b"JLID";
const VERSION: u32 = 1;
/// The bytes of a frame before its payload.
const FRAME: u64 = 24;
/// Fingerprints on a page: what one look-up reads.
const PAGE: usize = 256;
const WIDTH: usize = 16;

/// 128 bits of XXH3 over an id. Two ids of a store with 10^9 of them share one with a chance of 10^-21.
pub(crate) fn fingerprint(id: &EventId) -> u128 {
    xxh3_128(id.as_str().as_bytes())
}

/// A sorted file of fingerprints. Only the first of each page is in memory, with a checksum of the page.
#[derive(Debug)]
pub(crate) struct IdRun {
    path: PathBuf,
    file: File,
    count: usize,
    pages: Vec<(u128, u64)>,
}

impl IdRun {
    /// Writes fingerprints, which must be sorted and distinct.
    pub(crate) fn write(path: &Path, sorted: &[u128]) -> Result<Self> {
        let payload: Vec<u8> = sorted.iter().flat_map(|id| id.to_be_bytes()).collect();
        files::replace(path, &frame(KIND, VERSION, &payload))?;
        Self::open(path)
    }

    /// Opens a file and checks it whole.
    pub(crate) fn open(path: &Path) -> Result<Self> {
        let name = || path.display().to_string();
        let bytes = files::read(path)?.ok_or_else(|| Error::damaged(name(), "it is missing"))?;
        let payload = unframe(&name(), KIND, VERSION, &bytes)?;
        if !payload.len().is_multiple_of(WIDTH) {
            return Err(Error::damaged(name(), "its length is odd"));
        }
        let pages = payload
            .chunks(PAGE * WIDTH)
            .filter_map(|page| Some((page.first_chunk::<WIDTH>().map(|id| u128::from_be_bytes(*id))?, checksum(page))))
            .collect();
        let file = File::open(path).map_err(|e| Error::io("opening", path, e))?;
        Ok(Self { path: path.to_owned(), file, count: payload.len() / WIDTH, pages })
    }

    pub(crate) fn len(&self) -> usize {
        self.count
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    fn contains(&self, id: u128) -> Result<bool> {
        let Some(page) = self.pages.partition_point(|(first, _)| *first <= id).checked_sub(1) else { return Ok(false) };
        Ok(self.page(page)?.binary_search(&id).is_ok())
    }

    fn page(&self, page: usize) -> Result<Vec<u128>> {
        let before = page * PAGE;
        let offset = FRAME + (before * WIDTH) as u64;
        let length = self.count.saturating_sub(before).min(PAGE) * WIDTH;
        let bytes = files::read_at(&self.file, offset, length).map_err(|e| Error::io("reading", &self.path, e))?;
        if self.pages.get(page).is_none_or(|(_, sum)| *sum != checksum(&bytes)) {
            return Err(Error::damaged(
                self.path.display().to_string(),
                format!("the checksum of page {page} does not fit"),
            ));
        }
        Ok(bytes.as_chunks::<WIDTH>().0.iter().map(|id| u128::from_be_bytes(*id)).collect())
    }

    /// Merges runs into one file. They hold no fingerprint twice.
    pub(crate) fn merge(path: &Path, runs: &[Arc<Self>]) -> Result<Self> {
        let mut all = Vec::with_capacity(runs.iter().map(|run| run.len()).sum());
        for run in runs {
            for page in 0..run.pages.len() {
                all.extend(run.page(page)?);
            }
        }
        all.sort_unstable();
        Self::write(path, &all)
    }
}

/// The ids of a store: those in files, those being written to one, and the fresh ones.
#[derive(Debug, Default)]
pub(crate) struct Ids {
    pub(crate) runs: Vec<Arc<IdRun>>,
    sealing: Arc<HashSet<u128>>,
    fresh: HashSet<u128>,
}

impl Ids {
    pub(crate) fn new(runs: Vec<Arc<IdRun>>) -> Self {
        Self { runs, ..Self::default() }
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
    pub(crate) fn begin_sealing(&mut self) -> Arc<HashSet<u128>> {
        let fresh = std::mem::take(&mut self.fresh);
        self.sealing = Arc::new(self.sealing.iter().copied().chain(fresh).collect());
        Arc::clone(&self.sealing)
    }

    /// Takes the files that now hold everything that was set apart.
    pub(crate) fn end_sealing(&mut self, runs: Vec<Arc<IdRun>>) {
        self.runs = runs;
        self.sealing = Arc::default();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_found_fresh_sealing_sealed_and_merged() {
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
            ids.end_sealing(runs.clone());
        }
        let merged = IdRun::merge(&dir.path().join("all.ids"), &runs).unwrap();
        assert_eq!(merged.len(), 3_000);
        for set in [ids, Ids::new(vec![Arc::new(merged)])] {
            assert!((0..3_000).all(|i| set.contains(id(i)).unwrap()));
            assert!((3_000..6_000).all(|i| !set.contains(id(i)).unwrap()));
        }
    }

    #[test]
    fn damage_is_seen() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.ids");
        IdRun::write(&path, &[1, 2, 3]).unwrap();
        let mut bytes = std::fs::read(&path).unwrap();
        bytes[30] ^= 1;
        std::fs::write(&path, bytes).unwrap();
        assert!(IdRun::open(&path).unwrap_err().is_corrupt());
    }
}

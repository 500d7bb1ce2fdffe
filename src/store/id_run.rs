//! A sorted file of fingerprints of event ids: written, looked up and merged page by page.

use std::{
    fs::File,
    io::{BufWriter, Write},
    path::{Path, PathBuf},
    sync::Arc,
};

use serde::{Deserialize, Serialize};

use super::{
    files::{self, Output},
    filter::Filter,
    segment::UNSOUND,
};
use crate::{
    codec::{checksum, frame, unframe},
    error::{Error, Result},
};

pub(super) const KIND: [u8; 4] = *b"JLID";
/// Version 1 had no directory; it is not read, since the index can be built again.
pub(super) const VERSION: u32 = 2;
/// The last bytes of a file: the length of the framed directory before them.
const TRAILER: usize = 8;
/// Fingerprints on a page: what one look-up reads.
const PAGE: usize = 256;
const WIDTH: usize = 16;
/// So many fingerprints are merged in one step.
const STEP: usize = 64 * 1024;

/// What stands at the end of a file.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Directory {
    pub(super) count: u64,
    /// Of each page its first fingerprint, big-endian, and its checksum.
    pub(super) pages: Vec<([u8; WIDTH], u64)>,
    filter: Vec<u8>,
}

/// A sorted file of fingerprints. In memory are the first of each page with a checksum of the page, and a filter.
#[derive(Debug)]
pub(crate) struct IdRun {
    path: PathBuf,
    file: File,
    count: usize,
    pages: Vec<(u128, u64)>,
    filter: Filter,
}

impl IdRun {
    /// Writes fingerprints, which must be sorted and distinct.
    pub(crate) fn write(path: &Path, sorted: &[u128]) -> Result<Self> {
        let mut writer = IdWriter::create(path, sorted.len())?;
        sorted.iter().try_for_each(|id| writer.push(*id))?;
        writer.finish()
    }

    /// Opens a file: its directory is read and checked, its pages are checked when they are looked at.
    pub(crate) fn open(path: &Path) -> Result<Self> {
        let name = path.display().to_string();
        let damaged = |why: &str| Error::damaged(&name, why);
        let io = |e| Error::io("reading", path, e);
        let file = files::open(path).map_err(|e| match e.kind() {
            std::io::ErrorKind::NotFound => damaged("it is missing"),
            _ => Error::io("opening", path, e),
        })?;
        let length = file.metadata().map_err(io)?.len();
        let short = || damaged("it is too short");
        let end = length.checked_sub(TRAILER as u64).ok_or_else(short)?;
        let trailer = files::read_at(&file, end, TRAILER).map_err(io)?;
        let size = trailer.first_chunk::<TRAILER>().map(|bytes| u64::from_le_bytes(*bytes)).ok_or_else(short)?;
        let start = end.checked_sub(size).ok_or_else(short)?;
        let bytes = files::read_at(&file, start, usize::try_from(size).map_err(|_| short())?).map_err(io)?;
        let payload = unframe(&name, KIND, VERSION, &bytes)?;
        let directory: Directory = postcard::from_bytes(payload).map_err(|e| damaged(&e.to_string()))?;
        let count = usize::try_from(directory.count).map_err(|_| damaged("it counts too many"))?;
        if count.checked_mul(WIDTH).is_none_or(|bytes| bytes as u64 != start)
            || directory.pages.len() != count.div_ceil(PAGE)
        {
            return Err(damaged("its length is odd"));
        }
        let filter = Filter::from_bytes(&directory.filter, count).ok_or_else(|| damaged("its filter is odd"))?;
        let pages = directory.pages.into_iter().map(|(first, sum)| (u128::from_be_bytes(first), sum)).collect();
        Ok(Self { path: path.to_owned(), file, count, pages, filter })
    }

    pub(crate) fn len(&self) -> usize {
        self.count
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    pub(crate) fn contains(&self, id: u128) -> Result<bool> {
        if !self.filter.may_have(id) {
            return Ok(false);
        }
        let Some(page) = self.pages.partition_point(|(first, _)| *first <= id).checked_sub(1) else { return Ok(false) };
        Ok(self.page(page)?.binary_search(&id).is_ok())
    }

    /// Visits all of them, in order.
    pub(crate) fn for_each(&self, mut visit: impl FnMut(u128)) -> Result<()> {
        for page in 0..self.pages.len() {
            self.page(page)?.into_iter().for_each(&mut visit);
        }
        Ok(())
    }

    fn page(&self, page: usize) -> Result<Vec<u128>> {
        let before = page * PAGE;
        let length = self.count.saturating_sub(before).min(PAGE) * WIDTH;
        let bytes = files::read_at(&self.file, (before * WIDTH) as u64, length)
            .map_err(|e| Error::io("reading", &self.path, e))?;
        if self.pages.get(page).is_none_or(|(_, sum)| *sum != checksum(&bytes)) {
            if let Some(dir) = self.path.parent().filter(|_| self.path.exists()) {
                // The next open mends it. If this fails, the next look-up finds the damage again.
                let _ = files::replace(&dir.join(UNSOUND), b"");
            }
            return Err(Error::damaged(
                self.path.display().to_string(),
                format!("the checksum of page {page} does not fit"),
            ));
        }
        Ok(bytes.as_chunks::<WIDTH>().0.iter().map(|id| u128::from_be_bytes(*id)).collect())
    }
}

/// Writes a file of fingerprints. It has its name only when it is finished.
struct IdWriter {
    path: PathBuf,
    temporary: PathBuf,
    out: BufWriter<Output>,
    page: Vec<u8>,
    directory: Directory,
    filter: Filter,
}

impl IdWriter {
    fn create(path: &Path, count: usize) -> Result<Self> {
        let temporary = path.with_extension(files::TEMPORARY);
        Ok(Self {
            out: BufWriter::with_capacity(1 << 18, Output::create(&temporary)?),
            path: path.to_owned(),
            temporary,
            page: Vec::with_capacity(PAGE * WIDTH),
            directory: Directory { count: 0, pages: Vec::with_capacity(count.div_ceil(PAGE)), filter: Vec::new() },
            filter: Filter::with_room_for(count),
        })
    }

    fn push(&mut self, id: u128) -> Result<()> {
        self.directory.count += 1;
        self.filter.insert(id);
        self.page.extend_from_slice(&id.to_be_bytes());
        if self.page.len() == PAGE * WIDTH { self.end_page() } else { Ok(()) }
    }

    fn end_page(&mut self) -> Result<()> {
        if let Some(first) = self.page.first_chunk::<WIDTH>() {
            self.directory.pages.push((*first, checksum(&self.page)));
            self.out.write_all(&self.page).map_err(|e| Error::io("writing", &self.temporary, e))?;
            self.page.clear();
        }
        Ok(())
    }

    fn finish(mut self) -> Result<IdRun> {
        self.end_page()?;
        self.directory.filter = self.filter.to_bytes();
        let directory = frame(KIND, VERSION, &postcard::to_stdvec(&self.directory).unwrap_or_default());
        self.out
            .write_all(&directory)
            .and_then(|()| self.out.write_all(&(directory.len() as u64).to_le_bytes()))
            .and_then(|()| self.out.flush())
            .and_then(|()| self.out.get_ref().sync())
            .map_err(|e| Error::io("writing", &self.temporary, e))?;
        files::rename(&self.temporary, &self.path)?;
        IdRun::open(&self.path)
    }
}

impl Drop for IdWriter {
    /// A file that was not finished takes no room. After it was, there is none of this name.
    fn drop(&mut self) {
        let _ = files::remove(&self.temporary);
    }
}

/// Several files becoming one, step by step. They hold no fingerprint twice.
pub(crate) struct IdMerge {
    sources: Vec<Source>,
    writer: IdWriter,
}

struct Source {
    run: Arc<IdRun>,
    /// The next page to be read.
    page: usize,
    /// What is left of the page before, the smallest last.
    ids: Vec<u128>,
}

impl Source {
    fn peek(&mut self) -> Result<Option<u128>> {
        if self.ids.is_empty() && self.page < self.run.pages.len() {
            self.ids = self.run.page(self.page)?;
            self.ids.reverse();
            self.page += 1;
        }
        Ok(self.ids.last().copied())
    }
}

impl IdMerge {
    pub(crate) fn begin(path: &Path, runs: &[Arc<IdRun>]) -> Result<Self> {
        let count = runs.iter().map(|run| run.len()).sum();
        let source = |run: &Arc<IdRun>| Source { run: Arc::clone(run), page: 0, ids: Vec::new() };
        Ok(Self { sources: runs.iter().map(source).collect(), writer: IdWriter::create(path, count)? })
    }

    /// Merges some more; false if nothing is left.
    pub(crate) fn step(&mut self) -> Result<bool> {
        for _ in 0..STEP {
            let mut least: Option<(u128, usize)> = None;
            for (i, source) in self.sources.iter_mut().enumerate() {
                least = match (source.peek()?, least) {
                    (Some(id), None) => Some((id, i)),
                    (Some(id), Some((known, _))) if id < known => Some((id, i)),
                    (_, least) => least,
                };
            }
            let Some((id, i)) = least else { return Ok(false) };
            if let Some(source) = self.sources.get_mut(i) {
                source.ids.pop();
            }
            self.writer.push(id)?;
        }
        Ok(true)
    }

    pub(crate) fn finish(self) -> Result<IdRun> {
        self.writer.finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runs_become_one_with_the_same_ids() {
        let dir = tempfile::tempdir().unwrap();
        let mut random = fastrand::Rng::with_seed(2);
        let mut all: Vec<u128> = Vec::new();
        let runs: Vec<Arc<IdRun>> = [0, 1, 255, 256, 70_000]
            .into_iter()
            .map(|count| {
                let mut ids: Vec<u128> = (0..count).map(|_| random.u128(..)).collect();
                ids.sort_unstable();
                all.extend(&ids);
                Arc::new(IdRun::write(&dir.path().join(format!("{count}.ids")), &ids).unwrap())
            })
            .collect();
        let mut merge = IdMerge::begin(&dir.path().join("all.ids"), &runs).unwrap();
        let mut steps = 1;
        while merge.step().unwrap() {
            steps += 1;
        }
        assert_eq!(steps, 2, "of bounded size");
        let merged = merge.finish().unwrap();
        assert_eq!(merged.len(), all.len());
        assert!(all.iter().all(|id| merged.contains(*id).unwrap()));
        assert!((0..1_000).all(|_| !merged.contains(random.u128(..)).unwrap()));
        all.sort_unstable();
        let pages = (0..merged.pages.len()).flat_map(|page| merged.page(page).unwrap());
        assert!(pages.eq(all));
    }

    #[test]
    fn a_merge_that_is_given_up_leaves_no_file() {
        let dir = tempfile::tempdir().unwrap();
        let run = Arc::new(IdRun::write(&dir.path().join("a.ids"), &[1, 2, 3]).unwrap());
        let mut merge = IdMerge::begin(&dir.path().join("b.ids"), &[run]).unwrap();
        merge.step().unwrap();
        drop(merge);
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1);
    }

    #[test]
    fn damage_is_seen() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.ids");
        IdRun::write(&path, &[1, 2, 3]).unwrap();
        let good = std::fs::read(&path).unwrap();
        for i in 0..good.len() {
            let mut bytes = good.clone();
            bytes[i] ^= 1;
            std::fs::write(&path, &bytes).unwrap();
            // In a page it is seen when the page is read, elsewhere at once.
            let seen = IdRun::open(&path).and_then(|run| run.contains(2)).unwrap_err();
            let is_version = (3 * WIDTH + 4..3 * WIDTH + 8).contains(&i);
            assert!(seen.is_corrupt() || is_version, "byte {i}: {seen}");
            std::fs::write(&path, &good[..i]).unwrap();
            assert!(IdRun::open(&path).unwrap_err().is_corrupt(), "cut at {i}");
        }
    }
}

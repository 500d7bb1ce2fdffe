//! The journey index on disk: segments, names and ids, and the manifest that says which of them count.

use std::{
    collections::{BTreeSet, HashSet},
    fs,
    hash::{BuildHasher, RandomState},
    path::{Path, PathBuf},
    sync::Arc,
};

use serde::{Deserialize, Serialize};

use super::{
    files,
    ids::IdRun,
    names_file::{self, Counts},
    scan::Scan,
    segment::{Segment, UNSOUND},
    segment_writer::SegmentWriter,
    witness::Head,
};
use crate::{
    codec::{frame, unframe},
    error::{Error, Result},
    journey::{Chunk, Columns, Names, Needs},
};

const KIND: [u8; 4] = *b"JLMF";
const VERSION: u32 = 1;
const MANIFEST: &str = "MANIFEST";
/// The endings of the other files.
const SEGMENT: &str = "segment";
const IDS: &str = "ids";
const NAMES: &str = "names";
/// So many files of one size are merged into one.
const FAN_IN: usize = 4;
/// Sizes within this factor count as one size.
const TIER: u64 = 4;

/// Which files count, and how far in the log they go.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Manifest {
    through: Head,
    next_file: u64,
    segments: Vec<String>,
    names: Vec<String>,
    ids: Vec<String>,
}

impl Manifest {
    fn read(dir: &Path) -> Result<Self> {
        let what = "the manifest of the index";
        let Some(bytes) = files::read(&dir.join(MANIFEST))? else { return Ok(Self::default()) };
        let payload = unframe(what, KIND, VERSION, &bytes)?;
        serde_json::from_slice(payload).map_err(|e| Error::damaged(what, e.to_string()))
    }
}

/// How far the log must at least go, since an index was made of it: a second witness. Of a damaged manifest nothing is
/// known.
pub(crate) fn witnessed(dir: &Path) -> Result<Head> {
    match Manifest::read(dir) {
        Err(error) if error.is_corrupt() => Ok(Head::default()),
        manifest => Ok(manifest?.through),
    }
}

/// The index of a store.
#[derive(Debug)]
pub(crate) struct Index {
    dir: PathBuf,
    next_file: u64,
    /// Part of every name given while the index is open. An index begun anew counts from the start again, and must not
    /// give a name that an old snapshot still holds, and deletes when it goes.
    opening: u32,
    state: State,
}

/// The files that count, opened, and how far in the log they go.
#[derive(Debug, Clone, Default)]
struct State {
    through: Head,
    segments: Vec<Arc<Segment>>,
    names_files: Vec<PathBuf>,
    names_counts: Counts,
    ids: Vec<Arc<IdRun>>,
}

impl Index {
    /// Opens the index and reads its names; what a crash left over is removed.
    ///
    /// # Errors
    /// `Damaged` if anything in it is; it can be rebuilt then.
    #[expect(clippy::cast_possible_truncation, reason = "half of a random number is as random")]
    pub(crate) fn open(dir: &Path, names: &Names) -> Result<Self> {
        files::make_folder(dir)?;
        if dir.join(UNSOUND).exists() {
            return Err(Error::damaged("the journey index", "a question found a part of it damaged"));
        }
        let manifest = Manifest::read(dir)?;
        remove_leftovers(dir, &manifest)?;
        for name in &manifest.names {
            names_file::read(&dir.join(name), names)?;
        }
        let segments = manifest.segments.iter().map(|name| Segment::open(&dir.join(name)).map(Arc::new));
        let ids = manifest.ids.iter().map(|name| IdRun::open(&dir.join(name)).map(Arc::new));
        let state = State {
            through: manifest.through,
            segments: segments.collect::<Result<_>>()?,
            names_counts: names_file::counts(names),
            names_files: manifest.names.iter().map(|name| dir.join(name)).collect(),
            ids: ids.collect::<Result<_>>()?,
        };
        let opening = RandomState::new().hash_one(dir) as u32;
        Ok(Self { dir: dir.to_owned(), next_file: manifest.next_file, opening, state })
    }

    /// Throws the index away, whatever state it is in, and begins an empty one.
    pub(crate) fn begin_anew(dir: &Path) -> Result<Self> {
        if dir.exists() {
            // The manifest goes first: without it, nothing else counts.
            files::remove(&dir.join(MANIFEST))?;
            fs::remove_dir_all(dir).map_err(|e| Error::io("removing", dir, e))?;
        }
        Self::open(dir, &Names::default())
    }

    /// How far in the log it goes.
    pub(crate) fn through(&self) -> Head {
        self.state.through
    }

    pub(crate) fn segments(&self) -> &[Arc<Segment>] {
        &self.state.segments
    }

    pub(crate) fn ids(&self) -> &[Arc<IdRun>] {
        &self.state.ids
    }

    fn new_file(&mut self, ending: &str) -> PathBuf {
        self.next_file += 1;
        self.file(self.next_file, ending)
    }

    fn file(&self, number: u64, ending: &str) -> PathBuf {
        self.dir.join(format!("{number:08}-{:08x}.{ending}", self.opening))
    }

    /// Removes the files that were made after this number, for an attempt that failed: they do not count, and room may be
    /// what was lacking.
    fn remove_made_after(&self, number: u64) {
        for made in number.saturating_add(1)..=self.next_file {
            for ending in [SEGMENT, IDS, NAMES] {
                // What stays is found and removed at the next open.
                let _ = files::remove(&self.file(made, ending));
            }
        }
    }

    /// Takes in fresh journeys and ids: everything after the old head, up to this one. If it fails, the index is as it
    /// was before.
    pub(crate) fn seal(
        &mut self,
        fresh: &[Arc<Columns>],
        ids: &HashSet<u128>,
        through: Head,
        names: &Names,
    ) -> Result<()> {
        let before = self.next_file;
        match self.with_fresh(fresh, ids, names) {
            Ok(next) => self.turn_to(State { through, ..next }),
            Err(error) => {
                self.remove_made_after(before);
                Err(error)
            }
        }
    }

    fn with_fresh(&mut self, fresh: &[Arc<Columns>], ids: &HashSet<u128>, names: &Names) -> Result<State> {
        let mut next = self.state.clone();
        next.segments.extend(self.write_segment(&Scan::new(Vec::new(), fresh.to_vec()))?);
        if !ids.is_empty() {
            let mut sorted: Vec<u128> = ids.iter().copied().collect();
            sorted.sort_unstable();
            next.ids.push(Arc::new(IdRun::write(&self.new_file(IDS), &sorted)?));
        }
        let path = self.new_file(NAMES);
        if let Some(counts) = names_file::write(&path, names, next.names_counts)? {
            next.names_counts = counts;
            next.names_files.push(path);
        }
        Ok(next)
    }

    fn write_segment(&mut self, scan: &Scan) -> Result<Option<Arc<Segment>>> {
        if scan.chunks() == 0 {
            return Ok(None);
        }
        let mut writer = SegmentWriter::create(&self.new_file(SEGMENT))?;
        for chunk in 0..scan.chunks() {
            let sources = scan.load(chunk, &Needs::everything())?;
            writer.push(&Chunk::new(sources.iter().map(Into::into).collect()))?;
        }
        writer.finish().map(|segment| Some(Arc::new(segment)))
    }

    /// Merges files of one size, if there are enough of them; true if something was merged. If it fails, the index is as
    /// it was before.
    pub(crate) fn merge_some(&mut self, names: &Names) -> Result<bool> {
        let before = self.next_file;
        let next = match self.merged(names) {
            Ok(Some(next)) => next,
            Ok(None) => return Ok(false),
            Err(error) => {
                self.remove_made_after(before);
                return Err(error);
            }
        };
        let old = self.state.clone();
        self.turn_to(next)?;
        // Only now do the old files not count any more. What stays of them is found and removed at the next open.
        for segment in old.segments.iter().filter(|old| !self.state.segments.iter().any(|new| Arc::ptr_eq(old, new))) {
            segment.retire();
        }
        for run in old.ids.iter().filter(|old| !self.state.ids.iter().any(|new| Arc::ptr_eq(old, new))) {
            let _ = files::remove(run.path());
        }
        for path in old.names_files.iter().filter(|old| !self.state.names_files.contains(old)) {
            let _ = files::remove(path);
        }
        Ok(true)
    }

    /// The state after merging what is of one size; `None` if nothing is.
    fn merged(&mut self, names: &Names) -> Result<Option<State>> {
        let mut next = self.state.clone();
        let sizes: Vec<u64> = next.segments.iter().map(|segment| segment.rows).collect();
        let (segments, kept) = split(&next.segments, &one_tier(&sizes));
        if !segments.is_empty() {
            next.segments = self.write_segment(&Scan::new(segments, Vec::new()))?.into_iter().chain(kept).collect();
        }
        let sizes: Vec<u64> = next.ids.iter().map(|run| run.len() as u64).collect();
        let (ids, kept) = split(&next.ids, &one_tier(&sizes));
        if !ids.is_empty() {
            let merged = IdRun::merge(&self.new_file(IDS), &ids)?;
            next.ids = std::iter::once(Arc::new(merged)).chain(kept).collect();
        }
        if next.names_files.len() > FAN_IN {
            let path = self.new_file(NAMES);
            if let Some(counts) = names_file::write(&path, names, Counts::default())? {
                (next.names_counts, next.names_files) = (counts, vec![path]);
            }
        }
        let changed = next.segments.len() != self.state.segments.len()
            || next.ids.len() != self.state.ids.len()
            || next.names_files.len() != self.state.names_files.len();
        Ok(changed.then_some(next))
    }

    /// Writes a manifest of other files, and if that went well, goes by them.
    fn turn_to(&mut self, next: State) -> Result<()> {
        let name = |path: &Path| path.file_name().map(|name| name.to_string_lossy().into_owned());
        let manifest = Manifest {
            through: next.through,
            next_file: self.next_file,
            segments: next.segments.iter().filter_map(|segment| name(segment.path())).collect(),
            names: next.names_files.iter().filter_map(|path| name(path)).collect(),
            ids: next.ids.iter().filter_map(|run| name(run.path())).collect(),
        };
        let payload = serde_json::to_vec(&manifest).unwrap_or_default();
        files::replace(&self.dir.join(MANIFEST), &frame(KIND, VERSION, &payload))?;
        self.state = next;
        Ok(())
    }
}

/// Those that are chosen, and the others.
fn split<T: Clone>(all: &[T], which: &BTreeSet<usize>) -> (Vec<T>, Vec<T>) {
    let of = |chosen: bool| {
        all.iter().enumerate().filter(|(i, _)| which.contains(i) == chosen).map(|(_, one)| one.clone()).collect()
    };
    (of(true), of(false))
}

/// The places of the smallest files that are of one size and enough to be merged.
fn one_tier(sizes: &[u64]) -> BTreeSet<usize> {
    let mut order: Vec<usize> = (0..sizes.len()).collect();
    let size = |i: &usize| sizes.get(*i).copied().unwrap_or_default();
    order.sort_unstable_by_key(size);
    for (start, smallest) in order.iter().enumerate() {
        let limit = size(smallest).saturating_mul(TIER);
        let tier: BTreeSet<usize> = order.iter().skip(start).copied().take_while(|i| size(i) <= limit).collect();
        if tier.len() >= FAN_IN {
            return tier;
        }
    }
    BTreeSet::new()
}

/// Removes files that the manifest does not name: a crash left them.
fn remove_leftovers(dir: &Path, manifest: &Manifest) -> Result<()> {
    let named: HashSet<&str> = [&manifest.segments, &manifest.names, &manifest.ids]
        .into_iter()
        .flatten()
        .map(String::as_str)
        .chain([MANIFEST])
        .collect();
    for entry in fs::read_dir(dir).map_err(|e| Error::io("listing", dir, e))? {
        let entry = entry.map_err(|e| Error::io("listing", dir, e))?;
        if entry.path().is_file() && !named.contains(entry.file_name().to_string_lossy().as_ref()) {
            files::remove(&entry.path())?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seal_that_failed_leaves_nothing_and_the_next_succeeds() {
        let dir = tempfile::tempdir().unwrap();
        let names = Names::default();
        let event = crate::model::Event::at(chrono::DateTime::UNIX_EPOCH, "ann", "view").build().unwrap();
        let row = crate::journey::code(&event, 1, &mut names.write());
        let fresh = [Arc::new(Columns::from_rows(vec![row]))];
        let mut index = Index::open(dir.path(), &Names::default()).unwrap();
        let head = Head { seq: 1, ..Head::default() };
        // The segment is the first file, the names are the second, and cannot be written.
        let obstacle = index.file(2, NAMES).with_extension(files::TEMPORARY);
        fs::create_dir(&obstacle).unwrap();
        index.seal(&fresh, &HashSet::new(), head, &names).unwrap_err();
        assert_eq!((index.through(), index.segments().len()), (Head::default(), 0));
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1, "only the obstacle");
        fs::remove_dir(&obstacle).unwrap();
        index.seal(&fresh, &HashSet::new(), head, &names).unwrap();
        assert_eq!((index.through(), index.segments().len()), (head, 1));
        assert_eq!(Index::open(dir.path(), &Names::default()).unwrap().segments().len(), 1);
    }

    #[test]
    fn files_of_one_size_are_a_tier() {
        assert!(one_tier(&[10, 10, 10]).is_empty());
        assert_eq!(one_tier(&[10, 1_000, 12, 9, 30]), BTreeSet::from([0, 2, 3, 4]));
        assert_eq!(one_tier(&[1, 100, 100, 100, 100]), BTreeSet::from([1, 2, 3, 4]));
    }
}

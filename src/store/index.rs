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
    segment::{Segment, SegmentWriter},
    witness::Head,
};
use crate::{
    codec::{frame, unframe},
    error::{Error, Result},
    journey::{Columns, Names, Needs},
};

const KIND: [u8; 4] = *b"JLMF";
const VERSION: u32 = 1;
const MANIFEST: &str = "MANIFEST";
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

/// The index of a store.
#[derive(Debug)]
pub(crate) struct Index {
    dir: PathBuf,
    through: Head,
    next_file: u64,
    /// Part of every name given while the index is open. An index begun anew counts from the start again, and must not
    /// give a name that an old snapshot still holds, and deletes when it goes.
    opening: u32,
    pub(crate) segments: Vec<Arc<Segment>>,
    names_files: Vec<String>,
    names_counts: Counts,
    pub(crate) ids: Vec<Arc<IdRun>>,
}

impl Index {
    /// Opens the index and reads its names; what a crash left over is removed.
    ///
    /// # Errors
    /// `Damaged` if anything in it is; it can be rebuilt then.
    #[expect(clippy::cast_possible_truncation, reason = "half of a random number is as random")]
    pub(crate) fn open(dir: &Path, names: &Names) -> Result<Self> {
        files::make_folder(dir)?;
        let manifest: Manifest = match files::read(&dir.join(MANIFEST))? {
            None => Manifest::default(),
            Some(bytes) => {
                let payload = unframe("the manifest of the index", KIND, VERSION, &bytes)?;
                serde_json::from_slice(payload)
                    .map_err(|e| Error::damaged("the manifest of the index", e.to_string()))?
            }
        };
        remove_leftovers(dir, &manifest)?;
        for name in &manifest.names {
            names_file::read(&dir.join(name), names)?;
        }
        let segments = manifest.segments.iter().map(|name| Segment::open(&dir.join(name)).map(Arc::new));
        let ids = manifest.ids.iter().map(|name| IdRun::open(&dir.join(name)).map(Arc::new));
        Ok(Self {
            dir: dir.to_owned(),
            through: manifest.through,
            next_file: manifest.next_file,
            opening: RandomState::new().hash_one(dir) as u32,
            segments: segments.collect::<Result<_>>()?,
            names_counts: names_file::counts(names),
            names_files: manifest.names,
            ids: ids.collect::<Result<_>>()?,
        })
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
        self.through
    }

    fn new_file(&mut self, ending: &str) -> PathBuf {
        self.next_file += 1;
        self.dir.join(format!("{:08}-{:08x}.{ending}", self.next_file, self.opening))
    }

    /// Takes in fresh journeys and ids: everything after the old head, up to this one.
    pub(crate) fn seal(
        &mut self,
        fresh: &[Arc<Columns>],
        ids: &HashSet<u128>,
        through: Head,
        names: &Names,
    ) -> Result<()> {
        let scan = Scan::new(Vec::new(), fresh.to_vec());
        let segment = self.write_segment(&scan)?;
        let mut segments = self.segments.clone();
        segments.extend(segment);
        let mut id_runs = self.ids.clone();
        if !ids.is_empty() {
            let mut sorted: Vec<u128> = ids.iter().copied().collect();
            sorted.sort_unstable();
            let path = self.new_file("ids");
            id_runs.push(Arc::new(IdRun::write(&path, &sorted)?));
        }
        let path = self.new_file("names");
        let counts = names_file::write(&path, names, self.names_counts)?;
        if let Some(counts) = counts {
            self.names_counts = counts;
            self.names_files.extend(path.file_name().map(|name| name.to_string_lossy().into_owned()));
        }
        (self.segments, self.ids, self.through) = (segments, id_runs, through);
        self.write_manifest()
    }

    fn write_segment(&mut self, scan: &Scan) -> Result<Option<Arc<Segment>>> {
        if scan.chunks() == 0 {
            return Ok(None);
        }
        let mut writer = SegmentWriter::create(&self.new_file("segment"))?;
        for chunk in 0..scan.chunks() {
            writer.push(&*scan.load(chunk, &Needs::everything())?)?;
        }
        writer.finish().map(|segment| Some(Arc::new(segment)))
    }

    /// Merges files of one size, if there are enough of them; true if something was merged.
    pub(crate) fn merge_some(&mut self, names: &Names) -> Result<bool> {
        let sizes: Vec<u64> = self.segments.iter().map(|segment| segment.rows).collect();
        let segments = self.merge_segments(&one_tier(&sizes))?;
        let sizes: Vec<u64> = self.ids.iter().map(|run| run.len() as u64).collect();
        let ids = self.merge_ids(&one_tier(&sizes))?;
        let names_files = if self.names_files.len() > FAN_IN { self.merge_names(names)? } else { Vec::new() };
        if segments.is_empty() && ids.is_empty() && names_files.is_empty() {
            return Ok(false);
        }
        self.write_manifest()?;
        // Only now do the old ones not count any more.
        segments.iter().for_each(|segment| segment.retire());
        for path in ids.iter().map(|run| run.path().to_owned()).chain(names_files) {
            files::remove(&path)?;
        }
        Ok(true)
    }

    fn merge_segments(&mut self, which: &BTreeSet<usize>) -> Result<Vec<Arc<Segment>>> {
        if which.is_empty() {
            return Ok(Vec::new());
        }
        let (old, kept) = split(&self.segments, which);
        let merged = self.write_segment(&Scan::new(old.clone(), Vec::new()))?;
        self.segments = merged.into_iter().chain(kept).collect();
        Ok(old)
    }

    fn merge_ids(&mut self, which: &BTreeSet<usize>) -> Result<Vec<Arc<IdRun>>> {
        if which.is_empty() {
            return Ok(Vec::new());
        }
        let (old, kept) = split(&self.ids, which);
        let path = self.new_file("ids");
        let merged = Arc::new(IdRun::merge(&path, &old)?);
        self.ids = std::iter::once(merged).chain(kept).collect();
        Ok(old)
    }

    fn merge_names(&mut self, names: &Names) -> Result<Vec<PathBuf>> {
        let path = self.new_file("names");
        let Some(counts) = names_file::write(&path, names, Counts::default())? else { return Ok(Vec::new()) };
        self.names_counts = counts;
        let file = path.file_name().map(|name| name.to_string_lossy().into_owned());
        let old = std::mem::replace(&mut self.names_files, file.into_iter().collect());
        Ok(old.into_iter().map(|name| self.dir.join(name)).collect())
    }

    fn write_manifest(&self) -> Result<()> {
        let name = |path: &Path| path.file_name().map(|name| name.to_string_lossy().into_owned());
        let manifest = Manifest {
            through: self.through,
            next_file: self.next_file,
            segments: self.segments.iter().filter_map(|segment| name(segment.path())).collect(),
            names: self.names_files.clone(),
            ids: self.ids.iter().filter_map(|run| name(run.path())).collect(),
        };
        let payload = serde_json::to_vec(&manifest).unwrap_or_default();
        files::replace(&self.dir.join(MANIFEST), &frame(KIND, VERSION, &payload))
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
        if !named.contains(entry.file_name().to_string_lossy().as_ref()) {
            files::remove(&entry.path())?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_of_one_size_are_a_tier() {
        assert!(one_tier(&[10, 10, 10]).is_empty());
        assert_eq!(one_tier(&[10, 1_000, 12, 9, 30]), BTreeSet::from([0, 2, 3, 4]));
        assert_eq!(one_tier(&[1, 100, 100, 100, 100]), BTreeSet::from([1, 2, 3, 4]));
    }
}

//! The journey index on disk: segments, names and ids, and the manifest that says which of them count.

use std::{
    collections::HashSet,
    hash::{BuildHasher, RandomState},
    path::{Path, PathBuf},
    sync::Arc,
};

use serde::{Deserialize, Serialize};

use super::{
    files,
    id_run::IdRun,
    ids::IdSet,
    merging::{Merged, Merging, SegmentMerge},
    names_file::{self, Counts},
    scan::Scan,
    segment::{Segment, UNSOUND},
    tiers::{self, Urgency},
    witness::Head,
};
use crate::{
    codec::{frame, unframe},
    error::{Error, Result},
    journey::{Columns, Names},
};

pub(super) const KIND: [u8; 4] = *b"JLMF";
pub(super) const VERSION: u32 = 1;
pub(super) const MANIFEST: &str = "MANIFEST";
/// The endings of the other files.
const SEGMENT: &str = "segment";
const IDS: &str = "ids";
const NAMES: &str = "names";
/// So many files of names become one.
const NAMES_FAN_IN: usize = 16;

/// Which files count, and how far in the log they go.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Manifest {
    through: Head,
    next_file: u64,
    segments: Vec<String>,
    names: Vec<String>,
    ids: Vec<String>,
    /// From this sequence on the log may have small blocks that can be folded.
    #[serde(default)]
    fold_from: u64,
}

impl Manifest {
    /// Whether the same files count. Their next number and what is folded may be further than what is on the disk.
    fn names_the_same(&self, other: &Self) -> bool {
        let Self { through: _, next_file: _, segments, names, ids, fold_from: _ } = self;
        (segments, names, ids) == (&other.segments, &other.names, &other.ids)
    }

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

/// Whether there are files of an index and no manifest that names them: nothing says then which of them counted.
pub(crate) fn lacks_manifest(dir: &Path) -> Result<bool> {
    let is_of_index = |path: &PathBuf| path.extension().is_some_and(|ending| ending == SEGMENT || ending == IDS);
    Ok(dir.is_dir() && !dir.join(MANIFEST).exists() && files::list(dir)?.iter().any(is_of_index))
}

/// Has the next opening build the index anew. If that cannot be noted, it is found again.
pub(super) fn note_unsound(dir: &Path) {
    let _ = files::replace(&dir.join(UNSOUND), b"");
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
    /// In the order of their sequences, and so are the ids.
    segments: Vec<Arc<Segment>>,
    names_files: Vec<PathBuf>,
    names_counts: Counts,
    ids: Vec<Arc<IdRun>>,
    fold_from: u64,
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
            fold_from: manifest.fold_from,
        };
        let opening = RandomState::new().hash_one(dir) as u32;
        Ok(Self { dir: dir.to_owned(), next_file: manifest.next_file, opening, state })
    }

    /// Throws the index away, whatever state it is in, and begins an empty one.
    pub(crate) fn begin_anew(dir: &Path) -> Result<Self> {
        if dir.exists() {
            // The manifest goes first: without it, nothing else counts.
            files::remove(&dir.join(MANIFEST))?;
            files::remove_folder(dir)?;
        }
        Self::open(dir, &Names::default())
    }

    /// Looks at every file that counts as opening would, and says what is wrong.
    pub(crate) fn look_over(&self, names: &Names) -> Vec<Error> {
        let mut wrong = Vec::new();
        if self.dir.join(UNSOUND).exists() {
            wrong.push(Error::damaged("the journey index", "a question found a part of it damaged"));
        }
        match Manifest::read(&self.dir) {
            Ok(manifest) if manifest.names_the_same(&self.manifest(&self.state)) => {}
            Ok(_) => wrong.push(Error::damaged("the manifest of the index", "it is not the one that was written")),
            Err(error) => wrong.push(error),
        }
        let State { segments, names_files, ids, .. } = &self.state;
        wrong.extend(segments.iter().filter_map(|segment| Segment::open(segment.path()).err()));
        wrong.extend(ids.iter().filter_map(|run| IdRun::open(run.path()).err()));
        let read = Names::default();
        wrong.extend(names_files.iter().filter_map(|path| names_file::read(path, &read).err()));
        if wrong.is_empty() && !names_file::agree(&read, names) {
            wrong.push(Error::damaged("the names of the index", "they are not the ones that were given"));
        }
        wrong
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
    ///
    /// If it failed after the manifest had its name, a power cut may leave either manifest, and its files must be there.
    fn remove_made_after(&self, number: u64) {
        if self.may_have_turned() {
            return;
        }
        for made in number.saturating_add(1)..=self.next_file {
            for ending in [SEGMENT, IDS, NAMES] {
                // What stays is found and removed at the next open.
                let _ = files::remove(&self.file(made, ending));
            }
        }
    }

    /// Takes in fresh journeys and ids: everything after the old head, up to this one. If it fails, the index is as it
    /// was before.
    pub(crate) fn seal(&mut self, fresh: &[Arc<Columns>], ids: &IdSet, through: Head, names: &Names) -> Result<()> {
        let before = self.next_file;
        match self.with_fresh(fresh, ids, names) {
            Ok(next) => self.turn_to(State { through, ..next }),
            Err(error) => {
                self.remove_made_after(before);
                Err(error)
            }
        }
    }

    fn with_fresh(&mut self, fresh: &[Arc<Columns>], ids: &IdSet, names: &Names) -> Result<State> {
        let mut next = self.state.clone();
        next.segments.extend(self.write_segment(fresh)?);
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

    fn write_segment(&mut self, fresh: &[Arc<Columns>]) -> Result<Option<Arc<Segment>>> {
        let scan = Scan::new(Vec::new(), fresh.to_vec());
        if scan.chunks() == 0 {
            return Ok(None);
        }
        let mut writer = SegmentMerge::begin(&self.new_file(SEGMENT), scan)?;
        while writer.step()? {}
        writer.finish().map(|segment| Some(Arc::new(segment)))
    }

    /// Begins to merge files that should be one by now; `None` if there are none.
    pub(crate) fn begin_merge(&mut self, urgency: Urgency) -> Result<Option<Merging>> {
        let rows: Vec<u64> = self.state.segments.iter().map(|segment| segment.rows).collect();
        if let Some(inputs) = tiers::SEGMENTS.choose(&rows, urgency).and_then(|chosen| self.state.segments.get(chosen))
        {
            let inputs = inputs.to_vec();
            return Merging::of_segments(&self.new_file(SEGMENT), inputs).map(Some);
        }
        let counts: Vec<u64> = self.state.ids.iter().map(|run| run.len() as u64).collect();
        if let Some(inputs) = tiers::IDS.choose(&counts, urgency).and_then(|chosen| self.state.ids.get(chosen)) {
            let inputs = inputs.to_vec();
            return Merging::of_ids(&self.new_file(IDS), inputs).map(Some);
        }
        Ok(None)
    }

    /// Takes the file that a merge has made in place of those it was made of. If that fails, the index is as it was
    /// before, and the file is gone.
    pub(crate) fn end_merge(&mut self, merged: &Merged) -> Result<()> {
        let mut next = self.state.clone();
        match merged {
            Merged::Segments { inputs, output } => replace(&mut next.segments, inputs, output),
            Merged::Ids { inputs, output } => replace(&mut next.ids, inputs, output),
        }
        if let Err(error) = self.turn_to(next) {
            if !self.may_have_turned() {
                merged.undo();
            }
            return Err(error);
        }
        // Only now do the old files not count any more. What stays of them is found and removed at the next open.
        match merged {
            Merged::Segments { inputs, .. } => inputs.iter().for_each(|segment| segment.retire()),
            Merged::Ids { inputs, .. } => inputs.iter().for_each(|run| drop(files::remove(run.path()))),
        }
        Ok(())
    }

    /// Makes the files of names one, if they are many, or more than one when all is to be settled; true if it did.
    pub(crate) fn merge_names(&mut self, names: &Names, urgency: Urgency) -> Result<bool> {
        let most = if urgency == Urgency::Busy { NAMES_FAN_IN } else { 1 };
        if self.state.names_files.len() <= most {
            return Ok(false);
        }
        self.write_names_anew(names).map(|()| true)
    }

    /// Writes all names into one file, which takes the place of those before: without names that were taken away since.
    pub(crate) fn write_names_anew(&mut self, names: &Names) -> Result<()> {
        let before = self.next_file;
        let path = self.new_file(NAMES);
        let mut next = self.state.clone();
        // Names that came since the last seal go along; those of the next seal follow after them.
        let written = names_file::write(&path, names, Counts::default()).and_then(|counts| {
            next.names_counts = counts.unwrap_or_default();
            next.names_files = vec![path];
            self.turn_to_remembering(next)
        });
        match written {
            Ok(old) => {
                old.names_files.iter().for_each(|path| drop(files::remove(path)));
                Ok(())
            }
            Err(error) => {
                self.remove_made_after(before);
                Err(error)
            }
        }
    }

    /// From which sequence on the log may have small blocks.
    pub(crate) fn fold_from(&self) -> u64 {
        self.state.fold_from
    }

    /// Notes how far the log has been folded. It goes to the disk with the next change of files.
    pub(crate) fn note_folded(&mut self, next: u64) {
        self.state.fold_from = next;
    }

    /// Whether the manifest on the disk names, or may name, other files than those in use.
    fn may_have_turned(&self) -> bool {
        let manifest = self.manifest(&self.state);
        !Manifest::read(&self.dir).is_ok_and(|found| found.names_the_same(&manifest))
    }

    fn manifest(&self, state: &State) -> Manifest {
        let name = |path: &Path| path.file_name().map(|name| name.to_string_lossy().into_owned());
        Manifest {
            through: state.through,
            next_file: self.next_file,
            segments: state.segments.iter().filter_map(|segment| name(segment.path())).collect(),
            names: state.names_files.iter().filter_map(|path| name(path)).collect(),
            ids: state.ids.iter().filter_map(|run| name(run.path())).collect(),
            fold_from: state.fold_from,
        }
    }

    fn turn_to_remembering(&mut self, next: State) -> Result<State> {
        let old = self.state.clone();
        self.turn_to(next).map(|()| old)
    }

    /// Writes a manifest of other files, and if that went well, goes by them.
    fn turn_to(&mut self, next: State) -> Result<()> {
        let payload = serde_json::to_vec(&self.manifest(&next)).unwrap_or_default();
        files::replace(&self.dir.join(MANIFEST), &frame(KIND, VERSION, &payload))?;
        self.state = next;
        Ok(())
    }
}

/// Puts one file in the place of several.
fn replace<T>(all: &mut Vec<Arc<T>>, inputs: &[Arc<T>], output: &Arc<T>) {
    let is_input = |one: &Arc<T>| inputs.iter().any(|input| Arc::ptr_eq(input, one));
    let place = all.iter().position(is_input).unwrap_or(all.len());
    all.retain(|one| !is_input(one));
    all.insert(place.min(all.len()), Arc::clone(output));
}

/// Removes files that the manifest does not name: a crash left them.
fn remove_leftovers(dir: &Path, manifest: &Manifest) -> Result<()> {
    let named: HashSet<&str> = [&manifest.segments, &manifest.names, &manifest.ids]
        .into_iter()
        .flatten()
        .map(String::as_str)
        .chain([MANIFEST])
        .collect();
    for path in files::list(dir)? {
        let is_named = path.file_name().is_some_and(|name| named.contains(name.to_string_lossy().as_ref()));
        if !is_named && path.is_file() {
            files::remove(&path)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::{
        super::{
            step::Step,
            watched::{Watcher, watch},
        },
        *,
    };

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
        index.seal(&fresh, &IdSet::default(), head, &names).unwrap_err();
        assert_eq!((index.through(), index.segments().len()), (Head::default(), 0));
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1, "only the obstacle");
        fs::remove_dir(&obstacle).unwrap();
        index.seal(&fresh, &IdSet::default(), head, &names).unwrap();
        assert_eq!((index.through(), index.segments().len()), (head, 1));
        assert_eq!(Index::open(dir.path(), &Names::default()).unwrap().segments().len(), 1);
    }

    /// Fails the sync of a folder, the nth from now.
    struct FailingSync(std::sync::atomic::AtomicUsize);

    impl Watcher for FailingSync {
        fn around(&self, step: Step<'_>, run: &mut dyn FnMut() -> std::io::Result<()>) -> std::io::Result<()> {
            let is_sync = matches!(step, Step::SyncFolder(_));
            if is_sync && self.0.fetch_sub(1, std::sync::atomic::Ordering::Relaxed) == 1 {
                return Err(std::io::ErrorKind::Other.into());
            }
            run()
        }
    }

    /// Its name is not safe yet, and is there all the same: whichever manifest is found later, its files are there.
    #[test]
    fn a_manifest_whose_name_could_not_be_synced_names_files_that_are_there() {
        let fresh = |seq: u64, names: &Names| {
            let event =
                crate::model::Event::at(chrono::DateTime::UNIX_EPOCH, format!("c{seq}"), "view").build().unwrap();
            [Arc::new(Columns::from_rows(vec![crate::journey::code(&event, seq, &mut names.write())]))]
        };
        let sealed = |dir: &Path| {
            let (names, mut index) = (Names::default(), Index::open(dir, &Names::default()).unwrap());
            for seq in 1..=2 {
                let head = Head { seq, ..Head::default() };
                index.seal(&fresh(seq, &names), &IdSet::default(), head, &names).unwrap();
            }
            (names, index)
        };
        let found = |dir: &Path| {
            let names = Names::default();
            let index = Index::open(dir, &names).unwrap();
            assert!(names.find_customer("c1").is_some() && names.find_customer("c2").is_some());
            (index.through().seq, index.segments().len(), index.state.names_files.len())
        };

        let dir = tempfile::tempdir().unwrap();
        let (_, mut index) = sealed(dir.path());
        let mut merging = index.begin_merge(Urgency::Settle).unwrap().unwrap();
        while merging.step().unwrap() {}
        let merged = merging.finish().unwrap();
        {
            let _watch = watch(dir.path(), Arc::new(FailingSync(1.into())));
            index.end_merge(&merged).unwrap_err();
        }
        assert_eq!((index.segments().len(), found(dir.path())), (2, (2, 1, 2)));

        // The new file of names is synced first.
        for (nth, files) in [(1, 2), (2, 1)] {
            let dir = tempfile::tempdir().unwrap();
            let (names, mut index) = sealed(dir.path());
            {
                let _watch = watch(dir.path(), Arc::new(FailingSync(nth.into())));
                index.merge_names(&names, Urgency::Settle).unwrap_err();
            }
            assert_eq!((index.state.names_files.len(), found(dir.path())), (2, (2, 2, files)));
        }
    }
}

//! A disk for tests that keeps what was synced, and of the rest as much as it likes: the steps of a store are written down,
//! and the folder is made as it may be after a power cut behind any of them.
//!
//! What is not synced may be there, be missing, or be there in part, whatever came later: bytes of files, and each
//! making, renaming and removing of a name. So it is worse than any real disk.

use std::{
    collections::{BTreeMap, BTreeSet},
    ffi::OsString,
    fs, io,
    path::{Path, PathBuf},
    sync::{Arc, Mutex},
};

use fastrand::Rng;

use super::{
    engine::{Change, Engine, Pair},
    files::{self, Output},
    locks::lock_plain,
    memory::MemoryEngine,
    shared::OpenedEngine,
    step::Step,
    watched::Watcher,
};
use crate::error::Result;

/// A step that was done; paths are within the watched folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Done {
    MakeFolder(PathBuf),
    Create(PathBuf),
    Write(PathBuf, Vec<u8>),
    Sync(PathBuf),
    SyncFolder(PathBuf),
    Rename(PathBuf, PathBuf),
    Remove(PathBuf),
    RemoveFolder(PathBuf),
    /// Something was done by an engine.
    Engine,
}

/// A step, and what was so at that moment.
#[derive(Debug, Clone)]
pub(super) struct Moment<P> {
    pub(super) step: Done,
    /// What had been promised.
    pub(super) promised: P,
    /// For the folder of each engine, what it holds at the least, and after each batch that was not synced.
    engines: BTreeMap<PathBuf, Vec<MemoryEngine>>,
}

/// Writes down what is done in a folder.
#[derive(Debug)]
pub(super) struct Recorder<P> {
    dir: PathBuf,
    moments: Mutex<Vec<Moment<P>>>,
    pub(super) promised: Mutex<P>,
    engines: Mutex<BTreeMap<PathBuf, Arc<Remembering>>>,
}

impl<P: Clone> Recorder<P> {
    /// One for a folder, with the engines that are in it, by their folders within it.
    pub(super) fn new(dir: &Path, promised: P, engines: &BTreeMap<PathBuf, MemoryEngine>) -> Self {
        let remembering = |engine: &MemoryEngine| Arc::new(Remembering::new(engine.clone()));
        let engines = engines.iter().map(|(folder, engine)| (folder.clone(), remembering(engine))).collect();
        Self {
            dir: dir.to_owned(),
            moments: Mutex::default(),
            promised: Mutex::new(promised),
            engines: Mutex::new(engines),
        }
    }

    fn note(&self, step: Done) {
        let mut moments = lock_plain(&self.moments);
        // What was promised is looked at first, so that what is looked at later must hold it.
        let promised = lock_plain(&self.promised).clone();
        let states = |engine: &Arc<Remembering>| lock_plain(&engine.states).clone();
        let engines =
            lock_plain(&self.engines).iter().map(|(folder, engine)| (folder.clone(), states(engine))).collect();
        moments.push(Moment { step, promised, engines });
    }

    /// Opens an engine in a folder, which holds what it held before, unless its file is gone.
    pub(super) fn open_engine(self: &Arc<Self>, folder: &Path) -> Result<OpenedEngine>
    where
        P: Send + Sync + std::fmt::Debug + 'static,
    {
        files::make_folder(folder)?;
        let (file, name) = (folder.join("db"), self.inside(folder));
        if !file.exists() {
            lock_plain(&self.engines).remove(&name);
            Output::create(&file)?.sync().map_err(|e| crate::error::Error::io("syncing", &file, e))?;
            files::sync_folder(folder)?;
        }
        files::sync_folder(files::folder_of(folder))?;
        let engine = Arc::clone(lock_plain(&self.engines).entry(name).or_default());
        Ok((Arc::new(Recorded { engine, recorder: Arc::clone(self) }), Vec::new()))
    }

    fn inside(&self, path: &Path) -> PathBuf {
        path.strip_prefix(&self.dir).unwrap().to_owned()
    }

    pub(super) fn moments(&self) -> Vec<Moment<P>> {
        std::mem::take(&mut *lock_plain(&self.moments))
    }
}

impl<P: Clone + Send + Sync> Watcher for Recorder<P> {
    /// A sync is noted when it is done and all else before it is done: whatever follows from a step is noted after it.
    fn around(&self, step: Step<'_>, run: &mut dyn FnMut() -> io::Result<()>) -> io::Result<()> {
        let is_sync = matches!(step, Step::Sync(_) | Step::SyncFolder(_));
        let path = self.inside(step.path());
        let done = match step {
            Step::Read(_) => return run(),
            Step::MakeFolder(_) => Done::MakeFolder(path),
            Step::Create(_) => Done::Create(path),
            Step::Write(_, bytes) => Done::Write(path, bytes.to_vec()),
            Step::Sync(_) => Done::Sync(path),
            Step::SyncFolder(_) => Done::SyncFolder(path),
            Step::Rename(from, _) => Done::Rename(self.inside(from), path),
            Step::Remove(_) => Done::Remove(path),
            Step::RemoveFolder(_) => Done::RemoveFolder(path),
        };
        if is_sync {
            run()?;
            self.note(done);
            return Ok(());
        }
        self.note(done);
        run()
    }
}

/// An engine in memory that remembers what it held since it was last synced.
#[derive(Debug)]
struct Remembering {
    inner: MemoryEngine,
    states: Mutex<Vec<MemoryEngine>>,
}

impl Remembering {
    fn new(inner: MemoryEngine) -> Self {
        let states = Mutex::new(vec![inner.after_power_cut()]);
        Self { inner, states }
    }
}

impl Default for Remembering {
    fn default() -> Self {
        Self::new(MemoryEngine::new())
    }
}

/// Such an engine, while it is open.
#[derive(Debug)]
struct Recorded<P> {
    engine: Arc<Remembering>,
    recorder: Arc<Recorder<P>>,
}

impl<P: Clone + Send + Sync + std::fmt::Debug> Engine for Recorded<P> {
    fn apply(&self, batch: Vec<Change>) -> Result<()> {
        {
            let mut states = lock_plain(&self.engine.states);
            self.engine.inner.apply(batch)?;
            states.push(self.engine.inner.as_it_is());
        }
        self.recorder.note(Done::Engine);
        Ok(())
    }

    fn flush(&self) -> Result<()> {
        Ok(())
    }

    fn sync(&self) -> Result<()> {
        {
            let mut states = lock_plain(&self.engine.states);
            self.engine.inner.sync()?;
            *states = vec![self.engine.inner.as_it_is()];
        }
        self.recorder.note(Done::Engine);
        Ok(())
    }

    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>> {
        self.engine.inner.get(key)
    }

    fn range(&self, from: &[u8], to: &[u8], limit: usize) -> Result<Vec<Pair>> {
        self.engine.inner.range(from, to, limit)
    }

    fn last(&self, from: &[u8], to: &[u8]) -> Result<Option<Pair>> {
        self.engine.inner.last(from, to)
    }

    fn size_on_disk(&self) -> Result<u64> {
        Ok(0)
    }

    fn may_reopen(&self) -> bool {
        false
    }

    fn close(&self) -> Result<()> {
        self.sync()
    }
}

/// A name's file or folder, by its number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Node {
    File(usize),
    Folder(usize),
}

/// A change of the names in a folder.
#[derive(Debug, Clone)]
enum Renaming {
    Add(OsString, Node),
    Move(OsString, OsString, Node),
    Remove(OsString),
}

#[derive(Debug, Clone, Default)]
struct Folder {
    synced: BTreeMap<OsString, Node>,
    changes: Vec<Renaming>,
}

fn change(names: &mut BTreeMap<OsString, Node>, change: &Renaming) {
    match change.clone() {
        Renaming::Add(name, node) => drop(names.insert(name, node)),
        Renaming::Move(from, to, node) => {
            names.remove(&from);
            names.insert(to, node);
        }
        Renaming::Remove(name) => drop(names.remove(&name)),
    }
}

impl Folder {
    /// The names as whoever looks sees them.
    fn names(&self) -> BTreeMap<OsString, Node> {
        let mut names = self.synced.clone();
        self.changes.iter().for_each(|done| change(&mut names, done));
        names
    }
}

#[derive(Debug, Clone, Default)]
struct File {
    synced: Vec<u8>,
    written: Vec<u8>,
}

/// What is left of a folder: its files and its folders by their paths within it, and its engines.
#[derive(Debug, Clone, Default)]
pub(super) struct Left {
    pub(super) files: BTreeMap<PathBuf, Vec<u8>>,
    pub(super) folders: BTreeSet<PathBuf>,
    pub(super) engines: BTreeMap<PathBuf, MemoryEngine>,
}

/// The disk, on which the watched folder stands.
#[derive(Debug, Clone)]
pub(super) struct Disk {
    folders: Vec<Folder>,
    files: Vec<File>,
}

impl Disk {
    /// A disk that holds this, all of it synced.
    pub(super) fn holding(left: &Left) -> Self {
        let mut disk = Self { folders: vec![Folder::default()], files: Vec::new() };
        // A folder comes before what is in it.
        left.folders.iter().for_each(|folder| disk.take(&Done::MakeFolder(folder.clone())));
        for (path, bytes) in &left.files {
            disk.take(&Done::Create(path.clone()));
            disk.take(&Done::Write(path.clone(), bytes.clone()));
            disk.take(&Done::Sync(path.clone()));
        }
        left.folders.iter().for_each(|folder| disk.take(&Done::SyncFolder(folder.clone())));
        disk.take(&Done::SyncFolder(PathBuf::new()));
        disk
    }

    fn find(&self, path: &Path) -> Option<Node> {
        path.iter().try_fold(Node::Folder(0), |node, name| match node {
            Node::Folder(folder) => self.folders[folder].names().get(name).copied(),
            Node::File(_) => None,
        })
    }

    fn folder_of(&mut self, path: &Path) -> (&mut Folder, OsString) {
        let Some(Node::Folder(folder)) = self.find(path.parent().unwrap()) else { panic!("{path:?} is in no folder") };
        (&mut self.folders[folder], path.file_name().unwrap().to_owned())
    }

    fn add(&mut self, path: &Path, node: Node) {
        let (folder, name) = self.folder_of(path);
        folder.changes.push(Renaming::Add(name, node));
    }

    fn file(&mut self, path: &Path) -> &mut File {
        let Some(Node::File(file)) = self.find(path) else { panic!("{path:?} is no file") };
        &mut self.files[file]
    }

    pub(super) fn take(&mut self, step: &Done) {
        match step {
            Done::MakeFolder(path) => {
                self.folders.push(Folder::default());
                self.add(path, Node::Folder(self.folders.len() - 1));
            }
            Done::Create(path) => {
                if let Some(Node::File(file)) = self.find(path) {
                    self.files[file].written.clear();
                } else {
                    self.files.push(File::default());
                    self.add(path, Node::File(self.files.len() - 1));
                }
            }
            Done::Write(path, bytes) => self.file(path).written.extend_from_slice(bytes),
            Done::Sync(path) => {
                let file = self.file(path);
                file.synced = file.written.clone();
            }
            Done::SyncFolder(path) => {
                if let Some(Node::Folder(folder)) = self.find(path) {
                    let folder = &mut self.folders[folder];
                    folder.synced = folder.names();
                    folder.changes.clear();
                }
            }
            Done::Rename(from, to) => {
                let Some(node) = self.find(from) else { return };
                let to = to.file_name().unwrap().to_owned();
                let (folder, from) = self.folder_of(from);
                folder.changes.push(Renaming::Move(from, to, node));
            }
            Done::Remove(path) => {
                if self.find(path).is_some() {
                    let (folder, name) = self.folder_of(path);
                    folder.changes.push(Renaming::Remove(name));
                }
            }
            Done::RemoveFolder(path) => {
                let Some(Node::Folder(folder)) = self.find(path) else { return };
                let inside = self.folders[folder].names().into_keys().map(|name| path.join(name));
                inside.for_each(|path| self.take(&Done::Remove(path)));
                self.take(&Done::Remove(path.clone()));
            }
            Done::Engine => {}
        }
    }

    /// What a power cut at a moment leaves.
    pub(super) fn after_cut<P>(&self, moment: &Moment<P>, random: &mut Rng) -> Left {
        let mut left = Left::default();
        // At times all is kept, or nothing that was not synced: what came later and what came before differ most then.
        let keeps = [Some(true), Some(false), None, None][random.usize(0..4)];
        self.leave(0, Path::new(""), keeps, random, &mut left);
        for (folder, states) in &moment.engines {
            if left.files.contains_key(&folder.join("db")) {
                let state = match keeps {
                    Some(true) => states.len() - 1,
                    Some(false) => 0,
                    None => random.usize(0..states.len()),
                };
                left.engines.insert(folder.clone(), states[state].as_it_is());
            }
        }
        left
    }

    fn leave(&self, folder: usize, path: &Path, keeps: Option<bool>, random: &mut Rng, left: &mut Left) {
        let mut names = self.folders[folder].synced.clone();
        for done in &self.folders[folder].changes {
            if keeps.unwrap_or_else(|| random.bool()) {
                change(&mut names, done);
            }
        }
        for (name, node) in names {
            let path = path.join(name);
            match node {
                Node::Folder(folder) => {
                    left.folders.insert(path.clone());
                    self.leave(folder, &path, keeps, random, left);
                }
                Node::File(file) => drop(left.files.insert(path, self.files[file].leave(keeps, random))),
            }
        }
    }
}

impl File {
    fn leave(&self, keeps: Option<bool>, random: &mut Rng) -> Vec<u8> {
        const SECTOR: usize = 512;
        match (keeps, random.u8(0..4)) {
            _ if self.synced == self.written => self.synced.clone(),
            (Some(true), _) | (None, 0) => self.written.clone(),
            (Some(false), _) | (None, 1) => self.synced.clone(),
            (None, 2) => self.written[..random.usize(0..=self.written.len())].to_vec(),
            (None, _) => {
                let mut torn = self.written.clone();
                torn.chunks_mut(SECTOR).filter(|_| random.bool()).for_each(|sector| sector.fill(0));
                torn
            }
        }
    }
}

impl Left {
    /// Writes it into an empty folder.
    pub(super) fn write_to(&self, dir: &Path) {
        self.folders.iter().for_each(|folder| fs::create_dir(dir.join(folder)).unwrap());
        self.files.iter().for_each(|(path, bytes)| fs::write(dir.join(path), bytes).unwrap());
    }
}

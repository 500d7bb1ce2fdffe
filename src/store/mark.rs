//! The mark that makes a folder a store, and the lock that makes it ours.

use std::{
    fs::File,
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};

use super::{
    files::{self, Output},
    folder_lock::FolderLock,
    witness::Head,
};
use crate::{
    codec::checksum,
    error::{Error, ErrorKind, Result},
};

/// The version of the store as a whole. A change of any format of bytes counts it up; `docs/design.md` says what happens
/// to older stores.
pub(crate) const FORMAT: u32 = 8;
pub(super) const MARK: &str = "JOURNEYLOG";
pub(super) const LOCK: &str = "LOCK";
/// The folders of the log and of the journey index; after a rewriting with a hyphen and the generation.
const LOG: &str = "log";
const INDEX: &str = "index";

/// What the mark says, as one line of JSON that a person can read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub(crate) struct Mark {
    journeylog: u32,
    /// How often the log and the index have been written anew: it says which folders count.
    #[serde(default)]
    pub(crate) generation: u64,
    /// The head of the log when this generation began. Witnesses of earlier ones saw another log.
    #[serde(default)]
    pub(crate) began: Head,
    /// The checksum of the rest, since a wrong generation would be another log. Formats before 3 had none.
    #[serde(default)]
    check: Option<u64>,
}

impl Mark {
    pub(super) fn new(generation: u64, began: Head) -> Self {
        let mark = Self { journeylog: FORMAT, generation, began, check: None };
        Self { check: Some(mark.checksum()), ..mark }
    }

    /// The mark of a store that was never written anew.
    pub(super) fn first() -> Self {
        Self::new(0, Head::default())
    }

    fn checksum(self) -> u64 {
        let Self { journeylog, generation, began: Head { seq, chain }, check: _ } = self;
        checksum(format!("{journeylog} {generation} {seq} {}", chain.0).as_bytes())
    }

    /// The mark of the next generation, which begins at this head.
    pub(crate) fn next(self, began: Head) -> Self {
        Self::new(self.generation.saturating_add(1), began)
    }

    /// The folder of the log in a store's folder.
    pub(crate) fn log(self, dir: &Path) -> PathBuf {
        self.folder(dir, LOG)
    }

    /// The folder of the journey index.
    pub(crate) fn index(self, dir: &Path) -> PathBuf {
        self.folder(dir, INDEX)
    }

    fn folder(self, dir: &Path, name: &str) -> PathBuf {
        match self.generation {
            0 => dir.join(name),
            generation => dir.join(format!("{name}-{generation}")),
        }
    }

    /// Reads the mark of a store; `None` if there is none.
    pub(crate) fn read(dir: &Path) -> Result<Option<Self>> {
        let Some(bytes) = files::read(&dir.join(MARK))? else { return Ok(None) };
        let mark: Self = serde_json::from_slice(&bytes).map_err(|_| ErrorKind::NotAStore {
            path: dir.to_owned(),
            reason: "its JOURNEYLOG mark cannot be read".to_owned(),
        })?;
        // First, and by later releases too: otherwise damage would pass for a later release.
        if mark.check.is_some_and(|check| check != mark.checksum()) {
            return Err(Error::damaged("the JOURNEYLOG mark", "its checksum does not fit"));
        }
        if mark.journeylog > FORMAT {
            let what = "the store".to_owned();
            return Err(ErrorKind::NewerFormat { what, found: mark.journeylog, supported: FORMAT }.into());
        }
        if mark.journeylog >= 3 && mark.check.is_none() {
            return Err(Error::damaged("the JOURNEYLOG mark", "it has no checksum"));
        }
        Ok(Some(mark))
    }

    /// Writes the mark: the one step by which a generation begins to count.
    pub(crate) fn write(self, dir: &Path) -> Result<()> {
        let mut text = serde_json::to_vec(&self).unwrap_or_default();
        text.push(b'\n');
        files::replace(&dir.join(MARK), &text)
    }

    /// Fails if the log that counts is not there, and another is: the mark is not this store's, or is an older one. sled would
    /// make an empty log, and those that are there would be removed.
    pub(crate) fn check_log(self, dir: &Path) -> Result<()> {
        let there = logs(dir).into_iter().find(|log| log.is_dir());
        let Some(there) = there.filter(|_| !self.log(dir).is_dir()) else { return Ok(()) };
        let name = |path: &Path| path.file_name().unwrap_or_default().display().to_string();
        let (named, there) = (name(&self.log(dir)), name(&there));
        let reason = format!(
            "it names the log {named}, which is not there, while {there} is; nothing was changed, and `Store::salvage` reads it"
        );
        Err(Error::damaged("the JOURNEYLOG mark", reason))
    }

    /// Removes the folders of all generations but this one: what an unfinished rewriting left, or a finished one that was
    /// stopped before it could. Says which.
    pub(crate) fn remove_others(self, dir: &Path) -> Result<Vec<String>> {
        let mut removed = Vec::new();
        for path in files::list(dir)? {
            let Some(name) = path.file_name().and_then(|name| name.to_str()) else { continue };
            let is_ours = [LOG, INDEX].into_iter().any(|ours| generation(name, ours).is_some());
            if is_ours && path != self.log(dir) && path != self.index(dir) && path.is_dir() {
                files::remove_folder(&path)?;
                removed.push(format!("removed {name}, which is of another writing of the log"));
            }
        }
        Ok(removed)
    }
}

/// All folders of logs in a store's folder, the newest first: for when it is not known which counts.
pub(super) fn logs(dir: &Path) -> Vec<PathBuf> {
    generations(dir, LOG)
}

/// The same of journey indexes.
pub(super) fn indexes(dir: &Path) -> Vec<PathBuf> {
    generations(dir, INDEX)
}

fn generations(dir: &Path, of: &str) -> Vec<PathBuf> {
    let numbered = files::list(dir).unwrap_or_default().into_iter();
    let numbered = numbered.filter_map(|path| Some((generation(path.file_name()?.to_str()?, of)?, path)));
    let mut numbered: Vec<(u64, PathBuf)> = numbered.collect();
    numbered.sort_by_key(|(number, _)| std::cmp::Reverse(*number));
    numbered.into_iter().map(|(_, path)| path).collect()
}

/// The generation of a folder of that name, if it is one.
fn generation(name: &str, of: &str) -> Option<u64> {
    match name.strip_prefix(of)? {
        "" => Some(0),
        rest => rest.strip_prefix('-')?.parse().ok(),
    }
}

/// Locks a folder for this process, making it if it is missing, and reads its mark.
///
/// Anything else in the folder means that it is not a store: nothing is written then.
pub(crate) fn claim(dir: &Path, must_exist: bool) -> Result<(FolderLock, Mark)> {
    if dir.is_file() {
        return Err(ErrorKind::NotAStore { path: dir.to_owned(), reason: "it is a file".to_owned() }.into());
    }
    let marked = Mark::read(dir)?;
    if marked.is_none() && must_exist {
        let reason = if dir.exists() { "it has no JOURNEYLOG mark" } else { "there is no such folder" }.to_owned();
        return Err(ErrorKind::NotAStore { path: dir.to_owned(), reason }.into());
    }
    if marked.is_none() && !is_empty_enough(dir)? {
        let reason = "it has other files and no JOURNEYLOG mark".to_owned();
        return Err(ErrorKind::NotAStore { path: dir.to_owned(), reason }.into());
    }
    files::make_folder(dir)?;
    let path = dir.join(LOCK);
    let lock = match &marked {
        Some(_) => open_lock(&path)?,
        None => Output::create(&path)?.into_file(),
    };
    let lock = FolderLock::take(lock, dir)?;
    // Read again, now that nobody else can change it.
    let mark = Mark::read(dir)?;
    mark.map_or(Ok(()), |mark| mark.check_log(dir))?;
    let mark = match mark {
        Some(mark) if mark.journeylog == FORMAT => mark,
        // Whoever knows only an older format must not read what is written from now on.
        older => {
            let Mark { generation, began, .. } = older.unwrap_or_default();
            let mark = Mark::new(generation, began);
            // So whoever finds a mark knows that the folder's own name survives a power cut.
            files::sync_folder(files::folder_of(dir))?;
            mark.write(dir)?;
            mark
        }
    };
    Ok((lock, mark))
}

/// Locks a folder that is missing or empty, making it if it is missing, for a store that counts when its mark is
/// written; `None` if there is anything in it.
pub(crate) fn claim_empty(dir: &Path) -> Result<Option<FolderLock>> {
    if !is_empty_enough(dir)? {
        return Ok(None);
    }
    files::make_folder(dir)?;
    let lock = Output::create(&dir.join(LOCK))?.into_file();
    let lock = FolderLock::take(lock, dir)?;
    // Looked at again, now that nobody else can change it.
    Ok(is_empty_enough(dir)?.then_some(lock))
}

fn open_lock(path: &Path) -> Result<File> {
    if path.exists() {
        files::open(path).map_err(|e| Error::io("opening", path, e))
    } else {
        Output::create(path).map(Output::into_file)
    }
}

/// True if the folder is missing, empty, or holds only what an interrupted first open may have left.
fn is_empty_enough(dir: &Path) -> Result<bool> {
    if !dir.exists() {
        return Ok(true);
    }
    let is_leftover = |path: &PathBuf| path.ends_with(LOCK) || path.ends_with("JOURNEYLOG.tmp");
    Ok(files::list(dir)?.iter().all(is_leftover))
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn a_folder_is_claimed_once() {
        let dir = tempfile::tempdir().unwrap();
        let store = dir.path().join("a.journey");
        let (lock, mark) = claim(&store, false).unwrap();
        assert_eq!(mark, Mark::new(0, Head::default()));
        assert!(claim(&store, false).unwrap_err().is_locked());
        drop(lock);
        claim(&store, true).unwrap();
        assert!(matches!(claim(&dir.path().join("b"), true).unwrap_err().kind(), ErrorKind::NotAStore { .. }));
        assert!(!dir.path().join("b").exists());
    }

    #[test]
    fn other_folders_are_left_alone() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("letter.txt"), "dear").unwrap();
        assert!(matches!(claim(dir.path(), false).unwrap_err().kind(), ErrorKind::NotAStore { .. }));
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
        assert!(matches!(
            claim(&dir.path().join("letter.txt"), false).unwrap_err().kind(),
            ErrorKind::NotAStore { .. }
        ));
    }

    #[test]
    fn a_newer_store_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        drop(claim(dir.path(), false).unwrap());
        fs::write(dir.path().join(MARK), format!("{{\"journeylog\":{}}}", FORMAT + 1)).unwrap();
        let refused = claim(dir.path(), false).unwrap_err();
        assert!(matches!(*refused.kind(), ErrorKind::NewerFormat { found, .. } if found == FORMAT + 1));
        let later = Mark { journeylog: FORMAT + 1, check: None, ..Mark::first() };
        let later = Mark { check: Some(later.checksum()), ..later };
        fs::write(dir.path().join(MARK), serde_json::to_vec(&later).unwrap()).unwrap();
        let refused = claim(dir.path(), false).unwrap_err();
        let is_newer = matches!(*refused.kind(), ErrorKind::NewerFormat { found, .. } if found == FORMAT + 1);
        assert!(is_newer, "one whose checksum fits: {refused}");
        let earlier = r#"{"journeylog":1}"#;
        fs::write(dir.path().join(MARK), earlier).unwrap();
        let open_elsewhere = File::open(dir.path().join(LOCK)).unwrap();
        open_elsewhere.lock().unwrap();
        assert!(claim(dir.path(), false).unwrap_err().is_locked());
        assert_eq!(
            fs::read_to_string(dir.path().join(MARK)).unwrap(),
            earlier,
            "whoever has it open may not know more"
        );
        drop(open_elsewhere);
        drop(claim(dir.path(), false).unwrap());
        let raised = fs::read_to_string(dir.path().join(MARK)).unwrap();
        let begins = |format: u32| format!("{{\"journeylog\":{format},");
        assert!(raised.starts_with(&(begins(FORMAT) + "\"generation\":0,")), "{raised}");
        fs::write(dir.path().join(MARK), raised.replace("\"generation\":0", "\"generation\":1")).unwrap();
        assert!(claim(dir.path(), false).unwrap_err().is_corrupt(), "another generation is another log");
        fs::write(dir.path().join(MARK), raised.replace(&begins(FORMAT), &begins(FORMAT + 1))).unwrap();
        assert!(claim(dir.path(), false).unwrap_err().is_corrupt(), "a bit flipped is no later release");
        fs::write(dir.path().join(MARK), "?").unwrap();
        assert!(matches!(claim(dir.path(), false).unwrap_err().kind(), ErrorKind::NotAStore { .. }));
    }
}

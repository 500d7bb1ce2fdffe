//! The mark that makes a folder a store, and the lock that makes it ours.

use std::{
    fs::{self, File, TryLockError},
    path::Path,
};

use serde::{Deserialize, Serialize};

use super::files;
use crate::error::{Error, ErrorKind, Result};

/// The version of the store as a whole. A change of any format of bytes counts it up.
///
/// - 2: blocks of the log, id files and segments are of version 2. A store of format 1 is read, and becomes 2 when it is
///   opened; its index is built again.
pub(crate) const FORMAT: u32 = 2;
const MARK: &str = "JOURNEYLOG";
const LOCK: &str = "LOCK";

/// What the mark says, as one line of JSON that a person can read.
#[derive(Debug, Serialize, Deserialize)]
struct Mark {
    journeylog: u32,
}

/// Locks a folder for this process, making it if it is missing.
///
/// Anything else in the folder means that it is not a store: nothing is written then.
pub(crate) fn claim(dir: &Path, must_exist: bool) -> Result<File> {
    if dir.is_file() {
        return Err(ErrorKind::NotAStore { path: dir.to_owned(), reason: "it is a file".to_owned() }.into());
    }
    let marked = files::read(&dir.join(MARK))?;
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
        None => files::create(&path)?,
    };
    match lock.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => return Err(ErrorKind::Locked { path: dir.to_owned() }.into()),
        Err(TryLockError::Error(e)) => return Err(Error::io("locking", path, e)),
    }
    match marked {
        // Whoever knows only the older format must not read what is written from now on.
        Some(bytes) if check(dir, &bytes)? < FORMAT => write(dir)?,
        Some(_) => {}
        None => write(dir)?,
    }
    Ok(lock)
}

fn open_lock(path: &Path) -> Result<File> {
    if path.exists() { File::open(path).map_err(|e| Error::io("opening", path, e)) } else { files::create(path) }
}

/// True if the folder is missing, empty, or holds only what an interrupted first open may have left.
fn is_empty_enough(dir: &Path) -> Result<bool> {
    if !dir.exists() {
        return Ok(true);
    }
    for entry in fs::read_dir(dir).map_err(|e| Error::io("listing", dir, e))? {
        let name = entry.map_err(|e| Error::io("listing", dir, e))?.file_name();
        if name != LOCK && name != "JOURNEYLOG.tmp" {
            return Ok(false);
        }
    }
    Ok(true)
}

/// The format of a store, if this release can read it.
fn check(dir: &Path, bytes: &[u8]) -> Result<u32> {
    let mark: Mark = serde_json::from_slice(bytes).map_err(|_| ErrorKind::NotAStore {
        path: dir.to_owned(),
        reason: "its JOURNEYLOG mark cannot be read".to_owned(),
    })?;
    if mark.journeylog > FORMAT {
        let what = "the store".to_owned();
        return Err(ErrorKind::NewerFormat { what, found: mark.journeylog, supported: FORMAT }.into());
    }
    Ok(mark.journeylog)
}

fn write(dir: &Path) -> Result<()> {
    let mut text = serde_json::to_vec(&Mark { journeylog: FORMAT }).unwrap_or_default();
    text.push(b'\n');
    files::replace(&dir.join(MARK), &text)?;
    dir.parent().filter(|parent| !parent.as_os_str().is_empty()).map_or(Ok(()), files::sync_folder)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_is_claimed_once() {
        let dir = tempfile::tempdir().unwrap();
        let store = dir.path().join("a.journey");
        let lock = claim(&store, false).unwrap();
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
        fs::write(dir.path().join(MARK), r#"{"journeylog":3}"#).unwrap();
        assert!(matches!(claim(dir.path(), false).unwrap_err().kind(), ErrorKind::NewerFormat { found: 3, .. }));
        fs::write(dir.path().join(MARK), r#"{"journeylog":1}"#).unwrap();
        drop(claim(dir.path(), false).unwrap());
        assert_eq!(
            fs::read_to_string(dir.path().join(MARK)).unwrap(),
            "{\"journeylog\":2}\n",
            "an older one is raised"
        );
        fs::write(dir.path().join(MARK), "?").unwrap();
        assert!(matches!(claim(dir.path(), false).unwrap_err().kind(), ErrorKind::NotAStore { .. }));
    }
}

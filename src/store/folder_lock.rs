//! The lock that makes a folder ours as long as it is held.

use std::{
    fs::{File, Metadata, TryLockError},
    path::Path,
};

use super::mark::LOCK;
use crate::error::{Error, ErrorKind, Result};

/// A folder that nobody else opens. It is given back when this is dropped.
#[derive(Debug)]
pub(crate) struct FolderLock(File);

impl FolderLock {
    /// Locks a folder by its file of that name.
    ///
    /// # Errors
    /// `Locked` if it is open elsewhere; `Io` if the system cannot lock it.
    pub(crate) fn take(file: File, dir: &Path) -> Result<Self> {
        match file.try_lock() {
            Ok(()) => Ok(Self(file)),
            Err(TryLockError::WouldBlock) => Err(ErrorKind::Locked { path: dir.to_owned() }.into()),
            Err(TryLockError::Error(error)) => Err(Error::io("locking", dir, error)),
        }
    }

    /// Fails if the folder is not the one any more that was locked: it was moved, or another stands in its place.
    pub(crate) fn check_place(&self, dir: &Path) -> Result<()> {
        let is_same = match (std::fs::metadata(dir.join(LOCK)), self.0.metadata()) {
            (Ok(there), Ok(ours)) => is_same_file(&there, &ours),
            (Err(error), _) => error.kind() != std::io::ErrorKind::NotFound,
            // If the system cannot say, what is to be done there will fail or not.
            _ => true,
        };
        if is_same {
            return Ok(());
        }
        let reason = "it is not the folder any more that was opened: it was moved, or another stands in its place; \
                      close the store, and open it where it is now";
        Err(ErrorKind::NotAStore { path: dir.to_owned(), reason: reason.to_owned() }.into())
    }
}

impl Drop for FolderLock {
    /// Said outright, for to close the file is not enough: a process that the program is about to start has it open too until
    /// it runs.
    fn drop(&mut self) {
        // If the system cannot, it does so when the last who has the file open closes it.
        let _ = self.0.unlock();
    }
}

#[cfg(unix)]
fn is_same_file(one: &Metadata, other: &Metadata) -> bool {
    use std::os::unix::fs::MetadataExt;
    (one.dev(), one.ino()) == (other.dev(), other.ino())
}

#[cfg(not(unix))]
fn is_same_file(_: &Metadata, _: &Metadata) -> bool {
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_is_given_back_though_a_starting_process_has_the_file_open_too() {
        let dir = tempfile::tempdir().unwrap();
        let file = || File::create(dir.path().join(LOCK)).unwrap();
        let lock = FolderLock::take(file(), dir.path()).unwrap();
        let in_a_child = lock.0.try_clone().unwrap();
        assert!(FolderLock::take(file(), dir.path()).unwrap_err().is_locked());
        drop(lock);
        FolderLock::take(file(), dir.path()).unwrap();
        drop(in_a_child);
    }
}

//! What is done to the disk, step by step: the seam through which tests see each step, and let it fail.
//!
//! Outside tests it is nothing but the call itself.

#[cfg(not(test))]
use std::io;
use std::path::Path;

/// A step on the disk, just before it is done.
#[derive(Debug, Clone, Copy)]
#[cfg_attr(not(test), expect(dead_code, reason = "only tests look at what a step is"))]
pub(super) enum Step<'a> {
    MakeFolder(&'a Path),
    /// Makes a file, or empties one.
    Create(&'a Path),
    /// Adds bytes at the end of a file that was just made.
    Write(&'a Path, &'a [u8]),
    Sync(&'a Path),
    SyncFolder(&'a Path),
    Rename(&'a Path, &'a Path),
    Remove(&'a Path),
    RemoveFolder(&'a Path),
    /// Opens a file to read it, or lists a folder.
    Read(&'a Path),
}

#[cfg(not(test))]
pub(super) fn take<T>(_step: Step<'_>, run: impl FnOnce() -> io::Result<T>) -> io::Result<T> {
    run()
}

#[cfg(test)]
pub(super) use super::watched::take;

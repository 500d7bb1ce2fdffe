//! Tests watch the steps on the disk within a folder: they write them down, or let some fail.

use std::{
    fmt, io,
    path::{Path, PathBuf},
    sync::{Arc, Mutex},
};

use super::{locks::lock_plain, step::Step};

/// Sees each step within a folder.
pub(super) trait Watcher: Send + Sync {
    /// Does the step by calling `run` once, or fails in its place.
    fn around(&self, step: Step<'_>, run: &mut dyn FnMut() -> io::Result<()>) -> io::Result<()>;
}

static WATCHED: Mutex<Vec<(PathBuf, Arc<dyn Watcher>)>> = Mutex::new(Vec::new());

/// As long as this lives, a folder is watched.
pub(super) struct Watch(Arc<dyn Watcher>);

/// Watches all steps on a folder and on what is in it.
pub(super) fn watch(dir: &Path, watcher: Arc<dyn Watcher>) -> Watch {
    lock_plain(&WATCHED).push((dir.to_owned(), Arc::clone(&watcher)));
    Watch(watcher)
}

impl Drop for Watch {
    fn drop(&mut self) {
        lock_plain(&WATCHED).retain(|(_, watcher)| !Arc::ptr_eq(watcher, &self.0));
    }
}

impl fmt::Debug for Watch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Watch")
    }
}

impl<'a> Step<'a> {
    /// The file or folder it is about.
    pub(super) fn path(self) -> &'a Path {
        match self {
            Self::MakeFolder(path)
            | Self::Create(path)
            | Self::Write(path, _)
            | Self::Sync(path)
            | Self::SyncFolder(path)
            | Self::Rename(_, path)
            | Self::Remove(path)
            | Self::RemoveFolder(path)
            | Self::Read(path) => path,
        }
    }
}

/// Does a step, with whoever watches.
pub(super) fn take<T>(step: Step<'_>, run: impl FnOnce() -> io::Result<T>) -> io::Result<T> {
    let watcher = {
        let watched = lock_plain(&WATCHED);
        watched.iter().find(|(dir, _)| step.path().starts_with(dir)).map(|(_, watcher)| Arc::clone(watcher))
    };
    let Some(watcher) = watcher else { return run() };
    let (mut run, mut outcome) = (Some(run), None);
    let around = watcher.around(step, &mut || {
        outcome = run.take().map(|run| run()).transpose()?;
        Ok(())
    });
    around.and_then(|()| outcome.ok_or_else(|| io::Error::other("the step was not done")))
}

//! How a store is opened, and how safe an append is.

use std::path::Path;

use serde::{Deserialize, Serialize};

use super::Store;
use crate::error::Result;

/// What an append has reached when it returns.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Durability {
    /// In this process's memory: its death may take the appends of the last second or so. Every sixteenth batch is synced
    /// all the same, or a power cut could take the whole store; so many small appends are no faster than a few large ones.
    Buffered,
    /// With the operating system: it survives the death of this process; a power cut may take the last second or so.
    Flushed,
    /// On the disk: it survives a power cut. The default.
    #[default]
    Synced,
}

/// How to open a store.
///
/// ```
/// # let dir = tempfile::tempdir()?;
/// use journeylog::{Durability, StoreOptions};
/// let store = StoreOptions::new().durability(Durability::Flushed).open(dir.path().join("shop.journey"))?;
/// # store.close()?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone)]
#[must_use = "options open nothing by themselves"]
pub struct StoreOptions {
    pub(super) durability: Durability,
    pub(super) fresh_events: usize,
    pub(super) rebuild_index: bool,
    pub(super) accept_loss: bool,
    pub(super) must_exist: bool,
}

impl Default for StoreOptions {
    fn default() -> Self {
        Self {
            durability: Durability::Synced,
            fresh_events: 256 * 1024,
            rebuild_index: false,
            accept_loss: false,
            must_exist: false,
        }
    }
}

impl StoreOptions {
    /// The defaults.
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets what an append has reached when it returns. The default is [`Durability::Synced`].
    pub fn durability(mut self, durability: Durability) -> Self {
        self.durability = durability;
        self
    }

    /// Sets how many fresh events are kept in memory before they are sealed into a file of the index; at most four
    /// times as many may wait while a file is being written. The default is 262,144, the least is 1. Events of 64 MiB are
    /// sealed, however few they are.
    pub fn fresh_events(mut self, events: usize) -> Self {
        self.fresh_events = events.max(1);
        self
    }

    /// Throws the journey index away at open, and builds it again from the log. The default is not to.
    pub fn rebuild_index(mut self) -> Self {
        self.rebuild_index = true;
        self
    }

    /// Opens a log that has lost acknowledged entries, or does not fit its witness, and goes on with what is left,
    /// instead of failing with [`ErrorKind::Lost`](crate::ErrorKind::Lost) or
    /// [`ErrorKind::Damaged`](crate::ErrorKind::Damaged); or one whose segments with a name are damaged, without these. The open report says what was accepted. A log that its engine
    /// would write over is refused all the same: [salvage](crate::Store::salvage) it. The default is to fail.
    pub fn accept_loss(mut self) -> Self {
        self.accept_loss = true;
        self
    }

    /// Refuses to make a store: a folder that holds none is [`ErrorKind::NotAStore`](crate::ErrorKind::NotAStore). The
    /// default is to make one.
    pub fn must_exist(mut self) -> Self {
        self.must_exist = true;
        self
    }

    /// Opens the store in a folder, or makes one there if the folder is missing or empty.
    ///
    /// # Errors
    /// Those of [`Store::open`].
    pub fn open(&self, folder: impl AsRef<Path>) -> Result<Store> {
        Store::open_with(folder.as_ref(), self)
    }
}

//! The head witness: what the log must at least contain, kept outside the engine.
//!
//! The engine can lose a tail, or everything, without an error after damage. The witness may lag, and is never ahead of
//! what was synced: a log that ends before it has lost entries, and says so.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::files;
use crate::{
    codec::{Chain, frame, unframe},
    error::{Error, Result},
};

const KIND: [u8; 4] = *b"JLWT";
const VERSION: u32 = 1;

/// The head of a log: its last sequence, and the chained checksum up to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub(crate) struct Head {
    pub(crate) seq: u64,
    pub(crate) chain: Chain,
}

/// The file that holds it.
#[derive(Debug)]
pub(crate) struct Witness {
    path: PathBuf,
    written: Head,
}

impl Witness {
    /// Reads the witness of a store. A witness that is damaged is an error: it is the only one there is.
    pub(crate) fn open(dir: &Path) -> Result<Self> {
        let path = dir.join("WITNESS");
        let written = match files::read(&path)? {
            None => Head::default(),
            Some(bytes) => {
                let payload = unframe("the head witness", KIND, VERSION, &bytes)?;
                postcard::from_bytes(payload).map_err(|e| Error::damaged("the head witness", e.to_string()))?
            }
        };
        Ok(Self { path, written })
    }

    /// What the log must at least contain.
    pub(crate) fn head(&self) -> Head {
        self.written
    }

    /// Notes a head that has been synced.
    pub(crate) fn note(&mut self, head: Head) -> Result<()> {
        if head == self.written {
            return Ok(());
        }
        let payload = postcard::to_stdvec(&head).unwrap_or_default();
        files::replace(&self.path, &frame(KIND, VERSION, &payload))?;
        self.written = head;
        Ok(())
    }
}

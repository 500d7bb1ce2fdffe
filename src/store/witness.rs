//! The head witness: what the log must at least contain, kept outside the engine.
//!
//! The engine can lose a tail, or everything, without an error after damage. The witness may lag, and is never ahead of
//! what was synced: a log that ends before it has lost entries, and says so.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::files;
use crate::{
    codec::{Chain, frame, unframe, version_of},
    error::{Error, Result},
    model::Micros,
};

pub(super) const KIND: [u8; 4] = *b"JLWT";
/// Version 1 knew nothing of erasures, version 2 nothing of rules of retention.
pub(super) const VERSION: u32 = 3;
pub(super) const FILE: &str = "WITNESS";

/// The head of a log: its last sequence, and the chained checksum up to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub(crate) struct Head {
    pub(crate) seq: u64,
    pub(crate) chain: Chain,
}

/// What a log must have beside its entries.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub(crate) struct Orders {
    /// How many customers were erased.
    pub(crate) erased: u64,
    /// When rules of retention were set last.
    pub(crate) rules_set_at: Option<Micros>,
}

/// What the file says.
#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize)]
struct Content {
    head: Head,
    orders: Orders,
}

/// The file that holds it.
#[derive(Debug)]
pub(crate) struct Witness {
    path: PathBuf,
    /// What the file says; `None` if there is none.
    written: Option<Content>,
}

impl Witness {
    /// Reads the witness of a store. A witness that is damaged is an error: it is the only one there is.
    pub(crate) fn open(dir: &Path) -> Result<Self> {
        let path = dir.join(FILE);
        let written = match files::read(&path)? {
            None => None,
            Some(bytes) => {
                let payload = unframe("the head witness", KIND, VERSION, &bytes)?;
                let content = match version_of(&bytes) {
                    Some(1) => postcard::from_bytes(payload).map(|head| Content { head, ..Content::default() }),
                    Some(2) => postcard::from_bytes(payload)
                        .map(|(head, erased)| Content { head, orders: Orders { erased, ..Orders::default() } }),
                    _ => postcard::from_bytes(payload),
                };
                Some(content.map_err(|e| Error::damaged("the head witness", e.to_string()))?)
            }
        };
        Ok(Self { path, written })
    }

    /// A witness that knows nothing, in place of one that cannot be read.
    pub(crate) fn forgotten(dir: &Path) -> Self {
        Self { path: dir.join(FILE), written: None }
    }

    /// What the log must at least contain; `None` if there is no witness.
    pub(crate) fn head(&self) -> Option<Head> {
        self.written.map(|written| written.head)
    }

    /// What the log must have beside its entries.
    pub(crate) fn orders(&self) -> Orders {
        self.written.map_or(Orders::default(), |written| written.orders)
    }

    /// Notes that so many customers were erased, which has been synced.
    pub(crate) fn note_erased(&mut self, erased: u64) -> Result<()> {
        let orders = self.orders();
        if orders.erased >= erased { Ok(()) } else { self.set_orders(Orders { erased, ..orders }) }
    }

    /// Notes when rules of retention were set, which has been synced.
    pub(crate) fn note_rules(&mut self, set_at: Option<Micros>) -> Result<()> {
        let orders = self.orders();
        if orders.rules_set_at >= set_at {
            return Ok(());
        }
        self.set_orders(Orders { rules_set_at: set_at, ..orders })
    }

    /// Sets the orders, also back: a loss was accepted.
    pub(crate) fn set_orders(&mut self, orders: Orders) -> Result<()> {
        self.write(Content { orders, ..self.written.unwrap_or_default() })
    }

    /// Notes a head that has been synced. It never goes back: what came late is left out.
    pub(crate) fn note(&mut self, head: Head) -> Result<()> {
        if self.written.is_some_and(|written| written.head.seq >= head.seq) {
            return Ok(());
        }
        self.set(head)
    }

    /// Sets the head, also back: a loss was accepted.
    pub(crate) fn set(&mut self, head: Head) -> Result<()> {
        self.write(Content { head, orders: self.orders() })
    }

    fn write(&mut self, content: Content) -> Result<()> {
        let payload = postcard::to_stdvec(&content).unwrap_or_default();
        files::replace(&self.path, &frame(KIND, VERSION, &payload))?;
        self.written = Some(content);
        Ok(())
    }
}

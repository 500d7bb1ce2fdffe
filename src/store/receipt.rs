//! What an append answers.

use crate::{model::Seq, store::Durability};

/// What became of the events of one append.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Receipt {
    pub(super) first: u64,
    pub(super) stored: u64,
    pub(super) duplicates: Vec<usize>,
    pub(super) erased: Vec<usize>,
    pub(super) durability: Durability,
}

impl Receipt {
    /// The sequence of the first event stored; the others follow without gaps. `None` if none was.
    pub fn first(&self) -> Option<Seq> {
        (self.stored > 0).then_some(Seq(self.first))
    }

    /// The sequence of the last event stored.
    pub fn last(&self) -> Option<Seq> {
        (self.stored > 0).then(|| Seq(self.first.saturating_add(self.stored).saturating_sub(1)))
    }

    /// How many events were stored.
    pub fn stored(&self) -> u64 {
        self.stored
    }

    /// The positions (from 0) of the events that were not stored, because the log, or an earlier event of the batch, has
    /// their ids already.
    pub fn duplicates(&self) -> &[usize] {
        &self.duplicates
    }

    /// The positions (from 0) of the events that were not stored, because their customers were
    /// [erased](crate::Store::erase).
    pub fn erased(&self) -> &[usize] {
        &self.erased
    }

    /// What the stored events have reached.
    pub fn durability(&self) -> Durability {
        self.durability
    }
}

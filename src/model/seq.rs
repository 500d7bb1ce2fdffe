//! A place in the log.

use serde::{Deserialize, Serialize};

/// An entry's place in the log: 1, 2, 3 ... without gaps, in the order of appending. 0 is before the first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Seq(pub u64);

impl Seq {
    /// Before the first entry: the head of an empty log.
    pub const ZERO: Self = Self(0);

    /// As a number.
    pub fn get(self) -> u64 {
        self.0
    }
}

impl std::fmt::Display for Seq {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(f)
    }
}

//! Recency, frequency and monetary value, each scored from 1 to 5.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::model::Money;

/// A customer's scores: 1 to 5, 5 the best.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Rfm {
    /// How recently they bought.
    pub recency: u8,
    /// On how many days.
    pub frequency: u8,
    /// For how much; `None` if no currency was asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub monetary: Option<u8>,
}

/// The customers with the same scores.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct RfmSegment {
    /// The scores.
    pub rfm: Rfm,
    /// How many have them.
    pub customers: u64,
    /// What they have spent together, if a currency was asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value: Option<Money>,
}

/// The score of each distinct value of some, which are better the greater they are.
pub(super) fn scores<T: Ord + Copy>(values: impl Iterator<Item = T>) -> BTreeMap<T, u8> {
    let mut values: Vec<T> = values.collect();
    values.sort_unstable();
    let (mut worse, all) = (0_usize, values.len());
    let mut scores = BTreeMap::new();
    for same in values.chunk_by(|a, b| a == b) {
        let fifth = worse.saturating_mul(5).checked_div(all).and_then(|fifth| u8::try_from(fifth).ok());
        scores.extend(same.first().map(|value| (*value, 1 + fifth.unwrap_or_default())));
        worse += same.len();
    }
    scores
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scores_by_hand() {
        let of = |values: &[u32]| scores(values.iter().copied()).into_iter().collect::<Vec<_>>();
        assert_eq!(of(&[30, 10, 20, 50, 40]), [(10, 1), (20, 2), (30, 3), (40, 4), (50, 5)]);
        // Of ten, eight are not worse than each other.
        assert_eq!(of(&[0, 0, 0, 0, 0, 0, 0, 0, 1, 2]), [(0, 1), (1, 5), (2, 5)]);
        assert_eq!(of(&[1, 2, 2]), [(1, 1), (2, 2)]);
        assert_eq!((of(&[7]), of(&[])), (vec![(7, 1)], vec![]));
    }
}

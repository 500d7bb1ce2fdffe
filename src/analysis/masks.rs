//! Up to 64 conditions tried on all rows of a chunk at once.

use super::{
    picking::{Picking, pick_rows},
    reader::Kept,
    stage_plan::Codes,
    test::Test,
};
use crate::journey::{Chunk, Part, Picked};

/// Up to 64 conditions: bit i of a row's word is set if condition i holds.
#[derive(Debug, Clone)]
pub(crate) struct MaskPlan {
    /// The bits that only the touchpoint decides, by its number.
    by_touchpoint: Vec<u64>,
    /// The other conditions with their bits.
    by_row: Vec<(u64, Test)>,
    /// All bits by touchpoint, where the other columns that conditions read hold nothing; if that can be.
    bare: Option<Vec<u64>>,
    /// Whether events for which no condition holds are picked too.
    pub(crate) every_event: bool,
}

/// The words of a part's rows.
pub(super) enum Words<'a> {
    ByTouchpoint(&'a [u64]),
    /// From the part's first row on.
    ByRow(Vec<u64>),
}

impl MaskPlan {
    pub(crate) fn new(tests: Vec<Test>, touchpoints: usize) -> Self {
        let mut plan = Self { by_touchpoint: vec![0; touchpoints], by_row: Vec::new(), bare: None, every_event: false };
        for (i, test) in tests.into_iter().enumerate() {
            let bit = 1_u64 << (i % 64);
            match test.by_touchpoint(touchpoints) {
                Some(holds) => set(&mut plan.by_touchpoint, bit, &holds),
                None => plan.by_row.push((bit, test)),
            }
        }
        plan.bare = plan.by_row.iter().try_fold(plan.by_touchpoint.clone(), |mut words, (bit, test)| {
            set(&mut words, *bit, &test.where_nothing_is().by_touchpoint(touchpoints)?);
            Some(words)
        });
        plan
    }

    /// The words of a part's rows; `stages` are their codes in the question's own model.
    pub(super) fn words(&self, part: &Part<'_>, stages: &[u8]) -> Words<'_> {
        if self.by_row.is_empty() {
            return Words::ByTouchpoint(&self.by_touchpoint);
        }
        if let Some(bare) = &self.bare
            && self.by_row.iter().all(|(_, test)| test.finds_nothing(part.columns))
        {
            return Words::ByTouchpoint(bare);
        }
        let rows = part.rows();
        let mut words = words_of(&self.by_touchpoint, part);
        for (bit, test) in &self.by_row {
            for (word, holds) in words.iter_mut().zip(test.rows(part.columns, rows.clone(), stages)) {
                *word |= u64::from(holds) * bit;
            }
        }
        Words::ByRow(words)
    }

    /// Picks the events for which any condition holds.
    pub(super) fn pick(
        &self,
        chunk: &Chunk<'_>,
        kept: &Kept,
        stages: &Codes,
        with_events: bool,
        picked: &mut Picked<u64>,
    ) {
        let mut picking = Picking::begin(picked, with_events);
        for (place, part) in chunk.parts.iter().enumerate() {
            let rows = part.rows();
            let first = rows.start;
            let kept = kept.of_part(place);
            let taken = |word: u64| self.every_event || word != 0;
            let there = |row: usize| kept.is_none_or(|kept| kept.get(row - first).copied().unwrap_or_default());
            let found = match self.words(part, stages.of_part(place)) {
                Words::ByTouchpoint(table) => {
                    let word = |touchpoint: u64| look_up(table, touchpoint);
                    match kept {
                        None if !self.every_event => pick_rows(&part.columns.touchpoints, rows, |_, touchpoint| {
                            let word = word(touchpoint);
                            (word, word != 0)
                        }),
                        None => pick_rows(&part.columns.touchpoints, rows, |_, touchpoint| (word(touchpoint), true)),
                        Some(_) => pick_rows(&part.columns.touchpoints, rows, |row, touchpoint| {
                            let word = word(touchpoint);
                            (word, taken(word) & there(row))
                        }),
                    }
                }
                Words::ByRow(words) => pick_rows(&part.columns.touchpoints, rows, |row, _| {
                    let word = words.get(row - first).copied().unwrap_or_default();
                    (word, taken(word) & there(row))
                }),
            };
            picking.add_part(found);
        }
        picking.finish(chunk);
    }
}

/// What a table says of each row's touchpoint.
fn words_of(table: &[u64], part: &Part<'_>) -> Vec<u64> {
    let rows = part.rows();
    let mut words = Vec::with_capacity(rows.len());
    part.columns.touchpoints.for_lists(rows, |list| words.extend(list.iter().map(|&t| look_up(table, t))));
    words
}

fn look_up(table: &[u64], touchpoint: u64) -> u64 {
    usize::try_from(touchpoint).ok().and_then(|t| table.get(t)).copied().unwrap_or_default()
}

fn set(words: &mut [u64], bit: u64, holds: &[bool]) {
    for (word, holds) in words.iter_mut().zip(holds) {
        *word |= u64::from(*holds) * bit;
    }
}

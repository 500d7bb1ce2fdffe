//! Up to 64 conditions tried on all rows of a chunk at once.

use std::cell::OnceCell;

use super::{
    picking::{Picking, pick_rows},
    reader::Kept,
    stage_plan::Codes,
    test::Test,
};
use crate::journey::{Chunk, Column, Part, Picked};

/// More pairs of touchpoint and channel than this are not tried one by one.
const LIMIT_PAIRS: usize = 1 << 16;

/// Up to 64 conditions: bit i of a row's word is set if condition i holds.
#[derive(Debug, Clone)]
pub(crate) struct MaskPlan {
    /// The bits that only the touchpoint decides, by its number.
    by_touchpoint: Vec<u64>,
    /// The other conditions with their bits.
    by_row: Vec<(u64, Test)>,
    /// All bits by touchpoint and channel, if these decide all, and are not too many.
    by_pair: Option<Vec<u64>>,
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
    /// For a store of so many touchpoints and channels.
    pub(crate) fn new(tests: Vec<Test>, (touchpoints, channels): (usize, usize)) -> Self {
        let by_touchpoint = vec![0; touchpoints];
        let mut plan = Self { by_touchpoint, by_row: Vec::new(), by_pair: None, bare: None, every_event: false };
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
        if !plan.by_row.is_empty() && touchpoints.saturating_mul(channels) <= LIMIT_PAIRS {
            plan.by_pair = plan.pairs(channels);
        }
        plan
    }

    fn pairs(&self, channels: usize) -> Option<Vec<u64>> {
        let mut table = Vec::with_capacity(self.by_touchpoint.len() * channels);
        for (touchpoint, &word) in (0..).zip(&self.by_touchpoint) {
            for channel in (0..).take(channels) {
                let word = self.by_row.iter().try_fold(word, |word, (bit, test)| {
                    Some(word | (u64::from(test.by_pair(touchpoint, channel)?) * bit))
                })?;
                table.push(word);
            }
        }
        Some(table)
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
        (stages, pairs): (&Codes, &[Pairs]),
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
            if let (Some(table), Some(pairs)) = (&self.by_pair, pairs.get(place)) {
                let pairs = pairs.of(part, table.len() / self.by_touchpoint.len().max(1));
                let found = pick_rows(pairs, 0..pairs.len(), |i, pair| {
                    let word = look_up(table, pair);
                    (word, taken(word) & there(first + i))
                });
                picking.add_part(found.shifted(first));
                continue;
            }
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

/// The touchpoint and channel of each row of a part as one number, made when it is first asked for.
#[derive(Default)]
pub(super) struct Pairs(OnceCell<Column<u64>>);

impl Pairs {
    fn of(&self, part: &Part<'_>, channels: usize) -> &Column<u64> {
        self.0.get_or_init(|| {
            let mut pairs = Vec::with_capacity(part.rows().len());
            let channels = channels as u64;
            part.columns.touchpoints.for_lists(part.rows(), |list| pairs.extend(list.iter().map(|t| t * channels)));
            let mut left = pairs.iter_mut();
            part.columns.channels.for_each(part.rows(), |channel| {
                left.next().into_iter().for_each(|pair| *pair += u64::from(channel.0));
            });
            Column::Plain(pairs)
        })
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

//! Up to 64 conditions tried on all rows of a chunk at once.

use std::cell::OnceCell;

use super::{
    carried::Carried,
    kept::Kept,
    numbers::{Keys, Numbers},
    picking::{Picking, pick},
    stage_plan::Codes,
    test::Test,
};
use crate::journey::{Bitmaps, Chunk, Part, Picked, add_rows};

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
    /// How many conditions there are.
    conditions: usize,
    /// How many channels there are.
    channels: usize,
    /// Whether the plan goes through many journeys at once, if it can.
    pub(crate) as_bits: bool,
    /// What each picked event carries along.
    pub(crate) carried: Option<Carried>,
}

/// The words of a part's rows.
pub(super) enum Words<'a> {
    ByTouchpoint(&'a [u64]),
    /// From the part's first row on.
    ByRow(Vec<u64>),
}

impl Words<'_> {
    /// The word of one row.
    pub(super) fn get(&self, numbers: &Numbers<'_>, row: usize) -> u64 {
        match self {
            Self::ByTouchpoint(table) => numbers.touchpoints().look_up_one(table, row),
            Self::ByRow(words) => words.get(row).copied().unwrap_or_default(),
        }
    }
}

impl MaskPlan {
    /// For a store of so many touchpoints and channels.
    pub(crate) fn new(tests: Vec<Test>, (touchpoints, channels): (usize, usize)) -> Self {
        let by_touchpoint = vec![0; touchpoints];
        let mut plan = Self {
            by_touchpoint,
            by_row: Vec::new(),
            by_pair: None,
            bare: None,
            every_event: false,
            conditions: tests.len(),
            channels,
            as_bits: false,
            carried: None,
        };
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

    /// The bits by touchpoint, if nothing else decides them in a part.
    pub(super) fn by_touchpoint(&self, part: &Part<'_>) -> Option<&[u64]> {
        if self.by_row.is_empty() {
            return Some(&self.by_touchpoint);
        }
        self.bare.as_deref().filter(|_| self.by_row.iter().all(|(_, test)| test.finds_nothing(part.columns)))
    }

    /// The words of a part's rows; `stages` are their codes in the question's own model.
    pub(super) fn words(&self, part: &Part<'_>, numbers: &Numbers<'_>, stages: &[u8]) -> Words<'_> {
        if let Some(words) = self.by_touchpoint(part) {
            return Words::ByTouchpoint(words);
        }
        let rows = part.rows();
        let mut words = numbers.touchpoints().look_up(&self.by_touchpoint);
        for (bit, test) in &self.by_row {
            for (word, holds) in words.iter_mut().zip(test.rows(part.columns, rows.clone(), stages)) {
                *word |= u64::from(holds) * bit;
            }
        }
        Words::ByRow(words)
    }

    /// Makes bits of where the conditions hold, if the chunk is one part of whole journeys; false if not.
    pub(super) fn fill_bitmaps(
        &self,
        chunk: &Chunk<'_>,
        kept: &Kept,
        (stages, numbers): (&Codes, &[Numbers<'_>]),
        bitmaps: &mut Bitmaps,
    ) -> bool {
        let ([part], [numbers], Some(ends)) = (chunk.parts.as_slice(), numbers, chunk.ends_in_one_part()) else {
            return false;
        };
        let rows = part.rows();
        let begin = Bitmaps::begin(rows.start);
        let (before, aligned) = (rows.start - begin, begin..rows.end);
        let conditions = bitmaps.conditions(self.conditions);
        if let Some(table) = &self.by_pair {
            let pairs = numbers.pairs(table.len() / self.by_touchpoint.len().max(1));
            add_rows(before, &pairs.look_up(&lowest(table)), conditions);
        } else {
            match self.words(part, numbers, stages.of_part(0)) {
                Words::ByTouchpoint(table) => {
                    let table = lowest(table);
                    if !part.columns.touchpoints.add_holding(&aligned, &table, conditions) {
                        add_rows(before, &numbers.touchpoints().look_up(&table), conditions);
                    }
                }
                Words::ByRow(words) => add_rows(before, &lowest(&words), conditions),
            }
        }
        bitmaps.fill((rows.clone(), ends), &part.columns.times, kept.bits_of_part(0));
        let carries = matches!(self.carried, Some(Carried::Channel));
        let values = bitmaps.values_to_fill(if carries { self.channels } else { 0 });
        let keys = OnceCell::new();
        for (list, values) in values.chunks_mut(8).enumerate() {
            let table: Vec<u8> = (0..self.channels).map(|channel| eighth(channel, list)).collect();
            if !part.columns.channels.add_holding(&aligned, &table, values) {
                let keys = keys.get_or_init(|| Keys::of(&part.columns.channels, rows.clone()));
                add_rows(before, &keys.look_up(&table), values);
            }
        }
        true
    }

    /// Picks the events for which any condition holds.
    pub(super) fn pick(
        &self,
        chunk: &Chunk<'_>,
        kept: &Kept,
        (stages, numbers): (&Codes, &[Numbers<'_>]),
        with_events: bool,
        picked: &mut Picked<u64>,
    ) {
        let mut picking = Picking::begin(picked, with_events);
        for (place, (part, numbers)) in chunk.parts.iter().zip(numbers).enumerate() {
            let first = part.rows().start;
            let kept = kept.of_part(place);
            let there = |row: usize| kept.is_none_or(|kept| kept.get(row).copied().unwrap_or_default());
            #[expect(clippy::needless_bitwise_bool, reason = "no branch may depend on the row")]
            let is_wanted = |row: usize, word: u64| (self.every_event | (word != 0)) & there(row);
            let by_table = |rows: &Keys, table: &[u64]| {
                if kept.is_none() && !self.every_event {
                    rows.pick(first, table, |_, word| word != 0)
                } else {
                    rows.pick(first, table, is_wanted)
                }
            };
            picking.add_part(if let Some(table) = &self.by_pair {
                by_table(numbers.pairs(table.len() / self.by_touchpoint.len().max(1)), table)
            } else {
                match self.words(part, numbers, stages.of_part(place)) {
                    Words::ByTouchpoint(table) => by_table(numbers.touchpoints(), table),
                    Words::ByRow(words) => pick(&words, first, |row, word| (word, is_wanted(row, word))),
                }
            });
        }
        picking.finish(chunk, self.carried.as_ref());
    }
}

/// The bit of a number among the eight of a list.
fn eighth(number: usize, list: usize) -> u8 {
    u8::from(number / 8 == list) << (number % 8)
}

/// The bytes of words of few conditions.
fn lowest(words: &[u64]) -> Vec<u8> {
    words.iter().map(|word| word.to_le_bytes()).map(|[byte, ..]| byte).collect()
}

fn set(words: &mut [u64], bit: u64, holds: &[bool]) {
    for (word, holds) in words.iter_mut().zip(holds) {
        *word |= u64::from(*holds) * bit;
    }
}

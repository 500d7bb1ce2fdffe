//! A journey model in the numbers of one store, read from all rows of a chunk at once.

use super::{
    masks::{MaskPlan, Words},
    reader::Kept,
};
use crate::{
    journey::{AT_ONCE, Chunk, NO_STAGE, Part, Picked},
    model::Nth,
};

/// In the place of a code: which stage it is depends on how often the condition held before in the journey.
const COUNTED: u8 = u8::MAX;

/// A journey model in the numbers of one store. The code of a stage is its place counted from 1; 0 is none.
#[derive(Debug, Clone)]
pub(crate) struct StagePlan {
    /// Bit i: rule i's condition holds.
    rules: MaskPlan,
    /// The stage code of each rule.
    stage_of_rule: Vec<u8>,
    /// The rules that speak of an nth occurrence.
    nth: Vec<(usize, Nth)>,
    /// The bits of these.
    nth_bits: u64,
    /// The code of an event's own stage, by its number; 0 if the model does not have it.
    own: Vec<u8>,
}

/// The stage codes of the rows of a chunk's parts.
#[derive(Debug, Default)]
pub(super) struct Codes(Vec<Vec<u8>>);

impl Codes {
    /// Those of one part, from its first row on; none if nobody asked.
    pub(super) fn of_part(&self, place: usize) -> &[u8] {
        self.0.get(place).map_or(&[], Vec::as_slice)
    }
}

impl StagePlan {
    pub(super) fn new(rules: MaskPlan, stage_of_rule: Vec<u8>, nth: Vec<(usize, Nth)>, own: Vec<u8>) -> Self {
        let nth_bits = nth.iter().fold(0, |bits, (rule, _)| bits | 1_u64 << (rule % 64));
        Self { rules, stage_of_rule, nth, nth_bits, own }
    }

    /// The code that a word of rules gives.
    fn code(&self, word: u64) -> u8 {
        self.stage_of_rule.get(word.trailing_zeros() as usize).copied().unwrap_or_default()
    }

    /// The code of a word of which it depends on the journey's occurrences so far. Every event of a rule's condition
    /// counts, also those that an earlier rule or their own stage decides.
    fn counted(&self, mut word: u64, counts: &mut [u32]) -> u8 {
        for (&(rule, nth), count) in self.nth.iter().zip(counts) {
            let bit = 1_u64 << (rule % 64);
            if word & bit != 0 {
                *count = count.saturating_add(1);
                if !nth.holds(*count) {
                    word &= !bit;
                }
            }
        }
        self.code(word)
    }

    /// The codes of a part's rows as far as each row alone decides, and the words of rules from which the others come.
    fn rows<'a>(&'a self, part: &Part<'_>, kept: Option<&[bool]>) -> (Vec<u8>, Words<'a>) {
        let alone = |word: u64| if word & self.nth_bits == 0 { self.code(word) } else { COUNTED };
        let words = self.rules.words(part, &[]);
        let mut codes = Vec::with_capacity(part.rows().len());
        match &words {
            Words::ByTouchpoint(words) => {
                let table: Vec<u8> = words.iter().map(|word| alone(*word)).collect();
                #[expect(clippy::cast_possible_truncation, reason = "a touchpoint's number has 32 bits")]
                let code = |touchpoint: &u64| table.get(*touchpoint as usize).copied().unwrap_or_default();
                part.columns.touchpoints.for_lists(part.rows(), |list| codes.extend(list.iter().map(code)));
            }
            Words::ByRow(words) => codes.extend(words.iter().map(|word| alone(*word))),
        }
        if let Some(kept) = kept {
            codes.iter_mut().zip(kept).for_each(|(code, kept)| *code *= u8::from(*kept));
        }
        (codes, words)
    }

    /// Picks the events that begin a visit: those whose stage is another than that of the last event before that has one.
    /// Says the codes of all rows; 0 of those that are not seen.
    pub(super) fn pick_visits(&self, chunk: &Chunk<'_>, kept: &Kept, picked: &mut Picked<u8>) -> Codes {
        picked.clear();
        let mut parts: Vec<(Vec<u8>, Words<'_>)> =
            chunk.parts.iter().enumerate().map(|(place, part)| self.rows(part, kept.of_part(place))).collect();
        let mut counts = vec![0; self.nth.len()];
        let mut changes = Changes { rows: Vec::new(), part: 0 };
        for (_, spans) in chunk.journeys() {
            let mut before = 0;
            counts.fill(0);
            for span in spans {
                let place = span.part as usize;
                let (Some(part), Some((codes, words))) = (chunk.parts.get(place), parts.get_mut(place)) else {
                    continue;
                };
                let (first, words) = (part.rows().start, &*words);
                let codes = codes.get_mut(span.rows().start - first..span.rows().end - first).unwrap_or_default();
                let own = part.columns.stages.get(span.rows()).unwrap_or_default();
                let kept = kept.rows(part, place, span.rows());
                self.settle(codes, (own, kept), &mut counts, |i| match words {
                    Words::ByRow(words) => words.get(span.rows().start - first + i).copied().unwrap_or_default(),
                    Words::ByTouchpoint(table) => {
                        let touchpoint = part.columns.touchpoints.get(span.rows().start + i);
                        touchpoint.and_then(|t| table.get(t.index())).copied().unwrap_or_default()
                    }
                });
                if changes.part != place {
                    changes.look_up_times(chunk, picked);
                    changes.part = place;
                }
                before = changes.pick(codes, span.first_row(), before, &mut picked.what);
            }
            picked.ends.push(u32::try_from(picked.what.len()).unwrap_or(u32::MAX));
        }
        changes.look_up_times(chunk, picked);
        Codes(parts.into_iter().map(|(codes, _)| codes).collect())
    }

    /// Settles the codes of a journey's rows that are counted, and those of rows that bring their own stage.
    fn settle(
        &self,
        codes: &mut [u8],
        (own, kept): (&[u32], Option<&[bool]>),
        counts: &mut [u32],
        word: impl Fn(usize) -> u64,
    ) {
        if self.nth_bits != 0 {
            for (i, code) in codes.iter_mut().enumerate().filter(|(_, code)| **code == COUNTED) {
                *code = self.counted(word(i), counts);
            }
        }
        for (i, (code, &own)) in codes.iter_mut().zip(own).enumerate().filter(|(_, (_, own))| **own != NO_STAGE) {
            let seen = kept.is_none_or(|kept| kept.get(i).copied().unwrap_or_default());
            if let Some(&own) = self.own.get(own as usize).filter(|own| **own > 0 && seen) {
                *code = own;
            }
        }
    }
}

/// Rows of one part at which visits begin.
struct Changes {
    rows: Vec<u32>,
    part: usize,
}

impl Changes {
    /// Adds the stages whose visits begin at these rows to a list, and notes the rows; says which stage was the last.
    fn pick(&mut self, codes: &[u8], first: u32, mut before: u8, stages: &mut Vec<u8>) -> u8 {
        let (mut here, mut rows) = ([0_u8; AT_ONCE], [0_u32; AT_ONCE]);
        let mut row = first;
        for codes in codes.chunks(AT_ONCE) {
            let mut count = 0;
            for &code in codes {
                // There are never more than were tried; the remainder tells the compiler so.
                #[expect(clippy::indexing_slicing, reason = "below the length")]
                {
                    here[count % AT_ONCE] = code.wrapping_sub(1);
                    rows[count % AT_ONCE] = row;
                }
                let begins = code != 0 && code != before;
                before = if begins { code } else { before };
                count += usize::from(begins);
                row += 1;
            }
            stages.extend_from_slice(here.get(..count).unwrap_or_default());
            self.rows.extend_from_slice(rows.get(..count).unwrap_or_default());
        }
        before
    }

    /// Adds the times of the noted rows to a list, and forgets the rows.
    fn look_up_times(&mut self, chunk: &Chunk<'_>, picked: &mut Picked<u8>) {
        if let Some(part) = chunk.parts.get(self.part) {
            part.columns.times.gather(&self.rows, &mut picked.times);
        }
        self.rows.clear();
    }
}

//! A journey model in the numbers of one store, read from all rows of a chunk at once.

use std::hint::select_unpredictable;

use super::{
    kept::Kept,
    masks::{MaskPlan, Words},
    numbers::Numbers,
    picking::{Found, Picking, pick_marked},
};
use crate::{
    journey::{AT_ONCE, Chunk, NO_STAGE, Part, Picked, bits_of, places},
    model::{Micros, Nth},
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
    fn rows<'a>(&'a self, part: &Part<'_>, numbers: &Numbers<'_>, kept: Option<&[bool]>) -> (Vec<u8>, Words<'a>) {
        let alone = |word: &u64| if word & self.nth_bits == 0 { self.code(*word) } else { COUNTED };
        let words = self.rules.words(part, numbers, &[]);
        let mut codes: Vec<u8> = match &words {
            // Whichever is shorter becomes codes: the table or the rows.
            Words::ByTouchpoint(words) if words.len() > part.rows().len() => {
                numbers.touchpoints().look_up(words).iter().map(alone).collect()
            }
            Words::ByTouchpoint(words) => numbers.touchpoints().look_up(&words.iter().map(alone).collect::<Vec<_>>()),
            Words::ByRow(words) => words.iter().map(alone).collect(),
        };
        if let Some(kept) = kept {
            codes.iter_mut().zip(kept).for_each(|(code, kept)| *code *= u8::from(*kept));
        }
        (codes, words)
    }

    /// Picks the events that begin a visit: those whose stage is another than that of the last event before that has one.
    /// Says the codes of all rows; 0 of those that are not seen.
    pub(super) fn pick_visits(
        &self,
        chunk: &Chunk<'_>,
        numbers: &[Numbers<'_>],
        kept: &Kept,
        picked: &mut Picked<u8>,
    ) -> Codes {
        if let ([part], [numbers]) = (chunk.parts.as_slice(), numbers)
            && let (Some(ends), Some(same_ends)) = (chunk.ends_in_one_part(), chunk.ends_in_one_part())
        {
            let codes = self.settled(part, ends, numbers, kept.of_part(0));
            let mut picking = Picking::begin(picked, false);
            picking.add_part(begins(&codes, part.rows().start, same_ends));
            picking.finish(chunk, None);
            return Codes(vec![codes]);
        }
        self.pick_by_journey(chunk, numbers, kept, picked)
    }

    /// The codes of the rows of a part that holds whole journeys, which end there.
    fn settled(
        &self,
        part: &Part<'_>,
        mut ends: impl Iterator<Item = u32>,
        numbers: &Numbers<'_>,
        kept: Option<&[bool]>,
    ) -> Vec<u8> {
        let (mut codes, words) = self.rows(part, numbers, kept);
        let first = part.rows().start;
        let mut counts = vec![0; self.nth.len()];
        let mut end = 0;
        for (list, begin) in codes.chunks_mut(AT_ONCE).zip((0..).step_by(AT_ONCE)) {
            let mut counted = bits_of(list, |code| u8::from(code == COUNTED));
            while counted != 0 {
                let place = counted.trailing_zeros() as usize;
                counted &= counted - 1;
                while end <= begin + place {
                    counts.fill(0);
                    end = ends.next().map_or(usize::MAX, |end| (end as usize).saturating_sub(first));
                }
                let code = self.counted(words.get(numbers, begin + place), &mut counts);
                list.get_mut(place).into_iter().for_each(|here| *here = code);
            }
        }
        self.settle_own(&mut codes, part.columns.stages.get(part.rows()).unwrap_or_default(), kept);
        codes
    }

    /// Picks visits where journeys lie in several parts.
    fn pick_by_journey(
        &self,
        chunk: &Chunk<'_>,
        numbers: &[Numbers<'_>],
        kept: &Kept,
        picked: &mut Picked<u8>,
    ) -> Codes {
        picked.clear();
        let parts = chunk.parts.iter().zip(numbers).enumerate();
        let mut parts: Vec<(Vec<u8>, Words<'_>)> =
            parts.map(|(place, (part, numbers))| self.rows(part, numbers, kept.of_part(place))).collect();
        let mut counts = vec![0; self.nth.len()];
        let mut changes = Changes::of(parts.iter().map(|(codes, _)| codes.len()).sum());
        for (_, spans) in chunk.journeys() {
            let mut before = 0;
            counts.fill(0);
            for span in spans {
                let place = span.part as usize;
                let (Some(part), Some(numbers), Some((codes, words))) =
                    (chunk.parts.get(place), numbers.get(place), parts.get_mut(place))
                else {
                    continue;
                };
                let begin = span.rows().start - part.rows().start;
                let codes = codes.get_mut(begin..begin + span.rows().len()).unwrap_or_default();
                let own = part.columns.stages.get(span.rows()).unwrap_or_default();
                if self.nth_bits != 0 || !own.is_empty() {
                    let kept = kept.rows(part, place, span.rows());
                    for (place, code) in (begin..).zip(codes.iter_mut()).filter(|(_, code)| **code == COUNTED) {
                        *code = self.counted(words.get(numbers, place), &mut counts);
                    }
                    self.settle_own(codes, own, kept);
                }
                if changes.part != place {
                    changes.look_up_times(chunk, &mut picked.times);
                    changes.part = place;
                }
                before = changes.pick(codes, span.first_row(), before);
            }
            picked.ends.push(u32::try_from(changes.count).unwrap_or(u32::MAX));
        }
        changes.look_up_times(chunk, &mut picked.times);
        changes.stages.truncate(changes.count);
        picked.what = changes.stages;
        Codes(parts.into_iter().map(|(codes, _)| codes).collect())
    }

    /// Settles the codes of rows that bring their own stage.
    fn settle_own(&self, codes: &mut [u8], own: &[u32], kept: Option<&[bool]>) {
        for (i, (code, &own)) in codes.iter_mut().zip(own).enumerate().filter(|(_, (_, own))| **own != NO_STAGE) {
            let seen = kept.is_none_or(|kept| kept.get(i).copied().unwrap_or_default());
            if let Some(&own) = self.own.get(own as usize).filter(|own| **own > 0 && seen) {
                *code = own;
            }
        }
    }
}

/// Picks the rows of one part at which visits begin; `ends` says where its journeys end.
fn begins(codes: &[u8], first: usize, ends: impl Iterator<Item = u32>) -> Found<u8> {
    let mut starts = vec![0_u64; codes.len() / AT_ONCE + 1];
    for start in std::iter::once(0).chain(ends.map(|end| (end as usize).saturating_sub(first))) {
        starts.get_mut(start / AT_ONCE).into_iter().for_each(|word| *word |= 1 << (start % AT_ONCE));
    }
    // Those that bear no stage leave the journey where it is; before the first row it is in none.
    let none: Vec<u64> = codes.chunks(AT_ONCE).map(|list| bits_of(list, |code| u8::from(code == 0))).collect();
    let mut known = vec![0; codes.len() + 1];
    known.iter_mut().skip(1).zip(codes).for_each(|(known, code)| *known = *code);
    for (word, (&none, &starts)) in none.iter().zip(&starts).enumerate() {
        for row in places(none & !starts).map(|place| word * AT_ONCE + place) {
            let before = known.get(row).copied().unwrap_or_default();
            known.get_mut(row + 1).into_iter().for_each(|known| *known = before);
        }
    }
    let after = known.get(1..).unwrap_or_default();
    let both = known.chunks(AT_ONCE).zip(after.chunks(AT_ONCE));
    let begins = both.zip(none.iter().zip(&starts)).map(|((before, after), (none, starts))| {
        let mut is_other = [0; AT_ONCE];
        is_other
            .iter_mut()
            .zip(before)
            .zip(after)
            .for_each(|((other, before), after)| *other = u8::from(before != after));
        (bits_of(&is_other, |other| other) | starts) & !none
    });
    pick_marked(begins, first, codes, |code| code.wrapping_sub(1))
}

/// Rows at which visits begin, journey by journey.
struct Changes {
    /// As long as there are rows; only the first `count` hold something.
    rows: Vec<u32>,
    stages: Vec<u8>,
    count: usize,
    /// The part of the latest rows, and up to where the times of earlier ones have been looked up.
    part: usize,
    looked_up: usize,
}

impl Changes {
    /// Of so many rows.
    fn of(rows: usize) -> Self {
        Self { rows: vec![0; rows], stages: vec![0; rows], count: 0, part: 0, looked_up: 0 }
    }

    /// Notes at which of these rows visits begin; says which stage was the last.
    fn pick(&mut self, codes: &[u8], first: u32, mut before: u8) -> u8 {
        let mut count = self.count;
        for (row, &code) in (first..).zip(codes) {
            if let (Some(place), Some(stage)) = (self.rows.get_mut(count), self.stages.get_mut(count)) {
                (*place, *stage) = (row, code.wrapping_sub(1));
            }
            let known = before;
            before = select_unpredictable(code == 0, known, code);
            let begins = before != known;
            count += usize::from(begins);
        }
        self.count = count;
        before
    }

    /// Adds the times of the latest rows to a list.
    fn look_up_times(&mut self, chunk: &Chunk<'_>, times: &mut Vec<Micros>) {
        let rows = self.rows.get(self.looked_up..self.count).unwrap_or_default();
        if let Some(part) = chunk.parts.get(self.part) {
            part.columns.times.gather(rows, times);
        }
        self.looked_up = self.count;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn visits_begin_where_the_stage_is_another_than_the_last_known() {
        let mut random = fastrand::Rng::with_seed(1);
        for round in 0..4_000 {
            let count = [0, 1, 2, 63, 64, 65, 127, 128, 129, 300][round % 10];
            let (stages, none, first) = (random.u8(1..4), random.u8(0..8), random.usize(0..200));
            let code = |random: &mut fastrand::Rng| if random.u8(0..8) < none { 0 } else { random.u8(1..=stages) };
            let codes: Vec<u8> = (0..count).map(|_| code(&mut random)).collect();
            let rare = 1 << random.u32(0..8);
            // Journeys are never empty, and the last ends with the rows.
            let ends: Vec<usize> = (1..=count).filter(|end| *end == count || random.u32(0..rare) == 0).collect();
            let mut wanted = Vec::new();
            let mut start = 0;
            for end in &ends {
                let mut known = 0;
                for (row, code) in (start..*end).map(|row| (row, codes[row])).filter(|(_, code)| *code != 0) {
                    if code != known {
                        wanted.push((first + row, code - 1));
                    }
                    known = code;
                }
                start = *end;
            }
            let found = begins(&codes, first, ends.iter().map(|end| u32::try_from(first + end).unwrap()));
            let found: Vec<(usize, u8)> = found.rows.into_iter().map(|row| row as usize).zip(found.what).collect();
            assert_eq!(found, wanted, "{codes:?} {ends:?}");
        }
    }
}

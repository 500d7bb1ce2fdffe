//! A journey model in the numbers of one store, read from all rows of a chunk at once.

use std::hint::select_unpredictable;

use super::{
    kept::Kept,
    masks::{MaskPlan, Words},
    numbers::Numbers,
    picking::Picking,
    stage_rows::StageRows,
};
use crate::{
    journey::{AT_ONCE, Bitmaps, Chunk, NO_STAGE, Part, Picked, bits_of},
    model::{Micros, Nth},
};

/// Models are read row by row whose rules speak of later occurrences than this one, all together: bits are gone over once for each.
const MOST_COUNTED: u32 = 8;

/// And so are those whose codes and conditions ask for more touchpoints than this, one by one, all together: each is a few operations for 64 rows. It is a
/// bound on what that may take, not the point from which on a table was measured to be faster.
const MOST_ASKED: u32 = 64;

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
    /// How many bits the codes have.
    width: usize,
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
        let largest = stage_of_rule.iter().chain(&own).max().copied().unwrap_or_default();
        let width = (u8::BITS - largest.leading_zeros()) as usize;
        Self { rules, stage_of_rule, nth, nth_bits, own, width }
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
            && chunk.ends_in_one_part().is_some()
        {
            let kept = kept.of_part(0);
            let ends = || chunk.ends_in_one_part().into_iter().flatten();
            let (rows, mut codes) = if let Some(rows) = self.by_slices(part, ends(), kept) {
                let codes = rows.codes();
                (rows, codes)
            } else {
                let codes = self.settled(part, ends(), numbers, kept);
                (StageRows::of_codes(&codes, part.rows().start, ends(), self.width), codes)
            };
            let mut picking = Picking::begin(picked, false);
            picking.add_part(rows.begins(&codes));
            picking.finish(chunk, None);
            codes.drain(..rows.before());
            return Codes(vec![codes]);
        }
        self.pick_by_journey(chunk, numbers, kept, picked)
    }

    /// The stages of the rows of a part of whole journeys, which end there, found 64 rows at a time. `None` if something else than touchpoints and
    /// how often they came decides them, if not every row is seen, or if that is no short way: touchpoints are not cut into bits, conditions hold
    /// for many of them, there are more of them than rows, or rules speak of late occurrences.
    fn by_slices(&self, part: &Part<'_>, ends: impl Iterator<Item = u32>, kept: Option<&[bool]>) -> Option<StageRows> {
        if kept.is_some() || !part.columns.stages.is_empty() {
            return None;
        }
        let words = self.rules.by_touchpoint(part).filter(|words| words.len() <= part.rows().len())?;
        if self.nth.iter().fold(0_u32, |sum, (_, nth)| sum.saturating_add(nth.first())) > MOST_COUNTED {
            return None;
        }
        let plain = |word: &u64| word & !self.nth_bits;
        let codes: Vec<u8> = words.iter().map(|word| self.code(plain(word))).collect();
        // Where the condition of a rule that counts holds, and where it decides if that is an occurrence it means: no plain rule comes before it.
        let told = |word: &u64, rule: usize| {
            let holds = word >> (rule % 64) & 1 == 1;
            let decides = holds && plain(word).trailing_zeros() as usize > rule;
            u8::from(holds) | u8::from(decides) << 1
        };
        let table = |(rule, nth): &(usize, Nth)| {
            let table: Vec<u8> = words.iter().map(|word| told(word, *rule)).collect();
            let code = self.stage_of_rule.get(*rule).filter(|_| table.iter().any(|told| *told > 1))?;
            Some((*nth, *code, table))
        };
        let counting: Vec<_> = self.nth.iter().filter_map(table).collect();
        let asked = counting.iter().map(|(.., table)| table).chain([&codes]).flatten();
        if asked.map(|told| told.count_ones()).sum::<u32>() > MOST_ASKED {
            return None;
        }
        let first = Bitmaps::begin(part.rows().start);
        let bits_where = |table: &[u8], width: usize| {
            let mut bits = vec![Vec::new(); width];
            part.columns.touchpoints.add_holding(&(first..part.rows().end), table, &mut bits).then_some(bits)
        };
        let codes = bits_where(&codes, self.width)?;
        let bits = counting.iter().map(|(.., table)| bits_where(table, 2)).collect::<Option<Vec<_>>>()?;
        let mut rows = StageRows::of_bits(codes, first, part.rows(), ends);
        // Of rules that decide the same event the first wins: it is settled last.
        for ((nth, code, _), bits) in counting.iter().zip(&bits).rev() {
            if let [holds, decides] = bits.as_slice() {
                rows.settle(*nth, holds, decides, *code);
            }
        }
        Some(rows)
    }

    /// The codes of the rows of a part that holds whole journeys, which end there.
    fn settled(
        &self,
        part: &Part<'_>,
        ends: impl Iterator<Item = u32>,
        numbers: &Numbers<'_>,
        kept: Option<&[bool]>,
    ) -> Vec<u8> {
        let (mut codes, words) = self.rows(part, numbers, kept);
        let first = part.rows().start;
        let mut counts = Counting::new(self, ends);
        for (list, begin) in codes.chunks_mut(AT_ONCE).zip((0..).step_by(AT_ONCE)) {
            let mut counted = bits_of(list, |code| u8::from(code == COUNTED));
            while counted != 0 {
                let place = counted.trailing_zeros() as usize;
                counted &= counted - 1;
                let code = counts.code(first + begin + place, words.get(numbers, begin + place));
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

/// Counts how often conditions held in the journeys of a part, one after the other.
struct Counting<'a, E> {
    plan: &'a StagePlan,
    ends: E,
    /// Where the journey ends to which the counts belong.
    end: usize,
    counts: Vec<u32>,
}

impl<'a, E: Iterator<Item = u32>> Counting<'a, E> {
    fn new(plan: &'a StagePlan, ends: E) -> Self {
        Self { plan, ends, end: 0, counts: vec![0; plan.nth.len()] }
    }

    /// The code of a row, by its word of rules. Rows come in order.
    fn code(&mut self, row: usize, word: u64) -> u8 {
        while self.end <= row {
            self.counts.fill(0);
            self.end = self.ends.next().map_or(usize::MAX, |end| end as usize);
        }
        self.plan.counted(word, &mut self.counts)
    }
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
    use super::{super::test::Test, *};
    use crate::journey::{ChannelNo, Column, Columns, CustomerNo, Row, Sliced, TouchpointNo};

    /// Of a hundred events so many bring a stage of their own.
    fn columns(random: &mut fastrand::Rng, touchpoints: u32, bring_stages: u8) -> Columns {
        let (customers, events) = (random.u32(1..40), random.u64(1..600));
        let row = |seq| Row {
            customer: CustomerNo(random.u32(0..customers)),
            time: Micros(random.i64(0..1_000)),
            seq,
            touchpoint: TouchpointNo(random.u32(0..touchpoints)),
            channel: ChannelNo(0),
            stage: if random.u8(0..100) < bring_stages { random.u32(0..3) } else { NO_STAGE },
            value: None,
            feedback: None,
            properties: vec![],
        };
        Columns::from_rows((0..events).map(row).collect())
    }

    /// A rule for a touchpoint or two, its stage, and perhaps its occurrence.
    type Rule = ([u32; 2], u8, Option<Nth>);

    /// Rules and the codes of stages that events bring.
    struct Model {
        rules: Vec<Rule>,
        own: Vec<u8>,
    }

    impl Model {
        fn of(random: &mut fastrand::Rng, touchpoints: u32) -> Self {
            let stages = [1, 3, 8, 31, 64][random.usize(0..5)];
            let rule = |_| {
                // Now and then one that is too late to be found by bits.
                let last = if random.u8(0..4) == 0 { MOST_COUNTED + 1 } else { 3 };
                let from = random.u32(1..=last);
                let nth = match random.u8(0..8) {
                    0 => Some(Nth::Only(from)),
                    1 => Some(Nth::From { from }),
                    _ => None,
                };
                let of = [random.u32(0..touchpoints), random.u32(0..touchpoints)];
                (of, random.u8(1..=stages), nth)
            };
            Self { rules: (0..9).map(rule).collect(), own: vec![0, 1, stages] }
        }

        fn plan(&self, touchpoints: u32) -> StagePlan {
            let tests = self.rules.iter().map(|(of, ..)| Test::Any(of.map(Test::Touchpoint).to_vec())).collect();
            StagePlan::new(
                MaskPlan::new(tests, (touchpoints as usize, 1)),
                self.rules.iter().map(|(_, stage, _)| *stage).collect(),
                self.rules.iter().enumerate().filter_map(|(i, (.., nth))| Some((i, (*nth)?))).collect(),
                self.own.clone(),
            )
        }

        /// The code of each event of a journey, by its touchpoint, its own stage, and whether it is seen.
        fn codes(&self, events: impl Iterator<Item = (u32, u32, bool)>) -> Vec<u8> {
            let mut counts = vec![0; self.rules.len()];
            let code = |(touchpoint, own, is_seen): (u32, u32, bool)| {
                let mut code = 0;
                let rules = self.rules.iter().zip(&mut counts);
                for ((_, stage, nth), count) in rules.filter(|((of, ..), _)| is_seen && of.contains(&touchpoint)) {
                    *count += 1;
                    let holds = nth.is_none_or(|nth| nth.holds(*count));
                    code = if code == 0 && holds { *stage } else { code };
                }
                let own = self.own.get(own as usize).copied().filter(|own| is_seen && *own > 0);
                own.unwrap_or(code)
            };
            events.map(code).collect()
        }
    }

    #[test]
    fn visits_are_the_same_whether_touchpoints_are_told_by_bits_or_not() {
        let mut random = fastrand::Rng::with_seed(8);
        let (mut by_bits, mut latest) = (0, 0);
        for _ in 0..800 {
            let touchpoints = [1, 3, 12, 40, 300][random.usize(0..5)];
            let model = Model::of(&mut random, touchpoints);
            let plan = model.plan(touchpoints);
            let bring_stages = if random.bool() { 0 } else { random.u8(0..50) };
            let plain = columns(&mut random, touchpoints, bring_stages);
            let from = random.usize(0..plain.customers.len());
            let journeys = from..random.usize(from + 1..=plain.customers.len());
            let first = plain.starts[from] as usize;
            let seen: Option<Vec<bool>> = (random.u8(0..3) == 0).then(|| (0..600).map(|_| random.bool()).collect());

            let (mut visits, mut codes, mut ends) = (Vec::new(), Vec::new(), Vec::new());
            for journey in journeys.clone() {
                let rows = plain.starts[journey] as usize..plain.starts[journey + 1] as usize;
                let events = rows.clone().map(|row| {
                    let own = plain.stages.get(row).copied().unwrap_or(NO_STAGE);
                    (plain.touchpoints.get(row).unwrap().0, own, seen.as_ref().is_none_or(|seen| seen[row - first]))
                });
                let here = model.codes(events);
                let mut known = 0;
                for (row, code) in rows.zip(&here).filter(|(_, code)| **code != 0) {
                    if *code != known {
                        visits.push((plain.times.get(row).unwrap(), code - 1));
                    }
                    known = *code;
                }
                codes.extend(here);
                ends.push(u32::try_from(visits.len()).unwrap());
            }

            let mut sliced = plain.clone();
            if let Some(bytes) = Sliced::encode(&plain.touchpoints.to_bits()) {
                sliced.touchpoints = Column::Sliced(Sliced::new(bytes, plain.rows()).unwrap());
            }
            for columns in [&plain, &sliced] {
                let chunk = Chunk::new(vec![Part { columns, journeys: journeys.clone() }]);
                let numbers: Vec<_> = chunk.parts.iter().map(Numbers::new).collect();
                let kept = Kept::of(&chunk, |part| Some(seen.as_ref()?[..part.rows().len()].to_vec()));
                let mut picked = Picked::default();
                assert_eq!(plan.pick_visits(&chunk, &numbers, &kept, &mut picked).of_part(0), codes);
                assert_eq!(picked.ends, ends);
                assert!(picked.times.into_iter().zip(picked.what).eq(visits.iter().copied()));
                let ends = chunk.ends_in_one_part().unwrap();
                let is_by_bits = plan.by_slices(chunk.parts.first().unwrap(), ends, kept.of_part(0)).is_some();
                assert!(!is_by_bits || matches!(columns.touchpoints, Column::Sliced(_)));
                by_bits += usize::from(is_by_bits);
                let nths = plan.nth.iter().map(|(_, nth)| nth.first()).filter(|_| is_by_bits);
                latest = nths.fold(latest, u32::max);
            }
        }
        assert!((100..700).contains(&by_bits), "{by_bits}");
        assert_eq!(latest, MOST_COUNTED);
    }
}

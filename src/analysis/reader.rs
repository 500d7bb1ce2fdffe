//! Reads columns for a question: keeps the rows in scope, and works out condition words and stages for all rows at once.

use std::{borrow::Cow, sync::Arc};

use super::{BoundScope, test::Test};
use crate::{
    journey::{Columns, Journey, NO_STAGE, Needs, Readings},
    model::Nth,
};

/// Up to 64 conditions: bit i of a row's word is set if condition i holds.
#[derive(Debug, Clone)]
pub(crate) struct MaskPlan {
    /// The bits that only the touchpoint decides, by its number.
    by_touchpoint: Vec<u64>,
    /// The other conditions with their bits.
    by_row: Vec<(u64, Test)>,
}

impl MaskPlan {
    pub(crate) fn new(tests: Vec<Test>, touchpoints: usize) -> Self {
        let mut plan = Self { by_touchpoint: vec![0; touchpoints], by_row: Vec::new() };
        for (i, test) in tests.into_iter().enumerate() {
            let bit = 1_u64 << (i % 64);
            match test.by_touchpoint(touchpoints) {
                Some(holds) => {
                    for (word, holds) in plan.by_touchpoint.iter_mut().zip(holds) {
                        *word |= u64::from(holds) * bit;
                    }
                }
                None => plan.by_row.push((bit, test)),
            }
        }
        plan
    }

    fn words(&self, columns: &Columns, stages: &[u8]) -> Vec<u64> {
        let at = |t: &crate::journey::TouchpointNo| self.by_touchpoint.get(t.index()).copied().unwrap_or_default();
        let mut words: Vec<u64> = columns.touchpoints.iter().map(at).collect();
        for (bit, test) in &self.by_row {
            for (word, holds) in words.iter_mut().zip(test.rows(columns, stages)) {
                *word |= u64::from(holds) * bit;
            }
        }
        words
    }
}

/// A journey model in the numbers of one store.
#[derive(Debug, Clone)]
pub(crate) struct StagePlan {
    /// Bit i: rule i's condition holds.
    pub(crate) rules: MaskPlan,
    /// The stage code of each rule.
    pub(crate) stage_of_rule: Vec<u8>,
    /// The rules that speak of an nth occurrence.
    pub(crate) nth: Vec<(usize, Nth)>,
    /// The code of an event's own stage, by its number; 0 if the model does not have it.
    pub(crate) own: Vec<u8>,
}

impl StagePlan {
    fn codes(&self, columns: &Columns) -> Vec<u8> {
        let mut words = self.rules.words(columns, &[]);
        if !self.nth.is_empty() {
            for (_, rows) in columns.journeys() {
                self.count_occurrences(words.get_mut(rows).unwrap_or_default());
            }
        }
        let by_rule = |word: &u64| self.stage_of_rule.get(word.trailing_zeros() as usize).copied().unwrap_or_default();
        let mut codes: Vec<u8> = words.iter().map(by_rule).collect();
        for (code, &own) in codes.iter_mut().zip(&columns.stages) {
            if own != NO_STAGE {
                *code =
                    Some(self.own.get(own as usize).copied().unwrap_or_default()).filter(|c| *c > 0).unwrap_or(*code);
            }
        }
        codes
    }

    /// Clears the bits of nth rules where the occurrence is another one. Every event of the condition counts, also
    /// those that an earlier rule or their own stage decides.
    fn count_occurrences(&self, words: &mut [u64]) {
        for &(rule, nth) in &self.nth {
            let bit = 1_u64 << (rule % 64);
            let mut count = 0_u32;
            for word in words.iter_mut().filter(|word| **word & bit != 0) {
                count = count.saturating_add(1);
                if !nth.holds(count) {
                    *word &= !bit;
                }
            }
        }
    }
}

/// Everything a question reads from columns.
#[derive(Debug)]
pub(crate) struct Reader {
    pub(crate) scope: BoundScope,
    pub(crate) filter: Option<Test>,
    pub(crate) needs: Needs,
    pub(crate) stages: Vec<StagePlan>,
    /// Which of these is the question's own model, if a condition asks for a stage.
    pub(crate) own_model: Option<usize>,
    pub(crate) masks: Vec<MaskPlan>,
}

impl Reader {
    /// Visits each journey in scope.
    pub(crate) fn journeys(&self, columns: &Arc<Columns>, mut visit: impl FnMut(&Journey<'_>)) {
        let columns = self.in_scope(columns);
        let stages: Vec<Vec<u8>> = self.stages.iter().map(|plan| plan.codes(&columns)).collect();
        let own = self.own_model.and_then(|place| stages.get(place)).map_or(&[][..], Vec::as_slice);
        let masks = self.masks.iter().map(|plan| plan.words(&columns, own)).collect();
        let readings = Readings { needs: self.needs.clone(), masks, stages };
        Journey::all(&columns, &readings).for_each(|journey| visit(&journey));
    }

    /// The rows that the scope sees; the columns themselves if it sees all.
    fn in_scope<'a>(&self, columns: &'a Columns) -> Cow<'a, Columns> {
        let BoundScope { end, known_at, customers, .. } = &self.scope;
        let late = columns.times.iter().any(|time| time > end);
        if !late && known_at.is_none() && customers.is_none() && self.filter.is_none() {
            return Cow::Borrowed(columns);
        }
        let mut keep: Vec<bool> = columns.times.iter().map(|time| time <= end).collect();
        if let Some(known_at) = known_at {
            keep.iter_mut().zip(&columns.seqs).for_each(|(keep, seq)| *keep &= seq <= known_at);
        }
        if let Some(customers) = customers {
            for (customer, rows) in columns.journeys() {
                if customers.binary_search(&customer).is_err() {
                    keep.get_mut(rows).unwrap_or_default().fill(false);
                }
            }
        }
        let Some(filter) = &self.filter else { return Cow::Owned(columns.retain(&keep)) };
        // The filter's own stages are read from what the rest of the scope sees.
        let seen = columns.retain(&keep);
        let own =
            self.own_model.and_then(|place| self.stages.get(place)).map(|plan| plan.codes(&seen)).unwrap_or_default();
        Cow::Owned(seen.retain(&filter.rows(&seen, &own)))
    }
}

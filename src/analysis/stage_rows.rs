//! The stages of rows, as the bits of their codes, and where visits begin.

use std::ops::Range;

use super::picking::{Found, pick_marked};
use crate::{
    journey::{Flood, add_rows, put_rows_together, starts},
    model::Nth,
};

/// The stages of the rows of a part that holds whole journeys, as the bits of their codes; 0 is none.
pub(super) struct StageRows {
    /// The row from which on they are told; those before the part's first say nothing.
    first: usize,
    /// The rows of the part.
    rows: Range<usize>,
    /// Where journeys begin: a bit for each row.
    starts: Vec<u64>,
    /// The bits of codes, the lowest first: one for each row.
    bits: Vec<Vec<u64>>,
}

impl StageRows {
    /// Of the bits of codes of a part's rows, from a first one on that may stand before these; `ends` says where its journeys end.
    pub(super) fn of_bits(
        bits: Vec<Vec<u64>>,
        first: usize,
        rows: Range<usize>,
        ends: impl Iterator<Item = u32>,
    ) -> Self {
        let ends = ends.map(|end| (end as usize).saturating_sub(first));
        let starts = starts(rows.start - first, ends, rows.end - first);
        Self { first, rows, starts, bits }
    }

    /// Of codes of so many bits, of rows from a first one on.
    pub(super) fn of_codes(codes: &[u8], first: usize, ends: impl Iterator<Item = u32>, width: usize) -> Self {
        let mut bits = vec![Vec::new(); width];
        add_rows(0, codes, &mut bits);
        Self::of_bits(bits, first, first..first + codes.len(), ends)
    }

    /// Gives this code to the rows at which a condition holds for the nth time in their journey, of those that nothing before it decides. Every row
    /// at which it holds counts, also those that something else decides.
    pub(super) fn settle(&mut self, nth: Nth, holds: &[u64], decides: &[u64], code: u8) {
        let mut is_meant = holds.to_vec();
        (1..nth.first()).for_each(|_| self.keep_later(&mut is_meant));
        if let Nth::Only(_) = nth {
            let mut later = is_meant.clone();
            self.keep_later(&mut later);
            is_meant.iter_mut().zip(&later).for_each(|(is_meant, later)| *is_meant &= !later);
        }
        for (bits, bit) in self.bits.iter_mut().zip(0..) {
            let bit = 0_u64.wrapping_sub(u64::from(code >> bit & 1));
            for (here, settled) in
                bits.iter_mut().zip(is_meant.iter().zip(decides).map(|(meant, decides)| meant & decides))
            {
                *here = *here & !settled | bit & settled;
            }
        }
    }

    /// Of the rows with a bit, leaves the first of each journey out.
    fn keep_later(&self, rows: &mut [u64]) {
        let mut known = Flood::default();
        for (rows, starts) in rows.iter_mut().zip(&self.starts) {
            *rows &= known.over(*rows, *starts).passed;
        }
    }

    /// So many rows stand before the part's first.
    pub(super) fn before(&self) -> usize {
        self.rows.start - self.first
    }

    /// The codes of the rows that are told.
    pub(super) fn codes(&self) -> Vec<u8> {
        let mut codes = put_rows_together(&self.bits);
        codes.resize(self.rows.end - self.first, 0);
        codes
    }

    /// Picks the rows of the part at which visits begin; `codes` are those of [`codes`](Self::codes).
    pub(super) fn begins(&self, codes: &[u8]) -> Found<u8> {
        let bits = |bits: &[u64], word: usize| bits.get(word).copied().unwrap_or_default();
        let mut known: Vec<Flood> = self.bits.iter().map(|_| Flood::default()).collect();
        let begins = self.starts.iter().enumerate().map(|(word, starts)| {
            let some = self.bits.iter().fold(0, |some, all| some | bits(all, word));
            // An event that bears no stage leaves the journey where it is.
            let stops = some | starts;
            let is_other = self.bits.iter().zip(&mut known).fold(0, |is_other, (all, known)| {
                let before = u64::from(known.is_on());
                let here = bits(all, word);
                let after = here | known.over(here, stops).passed;
                is_other | (after ^ (after << 1 | before))
            });
            (is_other | starts) & some
        });
        // Fewer than 64 rows stand before the part.
        let in_part = std::iter::once(u64::MAX << self.before()).chain(std::iter::repeat(u64::MAX));
        let begins = begins.zip(in_part).map(|(begins, in_part)| begins & in_part);
        pick_marked(begins, self.first, codes, |code| code.wrapping_sub(1))
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
            let before = random.usize(0..=first % 64);
            let ends = ends.iter().map(|end| u32::try_from(first + end).unwrap());
            // Rows of another part may stand before the first one.
            let all: Vec<u8> = (0..before).map(|_| code(&mut random)).chain(codes.iter().copied()).collect();
            let mut bits = vec![Vec::new(); 2];
            add_rows(0, &all, &mut bits);
            let rows = StageRows::of_bits(bits, first - before, first..first + count, ends);
            assert_eq!((rows.codes(), rows.before()), (all, before));
            let found = rows.begins(&rows.codes());
            let found: Vec<(usize, u8)> = found.rows.into_iter().map(|row| row as usize).zip(found.what).collect();
            assert_eq!(found, wanted, "{codes:?}");
        }
    }
}

//! The stages of rows, as codes and as their bits, and where visits begin.

use super::picking::{Found, pick_marked};
use crate::journey::{Flood, add_rows, starts};

/// The codes of stages of the rows of a part that holds whole journeys; 0 is none.
pub(super) struct StageRows {
    /// The row from which on they are told; those before the part's first say nothing.
    pub(super) first: usize,
    pub(super) codes: Vec<u8>,
    /// Their bits, the lowest first: one for each row.
    pub(super) bits: Vec<Vec<u64>>,
}

impl StageRows {
    /// Of codes of so many bits.
    pub(super) fn of_codes(codes: Vec<u8>, first: usize, width: usize) -> Self {
        let mut bits = vec![Vec::new(); width];
        add_rows(0, &codes, &mut bits);
        Self { first, codes, bits }
    }

    /// Picks the rows from a part's first one on at which visits begin; `ends` says where its journeys end.
    pub(super) fn begins(&self, part_first: usize, ends: impl Iterator<Item = u32>) -> Found<u8> {
        let ends = ends.map(|end| (end as usize).saturating_sub(self.first));
        let starts = starts(part_first - self.first, ends, self.codes.len());
        let bits = |bits: &[u64], word: usize| bits.get(word).copied().unwrap_or_default();
        let mut known: Vec<Flood> = self.bits.iter().map(|_| Flood::default()).collect();
        let begins = starts.iter().enumerate().map(|(word, starts)| {
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
        let in_part = std::iter::once(u64::MAX << (part_first - self.first)).chain(std::iter::repeat(u64::MAX));
        let begins = begins.zip(in_part).map(|(begins, in_part)| begins & in_part);
        pick_marked(begins, self.first, &self.codes, |code| code.wrapping_sub(1))
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
            let all = (0..before).map(|_| code(&mut random)).chain(codes.iter().copied()).collect();
            let found = StageRows::of_codes(all, first - before, 2).begins(first, ends);
            let found: Vec<(usize, u8)> = found.rows.into_iter().map(|row| row as usize).zip(found.what).collect();
            assert_eq!(found, wanted, "{codes:?}");
        }
    }
}

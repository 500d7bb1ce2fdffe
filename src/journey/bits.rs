//! Words of 64 bits, each for a row, and lists of them.

use std::ops::Range;

/// A bit for each of up to 64, the first's the lowest; each is told as 0 or 1.
#[inline]
pub(crate) fn bits_of<T: Copy>(list: &[T], bit: impl Fn(T) -> u8) -> u64 {
    let (eights, rest) = list.as_chunks::<8>();
    let eight = |eight: &[T; 8]| gathered(u64::from_le_bytes(eight.map(&bit)));
    let bits = eights.iter().zip((0..64).step_by(8)).fold(0, |bits, (list, at)| bits | eight(list) << at);
    let rest = rest.iter().zip(eights.len() * 8..64);
    rest.fold(bits, |bits, (one, at)| bits | u64::from(bit(*one)) << at)
}

/// The lowest bits of eight bytes, whose others are 0, as one byte.
#[inline]
fn gathered(eight: u64) -> u64 {
    // Multiplied so, the bit of each byte comes to its own place in the uppermost.
    eight.wrapping_mul(0x0102_0408_1020_4080) >> 56
}

/// The place of the highest bit of a word that is not 0.
#[inline]
pub(crate) fn highest(word: u64) -> usize {
    63 - word.leading_zeros().min(63) as usize
}

/// The places of the bits of a word, from the lowest on.
#[inline]
pub(crate) fn places(mut word: u64) -> impl Iterator<Item = usize> {
    std::iter::from_fn(move || {
        let place = (word != 0).then(|| word.trailing_zeros() as usize);
        word &= word.wrapping_sub(1);
        place
    })
}

/// Goes on from each of some bits towards the higher ones, up to one that stops it; over words, one after the other.
#[derive(Debug, Default)]
pub(crate) struct Flood {
    /// Whether it goes on into the next word.
    carry: u64,
}

/// Where a flood came in one word.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Flooded {
    /// All bits behind one that it went on from, before the next that stops it.
    pub(crate) passed: u64,
    /// Those that stopped it.
    pub(crate) stopped: u64,
}

impl Flood {
    /// Whether it goes on into the next word.
    #[inline]
    pub(crate) fn is_on(&self) -> bool {
        self.carry != 0
    }

    /// The next word.
    #[inline]
    pub(crate) fn over(&mut self, from: u64, stops: u64) -> Flooded {
        let open = !stops;
        let next = from << 1 | self.carry;
        let seeds = next & open;
        // Added to a run of ones, a bit turns all from its own on to zeros, and the zero behind the run to a one.
        let turned = open.wrapping_add(seeds) ^ open;
        let passed = (turned | seeds) & open;
        self.carry = (passed | from) >> 63;
        Flooded { passed, stopped: (turned | next) & stops }
    }
}

/// The number whose bits stand at a place of words, the lowest in the first.
#[inline]
pub(super) fn number_at(place: usize, words: &[[u8; 8]]) -> u64 {
    let bit = |(word, bit): (&[u8; 8], u32)| (u64::from_le_bytes(*word) >> (place % 64) & 1) << bit;
    words.iter().zip(0..u64::BITS).fold(0, |number, word| number | bit(word))
}

/// A bit for each of some rows from a first one on, and for the one behind the last, if a journey begins there: one does with the row `from`, and one
/// behind the end of each.
pub(crate) fn starts(from: usize, ends: impl Iterator<Item = usize>, rows: usize) -> Vec<u64> {
    let mut starts = vec![0; rows / 64 + 1];
    for start in std::iter::once(from).chain(ends) {
        starts.get_mut(start / 64).into_iter().for_each(|word| *word |= 1 << (start % 64));
    }
    starts
}

/// The bits of a word that are those of these rows.
#[inline]
pub(super) fn within(word: usize, rows: &Range<usize>) -> u64 {
    let (from, to) = (rows.start.saturating_sub(word * 64), rows.end.saturating_sub(word * 64));
    if from >= 64 || to == 0 {
        return 0;
    }
    u64::MAX << from & u64::MAX >> 64_usize.saturating_sub(to)
}

/// The last of these rows whose bit is set.
#[inline]
pub(crate) fn last_within(bits: &[u64], rows: &Range<usize>) -> Option<usize> {
    let mut words = (rows.start / 64..rows.end.div_ceil(64)).rev();
    words.find_map(|word| match bits.get(word)? & within(word, rows) {
        0 => None,
        bits => Some(word * 64 + highest(bits)),
    })
}

/// The first of these rows whose bit is set.
#[inline]
pub(crate) fn first_within(bits: &[u64], rows: &Range<usize>) -> Option<usize> {
    let mut words = rows.start / 64..rows.end.div_ceil(64);
    words.find_map(|word| match bits.get(word)? & within(word, rows) {
        0 => None,
        bits => Some(word * 64 + bits.trailing_zeros() as usize),
    })
}

/// The rows of the journey to which a row belongs, by the bits with which journeys begin.
#[inline]
pub(crate) fn journey_of(starts: &[u64], row: usize) -> Range<usize> {
    let begins = |word: usize| starts.get(word).copied().unwrap_or_default();
    let mut word = row / 64;
    let mut bits = begins(word) & u64::MAX >> (63 - row % 64);
    while bits == 0 && word > 0 {
        word -= 1;
        bits = begins(word);
    }
    let start = word * 64 + highest(bits);
    word = row / 64;
    bits = begins(word) & u64::MAX << (row % 64) << 1;
    while bits == 0 && word < starts.len() {
        word += 1;
        bits = begins(word);
    }
    start..word * 64 + bits.trailing_zeros() as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bits(list: impl Iterator<Item = bool>) -> Vec<u64> {
        let mut bits = Vec::new();
        for (place, bit) in list.enumerate() {
            bits.resize(place / 64 + 1, 0);
            bits[place / 64] |= u64::from(bit) << (place % 64);
        }
        bits
    }

    #[test]
    fn a_flood_goes_up_to_what_stops_it() {
        let mut random = fastrand::Rng::with_seed(1);
        for _ in 0..2_000 {
            let (some, many) = (random.u64(1..9), random.u64(1..90));
            let rows: Vec<(bool, bool)> =
                (0..192).map(|_| (random.u64(0..some) == 0, random.u64(0..many) == 0)).collect();
            let (from, stops) = (bits(rows.iter().map(|row| row.0)), bits(rows.iter().map(|row| row.1)));
            let (mut passed, mut stopped) = (Vec::new(), Vec::new());
            let mut is_on = false;
            for (from, stops) in rows {
                passed.push(is_on && !stops);
                stopped.push(is_on && stops);
                is_on = from || is_on && !stops;
            }
            let mut flood = Flood::default();
            let flooded: Vec<_> = from.iter().zip(&stops).map(|(from, stops)| flood.over(*from, *stops)).collect();
            assert_eq!(flooded.iter().map(|word| word.passed).collect::<Vec<_>>(), bits(passed.into_iter()));
            assert_eq!(flooded.iter().map(|word| word.stopped).collect::<Vec<_>>(), bits(stopped.into_iter()));
        }
    }
}

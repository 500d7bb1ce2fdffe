//! Small numbers, cut into their bits: of each 64 first the lowest bits of all, as one word, then the next bits of all, and so on. Which of 64
//! rows have a number is told by a few operations on these words: the vertical layout of Li and Patel's `BitWeaving` (SIGMOD 2013).

use std::{ops::Range, sync::Arc};

use super::{
    bits::number_at,
    packed::{AT_ONCE, Header},
};

/// No number is wider.
const WIDEST: usize = 8;
/// The numbers for which conditions hold are only compared with the words if they have no more bits than this, all conditions together; else a table
/// is faster.
const MOST_BITS: usize = 256;
/// Where fewer numbers of each 64 are looked up, each is put together alone.
const WORTH_A_GROUP: usize = 4;

/// The words of 64 numbers, or of 64 rows of which a byte tells which of up to eight conditions hold: one for each bit.
type Slices = [u64; WIDEST];

/// Numbers cut into bits, checked to be whole. Behind the last stand some that are none, up to a multiple of 64.
#[derive(Debug, Clone)]
pub(crate) struct Sliced {
    /// What is added to each.
    smallest: u32,
    count: usize,
    width: usize,
    /// A header, then the words.
    bytes: Arc<Vec<u8>>,
}

impl Sliced {
    /// Cuts numbers up; `None` if they do not lie close enough together, or one is too large.
    pub(crate) fn encode(numbers: &[u64]) -> Option<Vec<u8>> {
        let smallest = u32::try_from(numbers.iter().min().copied().unwrap_or_default()).ok()?;
        let largest = u32::try_from(numbers.iter().max().copied().unwrap_or_default()).ok()?;
        let widest = u8::try_from(largest - smallest).ok()?;
        let width = u8::BITS - widest.leading_zeros();
        smallest.checked_add(largest_of(width as usize))?;
        #[expect(clippy::cast_possible_truncation, reason = "none is above the widest")]
        let small: Vec<u8> = numbers.iter().map(|number| (number - u64::from(smallest)) as u8).collect();
        let mut bytes = Header::of_slices(smallest, numbers.len(), width).to_vec();
        for slices in slices(&small) {
            slices.iter().take(width as usize).for_each(|word| bytes.extend_from_slice(&word.to_le_bytes()));
        }
        Some(bytes)
    }

    /// `None` if the bytes are no such numbers, or claim to be more than `most`.
    pub(crate) fn new(bytes: Vec<u8>, most: usize) -> Option<Self> {
        let header = Header::read(&bytes, most).filter(|header| header.is_sliced)?;
        let (count, width) = (header.count, usize::from(header.width));
        let smallest = u32::try_from(header.smallest).ok()?;
        smallest.checked_add(largest_of(width))?;
        let words = bytes.len().checked_sub(Header::LENGTH)?;
        (words == count.div_ceil(AT_ONCE) * width * size_of::<u64>()).then_some(())?;
        Some(Self { smallest, count, width, bytes: bytes.into() })
    }

    pub(crate) fn len(&self) -> usize {
        self.count
    }

    /// The bytes it takes.
    pub(crate) fn size(&self) -> usize {
        self.bytes.len()
    }

    /// No number is larger than this one, as is seen without looking at each.
    pub(crate) fn at_most(&self) -> u32 {
        self.smallest.saturating_add(largest_of(self.width))
    }

    /// The words of those groups of 64 numbers.
    fn words(&self, groups: Range<usize>) -> &[[u8; 8]] {
        let (words, _) = self.bytes.get(Header::LENGTH..).unwrap_or_default().as_chunks();
        words.get(groups.start * self.width..groups.end * self.width).unwrap_or_default()
    }

    /// The number at a position.
    pub(crate) fn get(&self, position: usize) -> Option<u32> {
        let (group, place) = (position / AT_ONCE, position % AT_ONCE);
        if position >= self.count {
            return None;
        }
        Some(self.smallest.wrapping_add(low_32(number_at(place, self.words(group..group + 1)))))
    }

    /// Adds the numbers at these positions, each below the count, to a list.
    pub(crate) fn gather<T>(&self, positions: &[u32], into: &mut Vec<T>, make: impl Fn(u32) -> T) {
        let (Some(&first), Some(&last)) = (positions.iter().min(), positions.iter().max()) else { return };
        let all = first as usize..last as usize + 1;
        let groups = all.end.div_ceil(AT_ONCE) - all.start / AT_ONCE;
        if positions.len() < groups * WORTH_A_GROUP {
            return into.extend(positions.iter().filter_map(|position| self.get(*position as usize)).map(make));
        }
        let mut small = Vec::with_capacity(all.len());
        self.for_groups(all, |numbers| small.extend_from_slice(numbers));
        let number = |position: &u32| small.get((position - first) as usize).copied();
        into.extend(positions.iter().filter_map(number).map(|small| make(self.smallest.wrapping_add(small.into()))));
    }

    /// Visits the numbers at consecutive positions, at most 64 at a time, each without the smallest; nothing if there are not so many.
    fn for_groups(&self, positions: Range<usize>, mut visit: impl FnMut(&[u8])) {
        if positions.end > self.count || positions.is_empty() {
            return;
        }
        let groups = positions.start / AT_ONCE..positions.end.div_ceil(AT_ONCE);
        let mut group = |place: usize, numbers: &[u8; AT_ONCE]| {
            let from = positions.start.saturating_sub(place * AT_ONCE);
            let to = (positions.end - place * AT_ONCE).min(AT_ONCE);
            visit(numbers.get(from..to).unwrap_or_default());
        };
        if self.width == 0 {
            return groups.for_each(|place| group(place, &[0; AT_ONCE]));
        }
        for (place, words) in groups.clone().zip(self.words(groups).chunks_exact(self.width)) {
            let mut slices = [0; WIDEST];
            slices.iter_mut().zip(words).for_each(|(slice, word)| *slice = u64::from_le_bytes(*word));
            group(place, &put_together(slices));
        }
    }

    /// Visits the numbers at consecutive positions, at most 64 at a time; nothing if there are not so many.
    pub(crate) fn for_lists(&self, positions: Range<usize>, mut visit: impl FnMut(&[u64])) {
        let mut list = [0; AT_ONCE];
        self.for_groups(positions, |numbers| {
            let number = |small: u8| u64::from(self.smallest) + u64::from(small);
            list.iter_mut().zip(numbers).for_each(|(to, small)| *to = number(*small));
            visit(list.get(..numbers.len()).unwrap_or_default());
        });
    }

    /// Adds the numbers at consecutive positions to a list of bytes; false, and something may be added, if one does not fit or there are not so many.
    pub(crate) fn append_bytes(&self, positions: Range<usize>, into: &mut Vec<u8>) -> bool {
        let is_there = positions.end <= self.count && positions.start <= positions.end;
        match u8::try_from(self.smallest) {
            Ok(0) => self.for_groups(positions, |numbers| into.extend_from_slice(numbers)),
            Ok(smallest) => {
                let mut fit = true;
                self.for_groups(positions, |numbers| {
                    fit &= numbers.iter().all(|small| small.checked_add(smallest).is_some());
                    into.extend(numbers.iter().map(|small| small.wrapping_add(smallest)));
                });
                return is_there && fit;
            }
            Err(_) => return false,
        }
        is_there
    }

    /// Adds to the bits of each condition those of the numbers at consecutive positions, of which the first is a multiple of 64: whether it
    /// holds. A table says by the number which conditions hold, bit i of its byte that of condition i. Behind the last something may be said. False, and
    /// nothing is added, if that is no short way.
    pub(crate) fn add_holding(&self, positions: &Range<usize>, table: &[u8], conditions: &mut [Vec<u64>]) -> bool {
        if positions.end > self.count {
            return false;
        }
        let holding = |condition: usize| {
            let numbers = (0..=largest_of(self.width)).map(|small| (small, self.smallest as usize + small as usize));
            let holds = |place: usize| table.get(place).is_some_and(|holds| holds >> condition & 1 == 1);
            numbers.filter(|(_, place)| holds(*place)).map(|(small, _)| small).collect::<Vec<_>>()
        };
        let each: Vec<Vec<u32>> = (0..conditions.len()).map(holding).collect();
        if each.iter().map(Vec::len).sum::<usize>() * self.width > MOST_BITS {
            return false;
        }
        let groups = positions.start / AT_ONCE..positions.end.div_ceil(AT_ONCE);
        let add = match self.width {
            1 => add_where::<1>,
            2 => add_where::<2>,
            3 => add_where::<3>,
            4 => add_where::<4>,
            5 => add_where::<5>,
            6 => add_where::<6>,
            7 => add_where::<7>,
            8 => add_where::<8>,
            _ => {
                for (numbers, bits) in each.iter().zip(conditions) {
                    bits.resize(bits.len() + groups.len(), if numbers.is_empty() { 0 } else { u64::MAX });
                }
                return true;
            }
        };
        each.iter().zip(conditions).for_each(|(numbers, bits)| add(self.words(groups.clone()), numbers, bits));
        true
    }
}

/// The largest number of so many bits, at most eight.
fn largest_of(width: usize) -> u32 {
    (1 << width.min(WIDEST)) - 1
}

#[expect(clippy::cast_possible_truncation, reason = "the lower half is what is asked for")]
fn low_32(number: u64) -> u32 {
    number as u32
}

/// Adds a bit for each of the numbers that words of so many bits stand for: whether it is one of these.
fn add_where<const WIDTH: usize>(words: &[[u8; 8]], numbers: &[u32], bits: &mut Vec<u64>) {
    let (groups, _) = words.as_chunks::<WIDTH>();
    // Words of bits that must not be set are inverted.
    let inverted = |number: &u32| std::array::from_fn(|bit| if number >> bit & 1 == 1 { 0 } else { u64::MAX });
    let is_it = |words: &[[u8; 8]; WIDTH], inverted: &[u64; WIDTH]| {
        words.iter().zip(inverted).fold(u64::MAX, |all, (word, inverted)| all & (u64::from_le_bytes(*word) ^ inverted))
    };
    let inverted: Vec<[u64; WIDTH]> = numbers.iter().map(inverted).collect();
    match inverted.as_slice() {
        [one] => bits.extend(groups.iter().map(|words| is_it(words, one))),
        all => bits.extend(groups.iter().map(|words| all.iter().fold(0, |any, one| any | is_it(words, one)))),
    }
}

/// Adds to the bits of each condition those of rows, each with a byte that says which conditions hold. Before them come so many rows with none, fewer
/// than 64.
pub(crate) fn add_rows(before: usize, rows: &[u8], conditions: &mut [Vec<u64>]) {
    let (begin, rest) = rows.split_at((AT_ONCE - before % AT_ONCE).min(rows.len()));
    let mut first = vec![0; before % AT_ONCE];
    first.extend_from_slice(begin);
    for slices in slices(&first).chain(slices(rest)) {
        conditions.iter_mut().zip(slices).for_each(|(bits, word)| bits.push(word));
    }
}

/// The bytes of rows of which there are the bits, the lowest first; as many as there are bits.
pub(crate) fn put_rows_together(bits: &[Vec<u64>]) -> Vec<u8> {
    let words = bits.iter().map(Vec::len).max().unwrap_or_default();
    let mut rows = Vec::with_capacity(words * AT_ONCE);
    for word in 0..words {
        let mut slices = [0; WIDEST];
        slices.iter_mut().zip(bits).for_each(|(slice, bits)| *slice = bits.get(word).copied().unwrap_or_default());
        rows.extend_from_slice(&put_together(slices));
    }
    rows
}

/// The words of each 64 bytes; the last are made up to as many by zeros.
fn slices(bytes: &[u8]) -> impl Iterator<Item = Slices> {
    let (groups, rest) = bytes.as_chunks();
    let mut last = [0; AT_ONCE];
    last.iter_mut().zip(rest).for_each(|(to, from)| *to = *from);
    groups.iter().map(take_apart).chain((!rest.is_empty()).then(|| take_apart(&last)))
}

/// The words of 64 bytes, the lowest bits first.
fn take_apart(bytes: &[u8; AT_ONCE]) -> Slices {
    let mut eights = [0; WIDEST];
    let (from, _) = bytes.as_chunks();
    eights.iter_mut().zip(from).for_each(|(to, from)| *to = transposed_bits(u64::from_le_bytes(*from)));
    transposed_bytes(eights)
}

/// The other way round.
fn put_together(slices: Slices) -> [u8; AT_ONCE] {
    let mut bytes = [0; AT_ONCE];
    let (to, _) = bytes.as_chunks_mut();
    to.iter_mut().zip(transposed_bytes(slices)).for_each(|(to, eight)| *to = transposed_bits(eight).to_le_bytes());
    bytes
}

/// Of two parts of a number, those bits of the upper that lie so many places above given ones, which change places with these.
fn swapped(number: u64, places: u32, lower: u64) -> u64 {
    let differing = (number >> places ^ number) & lower;
    number ^ differing ^ differing << places
}

/// Eight bytes as a square of bits: the first byte gets the lowest bits of all, and so on. Done twice, nothing is changed.
fn transposed_bits(eight: u64) -> u64 {
    let pairs = swapped(eight, 7, 0x00AA_00AA_00AA_00AA);
    let fours = swapped(pairs, 14, 0x0000_CCCC_0000_CCCC);
    swapped(fours, 28, 0x0000_0000_F0F0_F0F0)
}

/// Eight numbers of eight bytes each: the first gets the first bytes of all, and so on. Done twice, nothing is changed.
fn transposed_bytes(mut rows: [u64; 8]) -> [u64; 8] {
    // The upper part of one changes places with the lower of the other: half of a number, half of each half, every other byte.
    let swap = |(one, other): (&mut u64, &mut u64), places: u32, lower: u64| {
        let differing = (*one >> places ^ *other) & lower;
        *other ^= differing;
        *one ^= differing << places;
    };
    for (apart, lower) in [(4_u32, 0x0000_0000_FFFF_FFFF), (2, 0x0000_FFFF_0000_FFFF), (1, 0x00FF_00FF_00FF_00FF)] {
        for group in rows.chunks_mut(2 * apart as usize) {
            let (ones, others) = group.split_at_mut(apart as usize);
            ones.iter_mut().zip(others).for_each(|pair| swap(pair, 8 * apart, lower));
        }
    }
    rows
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_come_back_and_conditions_hold_where_they_do() {
        let mut random = fastrand::Rng::with_seed(2);
        // How often the short way was taken, for few numbers and for many.
        let mut short = [0; 2];
        for round in 0..2_000 {
            let count = [0, 1, 63, 64, 65, 128, random.usize(0..500)][round % 7];
            let smallest = [0, 1, 200, 300, u64::from(u32::MAX) - 511][random.usize(0..5)];
            let widest = [0, 1, 2, 5, 11, 31, 40, 100, 255][random.usize(0..9)];
            let numbers: Vec<u64> = (0..count).map(|_| smallest + random.u64(0..=widest)).collect();
            let bytes = Sliced::encode(&numbers).unwrap();
            let sliced = Sliced::new(bytes.clone(), count).unwrap();
            assert_eq!(sliced.len(), count);
            assert!(numbers.iter().all(|number| *number <= sliced.at_most().into()));
            assert!((0..count).all(|place| sliced.get(place).map(u64::from) == Some(numbers[place])));
            assert_eq!(sliced.get(count), None);

            let header = Header::read(&bytes, count).unwrap();
            for (place, number) in numbers.iter().enumerate() {
                let (range, bit) = header.place(place..place + 1);
                assert_eq!(header.number(&bytes[Header::LENGTH..][range], bit), *number);
            }

            let some = [0, 1, 2, 9, 200][random.usize(0..5)].min(count * 200);
            let mut places: Vec<u32> = (0..some).map(|_| random.u32(0..u32::try_from(count).unwrap())).collect();
            if random.bool() {
                places.sort_unstable();
            }
            let mut gathered = vec![5];
            sliced.gather(&places, &mut gathered, u64::from);
            assert_eq!(gathered[0], 5);
            assert!(gathered[1..].iter().eq(places.iter().map(|place| &numbers[*place as usize])));

            let from = random.usize(0..=count);
            let to = random.usize(from..=count);
            let mut list = Vec::new();
            sliced.for_lists(from..to, |some| list.extend_from_slice(some));
            assert_eq!(list, &numbers[from..to]);
            let mut small = vec![7];
            let fit = sliced.append_bytes(from..to, &mut small);
            if fit {
                assert_eq!(small[1..].iter().map(|n| u64::from(*n)).collect::<Vec<_>>(), list);
            } else {
                assert!(smallest + widest > 255);
            }
            assert!(!sliced.append_bytes(0..count + 1, &mut Vec::new()));
            assert!(!sliced.add_holding(&(0..count + 1), &[1], &mut [Vec::new()]));

            // What lies close to the largest number has no table.
            if smallest < 1_000 {
                let conditions = random.usize(1..=8);
                let rare = random.u8(1..30);
                let table: Vec<u8> = (0..smallest + widest + random.u64(0..3))
                    .map(|_| if random.u8(0..rare) == 0 { random.u8(..) } else { 0 })
                    .collect();
                let (from, before) = (from - from % 64, random.usize(0..64));
                let holds = |place: usize, condition: usize| {
                    table.get(numbers[place] as usize).is_some_and(|holds| holds >> condition & 1 == 1)
                };
                let mut found = vec![vec![9]; conditions];
                if sliced.add_holding(&(from..to), &table, &mut found) {
                    short[usize::from(widest > 8)] += 1;
                    for (condition, found) in found.iter().enumerate() {
                        assert_eq!(found.len(), 1 + (to - from).div_ceil(64));
                        let told = |place: usize| found[1 + (place - from) / 64] >> (place % 64) & 1 == 1;
                        assert!((from..to).all(|place| told(place) == holds(place, condition)));
                    }
                } else {
                    assert!(widest > 8 && found.iter().all(|found| found == &[9]));
                }
                let of_number = |number: &u64| table.get(*number as usize).copied().unwrap_or_default();
                let rows: Vec<u8> = numbers.iter().map(of_number).collect();
                let mut found = vec![Vec::new(); conditions];
                add_rows(before, &rows, &mut found);
                for (condition, found) in found.iter().enumerate() {
                    let told = |place: usize| found[(before + place) / 64] >> ((before + place) % 64) & 1 == 1;
                    assert!((0..count).all(|place| told(place) == holds(place, condition)));
                    assert!((0..before).all(|place| found.first().is_none_or(|first| first >> place & 1 == 0)));
                }
            }
        }
        assert!(short.iter().all(|short| *short > 100), "{short:?}");
        assert!(Sliced::encode(&[0, 256]).is_none() && Sliced::encode(&[u64::from(u32::MAX) + 1]).is_none());
        let packed = |numbers: &[u64]| Sliced::new(crate::journey::pack(numbers, false), 9).is_none();
        assert!(packed(&[1, 2]) && packed(&[]));
    }

    #[test]
    fn odd_bytes_are_no_numbers() {
        let mut random = fastrand::Rng::with_seed(1);
        let mut whole = 0;
        for _ in 0..10_000 {
            let mut bytes = Sliced::encode(&vec![random.u64(0..300); random.usize(0..200)]).unwrap();
            let (at, with) = (random.usize(0..bytes.len()), random.u8(..));
            bytes[at] = with;
            bytes.truncate(random.usize(0..=bytes.len() * 2));
            if let Some(sliced) = Sliced::new(bytes, 200) {
                whole += 1;
                let mut count = 0;
                sliced.for_lists(0..sliced.len(), |list| count += list.len());
                assert_eq!(count, sliced.len());
                assert!(sliced.get(sliced.len()).is_none());
            }
        }
        assert!(whole > 100);
    }
}

//! Whole numbers, packed into as few bits as their spread needs (below 8: the next power of two), and read at any place
//! without unpacking the others.

use std::{
    ops::Range,
    sync::{Arc, OnceLock},
};

use serde::{Deserialize, Serialize};
use tantivy_bitpacker::{BitPacker, BitUnpacker, compute_num_bits};

use super::{
    bits::{bits_of, number_at},
    step::Step,
};

/// Smallest value (8), common step (8), count (4), bits (1), then the packed bits.
const HEADER: usize = 21;
/// Unpacked at once; a list of them stays in the nearest cache.
pub(crate) const AT_ONCE: usize = 64;

/// Packs numbers: each is stored as (number - smallest) / step, where step divides all differences. Differences are
/// taken modulo 2^64, so that times before 1970 pack as well.
pub(crate) fn pack(numbers: &[u64], signed: bool) -> Vec<u8> {
    let order = if signed { 1 << 63 } else { 0 };
    let smallest = numbers.iter().map(|n| n ^ order).min().unwrap_or(order) ^ order;
    let widest = numbers.iter().map(|n| n.wrapping_sub(smallest)).max().unwrap_or_default();
    let step = Step::common(numbers.iter().map(|n| n.wrapping_sub(smallest)));
    let bits = match compute_num_bits(widest / step.get()) {
        // So that a byte holds a whole number of them, which are unpacked much faster.
        few @ 1..8 => few.next_power_of_two(),
        bits => bits,
    };
    let mut bytes = Vec::with_capacity(HEADER + numbers.len() * usize::from(bits) / 8 + 8);
    bytes.extend_from_slice(&smallest.to_le_bytes());
    bytes.extend_from_slice(&step.get().to_le_bytes());
    bytes.extend_from_slice(&u32::try_from(numbers.len()).unwrap_or(u32::MAX).to_le_bytes());
    bytes.push(bits);
    let mut packer = BitPacker::new();
    let mut write = |n: u64| packer.write(n, bits, &mut bytes);
    let packed = if step.get() == 1 {
        numbers.iter().try_for_each(|n| write(n.wrapping_sub(smallest)))
    } else {
        let steps = |n: &u64| step.quotient(n.wrapping_sub(smallest)).unwrap_or_default();
        numbers.iter().try_for_each(|n| write(steps(n)))
    };
    let packed = packed.and_then(|()| packer.close(&mut bytes));
    debug_assert!(packed.is_ok(), "writing to memory does not fail");
    bytes
}

/// Adds numbers of which each byte holds so many, the first in its lowest bits.
fn unpack_bytes<const EACH: usize>(bytes: &[u8], positions: &Range<usize>, into: &mut Vec<u8>) -> bool {
    let before = into.len();
    let bytes = bytes.get(positions.start / EACH..positions.end.div_ceil(EACH)).unwrap_or_default();
    into.resize(before + bytes.len() * EACH, 0);
    let (lists, _) = into.get_mut(before..).unwrap_or_default().as_chunks_mut::<EACH>();
    let width = 8 / EACH;
    let mask = u8::MAX >> (8 - width);
    for (list, byte) in lists.iter_mut().zip(bytes) {
        *list = std::array::from_fn(|place| byte >> (place * width) & mask);
    }
    into.drain(before..before + positions.start % EACH);
    into.truncate(before + positions.len());
    true
}

/// A bit for each of up to 64 numbers: whether it is the same as the one before.
pub(crate) fn repeats<T: PartialEq>(before: Option<T>, list: &[T]) -> u64 {
    let mut same = [0_u8; AT_ONCE];
    let pairs = list.windows(2).map(|pair| u8::from(pair.first() == pair.last()));
    same.iter_mut().skip(1).zip(pairs).for_each(|(to, same)| *to = same);
    let first = list.first().is_some_and(|first| before.is_some_and(|before| before == *first));
    bits_of(&same, |same| same) | u64::from(first)
}

fn unpack_none(_: &[u8], _: &Range<usize>, _: &mut Vec<u8>) -> bool {
    false
}

/// Packed numbers, checked to be whole.
#[derive(Debug, Clone)]
pub(crate) struct Packed {
    smallest: u64,
    step: u64,
    count: usize,
    unpacker: BitUnpacker,
    /// A header, then the bits.
    bytes: Arc<Vec<u8>>,
    /// Which numbers are those before them, if any are: worked out when that is first asked for.
    repeats: Arc<OnceLock<Vec<u64>>>,
    /// Whether it is known that none are.
    none_repeat: bool,
}

/// Packed numbers that are looked up one by one, many times.
#[derive(Debug, Clone, Copy)]
pub(crate) struct PackedAt<'a> {
    smallest: u64,
    step: u64,
    width: usize,
    mask: u64,
    /// From the byte in which the first number begins.
    bits: &'a [u8],
    /// The bit at which it does.
    first_bit: usize,
}

impl PackedAt<'_> {
    /// The number so far behind the first; anything if there are not so many.
    #[inline]
    pub(crate) fn get(&self, distance: usize) -> u64 {
        let bit = distance.wrapping_mul(self.width).wrapping_add(self.first_bit);
        let bytes = self.bits.get(bit / 8..).and_then(<[u8]>::first_chunk);
        let wide = bytes.map_or_else(|| self.last_bytes(bit / 8), |bytes| u64::from_le_bytes(*bytes));
        (wide >> (bit % 8) & self.mask).wrapping_mul(self.step).wrapping_add(self.smallest)
    }

    /// Fewer than eight are left from there.
    #[cold]
    fn last_bytes(&self, from: usize) -> u64 {
        let mut wide = [0; 8];
        wide.iter_mut().zip(self.bits.get(from..).unwrap_or_default()).for_each(|(to, from)| *to = *from);
        u64::from_le_bytes(wide)
    }
}

/// The bit that says that numbers are cut into their bits, and not packed: see [`Sliced`](super::sliced::Sliced).
const SLICED: u8 = 0x80;

/// What stands before packed numbers, or numbers cut into their bits.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub(crate) struct Header {
    pub(super) smallest: u64,
    step: u64,
    pub(crate) count: usize,
    pub(crate) width: u8,
    /// Whether the numbers are cut into their bits.
    pub(crate) is_sliced: bool,
}

impl Header {
    /// The bytes of a header.
    pub(crate) const LENGTH: usize = HEADER;

    /// `None` if the bytes are no header, or claim more than `most` numbers.
    pub(crate) fn read(bytes: &[u8], most: usize) -> Option<Self> {
        let (smallest, rest) = bytes.split_first_chunk::<8>()?;
        let (step, rest) = rest.split_first_chunk::<8>()?;
        let (count, rest) = rest.split_first_chunk::<4>()?;
        let (width, is_sliced) = rest.first().map(|width| (width & !SLICED, width & SLICED != 0))?;
        let count = u32::from_le_bytes(*count) as usize;
        let (smallest, step) = (u64::from_le_bytes(*smallest), u64::from_le_bytes(*step));
        Some(Self { smallest, step, count, width, is_sliced }).filter(|header| count <= most && header.is_sound())
    }

    /// Whether such numbers are ever written: the widths are those that the packer makes and the unpacker takes.
    pub(crate) fn is_sound(&self) -> bool {
        if self.is_sliced {
            self.width <= 8 && self.step == 1 && u32::try_from(self.smallest).is_ok()
        } else {
            self.width <= 56 || self.width == 64
        }
    }

    /// That of numbers cut into so many bits.
    pub(super) fn of_slices(smallest: u32, count: usize, width: u32) -> [u8; HEADER] {
        let count = u32::try_from(count).unwrap_or(u32::MAX);
        let parts = [&u64::from(smallest).to_le_bytes()[..], &1_u64.to_le_bytes(), &count.to_le_bytes()];
        let mut bytes = [SLICED | u8::try_from(width).unwrap_or_default(); HEADER];
        bytes.iter_mut().zip(parts.into_iter().flatten()).for_each(|(to, from)| *to = *from);
        bytes
    }

    /// The bytes that hold these numbers, counted from the first byte after the header; and the bit in them at which the
    /// first begins.
    pub(crate) fn place(&self, numbers: Range<usize>) -> (Range<usize>, usize) {
        let width = usize::from(self.width);
        if self.is_sliced {
            let bytes = |groups: usize| groups.saturating_mul(width).saturating_mul(AT_ONCE / 8);
            let place = bytes(numbers.start / AT_ONCE)..bytes(numbers.end.div_ceil(AT_ONCE));
            return (place, numbers.start % AT_ONCE);
        }
        let first = numbers.start.saturating_mul(width);
        (first / 8..numbers.end.saturating_mul(width).div_ceil(8), first % 8)
    }

    /// Reads one number from the bytes of its [`place`](Self::place).
    pub(crate) fn number(&self, bytes: &[u8], first_bit: usize) -> u64 {
        if self.is_sliced {
            return self.smallest.wrapping_add(number_at(first_bit, bytes.as_chunks().0));
        }
        let mut wide = [0; 16];
        for (to, from) in wide.iter_mut().zip(bytes) {
            *to = *from;
        }
        // A width that no packer makes may come with a directory that is none of ours.
        let mask = 1_u128.checked_shl(self.width.into()).map_or(u128::MAX, |bit| bit - 1);
        let packed = u64::try_from(u128::from_le_bytes(wide) >> first_bit & mask).unwrap_or_default();
        packed.wrapping_mul(self.step).wrapping_add(self.smallest)
    }
}

impl Packed {
    /// `None` if the bytes are no packed numbers, or claim to be more than `most`.
    pub(crate) fn new(bytes: impl Into<Arc<Vec<u8>>>, most: usize) -> Option<Self> {
        let bytes = bytes.into();
        let Header { smallest, step, count, width, .. } = Header::read(&bytes, most).filter(|head| !head.is_sliced)?;
        if bytes.len().checked_sub(HEADER)? != (count.checked_mul(width.into())?).div_ceil(8) {
            return None;
        }
        let (unpacker, repeats) = (BitUnpacker::new(width), Arc::default());
        Some(Self { smallest, step, count, unpacker, bytes, repeats, none_repeat: false })
    }

    pub(crate) fn len(&self) -> usize {
        self.count
    }

    /// The bytes it takes.
    pub(crate) fn size(&self) -> usize {
        self.bytes.len()
    }

    fn bits(&self) -> &[u8] {
        self.bytes.get(HEADER..).unwrap_or_default()
    }

    /// The number at a position, which must be below the count.
    pub(crate) fn get(&self, position: usize) -> Option<u64> {
        if position >= self.count {
            return None;
        }
        let packed = self.unpacker.get(u32::try_from(position).ok()?, self.bits());
        Some(packed.wrapping_mul(self.step).wrapping_add(self.smallest))
    }

    /// To look numbers up from this position on.
    #[inline]
    pub(crate) fn at(&self, first: usize) -> PackedAt<'_> {
        let width = usize::from(self.unpacker.bit_width());
        let bit = first.saturating_mul(width);
        PackedAt {
            smallest: self.smallest,
            step: self.step,
            width,
            mask: u64::MAX.checked_shr(64 - u32::from(self.unpacker.bit_width())).unwrap_or_default(),
            bits: self.bits().get(bit / 8..).unwrap_or_default(),
            first_bit: bit % 8,
        }
    }

    /// Adds the numbers at these positions, each below the count, to a list.
    pub(crate) fn gather<T>(&self, positions: &[u32], into: &mut Vec<T>, make: impl Fn(u64) -> T) {
        let bits = self.bits();
        let get = |&position: &u32| self.unpacker.get(position, bits);
        if self.step == 1 {
            into.extend(positions.iter().map(|position| make(get(position).wrapping_add(self.smallest))));
        } else {
            let number = |position| get(position).wrapping_mul(self.step).wrapping_add(self.smallest);
            into.extend(positions.iter().map(|position| make(number(position))));
        }
    }

    /// All numbers, if each fits in 32 bits.
    pub(crate) fn all_small<T>(&self, make: impl Fn(u32) -> T) -> Option<Vec<T>> {
        if !self.is_small() {
            return None;
        }
        let mut bytes = Vec::new();
        if self.unpacker.bit_width() <= 8 && self.append_bytes(0..self.count, &mut bytes) {
            return Some(bytes.into_iter().map(|byte| make(byte.into())).collect());
        }
        let mut numbers = Vec::with_capacity(self.count);
        #[expect(clippy::cast_possible_truncation, reason = "each fits")]
        self.for_lists(0..self.count, |list| numbers.extend(list.iter().map(|&n| make(n as u32))));
        Some(numbers)
    }

    /// Says that none is the same as the one before, so that nobody looks for one.
    pub(crate) fn note_that_none_repeat(&mut self) {
        self.none_repeat = true;
    }

    /// A bit for each number, the first's the lowest of the first word: whether it is the same as the one before. Nothing if none is.
    pub(crate) fn repeats(&self) -> &[u64] {
        if self.none_repeat {
            return &[];
        }
        self.repeats.get_or_init(|| {
            let mut words = Vec::with_capacity(self.count.div_ceil(AT_ONCE));
            let mut before = None;
            // As they are packed, unless steps are so wide that some are the same again: that tells as well which are the same.
            let is_plain = self.step > 0 && self.at_most() <= u128::from(self.smallest) + u128::from(u64::MAX);
            let step = if is_plain { 1 } else { self.step };
            let as_packed = Self { smallest: 0, step, ..self.clone() };
            as_packed.for_lists(0..self.count, |list| {
                words.push(repeats(before, list));
                before = list.last().copied();
            });
            if words.iter().all(|word| *word == 0) {
                words = Vec::new();
            }
            words
        })
    }

    /// Visits the numbers at consecutive positions, some at a time; false if there are not so many.
    pub(crate) fn for_lists(&self, positions: Range<usize>, mut visit: impl FnMut(&[u64])) -> bool {
        if positions.end > self.count || positions.start > positions.end {
            return false;
        }
        let bits = self.bits();
        let mut list = [0; AT_ONCE];
        let mut next = positions.start;
        while next < positions.end {
            let here = (positions.end - next).min(AT_ONCE);
            let Some(numbers) = list.get_mut(..here) else { return false };
            self.unpacker.get_range(u32::try_from(next).unwrap_or(u32::MAX), bits, numbers);
            if self.step != 1 {
                numbers.iter_mut().for_each(|n| *n = n.wrapping_mul(self.step));
            }
            if self.smallest != 0 {
                numbers.iter_mut().for_each(|n| *n = n.wrapping_add(self.smallest));
            }
            visit(numbers);
            next += here;
        }
        true
    }

    /// Adds the numbers at consecutive positions to a list of bytes; false, and nothing is added, if there are not so many
    /// or one might not fit.
    pub(crate) fn append_bytes(&self, positions: Range<usize>, into: &mut Vec<u8>) -> bool {
        if self.at_most() > u8::MAX.into() {
            return self.append_fitting(positions, into);
        }
        let before = into.len();
        let unpack = match self.unpacker.bit_width() {
            1 => unpack_bytes::<8>,
            2 => unpack_bytes::<4>,
            4 => unpack_bytes::<2>,
            8 => unpack_bytes::<1>,
            _ => unpack_none,
        };
        if positions.end <= self.count && positions.start <= positions.end && unpack(self.bits(), &positions, into) {
            #[expect(clippy::cast_possible_truncation, reason = "each fits")]
            let (step, smallest) = (self.step as u8, self.smallest as u8);
            if step != 1 || smallest != 0 {
                let added = into.get_mut(before..).unwrap_or_default();
                added.iter_mut().for_each(|byte| *byte = byte.wrapping_mul(step).wrapping_add(smallest));
            }
            return true;
        }
        #[expect(clippy::cast_possible_truncation, reason = "each fits")]
        self.for_lists(positions, |list| into.extend(list.iter().map(|&n| n as u8)))
    }

    /// The same, where each has to be tried.
    fn append_fitting(&self, positions: Range<usize>, into: &mut Vec<u8>) -> bool {
        const RUN: usize = 1024;
        if positions.end > self.count || positions.start > positions.end {
            return false;
        }
        let before = into.len();
        // Most columns of larger numbers show it soon.
        for start in positions.clone().step_by(RUN) {
            let mut fit = true;
            self.for_lists(start..positions.end.min(start.saturating_add(RUN)), |list| {
                fit &= list.iter().all(|&n| u8::try_from(n).is_ok());
                #[expect(clippy::cast_possible_truncation, reason = "if one does not fit, all are taken back")]
                into.extend(list.iter().map(|&n| n as u8));
            });
            if !fit {
                into.truncate(before);
                return false;
            }
        }
        true
    }

    /// Visits the numbers at consecutive positions; false if there are not so many.
    pub(crate) fn for_each(&self, positions: Range<usize>, mut visit: impl FnMut(u64)) -> bool {
        self.for_lists(positions, |list| list.iter().for_each(|&n| visit(n)))
    }

    /// Whether all numbers are 0, as is seen without looking at each.
    pub(crate) fn is_zero(&self) -> bool {
        self.smallest == 0 && self.unpacker.bit_width() == 0
    }

    /// Whether all numbers surely fit in 32 bits.
    pub(crate) fn is_small(&self) -> bool {
        self.at_most() <= u32::MAX.into() || self.all().iter().all(|&n| u32::try_from(n).is_ok())
    }

    /// No number is larger than this one, as is seen without looking at each.
    pub(crate) fn at_most(&self) -> u128 {
        let widest = (1_u128 << self.unpacker.bit_width()) - 1;
        widest.saturating_mul(self.step.into()).saturating_add(self.smallest.into())
    }

    /// All numbers.
    pub(crate) fn all(&self) -> Vec<u64> {
        let mut numbers = Vec::with_capacity(self.count);
        self.for_each(0..self.count, |n| numbers.push(n));
        numbers
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_come_back() {
        let cases: [(&[i64], bool); 9] = [
            (&[0, 15, 3, 9, 1], false),
            (&[3, 33, 5, 9, 1], false),
            (&[], false),
            (&[7, 7, 7], false),
            (&[0, 1_000_000, 5_000_000], false),
            (&[i64::MIN, i64::MAX, 0], true),
            (&[-5, -3, 12], true),
            (&[0, 1, 2, 3, 4, 5, 6, 7, 8], false),
            (&[0, (1 << 57) + 1], false),
        ];
        for (numbers, signed) in cases {
            let numbers: Vec<u64> = numbers.iter().map(|n| n.cast_unsigned()).collect();
            let bytes = pack(&numbers, signed);
            let header = Header::read(&bytes, 100).unwrap();
            let packed = Packed::new(bytes.clone(), 100).unwrap();
            assert_eq!(packed.all(), numbers);
            for (from, &number) in numbers.iter().enumerate() {
                let mut rest = Vec::new();
                assert!(packed.for_each(from..numbers.len(), |n| rest.push(n)));
                let mut as_bytes = vec![7];
                if packed.append_bytes(from..numbers.len(), &mut as_bytes) {
                    assert_eq!(as_bytes[1..].iter().map(|&n| u64::from(n)).collect::<Vec<_>>(), rest);
                } else {
                    assert!(as_bytes == [7] && numbers.iter().any(|&n| n > 255));
                }
                assert_eq!(rest, &numbers[from..]);
                assert_eq!(packed.get(from), Some(number));
                let (place, bit) = header.place(from..from + 1);
                assert_eq!(header.number(&bytes[HEADER..][place], bit), number);
            }
            assert!(!packed.for_each(0..numbers.len() + 1, |_| {}));
            assert_eq!(packed.get(numbers.len()), None);
        }
        assert!(pack(&[0, 1_000_000, 5_000_000], false).len() < HEADER + 3);
    }

    #[test]
    fn numbers_of_every_width_come_back_alone() {
        let mut random = fastrand::Rng::with_seed(5);
        for width in 0..=64 {
            let most = if width == 64 { u64::MAX } else { (1 << width) - 1 };
            let numbers: Vec<u64> = (0..150).map(|_| random.u64(0..=most)).collect();
            let bytes = pack(&numbers, false);
            let header = Header::read(&bytes, 150).unwrap();
            let packed = Packed::new(bytes.clone(), 150).unwrap();
            assert_eq!(packed.all(), numbers, "width {width}");
            for (i, &number) in numbers.iter().enumerate() {
                let (place, bit) = header.place(i..i + 1);
                assert_eq!(header.number(&bytes[HEADER..][place], bit), number, "width {width}");
                assert_eq!(packed.at(i / 2).get(i - i / 2), number, "width {width}");
            }
        }
    }

    #[test]
    fn odd_bytes_are_no_numbers() {
        let mut random = fastrand::Rng::with_seed(1);
        for _ in 0..10_000 {
            let bytes: Vec<u8> = (0..random.usize(0..60)).map(|_| random.u8(..)).collect();
            if let Some(packed) = Packed::new(bytes, 100) {
                assert_eq!(packed.all().len(), packed.count);
            }
        }
    }
}

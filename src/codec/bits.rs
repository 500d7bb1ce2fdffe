//! Numbers and texts in few bytes, one after the other: what the body of a block is made of.
//!
//! How many numbers or texts there are is not always written: whoever reads must know the count, and how many there can
//! be at most, so that odd bytes ask for no memory.

use crate::journey::{Step, places};

/// Bytes being written.
#[derive(Debug, Default)]
pub(super) struct Out(pub(super) Vec<u8>);

impl Out {
    /// A number of few bytes if it is small: seven bits a byte, the lowest first.
    pub(super) fn number(&mut self, mut number: u64) {
        while number >= 0x80 {
            self.0.push(number.to_le_bytes()[0] | 0x80);
            number >>= 7;
        }
        self.0.push(number.to_le_bytes()[0]);
    }

    /// Numbers as (number - smallest) / step in as many bits as the largest takes. Differences are modulo 2^64, so
    /// numbers with a sign pack as well; `flip` is 1 << 63 for those.
    pub(super) fn packed(&mut self, numbers: impl Iterator<Item = u64> + Clone, flip: u64) {
        let smallest = numbers.clone().map(|n| n ^ flip).min().unwrap_or(flip) ^ flip;
        let over = numbers.map(|n| n.wrapping_sub(smallest));
        let widest = over.clone().max().unwrap_or_default();
        self.number(smallest);
        if widest == 0 {
            // Nothing, or always the same: so is most of what few entries have.
            self.0.extend_from_slice(&[1, 0]);
            return;
        }
        let step = Step::common(over.clone());
        let width = 64 - (widest / step.get()).leading_zeros();
        self.number(step.get());
        self.0.push(u8::try_from(width).unwrap_or(64));
        if step.get() == 1 {
            self.bits(over, width);
        } else {
            self.bits(over.map(|n| step.quotient(n).unwrap_or_default()), width);
        }
    }

    fn bits(&mut self, numbers: impl Iterator<Item = u64>, width: u32) {
        if width == 0 {
            return;
        }
        let (mut held, mut filled) = (0_u64, 0);
        for n in numbers {
            held |= n << filled;
            filled += width;
            if filled >= 64 {
                self.0.extend_from_slice(&held.to_le_bytes());
                filled -= 64;
                // What did not fit any more.
                held = n.checked_shr(width - filled).unwrap_or_default();
            }
        }
        let rest = usize::try_from(filled.div_ceil(8)).unwrap_or_default();
        self.0.extend(held.to_le_bytes().into_iter().take(rest));
    }

    /// Texts: how much each shares with the one before, and the rest of its bytes, which take four bits or less each if
    /// they are of few kinds.
    pub(super) fn texts<'a>(&mut self, texts: impl Iterator<Item = &'a str> + Clone) {
        let count = texts.clone().count();
        let (mut kept, mut lengths) = (Vec::with_capacity(count), Vec::with_capacity(count));
        let mut rest = Vec::with_capacity(count * 16);
        let mut before = "";
        for text in texts {
            let same = shared(before.as_bytes(), text.as_bytes());
            kept.push(same as u64);
            lengths.push((text.len() - same) as u64);
            rest.extend_from_slice(text.as_bytes().get(same..).unwrap_or_default());
            before = text;
        }
        self.number(kept.len() as u64);
        self.packed(kept.iter().copied(), 0);
        self.packed(lengths.iter().copied(), 0);
        let kinds = kinds_of(&rest);
        if kinds.len() > 16 {
            self.0.push(0);
            self.0.extend_from_slice(&rest);
            return;
        }
        let mut place_of = [0_u8; 256];
        for (place, byte) in (0..).zip(&kinds) {
            if let Some(known) = place_of.get_mut(usize::from(*byte)) {
                *known = place;
            }
        }
        self.0.push(u8::try_from(kinds.len()).unwrap_or_default());
        self.0.extend_from_slice(&kinds);
        let places = rest.iter().map(|byte| place_of.get(usize::from(*byte)).copied().unwrap_or_default().into());
        self.bits(places, width_of(kinds.len()));
    }
}

/// The bytes that occur, in order.
fn kinds_of(bytes: &[u8]) -> Vec<u8> {
    let mut occurs = [0_u64; 4];
    for byte in bytes {
        if let Some(word) = occurs.get_mut(usize::from(*byte / 64)) {
            *word |= 1 << (byte % 64);
        }
    }
    let kinds = [0, 64, 128, 192]
        .into_iter()
        .zip(occurs)
        .flat_map(|(first, word)| places(word).map(move |place| first + u8::try_from(place).unwrap_or_default()));
    kinds.collect()
}

/// How many bytes two texts share at their start.
pub(super) fn shared(a: &[u8], b: &[u8]) -> usize {
    let ((a8, _), (b8, _)) = (a.as_chunks::<8>(), b.as_chunks::<8>());
    let mut same = 0;
    for (a8, b8) in a8.iter().zip(b8) {
        let differ = u64::from_le_bytes(*a8) ^ u64::from_le_bytes(*b8);
        if differ != 0 {
            return same + differ.trailing_zeros() as usize / 8;
        }
        same += 8;
    }
    same + a.iter().skip(same).zip(b.iter().skip(same)).take_while(|(a, b)| a == b).count()
}

/// The lower half.
pub(super) fn low(number: u128) -> u64 {
    u64::try_from(number & u128::from(u64::MAX)).unwrap_or_default()
}

/// The bits of a place among so many.
fn width_of(kinds: usize) -> u32 {
    usize::BITS - kinds.saturating_sub(1).leading_zeros()
}

/// Whole numbers with a sign as such without one, small ones staying small.
pub(super) fn zigzag(n: i64) -> u64 {
    ((n << 1) ^ (n >> 63)).cast_unsigned()
}

/// The way back.
pub(super) fn unzigzag(n: u64) -> i64 {
    (n >> 1).cast_signed() ^ -((n & 1).cast_signed())
}

/// How many bytes the texts of what is read may still take, so that few odd bytes do not stand for many.
#[derive(Debug)]
pub(super) struct Room(pub(super) usize);

impl Room {
    /// Takes so many; `None` if there are fewer left.
    pub(super) fn take(&mut self, bytes: usize) -> Option<()> {
        self.0 = self.0.checked_sub(bytes)?;
        Some(())
    }
}

/// Bytes being read. Everything is `None` if they are not what was written.
#[derive(Debug, Clone, Copy)]
pub(super) struct In<'a>(pub(super) &'a [u8]);

impl<'a> In<'a> {
    pub(super) fn byte(&mut self) -> Option<u8> {
        let (&first, rest) = self.0.split_first()?;
        self.0 = rest;
        Some(first)
    }

    pub(super) fn bytes(&mut self, length: usize) -> Option<&'a [u8]> {
        let (bytes, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(bytes)
    }

    pub(super) fn number(&mut self) -> Option<u64> {
        let mut number = 0;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            let bits = u64::from(byte & 0x7f);
            number |= bits.checked_shl(shift).filter(|shifted| shifted >> shift == bits)?;
            if byte < 0x80 {
                return Some(number);
            }
        }
        None
    }

    /// A count of at most so many.
    pub(super) fn count(&mut self, most: usize) -> Option<usize> {
        self.number().and_then(|n| usize::try_from(n).ok()).filter(|n| *n <= most)
    }

    /// So many packed numbers.
    pub(super) fn packed(&mut self, count: usize) -> Option<Vec<u64>> {
        let (smallest, step) = (self.number()?, self.number()?);
        let width = u32::from(self.byte()?);
        let mut numbers = self.bits(count, width)?;
        numbers.iter_mut().for_each(|n| *n = n.wrapping_mul(step).wrapping_add(smallest));
        Some(numbers)
    }

    fn bits(&mut self, count: usize, width: u32) -> Option<Vec<u64>> {
        if width > 64 {
            return None;
        }
        let length = count.checked_mul(usize::try_from(width).ok()?)?.div_ceil(8);
        let mut words = self.bytes(length)?.chunks(8).map(|chunk| {
            let mut word = [0; 8];
            word.iter_mut().zip(chunk).for_each(|(to, from)| *to = *from);
            u64::from_le_bytes(word)
        });
        let mask = if width == 64 { u64::MAX } else { (1 << width) - 1 };
        let mut numbers = Vec::with_capacity(count);
        let (mut held, mut filled) = (0_u128, 0_u32);
        for _ in 0..count {
            if filled < width {
                held |= u128::from(words.next()?) << filled;
                filled += 64;
            }
            numbers.push(low(held) & mask);
            held >>= width;
            filled -= width;
        }
        Some(numbers)
    }

    /// At most so many texts, whose bytes are taken from this room.
    pub(super) fn texts(&mut self, most: usize, room: &mut Room) -> Option<Vec<String>> {
        let count = self.count(most)?;
        let (kept, lengths) = (self.packed(count)?, self.packed(count)?);
        let length = lengths.iter().try_fold(0_usize, |sum, n| sum.checked_add(usize::try_from(*n).ok()?))?;
        // A width of nothing makes any number of bytes out of none.
        if length > room.0 {
            return None;
        }
        let kinds = usize::from(self.byte()?);
        let unpacked: Vec<u8>;
        let mut rest = if kinds == 0 {
            self.bytes(length)?
        } else {
            let kinds = self.bytes(kinds)?;
            let place = |n: u64| kinds.get(usize::try_from(n).ok()?).copied();
            unpacked = self.bits(length, width_of(kinds.len()))?.into_iter().map(place).collect::<Option<_>>()?;
            &unpacked
        };
        let mut texts: Vec<String> = Vec::with_capacity(count);
        for (kept, length) in kept.into_iter().zip(lengths) {
            let before = texts.last().map_or("", String::as_str).as_bytes();
            let kept = before.get(..usize::try_from(kept).ok()?)?;
            let (own, after) = rest.split_at_checked(usize::try_from(length).ok()?)?;
            rest = after;
            room.take(kept.len().checked_add(own.len())?)?;
            texts.push(String::from_utf8([kept, own].concat()).ok()?);
        }
        Some(texts)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_come_back() {
        let cases: [(&[i64], bool); 10] = [
            (&[], false),
            (&[], true),
            (&[7, 7, 7], false),
            (&[0, 1_000_000, 5_000_000], false),
            (&[i64::MIN, i64::MAX, 0], true),
            (&[-5, -3, 12], true),
            (&[0, 1, 2, 3, 4, 5, 6, 7, 8], false),
            (&[0, (1 << 57) + 1, 3], false),
            (&[0, -1, 5, -1, 8, -1], false),
            (&[1, 1 << 40, 77, 12, 1 << 40], true),
        ];
        for (numbers, signed) in cases {
            let numbers: Vec<u64> = numbers.iter().map(|n| n.cast_unsigned()).collect();
            let mut out = Out::default();
            out.packed(numbers.iter().copied(), if signed { 1 << 63 } else { 0 });
            let mut input = In(&out.0);
            assert_eq!(input.packed(numbers.len()).unwrap(), numbers);
            assert!(input.0.is_empty());
            for n in numbers {
                let mut out = Out::default();
                out.number(n);
                assert_eq!(In(&out.0).number(), Some(n));
                assert_eq!(unzigzag(zigzag(n.cast_signed())), n.cast_signed());
            }
        }
    }

    #[test]
    fn texts_come_back() {
        let cases: [&[&str]; 6] = [
            &[],
            &["", "", "a"],
            &["c-001", "c-002", "c-117", "d"],
            &["zażółć", "zażółw", "gęślą jaźń"],
            &["e-1", "a much longer text, of many letters: ABCDEFGHIJKLMNOP", "a much longer one"],
            &["same", "same"],
        ];
        for texts in cases {
            let mut out = Out::default();
            out.texts(texts.iter().copied());
            let mut input = In(&out.0);
            assert_eq!(input.texts(10, &mut Room(1_000)).unwrap(), texts);
            assert!(input.0.is_empty());
            assert!(texts.len() < 2 || In(&out.0).texts(texts.len() - 1, &mut Room(1_000)).is_none());
        }
    }
}

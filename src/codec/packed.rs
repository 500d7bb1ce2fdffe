//! Whole numbers, packed into as few bits as their spread needs.

use std::ops::Range;

use tantivy_bitpacker::{BitPacker, BitUnpacker, compute_num_bits};

/// Smallest value (8), common step (8), count (4), bits (1), then the packed bits.
const HEADER: usize = 21;

/// Packs numbers: each is stored as (number - smallest) / step, where step divides all differences. Differences are
/// taken modulo 2^64, so that times before 1970 pack as well.
pub(super) fn pack(numbers: &[u64], signed: bool) -> Vec<u8> {
    let order = |n: &u64| if signed { *n ^ (1 << 63) } else { *n };
    let smallest = numbers.iter().copied().min_by_key(order).unwrap_or_default();
    let step = numbers.iter().fold(0, |step, n| if step == 1 { 1 } else { gcd(step, n.wrapping_sub(smallest)) }).max(1);
    let widest = numbers.iter().map(|n| n.wrapping_sub(smallest) / step).max().unwrap_or_default();
    let bits = compute_num_bits(widest);
    let mut bytes = Vec::with_capacity(HEADER + numbers.len() * usize::from(bits) / 8 + 8);
    bytes.extend_from_slice(&smallest.to_le_bytes());
    bytes.extend_from_slice(&step.to_le_bytes());
    bytes.extend_from_slice(&u32::try_from(numbers.len()).unwrap_or(u32::MAX).to_le_bytes());
    bytes.push(bits);
    let mut packer = BitPacker::new();
    let packed = numbers
        .iter()
        .try_for_each(|n| packer.write(n.wrapping_sub(smallest) / step, bits, &mut bytes))
        .and_then(|()| packer.close(&mut bytes));
    debug_assert!(packed.is_ok(), "writing to memory does not fail");
    bytes
}

fn gcd(mut a: u64, mut b: u64) -> u64 {
    while b != 0 {
        (a, b) = (b, a % b);
    }
    a
}

/// Packed numbers, checked to be whole.
pub(super) struct Packed<'a> {
    smallest: u64,
    step: u64,
    count: usize,
    unpacker: BitUnpacker,
    bits: &'a [u8],
}

impl<'a> Packed<'a> {
    /// `None` if the bytes are no packed numbers, or claim to be more than `most`.
    pub(super) fn new(bytes: &'a [u8], most: usize) -> Option<Self> {
        let (smallest, rest) = bytes.split_first_chunk::<8>()?;
        let (step, rest) = rest.split_first_chunk::<8>()?;
        let (count, rest) = rest.split_first_chunk::<4>()?;
        let (&width, bits) = rest.split_first()?;
        let count = u32::from_le_bytes(*count) as usize;
        if count > most {
            return None;
        }
        // The widths that the packer makes and the unpacker takes.
        if width > 56 && width != 64 || bits.len() != (count.checked_mul(width.into())?).div_ceil(8) {
            return None;
        }
        let (smallest, step) = (u64::from_le_bytes(*smallest), u64::from_le_bytes(*step));
        Some(Self { smallest, step, count, unpacker: BitUnpacker::new(width), bits })
    }

    /// The numbers at these positions.
    pub(super) fn range(&self, positions: Range<usize>) -> Option<Vec<u64>> {
        if positions.end > self.count || positions.start > positions.end {
            return None;
        }
        let mut numbers = vec![0; positions.len()];
        self.unpacker.get_range(u32::try_from(positions.start).ok()?, self.bits, &mut numbers);
        if self.step == 1 {
            numbers.iter_mut().for_each(|n| *n = n.wrapping_add(self.smallest));
        } else {
            numbers.iter_mut().for_each(|n| *n = n.wrapping_mul(self.step).wrapping_add(self.smallest));
        }
        Some(numbers)
    }

    pub(super) fn all(&self) -> Vec<u64> {
        self.range(0..self.count).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_come_back() {
        let cases: [(&[i64], bool); 7] = [
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
            let packed = Packed::new(&bytes, 100).unwrap();
            assert_eq!(packed.all(), numbers);
            for from in 0..numbers.len() {
                assert_eq!(packed.range(from..numbers.len()).unwrap(), &numbers[from..]);
            }
            assert!(packed.range(0..numbers.len() + 1).is_none());
        }
        assert!(pack(&[0, 1_000_000, 5_000_000], false).len() < HEADER + 3);
    }

    #[test]
    fn odd_bytes_are_no_numbers() {
        let mut random = fastrand::Rng::with_seed(1);
        for _ in 0..10_000 {
            let bytes: Vec<u8> = (0..random.usize(0..60)).map(|_| random.u8(..)).collect();
            if let Some(packed) = Packed::new(&bytes, 100) {
                assert_eq!(packed.all().len(), packed.count);
            }
        }
    }
}

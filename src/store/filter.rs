//! A filter of event ids: says "surely not here" of nearly every id that is new, so that no page is read for it.
//!
//! A split block Bloom filter: an id sets one bit in each of the eight words of one block of 32 bytes, so that a look-up
//! touches one line of memory. With 12 bits an id, about one new id of 250 is not told apart.

/// Bits for each id.
const BITS: usize = 12;
const BLOCK_BITS: usize = 256;
/// Odd numbers that choose a bit in each word; those of the Parquet format.
const SALTS: [u32; 8] =
    [0x47b6_137b, 0x4497_4d91, 0x8824_ad5b, 0xa2b7_289d, 0x7054_95c7, 0x2df1_424b, 0x9efc_4947, 0x5c6b_fb31];

/// The filter of a set of fingerprints, whose bits are random already.
#[derive(Debug, Default, Clone, PartialEq)]
pub(super) struct Filter(Vec<[u32; 8]>);

impl Filter {
    /// An empty filter for so many ids.
    pub(super) fn with_room_for(ids: usize) -> Self {
        Self(vec![[0; 8]; (ids.saturating_mul(BITS)).div_ceil(BLOCK_BITS)])
    }

    fn place(&self, id: u128) -> (usize, [u32; 8]) {
        let hash = u64::try_from(id & u128::from(u64::MAX)).unwrap_or_default();
        let (high, low) = ((hash >> 32), u32::try_from(hash & 0xffff_ffff).unwrap_or_default());
        let block = usize::try_from((high * self.0.len() as u64) >> 32).unwrap_or_default();
        (block, SALTS.map(|salt| 1 << (low.wrapping_mul(salt) >> 27)))
    }

    pub(super) fn insert(&mut self, id: u128) {
        let (block, bits) = self.place(id);
        if let Some(words) = self.0.get_mut(block) {
            words.iter_mut().zip(bits).for_each(|(word, bit)| *word |= bit);
        }
    }

    /// False only if the id was never inserted.
    pub(super) fn may_have(&self, id: u128) -> bool {
        let (block, bits) = self.place(id);
        self.0.get(block).is_some_and(|words| words.iter().zip(bits).all(|(word, bit)| word & bit != 0))
    }

    pub(super) fn to_bytes(&self) -> Vec<u8> {
        self.0.iter().flatten().flat_map(|word| word.to_le_bytes()).collect()
    }

    /// `None` if these are not the bytes of a filter for so many ids.
    pub(super) fn from_bytes(bytes: &[u8], ids: usize) -> Option<Self> {
        let blocks = bytes.as_chunks::<32>().0.iter().map(|block| {
            let mut words = [0; 8];
            words.iter_mut().zip(block.as_chunks::<4>().0).for_each(|(word, four)| *word = u32::from_le_bytes(*four));
            words
        });
        let filter = Self(blocks.collect());
        (bytes.len() == Self::with_room_for(ids).0.len() * 32).then_some(filter)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_filter_never_says_no_to_an_id_it_has_and_seldom_yes_to_another() {
        let mut random = fastrand::Rng::with_seed(1);
        for count in [0, 1, 7, 20_000] {
            let ids: Vec<u128> = (0..count).map(|_| random.u128(..)).collect();
            let mut filter = Filter::with_room_for(count);
            ids.iter().for_each(|id| filter.insert(*id));
            let filter = Filter::from_bytes(&filter.to_bytes(), count).unwrap();
            assert!(ids.iter().all(|id| filter.may_have(*id)));
            let wrong = (0..20_000).filter(|_| filter.may_have(random.u128(..))).count();
            assert!(wrong < 200, "{wrong} of 20,000, with {count} ids");
        }
        assert_eq!(Filter::from_bytes(&[0; 32], 1_000), None);
    }
}

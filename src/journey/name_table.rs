//! Texts in the order of their numbers, each once.

use std::{
    collections::BTreeSet,
    hash::{BuildHasher, Hasher},
    ops::Range,
    sync::LazyLock,
};

use foldhash::fast::RandomState;

use super::places::Places;

/// The hash of a name, the same wherever it is asked for in this process: whoever has it need not work it out again.
#[inline]
pub(crate) fn hash_name(name: &str) -> u64 {
    static HASHER: LazyLock<RandomState> = LazyLock::new(RandomState::default);
    let mut hasher = HASHER.build_hasher();
    hasher.write(name.as_bytes());
    hasher.finish()
}

/// Names in the order of their numbers: all texts in one piece, where each ends, and numbers found by hash. A name takes
/// its bytes and about 25 more.
#[derive(Default)]
pub(crate) struct NameTable {
    texts: String,
    ends: Vec<u64>,
    places: Places,
    /// Numbers whose names were taken away.
    nameless: BTreeSet<u32>,
}

impl NameTable {
    /// Room for so many names.
    pub(crate) fn with_room_for(count: usize) -> Self {
        Self {
            texts: String::with_capacity(count * 12),
            ends: Vec::with_capacity(count),
            places: Places::with_room_for(count),
            nameless: BTreeSet::new(),
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.ends.len()
    }

    pub(crate) fn get(&self, number: usize) -> Option<&str> {
        self.texts.get(self.range(number)?)
    }

    fn range(&self, number: usize) -> Option<Range<usize>> {
        let end = *self.ends.get(number)?;
        let start = number.checked_sub(1).and_then(|before| self.ends.get(before).copied()).unwrap_or_default();
        Some(usize::try_from(start).ok()?..usize::try_from(end).ok()?)
    }

    fn bytes(&self, number: usize) -> Option<&[u8]> {
        self.texts.as_bytes().get(self.range(number)?)
    }

    /// The name of a number, empty if it was taken away.
    pub(super) fn name(&self, number: usize) -> Option<&str> {
        let is_nameless = u32::try_from(number).is_ok_and(|number| self.nameless.contains(&number));
        if is_nameless { Some("") } else { self.get(number) }
    }

    /// The numbers whose names were taken away.
    pub(super) fn nameless(&self) -> &BTreeSet<u32> {
        &self.nameless
    }

    /// Takes a number's name away.
    pub(super) fn forget(&mut self, number: u32) {
        let Some((place, name)) = self.range(number as usize).zip(self.get(number as usize)) else { return };
        self.places.remove(hash_name(name), number);
        // Nobody finds it any more; nor is it to be found in memory.
        let length = place.len();
        self.texts.replace_range(place, &" ".repeat(length));
        self.nameless.insert(number);
    }

    /// Gives the next number to nobody.
    pub(super) fn skip(&mut self) -> u32 {
        let number = u32::try_from(self.ends.len()).unwrap_or(u32::MAX);
        self.ends.push(self.texts.len() as u64);
        self.nameless.insert(number);
        number
    }

    /// The names in the order of their numbers.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &str> + Clone {
        let mut rest = self.texts.as_str();
        let mut start = 0;
        self.ends.iter().map(move |end| {
            let length = usize::try_from(end - std::mem::replace(&mut start, *end)).unwrap_or_default();
            let (name, after) = rest.split_at_checked(length).unwrap_or_default();
            rest = after;
            name
        })
    }

    #[inline]
    pub(crate) fn find(&self, name: &str, hash: u64) -> Option<u32> {
        self.places.find(hash, |number| self.bytes(number as usize) == Some(name.as_bytes()))
    }

    /// The number of a name, given now if it has none; and whether it was.
    pub(crate) fn intern(&mut self, name: &str, hash: u64) -> (u32, bool) {
        if let Some(number) = self.find(name, hash) {
            return (number, false);
        }
        let number = u32::try_from(self.ends.len()).unwrap_or(u32::MAX);
        self.texts.push_str(name);
        self.ends.push(self.texts.len() as u64);
        self.places.insert(hash, number);
        (number, true)
    }

    /// The numbers of many names. What takes time is waiting for memory, so each pass asks for all names' next piece of it
    /// before the first is used.
    pub(crate) fn intern_all(&mut self, names: &Self, hashes: &[u64]) -> Vec<u32> {
        let mut numbers = self.places.guesses(hashes);
        let texts: Vec<&[u8]> = numbers.iter().map(|number| self.bytes(*number as usize).unwrap_or_default()).collect();
        let fits: Vec<bool> = texts.iter().zip(names.iter()).map(|(text, name)| *text == name.as_bytes()).collect();
        for ((number, fits), (name, hash)) in numbers.iter_mut().zip(fits).zip(names.iter().zip(hashes)) {
            // The empty text is what stands for no guess.
            if !fits || name.is_empty() {
                *number = self.intern(name, *hash).0;
            }
        }
        numbers
    }
}

// By hand: the names are those of persons too.
impl std::fmt::Debug for NameTable {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "NameTable({} names)", self.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_does_not_print_names() {
        let mut table = NameTable::default();
        table.intern("ann", hash_name("ann"));
        assert_eq!(format!("{table:?}"), "NameTable(1 names)");
    }
}

//! Choices read from bytes.

/// Bytes as a list of choices; when they are used up, each choice is the first.
pub(super) struct Choices<'a>(pub(super) &'a [u8]);

impl Choices<'_> {
    /// Whether bytes are left.
    pub(super) fn any_left(&self) -> bool {
        !self.0.is_empty()
    }

    /// A number below `count`, which is at most 256.
    pub(super) fn below(&mut self, count: usize) -> usize {
        let Some((&first, rest)) = self.0.split_first() else { return 0 };
        self.0 = rest;
        usize::from(first) % count
    }

    /// One of these.
    pub(super) fn of<T: Clone>(&mut self, all: &[T]) -> T {
        all[self.below(all.len())].clone()
    }

    /// Yes or no.
    pub(super) fn yes(&mut self) -> bool {
        self.below(2) == 1
    }
}

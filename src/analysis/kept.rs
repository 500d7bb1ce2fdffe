//! Which rows of a chunk the scope sees.

use std::ops::Range;

use super::picking::Marks;
use crate::journey::{Chunk, Part, Span};

/// For each part of a chunk which of its rows the scope sees; `None` for all.
pub(super) struct Kept(Vec<Option<KeptRows>>);

/// The rows of a part, from its first on.
struct KeptRows {
    each: Vec<bool>,
    marks: Marks,
}

impl Kept {
    /// Of rows that are told one by one for each part; `None` if all of a part's are seen.
    pub(super) fn of(chunk: &Chunk<'_>, each: impl Fn(&Part<'_>) -> Option<Vec<bool>>) -> Self {
        let kept = |part: &Part<'_>| {
            let each = each(part)?;
            Some(KeptRows { marks: Marks::of(part.rows().start, &each), each })
        };
        Self(chunk.parts.iter().map(kept).collect())
    }

    /// Of a chunk that is seen whole.
    pub(super) fn all() -> Self {
        Self(Vec::new())
    }

    /// Which rows of a part are seen, from its first row on; `None` for all.
    pub(super) fn of_part(&self, place: usize) -> Option<&[bool]> {
        Some(&self.0.get(place)?.as_ref()?.each)
    }

    /// The same as bits.
    pub(super) fn bits_of_part(&self, place: usize) -> Option<impl Iterator<Item = u64>> {
        Some(self.0.get(place)?.as_ref()?.marks.bits())
    }

    /// How many rows of a span are seen.
    pub(super) fn count(&self, span: &Span) -> usize {
        match self.0.get(span.part as usize) {
            Some(Some(KeptRows { marks, .. })) => {
                marks.before(span.end_row()).saturating_sub(marks.before(span.first_row())) as usize
            }
            _ => span.rows().len(),
        }
    }

    /// Which of these rows of a part are seen; `None` for all.
    pub(super) fn rows(&self, part: &Part<'_>, place: usize, rows: Range<usize>) -> Option<&[bool]> {
        let first = part.rows().start;
        let kept = self.of_part(place)?;
        Some(kept.get(rows.start.saturating_sub(first)..rows.end.saturating_sub(first)).unwrap_or_default())
    }
}

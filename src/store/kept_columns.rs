//! Columns that stay in memory, up to a limit, from the second time on that anything of their block is read: questions read the same few again and
//! again. Who asks once and goes does not fill memory that nobody uses, and memory that is used again for the next block costs less than new.

use std::sync::{
    Arc, Mutex, PoisonError,
    atomic::{AtomicBool, AtomicUsize, Ordering},
};

use crate::journey::{Column, Columns, Needs};

/// So many bytes of columns stay in memory, of all open stores of the process together. What does not fit is read each time, as
/// are columns that few questions ask for.
pub(super) const LIMIT_KEPT: usize = 48 << 20;

/// The bytes that are taken.
static TAKEN: AtomicUsize = AtomicUsize::new(0);

/// Those of the blocks of one segment. They go with it.
#[derive(Debug, Default)]
pub(super) struct KeptColumns {
    blocks: Vec<Block>,
    taken: AtomicUsize,
}

#[derive(Debug, Default)]
struct Block {
    kept: Mutex<Arc<Columns>>,
    /// Whether some of its columns were read before.
    was_read: AtomicBool,
}

impl KeptColumns {
    /// Of so many blocks.
    pub(super) fn new(blocks: usize) -> Self {
        Self { blocks: (0..blocks).map(|_| Block::default()).collect(), taken: AtomicUsize::new(0) }
    }

    /// Those columns of a block that are kept and needed; customers and where their journeys start always.
    pub(super) fn of(&self, block: usize, needs: &Needs) -> Arc<Columns> {
        let Some(Block { kept, .. }) = self.blocks.get(block) else { return Arc::default() };
        let kept = kept.lock().unwrap_or_else(PoisonError::into_inner);
        let (times, touchpoints, channels) = (&kept.times, &kept.touchpoints, &kept.channels);
        if (needs.times || times.len() == 0)
            && (needs.touchpoints || touchpoints.len() == 0)
            && (needs.channels || channels.len() == 0)
        {
            return Arc::clone(&kept);
        }
        Arc::new(Columns {
            customers: kept.customers.clone(),
            starts: kept.starts.clone(),
            times: if needs.times { times.clone() } else { Column::default() },
            touchpoints: if needs.touchpoints { touchpoints.clone() } else { Column::default() },
            channels: if needs.channels { channels.clone() } else { Column::default() },
            ..Columns::default()
        })
    }

    /// Keeps those columns of a block that are not there yet, as long as there is room; from the second time on that any of them are read.
    pub(super) fn keep(&self, block: usize, columns: &Columns) {
        let Some(Block { kept, was_read }) = self.blocks.get(block) else { return };
        if !was_read.swap(true, Ordering::Relaxed) {
            return;
        }
        let mut kept = kept.lock().unwrap_or_else(PoisonError::into_inner);
        let kept = Arc::make_mut(&mut kept);
        if kept.customers.is_empty() && self.takes((columns.customers.len() + columns.starts.len()) * 4) {
            (kept.customers, kept.starts) = (columns.customers.clone(), columns.starts.clone());
        }
        if kept.touchpoints.len() == 0 && self.takes(columns.touchpoints.size()) {
            kept.touchpoints = columns.touchpoints.clone();
        }
        // A bit for each row comes on top if some share their instant with the one before: a thirtieth of this.
        if kept.times.len() == 0 && self.takes(columns.times.size()) {
            kept.times = columns.times.clone();
        }
        if kept.channels.len() == 0 && self.takes(columns.channels.size()) {
            kept.channels = columns.channels.clone();
        }
    }

    /// Takes room for so many bytes, if there is.
    fn takes(&self, bytes: usize) -> bool {
        let more = |taken: usize| taken.checked_add(bytes).filter(|taken| *taken <= LIMIT_KEPT);
        let is_taken = bytes > 0 && TAKEN.fetch_update(Ordering::Relaxed, Ordering::Relaxed, more).is_ok();
        if is_taken {
            self.taken.fetch_add(bytes, Ordering::Relaxed);
        }
        is_taken
    }
}

impl Drop for KeptColumns {
    fn drop(&mut self) {
        TAKEN.fetch_sub(*self.taken.get_mut(), Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_more_is_kept_than_there_is_room_for() {
        let kept = KeptColumns::new(1);
        assert!(!kept.takes(LIMIT_KEPT + 1) && !kept.takes(usize::MAX) && !kept.takes(0));
        // Other tests may hold a little.
        assert!(kept.takes(LIMIT_KEPT / 2) && !kept.takes(LIMIT_KEPT / 2 + 1));
        drop(kept);
        let again = KeptColumns::new(0);
        assert!(again.takes(LIMIT_KEPT / 2) && again.taken.load(Ordering::Relaxed) == LIMIT_KEPT / 2);
    }
}

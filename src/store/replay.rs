//! Reading the log into the index: what was appended since the last seal at open, or all of it for a new index.

use super::{
    StoreOptions, ids::fingerprint, index::Index, log::Log, shared::Writer, tail::Tail, tiers::Urgency, witness::Head,
};
use crate::{
    codec::{Block, Entries, LogEntry},
    error::Result,
    journey::{Names, ReservedNumbers, Rows},
};

/// An index that follows a log: what reading the log makes of it.
#[derive(Debug)]
pub(super) struct Replay {
    pub(super) index: Index,
    pub(super) writer: Writer,
    pub(super) tail: Tail,
    /// Entries read so far.
    pub(super) replayed: u64,
    names: Names,
    options: StoreOptions,
}

impl Replay {
    /// Begins with an index, to which the entries of a log up to this head are to be added.
    pub(super) fn begin(index: Index, head: Head, names: &Names, options: &StoreOptions) -> Result<Self> {
        let writer = Writer::new(head, &index);
        let tail = Tail::new(head, index.segments(), names)?;
        Ok(Self { index, writer, tail, replayed: 0, names: names.clone(), options: options.clone() })
    }

    /// Reads what the index does not have yet.
    pub(super) fn read(mut self, log: &Log) -> Result<Self> {
        let through = self.index.through().seq;
        log.entries_after(through, |block| {
            let rows = self.number(&block);
            self.take_in(&block, rows)
        })?;
        Ok(self)
    }

    /// The entries of a block in numbers; names that are new get theirs.
    pub(super) fn number(&self, block: &Block) -> Rows {
        let mut rows = Rows::with_room_for(block.entries.len());
        Entries::of(&block.entries).into_coded().number(block.first, &mut self.names.write(), &mut rows);
        rows
    }

    /// Takes in the entries of a block, sealing on the way, so that memory stays bounded.
    pub(super) fn take_in(&mut self, block: &Block, rows: Rows) -> Result<()> {
        let head = Head { seq: block.next().saturating_sub(1), chain: block.after };
        for id in block.entries.iter().filter_map(LogEntry::id) {
            self.writer.ids.insert(fingerprint(id));
        }
        self.replayed += block.entries.len() as u64;
        self.writer.note_time(block.entries.iter().map(|entry| entry.recorded_at).max());
        let last_event = rows.last_event(ReservedNumbers::of(&self.names));
        self.tail.take_in(head, rows, last_event, block.entries.iter().map(LogEntry::size).sum());
        if self.tail.fresh.is_full(self.options.fresh_events) {
            let (fresh, ids) = (self.tail.fresh.begin_sealing(), self.writer.ids.begin_sealing());
            self.index.seal(&fresh, &ids, head, &self.names)?;
            self.merge_if_possible()?;
            self.writer.ids.end_sealing(self.index.ids());
            drop(self.tail.end_sealing(self.index.segments()));
        }
        Ok(())
    }

    /// Merges what is of one size. It may fail for lack of room, and is not needed for the store to open; damage that it
    /// finds is another matter.
    fn merge_if_possible(&mut self) -> Result<()> {
        let mut merge = || -> Result<bool> {
            let Some(mut merging) = self.index.begin_merge(Urgency::Busy)? else { return Ok(false) };
            while merging.step()? {}
            self.index.end_merge(&merging.finish()?).map(|()| true)
        };
        loop {
            match merge() {
                Ok(true) => {}
                Err(error) if error.is_corrupt() => return Err(error),
                Ok(false) | Err(_) => return Ok(()),
            }
        }
    }
}

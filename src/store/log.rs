//! The log: blocks of entries in the engine, under the sequence of their first entry. The only truth.

use std::sync::Arc;

use super::{
    engine::{Change, Engine, MAX_VALUE},
    witness::Head,
};
use crate::{
    codec::{Block, Chain, LogEntry, encode_blocks, frame, unframe},
    error::{Error, ErrorKind, Result},
};

/// The first byte of a block's key; the sequence follows, high byte first, so that keys are ordered as sequences.
const BLOCK: u8 = b'b';
/// Blocks below this size are folded with their neighbours.
const SMALL: usize = MAX_VALUE / 4;

/// The log of a store.
#[derive(Debug, Clone)]
pub(crate) struct Log(Arc<dyn Engine>);

fn key(seq: u64) -> Vec<u8> {
    let mut key = Vec::with_capacity(9);
    key.push(BLOCK);
    key.extend_from_slice(&seq.to_be_bytes());
    key
}

/// After the key of every block.
const END: [u8; 1] = [BLOCK + 1];

/// Where the log's own format mark stands, apart from that of the folder: the log may be moved, and is the truth.
const MARK: [u8; 1] = [b'f'];
const MARK_KIND: [u8; 4] = *b"JLLG";
const VERSION: u32 = 1;

impl Log {
    /// The log in an engine; a new one is marked with its format.
    pub(crate) fn open(engine: Arc<dyn Engine>) -> Result<Self> {
        match engine.get(&MARK)? {
            Some(mark) => drop(unframe("the log", MARK_KIND, VERSION, &mark)?),
            None => engine.apply(vec![Change::Put(MARK.to_vec(), frame(MARK_KIND, VERSION, &[]))])?,
        }
        Ok(Self(engine))
    }

    pub(crate) fn engine(&self) -> &dyn Engine {
        &*self.0
    }

    /// The head: the end of the last block.
    pub(crate) fn head(&self) -> Result<Head> {
        let Some((_, bytes)) = self.0.last(&key(0), &END)? else { return Ok(Head::default()) };
        let block = Block::decode(&bytes)?;
        Ok(Head { seq: block.next().saturating_sub(1), chain: block.after })
    }

    /// Checks that the log holds what a witness saw: at least as much, and the same.
    pub(crate) fn check(&self, witness: Head) -> Result<Head> {
        let head = self.head()?;
        if head.seq < witness.seq {
            return Err(ErrorKind::Lost { acknowledged: witness.seq, found: head.seq }.into());
        }
        if witness.seq > 0 {
            let block = self.block_of(witness.seq)?;
            let up_to =
                usize::try_from(witness.seq.saturating_sub(block.first).saturating_add(1)).unwrap_or(usize::MAX);
            let chain = block.entries.iter().take(up_to).fold(block.before, Chain::then);
            if chain != witness.chain {
                let what = format!("the log up to sequence {}", witness.seq);
                return Err(Error::damaged(what, "its entries are not the ones that were written"));
            }
        }
        Ok(head)
    }

    /// The changes that append these entries after a head, and the new head.
    pub(crate) fn appending(head: Head, entries: &[LogEntry]) -> (Vec<Change>, Head) {
        let first = head.seq.saturating_add(1);
        let (blocks, chain) = encode_blocks(first, head.chain, entries, MAX_VALUE);
        let changes = blocks.into_iter().map(|(first, bytes)| Change::Put(key(first), bytes)).collect();
        (changes, Head { seq: head.seq.saturating_add(entries.len() as u64), chain })
    }

    /// The block that holds a sequence.
    pub(crate) fn block_of(&self, seq: u64) -> Result<Block> {
        let missing = || Error::damaged(format!("the log at sequence {seq}"), "no block holds it");
        let (_, bytes) = self.0.last(&key(0), &key(seq.saturating_add(1)))?.ok_or_else(missing)?;
        let block = Block::decode(&bytes)?;
        if (block.first..block.next()).contains(&seq) { Ok(block) } else { Err(missing()) }
    }

    /// Visits the blocks that hold entries after a sequence, in order, and checks that none is missing and each follows
    /// the one before. The first may begin before that sequence, since blocks are folded.
    pub(crate) fn blocks_after(&self, seq: u64, mut visit: impl FnMut(Block) -> Result<()>) -> Result<()> {
        const AT_ONCE: usize = 64;
        let mut next = if seq == 0 { 1 } else { self.block_of(seq)?.first };
        let mut chain = None;
        loop {
            let pairs = self.0.range(&key(next), &END, AT_ONCE)?;
            let last = pairs.len() < AT_ONCE;
            for (_, bytes) in pairs {
                let block = Block::decode(&bytes)?;
                if block.first != next || chain.is_some_and(|chain| chain != block.before) {
                    let what = format!("the log from sequence {next}");
                    return Err(Error::damaged(what, format!("the next block begins at {}", block.first)));
                }
                (next, chain) = (block.next(), Some(block.after));
                visit(block)?;
            }
            if last {
                return Ok(());
            }
        }
    }

    /// Folds small blocks that begin in this range of sequences into larger ones, some at a time.
    pub(crate) fn fold(&self, from: u64, to: u64) -> Result<()> {
        const AT_ONCE: usize = 256;
        let mut next = from;
        while next <= to {
            let pairs = self.0.range(&key(next), &key(to.saturating_add(1)), AT_ONCE)?;
            let Some((last, _)) = pairs.last() else { return Ok(()) };
            let blocks =
                pairs.iter().map(|(_, bytes)| Ok((bytes.len(), Block::decode(bytes)?))).collect::<Result<Vec<_>>>()?;
            next = blocks.last().map_or(u64::MAX, |(_, block)| block.next());
            debug_assert!(last.as_slice() < key(next).as_slice());
            for run in blocks.split(|(size, _)| *size >= SMALL).filter(|run| run.len() > 1) {
                self.fold_run(run)?;
            }
        }
        Ok(())
    }

    fn fold_run(&self, run: &[(usize, Block)]) -> Result<()> {
        let Some((_, first)) = run.first() else { return Ok(()) };
        let entries: Vec<LogEntry> = run.iter().flat_map(|(_, block)| block.entries.iter().cloned()).collect();
        let (folded, _) = encode_blocks(first.first, first.before, &entries, MAX_VALUE);
        if folded.len() >= run.len() {
            return Ok(());
        }
        let removed = run.iter().map(|(_, block)| Change::Remove(key(block.first)));
        let put = folded.into_iter().map(|(first, bytes)| Change::Put(key(first), bytes));
        self.0.apply(removed.chain(put).collect())
    }
}

#[cfg(test)]
mod tests {
    use chrono::{DateTime, TimeDelta};

    use super::*;
    use crate::{
        model::{Event, Micros},
        store::memory::MemoryEngine,
    };

    fn entries(first: i64, count: i64) -> Vec<LogEntry> {
        (first..first + count)
            .map(|i| {
                let event = Event::at(DateTime::UNIX_EPOCH + TimeDelta::seconds(i), format!("c{}", i % 7), "t")
                    .build()
                    .unwrap();
                LogEntry { recorded_at: Micros(i), event }
            })
            .collect()
    }

    fn filled(appends: i64) -> (Log, Head) {
        let log = Log::open(Arc::new(MemoryEngine::new())).unwrap();
        let mut head = Head::default();
        for i in 0..appends {
            let (changes, next) = Log::appending(head, &entries(i, 1));
            log.engine().apply(changes).unwrap();
            head = next;
        }
        (log, head)
    }

    fn all(log: &Log) -> Vec<LogEntry> {
        let mut read = Vec::new();
        log.blocks_after(0, |block| {
            read.extend(block.entries);
            Ok(())
        })
        .unwrap();
        read
    }

    #[test]
    fn folding_changes_the_blocks_and_nothing_else() {
        let (log, head) = filled(1_000);
        let blocks = |log: &Log| log.engine().range(&key(0), &END, usize::MAX).unwrap().len();
        assert_eq!(blocks(&log), 1_000);
        log.fold(1, 600).unwrap();
        log.fold(1, 1_000).unwrap();
        assert!(blocks(&log) < 10, "{}", blocks(&log));
        assert_eq!(log.head().unwrap(), head);
        assert_eq!(all(&log), entries(0, 1_000));
        assert_eq!(log.block_of(700).unwrap().entries.len(), log.block_of(701).unwrap().entries.len());
        log.check(head).unwrap();
    }

    #[test]
    fn a_lost_tail_and_a_changed_entry_are_seen() {
        let (log, head) = filled(10);
        let (shorter, _) = filled(9);
        assert!(matches!(shorter.check(head).unwrap_err().kind(), ErrorKind::Lost { acknowledged: 10, found: 9 }));
        let other = Log::open(Arc::new(MemoryEngine::new())).unwrap();
        let (changes, _) = Log::appending(Head::default(), &entries(1, 10));
        other.engine().apply(changes).unwrap();
        assert!(other.check(head).unwrap_err().is_corrupt());
        log.check(Head::default()).unwrap();
        log.engine().apply(vec![Change::Remove(key(5))]).unwrap();
        assert!(log.blocks_after(0, |_| Ok(())).unwrap_err().is_corrupt());
        assert!(log.block_of(5).unwrap_err().is_corrupt());
    }
}

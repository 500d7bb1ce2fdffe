//! The log: blocks of entries in the engine, under the sequence of their first entry. The only truth.

use std::sync::{Arc, Mutex, PoisonError, RwLock};

use super::{
    engine::{Change, Engine, MAX_VALUE, Pair},
    locks::lock_plain,
    witness::Head,
};
use crate::{
    codec::{Block, BlockCutter, Chain, Coded, CutBlocks, LogEntry, frame, unframe},
    error::{Error, ErrorKind, Result},
};

/// The first byte of a block's key; the sequence follows, high byte first, so that keys are ordered as sequences.
const BLOCK: u8 = b'b';
/// Blocks below this size are folded with their neighbours.
const SMALL: usize = MAX_VALUE / 8;
/// The most blocks, and the most bytes of them, folded in one step. They are one batch of the engine, whose memory and
/// pauses grow with it.
const FOLDED_AT_ONCE: usize = 512;
const FOLDED_BYTES: usize = MAX_VALUE * 8;

/// The log of a store. Clones share the engine, also when another takes its place.
#[derive(Debug, Clone)]
pub(crate) struct Log {
    engine: Arc<RwLock<Arc<dyn Engine>>>,
    /// Held while blocks are folded: until then they may be seen as neither small nor large.
    folding: Arc<Mutex<()>>,
}

pub(super) fn key(seq: u64) -> Vec<u8> {
    let mut key = Vec::with_capacity(9);
    key.push(BLOCK);
    key.extend_from_slice(&seq.to_be_bytes());
    key
}

/// After the key of every block.
pub(super) const END: [u8; 1] = [BLOCK + 1];

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
        Ok(Self { engine: Arc::new(RwLock::new(engine)), folding: Arc::default() })
    }

    pub(crate) fn engine(&self) -> Arc<dyn Engine> {
        Arc::clone(&self.engine.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Goes on with the engine of another log. What was begun on the one before is finished there.
    pub(crate) fn turn_to(&self, other: &Self) {
        *self.engine.write().unwrap_or_else(PoisonError::into_inner) = other.engine();
    }

    /// The head: the end of the last block.
    pub(crate) fn head(&self) -> Result<Head> {
        let Some((_, bytes)) = self.engine().last(&key(0), &END)? else { return Ok(Head::default()) };
        let block = Block::decode(&bytes)?;
        Ok(Head { seq: block.next().saturating_sub(1), chain: block.after })
    }

    /// Checks that the log holds what a witness saw: at least as much, and the same.
    pub(crate) fn check(&self, witness: Head) -> Result<Head> {
        let head = self.head()?;
        if head.seq < witness.seq {
            return Err(ErrorKind::Lost { acknowledged: witness.seq, found: head.seq }.into());
        }
        if !self.holds(witness)? {
            let what = format!("the log up to sequence {}", witness.seq);
            return Err(Error::damaged(what, "its entries are not the ones that were written"));
        }
        Ok(head)
    }

    /// Whether its entries up to a witness's sequence are those that the witness saw.
    pub(crate) fn holds(&self, witness: Head) -> Result<bool> {
        if witness.seq == 0 {
            return Ok(true);
        }
        let block = self.block_of(witness.seq)?;
        let up_to = usize::try_from(witness.seq.saturating_sub(block.first).saturating_add(1)).unwrap_or(usize::MAX);
        let seen = block.entries.get(..up_to).unwrap_or(&block.entries);
        Ok(block.before.after(seen) == witness.chain)
    }

    /// The changes that append these entries after a head, the entries block by block, and the new head.
    pub(crate) fn appending(
        head: Head,
        entries: &[LogEntry],
        cutter: &mut BlockCutter,
    ) -> (Vec<Change>, Vec<Coded>, Head) {
        let first = head.seq.saturating_add(1);
        let CutBlocks { blocks, coded, after } = cutter.cut(first, head.chain, entries, MAX_VALUE);
        let changes = blocks.into_iter().map(|(first, bytes)| Change::Put(key(first), bytes)).collect();
        (changes, coded, Head { seq: head.seq.saturating_add(entries.len() as u64), chain: after })
    }

    /// The block that holds a sequence.
    pub(crate) fn block_of(&self, seq: u64) -> Result<Block> {
        let engine = self.engine();
        if let Some(block) = block_in(&*engine, seq)? {
            return Ok(block);
        }
        let missing = || Error::damaged(format!("the log at sequence {seq}"), "no block holds it");
        self.folded_block_of(&*engine, seq)?.ok_or_else(missing)
    }

    /// The same in an engine that this log has or had, when no fold is under way; `None` if there is none.
    pub(super) fn folded_block_of(&self, engine: &dyn Engine, seq: u64) -> Result<Option<Block>> {
        let _still = lock_plain(&self.folding);
        block_in(engine, seq)
    }

    /// Visits the blocks that hold entries after a sequence, in order, and checks that none is missing and each follows
    /// the one before. The first may begin before that sequence, since blocks are folded.
    pub(crate) fn blocks_after(&self, seq: u64, mut visit: impl FnMut(Block) -> Result<()>) -> Result<()> {
        let mut reader = self.read_after(seq)?;
        loop {
            let blocks = reader.next_blocks()?;
            if blocks.is_empty() {
                return Ok(());
            }
            blocks.into_iter().try_for_each(&mut visit)?;
        }
    }

    /// Visits the entries after a sequence, in blocks that begin with the first of them; the first block may have none.
    pub(crate) fn entries_after(&self, seq: u64, mut visit: impl FnMut(Block) -> Result<()>) -> Result<()> {
        self.blocks_after(seq, |mut block| {
            let known = usize::try_from(seq.saturating_add(1).saturating_sub(block.first)).unwrap_or(usize::MAX);
            let known = block.entries.drain(..known.min(block.entries.len())).len();
            block.first += known as u64;
            visit(block)
        })
    }

    /// Begins to read the blocks that hold entries after a sequence.
    pub(crate) fn read_after(&self, seq: u64) -> Result<LogReader> {
        let next = if seq == 0 { 1 } else { self.block_of(seq)?.first };
        Ok(LogReader { engine: self.engine(), next, chain: None })
    }

    /// Whether the engine's files take far more room than the blocks in them, as after many small ones were folded. The
    /// size of all blocks is judged by some of them.
    pub(crate) fn is_loose(&self) -> Result<bool> {
        const LOOKED_AT: u64 = 16;
        /// sled takes up to twice the bytes it is given; and it makes its file larger by segments.
        const TIMES: u64 = 3;
        const SLACK: u64 = 16 << 20;
        let engine = self.engine();
        let on_disk = engine.size_on_disk()?;
        if on_disk < SLACK {
            return Ok(false);
        }
        let head = self.head()?.seq;
        let (mut bytes, mut entries) = (0, 0);
        for place in 1..=LOOKED_AT {
            let seq = head.saturating_mul(place) / LOOKED_AT;
            if let Some((_, block)) = engine.last(&key(0), &key(seq.saturating_add(1)))? {
                bytes += block.len() as u64;
                entries += Block::decode(&block)?.entries.len() as u64;
            }
        }
        let all = u128::from(bytes) * u128::from(head) / u128::from(entries.max(1));
        Ok(u128::from(on_disk) > u128::from(SLACK) + u128::from(TIMES) * all)
    }

    /// Folds some of the small blocks that begin from one sequence on up to another into larger ones, and says how far
    /// that went.
    pub(crate) fn fold(&self, from: u64, to: u64, wanted: Wanted) -> Result<Folded> {
        // What is read of one engine must not be written to another that took its place meanwhile.
        let engine = self.engine();
        let pairs = engine.range(&key(from), &key(to.saturating_add(1)), FOLDED_AT_ONCE)?;
        let large = pairs.iter().take_while(|pair| !is_small(pair)).count();
        let mut bytes = 0;
        let small = pairs.iter().skip(large).take_while(|pair| {
            bytes += pair.1.len();
            is_small(pair) && bytes <= FOLDED_BYTES
        });
        let end = large + small.count();
        let run = pairs.get(large..end).unwrap_or_default();
        let Some((last, _)) = end.checked_sub(1).and_then(|last| pairs.get(last)) else { return Ok(Folded::All(from)) };
        let is_end = end == pairs.len() && pairs.len() < FOLDED_AT_ONCE;
        let after = seq_of(last).saturating_add(1);
        let Some((first, _)) = run.first() else {
            return Ok(if is_end { Folded::All(after) } else { Folded::UpTo(after) });
        };
        if is_end && wanted == Wanted::FullBlocks {
            return Ok(Folded::All(seq_of(first)));
        }
        let _folding = lock_plain(&self.folding);
        // What is still small is looked at again, together with what follows.
        Ok(match (fold_run(&*engine, run)?, is_end) {
            (Some(last), true) => Folded::All(if last.is_small { last.first } else { after }),
            (Some(last), false) if last.is_small => Folded::UpTo(last.first),
            (None, true) => Folded::All(seq_of(last)),
            (_, false) => Folded::UpTo(after),
        })
    }
}

/// The block of an engine that holds a sequence.
fn block_in(engine: &dyn Engine, seq: u64) -> Result<Option<Block>> {
    let Some((_, bytes)) = engine.last(&key(0), &key(seq.saturating_add(1)))? else { return Ok(None) };
    Ok(Some(Block::decode(&bytes)?).filter(|block| (block.first..block.next()).contains(&seq)))
}

/// Reads a log on, also while it grows.
#[derive(Debug)]
pub(crate) struct LogReader {
    engine: Arc<dyn Engine>,
    next: u64,
    chain: Option<Chain>,
}

impl LogReader {
    /// Some of the next blocks; none if there are no more yet.
    pub(crate) fn next_blocks(&mut self) -> Result<Vec<Block>> {
        const AT_ONCE: usize = 64;
        let mut blocks = Vec::new();
        for (_, bytes) in self.engine.range(&key(self.next), &END, AT_ONCE)? {
            let block = Block::decode(&bytes)?;
            if block.first != self.next || self.chain.is_some_and(|chain| chain != block.before) {
                let what = format!("the log from sequence {}", self.next);
                return Err(Error::damaged(what, format!("the next block begins at {}", block.first)));
            }
            (self.next, self.chain) = (block.next(), Some(block.after));
            blocks.push(block);
        }
        Ok(blocks)
    }
}

/// Folds these blocks into fewer, and gives the last of them; `None` if they are as few as can be.
fn fold_run(engine: &dyn Engine, run: &[Pair]) -> Result<Option<Last>> {
    let mut entries: Vec<LogEntry> = Vec::new();
    let mut start = None;
    for (_, bytes) in run {
        let block = Block::decode(bytes)?;
        start.get_or_insert((block.first, block.before));
        entries.extend(block.entries);
    }
    let Some((first, before)) = start.filter(|_| run.len() > 1) else { return Ok(None) };
    let folded = BlockCutter::default().cut(first, before, &entries, MAX_VALUE).blocks;
    if folded.len() >= run.len() {
        return Ok(None);
    }
    let last = folded.last().map(|(first, bytes)| Last { first: *first, is_small: bytes.len() < SMALL });
    let removed = run.iter().map(|(key, _)| Change::Remove(key.clone()));
    let put = folded.into_iter().map(|(first, bytes)| Change::Put(key(first), bytes));
    engine.apply(removed.chain(put).collect())?;
    Ok(last)
}

/// The last block that folding made.
struct Last {
    first: u64,
    is_small: bool,
}

fn is_small(block: &Pair) -> bool {
    block.1.len() < SMALL
}

/// Which small blocks are to be folded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Wanted {
    /// Those that give a full block; the newest wait for more.
    FullBlocks,
    /// All of them.
    All,
}

/// How far folding went: what begins before this sequence needs no folding any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Folded {
    /// There is more to do from here on.
    UpTo(u64),
    /// All is done that was wanted.
    All(u64),
}

/// The sequence in a block's key; 0 if it is no such key.
pub(super) fn seq_of(key: &[u8]) -> u64 {
    key.last_chunk::<8>().map_or(0, |bytes| u64::from_be_bytes(*bytes))
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
                LogEntry::event(Micros(i), event)
            })
            .collect()
    }

    fn filled(appends: i64) -> (Log, Head) {
        let log = Log::open(Arc::new(MemoryEngine::new())).unwrap();
        let mut head = Head::default();
        for i in 0..appends {
            let entries = entries(i, 1);
            let (changes, _, next) = Log::appending(head, &entries, &mut BlockCutter::default());
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

    fn blocks(log: &Log) -> Vec<Pair> {
        log.engine().range(&key(0), &END, usize::MAX).unwrap()
    }

    /// Folds until nothing is left to do, and says from where the next has to look.
    fn fold_up_to(log: &Log, from: u64, to: u64, wanted: Wanted) -> u64 {
        let mut from = from;
        for _ in 0..1_000 {
            match log.fold(from, to, wanted).unwrap() {
                Folded::UpTo(next) => from = next,
                Folded::All(next) => return next,
            }
        }
        panic!("it goes on for ever at {from}")
    }

    #[test]
    fn folding_changes_the_blocks_and_nothing_else() {
        let (log, head) = filled(5_000);
        assert_eq!(blocks(&log).len(), 5_000);
        // Some at a time, as they are sealed.
        let mut next = 1;
        for to in [600, 700, 701, 5_000] {
            next = fold_up_to(&log, next, to, Wanted::FullBlocks);
            assert!(next <= to + 1);
        }
        assert!(blocks(&log).iter().filter(|(_, bytes)| bytes.len() < SMALL).count() < FOLDED_AT_ONCE);
        assert_eq!(fold_up_to(&log, next, 5_000, Wanted::All), fold_up_to(&log, next, 5_000, Wanted::All));
        fold_up_to(&log, 0, 5_000, Wanted::All);
        assert!(blocks(&log).len() < 60, "{}", blocks(&log).len());
        assert_eq!(log.head().unwrap(), head);
        assert_eq!(all(&log), entries(0, 5_000));
        assert_eq!(log.block_of(700).unwrap().entries.len(), log.block_of(701).unwrap().entries.len());
        log.check(head).unwrap();
    }

    #[test]
    fn no_small_blocks_stay_however_the_appends_came() {
        let log = Log::open(Arc::new(MemoryEngine::new())).unwrap();
        let (mut head, mut count) = (Head::default(), 0);
        let mut random = fastrand::Rng::with_seed(4);
        while count < 20_000 {
            let size = if random.bool() { random.i64(1..5) } else { random.i64(1..2_000) };
            let batch = entries(count, size);
            let (changes, _, next) = Log::appending(head, &batch, &mut BlockCutter::default());
            log.engine().apply(changes).unwrap();
            (head, count) = (next, count + size);
        }
        fold_up_to(&log, 0, u64::MAX - 1, Wanted::All);
        let sizes: Vec<usize> = blocks(&log).iter().map(|(_, bytes)| bytes.len()).collect();
        let two_small = sizes.iter().zip(sizes.iter().skip(1)).filter(|(a, b)| **a < SMALL && **b < SMALL).count();
        assert_eq!(two_small, 0, "{sizes:?}");
        assert_eq!(all(&log), entries(0, count));
    }

    #[test]
    fn a_lost_tail_and_a_changed_entry_are_seen() {
        let (log, head) = filled(10);
        let (shorter, _) = filled(9);
        assert!(matches!(shorter.check(head).unwrap_err().kind(), ErrorKind::Lost { acknowledged: 10, found: 9 }));
        let other = Log::open(Arc::new(MemoryEngine::new())).unwrap();
        let entries = entries(1, 10);
        let (changes, ..) = Log::appending(Head::default(), &entries, &mut BlockCutter::default());
        other.engine().apply(changes).unwrap();
        assert!(other.check(head).unwrap_err().is_corrupt());
        log.check(Head::default()).unwrap();
        log.engine().apply(vec![Change::Remove(key(5))]).unwrap();
        assert!(log.blocks_after(0, |_| Ok(())).unwrap_err().is_corrupt());
        assert!(log.block_of(5).unwrap_err().is_corrupt());
    }
}

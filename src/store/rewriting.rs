//! Writing the log anew into a fresh folder, with an index of its own, while appending and asking go on.
//!
//! An engine gives no room back and erases nothing: only a copy is as small as what it holds. The copy takes the old
//! one's place in one step, the replacing of the mark.

use std::{collections::HashMap, mem, path::PathBuf};

use chrono::Utc;

use super::{
    erasures::Erasures,
    files,
    index::Index,
    log::{Log, LogReader},
    mark::Mark,
    replay::Replay,
    shared::Shared,
    witness::Head,
};
use crate::{
    codec::{Block, BlockCutter, LogEntry},
    error::{Error, Result},
    journey::Names,
    model::Micros,
};

/// So often the copy runs after what is appended meanwhile; then appending waits until it is there.
const CHASES: u32 = 32;
/// So few entries are copied while appending waits.
const FEW: u64 = 4096;
/// So many bytes of events, or a little more, are copied in one step.
const STEP: usize = 1 << 20;
/// What an entry counts at the least.
const LEAST: usize = 8;

/// A copy of the log that is under way, and the index of it. If it is dropped before it takes the old one's place, it
/// leaves no folder.
#[derive(Debug)]
pub(super) struct Rewriting {
    reader: LogReader,
    log: Log,
    replay: Replay,
    head: Head,
    cutter: BlockCutter,
    chases: u32,
    /// Fingerprints of customers of whom all events are left out, and how many were of each.
    erased: Vec<u128>,
    lacks: HashMap<u128, u64>,
    made: Made,
}

/// Folders that were made. They are removed with this.
#[derive(Debug)]
struct Made(Vec<PathBuf>);

impl Drop for Made {
    fn drop(&mut self) {
        // What stays is found and removed at the next open.
        let _ = self.remove();
    }
}

impl Rewriting {
    pub(super) fn begin(shared: &Shared) -> Result<Self> {
        let mark = shared.mark().next(Head::default());
        let (log_dir, index_dir) = (mark.log(&shared.dir), mark.index(&shared.dir));
        // Names of folders that an earlier try left are free again.
        for folder in [&log_dir, &index_dir] {
            files::remove_folder(folder)?;
        }
        let made = Made(vec![log_dir.clone(), index_dir.clone()]);
        let (engine, _) = (shared.open_engine.0)(&log_dir)?;
        let head = Head::default();
        let replay = Replay::begin(Index::begin_anew(&index_dir)?, head, &shared.names, &shared.options);
        let erased = shared.erasures().pending_fingerprints();
        let reader = shared.log.read_after(0)?;
        let log = Log::open(engine)?;
        Ok(Self {
            reader,
            log,
            replay,
            head,
            cutter: BlockCutter::default(),
            chases: 0,
            erased,
            lacks: HashMap::new(),
            made,
        })
    }

    /// Copies some more; false if it has come so far that [`finish`](Self::finish) takes but a moment.
    pub(super) fn step(&mut self, shared: &Shared) -> Result<bool> {
        let copied = self.copy(shared)?;
        if copied > FEW {
            return Ok(true);
        }
        self.chases += 1;
        let behind = shared.writer().head.seq.saturating_sub(self.head.seq);
        if behind <= FEW || self.chases >= CHASES {
            // The one that appending waits for is short then.
            self.log.engine().sync()?;
            return Ok(false);
        }
        Ok(true)
    }

    /// Copies the next blocks, small ones together as larger ones, and says how many entries they have.
    fn copy(&mut self, shared: &Shared) -> Result<u64> {
        let (mut entries, mut bytes) = (Vec::new(), 0);
        while bytes < STEP {
            let blocks = self.reader.next_blocks()?;
            if blocks.is_empty() {
                break;
            }
            let more = blocks.into_iter().flat_map(|block| block.entries);
            entries.extend(more.inspect(|entry| bytes += entry.size().max(LEAST)));
        }
        if entries.is_empty() {
            return Ok(0);
        }
        let mut block = Block { first: self.head.seq + 1, before: self.head.chain, after: self.head.chain, entries };
        let rows = {
            // Nobody is erased between these two: whoever is not left out has a name, and keeps the number.
            let erasures = shared.erasures();
            self.leave_out(&mut block.entries, &erasures, &shared.names);
            self.replay.number(&block)
        };
        let (changes, _, head) = Log::appending(self.head, &block.entries, &mut self.cutter);
        self.log.engine().apply(changes)?;
        (self.head, block.after) = (head, head.chain);
        self.replay.take_in(&block, rows)?;
        Ok(block.entries.len() as u64)
    }

    /// Leaves out the events of customers who are erased, also of those who were erased since this began.
    fn leave_out(&mut self, entries: &mut [LogEntry], erasures: &Erasures, names: &Names) {
        if erasures.pending() == 0 {
            return;
        }
        for entry in entries {
            let Some(customer) = entry.as_event().map(|event| event.customer().as_str()) else { continue };
            // Whoever has a name is not erased.
            if names.find_customer(customer).is_some() {
                continue;
            }
            if let Some(fingerprint) = erasures.pending_fingerprint(customer) {
                *self.lacks.entry(fingerprint).or_default() += 1;
                *entry = LogEntry::erased();
            }
        }
    }

    /// Copies what is left while nobody appends, and takes the old one's place. If that fails, the store is as it was.
    pub(super) fn finish(mut self, shared: &Shared) -> Result<()> {
        let mut index = shared.index();
        let mut writer = shared.writer();
        while self.copy(shared)? > 0 {}
        let mut erasures = shared.erasures();
        let (compacted, changes) = erasures.compacted(&self.erased, &self.lacks, Micros::from(Utc::now()));
        self.log.engine().apply(changes)?;
        self.log.engine().sync()?;
        if self.head.seq != writer.head.seq {
            return Err(Error::damaged("the log", "it has fewer entries than were appended"));
        }
        let old = *shared.mark();
        let next = old.next(self.head);
        if let Err(error) = next.write(&shared.dir) {
            // If it has its name already, a power cut may leave either: then nothing may be added to one of them.
            if Mark::read(&shared.dir)? == Some(next) {
                self.made.0.clear();
                writer.refuse(error.to_string());
            }
            return Err(error);
        }
        // From here on the new ones count.
        *shared.mark() = next;
        self.made.0 = vec![old.log(&shared.dir), old.index(&shared.dir)];
        shared.log.turn_to(&self.log);
        *erasures = compacted;
        self.replay.tail.set_erased(erasures.pending_events());
        self.replay.writer.follow(&writer, self.head);
        mem::swap(&mut *index, &mut self.replay.index);
        mem::swap(&mut *writer, &mut self.replay.writer);
        mem::swap(&mut *shared.tail(), &mut self.replay.tail);
        drop((index, writer, erasures));
        shared.make_room();
        // Lets go of the old ones before their folders are removed.
        let Self { mut made, head, .. } = self;
        shared.witness().set(head)?;
        made.remove()
    }
}

impl Made {
    fn remove(&mut self) -> Result<()> {
        let tried: Vec<Result<()>> = mem::take(&mut self.0).iter().map(|dir| files::remove_folder(dir)).collect();
        tried.into_iter().collect()
    }
}

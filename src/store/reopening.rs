//! Going on after the disk was full. An engine that found no room writes nothing more until it is opened again; so that is
//! done here, as soon as there is room, by whoever appends next.

use std::{
    io::{ErrorKind as IoKind, Write},
    time::{Duration, Instant},
};

use super::{
    Durability,
    coming::Batch,
    cut,
    erasures::Erasures,
    files::{self, Output},
    ids::fingerprint,
    log::Log,
    retention::Rules,
    shared::{Shared, Writer},
    witness::Head,
};
use crate::{
    codec::{Block, Entries, LogEntry},
    error::{Error, ErrorKind, Result},
};

/// After room was looked for in vain, it is looked for again no sooner than this.
const PAUSE: Duration = if cfg!(test) { Duration::from_millis(1) } else { Duration::from_millis(500) };
/// What must be free: two of sled's segments and its snapshot, which is about a hundredth of its file, and some more.
const LEAST_ROOM: u64 = 8 << 20;
const SHARE_OF_LOG: u64 = 50;

/// How far a writer is with opening its engine again.
#[derive(Debug, Default)]
pub(super) struct Reopening {
    /// When room was last looked for in vain.
    looked_at: Option<Instant>,
    /// How large the log was when its engine was closed, if it could not be opened since.
    closed: Option<u64>,
}

impl Shared {
    /// Opens the log's engine again if it ended for lack of room and there is some now. What was acknowledged must be in
    /// it; what was refused may be there all the same, and is taken in.
    ///
    /// # Errors
    /// `Full` if there is no room yet. If acknowledged events are missing, nothing is appended any more.
    pub(super) fn reopen_if_full(&self, writer: &mut Writer) -> Result<()> {
        if writer.check().is_err() {
            return Ok(());
        }
        let engine = self.log.engine();
        if writer.reopening.closed.is_none() {
            // An engine forgets what was not even handed to the system.
            let may_lose = self.options.durability == Durability::Buffered && writer.synced != writer.head;
            if may_lose || !engine.may_reopen() {
                return Ok(());
            }
        }
        self.check_place()?;
        let size = writer.reopening.closed.map_or_else(|| engine.size_on_disk(), Ok)?;
        self.look_for_room(&mut writer.reopening, LEAST_ROOM + size / SHARE_OF_LOG)?;
        // It says again that there was no room.
        let _ = engine.close();
        writer.reopening.closed = Some(size);
        let log_dir = self.mark().log(&self.dir);
        let (engine, _) = (self.open_engine.0)(&log_dir)?;
        let log = Log::open(engine)?;
        if let Err(error) = log.check(writer.head) {
            writer.refuse(error.to_string());
            return Err(error);
        }
        cut::forget(&log_dir)?;
        let (erasures, rules) = (Erasures::read(&*log.engine())?, Rules::read(&*log.engine())?);
        let mut more = Vec::new();
        log.entries_after(writer.head.seq, |block| {
            more.push(block);
            Ok(())
        })?;
        self.log.turn_to(&log);
        writer.reopening = Reopening::default();
        more.into_iter().filter(|block| !block.entries.is_empty()).for_each(|block| self.take_in_late(writer, &block));
        writer.synced = writer.head;
        // So may an erasure that was refused, and rules.
        *self.rules() = rules;
        let mut known = self.erasures();
        erasures.forget_names(&mut self.names.write());
        self.tail().set_erased(erasures.pending_events());
        *known = erasures;
        Ok(())
    }

    /// Takes in entries that the log has and the writer does not know.
    fn take_in_late(&self, writer: &mut Writer, block: &Block) {
        let head = Head { seq: block.next().saturating_sub(1), chain: block.after };
        block.entries.iter().filter_map(LogEntry::id).for_each(|id| writer.ids.insert(fingerprint(id)));
        writer.note_time(block.entries.iter().map(|entry| entry.recorded_at).max());
        writer.head = head;
        let coded = vec![Entries::of(&block.entries).into_coded()];
        let bytes = block.entries.iter().map(LogEntry::size).sum();
        self.take_in(Batch { first: block.first, coded, head, bytes });
        self.work.appended(false);
    }

    /// Fails if there is not so much room: an engine that is closed and cannot be opened again answers no question.
    fn look_for_room(&self, reopening: &mut Reopening, bytes: u64) -> Result<()> {
        if reopening.looked_at.is_some_and(|at| at.elapsed() < PAUSE) {
            return Err(ErrorKind::Full { action: "opening the log again", source: IoKind::StorageFull.into() }.into());
        }
        reopening.looked_at = Some(Instant::now());
        // In the folder of the index, where what a crash leaves is removed.
        let path = self.index_dir().join("room").with_extension(files::TEMPORARY);
        let mut file = Output::create(&path)?;
        let zeros = [0; 16 << 10];
        let mut fill = || {
            for _ in 0..bytes.div_ceil(zeros.len() as u64) {
                file.write_all(&zeros)?;
            }
            file.sync()
        };
        let filled = fill().map_err(|e| Error::io("looking for room", &path, e));
        drop(file);
        filled.and(files::remove(&path))
    }
}

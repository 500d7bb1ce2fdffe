//! Reading all of a log that can be read, past what cannot.

use std::ops::RangeInclusive;

use super::{
    engine::Engine,
    log::{END, Log, key, seq_of},
};
use crate::{
    codec::Block,
    error::{Error, ErrorKind, Result},
};

/// What a survey comes upon, in order of sequences.
#[derive(Debug)]
pub(super) enum Found {
    /// A block, less entries that an earlier one had.
    Block(Block),
    /// Entries that no readable block holds, and why.
    Gap(RangeInclusive<u64>, String),
}

/// Visits all entries of an engine up to a sequence, or to its end if it is shorter, and tells of those that cannot be
/// read. If a log is using the engine, its blocks may be folded meanwhile.
///
/// # Errors
/// Those of `visit`, and `Closed`. That something cannot be read is none.
pub(super) fn survey(
    engine: &dyn Engine,
    log: Option<&Log>,
    through: u64,
    mut visit: impl FnMut(Found) -> Result<()>,
) -> Result<()> {
    let mut survey = Survey { engine, log, next: 1, cursor: 1, reason: None };
    while survey.next <= through {
        let found = survey.next_block()?;
        let is_next = found.as_ref().is_some_and(|block| block.first <= survey.next);
        let Some(mut block) = (if is_next { found } else { survey.folded().or(found) }) else { break };
        if block.first > survey.next {
            visit(survey.gap(block.first.saturating_sub(1)))?;
        }
        let known = usize::try_from(survey.next.saturating_sub(block.first)).unwrap_or(usize::MAX);
        survey.cursor = survey.cursor.max(block.next());
        if known >= block.entries.len() {
            continue;
        }
        survey.next = block.next();
        if known > 0 {
            block.before = block.before.after(block.entries.get(..known).unwrap_or_default());
            block.entries.drain(..known);
            block.first = block.first.saturating_add(known as u64);
        }
        survey.reason = None;
        visit(Found::Block(block))?;
    }
    if survey.next <= through && (survey.reason.is_some() || through < u64::MAX) {
        visit(survey.gap(through))?;
    }
    Ok(())
}

struct Survey<'a> {
    engine: &'a dyn Engine,
    log: Option<&'a Log>,
    /// The first sequence that was in no block so far.
    next: u64,
    /// Blocks are read that begin here or later.
    cursor: u64,
    /// Why something could not be read since the last block, if so.
    reason: Option<String>,
}

impl Survey<'_> {
    fn gap(&mut self, last: u64) -> Found {
        let reason = self.reason.take().unwrap_or_else(|| "no block holds them".to_owned());
        Found::Gap(self.next..=last, reason)
    }

    /// The next block that can be read.
    fn next_block(&mut self) -> Result<Option<Block>> {
        loop {
            // One at a time, since a page that cannot be read fails all that are asked for together.
            match self.engine.range(&key(self.cursor), &END, 1) {
                Ok(pairs) => {
                    let Some((key, bytes)) = pairs.first() else { return Ok(None) };
                    match block(key, bytes) {
                        Ok(block) => return Ok(Some(block)),
                        Err(error) => self.pass_over(seq_of(key).saturating_add(1), &error),
                    }
                }
                Err(error) if matches!(error.kind(), ErrorKind::Closed) => return Err(error),
                Err(error) => {
                    let Some(cursor) = self.readable_after(self.cursor) else {
                        self.reason = Some(error.to_string());
                        return Ok(None);
                    };
                    self.pass_over(cursor, &error);
                }
            }
        }
    }

    fn pass_over(&mut self, cursor: u64, error: &Error) {
        self.reason.get_or_insert_with(|| error.to_string());
        self.cursor = self.cursor.max(cursor);
    }

    /// The first sequence after one that fails from which the engine can read on: engines fail by pages, which hold
    /// neighbouring keys.
    fn readable_after(&self, fails: u64) -> Option<u64> {
        let can_read = |seq: u64| self.engine.range(&key(seq), &END, 1).is_ok();
        let steps = (0..u64::BITS).map(|bit| fails.saturating_add(1 << bit));
        let (mut fails, mut reads) = steps
            .scan(fails, |before, step| Some((std::mem::replace(before, step), step)))
            .find(|(_, step)| can_read(*step))?;
        while reads - fails > 1 {
            let middle = fails + (reads - fails) / 2;
            if can_read(middle) { reads = middle } else { fails = middle }
        }
        Some(reads)
    }

    /// The block that holds the next entry, if small ones have just been folded into it.
    fn folded(&self) -> Option<Block> {
        self.log?.folded_block_of(self.engine, self.next).ok()?
    }
}

fn block(key: &[u8], bytes: &[u8]) -> Result<Block> {
    let block = Block::decode(bytes)?;
    if block.first == seq_of(key) && !block.entries.is_empty() {
        return Ok(block);
    }
    Err(Error::damaged("a block of the log", "it stands under the key of another"))
}

//! Records found in files that sled cannot read any more.

use std::{fs::File, path::PathBuf, sync::Arc};

use super::{
    engine::MAX_VALUE,
    erasures::{self, Erasures},
    files,
    retention::{self, Rules},
    sled_file::is_blank,
};
use crate::codec::{Block, Chain, carve};

/// So much of a file is looked at together.
const PART: u64 = 8 << 20;
/// If that cannot be read together, so much: what a disk loses at once.
const PAGE: usize = 4096;
/// More than any block takes.
const LARGEST: u64 = 2 * MAX_VALUE as u64;
/// More entries than any block has.
const MOST_ENTRIES: u64 = 8192;

/// Where a block was found.
#[derive(Debug, Clone)]
struct Place {
    first: u64,
    /// The sequence after its last entry.
    next: u64,
    before: Chain,
    after: Chain,
    file: Arc<File>,
    offset: u64,
    length: usize,
}

/// What was found.
#[derive(Debug, Default)]
pub(super) struct Carving {
    /// By their first sequences. Several may hold the same entries: those before and after they were folded.
    blocks: Vec<Place>,
    pub(super) erasures: Erasures,
    /// The newest rules.
    pub(super) rules: Rules,
    /// Bytes of the files that the system cannot read.
    pub(super) unreadable: u64,
}

impl Carving {
    /// Looks through files for blocks. What cannot be read is passed over.
    pub(super) fn of(paths: &[PathBuf]) -> Self {
        let mut carving = Self::default();
        for file in paths.iter().filter(|path| path.is_file()).filter_map(|path| File::open(path).ok()) {
            carving.look_through(&Arc::new(file));
        }
        carving.blocks.sort_by_key(|place| (place.first, place.next));
        carving
    }

    /// The last sequence of all blocks.
    pub(super) fn last(&self) -> u64 {
        self.blocks.iter().map(|place| place.next.saturating_sub(1)).max().unwrap_or_default()
    }

    /// A block that holds a sequence or, if there is none, the next one after it: if there are several, rather one that
    /// follows this chain, and of these rather one that another follows. Entries that were refused, or lost and given up,
    /// may stand there too, and nothing follows them.
    pub(super) fn at_or_after(&self, seq: u64, chain: Option<Chain>) -> Option<Block> {
        let from = self.blocks.partition_point(|place| place.first.saturating_add(MOST_ENTRIES) < seq);
        let places = self.blocks.get(from..)?;
        let holds = |place: &&Place| (place.first..place.next).contains(&seq);
        let here: Vec<&Place> = places.iter().take_while(|place| place.first <= seq).filter(holds).collect();
        let rank = |place: &Place| {
            let follows = place.first == seq && Some(place.before) == chain;
            (follows, self.is_followed(place), place.next)
        };
        let best = here.into_iter().max_by_key(|place| rank(place));
        let later = || places.iter().find(|place| place.first > seq).map(|place| place.first);
        let best = best.or_else(|| {
            let first = later()?;
            let there = places.iter().filter(|place| place.first == first);
            there.max_by_key(|place| (self.is_followed(place), place.next))
        });
        best?.read()
    }

    fn is_followed(&self, place: &Place) -> bool {
        let from = self.blocks.partition_point(|other| other.first < place.next);
        let others = self.blocks.iter().skip(from).take_while(|other| other.first == place.next);
        others.into_iter().any(|other| other.before == place.after)
    }
}

impl Place {
    fn read(&self) -> Option<Block> {
        Block::decode(&files::read_at(&self.file, self.offset, self.length).ok()?).ok()
    }
}

impl Carving {
    fn look_through(&mut self, file: &Arc<File>) {
        let length = file.metadata().map_or(0, |file| file.len());
        let mut start = 0;
        while start < length {
            // What begins in this part ends in what is read of it.
            let size = PART.saturating_add(LARGEST).min(length - start);
            let length = usize::try_from(size).unwrap_or_default();
            let bytes = files::read_at(file, start, length).unwrap_or_else(|_| self.read_pages(file, start, length));
            start = start.saturating_add(PART);
            if is_blank(&bytes) {
                continue;
            }
            let (base, mut from) = (start.saturating_sub(PART), 0);
            let kinds = [Block::KIND, erasures::KIND, erasures::SECRET_KIND, retention::KIND];
            while let Some((kind, place)) = carve(&bytes, from, &kinds).filter(|(_, place)| (place.start as u64) < PART)
            {
                from = place.end;
                let frame = bytes.get(place.clone()).unwrap_or_default();
                match kind {
                    Block::KIND => self.take(frame, file, base.saturating_add(place.start as u64)),
                    retention::KIND => self.rules.take_found(frame),
                    kind => self.erasures.take_found(kind, frame),
                }
            }
        }
    }

    /// What can be read, page by page; zeros for what cannot.
    fn read_pages(&mut self, file: &File, start: u64, length: usize) -> Vec<u8> {
        let mut bytes = vec![0; length];
        for (number, page) in bytes.chunks_mut(PAGE).enumerate() {
            let offset = start.saturating_add((number * PAGE) as u64);
            match files::read_at(file, offset, page.len()) {
                Ok(read) => page.copy_from_slice(&read),
                // What the parts have in common is counted once.
                Err(_) if offset < start.saturating_add(PART) => self.unreadable += page.len() as u64,
                Err(_) => {}
            }
        }
        bytes
    }

    fn take(&mut self, frame: &[u8], file: &Arc<File>, offset: u64) {
        let Ok(block) = Block::decode(frame) else { return };
        // The checksum of a block says nothing of what was appended, its chain does.
        if block.before.after(&block.entries) == block.after && !block.entries.is_empty() {
            let (first, next, before, after) = (block.first, block.next(), block.before, block.after);
            let (file, length) = (Arc::clone(file), frame.len());
            self.blocks.push(Place { first, next, before, after, file, offset, length });
        }
    }
}

#[cfg(test)]
mod tests {
    use chrono::DateTime;

    use super::*;
    use crate::{
        codec::{BlockCutter, LogEntry},
        model::{Event, Micros},
    };

    /// A batch that was refused stands in the file too, and the one that came in its place.
    #[test]
    fn of_two_blocks_with_a_sequence_the_one_that_others_follow_is_taken() {
        let block = |first: u64, chain: Chain, names: &[&str]| {
            let event = |name: &&str| Event::at(DateTime::UNIX_EPOCH, *name, "view").build().unwrap();
            let entries: Vec<LogEntry> = names.iter().map(|name| LogEntry::event(Micros(1), event(name))).collect();
            let cut = BlockCutter::default().cut(first, chain, &entries, MAX_VALUE);
            (cut.blocks.into_iter().next().unwrap().1, cut.after)
        };
        let (one, chain) = block(1, Chain::default(), &["ann"]);
        let (refused, _) = block(2, chain, &["bob", "bob", "bob"]);
        let (two, after) = block(2, chain, &["cid"]);
        let (three, _) = block(3, after, &["dan"]);
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("db");
        for blocks in [[&one, &refused, &two, &three], [&three, &two, &refused, &one]] {
            std::fs::write(&path, blocks.map(Vec::as_slice).concat()).unwrap();
            let carving = Carving::of(std::slice::from_ref(&path));
            assert_eq!(carving.last(), 4);
            let mut unreadable = Carving::default();
            // A file that is open for writing alone cannot be read, as little as one on a broken disk.
            unreadable.look_through(&Arc::new(File::options().write(true).open(&path).unwrap()));
            assert_eq!(
                unreadable.unreadable.div_ceil(PAGE as u64),
                path.metadata().unwrap().len().div_ceil(PAGE as u64)
            );
            for known in [Some(chain), None] {
                let found = carving.at_or_after(2, known).unwrap();
                assert_eq!((found.entries.len(), found.after), (1, after), "{known:?}");
            }
        }
    }
}

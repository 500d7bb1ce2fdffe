//! Blocks found in files that sled cannot read any more.

use std::{fs::File, path::PathBuf, sync::Arc};

use super::{
    engine::MAX_VALUE,
    erasures::{self, Erasures},
    files,
};
use crate::codec::{Block, Chain, carve};

/// So much of a file is looked at together.
const PART: u64 = 8 << 20;
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
}

impl Carving {
    /// Looks through files for blocks. What cannot be read is passed over.
    pub(super) fn of(paths: &[PathBuf]) -> Self {
        let mut carving = Self::default();
        for file in paths.iter().filter_map(|path| File::open(path).ok()) {
            carving.look_through(&Arc::new(file));
        }
        carving.blocks.sort_by_key(|place| (place.first, place.next));
        carving
    }

    /// A block that holds a sequence or, if there is none, the next one after it: if there are several, rather one that
    /// follows this chain.
    pub(super) fn at_or_after(&self, seq: u64, chain: Option<Chain>) -> Option<Block> {
        let from = self.blocks.partition_point(|place| place.first.saturating_add(MOST_ENTRIES) < seq);
        let places = self.blocks.get(from..)?;
        let holds = |place: &&Place| (place.first..place.next).contains(&seq);
        let here: Vec<&Place> = places.iter().take_while(|place| place.first <= seq).filter(holds).collect();
        let follows = here.iter().find(|place| place.first == seq && Some(place.before) == chain);
        let best = follows.or_else(|| here.iter().max_by_key(|place| place.next));
        let best = best.copied().or_else(|| places.iter().find(|place| place.first > seq))?;
        best.read()
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
            let bytes = usize::try_from(size).ok().and_then(|size| files::read_at(file, start, size).ok());
            let (bytes, mut from) = (bytes.unwrap_or_default(), 0);
            let kinds = [Block::KIND, erasures::KIND, erasures::SECRET_KIND];
            while let Some((kind, place)) = carve(&bytes, from, &kinds).filter(|(_, place)| (place.start as u64) < PART)
            {
                from = place.end;
                let frame = bytes.get(place.clone()).unwrap_or_default();
                if kind == Block::KIND {
                    self.take(frame, file, start + place.start as u64);
                } else {
                    self.erasures.take_found(kind, frame);
                }
            }
            start = start.saturating_add(PART);
        }
    }

    fn take(&mut self, frame: &[u8], file: &Arc<File>, offset: u64) {
        let Ok(block) = Block::decode(frame) else { return };
        // The checksum of a block says nothing of what was appended, its chain does.
        if block.before.after(&block.entries) == block.after && !block.entries.is_empty() {
            let (first, next, before) = (block.first, block.next(), block.before);
            self.blocks.push(Place { first, next, before, file: Arc::clone(file), offset, length: frame.len() });
        }
    }
}

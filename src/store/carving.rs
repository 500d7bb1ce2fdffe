//! Blocks found in files that sled cannot read any more.

use std::{fs::File, path::PathBuf, sync::Arc};

use super::{engine::MAX_VALUE, files};
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

/// Where blocks were found, by their first sequences. Several may hold the same entries: those before and after they were
/// folded.
#[derive(Debug, Default)]
pub(super) struct Carving(Vec<Place>);

impl Carving {
    /// Looks through files for blocks. What cannot be read is passed over.
    pub(super) fn of(paths: &[PathBuf]) -> Self {
        let mut places = Vec::new();
        for file in paths.iter().filter_map(|path| File::open(path).ok()) {
            find(&Arc::new(file), &mut places);
        }
        places.sort_by_key(|place| (place.first, place.next));
        Self(places)
    }

    /// A block that holds a sequence or, if there is none, the next one after it: if there are several, rather one that
    /// follows this chain.
    pub(super) fn at_or_after(&self, seq: u64, chain: Option<Chain>) -> Option<Block> {
        let from = self.0.partition_point(|place| place.first.saturating_add(MOST_ENTRIES) < seq);
        let places = self.0.get(from..)?;
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

fn find(file: &Arc<File>, places: &mut Vec<Place>) {
    let length = file.metadata().map_or(0, |file| file.len());
    let mut start = 0;
    while start < length {
        // A block that begins in this part ends in what is read of it.
        let size = PART.saturating_add(LARGEST).min(length - start);
        let bytes = usize::try_from(size).ok().and_then(|size| files::read_at(file, start, size).ok());
        let (bytes, mut from) = (bytes.unwrap_or_default(), 0);
        while let Some((block, place)) = carve(&bytes, from).filter(|(_, place)| (place.start as u64) < PART) {
            from = place.end;
            // The checksum of a block says nothing of what was appended, its chain does.
            if block.before.after(&block.entries) == block.after && !block.entries.is_empty() {
                let offset = start + place.start as u64;
                let (first, next, before) = (block.first, block.next(), block.before);
                places.push(Place { first, next, before, file: Arc::clone(file), offset, length: place.len() });
            }
        }
        start = start.saturating_add(PART);
    }
}

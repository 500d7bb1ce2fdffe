//! What the fuzz targets try of the store's files, below their checksums.
#![allow(clippy::unwrap_used, reason = "a fuzz target stops at once")]

use std::path::Path;

use super::{
    files,
    id_run::{self, IdRun},
    index::{self, Index},
    mark::{self, Mark},
    names_file,
    segment::{self, Directory, PAGE, Segment},
    witness::{self, Witness},
};
#[cfg(test)]
use crate::model::Event;
use crate::{
    codec::{checksum, frame},
    journey::{Chunk, CustomerNo, Header, Names, Needs, Part, ReservedNumbers},
};

/// Bytes as one kind of file, which the first of them says.
pub(crate) fn open(data: &[u8], folder: &Path) {
    let Some((&which, data)) = data.split_first() else { return };
    let put = |name: &str, bytes: &[u8]| std::fs::write(folder.join(name), bytes).unwrap();
    match which % 7 {
        0 => {
            put("fuzz.names", &frame(names_file::KIND, names_file::VERSION, data));
            drop(names_file::read(&folder.join("fuzz.names"), &Names::default()));
        }
        1 => {
            let payload = lz4_flex::compress_prepend_size(data);
            put("fuzz.names", &frame(names_file::KIND, names_file::VERSION, &payload));
            drop(names_file::read(&folder.join("fuzz.names"), &Names::default()));
        }
        2 => segment(data, &folder.join("fuzz.segment")),
        3 => ids(data, &folder.join("fuzz.ids")),
        4 => {
            put(index::MANIFEST, &frame(index::KIND, index::VERSION, data));
            drop(index::witnessed(folder));
            drop(Index::open(folder, &Names::default()));
        }
        5 => {
            put(mark::MARK, data);
            if let Ok(Some(mark)) = Mark::read(folder) {
                mark.write(folder).unwrap();
                assert_eq!(Mark::read(folder).unwrap(), Some(mark));
                let _ = (mark.log(folder), mark.next(mark.began).index(folder));
            }
        }
        _ => {
            put(witness::FILE, &frame(witness::KIND, witness::VERSION, data));
            drop(Witness::open(folder));
        }
    }
}

/// Columns after their length, and a directory, whose checksums are made to fit.
fn segment(data: &[u8], path: &Path) {
    let Some((&[low, high], data)) = data.split_first_chunk() else { return };
    let Some((columns, directory)) = data.split_at_checked(usize::from(u16::from_le_bytes([low, high]))) else {
        return;
    };
    let Ok(mut directory) = postcard::from_bytes::<Directory>(directory) else { return };
    for place in directory.blocks.iter_mut().flat_map(|block| &mut block.columns) {
        let bytes = usize::try_from(place.offset).ok().and_then(|offset| columns.get(offset..)).unwrap_or_default();
        let bytes = bytes.get(..place.length as usize).unwrap_or(bytes);
        place.sums = bytes.chunks(PAGE).map(checksum).collect();
        // As it was written, or odd.
        place.header = Header::read(bytes, usize::MAX).filter(|_| place.id.is_numbers()).or(place.header);
    }
    let framed = frame(segment::KIND, segment::VERSION, &postcard::to_stdvec(&directory).unwrap());
    let trailer = (framed.len() as u64).to_le_bytes();
    std::fs::write(path, [columns, &framed, &trailer].concat()).unwrap();
    let Ok(segment) = Segment::open(path) else { return };
    let reserved = ReservedNumbers::of(&Names::default());
    let _ = (segment.seqs(), segment.first_event(reserved), segment.last_event(None, reserved));
    for (place, block) in segment.blocks().iter().enumerate().take(4) {
        if let Ok(columns) = segment.load(place, &Needs::everything()) {
            let chunk = Chunk::new(vec![Part::whole(&columns)]);
            let _ = chunk.gather(0..chunk.len(), &Needs::everything());
        }
        for customer in [block.first, block.last, CustomerNo(block.first.0.saturating_add(1))] {
            let _ = segment.journey(customer, &Needs::everything());
        }
    }
    // It is noted that it is damaged; the next input is another.
    files::remove(&path.with_file_name(segment::UNSOUND)).unwrap();
}

/// Fingerprints after their count, and a directory, of which the count and the checksums are made to fit.
fn ids(data: &[u8], path: &Path) {
    let Some((&count, data)) = data.split_first() else { return };
    let Some((ids, directory)) = data.split_at_checked(usize::from(count) * 16) else { return };
    let Ok(mut directory) = postcard::from_bytes::<id_run::Directory>(directory) else { return };
    directory.count = count.into();
    for ((_, sum), page) in directory.pages.iter_mut().zip(ids.chunks(4096)) {
        *sum = checksum(page);
    }
    let framed = frame(id_run::KIND, id_run::VERSION, &postcard::to_stdvec(&directory).unwrap());
    let trailer = (framed.len() as u64).to_le_bytes();
    std::fs::write(path, [ids, &framed, &trailer].concat()).unwrap();
    let Ok(run) = IdRun::open(path) else { return };
    assert_eq!(run.len(), usize::from(count));
    for id in ids.as_chunks::<16>().0.iter().map(|id| u128::from_be_bytes(*id)).chain([0, u128::MAX]) {
        let _ = run.contains(id);
    }
    files::remove(&path.with_file_name(segment::UNSOUND)).unwrap();
}

/// Files of a store of these events as they are written, for [`open`].
#[cfg(test)]
pub(crate) fn seeds(events: &[Event]) -> Vec<(String, Vec<u8>)> {
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path().join("seed.journey");
    let store = super::StoreOptions::new().fresh_events(10).open(&dir).unwrap();
    store.append_batch(events.to_vec()).unwrap();
    store.settle().unwrap();
    store.close().unwrap();
    let payload = |bytes: &[u8]| bytes[24..].to_vec();
    let seed = |which: u8, parts: &[&[u8]]| [&[which], parts.concat().as_slice()].concat();
    let mut seeds = vec![
        ("mark".to_owned(), seed(5, &[&std::fs::read(dir.join(mark::MARK)).unwrap()])),
        ("witness".to_owned(), seed(6, &[&payload(&std::fs::read(dir.join(witness::FILE)).unwrap())])),
    ];
    for file in std::fs::read_dir(dir.join("index")).unwrap() {
        let path = file.unwrap().path();
        let bytes = std::fs::read(&path).unwrap();
        // A file with a directory: what stands before it, and its payload.
        let cut = || {
            let (rest, length) = bytes.split_last_chunk::<8>().unwrap();
            let (before, directory) = rest.split_at(rest.len() - usize::try_from(u64::from_le_bytes(*length)).unwrap());
            (before.to_vec(), payload(directory))
        };
        match path.extension().and_then(|ending| ending.to_str()) {
            Some("names") => {
                seeds.push(("names-packed".to_owned(), seed(0, &[&payload(&bytes)])));
                let plain = lz4_flex::decompress_size_prepended(&payload(&bytes)).unwrap();
                seeds.push(("names".to_owned(), seed(1, &[&plain])));
            }
            Some("segment") => {
                let (columns, directory) = cut();
                let length = u16::try_from(columns.len()).unwrap().to_le_bytes();
                seeds.push(("segment".to_owned(), seed(2, &[&length, &columns, &directory])));
            }
            Some("ids") => {
                let (ids, directory) = cut();
                let count = u8::try_from(ids.len() / 16).unwrap();
                seeds.push(("ids".to_owned(), seed(3, &[&[count], &ids, &directory])));
            }
            _ => seeds.push(("manifest".to_owned(), seed(4, &[&payload(&bytes)]))),
        }
    }
    seeds
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Of a form that is read no more it would be refused at once, and nothing would be tried below that.
    #[test]
    fn the_seed_of_a_segment_is_one() {
        let dir = tempfile::tempdir().unwrap();
        let seed = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/seeds/decoders/segment");
        open(&std::fs::read(seed).unwrap()[1..], dir.path());
        let segment = Segment::open(&dir.path().join("fuzz.segment")).unwrap();
        assert!(segment.load(0, &Needs::everything()).is_ok());
    }
}

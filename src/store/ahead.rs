//! Zeros ahead of what sled writes, so that a sync has no new length of the file to note, which is a write of its own.
//!
//! sled does the same to the segment it goes on in when it opens, so it knows how to read it.

use std::{
    fs::File,
    io::{self, Seek, SeekFrom, Write},
};

/// The file is filled up to a multiple of so many bytes.
pub(super) const STEP: usize = 128 << 10;
static ZEROS: [u8; STEP] = [0; STEP];

/// How long sled's file is.
///
/// Nobody asks for its metadata between two syncs: whoever has seen when a file was changed makes Linux note the next
/// change more finely, and the next sync takes as long as if the file had grown.
pub(super) fn length(mut file: &File) -> io::Result<u64> {
    file.seek(SeekFrom::End(0))
}

/// Whether nothing was written behind the zeros yet.
pub(super) fn is_filled(file: &File) -> io::Result<bool> {
    Ok(over(file)? == 0)
}

/// Writes zeros at the end of the file. Nobody may write to it meanwhile.
pub(super) fn fill(mut file: &File) -> io::Result<()> {
    match over(file)? {
        0 => Ok(()),
        over => file.write_all(ZEROS.get(over..).unwrap_or_default()),
    }
}

/// How far the file goes over a multiple; its end is where the next write goes.
fn over(file: &File) -> io::Result<usize> {
    Ok(usize::try_from(length(file)? % STEP as u64).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use std::{
        fs,
        path::Path,
        sync::atomic::{AtomicU64, Ordering},
        thread,
    };

    use super::*;
    use crate::store::{
        engine::{Change, Engine, MAX_VALUE, Pair},
        sled_engine::{SEGMENT, SledEngine},
    };

    fn open(dir: &Path) -> SledEngine {
        SledEngine::open(dir).unwrap().0
    }

    /// Bytes that no compression makes smaller.
    fn noise(length: usize, seed: u64) -> Vec<u8> {
        let mut random = fastrand::Rng::with_seed(seed);
        std::iter::repeat_with(|| random.u8(..)).take(length).collect()
    }

    #[test]
    fn small_batches_are_written_over_zeros() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("db");
        let length = || fs::metadata(&file).unwrap().len();
        let ahead = STEP as u64;
        let engine = open(folder.path());
        let mut kept = Vec::new();
        let mut keep = |batch: Vec<(u64, usize)>| {
            let pairs: Vec<Pair> =
                batch.into_iter().map(|(n, length)| (n.to_be_bytes().to_vec(), noise(length, n))).collect();
            engine.apply(pairs.iter().map(|(key, value)| Change::Put(key.clone(), value.clone())).collect()).unwrap();
            engine.sync().unwrap();
            kept.extend(pairs);
        };
        keep(vec![(0, 10)]);
        assert_eq!((length(), engine.size_on_disk().unwrap()), (ahead, ahead));
        let (mut lengths, mut n) = (vec![length()], 1);
        // Into the next segment but one.
        while length() < 2 * SEGMENT as u64 + ahead {
            keep(vec![(n, 3_000)]);
            lengths.push(length());
            n += 1;
        }
        lengths.dedup();
        assert_eq!(lengths.len(), 2 * SEGMENT / STEP + 1);
        assert!(lengths.iter().all(|length| length % ahead == 0), "{lengths:?}");
        // A large one takes just what it needs, and the next small one is ahead again.
        keep((n..n + 5).map(|n| (n, MAX_VALUE)).collect());
        assert_ne!(length() % ahead, 0);
        keep(vec![(n + 5, 10)]);
        assert_eq!(length() % ahead, 0);
        engine.close().unwrap();

        let engine = open(folder.path());
        assert_eq!(engine.range(b"", &[0xff; 9], usize::MAX).unwrap(), kept);
        drop(engine);
        assert_eq!(open(folder.path()).range(b"", &[0xff; 9], usize::MAX).unwrap(), kept);
    }

    /// What is read while zeros are written is what was put.
    #[test]
    fn reading_goes_on_while_zeros_are_written() {
        let folder = tempfile::tempdir().unwrap();
        let engine = open(folder.path());
        let put = |n: u64| {
            engine.apply(vec![Change::Put(n.to_be_bytes().to_vec(), noise(2_500, n))]).unwrap();
            engine.sync().unwrap();
        };
        let last = AtomicU64::new(0);
        put(0);
        thread::scope(|scope| {
            for seed in 0..3 {
                let (engine, last) = (&engine, &last);
                scope.spawn(move || {
                    let mut random = fastrand::Rng::with_seed(seed);
                    for _ in 0..2_000 {
                        let from = random.u64(..=last.load(Ordering::Acquire));
                        let found = engine.range(&from.to_be_bytes(), &[0xff; 9], 3).unwrap();
                        assert!(!found.is_empty());
                        assert!(found.iter().zip(from..).all(|((_, found), n)| *found == noise(2_500, n)));
                    }
                });
            }
            for n in 1..=700 {
                put(n);
                last.store(n, Ordering::Release);
            }
        });
        engine.close().unwrap();
        let found = open(folder.path()).range(b"", &[0xff; 9], usize::MAX).unwrap();
        assert!(found.into_iter().map(|(_, found)| found).eq((0..=700).map(|n| noise(2_500, n))));
    }
}

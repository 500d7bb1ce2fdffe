//! The folder in which sled keeps its files: what is put right in it before sled opens, what is refused, and what is
//! synced afterwards.
//!
//! Some of sled's files are no part of the truth, and sled can do without them or makes them anew; but if one of them is
//! damaged, it opens no more. Here each is judged by its own checksum, and removed if that does not fit.

use std::{fs::File, path::Path};

use super::files;
use crate::error::{Error, Result};

/// Removes what keeps sled from opening though nothing is lost, and says what.
pub(super) fn mend(dir: &Path) -> Result<Vec<String>> {
    let mut mended = Vec::new();
    for path in files::list(dir)? {
        let Some(name) = path.file_name().and_then(|name| name.to_str()) else { continue };
        let what = match name {
            // sled was writing it when its process died. The older one is deleted only after this one has its name.
            _ if name.starts_with("snap.") && name.ends_with(".generating") => "the unfinished snapshot",
            // Without it, sled reads its log from the beginning.
            _ if name.starts_with("snap.") && !is_sound_snapshot(&read(&path)?) => "the damaged snapshot",
            // sled writes it anew, of what is asked for at every opening. One that was never synced is empty.
            "conf" if !is_sound_conf(&read(&path)?) => "the damaged settings",
            _ => continue,
        };
        files::remove(&path)?;
        mended.push(format!("removed {what} {name} of the log; nothing is lost with it"));
    }
    Ok(mended)
}

/// Up to where the log goes in the newest sound snapshot, from which sled reads on: it is the snapshot's name.
pub(super) fn newest_snapshot(dir: &Path) -> Option<u64> {
    let place = |path: &Path| u64::from_str_radix(path.file_name()?.to_str()?.strip_prefix("snap.")?, 16).ok();
    let snapshots = files::list(dir).unwrap_or_default().into_iter();
    let mut snapshots: Vec<_> = snapshots.filter_map(|path| Some((place(&path)?, path))).collect();
    snapshots.sort_unstable();
    let is_sound = |path: &Path| read(path).is_ok_and(|bytes| is_sound_snapshot(&bytes));
    snapshots.iter().rev().find(|(_, path)| is_sound(path)).map(|(place, _)| *place)
}

fn read(path: &Path) -> Result<Vec<u8>> {
    Ok(files::read(path)?.unwrap_or_default())
}

/// A snapshot ends with its length, in 8 bytes, and its CRC-32.
fn is_sound_snapshot(bytes: &[u8]) -> bool {
    const LENGTH: usize = 8;
    let Some((rest, crc)) = bytes.split_last_chunk::<4>() else { return false };
    let payload = rest.len().checked_sub(LENGTH).and_then(|end| rest.get(..end));
    payload.is_some_and(|payload| !payload.is_empty() && crc32fast::hash(payload) == u32::from_le_bytes(*crc))
}

/// The settings end with their CRC-32.
fn is_sound_conf(bytes: &[u8]) -> bool {
    bytes.split_last_chunk::<4>().is_some_and(|(text, crc)| crc32fast::hash(text) == u32::from_le_bytes(*crc))
}

/// Fails if sled has made blob files, which the limits on keys and values should prevent: they are never synced.
pub(super) fn refuse_blobs(dir: &Path) -> Result<()> {
    let blobs = dir.join("blobs");
    let found = if blobs.is_dir() { files::list(&blobs)?.len() } else { 0 };
    if found == 0 {
        return Ok(());
    }
    let reason = format!("sled kept values in {found} blob files, which it does not sync");
    Err(Error::damaged(blobs.display().to_string(), reason))
}

/// Makes what sled created at opening power-safe: its files, their names, and the name of the folder. Gives its log file.
pub(super) fn sync(dir: &Path) -> Result<File> {
    for path in files::list(dir)? {
        // sled leaves it to the umask who may read its files; the folder is its owner's, but may be copied.
        files::make_private(&path)?;
        if path.is_file() {
            open_and_sync(&path)?;
        }
    }
    files::sync_folder(dir)?;
    files::sync_folder(files::folder_of(dir))?;
    open_and_sync(&dir.join("db"))
}

fn open_and_sync(path: &Path) -> Result<File> {
    // Open for writing, without which some systems refuse to sync.
    let sync = |file: File| file.sync_all().map(|()| file);
    File::options().read(true).write(true).open(path).and_then(sync).map_err(|error| Error::io("syncing", path, error))
}

#[cfg(test)]
mod tests {
    use std::{collections::BTreeMap, fs};

    use super::*;
    use crate::store::{
        engine::{Change, Engine, MAX_VALUE},
        sled_engine::SledEngine,
    };

    type Content = BTreeMap<Vec<u8>, Vec<u8>>;

    fn content(engine: &SledEngine) -> Content {
        engine.range(b"", b"\xff", usize::MAX).unwrap().into_iter().collect()
    }

    /// Opens, and says what was mended and what is there.
    fn opened(dir: &Path) -> (Vec<String>, Content) {
        let (engine, mended) = SledEngine::open(dir).unwrap_or_else(|error| panic!("{error}"));
        let content = content(&engine);
        engine.close().unwrap();
        (mended.0, content)
    }

    /// A log that was changed so often that its file was used again and again.
    fn churned(dir: &Path, batches: u64) -> Content {
        let mut random = fastrand::Rng::with_seed(batches);
        for batch in 0..batches {
            let (engine, _) = SledEngine::open(dir).unwrap();
            for _ in 0..40 {
                let key = vec![b'b', random.u8(0..60)];
                let value = vec![random.u8(..); random.usize(0..MAX_VALUE)];
                engine
                    .apply(vec![if random.u8(0..4) == 0 { Change::Remove(key) } else { Change::Put(key, value) }])
                    .unwrap();
            }
            if batch % 5 > 0 {
                engine.close().unwrap();
            }
        }
        opened(dir).1
    }

    fn file(dir: &Path, start: &str) -> std::path::PathBuf {
        let is_it = |path: &std::path::PathBuf| path.file_name().unwrap().to_string_lossy().starts_with(start);
        files::list(dir).unwrap().into_iter().find(is_it).unwrap()
    }

    fn copy(from: &Path, to: &Path) {
        fs::create_dir(to).unwrap();
        for path in files::list(from).unwrap().into_iter().filter(|path| path.is_file()) {
            fs::copy(&path, to.join(path.file_name().unwrap())).unwrap();
        }
    }

    #[test]
    fn without_a_sound_snapshot_the_log_is_read_from_its_beginning() {
        let dir = tempfile::tempdir().unwrap();
        let log = dir.path().join("log");
        let whole = churned(&log, 30);
        assert!(whole.len() > 20);
        let snapshot = file(&log, "snap.");
        let bytes = fs::read(&snapshot).unwrap();
        let flipped = (0..6).map(|sixth| {
            let mut bytes = bytes.clone();
            let at = bytes.len() * sixth / 6;
            bytes[at] ^= 0x10;
            Some(bytes)
        });
        let cut = [0, 5, 12, 13, bytes.len() / 2, bytes.len() - 1].map(|length| Some(bytes[..length].to_vec()));
        for (number, damaged) in flipped.chain(cut).chain([None]).enumerate() {
            let copied = dir.path().join(format!("copy {number}"));
            copy(&log, &copied);
            let snapshot = copied.join(snapshot.file_name().unwrap());
            match &damaged {
                Some(bytes) => fs::write(&snapshot, bytes).unwrap(),
                None => fs::remove_file(&snapshot).unwrap(),
            }
            let (mended, found) = opened(&copied);
            assert!(found == whole, "{number}: {} of {} are there", found.len(), whole.len());
            assert_eq!(mended.len(), usize::from(damaged.is_some()), "{mended:?}");
            assert!(mended.iter().all(|what| what.starts_with("removed the damaged snapshot snap.")), "{mended:?}");
            assert_eq!(opened(&copied), (vec![], found), "once is enough");
        }
    }

    #[test]
    fn damaged_settings_are_made_anew() {
        let dir = tempfile::tempdir().unwrap();
        let log = dir.path().join("log");
        let whole = churned(&log, 2);
        let bytes = fs::read(log.join("conf")).unwrap();
        let flipped = (0..bytes.len()).step_by(7).map(|at| {
            let mut bytes = bytes.clone();
            bytes[at] ^= 1;
            bytes
        });
        let cut = [0, 3, 8, 20, bytes.len() - 1].map(|length| bytes[..length].to_vec());
        for (number, damaged) in flipped.chain(cut).enumerate() {
            let copied = dir.path().join(format!("copy {number}"));
            copy(&log, &copied);
            fs::write(copied.join("conf"), damaged).unwrap();
            let (mended, found) = opened(&copied);
            assert_eq!(mended, ["removed the damaged settings conf of the log; nothing is lost with it"], "{number}");
            assert!(found == whole, "{number}");
            assert_eq!(fs::read(copied.join("conf")).unwrap(), bytes);
        }
    }
}

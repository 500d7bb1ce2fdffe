//! The few things we do with files of our own: make them for their owner only, replace them whole, read at an offset.

use std::{
    fs::{self, DirBuilder, File, OpenOptions},
    io::{self, ErrorKind, Write},
    path::{Path, PathBuf},
};

use super::step::{Step, take};
use crate::error::{Error, Result};

/// The ending of files that are being written; what a crash leaves of them is removed at open.
pub(crate) const TEMPORARY: &str = "tmp";

/// Makes a folder that only its owner may enter, and those above it, if they are missing. Once made, its name survives
/// a power cut.
pub(crate) fn make_folder(dir: &Path) -> Result<()> {
    if dir.is_dir() {
        return Ok(());
    }
    let above = folder_of(dir);
    make_folder(above)?;
    let mut builder = DirBuilder::new();
    #[cfg(unix)]
    {
        use std::os::unix::fs::DirBuilderExt;
        builder.mode(0o700);
    }
    match take(Step::MakeFolder(dir), || builder.create(dir)) {
        Err(e) if e.kind() != ErrorKind::AlreadyExists || !dir.is_dir() => Err(Error::io("making the folder", dir, e)),
        _ => sync_folder(above),
    }
}

/// The folder that a path is in.
pub(crate) fn folder_of(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if parent != Path::new("") => parent,
        _ => Path::new("."),
    }
}

/// A new file that is being written.
#[derive(Debug)]
pub(crate) struct Output {
    path: PathBuf,
    file: File,
}

impl Output {
    /// Makes a file that only its owner may read, or empties one.
    pub(crate) fn create(path: &Path) -> Result<Self> {
        let mut options = OpenOptions::new();
        options.write(true).create(true).truncate(true);
        #[cfg(unix)]
        {
            use std::os::unix::fs::OpenOptionsExt;
            options.mode(0o600);
        }
        let open = || refuse_others(path).and_then(|()| options.open(path));
        let file = take(Step::Create(path), open).map_err(|e| Error::io("creating", path, e))?;
        Ok(Self { path: path.to_owned(), file })
    }

    /// Makes what was written survive a power cut; the name is another matter.
    pub(crate) fn sync(&self) -> io::Result<()> {
        take(Step::Sync(&self.path), || self.file.sync_all())
    }

    pub(crate) fn into_file(self) -> File {
        self.file
    }
}

impl Write for Output {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        // All of it, so that what a test is told is what was written.
        take(Step::Write(&self.path, bytes), || self.file.write_all(bytes)).map(|()| bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

/// Takes a file or folder that another made away from all but its owner.
pub(crate) fn make_private(path: &Path) -> Result<()> {
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        let mode = if path.is_dir() { 0o700 } else { 0o600 };
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).map_err(|e| Error::io("protecting", path, e))?;
    }
    #[cfg(not(unix))]
    let _ = path;
    Ok(())
}

/// Syncs a folder, so that the names in it survive a power cut. Windows keeps names without being asked.
pub(crate) fn sync_folder(dir: &Path) -> Result<()> {
    if cfg!(windows) {
        return Ok(());
    }
    take(Step::SyncFolder(dir), || File::open(dir).and_then(|folder| folder.sync_all()))
        .map_err(|e| Error::io("syncing the folder", dir, e))
}

/// Syncs the folder that a file or folder stands in, so that its name survives a power cut.
pub(crate) fn sync_folder_of(path: &Path) -> Result<()> {
    sync_folder(path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new(".")))
}

/// Replaces a file whole: after a crash or power cut it is the old one or the new one.
pub(crate) fn replace(path: &Path, bytes: &[u8]) -> Result<()> {
    let temporary = path.with_extension(TEMPORARY);
    let mut file = Output::create(&temporary)?;
    let written = file.write_all(bytes).and_then(|()| file.sync());
    drop(file);
    if let Err(e) = written {
        // Room may be what is lacking.
        let _ = remove(&temporary);
        return Err(Error::io("writing", &temporary, e));
    }
    rename(&temporary, path)
}

/// Gives a file its name, and makes the name survive a power cut.
pub(crate) fn rename(from: &Path, to: &Path) -> Result<()> {
    take(Step::Rename(from, to), || fs::rename(from, to)).map_err(|e| Error::io("renaming", to, e))?;
    sync_folder(folder_of(to))
}

/// Refuses what is there and is neither a file nor a folder: the opening of a pipe waits for ever, and a device has no end.
fn refuse_others(path: &Path) -> io::Result<()> {
    match fs::metadata(path) {
        Ok(there) if !there.is_file() && !there.is_dir() => {
            Err(io::Error::other("it is no file, but a pipe or a device"))
        }
        // What cannot be looked at cannot be opened, and that says why.
        _ => Ok(()),
    }
}

/// Opens a file to read it.
pub(crate) fn open(path: &Path) -> io::Result<File> {
    take(Step::Read(path), || refuse_others(path).and_then(|()| File::open(path)))
}

/// A file that is read whole has at most so many bytes.
const LIMIT_WHOLE: u64 = 1 << 30;

/// Reads a file, if it is there.
pub(crate) fn read(path: &Path) -> Result<Option<Vec<u8>>> {
    let read = || {
        refuse_others(path)?;
        let length = fs::metadata(path)?.len();
        if length > LIMIT_WHOLE {
            return Err(io::Error::other(format!("it has {length} bytes: no file of its kind has more than a GiB")));
        }
        fs::read(path)
    };
    match take(Step::Read(path), read) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(e) if e.kind() == ErrorKind::NotFound => Ok(None),
        Err(e) => Err(Error::io("reading", path, e)),
    }
}

/// What is in a folder.
pub(crate) fn list(dir: &Path) -> Result<Vec<PathBuf>> {
    let paths = take(Step::Read(dir), || fs::read_dir(dir))
        .and_then(|entries| entries.map(|entry| entry.map(|entry| entry.path())).collect());
    paths.map_err(|e| Error::io("listing", dir, e))
}

/// The bytes of all files in a folder.
pub(crate) fn size_of_folder(dir: &Path) -> Result<u64> {
    let mut bytes = 0;
    for path in list(dir)? {
        match fs::symlink_metadata(&path) {
            Ok(file) => bytes += file.len(),
            // A merge has just removed it.
            Err(e) if e.kind() == ErrorKind::NotFound => {}
            Err(e) => return Err(Error::io("listing", path, e)),
        }
    }
    Ok(bytes)
}

/// Removes a file, if it is there.
pub(crate) fn remove(path: &Path) -> Result<()> {
    match take(Step::Remove(path), || fs::remove_file(path)) {
        Err(e) if e.kind() != ErrorKind::NotFound => Err(Error::io("removing", path, e)),
        _ => Ok(()),
    }
}

/// Removes a folder with all that is in it, if it is there.
pub(crate) fn remove_folder(dir: &Path) -> Result<()> {
    match take(Step::RemoveFolder(dir), || fs::remove_dir_all(dir)) {
        Err(e) if e.kind() != ErrorKind::NotFound => Err(Error::io("removing", dir, e)),
        _ => Ok(()),
    }
}

/// Tells the system that these bytes will be read soon, so that it fetches them while other work is done.
pub(crate) fn announce(file: &File, offset: u64, length: u64) {
    #[cfg(target_os = "linux")]
    if let Some(length) = std::num::NonZeroU64::new(length) {
        // A hint only: whoever reads finds out whether it can be read.
        let _ = rustix::fs::fadvise(file, offset, Some(length), rustix::fs::Advice::WillNeed);
    }
    #[cfg(not(target_os = "linux"))]
    let _ = (file, offset, length);
}

/// Reads bytes at an offset, from any number of threads at once.
pub(crate) fn read_at(file: &File, offset: u64, length: usize) -> io::Result<Vec<u8>> {
    #[cfg(target_os = "linux")]
    {
        // Room that nobody fills with zeros first.
        let mut bytes = Vec::with_capacity(length);
        while bytes.len() < length {
            let from = offset.saturating_add(bytes.len() as u64);
            match rustix::io::pread(file, rustix::buffer::spare_capacity(&mut bytes), from) {
                Ok(0) => return Err(ErrorKind::UnexpectedEof.into()),
                Ok(_) | Err(rustix::io::Errno::INTR) => {}
                Err(e) => return Err(e.into()),
            }
        }
        bytes.truncate(length);
        Ok(bytes)
    }
    #[cfg(not(target_os = "linux"))]
    {
        let mut bytes = vec![0; length];
        read_into(file, offset, &mut bytes)?;
        Ok(bytes)
    }
}

/// The same, into bytes that are there already.
pub(crate) fn read_into(file: &File, offset: u64, bytes: &mut [u8]) -> io::Result<()> {
    #[cfg(unix)]
    std::os::unix::fs::FileExt::read_exact_at(file, bytes, offset)?;
    #[cfg(windows)]
    {
        let mut done = 0;
        while let Some(rest) = bytes.get_mut(done..).filter(|rest| !rest.is_empty()) {
            match std::os::windows::fs::FileExt::seek_read(file, rest, offset + done as u64)? {
                0 => return Err(std::io::ErrorKind::UnexpectedEof.into()),
                read => done += read,
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_at_an_offset_are_read_whole_or_not_at_all() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("bytes");
        fs::write(&path, b"0123456789").unwrap();
        let file = open(&path).unwrap();
        for (offset, length, expected) in [(0, 10, "0123456789"), (3, 4, "3456"), (10, 0, ""), (7, 3, "789")] {
            assert_eq!(read_at(&file, offset, length).unwrap(), expected.as_bytes());
        }
        for (offset, length) in [(0, 11), (9, 2), (10, 1), (99, 1)] {
            assert_eq!(read_at(&file, offset, length).unwrap_err().kind(), ErrorKind::UnexpectedEof);
        }
    }
}

//! The few things we do with files of our own: make them for their owner only, replace them whole, read at an offset.

use std::{
    fs::{self, DirBuilder, File, OpenOptions},
    io::{ErrorKind, Write},
    path::Path,
};

use crate::error::{Error, Result};

/// The ending of files that are being written; what a crash leaves of them is removed at open.
pub(crate) const TEMPORARY: &str = "tmp";

/// Makes a folder that only its owner may enter, if it is missing.
pub(crate) fn make_folder(dir: &Path) -> Result<()> {
    let mut builder = DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    {
        use std::os::unix::fs::DirBuilderExt;
        builder.mode(0o700);
    }
    builder.create(dir).map_err(|e| Error::io("making the folder", dir, e))
}

/// Opens a new or existing file for writing that only its owner may read.
pub(crate) fn create(path: &Path) -> Result<File> {
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(true);
    #[cfg(unix)]
    {
        use std::os::unix::fs::OpenOptionsExt;
        options.mode(0o600);
    }
    options.open(path).map_err(|e| Error::io("creating", path, e))
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
    File::open(dir).and_then(|folder| folder.sync_all()).map_err(|e| Error::io("syncing the folder", dir, e))
}

/// Syncs the folder that a file or folder stands in, so that its name survives a power cut.
pub(crate) fn sync_folder_of(path: &Path) -> Result<()> {
    sync_folder(path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new(".")))
}

/// Replaces a file whole: after a crash or power cut it is the old one or the new one.
pub(crate) fn replace(path: &Path, bytes: &[u8]) -> Result<()> {
    let temporary = path.with_extension(TEMPORARY);
    let mut file = create(&temporary)?;
    let written = file.write_all(bytes).and_then(|()| file.sync_all());
    drop(file);
    if let Err(e) = written {
        // Room may be what is lacking.
        let _ = fs::remove_file(&temporary);
        return Err(Error::io("writing", &temporary, e));
    }
    rename(&temporary, path)
}

/// Gives a file its name, and makes the name survive a power cut.
pub(crate) fn rename(from: &Path, to: &Path) -> Result<()> {
    fs::rename(from, to).map_err(|e| Error::io("renaming", to, e))?;
    to.parent().map_or(Ok(()), sync_folder)
}

/// Reads a file, if it is there.
pub(crate) fn read(path: &Path) -> Result<Option<Vec<u8>>> {
    match fs::read(path) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(e) if e.kind() == ErrorKind::NotFound => Ok(None),
        Err(e) => Err(Error::io("reading", path, e)),
    }
}

/// The bytes of all files in a folder.
pub(crate) fn size_of_folder(dir: &Path) -> Result<u64> {
    let io = |e| Error::io("listing", dir, e);
    let mut bytes = 0;
    for entry in fs::read_dir(dir).map_err(io)? {
        match entry.and_then(|entry| entry.metadata()) {
            Ok(file) => bytes += file.len(),
            // A merge has just removed it.
            Err(e) if e.kind() == ErrorKind::NotFound => {}
            Err(e) => return Err(io(e)),
        }
    }
    Ok(bytes)
}

/// Removes a file, if it is there.
pub(crate) fn remove(path: &Path) -> Result<()> {
    match fs::remove_file(path) {
        Err(e) if e.kind() != ErrorKind::NotFound => Err(Error::io("removing", path, e)),
        _ => Ok(()),
    }
}

/// Removes a folder with all that is in it, if it is there.
pub(crate) fn remove_folder(dir: &Path) -> Result<()> {
    match fs::remove_dir_all(dir) {
        Err(e) if e.kind() != ErrorKind::NotFound => Err(Error::io("removing", dir, e)),
        _ => Ok(()),
    }
}

/// Reads bytes at an offset, from any number of threads at once.
pub(crate) fn read_at(file: &File, offset: u64, length: usize) -> std::io::Result<Vec<u8>> {
    // A little more room, so that whoever needs some zeros behind the bytes need not copy them.
    let mut bytes = Vec::with_capacity(length.saturating_add(8));
    bytes.resize(length, 0);
    #[cfg(unix)]
    std::os::unix::fs::FileExt::read_exact_at(file, &mut bytes, offset)?;
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
    Ok(bytes)
}

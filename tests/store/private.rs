//! Whatever the umask, nobody but their owner may read a store's files.
#![cfg(unix)]

use std::{
    env, fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::Command,
    sync::atomic::{AtomicBool, Ordering},
};

use journeylog::Store;

use crate::{built, small_seals};

const NAME: &str = "private::files_are_their_owners_alone";
const CHILD: &str = "JOURNEYLOG_UMASK_CHILD";

/// Files and folders in a folder that others may read or enter. `closed` are left out: nobody else gets there.
fn open_to_others(dir: &Path, look_into_closed: bool) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(dir).into_iter().flatten().flatten() {
        // It may be gone by now.
        let Ok(about) = entry.metadata() else { continue };
        let is_closed = about.permissions().mode() & 0o077 == 0;
        if !is_closed {
            found.push(entry.path());
        }
        if about.is_dir() && (!is_closed || look_into_closed) {
            found.extend(open_to_others(&entry.path(), look_into_closed));
        }
    }
    found
}

/// Changes a byte in the middle of what is used of a file.
fn damage(file: &Path) {
    let mut bytes = fs::read(file).unwrap();
    let used = bytes.iter().rposition(|&byte| byte != 0).unwrap();
    bytes[used / 2] ^= 1;
    fs::write(file, bytes).unwrap();
}

fn live(dir: &Path) {
    let (folder, backup) = (dir.join("store"), dir.join("backup"));
    // The folder itself was made by somebody else.
    fs::create_dir(&folder).unwrap();
    fs::write(dir.join("control"), "").unwrap();
    assert_eq!(
        open_to_others(dir, true),
        [dir.join("control"), folder.clone()]
            .into_iter()
            .collect::<std::collections::BTreeSet<_>>()
            .into_iter()
            .collect::<Vec<_>>()
    );
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        // Temporary files too, for as long as they are there.
        let watch = scope.spawn(|| {
            let mut found = Vec::new();
            while !done.load(Ordering::Relaxed) {
                found.extend(open_to_others(&folder, false));
            }
            found
        });
        let store = small_seals(&folder);
        for i in 0..300 {
            store.append(built(i % 7, "view", i)).unwrap();
        }
        store.erase("1").unwrap();
        store.settle().unwrap();
        store.compact().unwrap();
        store.backup(&backup).unwrap();
        store.close().unwrap();
        Store::open(&folder).unwrap().close().unwrap();
        done.store(true, Ordering::Relaxed);
        assert_eq!(watch.join().unwrap(), [] as [PathBuf; 0]);
    });
    // What is kept of a damaged store, and what is salvaged of it, is as personal.
    let (damaged, salvaged) = (dir.join("damaged"), dir.join("salvaged"));
    let store = small_seals(&damaged);
    for i in 0..300 {
        store.append(built(i % 7, "view", i)).unwrap();
    }
    store.close().unwrap();
    damage(&damaged.join("log/db"));
    assert!(Store::open(&damaged).unwrap_err().is_corrupt());
    assert!(damaged.join("log/cut").exists(), "the control: something was cut off and kept");
    Store::salvage(&damaged, &salvaged).unwrap();
    for folder in [&folder, &backup, &damaged, &salvaged] {
        assert_eq!(open_to_others(folder, true), [] as [PathBuf; 0]);
    }
    for made in [backup, damaged, salvaged] {
        assert_eq!(fs::metadata(&made).unwrap().permissions().mode() & 0o777, 0o700, "{}", made.display());
    }
}

#[test]
fn files_are_their_owners_alone() {
    if let Ok(dir) = env::var(CHILD) {
        return live(Path::new(&dir));
    }
    let dir = tempfile::tempdir().unwrap();
    // The umask is the whole process's, so another one has it.
    let child = Command::new("sh")
        .args(["-c", r#"umask 000; exec "$0" --exact "$1""#])
        .args([env::current_exe().unwrap().as_os_str(), NAME.as_ref()])
        .env(CHILD, dir.path())
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&child.stdout);
    assert!(child.status.success() && text.contains("1 passed"), "{text}");
}

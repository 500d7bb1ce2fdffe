//! What the targets in `fuzz/` do with the bytes they are given. `docs/decisions.md` says why it stands here.
//!
//! Whatever the bytes are, nothing may panic, and what is read must be the same when it is written and read again. An
//! ordinary test runs all of it over the seeds in `fuzz/seeds`.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::missing_panics_doc,
    reason = "a fuzz target stops at once"
)]
// Read by a test, and by targets that stand outside.
#![cfg_attr(test, allow(dead_code, unreachable_pub, reason = "some of it serves targets only"))]

mod bytes;
mod event;
mod import;
mod plan;
#[cfg(test)]
mod seeds;
mod store;

pub use event::event_json;
pub use import::import;
pub use plan::plan_json;
pub use store::store;

use std::path::Path;

/// Bytes found on disk, each kind of record below its checksum: blocks of the log, columns, and files, which are written
/// to this folder. The first byte says which.
pub fn decoders(data: &[u8], folder: &Path) {
    let Some((which, rest)) = data.split_first() else { return };
    match which % 2 {
        0 => crate::codec::fuzzing::decode(rest),
        _ => crate::store::fuzzing::open(rest, folder),
    }
}

#[cfg(test)]
mod tests {
    use std::{fs, path::Path};

    /// Runs a target over its seeds.
    fn replay(target: &str, run: impl Fn(&[u8], &Path)) {
        let folder = tempfile::tempdir().unwrap();
        let seeds = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/seeds").join(target);
        let mut count = 0;
        for seed in fs::read_dir(seeds).unwrap() {
            let path = seed.unwrap().path();
            println!("{}", path.display());
            run(&fs::read(path).unwrap(), folder.path());
            count += 1;
        }
        assert!(count > 5, "{target} has {count} seeds");
    }

    #[test]
    fn the_seeds_of_event_json() {
        replay("event_json", |data, _| super::event_json(data));
    }

    #[test]
    fn the_seeds_of_import() {
        replay("import", |data, _| super::import(data));
    }

    #[test]
    fn the_seeds_of_plan_json() {
        replay("plan_json", |data, _| super::plan_json(data));
    }

    #[test]
    fn the_seeds_of_decoders() {
        replay("decoders", super::decoders);
    }

    #[test]
    fn the_seeds_of_store() {
        replay("store", super::store);
    }
}

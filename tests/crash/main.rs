//! A real child process is killed at random moments, at every kind of work; after each kill the store opens by itself and
//! holds what was acknowledged, nothing half, nothing twice, and nobody who was erased. A backup is whole or no store.
//!
//! `cargo test --test crash` kills a few at each kind, `JOURNEYLOG_KILLS=100 cargo test --release --test crash` a hundred;
//! `JOURNEYLOG_KIND=upgrade` only at that.
//! A killed process keeps what it gave to the system: this is no power cut. `tests/power` cuts the power of the same child,
//! and fills its disk.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::cast_possible_wrap,
    clippy::cast_possible_truncation,
    reason = "a test stops at once, and its numbers are small"
)]

mod child;
mod full;
mod plain;

use std::{
    env, fs,
    io::{BufRead, BufReader},
    path::Path,
    process::{Command, Stdio},
    sync::mpsc,
    thread,
    time::Duration,
};

use child::{Said, open, work};
use fastrand::Rng;
use journeylog::Durability;

/// What the child mostly does.
const KINDS: [&str; 9] = ["append", "batch", "seal", "settle", "compact", "erase", "open", "backup", "upgrade"];

#[path = "../golden/stores/unpack.rs"]
mod unpack;

fn main() {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match arguments[..] {
        ["--child", folder, kind, durability, seed, next] => {
            work(Path::new(folder), kind, durability_of(durability), seed.parse().unwrap(), next.parse().unwrap());
        }
        ["--check", folder, kind, durability] => check(Path::new(folder), kind, durability_of(durability)),
        ["--plain", folder, sync] => plain::work(Path::new(folder), sync == "synced"),
        ["--check-plain", folder] => plain::check(Path::new(folder)),
        ["--fill", folder, ballast] => full::fill(Path::new(folder), Path::new(ballast)),
        ["--refused", folder, what] => full::refused(Path::new(folder), what),
        _ => supervise(),
    }
}

fn durability_of(name: &str) -> Durability {
    serde_json::from_value(name.into()).unwrap()
}

/// Compares a store with what its child said, line by line on the standard input.
fn check(folder: &Path, kind: &str, durability: Durability) {
    let mut said = Said::new(durability);
    std::io::stdin().lines().for_each(|line| said.hear(&line.unwrap()));
    let store = open(folder, kind, durability);
    assert_eq!(store.open_report().rebuilt, None);
    said.check(&store, "after a power cut");
    println!("{} events held, {} acknowledged", store.len(), said.acknowledged());
    store.close().unwrap();
}

fn supervise() {
    let kills: u64 = env::var("JOURNEYLOG_KILLS").map_or(4, |kills| kills.parse().unwrap());
    let mut random = Rng::with_seed(17);
    let only = env::var("JOURNEYLOG_KIND").ok();
    let kinds: Vec<&str> = KINDS.into_iter().filter(|kind| only.as_ref().is_none_or(|only| only == kind)).collect();
    assert!(!kinds.is_empty(), "JOURNEYLOG_KIND is one of {KINDS:?}");
    for kind in kinds {
        let (mut mended, mut replayed, mut appended, mut broken_off) = (0, 0, 0, 0);
        let (mut folder, mut said) = (tempfile::tempdir().unwrap(), Said::new(Durability::Flushed));
        for kill in 0..kills {
            if kill % 10 == 9 || kind == "upgrade" {
                (folder, said) = (tempfile::tempdir().unwrap(), Said::new(Durability::Flushed));
            }
            if kind == "upgrade" {
                // It is killed while it opens a store of an older format, or soon after.
                let format = unpack::FORMATS[kill as usize % unpack::FORMATS.len()];
                unpack::unpack(format, &folder.path().join("store"));
                said.before = fs::read_to_string(unpack::golden("events.ndjson")).unwrap().lines().count() as u64;
                // A link and a profile.
                said.before += if format >= 5 { 2 } else { 0 };
            }
            let mut child = Command::new(env::current_exe().unwrap())
                .args(["--child".as_ref(), folder.path().join("store").as_os_str(), kind.as_ref(), "flushed".as_ref()])
                .args([kill.to_string(), said.next.to_string()])
                .stdout(Stdio::piped())
                .stderr(Stdio::inherit())
                .spawn()
                .unwrap();
            let out = BufReader::new(child.stdout.take().unwrap());
            let wait = Duration::from_micros(random.u64(0..if kind == "upgrade" { 150_000 } else { 500_000 }));
            let (opened, is_open) = mpsc::channel();
            let while_opening = kill % 4 == 3 || kind == "upgrade";
            let killer = thread::spawn(move || {
                if !while_opening {
                    is_open.recv().unwrap();
                }
                thread::sleep(wait);
                child.kill().unwrap();
                child.wait().unwrap()
            });
            for line in out.lines() {
                said.hear(&line.unwrap());
                // Only the first time anybody waits for it.
                let _ = opened.send(());
            }
            let status = killer.join().unwrap();
            assert!(status.code().is_none(), "the child ended by itself: {status}");
            let context = format!("after kill {kill} while it was to {kind}");
            let store = open(&folder.path().join("store"), kind, Durability::Flushed);
            broken_off += said.check_backups(folder.path(), store.snapshot().head(), &context);
            mended += store.open_report().mended.len();
            replayed += u64::from(store.open_report().replayed > 0);
            // Older forms of the index are made anew.
            assert!(kind == "upgrade" || store.open_report().rebuilt.is_none(), "{context}");
            said.check(&store, &context);
            appended = appended.max(store.len());
            // What was not acknowledged may be there all the same; the next goes on after it.
            store.close().unwrap();
        }
        println!(
            "{kind}: {kills} kills; {appended} events at most, {replayed} replays, {mended} things mended, {broken_off} backups broken off"
        );
        assert!(appended > 20, "{kind}: the child did next to nothing");
    }
}

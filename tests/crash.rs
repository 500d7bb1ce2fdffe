//! A real child process is killed at random moments, at every kind of work; after each kill the store opens by itself and
//! holds what was acknowledged, nothing half, nothing twice, and nobody who was erased. A backup is whole or no store.
//!
//! `cargo test --test crash` kills a few at each kind, `JOURNEYLOG_KILLS=100 cargo test --release --test crash` a hundred.
//! A killed process keeps what it gave to the system: this is no power cut.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::cast_possible_wrap,
    clippy::cast_possible_truncation,
    reason = "a test stops at once, and its numbers are small"
)]

use std::{
    collections::{BTreeMap, BTreeSet},
    env, fs,
    io::{BufRead, BufReader, Write},
    path::Path,
    process::{Command, Stdio},
    sync::mpsc,
    thread,
    time::Duration,
};

use chrono::{DateTime, TimeDelta};
use fastrand::Rng;
use journeylog::{Backup, Durability, ErrorKind, Event, Funnel, Store, StoreOptions};

/// What the child mostly does.
const KINDS: [&str; 8] = ["append", "batch", "seal", "settle", "compact", "erase", "open", "backup"];

fn main() {
    let arguments: Vec<String> = env::args().collect();
    match arguments.iter().position(|argument| argument == "--child").map(|place| &arguments[place + 1..]) {
        Some([folder, kind, seed, next]) => {
            work(Path::new(folder), kind, seed.parse().unwrap(), next.parse().unwrap());
        }
        _ => supervise(),
    }
}

/// Customers come and go: some events each, in between those of others.
fn customer(n: u64) -> String {
    format!("c{}", n / 60 * 9 + n % 9)
}

fn event(n: u64) -> Event {
    let at = DateTime::UNIX_EPOCH + TimeDelta::seconds(n as i64 * 7919 % 100_000);
    let touchpoint = ["view", "pay"][usize::from(n.is_multiple_of(3))];
    Event::at(at, customer(n), touchpoint).id(format!("e{n}")).property("n", n).build().unwrap()
}

fn open(folder: &Path, kind: &str) -> Store {
    let fresh = if kind == "seal" { 20 } else { 300 };
    StoreOptions::new().fresh_events(fresh).durability(Durability::Flushed).open(folder).unwrap()
}

/// The child: works until it is killed, and says before each piece of work what it tries, and after it that it is done.
fn work(folder: &Path, kind: &str, seed: u64, mut next: u64) {
    let mut random = Rng::with_seed(seed);
    let say = |line: String| {
        let mut out = std::io::stdout().lock();
        writeln!(out, "{line}").unwrap();
        out.flush().unwrap();
    };
    let mut store = open(folder, kind);
    say("opened".to_owned());
    loop {
        let what = if random.u8(0..4) > 0 { kind } else { KINDS[random.usize(0..KINDS.len())] };
        match what {
            "settle" => store.settle().unwrap(),
            "compact" => store.compact().unwrap(),
            "open" => {
                store.close().unwrap();
                store = open(folder, kind);
            }
            "backup" => {
                let name = format!("backup-{next}");
                let made = store.backup(folder.with_file_name(&name)).unwrap();
                say(format!("made {name} {}", serde_json::to_string(&made).unwrap()));
            }
            "erase" => {
                let id = customer(random.u64(next.saturating_sub(200)..=next));
                say(format!("try erase {id}"));
                store.erase(&id).unwrap();
                say(format!("done erase {id}"));
            }
            _ => {}
        }
        let size = if what == "append" { 1 } else { random.u64(1..40) };
        say(format!("try append {next} {size}"));
        let receipt = store.append_batch((next..next + size).map(event)).unwrap();
        assert_eq!(receipt.stored() as usize + receipt.erased().len(), size as usize, "{receipt:?}");
        say(format!("done append {next} {size}"));
        next += size;
    }
}

/// What the child said.
#[derive(Default)]
struct Said {
    next: u64,
    /// Batches by their first event: their size, and whether they were acknowledged.
    batches: BTreeMap<u64, (u64, bool)>,
    /// Customers, and whether their erasure was acknowledged.
    erased: BTreeMap<String, bool>,
    /// Backups that were made, by their folders' names.
    backups: BTreeMap<String, Backup>,
}

impl Said {
    fn hear(&mut self, line: &str) {
        let words: Vec<&str> = line.split(' ').collect();
        match words[..] {
            [how, "append", first, size] => {
                let (first, size) = (first.parse().unwrap(), size.parse().unwrap());
                self.batches.insert(first, (size, how == "done"));
                self.next = first + size;
            }
            [how, "erase", id] => {
                let done = self.erased.entry(id.to_owned()).or_default();
                *done |= how == "done";
            }
            ["made", name, made] => {
                self.backups.insert(name.to_owned(), serde_json::from_str(made).unwrap());
            }
            _ => assert_eq!(line, "opened"),
        }
    }

    fn check(&self, store: &Store, context: &str) {
        let mut there = BTreeSet::new();
        let ids: BTreeSet<String> = (0..=self.next).map(customer).collect();
        for id in &ids {
            let Some(customer) = store.customer(id).unwrap() else { continue };
            assert!(self.erased.get(id) != Some(&true), "{id} is back {context}");
            let events = customer.events().unwrap();
            assert_eq!(events.len(), customer.journey().len(), "the index and the log differ {context}");
            for logged in events {
                let n: u64 = logged.event.id().unwrap().as_str()[1..].parse().unwrap();
                assert_eq!(logged.event, event(n), "{context}");
                assert!(there.insert(n), "event {n} is there twice {context}");
            }
        }
        assert_eq!(store.len() as usize, there.len(), "{context}");
        for (first, (size, acknowledged)) in &self.batches {
            // Of customers whose erasure was begun, events may be there or not.
            let kept = (*first..first + size).filter(|n| !self.erased.contains_key(&customer(*n)));
            let found: Vec<bool> = kept.map(|n| there.contains(&n)).collect();
            let (all, any) = (found.iter().all(|here| *here), found.iter().any(|here| *here));
            assert!(all || !acknowledged, "acknowledged events from {first} on are missing {context}");
            assert!(all || !any, "half a batch from {first} on {context}");
        }
        // Questions see what is there.
        let funnel = Funnel::ordered(["view", "pay"]).list_customers().build().unwrap();
        let views = |id: &str| (0..self.next).any(|n| there.contains(&n) && n % 3 != 0 && customer(n) == id);
        let entered = ids.iter().filter(|id| views(id)).count() as u64;
        assert_eq!(store.query().run(&funnel).unwrap().entered, entered, "{context}");
    }
}

/// Backups hold what was said of them; one that was broken off is no store. All are removed. Says how many were broken off.
fn check_backups(dir: &Path, said: &mut Said, context: &str) -> usize {
    let mut broken_off = 0;
    for entry in fs::read_dir(dir).unwrap().map(Result::unwrap) {
        let name = entry.file_name().into_string().unwrap();
        if name.starts_with("backup") {
            match (said.backups.remove(&name), Backup::check(entry.path())) {
                (Some(made), checked) => assert_eq!(checked.unwrap(), made, "{context}"),
                (None, Ok(whole)) => assert!(whole.head.0 <= said.next, "{context}"),
                (None, Err(error)) => {
                    assert!(matches!(error.kind(), ErrorKind::NotAStore { .. }), "{error} {context}");
                    broken_off += 1;
                }
            }
            fs::remove_dir_all(entry.path()).unwrap();
        }
    }
    assert!(said.backups.is_empty(), "backups are missing {context}");
    broken_off
}

fn supervise() {
    let kills: u64 = env::var("JOURNEYLOG_KILLS").map_or(4, |kills| kills.parse().unwrap());
    let mut random = Rng::with_seed(17);
    for kind in KINDS {
        let (mut mended, mut replayed, mut appended, mut broken_off) = (0, 0, 0, 0);
        let (mut folder, mut said) = (tempfile::tempdir().unwrap(), Said::default());
        for kill in 0..kills {
            if kill % 10 == 9 {
                (folder, said) = (tempfile::tempdir().unwrap(), Said::default());
            }
            let mut child = Command::new(env::current_exe().unwrap())
                .args(["--child".as_ref(), folder.path().join("store").as_os_str(), kind.as_ref()])
                .args([kill.to_string(), said.next.to_string()])
                .stdout(Stdio::piped())
                .stderr(Stdio::inherit())
                .spawn()
                .unwrap();
            let out = BufReader::new(child.stdout.take().unwrap());
            let wait = Duration::from_micros(random.u64(0..500_000));
            let (opened, is_open) = mpsc::channel();
            let while_opening = kill % 4 == 3;
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
            broken_off += check_backups(folder.path(), &mut said, &context);
            let store = open(&folder.path().join("store"), kind);
            mended += store.open_report().mended.len();
            replayed += u64::from(store.open_report().replayed > 0);
            assert_eq!(store.open_report().rebuilt, None, "{context}");
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

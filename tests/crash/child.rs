//! The child that works until it is stopped, and what it said it did.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    io::Write,
    path::Path,
};

use chrono::{DateTime, TimeDelta};
use fastrand::Rng;
use journeylog::{Backup, Durability, ErrorKind, Event, EventBuilder, Funnel, Seq, Store, StoreOptions};

use crate::KINDS;

/// Customers come and go: some events each, in between those of others.
pub(crate) fn customer(n: u64) -> String {
    format!("c{}", n / 60 * 9 + n % 9)
}

pub(crate) fn event(n: u64) -> Event {
    shape(n).build().unwrap()
}

pub(crate) fn shape(n: u64) -> EventBuilder {
    let at = DateTime::UNIX_EPOCH + TimeDelta::seconds(n as i64 * 7919 % 100_000);
    let touchpoint = ["view", "pay"][usize::from(n.is_multiple_of(3))];
    Event::at(at, customer(n), touchpoint).id(format!("e{n}")).property("n", n)
}

pub(crate) fn open(folder: &Path, kind: &str, durability: Durability) -> Store {
    let fresh = if kind == "seal" { 20 } else { 300 };
    StoreOptions::new().fresh_events(fresh).durability(durability).open(folder).unwrap()
}

/// The child: works until it is killed, and says before each piece of work what it tries, and after it that it is done.
pub(crate) fn work(folder: &Path, kind: &str, durability: Durability, seed: u64, mut next: u64) {
    let mut random = Rng::with_seed(seed);
    let say = |line: String| {
        let mut out = std::io::stdout().lock();
        writeln!(out, "{line}").unwrap();
        out.flush().unwrap();
    };
    let mut store = open(folder, kind, durability);
    let mut last_backup: Option<String> = None;
    say("opened".to_owned());
    loop {
        let what = if random.u8(0..4) > 0 { kind } else { KINDS[random.usize(0..KINDS.len())] };
        match what {
            "settle" => store.settle().unwrap(),
            "compact" => store.compact().unwrap(),
            "open" => {
                store.close().unwrap();
                store = open(folder, kind, durability);
            }
            "backup" => {
                // One is enough, on a disk that may be small.
                if let Some(old) = last_backup.take() {
                    say(format!("dropped {old}"));
                    fs::remove_dir_all(folder.with_file_name(old)).unwrap();
                }
                let name = format!("backup-{next}");
                let made = store.backup(folder.with_file_name(&name)).unwrap();
                say(format!("made {name} {}", serde_json::to_string(&made).unwrap()));
                last_backup = Some(name);
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
pub(crate) struct Said {
    durability: Durability,
    /// Entries of others that were there before.
    pub(crate) before: u64,
    pub(crate) next: u64,
    /// Batches by their first event: their size, and whether they were acknowledged.
    batches: BTreeMap<u64, (u64, bool)>,
    /// Customers, and whether their erasure was acknowledged.
    erased: BTreeMap<String, bool>,
    /// Backups that were made, by their folders' names; `None` if they were to be removed again.
    backups: BTreeMap<String, Option<Backup>>,
}

impl Said {
    pub(crate) fn new(durability: Durability) -> Self {
        Self {
            durability,
            before: 0,
            next: 0,
            batches: BTreeMap::new(),
            erased: BTreeMap::new(),
            backups: BTreeMap::new(),
        }
    }

    /// How many events were acknowledged.
    pub(crate) fn acknowledged(&self) -> u64 {
        self.batches.values().filter(|(_, acknowledged)| *acknowledged).map(|(size, _)| size).sum()
    }

    pub(crate) fn hear(&mut self, line: &str) {
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
                self.backups.insert(name.to_owned(), Some(serde_json::from_str(made).unwrap()));
            }
            ["dropped", name] => {
                self.backups.insert(name.to_owned(), None);
            }
            _ => assert_eq!(line, "opened"),
        }
    }

    /// Backups beside the store, which goes up to this head, hold what was said of them; one that was broken off is no store. All
    /// are removed. Says how many were broken off.
    pub(crate) fn check_backups(&mut self, dir: &Path, head: Seq, context: &str) -> usize {
        let mut broken_off = 0;
        for entry in fs::read_dir(dir).unwrap().map(Result::unwrap) {
            let name = entry.file_name().into_string().unwrap();
            if name.starts_with("backup") {
                match (self.backups.remove(&name), Backup::check(entry.path())) {
                    (Some(None), _) => {}
                    (Some(made), checked) => assert_eq!(Some(checked.unwrap()), made, "{context}"),
                    (None, Ok(whole)) => assert!(whole.head <= head, "{context}"),
                    (None, Err(error)) => {
                        assert!(matches!(error.kind(), ErrorKind::NotAStore { .. }), "{error} {context}");
                        broken_off += 1;
                    }
                }
                fs::remove_dir_all(entry.path()).unwrap();
            }
        }
        let missing: Vec<String> =
            std::mem::take(&mut self.backups).into_values().flatten().map(|b| format!("{b:?}")).collect();
        assert!(missing.is_empty(), "{missing:?} are missing {context}");
        broken_off
    }

    pub(crate) fn check(&self, store: &Store, context: &str) {
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
        assert_eq!(store.len(), self.before + there.len() as u64, "{context}");
        for (first, (size, acknowledged)) in &self.batches {
            // Of customers whose erasure was begun, events may be there or not.
            let kept = (*first..first + size).filter(|n| !self.erased.contains_key(&customer(*n)));
            let found: Vec<bool> = kept.map(|n| there.contains(&n)).collect();
            let (all, any) = (found.iter().all(|here| *here), found.iter().any(|here| *here));
            let promised = *acknowledged && self.durability > Durability::Buffered;
            assert!(all || !promised, "acknowledged events from {first} on are missing {context}");
            assert!(all || !any, "half a batch from {first} on {context}");
        }
        // Questions see what is there.
        let funnel = Funnel::ordered(["view", "pay"]).list_customers().build().unwrap();
        let views = |id: &str| (0..self.next).any(|n| there.contains(&n) && n % 3 != 0 && customer(n) == id);
        let entered = ids.iter().filter(|id| views(id)).count() as u64;
        assert_eq!(store.query().run(&funnel).unwrap().entered, entered, "{context}");
    }
}

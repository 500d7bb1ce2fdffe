//! Files of a store are damaged at random: a bit, a page of zeros, a cut, a page of another file, a file that is gone. What
//! comes out is the right answers, an index that is built again and said so, or an error that says what is damaged: never a
//! panic, a wrong answer, or a loss that nobody tells of. And whatever can still be read is salvaged.
//!
//! `cargo test --test damage` tries a few, `JOURNEYLOG_DAMAGES=3000 cargo test --release --test damage` as many as it says.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::cast_possible_truncation,
    reason = "a test stops at once, and its numbers are small"
)]

use std::{
    collections::BTreeMap,
    env, fs, io,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::{
        Mutex,
        atomic::{AtomicU64, Ordering},
    },
    thread,
};

use chrono::{DateTime, TimeDelta};
use fastrand::Rng;
use journeylog::{
    Error, ErrorKind, Event, Feedback, Funnel, JourneyModel, Money, Store, StoreOptions, Transitions, Verify,
};

const EVENTS: u64 = 2_000;
const PAGE: usize = 4096;
const BASES: [&str; 4] = ["closed", "running", "compacted", "small appends"];

fn main() {
    let arguments: Vec<String> = env::args().collect();
    match arguments.iter().position(|argument| argument == "--child").map(|place| &arguments[place + 1..]) {
        Some([folder, truth]) => println!("{}", look(Path::new(folder), Path::new(truth))),
        _ => supervise(),
    }
}

fn event(n: u64) -> Event {
    let at = DateTime::UNIX_EPOCH + TimeDelta::seconds((n * 7919 % 100_000).cast_signed());
    let event = Event::at(at, format!("c{}", n % 37), ["view", "pay", "help"][n as usize % 3])
        .id(format!("e{n}"))
        .property("n", n % 50)
        .property("campaign", format!("campaign {}", n % 4));
    let event = if n.is_multiple_of(5) { event.value(Money::new("19.95", "EUR").unwrap()) } else { event };
    if n.is_multiple_of(11) {
        event.feedback(Feedback::nps(9).unwrap().with_comment("good").unwrap()).stage("advocacy")
    } else {
        event
    }
    .build()
    .unwrap()
}

/// Stores that are damaged, each with what it held.
fn make(kind: &str, dir: &Path) -> PathBuf {
    let store = StoreOptions::new().fresh_events(300).open(dir.join("made")).unwrap();
    let batch = if kind == "small appends" { 3 } else { 190 };
    let events: Vec<Event> = (0..EVENTS).map(event).collect();
    let (before, after) = events.split_at(events.len() - 150);
    before.chunks(batch).for_each(|events| drop(store.append_batch(events.to_vec()).unwrap()));
    // What is copied of a running store is not changed meanwhile.
    store.settle().unwrap();
    store.append_batch(after.to_vec()).unwrap();
    store.erase("c3").unwrap();
    if kind == "compacted" {
        store.compact().unwrap();
        store.erase("c4").unwrap();
    }
    let place = dir.join("store");
    if kind == "running" {
        store.sync().unwrap();
        copy(&dir.join("made"), &place);
        fs::write(dir.join("truth"), truth(&store).unwrap()).unwrap();
    } else {
        fs::write(dir.join("truth"), truth(&store).unwrap()).unwrap();
        store.close().unwrap();
        copy(&dir.join("made"), &place);
    }
    place
}

/// Everything that can be asked of a store, as text: its answers, then an event a line.
fn truth(store: &Store) -> Result<String, Error> {
    let funnel = store.funnel(&Funnel::ordered(["view", "pay"]).within(TimeDelta::hours(5)).build().unwrap())?;
    let moves = store.query().run(&Transitions::of(JourneyModel::standard()))?;
    let answers = serde_json::to_string(&(&funnel, &moves)).unwrap();
    let events: Vec<String> = events(store)?.into_iter().map(|(seq, event)| format!("{seq} {event}")).collect();
    Ok(format!("{answers}\n{}", events.join("\n")))
}

fn events(store: &Store) -> Result<BTreeMap<u64, String>, Error> {
    let mut events = BTreeMap::new();
    for n in 0..37 {
        if let Some(customer) = store.customer(&format!("c{n}"))? {
            for logged in customer.events()? {
                events.insert(logged.seq.0, serde_json::to_string(&logged.event).unwrap());
            }
        }
    }
    Ok(events)
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap().map(Result::unwrap) {
        let target = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), target).unwrap();
        }
    }
}

fn files(dir: &Path) -> Vec<PathBuf> {
    let mut all = Vec::new();
    for entry in fs::read_dir(dir).unwrap().map(Result::unwrap) {
        if entry.path().is_dir() { all.extend(files(&entry.path())) } else { all.push(entry.path()) }
    }
    all.sort();
    all
}

/// Damages a file, and says how.
fn damage(dir: &Path, random: &mut Rng) -> String {
    let files: Vec<PathBuf> = files(dir).into_iter().filter(|file| !file.ends_with("LOCK")).collect();
    let file = &files[random.usize(..files.len())];
    let mut bytes = fs::read(file).unwrap();
    // sled's file is mostly empty: what is damaged is something.
    let filled: Vec<usize> =
        (0..bytes.len()).step_by(64).filter(|at| bytes[*at..].iter().take(64).any(|b| *b != 0)).collect();
    let at = filled
        .get(random.usize(..filled.len().max(1)))
        .map_or(0, |at| at + random.usize(..64))
        .min(bytes.len().max(1) - 1);
    let how = match random.u8(0..8) {
        0..=2 if !bytes.is_empty() => {
            let bit = random.u8(0..8);
            bytes[at] ^= 1 << bit;
            format!("bit {bit} of byte {at}")
        }
        3 | 4 => {
            let page = at / PAGE * PAGE;
            bytes.iter_mut().skip(page).take(PAGE).for_each(|byte| *byte = 0);
            format!("zeros in the page at {page}")
        }
        5 => {
            let (page, other) = (at / PAGE * PAGE, random.usize(..files.len()));
            let foreign = fs::read(&files[other]).unwrap();
            bytes.iter_mut().skip(page).take(PAGE).zip(foreign).for_each(|(byte, foreign)| *byte = foreign);
            format!("a page of {} at {page}", files[other].display())
        }
        6 => {
            bytes.truncate(at);
            format!("cut at {at}")
        }
        _ => {
            fs::remove_file(file).unwrap();
            return format!("{} is gone", file.strip_prefix(dir).unwrap().display());
        }
    };
    fs::write(file, bytes).unwrap();
    format!("{how} of {}", file.strip_prefix(dir).unwrap().display())
}

/// The child: opens the damaged store and says what came of it.
fn look(dir: &Path, truth_file: &Path) -> String {
    // sled's panics are caught, and would be printed all the same.
    std::panic::set_hook(Box::new(|_| ()));
    let text = fs::read_to_string(truth_file).unwrap();
    let copied = dir.with_extension("copy");
    copy(dir, &copied);
    let (outcome, is_whole) = match Store::open(dir) {
        Err(error) => (said(&error), false),
        Ok(store) => {
            let rebuilt = store.open_report().rebuilt.is_some();
            let mended = !store.open_report().mended.is_empty();
            match truth(&store) {
                Ok(answers) if answers == text && rebuilt => ("rebuilt".to_owned(), true),
                Ok(answers) if answers == text && mended => ("mended".to_owned(), true),
                Ok(answers) if answers == text => {
                    let found = store.verify(Verify::Full).unwrap();
                    (if found.is_sound() { "right" } else { "right, and found by verify" }.to_owned(), true)
                }
                Ok(answers) => return format!("WRONG: {answers:.600} instead of {text:.600}"),
                Err(error) => {
                    let found = store.verify(Verify::Full).unwrap();
                    if found.is_sound() {
                        return format!("WRONG: {error} and nothing is found by verify");
                    }
                    drop(store.close());
                    match Store::open(dir).and_then(|store| Ok((store.open_report().rebuilt.is_some(), truth(&store)?)))
                    {
                        Ok((true, answers)) if answers == text => ("rebuilt after an error".to_owned(), true),
                        Ok(_) => return format!("WRONG after {error}: opened again it has other answers"),
                        Err(error) => (format!("when asked, {}", said(&error)), false),
                    }
                }
            }
        }
    };
    match (salvage(&copied, &text), is_whole) {
        (Err(wrong), _) => format!("WRONG salvage after {outcome}: {wrong}"),
        (Ok(_), true) => outcome,
        // Opening it has destroyed nothing.
        (Ok(salvaged), false) => match salvage(dir, &text) {
            Ok(afterwards) if afterwards <= salvaged => format!("{outcome}, {salvaged}"),
            Ok(afterwards) => format!("WRONG after {outcome}: {salvaged:?}, and {afterwards:?} once it was opened"),
            Err(wrong) => format!("WRONG salvage once it was opened, {outcome}: {wrong}"),
        },
    }
}

/// What a salvage did not bring back: the fewer, the better.
#[derive(Debug, PartialEq, PartialOrd)]
struct Salvaged {
    missing: usize,
    from_index: usize,
}

impl std::fmt::Display for Salvaged {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self { missing: 0, from_index: 0 } => "salvaged whole",
            Self { missing: 0, .. } => "salvaged in part from the index",
            _ => "salvaged in part, and said so",
        })
    }
}

/// Salvages what is left, and checks that it is right and that what is missing is told.
fn salvage(dir: &Path, text: &str) -> Result<Salvaged, String> {
    let new = dir.with_extension("salvaged");
    let salvage = Store::salvage(dir, &new).map_err(|error| format!("{error:?}"))?;
    let store = Store::open(&new).map_err(|error| format!("{error:?}"))?;
    if !store.verify(Verify::Full).unwrap().is_sound() {
        return Err("the new store is not sound".to_owned());
    }
    let found = events(&store).map_err(|error| format!("{error:?}"))?;
    let expected: BTreeMap<u64, &str> = text
        .lines()
        .skip(1)
        .map(|line| line.split_once(' ').unwrap())
        .map(|(seq, event)| (seq.parse().unwrap(), event))
        .collect();
    let (mut missing, mut poorer) = (0, 0);
    for (seq, event) in &expected {
        let is_in = |ranges: &[std::ops::RangeInclusive<u64>]| ranges.iter().any(|range| range.contains(seq));
        match found.get(seq) {
            Some(same) if same == event => {}
            Some(other) if is_in(&salvage.from_index) => {
                poorer += 1;
                let mut full: serde_json::Value = serde_json::from_str(event).unwrap();
                full.as_object_mut().unwrap().remove("id");
                if let Some(feedback) = full.get_mut("feedback").and_then(serde_json::Value::as_object_mut) {
                    feedback.remove("comment");
                }
                if full != serde_json::from_str::<serde_json::Value>(other).unwrap() {
                    return Err(format!("from the index {other} instead of {full}"));
                }
            }
            Some(other) => return Err(format!("{other} instead of {event}")),
            None if is_in(&salvage.missing) || *seq > salvage.head => missing += 1,
            None => return Err(format!("{seq} is missing, and {salvage} does not say so")),
        }
        if *seq > salvage.head && !salvage.notes.iter().any(|note| note.contains("witness") || note.contains("mark")) {
            return Err(format!("{seq} is missing, and {salvage} does not say so"));
        }
    }
    if let Some((seq, event)) = found.iter().find(|(seq, _)| !expected.contains_key(seq)) {
        let knows_erased =
            !salvage.notes.iter().any(|note| note.starts_with("whether the list of those erased is whole"));
        let was_erased = ["\"c3\"", "\"c4\""].iter().any(|customer| event.contains(customer));
        if knows_erased || !was_erased {
            return Err(format!("{seq} {event} was never there"));
        }
    }
    let _ = fs::remove_dir_all(&new);
    Ok(Salvaged { missing, from_index: poorer })
}

fn said(error: &Error) -> String {
    match error.kind() {
        ErrorKind::Damaged { .. } => "damaged",
        ErrorKind::Lost { .. } => "lost",
        ErrorKind::NotAStore { .. } => "not a store",
        ErrorKind::NewerFormat { .. } => "newer format",
        ErrorKind::Engine { .. } => "engine",
        _ => return format!("WRONG error {error:?}"),
    }
    .to_owned()
}

fn supervise() {
    let trials: u64 = env::var("JOURNEYLOG_DAMAGES").map_or(40, |trials| trials.parse().unwrap());
    // The few of every day are the same each day.
    let usual = || if env::var_os("JOURNEYLOG_DAMAGES").is_some() { fastrand::u64(..) } else { 5 };
    let seed: u64 = env::var("JOURNEYLOG_SEED").map_or_else(|_| usual(), |seed| seed.parse().unwrap());
    let bases = BASES.map(|kind| {
        let dir = tempfile::tempdir().unwrap();
        let store = make(kind, dir.path());
        (dir, store)
    });
    println!("{trials} damages, JOURNEYLOG_SEED={seed}");
    let (next, outcomes) = (AtomicU64::new(0), Mutex::new(BTreeMap::<String, u64>::new()));
    let wrong = Mutex::new(Vec::new());
    thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                loop {
                    let trial = next.fetch_add(1, Ordering::Relaxed);
                    if trial >= trials {
                        return;
                    }
                    let mut random = Rng::with_seed(seed.wrapping_add(trial));
                    let base = random.usize(..BASES.len());
                    let (made, store) = &bases[base];
                    let dir = tempfile::tempdir().unwrap();
                    let damaged = dir.path().join("store");
                    copy(store, &damaged);
                    let how = damage(&damaged, &mut random);
                    let outcome = child(&damaged, &made.path().join("truth"));
                    if outcome.contains("WRONG") {
                        wrong.lock().unwrap().push(format!("{}, {how} (trial {trial}): {outcome}", BASES[base]));
                    }
                    *outcomes.lock().unwrap().entry(outcome).or_default() += 1;
                }
            });
        }
    });
    for (outcome, count) in outcomes.lock().unwrap().iter() {
        println!("{count:6} {outcome:.200}");
    }
    let wrong = wrong.into_inner().unwrap();
    assert!(wrong.is_empty(), "{} of {trials}:\n{}", wrong.len(), wrong.join("\n"));
}

fn child(dir: &Path, truth: &Path) -> String {
    let ran = Command::new(env::current_exe().unwrap())
        .arg("--child")
        .args([dir, truth])
        .stderr(Stdio::piped())
        .output()
        .unwrap_or_else(|error: io::Error| panic!("{error}"));
    let out = String::from_utf8_lossy(&ran.stdout).trim().to_owned();
    if ran.status.success() {
        out
    } else {
        format!("WRONG: {out} {}, {}", ran.status, String::from_utf8_lossy(&ran.stderr))
    }
}

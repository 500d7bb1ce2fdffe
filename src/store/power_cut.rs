//! What a store is after a power cut behind any step of its life, on a disk that keeps no more than it was told to sync;
//! and what becomes of it if a sync is left out.

use std::{
    collections::{BTreeSet, HashSet},
    hash::{DefaultHasher, Hash, Hasher},
    path::Path,
    sync::Arc,
    time::Duration,
};

use fastrand::Rng;

use super::{
    Durability, Store, StoreOptions,
    engine::Engine,
    locks::lock_plain,
    promises::{Promised, batches, event, folder},
    simulated_disk::{Disk, Done, Left, Moment, Recorder},
    watched::{Watch, watch},
};
use crate::error::Result;

type Moments = Vec<Moment<Promised>>;

/// A store whose steps are written down.
struct Life {
    recorder: Arc<Recorder<Promised>>,
    folder: std::path::PathBuf,
    options: StoreOptions,
    store: Option<Store>,
    next: usize,
    _watch: Watch,
}

impl Life {
    fn begin(dir: &Path, left: &Left, promised: Promised, durability: Durability) -> Self {
        let recorder = Arc::new(Recorder::new(dir, promised, &left.engines));
        let watch = watch(dir, recorder.clone());
        let options = StoreOptions::new().fresh_events(7).durability(durability);
        Self { recorder, folder: dir.join("new/a.journey"), options, store: None, next: 0, _watch: watch }
    }

    fn try_to_open(&mut self) -> Result<()> {
        let recorder = self.recorder.clone();
        let open = move |folder: &Path| recorder.open_engine(folder);
        self.store = Some(Store::open_on(&self.folder, &self.options, open)?);
        Ok(())
    }

    fn open(&mut self) {
        self.try_to_open().unwrap();
    }

    fn store(&self) -> &Store {
        self.store.as_ref().unwrap()
    }

    fn promise(&self, change: impl FnOnce(&mut Promised)) {
        change(&mut lock_plain(&self.recorder.promised));
    }

    fn append(&mut self, count: usize) {
        let next = self.next;
        for batch in batches().skip_while(|batch| batch.start < next).take(count) {
            self.next = batch.end;
            self.store().append_batch(batch.map(event)).unwrap();
            if self.options.durability == Durability::Synced {
                self.promise(|promised| promised.events = self.next);
            }
        }
    }

    /// Waits until there is nothing to seal and hence some files.
    fn wait_for_seals(&self) {
        while self.store().stats().unwrap().fresh_events >= 7 {
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    fn sync(&self) {
        self.store().sync().unwrap();
        self.promise(|promised| promised.events = self.next);
    }

    fn erase(&self, id: &str) {
        self.promise(|promised| promised.erasing.extend([id.to_owned()]));
        self.store().erase(id).unwrap();
        self.promise(|promised| promised.erased.extend([id.to_owned()]));
    }

    fn close(&mut self) {
        self.store.take().unwrap().close().unwrap();
        self.promise(|promised| promised.events = self.next);
    }

    fn moments(&self) -> Moments {
        self.recorder.moments()
    }
}

/// All that a store does, with everything in it.
fn a_long_life(durability: Durability) -> Moments {
    let dir = folder();
    let mut life = Life::begin(dir.path(), &Left::default(), Promised::default(), durability);
    life.open();
    life.append(12);
    life.wait_for_seals();
    life.append(12);
    life.sync();
    life.close();
    life.open();
    life.append(14);
    life.wait_for_seals();
    life.store().settle().unwrap();
    life.append(3);
    life.erase("c3");
    life.append(5);
    life.store().compact().unwrap();
    life.append(6);
    life.erase("c5");
    life.store().compact().unwrap();
    life.append(4);
    life.close();
    life.promise(|promised| promised.rebuilds = true);
    life.options = life.options.rebuild_index();
    life.open();
    life.append(5);
    life.close();
    life.moments()
}

/// Opens what is left with the ordinary code, and compares it with what was promised.
fn check(left: &Left, promised: &Promised, durability: Durability) -> Result<(Moments, usize), String> {
    let dir = folder();
    left.write_to(dir.path());
    let mut life = Life::begin(dir.path(), left, promised.clone(), durability);
    life.try_to_open().map_err(|error| format!("it does not open: {error}"))?;
    let held = promised.compare(life.store())?;
    life.next = batches().map(|batch| batch.start).find(|start| *start >= held).unwrap();
    life.append(4);
    life.close();
    Ok((life.moments(), held))
}

/// Which syncs count: all, or all but some.
type Counts = fn(&Done) -> bool;

/// What came of the cuts.
#[derive(Debug, Default)]
struct Outcome {
    cuts: usize,
    failure: Option<String>,
    /// How many events were held, in all the stores.
    held: BTreeSet<usize>,
    /// What was left, and what was done to mend it and to go on.
    second: Vec<(Left, Moments)>,
}

fn hash(left: &Left, promised: &Promised) -> u64 {
    let mut hasher = DefaultHasher::new();
    (&left.files, &left.folders, promised).hash(&mut hasher);
    for (folder, engine) in &left.engines {
        (folder, engine.range(b"", b"\xff", usize::MAX).unwrap()).hash(&mut hasher);
    }
    hasher.finish()
}

/// Cuts the power behind each moment from one on, and looks at each folder once that may be left, until something is wrong.
fn cut(
    before: &Left,
    (moments, from): (&[Moment<Promised>], usize),
    seed: u64,
    counts: Counts,
    durability: Durability,
) -> Outcome {
    let mut random = Rng::with_seed(seed);
    let mut disk = Disk::holding(before);
    let (mut outcome, mut seen) = (Outcome::default(), HashSet::new());
    for (number, moment) in moments.iter().enumerate() {
        if counts(&moment.step) {
            disk.take(&moment.step);
        }
        let left = disk.after_cut(moment, &mut random);
        if number >= from && outcome.failure.is_none() && seen.insert(hash(&left, &moment.promised)) {
            outcome.cuts += 1;
            match check(&left, &moment.promised, durability) {
                Ok((moments, held)) => {
                    outcome.held.insert(held);
                    outcome.second.push((left, moments));
                }
                Err(reason) => outcome.failure = Some(format!("cut behind step {number}, {:?}: {reason}", moment.step)),
            }
        }
    }
    outcome
}

/// `JOURNEYLOG_CUTS=20 cargo test --release --lib power_cut` cuts twenty times as often.
fn rounds() -> u64 {
    std::env::var("JOURNEYLOG_CUTS").map_or(1, |rounds| rounds.parse().unwrap())
}

#[test]
fn what_was_promised_survives_a_power_cut_behind_any_step() {
    for (seed, durability) in (0..rounds()).flat_map(|seed| [(seed, Durability::Synced), (seed, Durability::Buffered)])
    {
        let moments = a_long_life(durability);
        let all = cut(&Left::default(), (&moments, 0), seed, |_| true, durability);
        assert_eq!(all.failure, None, "{durability:?}, seed {seed}");
        assert!(all.cuts > moments.len() / 4 && all.held.len() > 20, "{} {:?}", all.cuts, all.held);
        // The power goes a second time, while the store is being mended or a little later.
        let (mut second, mut random) = (0, Rng::with_seed(seed));
        for (left, moments) in all.second.iter().step_by(15) {
            let until = random.usize(0..=moments.len());
            let again = cut(left, (&moments[..until], until.saturating_sub(4)), seed, |_| true, durability);
            assert_eq!(again.failure, None, "{durability:?}, seed {seed}, the second time");
            second += again.cuts;
        }
        println!("{durability:?}: {} steps, {} cuts, {second} second cuts", moments.len(), all.cuts);
    }
}

fn is_of(path: &Path, ending: &str) -> bool {
    path.to_string_lossy().ends_with(ending)
}

/// So the test above can fail: each of our syncs is needed.
#[test]
fn a_power_cut_does_harm_if_a_sync_is_left_out() {
    /// The file is synced under the name that it has before it gets its own.
    fn leaves_out(step: &Done, which: impl Fn(&Path) -> bool) -> bool {
        !matches!(step, Done::Sync(path) | Done::SyncFolder(path) if which(path))
    }
    let controls: [(&str, Counts); 8] = [
        ("all of ours", |step| leaves_out(step, |_| true)),
        ("of files", |step| !matches!(step, Done::Sync(_))),
        ("of folders", |step| !matches!(step, Done::SyncFolder(_))),
        ("of the store's name", |step| leaves_out(step, |path| path == Path::new("new"))),
        ("of the mark", |step| leaves_out(step, |path| is_of(path, "JOURNEYLOG.tmp"))),
        ("of the witness", |step| leaves_out(step, |path| is_of(path, "WITNESS.tmp"))),
        ("of the manifest", |step| leaves_out(step, |path| is_of(path, "MANIFEST.tmp"))),
        ("of segments, ids and names", |step| leaves_out(step, |path| is_of(path, ".tmp") && is_in_index(path))),
    ];
    let moments = a_long_life(Durability::Synced);
    for (what, counts) in controls {
        let found =
            (0..5).find_map(|seed| cut(&Left::default(), (&moments, 0), seed, counts, Durability::Synced).failure);
        println!("without the syncs {what}: {found:?}");
        assert!(found.is_some(), "without the syncs {what} nothing went wrong");
    }
}

fn is_in_index(path: &Path) -> bool {
    path.iter().any(|part| part.to_string_lossy().starts_with("index")) && !is_of(path, "MANIFEST.tmp")
}

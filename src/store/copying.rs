//! A copy of the log into an engine of its own, made a step at a time, without the events of customers who are erased.

use std::{
    collections::{HashMap, HashSet},
    path::PathBuf,
    sync::Arc,
};

use super::{
    engine::{Change, Engine},
    erasures::Erasures,
    files,
    log::{Log, LogReader},
    retention::{Retention, Rules},
    shared::Shared,
    witness::Head,
};
use crate::{
    codec::{Block, BlockCutter, LogEntry},
    error::{Error, Result},
    journey::Names,
    model::Micros,
};

/// So many bytes of events, or a little more, are copied in one step.
const STEP: usize = 1 << 20;
/// What an entry counts at the least.
const LEAST: usize = 8;

/// A copy of the log that is under way.
#[derive(Debug)]
pub(super) struct Copying {
    reader: LogReader,
    log: Log,
    /// The head of the copy. Its chain is that of the log, unless something was left out.
    head: Head,
    cutter: BlockCutter,
    /// Fingerprints of customers of whom all events are left out, and how many were of each.
    erased: HashSet<u128>,
    lacks: HashMap<u128, u64>,
    /// How long events are kept, and the time by which that is judged.
    retention: (Retention, Micros),
    /// Whether anything was left out for its age.
    is_changed: bool,
}

impl Copying {
    /// Begins a copy of a store's log into an engine, which is empty.
    pub(super) fn begin(shared: &Shared, engine: Arc<dyn Engine>) -> Result<Self> {
        Ok(Self {
            erased: shared.erasures().pending_fingerprints(),
            reader: shared.log.read_after(0)?,
            log: Log::open(engine)?,
            head: Head::default(),
            cutter: BlockCutter::default(),
            lacks: HashMap::new(),
            retention: (Retention::new(), Micros::MIN),
            is_changed: false,
        })
    }

    /// Leaves out of the copy what is too old at a time.
    #[must_use]
    pub(super) fn keeping(self, retention: Retention, now: Micros) -> Self {
        Self { retention: (retention, now), ..self }
    }

    pub(super) fn log(&self) -> &Log {
        &self.log
    }

    pub(super) fn head(&self) -> Head {
        self.head
    }

    /// Copies the next blocks up to a sequence, small ones together as larger ones, and hands out what was copied; `None`
    /// if there is nothing more. `see` is shown it before anybody else can be erased.
    pub(super) fn step<T>(
        &mut self,
        shared: &Shared,
        up_to: u64,
        see: impl FnOnce(&Block) -> T,
    ) -> Result<Option<(Block, T)>> {
        let (mut entries, mut bytes) = (Vec::new(), 0);
        let most = usize::try_from(up_to.saturating_sub(self.head.seq)).unwrap_or(usize::MAX);
        while bytes < STEP && entries.len() < most {
            let blocks = self.reader.next_blocks()?;
            if blocks.is_empty() {
                break;
            }
            let more = blocks.into_iter().flat_map(|block| block.entries);
            entries.extend(more.inspect(|entry| bytes += entry.size().max(LEAST)));
        }
        entries.truncate(most);
        if entries.is_empty() {
            return Ok(None);
        }
        let mut block = Block { first: self.head.seq + 1, before: self.head.chain, after: self.head.chain, entries };
        let seen = {
            // Nobody is erased between these two: whoever is not left out has a name, and keeps the number.
            let erasures = shared.erasures();
            self.leave_out(&mut block.entries, &erasures, &shared.names);
            let (retention, now) = &self.retention;
            for entry in &mut block.entries {
                self.is_changed |= retention.apply(entry, *now);
            }
            see(&block)
        };
        let (changes, _, head) = Log::appending(self.head, &block.entries, &mut self.cutter);
        self.log.engine().apply(changes)?;
        (self.head, block.after) = (head, head.chain);
        Ok(Some((block, seen)))
    }

    /// Leaves out the events of customers who are erased, also of those who were erased since this began.
    fn leave_out(&mut self, entries: &mut [LogEntry], erasures: &Erasures, names: &Names) {
        if erasures.pending() == 0 {
            return;
        }
        for entry in entries {
            // Whoever has a name is not erased. What names two who are counts as one's.
            let pending = |id: &str| erasures.pending_fingerprint(id).filter(|_| names.find_customer(id).is_none());
            if let Some(fingerprint) = entry.as_event().and_then(|event| event.ids_named().find_map(pending)) {
                *self.lacks.entry(fingerprint).or_default() += 1;
                *entry = LogEntry::erased();
            }
        }
    }

    /// Fails unless the copy holds what the log does up to this head, which it was made up to.
    pub(super) fn check(&self, log: Head) -> Result<()> {
        if self.head.seq != log.seq {
            return Err(Error::damaged("the log", "it has fewer entries than were appended"));
        }
        // The copy's chain was made of what was read.
        if self.lacks.is_empty() && !self.is_changed && self.head.chain != log.chain {
            return Err(Error::damaged("the log", "its entries are not the ones that were appended"));
        }
        Ok(())
    }

    /// How many events the copy has all the same of each customer who was erased since this began.
    pub(super) fn left_of(&self, erasures: &Erasures) -> Result<HashMap<u128, u64>> {
        let mut left = HashMap::new();
        if erasures.pending_fingerprints().is_subset(&self.erased) {
            return Ok(left);
        }
        self.log.blocks_after(0, |block| {
            for event in block.entries.iter().filter_map(LogEntry::as_event) {
                let fingerprint = event.ids_named().find_map(|id| erasures.pending_fingerprint(id));
                fingerprint.into_iter().for_each(|fingerprint| *left.entry(fingerprint).or_default() += 1);
            }
            Ok(())
        })?;
        Ok(left)
    }

    /// The rules of retention as they are in the copy; `None` if it lacks something by rules that do not hold any more.
    pub(super) fn rules(&self, rules: &Rules) -> Option<Rules> {
        let (retention, now) = &self.retention;
        let is_right = !self.is_changed || rules.retention == *retention;
        is_right.then(|| rules.applied(retention, *now))
    }

    /// The erasures as they are in the copy, and the changes that note them there.
    pub(super) fn erasures(&self, erasures: &Erasures, now: Micros) -> (Erasures, Vec<Change>) {
        erasures.compacted(&self.erased, &self.lacks, now)
    }
}

/// Files and folders that were made. They are removed with this.
#[derive(Debug, Default)]
pub(super) struct Made(pub(super) Vec<PathBuf>);

impl Made {
    pub(super) fn remove(&mut self) -> Result<()> {
        let remove = |path: &PathBuf| if path.is_dir() { files::remove_folder(path) } else { files::remove(path) };
        let tried: Vec<Result<()>> = std::mem::take(&mut self.0).iter().map(remove).collect();
        tried.into_iter().collect()
    }
}

impl Drop for Made {
    fn drop(&mut self) {
        // What stays is found and removed at the next open.
        let _ = self.remove();
    }
}

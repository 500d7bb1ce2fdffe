//! One scan: chunks of journeys are visited on several threads, and their states merged in the order of the chunks.

use std::{
    collections::BTreeMap,
    num::NonZeroUsize,
    ops::Range,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
};

use super::{Bound, reader::Reader};
use crate::{
    error::{Error, Result, check_memory},
    journey::{Needs, Readings, Source},
};

/// What to scan, and with how much.
pub(crate) struct Job<'a> {
    /// How many chunks there are. Each holds whole journeys, and no customer is in two.
    pub(crate) chunks: usize,
    /// Reads a chunk.
    pub(crate) load: &'a (dyn Fn(usize, &Needs) -> Result<Vec<Source>> + Sync),
    pub(crate) threads: NonZeroUsize,
    /// The most bytes that states may take.
    pub(crate) memory: usize,
}

/// For several threads at least so many states are made for each, so that few wait to be merged.
const STATES_PER_THREAD: usize = 8;
/// And a state is of no more chunks than this: what waits does not grow with the events.
const CHUNKS_PER_STATE: usize = 8;

/// Cuts chunks into runs of neighbours, a state for each: all in one for one thread. For several the last runs are half of a thread's
/// share of what is left, down to a single chunk, so that no thread waits long for another.
fn runs(chunks: usize, threads: usize) -> Vec<Range<usize>> {
    let most = if threads == 1 {
        chunks
    } else {
        chunks.div_ceil(threads.saturating_mul(STATES_PER_THREAD)).min(CHUNKS_PER_STATE)
    };
    let mut runs = Vec::new();
    let mut begin = 0;
    while begin < chunks {
        let left = chunks - begin;
        let half = if threads == 1 { left } else { left.div_ceil(threads.saturating_mul(2)) };
        let end = begin + half.min(most);
        runs.push(begin..end);
        begin = end;
    }
    runs
}

/// States as they come, merged as soon as those of all earlier chunks are there.
struct Merging<S> {
    merged: S,
    next: usize,
    waiting: BTreeMap<usize, S>,
    failed: Option<Error>,
}

/// Runs a bound plan over all chunks: each state is made of a run of neighbouring chunks. The result does not depend on
/// the number of threads.
pub(crate) fn run<B: Bound>(job: &Job<'_>, reader: &Reader, bound: &B) -> Result<B::State> {
    let runs = runs(job.chunks, job.threads.get());
    let next_state = AtomicUsize::new(0);
    let merging = Mutex::new(Merging { merged: bound.start(), next: 0, waiting: BTreeMap::new(), failed: None });
    let needs = reader.loads();
    let make_state = |chunks: Range<usize>, readings: &mut Readings| {
        let mut state = bound.start();
        for chunk in chunks {
            let sources = (job.load)(chunk, &needs)?;
            reader.journeys(&sources, readings, |journeys| bound.visit_batch(&mut state, journeys));
            check_memory(bound.size(&state), job.memory)?;
        }
        Ok(state)
    };
    let work = || {
        let mut readings = Readings::default();
        loop {
            let place = next_state.fetch_add(1, Ordering::Relaxed);
            let Some(run) = runs.get(place) else { return };
            let state = make_state(run.clone(), &mut readings);
            let mut merging = merging.lock().unwrap_or_else(PoisonError::into_inner);
            if let Err(error) = state.and_then(|state| take_in(&mut merging, bound, place, state, job.memory)) {
                merging.failed.get_or_insert(error);
            }
            if merging.failed.is_some() {
                return;
            }
        }
    };
    let threads = job.threads.get().min(runs.len());
    if threads <= 1 {
        work();
    } else {
        thread::scope(|scope| {
            for _ in 1..threads {
                scope.spawn(work);
            }
            work();
        });
    }
    let merging = merging.into_inner().unwrap_or_else(PoisonError::into_inner);
    merging.failed.map_or(Ok(merging.merged), Err)
}

fn take_in<B: Bound>(
    merging: &mut Merging<B::State>,
    bound: &B,
    place: usize,
    state: B::State,
    memory: usize,
) -> Result<()> {
    merging.waiting.insert(place, state);
    while let Some(state) = merging.waiting.remove(&merging.next) {
        bound.merge(&mut merging.merged, state);
        merging.next += 1;
    }
    let waiting: usize = merging.waiting.values().map(|state| bound.size(state)).sum();
    check_memory(bound.size(&merging.merged).saturating_add(waiting), memory)
}

#[cfg(test)]
mod tests {
    use super::{CHUNKS_PER_STATE, runs};

    #[test]
    fn runs_hold_every_chunk_once_in_order_and_end_short() {
        for (chunks, threads) in [(0, 1), (0, 2), (1, 4), (153, 1), (153, 2), (1_600, 7), (10, usize::MAX)] {
            let runs = runs(chunks, threads);
            assert!(runs.iter().cloned().flatten().eq(0..chunks), "{chunks} {threads}");
            assert!(threads > 1 && runs.last().is_none_or(|last| last.len() == 1) || runs.len() <= 1);
            assert!(threads == 1 || runs.iter().all(|run| run.len() <= CHUNKS_PER_STATE));
            assert!(threads > 7 || runs.len() <= 2 * threads * 12 + chunks / CHUNKS_PER_STATE, "{}", runs.len());
        }
    }
}

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

/// So many states are made for each of several threads: enough that none waits long for the last, and few enough that
/// merging them costs little.
const STATES_PER_THREAD: usize = 8;

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
    let states = match job.threads.get() {
        1 => 1,
        threads => threads.saturating_mul(STATES_PER_THREAD),
    };
    let states = states.min(job.chunks);
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
            if place >= states {
                return;
            }
            let cut = |place: usize| job.chunks * place / states;
            let state = make_state(cut(place)..cut(place + 1), &mut readings);
            let mut merging = merging.lock().unwrap_or_else(PoisonError::into_inner);
            if let Err(error) = state.and_then(|state| take_in(&mut merging, bound, place, state, job.memory)) {
                merging.failed.get_or_insert(error);
            }
            if merging.failed.is_some() {
                return;
            }
        }
    };
    let threads = job.threads.get().min(states);
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

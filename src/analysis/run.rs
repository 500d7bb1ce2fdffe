//! One scan: chunks of journeys are visited on several threads, and their states merged in the order of the chunks.

use std::{
    collections::BTreeMap,
    num::NonZeroUsize,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
};

use super::{Bound, reader::Reader};
use crate::{
    error::{Error, ErrorKind, Result},
    journey::{Columns, Needs},
};

/// What to scan, and with how much.
pub(crate) struct Job<'a> {
    /// How many chunks there are. Each holds whole journeys, and no customer is in two.
    pub(crate) chunks: usize,
    /// Reads a chunk.
    pub(crate) load: &'a (dyn Fn(usize, &Needs) -> Result<Arc<Columns>> + Sync),
    pub(crate) threads: NonZeroUsize,
    /// The most bytes that states may take.
    pub(crate) memory: usize,
}

/// States as they come, merged as soon as those of all earlier chunks are there.
struct Merging<S> {
    merged: S,
    next: usize,
    waiting: BTreeMap<usize, S>,
    failed: Option<Error>,
}

/// Runs a bound plan over all chunks. The result does not depend on the number of threads.
pub(crate) fn run<B: Bound>(job: &Job<'_>, reader: &Reader, bound: &B) -> Result<B::State> {
    let next_chunk = AtomicUsize::new(0);
    let merging = Mutex::new(Merging { merged: bound.start(), next: 0, waiting: BTreeMap::new(), failed: None });
    let work = || {
        loop {
            let chunk = next_chunk.fetch_add(1, Ordering::Relaxed);
            if chunk >= job.chunks {
                return;
            }
            let state = visit(job, reader, bound, chunk);
            let mut merging = merging.lock().unwrap_or_else(PoisonError::into_inner);
            if let Err(error) = state.and_then(|state| take_in(&mut merging, bound, chunk, state, job.memory)) {
                merging.failed.get_or_insert(error);
            }
            if merging.failed.is_some() {
                return;
            }
        }
    };
    let threads = job.threads.get().min(job.chunks);
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

fn visit<B: Bound>(job: &Job<'_>, reader: &Reader, bound: &B, chunk: usize) -> Result<B::State> {
    let columns = (job.load)(chunk, &reader.needs)?;
    let mut state = bound.start();
    reader.journeys(&columns, |journey| bound.visit(&mut state, journey));
    Ok(state)
}

fn take_in<B: Bound>(
    merging: &mut Merging<B::State>,
    bound: &B,
    chunk: usize,
    state: B::State,
    memory: usize,
) -> Result<()> {
    merging.waiting.insert(chunk, state);
    while let Some(state) = merging.waiting.remove(&merging.next) {
        bound.merge(&mut merging.merged, state);
        merging.next += 1;
    }
    let waiting: usize = merging.waiting.values().map(|state| bound.size(state)).sum();
    let found = bound.size(&merging.merged).saturating_add(waiting);
    if found > memory {
        let what = "bytes of memory of one question (ask a smaller scope, or raise Query::memory)";
        return Err(ErrorKind::Limit { what, found: found as u64, limit: memory as u64 }.into());
    }
    Ok(())
}

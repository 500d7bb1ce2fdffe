//! A scan: segments and fresh journeys seen as one sequence of chunks, each holding whole journeys.

use std::{
    ops::Range,
    sync::{Arc, Mutex, PoisonError},
};

use super::segment::{BLOCK_ROWS, Segment};
use crate::{
    error::{Result, check_memory},
    journey::{Columns, Identities, Needs, Source, positions},
};

/// At most so many blocks of a segment are kept for the next chunks, since a block may reach over several of them: one
/// for each thread is enough.
const KEPT_BLOCKS: usize = 16;
/// Up to so many journeys of a block are read one by one; of more the block is read.
const FEW_OTHERS: usize = 8;
/// Roughly what an event of theirs takes in memory, twice while they are put together.
const BYTES_OF_OTHERS: usize = 32;

/// What is scanned, cut into chunks by customer.
#[derive(Debug)]
pub(crate) struct Scan {
    /// In the order of their sequences, unless these overlap.
    segments: Vec<Arc<Segment>>,
    fresh: Vec<Arc<Columns>>,
    /// Whether sequences are needed to order events at the same instant.
    needs_seqs: bool,
    /// The customers of each chunk, by their numbers.
    chunks: Vec<Range<u64>>,
    /// For each segment the blocks read last.
    kept: Vec<Mutex<Kept>>,
    /// Customers who are left out, by their numbers, in order.
    hidden: Arc<[u32]>,
}

/// Blocks of one segment, by their places.
type Kept = Vec<(usize, Arc<Columns>)>;

impl Scan {
    /// Fresh runs are in the order of their sequences, which come after those of the segments.
    pub(crate) fn new(mut segments: Vec<Arc<Segment>>, fresh: Vec<Arc<Columns>>) -> Self {
        segments.sort_by_key(|segment| segment.seqs());
        let ranges = || segments.iter().map(|segment| segment.seqs());
        let overlap = ranges().zip(ranges().skip(1)).any(|(a, b)| a.map(|a| a.1) >= b.map(|b| b.0));
        let chunks = chunks(&segments, &fresh);
        let kept = segments.iter().map(|_| Mutex::default()).collect();
        Self { segments, fresh, needs_seqs: overlap, chunks, kept, hidden: Arc::default() }
    }

    /// Puts the journeys of each customer's other ids together with that of the one that they go by. These others'
    /// own journeys are still there, and must be left out by whoever reads chunks. These others are held in memory, of which so
    /// many bytes may be used.
    pub(crate) fn joining(self, identities: &Identities, needs: &Needs, memory: usize) -> Result<Self> {
        if identities.is_empty() {
            return Ok(self);
        }
        let needs = Needs { times: true, seqs: true, ..needs.clone() };
        let (mut moved, mut rows): (Vec<Source>, usize) = (Vec::new(), 0);
        let mut take = |columns: &Arc<Columns>| {
            let Some(others) = identities.others_in(columns, &needs).map(Arc::new) else { return Ok(()) };
            rows = rows.saturating_add(others.rows());
            moved.push(Source { journeys: 0..others.customers.len(), columns: others });
            check_memory(rows.saturating_mul(BYTES_OF_OTHERS), memory)
        };
        for segment in &self.segments {
            for (block, info) in segment.blocks().iter().enumerate() {
                let others = identities.others_within((info.first, info.last));
                match others.take(FEW_OTHERS + 1).collect::<Vec<_>>() {
                    few if few.len() <= FEW_OTHERS => {
                        for other in few {
                            segment.journey(other, &needs)?.map(Arc::new).iter().try_for_each(&mut take)?;
                        }
                    }
                    _ => take(&Arc::new(segment.load(block, &needs)?))?,
                }
            }
        }
        self.fresh.iter().try_for_each(take)?;
        // Those of an id come in the order of their sequences, and those of several ids are told apart by these.
        let moved = Identities::default().put_together(&moved, &needs);
        let fresh = self.fresh.into_iter().chain((moved.rows() > 0).then(|| Arc::new(moved)));
        let joined = Self::new(self.segments, fresh.collect());
        Ok(Self { needs_seqs: true, hidden: self.hidden, ..joined })
    }

    /// Leaves these customers out, whose numbers are in order.
    pub(crate) fn without(mut self, hidden: Arc<[u32]>) -> Self {
        self.hidden = hidden;
        self
    }

    pub(crate) fn chunks(&self) -> usize {
        self.chunks.len()
    }

    /// Reads the journeys of a chunk, as they lie in segments and fresh runs. All calls on one scan must have the same
    /// needs.
    pub(crate) fn load(&self, chunk: usize, needs: &Needs) -> Result<Vec<Source>> {
        let Some(customers) = self.chunks.get(chunk) else { return Ok(Vec::new()) };
        // Joining journeys of several sources takes times, and sequences if these are not those of the sources.
        let several = self.fresh.len() + self.segments.len() > 1;
        let together = Needs { times: true, seqs: needs.seqs || self.needs_seqs, ..needs.clone() };
        let needs = if several { &together } else { needs };
        let mut sources: Vec<Source> = Vec::new();
        let mut add = |columns: Arc<Columns>| {
            for journeys in self.visible(&columns, positions(&columns, customers)) {
                sources.push(Source { columns: Arc::clone(&columns), journeys });
            }
        };
        for (segment, kept) in self.segments.iter().zip(&self.kept) {
            let first = segment.blocks().partition_point(|block| u64::from(block.last.0) < customers.start);
            for (block, info) in segment.blocks().iter().enumerate().skip(first) {
                if u64::from(info.first.0) >= customers.end {
                    break;
                }
                let whole = customers.contains(&info.first.0.into()) && customers.contains(&info.last.0.into());
                let keep = u64::from(info.last.0) >= customers.end;
                add(if whole {
                    segment.load_again(block, needs)?
                } else {
                    load_kept(segment, kept, block, needs, keep)?
                });
            }
        }
        self.fresh.iter().cloned().for_each(add);
        Ok(sources)
    }
}

impl Scan {
    /// The journeys among these that are not left out.
    fn visible(&self, columns: &Columns, journeys: Range<usize>) -> Vec<Range<usize>> {
        let Some(here) = columns.customers.get(journeys.clone()).filter(|here| !here.is_empty()) else {
            return Vec::new();
        };
        let number = |place: usize| here.get(place).map_or(0, |customer| customer.0);
        let from = self.hidden.partition_point(|hidden| *hidden < number(0));
        let to = self.hidden.partition_point(|hidden| *hidden <= number(here.len() - 1));
        let (mut visible, mut begun) = (Vec::new(), journeys.start);
        for hidden in self.hidden.get(from..to).unwrap_or_default() {
            if let Ok(place) = here.binary_search_by_key(hidden, |customer| customer.0) {
                visible.push(begun..journeys.start + place);
                begun = journeys.start + place + 1;
            }
        }
        visible.push(begun..journeys.end);
        visible.retain(|journeys| !journeys.is_empty());
        visible
    }
}

/// Reads a block, or takes the one that was kept; it is kept if the next chunk reaches into it too.
fn load_kept(segment: &Segment, kept: &Mutex<Kept>, block: usize, needs: &Needs, keep: bool) -> Result<Arc<Columns>> {
    let lock = || kept.lock().unwrap_or_else(PoisonError::into_inner);
    let find = |kept: &Kept| kept.iter().position(|(known, _)| *known == block);
    {
        let mut kept = lock();
        if let Some(place) = find(&kept) {
            return match kept.get(place).filter(|_| keep) {
                Some((_, columns)) => Ok(Arc::clone(columns)),
                None => Ok(kept.swap_remove(place).1),
            };
        }
    }
    let columns = segment.load_again(block, needs)?;
    let mut kept = lock();
    if keep && find(&kept).is_none() && kept.len() < KEPT_BLOCKS {
        kept.push((block, Arc::clone(&columns)));
    }
    Ok(columns)
}

/// Journeys that begin at a customer, and so many events.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Piece {
    customer: u64,
    rows: usize,
    source: usize,
}

/// Cuts the customers into ranges of about a block's rows each. Cuts are made where blocks of the largest source begin,
/// so that these are read whole, and beyond its customers anywhere.
fn chunks(segments: &[Arc<Segment>], fresh: &[Arc<Columns>]) -> Vec<Range<u64>> {
    let mut pieces: Vec<Piece> = Vec::new();
    for (source, segment) in segments.iter().enumerate() {
        let piece = |customer: u32, rows: u32| Piece { customer: customer.into(), rows: rows as usize, source };
        pieces.extend(segment.blocks().iter().map(|block| piece(block.first.0, block.rows)));
    }
    for (source, columns) in (segments.len()..).zip(fresh) {
        let mut rows_before = 0;
        let mut first = None;
        for (customer, rows) in columns.journeys() {
            let begun = *first.get_or_insert(u64::from(customer.0));
            if rows.end - rows_before >= BLOCK_ROWS {
                pieces.push(Piece { customer: begun, rows: rows.end - rows_before, source });
                (rows_before, first) = (rows.end, None);
            }
        }
        pieces.extend(first.map(|customer| Piece { customer, rows: columns.rows() - rows_before, source }));
    }
    pieces.sort_unstable();
    let sizes = segments.iter().map(|segment| segment.rows).chain(fresh.iter().map(|columns| columns.rows() as u64));
    let largest = sizes.enumerate().max_by_key(|(_, rows)| *rows).map_or(0, |(source, _)| source);
    let last = pieces.iter().filter(|piece| piece.source == largest).map(|piece| piece.customer).max();
    let Some(&Piece { customer: mut begun, .. }) = pieces.first() else { return Vec::new() };
    let (mut chunks, mut rows) = (Vec::new(), 0);
    for piece in pieces {
        let may_cut = piece.source == largest || last.is_some_and(|last| piece.customer > last);
        if may_cut && rows >= BLOCK_ROWS && piece.customer > begun {
            chunks.push(begun..piece.customer);
            (begun, rows) = (piece.customer, 0);
        }
        rows += piece.rows;
    }
    chunks.push(begun..u64::MAX);
    chunks
}

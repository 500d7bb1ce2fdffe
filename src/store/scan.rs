//! A scan: segments and fresh journeys seen as one sequence of chunks, each holding whole journeys.

use std::{
    ops::Range,
    sync::{Arc, Mutex, PoisonError},
};

use super::segment::{BLOCK_ROWS, Segment};
use crate::{
    error::Result,
    journey::{Columns, CustomerNo, Needs, Part, merge},
};

/// Blocks of a segment that are kept for the next chunks, since a block may reach over several of them.
const KEPT_BLOCKS: usize = 4;

/// What is scanned, cut into chunks by customer.
#[derive(Debug)]
pub(crate) struct Scan {
    segments: Vec<Arc<Segment>>,
    fresh: Vec<Arc<Columns>>,
    /// The customers of each chunk, by their numbers.
    chunks: Vec<Range<u64>>,
    /// For each segment the blocks read last.
    kept: Vec<Mutex<Kept>>,
}

/// Blocks of one segment, by their places.
type Kept = Vec<(usize, Arc<Columns>)>;

impl Scan {
    pub(crate) fn new(segments: Vec<Arc<Segment>>, fresh: Vec<Arc<Columns>>) -> Self {
        let chunks = chunks(&segments, &fresh);
        let kept = segments.iter().map(|_| Mutex::default()).collect();
        Self { segments, fresh, chunks, kept }
    }

    /// The same with chunks of these customers only, one each.
    pub(crate) fn only(self, customers: &[CustomerNo]) -> Self {
        let chunks = customers.iter().map(|customer| u64::from(customer.0)..u64::from(customer.0) + 1).collect();
        Self { chunks, ..self }
    }

    pub(crate) fn chunks(&self) -> usize {
        self.chunks.len()
    }

    /// Reads the journeys of a chunk. All calls on one scan must have the same needs.
    pub(crate) fn load(&self, chunk: usize, needs: &Needs) -> Result<Arc<Columns>> {
        let Some(customers) = self.chunks.get(chunk) else { return Ok(Arc::default()) };
        let mut sources: Vec<Arc<Columns>> = Vec::new();
        // Interleaving journeys of several sources takes the sequences.
        let together = Needs { seqs: true, ..needs.clone() };
        let several = self.fresh.len() + self.segments.len() > 1;
        let needs = if several { &together } else { needs };
        for (segment, kept) in self.segments.iter().zip(&self.kept) {
            let first = segment.blocks.partition_point(|block| u64::from(block.last.0) < customers.start);
            for (block, info) in segment.blocks.iter().enumerate().skip(first) {
                if u64::from(info.first.0) >= customers.end {
                    break;
                }
                let whole = customers.contains(&info.first.0.into()) && customers.contains(&info.last.0.into());
                sources.push(if whole {
                    Arc::new(segment.load(block, needs)?)
                } else {
                    load_kept(segment, kept, block, needs)?
                });
            }
        }
        sources.extend(self.fresh.iter().cloned());
        let parts: Vec<Part<'_>> = sources
            .iter()
            .map(|columns| Part::of_customers(columns, customers.clone()))
            .filter(|part| !part.journeys.is_empty())
            .collect();
        if let [only] = parts.as_slice()
            && only.journeys.len() == only.columns.customers.len()
            && let Some(columns) = sources.iter().find(|columns| std::ptr::eq(columns.as_ref(), only.columns))
        {
            return Ok(Arc::clone(columns));
        }
        Ok(Arc::new(merge(&parts, needs)))
    }
}

fn load_kept(segment: &Segment, kept: &Mutex<Kept>, block: usize, needs: &Needs) -> Result<Arc<Columns>> {
    let mut kept = kept.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some((_, columns)) = kept.iter().find(|(known, _)| *known == block) {
        return Ok(Arc::clone(columns));
    }
    let columns = Arc::new(segment.load(block, needs)?);
    if kept.len() >= KEPT_BLOCKS {
        kept.remove(0);
    }
    kept.push((block, Arc::clone(&columns)));
    Ok(columns)
}

/// Cuts the customers into ranges of about a block's rows each, where blocks begin.
fn chunks(segments: &[Arc<Segment>], fresh: &[Arc<Columns>]) -> Vec<Range<u64>> {
    let mut pieces: Vec<(u64, usize)> = segments
        .iter()
        .flat_map(|segment| segment.blocks.iter().map(|block| (u64::from(block.first.0), block.rows as usize)))
        .collect();
    for columns in fresh {
        let mut rows_before = 0;
        let mut first = None;
        for (customer, rows) in columns.journeys() {
            let begun = *first.get_or_insert(u64::from(customer.0));
            if rows.end - rows_before >= BLOCK_ROWS {
                pieces.push((begun, rows.end - rows_before));
                (rows_before, first) = (rows.end, None);
            }
        }
        pieces.extend(first.map(|first| (first, columns.rows() - rows_before)));
    }
    pieces.sort_unstable();
    let Some(&(mut begun, _)) = pieces.first() else { return Vec::new() };
    let (mut chunks, mut rows) = (Vec::new(), 0);
    for (start, size) in pieces {
        if rows >= BLOCK_ROWS && start > begun {
            chunks.push(begun..start);
            (begun, rows) = (start, 0);
        }
        rows += size;
    }
    chunks.push(begun..u64::MAX);
    chunks
}

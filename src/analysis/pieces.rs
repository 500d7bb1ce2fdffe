//! Pieces of what is read together: whole journeys, and few enough rows to stay in the nearest caches.

use std::ops::Range;

use crate::journey::{Part, Source, positions};

/// About so many rows are read at a time, so that what is picked of them stays in the nearest caches.
pub(super) const ROWS_AT_ONCE: usize = 32 * 1024;
/// Room for more rows than this is given back once it was used: journeys are not cut, and one long one must not hold on to it until a
/// question ends.
pub(super) const LARGE_ROOM: usize = 2 * ROWS_AT_ONCE;

/// Cuts sources into pieces of whole journeys and about so many rows, along the largest of them; customers before and after
/// its own are not cut.
pub(super) fn pieces(sources: &[Source], rows: usize) -> Vec<Vec<Part<'_>>> {
    let Some(largest) = sources.iter().map(Part::from).max_by_key(|part| part.rows().len()) else { return Vec::new() };
    let all = sources.iter().map(|source| Part::from(source).rows().len()).sum::<usize>();
    let at_once = largest.rows().len().saturating_mul(rows).checked_div(all).unwrap_or_default().max(1);
    let mut cuts = vec![0];
    let mut journey = largest.journeys.start;
    while journey < largest.journeys.end {
        let customer = largest.columns.customers.get(journey).map_or(0, |customer| u64::from(customer.0));
        if journey > largest.journeys.start {
            cuts.push(customer);
        }
        journey = largest.first_after(journey, at_once);
    }
    cuts.push(u64::MAX);
    let piece = |cut: Range<u64>| {
        let part = |source| {
            let part = Part::from(source);
            let here = positions(part.columns, &cut);
            let journeys = here.start.max(part.journeys.start)..here.end.min(part.journeys.end);
            Part { journeys: journeys.start..journeys.end.max(journeys.start), ..part }
        };
        // Parts without journeys would only stand in the way of the short ways for one part.
        sources.iter().map(part).filter(|part| !part.journeys.is_empty()).collect()
    };
    cuts.iter().zip(cuts.iter().skip(1)).map(|(&from, &to)| piece(from..to)).collect()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::{
        journey::{ChannelNo, Chunk, Columns, CustomerNo, NO_STAGE, Row, TouchpointNo},
        model::Micros,
    };

    fn source(customers: impl Iterator<Item = u32>, first_seq: u64) -> Source {
        let row = |(customer, seq): (u32, u64)| Row {
            customer: CustomerNo(customer),
            time: Micros(seq.cast_signed()),
            seq,
            touchpoint: TouchpointNo(0),
            channel: ChannelNo(0),
            stage: NO_STAGE,
            value: None,
            feedback: None,
            properties: vec![],
        };
        let columns = Columns::from_rows(customers.zip(first_seq..).map(row).collect());
        Source { journeys: 0..columns.customers.len(), columns: Arc::new(columns) }
    }

    #[test]
    fn pieces_hold_every_journey_once_and_whole() {
        let mut random = fastrand::Rng::with_seed(9);
        for _ in 0..300 {
            let mut sources = Vec::new();
            for place in 0..random.u64(0..4) {
                let count = random.usize(1..200);
                let mut source = source((0..count).map(|_| random.u32(0..60)), place * 1_000);
                // As where a chunk begins and ends within a block.
                source.journeys.start = random.usize(0..=source.journeys.end);
                sources.push(source);
            }
            let customers = |parts: Vec<Part<'_>>| {
                let chunk = Chunk::new(parts);
                chunk
                    .journeys()
                    .map(|(customer, spans)| (customer, spans.iter().map(|span| span.rows().len()).sum::<usize>()))
                    .collect::<Vec<_>>()
            };
            let whole = customers(sources.iter().map(Part::from).collect());
            let cut = pieces(&sources, 20);
            assert!(cut.len() > 1 || whole.iter().map(|(_, rows)| rows).sum::<usize>() < 100);
            assert_eq!(cut.into_iter().flat_map(customers).collect::<Vec<_>>(), whole);
        }
    }
}

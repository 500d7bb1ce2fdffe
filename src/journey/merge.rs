//! Several sets of columns made one, in the order of customer, time and sequence.

use std::{
    cmp::Reverse,
    collections::{BTreeSet, BinaryHeap},
    ops::Range,
};

use super::{Columns, CustomerNo, NO_STAGE, Needs, PropertyColumn, property_column::PropertyColumnBuilder};

/// Some whole journeys of one set of columns: `journeys` are positions in its list of customers.
#[derive(Debug, Clone)]
pub(crate) struct Part<'a> {
    pub(crate) columns: &'a Columns,
    pub(crate) journeys: Range<usize>,
}

impl<'a> Part<'a> {
    /// All journeys of these columns.
    pub(crate) fn whole(columns: &'a Columns) -> Self {
        Self { columns, journeys: 0..columns.customers.len() }
    }

    /// The journeys of the customers in this range.
    pub(crate) fn of_customers(columns: &'a Columns, customers: Range<u64>) -> Self {
        let at = |limit: u64| columns.customers.partition_point(|c| u64::from(c.0) < limit);
        Self { columns, journeys: at(customers.start)..at(customers.end) }
    }

    fn customer(&self) -> Option<CustomerNo> {
        self.columns.customers.get(self.journeys.start).filter(|_| !self.journeys.is_empty()).copied()
    }

    fn rows(&self) -> Range<usize> {
        let at = |i: usize| self.columns.starts.get(i).copied().unwrap_or_default() as usize;
        at(self.journeys.start)..at(self.journeys.start + 1)
    }
}

/// Rows that stand together in one source and stay together in the result.
struct Span {
    source: usize,
    rows: Range<usize>,
}

/// Merges the columns of the parts that are needed; a column that a part lacks is "nothing there" for its rows.
pub(crate) fn merge(parts: &[Part<'_>], needs: &Needs) -> Columns {
    let mut merged = Columns::default();
    let mut spans: Vec<Span> = Vec::new();
    let mut ahead: Vec<Part<'_>> = parts.to_vec();
    let mut heap: BinaryHeap<Reverse<(CustomerNo, usize)>> =
        ahead.iter().enumerate().filter_map(|(i, part)| Some(Reverse((part.customer()?, i)))).collect();
    let mut row = 0;
    let mut same: Vec<Span> = Vec::new();
    while let Some(Reverse((customer, _))) = heap.peek().copied() {
        while let Some(Reverse((next, source))) = heap.peek().copied()
            && next == customer
        {
            heap.pop();
            let Some(part) = ahead.get_mut(source) else { continue };
            same.push(Span { source, rows: part.rows() });
            part.journeys.start += 1;
            if let Some(following) = part.customer() {
                heap.push(Reverse((following, source)));
            }
        }
        merged.open_journey(customer, row);
        row += same.iter().map(|span| span.rows.len()).sum::<usize>();
        if same.len() == 1 {
            spans.append(&mut same);
        } else {
            interleave(parts, &mut same, &mut spans);
        }
    }
    gather(parts, &spans, needs, &mut merged);
    merged.close_journeys();
    merged
}

/// Orders the rows of one customer from several sources by (time, sequence), keeping runs together.
fn interleave(parts: &[Part<'_>], same: &mut Vec<Span>, spans: &mut Vec<Span>) {
    let key_at = |source: usize, row: usize| {
        let columns = parts.get(source)?.columns;
        Some((*columns.times.get(row)?, columns.seqs.get(row).copied().unwrap_or_default()))
    };
    let key = |span: &Span| key_at(span.source, span.rows.start);
    // Sources are often of different times: then the spans only have to be put in order.
    same.sort_unstable_by_key(key);
    let last = |span: &Span| key_at(span.source, span.rows.end.saturating_sub(1));
    if same.is_sorted_by(|a, b| last(a) <= key(b)) {
        spans.append(same);
        return;
    }
    let mut heap: BinaryHeap<Reverse<_>> =
        same.iter().enumerate().filter_map(|(i, span)| Some(Reverse((key(span)?, i)))).collect();
    while let Some(Reverse((_, i))) = heap.pop() {
        let limit = heap.peek().map(|Reverse((key, _))| *key);
        let Some(span) = same.get_mut(i) else { continue };
        let first = span.rows.start;
        loop {
            span.rows.start += 1;
            let next = if span.rows.is_empty() { None } else { key(span) };
            match (next, limit) {
                (Some(next), Some(limit)) if next > limit => heap.push(Reverse((next, i))),
                (Some(_), _) => continue,
                (None, _) => {}
            }
            spans.push(Span { source: span.source, rows: first..span.rows.start });
            break;
        }
    }
    same.clear();
}

fn gather(parts: &[Part<'_>], spans: &[Span], needs: &Needs, merged: &mut Columns) {
    merged.times = column(parts, spans, |c| &c.times, None);
    merged.touchpoints = column(parts, spans, |c| &c.touchpoints, None);
    if needs.seqs {
        merged.seqs = column(parts, spans, |c| &c.seqs, None);
    }
    if needs.channels {
        merged.channels = column(parts, spans, |c| &c.channels, None);
    }
    if needs.stages {
        merged.stages = column(parts, spans, |c| &c.stages, Some(NO_STAGE));
    }
    if needs.values {
        merged.values = column(parts, spans, |c| &c.values, Some(None));
    }
    if needs.feedback {
        merged.feedback = column(parts, spans, |c| &c.feedback, Some(None));
    }
    let properties: BTreeSet<u32> = parts.iter().flat_map(|part| part.columns.properties.keys().copied()).collect();
    merged.properties = properties
        .into_iter()
        .filter(|property| needs.properties.contains(*property))
        .map(|property| (property, property_column(parts, spans, property)))
        .collect();
}

/// One column of the result. Sources without it are filled with `missing`, unless no source has it.
fn column<T: Copy>(parts: &[Part<'_>], spans: &[Span], of: impl Fn(&Columns) -> &Vec<T>, missing: Option<T>) -> Vec<T> {
    if parts.iter().all(|part| of(part.columns).is_empty()) {
        return Vec::new();
    }
    let mut merged = Vec::with_capacity(spans.iter().map(|span| span.rows.len()).sum());
    for span in spans {
        let rows = parts.get(span.source).and_then(|part| of(part.columns).get(span.rows.clone()));
        match (rows, missing) {
            (Some(rows), _) => merged.extend_from_slice(rows),
            (None, Some(missing)) => merged.extend(std::iter::repeat_n(missing, span.rows.len())),
            (None, None) => {}
        }
    }
    merged
}

fn property_column(parts: &[Part<'_>], spans: &[Span], property: u32) -> PropertyColumn {
    const UNSEEN: u32 = u32::MAX;
    let mut builder = PropertyColumnBuilder::default();
    // For each source its column, and the new places of its values, found when they first occur.
    let mut sources: Vec<Option<(&PropertyColumn, Vec<u32>)>> = parts
        .iter()
        .map(|part| part.columns.properties.get(&property).map(|column| (column, vec![UNSEEN; column.values.len()])))
        .collect();
    let mut row = 0;
    for span in spans {
        if let Some(Some((column, places))) = sources.get_mut(span.source) {
            for (here, code) in column.within(span.rows.clone()) {
                let (Some(place), Some(value)) = (places.get_mut(code as usize), column.values.get(code as usize))
                else {
                    continue;
                };
                if *place == UNSEEN {
                    *place = builder.code(value);
                }
                builder.set(row + here - span.rows.start, *place);
            }
        }
        row += span.rows.len();
    }
    builder.finish()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        journey::{ChannelNo, Row, TouchpointNo},
        model::{Micros, PropertyValue},
    };

    fn row(customer: u32, time: i64, seq: u64) -> Row {
        Row {
            customer: CustomerNo(customer),
            time: Micros(time),
            seq,
            touchpoint: TouchpointNo(u32::try_from(seq % 5).unwrap()),
            channel: ChannelNo(0),
            stage: if seq.is_multiple_of(3) { 7 } else { NO_STAGE },
            value: None,
            feedback: None,
            properties: if seq.is_multiple_of(4) {
                vec![(2, PropertyValue::from(i64::try_from(seq % 8).unwrap()))]
            } else {
                vec![]
            },
        }
    }

    /// Rows dense in ties, dealt to several sources, come out as if they had been sorted together.
    #[test]
    fn merging_is_sorting() {
        let mut random = fastrand::Rng::with_seed(7);
        for _ in 0..200 {
            let rows: Vec<Row> =
                (0..random.u64(0..60)).map(|seq| row(random.u32(0..5), random.i64(0..6), seq)).collect();
            let mut dealt: Vec<Vec<Row>> = vec![Vec::new(); 4];
            for row in &rows {
                dealt[random.usize(0..4)].push(row.clone());
            }
            let sources: Vec<Columns> = dealt.into_iter().map(Columns::from_rows).collect();
            let merged = merge(&sources.iter().map(Part::whole).collect::<Vec<_>>(), &Needs::everything());
            let expected = Columns::from_rows(rows);
            assert_eq!(merged.customers, expected.customers);
            assert_eq!(merged.starts, expected.starts);
            assert_eq!(merged.seqs, expected.seqs);
            assert_eq!(merged.touchpoints, expected.touchpoints);
            assert_eq!(merged.stages, expected.stages);
            for row in 0..merged.rows() {
                let value = |c: &Columns| c.properties.get(&2).and_then(|p| p.get(row)).cloned();
                assert_eq!(value(&merged), value(&expected));
            }
        }
    }
}

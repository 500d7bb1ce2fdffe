//! A chunk: journeys of some customers, whose events may lie in several sets of columns, seen in the order of customer,
//! time and sequence.

use std::{
    cmp::Reverse,
    collections::{BTreeSet, BinaryHeap},
    ops::Range,
    sync::Arc,
};

use super::{
    Columns, CustomerNo, NO_STAGE, Needs, PropertyColumn, ReservedNumbers,
    column::{Column, Number},
    columns::offset,
    property_column::PropertyColumnBuilder,
};
use crate::model::Micros;

/// Some whole journeys of a set of columns: `journeys` are positions in its list of customers.
#[derive(Debug, Clone)]
pub(crate) struct Source {
    pub(crate) columns: Arc<Columns>,
    pub(crate) journeys: Range<usize>,
}

impl Source {
    /// The rows of its journeys.
    pub(crate) fn rows(&self) -> Range<usize> {
        Part::from(self).rows()
    }

    /// The time of the last event in them among those whose sequences are wanted; entries that are no events do not count.
    pub(crate) fn last_event(&self, reserved: ReservedNumbers, is_wanted: &impl Fn(u64) -> bool) -> Option<Micros> {
        let (columns, rows) = (&self.columns, self.rows());
        let mut seqs = columns.seqs.to_vec().into_iter().skip(rows.start);
        let mut touchpoints = columns.touchpoints.to_vec().into_iter().skip(rows.start);
        let mut last = None;
        columns.times.for_each(rows, |time| {
            let is_event = touchpoints.next().is_none_or(|touchpoint| !reserved.contains(touchpoint));
            if seqs.next().is_none_or(is_wanted) && is_event {
                last = last.max(Some(time));
            }
        });
        last
    }
}

/// The same, borrowed.
#[derive(Debug, Clone)]
pub(crate) struct Part<'a> {
    pub(crate) columns: &'a Columns,
    pub(crate) journeys: Range<usize>,
}

/// The positions of customers in this range in a set of columns.
pub(crate) fn positions(columns: &Columns, customers: &Range<u64>) -> Range<usize> {
    let at = |limit: u64| columns.customers.partition_point(|c| u64::from(c.0) < limit);
    at(customers.start)..at(customers.end)
}

impl<'a> From<&'a Source> for Part<'a> {
    fn from(source: &'a Source) -> Self {
        Self { columns: &source.columns, journeys: source.journeys.clone() }
    }
}

impl<'a> Part<'a> {
    /// All journeys of these columns.
    pub(crate) fn whole(columns: &'a Columns) -> Self {
        Self { columns, journeys: 0..columns.customers.len() }
    }

    fn customer(&self) -> Option<CustomerNo> {
        self.columns.customers.get(self.journeys.start).filter(|_| !self.journeys.is_empty()).copied()
    }

    fn start(&self, journey: usize) -> u32 {
        self.columns.starts.get(journey).copied().unwrap_or_default()
    }

    /// The first journey that begins at least so many rows after this one does, else the end of its journeys.
    pub(crate) fn first_after(&self, journey: usize, rows: usize) -> usize {
        let limit = self.start(journey).saturating_add(offset(rows));
        let starts = self.columns.starts.get(journey..self.journeys.end).unwrap_or_default();
        (journey + starts.partition_point(|&start| start < limit)).max(journey + 1)
    }

    /// The rows of all its journeys.
    pub(crate) fn rows(&self) -> Range<usize> {
        self.start(self.journeys.start) as usize..self.start(self.journeys.end) as usize
    }
}

/// Rows that stand together in one part, and in their journey.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Span {
    pub(crate) part: u32,
    start: u32,
    end: u32,
}

impl Span {
    pub(crate) fn rows(self) -> Range<usize> {
        self.start as usize..self.end as usize
    }

    pub(crate) fn first_row(self) -> u32 {
        self.start
    }

    pub(crate) fn end_row(self) -> u32 {
        self.end
    }

    fn len(self) -> usize {
        self.rows().len()
    }
}

/// Journeys in order of customers: for each the spans of its rows, in the order of its events.
///
/// Where two parts tie in time, sequences decide if they were read, else the order of the parts: parts must then be in
/// the order of their sequences.
#[derive(Debug)]
pub(crate) struct Chunk<'a> {
    pub(crate) parts: Vec<Part<'a>>,
    customers: Vec<CustomerNo>,
    spans: Vec<Span>,
    /// For each journey where its spans end.
    ends: Vec<u32>,
}

impl<'a> Chunk<'a> {
    pub(crate) fn new(parts: Vec<Part<'a>>) -> Self {
        let mut chunk = Self { parts, customers: Vec::new(), spans: Vec::new(), ends: Vec::new() };
        match chunk.parts.as_slice() {
            [only] => chunk.take_all(&only.clone()),
            _ => chunk.join(),
        }
        chunk
    }

    /// Journeys put together from those of several ids: for each of these whose it is, in which part, and where in that.
    /// Times and sequences must have been read.
    pub(crate) fn put_together(parts: Vec<Part<'a>>, mut pieces: Vec<(CustomerNo, u32, Range<usize>)>) -> Self {
        pieces.sort_by_key(|(customer, part, rows)| (*customer, *part, rows.start));
        let mut chunk = Self { parts, customers: Vec::new(), spans: Vec::new(), ends: Vec::new() };
        let span = |(_, part, rows): &(_, u32, Range<usize>)| Span {
            part: *part,
            start: offset(rows.start),
            end: offset(rows.end),
        };
        for of_one in pieces.chunk_by(|a, b| a.0 == b.0) {
            let mut same: Vec<Span> = of_one.iter().map(span).collect();
            if same.len() > 1 {
                chunk.interleave(&mut same);
            }
            chunk.customers.extend(of_one.first().map(|(customer, ..)| *customer));
            chunk.spans.append(&mut same);
            chunk.ends.push(offset(chunk.spans.len()));
        }
        chunk
    }

    fn take_all(&mut self, part: &Part<'a>) {
        let Range { start, end } = part.journeys.clone();
        self.customers.extend_from_slice(part.columns.customers.get(start..end).unwrap_or_default());
        let starts = part.columns.starts.get(start..=end).unwrap_or_default();
        self.spans.extend(starts.iter().zip(starts.iter().skip(1)).map(|(&start, &end)| Span { part: 0, start, end }));
        self.ends.extend((1..).take(self.spans.len()));
    }

    /// Walks all parts at once, customer by customer.
    fn join(&mut self) {
        const NONE: u64 = u64::MAX;
        let head = |part: &Part<'_>| part.customer().map_or(NONE, |customer| u64::from(customer.0));
        let mut ahead = self.parts.clone();
        let mut heads: Vec<u64> = ahead.iter().map(head).collect();
        let mut same: Vec<Span> = Vec::new();
        while let Some(next) = heads.iter().copied().min().filter(|next| *next != NONE) {
            for (place, (here, part)) in (0..).zip(heads.iter_mut().zip(&mut ahead)) {
                if *here == next {
                    let journey = part.journeys.start;
                    same.push(Span { part: place, start: part.start(journey), end: part.start(journey + 1) });
                    part.journeys.start += 1;
                    *here = head(part);
                }
            }
            self.customers.push(CustomerNo(u32::try_from(next).unwrap_or(u32::MAX)));
            if same.len() > 1 {
                self.interleave(&mut same);
            }
            self.spans.append(&mut same);
            self.ends.push(offset(self.spans.len()));
        }
    }

    /// What a row is ordered by within its journey.
    fn key(&self, part: u32, row: u32) -> (Option<Micros>, Option<u64>, u32) {
        let columns = self.parts.get(part as usize).map(|part| part.columns);
        let row = row as usize;
        (columns.and_then(|c| c.times.get(row)), columns.and_then(|c| c.seqs.get(row)), part)
    }

    /// Orders the rows of one customer by (time, sequence), keeping runs together. Of two spans of one part sequences must
    /// have been read.
    fn interleave(&self, same: &mut Vec<Span>) {
        let first = |span: &Span| self.key(span.part, span.start);
        let last = |span: &Span| self.key(span.part, span.end.saturating_sub(1));
        // Parts are often of different times: then the spans only have to be put in order.
        if !same.is_sorted_by_key(first) {
            same.sort_unstable_by_key(first);
        }
        if same.iter().zip(same.iter().skip(1)).all(|(a, b)| last(a) <= first(b)) {
            return;
        }
        let mut left = std::mem::take(same);
        let mut heap: BinaryHeap<Reverse<_>> =
            left.iter().enumerate().map(|(place, span)| Reverse((first(span), place))).collect();
        while let Some(Reverse((_, place))) = heap.pop() {
            let limit = heap.peek().map(|Reverse((key, _))| *key);
            let Some(Span { part, start, end }) = left.get(place).copied() else { continue };
            let mut row = start;
            loop {
                row += 1;
                if row >= end {
                    break;
                }
                let key = self.key(part, row);
                if limit.is_some_and(|limit| key > limit) {
                    heap.push(Reverse((key, place)));
                    break;
                }
            }
            if let Some(span) = left.get_mut(place) {
                span.start = row;
            }
            same.push(Span { part, start, end: row });
        }
    }

    /// Leaves the journeys of some customers out, who are in order.
    pub(crate) fn leave_out(&mut self, customers: impl IntoIterator<Item = CustomerNo>) {
        let mut left_out = customers.into_iter().peekable();
        if left_out.peek().is_none() {
            return;
        }
        let (mut kept, mut begin) = (0, 0);
        let mut spans = Vec::with_capacity(self.spans.len());
        for place in 0..self.customers.len() {
            let (Some(&customer), Some(&end)) = (self.customers.get(place), self.ends.get(place)) else { break };
            while left_out.next_if(|left_out| *left_out < customer).is_some() {}
            if left_out.peek() != Some(&customer) {
                spans.extend_from_slice(self.spans.get(begin..end as usize).unwrap_or_default());
                if let (Some(to), Some(ends)) = (self.customers.get_mut(kept), self.ends.get_mut(kept)) {
                    (*to, *ends) = (customer, offset(spans.len()));
                }
                kept += 1;
            }
            begin = end as usize;
        }
        self.customers.truncate(kept);
        self.ends.truncate(kept);
        self.spans = spans;
    }

    /// The first and the last customer.
    pub(crate) fn customers(&self) -> Option<(CustomerNo, CustomerNo)> {
        Some((*self.customers.first()?, *self.customers.last()?))
    }

    /// How many journeys.
    pub(crate) fn len(&self) -> usize {
        self.customers.len()
    }

    /// Where the rows of each journey end, if there is only one part.
    pub(crate) fn ends_in_one_part(&self) -> Option<impl Iterator<Item = u32>> {
        let [part] = self.parts.as_slice() else { return None };
        Some(self.spans.iter().map(|span| span.end)).filter(|_| part.journeys.len() == self.spans.len())
    }

    /// Each customer with the spans of the journey, in order of customers' numbers.
    pub(crate) fn journeys(&self) -> impl Iterator<Item = (CustomerNo, &[Span])> {
        let mut begin = 0;
        self.customers.iter().zip(&self.ends).map(move |(&customer, &end)| {
            let spans = self.spans.get(begin..end as usize).unwrap_or_default();
            begin = end as usize;
            (customer, spans)
        })
    }

    /// How many events.
    pub(crate) fn rows(&self) -> usize {
        self.parts.iter().map(|part| part.rows().len()).sum()
    }

    /// Cuts the journeys into pieces of at least that many events, but for the last, which may be smaller.
    pub(crate) fn cut(&self, rows: usize) -> Vec<Range<usize>> {
        let (mut pieces, mut begun, mut here) = (Vec::new(), 0, 0);
        let mut left = self.rows();
        for (i, (_, spans)) in self.journeys().enumerate() {
            let journey: usize = spans.iter().map(|span| span.len()).sum();
            (here, left) = (here + journey, left - journey);
            // What is left over joins the last piece.
            if here >= rows && left >= rows {
                pieces.push(begun..i + 1);
                (begun, here) = (i + 1, 0);
            }
        }
        if begun < self.len() {
            pieces.push(begun..self.len());
        }
        pieces
    }

    /// Copies the columns of some journeys that are needed; a column that a part lacks is "nothing there" for its rows.
    pub(crate) fn gather(&self, journeys: Range<usize>, needs: &Needs) -> Columns {
        let mut gathered = Columns::default();
        let mut row = 0;
        let begin = journeys.start.checked_sub(1).and_then(|before| self.ends.get(before)).copied().unwrap_or_default();
        let mut end = begin;
        for (customer, ends) in self.customers.iter().zip(&self.ends).take(journeys.end).skip(journeys.start) {
            gathered.open_journey(*customer, row);
            let spans = self.spans.get(end as usize..*ends as usize).unwrap_or_default();
            row += spans.iter().map(|span| span.len()).sum::<usize>();
            end = *ends;
        }
        gathered.close_journeys(row);
        let spans = self.spans.get(begin as usize..end as usize).unwrap_or_default();
        Gathering { parts: &self.parts, spans, rows: row }.fill(needs, &mut gathered);
        gathered
    }
}

/// Joins the columns of the parts that are needed.
pub(crate) fn merge(parts: &[Part<'_>], needs: &Needs) -> Columns {
    let chunk = Chunk::new(parts.to_vec());
    chunk.gather(0..chunk.len(), needs)
}

/// Rows to be copied.
struct Gathering<'a> {
    parts: &'a [Part<'a>],
    spans: &'a [Span],
    rows: usize,
}

impl Gathering<'_> {
    fn fill(&self, needs: &Needs, into: &mut Columns) {
        if needs.times {
            into.times = self.numbers(|c| &c.times);
        }
        if needs.touchpoints {
            into.touchpoints = self.numbers(|c| &c.touchpoints);
        }
        if needs.seqs {
            into.seqs = self.numbers(|c| &c.seqs);
        }
        if needs.channels {
            into.channels = self.numbers(|c| &c.channels);
        }
        if needs.stages {
            into.stages = self.column(|c| &c.stages, NO_STAGE);
        }
        if needs.values {
            into.values = self.column(|c| &c.values, None);
        }
        if needs.feedback {
            into.feedback = self.column(|c| &c.feedback, None);
        }
        let properties: BTreeSet<u32> =
            self.parts.iter().flat_map(|part| part.columns.properties.keys().copied()).collect();
        let is_needed = |property: &u32| needs.properties.contains(*property) || needs.profiles.contains(*property);
        let mut properties = properties.into_iter().filter(is_needed).peekable();
        if properties.peek().is_some() {
            let becomes = self.becomes();
            into.properties = properties.map(|property| (property, self.property(property, &becomes))).collect();
        }
    }

    /// For each part the row that each of its rows becomes.
    fn becomes(&self) -> Vec<Becomes> {
        let mut becomes: Vec<Becomes> = self.parts.iter().map(|_| Becomes::default()).collect();
        for span in self.spans {
            becomes.get_mut(span.part as usize).into_iter().for_each(|becomes| becomes.widen(*span));
        }
        let mut row = 0;
        for span in self.spans {
            becomes.get_mut(span.part as usize).into_iter().for_each(|becomes| becomes.note(*span, row));
            row += offset(span.len());
        }
        becomes
    }

    fn numbers<T: Number>(&self, of: impl Fn(&Columns) -> &Column<T>) -> Column<T> {
        let mut joined = Vec::with_capacity(self.rows);
        for span in self.spans {
            if let Some(part) = self.parts.get(span.part as usize) {
                of(part.columns).append_to(&mut joined, span.rows());
            }
        }
        Column::Plain(joined)
    }

    /// One column. Parts without it are filled with `missing`, unless no part has it.
    fn column<T: Copy>(&self, of: impl Fn(&Columns) -> &Vec<T>, missing: T) -> Vec<T> {
        if self.parts.iter().all(|part| of(part.columns).is_empty()) {
            return Vec::new();
        }
        let mut joined = Vec::with_capacity(self.rows);
        for span in self.spans {
            let rows = self.parts.get(span.part as usize).and_then(|part| of(part.columns).get(span.rows()));
            match rows {
                Some(rows) => joined.extend_from_slice(rows),
                None => joined.extend(std::iter::repeat_n(missing, span.len())),
            }
        }
        joined
    }

    /// One property. Only rows that have it are looked at: there may be a thousand properties of a few rows each.
    fn property(&self, property: u32, becomes: &[Becomes]) -> PropertyColumn {
        const UNSEEN: u32 = u32::MAX;
        let columns: Vec<_> = self.parts.iter().map(|part| part.columns.properties.get(&property)).collect();
        let found = (0_u32..).zip(columns.iter().zip(becomes)).filter_map(|(part, (column, becomes))| {
            let rows = column.as_ref()?.within(becomes.rows());
            Some(rows.filter_map(move |(row, code)| Some((becomes.row(row)?, part, code))))
        });
        let found = in_order_of_rows(found.flatten(), self.rows);
        // For each part the new places of its values, found when they first occur.
        let mut places: Vec<Vec<u32>> =
            columns.iter().map(|column| vec![UNSEEN; column.map_or(0, |column| column.values.len())]).collect();
        let mut builder = PropertyColumnBuilder::default();
        for (row, part, code) in found {
            let part = part as usize;
            let value = columns.get(part).copied().flatten().and_then(|column| column.values.get(code as usize));
            let place = places.get_mut(part).and_then(|places| places.get_mut(code as usize));
            if let (Some(value), Some(place)) = (value, place) {
                if *place == UNSEEN {
                    *place = builder.code(value);
                }
                builder.set(row as usize, *place);
            }
        }
        builder.finish()
    }
}

/// Cells of distinct rows with what belongs to them, in the order of the rows.
fn in_order_of_rows(cells: impl Iterator<Item = (u32, u32, u32)>, rows: usize) -> Vec<(u32, u32, u32)> {
    const NONE: (u32, u32, u32) = (u32::MAX, 0, 0);
    let mut found: Vec<(u32, u32, u32)> = cells.collect();
    if found.len() < rows / 8 {
        found.sort_unstable();
        return found;
    }
    // Most rows have one: cheaper than sorting is to lay them out.
    let mut laid = vec![NONE; rows];
    for cell in found {
        if let Some(place) = laid.get_mut(cell.0 as usize) {
            *place = cell;
        }
    }
    laid.retain(|cell| *cell != NONE);
    laid
}

/// What the rows of a part become: those from the first that is copied to the last.
#[derive(Default)]
struct Becomes {
    first: usize,
    end: usize,
    rows: Vec<u32>,
}

impl Becomes {
    /// In the place of a row that is not copied.
    const GONE: u32 = u32::MAX;

    /// Notes that there will be the rows of a span, before any is noted. Spans are seldom out of order but where ids are linked.
    fn widen(&mut self, span: Span) {
        let Range { start, end } = span.rows();
        self.first = if self.end == 0 { start } else { self.first.min(start) };
        self.end = self.end.max(end);
    }

    /// Notes that the rows of a span become those from `row` on.
    fn note(&mut self, span: Span, row: u32) {
        if self.rows.is_empty() {
            self.rows = vec![Self::GONE; self.end.saturating_sub(self.first)];
        }
        let place = span.rows().start.saturating_sub(self.first);
        let rows = self.rows.iter_mut().skip(place).take(span.len());
        rows.zip(row..).for_each(|(becomes, row)| *becomes = row);
    }

    fn rows(&self) -> Range<usize> {
        self.first..self.first + self.rows.len()
    }

    fn row(&self, row: usize) -> Option<u32> {
        self.rows.get(row.checked_sub(self.first)?).copied().filter(|row| *row != Self::GONE)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        journey::{ChannelNo, Row, TouchpointNo},
        model::PropertyValue,
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

    fn same_rows(merged: &Columns, expected: &Columns) {
        assert_eq!(merged.customers, expected.customers);
        assert_eq!(merged.starts, expected.starts);
        assert_eq!(merged.times, expected.times);
        assert_eq!(merged.touchpoints, expected.touchpoints);
        assert_eq!(merged.stages, expected.stages);
        for row in 0..merged.rows() {
            let value = |c: &Columns| c.properties.get(&2).and_then(|p| p.get(row)).cloned();
            assert_eq!(value(merged), value(expected));
        }
    }

    /// Rows dense in ties, dealt to several parts, come out as if they had been sorted together.
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
            let parts: Vec<_> = sources.iter().map(Part::whole).collect();
            let merged = merge(&parts, &Needs::everything());
            let expected = Columns::from_rows(rows);
            assert_eq!(merged.seqs, expected.seqs);
            same_rows(&merged, &expected);
            // Piece by piece it is the same.
            let chunk = Chunk::new(parts);
            let pieces = chunk.cut(7);
            assert!(pieces.iter().map(Range::len).sum::<usize>() == chunk.len());
            let pieces: Vec<Columns> = pieces.into_iter().map(|p| chunk.gather(p, &Needs::everything())).collect();
            let together: Vec<Part<'_>> = pieces.iter().map(Part::whole).collect();
            assert_eq!(merge(&together, &Needs::everything()).seqs, expected.seqs);
        }
    }

    /// Parts in the order of their sequences need no sequences to be merged.
    #[test]
    fn parts_in_order_decide_ties() {
        let mut random = fastrand::Rng::with_seed(8);
        for _ in 0..200 {
            let rows: Vec<Row> =
                (0..random.u64(0..60)).map(|seq| row(random.u32(0..5), random.i64(0..6), seq)).collect();
            let size = random.usize(1..30);
            let mut sources: Vec<Columns> = rows.chunks(size).map(|part| Columns::from_rows(part.to_vec())).collect();
            sources.iter_mut().for_each(|columns| columns.seqs = Column::default());
            let parts: Vec<_> = sources.iter().map(Part::whole).collect();
            same_rows(&merge(&parts, &Needs::everything()), &Columns::from_rows(rows));
        }
    }
}

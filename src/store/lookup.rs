//! One customer's journey out of a segment: only the pages it lies on are read.

use std::ops::Range;

use super::segment::{PAGE, Place, Segment};
use crate::{
    codec::{ColumnId, read_feedback},
    error::Result,
    journey::{ChannelNo, Chunk, Column, Columns, CustomerNo, Header, Needs, Packed, Part, TouchpointNo},
    model::Micros,
};

impl Segment {
    /// The journey of one customer, with the columns that are needed; `None` if it holds none.
    pub(crate) fn journey(&self, customer: CustomerNo, needs: &Needs) -> Result<Option<Columns>> {
        self.noting(self.look_up(customer, needs))
    }

    fn look_up(&self, customer: CustomerNo, needs: &Needs) -> Result<Option<Columns>> {
        let block = self.blocks().partition_point(|block| block.last < customer);
        let Some(info) = self.blocks().get(block).filter(|info| info.first <= customer) else { return Ok(None) };
        let column = |id| {
            let found = info.columns.iter().find(|place| place.id == id);
            found.ok_or_else(|| self.damaged(&format!("column {id:?} of block {block}"), "it is missing"))
        };
        let Some(position) = self.position(column(ColumnId::Customers)?, info.rows, customer)? else { return Ok(None) };
        let starts = self.numbers(column(ColumnId::Starts)?, position..position + 2)?;
        let &[start, end] = starts.as_slice() else { return Ok(None) };
        let rows = row(start)..row(end);
        if rows.is_empty() || end > info.rows.into() {
            return Err(self.damaged(&format!("block {block}"), "its columns do not fit together"));
        }
        let mut journey = Columns {
            customers: vec![customer].into(),
            starts: vec![0, narrow(end - start)].into(),
            ..Columns::default()
        };
        for place in info.columns.iter().filter(|place| place.id.is_needed(needs)) {
            let numbers = || self.numbers(place, rows.clone());
            match place.id {
                ColumnId::Times => {
                    journey.times = Column::Plain(numbers()?.into_iter().map(|n| Micros(n.cast_signed())).collect());
                }
                ColumnId::Seqs => journey.seqs = Column::Plain(numbers()?),
                ColumnId::Touchpoints => {
                    journey.touchpoints =
                        Column::Plain(numbers()?.into_iter().map(|n| TouchpointNo(narrow(n))).collect());
                }
                ColumnId::Channels => {
                    journey.channels = Column::Plain(numbers()?.into_iter().map(|n| ChannelNo(narrow(n))).collect());
                }
                ColumnId::Stages => {
                    journey.stages = numbers()?.into_iter().map(|n| narrow(n).wrapping_sub(1)).collect();
                }
                ColumnId::Feedback => {
                    let answers = read_feedback(numbers()?.into_iter().map(narrow));
                    let wrong = || self.damaged("the feedback", "its content is none that was ever written");
                    journey.feedback = answers.ok_or_else(wrong)?;
                }
                // Where the journey is is known; money and properties cannot be read in part.
                ColumnId::Customers | ColumnId::Starts | ColumnId::Values | ColumnId::Property(_) => {}
            }
        }
        let whole = Needs { values: needs.values, properties: needs.properties.clone(), ..Needs::default() };
        let unread = |id: ColumnId| !id.is_numbers() && id.is_needed(&whole);
        if info.columns.iter().any(|place| unread(place.id)) {
            let block = self.load(block, &whole)?;
            let part = Part { columns: &block, journeys: position..position + 1 };
            let here = Chunk::new(vec![part]).gather(0..1, &whole);
            (journey.values, journey.properties) = (here.values, here.properties);
        }
        Ok(Some(journey))
    }

    /// Where a customer stands in a block's list of customers.
    fn position(&self, place: &Place, most: u32, customer: CustomerNo) -> Result<Option<usize>> {
        let bytes = self.read_pages(place, 0, place.sums.len())?;
        let customers = Packed::new(bytes, most as usize)
            .ok_or_else(|| self.damaged("the customers", "its content is none that was ever written"))?;
        let (mut low, mut high) = (0, customers.len());
        while low < high {
            let middle = low.midpoint(high);
            match customers.get(middle).unwrap_or_default().cmp(&customer.0.into()) {
                std::cmp::Ordering::Equal => return Ok(Some(middle)),
                std::cmp::Ordering::Less => low = middle + 1,
                std::cmp::Ordering::Greater => high = middle,
            }
        }
        Ok(None)
    }

    /// Some consecutive numbers of a column that holds nothing else.
    fn numbers(&self, place: &Place, positions: Range<usize>) -> Result<Vec<u64>> {
        let wrong = || self.damaged(&format!("column {:?}", place.id), "its content is none that was ever written");
        let sound = |header: &Header| positions.end <= header.count && header.is_sound();
        let header = place.header.filter(sound).ok_or_else(wrong)?;
        let (bytes, _) = header.place(positions.clone());
        let bytes = bytes.start + Header::LENGTH..bytes.end + Header::LENGTH;
        let pages = bytes.start / PAGE..bytes.end.div_ceil(PAGE);
        let read = self.read_pages(place, pages.start, pages.len())?;
        let before = pages.start * PAGE;
        let mut numbers = Vec::with_capacity(positions.len());
        for position in positions {
            let (place, bit) = header.place(position..position + 1);
            let from = place.start + Header::LENGTH - before;
            let to = place.end + Header::LENGTH - before;
            numbers.push(header.number(read.get(from..to).ok_or_else(wrong)?, bit));
        }
        Ok(numbers)
    }
}

/// A number that was packed from 32 bits; one that was not stands for nothing.
fn narrow(n: u64) -> u32 {
    u32::try_from(n).unwrap_or(u32::MAX)
}

fn row(n: u64) -> usize {
    usize::try_from(n).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        journey::{NO_STAGE, Row},
        model::Survey,
        store::segment_writer::SegmentWriter,
    };

    #[test]
    fn a_journey_alone_is_the_one_in_the_block() {
        let mut random = fastrand::Rng::with_seed(3);
        let rows = (0..100_000).map(|seq| Row {
            customer: CustomerNo(random.u32(0..3_000) * 2),
            time: Micros(random.i64(-1_000_000..1_000_000_000)),
            seq,
            touchpoint: TouchpointNo(random.u32(0..100)),
            channel: ChannelNo(random.u32(0..3)),
            stage: if random.bool() { random.u32(0..4) } else { NO_STAGE },
            value: None,
            feedback: random.bool().then(|| (Survey::Nps, random.u8(0..=10))),
            properties: if random.bool() { vec![(1, random.i64(0..5).into())] } else { vec![] },
        });
        let all = Columns::from_rows(rows.collect());
        let dir = tempfile::tempdir().unwrap();
        let mut writer = SegmentWriter::create(&dir.path().join("a.segment")).unwrap();
        writer.push(&Chunk::new(vec![Part::whole(&all)])).unwrap();
        let segment = writer.finish().unwrap();
        let chunk = Chunk::new(vec![Part::whole(&all)]);
        for position in (0..chunk.len()).step_by(17) {
            let expected = chunk.gather(position..position + 1, &Needs::everything());
            let found = segment.journey(all.customers[position], &Needs::everything()).unwrap().unwrap();
            assert_eq!((&found.customers, &found.starts), (&expected.customers, &expected.starts));
            assert!(found.times == expected.times && found.seqs == expected.seqs);
            assert!(found.touchpoints == expected.touchpoints && found.channels == expected.channels);
            assert!(found.stages == expected.stages && found.feedback == expected.feedback);
            let property = |columns: &Columns, row| columns.properties.get(&1).and_then(|p| p.get(row)).cloned();
            assert!((0..found.rows()).all(|row| property(&found, row) == property(&expected, row)));
        }
        assert!(segment.journey(CustomerNo(1), &Needs::everything()).unwrap().is_none());
        assert!(segment.journey(CustomerNo(9_999), &Needs::everything()).unwrap().is_none());
    }
}

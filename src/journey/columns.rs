//! Events of many customers, column by column, clustered by customer and in the order of their journeys.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use super::{
    ChannelNo, CustomerNo, Profiles, PropertyColumn, TouchpointNo,
    column::{Column, Number},
    property_column::PropertyColumnBuilder,
};
use crate::model::{Currency, Micros, PropertyValue, Survey};

/// No stage of its own, in the stage column.
pub(crate) const NO_STAGE: u32 = u32::MAX;

/// One event in numbers, on its way into columns.
#[derive(Debug, Clone)]
pub(crate) struct Row {
    pub(crate) customer: CustomerNo,
    pub(crate) time: Micros,
    pub(crate) seq: u64,
    pub(crate) touchpoint: TouchpointNo,
    pub(crate) channel: ChannelNo,
    /// The number of the event's own stage, or [`NO_STAGE`].
    pub(crate) stage: u32,
    /// Units of 10^-9 of a currency.
    pub(crate) value: Option<(i128, Currency)>,
    pub(crate) feedback: Option<(Survey, u8)>,
    pub(crate) properties: Vec<(u32, PropertyValue)>,
}

/// Columns of events: row r of each column belongs to the same event. Rows are sorted by (customer, time, sequence),
/// and `starts[i]..starts[i + 1]` are the rows of `customers[i]`.
///
/// The columns from `stages` on are empty if no event has anything there; all but customers and starts are also empty if
/// they were not asked for.
#[derive(Clone, Default, PartialEq)]
pub(crate) struct Columns {
    pub(crate) customers: Arc<Vec<CustomerNo>>,
    pub(crate) starts: Arc<Vec<u32>>,
    pub(crate) times: Column<Micros>,
    pub(crate) touchpoints: Column<TouchpointNo>,
    pub(crate) seqs: Column<u64>,
    pub(crate) channels: Column<ChannelNo>,
    pub(crate) stages: Vec<u32>,
    pub(crate) values: Vec<Option<(i128, Currency)>>,
    pub(crate) feedback: Vec<Option<(Survey, u8)>>,
    pub(crate) properties: BTreeMap<u32, PropertyColumn>,
}

/// Which columns a question reads. Customers are always there.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "each column is needed or not, independently")]
pub(crate) struct Needs {
    pub(crate) times: bool,
    pub(crate) touchpoints: bool,
    pub(crate) seqs: bool,
    pub(crate) channels: bool,
    pub(crate) stages: bool,
    pub(crate) values: bool,
    pub(crate) feedback: bool,
    pub(crate) properties: Properties,
    /// Which properties of profiles, each to be laid out to the rows of events.
    pub(crate) profiles: Profiles,
}

/// Which properties a question reads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Properties {
    All,
    Some(BTreeSet<u32>),
}

impl Default for Properties {
    fn default() -> Self {
        Self::Some(BTreeSet::new())
    }
}

impl Properties {
    pub(crate) fn add(&mut self, property: u32) {
        if let Self::Some(set) = self {
            set.insert(property);
        }
    }

    pub(crate) fn contains(&self, property: u32) -> bool {
        match self {
            Self::All => true,
            Self::Some(set) => set.contains(&property),
        }
    }
}

impl Needs {
    /// What either needs.
    #[must_use]
    pub(crate) fn and(mut self, other: &Self) -> Self {
        self.times |= other.times;
        self.touchpoints |= other.touchpoints;
        self.seqs |= other.seqs;
        self.channels |= other.channels;
        self.stages |= other.stages;
        self.values |= other.values;
        self.feedback |= other.feedback;
        self.profiles.join(&other.profiles);
        match &other.properties {
            Properties::All => self.properties = Properties::All,
            Properties::Some(set) => set.iter().for_each(|property| self.properties.add(*property)),
        }
        self
    }

    pub(crate) fn everything() -> Self {
        Self {
            times: true,
            touchpoints: true,
            seqs: true,
            channels: true,
            stages: true,
            values: true,
            feedback: true,
            properties: Properties::All,
            profiles: Profiles::default(),
        }
    }
}

impl std::fmt::Debug for Columns {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Columns")
            .field("customers", &self.customers.len())
            .field("rows", &self.rows())
            .finish_non_exhaustive()
    }
}

impl Columns {
    /// Sorts rows into columns.
    pub(crate) fn from_rows(mut rows: Vec<Row>) -> Self {
        rows.sort_unstable_by_key(|row| (row.customer, row.time, row.seq));
        let mut columns = Self::default();
        let (mut times, mut seqs) = (Vec::with_capacity(rows.len()), Vec::with_capacity(rows.len()));
        let (mut touchpoints, mut channels) = (Vec::with_capacity(rows.len()), Vec::with_capacity(rows.len()));
        let mut properties: BTreeMap<u32, PropertyColumnBuilder> = BTreeMap::new();
        let any_stage = rows.iter().any(|row| row.stage != NO_STAGE);
        let any_value = rows.iter().any(|row| row.value.is_some());
        let any_feedback = rows.iter().any(|row| row.feedback.is_some());
        for (number, row) in rows.into_iter().enumerate() {
            columns.open_journey(row.customer, number);
            times.push(row.time);
            touchpoints.push(row.touchpoint);
            seqs.push(row.seq);
            channels.push(row.channel);
            if any_stage {
                columns.stages.push(row.stage);
            }
            if any_value {
                columns.values.push(row.value);
            }
            if any_feedback {
                columns.feedback.push(row.feedback);
            }
            for (property, value) in row.properties {
                let column = properties.entry(property).or_default();
                let code = column.code(&value);
                column.set(number, code);
            }
        }
        columns.close_journeys(times.len());
        (columns.times, columns.seqs) = (Column::Plain(times), Column::Plain(seqs));
        (columns.touchpoints, columns.channels) = (Column::Plain(touchpoints), Column::Plain(channels));
        columns.properties = properties.into_iter().map(|(property, column)| (property, column.finish())).collect();
        columns
    }

    /// Notes that rows from `row` on belong to `customer`.
    pub(crate) fn open_journey(&mut self, customer: CustomerNo, row: usize) {
        if self.customers.last() != Some(&customer) {
            Arc::make_mut(&mut self.customers).push(customer);
            Arc::make_mut(&mut self.starts).push(offset(row));
        }
    }

    /// Ends the last journey before this row.
    pub(crate) fn close_journeys(&mut self, row: usize) {
        let starts = Arc::make_mut(&mut self.starts);
        starts.truncate(self.customers.len());
        starts.push(offset(row));
    }

    /// How many events.
    pub(crate) fn rows(&self) -> usize {
        self.starts.last().map_or(0, |&end| end as usize)
    }

    /// The rows of each customer, in order.
    pub(crate) fn journeys(&self) -> impl Iterator<Item = (CustomerNo, std::ops::Range<usize>)> {
        let ends = self.starts.iter().skip(1);
        self.customers
            .iter()
            .zip(self.starts.iter().zip(ends))
            .map(|(&customer, (&start, &end))| (customer, start as usize..end as usize))
    }

    /// The first and last time, if there is any event.
    pub(crate) fn time_range(&self) -> Option<(Micros, Micros)> {
        range_of(&self.times)
    }

    /// The first and last sequence, if they were read.
    pub(crate) fn seq_range(&self) -> Option<(u64, u64)> {
        range_of(&self.seqs)
    }

    /// The same columns with only the rows that are kept; journeys without rows are gone.
    pub(crate) fn retain(&self, keep: &[bool]) -> Self {
        let mut kept = Self::default();
        let mut count = 0;
        for (customer, rows) in self.journeys() {
            let here = keep.get(rows).unwrap_or_default().iter().filter(|keep| **keep).count();
            if here > 0 {
                kept.open_journey(customer, count);
                count += here;
            }
        }
        kept.times = retained_numbers(&self.times, keep);
        kept.touchpoints = retained_numbers(&self.touchpoints, keep);
        kept.seqs = retained_numbers(&self.seqs, keep);
        kept.channels = retained_numbers(&self.channels, keep);
        kept.stages = retained(&self.stages, keep);
        kept.values = retained(&self.values, keep);
        kept.feedback = retained(&self.feedback, keep);
        if !self.properties.is_empty() {
            kept.properties = self.retain_properties(keep);
        }
        kept.close_journeys(count);
        kept
    }

    fn retain_properties(&self, keep: &[bool]) -> BTreeMap<u32, PropertyColumn> {
        // The row that each kept row becomes.
        let becomes: Vec<u32> =
            keep.iter().scan(0_u32, |next, keep| Some(std::mem::replace(next, *next + u32::from(*keep)))).collect();
        let retained = |column: &PropertyColumn| {
            let (mut rows, mut codes) = (Vec::new(), Vec::new());
            for (row, code) in column.within(0..keep.len()).filter(|(row, _)| keep.get(*row) == Some(&true)) {
                rows.push(becomes.get(row).copied().unwrap_or_default());
                codes.push(code);
            }
            PropertyColumn::new(column.values.clone(), rows, Column::Plain(codes))
        };
        self.properties.iter().map(|(&property, column)| (property, retained(column))).collect()
    }

    /// Whether columns that were read fit together: that many rows, cut into journeys of customers in order.
    pub(crate) fn is_sound(&self, rows: usize) -> bool {
        let lengths = [
            self.times.len(),
            self.touchpoints.len(),
            self.seqs.len(),
            self.channels.len(),
            self.stages.len(),
            self.values.len(),
            self.feedback.len(),
        ];
        lengths.iter().all(|&length| length == rows || length == 0)
            && self.properties.values().all(|column| column.is_sound(rows))
            && self.starts.len() == self.customers.len().saturating_add(1)
            && self.starts.first() == Some(&0)
            && self.starts.last() == Some(&offset(rows))
            && self.starts.is_sorted_by(|a, b| a < b)
            && self.customers.is_sorted_by(|a, b| a < b)
    }
}

fn retained<T: Copy>(column: &[T], keep: &[bool]) -> Vec<T> {
    column.iter().zip(keep).filter(|(_, keep)| **keep).map(|(value, _)| *value).collect()
}

fn retained_numbers<T: Number>(column: &Column<T>, keep: &[bool]) -> Column<T> {
    Column::Plain(retained(&column.to_vec(), keep))
}

/// The smallest and the largest number.
fn range_of<T: Number + Ord>(column: &Column<T>) -> Option<(T, T)> {
    let first = column.get(0)?;
    let (mut least, mut most) = (first, first);
    column.for_each(0..column.len(), |one| (least, most) = (least.min(one), most.max(one)));
    Some((least, most))
}

/// Columns hold at most 2^32 - 1 rows, which the limit on a block's rows sees to.
pub(crate) fn offset(row: usize) -> u32 {
    u32::try_from(row).unwrap_or(u32::MAX)
}

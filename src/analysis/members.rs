//! Members: how many customers are in a segment, and who.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::{Analysis, Binder, Bound, Rate, SegmentReading};
use crate::{
    error::{InvalidPlan, Result},
    journey::{CustomerNo, Journey, Names},
    model::{CustomerId, SegmentRef, only_an_object},
    table::{Cell, Table, Tables, write_tables},
};

/// The customers of a segment.
///
/// # Question
/// How many customers are in a segment, out of how many? Who are they?
///
/// # Definition
/// Counted are the customers with at least one event that the scope sees; of these, those for whom the [`Segment`](crate::Segment)
/// holds. A scope's range plays no part: a segment is a state at the end of observation, not an entry. Ask for another moment
/// with [`Scope::as_of`](crate::Scope::as_of). Within the scope of another segment it says how many are in both.
///
/// # Worked example
/// ```
/// use journeylog::{Event, Journeys, Members, Segment};
/// # use chrono::{DateTime, TimeDelta, Utc};
/// let day = |d| DateTime::<Utc>::UNIX_EPOCH + TimeDelta::days(d);
/// let journeys = Journeys::of([
///     Event::at(day(0), "ann", "purchase"), Event::at(day(9), "ann", "purchase"), Event::at(day(2), "bob", "purchase"),
/// ])?;
/// let twice = Segment::did("purchase").at_least(2).build()?;
/// let report = journeys.query().run(&Members::of(&twice).list_customers())?;
/// assert_eq!((report.members.some, report.members.share), (1, Some(0.5)));
/// assert_eq!(report.customers.unwrap()[0].as_str(), "ann");
/// assert_eq!(journeys.query().as_of(day(5)).run(&Members::of(twice))?.members.some, 0);
/// # Ok::<(), journeylog::Error>(())
/// ```
///
/// # Cost
/// Time: that of the segment. Memory: two numbers, and the customers if they are listed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(remote = "Self", expecting = "an object", deny_unknown_fields)]
#[must_use = "a plan answers nothing until it is run"]
pub struct Members {
    of: SegmentRef,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    customers: bool,
}

only_an_object!(Members);

impl Members {
    /// Those of a segment, or of the one that a store keeps under this name.
    pub fn of(segment: impl Into<SegmentRef>) -> Self {
        Self { of: segment.into(), customers: false }
    }

    /// Lists the customers.
    pub fn list_customers(mut self) -> Self {
        self.customers = true;
        self
    }
}

impl Analysis for Members {
    type Bound = BoundMembers;

    fn bind(&self, binder: &mut Binder<'_>) -> Result<BoundMembers, InvalidPlan> {
        Ok(BoundMembers { segment: binder.segment(&self.of)?, customers: self.customers })
    }
}

/// Members bound to a store.
#[derive(Debug)]
pub struct BoundMembers {
    segment: SegmentReading,
    customers: bool,
}

/// What is counted.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct MembersState {
    members: u64,
    all: u64,
    listed: Vec<CustomerNo>,
}

impl Bound for BoundMembers {
    type State = MembersState;
    type Report = MembersReport;

    fn start(&self) -> MembersState {
        MembersState::default()
    }

    fn visit(&self, state: &mut MembersState, journey: &Journey<'_>) {
        state.all += 1;
        if self.segment.holds(journey) {
            state.members += 1;
            if self.customers {
                state.listed.push(journey.customer());
            }
        }
    }

    fn merge(&self, state: &mut MembersState, other: MembersState) {
        state.members += other.members;
        state.all += other.all;
        state.listed.extend(other.listed);
    }

    fn size(&self, state: &MembersState) -> usize {
        size_of_val(state) + state.listed.len() * size_of::<CustomerNo>()
    }

    fn finish(&self, state: MembersState, names: &Names) -> Result<MembersReport> {
        let mut listed: Vec<_> = state.listed.iter().filter_map(|customer| names.customer_id(*customer)).collect();
        listed.sort_unstable();
        Ok(MembersReport { members: Rate::new(state.members, state.all), customers: self.customers.then_some(listed) })
    }
}

/// The customers of a segment.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct MembersReport {
    /// Those in it, of all whom the scope sees.
    pub members: Rate,
    /// They by id, if the plan lists them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub customers: Option<Vec<CustomerId>>,
}

impl Tables for MembersReport {
    fn tables(&self) -> Vec<Table> {
        let mut table = Table::new("Segment", ["", "customers", "share", "95 % interval"]);
        let Rate { some, of, share, low, high } = self.members;
        let interval = format!("{:.1}-{:.1}", low * 100.0, high * 100.0);
        table.push(["in it".into(), some.into(), Cell::share(share), interval.into()]);
        table.push(["all".into(), of.into(), Cell::Empty, Cell::Empty]);
        let mut tables = vec![table];
        if let Some(customers) = &self.customers {
            let mut table = Table::new("Customers", ["customer"]);
            customers.iter().for_each(|customer| table.push([customer.as_str().into()]));
            tables.push(table);
        }
        tables
    }
}

impl fmt::Display for MembersReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_tables(f, self)
    }
}

//! Where in a funnel customers wait.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::Order;
use crate::{
    analysis::{DurationSummary, Rate, RateDifference},
    table::{Cell, Table},
};

/// Who waits at one step of a funnel, in the words of [`DwellBottleneck`](crate::DwellBottleneck). `Debug` does not show its
/// name, since a condition may name a person.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct FunnelBottleneck {
    /// The step's place, from 1; in any order, how many steps were done.
    pub step: usize,
    /// Its condition in short; in any order `1 of 3` and so on.
    pub name: String,
    /// Customers who came to this step, no further, and still may: those who are pending there. Without a window nobody is.
    pub waiting: u64,
    /// How long they have been there at the end of observation, since they reached it.
    pub waited: Option<DurationSummary>,
    /// Customers who reached the next required step, of all who reached this one.
    pub went_on: Rate,
    /// The same of all other steps together.
    pub others: Rate,
    /// How much the two differ; `None` if nobody came on one side.
    pub difference: Option<RateDifference>,
}

impl fmt::Debug for FunnelBottleneck {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { step, name, waiting, waited, went_on, others, difference } = self;
        f.debug_struct("FunnelBottleneck")
            .field("step", step)
            .field("name", &format_args!("{} bytes", name.len()))
            .field("waiting", waiting)
            .field("waited", waited)
            .field("went_on", went_on)
            .field("others", others)
            .field("difference", difference)
            .finish()
    }
}

/// The steps to which somebody came.
pub(super) fn table(bottlenecks: &[FunnelBottleneck], order: Order) -> Table {
    let step = if order == Order::Any { "steps done" } else { "step" };
    let columns = [step, "waiting", "median wait", "p90 wait", "went on", "elsewhere", "low", "high", "p-value"];
    let mut table = Table::new("Bottlenecks (low and high: of the difference)", columns);
    for one in bottlenecks.iter().filter(|one| one.went_on.of > 0) {
        let difference = one.difference;
        let p_value = difference
            .map_or(Cell::Empty, |d| format!("{:.4}{}", d.p_value, if d.exact { " (exact)" } else { "" }).into());
        table.push([
            if order == Order::Any {
                one.name.as_str().into()
            } else {
                Cell::from(format!("{} {}", one.step, one.name))
            },
            one.waiting.into(),
            Cell::seconds(one.waited.map(|waited| waited.median)),
            Cell::seconds(one.waited.map(|waited| waited.p90)),
            Cell::share(one.went_on.share),
            Cell::share(one.others.share),
            Cell::share(difference.map(|d| d.low)),
            Cell::share(difference.map(|d| d.high)),
            p_value,
        ]);
    }
    table
}

//! Where in a funnel customers wait.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::Order;
use crate::{
    analysis::{
        DurationSummary, Rate, RateDifference,
        bottleneck::{self, Place},
    },
    table::Table,
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
    /// Customers who are pending, and who came to this step by the furthest of those of their chains that can still go on. All
    /// together they are the pending ones; but who once came further, by a chain that is over, waits here, and is pending there.
    /// Without a window nobody waits.
    pub waiting: u64,
    /// How long they have been there at the end of observation, since the first of these chains reached it.
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
    let places = bottlenecks.iter().map(|one| {
        let FunnelBottleneck { step, name, waiting, waited, went_on, others, difference } = one.clone();
        let at = if order == Order::Any { name } else { format!("{step} {name}") };
        Place { at: at.into(), waiting, waited, went_on, others, difference }
    });
    bottleneck::table(if order == Order::Any { "steps done" } else { "step" }, places)
}

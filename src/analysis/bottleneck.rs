//! The table of where customers wait, in whichever question.

use super::{DurationSummary, Rate, RateDifference};
use crate::table::{Cell, Table};

/// What is said of one place where customers wait.
pub(super) struct Place {
    pub(super) at: Cell,
    pub(super) waiting: u64,
    pub(super) waited: Option<DurationSummary>,
    pub(super) went_on: Rate,
    pub(super) others: Rate,
    pub(super) difference: Option<RateDifference>,
}

/// The places to which somebody came; `of` says what they are.
pub(super) fn table(of: &str, places: impl Iterator<Item = Place>) -> Table {
    let columns = [of, "waiting", "median wait", "p90 wait", "went on", "elsewhere", "low", "high", "p-value"];
    let mut table = Table::new("Bottlenecks (low and high: of the difference)", columns);
    for Place { at, waiting, waited, went_on, others, difference } in places.filter(|place| place.went_on.of > 0) {
        table.push([
            at,
            waiting.into(),
            Cell::seconds(waited.map(|waited| waited.median)),
            Cell::seconds(waited.map(|waited| waited.p90)),
            Cell::share(went_on.share),
            Cell::share(others.share),
            Cell::share(difference.map(|d| d.low)),
            Cell::share(difference.map(|d| d.high)),
            difference.map_or(Cell::Empty, |d| d.p_value_as_shown().into()),
        ]);
    }
    table
}

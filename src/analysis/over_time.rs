//! Reports over time: a row for each calendar period.

use crate::{
    error::{ErrorKind, Result},
    model::{Micros, Period, PeriodSpan},
};

/// A report over time has at most this many periods.
const LIMIT_PERIODS: usize = 100_000;

/// The periods from the one that begins at `first` to the one that holds `last`.
pub(super) fn over_time(period: Period, first: Micros, last: Micros) -> Result<Vec<PeriodSpan>> {
    let mut spans = Vec::new();
    let mut next = Some(first).filter(|first| *first <= last);
    while let Some(start) = next {
        check_rows(spans.len() + 1)?;
        let span = PeriodSpan { start, end: period.next(start).unwrap_or(Micros::MAX) };
        spans.push(span);
        next = Some(span.end).filter(|end| *end <= last && *end != Micros::MAX);
    }
    Ok(spans)
}

/// Refuses a report of more periods, counted once for each of the groups that it tells apart.
pub(super) fn check_rows(found: usize) -> Result<()> {
    let what = "periods of a report over time (ask for longer ones)";
    let (found, limit) = (found as u64, LIMIT_PERIODS as u64);
    if found > limit { Err(ErrorKind::Limit { what, found, limit }.into()) } else { Ok(()) }
}

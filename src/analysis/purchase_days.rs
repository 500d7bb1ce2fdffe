//! The days on which somebody bought: purchases of one day of the calendar are one.

use std::ops::Range;

use crate::model::{Micros, Period, PeriodSpan, Periods, Zone};

/// A day with a purchase.
#[derive(Debug, Clone)]
pub(super) struct PurchaseDay {
    /// The day.
    pub(super) span: PeriodSpan,
    /// The first of its purchases.
    pub(super) first: Micros,
    /// Their places.
    pub(super) events: Range<usize>,
}

/// The days of purchases at these times, which do not decrease, in the calendar of a zone.
pub(super) fn purchase_days<'a>(
    times: &'a [Micros],
    zone: Zone,
    periods: &'a mut Periods,
) -> impl Iterator<Item = PurchaseDay> + 'a {
    let day = Period::DAY.zone(zone);
    let mut next = 0;
    std::iter::from_fn(move || {
        let (start, left) = (next, times.get(next..)?);
        let first = *left.first()?;
        let span = periods.span_of(day, first);
        let count = left.iter().take_while(|at| span.contains(**at)).count().max(1);
        next += count;
        Some(PurchaseDay { span, first, events: start..next })
    })
}

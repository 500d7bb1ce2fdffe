//! The customers behind a report, as it lists them.

use crate::{
    journey::{CustomerNo, Names},
    model::CustomerId,
};

/// What was found of each customer, by id.
pub(super) fn by_id<T, L>(
    found: impl IntoIterator<Item = (CustomerNo, T)>,
    names: &Names,
    listed: impl Fn(CustomerId, T) -> L,
) -> Vec<L> {
    let named = found.into_iter().filter_map(|(customer, what)| Some((names.customer_id(customer)?, what)));
    let mut named: Vec<_> = named.collect();
    named.sort_unstable_by(|(a, _), (b, _)| a.cmp(b));
    named.into_iter().map(|(customer, what)| listed(customer, what)).collect()
}

/// What was found one by one, each customer's in a row, as lists of each of them.
pub(super) fn of_each<T>(found: &[(CustomerNo, T)]) -> impl Iterator<Item = (CustomerNo, &[(CustomerNo, T)])> {
    let same = found.chunk_by(|(one, _), (other, _)| one == other);
    same.filter_map(|rows| Some((rows.first()?.0, rows)))
}

/// A moment as tables show it.
pub(super) fn when(moment: chrono::DateTime<chrono::Utc>) -> crate::table::Cell {
    moment.to_rfc3339_opts(chrono::SecondsFormat::AutoSi, true).into()
}

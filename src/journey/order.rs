//! The order of rows by customer, time and sequence.

use super::PlainRow;
use crate::model::Micros;

/// So many bits of a customer's number are looked at in one pass.
const DIGIT: u32 = 11;

/// The places of rows, which come in the order of their sequences, by (customer, time, sequence).
pub(super) fn by_journey(rows: &[PlainRow]) -> Vec<u32> {
    let mut order: Vec<u64> = (0..).zip(rows).map(|(place, row)| u64::from(row.customer.0) << 32 | place).collect();
    let most = rows.iter().map(|row| row.customer.0).max().unwrap_or_default();
    let mut spare = vec![0; order.len()];
    // Digit by digit, the lowest first; each pass leaves what is alike in the order in which it was.
    for shift in (0..u32::BITS - most.leading_zeros()).step_by(DIGIT as usize) {
        sort_by_digit(&order, &mut spare, 32 + shift);
        std::mem::swap(&mut order, &mut spare);
    }
    let mut order: Vec<u32> = order.into_iter().map(row_of).collect();
    let row = |place: &u32| rows.get(*place as usize);
    // Most journeys are in order already.
    for journey in order.chunk_by_mut(|a, b| row(a).map(|row| row.customer) == row(b).map(|row| row.customer)) {
        let time = |place: &u32| row(place).map_or(Micros(0), |row| row.time);
        if !journey.is_sorted_by_key(time) {
            journey.sort_by_key(time);
        }
    }
    order
}

fn sort_by_digit(from: &[u64], to: &mut [u64], shift: u32) {
    const KINDS: usize = 1 << DIGIT;
    let digit = |key: u64| usize::try_from(key >> shift).unwrap_or_default() % KINDS;
    let mut next = vec![0_u32; KINDS];
    for key in from {
        if let Some(count) = next.get_mut(digit(*key)) {
            *count += 1;
        }
    }
    let mut before = 0;
    for count in &mut next {
        before += std::mem::replace(count, before);
    }
    for key in from {
        if let Some(next) = next.get_mut(digit(*key)) {
            if let Some(place) = to.get_mut(*next as usize) {
                *place = *key;
            }
            *next += 1;
        }
    }
}

#[expect(clippy::cast_possible_truncation, reason = "the lower half")]
fn row_of(key: u64) -> u32 {
    key as u32
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::journey::{ChannelNo, CustomerNo, NO_STAGE, TouchpointNo};

    #[test]
    fn it_is_that_of_a_sort() {
        let mut random = fastrand::Rng::with_seed(4);
        for most in [1, 9, 1 << 11, 1 << 23, u32::MAX] {
            for count in [0, 1, 2, 5_000] {
                let row = |seq| PlainRow {
                    customer: CustomerNo(random.u32(0..=most)),
                    time: Micros(random.i64(-9..9)),
                    seq,
                    touchpoint: TouchpointNo(0),
                    channel: ChannelNo(0),
                    stage: NO_STAGE,
                };
                let rows: Vec<PlainRow> = (0..count).map(row).collect();
                let mut expected: Vec<u32> = (0..).take(rows.len()).collect();
                expected.sort_by_key(|&place| (rows[place as usize].customer, rows[place as usize].time));
                assert_eq!(by_journey(&rows), expected);
            }
        }
    }
}

//! Finding blocks of the log in bytes of any kind: a file that its engine cannot read any more.

use std::ops::Range;

use super::{Block, block::KIND, frame::framed_length};

/// The first whole block in bytes from a place on, and where it stands. A block names its own length and has a checksum of
/// its own, so nothing else is taken for one.
pub(crate) fn carve(bytes: &[u8], mut from: usize) -> Option<(Block, Range<usize>)> {
    loop {
        let start = from + bytes.get(from..)?.windows(KIND.len()).position(|four| four == KIND)?;
        let framed = bytes.get(start..)?;
        if let Some(Ok(block)) = framed_length(framed).and_then(|length| framed.get(..length)).map(Block::decode)
            && let Some(length) = framed_length(framed)
        {
            return Some((block, start..start + length));
        }
        from = start + KIND.len();
    }
}

#[cfg(test)]
mod tests {
    use chrono::DateTime;

    use super::*;
    use crate::{
        codec::{BlockCutter, Chain, LogEntry},
        model::{Event, Micros},
    };

    #[test]
    fn blocks_are_found_among_other_bytes_and_odd_ones_passed_over() {
        let entry = |n: i64| {
            let event = Event::at(DateTime::UNIX_EPOCH, format!("c{n}"), "JLBKJLBK").build().unwrap();
            LogEntry::event(Micros(n), event)
        };
        let block = |first: u64| {
            let entries: Vec<LogEntry> = (0..5).map(|n| entry(n + first.cast_signed())).collect();
            BlockCutter::default().cut(first, Chain(first), &entries, 24 * 1024).blocks.remove(0).1
        };
        let mut odd = block(99);
        odd[60] ^= 1;
        let noise = b"JLBK not a block at all, JLB, JLBKJLBK".to_vec();
        let all = [noise.clone(), block(1), odd, vec![0; 500], block(7), block(13), noise, block(20)].concat();
        let find = |bytes: &[u8]| {
            let blocks = std::iter::successors(carve(bytes, 0), |(_, place)| carve(bytes, place.end));
            blocks.map(|(block, _)| block.first).collect::<Vec<_>>()
        };
        assert_eq!(find(&all), [1, 7, 13, 20]);
        for cut in 0..all.len() {
            assert!([1, 7, 13].starts_with(&find(&all[..cut])), "cut at {cut}");
        }
    }
}

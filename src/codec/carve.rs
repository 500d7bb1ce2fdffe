//! Finding records of the log in bytes of any kind: a file that its engine cannot read any more.

use std::ops::Range;

use super::frame::{framed_length, unframe};

/// With which every kind of ours begins.
const INITIAL: u8 = b'J';

/// The first whole frame of one of these kinds in bytes from a place on, and where it stands. A frame names its own length
/// and has a checksum of its own, so nothing else is taken for one.
pub(crate) fn carve(bytes: &[u8], mut from: usize, kinds: &[[u8; 4]]) -> Option<([u8; 4], Range<usize>)> {
    loop {
        let rest = bytes.get(from..)?;
        // One letter is looked for, since most bytes are none.
        let start = from + rest.iter().position(|byte| *byte == INITIAL)?;
        let framed = bytes.get(start..)?;
        let kind = *framed.first_chunk::<4>()?;
        if !kinds.contains(&kind) {
            from = start + 1;
            continue;
        }
        let length = framed_length(framed)?;
        let is_whole = |frame: &[u8]| unframe("a record of the log", kind, u32::MAX, frame).is_ok();
        if framed.get(..length).is_some_and(is_whole) {
            return Some((kind, start..start + length));
        }
        from = start + kind.len();
    }
}

#[cfg(test)]
mod tests {
    use chrono::DateTime;

    use super::*;
    use crate::{
        codec::{Block, BlockCutter, Chain, LogEntry},
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
            let find = |from| carve(bytes, from, &[*b"JLBK"]);
            let frames = std::iter::successors(find(0), |(_, place)| find(place.end));
            frames.map(|(_, place)| Block::decode(&bytes[place]).unwrap().first).collect::<Vec<_>>()
        };
        assert_eq!(find(&all), [1, 7, 13, 20]);
        for cut in 0..all.len() {
            assert!([1, 7, 13].starts_with(&find(&all[..cut])), "cut at {cut}");
        }
    }
}

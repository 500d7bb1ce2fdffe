//! Blocks of the log: entries in order of sequence, with their names written out, so that each block can be read alone.

use serde::{Deserialize, Serialize};

use super::{Chain, Coded, Entries, body, body_v1, frame, unframe, version_of};
use crate::{
    error::{Error, Result},
    model::{Event, EventId, Micros},
};

const KIND: [u8; 4] = *b"JLBK";
/// Version 1 had another body; before version 3 nothing was erased, and before version 4 all entries were events.
const VERSION: u32 = 4;
/// The most bytes a block's body takes before compression; more is damage.
const LIMIT_BODY: usize = 1 << 20;
/// The most entries a block holds.
pub(super) const LIMIT_ENTRIES: usize = 8192;

/// An entry of the log, and when the log took it.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct LogEntry {
    pub(crate) recorded_at: Micros,
    pub(crate) content: Content,
}

/// What an entry says.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Content {
    Event(Event),
    /// Nothing any more: it keeps its place, so that those after it keep theirs.
    Erased,
}

impl LogEntry {
    pub(crate) fn event(recorded_at: Micros, event: Event) -> Self {
        Self { recorded_at, content: Content::Event(event) }
    }

    /// What is left of an entry that was erased.
    pub(crate) fn erased() -> Self {
        Self { recorded_at: Micros::MIN, content: Content::Erased }
    }

    pub(crate) fn as_event(&self) -> Option<&Event> {
        match &self.content {
            Content::Event(event) => Some(event),
            Content::Erased => None,
        }
    }

    pub(crate) fn id(&self) -> Option<&EventId> {
        self.as_event()?.id()
    }

    /// Its bytes, as the limit of an event counts them.
    pub(crate) fn size(&self) -> usize {
        self.as_event().map_or(0, Event::size)
    }
}

/// What stands before a block's compressed body.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Header {
    first: u64,
    count: u32,
    before: Chain,
    after: Chain,
    body: u32,
}

/// A block, read.
#[derive(Debug, Clone)]
pub(crate) struct Block {
    /// The sequence of its first entry.
    pub(crate) first: u64,
    pub(crate) before: Chain,
    pub(crate) after: Chain,
    pub(crate) entries: Vec<LogEntry>,
}

/// Cuts entries into blocks of at most so many bytes each. What it learns of the entries' sizes it uses for the next.
#[derive(Debug, Clone)]
pub(crate) struct BlockCutter {
    /// Entries that are thought to fill a block.
    fill: usize,
}

impl Default for BlockCutter {
    fn default() -> Self {
        Self { fill: 1024 }
    }
}

/// Entries cut into blocks.
pub(crate) struct CutBlocks {
    /// For each block the sequence of its first entry, and its bytes.
    pub(crate) blocks: Vec<(u64, Vec<u8>)>,
    /// For each block what questions see of its entries.
    pub(crate) coded: Vec<Coded>,
    /// The chain after the last entry.
    pub(crate) after: Chain,
}

impl BlockCutter {
    /// Cuts entries into blocks of at most `limit` bytes. An entry is far smaller than a block, so one always fits.
    pub(crate) fn cut(&mut self, first: u64, before: Chain, entries: &[LogEntry], limit: usize) -> CutBlocks {
        let mut cut = CutBlocks { blocks: Vec::new(), coded: Vec::new(), after: before };
        let (mut first, mut left) = (first, entries);
        while !left.is_empty() {
            // Blocks of one size, rather than full ones and a small rest.
            let blocks = left.len().div_ceil(self.fill.clamp(1, LIMIT_ENTRIES));
            let size = left.len().div_ceil(blocks);
            let taken = left.get(..size).unwrap_or(left);
            let (columns, after) = Entries::chained(taken, cut.after);
            let (bytes, body) = encode(first, cut.after, after, &columns);
            // Aim below the limit, so that the next block seldom has to be cut again.
            let fits = size * limit / bytes.len().max(body.div_ceil(LIMIT_BODY / limit.max(1))).max(1);
            self.fill = (fits.saturating_mul(9) / 10).clamp(1, LIMIT_ENTRIES);
            if size > 1 && (bytes.len() > limit || body > LIMIT_BODY) {
                self.fill = self.fill.min(size / 2).max(1);
                continue;
            }
            cut.blocks.push((first, bytes));
            cut.coded.push(columns.into_coded());
            (first, cut.after) = (first + size as u64, after);
            left = left.get(size..).unwrap_or_default();
        }
        cut
    }
}

/// The bytes of one block, and those of its body before compression.
fn encode(first: u64, before: Chain, after: Chain, entries: &Entries<'_>) -> (Vec<u8>, usize) {
    let plain = body::write(entries);
    let count = u32::try_from(entries.len()).unwrap_or(u32::MAX);
    let header = Header { first, count, before, after, body: u32::try_from(plain.len()).unwrap_or(u32::MAX) };
    let mut payload = postcard::to_stdvec(&header).unwrap_or_default();
    payload.extend_from_slice(&lz4_flex::compress(&plain));
    (frame(KIND, VERSION, &payload), plain.len())
}

impl Block {
    /// How its frame begins.
    pub(crate) const KIND: [u8; 4] = KIND;

    /// Reads a block and checks its own checksum.
    pub(crate) fn decode(bytes: &[u8]) -> Result<Self> {
        let payload = unframe("a block of the log", KIND, VERSION, bytes)?;
        Self::read(version_of(bytes).unwrap_or(VERSION), payload)
            .ok_or_else(|| Error::damaged("a block of the log", "its content is none that was ever written"))
    }

    pub(super) fn read(version: u32, payload: &[u8]) -> Option<Self> {
        let (header, packed): (Header, _) = postcard::take_from_bytes(payload).ok()?;
        if header.body as usize > LIMIT_BODY || header.count as usize > LIMIT_ENTRIES {
            return None;
        }
        let plain = super::decompress(packed, header.body as usize)?;
        let count = header.count as usize;
        let entries = match version {
            1 => body_v1::read(&plain, count)?,
            2 => body::read_events(&plain, count)?,
            _ => body::read(&plain, count)?,
        };
        Some(Self { first: header.first, before: header.before, after: header.after, entries })
    }

    /// The sequence after its last entry.
    pub(crate) fn next(&self) -> u64 {
        self.first.saturating_add(self.entries.len() as u64)
    }
}

#[cfg(test)]
mod tests {
    use chrono::{DateTime, TimeDelta};

    use super::*;
    use crate::model::{Feedback, Money, PropertyValue};

    fn entries(seed: u64, count: usize) -> Vec<LogEntry> {
        let mut random = fastrand::Rng::with_seed(seed);
        (0..count)
            .map(|i| {
                let at = DateTime::UNIX_EPOCH + TimeDelta::microseconds(random.i64(-1 << 50..1 << 50));
                let mut event = Event::at(at, format!("c-{}", random.u8(0..50)), format!("t{}", random.u8(0..5)));
                if random.bool() {
                    event = event.id(format!("e-{i}")).stage("purchase").value(Money::new("19.90", "EUR").unwrap());
                }
                if random.bool() {
                    event = event.feedback(Feedback::nps(9).unwrap().with_comment("good").unwrap());
                    event = event
                        .property("n", random.i64(..))
                        .property("f", 0.5)
                        .property("u", u64::MAX)
                        .property("b", true);
                    event = event.property("t", "text").property("z", PropertyValue::Null);
                    event = event.property("o", PropertyValue::from(serde_json::json!({"a": [1, null]})));
                }
                LogEntry::event(Micros(i64::try_from(i).unwrap()), event.build().unwrap())
            })
            .collect()
    }

    #[test]
    fn entries_come_back_however_they_are_cut() {
        let mut all = entries(1, 3_000);
        let mut random = fastrand::Rng::with_seed(9);
        all.iter_mut().skip(500).filter(|_| random.u8(0..3) == 0).for_each(|entry| *entry = LogEntry::erased());
        all.splice(1_000..1_000, std::iter::repeat_n(LogEntry::erased(), 20_000));
        let mut ends = Vec::new();
        for limit in [1, 2_000, 24 * 1024] {
            let CutBlocks { blocks, after, .. } = BlockCutter::default().cut(1, Chain::default(), &all, limit);
            let mut next = 1;
            let mut chain = Chain::default();
            let mut read = Vec::new();
            for (first, bytes) in blocks {
                assert!(bytes.len() <= limit.max(600));
                let block = Block::decode(&bytes).unwrap();
                assert_eq!((block.first, first, block.before), (next, next, chain));
                (next, chain) = (block.next(), block.after);
                read.extend(block.entries);
            }
            assert_eq!(chain, after);
            assert_eq!(read, all);
            ends.push(after);
        }
        assert_eq!(ends[0], ends[1]);
        assert_eq!(ends[1], ends[2]);
    }

    /// A block that release 0.1.0 wrote of `entries(6, 7)`, from sequence 8 on.
    const VERSION_1: &str = "\
        4a4c424b01000000560100000000000025a708f043a4b5cd08074d80deeddbd28dfdbfb801ef03f02e1404632d31310274300377656201\
        620166016e016f047465787401740175017a03632d3002743408707572636861736504632d323702743104632d32333c00f14b38027433\
        04632d343807da9cd3aae89ddc01f1ed81e0f8cedc02f6c08be0c39492048c9b83a283d018efa7de9af9b0db02b3a1aaafd99cc304a4a5\
        82bbaa9cc602070002020202020207000b0e0010111307010c0f0c01120c071600f40d0202020103652d310403652d3502010d040d0201\
        8c1f0203455552040800a40000090104676f6f6401090014040900051200911c00030101000404000100f31be03f000502ff9ed2918bf1\
        95c79f010006060e7b2261223a5b312c6e756c6c5d7d00080507000903ffff02005d01000a000142009fe1b5a0da908bf7fde34200141d\
        0442009f90d5afedfe99daf92a8300259f97f6e8a7feb1bc8f1d41000d60ffff01000a00";

    /// The same block as version 2 had it.
    const VERSION_2: &str = "\
        4a4c424b02000000a701000000000000d16bb0ce4fdcf63a08074d80deeddbd28dfdbfb801ec03f08b06000102b80b0101024604092d3031\
        323334373863082172435607000103013315e3e0ab81f2f285feff010332ee7c2ab64ae06da4a9d085df43e8588d2295a5316c0d376f9a1e\
        18a743268201000000000060dc56beb1970d00010388c61a040001010e01010101053031333474c422000102641c01000100030100036265\
        77060001000201020102020002010201020101042d3135659302010f00f4030001000801000861636568707273757c33582f000443004145\
        5255181400f00500c60f01000001000400030104000100090100010e00e104010e000401010364676f2907001500810762666e6f74757aa0\
        00300301044e00300001003e00030700021700420501008001002ef03f1f00f1190403010097f6e8a7feb1bc8f1d014068543acdf8656f82\
        cadf4d26c9eadcc679afb1084077d40d001501000200025e00015b002104070d00f10e04000e010e000e01010c222c313a5b5d616c6e757b\
        7d0a0643129877b529002101062900000200840401000365747861e4005401040100ff01001e01a00000340003cf007000010000000100";

    #[test]
    fn blocks_of_older_versions_are_read() {
        for (version, hex) in [(1, VERSION_1), (2, VERSION_2)] {
            let digits = hex.as_bytes().chunks(2).map(|two| std::str::from_utf8(two).unwrap());
            let bytes: Vec<u8> = digits.map(|two| u8::from_str_radix(two, 16).unwrap()).collect();
            assert_eq!(bytes[4], version);
            let block = Block::decode(&bytes).unwrap();
            assert_eq!((block.first, block.next(), block.before), (8, 15, Chain(77)));
            assert_eq!(block.entries, entries(6, 7));
            assert_eq!(block.after, Chain(77).after(&entries(6, 7)), "the chain is the same in every version");
        }
    }

    #[test]
    fn the_largest_event_fits_in_a_block() {
        let noise: String = (0..16_000).map(|i| char::from(b'!' + u8::try_from((i * 7919) % 90).unwrap())).collect();
        let event = Event::at(DateTime::UNIX_EPOCH, "c", "t").property("p", noise).build().unwrap();
        let entries = [LogEntry::event(Micros(0), event)];
        let cut = BlockCutter::default().cut(1, Chain::default(), &entries, 24 * 1024);
        assert!(cut.blocks[0].1.len() <= 24 * 1024);
    }

    /// Texts that share their beginnings take few bytes, so a block may hold far more of them than it has bytes. A limit on
    /// what is read that was too low made such a block one that could be written, and not read.
    #[test]
    fn a_block_of_long_texts_that_are_alike_comes_back() {
        let text = "x".repeat(15_000);
        let event = |i| Event::at(DateTime::UNIX_EPOCH, "c", "t").property("p", format!("{text}{i}")).build().unwrap();
        let entries: Vec<LogEntry> = (0..600).map(|i| LogEntry::event(Micros(0), event(i))).collect();
        let cut = BlockCutter::default().cut(1, Chain::default(), &entries, 24 * 1024);
        assert_eq!(cut.blocks.len(), 1);
        assert!(Block::decode(&cut.blocks[0].1).unwrap().entries == entries);
    }

    /// A few bytes must not stand for more than so many events may hold.
    #[test]
    fn a_block_says_no_more_than_its_events_may() {
        let event = |text: &str| Event::at(DateTime::UNIX_EPOCH, "c", "t").property("p", text).build().unwrap();
        let entries = |text: &str| [LogEntry::event(Micros(0), event("")), LogEntry::event(Micros(1), event(text))];
        let plain = body::write(&Entries::of(&entries("xxxxxxxx")));
        assert_eq!(body::read(&plain, 2).unwrap(), entries("xxxxxxxx"));
        // The lengths of the texts are packed as a width of four bits, and their bytes, all of one kind, take none.
        let lengths = plain.windows(5).rposition(|window| window == [0, 8, 1, 0b10, 1]).unwrap();
        let mut long = plain.clone();
        for (step, is_some) in [(100, true), (0x7f, true)] {
            long[lengths + 1] = step;
            assert_eq!(body::read(&long, 2).is_some(), is_some, "{step}");
        }
        // Of 40,000 bytes: more than two events may have.
        long.splice(lengths + 1..lengths + 2, [0xc0, 0xb8, 0x02]);
        assert_eq!(body::read(&long, 2), None);
        // Of 20,000 bytes, but both events have it.
        let twice = [0, 1].map(|at| LogEntry::event(Micros(at), event("xxxxxxxx")));
        let mut long = body::write(&Entries::of(&twice));
        let length = long.windows(5).rposition(|window| window == [8, 1, 0, 1, b'x']).unwrap();
        long.splice(length..=length, [0xa0, 0x9c, 0x01]);
        assert_eq!(body::read(&long, 2), None);
    }

    #[test]
    fn odd_bytes_are_no_block() {
        let entries = entries(2, 40);
        let cut = BlockCutter::default().cut(1, Chain::default(), &entries, 24 * 1024);
        let payload = unframe("", KIND, VERSION, &cut.blocks[0].1).unwrap();
        let mut random = fastrand::Rng::with_seed(5);
        for _ in 0..5_000 {
            let mut odd = payload.to_vec();
            for _ in 0..random.usize(1..5) {
                let at = random.usize(0..odd.len());
                odd[at] = random.u8(..);
            }
            let _ = Block::read(VERSION, &odd);
            // Behind the compression too.
            let plain = body::write(&Entries::of(&entries));
            let at = random.usize(0..plain.len());
            let mut odd = plain;
            odd[at] = random.u8(..);
            let _ = body::read(&odd, entries.len());
        }
    }
}

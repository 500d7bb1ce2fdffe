//! What the fuzz targets try of the codec, below its checksums.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a fuzz target stops at once")]

use super::{
    Block, BlockCutter, Chain, ColumnId, Entries, LogEntry,
    bits::{In, Out, Room},
    block::LIMIT_ENTRIES,
    body, body_v1, decode_column, encode_columns, unframe,
};
use crate::{
    journey::{Chunk, Columns, Header, Needs, Packed, Part, Sliced},
    model::{Event, Micros},
};

/// The most rows that a block of a segment is said to have.
const MOST_ROWS: usize = 100_000;

/// An event is the same when it was in a block of the log.
pub(crate) fn survives(event: &Event) {
    let entries = [LogEntry::event(Micros(7), event.clone())];
    let cut = BlockCutter::default().cut(1, Chain::default(), &entries, 24 * 1024);
    let (_, bytes) = cut.blocks.first().unwrap();
    assert!(bytes.len() <= 24 * 1024, "a block is larger than the log's engine takes");
    let block = Block::decode(bytes).unwrap();
    assert!(block.entries == entries && block.after == cut.after);
}

/// Bytes as one kind of record, which the first of them says.
pub(crate) fn decode(data: &[u8]) {
    let Some((&which, data)) = data.split_first() else { return };
    let Some((&[low, high], rest)) = data.split_first_chunk() else { return };
    let count = usize::from(u16::from_le_bytes([low, high]));
    match which % 12 {
        0 => drop(unframe("it", *b"test", 3, data)),
        1 => [1, 2, 3].into_iter().for_each(|version| drop(Block::read(version, data))),
        2 => entries(body_v1::read(rest, count)),
        3 => entries(body::read_events(rest, count)),
        4 => entries(body::read(rest, count)),
        5 => {
            if let Some(numbers) = In(rest).packed(count) {
                let mut out = Out::default();
                out.packed(numbers.iter().copied(), 0);
                assert_eq!(In(&out.0).packed(count).unwrap(), numbers);
            }
        }
        6 => {
            if let Some(texts) = In(rest).texts(count, &mut Room(1 << 20)) {
                let mut out = Out::default();
                out.texts(texts.iter().map(String::as_str));
                assert_eq!(In(&out.0).texts(count, &mut Room(1 << 20)).unwrap(), texts);
            }
        }
        7 => {
            let rows = count.saturating_mul(2);
            if let Some(packed) = Packed::new(rest.to_vec(), rows) {
                let all = packed.all();
                assert!(all.len() == packed.len() && packed.len() <= rows);
                assert_eq!(packed.get(packed.len()), None);
                assert!(all.iter().enumerate().all(|(place, number)| packed.get(place) == Some(*number)));
            }
            if let (Some(sliced), Some(header)) = (Sliced::new(rest.to_vec(), rows), Header::read(rest, rows)) {
                assert!(sliced.len() <= rows);
                numbers_are_told_alike(&sliced, &header, rest);
            }
        }
        8 => column(ColumnId::Values, rest, count),
        9 => column(ColumnId::Property(3), rest, count),
        _ => columns(rest, count),
    }
}

/// Each way to read numbers that are cut into their bits tells the same.
fn numbers_are_told_alike(sliced: &Sliced, header: &Header, bytes: &[u8]) {
    let mut all = Vec::new();
    sliced.for_lists(0..sliced.len(), |list| all.extend_from_slice(list));
    assert_eq!(all.len(), sliced.len());
    assert_eq!(sliced.get(sliced.len()), None);
    let (mut gathered, mut small) = (Vec::new(), Vec::new());
    let places: Vec<u32> = (0..).take(sliced.len()).collect();
    sliced.gather(&places, &mut gathered, u64::from);
    assert_eq!(gathered, all);
    if sliced.append_bytes(0..sliced.len(), &mut small) {
        assert!(small.into_iter().map(u64::from).eq(all.iter().copied()));
    }
    let (mut holding, table) = (vec![Vec::new()], [1, 0, 1, 1, 0, 0, 1]);
    let is_short = sliced.add_holding(&(0..sliced.len()), &table, &mut holding);
    for (place, &number) in all.iter().enumerate() {
        assert_eq!(sliced.get(place).map(u64::from), Some(number));
        let (range, bit) = header.place(place..place + 1);
        assert_eq!(header.number(&bytes[Header::LENGTH..][range], bit), number);
        let holds = usize::try_from(number).ok().and_then(|number| table.get(number)) == Some(&1);
        assert!(!is_short || (holding[0][place / 64] >> (place % 64) & 1 == 1) == holds);
    }
}

/// Entries that were read are written and read again to the same.
fn entries(read: Option<Vec<LogEntry>>) {
    let Some(entries) = read.filter(|entries| entries.len() <= LIMIT_ENTRIES) else { return };
    let again = body::read(&body::write(&Entries::of(&entries)), entries.len());
    assert!(again.is_some_and(|again| again == entries));
}

fn column(id: ColumnId, bytes: &[u8], rows: usize) {
    let mut columns = Columns::default();
    if decode_column(id, bytes.to_vec(), rows, &mut columns).is_none() {
        return;
    }
    // Some columns alone are sound with any list of journeys.
    columns.starts = vec![0].into();
    if rows > 0 {
        (columns.customers, columns.starts) =
            (vec![crate::journey::CustomerNo(0)].into(), vec![0, rows.try_into().unwrap()].into());
    }
    if columns.is_sound(rows) && rows > 0 {
        write_again(&columns, rows);
    }
}

/// A list of columns, each after its kind and its length.
fn columns(mut data: &[u8], rows: usize) {
    let kinds = [
        ColumnId::Customers,
        ColumnId::Starts,
        ColumnId::Times,
        ColumnId::Touchpoints,
        ColumnId::Seqs,
        ColumnId::Channels,
        ColumnId::Stages,
        ColumnId::Values,
        ColumnId::Feedback,
        ColumnId::Property(0),
        ColumnId::Property(1),
    ];
    let rows = rows.min(MOST_ROWS);
    let mut columns = Columns::default();
    while let Some((&[kind, low, high], rest)) = data.split_first_chunk() {
        let (bytes, rest) = rest.split_at(rest.len().min(usize::from(u16::from_le_bytes([low, high]))));
        let kind = kinds[usize::from(kind) % kinds.len()];
        if decode_column(kind, bytes.to_vec(), rows, &mut columns).is_none() {
            return;
        }
        data = rest;
    }
    if columns.is_sound(rows) {
        write_again(&columns, rows);
    }
}

/// Sound columns can be read by journey, and are the same when they are written and read again.
fn write_again(columns: &Columns, rows: usize) {
    let chunk = Chunk::new(vec![Part::whole(columns)]);
    let mut gathered = chunk.gather(0..chunk.len(), &Needs::everything());
    gathered.properties.retain(|_, column| !column.is_empty());
    let mut again = Columns::default();
    for (id, bytes) in encode_columns(&gathered) {
        assert!(decode_column(id, bytes, rows, &mut again).is_some(), "{id:?}");
    }
    assert!(again == gathered);
}

/// Records as they are written, for [`decode`].
#[cfg(test)]
pub(crate) fn seeds(events: &[Event]) -> Vec<(String, Vec<u8>)> {
    let entries: Vec<LogEntry> = events.iter().map(|event| LogEntry::event(Micros(5), event.clone())).collect();
    let mut erased = entries.clone();
    erased.insert(3, LogEntry::erased());
    let counted = |which: u8, count: usize, bytes: &[u8]| {
        [&[which], u16::try_from(count).unwrap().to_le_bytes().as_slice(), bytes].concat()
    };
    let whole = body::write(&Entries::of(&entries));
    let cut = BlockCutter::default().cut(1, Chain::default(), &entries, 24 * 1024);
    let mut numbers = Out::default();
    numbers.packed([3, 1 << 40, 77].into_iter(), 0);
    let mut texts = Out::default();
    texts.texts(["c-001", "c-002", "zażółć"].into_iter());
    let mut names = crate::journey::Tables::default();
    let mut rows = crate::journey::Rows::with_room_for(entries.len());
    Entries::of(&entries).into_coded().number(1, &mut names, &mut rows);
    let columns = rows.into_columns();
    let mut seeds = vec![
        ("frame".to_owned(), [&[0], super::frame(*b"test", 2, b"payload").as_slice()].concat()),
        ("block".to_owned(), [&[1], &cut.blocks[0].1[24..]].concat()),
        // The first byte counts erased entries, of which earlier versions had none.
        ("body-v2".to_owned(), counted(3, entries.len(), &whole[4..])),
        ("body-v3".to_owned(), counted(4, erased.len(), &body::write(&Entries::of(&erased)))),
        ("numbers".to_owned(), counted(5, 3, &numbers.0)),
        ("texts".to_owned(), counted(6, 3, &texts.0)),
    ];
    let mut all = Vec::new();
    for (place, (id, bytes)) in encode_columns(&columns).into_iter().enumerate() {
        match id {
            ColumnId::Values => seeds.push(("values".to_owned(), counted(8, columns.rows(), &bytes))),
            ColumnId::Property(0) => seeds.push(("property".to_owned(), counted(9, columns.rows(), &bytes))),
            ColumnId::Times => seeds.push(("packed".to_owned(), counted(7, columns.rows(), &bytes))),
            ColumnId::Touchpoints => seeds.push(("sliced".to_owned(), counted(7, columns.rows(), &bytes))),
            _ => {}
        }
        all.push(u8::try_from(place).unwrap());
        all.extend_from_slice(&u16::try_from(bytes.len()).unwrap().to_le_bytes());
        all.extend_from_slice(&bytes);
    }
    seeds.push(("columns".to_owned(), counted(10, columns.rows(), &all)));
    seeds
}

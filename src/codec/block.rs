//! Blocks of the log: entries in order of sequence, with their names written out, so that each block can be read alone.

use std::{
    borrow::Cow,
    collections::{BTreeMap, HashMap},
};

use rust_decimal::Decimal;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use xxhash_rust::xxh3::xxh3_64_with_seed;

use super::{frame, unframe};
use crate::{
    error::{Error, Result},
    model::{
        Channel, Currency, CustomerId, Event, EventId, Feedback, Micros, Money, PropertyValue, StageName, Survey,
        Touchpoint,
    },
};

const KIND: [u8; 4] = *b"JLBK";
const VERSION: u32 = 1;
/// The most bytes a block's body takes before compression; more is damage.
const LIMIT_BODY: usize = 1 << 20;
/// The most entries a block holds.
const LIMIT_ENTRIES: usize = 8192;

/// An entry of the log: an event, and when the log took it.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct LogEntry {
    pub(crate) recorded_at: Micros,
    pub(crate) event: Event,
}

/// A checksum over all entries up to one: that entry's content hashed with the chain before it as seed. It does not
/// depend on how entries are cut into blocks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub(crate) struct Chain(pub(crate) u64);

impl Chain {
    /// The chain after one more entry.
    pub(crate) fn then(self, entry: &LogEntry) -> Self {
        let mut bytes = Vec::with_capacity(256);
        write_alone(entry, &mut bytes);
        Self(xxh3_64_with_seed(&bytes, self.0))
    }
}

/// An entry's content, for the chain: each part after its length or a byte that says whether it is there, so that no
/// two entries have the same bytes.
fn write_alone(entry: &LogEntry, bytes: &mut Vec<u8>) {
    fn maybe<T>(part: Option<T>, bytes: &mut Vec<u8>, write: impl FnOnce(T, &mut Vec<u8>)) {
        bytes.push(u8::from(part.is_some()));
        if let Some(part) = part {
            write(part, bytes);
        }
    }
    let LogEntry { recorded_at, event } = entry;
    let Event { id, customer, touchpoint, channel, occurred_at, stage, value, feedback, properties } = event;
    bytes.extend_from_slice(&recorded_at.0.to_le_bytes());
    bytes.extend_from_slice(&occurred_at.0.to_le_bytes());
    for name in [customer.as_str(), touchpoint.as_str(), channel.as_str()] {
        write_text(name, bytes);
    }
    maybe(id.as_ref(), bytes, |id, bytes| write_text(id.as_str(), bytes));
    maybe(stage.as_ref(), bytes, |stage, bytes| write_text(stage.as_str(), bytes));
    maybe(*value, bytes, |money, bytes| {
        bytes.extend_from_slice(&money.amount().mantissa().to_le_bytes());
        bytes.extend_from_slice(&money.amount().scale().to_le_bytes());
        bytes.extend_from_slice(money.currency().as_str().as_bytes());
    });
    maybe(feedback.as_ref(), bytes, |feedback, bytes| {
        bytes.extend_from_slice(&[feedback.survey() as u8, feedback.score()]);
        maybe(feedback.comment(), bytes, write_text);
    });
    bytes.extend_from_slice(&(properties.len() as u64).to_le_bytes());
    for (name, value) in properties {
        write_text(name, bytes);
        write_json(&value.clone().into(), bytes);
    }
}

/// A JSON value, for the chain: keys in order, however the map of this build keeps them.
fn write_json(value: &Value, bytes: &mut Vec<u8>) {
    match value {
        Value::Null => bytes.push(0),
        Value::Bool(b) => bytes.extend_from_slice(&[1, u8::from(*b)]),
        Value::Number(n) => match (n.as_i64(), n.as_u64()) {
            (Some(n), _) => [2].into_iter().chain(n.to_le_bytes()).for_each(|byte| bytes.push(byte)),
            (None, Some(n)) => [3].into_iter().chain(n.to_le_bytes()).for_each(|byte| bytes.push(byte)),
            (None, None) => {
                let float = n.as_f64().unwrap_or_default();
                [4].into_iter().chain(float.to_le_bytes()).for_each(|byte| bytes.push(byte));
            }
        },
        Value::String(text) => {
            bytes.push(5);
            write_text(text, bytes);
        }
        Value::Array(list) => {
            bytes.push(6);
            bytes.extend_from_slice(&(list.len() as u64).to_le_bytes());
            list.iter().for_each(|one| write_json(one, bytes));
        }
        Value::Object(map) => {
            bytes.push(7);
            bytes.extend_from_slice(&(map.len() as u64).to_le_bytes());
            for (key, one) in map.iter().collect::<BTreeMap<_, _>>() {
                write_text(key, bytes);
                write_json(one, bytes);
            }
        }
    }
}

fn write_text(text: &str, bytes: &mut Vec<u8>) {
    bytes.extend_from_slice(&(text.len() as u64).to_le_bytes());
    bytes.extend_from_slice(text.as_bytes());
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

/// Columns of entries. Columns that few entries have name their rows, as the distance from the row before.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Body<'a> {
    #[serde(borrow)]
    texts: Vec<&'a str>,
    occurred: Vec<i64>,
    recorded: Vec<i64>,
    customers: Vec<u32>,
    touchpoints: Vec<u32>,
    channels: Vec<u32>,
    ids: Vec<(u32, &'a str)>,
    stages: Vec<(u32, u32)>,
    values: Vec<(u32, i128, u32, Currency)>,
    feedback: Vec<(u32, Survey, u8, Option<&'a str>)>,
    properties: Vec<(u32, u32, Property<'a>)>,
}

#[derive(Debug, Serialize, Deserialize)]
enum Property<'a> {
    Null,
    Bool(bool),
    Whole(i64),
    Large(u64),
    Float(f64),
    Text(u32),
    Json(#[serde(borrow)] Cow<'a, str>),
}

/// Texts with their places.
#[derive(Default)]
struct Texts<'a> {
    list: Vec<&'a str>,
    places: HashMap<&'a str, u32, foldhash::fast::RandomState>,
}

impl<'a> Texts<'a> {
    fn place(&mut self, text: &'a str) -> u32 {
        *self.places.entry(text).or_insert_with(|| {
            self.list.push(text);
            u32::try_from(self.list.len() - 1).unwrap_or(u32::MAX)
        })
    }
}

impl<'a> Body<'a> {
    fn push(&mut self, texts: &mut Texts<'a>, entry: &'a LogEntry) {
        let LogEntry { recorded_at, event } = entry;
        let row = u32::try_from(self.occurred.len()).unwrap_or(u32::MAX);
        self.occurred.push(event.occurred_at.0);
        self.recorded.push(recorded_at.0);
        self.customers.push(texts.place(event.customer.as_str()));
        self.touchpoints.push(texts.place(event.touchpoint.as_str()));
        self.channels.push(texts.place(event.channel.as_str()));
        if let Some(id) = &event.id {
            self.ids.push((row, id.as_str()));
        }
        if let Some(stage) = &event.stage {
            self.stages.push((row, texts.place(stage.as_str())));
        }
        if let Some(money) = event.value {
            self.values.push((row, money.amount().mantissa(), money.amount().scale(), money.currency()));
        }
        if let Some(feedback) = &event.feedback {
            self.feedback.push((row, feedback.survey(), feedback.score(), feedback.comment()));
        }
        for (name, value) in &event.properties {
            let value = match value {
                PropertyValue::Null => Property::Null,
                PropertyValue::Bool(b) => Property::Bool(*b),
                PropertyValue::Number(n) => n
                    .as_i64()
                    .map(Property::Whole)
                    .or_else(|| n.as_u64().map(Property::Large))
                    .or_else(|| n.as_f64().map(Property::Float))
                    .unwrap_or(Property::Null),
                PropertyValue::Text(text) => Property::Text(texts.place(text)),
                PropertyValue::Nested(json) => Property::Json(json.to_string().into()),
            };
            self.properties.push((row, texts.place(name), value));
        }
    }

    /// Turns rows and times into distances from the one before, or back.
    fn distances(&mut self, sign: Sign) {
        sign.apply(self.occurred.iter_mut());
        sign.apply(self.recorded.iter_mut());
        sign.apply_rows(self.ids.iter_mut().map(|(row, ..)| row));
        sign.apply_rows(self.stages.iter_mut().map(|(row, ..)| row));
        sign.apply_rows(self.values.iter_mut().map(|(row, ..)| row));
        sign.apply_rows(self.feedback.iter_mut().map(|(row, ..)| row));
        sign.apply_rows(self.properties.iter_mut().map(|(row, ..)| row));
    }

    fn entries(self, count: usize) -> Option<Vec<LogEntry>> {
        let text = |place: u32| self.texts.get(place as usize).copied();
        let columns = [self.recorded.len(), self.customers.len(), self.touchpoints.len(), self.channels.len()];
        if self.occurred.len() != count || columns.iter().any(|len| *len != count) {
            return None;
        }
        let mut entries = Vec::with_capacity(count);
        let columns =
            self.occurred.iter().zip(&self.recorded).zip(&self.customers).zip(&self.touchpoints).zip(&self.channels);
        for ((((&occurred, &recorded), &customer), &touchpoint), &channel) in columns {
            let event = Event {
                id: None,
                customer: CustomerId::new(text(customer)?).ok()?,
                touchpoint: Touchpoint::new(text(touchpoint)?).ok()?,
                channel: Channel::new(text(channel)?).ok()?,
                occurred_at: Micros(occurred),
                stage: None,
                value: None,
                feedback: None,
                properties: BTreeMap::new(),
            };
            entries.push(LogEntry { recorded_at: Micros(recorded), event });
        }
        for (row, id) in &self.ids {
            entries.get_mut(*row as usize)?.event.id = Some(EventId::new(id).ok()?);
        }
        for &(row, stage) in &self.stages {
            entries.get_mut(row as usize)?.event.stage = Some(StageName::new(text(stage)?).ok()?);
        }
        for &(row, mantissa, scale, currency) in &self.values {
            let amount = Decimal::try_from_i128_with_scale(mantissa, scale).ok()?;
            let money = Money::from_decimal(amount, currency).ok()?;
            entries.get_mut(row as usize)?.event.value = Some(money);
        }
        for (row, survey, score, comment) in &self.feedback {
            let answer = Feedback::new(*survey, *score).ok()?;
            let answer = comment.map_or(Some(answer.clone()), |comment| answer.with_comment(comment).ok())?;
            entries.get_mut(*row as usize)?.event.feedback = Some(answer);
        }
        for (row, name, value) in &self.properties {
            let value = match value {
                Property::Null => PropertyValue::Null,
                Property::Bool(b) => PropertyValue::Bool(*b),
                Property::Whole(n) => PropertyValue::Number((*n).into()),
                Property::Large(n) => PropertyValue::Number((*n).into()),
                Property::Float(n) => PropertyValue::Number(serde_json::Number::from_f64(*n)?),
                Property::Text(place) => PropertyValue::Text(text(*place)?.to_owned()),
                Property::Json(json) => PropertyValue::Nested(serde_json::from_str(json).ok()?),
            };
            entries.get_mut(*row as usize)?.event.properties.insert(text(*name)?.to_owned(), value);
        }
        Some(entries)
    }
}

/// To distances, or back to what they are distances of.
#[derive(Clone, Copy)]
enum Sign {
    Take,
    Add,
}

impl Sign {
    fn apply<'a>(self, numbers: impl Iterator<Item = &'a mut i64>) {
        let mut before = 0_i64;
        for number in numbers {
            match self {
                Self::Take => (*number, before) = (number.wrapping_sub(before), *number),
                Self::Add => {
                    *number = number.wrapping_add(before);
                    before = *number;
                }
            }
        }
    }

    fn apply_rows<'a>(self, rows: impl Iterator<Item = &'a mut u32>) {
        let mut before = 0_u32;
        for row in rows {
            match self {
                Self::Take => (*row, before) = (row.wrapping_sub(before), *row),
                Self::Add => {
                    *row = row.wrapping_add(before);
                    before = *row;
                }
            }
        }
    }
}

/// Cuts entries into blocks of at most `limit` bytes each: (sequence of the first entry, bytes), and the chain after
/// the last. An entry is far smaller than a block, so one always fits.
pub(crate) fn encode_blocks(
    first: u64,
    before: Chain,
    entries: &[LogEntry],
    limit: usize,
) -> (Vec<(u64, Vec<u8>)>, Chain) {
    let (mut blocks, mut chain) = (Vec::new(), before);
    let (mut first, mut left) = (first, entries);
    let mut guess = 512;
    while !left.is_empty() {
        let mut size = guess.min(left.len()).clamp(1, LIMIT_ENTRIES);
        let (bytes, after) = loop {
            let (bytes, body, after) = encode_block(first, chain, left.get(..size).unwrap_or(left));
            if bytes.len() <= limit && body <= LIMIT_BODY || size == 1 {
                break (bytes, after);
            }
            size /= 2;
        };
        // Aim below the limit, so that the next guess seldom has to be halved.
        guess = (size * limit / bytes.len().max(1)).saturating_mul(9) / 10;
        blocks.push((first, bytes));
        (first, chain) = (first + size as u64, after);
        left = left.get(size..).unwrap_or_default();
    }
    (blocks, chain)
}

/// The bytes of one block, those of its body before compression, and the chain after it.
fn encode_block(first: u64, before: Chain, entries: &[LogEntry]) -> (Vec<u8>, usize, Chain) {
    let mut body = Body::default();
    let mut texts = Texts::default();
    let mut after = before;
    for entry in entries {
        body.push(&mut texts, entry);
        after = after.then(entry);
    }
    body.texts = texts.list;
    body.distances(Sign::Take);
    let plain = postcard::to_stdvec(&body).unwrap_or_default();
    let count = u32::try_from(entries.len()).unwrap_or(u32::MAX);
    let header = Header { first, count, before, after, body: u32::try_from(plain.len()).unwrap_or(u32::MAX) };
    let mut payload = postcard::to_stdvec(&header).unwrap_or_default();
    payload.extend_from_slice(&lz4_flex::compress(&plain));
    (frame(KIND, VERSION, &payload), plain.len(), after)
}

impl Block {
    /// Reads a block and checks its own checksum.
    pub(crate) fn decode(bytes: &[u8]) -> Result<Self> {
        let payload = unframe("a block of the log", KIND, VERSION, bytes)?;
        Self::read(payload)
            .ok_or_else(|| Error::damaged("a block of the log", "its content is none that was ever written"))
    }

    fn read(payload: &[u8]) -> Option<Self> {
        let (header, packed): (Header, _) = postcard::take_from_bytes(payload).ok()?;
        if header.body as usize > LIMIT_BODY || header.count as usize > LIMIT_ENTRIES {
            return None;
        }
        let plain = super::decompress(packed, header.body as usize)?;
        let mut body: Body<'_> = postcard::from_bytes(&plain).ok()?;
        body.distances(Sign::Add);
        let entries = body.entries(header.count as usize)?;
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
                LogEntry { recorded_at: Micros(i64::try_from(i).unwrap()), event: event.build().unwrap() }
            })
            .collect()
    }

    #[test]
    fn entries_come_back_however_they_are_cut() {
        let all = entries(1, 3_000);
        let mut ends = Vec::new();
        for limit in [1, 2_000, 24 * 1024] {
            let (blocks, after) = encode_blocks(1, Chain::default(), &all, limit);
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

    #[test]
    fn the_largest_event_fits_in_a_block() {
        let noise: String = (0..16_000).map(|i| char::from(b'!' + u8::try_from((i * 7919) % 90).unwrap())).collect();
        let event = Event::at(DateTime::UNIX_EPOCH, "c", "t").property("p", noise).build().unwrap();
        let (blocks, _) = encode_blocks(1, Chain::default(), &[LogEntry { recorded_at: Micros(0), event }], 24 * 1024);
        assert!(blocks[0].1.len() <= 24 * 1024);
    }

    #[test]
    fn odd_bytes_are_no_block() {
        let (blocks, _) = encode_blocks(1, Chain::default(), &entries(2, 40), 24 * 1024);
        let payload = unframe("", KIND, VERSION, &blocks[0].1).unwrap();
        let mut random = fastrand::Rng::with_seed(5);
        for _ in 0..5_000 {
            let mut odd = payload.to_vec();
            for _ in 0..random.usize(1..5) {
                let at = random.usize(0..odd.len());
                odd[at] = random.u8(..);
            }
            let _ = Block::read(&odd);
        }
    }
}

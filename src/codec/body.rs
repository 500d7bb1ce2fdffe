//! The body of a block: columns of few bytes.
//!
//! `docs/design.md` says what stands where.

use std::collections::BTreeMap;

use rust_decimal::Decimal;

use super::{
    LogEntry,
    bits::{In, Out, Room, low, shared, unzigzag, zigzag},
    cells::{PropertyCells, Sparse},
    entries::Entries,
};
use crate::model::{
    Channel, Currency, CustomerId, Event, EventId, Feedback, LIMIT_EVENT_BYTES, Micros, Money, PropertyValue,
    StageName, Survey, Touchpoint,
};

/// Packs numbers that may be negative.
const SIGNED: u64 = 1 << 63;

/// What a property's value is. The numbers are in the bytes of every log.
const NULL: u64 = 0;
const FALSE: u64 = 1;
const TRUE: u64 = 2;
const WHOLE: u64 = 3;
const LARGE: u64 = 4;
const FLOAT: u64 = 5;
const TEXT: u64 = 6;
const JSON: u64 = 7;

pub(super) fn write(entries: &Entries<'_>) -> Vec<u8> {
    let mut out = Out::default();
    let coded = &entries.coded;
    write_places(&mut out, &coded.erased);
    let texts: Vec<&str> = coded.customer_texts.iter().collect();
    let (order, ranks) = in_order(&texts);
    out.texts(order.iter().filter_map(|place| texts.get(*place as usize).copied()));
    out.packed(coded.customers.iter().map(|c| ranks.get(*c as usize).copied().unwrap_or_default().into()), 0);
    out.packed(coded.occurred.iter().map(|t| t.0.cast_unsigned()), SIGNED);
    out.packed(entries.recorded.iter().map(|t| t.0.cast_unsigned()), SIGNED);
    for (texts, places) in [(&coded.touchpoint_texts, &coded.touchpoints), (&coded.channel_texts, &coded.channels)] {
        out.texts(texts.iter());
        out.packed(places.iter().map(|&place| place.into()), 0);
    }
    write_rows(&mut out, &entries.ids);
    out.texts(entries.ids.cells.iter().map(|id| id.as_str()));
    write_rows(&mut out, &coded.stages);
    out.texts(coded.stage_texts.iter());
    out.packed(coded.stages.cells.iter().map(|&place| place.into()), 0);
    write_values(&mut out, &coded.values);
    write_feedback(&mut out, &entries.feedback);
    out.texts(coded.property_texts.iter());
    coded.properties.iter().for_each(|cells| write_property(&mut out, cells));
    out.0
}

/// The places of texts in the order of the texts, and for each place its rank. What texts share at their start is then
/// said once.
fn in_order(texts: &[&str]) -> (Vec<u32>, Vec<u32>) {
    let first = texts.first().copied().unwrap_or_default().as_bytes();
    let same =
        texts.iter().fold(first.len(), |same, text| shared(first.get(..same).unwrap_or_default(), text.as_bytes()));
    // The next eight bytes decide nearly always: they and the place are sorted as one number.
    let key = |text: &str| {
        let rest = text.as_bytes().get(same..).unwrap_or_default();
        let mut key = [0; 8];
        key.iter_mut().zip(rest).for_each(|(to, from)| *to = *from);
        u64::from_be_bytes(key)
    };
    let keys = (0_u32..).zip(texts).map(|(place, text)| u128::from(key(text)) << 64 | u128::from(place));
    let mut order: Vec<u128> = keys.collect();
    order.sort_unstable();
    let mut order: Vec<(u64, u32)> =
        order.into_iter().map(|key| (low(key >> 64), u32::try_from(low(key)).unwrap_or_default())).collect();
    let text = |place: u32| texts.get(place as usize).copied().unwrap_or_default();
    for alike in order.chunk_by_mut(|a, b| a.0 == b.0).filter(|alike| alike.len() > 1) {
        alike.sort_unstable_by_key(|(_, place)| text(*place));
    }
    let mut ranks = vec![0; texts.len()];
    for (rank, (_, place)) in (0..).zip(&order) {
        if let Some(known) = ranks.get_mut(*place as usize) {
            *known = rank;
        }
    }
    (order.into_iter().map(|(_, place)| place).collect(), ranks)
}

fn write_rows<T>(out: &mut Out, sparse: &Sparse<T>) {
    write_places(out, &sparse.rows);
}

fn write_places(out: &mut Out, rows: &[u32]) {
    out.number(rows.len() as u64);
    let before = std::iter::once(0).chain(rows.iter().map(|row| row + 1));
    out.packed(rows.iter().zip(before).map(|(row, before)| row.wrapping_sub(before).into()), 0);
}

fn write_values(out: &mut Out, values: &Sparse<Money>) {
    write_rows(out, values);
    let mut currencies: Vec<Currency> = Vec::new();
    let mut places = Vec::with_capacity(values.cells.len());
    for currency in values.cells.iter().map(Money::currency) {
        places.push(currencies.iter().position(|known| *known == currency).unwrap_or_else(|| {
            currencies.push(currency);
            currencies.len() - 1
        }) as u64);
    }
    out.texts(currencies.iter().map(Currency::as_str));
    out.packed(places.iter().copied(), 0);
    let amounts = || values.cells.iter().map(Money::amount);
    out.packed(amounts().map(|amount| amount.scale().into()), 0);
    // Wide amounts in two halves; the upper one of most is nothing.
    out.packed(amounts().map(|amount| halves(amount.mantissa()).0), SIGNED);
    out.packed(amounts().map(|amount| halves(amount.mantissa()).1), SIGNED);
}

/// The lower and the upper 64 bits, the upper less the sign of the lower, so that it is 0 for most.
fn halves(number: i128) -> (u64, u64) {
    let half = low(number.cast_unsigned());
    let sign = (half.cast_signed() >> 63).cast_unsigned();
    (half, low(number.cast_unsigned() >> 64).wrapping_sub(sign))
}

fn whole(low: u64, high: u64) -> i128 {
    let low = low.cast_signed();
    let high = high.wrapping_add((low >> 63).cast_unsigned()).cast_signed();
    i128::from(high) << 64 | i128::from(low.cast_unsigned())
}

fn write_feedback(out: &mut Out, feedback: &Sparse<&Feedback>) {
    write_rows(out, feedback);
    out.packed(feedback.cells.iter().map(|answer| u64::from(answer.survey() as u8)), 0);
    out.packed(feedback.cells.iter().map(|answer| answer.score().into()), 0);
    out.packed(feedback.cells.iter().map(|answer| answer.comment().is_some().into()), 0);
    out.texts(feedback.cells.iter().filter_map(|answer| answer.comment()));
}

fn write_property(out: &mut Out, cells: &PropertyCells) {
    write_rows(out, &cells.places);
    let (mut kinds, mut numbers, mut texts) = (Vec::new(), Vec::new(), Vec::new());
    for value in &cells.values {
        kinds.push(match value {
            PropertyValue::Null => NULL,
            PropertyValue::Bool(false) => FALSE,
            PropertyValue::Bool(true) => TRUE,
            PropertyValue::Number(n) => {
                let (kind, bits) = match (n.as_i64(), n.as_u64()) {
                    (Some(n), _) => (WHOLE, zigzag(n)),
                    (None, Some(n)) => (LARGE, n),
                    (None, None) => (FLOAT, n.as_f64().unwrap_or_default().to_bits()),
                };
                numbers.push(bits);
                kind
            }
            PropertyValue::Text(text) => {
                texts.push(text.clone());
                TEXT
            }
            PropertyValue::Nested(json) => {
                texts.push(json.to_string());
                JSON
            }
        });
    }
    out.number(kinds.len() as u64);
    out.packed(kinds.iter().copied(), 0);
    out.packed(numbers.iter().copied(), 0);
    out.texts(texts.iter().map(String::as_str));
    // If no value comes twice, the places are 0, 1, 2 ...
    if kinds.len() < cells.places.rows.len() {
        out.packed(cells.places.cells.iter().map(|&place| place.into()), 0);
    }
}

/// The entries of a body; `None` if the bytes are none.
pub(super) fn read(plain: &[u8], count: usize) -> Option<Vec<LogEntry>> {
    let mut input = In(plain);
    let erased = read_rows(&mut input, count)?;
    let mut events = read_events(input.0, count.checked_sub(erased.len())?)?.into_iter();
    let mut erased = erased.into_iter().peekable();
    let entries = (0..count).map(|place| match erased.next_if_eq(&place) {
        Some(_) => Some(LogEntry::erased()),
        None => events.next(),
    });
    entries.collect()
}

/// The entries of the rest of a body, none of which is erased.
pub(super) fn read_events(plain: &[u8], count: usize) -> Option<Vec<LogEntry>> {
    let mut input = In(plain);
    let mut room = room_for(count)?;
    let mut texts = |input: &mut In<'_>| input.texts(count, &mut room);
    // Each text is checked once; entries share it.
    let customers: Vec<CustomerId> = checked(texts(&mut input)?, CustomerId::new)?;
    let customer_of = input.packed(count)?;
    let (occurred, recorded) = (input.packed(count)?, input.packed(count)?);
    let touchpoints: Vec<Touchpoint> = checked(texts(&mut input)?, |text| Touchpoint::of_log(&text))?;
    let touchpoint_of = input.packed(count)?;
    let channels: Vec<Channel> = checked(texts(&mut input)?, Channel::new)?;
    let channel_of = input.packed(count)?;
    let mut events = Vec::with_capacity(count);
    let columns = customer_of.into_iter().zip(occurred).zip(touchpoint_of.into_iter().zip(channel_of));
    for ((customer, occurred), (touchpoint, channel)) in columns {
        events.push(Event {
            id: None,
            customer: customers.get(usize::try_from(customer).ok()?)?.clone(),
            touchpoint: touchpoints.get(usize::try_from(touchpoint).ok()?)?.clone(),
            channel: channels.get(usize::try_from(channel).ok()?)?.clone(),
            occurred_at: Micros(occurred.cast_signed()),
            stage: None,
            value: None,
            feedback: None,
            properties: BTreeMap::new(),
        });
    }
    let rows = read_rows(&mut input, count)?;
    for (row, id) in rows.iter().zip(texts(&mut input)?) {
        events.get_mut(*row)?.id = Some(EventId::new(id).ok()?);
    }
    let rows = read_rows(&mut input, count)?;
    let stages: Vec<StageName> = checked(texts(&mut input)?, StageName::new)?;
    for (row, stage) in rows.iter().zip(input.packed(rows.len())?) {
        events.get_mut(*row)?.stage = Some(stages.get(usize::try_from(stage).ok()?)?.clone());
    }
    read_values(&mut input, &mut events, &mut room)?;
    read_feedback(&mut input, &mut events, &mut room)?;
    // Each property takes more than a byte.
    let most = input.0.len();
    let mut kept = room_for(count)?;
    for name in input.texts(most, &mut room)? {
        read_property(&mut input, &name, &mut events, &mut room, &mut kept)?;
    }
    let entries = recorded.into_iter().zip(events).map(|(at, event)| LogEntry::event(Micros(at.cast_signed()), event));
    input.0.is_empty().then(|| entries.collect())
}

/// The room of so many events: each is far smaller than a text may claim to be.
pub(super) fn room_for(events: usize) -> Option<Room> {
    events.checked_mul(LIMIT_EVENT_BYTES).map(Room)
}

fn checked<T, E>(texts: Vec<String>, check: impl Fn(String) -> Result<T, E>) -> Option<Vec<T>> {
    texts.into_iter().map(|text| check(text).ok()).collect()
}

fn read_rows(input: &mut In<'_>, most: usize) -> Option<Vec<usize>> {
    let count = input.count(most)?;
    let mut next = 0_usize;
    input
        .packed(count)?
        .into_iter()
        .map(|gap| {
            let row = next.checked_add(usize::try_from(gap).ok()?)?;
            next = row.checked_add(1)?;
            Some(row)
        })
        .collect()
}

fn read_values(input: &mut In<'_>, events: &mut [Event], room: &mut Room) -> Option<()> {
    let rows = read_rows(input, events.len())?;
    let currencies = checked(input.texts(rows.len(), room)?, Currency::new)?;
    let (currency_of, scales) = (input.packed(rows.len())?, input.packed(rows.len())?);
    let (low, high) = (input.packed(rows.len())?, input.packed(rows.len())?);
    let amounts = low.into_iter().zip(high).zip(scales);
    for ((row, currency), ((low, high), scale)) in rows.into_iter().zip(currency_of).zip(amounts) {
        let amount = Decimal::try_from_i128_with_scale(whole(low, high), u32::try_from(scale).ok()?).ok()?;
        let currency = *currencies.get(usize::try_from(currency).ok()?)?;
        events.get_mut(row)?.value = Some(Money::from_decimal(amount, currency).ok()?);
    }
    Some(())
}

fn read_feedback(input: &mut In<'_>, events: &mut [Event], room: &mut Room) -> Option<()> {
    let rows = read_rows(input, events.len())?;
    let (surveys, scores) = (input.packed(rows.len())?, input.packed(rows.len())?);
    let commented = input.packed(rows.len())?;
    let mut comments = input.texts(rows.len(), room)?.into_iter();
    for ((row, survey), (score, commented)) in rows.into_iter().zip(surveys).zip(scores.into_iter().zip(commented)) {
        let survey = *Survey::ALL.get(usize::try_from(survey).ok()?)?;
        let mut answer = Feedback::new(survey, u8::try_from(score).ok()?).ok()?;
        if commented != 0 {
            answer = answer.with_comment(comments.next()?).ok()?;
        }
        events.get_mut(row)?.feedback = Some(answer);
    }
    Some(())
}

/// Texts take their bytes from `room` when they are read, and from `kept` for each event that has them.
fn read_property(input: &mut In<'_>, name: &str, events: &mut [Event], room: &mut Room, kept: &mut Room) -> Option<()> {
    let rows = read_rows(input, events.len())?;
    let count = input.count(rows.len())?;
    let kinds = input.packed(count)?;
    let of = |wanted: &[u64]| kinds.iter().filter(|kind| wanted.contains(kind)).count();
    let mut numbers = input.packed(of(&[WHOLE, LARGE, FLOAT]))?.into_iter();
    let mut texts = input.texts(of(&[TEXT, JSON]), room)?.into_iter();
    let mut values = Vec::with_capacity(count);
    for kind in &kinds {
        let size = match *kind {
            TEXT | JSON => texts.as_slice().first()?.len(),
            _ => 1,
        };
        let value = match *kind {
            NULL => PropertyValue::Null,
            FALSE => PropertyValue::Bool(false),
            TRUE => PropertyValue::Bool(true),
            WHOLE => PropertyValue::Number(unzigzag(numbers.next()?).into()),
            LARGE => PropertyValue::Number(numbers.next()?.into()),
            FLOAT => PropertyValue::Number(serde_json::Number::from_f64(f64::from_bits(numbers.next()?))?),
            TEXT => PropertyValue::Text(texts.next()?),
            JSON => PropertyValue::Nested(serde_json::from_str(&texts.next()?).ok()?),
            _ => return None,
        };
        values.push((value, size));
    }
    let places = if count < rows.len() { input.packed(rows.len())? } else { (0..count as u64).collect() };
    for (row, place) in rows.into_iter().zip(places) {
        let (value, size) = values.get(usize::try_from(place).ok()?)?;
        kept.take(name.len().checked_add(*size)?)?;
        events.get_mut(row)?.properties.insert(name.to_owned(), value.clone());
    }
    Some(())
}

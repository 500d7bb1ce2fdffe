//! Columns of a segment's block, each readable alone.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

use crate::{
    journey::{Column, Columns, CustomerNo, Header, Needs, Number, Packed, PropertyColumn, Sliced, pack},
    model::{Currency, Survey},
};

/// Which column.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) enum ColumnId {
    Customers,
    Starts,
    Times,
    Touchpoints,
    Seqs,
    Channels,
    Stages,
    Values,
    Feedback,
    Property(u32),
}

impl ColumnId {
    /// Whether a question with these needs reads it.
    pub(crate) fn is_needed(self, needs: &Needs) -> bool {
        match self {
            Self::Customers | Self::Starts => true,
            Self::Times => needs.times,
            Self::Touchpoints => needs.touchpoints,
            Self::Seqs => needs.seqs,
            Self::Channels => needs.channels,
            Self::Stages => needs.stages,
            Self::Values => needs.values,
            Self::Feedback => needs.feedback,
            Self::Property(property) => needs.properties.contains(property),
        }
    }
}

impl ColumnId {
    /// Whether it is among these columns, as far as that is seen: one without anything in it may be.
    pub(crate) fn is_in(self, columns: &Columns) -> bool {
        match self {
            Self::Customers => !columns.customers.is_empty(),
            Self::Starts => !columns.starts.is_empty(),
            Self::Times => columns.times.len() > 0,
            Self::Touchpoints => columns.touchpoints.len() > 0,
            Self::Seqs => columns.seqs.len() > 0,
            Self::Channels => columns.channels.len() > 0,
            Self::Stages => !columns.stages.is_empty(),
            Self::Values => !columns.values.is_empty(),
            Self::Feedback => !columns.feedback.is_empty(),
            Self::Property(property) => columns.properties.contains_key(&property),
        }
    }

    /// Whether it is nothing but numbers, of which some can be read without the rest.
    pub(crate) fn is_numbers(self) -> bool {
        !matches!(self, Self::Values | Self::Property(_))
    }
}

/// All columns that are not empty, in bytes.
pub(crate) fn encode_columns(columns: &Columns) -> Vec<(ColumnId, Vec<u8>)> {
    let mut encoded = vec![
        (ColumnId::Customers, small(columns.customers.iter().map(|c| c.0))),
        (ColumnId::Starts, small(columns.starts.iter().copied())),
        (ColumnId::Times, numbers(&columns.times, true)),
        (ColumnId::Touchpoints, names(&columns.touchpoints)),
        (ColumnId::Seqs, numbers(&columns.seqs, false)),
        (ColumnId::Channels, names(&columns.channels)),
    ];
    if !columns.stages.is_empty() {
        // One more, so that "none" (the largest number) becomes 0 and packs small.
        encoded.push((ColumnId::Stages, small(columns.stages.iter().map(|s| s.wrapping_add(1)))));
    }
    if !columns.values.is_empty() {
        encoded.push((ColumnId::Values, encode_values(&columns.values)));
    }
    if !columns.feedback.is_empty() {
        let code = |answer: &Option<(Survey, u8)>| {
            answer.map_or(0, |(survey, score)| 1 + (survey as u32) * 16 + u32::from(score))
        };
        encoded.push((ColumnId::Feedback, small(columns.feedback.iter().map(code))));
    }
    for (&property, column) in columns.properties.iter().filter(|(_, column)| !column.is_empty()) {
        encoded.push((ColumnId::Property(property), encode_property(column)));
    }
    encoded
}

fn numbers<T: Number>(column: &Column<T>, signed: bool) -> Vec<u8> {
    pack(&column.to_bits(), signed)
}

/// Numbers of names, by which conditions are told: cut into their bits if they are few, else packed.
fn names<T: Number>(column: &Column<T>) -> Vec<u8> {
    let numbers = column.to_bits();
    Sliced::encode(&numbers).unwrap_or_else(|| pack(&numbers, false))
}

fn small(numbers: impl Iterator<Item = u32>) -> Vec<u8> {
    pack(&numbers.map(u64::from).collect::<Vec<_>>(), false)
}

/// Packed numbers that fit in 32 bits, each made into what it stands for.
fn read_small<T>(bytes: Vec<u8>, most: usize, make: impl Fn(u32) -> T) -> Option<Vec<T>> {
    Packed::new(bytes, most)?.all_small(make)
}

/// Numbers of names, left as they are.
fn read_names<T: Number>(bytes: Vec<u8>, most: usize) -> Option<Column<T>> {
    if Header::read(&bytes, most)?.is_sliced {
        return Sliced::new(bytes, most).map(Column::Sliced);
    }
    Packed::new(bytes, most).filter(Packed::is_small).map(Column::Packed)
}

/// Fills one column of a block of at most `rows` rows; `None` if the bytes are none.
pub(crate) fn decode_column(id: ColumnId, bytes: Vec<u8>, rows: usize, columns: &mut Columns) -> Option<()> {
    // One more, since there is one more start than there are journeys.
    let most = rows.checked_add(1)?;
    match id {
        ColumnId::Customers => columns.customers = read_small(bytes, most, CustomerNo)?.into(),
        ColumnId::Starts => columns.starts = read_small(bytes, most, |n| n)?.into(),
        ColumnId::Times => columns.times = Column::Packed(Packed::new(bytes, most)?),
        ColumnId::Touchpoints => columns.touchpoints = read_names(bytes, most)?,
        ColumnId::Seqs => columns.seqs = Column::Packed(Packed::new(bytes, most)?),
        ColumnId::Channels => columns.channels = read_names(bytes, most)?,
        ColumnId::Stages => columns.stages = read_small(bytes, most, |n| n.wrapping_sub(1))?,
        ColumnId::Values => columns.values = decode_values(&bytes, most)?,
        ColumnId::Feedback => columns.feedback = read_feedback(read_small(bytes, most, |n| n)?.into_iter())?,
        ColumnId::Property(property) => {
            columns.properties.insert(property, decode_property(&bytes, most)?);
        }
    }
    Some(())
}

/// The answers that codes stand for; 0 is no answer. `None` if a code stands for nothing.
pub(crate) fn read_feedback(codes: impl Iterator<Item = u32>) -> Option<Vec<Option<(Survey, u8)>>> {
    let mut answers = Vec::with_capacity(codes.size_hint().0);
    for code in codes {
        answers.push(match code.checked_sub(1) {
            None => None,
            Some(code) => {
                let survey = *Survey::ALL.get(usize::try_from(code / 16).ok()?)?;
                let score = u8::try_from(code % 16).ok()?;
                Some((survey, score)).filter(|_| survey.scores().contains(&score))
            }
        });
    }
    Some(answers)
}

/// Money in a block: each currency once, a code per row, and amounts as whole numbers of 10^scale nano-units.
#[derive(Serialize, Deserialize)]
struct Values<'a> {
    currencies: Vec<Currency>,
    #[serde(borrow)]
    codes: Cow<'a, [u8]>,
    scale: u32,
    #[serde(borrow)]
    amounts: Cow<'a, [u8]>,
    /// The amounts as they are, if they do not fit in 64 bits.
    wide: Vec<i128>,
}

fn encode_values(values: &[Option<(i128, Currency)>]) -> Vec<u8> {
    let mut currencies: Vec<Currency> = Vec::new();
    let mut codes = Vec::with_capacity(values.len());
    for value in values {
        codes.push(value.map_or(0, |(_, currency)| {
            let place = currencies.iter().position(|known| *known == currency).unwrap_or_else(|| {
                currencies.push(currency);
                currencies.len() - 1
            });
            place as u64 + 1
        }));
    }
    let amounts = || values.iter().flatten().map(|(amount, _)| *amount);
    let scale = (0..9).rev().find(|&s| amounts().all(|a| a % 10_i128.pow(s) == 0)).unwrap_or_default();
    let narrow: Option<Vec<u64>> =
        amounts().map(|a| i64::try_from(a / 10_i128.pow(scale)).ok().map(i64::cast_unsigned)).collect();
    let wide = if narrow.is_none() { amounts().collect() } else { Vec::new() };
    let amounts = pack(&narrow.unwrap_or_default(), true);
    let codes = pack(&codes, false);
    let form = Values { currencies, codes: codes.into(), scale, amounts: amounts.into(), wide };
    postcard::to_stdvec(&form).unwrap_or_default()
}

fn decode_values(bytes: &[u8], most: usize) -> Option<Vec<Option<(i128, Currency)>>> {
    let form: Values<'_> = postcard::from_bytes(bytes).ok()?;
    let scale = 10_i128.checked_pow(form.scale).filter(|_| form.scale < 9)?;
    let narrow = Packed::new(form.amounts.into_owned(), most)?.all();
    let mut amounts: Box<dyn Iterator<Item = i128>> = if form.wide.is_empty() {
        Box::new(narrow.into_iter().map(|a| i128::from(a.cast_signed()).saturating_mul(scale)))
    } else {
        Box::new(form.wide.into_iter())
    };
    let mut value = |code: u64| -> Option<Option<(i128, Currency)>> {
        let Some(place) = code.checked_sub(1) else { return Some(None) };
        let currency = *form.currencies.get(usize::try_from(place).ok()?)?;
        Some(Some((amounts.next()?, currency)))
    };
    Packed::new(form.codes.into_owned(), most)?.all().into_iter().map(&mut value).collect()
}

/// A property in a block: its distinct values as compressed JSON, and for each row that has one, the distance to the row
/// before, and the place of its value.
#[derive(Serialize, Deserialize)]
struct Property<'a> {
    #[serde(borrow)]
    values: Cow<'a, [u8]>,
    #[serde(borrow)]
    gaps: Cow<'a, [u8]>,
    #[serde(borrow)]
    codes: Cow<'a, [u8]>,
}

fn encode_property(column: &PropertyColumn) -> Vec<u8> {
    let json = serde_json::to_vec(&column.values).unwrap_or_default();
    let values = lz4_flex::compress_prepend_size(&json);
    let no_gaps = || vec![0; column.codes().len()];
    let gaps: Vec<u64> = column.gaps().map_or_else(no_gaps, |gaps| gaps.map(u64::from).collect());
    let codes: Vec<u64> = column.codes().to_vec().into_iter().map(u64::from).collect();
    let form = Property { values: values.into(), gaps: pack(&gaps, false).into(), codes: pack(&codes, false).into() };
    postcard::to_stdvec(&form).unwrap_or_default()
}

fn decode_property(bytes: &[u8], most: usize) -> Option<PropertyColumn> {
    let form: Property<'_> = postcard::from_bytes(bytes).ok()?;
    let json = super::decompress_sized(&form.values)?;
    let gaps = Packed::new(form.gaps.into_owned(), most)?;
    let count = gaps.len();
    let mut rows = if gaps.is_zero() { Vec::new() } else { gaps.all_small(|gap| gap)? };
    let mut next = 0_u32;
    for row in &mut rows {
        *row = row.checked_add(next)?;
        next = row.checked_add(1)?;
    }
    let codes = Packed::new(form.codes.into_owned(), most).filter(Packed::is_small)?;
    (codes.len() == count).then_some(())?;
    Some(PropertyColumn::new(serde_json::from_slice(&json).ok()?, rows, Column::Packed(codes)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        journey::{ChannelNo, NO_STAGE, Row, TouchpointNo},
        model::Micros,
    };

    fn columns(seed: u64) -> Columns {
        let mut random = fastrand::Rng::with_seed(seed);
        let eur = Currency::new("EUR").unwrap();
        let rows = (0..random.u64(0..200))
            .map(|seq| Row {
                customer: CustomerNo(random.u32(0..9)),
                time: Micros(random.i64(-1000..1000) * 1_000_000),
                seq,
                touchpoint: TouchpointNo(random.u32(0..7)),
                channel: ChannelNo(random.u32(0..3)),
                stage: if random.bool() { random.u32(0..4) } else { NO_STAGE },
                value: random
                    .bool()
                    .then(|| (i128::from(random.i64(..)) * if seed % 2 == 0 { 1 } else { 1 << 40 }, eur)),
                feedback: random.bool().then(|| (Survey::Nps, random.u8(0..=10))),
                properties: if random.bool() { vec![(3, "x".into()), (5, random.i64(0..9).into())] } else { vec![] },
            })
            .collect();
        Columns::from_rows(rows)
    }

    #[test]
    fn columns_come_back() {
        for seed in 0..50 {
            let written = columns(seed);
            let mut read = Columns::default();
            for (id, bytes) in encode_columns(&written) {
                decode_column(id, bytes, written.rows(), &mut read).unwrap();
            }
            assert!(read == written, "seed {seed}");
        }
    }

    #[test]
    fn odd_bytes_are_no_column() {
        let mut random = fastrand::Rng::with_seed(3);
        for (id, bytes) in encode_columns(&columns(4)) {
            for _ in 0..1_000 {
                let mut odd = bytes.clone();
                for _ in 0..random.usize(1..4) {
                    let at = random.usize(0..odd.len());
                    odd[at] = random.u8(..);
                }
                odd.truncate(random.usize(0..=odd.len()));
                let _ = decode_column(id, odd, 200, &mut Columns::default());
            }
        }
    }
}

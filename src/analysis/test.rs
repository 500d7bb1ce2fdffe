//! A condition in the numbers of one store, and how it is tried on whole columns at once.

use std::{collections::HashSet, ops::Range};

use foldhash::fast::RandomState;

use super::numbers::Keys;
use crate::{
    journey::{Column, Columns, NameKind, Names, Needs, Number},
    model::{Comparison, Condition, Currency, JourneyModel, PropertyValue, Scalar, Survey, profile_property},
};

/// A condition whose names are numbers. A name the store does not know holds for no event.
#[derive(Debug, Clone)]
pub(crate) enum Test {
    /// Holds always or never.
    Constant(bool),
    Touchpoint(u32),
    Channel(u32),
    /// The stage's code (its place from 1) in the question's own model.
    Stage(u8),
    Property(Option<u32>, PropertyTest),
    Value(Option<Currency>, Comparison<i128>),
    Feedback(Option<Survey>, Comparison<u8>),
    All(Vec<Test>),
    Any(Vec<Test>),
    Not(Box<Test>),
}

/// How a property compares.
#[derive(Debug, Clone)]
pub(crate) struct PropertyTest {
    comparison: Comparison<PropertyValue>,
    /// The values of a list but null, so that a long one costs no more than a short one.
    one_of: Option<HashSet<Scalar, RandomState>>,
}

impl PropertyTest {
    fn new(comparison: &Comparison<PropertyValue>) -> Self {
        let one_of = match comparison {
            Comparison::In(list) if !list.contains(&PropertyValue::Null) => {
                Some(list.iter().filter_map(Scalar::of).collect())
            }
            _ => None,
        };
        Self { comparison: comparison.clone(), one_of }
    }

    fn holds(&self, value: &PropertyValue) -> bool {
        if let Some(one_of) = &self.one_of {
            return Scalar::of(value).is_some_and(|value| one_of.contains(&value));
        }
        self.comparison.holds(
            |other| value.compare(other),
            |text| matches!(value, PropertyValue::Text(whole) if whole.contains(text)),
        )
    }

    fn holds_for_missing(&self) -> bool {
        self.comparison.holds_for_missing()
    }
}

impl Test {
    /// Binds a condition, noting in `needs` what it reads.
    pub(crate) fn bind(condition: &Condition, names: &Names, model: &JourneyModel, needs: &mut Needs) -> Self {
        match condition {
            Condition::Touchpoint(name) => {
                names.find_touchpoint(name.as_str()).map_or(Self::Constant(false), |no| Self::Touchpoint(no.0))
            }
            Condition::Channel(channel) => {
                needs.channels = true;
                names.find_channel(channel.as_str()).map_or(Self::Constant(false), |no| Self::Channel(no.0))
            }
            Condition::Stage(name) => {
                let code = model.position(name.as_str()).and_then(|place| u8::try_from(place + 1).ok());
                code.map_or(Self::Constant(false), Self::Stage)
            }
            Condition::Property { name, test } => {
                let number = names.find_property(name).map(|no| no.0);
                if let Some(number) = number {
                    needs.properties.add(number);
                }
                Self::Property(number, PropertyTest::new(test))
            }
            Condition::Profile { name, when, test } => {
                let number = names.find(NameKind::Property, &profile_property(name));
                Self::Property(number.map(|number| needs.profiles.add(number, *when)), PropertyTest::new(test))
            }
            Condition::Value { currency, test } => {
                needs.values = true;
                Self::Value(*currency, test.map(|amount| crate::model::nanos(*amount)))
            }
            Condition::Feedback { survey, test } => {
                needs.feedback = true;
                Self::Feedback(*survey, test.clone())
            }
            Condition::All(list) => Self::All(list.iter().map(|c| Self::bind(c, names, model, needs)).collect()),
            Condition::Any(list) => Self::Any(list.iter().map(|c| Self::bind(c, names, model, needs)).collect()),
            Condition::Not(inner) => Self::Not(Box::new(Self::bind(inner, names, model, needs))),
        }
    }

    /// If only the touchpoint decides: whether it holds at each of them.
    pub(crate) fn by_touchpoint(&self, touchpoints: usize) -> Option<Vec<bool>> {
        // Lists of names are long where there are many touchpoints, so each name costs one step.
        let join = |list: &[Self], start: bool| {
            let mut joined = vec![start; touchpoints];
            for test in list {
                match test {
                    Self::Touchpoint(number) if !start => {
                        joined.get_mut(*number as usize).into_iter().for_each(|holds| *holds = true);
                    }
                    _ => {
                        let here = test.by_touchpoint(touchpoints)?;
                        joined
                            .iter_mut()
                            .zip(here)
                            .filter(|(_, here)| *here != start)
                            .for_each(|(so_far, here)| *so_far = here);
                    }
                }
            }
            Some(joined)
        };
        match self {
            Self::Constant(holds) => Some(vec![*holds; touchpoints]),
            Self::Touchpoint(_) => join(std::slice::from_ref(self), false),
            Self::All(list) => join(list, true),
            Self::Any(list) => join(list, false),
            Self::Not(inner) => Some(inner.by_touchpoint(touchpoints)?.into_iter().map(|holds| !holds).collect()),
            _ => None,
        }
    }

    /// If only touchpoint and channel decide: whether it holds for these.
    pub(crate) fn by_pair(&self, touchpoint: u32, channel: u32) -> Option<bool> {
        match self {
            Self::Constant(holds) => Some(*holds),
            Self::Touchpoint(number) => Some(*number == touchpoint),
            Self::Channel(number) => Some(*number == channel),
            Self::All(list) => {
                list.iter().try_fold(true, |so_far, test| Some(so_far & test.by_pair(touchpoint, channel)?))
            }
            Self::Any(list) => {
                list.iter().try_fold(false, |so_far, test| Some(so_far | test.by_pair(touchpoint, channel)?))
            }
            Self::Not(inner) => inner.by_pair(touchpoint, channel).map(|holds| !holds),
            _ => None,
        }
    }

    /// The same test where values, feedback and properties hold nothing.
    pub(crate) fn where_nothing_is(&self) -> Self {
        let each = |list: &[Self]| list.iter().map(Self::where_nothing_is).collect();
        match self {
            Self::Property(_, test) => Self::Constant(test.holds_for_missing()),
            Self::Value(_, test) => Self::Constant(test.holds_for_missing()),
            Self::Feedback(_, test) => Self::Constant(test.holds_for_missing()),
            Self::All(list) => Self::All(each(list)),
            Self::Any(list) => Self::Any(each(list)),
            Self::Not(inner) => Self::Not(Box::new(inner.where_nothing_is())),
            other => other.clone(),
        }
    }

    /// Whether all values, feedback and properties that it looks at hold nothing in these columns.
    pub(crate) fn finds_nothing(&self, columns: &Columns) -> bool {
        match self {
            Self::Property(number, _) => number.is_none_or(|number| !columns.properties.contains_key(&number)),
            Self::Value(..) => columns.values.is_empty(),
            Self::Feedback(..) => columns.feedback.is_empty(),
            Self::All(list) | Self::Any(list) => list.iter().all(|test| test.finds_nothing(columns)),
            Self::Not(inner) => inner.finds_nothing(columns),
            Self::Constant(_) | Self::Touchpoint(_) | Self::Channel(_) | Self::Stage(_) => true,
        }
    }

    /// Whether it asks for a stage, which is read from the events before too.
    pub(crate) fn asks_stage(&self) -> bool {
        match self {
            Self::Stage(_) => true,
            Self::All(list) | Self::Any(list) => list.iter().any(Self::asks_stage),
            Self::Not(inner) => inner.asks_stage(),
            _ => false,
        }
    }

    /// Whether it holds, for each of these rows. `stages` are their stage codes in the question's own model.
    pub(crate) fn rows(&self, columns: &Columns, rows: Range<usize>, stages: &[u8]) -> Vec<bool> {
        match self {
            Self::Constant(holds) => vec![*holds; rows.len()],
            Self::Touchpoint(number) => equal_rows(&columns.touchpoints, rows, *number),
            Self::Channel(number) => equal_rows(&columns.channels, rows, *number),
            Self::Stage(code) => stages.iter().map(|s| s == code).collect(),
            Self::Property(number, test) => property_rows(number.and_then(|n| columns.properties.get(&n)), test, rows),
            Self::Value(currency, test) => {
                present_rows(&columns.values, rows, test.holds_for_missing(), |(amount, of)| {
                    let asked = currency.is_none_or(|wanted| wanted == of);
                    if asked {
                        test.holds(|other| Some(amount.cmp(other)), |_| false)
                    } else {
                        test.holds_for_missing()
                    }
                })
            }
            Self::Feedback(survey, test) => {
                present_rows(&columns.feedback, rows, test.holds_for_missing(), |(of, score)| {
                    let asked = survey.is_none_or(|wanted| wanted == of);
                    if asked { test.holds(|other| Some(score.cmp(other)), |_| false) } else { test.holds_for_missing() }
                })
            }
            Self::All(list) => joined(list, (columns, rows, stages), true, |a, b| a && b),
            Self::Any(list) => joined(list, (columns, rows, stages), false, |a, b| a || b),
            Self::Not(inner) => inner.rows(columns, rows, stages).into_iter().map(|holds| !holds).collect(),
        }
    }
}

/// Which rows of a column are of one name.
fn equal_rows<T: Number>(column: &Column<T>, rows: Range<usize>, number: u32) -> Vec<bool> {
    let mut holds = Vec::with_capacity(rows.len());
    column.for_lists(rows, |list| holds.extend(list.iter().map(|&n| n == u64::from(number))));
    holds
}

fn part<T>(column: &[T], rows: Range<usize>) -> &[T] {
    column.get(rows).unwrap_or_default()
}

fn joined(
    list: &[Test],
    (columns, rows, stages): (&Columns, Range<usize>, &[u8]),
    start: bool,
    join: fn(bool, bool) -> bool,
) -> Vec<bool> {
    let mut holds = vec![start; rows.len()];
    for test in list {
        for (so_far, here) in holds.iter_mut().zip(test.rows(columns, rows.clone(), stages)) {
            *so_far = join(*so_far, here);
        }
    }
    holds
}

/// Tries an optional column; an empty one is missing everywhere.
fn present_rows<T: Copy>(
    column: &[Option<T>],
    rows: Range<usize>,
    missing: bool,
    test: impl Fn(T) -> bool,
) -> Vec<bool> {
    if column.is_empty() {
        return vec![missing; rows.len()];
    }
    part(column, rows).iter().map(|value| value.map_or(missing, &test)).collect()
}

/// Tries each distinct value once, then looks the rows' codes up; or each row, if there are fewer of these.
fn property_rows(
    column: Option<&crate::journey::PropertyColumn>,
    test: &PropertyTest,
    rows: Range<usize>,
) -> Vec<bool> {
    let Some(column) = column else { return vec![test.holds_for_missing(); rows.len()] };
    let holds = |value: &PropertyValue| test.holds(value);
    let first = rows.start;
    let all_missing = || vec![test.holds_for_missing(); rows.len()];
    if column.values.len() > rows.len() {
        let mut found = all_missing();
        for (row, code) in column.within(rows) {
            if let (Some(found), Some(value)) = (found.get_mut(row - first), column.values.get(code as usize)) {
                *found = holds(value);
            }
        }
        return found;
    }
    let table: Vec<bool> = column.values.iter().map(holds).collect();
    if let Some(places) = column.all_within(rows.clone()) {
        return Keys::of(column.codes(), places).look_up(&table);
    }
    let mut found = all_missing();
    for (row, code) in column.within(rows) {
        if let (Some(found), Some(&holds)) = (found.get_mut(row - first), table.get(code as usize)) {
            *found = holds;
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::journey::PropertyColumn;

    /// It is the same as to try one after the other.
    #[test]
    fn a_list_holds_what_equals_one_of_it() {
        let text = |text: &str| PropertyValue::Text(text.to_owned());
        let float = |float: f64| PropertyValue::from(float);
        let nested = PropertyValue::from(serde_json::json!([1]));
        let values = [
            PropertyValue::Null,
            true.into(),
            false.into(),
            1.into(),
            float(1.0),
            float(-0.0),
            0.into(),
            float(1.5),
            text("1"),
            text(""),
            nested,
        ];
        for list in (0..1_u32 << values.len()).step_by(7) {
            let chosen = values.iter().enumerate().filter(|(place, _)| list >> place & 1 == 1);
            let list: Vec<PropertyValue> = chosen.map(|(_, value)| value.clone()).collect();
            let test = PropertyTest::new(&Comparison::In(list.clone()));
            for value in &values {
                let equals = |other: &PropertyValue| value.compare(other) == Some(std::cmp::Ordering::Equal);
                assert_eq!(test.holds(value), list.iter().any(equals));
            }
        }
    }

    /// Few rows of many values are tried one by one, many of few by table: with the same answers.
    #[test]
    fn any_rows_of_a_property_are_tried_alike() {
        let mut random = fastrand::Rng::with_seed(4);
        for _ in 0..500 {
            let values: Vec<PropertyValue> = (0..random.i64(1..20)).map(Into::into).collect();
            let rows: Vec<u32> = (0..40).filter(|_| random.u8(0..8) > 0).collect();
            let codes: Vec<u32> = rows.iter().map(|_| random.u32(..) % u32::try_from(values.len()).unwrap()).collect();
            let column =
                PropertyColumn::new(values.clone(), rows.clone(), crate::journey::Column::Plain(codes.clone()));
            let (start, end) = (random.usize(0..=40), random.usize(0..=40));
            for (wanted, comparison) in [(true, Comparison::Eq(3.into())), (false, Comparison::Ne(3.into()))] {
                let holds = |row: usize| {
                    let place = rows.iter().position(|&has| has as usize == row);
                    let value = place.map(|place| &values[codes[place] as usize]);
                    value.map_or(comparison.holds_for_missing(), |value| (*value == 3.into()) == wanted)
                };
                let asked = start.min(end)..start.max(end);
                let expected: Vec<bool> = asked.clone().map(holds).collect();
                assert_eq!(property_rows(Some(&column), &PropertyTest::new(&comparison), asked), expected);
            }
        }
    }
}

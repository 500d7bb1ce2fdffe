//! Periods of UTC, found by looking at each hour.

use chrono::{DateTime, Datelike, DurationRound, TimeDelta, Timelike, Utc};
use serde::Deserialize;

use super::story::Stories;
use crate::{CalendarUnit, Period};

pub(super) fn moment(micros: i64) -> DateTime<Utc> {
    DateTime::from_timestamp_micros(micros).expect("a moment of a world")
}

/// Whether a period is over by the end of observation, and no moment of it lies outside the range.
pub(super) fn is_whole(stories: &Stories<'_>, start: DateTime<Utc>, end: DateTime<Utc>) -> bool {
    let (start, end) = (start.timestamp_micros(), end.timestamp_micros());
    end <= stories.end && stories.from.is_none_or(|from| from <= start) && stories.to.is_none_or(|to| end <= to)
}

/// A period as its JSON says it.
#[derive(Deserialize)]
#[serde(untagged)]
enum Said {
    Plain(CalendarUnit),
    More { calendar: CalendarUnit, zone: Option<String>, first_weekday: Option<String> },
}

/// A unit, the day on which weeks begin, and whether it is a period of UTC.
fn said(period: Period) -> (CalendarUnit, String, bool) {
    match serde_json::from_value(serde_json::to_value(period).unwrap()).unwrap() {
        Said::Plain(unit) => (unit, "monday".to_owned(), true),
        Said::More { calendar, zone, first_weekday } => {
            (calendar, first_weekday.unwrap_or("monday".to_owned()), zone.is_none())
        }
    }
}

fn is_start(unit: CalendarUnit, first_weekday: &str, at: DateTime<Utc>) -> bool {
    match unit {
        CalendarUnit::Hour => true,
        CalendarUnit::Day => at.hour() == 0,
        CalendarUnit::Week => at.hour() == 0 && at.format("%A").to_string().to_lowercase() == first_weekday,
        CalendarUnit::Month => at.hour() == 0 && at.day() == 1,
    }
}

/// The first moment of a period, found by going back hour by hour. In other zones than UTC, whose hours are of several
/// lengths, the period itself is asked; it has tests of its own.
pub(super) fn start_of(period: Period, at: DateTime<Utc>) -> DateTime<Utc> {
    let (unit, first_weekday, is_utc) = said(period);
    if !is_utc {
        return period.start_of(at.into()).to_datetime();
    }
    let mut start = at.duration_trunc(TimeDelta::hours(1)).expect("a moment of a world");
    while !is_start(unit, &first_weekday, start) {
        start -= TimeDelta::hours(1);
    }
    start
}

/// The first moment after a period, found by going ahead hour by hour.
pub(super) fn end_of(period: Period, start: DateTime<Utc>) -> DateTime<Utc> {
    let (unit, first_weekday, is_utc) = said(period);
    if !is_utc {
        return period.next(start.into()).expect("a moment of a world").to_datetime();
    }
    let mut end = start + TimeDelta::hours(1);
    while !is_start(unit, &first_weekday, end) {
        end += TimeDelta::hours(1);
    }
    end
}

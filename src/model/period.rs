//! Periods of the calendar, in the time of a place.

use chrono::{DateTime, Datelike, NaiveDate, Utc, Weekday};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use super::{Micros, Zone, only_an_object};

const HOUR: i64 = 3_600_000_000;
const DAY: i64 = 24 * HOUR;

/// How long a calendar period is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum CalendarUnit {
    /// From one full hour to the next.
    Hour,
    /// From midnight to midnight.
    Day,
    /// From the midnight of one weekday to that of the next.
    Week,
    /// From the first of a month to the first of the next.
    Month,
}

/// A period of the calendar: hour, day, week or month, as the clocks of a [`Zone`] show it.
///
/// In JSON `"day"` for UTC and weeks from Monday, else
/// `{"calendar":"week","zone":"America/New_York","first_weekday":"sunday"}`.
///
/// Where clocks are changed, a day has 23 or 25 hours, or what else lies between its midnights. A day whose midnight is
/// leapt over begins with the leap; one with two midnights begins with the first; one that a place left out is none. An
/// hour begins whenever the clock shows a full hour, and when it leaps over one: two hours in the night in which an hour
/// comes twice, and on Lord Howe Island, whose clocks are changed by half an hour, one of 90 minutes and one of 30.
///
/// ```
/// use journeylog::{Micros, Period, Zone};
/// let at = |text: &str| text.parse::<chrono::DateTime<chrono::Utc>>().unwrap();
/// # #[cfg(feature = "zones")] {
/// // On 2018-11-04 clocks in São Paulo leapt from midnight to one o'clock.
/// let day = Period::DAY.zone(Zone::named("America/Sao_Paulo")?);
/// let start = day.start_of(at("2018-11-04T12:00:00Z").into());
/// assert_eq!(start.to_datetime(), at("2018-11-04T03:00:00Z"));
/// assert_eq!(day.next(start).unwrap().since(start), 23 * 3_600_000_000);
/// # }
/// # Ok::<(), journeylog::InvalidValue>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Period {
    unit: CalendarUnit,
    zone: Zone,
    first_weekday: Weekday,
}

/// One period: from its start up to, not including, its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct PeriodSpan {
    /// [`Micros::MIN`] for the first period, which begins before time does.
    pub(crate) start: Micros,
    /// [`Micros::MAX`] for the last.
    pub(crate) end: Micros,
}

impl PeriodSpan {
    pub(crate) fn contains(self, at: Micros) -> bool {
        self.start <= at && at < self.end
    }
}

impl Period {
    /// Hours of UTC.
    pub const HOUR: Self = Self::of(CalendarUnit::Hour);
    /// Days of UTC.
    pub const DAY: Self = Self::of(CalendarUnit::Day);
    /// Weeks of UTC from Monday.
    pub const WEEK: Self = Self::of(CalendarUnit::Week);
    /// Months of UTC.
    pub const MONTH: Self = Self::of(CalendarUnit::Month);

    /// Periods of UTC of this length; weeks from Monday.
    pub const fn of(unit: CalendarUnit) -> Self {
        Self { unit, zone: Zone::UTC, first_weekday: Weekday::Mon }
    }

    /// The same in another zone.
    #[must_use]
    pub fn zone(mut self, zone: Zone) -> Self {
        self.zone = zone;
        self
    }

    /// Weeks that begin on this day. It changes no other period.
    #[must_use]
    pub fn first_weekday(mut self, day: Weekday) -> Self {
        if self.unit == CalendarUnit::Week {
            self.first_weekday = day;
        }
        self
    }

    /// Hour, day, week or month.
    pub fn unit(self) -> CalendarUnit {
        self.unit
    }

    /// The first moment of the period that holds `at`; [`Micros::MIN`] if that period began before time did.
    pub fn start_of(self, at: Micros) -> Micros {
        self.span_of(at).start
    }

    /// The first moment of the next period, given any moment of one; `None` at the end of time.
    pub fn next(self, at: Micros) -> Option<Micros> {
        Some(self.span_of(at).end).filter(|&end| end != Micros::MAX)
    }

    /// What a calendar of the zone calls the period that holds a moment: `2026-03-01 09:00` for an hour, `2026-03-01` for a
    /// day and a week by its first day, `2026-03` for a month.
    pub fn label(self, at: Micros) -> String {
        let shown = Micros(self.zone.clock(self.start_of(at))).to_datetime();
        let form = match self.unit {
            CalendarUnit::Hour => "%Y-%m-%d %H:%M",
            CalendarUnit::Day | CalendarUnit::Week => "%Y-%m-%d",
            CalendarUnit::Month => "%Y-%m",
        };
        shown.format(form).to_string()
    }

    /// The starts of the periods that follow the one that holds `at`, in order.
    pub fn following(self, at: Micros) -> impl Iterator<Item = Micros> {
        std::iter::successors(self.next(at), move |&start| self.next(start))
    }

    /// The period that holds a moment.
    pub(crate) fn span_of(self, at: Micros) -> PeriodSpan {
        // Outside of chrono's time all is as at its ends.
        let at = Micros::from(at.to_datetime());
        if self.unit == CalendarUnit::Hour {
            return PeriodSpan { start: self.hour_of(at).unwrap_or(Micros::MIN), end: self.hour_after(at) };
        }
        let start = |number| self.first_clock(number).and_then(|clock| self.zone.first_at(clock));
        let number = self.number(self.zone.clock(at));
        let mut span = PeriodSpan { start: Micros::MIN, end: Micros::MAX };
        // Clocks that are put back show a day that is over once more: then a later one has begun already.
        for next in start(number).into_iter().chain((number.saturating_add(1)..).map_while(start)) {
            if next > at {
                span.end = next;
                break;
            }
            span.start = next;
        }
        span
    }

    /// Which day, week or month a clock shows: a number that counts up.
    fn number(self, clock: i64) -> i64 {
        let day = clock.div_euclid(DAY);
        match self.unit {
            CalendarUnit::Week => day.saturating_sub(self.day_of_week_0()).div_euclid(7),
            CalendarUnit::Month => {
                let date = Micros(clock).to_datetime();
                i64::from(date.year()) * 12 + i64::from(date.month0())
            }
            _ => day,
        }
    }

    /// What the clock shows when that day, week or month begins; `None` outside of chrono's time.
    fn first_clock(self, number: i64) -> Option<i64> {
        match self.unit {
            CalendarUnit::Week => number.checked_mul(7)?.checked_add(self.day_of_week_0())?.checked_mul(DAY),
            CalendarUnit::Month => {
                let (year, month) = (number.div_euclid(12), number.rem_euclid(12) + 1);
                let first = NaiveDate::from_ymd_opt(year.try_into().ok()?, month.try_into().ok()?, 1)?;
                Some(first.and_hms_opt(0, 0, 0)?.and_utc().timestamp_micros())
            }
            _ => number.checked_mul(DAY),
        }
    }

    /// The day from 1970 on which the week of number 0 begins; 1970-01-01 was a Thursday.
    fn day_of_week_0(self) -> i64 {
        i64::from(self.first_weekday.num_days_from_monday()) - i64::from(Weekday::Thu.num_days_from_monday())
    }

    /// The latest beginning of an hour up to a moment; `None` if chrono does not hold it.
    fn hour_of(self, at: Micros) -> Option<Micros> {
        let since_full = self.zone.clock(at).rem_euclid(HOUR);
        let full = Micros(at.0.checked_sub(since_full)?);
        match self.zone.change(full, at) {
            None => (full >= DateTime::<Utc>::MIN_UTC.into()).then_some(full),
            Some(change) if self.begins_hour(change) => Some(change),
            Some(change) => self.hour_of(Micros(change.0.checked_sub(1)?)),
        }
    }

    /// The first beginning of an hour after a moment; the end of all moments if chrono does not hold it.
    fn hour_after(self, at: Micros) -> Micros {
        let until_full = HOUR - self.zone.clock(at).rem_euclid(HOUR);
        let full = Micros(at.0.saturating_add(until_full));
        match self.zone.change(at, full) {
            None => Some(full).filter(|&full| full <= DateTime::<Utc>::MAX_UTC.into()).unwrap_or(Micros::MAX),
            Some(change) if self.begins_hour(change) => change,
            Some(change) => self.hour_after(change),
        }
    }

    /// Whether an hour begins when the clock is changed: it then shows a full hour, or has leapt over one.
    fn begins_hour(self, change: Micros) -> bool {
        let (before, after) = (self.zone.clock(Micros(change.0.saturating_sub(1))), self.zone.clock(change));
        after.rem_euclid(HOUR) == 0 || after.div_euclid(HOUR) > before.div_euclid(HOUR)
    }
}

/// Looks up the periods of many moments, of which most lie in the period of the one before, or in one that came earlier.
///
/// It is room that a state keeps while it visits; which period is asked for is told each time.
#[derive(Debug, Clone, Default)]
pub(crate) struct Periods {
    present: Option<PeriodSpan>,
    /// In order.
    known: Vec<PeriodSpan>,
}

impl Periods {
    /// So many periods are remembered: 1 MiB, days for 179 years.
    const LIMIT: usize = 1 << 16;

    /// The same as [`Period::span_of`].
    #[inline]
    pub(crate) fn span_of(&mut self, period: Period, at: Micros) -> PeriodSpan {
        match self.present {
            Some(span) if span.contains(at) => span,
            _ => self.look_up(period, at),
        }
    }

    fn look_up(&mut self, period: Period, at: Micros) -> PeriodSpan {
        let place = self.known.partition_point(|span| span.end <= at);
        let span = match self.known.get(place) {
            Some(span) if span.contains(at) => *span,
            _ => {
                let span = period.span_of(at);
                if self.known.len() < Self::LIMIT {
                    self.known.insert(place, span);
                }
                span
            }
        };
        self.present = Some(span);
        span
    }

    pub(crate) fn size(&self) -> usize {
        self.known.capacity().saturating_mul(size_of::<PeriodSpan>())
    }
}

/// A period that is not that of UTC, in JSON.
#[derive(Serialize, Deserialize)]
#[serde(remote = "Self", expecting = "an object", deny_unknown_fields)]
struct Form {
    calendar: CalendarUnit,
    #[serde(default, skip_serializing_if = "is_utc")]
    zone: Zone,
    #[serde(default, skip_serializing_if = "Option::is_none", with = "weekday")]
    first_weekday: Option<Weekday>,
}

only_an_object!(Form);

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands it so")]
fn is_utc(zone: &Zone) -> bool {
    *zone == Zone::UTC
}

impl Serialize for Period {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        let Self { unit, zone, first_weekday } = *self;
        if self == &Self::of(unit) {
            return unit.serialize(to);
        }
        let first_weekday = Some(first_weekday).filter(|day| *day != Weekday::Mon);
        Form { calendar: unit, zone, first_weekday }.serialize(to)
    }
}

impl<'de> Deserialize<'de> for Period {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_any(Reading)
    }
}

/// Reads either form.
struct Reading;

impl<'de> de::Visitor<'de> for Reading {
    type Value = Period;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("a period such as \"week\" or {\"calendar\":\"week\",\"zone\":\"Europe/Berlin\"}")
    }

    fn visit_str<E: de::Error>(self, unit: &str) -> Result<Period, E> {
        CalendarUnit::deserialize(de::value::StrDeserializer::new(unit)).map(Period::of)
    }

    fn visit_map<A: de::MapAccess<'de>>(self, map: A) -> Result<Period, A::Error> {
        let Form { calendar, zone, first_weekday } =
            <Form as Deserialize>::deserialize(de::value::MapAccessDeserializer::new(map))?;
        if first_weekday.is_some() && calendar != CalendarUnit::Week {
            return Err(de::Error::custom("first_weekday: only a week has one"));
        }
        Ok(Period::of(calendar).zone(zone).first_weekday(first_weekday.unwrap_or(Weekday::Mon)))
    }
}

/// Days of the week by their English names.
mod weekday {
    use chrono::Weekday;
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    const NAMES: [&str; 7] = ["monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"];

    #[expect(clippy::ref_option, clippy::trivially_copy_pass_by_ref, reason = "serde hands it so")]
    pub(super) fn serialize<S: Serializer>(day: &Option<Weekday>, to: S) -> Result<S::Ok, S::Error> {
        day.and_then(|day| NAMES.get(day.num_days_from_monday() as usize)).serialize(to)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Weekday>, D::Error> {
        let name = std::borrow::Cow::<'de, str>::deserialize(from)?;
        let place = NAMES.iter().position(|known| *known == name).and_then(|place| u8::try_from(place).ok());
        let day = place.and_then(|place| Weekday::try_from(place).ok());
        day.map(Some).ok_or_else(|| serde::de::Error::custom("is no day of the week, monday to sunday"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Micros {
        Micros::from(text.parse::<DateTime<Utc>>().unwrap())
    }

    #[test]
    fn periods_before_1970_too() {
        let moment = at("1969-12-31T23:30:00Z");
        assert_eq!(Period::HOUR.start_of(moment), at("1969-12-31T23:00:00Z"));
        assert_eq!(Period::DAY.start_of(moment), at("1969-12-31T00:00:00Z"));
        assert_eq!(Period::WEEK.start_of(moment), at("1969-12-29T00:00:00Z"));
        assert_eq!(Period::WEEK.first_weekday(Weekday::Sun).start_of(moment), at("1969-12-28T00:00:00Z"));
        assert_eq!(Period::WEEK.first_weekday(Weekday::Wed).start_of(moment), at("1969-12-31T00:00:00Z"));
        assert_eq!(Period::MONTH.start_of(moment), at("1969-12-01T00:00:00Z"));
        assert_eq!(Period::MONTH.next(at("1969-12-01T00:00:00Z")), Some(at("1970-01-01T00:00:00Z")));
    }

    #[test]
    fn json_is_itself_again() {
        for text in [r#""hour""#, r#""week""#, r#"{"calendar":"week","first_weekday":"sunday"}"#] {
            let period: Period = serde_json::from_str(text).unwrap();
            assert_eq!(serde_json::to_string(&period).unwrap(), text);
        }
        assert_eq!(serde_json::from_str::<Period>(r#"{"calendar":"week"}"#).unwrap(), Period::WEEK);
        for (text, expected) in [
            (r#""decade""#, "decade"),
            (r#"{"calendar":"day","zone":"Mars"}"#, "zone: "),
            (r#"{"calendar":"day","first_weekday":"sunday"}"#, "first_weekday: only a week"),
            (r#"{"calendar":"week","first_weekday":"sun"}"#, "monday to sunday"),
            (r#"{"calendar":"week","zones":"UTC"}"#, "zones"),
            ("7", "a period such as"),
        ] {
            let refused = serde_json::from_str::<Period>(text).unwrap_err().to_string();
            assert!(refused.contains(expected), "{text}: {refused}");
        }
    }

    #[test]
    fn periods_have_names() {
        let label = |period: Period| period.label(at("2026-03-01T22:30:00Z"));
        assert_eq!(
            [Period::HOUR, Period::DAY, Period::MONTH].map(label),
            ["2026-03-01 22:00", "2026-03-01", "2026-03"]
        );
        assert_eq!(label(Period::WEEK), "2026-02-23");
        #[cfg(feature = "zones")]
        assert_eq!(label(Period::DAY.zone(Zone::named("Asia/Kolkata").unwrap())), "2026-03-02");
        assert!(!Period::WEEK.label(Micros::MIN).is_empty());
    }

    #[test]
    fn only_weeks_have_a_first_weekday() {
        assert_eq!(Period::DAY.first_weekday(Weekday::Sun), Period::DAY);
        assert_ne!(Period::WEEK.first_weekday(Weekday::Sun), Period::WEEK);
    }

    /// Every moment lies in its period, and periods join, at the ends of time too.
    #[track_caller]
    fn check_joins(period: Period, at: Micros) {
        let span = period.span_of(at);
        let inside = Micros::from(at.to_datetime());
        assert!(span.contains(inside), "{period:?} {at}: {span:?}");
        if span.end != Micros::MAX {
            assert_eq!(period.span_of(span.end).start, span.end, "{period:?} {at}");
            assert_eq!(period.span_of(Micros(span.end.0 - 1)), span, "{period:?} {at}");
        }
        if span.start > DateTime::<Utc>::MIN_UTC.into() {
            assert_eq!(period.span_of(span.start), span, "{period:?} {at}");
            assert_eq!(period.span_of(Micros(span.start.0 - 1)).end, span.start, "{period:?} {at}");
        }
    }

    const UNITS: [CalendarUnit; 4] = [CalendarUnit::Hour, CalendarUnit::Day, CalendarUnit::Week, CalendarUnit::Month];

    #[test]
    fn time_has_a_first_period_and_a_last() {
        let ends = [Micros::MIN, DateTime::<Utc>::MIN_UTC.into(), DateTime::<Utc>::MAX_UTC.into(), Micros::MAX];
        for period in UNITS.map(Period::of) {
            for end in ends {
                check_joins(period, end);
            }
            assert_eq!(period.next(Micros::MAX), None);
            assert!(period.next(Micros::MIN).is_some_and(|next| period.start_of(next) == next));
            assert_eq!(period.following(Micros::MAX).count(), 0);
            assert_eq!(period.following(Micros(0)).take(3).count(), 3);
        }
    }

    #[cfg(feature = "zones")]
    mod zones {
        use chrono::{NaiveDateTime, Offset, TimeDelta, TimeZone, Timelike};

        use super::*;

        const ZONES: [&str; 16] = [
            "America/Sao_Paulo",
            "Asia/Beirut",
            "Africa/Cairo",
            "Europe/Berlin",
            "America/St_Johns",
            "Australia/Lord_Howe",
            "Asia/Kathmandu",
            "Asia/Kolkata",
            "Pacific/Apia",
            "Pacific/Chatham",
            "Africa/Casablanca",
            "America/New_York",
            "Asia/Tehran",
            "Asia/Gaza",
            "America/Havana",
            "Antarctica/Troll",
        ];

        fn in_zone(period: Period, zone: &str) -> Period {
            period.zone(Zone::named(zone).unwrap())
        }

        /// The period that holds a moment, and how many hours it has.
        #[track_caller]
        fn check(unit: Period, zone: &str, moment: &str, start: &str, hours: f64) {
            let span = in_zone(unit, zone).span_of(at(moment));
            assert_eq!(span.start.to_string(), start, "{zone} {moment}");
            assert_eq!(span.end.since(span.start) as f64 / HOUR as f64, hours, "{zone} {moment}");
            check_joins(in_zone(unit, zone), at(moment));
        }

        #[test]
        fn days_have_23_and_25_hours() {
            check(Period::DAY, "Europe/Berlin", "2026-03-29T12:00:00Z", "2026-03-28T23:00:00Z", 23.0);
            check(Period::DAY, "Europe/Berlin", "2026-10-25T12:00:00Z", "2026-10-24T22:00:00Z", 25.0);
            check(Period::DAY, "Europe/Berlin", "2026-07-01T21:59:59.999999Z", "2026-06-30T22:00:00Z", 24.0);
            check(Period::WEEK, "Europe/Berlin", "2026-03-29T12:00:00Z", "2026-03-22T23:00:00Z", 167.0);
            check(Period::MONTH, "Europe/Berlin", "2026-10-01T00:00:00Z", "2026-09-30T22:00:00Z", 745.0);
        }

        #[test]
        fn midnights_that_do_not_exist() {
            // At midnight the clock leaps to one o'clock.
            check(Period::DAY, "America/Sao_Paulo", "2018-11-04T03:00:00Z", "2018-11-04T03:00:00Z", 23.0);
            check(Period::DAY, "America/Sao_Paulo", "2018-11-04T02:59:59Z", "2018-11-03T03:00:00Z", 24.0);
            check(Period::DAY, "Asia/Beirut", "2022-03-27T12:00:00Z", "2022-03-26T22:00:00Z", 23.0);
            check(Period::DAY, "Africa/Cairo", "2023-04-28T12:00:00Z", "2023-04-27T22:00:00Z", 23.0);
        }

        #[test]
        fn midnights_that_come_twice() {
            // At midnight the clock is put back to 23:00, so that the day before has 25 hours.
            check(Period::DAY, "America/Sao_Paulo", "2018-02-18T02:30:00Z", "2018-02-17T02:00:00Z", 25.0);
            check(Period::DAY, "Asia/Beirut", "2022-10-29T21:30:00Z", "2022-10-28T21:00:00Z", 25.0);
            check(Period::DAY, "Africa/Cairo", "2023-10-26T21:30:00Z", "2023-10-25T21:00:00Z", 25.0);
            // At one minute past midnight it is put back to 23:01: the day begins with the first midnight, and what the
            // clock then shows of the day before is part of it.
            check(Period::DAY, "America/St_Johns", "2006-10-29T02:30:00Z", "2006-10-29T02:30:00Z", 25.0);
            check(Period::DAY, "America/St_Johns", "2006-10-29T03:00:00Z", "2006-10-29T02:30:00Z", 25.0);
            check(Period::DAY, "America/St_Johns", "2006-10-29T02:29:59Z", "2006-10-28T02:30:00Z", 24.0);
        }

        #[test]
        fn days_that_were_left_out_or_lived_twice() {
            // Samoa went to bed on the 29th and got up on the 31st.
            check(Period::DAY, "Pacific/Apia", "2011-12-30T09:59:59Z", "2011-12-29T10:00:00Z", 24.0);
            check(Period::DAY, "Pacific/Apia", "2011-12-30T10:00:00Z", "2011-12-30T10:00:00Z", 24.0);
            // Alaska had a day twice when it became American.
            let day = in_zone(Period::DAY, "America/Juneau");
            let longest = std::iter::successors(Some(at("1867-10-10T00:00:00Z")), |start| day.next(*start))
                .take(20)
                .map(|start| day.span_of(start))
                .max_by_key(|span| span.end.since(span.start));
            assert!(longest.is_some_and(|span| span.end.since(span.start) > i128::from(47 * HOUR)), "{longest:?}");
        }

        #[test]
        fn hours_of_zones_that_are_not_whole_hours_ahead() {
            check(Period::HOUR, "Asia/Kathmandu", "2026-01-01T00:14:59Z", "2025-12-31T23:15:00Z", 1.0);
            check(Period::HOUR, "Asia/Kolkata", "2026-01-01T00:30:00Z", "2026-01-01T00:30:00Z", 1.0);
            // From 2:00 the clock is put back to 1:30, and from 2:00 ahead to 2:30.
            check(Period::HOUR, "Australia/Lord_Howe", "2026-04-04T15:10:00Z", "2026-04-04T14:00:00Z", 1.5);
            check(Period::HOUR, "Australia/Lord_Howe", "2026-10-03T15:40:00Z", "2026-10-03T15:30:00Z", 0.5);
            // An hour comes twice; another not at all.
            check(Period::HOUR, "Europe/Berlin", "2026-10-25T00:30:00Z", "2026-10-25T00:00:00Z", 1.0);
            check(Period::HOUR, "Europe/Berlin", "2026-10-25T01:30:00Z", "2026-10-25T01:00:00Z", 1.0);
            check(Period::HOUR, "Europe/Berlin", "2026-03-29T01:30:00Z", "2026-03-29T01:00:00Z", 1.0);
        }

        #[test]
        fn time_ends_in_every_zone() {
            for zone in ZONES.into_iter().chain(["Asia/Manila", "Pacific/Kiritimati", "Etc/GMT+12"]) {
                for period in UNITS.map(|unit| in_zone(Period::of(unit), zone)) {
                    for end in
                        [Micros::MIN, DateTime::<Utc>::MIN_UTC.into(), DateTime::<Utc>::MAX_UTC.into(), Micros::MAX]
                    {
                        check_joins(period, end);
                    }
                    assert_eq!(period.next(Micros::MAX), None);
                }
            }
        }

        /// The period that holds a moment, found by looking at the clock each minute.
        fn by_the_minute(unit: CalendarUnit, zone: &str, first_weekday: Weekday, moment: Micros) -> PeriodSpan {
            let zone: chrono_tz::Tz = zone.parse().unwrap();
            let clock = |at: DateTime<Utc>| -> NaiveDateTime {
                at.naive_utc()
                    + TimeDelta::seconds(zone.offset_from_utc_datetime(&at.naive_utc()).fix().local_minus_utc().into())
            };
            let of = |clock: NaiveDateTime| -> NaiveDate {
                match unit {
                    CalendarUnit::Week => clock.date().week(first_weekday).first_day(),
                    CalendarUnit::Month => clock.date().with_day(1).unwrap(),
                    _ => clock.date(),
                }
            };
            let days = match unit {
                CalendarUnit::Hour => 1,
                CalendarUnit::Day => 3,
                CalendarUnit::Week => 9,
                CalendarUnit::Month => 33,
            };
            let minute = TimeDelta::minutes(1);
            let mut now =
                moment.to_datetime().with_second(0).unwrap().with_nanosecond(0).unwrap() - TimeDelta::days(days);
            let (mut latest, mut before) = (of(clock(now)), clock(now));
            let mut start = Micros::MIN;
            loop {
                now += minute;
                let shown = clock(now);
                let full = |clock: NaiveDateTime| clock.with_minute(0).unwrap();
                let begins = match unit {
                    CalendarUnit::Hour => shown.minute() == 0 || full(shown) > full(before),
                    _ => of(shown) > latest,
                };
                if begins && Micros::from(now) > moment {
                    return PeriodSpan { start, end: now.into() };
                }
                if begins {
                    start = now.into();
                }
                (latest, before) = (latest.max(of(shown)), shown);
            }
        }

        #[test]
        fn as_one_who_looks_at_the_clock_each_minute() {
            let mut rng = fastrand::Rng::with_seed(5);
            let first = at("1973-01-01T00:00:00Z").0;
            for round in 0..400 {
                let zone = ZONES[round % ZONES.len()];
                let unit = UNITS[if round % 40 == 0 { 3 } else { rng.usize(..3) }];
                let weekday = Weekday::try_from(rng.u8(..7)).unwrap();
                let mut moment = Micros(first + rng.i64(0..65 * 365 * DAY));
                // Mostly near a change of the clock, if there is one in the next half year.
                let rules = Zone::named(zone).unwrap();
                let steps = (0..183).map(|day| Micros(moment.0 + day * DAY));
                let change = steps.clone().zip(steps.skip(1)).find_map(|(from, to)| rules.change(from, to));
                if let Some(change) = change.filter(|_| round % 5 > 0) {
                    moment = Micros(change.0 + rng.i64(-30..30) * 3_600_000_000 / rng.i64(1..20) + rng.i64(-1..2));
                }
                let period = in_zone(Period::of(unit), zone).first_weekday(weekday);
                let expected = by_the_minute(unit, zone, weekday, moment);
                assert_eq!(period.span_of(moment), expected, "{zone} {unit:?} {weekday} {moment}");
                check_joins(period, moment);
            }
        }

        #[test]
        fn looking_up_is_the_same_as_working_out() {
            let mut rng = fastrand::Rng::with_seed(6);
            for zone in ZONES {
                let period = in_zone(Period::of(UNITS[rng.usize(..4)]), zone);
                let mut periods = Periods::default();
                for _ in 0..500 {
                    let moment = Micros(at("2018-01-01T00:00:00Z").0 + rng.i64(0..400) * 6 * HOUR);
                    assert_eq!(periods.span_of(period, moment), period.span_of(moment));
                }
                assert!(periods.size() > 0);
            }
        }
    }
}

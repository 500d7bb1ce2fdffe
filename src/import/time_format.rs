//! How a file writes its times.

use std::{fmt::Write, str::FromStr};

use chrono::{
    DateTime, FixedOffset, NaiveDate, NaiveTime, Utc,
    format::{Item, Parsed, StrftimeItems, parse},
};
use rust_decimal::{Decimal, prelude::ToPrimitive};
use serde::{Deserialize, Serialize};

use crate::error::InvalidValue;

/// How a CSV file writes its times. What names no zone is UTC; what is finer than a microsecond is cut off.
///
/// | text | meaning |
/// |---|---|
/// | `rfc3339` | `2026-03-01T09:30:00.25+01:00`; the `T` may be a space, the zone may be missing, and so may the time of day. The default |
/// | `unix_s`, `unix_ms`, `unix_us` | seconds, milliseconds, microseconds since 1970, perhaps with a fraction |
/// | with a `%` | a pattern of chrono's `strftime`, such as `%d.%m.%Y %H:%M`; without a time of day it is midnight, and without a date it is refused |
///
/// ```
/// use journeylog::import::TimeFormat;
/// let german: TimeFormat = "%d.%m.%Y %H:%M".parse()?;
/// assert_eq!(german.read("01.03.2026 09:30"), "rfc3339".parse::<TimeFormat>()?.read("2026-03-01 09:30:00"));
/// assert!("%d.%m.%Q".parse::<TimeFormat>().is_err());
/// # Ok::<(), journeylog::InvalidValue>(())
/// ```
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct TimeFormat(Form);

#[derive(Debug, Clone, PartialEq)]
enum Form {
    Rfc3339,
    /// Microseconds in the unit.
    Unix(u32),
    Pattern(String, Vec<Item<'static>>),
}

const UNIX: [(&str, u32); 3] = [("unix_s", 1_000_000), ("unix_ms", 1_000), ("unix_us", 1)];

impl TimeFormat {
    /// The moment that a text of this format says; `None` if it is not of this format, or no such moment exists.
    pub fn read(&self, text: &str) -> Option<DateTime<Utc>> {
        match &self.0 {
            Form::Rfc3339 => read_rfc3339(text),
            Form::Unix(micros) => {
                let micros = Decimal::from_str_exact(text).ok()?.checked_mul(Decimal::from(*micros))?;
                DateTime::from_timestamp_micros(micros.floor().to_i64()?)
            }
            Form::Pattern(_, items) => read_pattern(text, items),
        }
    }
}

fn read_rfc3339(text: &str) -> Option<DateTime<Utc>> {
    let (day, rest) = text.split_at_checked(10)?;
    let day: NaiveDate = day.parse().ok()?;
    if rest.is_empty() {
        return Some(day.and_time(NaiveTime::MIN).and_utc());
    }
    let rest = rest.strip_prefix(['T', 't', ' '])?;
    let (time, zone) = NaiveTime::parse_and_remainder(rest, "%H:%M:%S%.f").ok()?;
    let moment = day.and_time(time);
    match zone.trim_start() {
        "" | "Z" | "z" | "UTC" => Some(moment.and_utc()),
        zone => {
            let offset: FixedOffset = zone.parse().ok()?;
            Some(moment.and_local_timezone(offset).single()?.to_utc())
        }
    }
}

fn read_pattern(text: &str, items: &[Item<'_>]) -> Option<DateTime<Utc>> {
    let mut parsed = Parsed::new();
    parse(&mut parsed, text, items.iter()).ok()?;
    if parsed.offset().is_some() || parsed.timestamp().is_some() {
        let zone = if parsed.offset().is_some() { parsed.to_fixed_offset().ok()? } else { FixedOffset::east_opt(0)? };
        return Some(parsed.to_datetime_with_timezone(&zone).ok()?.to_utc());
    }
    let moment = match parsed.hour_div_12() {
        None => parsed.to_naive_date().ok()?.and_time(NaiveTime::MIN),
        Some(_) => parsed.to_naive_datetime_with_offset(0).ok()?,
    };
    Some(moment.and_utc())
}

/// A pattern is of use if a moment written by it can be read again: else each line of the file would be bad, or lose its
/// time of day without a word.
fn check_pattern(pattern: &str, items: &[Item<'_>]) -> Result<(), &'static str> {
    const UNREADABLE: &str = "cannot be read: it needs a whole date, such as %Y%m%d, and with an hour the minute";
    let loose = pattern.contains("%#z"); // which can be read, but not written
    let strict = StrftimeItems::new(&pattern.replace("%#z", "%z")).parse_to_owned().map_err(|_| UNREADABLE)?;
    let write = |moment: DateTime<Utc>| {
        let mut text = String::new();
        let items = if loose { strict.iter() } else { items.iter() };
        write!(text, "{}", moment.format_with_items(items)).is_ok().then_some(text)
    };
    // 2026-11-23 14:35:46.25: afternoon, and no part of it is the default.
    let written = DateTime::from_timestamp_millis(1_795_444_546_250).and_then(write).ok_or(UNREADABLE)?;
    let read = read_pattern(&written, items).ok_or(UNREADABLE)?;
    if write(read).is_some_and(|again| again == written) {
        return Ok(());
    }
    Err("would lose the time of day: it needs an hour, and %I needs %p")
}

impl Default for TimeFormat {
    fn default() -> Self {
        Self(Form::Rfc3339)
    }
}

impl FromStr for TimeFormat {
    type Err = InvalidValue;

    fn from_str(text: &str) -> Result<Self, InvalidValue> {
        if text == "rfc3339" {
            return Ok(Self::default());
        }
        if let Some((_, micros)) = UNIX.iter().find(|(name, _)| *name == text) {
            return Ok(Self(Form::Unix(*micros)));
        }
        let refused = |reason: &str| InvalidValue::new("time_format", reason);
        if !text.contains('%') {
            return Err(refused("is none of rfc3339, unix_s, unix_ms, unix_us and a strftime pattern, such as %Y%m%d"));
        }
        let parsed = StrftimeItems::new(text).parse_to_owned();
        let items = parsed.map_err(|_| refused("is not a strftime pattern, such as %Y%m%d"))?;
        check_pattern(text, &items).map_err(refused)?;
        Ok(Self(Form::Pattern(text.to_owned(), items)))
    }
}

impl TryFrom<String> for TimeFormat {
    type Error = InvalidValue;
    fn try_from(text: String) -> Result<Self, InvalidValue> {
        text.parse()
    }
}

impl From<TimeFormat> for String {
    fn from(format: TimeFormat) -> Self {
        match format.0 {
            Form::Rfc3339 => "rfc3339".to_owned(),
            Form::Unix(micros) => {
                UNIX.iter().find(|(_, scale)| *scale == micros).map_or("unix_us", |(name, _)| name).to_owned()
            }
            Form::Pattern(text, _) => text,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(format: &str, text: &str) -> Option<String> {
        let format: TimeFormat = format.parse().unwrap();
        let moment = format.read(text)?;
        Some(moment.to_rfc3339_opts(chrono::SecondsFormat::AutoSi, true))
    }

    #[test]
    fn what_is_read() {
        for (format, text, moment) in [
            ("rfc3339", "2019-11-01 17:59:13.273932", "2019-11-01T17:59:13.273932Z"),
            ("rfc3339", "2019-11-01T17:59:13+02:00", "2019-11-01T15:59:13Z"),
            ("rfc3339", "2019-11-01T17:59:13Z", "2019-11-01T17:59:13Z"),
            ("rfc3339", "2019-11-01", "2019-11-01T00:00:00Z"),
            ("unix_s", "1572631153", "2019-11-01T17:59:13Z"),
            ("unix_s", "1572631153.25", "2019-11-01T17:59:13.250Z"),
            ("unix_s", "-1", "1969-12-31T23:59:59Z"),
            ("unix_ms", "1572631153250", "2019-11-01T17:59:13.250Z"),
            ("unix_us", "1572631153250001", "2019-11-01T17:59:13.250001Z"),
            ("%Y%m%d", "19970101", "1997-01-01T00:00:00Z"),
            ("%d/%m/%y %I:%M %p", "01/03/26 09:30 PM", "2026-03-01T21:30:00Z"),
            ("%Y-%m-%d %H:%M:%S %z", "2026-03-01 09:30:00 +0100", "2026-03-01T08:30:00Z"),
        ] {
            assert_eq!(read(format, text).as_deref(), Some(moment), "{format} {text}");
        }
    }

    #[test]
    fn what_is_not() {
        for (format, text) in [
            ("rfc3339", ""),
            ("rfc3339", "2019-02-29"),
            ("rfc3339", "2019-11-01 25:00:00"),
            ("rfc3339", "2019-11-01 17:59:13 Europe/Vienna"),
            ("rfc3339", "2019-11-0ä 17:59:13"),
            ("unix_s", "1e9"),
            ("unix_s", "99999999999999999999"),
            ("unix_us", "now"),
            ("%Y%m%d", "19970199"),
            ("%Y%m%d", "19970101 "),
        ] {
            assert_eq!(read(format, text), None, "{format} {text}");
        }
    }

    #[test]
    fn a_format_that_could_read_nothing_is_refused() {
        let strftime = "is not a strftime pattern, such as %Y%m%d";
        let date = "cannot be read: it needs a whole date, such as %Y%m%d, and with an hour the minute";
        let hour = "would lose the time of day: it needs an hour, and %I needs %p";
        for (format, reason) in [
            ("%Q", strftime),
            ("%Y-%", strftime),
            ("%%", date),
            ("%H:%M", date),
            ("%Y-%m", date),
            ("%Y%q%d", date),
            ("%Y-%m-%d %H", date),
            ("%d.%m.%Y %I:%M", hour),
            ("%d.%m.%Y :%M", hour),
        ] {
            assert_eq!(format.parse::<TimeFormat>().unwrap_err().reason(), reason, "{format}");
        }
        for format in ["", "iso", "unix", "YYYYMMDD"] {
            let refused = format.parse::<TimeFormat>().unwrap_err();
            assert!(refused.reason().ends_with("a strftime pattern, such as %Y%m%d"), "{refused}");
        }
        for format in [
            "%s",
            "%s%.3f",
            "%+",
            "%c",
            "%D %T",
            "%F %R",
            "%d/%b/%Y:%H:%M:%S %z",
            "%Y-%m-%dT%H:%M:%S%#z",
            "%Y%j",
            "%G-W%V-%u",
            "%a, %e %B %y %r",
            "%Y-%m-%d %H:%M:%S UTC",
            "%v %l:%M %P",
            "%Y-%m-%d %k:%M:%S%.f %Z",
            "%Y%m%d%H%M%S%3f",
            "%C%y%m%d",
            "%Y-%m-%d %q",
            "%d.%m.%Y %H:%M",
            "%Y-%m-%d %H:%M:%S %:z",
        ] {
            assert_eq!(format.parse::<TimeFormat>().err(), None, "{format}");
        }
        assert_eq!(read("%F %T%#z", "2026-03-01 09:30:00+01").as_deref(), Some("2026-03-01T08:30:00Z"));
    }

    #[test]
    fn a_format_is_itself_again() {
        for text in ["rfc3339", "unix_s", "unix_ms", "unix_us", "%d.%m.%Y"] {
            let format: TimeFormat = text.parse().unwrap();
            assert_eq!(String::from(format), text);
        }
    }
}

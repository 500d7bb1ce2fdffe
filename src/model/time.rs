//! Time inside the crate: microseconds since 1970 in UTC, and windows.

use std::{fmt, str::FromStr};

use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};

use crate::error::InvalidValue;

/// A moment in microseconds since 1970-01-01T00:00:00Z, before it too. Every moment that chrono holds fits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Micros(pub i64);

impl Micros {
    /// Before every moment.
    pub const MIN: Self = Self(i64::MIN);
    /// After every moment.
    pub const MAX: Self = Self(i64::MAX);

    /// The moment `span` later, or the end of time.
    #[must_use]
    pub fn plus(self, span: Window) -> Self {
        Self(self.0.saturating_add(span.micros()))
    }

    /// Microseconds from an earlier moment to this one; the difference of any two moments fits.
    pub fn since(self, earlier: Self) -> i128 {
        i128::from(self.0).saturating_sub(i128::from(earlier.0))
    }

    /// As chrono's moment; the nearest one it holds.
    pub fn to_datetime(self) -> DateTime<Utc> {
        DateTime::from_timestamp_micros(self.0).unwrap_or(if self.0 < 0 {
            DateTime::<Utc>::MIN_UTC
        } else {
            DateTime::<Utc>::MAX_UTC
        })
    }
}

impl From<DateTime<Utc>> for Micros {
    /// To the microsecond; what is finer is cut off. A leap second is the second after it, but for the one at the end of
    /// time.
    fn from(moment: DateTime<Utc>) -> Self {
        Self(moment.timestamp_micros().min(DateTime::<Utc>::MAX_UTC.timestamp_micros()))
    }
}

impl fmt::Display for Micros {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.to_datetime().to_rfc3339_opts(chrono::SecondsFormat::AutoSi, true))
    }
}

/// Reads a time in JSON, and says what one looks like if it is none.
pub(crate) fn read_time<'de, D: serde::Deserializer<'de>>(from: D) -> Result<DateTime<Utc>, D::Error> {
    let text = std::borrow::Cow::<'de, str>::deserialize(from)?;
    text.parse()
        .map_err(|e| serde::de::Error::custom(format!("is not an RFC 3339 time such as 2026-03-01T09:30:00Z ({e})")))
}

/// The same for a time that may be left out.
pub(crate) fn read_maybe_time<'de, D: serde::Deserializer<'de>>(from: D) -> Result<Option<DateTime<Utc>>, D::Error> {
    read_time(from).map(Some)
}

/// A length of time that is not negative, to the microsecond: `90s`, `30m`, `7d`.
///
/// Units are `us`, `ms`, `s`, `m` (minutes), `h`, `d` (24 hours) and `w` (7 days).
///
/// ```
/// use journeylog::Window;
/// let week: Window = "7d".parse()?;
/// assert_eq!(week, Window::days(7)?);
/// assert_eq!(week.to_string(), "7d");
/// assert!("7 days".parse::<Window>().is_err());
/// # Ok::<(), journeylog::InvalidValue>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Window(i64);

/// Units from large to small, so that printing takes the largest that divides.
const UNITS: [(&str, i64); 7] = [
    ("w", 604_800_000_000),
    ("d", 86_400_000_000),
    ("h", 3_600_000_000),
    ("m", 60_000_000),
    ("s", 1_000_000),
    ("ms", 1_000),
    ("us", 1),
];

impl Window {
    /// That many days of 24 hours.
    ///
    /// # Errors
    /// [`InvalidValue`] if it is negative or over 290,000 years.
    pub fn days(days: i64) -> Result<Self, InvalidValue> {
        TimeDelta::try_days(days).ok_or_else(out_of_range).and_then(Self::try_from)
    }

    /// That many seconds, which are few.
    pub(crate) const fn seconds(seconds: u32) -> Self {
        Self(seconds as i64 * 1_000_000)
    }

    /// That many minutes, which are few.
    pub(crate) const fn minutes(minutes: u32) -> Self {
        Self(minutes as i64 * 60_000_000)
    }

    pub(crate) fn micros(self) -> i64 {
        self.0
    }

    /// As long as both one after the other, or as long as can be.
    pub(crate) fn plus(self, other: Self) -> Self {
        Self(self.0.saturating_add(other.0))
    }

    /// So many times as long, or as long as can be.
    pub(crate) fn times(self, count: u32) -> Self {
        Self(self.0.saturating_mul(count.into()))
    }
}

fn out_of_range() -> InvalidValue {
    InvalidValue::new("duration", "is negative or too long to count in microseconds")
}

impl TryFrom<TimeDelta> for Window {
    type Error = InvalidValue;
    fn try_from(span: TimeDelta) -> Result<Self, InvalidValue> {
        span.num_microseconds().filter(|&micros| micros >= 0).map(Self).ok_or_else(out_of_range)
    }
}

impl FromStr for Window {
    type Err = InvalidValue;
    fn from_str(text: &str) -> Result<Self, InvalidValue> {
        let form =
            || InvalidValue::new("duration", "is not a whole number and a unit: us, ms, s, m, h, d or w, such as 7d");
        let split = text.find(|c: char| !c.is_ascii_digit()).ok_or_else(form)?;
        let (number, unit) = text.split_at(split);
        let scale = UNITS.iter().find(|(name, _)| *name == unit).map(|(_, scale)| *scale).ok_or_else(form)?;
        let number: i64 = number.parse().map_err(|_| if number.is_empty() { form() } else { out_of_range() })?;
        number.checked_mul(scale).map(Self).ok_or_else(out_of_range)
    }
}

impl fmt::Display for Window {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0 == 0 {
            return f.write_str("0s");
        }
        // Weeks are read but not printed: 7d is how the field says it.
        let unit = UNITS.iter().skip(1).find(|(_, scale)| self.0 % scale == 0);
        let (name, scale) = unit.unwrap_or(&("us", 1));
        write!(f, "{}{name}", self.0 / scale)
    }
}

impl TryFrom<String> for Window {
    type Error = InvalidValue;
    fn try_from(text: String) -> Result<Self, InvalidValue> {
        text.parse()
    }
}

impl From<Window> for String {
    fn from(window: Window) -> Self {
        window.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn extreme_moments_neither_wrap_nor_panic() {
        for moment in [DateTime::<Utc>::MIN_UTC, DateTime::<Utc>::MAX_UTC] {
            let micros = Micros::from(moment);
            assert_eq!(Micros::from(micros.to_datetime()), micros);
        }
        assert_eq!(Micros::MAX.plus(Window(1)), Micros::MAX);
        assert_eq!(Micros::MAX.since(Micros::MIN), i128::from(u64::MAX));
        let _ = (Micros::MIN.to_string(), Micros::MAX.to_string());
    }

    #[test]
    fn windows_read_and_print() {
        for (text, printed) in
            [("90s", "90s"), ("30m", "30m"), ("7d", "7d"), ("1w", "7d"), ("0s", "0s"), ("60s", "1m"), ("5us", "5us")]
        {
            assert_eq!(text.parse::<Window>().unwrap().to_string(), printed);
        }
        for bad in ["", "7", "d", "-1d", "1.5h", "7 d", "9223372036854775807d", "99999999999999999999s", "1y"] {
            assert!(bad.parse::<Window>().is_err(), "{bad}");
        }
        assert!(Window::try_from(TimeDelta::microseconds(-1)).is_err());
        assert!(Window::try_from(TimeDelta::MAX).is_err());
    }
}

//! Time zones: what a clock on the wall of a place shows at a moment.

use std::fmt;

use chrono::{DateTime, Offset, TimeZone, Utc};
use serde::{Deserialize, Serialize};

use super::Micros;
use crate::error::InvalidValue;

#[cfg(feature = "zones")]
type Rules = chrono_tz::Tz;
#[cfg(not(feature = "zones"))]
type Rules = Utc;

const SECOND: i64 = 1_000_000;
/// No clock was ever further from UTC; it is for Manila, before 1845, that it is more than 15 hours.
const FURTHEST: i64 = 16 * 3_600 * SECOND;

/// A time zone by its IANA name, such as `Europe/Berlin`. The default is UTC.
///
/// All but UTC need the crate's feature `zones`, which is on by default.
///
/// ```
/// use journeylog::Zone;
/// # #[cfg(feature = "zones")]
/// assert_eq!(Zone::named("America/Sao_Paulo")?.name(), "America/Sao_Paulo");
/// assert_eq!(Zone::named("UTC")?, Zone::UTC);
/// assert!(Zone::named("Mars/Olympus").is_err());
/// # Ok::<(), journeylog::InvalidValue>(())
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Zone(Rules);

impl Zone {
    /// UTC, whose clocks never change.
    #[cfg(feature = "zones")]
    pub const UTC: Self = Self(chrono_tz::Tz::UTC);
    /// UTC, whose clocks never change.
    #[cfg(not(feature = "zones"))]
    pub const UTC: Self = Self(Utc);

    /// The zone of that name; upper and lower case matter.
    ///
    /// # Errors
    /// [`InvalidValue`] if there is none, or it is not UTC and the crate was built without the feature `zones`.
    pub fn named(name: impl AsRef<str>) -> Result<Self, InvalidValue> {
        let refuse = |reason| InvalidValue::new("zone", reason);
        #[cfg(feature = "zones")]
        let zone =
            name.as_ref().parse().map(Self).map_err(|_| refuse("is no IANA time zone, such as UTC or Europe/Berlin"));
        #[cfg(not(feature = "zones"))]
        let zone = if name.as_ref() == "UTC" {
            Ok(Self::UTC)
        } else {
            Err(refuse("can only be UTC, since this program was built without journeylog's feature `zones`"))
        };
        zone
    }

    /// Its name.
    pub fn name(self) -> &'static str {
        #[cfg(feature = "zones")]
        let name = self.0.name();
        #[cfg(not(feature = "zones"))]
        let name = "UTC";
        name
    }

    /// How far its clock is ahead of UTC at a moment, in microseconds.
    fn offset(self, at: Micros) -> i64 {
        if self == Self::UTC {
            return 0;
        }
        let offset = self.0.offset_from_utc_datetime(&at.to_datetime().naive_utc());
        i64::from(offset.fix().local_minus_utc()) * SECOND
    }

    /// What its clock shows at a moment, as microseconds since its own 1970-01-01 00:00.
    pub(super) fn clock(self, at: Micros) -> i64 {
        at.0.saturating_add(self.offset(at))
    }

    /// The first moment at which its clock shows this time or a later one; `None` if chrono does not hold it.
    ///
    /// That is the first of two moments if the clock shows the time twice, and the moment of the jump if it leaps over it.
    pub(super) fn first_at(self, clock: i64) -> Option<Micros> {
        DateTime::from_timestamp_micros(clock)?;
        let mut at = Micros(clock.saturating_sub(if self == Self::UTC { 0 } else { FURTHEST }));
        while self.clock(at) < clock {
            let offset = self.offset(at);
            let by_this_offset = Micros(clock.saturating_sub(offset));
            at = self.change(at, by_this_offset).unwrap_or(by_this_offset);
        }
        (DateTime::<Utc>::MIN_UTC.into()..=DateTime::<Utc>::MAX_UTC.into()).contains(&at).then_some(at)
    }

    /// The moment after `from` and not after `to`, which lie less than two days apart, at which its clock was changed.
    pub(super) fn change(self, from: Micros, to: Micros) -> Option<Micros> {
        let before = self.offset(from);
        if self.offset(to) == before {
            return None;
        }
        // Clocks are changed at full seconds.
        let (mut before_it, mut at_it) = (from.0.div_euclid(SECOND), to.0.div_euclid(SECOND));
        while at_it.saturating_sub(before_it) > 1 {
            let middle = before_it.midpoint(at_it);
            if self.offset(Micros(middle * SECOND)) == before {
                before_it = middle;
            } else {
                at_it = middle;
            }
        }
        Some(Micros(at_it * SECOND))
    }
}

impl Default for Zone {
    fn default() -> Self {
        Self::UTC
    }
}

impl fmt::Debug for Zone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Zone({})", self.name())
    }
}

impl fmt::Display for Zone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl TryFrom<String> for Zone {
    type Error = InvalidValue;
    fn try_from(name: String) -> Result<Self, InvalidValue> {
        Self::named(name)
    }
}

impl From<Zone> for String {
    fn from(zone: Zone) -> Self {
        zone.name().to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_checked() {
        assert_eq!(Zone::named("UTC").unwrap(), Zone::UTC);
        let refused = serde_json::from_str::<Zone>(r#""Mars/Olympus""#).unwrap_err().to_string();
        assert!(refused.starts_with("zone: "), "{refused}");
        assert!(!refused.contains("Mars"), "{refused}");
        let other = Zone::named("Europe/Berlin");
        assert_eq!(other.is_ok(), cfg!(feature = "zones"));
        if let Ok(zone) = other {
            assert_eq!(serde_json::to_string(&zone).unwrap(), r#""Europe/Berlin""#);
        }
    }
}

//! What a question about sessions asks.

use chrono::TimeDelta;
use serde::{Deserialize, Serialize};

use crate::{
    error::{InvalidPlan, InvalidValue},
    model::{Period, Window, only_an_object},
};

/// At most so many touchpoints at which sessions begin, and at which they end, are listed.
pub const LIMIT_SESSION_TOUCHPOINTS: u32 = 1_000;
const DEFAULT_TOUCHPOINTS: u32 = 10;
const DEFAULT_GAP: Window = Window::minutes(30);

/// Sessions of customers.
///
/// # Question
/// How often do customers come, how long do they stay, how much do they do, where do they come in and where do they leave?
///
/// # Definition
/// A session is a run of events of one customer of which neighbours are not more than the gap apart: exactly the gap is within,
/// a microsecond more begins a new session. Its length is the time from its first event to its last, and 0 if it has only one;
/// it is then a bounce. A session is a reading of the journey as the scope sees it; a scope's filter takes events out before. A
/// scope's range says which sessions count, by their beginning; none is cut by it. Of tied events the one that arrived first comes
/// first, and the one that arrived last is the last. Listed sessions bear their number among all of their customer, those before the range too.
///
/// A session whose last event lies not more than the gap before the end of observation is **open**: it may still go on. It counts
/// as it stands. Over time a session belongs to the calendar [`Period`] in which it begins; listed are all periods from the first
/// in which one does to the one that holds the last moment of the range, or the end of observation if that is earlier. One that
/// goes on beyond the end of observation, or does not lie wholly in the range, is marked (`finished: false`).
///
/// # Worked example
/// ```
/// use journeylog::{Event, Journeys, Sessions};
/// # use chrono::{DateTime, TimeDelta, Utc};
/// let minute = |m| DateTime::<Utc>::UNIX_EPOCH + TimeDelta::minutes(m);
/// let journeys = Journeys::of([
///     Event::at(minute(0), "ann", "home"), Event::at(minute(30), "ann", "product_view"), Event::at(minute(61), "ann", "home"),
///     Event::at(minute(0), "bob", "product_view"), Event::at(minute(10), "bob", "purchase"),
/// ])?;
/// let report = journeys.query().run(&Sessions::default())?;
/// assert_eq!((report.sessions, report.customers, report.events), (3, 2, 5)); // Ann comes again after 31 minutes
/// assert_eq!(report.bounced.share, Some(1.0 / 3.0));
/// assert_eq!(report.duration.unwrap().max, 30.0 * 60.0);
/// assert_eq!((report.first.top[0].touchpoint.as_str(), report.first.top[0].sessions.some), ("home", 2));
/// assert_eq!(report.open, 1); // her second one, so far
/// # Ok::<(), journeylog::Error>(())
/// ```
///
/// # Cost
/// Time: one look at each event. Memory: the lengths of sessions, up to a bound, two numbers for each touchpoint and four for each
/// period, and the customers with their sessions if they are listed.
///
/// # Compared with
/// Web analytics ends sessions after 30 minutes of silence too; some tools also end them at midnight or when the campaign
/// changes, which is not done here.
///
/// # Literature
/// L. Catledge and J. Pitkow (1995), "Characterizing browsing strategies in the World-Wide Web", measured the silence
/// (25.5 minutes) from which the usual half an hour comes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "SessionsBuilder", into = "SessionsBuilder")]
#[must_use = "a plan answers nothing until it is run"]
pub struct Sessions {
    pub(super) gap: Window,
    pub(super) every: Option<Period>,
    pub(super) limit: usize,
    pub(super) customers: bool,
}

impl Default for Sessions {
    /// With a gap of 30 minutes, not over time.
    fn default() -> Self {
        Self { gap: DEFAULT_GAP, every: None, limit: DEFAULT_TOUCHPOINTS as usize, customers: false }
    }
}

impl Sessions {
    /// Begins with the default: a gap of 30 minutes, not over time.
    pub fn builder() -> SessionsBuilder {
        Self::default().into()
    }

    /// The same plan, listing the customers behind its numbers.
    pub(crate) fn list_customers(mut self) -> Self {
        self.customers = true;
        self
    }
}

/// Sessions in the making, and the JSON form of them, each key optional: `{"gap":"30m","every":"week","limit":10,"customers":true}`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(remote = "Self", expecting = "an object", deny_unknown_fields)]
#[must_use = "sessions are only made by build"]
pub struct SessionsBuilder {
    #[serde(default = "default_gap")]
    gap: Window,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    every: Option<Period>,
    #[serde(default = "default_limit")]
    limit: u32,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    customers: bool,
    #[serde(skip)]
    refused: Option<InvalidValue>,
}

only_an_object!(SessionsBuilder);

fn default_gap() -> Window {
    DEFAULT_GAP
}

fn default_limit() -> u32 {
    DEFAULT_TOUCHPOINTS
}

impl SessionsBuilder {
    /// Sets how far neighbouring events of a session may be apart. The default is 30 minutes; with 0 only events at one instant
    /// are one session.
    pub fn gap(mut self, gap: TimeDelta) -> Self {
        match Window::try_from(gap) {
            Ok(gap) => self.gap = gap,
            Err(e) => self.refused = Some(InvalidValue::new("gap", e.reason())),
        }
        self
    }

    /// Counts sessions by the calendar period in which they begin, too.
    pub fn every(mut self, period: Period) -> Self {
        self.every = Some(period);
        self
    }

    /// Sets how many first and last touchpoints are listed, 1 to 1,000; the others are counted together. The default is 10.
    pub fn limit(mut self, touchpoints: u32) -> Self {
        self.limit = touchpoints;
        self
    }

    /// Lists the customers with their sessions.
    pub fn list_customers(mut self) -> Self {
        self.customers = true;
        self
    }

    /// Checks and makes the plan.
    ///
    /// # Errors
    /// [`InvalidPlan`] if the gap is negative or too long to count in microseconds, or if no touchpoint is to be listed or more
    /// than 1,000.
    pub fn build(self) -> Result<Sessions, InvalidPlan> {
        let Self { gap, every, limit, customers, refused } = self;
        if let Some(refused) = refused {
            return Err(refused.within("sessions").into());
        }
        if !(1..=LIMIT_SESSION_TOUCHPOINTS).contains(&limit) {
            let reason = format!("is {limit}, 1 to {LIMIT_SESSION_TOUCHPOINTS} touchpoints can be listed");
            return Err(InvalidPlan::new("sessions.limit", reason));
        }
        Ok(Sessions { gap, every, limit: limit as usize, customers })
    }
}

impl TryFrom<SessionsBuilder> for Sessions {
    type Error = InvalidPlan;
    fn try_from(builder: SessionsBuilder) -> Result<Self, InvalidPlan> {
        builder.build()
    }
}

impl From<Sessions> for SessionsBuilder {
    fn from(Sessions { gap, every, limit, customers }: Sessions) -> Self {
        let limit = u32::try_from(limit).unwrap_or(LIMIT_SESSION_TOUCHPOINTS);
        Self { gap, every, limit, customers, refused: None }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_is_itself_again() {
        let text = r#"{"gap":"45m","every":"week","limit":3,"customers":true}"#;
        let plan: Sessions = serde_json::from_str(text).unwrap();
        let built = Sessions::builder().gap(TimeDelta::minutes(45)).every(Period::WEEK).limit(3);
        let built = built.list_customers().build();
        assert_eq!(Ok(plan.clone()), built);
        assert_eq!(serde_json::to_string(&plan).unwrap(), text);
        assert_eq!(serde_json::from_str::<Sessions>("{}").unwrap(), Sessions::default());
        assert_eq!(serde_json::to_string(&Sessions::default()).unwrap(), r#"{"gap":"30m","limit":10}"#);
    }

    #[test]
    fn impossible_plans_say_where() {
        let refused = |builder: SessionsBuilder| builder.build().unwrap_err().to_string();
        let negative = refused(Sessions::builder().gap(TimeDelta::seconds(-1)));
        assert!(negative.starts_with("sessions.gap") && negative.contains("is negative"), "{negative}");
        assert!(refused(Sessions::builder().limit(0)).starts_with("sessions.limit: is 0"));
        assert!(refused(Sessions::builder().limit(1_001)).starts_with("sessions.limit: is 1001"));
    }
}

//! Sessions: events of a customer that follow each other closely.

use std::{cmp::Reverse, collections::BTreeMap, fmt};

use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};

use super::{
    Analysis, Binder, Bound, BoundScope, DurationSummary, Durations, Matches, Rate, TimeBin, carried::Carried,
    over_time::over_time,
};
use crate::{
    error::{InvalidPlan, InvalidValue, Result},
    journey::{Journey, Names, TouchpointNo},
    model::{Condition, Micros, Period, PeriodSpan, Periods, Touchpoint, Window},
    table::{Cell, Table, Tables, write_tables},
};

/// At most so many touchpoints at which sessions begin, and at which they end, are listed.
pub const LIMIT_SESSION_TOUCHPOINTS: u32 = 1_000;
const DEFAULT_TOUCHPOINTS: u32 = 10;
const DEFAULT_GAP: Window = Window::minutes(30);

/// From how many events on sessions are counted together, by their number.
const SIZES: [u64; 10] = [1, 2, 3, 4, 5, 6, 11, 21, 51, 101];

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
/// first, and the one that arrived last is the last.
///
/// A session whose last event lies not more than the gap before the end of observation is **open**: it may still go on. It counts
/// as it stands. Over time a session belongs to the calendar [`Period`] in which it begins; listed are all periods from the first
/// in which one does to the one that holds the last moment of the range, or the end of observation if that is earlier. One that
/// goes on beyond the end of observation is marked (`finished: false`).
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
/// period.
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
    gap: Window,
    every: Option<Period>,
    limit: usize,
}

impl Default for Sessions {
    /// With a gap of 30 minutes, not over time.
    fn default() -> Self {
        Self { gap: DEFAULT_GAP, every: None, limit: DEFAULT_TOUCHPOINTS as usize }
    }
}

impl Sessions {
    /// Begins with the default: a gap of 30 minutes, not over time.
    pub fn builder() -> SessionsBuilder {
        Self::default().into()
    }
}

/// Sessions in the making, and the JSON form of them, each key optional: `{"gap":"30m","every":"week","limit":10}`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[must_use = "sessions are only made by build"]
pub struct SessionsBuilder {
    #[serde(default = "default_gap")]
    gap: Window,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    every: Option<Period>,
    #[serde(default = "default_limit")]
    limit: u32,
    #[serde(skip)]
    refused: Option<InvalidValue>,
}

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

    /// Checks and makes the plan.
    ///
    /// # Errors
    /// [`InvalidPlan`] if the gap is negative or too long to count in microseconds, or if no touchpoint is to be listed or more
    /// than 1,000.
    pub fn build(self) -> Result<Sessions, InvalidPlan> {
        let Self { gap, every, limit, refused } = self;
        if let Some(refused) = refused {
            return Err(refused.within("sessions").into());
        }
        if !(1..=LIMIT_SESSION_TOUCHPOINTS).contains(&limit) {
            let reason = format!("is {limit}, 1 to {LIMIT_SESSION_TOUCHPOINTS} touchpoints can be listed");
            return Err(InvalidPlan::new("sessions.limit", reason));
        }
        Ok(Sessions { gap, every, limit: limit as usize })
    }
}

impl TryFrom<SessionsBuilder> for Sessions {
    type Error = InvalidPlan;
    fn try_from(builder: SessionsBuilder) -> Result<Self, InvalidPlan> {
        builder.build()
    }
}

impl From<Sessions> for SessionsBuilder {
    fn from(Sessions { gap, every, limit }: Sessions) -> Self {
        Self { gap, every, limit: u32::try_from(limit).unwrap_or(LIMIT_SESSION_TOUCHPOINTS), refused: None }
    }
}

impl Analysis for Sessions {
    type Bound = BoundSessions;

    fn bind(&self, binder: &mut Binder<'_>) -> Result<BoundSessions, InvalidPlan> {
        let events = binder.matches(&[Condition::All(Vec::new())])?;
        binder.carry(events, Carried::Touchpoint);
        let (touchpoints, _) = binder.sizes();
        Ok(BoundSessions { plan: self.clone(), events, touchpoints, scope: binder.scope().clone() })
    }
}

/// Sessions bound to a store.
#[derive(Debug)]
pub struct BoundSessions {
    plan: Sessions,
    events: Matches,
    /// How many there are.
    touchpoints: usize,
    scope: BoundScope,
}

/// What is counted.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct SessionsState {
    customers: u64,
    events: u64,
    open: u64,
    /// By how many events they have, as the list of sizes says.
    sizes: Vec<u64>,
    durations: Durations,
    /// Sessions that begin, and that end, at each touchpoint by its number.
    first: Vec<u64>,
    last: Vec<u64>,
    /// By the starts of periods.
    over_time: BTreeMap<Micros, Counts>,
    /// Room for looking periods up.
    #[serde(skip)]
    periods: Periods,
}

#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize)]
struct Counts {
    sessions: u64,
    customers: u64,
    events: u64,
    bounced: u64,
}

impl BoundSessions {
    /// Counts a session: its times and the touchpoints of its events. Says in which period it begins.
    fn count(&self, state: &mut SessionsState, times: &[Micros], touchpoints: &[u32]) -> Option<Micros> {
        let (Some(&begin), Some(&end)) = (times.first(), times.last()) else { return None };
        let events = times.len() as u64;
        let size = SIZES.partition_point(|size| *size <= events).saturating_sub(1);
        state.sizes.get_mut(size).into_iter().for_each(|count| *count += 1);
        state.events += events;
        state.open += u64::from(self.is_within(end, self.scope.end));
        state.durations.add_between(begin, end);
        self.count_at(&mut state.first, touchpoints.first());
        self.count_at(&mut state.last, touchpoints.last());
        let start = state.periods.span_of(self.plan.every?, begin).start;
        let counts = state.over_time.entry(start).or_default();
        counts.sessions += 1;
        counts.events += events;
        counts.bounced += u64::from(events == 1);
        Some(start)
    }

    fn count_at(&self, counts: &mut Vec<u64>, touchpoint: Option<&u32>) {
        let Some(place) = touchpoint.map(|number| *number as usize).filter(|place| *place < self.touchpoints) else {
            return;
        };
        if counts.len() <= place {
            counts.resize(place + 1, 0);
        }
        counts.get_mut(place).into_iter().for_each(|count| *count += 1);
    }

    /// Whether two moments are not more than the gap apart.
    fn is_within(&self, earlier: Micros, later: Micros) -> bool {
        later.since(earlier) <= self.plan.gap.micros().into()
    }

    fn over_time(&self, state: &SessionsState) -> Result<Option<Vec<SessionsPeriod>>> {
        let Some(period) = self.plan.every else { return Ok(None) };
        let first = state.over_time.keys().next().copied().unwrap_or(Micros::MAX);
        let of_range = self.scope.to.map_or(Micros::MAX, |to| Micros(to.0.saturating_sub(1)));
        let row = |span: PeriodSpan| {
            let Counts { sessions, customers, events, bounced } =
                state.over_time.get(&span.start).copied().unwrap_or_default();
            SessionsPeriod {
                period: span.start.to_datetime(),
                finished: span.end <= self.scope.end,
                sessions,
                customers,
                events,
                bounced: Rate::new(bounced, sessions),
            }
        };
        Ok(Some(over_time(period, first, of_range.min(self.scope.end))?.into_iter().map(row).collect()))
    }

    /// The most frequent of these touchpoints.
    fn top(&self, counts: &[u64], sessions: u64, names: &Names) -> Result<SessionTouchpoints> {
        let mut all = Vec::new();
        for (number, &count) in (0..).zip(counts).filter(|(_, count)| **count > 0) {
            all.push((Touchpoint::new(names.touchpoint(TouchpointNo(number)))?, count));
        }
        all.sort_unstable_by(|(a, one), (b, other)| (Reverse(one), a.as_str()).cmp(&(Reverse(other), b.as_str())));
        let others = all.split_off(self.plan.limit.min(all.len()));
        let listed = |(touchpoint, count)| SessionTouchpoint { touchpoint, sessions: Rate::new(count, sessions) };
        Ok(SessionTouchpoints {
            top: all.into_iter().map(listed).collect(),
            others: others.len() as u64,
            other: Rate::new(others.iter().map(|(_, count)| count).sum(), sessions),
        })
    }
}

impl Bound for BoundSessions {
    type State = SessionsState;
    type Report = SessionsReport;

    fn start(&self) -> SessionsState {
        SessionsState { sizes: vec![0; SIZES.len()], ..SessionsState::default() }
    }

    fn visit(&self, state: &mut SessionsState, journey: &Journey<'_>) {
        let events = self.events.of(journey);
        let mut touchpoints = events.carried;
        let (mut is_counted, mut latest) = (false, None);
        for times in events.times.chunk_by(|earlier, later| self.is_within(*earlier, *later)) {
            let (at, rest) = touchpoints.split_at_checked(times.len()).unwrap_or_default();
            touchpoints = rest;
            if !times.first().is_some_and(|begin| self.scope.counts(*begin)) {
                continue;
            }
            is_counted = true;
            // A customer counts once in a period; their sessions come in order.
            let period = self.count(state, times, at);
            if let Some(start) = period.filter(|_| period != latest) {
                state.over_time.entry(start).or_default().customers += 1;
                latest = period;
            }
        }
        state.customers += u64::from(is_counted);
    }

    fn merge(&self, state: &mut SessionsState, other: SessionsState) {
        state.customers += other.customers;
        state.events += other.events;
        state.open += other.open;
        add_each(&mut state.sizes, &other.sizes);
        state.durations.merge(other.durations);
        add_each(&mut state.first, &other.first);
        add_each(&mut state.last, &other.last);
        for (start, there) in other.over_time {
            let here = state.over_time.entry(start).or_default();
            here.sessions += there.sessions;
            here.customers += there.customers;
            here.events += there.events;
            here.bounced += there.bounced;
        }
    }

    fn size(&self, state: &SessionsState) -> usize {
        let numbers = state.sizes.len() + state.first.len() + state.last.len();
        let periods = state.over_time.len() * 2 * (size_of::<Micros>() + size_of::<Counts>());
        numbers * 8 + state.durations.size() + periods + state.periods.size()
    }

    fn finish(&self, state: SessionsState, names: &Names) -> Result<SessionsReport> {
        let sessions: u64 = state.sizes.iter().sum();
        let per = |count: u64, of: u64| (of > 0).then(|| count as f64 / of as f64);
        let ends = SIZES.iter().skip(1).map(|next| Some(next - 1)).chain([None]);
        let sizes = SIZES.into_iter().zip(ends).zip(&state.sizes);
        let sizes = sizes.map(|((from, to), &sessions)| SessionSize { from, to, sessions });
        Ok(SessionsReport {
            gap: self.plan.gap,
            sessions,
            customers: state.customers,
            events: state.events,
            open: state.open,
            events_per_session: per(state.events, sessions),
            sessions_per_customer: per(sessions, state.customers),
            bounced: Rate::new(state.sizes.first().copied().unwrap_or_default(), sessions),
            sizes: sizes.filter(|size| size.sessions > 0).collect(),
            duration: state.durations.summary(),
            histogram: state.durations.histogram(),
            first: self.top(&state.first, sessions, names)?,
            last: self.top(&state.last, sessions, names)?,
            every: self.plan.every,
            over_time: self.over_time(&state)?,
        })
    }
}

fn add_each(here: &mut Vec<u64>, there: &[u64]) {
    here.resize(here.len().max(there.len()), 0);
    here.iter_mut().zip(there).for_each(|(here, there)| *here += there);
}

/// The sessions of customers.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct SessionsReport {
    /// How far neighbouring events of a session are apart at most.
    pub gap: Window,
    /// Sessions that began in the scope's range.
    pub sessions: u64,
    /// Customers who had any.
    pub customers: u64,
    /// Events in them.
    pub events: u64,
    /// Sessions that may still go on after the end of observation.
    pub open: u64,
    /// Their mean number of events; `None` of no sessions.
    pub events_per_session: Option<f64>,
    /// The mean number of sessions of a customer who had any.
    pub sessions_per_customer: Option<f64>,
    /// Sessions of one event.
    pub bounced: Rate,
    /// Sessions by their number of events; sizes that none has are left out.
    pub sizes: Vec<SessionSize>,
    /// How long they lasted.
    pub duration: Option<DurationSummary>,
    /// How many lasted how long.
    pub histogram: Vec<TimeBin>,
    /// Where they began.
    pub first: SessionTouchpoints,
    /// Where they ended.
    pub last: SessionTouchpoints,
    /// The calendar period, if the plan asks for one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub every: Option<Period>,
    /// Each period in order, if the plan asks for one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub over_time: Option<Vec<SessionsPeriod>>,
}

/// Sessions with so many events.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct SessionSize {
    /// The fewest.
    pub from: u64,
    /// The most; `None` for any number more.
    pub to: Option<u64>,
    /// How many sessions.
    pub sessions: u64,
}

/// Touchpoints at which sessions begin, or end: those listed and the others are all sessions.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct SessionTouchpoints {
    /// The most frequent ones; equals by name.
    pub top: Vec<SessionTouchpoint>,
    /// How many other touchpoints there are.
    pub others: u64,
    /// Sessions of all others together.
    pub other: Rate,
}

/// Sessions that begin, or end, at one touchpoint.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct SessionTouchpoint {
    /// The touchpoint.
    pub touchpoint: Touchpoint,
    /// How many of all.
    pub sessions: Rate,
}

/// Sessions that begin in one period.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct SessionsPeriod {
    /// Its first moment.
    pub period: DateTime<Utc>,
    /// False if observation ends within it.
    pub finished: bool,
    /// How many begin in it.
    pub sessions: u64,
    /// Customers who begin any in it.
    pub customers: u64,
    /// Events in them.
    pub events: u64,
    /// Those of one event.
    pub bounced: Rate,
}

impl SessionTouchpoints {
    fn table(&self, title: &str) -> Table {
        let mut table = Table::new(title, ["touchpoint", "sessions", "share"]);
        for one in &self.top {
            let (count, share) = (one.sessions.some.into(), Cell::share(one.sessions.share));
            table.push([one.touchpoint.as_str().into(), count, share]);
        }
        if self.others > 0 {
            let name = format!("({} others)", self.others);
            table.push([name.into(), self.other.some.into(), Cell::share(self.other.share)]);
        }
        table
    }
}

impl Tables for SessionsReport {
    fn tables(&self) -> Vec<Table> {
        let columns = [
            "sessions",
            "customers",
            "events",
            "still open",
            "per customer",
            "events each",
            "bounced",
            "median",
            "p90",
        ];
        let mut all = Table::new(format!("Sessions (gap {})", self.gap), columns);
        let mean = |mean: Option<f64>| mean.map_or(Cell::Empty, |mean| format!("{mean:.2}").into());
        all.push([
            self.sessions.into(),
            self.customers.into(),
            self.events.into(),
            self.open.into(),
            mean(self.sessions_per_customer),
            mean(self.events_per_session),
            Cell::share(self.bounced.share),
            Cell::seconds(self.duration.map(|d| d.median)),
            Cell::seconds(self.duration.map(|d| d.p90)),
        ]);
        let mut sizes = Table::new("Events of a session", ["events", "sessions"]);
        for size in &self.sizes {
            let name = match size.to {
                Some(to) if to == size.from => to.to_string(),
                Some(to) => format!("{} to {to}", size.from),
                None => format!("{} or more", size.from),
            };
            sizes.push([name.into(), size.sessions.into()]);
        }
        let mut lengths = Table::new("Lengths of sessions", ["from", "to", "sessions"]);
        for bin in &self.histogram {
            let seconds = |seconds: u64| Cell::Seconds(seconds as f64);
            lengths.push([seconds(bin.from), bin.to.map_or(Cell::Empty, seconds), bin.count.into()]);
        }
        let mut tables =
            vec![all, sizes, lengths, self.first.table("First touchpoints"), self.last.table("Last touchpoints")];
        if let (Some(period), Some(rows)) = (self.every, &self.over_time) {
            let columns = ["period", "sessions", "customers", "events", "bounced"];
            let mut table = Table::new("Sessions by period (* not over)", columns);
            for row in rows {
                let mark = if row.finished { "" } else { " *" };
                let name = format!("{}{mark}", period.label(row.period.into()));
                let counts = [row.sessions, row.customers, row.events].map(Cell::from);
                table.push(std::iter::once(name.into()).chain(counts).chain([Cell::share(row.bounced.share)]));
            }
            tables.push(table);
        }
        tables
    }
}

impl fmt::Display for SessionsReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_tables(f, self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_is_itself_again() {
        let text = r#"{"gap":"45m","every":"week","limit":3}"#;
        let plan: Sessions = serde_json::from_str(text).unwrap();
        let built = Sessions::builder().gap(TimeDelta::minutes(45)).every(Period::WEEK).limit(3).build();
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

//! The answer to a question about sessions.

use std::fmt;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::{
    analysis::{DurationSummary, Rate, TimeBin, listed::when, rate::INTERVAL},
    model::{CustomerId, Period, Touchpoint, Window},
    table::{Cell, Table, Tables, write_tables},
};

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
    /// Each of the customers, by id, if the plan lists them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub listed: Option<Vec<SessionCustomer>>,
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
    /// False if observation ends within it, or it does not lie wholly in the scope's range.
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

/// A customer with their sessions.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct SessionCustomer {
    /// Who.
    pub customer: CustomerId,
    /// Each session that began in the scope's range, in order.
    pub sessions: Vec<CustomerSession>,
}

/// One session of one customer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct CustomerSession {
    /// Which of the customer's sessions it is, from 1: those before the scope's range are counted too.
    pub number: u64,
    /// When its first event was.
    pub begin: DateTime<Utc>,
    /// When its last event was.
    pub end: DateTime<Utc>,
    /// How many events it has.
    pub events: u64,
    /// Where the first of them was.
    pub first: Touchpoint,
    /// Where the last of them was.
    pub last: Touchpoint,
    /// Whether it may still go on after the end of observation.
    pub open: bool,
}

impl SessionTouchpoints {
    fn table(&self, title: &str) -> Table {
        let mut table = Table::new(title, ["touchpoint", "sessions", "share", INTERVAL]);
        for one in &self.top {
            let (count, share) = (one.sessions.some.into(), Cell::share(one.sessions.share));
            table.push([one.touchpoint.as_str().into(), count, share, one.sessions.interval()]);
        }
        if self.others > 0 {
            let name = format!("({} others)", self.others);
            let share = Cell::share(self.other.share);
            table.push([name.into(), self.other.some.into(), share, self.other.interval()]);
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
            INTERVAL,
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
            self.bounced.interval(),
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
        let lengths = TimeBin::table("Lengths of sessions".into(), "sessions", &self.histogram);
        let mut tables =
            vec![all, sizes, lengths, self.first.table("First touchpoints"), self.last.table("Last touchpoints")];
        if let (Some(period), Some(rows)) = (self.every, &self.over_time) {
            let columns = ["period", "sessions", "customers", "events", "bounced", INTERVAL];
            let mut table = Table::new("Sessions by period (* not over, or not wholly in the range)", columns);
            for row in rows {
                let mark = if row.finished { "" } else { " *" };
                let name = format!("{}{mark}", period.label(row.period.into()));
                let counts = [row.sessions, row.customers, row.events].map(Cell::from);
                table.push(
                    std::iter::once(name.into())
                        .chain(counts)
                        .chain([Cell::share(row.bounced.share), row.bounced.interval()]),
                );
            }
            tables.push(table);
        }
        if let Some(listed) = &self.listed {
            let columns = ["customer", "#", "begin", "end", "events", "first", "last", "still open"];
            let mut table = Table::new("Customers", columns);
            for one in listed {
                for session in &one.sessions {
                    table.push([
                        one.customer.as_str().into(),
                        session.number.into(),
                        when(session.begin),
                        when(session.end),
                        session.events.into(),
                        session.first.as_str().into(),
                        session.last.as_str().into(),
                        if session.open { "yes" } else { "no" }.into(),
                    ]);
                }
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

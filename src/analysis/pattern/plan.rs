//! What a question about a pattern asks.

use serde::{Deserialize, Serialize};

use crate::{
    error::InvalidPlan,
    model::{Pattern, PatternStep, Window, only_an_object},
};

/// The matches of a pattern in journeys.
///
/// # Question
/// How many customers look three times and then put something in their cart, without asking for help? How often do they, and how
/// long does it take?
///
/// # Definition
/// A match is a choice of distinct events of one journey, in its order, that serve the [`Pattern`]'s steps one after another as their
/// modifiers say. Its first event lies in the scope's range; the others are read beyond it, up to the end of observation. Events are
/// in the order of the journey: tied events that arrived first come first, unlike in a funnel, since `directly` and `not_between`
/// need to know which event is the next.
///
/// Matches are found one after another. Of all that begin after the one before has ended, it is the one that ends **first**; of those
/// that end with the same event, the one that begins **last**, so the shortest; and of these the one whose events are as late as they
/// can be, compared from the last one backwards (an event that may serve several steps serves the latest). So matches do not
/// overlap, and there is no way to choose more that do not.
///
/// `customers` are those who have an event in the range, and `matched` is the share of them with a match; `of_started` is the share
/// of those with an event in the range that the first step may begin with. Lengths are from a match's first event to its last.
///
/// # Worked example
/// ```
/// use journeylog::{Event, Journeys, Pattern, PatternMatches};
/// # use chrono::{DateTime, TimeDelta, Utc};
/// let day = |d| DateTime::<Utc>::UNIX_EPOCH + TimeDelta::days(d);
/// let journeys = Journeys::of([
///     Event::at(day(0), "ann", "view"), Event::at(day(1), "ann", "view"), Event::at(day(2), "ann", "cart"),
///     Event::at(day(3), "ann", "view"), Event::at(day(4), "ann", "cart"),
///     Event::at(day(0), "bob", "view"), Event::at(day(1), "bob", "support"), Event::at(day(2), "bob", "cart"),
/// ])?;
/// let pattern = Pattern::starting_with("view").then("cart").not_between("support").build()?;
/// let report = journeys.query().run(&PatternMatches::of(pattern).list_customers())?;
/// assert_eq!((report.matched.some, report.matched.of, report.matches), (1, 2, 2));
/// // Ann's first match is the shortest that ends on day 2: it begins with her second view.
/// let first = &report.listed.as_ref().unwrap()[0].matches[0];
/// assert_eq!((first.events[0].occurred_at, first.events[1].occurred_at), (day(1), day(2)));
/// # Ok::<(), journeylog::Error>(())
/// ```
///
/// # Cost
/// Time: for each event one look at each step that it may serve, and at each of the step's events that are told apart (at most 128);
/// no event is looked at twice. Memory: the lengths of matches, up to a bound, and the customers with their events if they are listed.
///
/// # Compared with
/// `MATCH_RECOGNIZE` of SQL finds matches from each row on and may look at rows again and again; `ClickHouse`'s `sequenceCount` counts
/// matches from left to right, each from the earliest event that begins one.
///
/// # Literature
/// Regular expressions by the set of their states: K. Thompson (1968), "Regular expression search algorithm". Choosing what ends first
/// gives the most that do not overlap: J. Kleinberg and E. Tardos (2005), "Algorithm Design", chapter 4. Windows by a monotone queue:
/// D. Lemire (2006), "Streaming maximum-minimum filter".
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "Form", into = "Form")]
#[must_use = "a plan answers nothing until it is run"]
pub struct PatternMatches {
    pub(super) pattern: Pattern,
    pub(super) customers: bool,
}

/// The JSON form: that of a [`Pattern`], and `"customers":true`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(remote = "Self", expecting = "an object", deny_unknown_fields)]
struct Form {
    steps: Vec<PatternStep>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    within: Option<Window>,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    customers: bool,
}

only_an_object!(Form);

impl PatternMatches {
    /// Of this pattern.
    pub fn of(pattern: Pattern) -> Self {
        Self { pattern, customers: false }
    }

    /// Lists the customers, who of them started, and the events of each match.
    pub fn list_customers(mut self) -> Self {
        self.customers = true;
        self
    }
}

impl TryFrom<Form> for PatternMatches {
    type Error = InvalidPlan;
    fn try_from(Form { steps, within, customers }: Form) -> Result<Self, InvalidPlan> {
        Ok(Self { pattern: Pattern::of(steps, within)?, customers })
    }
}

impl From<PatternMatches> for Form {
    fn from(PatternMatches { pattern: Pattern { steps, within }, customers }: PatternMatches) -> Self {
        Self { steps, within, customers }
    }
}

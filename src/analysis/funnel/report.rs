//! The answer to a funnel.

use std::{cmp::Ordering, fmt};

use chrono::{DateTime, Utc};
use serde::{Deserialize, Deserializer, Serialize};

use super::FunnelBottleneck;
use crate::{
    analysis::{
        DurationSummary, Rate, RateDifference, TimeBin,
        funnel::{Count, Order},
    },
    model::{CustomerId, Money, PropertyValue, Seq, Window},
};

/// How far customers came.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct FunnelReport {
    /// How the steps follow one another.
    pub order: Order,
    /// What is counted. Of attempts all figures are such, where they are called customers.
    #[serde(default)]
    pub count: Count,
    /// How long after the first step's event the last one's may be.
    pub window: Option<Window>,
    /// Each step, in order.
    pub steps: Vec<FunnelStep>,
    /// Customers who reached the first step.
    pub entered: u64,
    /// Customers who reached the last step.
    pub converted: u64,
    /// Converted, of all who entered.
    pub conversion: Rate,
    /// Converted, of those who entered and whose window is over.
    pub settled_conversion: Rate,
    /// Customers who did not convert, and still may within their window.
    pub pending: u64,
    /// Time from the customer's first event ever that may enter, to their conversion: also from one before the range, and of
    /// attempts from the customer's first.
    pub time_since_first_entry: Option<DurationSummary>,
    /// Each required step but the last, the one at which most customers wait first.
    #[serde(default)]
    pub bottlenecks: Vec<FunnelBottleneck>,
    /// Customers whom an exclusion removed; they are in no other figure. In a breakdown of one funnel for each value once for
    /// each of these.
    #[serde(default)]
    pub removed: u64,
    /// The same figures for each period of entry, if the plan asks for a trend: from the first to the last in which somebody
    /// entered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trend: Option<Vec<FunnelPeriod>>,
    /// The same figures for each group of customers, if the plan tells them apart. In a breakdown of one funnel for each
    /// value the figures above count a customer once for each group.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub breakdown: Option<FunnelBreakdown>,
    /// The customers behind the numbers, by id and then by group, if the plan lists them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub customers: Option<Vec<FunnelCustomer>>,
}

impl FunnelReport {
    /// By how much the shares of all who entered differ from those of the same funnel of other customers, step by step: such as of two
    /// segments that do not overlap. `None` where nobody entered in one of the two. Of attempts it says nothing: those of one
    /// customer do not come about independently of each other, as the interval and the p-value take them to.
    ///
    /// ```
    /// use journeylog::{BySegment, Event, Funnel, Journeys, Segment, Segments};
    /// # use chrono::{DateTime, TimeDelta, Utc};
    /// let day = |d| DateTime::<Utc>::UNIX_EPOCH + TimeDelta::days(d);
    /// let journeys = Journeys::of([
    ///     Event::at(day(0), "ann", "chat"), Event::at(day(1), "ann", "view"), Event::at(day(2), "ann", "pay"),
    ///     Event::at(day(1), "bob", "view"), Event::at(day(2), "bob", "pay"),
    ///     Event::at(day(1), "cat", "view"),
    /// ])?;
    /// let segments = Segments::new().add("asked", &Segment::did("chat").build()?).others("others");
    /// let plan = BySegment::new(Funnel::ordered(["view", "pay"]).build()?, segments)?;
    /// let report = journeys.query().run(&plan)?;
    /// let [asked, others] = &report.groups[..] else { panic!("two segments") };
    /// let differences = asked.report.compare(&others.report);
    /// assert_eq!((differences[1].unwrap().difference, differences[1].unwrap().p_value), (0.5, 1.0)); // three customers tell nothing
    /// # Ok::<(), journeylog::Error>(())
    /// ```
    pub fn compare(&self, other: &Self) -> Vec<Option<RateDifference>> {
        let both = self.steps.iter().zip(&other.steps);
        both.map(|(here, there)| here.from_entry.difference_to(&there.from_entry)).collect()
    }
}

/// How far those came who entered in one period.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct FunnelPeriod {
    /// When it begins.
    pub start: DateTime<Utc>,
    /// Whether it is over, and the window of all who entered in it, or what the greatest times between all steps add up to; and
    /// whether it lies wholly in the range: else only a part of it was counted.
    pub finished: bool,
    /// How far they came.
    #[serde(flatten)]
    pub figures: FunnelFigures,
}

/// How far the customers of each group came.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct FunnelBreakdown {
    /// The largest groups by customers who entered; of groups of one size those of smaller values first.
    pub groups: Vec<FunnelGroup>,
    /// All other groups together, if there are more than the plan lists.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub other: Option<Box<FunnelOther>>,
    /// By how much two groups differ, if the plan compares them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub comparison: Option<FunnelComparison>,
}

/// By how much two groups of a breakdown differ, also if they are among the others together.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct FunnelComparison {
    /// The value of the one.
    pub one: PropertyValue,
    /// The value of the other.
    pub other: PropertyValue,
    /// For each step, the difference of the shares of all who entered; `None` if nobody entered in one of the groups.
    pub steps: Vec<Option<RateDifference>>,
}

/// One group of a breakdown.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct FunnelGroup {
    /// The value that its customers have in common: the name of a channel, touchpoint or band, or what the property is.
    /// `null` for those who have no value.
    pub value: PropertyValue,
    /// How far they came.
    #[serde(flatten)]
    pub figures: FunnelFigures,
    /// The same for each period of entry, if the plan asks for a trend: for the same periods as the whole has.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trend: Option<Vec<FunnelPeriod>>,
}

/// The groups of a breakdown that are not listed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct FunnelOther {
    /// How many groups they are.
    pub groups: u64,
    /// How far their customers came.
    #[serde(flatten)]
    pub figures: FunnelFigures,
    /// The same for each period of entry, if the plan asks for a trend.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trend: Option<Vec<FunnelPeriod>>,
}

/// How far the customers of a group came: the figures that a [`FunnelReport`] gives of the whole.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct FunnelFigures {
    /// Customers who reached the first step.
    pub entered: u64,
    /// Customers who reached the last step.
    pub converted: u64,
    /// Converted, of all who entered.
    pub conversion: Rate,
    /// Converted, of those who entered and whose window is over.
    pub settled_conversion: Rate,
    /// Customers who did not convert, and still may within their window.
    pub pending: u64,
    /// Time from the customer's first event ever that may enter, to their conversion: also from one before the range, and of
    /// attempts from the customer's first.
    pub time_since_first_entry: Option<DurationSummary>,
    /// Each step, in order.
    pub steps: Vec<FunnelStep>,
}

impl FunnelBreakdown {
    /// The listed group of a value; that of [`PropertyValue::Null`] has none.
    pub fn group(&self, value: impl Into<PropertyValue>) -> Option<&FunnelGroup> {
        let value = value.into();
        self.groups.iter().find(|group| is_same(&group.value, &value))
    }
}

/// Whether two values make one group.
pub(super) fn is_same(one: &PropertyValue, other: &PropertyValue) -> bool {
    one == other || one.compare(other) == Some(Ordering::Equal)
}

impl FunnelComparison {
    pub(super) fn of(
        one: PropertyValue,
        other: PropertyValue,
        figures: [Option<&FunnelFigures>; 2],
        steps: usize,
    ) -> Self {
        let rate = |figures: Option<&FunnelFigures>, step: usize| Some(figures?.steps.get(step)?.from_entry);
        let [here, there] = figures;
        let difference = |step| rate(here, step)?.difference_to(&rate(there, step)?);
        Self { one, other, steps: (0..steps).map(difference).collect() }
    }
}

/// One step of a funnel. In any order `name`, `done` and `value` tell of this step, and all else of the customers who did as many
/// steps as its place says, whichever they are. `Debug` does not show its name, since a condition may name a person.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct FunnelStep {
    /// Its place, from 1.
    pub step: usize,
    /// Its condition in short.
    pub name: String,
    /// Whether it is not required.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub optional: bool,
    /// Customers who reached it, or did it if it is optional.
    pub customers: u64,
    /// In a funnel of any order, where the level says how many steps were done: customers who did this one in the chain that counts
    /// for them. Each event is of one step there; where it fits several, the chain is one in which the first step is done if
    /// that can be, then the second, and so on. Else those who reached it.
    pub done: u64,
    /// Of all who entered.
    pub from_entry: Rate,
    /// Of those who reached the required step before; of all who entered for the first.
    pub from_previous: Rate,
    /// Of those who entered and whose window is over.
    pub settled: Rate,
    /// Customers who came to this step, no further, and cannot any more. 0 for the last step.
    pub dropped: u64,
    /// Of these, customers stopped by an exclusion, or whose chain was broken in a strict funnel.
    pub stopped: u64,
    /// Customers who came to this step, no further, and still may.
    pub pending: u64,
    /// Time from entry to this step. `None` of an optional one, which has no time of its own: it is looked for in the chain that
    /// the required steps decide.
    pub time_to_reach: Option<DurationSummary>,
    /// How many reached it after how long. Empty of an optional one.
    pub histogram: Vec<TimeBin>,
    /// The money of the events that served it in the chains that count for the customers who reached it, by currency; sums of 0
    /// are left out. Empty if the plan does not ask for it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub value: Vec<Money>,
}

impl fmt::Debug for FunnelStep {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            step,
            name,
            optional,
            customers,
            done,
            from_entry,
            from_previous,
            settled,
            dropped,
            stopped,
            pending,
            time_to_reach,
            histogram,
            value,
        } = self;
        f.debug_struct("FunnelStep")
            .field("step", step)
            .field("name", &format_args!("{} bytes", name.len()))
            .field("optional", optional)
            .field("customers", customers)
            .field("done", done)
            .field("from_entry", from_entry)
            .field("from_previous", from_previous)
            .field("settled", settled)
            .field("dropped", dropped)
            .field("stopped", stopped)
            .field("pending", pending)
            .field("time_to_reach", time_to_reach)
            .field("histogram", histogram)
            .field("value", value)
            .finish()
    }
}

/// One customer in a funnel.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct FunnelCustomer {
    /// Who.
    pub customer: CustomerId,
    /// How many required steps were reached.
    pub level: usize,
    /// How it ended.
    pub outcome: FunnelOutcome,
    /// The value of their group, also if that is one of the others together; `null` for none. `None` if the plan does
    /// not tell customers apart.
    #[serde(default, deserialize_with = "also_null", skip_serializing_if = "Option::is_none")]
    pub group: Option<PropertyValue>,
    /// The events that served, step by step. That of an optional step is the earliest that did it in any chain that might be
    /// theirs, of the same entry and completion, which need not be the one whose other events are listed.
    pub events: Vec<ServedEvent>,
}

/// Reads a value that is there, and may be null.
fn also_null<'de, D: Deserializer<'de>>(from: D) -> Result<Option<PropertyValue>, D::Error> {
    PropertyValue::deserialize(from).map(Some)
}

/// How a customer's funnel ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum FunnelOutcome {
    /// All steps were reached.
    Converted,
    /// Not yet converted, and the window is still open.
    Pending,
    /// Dropped: the next step did not come within the window.
    WindowOver,
    /// Dropped: the next step did not come, in a funnel without a window.
    NextStepMissing,
    /// Dropped: an exclusion stopped the chain, or another event broke it in a strict funnel.
    Stopped,
    /// An exclusion removed the customer from every step.
    Removed,
}

/// An event that served a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct ServedEvent {
    /// Which, from 1.
    pub step: usize,
    /// Its place in the log.
    pub seq: Seq,
    /// When it happened.
    pub occurred_at: DateTime<Utc>,
}

impl fmt::Display for FunnelOutcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Converted => "converted",
            Self::Pending => "pending",
            Self::WindowOver => "window over",
            Self::NextStepMissing => "next step missing",
            Self::Stopped => "stopped",
            Self::Removed => "removed",
        })
    }
}

//! Any question, asked of each of some segments.

use std::{collections::BTreeMap, fmt};

use serde::{Deserialize, Deserializer, Serialize, Serializer, ser::SerializeMap};
use serde_json::Value;

use super::{Analysis, Binder, Bound, Rate, SegmentReading, listed::by_id};
use crate::{
    error::{InvalidPlan, Result},
    journey::{CustomerNo, Journey, Names},
    model::{CustomerId, SegmentRef, check_name, unique_keys},
    table::{Cell, Table, Tables, write_tables},
};

/// At most so many segments are told apart, everybody else among them.
pub const LIMIT_SEGMENTS: usize = 64;

/// Segments that are told apart, each with a label. In JSON a map from labels to segments, of which one may be
/// `{"others":true}`: the customers who are in none of the others.
///
/// ```
/// use journeylog::{Segment, Segments};
/// let segments = Segments::new()
///     .add("buyers", Segment::did("purchase").build()?)
///     .add("unhappy", "detractors") // by the name under which a store keeps it
///     .others("everybody else");
/// let text = r#"{"buyers":{"did":{"touchpoint":"purchase"}},"everybody else":{"others":true},"unhappy":"detractors"}"#;
/// assert_eq!(serde_json::to_string(&segments)?, text);
/// assert_eq!(serde_json::from_str::<Segments>(text)?, segments);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, Default, PartialEq)]
#[must_use]
pub struct Segments {
    segments: BTreeMap<String, SegmentRef>,
    others: Option<String>,
}

impl Segments {
    /// None yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a segment; one that had this label before is gone.
    pub fn add(mut self, label: impl Into<String>, segment: impl Into<SegmentRef>) -> Self {
        self.segments.insert(label.into(), segment.into());
        self
    }

    /// Tells those apart too who are in none of the others.
    pub fn others(mut self, label: impl Into<String>) -> Self {
        self.others = Some(label.into());
        self
    }

    fn check(&self) -> Result<(), InvalidPlan> {
        let refuse = |reason: String| Err(InvalidPlan::new("by_segment", reason));
        let count = self.segments.len() + usize::from(self.others.is_some());
        if self.segments.is_empty() || count > LIMIT_SEGMENTS {
            return refuse(format!(
                "has {count} segments, 1 to {LIMIT_SEGMENTS} are allowed, everybody else among them"
            ));
        }
        if let Some(label) = self.others.as_ref().filter(|label| self.segments.contains_key(*label)) {
            return refuse(format!("{label} is both a segment and everybody else"));
        }
        for label in self.segments.keys().chain(&self.others) {
            check_name("by_segment.label", label)?;
        }
        Ok(())
    }
}

impl Serialize for Segments {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        let mut parts: BTreeMap<&str, Value> = BTreeMap::new();
        for (label, segment) in &self.segments {
            parts.insert(label, serde_json::to_value(segment).map_err(serde::ser::Error::custom)?);
        }
        if let Some(label) = &self.others {
            parts.insert(label, serde_json::json!({ "others": true }));
        }
        let mut map = to.serialize_map(Some(parts.len()))?;
        for (label, part) in &parts {
            map.serialize_entry(label, part)?;
        }
        map.end()
    }
}

impl<'de> Deserialize<'de> for Segments {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let mut segments = Self::default();
        for (label, value) in unique_keys::<Part, D>(from)? {
            segments = match value {
                Part::Others if segments.others.is_some() => {
                    return Err(serde::de::Error::custom("by_segment: everybody else is there twice"));
                }
                Part::Others => segments.others(label),
                Part::Segment(segment) => segments.add(label, segment),
            };
        }
        segments.check().map_err(serde::de::Error::custom)?;
        Ok(segments)
    }
}

/// What a label stands for.
#[derive(Deserialize)]
#[serde(try_from = "Value")]
enum Part {
    Segment(SegmentRef),
    Others,
}

impl TryFrom<Value> for Part {
    type Error = InvalidPlan;
    fn try_from(value: Value) -> Result<Self, InvalidPlan> {
        match value.get("others") {
            Some(others) if *others == Value::Bool(true) && value.as_object().is_some_and(|keys| keys.len() == 1) => {
                Ok(Self::Others)
            }
            Some(_) => Err(InvalidPlan::new("others", "stands alone, and is true")),
            None => SegmentRef::try_from(value).map(Self::Segment),
        }
    }
}

/// A question asked of each of some segments, in one scan.
///
/// # Question
/// How do customers who were unhappy differ from all others: in a funnel, in retention, in anything that can be asked?
///
/// # Definition
/// Each segment has a report of its own, which is what the question would say within the scope of that segment. Segments may
/// overlap: a customer is in the report of each segment they are in, and `overlapping` counts those in more than one. With
/// everybody else, every customer whom the scope sees is in some report; if the segments do not overlap, each is in exactly one,
/// and the counts add up to those of all. Segments come in the order of their labels, everybody else last.
///
/// In JSON `by_segment` stands beside the plan: `{"funnel":{..},"by_segment":{"buyers":{"did":{"touchpoint":"purchase"}}}}`; and
/// with `"customers":true` beside it each customer is listed with the segments they are in.
///
/// # Worked example
/// ```
/// use journeylog::{BySegment, Event, Funnel, Journeys, Segment, Segments};
/// # use chrono::{DateTime, TimeDelta, Utc};
/// let day = |d| DateTime::<Utc>::UNIX_EPOCH + TimeDelta::days(d);
/// let journeys = Journeys::of([
///     Event::at(day(0), "ann", "email_open"), Event::at(day(1), "ann", "view"), Event::at(day(2), "ann", "pay"),
///     Event::at(day(0), "bob", "view"), Event::at(day(0), "cat", "view"), Event::at(day(1), "cat", "pay"),
/// ])?;
/// let reached = Segments::new().add("by email", Segment::did("email_open").build()?).others("others");
/// let report = journeys.query().run(&BySegment::new(Funnel::ordered(["view", "pay"]).build()?, reached)?)?;
/// let counts = |label| report.of(label).map(|funnel| (funnel.entered, funnel.converted));
/// assert_eq!((counts("by email"), counts("others")), (Some((1, 1)), Some((2, 1))));
/// assert_eq!((report.customers, report.overlapping), (3, 0));
/// # Ok::<(), journeylog::Error>(())
/// ```
///
/// # Cost
/// Time: that of the segments, and of the question once for each segment that a customer is in. Memory: that of the question for
/// each segment, and the customers if they are listed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(expecting = "an object", deny_unknown_fields)]
#[must_use = "a plan answers nothing until it is run"]
pub struct BySegment<A> {
    plan: Box<A>,
    segments: Segments,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    customers: bool,
}

impl<A> BySegment<A> {
    /// Asks a plan, or a tuple or list of plans, of each of these segments.
    ///
    /// # Errors
    /// [`InvalidPlan`] if there is no segment or more than 64, or a label that is no name.
    pub fn new(plan: A, segments: Segments) -> Result<Self, InvalidPlan> {
        segments.check()?;
        Ok(Self { plan: Box::new(plan), segments, customers: false })
    }

    /// Lists each customer with the segments they are in. What the plan itself lists is its own matter.
    pub fn list_customers(mut self) -> Self {
        self.customers = true;
        self
    }

    /// The same segments, and another plan.
    pub(crate) fn map<B>(self, to: impl FnOnce(A) -> B) -> BySegment<B> {
        BySegment { plan: Box::new(to(*self.plan)), segments: self.segments, customers: self.customers }
    }

    /// The plan.
    pub fn plan(&self) -> &A {
        &self.plan
    }

    /// Whether each customer is listed with their segments.
    pub(crate) fn lists_customers(&self) -> bool {
        self.customers
    }

    /// The segments.
    pub fn segments(&self) -> &Segments {
        &self.segments
    }
}

impl<A: Analysis> Analysis for BySegment<A> {
    type Bound = BoundBySegment<A::Bound>;

    fn bind(&self, binder: &mut Binder<'_>) -> Result<Self::Bound, InvalidPlan> {
        binder.by_segment(|binder| {
            let mut readings = Vec::with_capacity(self.segments.segments.len());
            for (label, segment) in &self.segments.segments {
                let refused =
                    |e: InvalidPlan| InvalidPlan::new(format!("by_segment.{label}: {}", e.at()), e.reason().to_owned());
                readings.push(binder.segment(segment).map_err(refused)?);
            }
            let labels = self.segments.segments.keys().chain(&self.segments.others).cloned().collect();
            let has_others = self.segments.others.is_some();
            let plan = Box::new(self.plan.bind(binder)?);
            Ok(BoundBySegment { plan, readings, has_others, labels, lists_customers: self.customers })
        })
    }
}

/// A question of each of some segments, bound to a store.
#[derive(Debug)]
pub struct BoundBySegment<B> {
    plan: Box<B>,
    readings: Vec<SegmentReading>,
    has_others: bool,
    /// One for each segment, and for all others if they are asked for.
    labels: Vec<String>,
    lists_customers: bool,
}

/// What is counted.
#[derive(Debug, Serialize, Deserialize)]
pub struct BySegmentState<S> {
    /// For each segment, and all others, the customers and what is known of them.
    groups: Vec<(u64, S)>,
    customers: u64,
    overlapping: u64,
    /// Each customer, with a bit for each of the groups that they are in.
    listed: Vec<(CustomerNo, u64)>,
}

impl<B: Bound> Bound for BoundBySegment<B> {
    type State = BySegmentState<B::State>;
    type Report = BySegmentReport<B::Report>;

    fn start(&self) -> Self::State {
        let groups = self.labels.iter().map(|_| (0, self.plan.start())).collect();
        BySegmentState { groups, customers: 0, overlapping: 0, listed: Vec::new() }
    }

    fn visit(&self, state: &mut Self::State, journey: &Journey<'_>) {
        state.customers += 1;
        let (mut count, mut is_in) = (0_u32, 0_u64);
        let mut groups = state.groups.iter_mut();
        for ((place, reading), (customers, group)) in self.readings.iter().enumerate().zip(&mut groups) {
            if reading.holds(journey) {
                count += 1;
                is_in |= 1 << (place % 64);
                *customers += 1;
                self.plan.visit(group, journey);
            }
        }
        state.overlapping += u64::from(count > 1);
        if let Some((customers, group)) = groups.next_back().filter(|_| self.has_others && count == 0) {
            is_in |= 1 << (self.readings.len() % 64);
            *customers += 1;
            self.plan.visit(group, journey);
        }
        if self.lists_customers {
            state.listed.push((journey.customer(), is_in));
        }
    }

    fn merge(&self, state: &mut Self::State, other: Self::State) {
        for ((customers, group), (more, other)) in state.groups.iter_mut().zip(other.groups) {
            *customers += more;
            self.plan.merge(group, other);
        }
        state.customers += other.customers;
        state.overlapping += other.overlapping;
        state.listed.extend(other.listed);
    }

    fn size(&self, state: &Self::State) -> usize {
        let listed = state.listed.len() * size_of::<(CustomerNo, u64)>();
        size_of_val(state) + listed + state.groups.iter().map(|(_, group)| self.plan.size(group)).sum::<usize>()
    }

    fn finish(&self, state: Self::State, names: &Names) -> Result<Self::Report> {
        let group = |(label, (customers, group)): (&String, (u64, B::State))| {
            Ok(SegmentGroup {
                label: label.clone(),
                customers: Rate::new(customers, state.customers),
                report: self.plan.finish(group, names)?,
            })
        };
        let labels = |is_in: u64| {
            let labels = self.labels.iter().enumerate().filter(|(place, _)| is_in >> (place % 64) & 1 == 1);
            labels.map(|(_, label)| label.clone()).collect()
        };
        let listed = self.lists_customers.then(|| {
            by_id(state.listed, names, |customer, is_in| SegmentCustomer { customer, segments: labels(is_in) })
        });
        Ok(BySegmentReport {
            groups: self.labels.iter().zip(state.groups).map(group).collect::<Result<_>>()?,
            customers: state.customers,
            overlapping: state.overlapping,
            listed,
        })
    }
}

/// The answers to a question by segment.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct BySegmentReport<R> {
    /// Each segment by label, everybody else last.
    pub groups: Vec<SegmentGroup<R>>,
    /// Customers whom the scope sees.
    pub customers: u64,
    /// Those of them who are in more than one segment.
    pub overlapping: u64,
    /// Each of the customers, by id, if the plan lists them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub listed: Option<Vec<SegmentCustomer>>,
}

/// A customer with the segments they are in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct SegmentCustomer {
    /// Who.
    pub customer: CustomerId,
    /// The labels of the segments, in order; that of everybody else is one too.
    pub segments: Vec<String>,
}

/// The answer for one segment.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct SegmentGroup<R> {
    /// What the segment is called.
    pub label: String,
    /// The customers in it, of all whom the scope sees.
    pub customers: Rate,
    /// What the question says of them.
    pub report: R,
}

impl<R> BySegmentReport<R> {
    /// The report of the segment with this label.
    pub fn of(&self, label: &str) -> Option<&R> {
        self.groups.iter().find(|group| group.label == label).map(|group| &group.report)
    }
}

impl<R: Tables> Tables for BySegmentReport<R> {
    fn tables(&self) -> Vec<Table> {
        let mut table = Table::new("Segments", ["segment", "customers", "share"]);
        for group in &self.groups {
            let share = Cell::share(group.customers.share);
            table.push([group.label.as_str().into(), group.customers.some.into(), share]);
        }
        if self.overlapping > 0 {
            let share = Rate::new(self.overlapping, self.customers).share;
            table.push(["(in more than one)".into(), self.overlapping.into(), Cell::share(share)]);
        }
        let mut tables = vec![table];
        if let Some(listed) = &self.listed {
            let mut table = Table::new("Customers by segment", ["customer", "segments"]);
            for one in listed {
                table.push([one.customer.as_str().into(), one.segments.join(", ").into()]);
            }
            tables.push(table);
        }
        for group in &self.groups {
            for table in group.report.tables() {
                tables.push(Table { title: format!("{}: {}", group.label, table.title), ..table });
            }
        }
        tables
    }
}

impl<R: Tables> fmt::Display for BySegmentReport<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_tables(f, self)
    }
}

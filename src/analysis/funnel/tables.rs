//! The tables of a funnel's report.

use std::fmt;

use super::{
    Count, FunnelBreakdown, FunnelComparison, FunnelCustomer, FunnelFigures, FunnelPeriod, FunnelReport, FunnelStep,
    Order, ServedEvent, bottleneck,
};
use crate::{
    analysis::TimeBin,
    model::PropertyValue,
    table::{Cell, Table, Tables, write_tables},
};

/// What the tables show beside what they always do: nothing of which there is none.
#[derive(Clone, Copy)]
struct Shown {
    count: Count,
    /// How many steps there are, if they may come in any order: then a row tells of those who did so many of them.
    of_any: Option<usize>,
    settled: bool,
    stopped: bool,
    pending: bool,
}

impl Shown {
    fn columns(self) -> impl Iterator<Item = &'static str> {
        let step = if self.of_any.is_some() { "steps done" } else { "step" };
        let settled = self.settled.then_some("settled");
        let ends = [Some("dropped"), self.stopped.then_some("stopped"), self.pending.then_some("pending")];
        let rates =
            [step, self.count.counted(), "of all", "95 % interval"].into_iter().chain(settled).chain(["of before"]);
        rates.chain(ends.into_iter().flatten()).chain(["median", "p90"])
    }

    fn cells(self, step: &FunnelStep) -> impl Iterator<Item = Cell> {
        let interval = format!("{:.1}-{:.1}", step.from_entry.low * 100.0, step.from_entry.high * 100.0);
        let name = match self.of_any {
            Some(steps) => level_name(step.step, steps),
            None => format!("{} {}{}", step.step, step.name, if step.optional { " (optional)" } else { "" }),
        };
        let first = [Cell::from(name), step.customers.into(), Cell::share(step.from_entry.share), interval.into()];
        let settled = self.settled.then(|| Cell::share(step.settled.share));
        let stopped = self.stopped.then(|| step.stopped.into());
        let pending = self.pending.then(|| step.pending.into());
        let times = [
            Cell::seconds(step.time_to_reach.map(|time| time.median)),
            Cell::seconds(step.time_to_reach.map(|time| time.p90)),
        ];
        let rates = first.into_iter().chain(settled).chain([Cell::share(step.from_previous.share)]);
        rates.chain([step.dropped.into()]).chain(stopped).chain(pending).chain(times)
    }
}

/// How a report calls those who did so many steps, in whatever order.
pub(super) fn level_name(level: usize, steps: usize) -> String {
    format!("{level} of {steps}")
}

/// How a table calls a group.
fn name_of(value: &PropertyValue) -> String {
    if *value == PropertyValue::Null { "(none)".into() } else { value.to_string() }
}

/// How a table calls a group, its figures and its trend.
type Row<'a> = (String, &'a FunnelFigures, Option<&'a Vec<FunnelPeriod>>);

impl FunnelBreakdown {
    fn rows(&self) -> impl Iterator<Item = Row<'_>> {
        let listed = self.groups.iter().map(|group| (name_of(&group.value), &group.figures, group.trend.as_ref()));
        let others = |groups| if groups == 1 { "(1 other)".to_owned() } else { format!("({groups} others)") };
        let other = self.other.iter().map(move |other| (others(other.groups), &other.figures, other.trend.as_ref()));
        listed.chain(other)
    }

    /// A row for each step of each group.
    fn table(&self, shown: Shown) -> Table {
        let mut table = Table::new("By group", std::iter::once("group").chain(shown.columns()));
        for (name, figures, _) in self.rows() {
            for step in &figures.steps {
                table.push(std::iter::once(name.as_str().into()).chain(shown.cells(step)));
            }
        }
        table
    }

    /// A row for each period of each group, if there is a trend.
    fn trend_table(&self) -> Option<Table> {
        let title = "By group and period of entry (* not over, or not wholly in the range)";
        let mut table = Table::new(title, std::iter::once("group").chain(TREND));
        for (name, _, trend) in self.rows() {
            for period in trend? {
                table.push(std::iter::once(name.as_str().into()).chain(period.cells()));
            }
        }
        Some(table)
    }
}

impl FunnelComparison {
    fn table(&self, shown: Shown) -> Table {
        let columns = ["one", "other", "step", "difference", "95 % interval", "p-value"];
        let mut table = Table::new("Comparison", columns);
        for (step, difference) in self.steps.iter().enumerate() {
            let percent = |share: f64| format!("{:+.1}", share * 100.0);
            let interval =
                difference.map_or_else(String::new, |d| format!("{} to {}", percent(d.low), percent(d.high)));
            table.push([
                name_of(&self.one).into(),
                name_of(&self.other).into(),
                shown.of_any.map_or(Cell::from(step as u64 + 1), |steps| level_name(step + 1, steps).into()),
                difference.map_or_else(String::new, |d| percent(d.difference)).into(),
                interval.into(),
                difference.map_or_else(String::new, |d| d.p_value_as_shown()).into(),
            ]);
        }
        table
    }
}

/// A row for each sum of money of each step.
fn push_values(table: &mut Table, group: Option<&str>, figures: &[FunnelStep]) {
    for step in figures {
        for money in &step.value {
            let cells = [Cell::from(format!("{} {}", step.step, step.name)), money.to_string().into()];
            table.push(group.map(Cell::from).into_iter().chain(cells));
        }
    }
}

impl Count {
    /// What tables call those who are counted.
    fn counted(self) -> &'static str {
        match self {
            Self::Customers => "customers",
            Self::Attempts => "attempts",
        }
    }
}

impl FunnelReport {
    fn shown(&self) -> Shown {
        Shown {
            count: self.count,
            of_any: (self.order == Order::Any).then_some(self.steps.len()),
            // Else both rates are the same.
            settled: self.settled_conversion.of != self.entered,
            stopped: self.steps.iter().any(|step| step.stopped > 0),
            pending: self.pending > 0,
        }
    }

    /// Who did each step, and with what money, if they may come in any order.
    fn done_table(&self) -> Table {
        let group = self.breakdown.as_ref().map(|_| "group");
        let is_value = self.steps.iter().any(|step| !step.value.is_empty());
        let columns = group.into_iter().chain(["step", "done"]).chain(is_value.then_some("value"));
        let mut table = Table::new("By step", columns);
        let mut push = |group: Option<&str>, steps: &[FunnelStep]| {
            for step in steps {
                let cells = [Cell::from(format!("{} {}", step.step, step.name)), step.done.into()];
                let moneys = || step.value.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
                let value = is_value.then(|| moneys().into());
                table.push(group.map(Cell::from).into_iter().chain(cells).chain(value));
            }
        };
        push(group.map(|_| "(all)"), &self.steps);
        for (name, figures, _) in self.breakdown.iter().flat_map(FunnelBreakdown::rows) {
            push(Some(&name), &figures.steps);
        }
        table
    }

    /// The money of each step, if the plan asks for it and there is any.
    fn value_table(&self) -> Option<Table> {
        let group = self.breakdown.as_ref().map(|_| "group");
        let mut table = Table::new("Value", group.into_iter().chain(["step", "sum"]));
        push_values(&mut table, group.map(|_| "(all)"), &self.steps);
        for (name, figures, _) in self.breakdown.iter().flat_map(FunnelBreakdown::rows) {
            push_values(&mut table, Some(&name), &figures.steps);
        }
        self.steps.iter().any(|step| !step.value.is_empty()).then_some(table)
    }

    /// How many took how long from the first step to the last, if they differ.
    fn time_table(&self) -> Option<Table> {
        let histogram = self.steps.last().map(|last| last.histogram.as_slice()).filter(|spans| spans.len() > 1)?;
        Some(TimeBin::table("Time to convert".into(), self.count.counted(), histogram))
    }

    fn customer_table(&self, customers: &[FunnelCustomer]) -> Table {
        let group = self.breakdown.as_ref().map(|_| "group");
        let columns = ["customer", "level", "outcome"].into_iter().chain(group).chain(["events"]);
        let mut table = Table::new("Customers", columns);
        let in_order = self.order != Order::Any && self.steps.iter().all(|step| !step.optional);
        for one in customers {
            // Where a level does not say which steps they served.
            let step = |step| if in_order { String::new() } else { format!("{step}: ") };
            let event = |e: &ServedEvent| format!("{}{} at {}", step(e.step), e.seq, e.occurred_at.to_rfc3339());
            let events: Vec<String> = one.events.iter().map(event).collect();
            let first = [one.customer.as_str().into(), Cell::from(one.level as u64), one.outcome.to_string().into()];
            let group = one.group.as_ref().map(|value| name_of(value).into());
            table.push(first.into_iter().chain(group).chain([events.join(", ").into()]));
        }
        table
    }
}

/// The columns that say how far those came who entered in one period.
const TREND: [&str; 6] = ["from", "entered", "converted", "of entered", "95 % interval", "pending"];

impl FunnelPeriod {
    fn cells(&self) -> [Cell; TREND.len()] {
        let FunnelFigures { entered, converted, conversion, pending, .. } = &self.figures;
        let interval = format!("{:.1}-{:.1}", conversion.low * 100.0, conversion.high * 100.0);
        [
            format!("{}{}", self.start.to_rfc3339(), if self.finished { "" } else { " *" }).into(),
            (*entered).into(),
            (*converted).into(),
            Cell::share(conversion.share),
            interval.into(),
            (*pending).into(),
        ]
    }
}

fn trend_table(periods: &[FunnelPeriod]) -> Table {
    let mut table = Table::new("By period of entry (* not over, or not wholly in the range)", TREND);
    periods.iter().for_each(|period| table.push(period.cells()));
    table
}

impl Tables for FunnelReport {
    fn tables(&self) -> Vec<Table> {
        let order = match self.order {
            Order::Ordered => "ordered",
            Order::Strict => "strict",
            Order::Any => "any order",
        };
        let window = self.window.map_or("no window".to_owned(), |window| format!("within {window}"));
        let attempts = if self.count == Count::Attempts { ", attempts" } else { "" };
        let removed = if self.removed > 0 { format!("; {} removed", self.removed) } else { String::new() };
        let shown = self.shown();
        let mut steps = Table::new(format!("Funnel ({order}, {window}{attempts}{removed})"), shown.columns());
        self.steps.iter().for_each(|step| steps.push(shown.cells(step)));
        let groups = self.breakdown.as_ref().map(|breakdown| breakdown.table(shown));
        let group_trend = self.breakdown.as_ref().and_then(FunnelBreakdown::trend_table);
        let comparison = self.breakdown.as_ref().and_then(|breakdown| breakdown.comparison.as_ref());
        let comparison = comparison.map(|comparison| comparison.table(shown));
        let listed = self.customers.as_ref().map(|customers| self.customer_table(customers));
        let trend = self.trend.as_ref().map(|periods| trend_table(periods));
        // Of one step the main table says it already.
        let waits = self.bottlenecks.len() > 1 && self.bottlenecks.iter().any(|one| one.waiting > 0);
        let waiting = waits.then(|| bottleneck::table(&self.bottlenecks, self.order));
        let value = if self.order == Order::Any { Some(self.done_table()) } else { self.value_table() };
        let more = value
            .into_iter()
            .chain(self.time_table())
            .chain(waiting)
            .chain(trend)
            .chain(groups)
            .chain(group_trend)
            .chain(comparison);
        std::iter::once(steps).chain(more).chain(listed).collect()
    }
}

impl fmt::Display for FunnelReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_tables(f, self)
    }
}

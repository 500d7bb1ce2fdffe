//! How what a funnel has counted becomes a report.

use std::collections::BTreeMap;

use super::{
    FunnelBreakdown, FunnelComparison, FunnelCustomer, FunnelFigures, FunnelGroup, FunnelOther, FunnelPeriod,
    FunnelReport, FunnelStep, Order, ServedEvent,
    group_by::{GroupBy, Name},
    groups::{Counts, Groups, StepState},
    report::is_same,
    state::{BoundFunnel, FunnelState, Listed},
};
use crate::{
    analysis::{DurationSummary, Rate, TimeBin, over_time::over_time},
    error::Result,
    journey::Names,
    model::{CustomerId, Micros, Period, PeriodSpan},
};

impl BoundFunnel {
    /// What a report says of all that was counted.
    pub(super) fn report(&self, state: FunnelState, names: &Names) -> Result<FunnelReport> {
        let FunnelState { groups, trend, removed, customers, .. } = state;
        let trend = self.plan.trend.map(|period| self.over_time(period, &trend)).transpose()?;
        let (breakdown, all) = match &self.groups {
            Some(by) => {
                let (breakdown, all) = self.break_down(groups, by, names);
                (Some(breakdown), all)
            }
            None => (None, groups.into_list().pop().map(|(_, all)| all).unwrap_or_default()),
        };
        let customers = if self.plan.customers { Some(self.named(customers, names)?) } else { None };
        let FunnelFigures {
            entered,
            converted,
            conversion,
            settled_conversion,
            pending,
            time_since_first_entry,
            steps,
        } = self.figures(&all);
        Ok(FunnelReport {
            order: self.rules.order,
            window: self.rules.window,
            entered,
            converted,
            conversion,
            settled_conversion,
            pending,
            time_since_first_entry,
            steps,
            removed,
            trend,
            breakdown,
            customers,
        })
    }

    /// What a report says of some customers.
    fn figures(&self, counts: &Counts) -> FunnelFigures {
        let nothing = StepState::default();
        let entered = counts.entered();
        let entered_settled = counts.steps.first().map_or(0, |step| step.reached_settled);
        let of = |place: usize| counts.steps.get(place).unwrap_or(&nothing);
        let mut previous = entered;
        let mut steps = Vec::with_capacity(self.plan.steps.len());
        let (mut required, mut optional) = (0.., self.rules.steps..);
        for (number, condition) in (1..).zip(&self.plan.steps) {
            let is_optional = self.plan.optional.contains(&number);
            let places: &mut dyn Iterator<Item = usize> = if is_optional { &mut optional } else { &mut required };
            let step = places.next().map_or(&nothing, of);
            steps.push(FunnelStep {
                step: number,
                name: condition.to_string(),
                optional: is_optional,
                customers: step.reached,
                done: if self.rules.order == Order::Any { step.done } else { step.reached },
                from_entry: Rate::new(step.reached, entered),
                from_previous: Rate::new(step.reached, previous),
                settled: Rate::new(step.reached_settled, entered_settled),
                dropped: step.dropped,
                stopped: step.stopped,
                pending: step.pending,
                time_to_reach: if number == 1 { DurationSummary::of_zeros(step.reached) } else { step.time.summary() },
                histogram: if number == 1 { TimeBin::of_zeros(step.reached) } else { step.time.histogram() },
            });
            if !is_optional {
                previous = step.reached;
            }
        }
        let last = counts.steps.get(self.rules.steps - 1).unwrap_or(&nothing);
        FunnelFigures {
            entered,
            converted: last.reached,
            conversion: Rate::new(last.reached, entered),
            settled_conversion: Rate::new(last.reached_settled, entered_settled),
            pending: counts.steps.iter().map(|step| step.pending).sum(),
            time_since_first_entry: counts.since_first_entry.summary(),
            steps,
        }
    }

    /// The figures of each period from the first to the last in which somebody entered.
    fn over_time(&self, period: Period, counts: &BTreeMap<Micros, Counts>) -> Result<Vec<FunnelPeriod>> {
        let Some(((&first, _), (&last, _))) = counts.first_key_value().zip(counts.last_key_value()) else {
            return Ok(Vec::new());
        };
        let nobody = Counts::default();
        let row = |span: PeriodSpan| {
            let over = self.rules.window.map_or(span.end, |window| span.end.plus(window));
            FunnelPeriod {
                start: span.start.to_datetime(),
                finished: over <= self.scope.end,
                figures: self.figures(counts.get(&span.start).unwrap_or(&nobody)),
            }
        };
        Ok(over_time(period, first, last)?.into_iter().map(row).collect())
    }

    /// The largest groups, the others together, and all.
    fn break_down(&self, groups: Groups, by: &GroupBy, names: &Names) -> (FunnelBreakdown, Counts) {
        let mut list: Vec<_> =
            groups.into_list().into_iter().map(|(key, counts)| (by.name(&key, names), counts)).collect();
        let in_order = |(a_name, a): &(Name, Counts), (b_name, b): &(Name, Counts)| {
            b.entered().cmp(&a.entered()).then_with(|| a_name.cmp(b_name))
        };
        list.sort_unstable_by(in_order);
        let comparison = by.compared().map(|(one, other)| {
            let figures = [&one, &other].map(|value| {
                let of_value = list.iter().find(|(name, _)| is_same(&by.shown(name.clone()), value));
                of_value.map(|(_, counts)| self.figures(counts))
            });
            FunnelComparison::of(one, other, figures.each_ref().map(Option::as_ref), self.plan.steps.len())
        });
        let others = list.split_off(list.len().min(by.limit()));
        let mut all = Counts::default();
        let mut shown = FunnelBreakdown { comparison, ..FunnelBreakdown::default() };
        let count = others.len() as u64;
        others.into_iter().for_each(|(_, counts)| all.merge(counts));
        shown.other = (count > 0).then(|| Box::new(FunnelOther { groups: count, figures: self.figures(&all) }));
        for (name, counts) in list {
            shown.groups.push(FunnelGroup { value: by.shown(name), figures: self.figures(&counts) });
            all.merge(counts);
        }
        (shown, all)
    }

    /// The listed customers with their ids, in the order of these, and then of their groups.
    fn named(&self, listed: Vec<Listed>, names: &Names) -> Result<Vec<FunnelCustomer>> {
        let mut customers = listed
            .into_iter()
            .map(|one| {
                let events: Vec<_> = one
                    .events
                    .iter()
                    .map(|&(step, seq, at)| ServedEvent { step, seq, occurred_at: at.to_datetime() })
                    .collect();
                let customer = CustomerId::new(names.customer(one.customer))?;
                let name = self.groups.as_ref().map(|groups| (groups.name(&one.group, names), groups));
                let order = name.as_ref().map(|(name, _)| name.clone());
                let group = name.map(|(name, groups)| groups.shown(name));
                let level = events.len();
                Ok((order, FunnelCustomer { customer, level, outcome: one.outcome, group, events }))
            })
            .collect::<Result<Vec<_>>>()?;
        customers.sort_unstable_by(|(a_group, a), (b_group, b)| {
            let first = |one: &FunnelCustomer| one.events.first().map(|served| (served.occurred_at, served.seq));
            a.customer.cmp(&b.customer).then_with(|| a_group.cmp(b_group)).then_with(|| first(a).cmp(&first(b)))
        });
        Ok(customers.into_iter().map(|(_, customer)| customer).collect())
    }
}

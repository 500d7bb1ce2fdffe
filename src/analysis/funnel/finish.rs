//! How what a funnel has counted becomes a report.

use std::{borrow::Cow, cmp::Reverse, collections::BTreeMap};

use super::{
    FunnelBottleneck, FunnelBreakdown, FunnelComparison, FunnelCustomer, FunnelFigures, FunnelGroup, FunnelOther,
    FunnelPeriod, FunnelReport, FunnelStep, Order, ServedEvent,
    group_by::GroupBy,
    groups::{Counts, Groups, StepState},
    report::is_same,
    state::{BoundFunnel, FunnelState, Listed},
    tables::level_name,
    tolerant::LIMIT_CHAINS,
};
use crate::{
    analysis::{
        DurationSummary, Rate, TimeBin,
        amounts::Amounts,
        over_time::{check_rows, over_time},
    },
    error::{ErrorKind, Result},
    journey::Names,
    model::{Micros, Period, PeriodSpan, PropertyValue},
};

/// What was counted by period of entry.
struct Trend {
    spans: Vec<PeriodSpan>,
    counted: BTreeMap<Micros, Groups>,
}

impl BoundFunnel {
    /// What a report says of all that was counted.
    pub(super) fn report(&self, state: FunnelState, names: &Names) -> Result<FunnelReport> {
        let FunnelState { groups, trend, removed, is_too_much, customers, .. } = state;
        if is_too_much {
            let (what, limit) =
                ("chains of near events in one journey (ask for a smaller tolerance)", LIMIT_CHAINS as u64);
            return Err(ErrorKind::Limit { what, found: limit + 1, limit }.into());
        }
        let groups_in_all = groups.count();
        let trend = self.plan.trend.map(|period| self.over_time(period, trend, groups_in_all)).transpose()?;
        let (breakdown, all) = match &self.groups {
            Some(by) => {
                let (breakdown, all) = self.break_down(groups, by, trend.as_ref(), names)?;
                (Some(breakdown), all)
            }
            None => (None, groups.into_whole()),
        };
        let customers = self.plan.customers.then(|| self.named(customers, names));
        let trend = trend.map(|trend| self.rows(&trend, |groups| Some(groups.whole()))).transpose()?;
        let FunnelFigures {
            entered,
            converted,
            conversion,
            settled_conversion,
            pending,
            time_since_first_entry,
            steps,
        } = self.figures(&all)?;
        Ok(FunnelReport {
            order: self.rules.order,
            count: self.plan.count,
            window: self.rules.window,
            entered,
            converted,
            conversion,
            settled_conversion,
            pending,
            time_since_first_entry,
            bottlenecks: self.bottlenecks(&all),
            steps,
            removed,
            trend,
            breakdown,
            customers,
        })
    }

    /// What a report says of some customers.
    fn figures(&self, counts: &Counts) -> Result<FunnelFigures> {
        let nothing = StepState::default();
        let entered = counts.entered();
        let entered_settled = counts.steps.first().map_or(0, |step| step.reached_settled);
        let mut previous = entered;
        let mut steps = Vec::with_capacity(self.plan.steps.len());
        let (mut required, mut optional) = (0.., self.rules.steps..);
        for (number, condition) in (1..).zip(&self.plan.steps) {
            let is_optional = self.plan.optional.contains(&number);
            let places: &mut dyn Iterator<Item = usize> = if is_optional { &mut optional } else { &mut required };
            let place = places.next().unwrap_or_default();
            let step = counts.steps.get(place).unwrap_or(&nothing);
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
                value: counts.money.get(place).map_or(Ok(Vec::new()), Amounts::moneys)?,
            });
            if !is_optional {
                previous = step.reached;
            }
        }
        let last = counts.steps.get(self.rules.steps - 1).unwrap_or(&nothing);
        Ok(FunnelFigures {
            entered,
            converted: last.reached,
            conversion: Rate::new(last.reached, entered),
            settled_conversion: Rate::new(last.reached_settled, entered_settled),
            pending: counts.steps.iter().map(|step| step.pending).sum(),
            time_since_first_entry: counts.since_first_entry.summary(),
            steps,
        })
    }

    /// Who waits at each required step but the last, the one at which most wait first.
    fn bottlenecks(&self, counts: &Counts) -> Vec<FunnelBottleneck> {
        let nothing = StepState::default();
        let of = |place: usize| counts.steps.get(place).unwrap_or(&nothing);
        let steps = 1..self.rules.steps;
        let came: u64 = steps.clone().map(|next| of(next - 1).reached).sum();
        let went_on: u64 = steps.clone().map(|next| of(next).reached).sum();
        let bottleneck = |next: usize| {
            let (here, step) = (of(next - 1), self.place_of(next - 1));
            let rate = Rate::new(of(next).reached, here.reached);
            let others = Rate::new(went_on - of(next).reached, came - here.reached);
            FunnelBottleneck {
                step,
                name: match self.rules.order {
                    Order::Any => level_name(step, self.rules.steps),
                    _ => self.plan.steps.get(step - 1).map(ToString::to_string).unwrap_or_default(),
                },
                waiting: here.waiting,
                waited: here.waited.summary(),
                went_on: rate,
                others,
                difference: rate.difference_to(&others),
            }
        };
        let mut bottlenecks: Vec<_> = steps.map(bottleneck).collect();
        bottlenecks.sort_by_key(|bottleneck| Reverse(bottleneck.waiting));
        bottlenecks
    }

    /// The periods from the first to the last in which somebody entered, each with what was counted.
    fn over_time(&self, period: Period, counted: BTreeMap<Micros, Groups>, groups: usize) -> Result<Trend> {
        let ends =
            counted.first_key_value().zip(counted.last_key_value()).map(|((first, _), (last, _))| (*first, *last));
        let spans = ends.map_or(Ok(Vec::new()), |(first, last)| over_time(period, first, last))?;
        if let Some(by) = &self.groups {
            // Each listed group has a row for each period, the others together too, and so has the whole.
            check_rows(spans.len() * (groups.min(by.limit()) + 2))?;
        }
        Ok(Trend { spans, counted })
    }

    /// The figures of each period, of those who are picked out of its groups.
    fn rows(&self, trend: &Trend, pick: impl Fn(&Groups) -> Option<Cow<'_, Counts>>) -> Result<Vec<FunnelPeriod>> {
        let nobody = Counts::default();
        let row = |span: &PeriodSpan| {
            let is_over = self.rules.deadline(span.end).is_none_or(|over| over <= self.scope.end);
            let counts = trend.counted.get(&span.start).and_then(&pick);
            Ok(FunnelPeriod {
                start: span.start.to_datetime(),
                finished: is_over && self.scope.holds_whole(*span),
                figures: self.figures(counts.as_deref().unwrap_or(&nobody))?,
            })
        };
        trend.spans.iter().map(row).collect()
    }

    /// The largest groups, the others together, and all.
    fn break_down(
        &self,
        groups: Groups,
        by: &GroupBy,
        trend: Option<&Trend>,
        names: &Names,
    ) -> Result<(FunnelBreakdown, Counts)> {
        let mut list: Vec<_> =
            groups.into_list().into_iter().map(|(key, counts)| (by.name(&key, names), key, counts)).collect();
        list.sort_unstable_by(|(a_name, _, a), (b_name, _, b)| {
            b.entered().cmp(&a.entered()).then_with(|| a_name.cmp(b_name))
        });
        let compare = |(one, other): (PropertyValue, PropertyValue)| -> Result<FunnelComparison> {
            let of_value = |value: &PropertyValue| {
                let found = list.iter().find(|(name, ..)| is_same(&by.shown(name.clone()), value));
                found.map(|(.., counts)| self.figures(counts)).transpose()
            };
            let figures = [of_value(&one)?, of_value(&other)?];
            let steps = self.plan.steps.len();
            Ok(FunnelComparison::of(one, other, figures.each_ref().map(Option::as_ref), steps))
        };
        let comparison = by.compared().map(compare).transpose()?;
        let others = list.split_off(list.len().min(by.limit()));
        let mut shown = FunnelBreakdown { comparison, ..FunnelBreakdown::default() };
        let mut all = Counts::default();
        let count = others.len() as u64;
        others.into_iter().for_each(|(.., counts)| all.merge(counts));
        if count > 0 {
            // A period has few of the others, which may be very many.
            let listed = || list.iter().map(|(_, key, _)| key);
            let rows = |trend| self.rows(trend, |groups| Some(Cow::Owned(groups.all_but(listed()))));
            let trend = trend.map(rows).transpose()?;
            shown.other = Some(Box::new(FunnelOther { groups: count, figures: self.figures(&all)?, trend }));
        }
        for (name, key, counts) in list {
            let rows = |trend| self.rows(trend, |groups| groups.get(key.as_ref()).map(Cow::Borrowed));
            let trend = trend.map(rows).transpose()?;
            shown.groups.push(FunnelGroup { value: by.shown(name), figures: self.figures(&counts)?, trend });
            all.merge(counts);
        }
        Ok((shown, all))
    }

    /// The listed customers with their ids, in the order of these, and then of their groups.
    fn named(&self, listed: Vec<Listed>, names: &Names) -> Vec<FunnelCustomer> {
        let mut customers = listed
            .into_iter()
            .filter_map(|one| {
                let customer = names.customer_id(one.customer)?;
                let events: Vec<_> = one
                    .events
                    .iter()
                    .map(|&(step, seq, at)| ServedEvent { step, seq, occurred_at: at.to_datetime() })
                    .collect();
                let name = self.groups.as_ref().map(|groups| (groups.name(&one.group, names), groups));
                let order = name.as_ref().map(|(name, _)| name.clone());
                let group = name.map(|(name, groups)| groups.shown(name));
                Some((order, FunnelCustomer { customer, level: one.level, outcome: one.outcome, group, events }))
            })
            .collect::<Vec<_>>();
        customers.sort_unstable_by(|(a_group, a), (b_group, b)| {
            let first = |one: &FunnelCustomer| one.events.first().map(|served| (served.occurred_at, served.seq));
            a.customer.cmp(&b.customer).then_with(|| a_group.cmp(b_group)).then_with(|| first(a).cmp(&first(b)))
        });
        customers.into_iter().map(|(_, customer)| customer).collect()
    }
}

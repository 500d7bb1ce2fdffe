//! A churn rate bound to a store: the base of each period, counted by what became of it.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{
    ChurnCustomer, ChurnFigures, ChurnGroup, ChurnOutcome, ChurnPeriod, ChurnRate, ChurnRateReport, CustomerChurn,
};
use crate::{
    analysis::{
        Analysis, Binder, Bound, BoundScope, Matches, Rate,
        event_by::{Grouping, StageVisits, carried},
        listed::{by_id, of_each},
        over_time::over_time,
        pairs,
    },
    error::{InvalidPlan, Result},
    journey::{CustomerNo, Journey, Matched, Names},
    model::{Micros, PeriodSpan, Periods},
};

/// A churn rate bound to a store.
#[derive(Debug)]
pub struct BoundChurnRate {
    plan: ChurnRate,
    events: Matches,
    grouping: Grouping,
    scope: BoundScope,
}

impl Analysis for ChurnRate {
    type Bound = BoundChurnRate;

    fn bind(&self, binder: &mut Binder<'_>) -> Result<BoundChurnRate, InvalidPlan> {
        let events = binder.matches(std::slice::from_ref(&self.activity))?;
        let grouping = Grouping::bind(binder, self.by.map(Into::into), events);
        Ok(BoundChurnRate { plan: self.clone(), events, grouping, scope: binder.scope().clone() })
    }
}

/// The start of a period, and a group.
type Place = (Micros, u32);

/// What is counted.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct ChurnRateState {
    #[serde(with = "pairs")]
    counts: BTreeMap<Place, Counts>,
    /// Each customer's in order.
    listed: Vec<(CustomerNo, (Place, ChurnOutcome))>,
    #[serde(skip)]
    room: Room,
}

/// Room for one journey, and for looking periods up.
#[derive(Debug, Default)]
struct Room {
    visits: StageVisits,
    periods: Periods,
}

#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize)]
struct Counts {
    retained: u64,
    churned: u64,
    quiet: u64,
    pending: u64,
}

impl Counts {
    fn merge(&mut self, other: Self) {
        self.retained += other.retained;
        self.churned += other.churned;
        self.quiet += other.quiet;
        self.pending += other.pending;
    }

    fn figures(self, is_over: bool) -> ChurnFigures {
        let Self { retained, churned, quiet, pending } = self;
        let base = retained + churned + quiet + pending;
        let rate = |some| if is_over { Rate::new(some, base) } else { Rate::new(0, 0) };
        ChurnFigures { base, retained, churned, quiet, pending, retention: rate(retained), churn: rate(churned) }
    }
}

/// A period in which a customer was active.
#[derive(Debug, Clone, Copy)]
struct Active {
    span: PeriodSpan,
    last: Micros,
    /// The group of the last activity, unless customers are told apart by stage.
    group: u32,
}

impl BoundChurnRate {
    /// The last moment of the scope.
    fn last_moment(&self) -> Micros {
        let of_range = self.scope.to.map_or(Micros::MAX, |to| Micros(to.0.saturating_sub(1)));
        of_range.min(self.scope.end)
    }

    /// The period of an activity, after the one of that before.
    fn extend(&self, state: &mut ChurnRateState, before: Option<Active>, events: &Matched<'_>, place: usize) -> Active {
        let at = events.times.get(place).copied().unwrap_or(Micros::MIN);
        let group = carried(events, place);
        match before.filter(|before| before.span.contains(at)) {
            // Of several at one instant no order of arrival decides.
            Some(same) if same.last == at && self.grouping.rank(same.group) <= self.grouping.rank(group) => same,
            Some(same) => Active { last: at, group, ..same },
            None => Active { span: state.room.periods.span_of(self.plan.period, at), last: at, group },
        }
    }

    /// Counts a customer in the periods after one in which they were active, up to the next in which they are.
    fn follow(&self, state: &mut ChurnRateState, customer: CustomerNo, active: Active, next: Option<Micros>) {
        let last_moment = self.last_moment();
        let mut start = active.span.end;
        for silent in 1..=self.plan.inactive_after {
            if start > last_moment || start == Micros::MAX {
                return;
            }
            let span = state.room.periods.span_of(self.plan.period, start);
            let is_active = next == Some(span.start);
            if span.end > self.scope.from {
                let outcome = match () {
                    () if is_active => ChurnOutcome::Retained,
                    () if span.end > self.scope.end => ChurnOutcome::Pending,
                    () if silent == self.plan.inactive_after => ChurnOutcome::Churned,
                    () => ChurnOutcome::Quiet,
                };
                let group = self.grouping.before(span.start, &state.room.visits).unwrap_or(active.group);
                self.count(state, customer, (span.start, group), outcome);
            }
            if is_active {
                return;
            }
            start = span.end;
        }
    }

    fn count(&self, state: &mut ChurnRateState, customer: CustomerNo, place: Place, outcome: ChurnOutcome) {
        let counts = state.counts.entry(place).or_default();
        *match outcome {
            ChurnOutcome::Retained => &mut counts.retained,
            ChurnOutcome::Churned => &mut counts.churned,
            ChurnOutcome::Quiet => &mut counts.quiet,
            ChurnOutcome::Pending => &mut counts.pending,
        } += 1;
        if self.plan.customers {
            state.listed.push((customer, (place, outcome)));
        }
    }

    /// Groups with their counts in the order of groups; none if customers are not told apart.
    fn groups(&self, counts: &BTreeMap<u32, Counts>, is_over: bool, names: &Names) -> Vec<ChurnGroup> {
        let mut groups: Vec<_> = counts.iter().filter(|_| self.plan.by.is_some()).collect();
        groups.sort_unstable_by_key(|(group, _)| self.grouping.rank(**group));
        let group = |(group, counts): (&u32, &Counts)| ChurnGroup {
            group: self.grouping.name(*group, names),
            figures: counts.figures(is_over),
        };
        groups.into_iter().map(group).collect()
    }
}

fn sum<'a>(counts: impl IntoIterator<Item = &'a Counts>) -> Counts {
    let mut sum = Counts::default();
    counts.into_iter().for_each(|counts| sum.merge(*counts));
    sum
}

impl Bound for BoundChurnRate {
    type State = ChurnRateState;
    type Report = ChurnRateReport;

    fn start(&self) -> ChurnRateState {
        ChurnRateState::default()
    }

    fn visit(&self, state: &mut ChurnRateState, journey: &Journey<'_>) {
        self.grouping.read_visits(journey, &mut state.room.visits);
        let events = self.events.of(journey);
        let mut latest: Option<Active> = None;
        for place in 0..events.times.len() {
            let active = self.extend(state, latest, &events, place);
            if let Some(before) = latest.filter(|before| before.span != active.span) {
                self.follow(state, journey.customer(), before, Some(active.span.start));
            }
            latest = Some(active);
        }
        if let Some(latest) = latest {
            self.follow(state, journey.customer(), latest, None);
        }
    }

    fn merge(&self, state: &mut ChurnRateState, other: ChurnRateState) {
        for (place, there) in other.counts {
            state.counts.entry(place).or_default().merge(there);
        }
        state.listed.extend(other.listed);
    }

    fn size(&self, state: &ChurnRateState) -> usize {
        state.counts.len() * 2 * size_of::<(Place, Counts)>()
            + state.listed.len() * size_of::<(CustomerNo, (Place, ChurnOutcome))>()
            + state.room.periods.size()
    }

    fn finish(&self, state: ChurnRateState, names: &Names) -> Result<ChurnRateReport> {
        let mut by_period: BTreeMap<Micros, BTreeMap<u32, Counts>> = BTreeMap::new();
        for ((start, group), counts) in state.counts {
            by_period.entry(start).or_default().insert(group, counts);
        }
        let first = by_period.keys().next().copied().unwrap_or(Micros::MAX);
        let (mut periods, mut total) = (Vec::new(), BTreeMap::<u32, Counts>::new());
        for span in over_time(self.plan.period, first, self.last_moment())? {
            let counts = by_period.remove(&span.start).unwrap_or_default();
            let finished = span.end <= self.scope.end;
            periods.push(ChurnPeriod {
                period: span.start.to_datetime(),
                finished,
                figures: sum(counts.values()).figures(finished),
                groups: self.groups(&counts, finished, names),
            });
            if finished {
                counts.into_iter().for_each(|(group, counts)| total.entry(group).or_default().merge(counts));
            }
        }
        let row = |&(_, ((start, group), outcome)): &(CustomerNo, (Place, ChurnOutcome))| CustomerChurn {
            period: start.to_datetime(),
            outcome,
            group: self.grouping.name(group, names),
        };
        let customers = || {
            by_id(of_each(&state.listed), names, |customer, rows| ChurnCustomer {
                customer,
                periods: rows.iter().map(row).collect(),
            })
        };
        Ok(ChurnRateReport {
            period: self.plan.period,
            inactive_after: self.plan.inactive_after,
            by: self.plan.by,
            total: sum(total.values()).figures(true),
            groups: self.groups(&total, true, names),
            periods,
            customers: self.plan.customers.then(customers),
        })
    }
}

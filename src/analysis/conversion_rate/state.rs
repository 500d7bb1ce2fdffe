//! A conversion rate bound to a store: exposures counted by how they ended.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{
    ConversionCount, ConversionFigures, ConversionKind, ConversionOutcome, ConversionRate, ConversionRateReport,
    ConversionRow, ConversionTrial,
    matching::{Met, Place, by_cart, by_customer, by_exposure},
};
use crate::{
    analysis::{
        Analysis, Binder, Bound, BoundScope, Matches, Rate,
        event_by::{Grouping, StageVisits},
        pairs,
    },
    error::{InvalidPlan, Result},
    journey::{CustomerNo, Journey, Names},
    model::{Micros, Periods},
};

/// A conversion rate bound to a store.
#[derive(Debug)]
pub struct BoundConversionRate {
    plan: ConversionRate,
    events: Matches,
    grouping: Grouping,
    scope: BoundScope,
}

impl Analysis for ConversionRate {
    type Bound = BoundConversionRate;

    fn bind(&self, binder: &mut Binder<'_>) -> Result<BoundConversionRate, InvalidPlan> {
        let events = binder.matches(&[self.exposed.clone(), self.wanted.clone()])?;
        let grouping = Grouping::bind(binder, self.by, events);
        Ok(BoundConversionRate { plan: self.clone(), events, grouping, scope: binder.scope().clone() })
    }
}

/// What is counted.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct ConversionRateState {
    total: Counts,
    #[serde(with = "pairs")]
    rows: BTreeMap<Place, Counts>,
    listed: Vec<Listed>,
    #[serde(skip)]
    room: Room,
}

#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize)]
struct Counts {
    followed: u64,
    /// Of these, those whose window is over.
    settled: u64,
    missed: u64,
    pending: u64,
}

#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
struct Listed {
    customer: CustomerNo,
    exposed: Micros,
    followed: Option<Micros>,
    place: Place,
}

/// Room for one journey, and for looking periods up.
#[derive(Debug, Default)]
struct Room {
    met: Vec<Met>,
    visits: StageVisits,
    periods: Periods,
}

impl Counts {
    fn add(&mut self, outcome: ConversionOutcome, is_open: bool) {
        match outcome {
            ConversionOutcome::Followed => self.followed += 1,
            ConversionOutcome::Missed => self.missed += 1,
            ConversionOutcome::Pending => self.pending += 1,
        }
        self.settled += u64::from(outcome == ConversionOutcome::Followed && !is_open);
    }

    fn merge(&mut self, other: Self) {
        self.followed += other.followed;
        self.settled += other.settled;
        self.missed += other.missed;
        self.pending += other.pending;
    }

    fn figures(self) -> ConversionFigures {
        let Self { followed, settled, missed, pending } = self;
        let exposed = followed + missed + pending;
        ConversionFigures {
            exposed,
            followed,
            missed,
            pending,
            conversion: Rate::new(followed, exposed),
            settled_conversion: Rate::new(settled, settled + missed),
            abandonment: Rate::new(missed, settled + missed),
        }
    }
}

impl BoundConversionRate {
    fn is_told_apart(&self) -> bool {
        self.plan.by.is_some() || self.plan.period.is_some()
    }

    fn is_open(&self, exposed: Micros) -> bool {
        self.plan.within.is_some_and(|window| exposed.plus(window) > self.scope.end)
    }

    fn outcome(&self, exposed: Micros, followed: Option<Micros>) -> ConversionOutcome {
        match followed {
            Some(_) => ConversionOutcome::Followed,
            None if self.is_open(exposed) => ConversionOutcome::Pending,
            None => ConversionOutcome::Missed,
        }
    }

    fn read(&self, journey: &Journey<'_>, room: &mut Room) {
        room.met.clear();
        let events = self.events.of(journey);
        self.grouping.read_visits(journey, &mut room.visits);
        for (place, (&at, &word)) in events.times.iter().zip(events.words).enumerate() {
            let (is_exposure, is_wanted) = (word & 1 != 0, word & 2 != 0);
            let group = self.grouping.of(&events, place, &room.visits);
            let start = self.plan.period.filter(|_| is_exposure).map(|period| room.periods.span_of(period, at).start);
            room.met.push(Met {
                at,
                is_exposure,
                is_wanted,
                counts: self.scope.counts(at),
                place: (start.unwrap_or(Micros::MIN), group),
                rank: self.grouping.rank(group),
            });
        }
    }
}

impl Bound for BoundConversionRate {
    type State = ConversionRateState;
    type Report = ConversionRateReport;

    fn start(&self) -> ConversionRateState {
        ConversionRateState::default()
    }

    fn visit(&self, state: &mut ConversionRateState, journey: &Journey<'_>) {
        let mut room = std::mem::take(&mut state.room);
        self.read(journey, &mut room);
        let (is_told_apart, window) = (self.is_told_apart(), self.plan.within);
        let mut list = |exposed, followed, place| {
            if self.plan.customers {
                state.listed.push(Listed { customer: journey.customer(), exposed, followed, place });
            }
        };
        match self.plan.count {
            ConversionCount::Customers => by_customer(&room.met, window, is_told_apart, |place, exposed, followed| {
                let counts = match place {
                    None => &mut state.total,
                    Some(place) => state.rows.entry(place).or_default(),
                };
                counts.add(self.outcome(exposed, followed), self.is_open(exposed));
                if place.is_some() == is_told_apart {
                    list(exposed, followed, place.unwrap_or((Micros::MIN, u32::MAX)));
                }
            }),
            ConversionCount::Exposures => {
                let out = |met: &Met, followed| {
                    let outcome = self.outcome(met.at, followed);
                    state.total.add(outcome, self.is_open(met.at));
                    if is_told_apart {
                        state.rows.entry(met.place).or_default().add(outcome, self.is_open(met.at));
                    }
                    list(met.at, followed, met.place);
                };
                if self.plan.kind == ConversionKind::Abandonment {
                    by_cart(&room.met, window, out);
                } else {
                    by_exposure(&room.met, window, out);
                }
            }
        }
        state.room = room;
    }

    fn merge(&self, state: &mut ConversionRateState, other: ConversionRateState) {
        state.total.merge(other.total);
        for (place, there) in other.rows {
            state.rows.entry(place).or_default().merge(there);
        }
        state.listed.extend(other.listed);
    }

    fn size(&self, state: &ConversionRateState) -> usize {
        state.rows.len() * 2 * size_of::<(Place, Counts)>()
            + state.listed.len() * size_of::<Listed>()
            + state.room.periods.size()
    }

    fn finish(&self, state: ConversionRateState, names: &Names) -> Result<ConversionRateReport> {
        let ordered = |(start, group): Place| (start, self.grouping.rank(group));
        let mut rows: Vec<(Place, Counts)> = state.rows.into_iter().collect();
        rows.sort_unstable_by_key(|(place, _)| ordered(*place));
        let mut periods = Periods::default();
        let mut row = |((start, group), counts): (Place, Counts)| ConversionRow {
            period: self.plan.period.map(|_| start.to_datetime()),
            finished: self.plan.period.is_none_or(|period| {
                let span = periods.span_of(period, start);
                let end = span.end;
                self.scope.holds_whole(span) && self.plan.within.is_none_or(|window| end.plus(window) <= self.scope.end)
            }),
            group: self.grouping.name(group, names),
            figures: counts.figures(),
        };
        let rows = rows.into_iter().map(&mut row).collect();
        let mut listed = Vec::new();
        for one in &state.listed {
            let Some(customer) = names.customer_id(one.customer) else { continue };
            let trial = ConversionTrial {
                customer,
                outcome: self.outcome(one.exposed, one.followed),
                exposed_at: one.exposed.to_datetime(),
                followed_at: one.followed.map(Micros::to_datetime),
                period: self.plan.period.map(|_| one.place.0.to_datetime()),
                group: self.grouping.name(one.place.1, names),
            };
            listed.push((one.exposed, one.followed, ordered(one.place), trial));
        }
        listed.sort_unstable_by(|a, b| (&a.3.customer, a.0, a.1, a.2).cmp(&(&b.3.customer, b.0, b.1, b.2)));
        Ok(ConversionRateReport {
            kind: self.plan.kind,
            count: self.plan.count,
            within: self.plan.within,
            by: self.plan.by,
            period: self.plan.period,
            total: state.total.figures(),
            rows,
            listed: self.plan.customers.then(|| listed.into_iter().map(|(.., trial)| trial).collect()),
        })
    }
}

//! Drivers bound to a store: cases counted by factor and outcome.

use serde::{Deserialize, Serialize};

use super::{Driver, DriverBy, DriverCase, DriverTest, Drivers, DriversOutcome, DriversReport};
use crate::{
    analysis::{
        Analysis, AttributionBy, Binder, Bound, BoundScope, ExperienceAnswers, Matches, Rate,
        carried::Carried,
        keys::{Keys, Name},
        multiple_tests::Corrected,
    },
    error::{InvalidPlan, Result},
    journey::{CustomerNo, Journey, Matched, NO_VALUE, Names},
    model::{Comparison, Condition, Micros, ProfileWhen, PropertyValue},
};

/// Drivers bound to a store.
#[derive(Debug)]
pub struct BoundDrivers {
    plan: Drivers,
    /// The wanted events, or the answers.
    wanted: Matches,
    /// All events, for each list of factors with what tells these apart.
    events: Vec<Matches>,
    /// What the values of these are.
    keys: Vec<AttributionBy>,
    scope: BoundScope,
}

impl DriverBy {
    /// What its values are, and how an event carries one.
    fn carried(&self, binder: &Binder<'_>) -> (AttributionBy, Carried) {
        let profile =
            |name: &str, when| (AttributionBy::Property(name.to_owned()), Carried::profile(binder, name, when));
        let key = match self {
            Self::Channel => AttributionBy::Channel,
            Self::Touchpoint => AttributionBy::Touchpoint,
            Self::Property(name) => AttributionBy::Property(name.clone()),
            Self::Profile(name) => return profile(name, ProfileWhen::Then),
            Self::ProfileLatest(name) => return profile(name, ProfileWhen::Latest),
        };
        let carried = key.carried(binder);
        (key, carried)
    }
}

impl Analysis for Drivers {
    type Bound = BoundDrivers;

    fn bind(&self, binder: &mut Binder<'_>) -> Result<BoundDrivers, InvalidPlan> {
        let wanted = match &self.of {
            DriversOutcome::Conversion(wanted) => wanted.clone(),
            DriversOutcome::Satisfaction(survey) | DriversOutcome::Dissatisfaction(survey) => {
                binder.need_feedback();
                Condition::Feedback { survey: Some(*survey), test: Comparison::Exists(true) }
            }
        };
        let wanted = binder.matches(&[wanted])?;
        let (mut events, mut keys) = (Vec::with_capacity(self.by.len()), Vec::with_capacity(self.by.len()));
        for by in &self.by {
            let matches = binder.matches_and_others(&[Condition::All(Vec::new())])?;
            let (key, carried) = by.carried(binder);
            binder.carry(matches, carried);
            events.push(matches);
            keys.push(key);
        }
        Ok(BoundDrivers { plan: self.clone(), wanted, events, keys, scope: binder.scope().clone() })
    }
}

/// How many cases are without the outcome, and with it.
type Counts = [u64; 2];

/// What is counted.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct DriversState {
    cases: Counts,
    /// For each kind of factor those that occur, and the cases that have them.
    factors: Vec<(Keys, Vec<Counts>)>,
    listed: Vec<Case>,
    /// The factors of these, one case after the other: their kinds and places.
    of_listed: Vec<(u32, u32)>,
    #[serde(skip)]
    room: Room,
}

#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
struct Case {
    customer: CustomerNo,
    at: Option<Micros>,
    outcome: bool,
    factors: u32,
}

/// One case of a journey.
#[derive(Debug, Clone, Copy)]
struct Occasion {
    at: Option<Micros>,
    outcome: bool,
    /// The answer.
    event: Option<usize>,
}

/// What is said of a factor, with its kind and place.
type Found = (Driver, (usize, usize));

/// Room for one journey.
#[derive(Debug, Default)]
struct Room {
    cases: Vec<Occasion>,
    /// The factors of the case's own event, which count for it alone.
    own: Vec<(u32, u32)>,
    /// The factors of events that counted for some case, each once.
    met: Vec<(u32, u32)>,
    /// For each kind of factor, by place, how many events count now, and whether it was met.
    counts: Vec<Vec<(u32, bool)>>,
    /// The places of the factors of each event, event by event.
    places: Vec<Option<u32>>,
}

fn add(counts: &mut Counts, outcome: bool) {
    counts.get_mut(usize::from(outcome)).into_iter().for_each(|count| *count += 1);
}

impl Room {
    /// Lets an event count.
    fn enter(&mut self, kind: usize, place: u32) {
        if self.counts.len() <= kind {
            self.counts.resize_with(kind + 1, Vec::new);
        }
        let Some(counts) = self.counts.get_mut(kind) else { return };
        let at = place as usize;
        if counts.len() <= at {
            counts.resize(at + 1, (0, false));
        }
        let Some((count, was_met)) = counts.get_mut(at) else { return };
        *count += 1;
        if !std::mem::replace(was_met, true) {
            self.met.push((u32::try_from(kind).unwrap_or(u32::MAX), place));
        }
    }

    fn count(&mut self, (kind, place): (u32, u32)) -> Option<&mut (u32, bool)> {
        self.counts.get_mut(kind as usize)?.get_mut(place as usize)
    }

    /// Forgets the events of a journey.
    fn clear(&mut self) {
        for factor in std::mem::take(&mut self.met) {
            self.count(factor).into_iter().for_each(|count| *count = (0, false));
        }
        self.places.clear();
    }
}

impl BoundDrivers {
    /// Finds the cases of a journey, in the order of time.
    fn find_cases(&self, journey: &Journey<'_>, cases: &mut Vec<Occasion>) {
        cases.clear();
        let wanted = self.wanted.of(journey);
        let in_range = |(place, at): (usize, &Micros)| self.scope.counts(*at).then_some((place, *at));
        let mut in_range = wanted.times.iter().enumerate().filter_map(in_range);
        let Some(survey) = self.plan.of.survey() else {
            let at = in_range.next().map(|(_, at)| at);
            let all = self.events.first().map_or(&[] as &[Micros], |events| events.of(journey).times);
            // Who came after the range could not do what is wanted in it.
            if all.first().is_some_and(|first| self.scope.to.is_none_or(|to| *first < to)) {
                cases.push(Occasion { at, outcome: at.is_some(), event: None });
            }
            return;
        };
        let is_outcome = |score| match self.plan.of {
            DriversOutcome::Dissatisfaction(_) if survey == crate::model::Survey::Nps => survey.is_detractor(score),
            DriversOutcome::Dissatisfaction(_) => !survey.is_favourable(score),
            _ => survey.is_favourable(score),
        };
        cases.extend(in_range.filter_map(|(place, at)| {
            let event = wanted.event(place)?;
            let (_, score) = journey.feedback(event)?;
            Some(Occasion { at: Some(at), outcome: is_outcome(score), event: Some(event) })
        }));
        if self.plan.answers == ExperienceAnswers::Latest {
            cases.drain(..cases.len().saturating_sub(1));
        }
    }

    /// Lets the events of a journey count that lie before a moment, from one on; says how many do.
    fn enter(
        &self,
        state: &mut DriversState,
        room: &mut Room,
        lists: &[Matched<'_>],
        from: usize,
        until: Option<Micros>,
    ) -> usize {
        let times = lists.first().map_or(&[] as &[Micros], |list| list.times);
        let end = until.map_or(times.len(), |until| times.partition_point(|at| *at < until));
        for event in from..end {
            for (kind, (list, by)) in lists.iter().zip(&self.plan.by).enumerate() {
                let place = if by.is_of_customer() { None } else { self.factor(state, kind, list, event) };
                place.into_iter().for_each(|place| room.enter(kind, place));
                if self.plan.within.is_some() {
                    room.places.push(place);
                }
            }
        }
        end.max(from)
    }

    /// The place of the factor of a kind that an event has.
    fn factor(&self, state: &mut DriversState, kind: usize, list: &Matched<'_>, event: usize) -> Option<u32> {
        let carried = list.carried.get(event).copied().filter(|carried| *carried != NO_VALUE)?;
        let ((keys, _), by) = (state.factors.get_mut(kind)?, self.keys.get(kind)?);
        Some(keys.place(carried, by, list.values))
    }

    /// Lets the case's own event count: of an answer all that it has, else what its customer is.
    fn enter_own(&self, state: &mut DriversState, room: &mut Room, lists: &[Matched<'_>], event: Option<usize>) {
        let Some(event) = event else { return };
        for (kind, (list, by)) in lists.iter().zip(&self.plan.by).enumerate() {
            if !by.is_of_customer() && self.plan.of.survey().is_none() {
                continue;
            }
            if let Some(place) = self.factor(state, kind, list, event) {
                room.enter(kind, place);
                room.own.push((u32::try_from(kind).unwrap_or(u32::MAX), place));
            }
        }
    }

    /// Lets the events count no more that lie before the look-back from a moment, from one on; says how many do.
    fn leave(&self, room: &mut Room, times: &[Micros], from: usize, until: Micros) -> usize {
        let Some(within) = self.plan.within else { return 0 };
        let end = times.partition_point(|at| *at < until && until.since(*at) > within.micros().into());
        let kinds = self.plan.by.len();
        for (place, kind) in (from * kinds..end * kinds).zip((0..kinds).cycle()) {
            let Some(factor) = room.places.get(place).copied().flatten() else { continue };
            let kind = u32::try_from(kind).unwrap_or(u32::MAX);
            room.count((kind, factor)).into_iter().for_each(|(count, _)| *count = count.saturating_sub(1));
        }
        end.max(from)
    }

    /// What is said of each factor, and which it is: its kind and place.
    fn drivers(&self, state: &DriversState, names: &Names) -> (Vec<Found>, u64) {
        let [without, with] = state.cases;
        let mut found = Vec::new();
        let mut rare = 0;
        for (kind, ((keys, counts), by)) in state.factors.iter().zip(&self.plan.by).enumerate() {
            let Some(key) = self.keys.get(kind) else { continue };
            for (place, (name, [no, yes])) in keys.names(key, names).into_iter().zip(counts).enumerate() {
                let Name::Scalar(value) = name else { continue };
                let have = no + yes;
                // What only counted for events that had left a look-back has no case.
                if have < self.plan.min_support {
                    rare += u64::from(have > 0);
                    continue;
                }
                let rates = (Rate::new(*yes, have), Rate::new(with - yes, without + with - have));
                found.push(((kind, value), (by, rates, place)));
            }
        }
        found.sort_unstable_by(|a, b| a.0.cmp(&b.0));
        let tests: Vec<_> = found
            .iter()
            .map(|(_, (_, (with, without), _))| with.odds_ratio_to(without).zip(with.difference_to(without)))
            .collect();
        let p_values: Vec<f64> = tests.iter().flatten().map(|(_, difference)| difference.p_value).collect();
        let corrected = Corrected::new(&p_values);
        let mut corrected = corrected.holm.into_iter().zip(corrected.q_values);
        let mut drivers = Vec::with_capacity(found.len());
        for (((kind, value), (by, (with, without), place)), test) in found.into_iter().zip(tests) {
            let test = test.and_then(|(odds, difference)| {
                let (holm, q_value) = corrected.next()?;
                Some(DriverTest { odds, p_value: difference.p_value, exact: difference.exact, holm, q_value })
            });
            let support = with.of as f64 / (with.of + without.of) as f64;
            let value = PropertyValue::from(value);
            drivers.push((Driver { by: by.clone(), value, support, with, without, test }, (kind, place)));
        }
        let p_value = |driver: &Driver| driver.test.as_ref().map_or(f64::INFINITY, |test| test.p_value);
        drivers.sort_by(|(a, _), (b, _)| p_value(a).total_cmp(&p_value(b)));
        (drivers, rare)
    }

    /// The cases, with the places of the drivers that they have.
    fn listed(state: &DriversState, shown: &[Found], names: &Names) -> Vec<DriverCase> {
        let mut rows: Vec<Vec<Option<usize>>> =
            state.factors.iter().map(|(_, counts)| vec![None; counts.len()]).collect();
        for (row, (_, (kind, place))) in shown.iter().enumerate() {
            rows.get_mut(*kind).and_then(|rows| rows.get_mut(*place)).into_iter().for_each(|there| *there = Some(row));
        }
        let mut factors = state.of_listed.iter();
        let mut listed = Vec::with_capacity(state.listed.len());
        for case in &state.listed {
            let row = |(kind, place): &(u32, u32)| *rows.get(*kind as usize)?.get(*place as usize)?;
            let mut drivers: Vec<usize> = factors.by_ref().take(case.factors as usize).filter_map(row).collect();
            drivers.sort_unstable();
            let Some(customer) = names.customer_id(case.customer) else { continue };
            listed.push(DriverCase { customer, at: case.at.map(Micros::to_datetime), outcome: case.outcome, drivers });
        }
        // Cases of one customer and moment are interchangeable: their order is that of what they say.
        listed.sort_by(|a, b| {
            (&a.customer, a.at, a.outcome, &a.drivers).cmp(&(&b.customer, b.at, b.outcome, &b.drivers))
        });
        listed
    }
}

impl Bound for BoundDrivers {
    type State = DriversState;
    type Report = DriversReport;

    fn start(&self) -> DriversState {
        let factors = self.plan.by.iter().map(|_| (Keys::default(), Vec::new())).collect();
        DriversState { factors, ..DriversState::default() }
    }

    fn visit(&self, state: &mut DriversState, journey: &Journey<'_>) {
        let mut room = std::mem::take(&mut state.room);
        let mut cases = std::mem::take(&mut room.cases);
        self.find_cases(journey, &mut cases);
        let lists: Vec<Matched<'_>> =
            if cases.is_empty() { Vec::new() } else { self.events.iter().map(|events| events.of(journey)).collect() };
        let times = lists.first().map_or(&[] as &[Micros], |list| list.times);
        let (mut entered, mut left) = (0, 0);
        for &Occasion { at, outcome, event } in &cases {
            entered = self.enter(state, &mut room, &lists, entered, at.or(self.scope.to));
            let own = match (event, at) {
                (Some(event), _) => lists.first().and_then(|list| list.place(event)),
                // Profiles are the same for all events of an instant.
                (None, Some(at)) => Some(times.partition_point(|time| *time < at)),
                (None, None) => entered.checked_sub(1),
            };
            self.enter_own(state, &mut room, &lists, own);
            if let Some(at) = at {
                left = self.leave(&mut room, times, left, at);
            }
            add(&mut state.cases, outcome);
            let mut factors = 0;
            for &(kind, place) in &room.met {
                let now = room.counts.get(kind as usize).and_then(|counts| counts.get(place as usize));
                if now.is_none_or(|(count, _)| *count == 0) {
                    continue;
                }
                let Some((_, counts)) = state.factors.get_mut(kind as usize) else { continue };
                if counts.len() <= place as usize {
                    counts.resize(place as usize + 1, Counts::default());
                }
                counts.get_mut(place as usize).into_iter().for_each(|counts| add(counts, outcome));
                if self.plan.customers {
                    state.of_listed.push((kind, place));
                    factors += 1;
                }
            }
            if self.plan.customers {
                state.listed.push(Case { customer: journey.customer(), at, outcome, factors });
            }
            for factor in std::mem::take(&mut room.own) {
                room.count(factor).into_iter().for_each(|(count, _)| *count = count.saturating_sub(1));
            }
        }
        room.clear();
        room.cases = cases;
        state.room = room;
    }

    fn merge(&self, state: &mut DriversState, other: DriversState) {
        state.cases.iter_mut().zip(other.cases).for_each(|(here, there)| *here += there);
        let mut moved = Vec::with_capacity(other.factors.len());
        for ((keys, counts), (other_keys, other_counts)) in state.factors.iter_mut().zip(other.factors) {
            // Where each of the other's factors stands here.
            let here = keys.merge(other_keys);
            counts.resize(keys.len().max(counts.len()), Counts::default());
            for (place, there) in here.iter().zip(other_counts) {
                let counts = counts.get_mut(*place as usize).into_iter().flatten();
                counts.zip(there).for_each(|(here, there)| *here += there);
            }
            moved.push(here);
        }
        state.listed.extend(other.listed);
        state.of_listed.extend(other.of_listed.into_iter().map(|(kind, place)| {
            let here = moved.get(kind as usize).and_then(|places| places.get(place as usize));
            (kind, here.copied().unwrap_or(place))
        }));
    }

    fn size(&self, state: &DriversState) -> usize {
        let factors = state.factors.iter().map(|(keys, counts)| keys.size() + counts.len() * size_of::<Counts>());
        let room = state.room.counts.iter().map(|counts| counts.len() * size_of::<(u32, bool)>());
        factors.sum::<usize>()
            + room.sum::<usize>()
            + state.listed.len() * size_of::<Case>()
            + state.of_listed.len() * size_of::<(u32, u32)>()
    }

    fn finish(&self, mut state: DriversState, names: &Names) -> Result<DriversReport> {
        for (keys, counts) in &mut state.factors {
            counts.resize(keys.len().max(counts.len()), Counts::default());
        }
        let (mut drivers, rare) = self.drivers(&state, names);
        let tested = drivers.iter().filter(|(driver, _)| driver.test.is_some()).count() as u64;
        let more = drivers.len().saturating_sub(self.plan.limit) as u64;
        drivers.truncate(self.plan.limit);
        let listed = self.plan.customers.then(|| Self::listed(&state, &drivers, names));
        let [without, with] = state.cases;
        Ok(DriversReport {
            of: self.plan.of.clone(),
            cases: Rate::new(with, without + with),
            tested,
            rare,
            drivers: drivers.into_iter().map(|(driver, _)| driver).collect(),
            more,
            listed,
        })
    }
}

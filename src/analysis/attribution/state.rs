//! Attribution bound to a store: what is counted of each conversion while visiting.

use serde::{Deserialize, Serialize};

use super::{
    Attribution, AttributionModel, AttributionReport, finish,
    moves::{Moves, NULL},
    serving::{Serving, Touch},
    share::{Decay, UNIT, split, split_amount},
};
use crate::{
    analysis::{Analysis, Binder, Bound, BoundScope, Matches, amounts::Amounts, keys::Keys},
    error::{InvalidPlan, Result},
    journey::{CustomerNo, Journey, Matched, Names},
    model::{Currency, Micros},
};

const IS_CONVERSION: u64 = 1;
const IS_TOUCH: u64 = 2;
const IS_DIRECT: u64 = 4;

/// Attribution bound to a store.
#[derive(Debug)]
pub struct BoundAttribution {
    pub(super) plan: Attribution,
    decay: Decay,
    events: Matches,
    scope: BoundScope,
}

impl Analysis for Attribution {
    type Bound = BoundAttribution;

    fn bind(&self, binder: &mut Binder<'_>) -> Result<BoundAttribution, InvalidPlan> {
        let touch = self.touch.clone();
        let direct = touch.clone().and(self.direct.clone());
        let events = binder.matches(&[self.conversion.clone(), touch, direct])?;
        binder.need_values();
        let carried = self.by.carried(binder);
        binder.carry(events, carried);
        let decay = Decay::new(self.half_life);
        Ok(BoundAttribution { plan: self.clone(), decay, events, scope: binder.scope().clone() })
    }
}

/// What is counted.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct AttributionState {
    /// Customers with conversions.
    pub(super) customers: u64,
    pub(super) all: Total,
    pub(super) without_touch: Total,
    pub(super) null_journeys: u64,
    pub(super) pending: u64,
    pub(super) keys: Keys,
    /// Of each key.
    pub(super) of_keys: Vec<OfKey>,
    pub(super) moves: Moves,
    pub(super) listed: Vec<Listed>,
    pub(super) null_listed: Vec<NullListed>,
    /// How many touches all these have.
    listed_touches: usize,
    #[serde(skip)]
    room: Option<Box<Room>>,
}

/// Conversions and their value.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(super) struct Total {
    pub(super) conversions: u64,
    pub(super) value: Amounts,
}

/// What is counted of a key.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(super) struct OfKey {
    pub(super) touches: u64,
    pub(super) conversions: u64,
    pub(super) null_journeys: u64,
    /// For each model of the plan.
    pub(super) credits: Vec<Credit>,
}

/// Shares of conversions, in units, and of their value.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(super) struct Credit {
    pub(super) units: u128,
    pub(super) value: Amounts,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct NullListed {
    pub(super) customer: CustomerNo,
    pub(super) at: Micros,
    pub(super) is_pending: bool,
    pub(super) touches: Vec<u32>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Listed {
    pub(super) customer: CustomerNo,
    pub(super) at: Micros,
    pub(super) value: Option<(i128, Currency)>,
    /// The keys of its touches, in order.
    pub(super) touches: Vec<u32>,
}

/// Room for one journey.
#[derive(Debug, Default)]
struct Room {
    /// Where the conversions stand among the events, and when they happened.
    conversions: Vec<(usize, Micros)>,
    /// The touches, and the numbers that they carry.
    touches: Vec<Touch>,
    carried: Vec<u32>,
    serving: Serving,
    /// The places of the touches that serve each conversion that counts.
    served: Vec<(usize, usize)>,
}

impl Room {
    /// Takes in the conversions and touches of a journey.
    fn read(&mut self, events: &Matched<'_>) {
        self.conversions.clear();
        self.touches.clear();
        self.carried.clear();
        self.served.clear();
        self.serving.clear();
        for (place, (&at, &word)) in events.times.iter().zip(events.words).enumerate() {
            if word & IS_CONVERSION != 0 {
                self.conversions.push((place, at));
            } else if word & IS_TOUCH != 0 {
                self.touches.push(Touch { at, is_direct: word & IS_DIRECT != 0 });
                self.carried.extend(events.carried.get(place));
            }
        }
    }
}

impl BoundAttribution {
    /// Whether a moment lies before the look-back from a later one.
    fn is_before(&self, at: Micros, later: Micros) -> bool {
        self.plan.within.is_some_and(|within| later.since(at) > within.micros().into())
    }

    fn has_chain(&self) -> bool {
        self.plan.models.contains(&AttributionModel::Markov)
    }

    /// Counts a conversion, served by these touches.
    fn count_conversion(&self, state: &mut AttributionState, serving: &Serving, value: Option<(i128, Currency)>) {
        state.all.add(value);
        let mut keys = Vec::new();
        for (key, touches) in serving.distinct() {
            let of_key = state.of_key(key, &self.plan);
            of_key.touches += touches;
            of_key.conversions += 1;
            keys.push(key);
        }
        if keys.is_empty() {
            state.without_touch.add(value);
            return;
        }
        for (place, model) in self.plan.models.iter().enumerate() {
            let Some(weights) = serving.weights(*model) else { continue };
            let units = split(UNIT, &weights);
            let amounts = value.map(|(amount, _)| split_amount(amount, &units));
            for (nth, (key, units)) in keys.iter().zip(&units).enumerate() {
                let Some(credit) = state.of_key(*key, &self.plan).credits.get_mut(place) else { continue };
                credit.units += units;
                if let (Some(amounts), Some((_, currency))) = (&amounts, value) {
                    credit.value.add(amounts.get(nth).copied().unwrap_or_default(), currency);
                }
            }
        }
    }

    /// Counts the journeys of touches that serve no conversion.
    fn count_null_journeys(
        &self,
        state: &mut AttributionState,
        room: &Room,
        customer: CustomerNo,
        events: &Matched<'_>,
    ) {
        // Touches whose next conversion comes too late, or not at all.
        let mut left: Vec<(usize, Micros)> = room.touches.iter().map(|touch| touch.at).enumerate().collect();
        left.retain(|(_, at)| {
            let next = room.conversions.partition_point(|(_, conversion)| conversion < at);
            let next = room.conversions.get(next).map(|(_, conversion)| *conversion);
            next.is_none_or(|next| self.is_before(*at, next))
        });
        while let Some((_, last)) = left.last().copied() {
            let first = left.partition_point(|(_, at)| self.is_before(*at, last));
            let journey = left.split_off(first);
            if !self.scope.counts(last) {
                continue;
            }
            state.null_journeys += 1;
            let is_pending = self.plan.within.is_none_or(|within| last.plus(within) > self.scope.end);
            state.pending += u64::from(is_pending);
            let numbers = journey.iter().filter_map(|(place, _)| room.carried.get(*place));
            let keys: Vec<u32> =
                numbers.map(|number| state.keys.place(*number, &self.plan.by, events.values)).collect();
            let mut distinct = keys.clone();
            distinct.sort_unstable();
            distinct.dedup();
            for key in distinct {
                state.of_key(key, &self.plan).null_journeys += 1;
            }
            if self.plan.customers {
                state.listed_touches += keys.len();
                state.null_listed.push(NullListed { customer, at: last, is_pending, touches: keys.clone() });
            }
            if self.has_chain() {
                state.moves.add_journey(self.plan.order, keys.into_iter(), NULL);
            }
        }
    }
}

impl Total {
    fn add(&mut self, value: Option<(i128, Currency)>) {
        self.conversions += 1;
        if let Some((amount, currency)) = value {
            self.value.add(amount, currency);
        }
    }

    fn merge(&mut self, other: &Self) {
        self.conversions += other.conversions;
        self.value.merge(&other.value);
    }
}

impl AttributionState {
    /// What is counted of a key.
    fn of_key(&mut self, key: u32, plan: &Attribution) -> &mut OfKey {
        let place = key as usize;
        if self.of_keys.len() <= place {
            let new = OfKey { credits: vec![Credit::default(); plan.models.len()], ..OfKey::default() };
            self.of_keys.resize(place + 1, new);
        }
        // It is there, for its place was made.
        #[expect(clippy::indexing_slicing, reason = "below the length")]
        &mut self.of_keys[place]
    }
}

impl Bound for BoundAttribution {
    type State = AttributionState;
    type Report = AttributionReport;

    fn start(&self) -> AttributionState {
        AttributionState::default()
    }

    fn visit(&self, state: &mut AttributionState, journey: &Journey<'_>) {
        let events = self.events.of(journey);
        if events.words.is_empty() {
            return;
        }
        let mut room = state.room.take().unwrap_or_default();
        room.read(&events);
        let before = state.all.conversions;
        let Room { conversions, touches, carried, serving, served } = &mut *room;
        let decay = self.plan.models.contains(&AttributionModel::TimeDecay).then_some(&self.decay);
        for &(event, at) in conversions.iter().filter(|(_, at)| self.scope.counts(*at)) {
            let first = touches.partition_point(|touch| self.is_before(touch.at, at));
            let end = touches.partition_point(|touch| touch.at <= at);
            serving.move_to((first, end), touches, decay, |place| {
                let number = carried.get(place).copied().unwrap_or_default();
                state.keys.place(number, &self.plan.by, events.values)
            });
            served.push((first, end));
            let value = events.event(event).and_then(|event| journey.value(event));
            if self.plan.customers {
                let touches = serving.keys().get(first..end).unwrap_or_default().to_vec();
                state.listed_touches += touches.len();
                state.listed.push(Listed { customer: journey.customer(), at, value, touches });
            }
            self.count_conversion(state, serving, value);
        }
        if self.has_chain() {
            state.moves.add_converting(self.plan.order, serving.keys(), served);
        }
        state.customers += u64::from(state.all.conversions > before);
        self.count_null_journeys(state, &room, journey.customer(), &events);
        state.room = Some(room);
    }

    fn merge(&self, state: &mut AttributionState, other: AttributionState) {
        state.customers += other.customers;
        state.all.merge(&other.all);
        state.without_touch.merge(&other.without_touch);
        state.null_journeys += other.null_journeys;
        state.pending += other.pending;
        // Where each of the other's keys stands here.
        let here = state.keys.merge(other.keys);
        for (key, there) in here.iter().zip(other.of_keys) {
            let of_key = state.of_key(*key, &self.plan);
            of_key.touches += there.touches;
            of_key.conversions += there.conversions;
            of_key.null_journeys += there.null_journeys;
            for (credit, there) in of_key.credits.iter_mut().zip(there.credits) {
                credit.units += there.units;
                credit.value.merge(&there.value);
            }
        }
        state.moves.merge(other.moves, &here);
        state.listed_touches += other.listed_touches;
        let moved = |mut touches: Vec<u32>| {
            touches.iter_mut().for_each(|key| *key = here.get(*key as usize).copied().unwrap_or(*key));
            touches
        };
        let listed = other.listed.into_iter();
        state.listed.extend(listed.map(|one| Listed { touches: moved(one.touches), ..one }));
        let listed = other.null_listed.into_iter();
        state.null_listed.extend(listed.map(|one| NullListed { touches: moved(one.touches), ..one }));
    }

    fn size(&self, state: &AttributionState) -> usize {
        // A sum of money is a small tree of its own.
        let credit = size_of::<Credit>() + 128;
        let touches = state.listed_touches * size_of::<u32>();
        let keys = state.of_keys.len() * (size_of::<OfKey>() + self.plan.models.len() * credit);
        let listed = state.listed.len() * size_of::<Listed>() + state.null_listed.len() * size_of::<NullListed>();
        keys + state.keys.size() + state.moves.size() + listed + touches
    }

    fn finish(&self, state: AttributionState, names: &Names) -> Result<AttributionReport> {
        finish::report(self, &state, names)
    }
}

//! The touches that serve a conversion, as they come and go from one conversion of a journey to the next.

use super::{
    AttributionModel,
    share::{Decay, Weight},
};
use crate::model::Micros;

/// Weights vanish after so many half-lives, and sums of them have so many places more.
const OLD: u32 = 45;
const PLACES: u32 = 50;
/// In the place of a key: a touch that served nothing yet.
const UNSERVED: u32 = u32::MAX;

/// A touch of a journey.
#[derive(Debug, Clone, Copy)]
pub(super) struct Touch {
    pub(super) at: Micros,
    pub(super) is_direct: bool,
}

/// What is known of a key of the journey.
#[derive(Debug, Clone, Copy)]
struct Slot {
    key: u32,
    /// How many of its touches serve, and the first and last of them.
    count: u128,
    first: usize,
    last: usize,
    /// The sum of the weights of these by age.
    decayed: u128,
    is_listed: bool,
}

/// The touches from one place up to another, which move on from conversion to conversion, so that each touch is looked at when
/// it comes and when it goes.
#[derive(Debug, Default)]
pub(super) struct Serving {
    first: usize,
    end: usize,
    /// Of each touch up to the end its key, its slot, the next touch of its key, the latest up to it that is not direct, and its
    /// weight by age.
    keys: Vec<u32>,
    slots_of: Vec<usize>,
    next: Vec<usize>,
    non_direct: Vec<Option<usize>>,
    weights: Vec<Weight>,
    slots: Vec<Slot>,
    /// For each key its slot, counted from 1, or 0.
    slot_of: Vec<usize>,
    /// The slots of keys that serve, in the order of their first touches.
    listed: Vec<usize>,
    /// The touches whose weights are in the sums, and the age at which these stand.
    aged: (usize, usize),
    age: i64,
}

impl Serving {
    /// Begins a journey.
    pub(super) fn clear(&mut self) {
        for slot in self.slots.drain(..) {
            self.slot_of.get_mut(slot.key as usize).into_iter().for_each(|slot| *slot = 0);
        }
        self.keys.clear();
        self.slots_of.clear();
        self.next.clear();
        self.non_direct.clear();
        self.weights.clear();
        self.listed.clear();
        (self.first, self.end, self.aged, self.age) = (0, 0, (0, 0), 0);
    }

    /// The keys of all touches that have come; of those that serve no number stands for none.
    pub(super) fn keys(&self) -> &[u32] {
        &self.keys
    }

    /// The distinct keys that serve, in the order of their first touches, each with how many touches of it do.
    pub(super) fn distinct(&self) -> impl Iterator<Item = (u32, u64)> {
        let count = |slot: &Slot| (slot.key, u64::try_from(slot.count).unwrap_or(u64::MAX));
        self.listed.iter().filter_map(|slot| self.slots.get(*slot)).map(count)
    }

    /// Moves on to the touches from `first` up to `end`, neither of which may go back. Keys are asked for by place, of touches
    /// that serve. Weights by age are only there with a decay.
    pub(super) fn move_to(
        &mut self,
        (first, end): (usize, usize),
        touches: &[Touch],
        decay: Option<&Decay>,
        mut key_of: impl FnMut(usize) -> u32,
    ) {
        for place in self.first..first.min(self.end) {
            self.leave(place);
        }
        for (place, touch) in touches.iter().enumerate().take(end).skip(self.end) {
            let before = self.non_direct.last().copied().flatten();
            self.non_direct.push(if touch.is_direct { before } else { Some(place) });
            self.next.push(usize::MAX);
            self.weights.push(decay.map(|decay| decay.at(touch.at)).unwrap_or_default());
            self.keys.push(UNSERVED);
            self.slots_of.push(usize::MAX);
            if place >= first {
                self.enter(place, key_of(place));
            }
        }
        (self.first, self.end) = (first, end);
        self.list();
        if decay.is_some() {
            self.grow_older();
        }
    }

    fn enter(&mut self, place: usize, key: u32) {
        let at = key as usize;
        if self.slot_of.len() <= at {
            self.slot_of.resize(at + 1, 0);
        }
        let Some(known) = self.slot_of.get_mut(at) else { return };
        if *known == 0 {
            self.slots.push(Slot { key, count: 0, first: place, last: place, decayed: 0, is_listed: false });
            *known = self.slots.len();
        }
        let number = *known - 1;
        self.keys.get_mut(place).into_iter().for_each(|at| *at = key);
        self.slots_of.get_mut(place).into_iter().for_each(|at| *at = number);
        let Some(slot) = self.slots.get_mut(number) else { return };
        if slot.count == 0 {
            slot.first = place;
        } else {
            self.next.get_mut(slot.last).into_iter().for_each(|next| *next = place);
        }
        slot.last = place;
        slot.count += 1;
        if !slot.is_listed {
            slot.is_listed = true;
            self.listed.push(number);
        }
    }

    fn leave(&mut self, place: usize) {
        let next = self.next.get(place).copied().unwrap_or(usize::MAX);
        if let Some(slot) = self.slots_of.get(place).and_then(|slot| self.slots.get_mut(*slot)) {
            slot.count = slot.count.saturating_sub(1);
            slot.first = next;
        }
    }

    fn list(&mut self) {
        let Self { listed, slots, .. } = self;
        listed.retain(|number| {
            let Some(slot) = slots.get_mut(*number) else { return false };
            slot.is_listed = slot.count > 0;
            slot.is_listed
        });
        listed.sort_unstable_by_key(|number| slots.get(*number).map(|slot| slot.first));
    }

    /// Brings the sums of weights by age to the age of the last touch. They are exact, for what is too old to count is taken out
    /// before it would be cut off.
    fn grow_older(&mut self) {
        if self.first >= self.end {
            return;
        }
        let Some(latest) = self.weights.get(..self.end).and_then(<[Weight]>::last).map(|weight| weight.age) else {
            return;
        };
        let (from, to) = self.aged;
        let is_old = |weight: &Weight| i128::from(latest) - i128::from(weight.age) > OLD.into();
        let serving = self.weights.get(self.first.max(from)..self.end).unwrap_or_default();
        let young = self.first.max(from) + serving.partition_point(is_old);
        for place in from..young.min(to) {
            self.count_weight(place, self.age, u128::saturating_sub);
        }
        let halvings = u32::try_from(i128::from(latest) - i128::from(self.age)).unwrap_or(u32::MAX);
        for number in &self.listed {
            if let Some(slot) = self.slots.get_mut(*number).filter(|_| from < to) {
                slot.decayed = slot.decayed.checked_shr(halvings).unwrap_or_default();
            }
        }
        for place in young.max(to)..self.end {
            self.count_weight(place, latest, u128::saturating_add);
        }
        (self.aged, self.age) = ((young, self.end), latest);
    }

    fn count_weight(&mut self, place: usize, age: i64, count: impl Fn(u128, u128) -> u128) {
        let Some(weight) = self.weights.get(place) else { return };
        let Some(slot) = self.slots_of.get(place).and_then(|slot| self.slots.get_mut(*slot)) else { return };
        let older = u32::try_from(i128::from(age) - i128::from(weight.age)).unwrap_or(u32::MAX);
        let places = PLACES.saturating_sub(older);
        slot.decayed = count(slot.decayed, u128::from(weight.part) << places);
    }

    /// The weight of each distinct key; `None` if the model does not look at conversions one by one.
    pub(super) fn weights(&self, model: AttributionModel) -> Option<Vec<u128>> {
        let last = self.end.saturating_sub(1);
        Some(match model {
            AttributionModel::First => self.alone(self.first),
            AttributionModel::Last => self.alone(last),
            AttributionModel::LastNonDirect => {
                let chosen = self.non_direct.get(last).copied().flatten();
                self.alone(chosen.filter(|chosen| *chosen >= self.first).unwrap_or(last))
            }
            AttributionModel::Linear => self.each(|_, slot| slot.count),
            AttributionModel::Position => {
                // 40 % are twice the 20 % that those between share.
                let count = self.end.saturating_sub(self.first) as u128;
                let more = if count > 2 { 2 * (count - 2) - 1 } else { 0 };
                let is_of = |place: usize, number: usize| u128::from(self.slots_of.get(place) == Some(&number));
                self.each(|number, slot| slot.count + more * (is_of(self.first, number) + is_of(last, number)))
            }
            AttributionModel::TimeDecay => self.each(|_, slot| slot.decayed >> PLACES),
            AttributionModel::Shapley => self.each(|_, _| 1),
            AttributionModel::Markov => return None,
        })
    }

    fn each(&self, weight: impl Fn(usize, &Slot) -> u128) -> Vec<u128> {
        self.listed.iter().filter_map(|number| Some(weight(*number, self.slots.get(*number)?))).collect()
    }

    /// All weight on the key of one touch.
    fn alone(&self, place: usize) -> Vec<u128> {
        let chosen = self.slots_of.get(place).copied();
        self.each(|number, _| u128::from(chosen == Some(number)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Window;

    const MODELS: [AttributionModel; 8] = AttributionModel::ALL;

    fn touches(of: &[(i64, bool)]) -> Vec<Touch> {
        of.iter().map(|(at, is_direct)| Touch { at: Micros(*at), is_direct: *is_direct }).collect()
    }

    fn day(day: i64) -> i64 {
        day * 86_400_000_000
    }

    #[test]
    fn weights_of_a_journey_by_hand() {
        let touches = touches(&[(day(0), false), (day(7), false), (day(7), true), (day(14), true)]);
        let decay = Decay::new(Window::days(7).unwrap());
        let mut serving = Serving::default();
        serving.move_to((0, 4), &touches, Some(&decay), |place| [5, 3, 5, 9][place]);
        assert_eq!(serving.distinct().collect::<Vec<_>>(), [(5, 2), (3, 1), (9, 1)]);
        let weights = |model| serving.weights(model);
        assert_eq!(weights(AttributionModel::First), Some(vec![1, 0, 0]));
        assert_eq!(weights(AttributionModel::Last), Some(vec![0, 0, 1]));
        assert_eq!(weights(AttributionModel::LastNonDirect), Some(vec![0, 1, 0]));
        assert_eq!(weights(AttributionModel::Linear), Some(vec![2, 1, 1]));
        assert_eq!(weights(AttributionModel::Position), Some(vec![5, 1, 4]));
        let one = 1 << 44;
        assert_eq!(weights(AttributionModel::TimeDecay), Some(vec![one / 4 + one / 2, one / 2, one]));
        assert_eq!(weights(AttributionModel::Shapley), Some(vec![1, 1, 1]));
        assert_eq!(weights(AttributionModel::Markov), None);
    }

    #[test]
    fn one_and_two_touches() {
        let mut serving = Serving::default();
        let touches = touches(&[(0, true), (9, true)]);
        serving.move_to((0, 1), &touches, None, |place| [0, 1][place]);
        assert_eq!(serving.weights(AttributionModel::Position), Some(vec![1]));
        serving.move_to((0, 2), &touches, None, |place| [0, 1][place]);
        assert_eq!(serving.weights(AttributionModel::Position), Some(vec![1, 1]));
        assert_eq!(serving.weights(AttributionModel::LastNonDirect), Some(vec![0, 1]));
    }

    /// What has come and gone leaves nothing behind: weights are those of the same touches alone.
    #[test]
    fn moving_on_is_the_same_as_beginning_anew() {
        let mut random = fastrand::Rng::with_seed(9);
        let decay = Decay::new(Window::minutes(1));
        let (mut moving, mut anew) = (Serving::default(), Serving::default());
        for round in 0..300 {
            let keys: Vec<u32> = (0..random.usize(1..60)).map(|_| random.u32(0..7)).collect();
            let longest = 10_i64.pow(random.u32(1..11));
            let mut at = if round % 3 == 0 { i64::MIN } else { random.i64(-longest..longest) };
            let touches: Vec<Touch> = keys
                .iter()
                .map(|_| {
                    at = at.saturating_add(random.i64(0..longest));
                    Touch { at: Micros(at), is_direct: random.bool() }
                })
                .collect();
            moving.clear();
            let (mut first, mut end) = (0, 0);
            for _ in 0..random.usize(1..20) {
                end = random.usize(end..=keys.len());
                first = random.usize(first..=end);
                moving.move_to((first, end), &touches, Some(&decay), |place| keys[place]);
                anew.clear();
                anew.move_to((first, end), &touches, Some(&decay), |place| keys[place]);
                assert_eq!(moving.distinct().collect::<Vec<_>>(), anew.distinct().collect::<Vec<_>>());
                for model in MODELS.iter().filter(|_| first < end) {
                    assert_eq!(moving.weights(*model), anew.weights(*model), "round {round}, {model:?}");
                }
                let ages: Vec<f64> = touches[first..end].iter().map(|touch| touch.at.0 as f64 / -60e6).collect();
                let Some(latest) = ages.last() else { continue };
                let sum: f64 = ages.iter().map(|age| (latest - age).exp2()).sum();
                let found: u128 = moving.weights(AttributionModel::TimeDecay).unwrap().iter().sum();
                // The largest part of it is between a half and one.
                let share = moving.weights[end - 1].part as f64;
                assert!((found as f64 / share / sum - 1.0).abs() < 1e-2, "round {round}: {found} {sum}");
            }
        }
    }
}

//! What each model gives to the touches of one conversion.

use super::{AttributionModel, share::Decay};
use crate::model::Micros;

/// The touches that serve a conversion, in order; there is at least one.
#[derive(Debug, Clone, Copy)]
pub(super) struct Served<'a> {
    /// The place of each one's key among the distinct keys, in the order of their first touches.
    pub(super) slots: &'a [usize],
    pub(super) times: &'a [Micros],
    pub(super) direct: &'a [bool],
    /// How many distinct keys there are.
    pub(super) keys: usize,
}

impl Served<'_> {
    /// The weight of each distinct key; `None` if the model does not look at conversions one by one.
    pub(super) fn weights(&self, model: AttributionModel, decay: &Decay) -> Option<Vec<u128>> {
        let count = self.slots.len();
        let last = count.saturating_sub(1);
        Some(match model {
            AttributionModel::First => self.of_touches(|touch| u128::from(touch == 0)),
            AttributionModel::Last => self.of_touches(|touch| u128::from(touch == last)),
            AttributionModel::LastNonDirect => {
                let chosen = self.direct.iter().rposition(|direct| !direct).unwrap_or(last);
                self.of_touches(|touch| u128::from(touch == chosen))
            }
            AttributionModel::Linear => self.of_touches(|_| 1),
            AttributionModel::Position => {
                // 40 % are twice the 20 % that those between share.
                let end = if count > 2 { 2 * (count as u128 - 2) } else { 1 };
                self.of_touches(|touch| if touch == 0 || touch == last { end } else { 1 })
            }
            AttributionModel::TimeDecay => {
                // Ages from the last touch on have the same proportions, and that one's weight is not 0.
                let latest = self.times.last().copied().unwrap_or(Micros::MIN);
                self.of_touches(|touch| decay.weight(self.times.get(touch).map_or(0, |at| latest.since(*at))))
            }
            AttributionModel::Shapley => vec![1; self.keys],
            AttributionModel::Markov => return None,
        })
    }

    fn of_touches(&self, weight: impl Fn(usize) -> u128) -> Vec<u128> {
        let mut weights = vec![0; self.keys];
        for (touch, slot) in self.slots.iter().enumerate() {
            weights.get_mut(*slot).into_iter().for_each(|sum| *sum += weight(touch));
        }
        weights
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Window;

    #[test]
    fn weights_of_a_journey_by_hand() {
        let day = |day: i64| Micros(day * 86_400_000_000);
        let (times, slots) = ([0, 7, 7, 14].map(day), [0, 1, 0, 2]);
        let served = Served { slots: &slots, times: &times, direct: &[false, false, true, true], keys: 3 };
        let decay = Decay::new(Window::days(7).unwrap());
        let weights = |model| served.weights(model, &decay);
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
        let decay = Decay::new(Window::days(7).unwrap());
        let two = Served { slots: &[0, 1], times: &[Micros(0), Micros(9)], direct: &[true, true], keys: 2 };
        assert_eq!(two.weights(AttributionModel::Position, &decay), Some(vec![1, 1]));
        assert_eq!(two.weights(AttributionModel::LastNonDirect, &decay), Some(vec![0, 1]));
        let one = Served { slots: &[0], times: &[Micros(0)], direct: &[false], keys: 1 };
        assert_eq!(one.weights(AttributionModel::Position, &decay), Some(vec![1]));
    }
}

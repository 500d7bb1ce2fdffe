//! From what was counted to the report: names, the Markov chain, and credits that sum up.

use rust_decimal::Decimal;

use super::{
    AttributionChain, AttributionCredit, AttributionCustomer, AttributionModel, AttributionMove, AttributionMoveTo,
    AttributionNullJourney, AttributionReport, AttributionRow, AttributionUntouched,
    chain::Chain,
    moves::{CONVERSION, Move, NONE, NULL},
    share::{UNIT, split, split_amount, units_as_nanos},
    state::{AttributionState, BoundAttribution, Credit, NullListed, OfKey},
};
use crate::{
    analysis::keys::Name,
    error::{InvalidValue, Result},
    journey::Names,
    model::{Money, PropertyValue},
};

/// Removal effects are weighed in units of 2^-50.
const EFFECT: f64 = (1_u64 << 50) as f64;

/// The keys in the order of their names.
struct Ranked {
    /// For each rank what it is called, and its place in the state.
    names: Vec<(PropertyValue, usize)>,
    /// For each place its rank.
    ranks: Vec<u32>,
}

impl Ranked {
    fn of(bound: &BoundAttribution, state: &AttributionState, names: &Names) -> Self {
        let mut order: Vec<(Name, usize)> = state.keys.names(&bound.plan.by, names).into_iter().zip(0..).collect();
        order.sort_unstable();
        let mut ranks = vec![NONE; order.len()];
        for (rank, (_, place)) in (0..).zip(&order) {
            ranks.get_mut(*place).into_iter().for_each(|at| *at = rank);
        }
        let shown = |(name, place): (Name, usize)| match name {
            Name::Scalar(scalar) => (scalar.into(), place),
            Name::Nothing => (PropertyValue::Null, place),
        };
        Self { names: order.into_iter().map(shown).collect(), ranks }
    }

    fn name(&self, rank: u32) -> PropertyValue {
        self.names.get(rank as usize).map_or(PropertyValue::Null, |(name, _)| name.clone())
    }

    fn name_of_place(&self, place: u32) -> PropertyValue {
        self.ranks.get(place as usize).map_or(PropertyValue::Null, |rank| self.name(*rank))
    }
}

pub(super) fn report(bound: &BoundAttribution, state: &AttributionState, names: &Names) -> Result<AttributionReport> {
    let plan = &bound.plan;
    let ranked = Ranked::of(bound, state, names);
    let touched = state.all.conversions.saturating_sub(state.without_touch.conversions);
    let counted: Vec<OfKey> =
        ranked.names.iter().map(|(_, place)| state.of_keys.get(*place).cloned().unwrap_or_default()).collect();
    let (mut effects, mut chain) = (None, None);
    if plan.models.contains(&AttributionModel::Markov) {
        let moves = state.moves.in_order(&ranked.ranks);
        effects = Some(Chain::of(&moves, plan.order).removal_effects(counted.len())?);
        chain = Some(AttributionChain {
            order: u32::try_from(plan.order).unwrap_or(u32::MAX),
            converting: touched,
            null: state.null_journeys,
            moves: shown_moves(&moves, &ranked),
        });
    }
    // The credits of each model, by the ranks of keys.
    let mut credits = Vec::with_capacity(plan.models.len());
    for (place, model) in plan.models.iter().enumerate() {
        let of_model: Vec<Credit> = match (model, &effects) {
            (AttributionModel::Markov, Some(effects)) => by_effects(effects, touched, state),
            _ => counted.iter().map(|of_key| of_key.credits.get(place).cloned().unwrap_or_default()).collect(),
        };
        credits.push(shown_credits(*model, touched, &of_model)?);
    }
    let row = |(rank, ((key, _), of_key)): (usize, (&(PropertyValue, usize), &OfKey))| AttributionRow {
        key: key.clone(),
        touches: of_key.touches,
        conversions: of_key.conversions,
        null_journeys: of_key.null_journeys,
        removal_effect: effects.as_ref().and_then(|effects| effects.get(rank)).copied(),
        credits: credits.iter().filter_map(|of_model| of_model.get(rank)).cloned().collect(),
    };
    Ok(AttributionReport {
        models: plan.models.clone(),
        conversions: state.all.conversions,
        customers: state.customers,
        value: state.all.value.moneys()?,
        keys: ranked.names.iter().zip(&counted).enumerate().map(row).collect(),
        without_touch: AttributionUntouched {
            conversions: state.without_touch.conversions,
            value: state.without_touch.value.moneys()?,
        },
        null_journeys: state.null_journeys,
        pending: state.pending,
        chain,
        listed: plan.customers.then(|| listed(state, &ranked, names)).transpose()?,
        null_listed: plan.customers.then(|| null_listed(state, &ranked, names)),
    })
}

/// All conversions with a touch, and their value, in proportion to removal effects.
fn by_effects(effects: &[f64], touched: u64, state: &AttributionState) -> Vec<Credit> {
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "effects lie within 0 and 1")]
    let weights: Vec<u128> = effects.iter().map(|effect| (effect * EFFECT).round() as u128).collect();
    let mut credits = vec![Credit::default(); effects.len()];
    if touched == 0 {
        return credits;
    }
    let shares = split(UNIT, &weights);
    for (credit, units) in credits.iter_mut().zip(&shares) {
        credit.units = units.saturating_mul(touched.into());
    }
    for (currency, amount) in state.all.value.less(&state.without_touch.value) {
        for (credit, amount) in credits.iter_mut().zip(split_amount(amount, &shares)) {
            credit.value.add(amount, currency);
        }
    }
    credits
}

/// The credits of a model as they are reported.
fn shown_credits(
    model: AttributionModel,
    touched: u64,
    credits: &[Credit],
) -> Result<Vec<AttributionCredit>, InvalidValue> {
    let units: Vec<u128> = credits.iter().map(|credit| credit.units).collect();
    let nanos = units_as_nanos(touched, &units);
    let shown = |(nanos, credit): (u128, &Credit)| {
        let nanos = i128::try_from(nanos).unwrap_or(i128::MAX);
        let conversions = Decimal::try_from_i128_with_scale(nanos, 9);
        let conversions = conversions.map_err(|_| InvalidValue::new("conversions", "are too many"))?.normalize();
        Ok(AttributionCredit { model, conversions, value: credit.value.moneys()? })
    };
    nanos.into_iter().zip(credits).map(shown).collect()
}

fn shown_moves(moves: &[Move], ranked: &Ranked) -> Vec<AttributionMove> {
    let mut shown = Vec::with_capacity(moves.len());
    // The start stands behind the last touches, and is where journeys begin.
    let start = moves.partition_point(|one| one.from.first() != Some(&NONE));
    let (others, first) = moves.split_at(start);
    for of_state in first.chunk_by(|a, b| a.from == b.from).chain(others.chunk_by(|a, b| a.from == b.from)) {
        let all: u64 = of_state.iter().map(|one| one.count).sum();
        shown.extend(of_state.iter().map(|one| AttributionMove {
            from: one.from.iter().rev().filter(|key| **key != NONE).map(|key| ranked.name(*key)).collect(),
            to: match one.to {
                CONVERSION => AttributionMoveTo::Conversion,
                NULL => AttributionMoveTo::Null,
                key => AttributionMoveTo::Touch(ranked.name(key)),
            },
            count: one.count,
            share: one.count as f64 / all as f64,
        }));
    }
    shown
}

/// Each conversion, by customer and time.
fn listed(state: &AttributionState, ranked: &Ranked, names: &Names) -> Result<Vec<AttributionCustomer>> {
    let mut listed = Vec::with_capacity(state.listed.len());
    for one in &state.listed {
        let Some(customer) = names.customer_id(one.customer) else { continue };
        listed.push(AttributionCustomer {
            customer,
            converted_at: one.at.to_datetime(),
            value: one.value.map(|(amount, currency)| Money::from_nanos(amount, currency)).transpose()?,
            touches: one.touches.iter().map(|key| ranked.name_of_place(*key)).collect(),
        });
    }
    // Conversions of one instant stay in the order of their journey.
    listed.sort_by(|a, b| (&a.customer, a.converted_at).cmp(&(&b.customer, b.converted_at)));
    Ok(listed)
}

/// Each null journey, by customer and time.
fn null_listed(state: &AttributionState, ranked: &Ranked, names: &Names) -> Vec<AttributionNullJourney> {
    let journey = |one: &NullListed| {
        Some(AttributionNullJourney {
            customer: names.customer_id(one.customer)?,
            ended_at: one.at.to_datetime(),
            pending: one.is_pending,
            touches: one.touches.iter().map(|key| ranked.name_of_place(*key)).collect(),
        })
    };
    let mut listed: Vec<_> = state.null_listed.iter().filter_map(journey).collect();
    // No two of a customer end at one instant.
    listed.sort_by(|a, b| (&a.customer, a.ended_at).cmp(&(&b.customer, b.ended_at)));
    listed
}

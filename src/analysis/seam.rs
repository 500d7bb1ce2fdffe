//! The seam every question stands on, ours and yours.

use serde::{Serialize, de::DeserializeOwned};

use super::Binder;
use crate::{
    error::{InvalidPlan, Result},
    journey::{Journey, JourneyBatch, Names},
};

/// A question: a plan that holds what is asked, and can be bound to the names of one store.
///
/// A question takes five forms, each with one name: a **plan** (what is asked; built and checked) is bound to a
/// **bound plan** (names resolved to numbers), makes a **state** for each chunk of journeys (data only), which are
/// merged and **finished** into a **report**.
///
/// References, tuples of up to four and lists of plans are plans too: several questions, one scan.
///
/// The example `custom_analysis` writes one from scratch.
pub trait Analysis {
    /// The plan bound to one store.
    type Bound: Bound;

    /// Resolves the plan's names to numbers, and asks the binder for the columns and readings it needs.
    ///
    /// # Errors
    /// [`InvalidPlan`] if the plan cannot be asked under the journey model at hand.
    fn bind(&self, binder: &mut Binder<'_>) -> Result<Self::Bound, InvalidPlan>;
}

/// A bound plan: it makes states from journeys, merges them, and finishes them into a report.
///
/// # Laws
/// 1. The unit is a whole journey: each customer's is taken in once, in any order of customers, by [`visit`](Self::visit) or, with
///    others, by [`visit_batch`](Self::visit_batch). Both say the same; either may be called.
/// 2. [`start`](Self::start) is the identity of [`merge`](Self::merge), and merging is associative: however journeys are
///    cut into chunks, the report is the same.
/// 3. A state holds data only; whatever configures the question stays in `self`.
/// 4. States add integers; floats appear in [`finish`](Self::finish) only.
///
/// `journeylog::testing::check_laws` tries them on random worlds.
pub trait Bound: Send + Sync {
    /// What is known after some journeys.
    type State: Send + Serialize + DeserializeOwned;
    /// The answer.
    type Report;

    /// The state after no journey.
    fn start(&self) -> Self::State;

    /// Takes in one journey.
    fn visit(&self, state: &mut Self::State, journey: &Journey<'_>);

    /// Takes in some journeys that were read together: the same as to visit each, which it does unless it is written otherwise. Questions
    /// that can go through many journeys at once do so here; one that wraps another and lets it see all journeys hands them on
    /// together.
    fn visit_batch(&self, state: &mut Self::State, journeys: &JourneyBatch<'_>) {
        journeys.iter().for_each(|journey| self.visit(state, &journey));
    }

    /// Takes in what another state knows of other customers.
    fn merge(&self, state: &mut Self::State, other: Self::State);

    /// The bytes a state takes in memory, roughly; a question that passes its limit is stopped.
    fn size(&self, state: &Self::State) -> usize {
        size_of_val(state)
    }

    /// The answer. It must not depend on the numbers of names, which differ from store to store.
    ///
    /// # Errors
    /// What the analysis documents, such as a limit on the size of an answer.
    fn finish(&self, state: Self::State, names: &Names) -> Result<Self::Report>;
}

impl<A: Analysis + ?Sized> Analysis for &A {
    type Bound = A::Bound;

    fn bind(&self, binder: &mut Binder<'_>) -> Result<Self::Bound, InvalidPlan> {
        (**self).bind(binder)
    }
}

impl<P: Analysis> Analysis for Vec<P> {
    type Bound = Vec<P::Bound>;

    fn bind(&self, binder: &mut Binder<'_>) -> Result<Self::Bound, InvalidPlan> {
        self.iter().map(|plan| plan.bind(binder)).collect()
    }
}

impl<B: Bound> Bound for Vec<B> {
    type State = Vec<B::State>;
    type Report = Vec<B::Report>;

    fn start(&self) -> Self::State {
        self.iter().map(Bound::start).collect()
    }

    fn visit(&self, state: &mut Self::State, journey: &Journey<'_>) {
        self.iter().zip(state).for_each(|(bound, state)| bound.visit(state, journey));
    }

    fn visit_batch(&self, state: &mut Self::State, journeys: &JourneyBatch<'_>) {
        self.iter().zip(state).for_each(|(bound, state)| bound.visit_batch(state, journeys));
    }

    fn merge(&self, state: &mut Self::State, other: Self::State) {
        self.iter().zip(state).zip(other).for_each(|((bound, state), other)| bound.merge(state, other));
    }

    fn size(&self, state: &Self::State) -> usize {
        self.iter().zip(state).map(|(bound, state)| bound.size(state)).sum()
    }

    fn finish(&self, state: Self::State, names: &Names) -> Result<Self::Report> {
        self.iter().zip(state).map(|(bound, state)| bound.finish(state, names)).collect()
    }
}

macro_rules! tuple_is_a_plan {
    ($($plan:ident $i:tt),+) => {
        impl<$($plan: Analysis),+> Analysis for ($($plan,)+) {
            type Bound = ($($plan::Bound,)+);

            fn bind(&self, binder: &mut Binder<'_>) -> Result<Self::Bound, InvalidPlan> {
                Ok(($(self.$i.bind(binder)?,)+))
            }
        }

        impl<$($plan: Bound),+> Bound for ($($plan,)+) {
            type State = ($($plan::State,)+);
            type Report = ($($plan::Report,)+);

            fn start(&self) -> Self::State {
                ($(self.$i.start(),)+)
            }

            fn visit(&self, state: &mut Self::State, journey: &Journey<'_>) {
                $(self.$i.visit(&mut state.$i, journey);)+
            }

            fn visit_batch(&self, state: &mut Self::State, journeys: &JourneyBatch<'_>) {
                $(self.$i.visit_batch(&mut state.$i, journeys);)+
            }

            fn merge(&self, state: &mut Self::State, other: Self::State) {
                $(self.$i.merge(&mut state.$i, other.$i);)+
            }

            fn size(&self, state: &Self::State) -> usize {
                0 $(+ self.$i.size(&state.$i))+
            }

            fn finish(&self, state: Self::State, names: &Names) -> Result<Self::Report> {
                Ok(($(self.$i.finish(state.$i, names)?,)+))
            }
        }
    };
}
tuple_is_a_plan!(A 0);
tuple_is_a_plan!(A 0, B 1);
tuple_is_a_plan!(A 0, B 1, C 2);
tuple_is_a_plan!(A 0, B 1, C 2, D 3);

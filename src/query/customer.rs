//! Questions about one customer, and the short way to the first questions of all.

use chrono::{DateTime, Utc};

use super::Query;
use crate::{
    analysis::{
        Analysis, Binder, Bound, CustomerMove, Funnel, FunnelReport, Scope, StageReading, Transitions,
        TransitionsReport,
    },
    error::{InvalidPlan, Result},
    journey::{Journey, Names},
    model::{JourneyModel, Micros, StageName},
    store::{Customer, Store},
};

impl Customer {
    /// Begins a question about this customer alone. Observation ends where the snapshot's does: with the last event of all
    /// customers.
    pub fn query(&self) -> Query {
        Query::of_customer(self.clone())
    }

    /// The stage the customer is in now, by a model; `None` if no event bears one.
    ///
    /// # Errors
    /// Those of [`Query::run`].
    pub fn stage(&self, model: &JourneyModel) -> Result<Option<StageName>> {
        Ok(self.moves_in(model, Scope::all())?.pop().map(|last| last.to))
    }

    /// The stage the customer was in at a moment.
    ///
    /// # Errors
    /// Those of [`Query::run`].
    pub fn stage_as_of(&self, model: &JourneyModel, at: DateTime<Utc>) -> Result<Option<StageName>> {
        Ok(self.moves_in(model, Scope::all().as_of(at))?.pop().map(|last| last.to))
    }

    /// All moves between stages, in order.
    ///
    /// # Errors
    /// Those of [`Query::run`].
    pub fn transitions(&self, model: &JourneyModel) -> Result<Vec<CustomerMove>> {
        self.moves_in(model, Scope::all())
    }

    fn moves_in(&self, model: &JourneyModel, scope: Scope) -> Result<Vec<CustomerMove>> {
        self.query().scope(scope).run(&Moves(model))
    }
}

/// The moves of a single journey.
struct Moves<'a>(&'a JourneyModel);

struct BoundMoves {
    model: JourneyModel,
    reading: StageReading,
}

impl Analysis for Moves<'_> {
    type Bound = BoundMoves;

    fn bind(&self, binder: &mut Binder<'_>) -> Result<BoundMoves, InvalidPlan> {
        Ok(BoundMoves { model: self.0.clone(), reading: binder.stages(self.0) })
    }
}

impl Bound for BoundMoves {
    type State = Vec<(usize, Micros)>;
    type Report = Vec<CustomerMove>;

    fn start(&self) -> Self::State {
        Vec::new()
    }

    fn visit(&self, state: &mut Self::State, journey: &Journey<'_>) {
        state.extend(self.reading.of(journey).map(|visit| (visit.stage, visit.since)));
    }

    fn merge(&self, state: &mut Self::State, other: Self::State) {
        state.extend(other);
    }

    fn finish(&self, state: Self::State, _: &Names) -> Result<Self::Report> {
        let mut before: Option<(usize, Micros)> = None;
        let mut moves = Vec::with_capacity(state.len());
        for (stage, at) in state {
            moves.extend(CustomerMove::of(&self.model, before.replace((stage, at)), stage, at));
        }
        Ok(moves)
    }
}

impl Store {
    /// The stage a customer is in now, by the standard model; `None` for a customer without one.
    ///
    /// # Errors
    /// `Damaged` or `Io` if the store could not be read.
    pub fn stage_of(&self, customer: &str) -> Result<Option<StageName>> {
        match self.customer(customer)? {
            Some(customer) => customer.stage(&JourneyModel::standard()),
            None => Ok(None),
        }
    }

    /// The transitions of all customers by a model.
    ///
    /// # Errors
    /// Those of [`Query::run`].
    pub fn transitions(&self, model: JourneyModel) -> Result<TransitionsReport> {
        self.query().run(&Transitions::of(model))
    }

    /// A funnel over all customers.
    ///
    /// # Errors
    /// Those of [`Query::run`].
    pub fn funnel(&self, funnel: &Funnel) -> Result<FunnelReport> {
        self.query().run(funnel)
    }
}

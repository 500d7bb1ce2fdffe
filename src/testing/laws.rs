//! The laws of an analysis, tried on a world.

use std::{collections::BTreeSet, fmt::Debug, num::NonZeroUsize};

use fastrand::Rng;

use crate::{Analysis, Binder, Bound, CustomerId, Event, EventBuilder, InvalidPlan, Journey, Journeys, Names, Result};

/// A law that a plan breaks in a world.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{law} changes the report\nfrom {expected}\n  to {found}")]
#[non_exhaustive]
pub struct BrokenLaw {
    /// What should have made no difference.
    pub law: String,
    /// The report without it.
    pub expected: String,
    /// The report with it.
    pub found: String,
}

type Report<A> = <<A as Analysis>::Bound as Bound>::Report;

fn same<R: PartialEq + Debug>(
    law: impl Into<String>,
    expected: &Result<R>,
    found: &Result<R>,
) -> Result<(), BrokenLaw> {
    let equal = match (expected, found) {
        (Ok(expected), Ok(found)) => expected == found,
        (Err(expected), Err(found)) => expected.to_string() == found.to_string(),
        _ => false,
    };
    if equal {
        return Ok(());
    }
    Err(BrokenLaw { law: law.into(), expected: format!("{expected:?}"), found: format!("{found:?}") })
}

fn ask<A: Analysis>(plan: A, events: &[Event], chunk_rows: usize, threads: usize) -> Result<Report<A>> {
    let journeys = Journeys::in_chunks(events.iter().cloned().map(EventBuilder::from), chunk_rows)?;
    journeys.query().threads(NonZeroUsize::new(threads).unwrap_or(NonZeroUsize::MIN)).run(plan)
}

/// Tries the laws of [`Bound`] on a plan in a world: the report must be the same
///
/// - however journeys are cut into chunks, and on any number of threads;
/// - if the state after no journey is merged in, before and after;
/// - if states are merged from the right instead of the left, and with the last customers first;
/// - if every state goes through JSON and back.
///
/// # Errors
/// [`BrokenLaw`] for the first law that is broken, with both reports.
///
/// ```
/// use journeylog::{JourneyModel, Transitions, testing};
/// let events = testing::World::new(3).customers(5).events(30).make();
/// testing::check_laws(&Transitions::of(JourneyModel::standard()), &events)?;
/// # Ok::<(), testing::BrokenLaw>(())
/// ```
pub fn check_laws<A>(plan: &A, events: &[Event]) -> Result<(), BrokenLaw>
where
    A: Analysis,
    Report<A>: PartialEq + Debug,
{
    let expected = ask(plan, events, usize::MAX, 1);
    for chunk_rows in [1, 2, 7, 64] {
        for threads in [1, 2, 3] {
            let law = format!("cutting into chunks of {chunk_rows} rows on {threads} threads");
            same(law, &expected, &ask(plan, events, chunk_rows, threads))?;
        }
    }
    for (law, way) in [
        ("merging the start state", Way::Start),
        ("merging from the right", Way::FromRight),
        ("taking the last customers first", Way::Backwards),
        ("writing every state as JSON and reading it back", Way::Json),
    ] {
        for chunk_rows in [1, 7] {
            same(law, &expected, &ask(Detour { plan, way }, events, chunk_rows, 1))?;
        }
    }
    Ok(())
}

/// Tries that the order of arrival makes no difference: for reports that hold no sequences, of questions in which tied
/// events are interchangeable. Events with an id that came before are left out first.
///
/// # Errors
/// [`BrokenLaw`] with both reports.
pub fn check_arrival<A>(plan: &A, events: &[Event], seed: u64) -> Result<(), BrokenLaw>
where
    A: Analysis,
    Report<A>: PartialEq + Debug,
{
    let mut events = without_duplicates(events);
    let expected = ask(plan, &events, usize::MAX, 1);
    Rng::with_seed(seed).shuffle(&mut events);
    same("another order of arrival", &expected, &ask(plan, &events, 7, 1))
}

fn without_duplicates(events: &[Event]) -> Vec<Event> {
    let mut ids = BTreeSet::new();
    events.iter().filter(|event| event.id().is_none_or(|id| ids.insert(id.clone()))).cloned().collect()
}

/// Tries that the names of customers make no difference: for reports that list none.
///
/// # Errors
/// [`BrokenLaw`] with both reports.
pub fn check_names<A>(plan: &A, events: &[Event], seed: u64) -> Result<(), BrokenLaw>
where
    A: Analysis,
    Report<A>: PartialEq + Debug,
{
    let customers: BTreeSet<&CustomerId> = events.iter().map(Event::customer).collect();
    let mut places: Vec<usize> = (0..customers.len()).collect();
    Rng::with_seed(seed).shuffle(&mut places);
    let renamed = events.iter().map(|event| {
        let place = customers.iter().position(|id| *id == event.customer()).unwrap_or_default();
        let customer = CustomerId::new(format!("renamed {}", places[place])).unwrap();
        Event { customer, ..event.clone() }
    });
    let expected = ask(plan, events, usize::MAX, 1);
    same("other names of customers", &expected, &ask(plan, &renamed.collect::<Vec<_>>(), 7, 1))
}

/// Tries that customers who do nothing of interest make no difference. The event must match nothing that the plan asks
/// for; it is added for three customers of their own, at the times of the world's first, middle and last event.
///
/// # Errors
/// [`BrokenLaw`] with both reports.
pub fn check_bystander<A>(plan: &A, events: &[Event], bystander: &Event) -> Result<(), BrokenLaw>
where
    A: Analysis,
    Report<A>: PartialEq + Debug,
{
    let mut more = without_duplicates(events);
    let mut times: Vec<_> = more.iter().map(|event| event.occurred_at).collect();
    times.sort_unstable();
    if let (Some(&first), Some(&middle), Some(&last)) = (times.first(), times.get(times.len() / 2), times.last()) {
        for (occurred_at, name) in [(first, "!"), (middle, "bystander"), (last, "~")] {
            let customer = CustomerId::new(name).unwrap();
            more.push(Event { id: None, customer, occurred_at, ..bystander.clone() });
        }
    }
    same("a bystander", &ask(plan, events, usize::MAX, 1), &ask(plan, &more, 7, 1))
}

/// A plan that goes about its states in another way.
struct Detour<'a, A> {
    plan: &'a A,
    way: Way,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    Start,
    FromRight,
    Backwards,
    Json,
}

impl<A: Analysis> Analysis for Detour<'_, A> {
    type Bound = BoundDetour<A::Bound>;

    fn bind(&self, binder: &mut Binder<'_>) -> Result<Self::Bound, InvalidPlan> {
        Ok(BoundDetour { bound: self.plan.bind(binder)?, way: self.way })
    }
}

struct BoundDetour<B> {
    bound: B,
    way: Way,
}

impl<B: Bound> BoundDetour<B> {
    fn through_json(&self, state: B::State) -> B::State {
        if self.way != Way::Json {
            return state;
        }
        let text = serde_json::to_string(&state).expect("a state can be written as JSON");
        serde_json::from_str(&text).expect("a written state can be read back")
    }
}

/// The states of the chunks are kept apart, and only merged at the end.
impl<B: Bound> Bound for BoundDetour<B> {
    type State = Vec<B::State>;
    type Report = B::Report;

    fn start(&self) -> Self::State {
        Vec::new()
    }

    fn visit(&self, states: &mut Self::State, journey: &Journey<'_>) {
        let mut state = self.through_json(states.pop().unwrap_or_else(|| self.bound.start()));
        self.bound.visit(&mut state, journey);
        states.push(self.through_json(state));
    }

    fn merge(&self, states: &mut Self::State, mut others: Self::State) {
        states.append(&mut others);
    }

    fn finish(&self, mut states: Self::State, names: &Names) -> Result<Self::Report> {
        let both = |mut one: B::State, other: B::State| {
            self.bound.merge(&mut one, self.through_json(other));
            self.through_json(one)
        };
        let start = || self.bound.start();
        let merged = match self.way {
            Way::Start => {
                let padded = states.into_iter().map(|state| both(both(start(), state), start()));
                padded.reduce(both)
            }
            Way::FromRight => states.into_iter().rev().reduce(|right, left| both(left, right)),
            Way::Backwards => {
                states.reverse();
                states.into_iter().reduce(both)
            }
            Way::Json => states.into_iter().reduce(both),
        };
        self.bound.finish(merged.unwrap_or_else(start), names)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::World;

    /// Counts journeys, wrongly in the way that it is told.
    struct Wrong(&'static str);

    impl Analysis for Wrong {
        type Bound = Self;
        fn bind(&self, _: &mut Binder<'_>) -> Result<Self, InvalidPlan> {
            Ok(Self(self.0))
        }
    }

    #[derive(serde::Serialize, serde::Deserialize)]
    struct Count(u64, #[serde(skip)] u64);

    impl Bound for Wrong {
        type State = Count;
        type Report = u64;
        fn start(&self) -> Count {
            Count(u64::from(self.0 == "start"), 0)
        }
        fn visit(&self, state: &mut Count, _: &Journey<'_>) {
            state.0 += 1;
            state.1 += 1;
        }
        fn merge(&self, state: &mut Count, other: Count) {
            match self.0 {
                "order" => state.0 = state.0.wrapping_mul(3).wrapping_add(other.0),
                _ => state.0 += other.0,
            }
            state.1 += other.1;
        }
        fn finish(&self, state: Count, _: &Names) -> Result<u64> {
            Ok(if self.0 == "lost" { state.1 } else { state.0 })
        }
    }

    #[test]
    fn broken_laws_are_found() {
        let events = World::new(1).customers(4).events(20).make();
        assert_eq!(check_laws(&Wrong("not"), &events), Ok(()));
        for (how, law) in [("start", "chunks"), ("order", "chunks"), ("lost", "JSON")] {
            let broken = check_laws(&Wrong(how), &events).unwrap_err();
            assert!(broken.law.contains(law), "{how}: {broken}");
        }
    }
}

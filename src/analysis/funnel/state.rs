//! A funnel bound to a store: what is counted while visiting, and how it becomes a report.

use serde::{Deserialize, Serialize};

use super::{
    Funnel, FunnelCustomer, FunnelOutcome, FunnelReport, FunnelStep, Order, ServedEvent,
    chain::{Reached, Rules, Trail, Walk},
};
use crate::{
    analysis::{Analysis, Binder, Bound, BoundScope, DurationSummary, Durations, Matches, Rate},
    error::{InvalidPlan, Result},
    journey::{CustomerNo, Journey, Matched, Names},
    model::{CustomerId, Micros, Seq},
};

/// A funnel bound to a store.
#[derive(Debug)]
pub struct BoundFunnel {
    plan: Funnel,
    rules: Rules,
    matches: Matches,
    scope: BoundScope,
}

impl Analysis for Funnel {
    type Bound = BoundFunnel;

    fn bind(&self, binder: &mut Binder<'_>) -> Result<BoundFunnel, InvalidPlan> {
        let conditions: Vec<_> =
            self.steps.iter().chain(self.exclusions.iter().map(|(when, ..)| when)).cloned().collect();
        if self.customers {
            binder.need_seqs();
        }
        Ok(BoundFunnel {
            rules: Rules {
                steps: self.steps.len(),
                order: self.order,
                ties: self.ties,
                window: self.window,
                exclusions: self.exclusions.iter().map(|&(_, after, before)| (after, before)).collect(),
            },
            // Any other event breaks a strict chain, so it is looked at too.
            matches: match self.order {
                Order::Ordered => binder.matches(&conditions)?,
                Order::Strict => binder.matches_and_others(&conditions)?,
            },
            scope: binder.scope().clone(),
            plan: self.clone(),
        })
    }
}

/// What is counted.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct FunnelState {
    steps: Vec<StepState>,
    since_first_entry: Durations,
    customers: Vec<Listed>,
}

#[derive(Debug, Clone, Default, Serialize, Deserialize)]
struct StepState {
    reached: u64,
    /// Of these, customers whose window is over.
    reached_settled: u64,
    /// Customers who came this far and no further, by how it ended.
    dropped: u64,
    stopped: u64,
    pending: u64,
    time: Durations,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
struct Listed {
    customer: CustomerNo,
    outcome: FunnelOutcome,
    events: Vec<(Seq, Micros)>,
}

impl BoundFunnel {
    fn walk<T: Trail>(&self, events: &Matched<'_>) -> Walk<T> {
        self.rules.walk(events.times, events.words, |at| self.scope.counts(at))
    }

    fn is_open(&self, entry: Micros) -> bool {
        self.rules.window.is_some_and(|window| entry.plus(window) > self.scope.end)
    }

    fn outcome<T>(&self, walk: &Walk<T>) -> FunnelOutcome {
        if walk.reached.len() == self.rules.steps {
            FunnelOutcome::Converted
        } else if walk.open.is_some_and(|entry| self.is_open(entry)) {
            FunnelOutcome::Pending
        } else if walk.stopped {
            FunnelOutcome::Stopped
        } else if self.rules.window.is_some() {
            FunnelOutcome::WindowOver
        } else {
            FunnelOutcome::NextStepMissing
        }
    }

    fn count<T>(&self, state: &mut FunnelState, walk: &Walk<T>, outcome: FunnelOutcome, last: &Reached<T>) {
        let settled = match outcome {
            FunnelOutcome::Converted => !self.is_open(last.entry),
            outcome => outcome != FunnelOutcome::Pending,
        };
        for (place, (step, reached)) in state.steps.iter_mut().zip(&walk.reached).enumerate() {
            step.reached += 1;
            step.reached_settled += u64::from(settled);
            // The first step is reached at once, so its lengths are not kept.
            if place > 0 {
                step.time.add_between(reached.entry, reached.at);
            }
        }
        if outcome == FunnelOutcome::Converted {
            state.since_first_entry.add_between(walk.first_entry.unwrap_or(last.entry), last.at);
        } else if let Some(step) = walk.reached.len().checked_sub(1).and_then(|i| state.steps.get_mut(i)) {
            step.pending += u64::from(outcome == FunnelOutcome::Pending);
            step.dropped += u64::from(outcome != FunnelOutcome::Pending);
            step.stopped += u64::from(outcome == FunnelOutcome::Stopped);
        }
    }

    fn list(journey: &Journey<'_>, events: &Matched<'_>, walk: Walk<Vec<usize>>, outcome: FunnelOutcome) -> Listed {
        let trail = walk.reached.into_iter().next_back().map(|last| last.trail).unwrap_or_default();
        let served = |place| Some((journey.seq(events.event(place)?)?, *events.times.get(place)?));
        Listed { customer: journey.customer(), outcome, events: trail.into_iter().filter_map(served).collect() }
    }
}

impl Bound for BoundFunnel {
    type State = FunnelState;
    type Report = FunnelReport;

    fn start(&self) -> FunnelState {
        FunnelState {
            steps: vec![StepState::default(); self.rules.steps],
            since_first_entry: Durations::default(),
            customers: Vec::new(),
        }
    }

    fn visit(&self, state: &mut FunnelState, journey: &Journey<'_>) {
        let events = self.matches.of(journey);
        if events.times.is_empty() {
            return;
        }
        if self.plan.customers {
            let walk = self.walk::<Vec<usize>>(&events);
            let outcome = self.outcome(&walk);
            if let Some(last) = walk.reached.last() {
                self.count(state, &walk, outcome, last);
                state.customers.push(Self::list(journey, &events, walk, outcome));
            }
        } else {
            let mut walk = Walk::default();
            let (times, words) = (events.times, events.words);
            let is_done = if self.scope.counts_all() {
                self.rules.walk_untied(times, words, |_| true, &mut walk)
            } else {
                self.rules.walk_untied(times, words, |at| self.scope.counts(at), &mut walk)
            };
            if !is_done {
                walk = self.walk::<()>(&events);
            }
            if let Some(last) = walk.reached.last() {
                self.count(state, &walk, self.outcome(&walk), last);
            }
        }
    }

    fn merge(&self, state: &mut FunnelState, other: FunnelState) {
        for (here, there) in state.steps.iter_mut().zip(other.steps) {
            here.reached += there.reached;
            here.reached_settled += there.reached_settled;
            here.dropped += there.dropped;
            here.stopped += there.stopped;
            here.pending += there.pending;
            here.time.merge(there.time);
        }
        state.since_first_entry.merge(other.since_first_entry);
        state.customers.extend(other.customers);
    }

    fn size(&self, state: &FunnelState) -> usize {
        let listed = state.customers.len() * (size_of::<Listed>() + self.rules.steps * size_of::<(Seq, Micros)>());
        state.steps.iter().map(|step| size_of::<StepState>() + step.time.size()).sum::<usize>() + listed
    }

    fn finish(&self, state: FunnelState, names: &Names) -> Result<FunnelReport> {
        let entered = state.steps.first().map_or(0, |step| step.reached);
        let entered_settled = state.steps.first().map_or(0, |step| step.reached_settled);
        let mut previous = entered;
        let mut steps = Vec::with_capacity(state.steps.len());
        for (i, (step, condition)) in state.steps.iter().zip(&self.plan.steps).enumerate() {
            steps.push(FunnelStep {
                step: i + 1,
                name: condition.to_string(),
                customers: step.reached,
                from_entry: Rate::new(step.reached, entered),
                from_previous: Rate::new(step.reached, previous),
                settled: Rate::new(step.reached_settled, entered_settled),
                dropped: step.dropped,
                stopped: step.stopped,
                pending: step.pending,
                time_to_reach: if i == 0 { DurationSummary::of_zeros(step.reached) } else { step.time.summary() },
            });
            previous = step.reached;
        }
        let converted = state.steps.last().map_or(0, |step| step.reached);
        let converted_settled = state.steps.last().map_or(0, |step| step.reached_settled);
        let customers = if self.plan.customers { Some(named(state.customers, names)?) } else { None };
        Ok(FunnelReport {
            order: self.rules.order,
            window: self.rules.window,
            entered,
            converted,
            conversion: Rate::new(converted, entered),
            settled_conversion: Rate::new(converted_settled, entered_settled),
            pending: state.steps.iter().map(|step| step.pending).sum(),
            time_since_first_entry: state.since_first_entry.summary(),
            steps,
            customers,
        })
    }
}

/// The listed customers with their ids, in the order of these.
fn named(listed: Vec<Listed>, names: &Names) -> Result<Vec<FunnelCustomer>> {
    let mut customers = listed
        .into_iter()
        .map(|one| {
            let events: Vec<_> =
                one.events.iter().map(|&(seq, at)| ServedEvent { seq, occurred_at: at.to_datetime() }).collect();
            let customer = CustomerId::new(names.customer(one.customer))?;
            Ok(FunnelCustomer { customer, level: events.len(), outcome: one.outcome, events })
        })
        .collect::<Result<Vec<_>>>()?;
    customers.sort_unstable_by(|a, b| a.customer.cmp(&b.customer));
    Ok(customers)
}

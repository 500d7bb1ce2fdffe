//! Every chain of a customer's events in a funnel, and how the customer fared by them.

use std::{
    cmp::{Ordering, Reverse},
    collections::BTreeMap,
};

use super::{
    breakdown_oracle::{Worth, group_of, order_of_chains},
    conditions::holds,
    story::{Stories, Told},
};
use crate::{
    Count, Currency, Decimal, Event, ExclusionEffect, Funnel, FunnelOutcome, JourneyModel, Money, Order, PropertyValue,
    Ties, Window, analysis::funnel::Excluded,
};

/// A chain: its events by their places in the story.
pub(super) type Chain = Vec<usize>;

/// When a chain was stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Stop {
    At(i64),
    Never,
}

/// One customer's story in a funnel.
#[derive(Clone)]
pub(super) struct Case<'a> {
    story: &'a [Told<'a>],
    plan: &'a Funnel,
    /// For each step, whether each event matches.
    steps: Vec<Vec<bool>>,
    /// For each exclusion, whether each event meets it.
    excluded: Vec<Vec<bool>>,
    window: Option<i128>,
    /// Whether exclusions that remove customers stop chains too.
    heeds_removing: bool,
    stories: &'a Stories<'a>,
}

/// How one customer fared, in one group if the plan tells customers apart.
#[derive(Clone)]
pub(super) struct Fate {
    /// The value of the group.
    pub(super) worth: Worth,
    /// For each level reached, entry and completion of the chain that counts.
    pub(super) reached: Vec<(i64, i64)>,
    pub(super) outcome: FunnelOutcome,
    pub(super) settled: bool,
    /// If it is pending, the furthest level of the chains that can go on, and when the first of these came there.
    pub(super) waits: Option<(usize, i64)>,
    pub(super) since_first_entry: i128,
    /// For each step whether it was done.
    pub(super) done: Vec<bool>,
    /// All chains that are as good as any.
    pub(super) best: Vec<Chain>,
    /// For each required step the money of the event that served it, in the chain that counts.
    pub(super) money: Vec<Option<Money>>,
    /// For each optional step, if it was done, the events one of which did it.
    pub(super) optional: Vec<Option<Vec<usize>>>,
    /// And their money.
    pub(super) optional_money: Vec<Option<Money>>,
    /// All chains that may be listed: each event with its step from 1, in the order of these.
    pub(super) chains: Vec<Vec<(usize, usize)>>,
}

impl<'a> Case<'a> {
    pub(super) fn of(plan: &'a Funnel, story: &'a [Told<'a>], model: &JourneyModel, stories: &'a Stories<'a>) -> Self {
        let met = |condition| story.iter().map(|told| holds(condition, told.event, told.stage, model)).collect();
        Self {
            story,
            plan,
            steps: plan.steps.iter().map(met).collect(),
            excluded: plan.exclusions.iter().map(|exclusion| met(&exclusion.when)).collect(),
            heeds_removing: true,
            window: plan.window.map(|window| i128::from(window.micros())),
            stories,
        }
    }

    /// The same where exclusions that remove customers stop nothing.
    pub(super) fn without_removing(&self) -> Self {
        Self { heeds_removing: false, ..self.clone() }
    }

    /// All chains of all levels, each with when it was stopped or broken, in that order of the ties in which it was last.
    pub(super) fn chains(&self) -> BTreeMap<Chain, Stop> {
        let mut found = BTreeMap::new();
        if let Ties::Within(tolerance) = self.plan.ties {
            self.extend_within(i128::from(tolerance.micros()), &mut Vec::new(), &mut found);
            return found;
        }
        if self.plan.order == Order::Any {
            each_order(self.story, &mut |order| self.extend_in_any_order(order, &mut Vec::new(), &mut found));
            return found;
        }
        each_order(self.story, &mut |order| {
            for first in 0..order.len() {
                let event = order[first];
                if self.steps[0][event] && self.holds_constant(&[], event) && self.stories.counts(self.story[event].at)
                {
                    self.extend(order, &mut vec![first], &mut found);
                }
            }
        });
        found
    }

    /// Notes a chain (positions in this order of the ties), and all that begin with it.
    fn extend(&self, order: &[usize], chain: &mut Vec<usize>, found: &mut BTreeMap<Chain, Stop>) {
        let level = chain.len();
        let at = |position: usize| self.story[order[position]].at;
        let (entry, last) = (at(chain[0]), chain[level - 1]);
        let last_at = at(last);
        let until = self.until(level, entry, last_at);
        let in_window = |at: i64| until.is_none_or(|until| i128::from(at) <= until);
        let min_gap = self.gap(level).map_or(0, |(min, _)| min);
        let events: Vec<usize> = chain.iter().map(|&position| order[position]).collect();
        let mut stop = Stop::Never;
        let mut further = Vec::new();
        for (position, &event) in order.iter().enumerate().skip(last + 1) {
            if level < self.steps.len()
                && stop == Stop::Never
                && self.steps[level][event]
                && in_window(at(position))
                && i128::from(at(position)) - i128::from(last_at) >= min_gap
                && (self.plan.ties == Ties::Either || at(position) > at(last))
                && !self.excludes_as_step(event, level + 1)
                && self.holds_constant(&events, event)
            {
                further.push(position);
            }
            if stop == Stop::Never && in_window(at(position)) && self.stops(event, level) {
                stop = Stop::At(at(position));
            }
        }
        let known = found.entry(events).or_insert(stop);
        *known = (*known).max(stop);
        for position in further {
            chain.push(position);
            self.extend(order, chain, found);
            chain.pop();
        }
    }

    /// Notes all chains that go on from one, where events may serve in either order that lie at most so far apart.
    fn extend_within(&self, tolerance: i128, chain: &mut Chain, found: &mut BTreeMap<Chain, Stop>) {
        let at = |event: usize| i128::from(self.story[event].at);
        for event in 0..self.story.len() {
            let entry = *chain.first().unwrap_or(&event);
            let may_enter = !chain.is_empty() || self.stories.counts(self.story[event].at);
            let is_over = self.window.is_some_and(|window| at(event) - at(entry) > window);
            if chain.len() < self.steps.len()
                && self.steps[chain.len()][event]
                && may_enter
                && !is_over
                && !chain.contains(&event)
                && chain.iter().all(|&earlier| at(earlier) <= at(event) + tolerance)
                && self.holds_constant(chain, event)
            {
                chain.push(event);
                found.insert(chain.clone(), Stop::Never);
                self.extend_within(tolerance, chain, found);
                chain.pop();
            }
        }
    }

    /// Notes all chains that go on from one (positions in this order of the ties) in a funnel of any order.
    fn extend_in_any_order(&self, order: &[usize], chain: &mut Chain, found: &mut BTreeMap<Chain, Stop>) {
        for position in chain.last().map_or(0, |last| last + 1)..order.len() {
            let events: Vec<usize> = chain.iter().map(|&position| order[position]).collect();
            let event = order[position];
            let at = |event: usize| self.story[event].at;
            let first = events.first().map_or(at(event), |&first| at(first));
            let is_late = self.plan.ties == Ties::LaterOnly && events.last().is_some_and(|&last| at(last) == at(event));
            let is_over = self.window.is_some_and(|window| i128::from(at(event)) - i128::from(first) > window);
            if is_late || is_over || !self.stories.counts(first) || !self.holds_constant(&events, event) {
                continue;
            }
            let longer: Chain = events.into_iter().chain([event]).collect();
            if !self.served(&longer).is_empty() {
                found.insert(longer, Stop::Never);
                chain.push(position);
                self.extend_in_any_order(order, chain, found);
                chain.pop();
            }
        }
    }

    /// All ways in which a chain's events can serve: each with its step from 1, in the order of these.
    fn served(&self, chain: &[usize]) -> Vec<Vec<(usize, usize)>> {
        if self.plan.order != Order::Any {
            return vec![(1..).zip(chain.iter().copied()).collect()];
        }
        let Some((&event, rest)) = chain.split_last() else { return vec![Vec::new()] };
        let mut ways = Vec::new();
        for way in self.served(rest) {
            for step in (0..self.steps.len()).filter(|&step| self.steps[step][event]) {
                if way.iter().all(|(taken, _)| *taken != step + 1) {
                    let mut longer = way.clone();
                    longer.push((step + 1, event));
                    longer.sort_unstable();
                    ways.push(longer);
                }
            }
        }
        ways
    }

    /// Whether an event after a chain of this level stops it (an exclusion) or breaks it (in a strict funnel).
    fn stops(&self, event: usize, level: usize) -> bool {
        let excluded = self.exclusions();
        let breaks = self.plan.order == Order::Strict && !self.steps[level - 1][event];
        breaks || excluded.into_iter().any(|(e, met)| met[event] && (e.after..e.before).contains(&level))
    }

    /// Whether an event meets an exclusion between whose two steps this step lies.
    fn excludes_as_step(&self, event: usize, step: usize) -> bool {
        self.exclusions().any(|(e, met)| met[event] && e.after < step && step < e.before)
    }

    /// The exclusions that are to be heeded, with the events that meet them.
    fn exclusions(&self) -> impl Iterator<Item = (&Excluded, &Vec<bool>)> {
        let all = self.plan.exclusions.iter().zip(&self.excluded);
        all.filter(|(exclusion, _)| self.heeds_removing || exclusion.effect == ExclusionEffect::Drop)
    }

    /// Whether an event may serve a step of a chain that has these events.
    fn holds_constant(&self, chain: &[usize], event: usize) -> bool {
        self.plan.hold.iter().all(|property| {
            let value = |event: usize| {
                let value = self.story[event].event.properties().get(property);
                value.filter(|value| !matches!(value, PropertyValue::Null | PropertyValue::Nested(_)))
            };
            let here = value(event);
            here.is_some_and(|here| {
                chain.iter().all(|&other| value(other).is_some_and(|v| v.compare(here) == Some(Ordering::Equal)))
            })
        })
    }

    /// The least and the most time before the step that follows a level, if the plan says.
    fn gap(&self, level: usize) -> Option<(i128, Option<i128>)> {
        let micros = |window: Window| i128::from(window.micros());
        let gap = self.plan.gaps.iter().find(|gap| gap.step == level + 1)?;
        Some((gap.min.map_or(0, micros), gap.max.map(micros)))
    }

    /// Until when a chain may go on, if there is an end to that.
    fn until(&self, level: usize, entry: i64, last: i64) -> Option<i128> {
        let by_window = self.window.map(|window| i128::from(entry) + window);
        let by_gap = self.gap(level).and_then(|(_, max)| max).map(|max| i128::from(last) + max);
        by_window.into_iter().chain(by_gap).min()
    }

    fn is_open(&self, until: Option<i128>) -> bool {
        until.is_some_and(|until| until > i128::from(self.stories.end))
    }

    /// The fate of a customer, or of each attempt.
    pub(super) fn fates(&self) -> Vec<Fate> {
        let chains = self.chains();
        if self.plan.count == Count::Customers {
            return self.fate(&chains).into_iter().collect();
        }
        // Each value that is held constant has attempts of its own.
        let mut by_value: Vec<BTreeMap<Chain, Stop>> = Vec::new();
        for (chain, stop) in chains {
            let same = |known: &&mut BTreeMap<Chain, Stop>| {
                known.first_key_value().is_some_and(|(other, _)| self.holds_constant(&other[..1], chain[0]))
            };
            match by_value.iter_mut().find(same) {
                Some(known) => drop(known.insert(chain, stop)),
                None => by_value.push(BTreeMap::from([(chain, stop)])),
            }
        }
        by_value.into_iter().flat_map(|chains| self.attempts(chains)).collect()
    }

    fn attempts(&self, mut chains: BTreeMap<Chain, Stop>) -> Vec<Fate> {
        let mut fates = Vec::new();
        while let Some(first) = chains.keys().map(|chain| self.story[chain[0]].at).min() {
            let attempt: BTreeMap<Chain, Stop> = chains
                .iter()
                .filter(|(chain, _)| self.story[chain[0]].at == first)
                .map(|(c, s)| (c.clone(), *s))
                .collect();
            let fate = self.fate(&attempt).unwrap();
            let converted = (fate.outcome == FunnelOutcome::Converted).then(|| fate.reached[self.steps.len() - 1].1);
            // The next begins once no chain can go on any more: with an event at the moment that stopped the last of them, too.
            let goes_on = |at: i64| {
                attempt.iter().any(|(chain, stop)| {
                    let last = self.story[chain[chain.len() - 1]].at;
                    let until = self.until(chain.len(), first, last);
                    last <= at && *stop > Stop::At(at) && until.is_none_or(|until| until >= i128::from(at))
                })
            };
            chains.retain(|chain, _| {
                let at = self.story[chain[0]].at;
                at > first && if let Some(done) = converted { at > done } else { !goes_on(at) }
            });
            fates.push(fate);
        }
        fates
    }

    fn fate(&self, chains: &BTreeMap<Chain, Stop>) -> Option<Fate> {
        let entry = |chain: &Chain| self.story[chain[0]].at;
        let done = |chain: &Chain| chain.iter().map(|&event| self.story[event].at).max().unwrap();
        let level = chains.keys().map(Vec::len).max()?;
        let of_level = |level: usize| chains.iter().filter(move |(chain, _)| chain.len() == level);
        let best = |level: usize| of_level(level).map(|(chain, _)| (done(chain), Reverse(entry(chain)))).min();
        let reached: Vec<(i64, i64)> =
            (1..=level).filter_map(best).map(|(done, Reverse(entry))| (entry, done)).collect();
        let &(best_entry, best_done) = reached.last()?;
        let last_attempt = of_level(level).map(|(chain, _)| entry(chain)).max()?;
        let open = || {
            let going = chains.iter().filter(|(_, stop)| **stop == Stop::Never).map(|(chain, _)| chain);
            going.filter(|chain| self.is_open(self.until(chain.len(), entry(chain), done(chain))))
        };
        let furthest = open().map(|chain| (Reverse(chain.len()), done(chain))).min();
        let outcome = if level == self.steps.len() {
            FunnelOutcome::Converted
        } else if open().next().is_some() {
            FunnelOutcome::Pending
        } else if of_level(level).all(|(chain, stop)| entry(chain) < last_attempt || *stop < Stop::Never) {
            FunnelOutcome::Stopped
        } else if self.window.is_some() || self.gap(level).is_some_and(|(_, max)| max.is_some()) {
            FunnelOutcome::WindowOver
        } else {
            FunnelOutcome::NextStepMissing
        };
        // However it ended, what else could have come of this entry has had its time.
        let deadline = longest(self.plan).map(|longest| i128::from(best_entry) + longest);
        let settled = outcome != FunnelOutcome::Pending && !self.is_open(deadline);
        let first_steps = if self.plan.order == Order::Any { self.steps.len() } else { 1 };
        let may_enter = |(event, _): &(usize, &Told<'_>)| {
            self.steps.iter().take(first_steps).any(|step| step[*event]) && self.holds_constant(&[], *event)
        };
        // The first ever: before the range too, and of the customer, not of the attempt.
        let first_entry = self.story.iter().enumerate().find(may_enter)?.1.at;
        let qualify = of_level(level).filter(|(chain, _)| (entry(chain), done(chain)) == (best_entry, best_done));
        let qualify: Vec<Chain> = qualify.map(|(chain, _)| chain.clone()).collect();
        let best = qualify.clone();
        let (worth, mut listed) = match &self.plan.breakdown {
            Some(breakdown) => group_of(breakdown, self.story, qualify, best_entry),
            None => (Worth::nothing(), qualify),
        };
        if self.plan.value && self.plan.order != Order::Any {
            listed = self.first_by_money(listed);
        }
        let mut ways: Vec<_> = listed.iter().flat_map(|chain| self.served(chain)).collect();
        // Of several those count that did the first step, and of these those that did the second, and so on.
        let is_missing = |way: &Vec<(usize, usize)>| -> Vec<bool> {
            (1..=self.steps.len()).map(|step| way.iter().all(|(done, _)| *done != step)).collect()
        };
        let first = ways.iter().map(is_missing).min().unwrap();
        ways.retain(|way| is_missing(way) == first);
        if self.plan.value && self.plan.order == Order::Any {
            let first = ways.iter().map(|way| self.by_steps(way)).min().unwrap();
            ways.retain(|way| self.by_steps(way) == first);
        }
        let mut money = vec![None; self.steps.len()];
        if self.plan.value {
            ways[0].iter().for_each(|&(step, event)| money[step - 1] = self.story[event].event.value());
        }
        Some(Fate {
            worth,
            reached,
            outcome,
            settled,
            waits: furthest.filter(|_| outcome == FunnelOutcome::Pending).map(|(Reverse(level), since)| (level, since)),
            since_first_entry: i128::from(best_done) - i128::from(first_entry),
            done: first.into_iter().map(|is_missing| !is_missing).collect(),
            best,
            optional: Vec::new(),
            optional_money: Vec::new(),
            money,
            chains: ways,
        })
    }

    /// Of the chains that are as good as any those that come first: step by step by time and by the value that makes the group,
    /// and then step by step by money.
    fn first_by_money(&self, chains: Vec<Chain>) -> Vec<Chain> {
        let by_group = |a: &Chain, b: &Chain| match &self.plan.breakdown {
            Some(breakdown) => order_of_chains(breakdown, self.story, a, b),
            None => a.iter().map(|&event| self.story[event].at).cmp(b.iter().map(|&event| self.story[event].at)),
        };
        let prices = |chain: &Chain| chain.iter().map(|&event| price(self.story[event].event)).collect::<Vec<_>>();
        let order = |a: &Chain, b: &Chain| by_group(a, b).then_with(|| prices(a).cmp(&prices(b)));
        let first = chains.iter().min_by(|a, b| order(a, b)).unwrap().clone();
        chains.into_iter().filter(|chain| order(chain, &first).is_eq()).collect()
    }

    /// By what a way in which a chain's events serve in any order is chosen: for each step, whether it was left out, when, and
    /// with what money.
    fn by_steps(&self, way: &[(usize, usize)]) -> Vec<(bool, i64, Price)> {
        let step = |step: usize| {
            let event = way.iter().find(|(done, _)| *done == step).map(|(_, event)| &self.story[*event]);
            event.map_or((true, 0, (true, None)), |told| (false, told.at, price(told.event)))
        };
        (1..=self.steps.len()).map(step).collect()
    }

    /// Those events that are one more behind so many in a chain whose others are one of the best: of the earliest, and if money
    /// is asked for those of the smallest, none last. `None` if there are no such.
    pub(super) fn optional_done<'b>(
        &self,
        best: &[Chain],
        after: usize,
        chains: impl Iterator<Item = &'b Chain>,
    ) -> Option<Vec<usize>> {
        let done = chains.filter(|longer| {
            let mut chain = (*longer).clone();
            chain.len() > after && {
                chain.remove(after);
                best.contains(&chain)
            }
        });
        let order = |event: usize| (self.story[event].at, self.plan.value.then(|| price(self.story[event].event)));
        let mut events: Vec<usize> = done.map(|chain| chain[after]).collect();
        let first = events.iter().map(|&event| order(event)).min()?;
        events.retain(|&event| order(event) == first);
        Some(events)
    }
}

/// How long after its entry a chain can be completed at most, if there is an end to that: its window, or the greatest times
/// between its steps one after the other, whichever is shorter.
pub(super) fn longest(plan: &Funnel) -> Option<i128> {
    let greatest = |step: usize| {
        let gap = plan.gaps.iter().find(|gap| gap.step == step)?;
        gap.max.map(|max| i128::from(max.micros()))
    };
    let by_gaps: Option<i128> = (2..=plan.steps.len()).map(greatest).sum();
    let by_gaps = by_gaps.filter(|_| plan.steps.len() > 1);
    plan.window.map(|window| i128::from(window.micros())).into_iter().chain(by_gaps).min()
}

/// Tries every order of the events that keeps the order of time.
fn each_order(story: &[Told<'_>], then: &mut impl FnMut(&[usize])) {
    fn go(story: &[Told<'_>], order: &mut Vec<usize>, then: &mut impl FnMut(&[usize])) {
        let left = |order: &[usize]| (0..story.len()).filter(|event| !order.contains(event)).collect::<Vec<_>>();
        let left = left(order);
        let Some(next) = left.iter().map(|&event| story[event].at).min() else { return then(order) };
        for event in left.into_iter().filter(|&event| story[event].at == next) {
            order.push(event);
            go(story, order, then);
            order.pop();
        }
    }
    go(story, &mut Vec::with_capacity(story.len()), then);
}

/// The order of money: that without any last, then by currency, then by amount.
type Price = (bool, Option<(Currency, Decimal)>);

fn price(event: &Event) -> Price {
    let money = event.value();
    (money.is_none(), money.map(|money| (money.currency(), money.amount())))
}

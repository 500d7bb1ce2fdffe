//! What a funnel asks.

use serde::{Deserialize, Serialize};

use super::{Breakdown, BreakdownFrom, FunnelBuilder, waiting::Gap};
use crate::model::{Condition, Period, Window, only_an_object};

/// A funnel has at most this many steps, and as many exclusions.
pub const LIMIT_STEPS: usize = 32;

/// How a funnel's steps follow one another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Order {
    /// In this order; other events may lie between.
    #[default]
    Ordered,
    /// In this order, one directly after the other in the journey. Repeating the current step does not break the
    /// chain; any other event does.
    Strict,
    /// In any order: the level is the most steps that distinct events serve within the window, which begins with the first of
    /// them.
    Any,
}

/// What events at the same instant may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Ties {
    /// They may serve in either order, so that the answer does not depend on the order of arrival.
    #[default]
    Either,
    /// Each step's event must be later than the one before.
    LaterOnly,
    /// Events that lie at most so far apart, which is more than nothing, may serve in either order: of no two events of a chain
    /// is the one that serves earlier later by more than that. See [`tolerance`](FunnelBuilder::tolerance).
    Within(Window),
}

/// What a funnel counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Count {
    /// Each customer once.
    #[default]
    Customers,
    /// Each attempt: the first begins with the customer's first entry, and whenever one has ended the next begins with the
    /// first entry after that. An attempt ends when the last step is taken, or when none of its chains can go on, stopped
    /// or out of time. After a conversion the next entry is later than that. What stops or breaks an attempt may itself be the
    /// next entry, and so may others at its moment; of these each of the two attempts takes the order that is best for it.
    Attempts,
}

/// What an exclusion does to a customer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ExclusionEffect {
    /// It stops the chain over which it lies; the customer stays at the level reached.
    #[default]
    Drop,
    /// A customer for whom that would change anything leaves every step.
    Remove,
}

/// A condition that stops a chain over which it lies.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(remote = "Self", expecting = "an object", deny_unknown_fields)]
pub struct Exclusion {
    pub(crate) when: Condition,
    /// The steps it lies between, counted from 1. Default: the first and the last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) between: Option<(usize, usize)>,
    #[serde(default, skip_serializing_if = "is_drop")]
    pub(crate) effect: ExclusionEffect,
}

only_an_object!(Exclusion);

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands references")]
fn is_drop(effect: &ExclusionEffect) -> bool {
    *effect == ExclusionEffect::Drop
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands references")]
pub(super) fn is_customers(count: &Count) -> bool {
    *count == Count::Customers
}

/// The same with both steps.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Excluded {
    pub(crate) when: Condition,
    pub(crate) after: usize,
    pub(crate) before: usize,
    pub(crate) effect: ExclusionEffect,
}

/// How much time may lie between a step and the one before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(remote = "Self", expecting = "an object", deny_unknown_fields)]
pub(crate) struct StepGap {
    /// The later of the two steps, counted from 1.
    pub(crate) step: usize,
    /// At least so much.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) min: Option<Window>,
    /// At most so much.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) max: Option<Window>,
}

only_an_object!(StepGap);

/// A funnel: a list of 1 to 32 steps, each a condition.
///
/// # Question
/// How many customers come how far in these steps, and where do they drop out?
///
/// # Definition
/// A *chain* of level k is k distinct events, event i matching step i, each not earlier than the one before, the last
/// at most the window after the first (inclusive). Other events may lie between; any entry may start a chain; one event
/// serves one step. A customer counts for their highest level; among chains of that level the one that completes first
/// is theirs, and among those the one that began last. The time to reach step k is that of the same funnel cut after
/// step k.
///
/// Events at the same instant may serve in either order ([`Ties::Either`]), so the answer does not depend on the order of
/// arrival, as long as no condition asks for a stage: stages follow the order of the journey, in which such events are
/// ordered by sequence. A scope's range limits the first step only; the time since the customer's first entry ever, which is told
/// beside the time to convert, is read before it too.
///
/// A customer who did not convert, but has any chain, of whatever level, that can still go on and whose window ends after
/// the end of observation, is *pending* at their highest level, not dropped. Rates are given of all who entered, and of
/// those whose window is over: who are not pending, and of whose chain the window ended, or what the greatest times between
/// all steps add up to if that is less, by the end of observation, whether it converted or not. Without either everybody's is
/// over who is not pending; without a window and a greatest time before the next step nobody is.
///
/// An exclusion between steps a and b stops every chain that has its event of step a, and not yet that of step b, within
/// the chain's window; the customer stays at the level reached unless another chain comes further. At the same instant
/// as a step it counts only if no order of the tie avoids it. An event that meets an exclusion cannot serve a step
/// strictly between its two. A dropped customer is *stopped* if, of their chains of the highest level, each of those that
/// began last was stopped. An exclusion may instead [remove](FunnelBuilder::remove) customers: whoever would fare
/// otherwise without it, by a level, its time or how it ended, is in no step at all.
///
/// More can be asked of a chain: a [least](FunnelBuilder::step_after) and a [greatest](FunnelBuilder::step_within) time between
/// a step and the one before, both inclusive (a customer is pending no longer than the next step may come); and that all
/// its events [have the same value](FunnelBuilder::hold_constant) of some properties.
///
/// A step may be [optional](FunnelBuilder::optional). Levels, times and outcomes are those of the funnel without it. A customer
/// has done it if some chain that might be theirs (of their level, entry and completion) has an event of it in its place; or,
/// if it would be the next step, an event of it after such a chain, within the window and not stopped. The earliest such event is
/// [listed](FunnelBuilder::list_customers). An optional step has no time to reach it and no one who drops out there.
///
/// In [any order](Funnel::any_order) the level is the most steps that distinct events can serve, each one step (a maximum
/// matching), within a window that begins with the first of them: any step may be that. What is told of step k, but for its name,
/// is of those who did k steps; beside it `done` tells of each step how many customers did it in the chain that counts for them.
/// Of several that is one which did the first step, if that can be, then the second, and so on; with a breakdown, one of those
/// of their group.
///
/// Instead of customers [attempts](Count::Attempts) may be counted, each by the chains that begin at its entry; of held
/// properties each value has attempts of its own. Attempts of one customer are not independent, so the intervals of their rates,
/// and of what is [compared](Breakdown::compare), are narrower than they should be.
///
/// The same figures are told for each channel, property and more by a [`Breakdown`], and for each calendar period of the chain's
/// first event by a [trend](FunnelBuilder::trend); for each period of each group if both are asked for.
///
/// **Money.** The [value](FunnelBuilder::value) of a step is the money of the events that served it, in the chain that counts for
/// each customer who reached it: the one of their highest level. It is summed exactly, by currency. Where several chains would do,
/// they are compared step by step by the time of the event (and by the value of a breakdown), and then step by step by its money:
/// first by currency, then the smaller amount; an event without money comes last. Of an optional step it is the money of the earliest event that did it.
///
/// **Bottlenecks.** Of each required step but the last: `waiting` are the customers who are pending there, `waited` how long they
/// have been by the end of observation, `went_on` those who reached the next required step of all who reached this one, `others`
/// the same of all other steps together, and `difference` the one less the other; as [`Dwell`](crate::Dwell) has it for stages.
///
/// **Tolerance.** With a [tolerance](FunnelBuilder::tolerance) events that lie at most so far apart may serve in either order: of no
/// two events of a chain is the one that serves the earlier step later by more than that, also if there are others between. The
/// chain begins when its first step's event happened, though others may lie before it, and is complete with the latest of
/// its events; the window lies between these two. One event still serves one step. It is for ordered funnels
/// only, and not beside exclusions, gaps, optional steps or attempts, where what lies before what would have to be known.
///
/// # Worked example
/// Steps `view`, `cart`, `pay` within 7 days. Ann: view (day 0), cart (day 1), view (day 5), pay (day 9). Her chain
/// from day 0 has a cart but its payment is 9 days after; the view of day 5 has no cart behind it. She reached level 2.
///
/// ```
/// use journeylog::{Event, Funnel, Journeys, Window};
/// # use chrono::{DateTime, TimeDelta, Utc};
/// let day = |d| DateTime::<Utc>::UNIX_EPOCH + TimeDelta::days(d);
/// let journeys = Journeys::of([
///     Event::at(day(0), "ann", "view"), Event::at(day(1), "ann", "cart"),
///     Event::at(day(5), "ann", "view"), Event::at(day(9), "ann", "pay"),
///     Event::at(day(0), "bob", "view"), Event::at(day(0), "bob", "pay"), Event::at(day(0), "bob", "cart"),
/// ])?;
/// let funnel = Funnel::ordered(["view", "cart", "pay"]).within(TimeDelta::days(7)).build()?;
/// let report = journeys.query().run(&funnel)?;
/// let reached: Vec<u64> = report.steps.iter().map(|step| step.customers).collect();
/// assert_eq!(reached, [2, 2, 1]); // Bob's three events are at one instant: any order will do.
/// # Ok::<(), journeylog::Error>(())
/// ```
///
/// # Cost
/// Time: events × steps; a group of events at one instant that match several steps costs a small search.
/// Memory: a few numbers per step, the times to reach up to a bound, all of it for each group of a breakdown, and the
/// customers if they are listed. A breakdown looks its value up for the events that match some condition only; where
/// several chains would do, a few walks more over that journey decide. So it is with money. With a tolerance each event
/// is tried with every set of steps that near events have served; more than 10,000 chains in the making in one journey, of which
/// none can do all that another can, are refused by a [`Limit`](crate::ErrorKind::Limit).
///
/// # Compared with
/// `ClickHouse`'s `windowFunnel` gives the same levels where no event meets two conditions, and in its mode `strict_once` everywhere. What other tools' rules are here says [`Preset`](crate::Preset).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "FunnelBuilder", into = "FunnelBuilder")]
#[must_use = "a plan answers nothing until it is run"]
pub struct Funnel {
    pub(crate) steps: Vec<Condition>,
    pub(crate) order: Order,
    pub(crate) ties: Ties,
    pub(crate) window: Option<Window>,
    /// The places of optional steps, from 1, in order.
    pub(crate) optional: Vec<usize>,
    /// At most one for each step.
    pub(crate) gaps: Vec<StepGap>,
    /// Those that remove customers come last.
    pub(crate) exclusions: Vec<Excluded>,
    /// Names of properties.
    pub(crate) hold: Vec<String>,
    pub(crate) count: Count,
    pub(crate) trend: Option<Period>,
    pub(crate) breakdown: Option<Breakdown>,
    pub(crate) value: bool,
    pub(crate) customers: bool,
}

impl Funnel {
    /// A funnel whose steps follow in order, with other events between. A text alone is a touchpoint.
    pub fn ordered<C>(steps: impl IntoIterator<Item = C>) -> FunnelBuilder
    where
        C: TryInto<Condition>,
        C::Error: Into<crate::model::RefusedName>,
    {
        let steps: Result<Vec<_>, _> =
            steps.into_iter().map(|step| step.try_into().map_err(|e| e.into().into())).collect();
        let (steps, refused) = match steps {
            Ok(steps) => (steps, None),
            Err(refused) => (Vec::new(), Some(refused)),
        };
        FunnelBuilder { steps, refused, ..FunnelBuilder::default() }
    }

    /// A funnel whose steps follow directly one after the other.
    pub fn strict<C>(steps: impl IntoIterator<Item = C>) -> FunnelBuilder
    where
        C: TryInto<Condition>,
        C::Error: Into<crate::model::RefusedName>,
    {
        FunnelBuilder { order: Order::Strict, ..Self::ordered(steps) }
    }

    /// How many required steps there are up to a step, counted from 1.
    pub(super) fn required_up_to(&self, step: usize) -> usize {
        step - self.optional.iter().filter(|optional| **optional <= step).count()
    }

    /// The breakdown, of which a step is counted among the required ones.
    pub(super) fn breakdown_of_required(&self) -> Option<Breakdown> {
        let breakdown = self.breakdown.clone()?;
        Some(match breakdown.from {
            BreakdownFrom::Step(step) => breakdown.from(BreakdownFrom::Step(self.required_up_to(step))),
            _ => breakdown,
        })
    }

    /// How long a chain takes at most, if there is an end to that: its window, or if each step has a greatest gap these one
    /// after the other, whichever is less.
    pub(super) fn longest(&self) -> Option<Window> {
        let greatest = |step| self.gaps.iter().find(|gap| gap.step == step)?.max;
        let all = (2..=self.steps.len()).map(greatest);
        let by_gaps = all.reduce(|sum, gap| Some(sum?.plus(gap?))).flatten();
        self.window.into_iter().chain(by_gaps).min()
    }

    /// For each step the gap before it; nothing if there are none.
    pub(super) fn gaps_by_step(&self) -> Vec<Gap> {
        if self.gaps.is_empty() {
            return Vec::new();
        }
        let gap = |step| self.gaps.iter().find(|gap| gap.step == step);
        let of_step = |step| gap(step).map_or_else(Gap::default, |gap| Gap { min: gap.min, max: gap.max });
        (1..=self.steps.len()).map(of_step).collect()
    }

    /// A funnel whose steps may come in any order.
    pub fn any_order<C>(steps: impl IntoIterator<Item = C>) -> FunnelBuilder
    where
        C: TryInto<Condition>,
        C::Error: Into<crate::model::RefusedName>,
    {
        FunnelBuilder { order: Order::Any, ..Self::ordered(steps) }
    }

    /// The steps.
    pub fn steps(&self) -> &[Condition] {
        &self.steps
    }
}

//! What a funnel asks.

use chrono::TimeDelta;
use serde::{Deserialize, Serialize};

use super::{Breakdown, BreakdownFrom, waiting::Gap};
use crate::{
    error::{InvalidPlan, InvalidValue},
    model::{Condition, Period, Window},
};

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
    /// or out of time.
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
#[serde(deny_unknown_fields)]
pub struct Exclusion {
    pub(crate) when: Condition,
    /// The steps it lies between, counted from 1. Default: the first and the last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) between: Option<(usize, usize)>,
    #[serde(default, skip_serializing_if = "is_drop")]
    pub(crate) effect: ExclusionEffect,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands references")]
fn is_drop(effect: &ExclusionEffect) -> bool {
    *effect == ExclusionEffect::Drop
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands references")]
fn is_customers(count: &Count) -> bool {
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
#[serde(deny_unknown_fields)]
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
/// ordered by sequence. A scope's range limits the first step only.
///
/// A customer who did not convert, but has any chain, of whatever level, that can still go on and whose window ends after
/// the end of observation, is *pending* at their highest level, not dropped. Rates are given of all who entered, and of
/// those whose window is over (for a converted customer: the window of their chain); without a window nobody is pending.
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
/// if it would be the next step, an event of it after such a chain, within the window and not stopped.
///
/// In [any order](Funnel::any_order) the level is the most steps that distinct events can serve, each one step (a maximum
/// matching), within a window that begins with the first of them: any step may be that. `done` tells of each step how many
/// customers did it in such a chain.
///
/// Instead of customers [attempts](Count::Attempts) may be counted, each by the chains that begin at its entry; of held
/// properties each value has attempts of its own.
///
/// The same figures are told for each channel, property and more by a [`Breakdown`], and for each calendar period of the chain's
/// first event by a [trend](FunnelBuilder::trend).
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
/// several chains would do, a few walks more over that journey decide.
///
/// # Compared with
/// `ClickHouse`'s `windowFunnel` gives the same levels where no two events of a customer share an instant.
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

/// A funnel in the making, and the JSON form of one:
/// `{"steps":[{"touchpoint":"view"},{"touchpoint":"pay"}],"window":"7d","optional":[],"gaps":[{"step":2,"min":"1h","max":"1d"}],"order":"ordered","ties":"either","exclude":[{"when":{"touchpoint":"refund"},"between":[1,2],"effect":"remove"}],"hold":["product"],"trend":"week","breakdown":{"by":"channel"},"customers":true}`.
/// The orders are `ordered`, `strict` and `any`; the effect of an exclusion is `drop` or `remove`; with `"count":"attempts"`
/// attempts are counted. The forms of a breakdown are those of [`Breakdown`].
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[must_use = "a funnel is only made by build"]
pub struct FunnelBuilder {
    steps: Vec<Condition>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    window: Option<Window>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    optional: Vec<usize>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    gaps: Vec<StepGap>,
    #[serde(default)]
    order: Order,
    #[serde(default)]
    ties: Ties,
    #[serde(default, rename = "exclude", skip_serializing_if = "Vec::is_empty")]
    exclusions: Vec<Exclusion>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    hold: Vec<String>,
    #[serde(default, skip_serializing_if = "is_customers")]
    count: Count,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    trend: Option<Period>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    breakdown: Option<Breakdown>,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    customers: bool,
    #[serde(skip)]
    refused: Option<InvalidValue>,
}

impl FunnelBuilder {
    /// Sets the window: the last event at most this long after the first. The default is no window.
    pub fn within(mut self, window: TimeDelta) -> Self {
        match Window::try_from(window) {
            Ok(window) => self.window = Some(window),
            Err(refused) => self.refused = Some(InvalidValue::new("window", refused.reason())),
        }
        self
    }

    /// Makes a step optional, counted from 1: it is counted where it is done in its place, and never required.
    pub fn optional(mut self, step: usize) -> Self {
        self.optional.push(step);
        self
    }

    /// Sets how long after the step before this step, counted from 1, may come at most. The default is any time within the
    /// window.
    pub fn step_within(self, step: usize, max: TimeDelta) -> Self {
        self.gap(step, max, |gap, max| gap.max = Some(max))
    }

    /// Sets how long after the step before this step, counted from 1, must come at least. The default is at once.
    pub fn step_after(self, step: usize, min: TimeDelta) -> Self {
        self.gap(step, min, |gap, min| gap.min = Some(min))
    }

    fn gap(mut self, step: usize, span: TimeDelta, set: impl Fn(&mut StepGap, Window)) -> Self {
        let place = self.gaps.iter().position(|gap| gap.step == step).unwrap_or_else(|| {
            self.gaps.push(StepGap { step, min: None, max: None });
            self.gaps.len() - 1
        });
        match (Window::try_from(span), self.gaps.get_mut(place)) {
            (Ok(span), Some(gap)) => set(gap, span),
            (Err(refused), _) => self.refused = Some(InvalidValue::new("gaps", refused.reason())),
            _ => {}
        }
        self
    }

    /// Sets what events at the same instant may do. The default is [`Ties::Either`].
    pub fn ties(mut self, ties: Ties) -> Self {
        self.ties = ties;
        self
    }

    /// Stops chains over which such an event lies, anywhere between the first step and the last.
    pub fn exclude(self, when: Condition) -> Self {
        self.excluding(when, None, ExclusionEffect::Drop)
    }

    /// Stops chains over which such an event lies between these two steps, counted from 1.
    pub fn exclude_between(self, when: Condition, after: usize, before: usize) -> Self {
        self.excluding(when, Some((after, before)), ExclusionEffect::Drop)
    }

    /// Leaves out customers for whom such an event, between the first step and the last, stops a chain so that anything
    /// changes: a level, its time, or how it ended.
    pub fn remove(self, when: Condition) -> Self {
        self.excluding(when, None, ExclusionEffect::Remove)
    }

    /// The same between these two steps, counted from 1.
    pub fn remove_between(self, when: Condition, after: usize, before: usize) -> Self {
        self.excluding(when, Some((after, before)), ExclusionEffect::Remove)
    }

    fn excluding(mut self, when: Condition, between: Option<(usize, usize)>, effect: ExclusionEffect) -> Self {
        self.exclusions.push(Exclusion { when, between, effect });
        self
    }

    /// Lets a chain's events have the same value of each of these properties; an event without one of them serves no step.
    pub fn hold_constant<P: Into<String>>(mut self, properties: impl IntoIterator<Item = P>) -> Self {
        self.hold.extend(properties.into_iter().map(Into::into));
        self
    }

    /// Sets what is counted. The default is customers.
    pub fn count(mut self, count: Count) -> Self {
        self.count = count;
        self
    }

    /// Tells the same figures for each calendar period in which the chain's first event lies.
    pub fn trend(mut self, period: Period) -> Self {
        self.trend = Some(period);
        self
    }

    /// Tells customers apart by a value, such as the channel of their chain's first event.
    pub fn breakdown(mut self, breakdown: Breakdown) -> Self {
        self.breakdown = Some(breakdown);
        self
    }

    /// Lists the customers behind every number, with the events that served and the reason of the drop.
    pub fn list_customers(mut self) -> Self {
        self.customers = true;
        self
    }

    /// Checks and makes the plan.
    ///
    /// # Errors
    /// [`InvalidPlan`] if there are no steps or more than 32, a condition that cannot be asked, a negative window, more
    /// than 32 exclusions, one that does not lie between two steps, or one in a strict funnel, where every other event
    /// breaks the chain anyway; if a gap has no step before it or its least is above its greatest; if a step is optional
    /// that is the first or the last, or beside gaps, or not in an ordered funnel; if more than 8 properties are held constant, or any in a strict funnel or beside one funnel for each value; if gaps, exclusions or
    /// a breakdown by another than the first event are asked in any order; if attempts are counted in any order or beside an
    /// exclusion that removes customers; or a breakdown that cannot be asked: by a step that is not there, by a touch together with
    /// `from`, with edges out of order, or with a limit of no groups or of more than 1,000.
    pub fn build(self) -> Result<Funnel, InvalidPlan> {
        let Self {
            steps,
            window,
            mut optional,
            gaps,
            order,
            ties,
            exclusions,
            hold,
            count,
            trend,
            breakdown,
            customers,
            refused,
        } = self;
        if let Some(refused) = refused {
            return Err(refused.within("funnel").into());
        }
        optional.sort_unstable();
        optional.dedup();
        let last = steps.len();
        let excluded = |Exclusion { when, between, effect }| {
            let (after, before) = between.unwrap_or((1, last));
            Excluded { when, after, before, effect }
        };
        let exclusions = exclusions.into_iter().map(excluded).collect();
        let mut funnel =
            Funnel { steps, order, ties, window, optional, gaps, exclusions, hold, count, trend, breakdown, customers };
        funnel.check()?;
        funnel.exclusions.sort_by_key(|exclusion| exclusion.effect);
        Ok(funnel)
    }
}

impl TryFrom<FunnelBuilder> for Funnel {
    type Error = InvalidPlan;
    fn try_from(builder: FunnelBuilder) -> Result<Self, InvalidPlan> {
        builder.build()
    }
}

impl From<Funnel> for FunnelBuilder {
    fn from(funnel: Funnel) -> Self {
        let Funnel { steps, order, ties, window, optional, gaps, exclusions, hold, count, trend, breakdown, customers } =
            funnel;
        let exclusions = exclusions
            .into_iter()
            .map(|Excluded { when, after, before, effect }| Exclusion { when, between: Some((after, before)), effect })
            .collect();
        Self {
            steps,
            window,
            optional,
            gaps,
            order,
            ties,
            exclusions,
            hold,
            count,
            trend,
            breakdown,
            customers,
            refused: None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn impossible_funnels_say_where() {
        let refused = |builder: FunnelBuilder| builder.build().unwrap_err().to_string();
        assert!(refused(Funnel::ordered::<&str>([])).contains("0 steps"));
        assert!(refused(Funnel::ordered(vec!["a"; 33])).contains("33 steps"));
        assert!(refused(Funnel::ordered(["a", ""])).starts_with("funnel.touchpoint: is empty"));
        assert!(refused(Funnel::ordered(["a"]).within(TimeDelta::seconds(-1))).starts_with("funnel.window"));
        let x = || Condition::touchpoint("x").unwrap();
        assert!(refused(Funnel::ordered(["a", "b"]).exclude_between(x(), 2, 2)).starts_with("funnel.exclude[0]"));
        assert!(refused(Funnel::ordered(["a", "b"]).exclude_between(x(), 1, 3)).contains("between 1 and 3"));
        assert!(refused(Funnel::ordered(["a"]).exclude(x())).contains("not between two"));
        assert!(refused(Funnel::strict(["a", "b"]).exclude(x())).contains("strict"));
        assert!(Funnel::ordered(vec!["a"; 32]).build().is_ok());
        let three = || Funnel::ordered(["a", "b", "c"]);
        for step in [0, 1, 3, 4] {
            assert!(refused(three().optional(step)).starts_with("funnel.optional"));
        }
        assert!(refused(three().optional(2).step_within(3, TimeDelta::days(1))).contains("without gaps"));
        assert!(refused(Funnel::strict(["a", "b", "c"]).optional(2)).contains("only an ordered funnel"));
        assert!(refused(three().optional(2).exclude_between(x(), 1, 2)).starts_with("funnel.exclude[0]"));
        let from = |from| Breakdown::channel().from(from);
        assert!(refused(three().optional(2).breakdown(from(BreakdownFrom::Step(2)))).contains("is optional"));
        let any = || Funnel::any_order(["a", "b", "c"]);
        assert!(refused(any().step_within(2, TimeDelta::days(1))).starts_with("funnel.gaps"));
        assert!(refused(any().exclude(x())).starts_with("funnel.exclude"));
        assert!(refused(any().breakdown(from(BreakdownFrom::Step(2)))).starts_with("funnel.breakdown.from"));
        assert!(refused(any().count(Count::Attempts)).starts_with("funnel.count"));
        assert!(refused(three().remove(x()).count(Count::Attempts)).starts_with("funnel.count"));
        assert!(refused(Funnel::strict(["a", "b"]).hold_constant(["p"])).starts_with("funnel.hold"));
        assert!(refused(three().hold_constant(["p"]).breakdown(from(BreakdownFrom::Each))).starts_with("funnel.hold"));
        let day = TimeDelta::days;
        assert!(
            refused(Funnel::ordered(["a", "b"]).step_within(1, day(1))).starts_with("funnel.gaps[0]: step 1 has none")
        );
        assert!(refused(Funnel::ordered(["a", "b"]).step_after(3, day(1))).contains("step 3"));
        assert!(refused(Funnel::ordered(["a", "b"]).step_within(2, day(1)).step_after(2, day(2))).contains("above"));
        assert!(refused(Funnel::ordered(["a", "b"]).step_within(2, day(-1))).starts_with("funnel.gaps"));
        let twice =
            r#"{"steps":[{"touchpoint":"a"},{"touchpoint":"b"}],"gaps":[{"step":2,"max":"1d"},{"step":2,"min":"1h"}]}"#;
        assert!(serde_json::from_str::<Funnel>(twice).unwrap_err().to_string().contains("step 2 has one already"));
    }

    #[test]
    fn json_is_itself_again() {
        let text = r#"{"steps":[{"touchpoint":"a"},{"stage":"purchase"}],"window":"7d","gaps":[{"step":2,"min":"1h","max":"1d"}],"order":"ordered","ties":"later_only","exclude":[{"when":{"touchpoint":"x"},"between":[1,2]}],"breakdown":{"by":{"property":"plan"},"from":"each"},"customers":true}"#;
        let funnel: Funnel = serde_json::from_str(text).unwrap();
        assert_eq!(serde_json::to_string(&funnel).unwrap(), text);
        let unknown = serde_json::from_str::<Funnel>(r#"{"steps":[{"touchpoint":"a"}],"windows":"7d"}"#).unwrap_err();
        assert!(unknown.to_string().contains("windows"));
    }
}

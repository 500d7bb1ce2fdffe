//! How a funnel is asked: its builder, which is its JSON form too.

use chrono::TimeDelta;
use serde::{Deserialize, Serialize};

use super::{
    Breakdown, Count, Exclusion, ExclusionEffect, Funnel, Order, Preset, Ties,
    plan::{Excluded, StepGap, is_customers},
};
use crate::{
    error::{InvalidPlan, InvalidValue},
    model::{Condition, Period, Window, only_an_object},
};

/// A funnel in the making, and the JSON form of one:
/// `{"steps":[{"touchpoint":"view"},{"touchpoint":"pay"}],"window":"7d","optional":[],"gaps":[{"step":2,"min":"1h","max":"1d"}],"order":"ordered","ties":"either","exclude":[{"when":{"touchpoint":"refund"},"between":[1,2],"effect":"remove"}],"hold":["product"],"trend":"week","breakdown":{"by":"channel"},"value":true,"customers":true}`.
/// The orders are `ordered`, `strict` and `any`; the effect of an exclusion is `drop` or `remove`; with `"count":"attempts"`
/// attempts are counted. The ties are `either`, `later_only` or `{"within":"2s"}`. With `"preset":"posthog"` what is not said is as
/// that [`Preset`] has it. The forms of a breakdown are those of [`Breakdown`].
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(remote = "Self", expecting = "an object", deny_unknown_fields)]
#[must_use = "a funnel is only made by build"]
pub struct FunnelBuilder {
    pub(super) steps: Vec<Condition>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) window: Option<Window>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) optional: Vec<usize>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) gaps: Vec<StepGap>,
    #[serde(default)]
    pub(super) order: Order,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) ties: Option<Ties>,
    #[serde(default, rename = "exclude", skip_serializing_if = "Vec::is_empty")]
    pub(super) exclusions: Vec<Exclusion>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) hold: Vec<String>,
    #[serde(default, skip_serializing_if = "is_customers")]
    pub(super) count: Count,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) trend: Option<Period>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) breakdown: Option<Breakdown>,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(super) value: bool,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(super) customers: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) preset: Option<Preset>,
    #[serde(skip)]
    pub(super) refused: Option<InvalidValue>,
}

only_an_object!(FunnelBuilder);

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
        self.ties = Some(ties);
        self
    }

    /// Lets events that lie at most so far apart serve in either order, as clocks of several sources ask for:
    /// [`Ties::Within`].
    pub fn tolerance(mut self, tolerance: TimeDelta) -> Self {
        match Window::try_from(tolerance) {
            Ok(tolerance) => self.ties = Some(Ties::Within(tolerance)),
            Err(refused) => self.refused = Some(InvalidValue::new("ties", refused.reason())),
        }
        self
    }

    /// Sets the rules of a peer, as far as the plan does not say others; see [`Preset`].
    pub fn preset(mut self, preset: Preset) -> Self {
        self.preset = Some(preset);
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

    /// Sums the money of the events that served each step, by currency.
    pub fn value(mut self) -> Self {
        self.value = true;
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
    /// breaks the chain anyway; if a gap has no step before it or its least is above its greatest, or the least gaps add up to more
    /// than the window; if a step is optional
    /// that is the first or the last, or beside gaps, or not in an ordered funnel; if more than 8 properties are held constant, or any in a strict funnel or beside one funnel for each value; if gaps, exclusions or
    /// a breakdown by another than the first event are asked in any order; if attempts are counted in any order or beside an
    /// exclusion that removes customers; if a tolerance is nothing, or stands in another than an ordered funnel, or beside exclusions,
    /// gaps, optional steps or attempts; if a [`Preset`] needs a window; or a breakdown that cannot be asked: by a step that is not there, by a touch together with
    /// `from`, with edges out of order, with a limit of no groups or of more than 1,000, or that compares two groups of one funnel for each value.
    pub fn build(mut self) -> Result<Funnel, InvalidPlan> {
        if let Some(preset) = self.preset.take() {
            preset.fill(&mut self)?;
        }
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
            value,
            customers,
            preset: _,
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
        let mut funnel = Funnel {
            steps,
            order,
            ties: ties.unwrap_or_default(),
            window,
            optional,
            gaps,
            exclusions,
            hold,
            count,
            trend,
            breakdown,
            value,
            customers,
        };
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
        let Funnel {
            steps,
            order,
            ties,
            window,
            optional,
            gaps,
            exclusions,
            hold,
            count,
            trend,
            breakdown,
            value,
            customers,
        } = funnel;
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
            ties: Some(ties),
            exclusions,
            hold,
            count,
            trend,
            breakdown,
            value,
            customers,
            preset: None,
            refused: None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{super::BreakdownFrom, *};

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
        let compared = from(BreakdownFrom::Each).compare("web", "email");
        assert!(refused(three().breakdown(compared)).starts_with("funnel.breakdown.compare: "));
        assert!(refused(three().optional(2).breakdown(from(BreakdownFrom::Step(2)))).contains("is optional"));
        let any = || Funnel::any_order(["a", "b", "c"]);
        assert!(refused(any().step_within(2, TimeDelta::days(1))).starts_with("funnel.gaps"));
        assert!(refused(any().exclude(x())).starts_with("funnel.exclude"));
        assert!(refused(any().breakdown(from(BreakdownFrom::Step(2)))).starts_with("funnel.breakdown.from"));
        assert!(refused(any().count(Count::Attempts)).starts_with("funnel.count"));
        assert!(refused(three().remove(x()).count(Count::Attempts)).starts_with("funnel.count"));
        assert!(refused(Funnel::strict(["a", "b"]).hold_constant(["p"])).starts_with("funnel.hold"));
        assert!(refused(three().hold_constant(["p"]).breakdown(from(BreakdownFrom::Each))).starts_with("funnel.hold"));
        let near = |funnel: FunnelBuilder| refused(funnel.tolerance(TimeDelta::seconds(2)));
        for funnel in [
            Funnel::strict(["a", "b"]),
            any(),
            three().exclude(x()),
            three().step_within(2, TimeDelta::days(1)),
            three().optional(2),
            three().count(Count::Attempts),
        ] {
            assert!(near(funnel).starts_with("funnel.ties: "));
        }
        assert!(refused(three().tolerance(TimeDelta::zero())).contains("a tolerance of nothing"));
        assert!(refused(three().tolerance(TimeDelta::seconds(-1))).starts_with("funnel.ties"));
        let day = TimeDelta::days;
        assert!(
            refused(Funnel::ordered(["a", "b"]).step_within(1, day(1))).starts_with("funnel.gaps[0]: step 1 has none")
        );
        assert!(refused(Funnel::ordered(["a", "b"]).step_after(3, day(1))).contains("step 3"));
        assert_eq!(
            refused(Funnel::ordered(["a", "b"]).step_within(2, day(1)).step_after(2, day(2))),
            "funnel.gaps[0]: the min of 2d is above the max of 1d"
        );
        let least = |window| three().step_after(2, day(2)).step_after(3, day(3)).within(day(window));
        assert_eq!(refused(least(4)), "funnel.gaps: the mins add up to 5d, above the window of 4d");
        assert!(least(5).build().is_ok());
        assert!(
            refused(three().step_after(2, day(106_000_000)).step_after(3, day(106_000_000)).within(day(1)))
                .contains("add up to")
        );
        assert!(refused(Funnel::ordered(["a", "b"]).step_within(2, day(-1))).starts_with("funnel.gaps"));
        let twice =
            r#"{"steps":[{"touchpoint":"a"},{"touchpoint":"b"}],"gaps":[{"step":2,"max":"1d"},{"step":2,"min":"1h"}]}"#;
        assert!(serde_json::from_str::<Funnel>(twice).unwrap_err().to_string().contains("step 2 has one already"));
    }

    #[test]
    fn json_is_itself_again() {
        let text = r#"{"steps":[{"touchpoint":"a"},{"stage":"purchase"}],"window":"7d","gaps":[{"step":2,"min":"1h","max":"1d"}],"order":"ordered","ties":"later_only","exclude":[{"when":{"touchpoint":"x"},"between":[1,2]}],"breakdown":{"by":{"property":"plan"},"from":"each"},"value":true,"customers":true}"#;
        let funnel: Funnel = serde_json::from_str(text).unwrap();
        assert_eq!(serde_json::to_string(&funnel).unwrap(), text);
        let unknown = serde_json::from_str::<Funnel>(r#"{"steps":[{"touchpoint":"a"}],"windows":"7d"}"#).unwrap_err();
        assert!(unknown.to_string().contains("windows"));
    }
}

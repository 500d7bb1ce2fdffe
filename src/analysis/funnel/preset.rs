//! The rules of other tools.

use serde::{Deserialize, Serialize};

use super::{BreakdownBy, BreakdownFrom, ExclusionEffect, Funnel, FunnelBuilder, Order, Ties};
use crate::{
    error::InvalidPlan,
    model::{Condition, Window},
};

/// Minutes of a day.
const DAY: u32 = 24 * 60;

/// The rules of another tool, as far as they can be expressed: what a plan does not say is as that tool has it.
///
/// | | window | ties | exclusions | a breakdown's value |
/// |---|---|---|---|---|
/// | [`ClickHouse`](Self::ClickHouse) | must be said | either order | | |
/// | [`PostHog`](Self::PostHog) | 14 days | either order | remove customers | first defined |
/// | [`Mixpanel`](Self::Mixpanel) | 7 days | either order within 2 seconds | stop the chain | first event |
///
/// In all three a window is inclusive, steps are in order, other events may lie between, and customers are counted. What is said
/// beside a preset goes first, and what a plan refuses without one it refuses with one: exclusions beside a strict funnel or one in any
/// order, a breakdown by another event than the first in any order, properties held constant in a strict funnel, and beside a tolerance
/// exclusions, optional steps, gaps and attempts, each of which the tool itself may allow. And that there is no window cannot be said, nor, beside [`PostHog`](Self::PostHog), that an exclusion stops the chain
/// alone, or that the value of a breakdown is that of the first event. A plan that was built holds the
/// rules themselves, and not the preset's name.
///
/// ```
/// use journeylog::{Event, Funnel, Journeys, Preset, Ties};
/// # use chrono::{DateTime, TimeDelta, Utc};
/// let at = |seconds| DateTime::<Utc>::UNIX_EPOCH + TimeDelta::seconds(seconds);
/// let journeys = Journeys::of([Event::at(at(0), "ann", "pay"), Event::at(at(2), "ann", "view")])?;
/// let converted = |funnel: journeylog::FunnelBuilder| Ok::<_, journeylog::Error>(journeys.query().run(&funnel.build()?)?.converted);
/// assert_eq!(converted(Funnel::mixpanel(["view", "pay"]))?, 1);
/// assert_eq!(converted(Funnel::mixpanel(["view", "pay"]).ties(Ties::Either))?, 0);
/// assert_eq!(converted(Funnel::ordered(["view", "pay"]).preset(Preset::PostHog))?, 0);
/// # Ok::<(), journeylog::Error>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum Preset {
    /// [`windowFunnel`](https://clickhouse.com/docs/sql-reference/aggregate-functions/parametric-functions#windowfunnel) in its
    /// mode `strict_once`, in which, as here, an event serves one step. In its default mode a row that meets the conditions of
    /// several steps may serve them all, so levels are higher there for some; where no event meets two, they are the same. Its
    /// mode `strict_increase` is [`Ties::LaterOnly`] but for one thing: there a newer first step takes the place of an older one
    /// before the next step of the same instant is looked at, which could have followed the older only, and fewer are found.
    /// `strict_order` and `strict_deduplication` cannot be expressed: they stop at steps that come too soon or again, and a
    /// [strict](Funnel::strict) funnel is broken by every other event, also by one that meets none of the conditions, and bears
    /// repeats. Compared with version 26.9, customer by customer, on random journeys dense in ties.
    ClickHouse,
    /// [PostHog](https://posthog.com/docs/product-analytics/funnels)'s sequential funnel; its strict and any order are
    /// [`Order::Strict`] and [`Order::Any`]. Its [attribution types](https://posthog.com/docs/product-analytics/funnels#attribution-types)
    /// are first defined, last defined, each, and step; of the last, customers without a value are a group here and left out
    /// there. Of events at one instant it takes the steps in their order, once, and
    /// [looks](https://github.com/PostHog/posthog/blob/master/funnel-udf/src/steps.rs) at no other way, which finds fewer where one event fits several steps.
    /// Its optional steps are steps on the way; here they are counted and never change a level. Its strict and unordered funnels take
    /// exclusions, and ours do not: in a strict one every other event breaks the chain anyway, and in any order nothing lies between two
    /// steps.
    PostHog,
    /// [Mixpanel](https://docs.mixpanel.com/docs/reports/funnels/funnels-advanced)'s funnel of uniques in a specific order.
    /// [Consecutive steps](https://docs.mixpanel.com/docs/reports/funnels/funnels-faq#how-does-the-funnel-handle-simultaneous-events)
    /// within two seconds are interchangeable there; here no two events of a chain may be further apart the wrong way round, also
    /// if they are not consecutive. Here any entry may start the chain, as in its optimized re-entry; there, by default, the first does.
    /// Its totals are [attempts](super::Count::Attempts), which, as exclusions and optional steps, cannot be
    /// asked here beside a tolerance: say other [ties](FunnelBuilder::ties).
    Mixpanel,
}

impl Preset {
    /// Sets what a plan does not say.
    pub(super) fn fill(self, plan: &mut FunnelBuilder) -> Result<(), InvalidPlan> {
        let window = match self {
            Self::ClickHouse => None,
            Self::PostHog => Some(Window::minutes(14 * DAY)),
            Self::Mixpanel => Some(Window::minutes(7 * DAY)),
        };
        plan.window = plan.window.or(window);
        if plan.window.is_none() {
            return Err(InvalidPlan::new("funnel.window", "is not said, and windowFunnel has one"));
        }
        if self == Self::Mixpanel && plan.order == Order::Ordered {
            plan.ties.get_or_insert(Ties::Within(Window::seconds(2)));
        }
        if self == Self::PostHog {
            plan.exclusions.iter_mut().for_each(|exclusion| exclusion.effect = ExclusionEffect::Remove);
            let is_touch = |by: &BreakdownBy| matches!(by, BreakdownBy::FirstTouch(_) | BreakdownBy::LastTouch(_));
            if let Some(breakdown) = &mut plan.breakdown
                && breakdown.from == BreakdownFrom::FirstEvent
                && !is_touch(&breakdown.by)
                && plan.order != Order::Any
            {
                breakdown.from = BreakdownFrom::FirstDefined;
            }
        }
        Ok(())
    }
}

impl Funnel {
    /// An ordered funnel by the rules of `windowFunnel`: [`Preset::ClickHouse`]. It needs a window.
    pub fn clickhouse<C>(steps: impl IntoIterator<Item = C>) -> FunnelBuilder
    where
        C: TryInto<Condition>,
        C::Error: Into<crate::model::RefusedName>,
    {
        Self::ordered(steps).preset(Preset::ClickHouse)
    }

    /// An ordered funnel by the rules of `PostHog`: [`Preset::PostHog`].
    pub fn posthog<C>(steps: impl IntoIterator<Item = C>) -> FunnelBuilder
    where
        C: TryInto<Condition>,
        C::Error: Into<crate::model::RefusedName>,
    {
        Self::ordered(steps).preset(Preset::PostHog)
    }

    /// An ordered funnel by the rules of Mixpanel: [`Preset::Mixpanel`].
    pub fn mixpanel<C>(steps: impl IntoIterator<Item = C>) -> FunnelBuilder
    where
        C: TryInto<Condition>,
        C::Error: Into<crate::model::RefusedName>,
    {
        Self::ordered(steps).preset(Preset::Mixpanel)
    }
}

#[cfg(test)]
mod tests {
    use super::{super::Breakdown, *};

    fn json(builder: FunnelBuilder) -> serde_json::Value {
        serde_json::to_value(builder.build().unwrap()).unwrap()
    }

    #[test]
    fn a_preset_says_what_the_plan_does_not() {
        let mixpanel = json(Funnel::mixpanel(["a", "b"]));
        assert_eq!((&mixpanel["window"], &mixpanel["ties"]["within"]), (&"7d".into(), &"2s".into()));
        let said = json(Funnel::mixpanel(["a", "b"]).within(chrono::TimeDelta::hours(1)).ties(Ties::Either));
        assert_eq!((&said["window"], &said["ties"]), (&"1h".into(), &"either".into()));
        let x = Condition::touchpoint("x").unwrap();
        let posthog = json(Funnel::posthog(["a", "b"]).exclude(x.clone()).breakdown(Breakdown::channel()));
        assert_eq!((&posthog["window"], &posthog["ties"]), (&"14d".into(), &"either".into()));
        assert_eq!(posthog["exclude"][0]["effect"], "remove");
        assert_eq!(posthog["breakdown"]["from"], "first_defined");
        let refused = Funnel::clickhouse(["a"]).build().unwrap_err().to_string();
        assert!(refused.starts_with("funnel.window: is not said"), "{refused}");
        let refused = Funnel::mixpanel(["a", "b"]).exclude(x).build().unwrap_err().to_string();
        assert!(refused.starts_with("funnel.ties: "), "{refused}");
        assert!(Funnel::any_order(["a", "b"]).preset(Preset::Mixpanel).build().is_ok());
    }

    #[test]
    fn a_plan_in_json_names_a_preset() {
        let text = r#"{"steps":[{"touchpoint":"a"},{"touchpoint":"b"}],"preset":"posthog"}"#;
        let funnel: Funnel = serde_json::from_str(text).unwrap();
        assert_eq!(funnel, Funnel::posthog(["a", "b"]).build().unwrap());
        // What was built says the rules themselves.
        let written = serde_json::to_string(&funnel).unwrap();
        assert!(written.contains("14d") && !written.contains("posthog"), "{written}");
        assert!(serde_json::from_str::<Funnel>(&text.replace("posthog", "amplitude")).is_err());
    }
}

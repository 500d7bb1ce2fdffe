//! What a funnel cannot ask.

use super::{BreakdownFrom, Count, ExclusionEffect, Funnel, LIMIT_STEPS, Order, Ties, plan::StepGap};
use crate::{
    error::InvalidPlan,
    model::{Window, check_name},
};

/// So many properties can be held constant.
const LIMIT_HELD: usize = 8;

type Checked = Result<(), InvalidPlan>;

fn refuse(at: impl Into<String>, reason: impl Into<String>) -> Checked {
    Err(InvalidPlan::new(at, reason))
}

impl Funnel {
    pub(super) fn check(&self) -> Checked {
        self.check_steps()?;
        self.check_ties()?;
        self.check_optional()?;
        self.check_gaps()?;
        self.check_exclusions()?;
        self.check_count()?;
        self.check_hold()?;
        self.check_breakdown()
    }

    fn check_steps(&self) -> Checked {
        let steps = self.steps.len();
        if steps == 0 || steps > LIMIT_STEPS {
            return refuse("funnel.steps", format!("has {steps} steps, 1 to {LIMIT_STEPS} are allowed"));
        }
        for (i, step) in self.steps.iter().enumerate() {
            step.check().map_err(|e| e.within(&format!("funnel.steps[{i}]")))?;
        }
        Ok(())
    }

    fn check_ties(&self) -> Checked {
        let Ties::Within(tolerance) = self.ties else { return Ok(()) };
        let reason = match self.order {
            _ if tolerance.micros() == 0 => "is a tolerance of nothing: ask for either",
            Order::Strict => "a strict funnel takes no tolerance: what lies between near events would depend on it",
            Order::Any => "in any order events may serve in either order however far apart they are",
            Order::Ordered if !self.exclusions.is_empty() => {
                "beside a tolerance nothing is sure to lie between two steps"
            }
            Order::Ordered if !self.gaps.is_empty() => "beside a tolerance a step may come before the one before it",
            Order::Ordered if !self.optional.is_empty() => {
                "beside a tolerance no optional step has a place between others"
            }
            Order::Ordered if self.count == Count::Attempts => {
                "beside a tolerance an attempt might take events of the one before: count customers"
            }
            Order::Ordered => return Ok(()),
        };
        refuse("funnel.ties", reason)
    }

    fn check_optional(&self) -> Checked {
        let steps = self.steps.len();
        if let Some(step) = self.optional.iter().find(|step| **step <= 1 || **step >= steps) {
            let reason = format!("step {step} of {steps} cannot be optional, as the first and the last cannot");
            return refuse("funnel.optional", reason);
        }
        if !self.optional.is_empty() && (self.order != Order::Ordered || !self.gaps.is_empty()) {
            return refuse("funnel.optional", "only an ordered funnel without gaps has optional steps");
        }
        Ok(())
    }

    fn check_gaps(&self) -> Checked {
        if self.order == Order::Any && !self.gaps.is_empty() {
            return refuse("funnel.gaps", "in any order no step is before another");
        }
        for (i, StepGap { step, min, max }) in self.gaps.iter().enumerate() {
            let at = format!("funnel.gaps[{i}]");
            if !(2..=self.steps.len()).contains(step) {
                return refuse(at, format!("step {step} has none before it among {} steps", self.steps.len()));
            }
            match (min, max) {
                (None, None) => return refuse(at, "needs a min or a max"),
                (Some(min), Some(max)) if min > max => {
                    return refuse(at, format!("the min of {min} is above the max of {max}"));
                }
                _ => {}
            }
            if self.gaps.iter().take(i).any(|other| other.step == *step) {
                return refuse(at, format!("step {step} has one already"));
            }
        }
        let least = self.gaps.iter().filter_map(|gap| gap.min).reduce(Window::plus);
        match least.zip(self.window) {
            Some((least, window)) if least > window => {
                refuse("funnel.gaps", format!("the mins add up to {least}, above the window of {window}"))
            }
            _ => Ok(()),
        }
    }

    fn check_exclusions(&self) -> Checked {
        let count = self.exclusions.len();
        if count > LIMIT_STEPS {
            return refuse("funnel.exclude", format!("has {count} entries, the limit is {LIMIT_STEPS}"));
        }
        match self.order {
            Order::Any if count > 0 => return refuse("funnel.exclude", "in any order nothing lies between two steps"),
            Order::Strict if count > 0 => {
                return refuse("funnel.exclude", "a strict funnel takes none: every other event breaks its chains");
            }
            _ => {}
        }
        for (i, exclusion) in self.exclusions.iter().enumerate() {
            let at = format!("funnel.exclude[{i}]");
            exclusion.when.check().map_err(|e| e.within(&at))?;
            let (after, before, steps) = (exclusion.after, exclusion.before, self.steps.len());
            if after == 0 || after >= before || before > steps {
                return refuse(at, format!("between {after} and {before} is not between two of {steps} steps"));
            }
            if self.optional.contains(&after) || self.optional.contains(&before) {
                return refuse(at, "lies between two required steps, and one of these is optional");
            }
        }
        Ok(())
    }

    fn check_count(&self) -> Checked {
        if self.count == Count::Customers {
            return Ok(());
        }
        if self.order == Order::Any {
            return refuse("funnel.count", "in any order each event may begin an attempt: count customers");
        }
        if self.exclusions.iter().any(|exclusion| exclusion.effect == ExclusionEffect::Remove) {
            return refuse("funnel.count", "an exclusion removes customers, not attempts");
        }
        Ok(())
    }

    fn check_hold(&self) -> Checked {
        if self.hold.len() > LIMIT_HELD {
            return refuse("funnel.hold", format!("has {} properties, the limit is {LIMIT_HELD}", self.hold.len()));
        }
        for (i, property) in self.hold.iter().enumerate() {
            check_name("property", property).map_err(|e| e.within(&format!("funnel.hold[{i}]")))?;
        }
        let is_each = self.breakdown.as_ref().is_some_and(|breakdown| breakdown.from == BreakdownFrom::Each);
        match self.order {
            _ if self.hold.is_empty() => Ok(()),
            Order::Strict => refuse("funnel.hold", "a strict funnel takes none: other values would break its chains"),
            _ if is_each => refuse("funnel.hold", "a breakdown of one funnel for each value holds that value already"),
            _ => Ok(()),
        }
    }

    fn check_breakdown(&self) -> Checked {
        let Some(breakdown) = &self.breakdown else { return Ok(()) };
        breakdown.check(self.steps.len())?;
        match breakdown.from {
            BreakdownFrom::Step(step) if self.optional.contains(&step) => {
                refuse("funnel.breakdown.from", format!("step {step} is optional"))
            }
            BreakdownFrom::Each if breakdown.compare.is_some() => {
                refuse("funnel.breakdown.compare", "with one funnel for each value a customer may be in both groups")
            }
            BreakdownFrom::FirstEvent | BreakdownFrom::Each => Ok(()),
            _ if self.order == Order::Any => {
                refuse("funnel.breakdown.from", "in any order only the first event is known")
            }
            _ => Ok(()),
        }
    }
}

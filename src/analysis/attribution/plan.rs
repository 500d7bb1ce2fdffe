//! What a question about attribution asks.

use chrono::TimeDelta;
use serde::{Deserialize, Serialize};

use crate::{
    error::{InvalidPlan, InvalidValue},
    model::{Channel, Condition, RefusedName, Window, check_name, only_an_object},
};

/// A Markov chain remembers at most so many touches.
pub const LIMIT_MARKOV_ORDER: u32 = 3;

/// How a conversion's credit is shared among its touches.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum AttributionModel {
    /// All to the first touch.
    First,
    /// All to the last touch.
    Last,
    /// All to the last touch that is not direct; if all are direct, to the last.
    LastNonDirect,
    /// To each touch the same.
    Linear,
    /// 40 % to the first touch, 40 % to the last, 20 % in equal parts to those between; half and half if there are two.
    Position,
    /// To each touch half as much as to one that is a half-life later.
    TimeDecay,
    /// In proportion to removal effects in a Markov chain of all journeys.
    Markov,
    /// Shapley values: to each distinct key of the conversion's touches the same.
    Shapley,
}

impl AttributionModel {
    /// All of them, in the order in which reports list them.
    pub const ALL: [Self; 8] = [
        Self::First,
        Self::Last,
        Self::LastNonDirect,
        Self::Linear,
        Self::Position,
        Self::TimeDecay,
        Self::Markov,
        Self::Shapley,
    ];

    /// What a table calls it.
    pub(super) fn label(self) -> &'static str {
        match self {
            Self::First => "first",
            Self::Last => "last",
            Self::LastNonDirect => "last non-direct",
            Self::Linear => "linear",
            Self::Position => "position",
            Self::TimeDecay => "time decay",
            Self::Markov => "markov",
            Self::Shapley => "shapley",
        }
    }
}

/// What touches are told apart by: the keys that get credit.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum AttributionBy {
    /// Their channel.
    #[default]
    Channel,
    /// Their touchpoint.
    Touchpoint,
    /// A property by its name, such as `campaign`. Touches without one, or with one that is null or nested, have a key of
    /// their own, [`Null`](crate::PropertyValue::Null).
    Property(String),
}

/// Attribution of conversions to the touches before them.
///
/// # Question
/// Which channels, touchpoints or campaigns do conversions, and their value, go back to?
///
/// # Definition
/// A **conversion** is an event that meets the conversion condition and lies in the scope's range; each one counts, however many
/// a customer has, and its value is that of its event. A **touch** is an event that meets the touch condition and not the
/// conversion condition. It serves a conversion of its customer if it is not later, and at most the
/// look-back earlier, both ends inclusive: touches at the instant of the conversion serve it, whichever arrived first. Touches
/// before the range serve too. One touch may serve several conversions, since their look-backs may overlap.
/// Touches are in the order of time, those of one instant in the order in which they arrived; repeats are kept.
///
/// Each model shares a conversion, and its value, among its touches ([`AttributionModel`]), and a key gets the shares of its
/// touches ([`AttributionBy`]). **Linear** counts every occurrence. **Position** and **time decay** are as said there; ages of time
/// decay are measured to the conversion. **Shapley** values are those of the game in which a set of keys is worth the conversions
/// all of whose touches lie in the set: in closed form, each conversion is split equally among its distinct keys.
///
/// **Markov.** Journeys are walks from *start* over touches to *conversion* or *null*. The touches of each conversion are one journey.
/// What a customer did in vain makes **null journeys**: touches that serve no conversion, counted or not. The last of these ends
/// a null journey, which holds those of them that are at most the look-back earlier; the last of the rest ends another, and so
/// on. A null journey counts if its last touch lies in the range. If its look-back is not over at the end of observation it is
/// *pending*: it may still convert, and is counted as null until it does. The chain's states are the last touches,
/// as many as its order (fewer at the beginning of a journey), and the probability of a move is its share of all moves from that
/// state, counting repeats. The **removal effect** of a key is the share of conversions that would be lost if every move to a touch
/// of that key led to null: 1 - P(conversion without it) / P(conversion). Credits are proportional to removal effects. Conversions without a touch
/// are no journeys of the chain.
///
/// **Exact sums.** For each model the credits of all keys and the conversions without a touch sum up to all conversions, and
/// their values to the value of all, in each currency, to the last digit. Shares are counted in units of 1/219060189739591200 of a
/// conversion, the least common multiple of 1 to 42: up to 42 touches divide it without a rest. Where something is left over it goes, one unit
/// each, to the largest remainders, of equal ones to the earlier touch; value is split in the same way in units of 10^-9 of
/// the currency. Credits are reported to 9 digits after the point, rounded so that they sum up too, of equal remainders to the
/// key that is listed first.
///
/// # Worked example
/// ```
/// use journeylog::{Attribution, AttributionModel, Channel, Condition, Event, Journeys, Money};
/// # use chrono::{DateTime, TimeDelta, Utc};
/// let day = |d| DateTime::<Utc>::UNIX_EPOCH + TimeDelta::days(d);
/// let touch = |d, customer, channel| Event::at(day(d), customer, "visit").channel(channel);
/// let buy = |d, customer| Ok::<_, journeylog::InvalidValue>(Event::at(day(d), customer, "purchase").value(Money::new("30", "EUR")?));
/// let journeys = Journeys::of([
///     touch(0, "ann", Channel::Social), touch(1, "ann", Channel::Email), touch(2, "ann", Channel::Search), buy(3, "ann")?,
///     touch(0, "bob", Channel::Social), buy(1, "bob")?,
///     touch(0, "cat", Channel::Social), touch(1, "cat", Channel::Email), // in vain so far
///     buy(5, "dan")?, // out of the blue
/// ])?;
/// let plan = Attribution::of("purchase", "visit").within(TimeDelta::days(30)).build()?;
/// let report = journeys.query().run(&plan)?;
/// assert_eq!((report.conversions, report.without_touch.conversions), (3, 1));
/// let credit = |model, key: &str| report.credit(model, key).map(|credit| credit.conversions.to_string());
/// assert_eq!(credit(AttributionModel::First, "social").as_deref(), Some("2"));
/// assert_eq!(credit(AttributionModel::Linear, "social").as_deref(), Some("1.333333333"));
/// assert_eq!(credit(AttributionModel::Linear, "email").as_deref(), Some("0.333333334")); // the first with a rest of a third
/// assert_eq!(credit(AttributionModel::Position, "email").as_deref(), Some("0.2"));
/// // Without social nobody comes; without email, or without search, only Bob buys.
/// let effects: Vec<_> = report.keys.iter().map(|row| (row.key.clone(), row.removal_effect.unwrap())).collect();
/// let near = |key: &str, effect: f64| effects.iter().any(|(k, e)| *k == key.into() && (e - effect).abs() < 1e-12);
/// assert!(near("social", 1.0) && near("email", 0.5) && near("search", 0.5));
/// assert_eq!(credit(AttributionModel::Markov, "social").as_deref(), Some("1"));
/// # Ok::<(), journeylog::Error>(())
/// ```
///
/// # Cost
/// Time: one look at each touch when it comes and when it goes, and for each conversion one at each distinct key of its touches and
/// each model; then a system of equations for Markov. It is solved by
/// sweeps over the moves that occur, until no number changes; up to 1,024 states, where these do not end soon, are eliminated, in a second or two. A larger chain that takes over
/// 10^10 steps is an error. Memory: some 100 bytes for each key and model, 80 for each distinct move of the chain, and, if
/// customers are listed, 60 for each journey and 4 for each of its touches.
///
/// # Compared with
/// Tools for web analytics have the same rules, with the look-back mostly 30 or 90 days, and count an order at most once.
/// `ChannelAttribution` (R) has the same Markov chains, and finds removal effects by simulation; it takes paths that somebody
/// else has cut.
///
/// # Literature
/// E. Anderl, I. Becker, F. von Wangenheim and J. H. Schumann (2016), "Mapping the customer journey: Lessons learned from graph-based online
/// attribution modeling" (Markov, removal effect). L. S. Shapley (1953), "A value for n-person games"; K. Zhao, S. H. Mahboobi and
/// S. R. Bagheri (2018), "Shapley value methods for attribution modeling in online advertising" (the closed form). Elimination without
/// a subtraction: W. K. Grassmann, M. I. Taksar and D. P. Heyman (1985), "Regenerative analysis and steady state distributions for
/// Markov chains".
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "AttributionBuilder", into = "AttributionBuilder")]
#[must_use = "a plan answers nothing until it is run"]
pub struct Attribution {
    pub(super) conversion: Condition,
    pub(super) touch: Condition,
    pub(super) by: AttributionBy,
    pub(super) within: Option<Window>,
    pub(super) models: Vec<AttributionModel>,
    pub(super) half_life: Window,
    pub(super) direct: Condition,
    pub(super) order: usize,
    pub(super) customers: bool,
}

impl Attribution {
    /// Of events for which the first condition holds to those before for which the second does; a text alone is a touchpoint.
    pub fn of<C, T>(conversion: C, touch: T) -> AttributionBuilder
    where
        C: TryInto<Condition, Error: Into<RefusedName>>,
        T: TryInto<Condition, Error: Into<RefusedName>>,
    {
        let mut refused = None;
        let mut refuse = |e: RefusedName| {
            refused = Some(InvalidValue::from(e));
            Condition::Any(Vec::new())
        };
        let conversion = conversion.try_into().unwrap_or_else(|e| refuse(e.into()));
        let touch = touch.try_into().unwrap_or_else(|e| refuse(e.into()));
        AttributionBuilder {
            conversion,
            touch,
            by: AttributionBy::default(),
            within: None,
            models: all_models(),
            half_life: week(),
            direct: direct(),
            order: 1,
            customers: false,
            refused,
        }
    }

    /// The same plan, listing the customers behind its numbers.
    pub(crate) fn list_customers(mut self) -> Self {
        self.customers = true;
        self
    }
}

/// Attribution in the making, and the JSON form of it, of which `conversion` and `touch` are required:
/// `{"conversion":{"touchpoint":"purchase"},"touch":{"any":[{"channel":"email"},{"channel":"search"}]},"by":"channel","within":"30d","models":["first","last","last_non_direct","linear","position","time_decay","markov","shapley"],"half_life":"7d","direct":{"channel":"direct"},"order":1,"customers":true}`.
/// Touches are told apart by `"channel"`, `"touchpoint"` or `{"property":"campaign"}`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(remote = "Self", expecting = "an object", deny_unknown_fields)]
#[must_use = "a plan is only made by build"]
pub struct AttributionBuilder {
    conversion: Condition,
    touch: Condition,
    #[serde(default)]
    by: AttributionBy,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    within: Option<Window>,
    #[serde(default = "all_models")]
    models: Vec<AttributionModel>,
    #[serde(default = "week")]
    half_life: Window,
    #[serde(default = "direct")]
    direct: Condition,
    #[serde(default = "one")]
    order: u32,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    customers: bool,
    #[serde(skip)]
    refused: Option<InvalidValue>,
}

only_an_object!(AttributionBuilder);

fn all_models() -> Vec<AttributionModel> {
    AttributionModel::ALL.to_vec()
}

fn week() -> Window {
    Window::minutes(7 * 24 * 60)
}

fn direct() -> Condition {
    Channel::new("direct").map_or(Condition::Any(Vec::new()), Condition::channel)
}

fn one() -> u32 {
    1
}

impl AttributionBuilder {
    /// Tells touches apart by this. By default it is their channel.
    pub fn by(mut self, by: AttributionBy) -> Self {
        self.by = by;
        self
    }

    /// Sets how long before a conversion touches serve it. By default there is no limit.
    pub fn within(mut self, look_back: TimeDelta) -> Self {
        self.within = self.window("within", look_back).or(self.within);
        self
    }

    /// Sets which models are asked, in any order. By default all are.
    pub fn models(mut self, models: impl IntoIterator<Item = AttributionModel>) -> Self {
        self.models = models.into_iter().collect();
        self
    }

    /// Sets the half-life of time decay. The default is 7 days.
    pub fn half_life(mut self, half_life: TimeDelta) -> Self {
        self.half_life = self.window("half_life", half_life).unwrap_or(self.half_life);
        self
    }

    /// Sets which touches are direct, for [`AttributionModel::LastNonDirect`]. By default those of the channel `direct`.
    pub fn direct<C: TryInto<Condition, Error: Into<RefusedName>>>(mut self, direct: C) -> Self {
        match direct.try_into() {
            Ok(direct) => self.direct = direct,
            Err(e) => self.refused = Some(InvalidValue::from(e.into())),
        }
        self
    }

    /// Sets how many touches the Markov chain remembers, 1 to 3. The default is 1.
    pub fn markov_order(mut self, order: u32) -> Self {
        self.order = order;
        self
    }

    /// Lists each conversion and each null journey with its customer and the keys of its touches.
    pub fn list_customers(mut self) -> Self {
        self.customers = true;
        self
    }

    fn window(&mut self, field: &'static str, span: TimeDelta) -> Option<Window> {
        Window::try_from(span).map_err(|e| self.refused = Some(InvalidValue::new(field, e.reason()))).ok()
    }

    /// Checks and makes the plan.
    ///
    /// # Errors
    /// [`InvalidPlan`] if a condition cannot be, if there is no model, if a length of time is negative or too
    /// long to count in microseconds, if the half-life is zero, or if the order is not 1 to 3.
    pub fn build(self) -> Result<Attribution, InvalidPlan> {
        let Self { conversion, touch, by, within, mut models, half_life, direct, order, customers, refused } = self;
        if let Some(refused) = refused {
            return Err(refused.within("attribution").into());
        }
        conversion.check().map_err(|e| e.within("attribution.conversion"))?;
        // Whether a touch is direct is asked of both together.
        for (at, condition) in [("touch", &touch), ("direct", &direct)] {
            condition.check_inside().map_err(|e| e.within(&format!("attribution.{at}")))?;
        }
        let refuse = |at: &str, reason: String| Err(InvalidPlan::new(format!("attribution.{at}"), reason));
        if let AttributionBy::Property(name) = &by {
            check_name("property", name).map_err(|e| e.within("attribution.by"))?;
        }
        if models.is_empty() {
            return refuse("models", "is empty: name at least one".to_owned());
        }
        models.sort_unstable();
        models.dedup();
        if half_life.micros() == 0 {
            return refuse("half_life", "is zero".to_owned());
        }
        if !(1..=LIMIT_MARKOV_ORDER).contains(&order) {
            return refuse("order", format!("is {order}, 1 to {LIMIT_MARKOV_ORDER} touches can be remembered"));
        }
        let order = order as usize;
        Ok(Attribution { conversion, touch, by, within, models, half_life, direct, order, customers })
    }
}

impl TryFrom<AttributionBuilder> for Attribution {
    type Error = InvalidPlan;
    fn try_from(builder: AttributionBuilder) -> Result<Self, InvalidPlan> {
        builder.build()
    }
}

impl From<Attribution> for AttributionBuilder {
    fn from(plan: Attribution) -> Self {
        let Attribution { conversion, touch, by, within, models, half_life, direct, order, customers } = plan;
        let order = u32::try_from(order).unwrap_or(u32::MAX);
        Self { conversion, touch, by, within, models, half_life, direct, order, customers, refused: None }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_is_itself_again() {
        let text = r#"{"conversion":{"touchpoint":"pay"},"touch":{"channel":"email"},"by":{"property":"campaign"},"within":"30d","models":["last","markov"],"half_life":"12h","direct":{"touchpoint":"typed"},"order":2,"customers":true}"#;
        let plan: Attribution = serde_json::from_str(text).unwrap();
        let built = Attribution::of("pay", Condition::channel(Channel::Email))
            .by(AttributionBy::Property("campaign".to_owned()))
            .within(TimeDelta::days(30))
            .models([AttributionModel::Markov, AttributionModel::Last, AttributionModel::Markov])
            .half_life(TimeDelta::hours(12))
            .direct("typed")
            .markov_order(2)
            .list_customers();
        assert_eq!(Ok(plan.clone()), built.build());
        assert_eq!(serde_json::to_string(&plan).unwrap(), text);
        let short: Attribution =
            serde_json::from_str(r#"{"conversion":{"touchpoint":"pay"},"touch":{"touchpoint":"visit"}}"#).unwrap();
        assert_eq!(Ok(&short), Attribution::of("pay", "visit").build().as_ref());
        assert_eq!(short.models.len(), 8);
        let written = serde_json::to_value(&short).unwrap();
        assert_eq!((&written["half_life"], &written["direct"]["channel"]), (&"7d".into(), &"direct".into()));
    }

    #[test]
    fn impossible_plans_say_where() {
        let refused = |builder: AttributionBuilder| builder.build().unwrap_err().to_string();
        let any = || Attribution::of("pay", "visit");
        assert!(refused(Attribution::of("", "visit")).starts_with("attribution.touchpoint: is empty"));
        assert!(refused(Attribution::of("pay", "")).starts_with("attribution.touchpoint: is empty"));
        assert!(refused(any().direct("")).starts_with("attribution.touchpoint: is empty"));
        assert!(refused(any().within(TimeDelta::seconds(-1))).starts_with("attribution.within"));
        assert!(refused(any().half_life(TimeDelta::seconds(-1))).starts_with("attribution.half_life"));
        assert!(refused(any().half_life(TimeDelta::zero())).starts_with("attribution.half_life: is zero"));
        assert!(refused(any().models([])).starts_with("attribution.models: is empty"));
        assert!(refused(any().markov_order(0)).starts_with("attribution.order: is 0, 1 to 3"));
        let nameless = any().by(AttributionBy::Property(String::new()));
        assert!(refused(nameless).starts_with("attribution.by.property: is empty"));
        let deep = |depth| (1..depth).fold(Condition::All(vec![]), |inner, _| inner.negated());
        assert!(refused(Attribution::of("pay", deep(32))).starts_with("attribution.touch.condition: nests"));
        assert!(refused(any().direct(deep(32))).starts_with("attribution.direct.condition: nests"));
        assert!(refused(Attribution::of(deep(33), "visit")).starts_with("attribution.conversion.condition: nests"));
        assert!(Attribution::of(deep(32), deep(31)).direct(deep(31)).build().is_ok());
    }
}

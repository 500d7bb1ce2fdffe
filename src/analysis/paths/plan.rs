//! What a question about paths asks.

use chrono::TimeDelta;
use serde::{Deserialize, Serialize};

use crate::{
    error::{InvalidPlan, InvalidValue},
    model::{Condition, RefusedName, Seq, Window, check_name, only_an_object},
};

/// Paths are shown for at most so many steps.
pub const LIMIT_PATH_DEPTH: u32 = 32;
/// At most so many steps are told apart at each position.
pub const LIMIT_PATH_NODES: u32 = 100;
/// At most so many variants of paths are listed.
pub const LIMIT_PATH_VARIANTS: u32 = 1_000;
/// Events are sorted into at most so many groups.
pub const LIMIT_PATH_GROUPS: usize = 64;

const DEFAULT_DEPTH: u32 = 5;
const DEFAULT_NODES: u32 = 10;
const DEFAULT_VARIANTS: u32 = 10;

/// What the steps of a path are.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum PathsOf {
    /// The touchpoints of events.
    #[default]
    Touchpoint,
    /// Their channels.
    Channel,
    /// The stages that they bear, by themselves or by the rules of the question's model.
    Stage,
    /// Labels: that of the first group whose condition holds.
    Groups(Vec<PathGroup>),
}

/// A label for the events for which a condition holds. Several groups may have one label.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(remote = "Self", expecting = "an object", deny_unknown_fields)]
pub struct PathGroup {
    /// What the step is called.
    pub label: String,
    /// Which events it is.
    pub when: Condition,
}

only_an_object!(PathGroup);

/// What becomes of neighbouring steps that are the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum PathRepeats {
    /// Each is a step.
    #[default]
    Kept,
    /// They are one step.
    Collapsed,
}

/// Paths that customers take.
///
/// # Question
/// Where do customers go from here? How did those come who bought? Which are the most frequent ways through the shop, and
/// where do they end?
///
/// # Definition
/// A path is a sequence of steps of one customer: the touchpoints of their events, or the channels, the stages, or the labels
/// of groups ([`PathsOf`]). Events that have none (they bear no stage, or no group's condition holds) are no steps, and nothing
/// is anchored at them. With [`by_session`](PathsBuilder::by_session) the journey is cut first, into its
/// [`Sessions`](crate::Sessions), and each has a path of its own; else the whole journey has one. Of tied events the one that
/// arrived first comes first, as a path needs an order. Then, by what the plan is anchored at:
///
/// | anchored at | the path |
/// |---|---|
/// | nothing | begins with the first step, if that lies in the scope's range, and goes on to the last |
/// | a start | begins with the first step in the range that meets the start condition, and goes on to the last |
/// | an end | ends with the first step in the range that meets the end condition; it is read **backwards** from there, to the first step of the session or journey, before the range too |
/// | both | begins as with a start, and ends with the first step after that one that meets the end condition, beyond the range too. If there is none it is not a path, and counted in `without_end` |
///
/// So the range says which anchors count, and cuts no path; and a session or journey has at most one path. With
/// [`collapse_repeats`](PathsBuilder::collapse_repeats) neighbouring equal steps are one. Of each path the first
/// [`depth`](PathsBuilder::depth) steps are shown (of one that is read backwards, the last); if it has more, it is
/// counted as going on `beyond`. A path goes as far as it has come by the end of observation.
///
/// The **graph** has a position for each step, counted from 1 at the start, or at the end if paths are read backwards. At each
/// position the most frequent steps are nodes, equals by name, and all others together are one more, without a label. The
/// totals reconcile exactly: the nodes of position 1 are all paths; a node's paths have `ended` there, are `open` there (they are of
/// a session whose last event lies not more than the gap before the end of observation, so that further steps may come), go on `beyond`
/// the depth, or take one of the links to the next position; and the links to a node are its paths.
///
/// A **variant** is a sequence of steps as far as it is shown. The most frequent are listed, equals in the order of their
/// steps' names; they and the others together are all paths. Its customers are counted once, however often they took it.
///
/// # Worked example
/// ```
/// use journeylog::{Event, Funnel, FunnelOutcome, Journeys, Paths};
/// # use chrono::{DateTime, TimeDelta, Utc};
/// let day = |d| DateTime::<Utc>::UNIX_EPOCH + TimeDelta::days(d);
/// let journeys = Journeys::of([
///     Event::at(day(0), "ann", "home"), Event::at(day(1), "ann", "cart"), Event::at(day(2), "ann", "purchase"),
///     Event::at(day(0), "bob", "home"), Event::at(day(1), "bob", "search"),
///     Event::at(day(0), "cat", "cart"), Event::at(day(1), "cat", "support"),
/// ])?;
/// let paths = Paths::of_touchpoints().starting_at("home").build()?;
/// let report = journeys.query().run(&paths)?;
/// assert_eq!(report.paths, 2); // Cat never came home
/// assert_eq!(report.variants[0].steps, ["home", "cart", "purchase"]);
/// let [home, next, _] = report.positions.as_slice() else { panic!("three positions") };
/// assert_eq!((home.nodes[0].paths, home.links.len()), (2, 2));
/// let search = next.nodes.iter().find(|node| node.label.as_deref() == Some("search")).unwrap();
/// assert_eq!((search.paths, search.ended), (1, 1)); // Bob dropped off there
///
/// // How did those come who have something in their cart? Position 1 is the cart, position 2 the step before it.
/// let paths = Paths::of_touchpoints().ending_at("cart").build()?;
/// let report = journeys.query().run(&paths)?;
/// assert_eq!((report.paths, report.positions[0].nodes[0].ended), (2, 1)); // Cat's path begins there
/// assert_eq!(report.positions[0].links[0].from.as_deref(), Some("home"));
///
/// // What did those do next who dropped out of a funnel? Their paths begin with the event where each of them stopped.
/// let funnel = Funnel::ordered(["cart", "purchase"]).within(TimeDelta::days(2)).list_customers().build()?;
/// let query = journeys.query().as_of(day(9));
/// let listed = query.run(&funnel)?.customers.unwrap();
/// let dropped = listed.iter().filter(|one| !matches!(one.outcome, FunnelOutcome::Converted | FunnelOutcome::Pending));
/// let stopped = dropped.filter_map(|one| one.events.last()).map(|event| event.seq);
/// let report = query.run(&Paths::of_touchpoints().starting_at_events(stopped).build()?)?;
/// assert_eq!((report.paths, &report.variants[0].steps[..]), (1, &["cart".to_owned(), "support".to_owned()][..]));
/// # Ok::<(), journeylog::Error>(())
/// ```
///
/// # Cost
/// Time: one look at each event. Memory: some 100 bytes for each distinct beginning of the paths that are shown, so at most for
/// each distinct path and step of it, and 40 for each customer and path that are listed. A question that takes too much is stopped with an error
/// ([`Query::memory`](crate::Query::memory)): a smaller depth, groups, and collapsed repeats make fewer.
///
/// # Compared with
/// It is "flows" of Mixpanel, "user paths" of `PostHog` and "path exploration" of Google Analytics. These
/// show a sample or the top paths of a limited number of events; here everybody is counted, and what is not shown stands in
/// "other".
///
/// # Literature
/// Trees of click paths with their counts: J. Borges and M. Levene (2000), "Data mining of user navigation patterns"; M. Spiliopoulou and
/// L. C. Faulstich (1999), "WUM: a tool for web utilization analysis". Diagrams by position: H. R. Sankey (1898), of a steam engine.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "PathsBuilder", into = "PathsBuilder")]
#[must_use = "a plan answers nothing until it is run"]
pub struct Paths {
    pub(super) of: PathsOf,
    pub(super) repeats: PathRepeats,
    pub(super) gap: Option<Window>,
    pub(super) start: Option<Condition>,
    /// In order.
    pub(super) start_events: Option<Vec<Seq>>,
    pub(super) end: Option<Condition>,
    pub(super) depth: usize,
    pub(super) nodes: usize,
    pub(super) variants: usize,
    pub(super) customers: bool,
}

impl Paths {
    /// Of touchpoints.
    pub fn of_touchpoints() -> PathsBuilder {
        PathsBuilder::of(PathsOf::Touchpoint)
    }

    /// Of channels.
    pub fn of_channels() -> PathsBuilder {
        PathsBuilder::of(PathsOf::Channel)
    }

    /// Of the stages of the question's model. Events that bear none are no steps.
    pub fn of_stages() -> PathsBuilder {
        PathsBuilder::of(PathsOf::Stage)
    }

    /// Of labels, each with the condition of its events; the first that holds wins, and events for which none does are no
    /// steps.
    pub fn of_groups<L: Into<String>>(groups: impl IntoIterator<Item = (L, Condition)>) -> PathsBuilder {
        let group = |(label, when): (L, Condition)| PathGroup { label: label.into(), when };
        PathsBuilder::of(PathsOf::Groups(groups.into_iter().map(group).collect()))
    }

    /// The same plan, listing the customers behind its numbers.
    pub(crate) fn list_customers(mut self) -> Self {
        self.customers = true;
        self
    }
}

/// Paths in the making, and the JSON form of them, each key optional (`"start_events":[3,17]` stands instead of a start):
/// `{"of":"touchpoint","repeats":"collapsed","gap":"30m","start":{"touchpoint":"home"},"end":{"touchpoint":"purchase"},"depth":5,"nodes":10,"variants":10,"customers":true}`.
/// Steps are of `"touchpoint"`, `"channel"`, `"stage"` or `{"groups":[{"label":"look","when":{..}}]}`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(remote = "Self", expecting = "an object", deny_unknown_fields)]
#[must_use = "paths are only made by build"]
pub struct PathsBuilder {
    #[serde(default)]
    of: PathsOf,
    #[serde(default)]
    repeats: PathRepeats,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    gap: Option<Window>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    start: Option<Condition>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    start_events: Option<Vec<Seq>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    end: Option<Condition>,
    #[serde(default = "default_depth")]
    depth: u32,
    #[serde(default = "default_nodes")]
    nodes: u32,
    #[serde(default = "default_variants")]
    variants: u32,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    customers: bool,
    #[serde(skip)]
    refused: Option<InvalidValue>,
}

only_an_object!(PathsBuilder);

fn default_depth() -> u32 {
    DEFAULT_DEPTH
}

fn default_nodes() -> u32 {
    DEFAULT_NODES
}

fn default_variants() -> u32 {
    DEFAULT_VARIANTS
}

impl PathsBuilder {
    fn of(of: PathsOf) -> Self {
        Self {
            of,
            repeats: PathRepeats::Kept,
            gap: None,
            start: None,
            start_events: None,
            end: None,
            depth: DEFAULT_DEPTH,
            nodes: DEFAULT_NODES,
            variants: DEFAULT_VARIANTS,
            customers: false,
            refused: None,
        }
    }

    /// Takes neighbouring equal steps for one. By default each is a step.
    pub fn collapse_repeats(mut self) -> Self {
        self.repeats = PathRepeats::Collapsed;
        self
    }

    /// Cuts journeys into sessions: where neighbouring events, steps or not, are more than this apart. By default they are
    /// not cut.
    pub fn by_session(mut self, gap: TimeDelta) -> Self {
        match Window::try_from(gap) {
            Ok(gap) => self.gap = Some(gap),
            Err(e) => self.refused = Some(InvalidValue::new("gap", e.reason())),
        }
        self
    }

    /// Lets paths begin with the first step that meets this condition. A text alone is a touchpoint.
    pub fn starting_at<C: TryInto<Condition, Error: Into<RefusedName>>>(mut self, start: C) -> Self {
        self.start = self.anchor(start);
        self
    }

    /// Lets paths begin with the first step that is one of these events, by their places in the log: such as those where customers
    /// stopped in a funnel, as its report lists them. It is asked instead of [`starting_at`](Self::starting_at).
    pub fn starting_at_events(mut self, events: impl IntoIterator<Item = Seq>) -> Self {
        self.start_events = Some(events.into_iter().collect());
        self
    }

    /// Lets paths end with the first step that meets this condition; if they have no start they are read backwards from there.
    pub fn ending_at<C: TryInto<Condition, Error: Into<RefusedName>>>(mut self, end: C) -> Self {
        self.end = self.anchor(end);
        self
    }

    fn anchor<C: TryInto<Condition, Error: Into<RefusedName>>>(&mut self, condition: C) -> Option<Condition> {
        condition.try_into().map_err(|e| self.refused = Some(e.into().into())).ok()
    }

    /// Sets how many steps of a path are shown, 1 to 32. The default is 5.
    pub fn depth(mut self, steps: u32) -> Self {
        self.depth = steps;
        self
    }

    /// Sets how many steps are told apart at each position, 1 to 100; the others are one node. The default is 10.
    pub fn nodes(mut self, nodes: u32) -> Self {
        self.nodes = nodes;
        self
    }

    /// Sets how many variants are listed, 1 to 1,000; the others are counted together. The default is 10.
    pub fn variants(mut self, variants: u32) -> Self {
        self.variants = variants;
        self
    }

    /// Lists the customers of each variant.
    pub fn list_customers(mut self) -> Self {
        self.customers = true;
        self
    }

    /// Checks and makes the plan.
    ///
    /// # Errors
    /// [`InvalidPlan`] if a condition or a label cannot be, if a start is given both as a condition and as events, if there are no groups or more than 64, if the gap is negative or too
    /// long to count in microseconds, or if a number is outside its limits.
    pub fn build(self) -> Result<Paths, InvalidPlan> {
        let Self { of, repeats, gap, start, mut start_events, end, depth, nodes, variants, customers, refused } = self;
        if let Some(refused) = refused {
            return Err(refused.within("paths").into());
        }
        let check = |at: &str, condition: &Condition| condition.check().map_err(|e| e.within(&format!("paths.{at}")));
        if start.is_some() && start_events.is_some() {
            return Err(InvalidPlan::new("paths.start_events", "stand beside a start, but paths begin at either"));
        }
        if let Some(events) = &mut start_events {
            events.sort_unstable();
            events.dedup();
        }
        start.iter().try_for_each(|start| check("start", start))?;
        end.iter().try_for_each(|end| check("end", end))?;
        if let PathsOf::Groups(groups) = &of {
            if groups.is_empty() || groups.len() > LIMIT_PATH_GROUPS {
                let reason = format!("has {} groups, 1 to {LIMIT_PATH_GROUPS} are allowed", groups.len());
                return Err(InvalidPlan::new("paths.of.groups", reason));
            }
            for (place, group) in groups.iter().enumerate() {
                check_name(&format!("paths.of.groups[{place}].label"), &group.label)?;
                check(&format!("of.groups[{place}]"), &group.when)?;
            }
        }
        let within = |field: &str, found: u32, limit: u32, what: &str| {
            let place = format!("paths.{field}");
            let refuse = || InvalidPlan::new(place, format!("is {found}, 1 to {limit} {what}"));
            if (1..=limit).contains(&found) { Ok(found as usize) } else { Err(refuse()) }
        };
        Ok(Paths {
            of,
            repeats,
            gap,
            start,
            start_events,
            end,
            depth: within("depth", depth, LIMIT_PATH_DEPTH, "steps can be shown")?,
            nodes: within("nodes", nodes, LIMIT_PATH_NODES, "steps can be told apart at each position")?,
            variants: within("variants", variants, LIMIT_PATH_VARIANTS, "variants can be listed")?,
            customers,
        })
    }
}

impl TryFrom<PathsBuilder> for Paths {
    type Error = InvalidPlan;
    fn try_from(builder: PathsBuilder) -> Result<Self, InvalidPlan> {
        builder.build()
    }
}

impl From<Paths> for PathsBuilder {
    fn from(plan: Paths) -> Self {
        let Paths { of, repeats, gap, start, start_events, end, depth, nodes, variants, customers } = plan;
        let number = |number: usize| u32::try_from(number).unwrap_or(u32::MAX);
        let (depth, nodes, variants) = (number(depth), number(nodes), number(variants));
        Self { of, repeats, gap, start, start_events, end, depth, nodes, variants, customers, refused: None }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_is_itself_again() {
        let text = r#"{"of":{"groups":[{"label":"look","when":{"touchpoint":"a"}}]},"repeats":"collapsed","gap":"30m","start":{"touchpoint":"a"},"end":{"stage":"purchase"},"depth":3,"nodes":4,"variants":5,"customers":true}"#;
        let plan: Paths = serde_json::from_str(text).unwrap();
        let at = |name| Condition::touchpoint(name).unwrap();
        let built = Paths::of_groups([("look", at("a"))])
            .collapse_repeats()
            .by_session(TimeDelta::minutes(30))
            .starting_at("a")
            .ending_at(Condition::stage("purchase").unwrap())
            .depth(3)
            .nodes(4)
            .variants(5)
            .list_customers();
        assert_eq!(Ok(plan.clone()), built.build());
        assert_eq!(serde_json::to_string(&plan).unwrap(), text);
        let short = serde_json::from_str::<Paths>("{}").unwrap();
        assert_eq!(short, Paths::of_touchpoints().build().unwrap());
        let text = r#"{"of":"touchpoint","repeats":"kept","depth":5,"nodes":10,"variants":10}"#;
        assert_eq!(serde_json::to_string(&short).unwrap(), text);
        for (of, builder) in [("channel", Paths::of_channels()), ("stage", Paths::of_stages())] {
            let plan: Paths = serde_json::from_str(&format!(r#"{{"of":"{of}"}}"#)).unwrap();
            assert_eq!(plan, builder.build().unwrap());
        }
    }

    #[test]
    fn impossible_plans_say_where() {
        let refused = |builder: PathsBuilder| builder.build().unwrap_err().to_string();
        let any = || Paths::of_touchpoints();
        assert!(refused(any().starting_at("")).starts_with("paths.touchpoint: is empty"));
        assert!(refused(any().ending_at("")).starts_with("paths.touchpoint: is empty"));
        assert!(refused(any().by_session(TimeDelta::seconds(-1))).starts_with("paths.gap"));
        let both = refused(any().starting_at("a").starting_at_events([Seq(1)]));
        assert!(both.starts_with("paths.start_events: stand beside a start"), "{both}");
        assert!(refused(any().depth(0)).starts_with("paths.depth: is 0, 1 to 32"));
        assert!(refused(any().nodes(0)).starts_with("paths.nodes: is 0, 1 to 100"));
        assert!(refused(any().variants(0)).starts_with("paths.variants: is 0, 1 to 1000"));
        let none: [(&str, Condition); 0] = [];
        assert!(refused(Paths::of_groups(none)).starts_with("paths.of.groups: has 0 groups"));
        let empty = Paths::of_groups([("a", Condition::All(vec![])), ("", Condition::All(vec![]))]);
        assert!(refused(empty).starts_with("paths.of.groups[1].label: is empty"));
        let deep = (0..40).fold(Condition::All(vec![]), |inner, _| inner.negated());
        assert!(refused(Paths::of_groups([("a", deep)])).starts_with("paths.of.groups[0].condition: nests"));
    }
}

//! Stages, and the models that map events to them.

use std::{
    collections::BTreeSet,
    sync::{Arc, LazyLock},
};

use serde::{Deserialize, Serialize};

use super::{Comparison, Condition, Survey, name::name_type, only_an_object};
use crate::error::{InvalidPlan, InvalidValue};

/// A model has at most this many stages.
const LIMIT_STAGES: usize = 64;
/// A model has at most this many rules.
pub(crate) const LIMIT_RULES: usize = 64;
/// A model has at most this many other spellings.
const LIMIT_ALIASES: usize = 256;
/// A model names at most this many moves: more than there are.
const LIMIT_MOVES: usize = LIMIT_STAGES * LIMIT_STAGES;

name_type!(
    /// The name of a stage, such as `awareness`. 1 to 255 bytes of UTF-8 without control characters.
    StageName,
    "stage"
);

impl std::fmt::Debug for StageName {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("StageName").field(&self.as_str()).finish()
    }
}

impl std::fmt::Display for StageName {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(self.as_str())
    }
}

/// The stages of the standard model, from awareness to advocacy.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Stage {
    /// They know of the business.
    Awareness,
    /// They consider buying.
    Consideration,
    /// They buy. Also spelled `decision`.
    Purchase,
    /// They come back.
    Retention,
    /// They recommend it to others.
    Advocacy,
}

impl Stage {
    /// All of them, in order.
    pub const ALL: [Self; 5] = [Self::Awareness, Self::Consideration, Self::Purchase, Self::Retention, Self::Advocacy];

    /// Its name.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Awareness => "awareness",
            Self::Consideration => "consideration",
            Self::Purchase => "purchase",
            Self::Retention => "retention",
            Self::Advocacy => "advocacy",
        }
    }
}

impl AsRef<str> for Stage {
    fn as_ref(&self) -> &str {
        self.as_str()
    }
}

impl From<Stage> for StageName {
    fn from(stage: Stage) -> Self {
        Self(stage.as_str().into())
    }
}

impl AsRef<str> for StageName {
    fn as_ref(&self) -> &str {
        self.as_str()
    }
}

/// Which occurrence of a condition in a journey a rule speaks of, counted from 1 in the order of the journey, whatever decides the stage of each.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Nth {
    /// This one only: `"nth":2`.
    Only(u32),
    /// This one and all after it: `"nth":{"from":2}`.
    From {
        /// The first occurrence meant.
        from: u32,
    },
}

impl Nth {
    /// Whether the `count`-th occurrence is meant.
    pub fn holds(self, count: u32) -> bool {
        match self {
            Self::Only(nth) => count == nth,
            Self::From { from } => count >= from,
        }
    }

    /// The first occurrence that is meant.
    pub(crate) fn first(self) -> u32 {
        match self {
            Self::Only(nth) => nth,
            Self::From { from } => from,
        }
    }
}

/// A condition, and the stage that an event bears when it holds.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(remote = "Self", expecting = "an object", deny_unknown_fields)]
pub struct Rule {
    pub(crate) when: Condition,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) nth: Option<Nth>,
    pub(crate) stage: StageName,
}

only_an_object!(Rule);

impl Rule {
    /// The condition.
    pub fn when(&self) -> &Condition {
        &self.when
    }

    /// Which occurrence of it is meant; `None` for any.
    pub fn nth(&self) -> Option<Nth> {
        self.nth
    }

    /// The stage.
    pub fn stage(&self) -> &StageName {
        &self.stage
    }
}

/// How a move from one stage to another is called.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum MoveKind {
    /// From no stage into a first one.
    Entry,
    /// To the next stage.
    Advance,
    /// Further ahead than the next stage.
    Skip,
    /// Back to an earlier stage.
    Regression,
}

impl std::fmt::Display for MoveKind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(match self {
            Self::Entry => "entry",
            Self::Advance => "advance",
            Self::Skip => "skip",
            Self::Regression => "regression",
        })
    }
}

/// An ordered list of stages, and rules that map events to them.
///
/// An event's own stage wins, if it is one of the model's; then the first rule that holds; an event that matches none
/// leaves the stage as it is. A model is only a reading: changing it re-reads history and rewrites nothing.
///
/// ```
/// use journeylog::{Condition, JourneyModel, Nth};
///
/// let model = JourneyModel::builder("shop", ["visiting", "choosing", "buying", "loyal"])
///     .rule_nth(Condition::touchpoint("payment_done")?, Nth::From { from: 2 }, "loyal")
///     .rule(Condition::touchpoint("payment_done")?, "buying")
///     .rule(Condition::touchpoint("cart")?, "choosing")
///     .rule(Condition::touchpoint("catalog")?, "visiting")
///     .build()?;
/// assert_eq!(model.stages().len(), 4);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "JourneyModelBuilder", into = "JourneyModelBuilder")]
pub struct JourneyModel {
    name: String,
    version: u32,
    stages: Vec<StageName>,
    aliases: Vec<(StageName, StageName)>,
    /// Shared, since each question has a model of its own.
    rules: Arc<[Rule]>,
    moves: Option<Vec<(StageName, StageName)>>,
}

impl JourneyModel {
    /// A model of these stages, in order from first to last.
    pub fn builder<S: AsRef<str>>(name: impl Into<String>, stages: impl IntoIterator<Item = S>) -> JourneyModelBuilder {
        JourneyModelBuilder {
            name: name.into(),
            version: 1,
            stages: stages.into_iter().map(|s| s.as_ref().to_owned()).collect(),
            aliases: Vec::new(),
            rules: Vec::new(),
            moves: None,
        }
    }

    /// Awareness, consideration, purchase (also `decision`), retention and advocacy.
    ///
    /// Its rules, the first that holds wins:
    ///
    /// | an event that | bears |
    /// |---|---|
    /// | is at `referral`, `recommendation`, `review` or `share`, or answers NPS with 9 or 10 | advocacy |
    /// | is at `purchase`, `payment`, `payment_done`, `order` or `checkout_complete`, from the second such event | retention |
    /// | is the first such event | purchase |
    /// | is at `renewal`, `repeat_purchase`, `loyalty_signup` or `subscription_renewed` | retention |
    /// | is at `product_view`, `product`, `catalog`, `add_to_cart`, `cart`, `checkout`, `wishlist`, `compare`, `quote`, `demo`, `trial` or `store_visit` | consideration |
    /// | is at `ad_impression`, `ad_click`, `impression`, `click`, `page_view`, `home`, `main`, `landing`, `search`, `email_open` or `email_click` | awareness |
    ///
    /// ```
    /// let model = journeylog::JourneyModel::standard();
    /// assert_eq!(model.stages()[2].as_str(), "purchase");
    /// assert_eq!(model.position("decision"), Some(2));
    /// ```
    pub fn standard() -> Self {
        static STANDARD: LazyLock<JourneyModel> = LazyLock::new(JourneyModel::make_standard);
        STANDARD.clone()
    }

    fn make_standard() -> Self {
        const ADVOCACY: &[&str] = &["referral", "recommendation", "review", "share"];
        const BUYING: &[&str] = &["purchase", "payment", "payment_done", "order", "checkout_complete"];
        const RETENTION: &[&str] = &["renewal", "repeat_purchase", "loyalty_signup", "subscription_renewed"];
        const CONSIDERATION: &[&str] = &[
            "product_view",
            "product",
            "catalog",
            "add_to_cart",
            "cart",
            "checkout",
            "wishlist",
            "compare",
            "quote",
            "demo",
            "trial",
            "store_visit",
        ];
        const AWARENESS: &[&str] = &[
            "ad_impression",
            "ad_click",
            "impression",
            "click",
            "page_view",
            "home",
            "main",
            "landing",
            "search",
            "email_open",
            "email_click",
        ];
        let at =
            |names: &[&str]| Condition::Any(names.iter().filter_map(|name| Condition::touchpoint(name).ok()).collect());
        let promoter = Condition::Feedback { survey: Some(Survey::Nps), test: Comparison::Ge(9) };
        let rule = |when, nth, stage: Stage| Rule { when, nth, stage: stage.into() };
        Self {
            name: "standard".to_owned(),
            version: 1,
            stages: Stage::ALL.into_iter().map(StageName::from).collect(),
            aliases: vec![(StageName("decision".into()), Stage::Purchase.into())],
            rules: Arc::new([
                rule(at(ADVOCACY).or(promoter), None, Stage::Advocacy),
                rule(at(BUYING), Some(Nth::From { from: 2 }), Stage::Retention),
                rule(at(BUYING), None, Stage::Purchase),
                rule(at(RETENTION), None, Stage::Retention),
                rule(at(CONSIDERATION), None, Stage::Consideration),
                rule(at(AWARENESS), None, Stage::Awareness),
            ]),
            moves: None,
        }
    }

    /// What it is called.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What reports are titled with: the name, and the version where it is not the first.
    pub(crate) fn title(name: &str, version: u32) -> String {
        if version == 1 { format!("{name} model") } else { format!("{name} model, version {version}") }
    }

    /// Its version, counted up by its author at each change.
    pub fn version(&self) -> u32 {
        self.version
    }

    /// Its stages, from first to last.
    pub fn stages(&self) -> &[StageName] {
        &self.stages
    }

    /// Its rules, in the order in which they are tried.
    pub fn rules(&self) -> &[Rule] {
        &self.rules
    }

    /// The place of a stage in the order, from 0, by its name or another spelling of it.
    pub fn position(&self, name: &str) -> Option<usize> {
        let name =
            self.aliases.iter().find(|(alias, _)| alias.as_str() == name).map_or(name, |(_, real)| real.as_str());
        self.stages.iter().position(|stage| stage.as_str() == name)
    }

    /// Other spellings of its stages.
    pub fn aliases(&self) -> &[(StageName, StageName)] {
        &self.aliases
    }

    /// Whether the model says which moves it allows.
    pub(crate) fn names_moves(&self) -> bool {
        self.moves.is_some()
    }

    /// True if the model allows this move, or names no moves at all. Places are those of [`position`](Self::position).
    pub fn allows(&self, from: usize, to: usize) -> bool {
        let Some(moves) = &self.moves else { return true };
        let (Some(from), Some(to)) = (self.stages.get(from), self.stages.get(to)) else { return false };
        moves.iter().any(|(a, b)| a == from && b == to)
    }

    /// How the move from one place to another is called; `None` for staying.
    pub fn kind_of(from: Option<usize>, to: usize) -> Option<MoveKind> {
        match from {
            None => Some(MoveKind::Entry),
            Some(from) if from == to => None,
            Some(from) if from.checked_add(1) == Some(to) => Some(MoveKind::Advance),
            Some(from) if from < to => Some(MoveKind::Skip),
            Some(_) => Some(MoveKind::Regression),
        }
    }
}

impl Default for JourneyModel {
    fn default() -> Self {
        Self::standard()
    }
}

/// A journey model in the making; see [`JourneyModel::builder`]. It is also the JSON form of a model:
/// `{"name":"shop","version":1,"stages":["visiting","buying"],"rules":[{"when":{"touchpoint":"cart"},"stage":"visiting"}]}`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(remote = "Self", expecting = "an object", deny_unknown_fields)]
#[must_use = "a model is only made by build"]
pub struct JourneyModelBuilder {
    name: String,
    #[serde(default = "one")]
    version: u32,
    stages: Vec<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    aliases: Vec<(String, String)>,
    #[serde(default)]
    rules: Vec<RuleForm>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    moves: Option<Vec<(String, String)>>,
}

only_an_object!(JourneyModelBuilder);

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(remote = "Self", expecting = "an object", deny_unknown_fields)]
struct RuleForm {
    when: Condition,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    nth: Option<Nth>,
    stage: String,
}

only_an_object!(RuleForm);

fn one() -> u32 {
    1
}

impl JourneyModelBuilder {
    /// Sets the version. The default is 1.
    pub fn version(mut self, version: u32) -> Self {
        self.version = version;
        self
    }

    /// Adds a rule, tried after those before it: an event for which `when` holds bears `stage`.
    pub fn rule(mut self, when: Condition, stage: impl AsRef<str>) -> Self {
        self.rules.push(RuleForm { when, nth: None, stage: stage.as_ref().to_owned() });
        self
    }

    /// Adds a rule for the nth event of a journey for which `when` holds, such as the second purchase. All events for which it holds count, also
    /// those whose stage an earlier rule or their own decides.
    pub fn rule_nth(mut self, when: Condition, nth: Nth, stage: impl AsRef<str>) -> Self {
        self.rules.push(RuleForm { when, nth: Some(nth), stage: stage.as_ref().to_owned() });
        self
    }

    /// Adds another spelling of a stage, for events that bring their stage with them.
    pub fn alias(mut self, alias: impl Into<String>, stage: impl Into<String>) -> Self {
        self.aliases.push((alias.into(), stage.into()));
        self
    }

    /// Says which moves are allowed; without it, all are. Transitions outside are marked in reports.
    pub fn moves<A: Into<String>, B: Into<String>>(mut self, moves: impl IntoIterator<Item = (A, B)>) -> Self {
        self.moves = Some(moves.into_iter().map(|(a, b)| (a.into(), b.into())).collect());
        self
    }

    /// Checks and makes the model.
    ///
    /// # Errors
    /// [`InvalidPlan`] if there is no stage or more than 64, a stage twice, more than 64 rules, 256 aliases or 4,096
    /// moves, a rule, alias or move that names no stage of the model, an nth of 0, or a rule that asks for a stage.
    pub fn build(self) -> Result<JourneyModel, InvalidPlan> {
        let Self { name, version, stages, aliases, rules, moves } = self;
        let refuse = |at: String, reason: String| Err(InvalidPlan::new(at, reason));
        super::check_name("model.name", &name)?;
        let stages = stages.iter().map(StageName::new).collect::<Result<Vec<_>, _>>().map_err(|e| e.within("model"))?;
        if stages.is_empty() || stages.len() > LIMIT_STAGES {
            return refuse(
                "model.stages".into(),
                format!("has {} stages, 1 to {LIMIT_STAGES} are allowed", stages.len()),
            );
        }
        if stages.iter().collect::<BTreeSet<_>>().len() != stages.len() {
            return refuse("model.stages".into(), "names a stage twice".into());
        }
        if rules.len() > LIMIT_RULES {
            return refuse("model.rules".into(), format!("has {} rules, the limit is {LIMIT_RULES}", rules.len()));
        }
        if aliases.len() > LIMIT_ALIASES {
            return refuse(
                "model.aliases".into(),
                format!("has {} entries, the limit is {LIMIT_ALIASES}", aliases.len()),
            );
        }
        if let Some(moves) = moves.as_ref().filter(|moves| moves.len() > LIMIT_MOVES) {
            return refuse("model.moves".into(), format!("has {} entries, the limit is {LIMIT_MOVES}", moves.len()));
        }
        let known = |at: String, stage: &str| {
            let stage = StageName::new(stage)?;
            if stages.contains(&stage) {
                Ok(stage)
            } else {
                Err(InvalidPlan::new(at, format!("{stage} is no stage of the model")))
            }
        };
        let aliases = aliases
            .iter()
            .map(|(alias, stage)| {
                let alias = StageName::new(alias)?;
                if stages.contains(&alias) {
                    return Err(InvalidPlan::new("model.aliases", format!("{alias} is a stage of the model itself")));
                }
                Ok((alias, known("model.aliases".into(), stage)?))
            })
            .collect::<Result<Vec<_>, InvalidPlan>>()?;
        let mut checked = Vec::with_capacity(rules.len());
        for (i, rule) in rules.into_iter().enumerate() {
            let at = format!("model.rules[{i}]");
            rule.when.check().map_err(|e| e.within(&at))?;
            if rule.when.asks_stage() {
                return refuse(at, "asks for a stage, which is what rules find out".into());
            }
            if matches!(rule.nth, Some(Nth::Only(0) | Nth::From { from: 0 })) {
                return refuse(at, "nth counts from 1".into());
            }
            checked.push(Rule { stage: known(at, &rule.stage)?, when: rule.when, nth: rule.nth });
        }
        let moves = moves
            .map(|moves| {
                let each =
                    moves.iter().map(|(a, b)| Ok((known("model.moves".into(), a)?, known("model.moves".into(), b)?)));
                each.collect::<Result<Vec<_>, InvalidPlan>>()
            })
            .transpose()?;
        Ok(JourneyModel { name, version, stages, aliases, rules: checked.into(), moves })
    }
}

impl TryFrom<JourneyModelBuilder> for JourneyModel {
    type Error = InvalidPlan;
    fn try_from(builder: JourneyModelBuilder) -> Result<Self, InvalidPlan> {
        builder.build()
    }
}

impl From<JourneyModel> for JourneyModelBuilder {
    fn from(model: JourneyModel) -> Self {
        let pair = |(a, b): (StageName, StageName)| (a.into(), b.into());
        Self {
            name: model.name,
            version: model.version,
            stages: model.stages.into_iter().map(String::from).collect(),
            aliases: model.aliases.into_iter().map(pair).collect(),
            rules: model
                .rules
                .iter()
                .cloned()
                .map(|r| RuleForm { when: r.when, nth: r.nth, stage: r.stage.into() })
                .collect(),
            moves: model.moves.map(|moves| moves.into_iter().map(pair).collect()),
        }
    }
}

impl From<InvalidPlan> for InvalidValue {
    fn from(plan: InvalidPlan) -> Self {
        Self::new(plan.at(), plan.reason())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_standard_model_is_itself_again_in_json() {
        let model = JourneyModel::standard();
        let text = serde_json::to_string(&model).unwrap();
        assert_eq!(serde_json::from_str::<JourneyModel>(&text).unwrap(), model);
    }

    #[test]
    fn kinds_of_moves() {
        assert_eq!(JourneyModel::kind_of(None, 3), Some(MoveKind::Entry));
        assert_eq!(JourneyModel::kind_of(Some(0), 1), Some(MoveKind::Advance));
        assert_eq!(JourneyModel::kind_of(Some(0), 2), Some(MoveKind::Skip));
        assert_eq!(JourneyModel::kind_of(Some(2), 0), Some(MoveKind::Regression));
        assert_eq!(JourneyModel::kind_of(Some(2), 2), None);
    }

    #[test]
    fn impossible_models_say_where() {
        let cart = || Condition::touchpoint("cart").unwrap();
        let refused = |builder: JourneyModelBuilder| builder.build().unwrap_err().to_string();
        assert!(refused(JourneyModel::builder::<&str>("m", [])).contains("has 0 stages"));
        assert!(refused(JourneyModel::builder("m", ["a", "a"])).contains("twice"));
        assert!(
            refused(JourneyModel::builder("m", ["a"]).rule(cart(), "b")).starts_with("model.rules[0]: b is no stage")
        );
        assert!(refused(JourneyModel::builder("m", ["a"]).rule_nth(cart(), Nth::Only(0), "a")).contains("from 1"));
        assert!(
            refused(JourneyModel::builder("m", ["a"]).rule(Condition::stage("a").unwrap(), "a"))
                .contains("asks for a stage")
        );
        assert!(refused(JourneyModel::builder("m", ["a", "b"]).alias("a", "b")).contains("a is a stage"));
        assert!(refused(JourneyModel::builder("m", ["a"]).moves([("a", "x")])).contains("x is no stage"));
    }

    #[test]
    fn allowed_moves() {
        let model = JourneyModel::builder("m", ["a", "b", "c"]).moves([("a", "b")]).build().unwrap();
        assert!(model.allows(0, 1));
        assert!(!model.allows(0, 2));
    }
}

//! Segments: which customers, by what they did, did not do, are, or scored.

use std::collections::BTreeMap;

use rust_decimal::Decimal;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{
    Comparison, Condition, Currency, Micros, RefusedName, SegmentBuilder, StageName, Survey, Window,
    segment_builder::taken_apart,
    segment_form::{Form, Reading, Score, Sum, check_shape},
};
use crate::error::{InvalidPlan, without_value};

/// Segments nest at most this deep.
pub const LIMIT_SEGMENT_DEPTH: usize = 32;
/// A segment has at most so many parts that are no `all`, `any` or `not` of others.
pub const LIMIT_SEGMENT_LEAVES: usize = 64;

/// A set of customers, chosen by what they did, did not do, are, or scored.
///
/// # Question
/// Who put something in the cart and did not buy within three days? Who bought twice this year, and is unhappy?
///
/// # Definition
/// A segment looks at a customer's whole history: all their events up to the scope's `as_of` and `known_at`. It is not narrowed
/// by the scope's range or filter: whoever filters for one channel still asks what customers did at all. Its stages are read by
/// the question's journey model.
///
/// | JSON | Rust | the customers who |
/// |---|---|---|
/// | `{"did":C}` | [`did`](Self::did) | have an event for which the [`Condition`] C holds; with `at_least`, `at_most` (none is at most any number) or `exactly`, so many |
/// | `{"did_not":C}` | [`did_not`](Self::did_not) | have none |
/// | `{"did":C,"then":D,"within":"3d"}` | [`then`](SegmentBuilder::then) | have an event C, and another event D not earlier than it and not later than so long after it, inclusive; without `within`, any time after |
/// | `{"did":C,"then_not":D,"within":"3d"}` | [`then_not`](SegmentBuilder::then_not) | have an event C whose time is over at the end of observation, and that is not followed so |
/// | `{"first":C,"is":D}`, `{"last":C,"is":D}` | [`first`](Self::first), [`last`](Self::last) | have an event C, and D holds for the first (last) of these |
/// | `{"stage":"purchase"}` | [`in_stage`](Self::in_stage) | are in that stage at the end of observation |
/// | `{"reached":"purchase"}` | [`reached`](Self::reached) | came into that stage |
/// | `{"score":{"survey":"nps","le":6}}` | [`score`](Self::score) | answered that survey, and the latest answer compares so; or `"answer":"first"`, or `"any"` of them |
/// | `{"value":{"currency":"EUR","ge":"500"},"of":C}` | [`value`](Self::value) | spent so much: the sum of the money of their events C (all, without `of`) in that currency, which is 0 if there is none |
/// | `{"all":[..]}`, `{"any":[..]}`, `{"not":..}` | [`all`](Self::all), [`any`](Self::any), [`negated`](SegmentBuilder::negated) | are in all of these segments (`[]`: everyone), in any of them (`[]`: no one), not in that one |
/// | `{"segment":"loyal"}` | [`named`](Self::named) | are in the segment that the store keeps under that name |
///
/// **Times.** All but `stage` take `"from"` (inclusive), `"to"` (exclusive) and `"past":"30d"`, the time from so long before the end
/// of observation on, inclusive; several must all hold. Of `did`, `did_not`, `score` and `value` other events are not looked at.
/// Of `then` and `then_not` they say which events C count; D is looked for up to the end of observation. Of `first` and `last`
/// they say when the very first (last) event C must have happened, and of `reached` when a visit to the stage must have begun.
///
/// **Not yet.** Whoever put something in the cart yesterday has not failed to buy within three days: they are *pending*, in
/// neither the segment with `then` nor the one with `then_not`. An event's time is over if so long after it observation has ended,
/// as in a [`Funnel`](crate::Funnel). Without `within` nothing is pending: `then_not` is "not up to now". Mind that `not` of a `then` is
/// everybody else, those who never put anything in the cart and those pending among them.
///
/// **Several.** `then` and `then_not` ask whether there is *an* event C that was (was not) followed: whoever left one cart and bought
/// with the next is in both. "Left a cart, and never bought within three days of one" is both `then_not` and `not` `then`.
///
/// **Ties.** C and D of `then` may happen at the same instant in either order, and one event serves only one of them, as in a funnel. The
/// first, the last, the latest answer and the current stage follow the order of the log where several events share an instant.
///
/// **Names.** A name stands for what it is when the question is asked, as if that stood in its place, one level deeper; the limits are
/// those of the whole. A store keeps no segment that names itself, in however wide a circle, or one that it does not have.
///
/// # Worked example
/// ```
/// use chrono::{DateTime, TimeDelta, Utc};
/// use journeylog::{Event, Journeys, Members, Segment};
///
/// let day = |d| DateTime::<Utc>::UNIX_EPOCH + TimeDelta::days(d);
/// let journeys = Journeys::of([
///     Event::at(day(0), "ann", "add_to_cart"), Event::at(day(3), "ann", "purchase"), // three days are still within
///     Event::at(day(0), "bob", "add_to_cart"), Event::at(day(4), "bob", "purchase"), // too late
///     Event::at(day(2), "cat", "add_to_cart"), // pending: her three days end on day 5
///     Event::at(day(1), "dan", "purchase"),
/// ])?;
/// let abandoned = Segment::did("add_to_cart").then_not("purchase").within(TimeDelta::days(3)).build()?;
/// let read: Segment = serde_json::from_str(
///     r#"{"did":{"touchpoint":"add_to_cart"},"then_not":{"touchpoint":"purchase"},"within":"3d"}"#,
/// )?;
/// assert_eq!(read, abandoned);
///
/// let asked = journeys.query().run(&Members::of(&abandoned).list_customers())?;
/// assert_eq!((asked.members.some, asked.members.of), (1, 4));
/// assert_eq!(asked.customers.unwrap()[0].as_str(), "bob");
/// let later = journeys.query().as_of(day(5)).run(&Members::of(&abandoned))?;
/// assert_eq!(later.members.some, 2); // by then Cat has not bought either
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Options
/// A segment is the scope of a question ([`Query::segment`](crate::Query::segment)), its breakdown
/// ([`BySegment`](crate::BySegment)), or what is counted ([`Members`](crate::Members)). It nests at most 32 deep and has at most 64
/// leaves.
///
/// # Cost
/// Time: each event is looked at once for all leaves of a segment that count or compare, and once more for each `value`; whatever a
/// question needs of the same columns is read once. Memory: the matching events of the few thousand rows that are read at a time.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(try_from = "super::UniqueKeys")]
#[must_use = "a segment says nothing until it is asked for"]
pub struct Segment(pub(super) Box<Form>);

impl Serialize for Segment {
    fn serialize<S: serde::Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        self.0.serialize(to)
    }
}

/// Which answers of a customer to a survey are compared.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum WhichAnswer {
    /// The latest. The default.
    #[default]
    Latest,
    /// The first.
    First,
    /// Each of them: one that compares so is enough.
    Any,
}

/// A part of a segment, checked. What a customer *is* is asked by conditions on profiles.
#[derive(Debug, Clone)]
pub(crate) enum SegmentPart {
    All(Vec<Self>),
    Any(Vec<Self>),
    Not(Box<Self>),
    /// Events for which it holds, as many.
    Did {
        when: Condition,
        least: u32,
        most: Option<u32>,
        span: SegmentSpan,
    },
    /// An event, and whether another follows it.
    Then {
        when: Condition,
        then: Condition,
        within: Option<Window>,
        follows: bool,
        span: SegmentSpan,
    },
    /// What holds for the first or last event for which a condition does, and when it happened.
    Edge {
        when: Condition,
        is_last: bool,
        is: Option<Condition>,
        span: SegmentSpan,
    },
    Stage(StageName),
    Reached(StageName, SegmentSpan),
    Value {
        of: Condition,
        currency: Currency,
        test: Comparison<Decimal>,
        span: SegmentSpan,
    },
}

/// The times that a part of a segment looks at.
#[derive(Debug, Clone, Copy)]
pub(crate) struct SegmentSpan {
    pub(crate) from: Option<Micros>,
    pub(crate) to: Option<Micros>,
    /// So long before the end of observation and later.
    pub(crate) past: Option<Window>,
    /// Whether the first or last event is that of these times, and not that of all which must lie in them.
    pub(crate) narrows: bool,
}

impl Segment {
    pub(super) fn begin(form: Form) -> SegmentBuilder {
        SegmentBuilder { form, refused: None }
    }

    fn of<C>(when: C, put: impl FnOnce(Condition) -> Form) -> SegmentBuilder
    where
        C: TryInto<Condition, Error: Into<RefusedName>>,
    {
        match when.try_into() {
            Ok(condition) => Self::begin(put(condition)),
            Err(e) => SegmentBuilder { form: Form::default(), refused: Some(e.into().into()) },
        }
    }

    fn of_stage(stage: &str, put: impl FnOnce(StageName) -> Form) -> SegmentBuilder {
        match StageName::new(stage) {
            Ok(stage) => Self::begin(put(stage)),
            Err(e) => SegmentBuilder { form: Form::default(), refused: Some(e) },
        }
    }

    /// Customers with an event for which this holds, or as many as the builder says. A text alone is a touchpoint.
    pub fn did<C>(when: C) -> SegmentBuilder
    where
        C: TryInto<Condition, Error: Into<RefusedName>>,
    {
        Self::of(when, |when| Form { did: Some(when), ..Form::default() })
    }

    /// Customers without an event for which this holds.
    pub fn did_not<C>(when: C) -> SegmentBuilder
    where
        C: TryInto<Condition, Error: Into<RefusedName>>,
    {
        Self::of(when, |when| Form { did_not: Some(when), ..Form::default() })
    }

    /// Customers of whose events for which this holds the first is as the builder says: [`is`](SegmentBuilder::is), or within a time.
    /// The very first event is that of `Condition::All(vec![])`.
    pub fn first<C>(when: C) -> SegmentBuilder
    where
        C: TryInto<Condition, Error: Into<RefusedName>>,
    {
        Self::of(when, |when| Form { first: Some(when), ..Form::default() })
    }

    /// The same of the last.
    pub fn last<C>(when: C) -> SegmentBuilder
    where
        C: TryInto<Condition, Error: Into<RefusedName>>,
    {
        Self::of(when, |when| Form { last: Some(when), ..Form::default() })
    }

    /// Customers who are in this stage at the end of observation.
    pub fn in_stage(stage: impl AsRef<str>) -> SegmentBuilder {
        Self::of_stage(stage.as_ref(), |stage| Form { stage: Some(stage), ..Form::default() })
    }

    /// Customers who came into this stage.
    pub fn reached(stage: impl AsRef<str>) -> SegmentBuilder {
        Self::of_stage(stage.as_ref(), |stage| Form { reached: Some(stage), ..Form::default() })
    }

    /// Customers whose latest answer to this survey compares so.
    pub fn score(survey: Survey, test: Comparison<u8>) -> SegmentBuilder {
        let score = Score(Condition::Feedback { survey: Some(survey), test });
        Self::begin(Form { score: Some(score), ..Form::default() })
    }

    /// Customers the sum of whose money in this currency compares so.
    pub fn value(currency: Currency, test: Comparison<Decimal>) -> SegmentBuilder {
        let sum = Sum(Condition::Value { currency: Some(currency), test });
        Self::begin(Form { value: Some(sum), ..Form::default() })
    }

    /// Customers who are in the segment that the store keeps under this name
    /// ([`Store::define_segment`](crate::Store::define_segment)): a part of others. Alone, a name is a [`SegmentRef`](crate::SegmentRef).
    pub fn named(name: impl Into<String>) -> SegmentBuilder {
        Self::begin(Form { segment: Some(name.into()), ..Form::default() })
    }

    /// Customers who are in all of these.
    pub fn all<S: Into<SegmentBuilder>>(segments: impl IntoIterator<Item = S>) -> SegmentBuilder {
        let (forms, refused) = taken_apart(segments);
        SegmentBuilder { form: Form { all: Some(forms), ..Form::default() }, refused }
    }

    /// Customers who are in any of these.
    pub fn any<S: Into<SegmentBuilder>>(segments: impl IntoIterator<Item = S>) -> SegmentBuilder {
        let (forms, refused) = taken_apart(segments);
        SegmentBuilder { form: Form { any: Some(forms), ..Form::default() }, refused }
    }

    /// What it asks, taken apart, by the segments that have a name; it may have one itself.
    ///
    /// # Errors
    /// [`InvalidPlan`] if it names one that is not there, or itself, or if it is too large with what its names stand for.
    pub(crate) fn part(
        &self,
        named: &BTreeMap<String, Self>,
        own_name: Option<&str>,
    ) -> Result<SegmentPart, InvalidPlan> {
        let at = own_name.map_or_else(|| "segment".to_owned(), |name| format!("segment({name})"));
        self.0.read(&at, LIMIT_SEGMENT_DEPTH, &mut Reading::with(named, own_name))
    }

    /// Whether it names another for which this holds.
    pub(crate) fn names(&self, wanted: impl Fn(&str) -> bool) -> bool {
        self.0.has_name(&wanted)
    }

    pub(super) fn form(&self) -> &Form {
        &self.0
    }
}

impl TryFrom<Value> for Segment {
    type Error = InvalidPlan;

    fn try_from(value: Value) -> Result<Self, InvalidPlan> {
        check_shape("segment", &value, LIMIT_SEGMENT_DEPTH)?;
        let form = serde_path_to_error::deserialize(value).map_err(|e| {
            let path = e.path().to_string();
            let at = if path == "." { "segment".to_owned() } else { format!("segment.{path}") };
            InvalidPlan::new(at, without_value(e.inner().to_string()))
        });
        Segment::begin(form?).build()
    }
}

#[cfg(test)]
mod tests {
    use chrono::TimeDelta;
    use serde_json::json;

    use super::*;

    fn segment(text: &str) -> Result<Segment, InvalidPlan> {
        serde_json::from_str::<Value>(text).unwrap().try_into()
    }

    #[test]
    fn each_form_is_itself_again() {
        for text in [
            r#"{"did":{"touchpoint":"a"}}"#,
            r#"{"did":{"touchpoint":"a"},"at_least":2,"at_most":5,"past":"30d"}"#,
            r#"{"did":{"touchpoint":"a"},"exactly":0,"from":"2026-03-01T00:00:00Z","to":"2026-04-01T00:00:00Z"}"#,
            r#"{"did_not":{"channel":"email"}}"#,
            r#"{"did":{"touchpoint":"a"},"then":{"touchpoint":"b"},"within":"3d","past":"7d"}"#,
            r#"{"did":{"touchpoint":"a"},"then_not":{"touchpoint":"b"}}"#,
            r#"{"first":{"all":[]},"is":{"channel":"email"}}"#,
            r#"{"last":{"touchpoint":"a"},"from":"2026-03-01T00:00:00Z"}"#,
            r#"{"stage":"purchase"}"#,
            r#"{"reached":"purchase","past":"30d"}"#,
            r#"{"score":{"survey":"nps","le":6},"answer":"first"}"#,
            r#"{"value":{"currency":"EUR","ge":"10.50"},"of":{"touchpoint":"a"},"past":"365d"}"#,
            r#"{"any":[{"not":{"did":{"touchpoint":"a"}}},{"all":[]},{"segment":"loyal"}]}"#,
        ] {
            let read = segment(text).unwrap_or_else(|e| panic!("{text}: {e}"));
            assert_eq!(serde_json::to_value(&read).unwrap(), serde_json::from_str::<Value>(text).unwrap());
            let again: SegmentBuilder = (&read).into();
            assert_eq!(again.build().unwrap(), read);
        }
    }

    #[test]
    fn refusals_say_what_and_where() {
        for (text, expected) in [
            ("{}", "segment: needs one of did, did_not"),
            ("[]", "segment: is not an object"),
            (r#"{"any":[{"all":[]},{"not":[null]}]}"#, "segment.any[1].not: is not an object"),
            (r#"{"dit":{"touchpoint":"a"}}"#, "segment.dit: unknown field"),
            (r#"{"any":[{"all":[]},{"did":{"touchpiont":"a"}}]}"#, "segment.any[1].did: touchpiont: is an unknown key"),
            (r#"{"did":{"all":[]},"did_not":{"all":[]}}"#, "segment: needs one of"),
            (r#"{"did":{"all":[]},"within":"3d"}"#, "segment.within: is nothing that did takes"),
            (r#"{"did":{"all":[]},"then":{"all":[]},"exactly":2}"#, "exactly: is nothing that did with then"),
            (r#"{"did":{"all":[]},"then":{"all":[]},"then_not":{"all":[]}}"#, "then_not: goes not with then"),
            (r#"{"did":{"all":[]},"exactly":2,"at_least":1}"#, "exactly: goes not with"),
            (r#"{"did":{"all":[]},"at_most":1,"at_least":2}"#, "at_most: is less than at_least"),
            (r#"{"did":{"all":[]},"at_least":-1}"#, "segment.at_least"),
            (r#"{"did":{"all":[]},"past":"30 days"}"#, "segment.past"),
            (r#"{"did":{"all":[]},"from":"yesterday"}"#, "segment.from: is not an RFC 3339 time"),
            (
                r#"{"not":{"did":{"all":[]},"from":"2026-03-01T00:00:00Z","to":"2026-03-01T00:00:00Z"}}"#,
                "segment.not.to: is not after from",
            ),
            (r#"{"first":{"all":[]}}"#, "segment.first: says nothing"),
            (r#"{"segment":"loyal","past":"3d"}"#, "segment.past: is nothing that segment takes"),
            (r#"{"not":{"segment":""}}"#, "segment.not.segment: is empty"),
            (r#"{"stage":"purchase","past":"3d"}"#, "segment.past: is nothing that stage takes"),
            (r#"{"stage":""}"#, "segment.stage"),
            (r#"{"score":{"survey":"nps","ge":7,"le":8}}"#, "segment.score: takes one survey and one comparison"),
            (r#"{"score":{"survey":"smile","ge":7}}"#, "segment.score: feedback.survey"),
            (r#"{"value":{"currency":"EUR","exists":true}}"#, "segment.value: compares a sum"),
            (r#"{"value":{"ge":"1"}}"#, "needs a currency"),
        ] {
            let refused = segment(text).expect_err(text).to_string();
            assert!(refused.contains(expected), "{text}: {refused}");
        }
        let refused = Segment::did("").build().unwrap_err().to_string();
        assert_eq!(refused, "segment.touchpoint: is empty");
        let refused = Segment::did("a").then("b").within(TimeDelta::days(-1)).negated().build().unwrap_err();
        assert_eq!(refused.at(), "segment.within");
    }

    #[test]
    fn names_are_looked_up() {
        let kept = |segments: &[(&str, &str)]| -> BTreeMap<String, Segment> {
            segments.iter().map(|(name, text)| ((*name).to_owned(), segment(text).unwrap())).collect()
        };
        let refused = |text: &str, named: &BTreeMap<String, Segment>, own: Option<&str>| {
            segment(text).unwrap().part(named, own).unwrap_err().to_string()
        };
        let circle = kept(&[("a", r#"{"not":{"segment":"b"}}"#), ("b", r#"{"any":[{"segment":"a"}]}"#)]);
        let text = refused(r#"{"segment":"b"}"#, &circle, None);
        assert_eq!(text, "segment.segment(b).any[0].segment(a).not.segment: names itself: b > a > b");
        assert!(refused(r#"{"segment":"c"}"#, &circle, Some("c")).contains("under the name c (there are a, b)"));
        let many = (0..12).map(|i| (format!("s{i:02}"), segment(r#"{"stage":"a"}"#).unwrap())).collect();
        assert!(refused(r#"{"segment":"c"}"#, &many, None).ends_with("s08, s09 and 2 more)"));
        let alone = kept(&[("c", r#"{"segment":"c"}"#)]);
        assert!(refused(r#"{"segment":"c"}"#, &alone, Some("c")).ends_with("names itself: c > c"));
        // Twice the leaves with each name, and one level more with each.
        let doubling: BTreeMap<String, Segment> = (0..40)
            .map(|i| (format!("s{i}"), format!(r#"{{"any":[{{"segment":"s{0}"}},{{"segment":"s{0}"}}]}}"#, i + 1)))
            .chain([("s40".to_owned(), r#"{"stage":"a"}"#.to_owned())])
            .map(|(name, text)| (name, segment(&text).unwrap()))
            .collect();
        assert!(refused(r#"{"segment":"s33"}"#, &doubling, None).contains("has 65 leaves or more"));
        // Of one that has a name, which may not be the one that was asked to be changed, it is said.
        let text = refused(r#"{"segment":"s33"}"#, &doubling, Some("large"));
        assert_eq!(text, "segment(large): has 65 leaves or more, the limit is 64");
        assert!(segment(r#"{"segment":"s34"}"#).unwrap().part(&doubling, None).is_ok());
        let chain: BTreeMap<String, Segment> = (0..40)
            .map(|i| (format!("s{i}"), format!(r#"{{"segment":"s{}"}}"#, i + 1)))
            .chain([("s40".to_owned(), r#"{"stage":"a"}"#.to_owned())])
            .map(|(name, text)| (name, segment(&text).unwrap()))
            .collect();
        assert!(refused(r#"{"segment":"s9"}"#, &chain, None).ends_with("nests deeper than 32"));
        assert!(segment(r#"{"segment":"s10"}"#).unwrap().part(&chain, None).is_ok());
    }

    #[test]
    fn a_value_made_by_hand_nests_no_deeper() {
        let not = |inner| Value::Object([("not".to_owned(), inner)].into_iter().collect());
        let deep = (0..1_500).fold(json!({"stage": "a"}), |inner, _| not(inner));
        assert_eq!(Segment::try_from(deep).unwrap_err().to_string(), "segment: nests deeper than 32");
    }
}

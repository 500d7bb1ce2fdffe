//! How a segment is made.

use std::ops::Range;

use chrono::{DateTime, TimeDelta, Utc};

use super::{
    Condition, LIMIT_SEGMENT_DEPTH, RefusedName, Segment, WhichAnswer, Window,
    segment_form::{Form, Reading},
};
use crate::error::{InvalidPlan, InvalidValue};

/// A segment in the making; see [`Segment`]. Settings that its kind does not take are refused by [`build`](Self::build).
#[derive(Debug, Clone, PartialEq)]
#[must_use = "a segment is only made by build"]
pub struct SegmentBuilder {
    pub(super) form: Form,
    pub(super) refused: Option<InvalidValue>,
}

impl From<Segment> for SegmentBuilder {
    fn from(Segment(form): Segment) -> Self {
        Segment::begin(*form)
    }
}

impl From<&Segment> for SegmentBuilder {
    fn from(segment: &Segment) -> Self {
        segment.clone().into()
    }
}

impl SegmentBuilder {
    fn condition<C>(&mut self, condition: C) -> Option<Condition>
    where
        C: TryInto<Condition, Error: Into<RefusedName>>,
    {
        match condition.try_into() {
            Ok(condition) => Some(condition),
            Err(e) => {
                self.refused = Some(e.into().into());
                None
            }
        }
    }

    fn window(&mut self, key: &str, span: TimeDelta) -> Option<Window> {
        match Window::try_from(span) {
            Ok(window) => Some(window),
            Err(e) => {
                self.refused = Some(InvalidValue::new(key, e.reason()));
                None
            }
        }
    }

    /// Of `did`: an event for which this holds must follow.
    pub fn then<C>(mut self, next: C) -> Self
    where
        C: TryInto<Condition, Error: Into<RefusedName>>,
    {
        self.form.then = self.condition(next);
        self
    }

    /// Of `did`: no event for which this holds must follow, and the time for it must be over.
    pub fn then_not<C>(mut self, next: C) -> Self
    where
        C: TryInto<Condition, Error: Into<RefusedName>>,
    {
        self.form.then_not = self.condition(next);
        self
    }

    /// Of `then` and `then_not`: how long after it, inclusive. The default is any time.
    pub fn within(mut self, window: TimeDelta) -> Self {
        self.form.within = self.window("within", window);
        self
    }

    /// Of `did`: so many events or more. The default is 1, or 0 if there is an [`at_most`](Self::at_most).
    pub fn at_least(mut self, count: u32) -> Self {
        self.form.at_least = Some(count);
        self
    }

    /// Of `did`: so many events or fewer, none among them.
    pub fn at_most(mut self, count: u32) -> Self {
        self.form.at_most = Some(count);
        self
    }

    /// Of `did`: so many events.
    pub fn exactly(mut self, count: u32) -> Self {
        self.form.exactly = Some(count);
        self
    }

    /// Of `first` and `last`: this must hold for that event too.
    pub fn is<C>(mut self, condition: C) -> Self
    where
        C: TryInto<Condition, Error: Into<RefusedName>>,
    {
        self.form.is = self.condition(condition);
        self
    }

    /// Of `score`: which answers are compared. The default is the latest.
    pub fn answer(mut self, which: WhichAnswer) -> Self {
        self.form.answer = Some(which);
        self
    }

    /// Of `value`: the money of events for which this holds. The default is that of all.
    pub fn of<C>(mut self, when: C) -> Self
    where
        C: TryInto<Condition, Error: Into<RefusedName>>,
    {
        self.form.of = self.condition(when);
        self
    }

    /// In this time; the start is in, the end is not.
    pub fn between(mut self, range: Range<DateTime<Utc>>) -> Self {
        (self.form.from, self.form.to) = (Some(range.start), Some(range.end));
        self
    }

    /// From this moment on.
    pub fn from(mut self, from: DateTime<Utc>) -> Self {
        self.form.from = Some(from);
        self
    }

    /// Before this moment.
    pub fn to(mut self, to: DateTime<Utc>) -> Self {
        self.form.to = Some(to);
        self
    }

    /// In this long a time before the end of observation, both ends in.
    pub fn past(mut self, window: TimeDelta) -> Self {
        self.form.past = self.window("past", window);
        self
    }

    /// Customers who are in this and in the other.
    pub fn and(self, other: impl Into<Self>) -> Self {
        Segment::all([self, other.into()])
    }

    /// Customers who are in this or in the other.
    pub fn or(self, other: impl Into<Self>) -> Self {
        Segment::any([self, other.into()])
    }

    /// All other customers.
    pub fn negated(self) -> Self {
        Self { form: Form { not: Some(Box::new(self.form)), ..Form::default() }, refused: self.refused }
    }

    /// Checks and makes the segment.
    ///
    /// # Errors
    /// [`InvalidPlan`] if a part was refused, or has settings that it does not take; if a condition cannot be asked; if a time ends
    /// before it begins, or a count can never be; if it nests deeper than 32 or has more than 64 leaves.
    pub fn build(self) -> Result<Segment, InvalidPlan> {
        if let Some(refused) = self.refused {
            return Err(refused.within("segment").into());
        }
        let segment = Segment(Box::new(self.form));
        segment.0.read("segment", LIMIT_SEGMENT_DEPTH, &mut Reading::default())?;
        Ok(segment)
    }
}

/// The forms of several segments, and what is refused of the first of them that is.
pub(super) fn taken_apart<S: Into<SegmentBuilder>>(
    segments: impl IntoIterator<Item = S>,
) -> (Vec<Form>, Option<InvalidValue>) {
    let mut first_refused = None;
    let take = |segment: S| {
        let SegmentBuilder { form, refused } = segment.into();
        first_refused = first_refused.take().or(refused);
        form
    };
    (segments.into_iter().map(take).collect(), first_refused)
}

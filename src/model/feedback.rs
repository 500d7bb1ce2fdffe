//! Answers to surveys.

use serde::{Deserialize, Serialize};

use super::only_an_object;
use crate::error::InvalidValue;

/// A kind of survey, with the scores it allows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Survey {
    /// Net Promoter Score, 0 to 10: "how likely are you to recommend us?"
    Nps,
    /// Customer satisfaction, 1 to 5.
    Csat,
    /// Customer effort, 1 to 7; higher is easier.
    Ces,
}

impl Survey {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Nps, Self::Csat, Self::Ces];

    /// The name in JSON: `nps`, `csat` or `ces`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Nps => "nps",
            Self::Csat => "csat",
            Self::Ces => "ces",
        }
    }

    /// The scores it allows.
    pub fn scores(self) -> std::ops::RangeInclusive<u8> {
        match self {
            Self::Nps => 0..=10,
            Self::Csat => 1..=5,
            Self::Ces => 1..=7,
        }
    }

    /// Whether a score is favourable: 9 and 10 of NPS, 4 and 5 of CSAT, 5 to 7 of CES.
    pub(crate) fn is_favourable(self, score: u8) -> bool {
        match self {
            Self::Nps => score >= 9,
            Self::Csat => score >= 4,
            Self::Ces => score >= 5,
        }
    }

    /// Whether it is a detractor's: 0 to 6 of NPS; other surveys have none.
    pub(crate) fn is_detractor(self, score: u8) -> bool {
        self == Self::Nps && score <= 6
    }
}

/// One answer to a survey: a score in the survey's range, and perhaps a comment.
///
/// ```
/// use journeylog::Feedback;
/// let happy = Feedback::nps(9)?.with_comment("quick delivery")?;
/// assert_eq!(happy.score(), 9);
/// assert!(Feedback::csat(0).is_err());
/// # Ok::<(), journeylog::InvalidValue>(())
/// ```
#[derive(Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "FeedbackForm", into = "FeedbackForm")]
pub struct Feedback {
    survey: Survey,
    score: u8,
    comment: Option<String>,
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "Self", expecting = "an object", deny_unknown_fields)]
struct FeedbackForm {
    #[serde(skip_serializing_if = "Option::is_none")]
    nps: Option<u8>,
    #[serde(skip_serializing_if = "Option::is_none")]
    csat: Option<u8>,
    #[serde(skip_serializing_if = "Option::is_none")]
    ces: Option<u8>,
    #[serde(skip_serializing_if = "Option::is_none")]
    comment: Option<String>,
}

only_an_object!(FeedbackForm);

/// Comments hold at most this many bytes.
const LIMIT_COMMENT_BYTES: usize = 8 * 1024;

impl Feedback {
    /// An answer to a survey.
    ///
    /// # Errors
    /// [`InvalidValue`] if the score is outside the survey's range.
    pub fn new(survey: Survey, score: u8) -> Result<Self, InvalidValue> {
        let range = survey.scores();
        if !range.contains(&score) {
            let reason = format!("{score} is outside {} to {}", range.start(), range.end());
            return Err(InvalidValue::new(format!("feedback.{}", survey.as_str()), reason));
        }
        Ok(Self { survey, score, comment: None })
    }

    /// A Net Promoter Score, 0 to 10.
    ///
    /// # Errors
    /// [`InvalidValue`] if it is outside that range.
    pub fn nps(score: u8) -> Result<Self, InvalidValue> {
        Self::new(Survey::Nps, score)
    }

    /// A satisfaction score, 1 to 5.
    ///
    /// # Errors
    /// [`InvalidValue`] if it is outside that range.
    pub fn csat(score: u8) -> Result<Self, InvalidValue> {
        Self::new(Survey::Csat, score)
    }

    /// An effort score, 1 to 7.
    ///
    /// # Errors
    /// [`InvalidValue`] if it is outside that range.
    pub fn ces(score: u8) -> Result<Self, InvalidValue> {
        Self::new(Survey::Ces, score)
    }

    /// The same answer with what the customer wrote: at most 8 KiB.
    ///
    /// # Errors
    /// [`InvalidValue`] if the comment is longer.
    pub fn with_comment(mut self, comment: impl Into<String>) -> Result<Self, InvalidValue> {
        let comment = comment.into();
        if comment.len() > LIMIT_COMMENT_BYTES {
            let reason = format!("has {} bytes, the limit is {LIMIT_COMMENT_BYTES}", comment.len());
            return Err(InvalidValue::new("feedback.comment", reason));
        }
        self.comment = Some(comment);
        Ok(self)
    }

    /// The same answer without what the customer wrote.
    #[must_use]
    pub(crate) fn without_comment(self) -> Self {
        Self { comment: None, ..self }
    }

    /// Which survey was answered.
    pub fn survey(&self) -> Survey {
        self.survey
    }

    /// The score.
    pub fn score(&self) -> u8 {
        self.score
    }

    /// What the customer wrote.
    pub fn comment(&self) -> Option<&str> {
        self.comment.as_deref()
    }
}

impl std::fmt::Debug for Feedback {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { survey, score, comment } = self;
        write!(f, "Feedback({} {score}, comment: {})", survey.as_str(), if comment.is_some() { "yes" } else { "no" })
    }
}

impl TryFrom<FeedbackForm> for Feedback {
    type Error = InvalidValue;
    fn try_from(form: FeedbackForm) -> Result<Self, InvalidValue> {
        let feedback = match (form.nps, form.csat, form.ces) {
            (Some(score), None, None) => Self::nps(score)?,
            (None, Some(score), None) => Self::csat(score)?,
            (None, None, Some(score)) => Self::ces(score)?,
            _ => return Err(InvalidValue::new("feedback", "needs exactly one of nps, csat and ces")),
        };
        form.comment.map_or(Ok(feedback.clone()), |comment| feedback.with_comment(comment))
    }
}

impl From<Feedback> for FeedbackForm {
    fn from(feedback: Feedback) -> Self {
        let of = |survey| (feedback.survey == survey).then_some(feedback.score);
        Self { nps: of(Survey::Nps), csat: of(Survey::Csat), ces: of(Survey::Ces), comment: feedback.comment }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scores_at_the_edges() {
        for survey in Survey::ALL {
            for score in 0..=u8::MAX {
                assert_eq!(
                    Feedback::new(survey, score).is_ok(),
                    survey.scores().contains(&score),
                    "{survey:?} {score}"
                );
            }
        }
    }

    #[test]
    fn json_form() {
        let read = |text| serde_json::from_str::<Feedback>(text);
        assert_eq!(read(r#"{"nps":9}"#).unwrap(), Feedback::nps(9).unwrap());
        assert_eq!(serde_json::to_string(&Feedback::ces(7).unwrap()).unwrap(), r#"{"ces":7}"#);
        for bad in
            [r#"{"nps":11}"#, r#"{"nps":-1}"#, r#"{"csat":0}"#, "{}", r#"{"nps":1,"ces":1}"#, r#"{"nps":1,"x":1}"#]
        {
            assert!(read(bad).is_err(), "{bad}");
        }
    }
}

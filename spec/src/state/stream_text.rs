//! The text form of a stream's name, as the API's paths and the command line write it: `subject/<tag>`,
//! `institution/<slug>`, `grant/<id>`, `referral/<id>`, `period/<agreement>.<number>`.

use std::fmt;
use std::str::FromStr;

use thiserror::Error;

use super::key::StreamId;
use crate::base::id::IdError;

/// Why a text names no stream.
#[derive(Debug, Error, Clone, PartialEq, Eq)]
pub enum StreamTextError {
    /// Not one of the five kinds.
    #[error("{found:?} is no kind of stream: use subject, institution, grant, referral or period")]
    Kind {
        /// What was given.
        found: String,
    },
    /// The identifier has the wrong form.
    #[error("the identifier of the stream: {0}")]
    Id(#[from] IdError),
    /// Not an agreement and a number.
    #[error("a period's stream is named by agreement and number, such as <agreement>.0")]
    Period,
}

impl StreamId {
    /// What the stream is about: the first part of its text form.
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Subject(_) => "subject",
            Self::Institution(_) => "institution",
            Self::Grant(_) => "grant",
            Self::Referral(_) => "referral",
            Self::Period { .. } => "period",
        }
    }

    /// Reads the two parts of the text form.
    ///
    /// # Errors
    /// [`StreamTextError`] when the kind is unknown or the identifier malformed.
    pub fn from_parts(kind: &str, id: &str) -> Result<Self, StreamTextError> {
        Ok(match kind {
            "subject" => Self::Subject(id.parse()?),
            "institution" => Self::Institution(id.parse()?),
            "grant" => Self::Grant(id.parse()?),
            "referral" => Self::Referral(id.parse()?),
            "period" => {
                let (agreement, number) = id.split_once('.').ok_or(StreamTextError::Period)?;
                let period: u32 = number.parse().map_err(|_| StreamTextError::Period)?;
                if period.to_string() != number {
                    return Err(StreamTextError::Period);
                }
                Self::Period { agreement: agreement.parse()?, period }
            }
            other => return Err(StreamTextError::Kind { found: other.to_owned() }),
        })
    }
}

impl fmt::Display for StreamId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/", self.kind())?;
        match self {
            Self::Subject(tag) => tag.fmt(f),
            Self::Institution(id) => id.fmt(f),
            Self::Grant(id) => id.fmt(f),
            Self::Referral(id) => id.fmt(f),
            Self::Period { agreement, period } => write!(f, "{agreement}.{period}"),
        }
    }
}

impl FromStr for StreamId {
    type Err = StreamTextError;

    fn from_str(text: &str) -> Result<Self, StreamTextError> {
        let (kind, id) = text.split_once('/').unwrap_or((text, ""));
        Self::from_parts(kind, id)
    }
}

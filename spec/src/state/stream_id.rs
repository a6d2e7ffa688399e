//! Names of streams, in the keys of rows (rule R-2).

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::key_part::KeyPart;
use crate::base::id::{AgreementId, GrantId, InstitutionId, ReferralId, SubjectTag};

/// A stream: an append-only list about which somebody may ask "is that all?".
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum StreamId {
    /// Everything about a subject.
    Subject(SubjectTag),
    /// Everything an institution did or was named in.
    Institution(InstitutionId),
    /// Everything under a grant.
    Grant(GrantId),
    /// Everything about a referral.
    Referral(ReferralId),
    /// The services that count in a period of an agreement.
    Period {
        /// The agreement.
        agreement: AgreementId,
        /// The period, counted from 0.
        period: u32,
    },
}

impl KeyPart for StreamId {
    const NAME: &'static str = "stream";

    fn write(&self, bytes: &mut Vec<u8>) {
        fn part(bytes: &mut Vec<u8>, kind: u8, part: &impl KeyPart) {
            bytes.push(kind);
            part.write(bytes);
        }
        match self {
            Self::Subject(tag) => part(bytes, 1, tag),
            Self::Institution(id) => part(bytes, 2, id),
            Self::Grant(id) => part(bytes, 3, id),
            Self::Referral(id) => part(bytes, 4, id),
            Self::Period { agreement, period } => {
                part(bytes, 5, agreement);
                period.write(bytes);
            }
        }
    }

    fn take(bytes: &mut &[u8]) -> Option<Self> {
        let (kind, rest) = bytes.split_first()?;
        *bytes = rest;
        Some(match kind {
            1 => Self::Subject(KeyPart::take(bytes)?),
            2 => Self::Institution(KeyPart::take(bytes)?),
            3 => Self::Grant(KeyPart::take(bytes)?),
            4 => Self::Referral(KeyPart::take(bytes)?),
            5 => Self::Period { agreement: KeyPart::take(bytes)?, period: KeyPart::take(bytes)? },
            _ => return None,
        })
    }
}

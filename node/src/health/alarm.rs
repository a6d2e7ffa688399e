//! What an operator should know and do something about, although the node does its work: shown by `/health`,
//! `yilian-node status` and `/metrics`.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// What an alarm is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum AlarmKind {
    /// Something of an institution's nodes was refused a short while ago.
    Conduct,
    /// Another process votes with this validator's key.
    OwnKey,
    /// A key expires soon, or has expired.
    KeyExpiry,
    /// No node of a validator is connected.
    Missing,
    /// A validator keeps missing its turns to propose.
    Absence,
    /// A certificate of the API's chain has expired, soon will, or is not valid yet.
    Certificate,
    /// The files of the API's certificate and key cannot be used; the one that was read before is.
    CertificateFiles,
    /// A clock differs from the others.
    Clock,
    /// The ledger goes on under a version of the protocol that this program does not know.
    Version,
}

impl AlarmKind {
    /// All, for metrics.
    pub const ALL: [Self; 9] = [
        Self::Conduct,
        Self::OwnKey,
        Self::KeyExpiry,
        Self::Missing,
        Self::Absence,
        Self::Certificate,
        Self::CertificateFiles,
        Self::Clock,
        Self::Version,
    ];

    /// Whether the log says it already where it arises, in more words; the others are told when they come and go.
    pub const fn is_logged_where_it_arises(self) -> bool {
        match self {
            Self::Conduct
            | Self::OwnKey
            | Self::KeyExpiry
            | Self::Missing
            | Self::Absence
            | Self::CertificateFiles => true,
            Self::Certificate | Self::Clock | Self::Version => false,
        }
    }

    /// The name in JSON and metrics.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Conduct => "conduct",
            Self::OwnKey => "own_key",
            Self::KeyExpiry => "key_expiry",
            Self::Missing => "missing",
            Self::Absence => "absence",
            Self::Certificate => "certificate",
            Self::CertificateFiles => "certificate_files",
            Self::Clock => "clock",
            Self::Version => "version",
        }
    }
}

/// How much an alarm hurts. The order is that of urgency.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// Nothing is refused or unsafe yet, or it is others who suffer.
    Warning,
    /// Something of this node is refused or unsafe now.
    Urgent,
}

impl Severity {
    /// The name in JSON and in the log.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Warning => "warning",
            Self::Urgent => "urgent",
        }
    }
}

/// One alarm.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Alarm {
    /// What it is about.
    pub kind: AlarmKind,
    /// Whom it is about: an institution, or what stands for those who are none.
    pub about: String,
    /// How much it hurts.
    pub severity: Severity,
    /// What is the matter, in one sentence.
    pub reason: String,
    /// What to do.
    pub remedy: String,
}

//! Who takes part: a county medical community with a teaching hospital, an insurer and a regulator.

use yilian_spec::domain::membership::{InstitutionKind, Tier};

/// The consortium that all of them belong to.
pub const CONSORTIUM: &str = "qinghe-community";

/// One institution of the local consortium.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Member {
    /// Its identifier.
    pub id: &'static str,
    /// Its name for people.
    pub name: &'static str,
    /// What it is.
    pub kind: InstitutionKind,
    /// Its level of care.
    pub tier: Option<Tier>,
    /// Whether its node votes; otherwise it observes.
    pub validates: bool,
}

/// The institutions, the leading hospital first.
pub const INSTITUTIONS: [Member; 5] = [
    Member {
        id: "renhe-hospital",
        name: "Renhe Teaching Hospital",
        kind: InstitutionKind::Hospital,
        tier: Some(Tier::Province),
        validates: true,
    },
    Member {
        id: "qinghe-county-hospital",
        name: "Qinghe County Hospital",
        kind: InstitutionKind::Hospital,
        tier: Some(Tier::County),
        validates: true,
    },
    Member {
        id: "liulin-health-centre",
        name: "Liulin Township Health Centre",
        kind: InstitutionKind::PrimaryCare,
        tier: Some(Tier::Township),
        validates: true,
    },
    Member {
        id: "anping-insurer",
        name: "Anping Health Insurance",
        kind: InstitutionKind::Insurer,
        tier: None,
        validates: true,
    },
    Member {
        id: "health-commission",
        name: "Provincial Health Commission",
        kind: InstitutionKind::Regulator,
        tier: None,
        validates: false,
    },
];

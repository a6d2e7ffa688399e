//! Whose something is.

use crate::base::id::InstitutionId;

/// What institutions have between them. It is there for its parties alone (rule O-28).
pub trait HasParties {
    /// The institutions that it is between.
    fn parties(&self) -> impl Iterator<Item = &InstitutionId>;

    /// Whether it is there for this institution.
    fn has_party(&self, institution: &InstitutionId) -> bool {
        self.parties().any(|party| party == institution)
    }
}

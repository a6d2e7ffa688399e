//! Terms: what the parties of an agreement sign (rules T-12 and T-13 of `spec/protocol/06-settlement.md`).

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};
use thiserror::Error;
use utoipa::ToSchema;
use wincode::{SchemaRead, SchemaWrite};

use super::check::{self, ExpressionError};
use super::expression::Expression;
use super::period::{PartPlayed, ServiceEvent};
use super::{PartRole, PartyIndex};
use crate::base::id::{IdError, InstitutionId, MetricCode, ServiceCode};
use crate::base::limits;
use crate::base::money::{AmountMinor, Currency, MoneyError};

/// When a split rounds. Largest remainder is not monotone, so this changes amounts and is signed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, SchemaRead, SchemaWrite, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Rounding {
    /// The expression is evaluated over each event alone; the amounts of a period are sums.
    PerEvent,
    /// The expression is evaluated once over the whole period.
    PerPeriod,
}

/// One party of the terms.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, SchemaRead, SchemaWrite, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Party {
    /// The institution.
    pub institution: InstitutionId,
    /// The parts that it may play in a service; none for one that only pays.
    pub roles: BTreeSet<PartRole>,
}

/// The terms of an agreement. Their hash is what every party signs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, SchemaRead, SchemaWrite, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Terms {
    /// The currency of every amount.
    pub currency: Currency,
    /// The services that the terms cover.
    pub services: BTreeSet<ServiceCode>,
    /// The metrics that the expression may read.
    pub metrics: BTreeSet<MetricCode>,
    /// The parties in signed order, which decides ties.
    pub parties: Vec<Party>,
    /// The party that owes the sum of all amounts.
    pub payer: PartyIndex,
    /// When the split rounds.
    pub rounding: Rounding,
    /// What each party is owed.
    pub expression: Expression,
}

/// Why terms cannot be signed.
#[derive(Debug, Error, Clone, PartialEq, Eq)]
pub enum TermsError {
    /// Rule T-1: not a currency code.
    #[error(transparent)]
    Currency(#[from] MoneyError),
    /// Rule S-1: a service, metric, part or figure whose name is not a slug.
    #[error("a name in the terms: {0}")]
    Name(#[from] IdError),
    /// Rule T-12: too few or too many parties.
    #[error("terms have 2 to {} parties, these {count}", limits::PARTIES_MAX)]
    PartyCount {
        /// Number of parties.
        count: usize,
    },
    /// Rule T-12: one institution twice.
    #[error("institution {institution} is more than one party; give one party all its parts")]
    PartyRepeated {
        /// The institution.
        institution: InstitutionId,
    },
    /// Rule T-12: the payer is not a party.
    #[error("the payer is party {payer}, but the terms have {parties}")]
    UnknownPayer {
        /// Position of the payer.
        payer: usize,
        /// Number of parties.
        parties: usize,
    },
    /// Rule T-12: no service, or too many.
    #[error("terms cover 1 to {} services, these {count}", limits::SERVICES_PER_TERMS_MAX)]
    ServiceCount {
        /// Number of services.
        count: usize,
    },
    /// Rule T-12: too many metrics.
    #[error("terms read at most {} metrics, these {count}", limits::METRICS_PER_TERMS_MAX)]
    MetricCount {
        /// Number of metrics.
        count: usize,
    },
    /// Rules T-7 to T-11: the expression.
    #[error("the expression: {0}")]
    Expression(#[from] ExpressionError),
}

impl Terms {
    /// Checks everything that can be known before an event arrives (rules T-7 to T-13).
    ///
    /// # Errors
    /// The first rule that the terms break.
    pub fn check(&self) -> Result<(), TermsError> {
        self.currency.check()?;
        self.check_counts()?;
        self.check_names()?;
        check::check(self)?;
        Ok(())
    }

    fn check_counts(&self) -> Result<(), TermsError> {
        let parties = self.parties.len();
        if !(2..=limits::PARTIES_MAX).contains(&parties) {
            return Err(TermsError::PartyCount { count: parties });
        }
        let mut institutions = BTreeSet::new();
        for Party { institution, .. } in &self.parties {
            if !institutions.insert(institution) {
                return Err(TermsError::PartyRepeated { institution: institution.clone() });
            }
        }
        if self.payer.position() >= parties {
            return Err(TermsError::UnknownPayer { payer: self.payer.position(), parties });
        }
        if !(1..=limits::SERVICES_PER_TERMS_MAX).contains(&self.services.len()) {
            return Err(TermsError::ServiceCount { count: self.services.len() });
        }
        if self.metrics.len() > limits::METRICS_PER_TERMS_MAX {
            return Err(TermsError::MetricCount { count: self.metrics.len() });
        }
        Ok(())
    }

    fn check_names(&self) -> Result<(), TermsError> {
        self.services.iter().try_for_each(ServiceCode::check)?;
        self.metrics.iter().try_for_each(MetricCode::check)?;
        self.parties.iter().try_for_each(|party| party.institution.check())?;
        self.expression
            .steps
            .iter()
            .filter_map(|step| step.figure())
            .try_for_each(|figure| figure.check())?;
        Ok(())
    }

    /// The institution that pays; `None` only in terms that were not checked.
    pub fn payer_institution(&self) -> Option<&InstitutionId> {
        self.parties.get(self.payer.position()).map(|party| &party.institution)
    }

    /// The position of an institution among the parties.
    pub fn party_index(&self, institution: &InstitutionId) -> Option<PartyIndex> {
        let position = self.parties.iter().position(|party| party.institution == *institution)?;
        u8::try_from(position).ok().map(PartyIndex)
    }

    /// The event that these terms count when `payer` owes for a service with these parts; `None` where they do not
    /// cover it (rule T-14).
    ///
    /// They cover it when service, currency and payer are theirs, some part is one of theirs, and nobody outside
    /// played a part that the terms give to somebody. Parts that the terms do not know are left out.
    pub fn event<'a>(
        &self,
        service: &ServiceCode,
        currency: Currency,
        payer: &InstitutionId,
        gross: AmountMinor,
        parts: impl IntoIterator<Item = (PartRole, &'a InstitutionId)>,
    ) -> Option<ServiceEvent> {
        let is_theirs = self.services.contains(service)
            && self.currency == currency
            && self.payer_institution() == Some(payer);
        if !is_theirs {
            return None;
        }
        let mut played = Vec::new();
        for (role, institution) in parts {
            if self.parties.iter().any(|party| party.roles.contains(&role)) {
                let party = self.party_index(institution)?;
                if !self.parties[party.position()].roles.contains(&role) {
                    return None;
                }
                played.push(PartPlayed { party, role });
            }
        }
        (!played.is_empty()).then(|| ServiceEvent {
            service: service.clone(),
            gross_minor: gross,
            parts: played,
        })
    }
}

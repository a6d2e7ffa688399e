//! Common arrangements as data: functions that fill terms in. The engine knows none of them.
//!
//! Each returns terms that pass [`Terms::check`], or the rule they would break.

use std::collections::BTreeSet;

use super::expression::{Expression, ExpressionBuilder, Measure, Step, Tier};
use super::rational::Ratio;
use super::terms::{Party, Rounding, Terms, TermsError};
use super::{PartRole, PartyIndex};
use crate::base::id::{FigureName, InstitutionId, ServiceCode};
use crate::base::money::{AmountMinor, Currency};

/// What the templates have in common.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Frame {
    /// The currency of every amount.
    pub currency: Currency,
    /// The services covered.
    pub services: BTreeSet<ServiceCode>,
    /// Who owes the sum: one of the others, or an institution that only pays and is added after them.
    pub payer: InstitutionId,
}

impl Frame {
    /// The parties with the payer among them, and its position.
    fn with_payer(&self, mut parties: Vec<Party>) -> (Vec<Party>, PartyIndex) {
        let position =
            parties.iter().position(|party| party.institution == self.payer).unwrap_or_else(|| {
                parties.push(Party { institution: self.payer.clone(), roles: BTreeSet::new() });
                parties.len() - 1
            });
        (parties, party_index(position))
    }

    /// Puts terms together and checks them.
    fn terms(
        &self,
        parties: Vec<Party>,
        rounding: Rounding,
        expression: Expression,
    ) -> Result<Terms, TermsError> {
        let (parties, payer) = self.with_payer(parties);
        let terms = Terms {
            currency: self.currency,
            services: self.services.clone(),
            metrics: BTreeSet::new(),
            parties,
            payer,
            rounding,
            expression,
        };
        terms.check().map(|()| terms)
    }
}

/// A position as an index; one beyond the type's range stands for a list that the check refuses for its length.
fn party_index(position: usize) -> PartyIndex {
    PartyIndex(u8::try_from(position).unwrap_or(u8::MAX))
}

fn parties(institutions: &[InstitutionId], roles: &BTreeSet<PartRole>) -> Vec<Party> {
    let party =
        |institution: &InstitutionId| Party { institution: institution.clone(), roles: roles.clone() };
    institutions.iter().map(party).collect()
}

/// One share of a percentage split.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SplitShare {
    /// Who gets it.
    pub institution: InstitutionId,
    /// The part for which it gets it.
    pub role: PartRole,
    /// Its weight: a percentage, or any number zero or more.
    pub weight: Ratio,
}

/// Fixed price per service (arrangement A1): each provider gets `(completed - reversed) * fee` for what it did in
/// the part `role`.
///
/// Parties: the providers, then the payer.
///
/// # Errors
/// [`TermsError`] when the terms would break a rule, for example by too many parties.
pub fn fixed_price(
    frame: &Frame,
    providers: &[InstitutionId],
    role: PartRole,
    fee: AmountMinor,
) -> Result<Terms, TermsError> {
    let mut steps = ExpressionBuilder::default();
    let completed = steps.push(Step::PartyEvents { service: None, role, measure: Measure::NetCount });
    let fee = steps.constant(Ratio::whole(fee.0));
    steps.multiply(completed, fee);
    frame.terms(parties(providers, &BTreeSet::from([role])), Rounding::PerPeriod, steps.finish())
}

/// Percentage split (arrangement A2): the gross amount by fixed weights, at the level the parties sign.
///
/// Parties: those of the shares in their order (usually primary, expert, platform), then the payer. A party gets its
/// share of every event, whether or not the event names it.
///
/// # Errors
/// [`TermsError`] when the terms would break a rule.
pub fn percentage_split(
    frame: &Frame,
    shares: &[SplitShare],
    rounding: Rounding,
) -> Result<Terms, TermsError> {
    let party = |share: &SplitShare| Party {
        institution: share.institution.clone(),
        roles: BTreeSet::from([share.role]),
    };
    let (parties, _) = frame.with_payer(shares.iter().map(party).collect());
    let mut values: Vec<Ratio> = shares.iter().map(|share| share.weight).collect();
    values.resize(parties.len(), Ratio::whole(0));
    let mut steps = ExpressionBuilder::default();
    let total = steps.push(Step::Events { service: None, measure: Measure::NetGross });
    let weights = steps.push(Step::PerParty { values });
    steps.push(Step::Allot { amount: total, weights, figure: FigureName::new("split")? });
    frame.terms(parties, rounding, steps.finish())
}

/// Percentage split by the parts played (A2 for an alliance in which any member can play any part).
///
/// Every part that an event names takes its weight; whoever played it gets the share. Parties: the members, each of
/// which may play every part, then the payer.
///
/// # Errors
/// [`TermsError`] when the terms would break a rule.
pub fn percentage_split_by_part(
    frame: &Frame,
    members: &[InstitutionId],
    weights: &[(PartRole, Ratio)],
    rounding: Rounding,
) -> Result<Terms, TermsError> {
    let mut steps = ExpressionBuilder::default();
    let total = steps.push(Step::Events { service: None, measure: Measure::NetGross });
    let mut weighted = Vec::new();
    for (role, weight) in weights {
        let gross = steps.push(Step::PartyEvents { service: None, role: *role, measure: Measure::NetGross });
        let weight = steps.constant(*weight);
        weighted.push(steps.multiply(gross, weight));
    }
    // Without any weight the total itself stands in, and the check refuses it for its shape.
    let weights_sum = weighted.into_iter().reduce(|sum, next| steps.add(sum, next)).unwrap_or(total);
    steps.push(Step::Allot { amount: total, weights: weights_sum, figure: FigureName::new("split")? });
    let roles = weights.iter().map(|(role, _)| *role).collect();
    frame.terms(parties(members, &roles), rounding, steps.finish())
}

/// The fees of an image reading (arrangement A3).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReadingFees {
    /// Marginal tiers on the total number of reads; rates in minor units per read.
    pub tiers: Vec<Tier>,
    /// The rate above the last tier.
    pub beyond: Ratio,
    /// The platform's share of the gross fee.
    pub platform_share: Ratio,
}

/// Image reading (arrangement A3): marginal tiers on the total reads, a rounded share for the platform, the rest by
/// largest remainder over the hospitals' own reads.
///
/// Parties: the hospitals with part `reader`, the platform, then the payer.
///
/// # Errors
/// [`TermsError`] when the terms would break a rule.
pub fn image_reading(
    frame: &Frame,
    hospitals: &[InstitutionId],
    platform: &InstitutionId,
    fees: &ReadingFees,
) -> Result<Terms, TermsError> {
    let mut steps = ExpressionBuilder::default();
    let role = PartRole::Reader;
    let reads = steps.push(Step::PartyEvents { service: None, role, measure: Measure::NetCount });
    let value = steps.push(Step::Sum { vector: reads });
    let value = steps.push(Step::Tiers { value, tiers: fees.tiers.clone(), beyond: fees.beyond });
    let gross = steps.push(Step::Round { value, figure: FigureName::new("gross")? });
    let platform_share = steps.constant(fees.platform_share);
    let value = steps.multiply(gross, platform_share);
    let fee = steps.push(Step::Round { value, figure: FigureName::new("platform-fee")? });
    let total = steps.subtract(gross, fee);
    let shares =
        steps.push(Step::Allot { amount: total, weights: reads, figure: FigureName::new("readers")? });
    let platform_fee = steps.push(Step::Place { party: party_index(hospitals.len()), value: fee });
    steps.add(shares, platform_fee);
    let mut parties = parties(hospitals, &BTreeSet::from([role]));
    parties.push(Party { institution: platform.clone(), roles: BTreeSet::from([PartRole::Platform]) });
    frame.terms(parties, Rounding::PerPeriod, steps.finish())
}

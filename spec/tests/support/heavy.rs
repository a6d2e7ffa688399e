//! Terms that cost as much as terms may: what an attacker would have its partners sign.

use std::collections::BTreeSet;

use yilian_spec::base::codec::{self, Domain};
use yilian_spec::base::id::{AgreementId, ConsortiumId, FigureName, InstitutionId, ServiceCode};
use yilian_spec::base::limits::{EXPRESSION_WORK_MAX, EXPRESSION_WORK_PER_EVENT_MAX, PARTIES_MAX};
use yilian_spec::base::money::{AmountMinor, Currency};
use yilian_spec::base::time::Window;
use yilian_spec::domain::Operation;
use yilian_spec::domain::agreement::{ClosePeriod, ProposeAgreement, Schedule, SignAgreement};
use yilian_spec::domain::membership::InstitutionKind;
use yilian_spec::domain::service::{DeliverService, PlayedPart};
use yilian_spec::ledger::genesis::Genesis;
use yilian_spec::settlement::expression::{Expression, Measure, Step, StepIndex, Tier};
use yilian_spec::settlement::rational::Ratio;
use yilian_spec::settlement::terms::{Party, Rounding, Terms};
use yilian_spec::settlement::{PartRole, PartyIndex};

use super::world::{self, DAY_MS, World, institution, performed, service_code};

/// Every part that there is.
pub const PARTS: [PartRole; 6] = [
    PartRole::Primary,
    PartRole::Expert,
    PartRole::Platform,
    PartRole::Reader,
    PartRole::Laboratory,
    PartRole::Pharmacy,
];

/// A member of [`genesis`] beside those of every test world.
pub fn member(number: usize) -> String {
    format!("member-{number:02}")
}

/// The usual members, and so many that an agreement can have the most parties.
pub fn genesis() -> Genesis {
    let mut genesis = world::genesis();
    genesis.institutions.extend(
        (0..PARTIES_MAX).map(|number| world::entry(&member(number), InstitutionKind::Hospital, None)),
    );
    genesis.institutions.sort_by(|left, right| left.institution.id.cmp(&right.institution.id));
    genesis
}

/// What makes terms heavy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Weight {
    /// Sums of fractions whose denominators are as long as exact values may be.
    Fractions,
    /// Marginal tiers of long fractions.
    Tiers,
    /// Measures over all that a period adds up, for each party.
    Sums,
    /// Nothing but their parties and services.
    Parties,
}

pub fn services(count: usize) -> BTreeSet<ServiceCode> {
    (0..count).map(|number| service_code(&format!("service-{number:02}"))).collect()
}

/// Terms between the first `parties` members, who all play every part, but for the first, who pays.
pub fn terms(weight: Weight, parties: usize, services_count: usize, rounding: Rounding) -> Terms {
    let limit = match rounding {
        Rounding::PerEvent => EXPRESSION_WORK_PER_EVENT_MAX,
        Rounding::PerPeriod => EXPRESSION_WORK_MAX,
    };
    let party = |number: usize| Party {
        institution: institution(&member(number)),
        roles: if number == 0 { BTreeSet::new() } else { BTreeSet::from(PARTS) },
    };
    let mut terms = Terms {
        currency: Currency::CNY,
        services: services(services_count),
        metrics: BTreeSet::new(),
        parties: (0..parties).map(party).collect(),
        payer: PartyIndex(0),
        rounding,
        expression: Expression { steps: Vec::new() },
    };
    // As many steps as fit.
    for count in (1..=126).rev() {
        terms.expression.steps = steps(weight, parties, count);
        let work = yilian_spec::settlement::check::work(&terms);
        if terms.check().is_ok() && work <= limit {
            return terms;
        }
    }
    panic!("no such terms fit");
}

fn at(index: usize) -> StepIndex {
    StepIndex(u16::try_from(index).unwrap())
}

/// Odd numbers of 62 bits, different for each party and place.
fn long(party: usize, place: usize) -> u64 {
    (1 << 62) - 2 * (97 * party as u64 + 7 * place as u64) - 57
}

fn steps(weight: Weight, parties: usize, count: usize) -> Vec<Step> {
    let per_party = |place: usize| Step::PerParty {
        values: (0..parties).map(|party| Ratio::new((1 << 61) - 1, long(party, place))).collect(),
    };
    let mut steps = vec![];
    match weight {
        Weight::Fractions => {
            steps.extend((0..4).map(per_party));
            steps.push(Step::Add { left: at(0), right: at(1) });
            steps.push(Step::Add { left: at(4), right: at(2) });
            steps.push(Step::Add { left: at(5), right: at(3) });
            for number in 0..count {
                let left = at(steps.len() - 1);
                let step = if number % 2 == 0 {
                    Step::Subtract { left, right: at(3) }
                } else {
                    Step::Add { left, right: at(3) }
                };
                steps.push(step);
            }
        }
        Weight::Tiers => {
            steps.push(per_party(0));
            for number in 0..count {
                let tier = |end: u64| Tier {
                    up_to: Ratio::new((end * (1 << 55) + 1) as i64, long(0, 0)),
                    rate: Ratio::new(3, long(0, 1)),
                };
                let tiers = (1..=16).map(tier).collect();
                let tiered = Step::Tiers { value: at(0), tiers, beyond: Ratio::new(5, long(0, 1)) };
                steps.push(tiered);
                if number > 0 {
                    let (left, right) = (at(steps.len() - 2), at(steps.len() - 1));
                    steps.push(Step::Add { left, right });
                }
            }
        }
        Weight::Sums => {
            for number in 0..count.max(1) {
                steps.push(Step::PartyEvents {
                    service: None,
                    role: PARTS[number % PARTS.len()],
                    measure: Measure::NetGross,
                });
                if number > 0 {
                    let (left, right) = (at(steps.len() - 2), at(steps.len() - 1));
                    steps.push(Step::Add { left, right });
                }
            }
        }
        Weight::Parties => steps.push(per_party(0)),
    }
    let value = at(steps.len() - 1);
    steps.push(Step::Round { value, figure: FigureName::new("result").unwrap() });
    steps
}

/// An agreement of these terms that all parties have signed.
pub fn agree(world: &mut World, terms: &Terms) -> AgreementId {
    let proposal = ProposeAgreement {
        consortium: ConsortiumId::new("qinghe-community").unwrap(),
        terms: terms.clone(),
        window: Window { starts: world.time(), expires: world.time().plus_ms(365 * DAY_MS) },
        schedule: Schedule::OnDemand,
    };
    let first = terms.parties[0].institution.clone();
    let agreement = AgreementId(world.apply_one(first.as_str(), Operation::ProposeAgreement(proposal)));
    let terms_hash = codec::hash(Domain::Terms, terms);
    for party in &terms.parties[1..] {
        let sign = Operation::SignAgreement(SignAgreement { agreement, terms_hash });
        world.apply_one(party.institution.as_str(), sign);
    }
    agreement
}

/// The closing of one period after the other, from `first` on.
pub fn closings(agreement: AgreementId, first: u32, count: u32) -> Vec<Operation> {
    (first..first + count).map(|period| Operation::ClosePeriod(ClosePeriod { agreement, period })).collect()
}

/// A service in which one member plays every part.
pub fn delivery(player: &InstitutionId, service: ServiceCode, number: u64) -> Operation {
    let mut evidence = [7; 32];
    evidence[..8].copy_from_slice(&number.to_le_bytes());
    let part = |role| PlayedPart { role, institution: player.clone() };
    Operation::DeliverService(DeliverService {
        service,
        parts: PARTS.map(part).to_vec(),
        performed: performed(),
        payer: institution(&member(0)),
        gross_minor: AmountMinor(10_001),
        currency: Currency::CNY,
        evidence: yilian_spec::base::id::Commitment(evidence),
    })
}

//! Operations from choices: ids of earlier objects, a few subjects, services and amounts, so that operations meet.

use std::collections::{BTreeMap, BTreeSet};

use yilian_spec::base::codec::{self, Domain};
use yilian_spec::base::id::{
    AgreementId, ChainId, Commitment, ConsortiumId, DisclosureId, GrantId, Hash, InstitutionId, ReferralId,
    ServiceCode, ServiceId, SubjectTag,
};
use yilian_spec::base::money::{AmountMinor, Currency};
use yilian_spec::base::time::{LedgerTime, Window};
use yilian_spec::crypto::signature::SecretKey;
use yilian_spec::domain::Operation;
use yilian_spec::domain::access::*;
use yilian_spec::domain::agreement::*;
use yilian_spec::domain::membership::Role;
use yilian_spec::domain::membership::*;
use yilian_spec::domain::referral::*;
use yilian_spec::domain::service::*;
use yilian_spec::settlement::PartRole;
use yilian_spec::settlement::rational::Ratio;
use yilian_spec::settlement::templates::{Frame, SplitShare, fixed_price, percentage_split};
use yilian_spec::settlement::terms::{Rounding, Terms};

use super::ACTORS;
use super::world::{DAY_MS, secret};
use crate::fuzz::input::Input;

const SERVICES: [&str; 3] = ["teleconsultation", "image-reading", "cardiology"];
const PARTS: [PartRole; 3] = [PartRole::Primary, PartRole::Expert, PartRole::Reader];

/// The kinds of operations, counted as a choice counts them; the twenty-seventh is one decoded from the input.
const KINDS: usize = 28;

/// What earlier operations made, whether they were applied or not.
#[derive(Default)]
pub struct Known {
    objects: BTreeMap<&'static str, Vec<[u8; 32]>>,
    terms: BTreeMap<[u8; 32], Terms>,
    keys: Vec<SecretKey>,
}

fn institution(name: &str) -> InstitutionId {
    InstitutionId::new(name).expect("the actors' names are well-formed")
}

fn partner(input: &mut Input<'_>) -> InstitutionId {
    institution(input.of(&ACTORS))
}

fn service(input: &mut Input<'_>) -> ServiceCode {
    ServiceCode::new(input.of(&SERVICES)).expect("the services' names are well-formed")
}

/// A tag of the actor's own, now and then another's or nobody's.
fn subject(input: &mut Input<'_>, actor: &str) -> SubjectTag {
    let byte = input.byte();
    let random = [byte % 3; 16];
    match byte {
        0..=223 => SubjectTag::of(&institution(actor), random),
        224..=250 => SubjectTag::of(&partner(input), random),
        251..=255 => SubjectTag([byte; 32]),
    }
}

fn commitment(input: &mut Input<'_>) -> Commitment {
    Commitment([input.byte(); 32])
}

fn window(input: &mut Input<'_>, time: LedgerTime) -> Window {
    let starts = if input.one_in(8) { time.plus_ms(DAY_MS) } else { time };
    Window { starts, expires: starts.plus_ms(u64::from(input.byte()) * DAY_MS / 4) }
}

fn scope(input: &mut Input<'_>) -> AccessScope {
    let bits = input.byte();
    let chosen = |bit: u8| bits >> bit & 1 == 1;
    let categories = [Category::Laboratory, Category::Imaging, Category::Genomic];
    let purposes = [Purpose::Treat, Purpose::Hresch];
    AccessScope {
        categories: (0..).zip(categories).filter(|(bit, _)| !chosen(*bit)).map(|(_, one)| one).collect(),
        highest_sensitivity: if chosen(3) { Sensitivity::V } else { Sensitivity::N },
        purposes: (4..).zip(purposes).filter(|(bit, _)| !chosen(*bit)).map(|(_, one)| one).collect(),
    }
}

fn amount(input: &mut Input<'_>) -> AmountMinor {
    AmountMinor(match input.byte() {
        byte @ 0..240 => i64::from(byte) * 117,
        byte @ 240..248 => i64::from(byte) - 244,
        _ => input.word() as i64,
    })
}

fn reason(input: &mut Input<'_>) -> ReferralReason {
    input.of(&[ReferralReason::NoCapacity, ReferralReason::BetterElsewhere, ReferralReason::NoShow])
}

fn urgency(input: &mut Input<'_>) -> Urgency {
    input.of(&[Urgency::Routine, Urgency::Urgent, Urgency::Emergency])
}

/// Terms of two common arrangements, or decoded from the input.
fn terms(input: &mut Input<'_>, actor: &str) -> Terms {
    let frame = Frame {
        currency: Currency::CNY,
        services: BTreeSet::from([service(input)]),
        payer: institution(ACTORS[3]),
    };
    let other = partner(input);
    let members = [institution(actor), other];
    let role = input.of(&PARTS);
    let made = match input.byte() % 4 {
        0 | 1 => fixed_price(&frame, &members, role, amount(input)),
        2 => {
            let rounding = if input.one_in(2) { Rounding::PerEvent } else { Rounding::PerPeriod };
            let share = |institution: &InstitutionId, weight| SplitShare {
                institution: institution.clone(),
                role,
                weight: Ratio::new(i64::from(weight), 100),
            };
            let shares = [share(&members[0], input.byte()), share(&members[1], input.byte())];
            percentage_split(&frame, &shares, rounding)
        }
        _ => {
            let length = usize::from(input.byte()) * 4;
            let bytes = input.bytes(length);
            if let Ok(terms) = codec::decode::<Terms>(bytes, bytes.len()) {
                return terms;
            }
            fixed_price(&frame, &members[..1], role, AmountMinor(100))
        }
    };
    made.unwrap_or_else(|_| {
        let provider = [institution(ACTORS[0])];
        fixed_price(&frame, &provider, role, AmountMinor(100))
            .expect("one provider at a fixed price is in order")
    })
}

impl Known {
    /// The id of an earlier object of a kind, mostly the latest; of none, where there is none.
    fn object(&self, kind: &str, input: &mut Input<'_>) -> [u8; 32] {
        let back = input.byte();
        let ids = self.objects.get(kind).map_or(&[][..], Vec::as_slice);
        match back {
            255 => [9; 32],
            _ if ids.is_empty() => [0; 32],
            back => ids[ids.len() - 1 - usize::from(back) % ids.len()],
        }
    }

    fn referral(&self, input: &mut Input<'_>) -> ReferralId {
        ReferralId(self.object("referral", input))
    }

    /// Keeps the id that an operation's object would have.
    pub fn remember(&mut self, operation: &Operation, id: [u8; 32]) {
        let kind = match operation {
            Operation::GrantAccess(_) => "grant",
            Operation::RecordDisclosure(_) => "disclosure",
            Operation::RequestReferral(_) | Operation::ReturnDownward(_) => "referral",
            Operation::DeliverService(_) => "service",
            Operation::ProposeAgreement(proposal) => {
                self.terms.insert(id, proposal.terms.clone());
                "agreement"
            }
            _ => return,
        };
        self.objects.entry(kind).or_default().push(id);
    }

    fn key(&mut self, input: &mut Input<'_>) -> SecretKey {
        if self.keys.is_empty() || input.one_in(2) {
            let seed = codec::hash_bytes(Domain::Object, &[b'k', self.keys.len().to_le_bytes()[0]]);
            self.keys.push(SecretKey::from_seed(&seed.0));
        }
        self.keys[input.position(self.keys.len().min(256))].clone()
    }

    /// One operation of an institution.
    pub fn operation(
        &mut self,
        input: &mut Input<'_>,
        actor: &str,
        time: LedgerTime,
        chain_id: ChainId,
    ) -> Operation {
        let kind = input.position(KINDS);
        match kind {
            0..3 => self.membership(kind, input, actor, time, chain_id),
            3..7 => self.access(kind, input, actor, time),
            7..19 | 26 => self.referrals(kind, input, actor),
            19 | 20 => self.services(kind, input, actor, time),
            21..25 => self.agreements(kind, input, actor, time),
            25 => Operation::ConfirmRedirect(ConfirmRedirect {
                referral: self.referral(input),
                receiver: partner(input),
            }),
            _ => {
                let length = 1 + usize::from(input.byte());
                let bytes = input.bytes(length);
                codec::decode(bytes, bytes.len()).unwrap_or_else(|_| {
                    Operation::PublishCapacity(PublishCapacity { service: service(input), slots: 1 })
                })
            }
        }
    }

    fn membership(
        &mut self,
        kind: usize,
        input: &mut Input<'_>,
        actor: &str,
        time: LedgerTime,
        chain_id: ChainId,
    ) -> Operation {
        let role = input.of(&Role::ALL);
        let key = self.key(input);
        let window = window(input, time);
        let said = if input.one_in(16) { institution(ACTORS[0]) } else { institution(actor) };
        let possession = key.sign(&possession_bytes(chain_id, &said, role, key.public_key()));
        let old = if input.one_in(2) { self.key(input) } else { secret(actor, role) };
        match kind {
            0 => Operation::RegisterKey(RegisterKey { key: key.public_key(), role, window, possession }),
            1 => Operation::RotateKey(RotateKey {
                old_key: old.public_key(),
                new_key: key.public_key(),
                window,
                possession,
            }),
            _ => Operation::RevokeKey(RevokeKey { key: old.public_key(), reason: RevocationReason::Retired }),
        }
    }

    fn access(&mut self, kind: usize, input: &mut Input<'_>, actor: &str, time: LedgerTime) -> Operation {
        match kind {
            3 => Operation::GrantAccess(GrantAccess {
                subject: subject(input, actor),
                grantee: partner(input),
                scope: scope(input),
                window: window(input, time),
                consent: commitment(input),
            }),
            4 => Operation::RevokeGrant(RevokeGrant {
                grant: GrantId(self.object("grant", input)),
                reason: GrantRevocationReason::ConsentWithdrawn,
            }),
            5 => Operation::RecordDisclosure(RecordDisclosure {
                subject: subject(input, actor),
                recipient: partner(input),
                category: input.of(&[Category::Laboratory, Category::Imaging, Category::Genomic]),
                sensitivity: input.of(&[Sensitivity::N, Sensitivity::R]),
                purpose: input.of(&[Purpose::Treat, Purpose::Hresch]),
                content: commitment(input),
                decision: if input.one_in(4) {
                    Decision::Deny { reason: DenialReason::NoGrant }
                } else {
                    Decision::Permit { grant: GrantId(self.object("grant", input)) }
                },
                acting_person: None,
                origin: None,
            }),
            _ => Operation::RecordReceipt(RecordReceipt {
                disclosure: DisclosureId(self.object("disclosure", input)),
                content: commitment(input),
                acting_person: None,
            }),
        }
    }

    fn referrals(&mut self, kind: usize, input: &mut Input<'_>, actor: &str) -> Operation {
        match kind {
            7 => {
                let slots = if input.one_in(8) { input.word() as u32 } else { u32::from(input.byte() % 4) };
                Operation::PublishCapacity(PublishCapacity { service: service(input), slots })
            }
            8 => Operation::RequestReferral(RequestReferral {
                subject: subject(input, actor),
                receiver: partner(input),
                direction: input.of(&[Direction::Up, Direction::Down, Direction::Lateral]),
                service: service(input),
                urgency: urgency(input),
                reason: commitment(input),
                access: scope(input),
            }),
            9 => Operation::AcceptReferral(AcceptReferral { referral: self.referral(input) }),
            10 => Operation::DeclineReferral(DeclineReferral {
                referral: self.referral(input),
                reason: reason(input),
            }),
            11 => Operation::RedirectReferral(RedirectReferral {
                referral: self.referral(input),
                proposed_receiver: partner(input),
                reason: reason(input),
            }),
            12 => Operation::CancelReferral(CancelReferral {
                referral: self.referral(input),
                reason: reason(input),
            }),
            13 => {
                Operation::HandOver(HandOver { referral: self.referral(input), package: commitment(input) })
            }
            14 => Operation::AcknowledgeHandover(AcknowledgeHandover {
                referral: self.referral(input),
                package: commitment(input),
            }),
            15 => Operation::ReportOutcome(ReportOutcome {
                referral: self.referral(input),
                outcome: OutcomeCode::Completed,
                report: commitment(input),
            }),
            26 => Operation::AmendOutcome(AmendOutcome {
                referral: self.referral(input),
                outcome: OutcomeCode::NotTreated,
                report: commitment(input),
            }),
            16 => Operation::CloseClinically(CloseClinically { referral: self.referral(input) }),
            17 => Operation::CloseAdministratively(CloseAdministratively { referral: self.referral(input) }),
            _ => Operation::ReturnDownward(ReturnDownward {
                returns: self.referral(input),
                service: service(input),
                urgency: urgency(input),
                reason: commitment(input),
                access: scope(input),
            }),
        }
    }

    fn services(&mut self, kind: usize, input: &mut Input<'_>, actor: &str, time: LedgerTime) -> Operation {
        if kind == 20 {
            return Operation::ReverseService(ReverseService {
                service: ServiceId(self.object("service", input)),
                reason: ReversalReason::Mistake,
            });
        }
        let mut parts = vec![PlayedPart { role: input.of(&PARTS), institution: institution(actor) }];
        if input.one_in(3) {
            parts.push(PlayedPart { role: input.of(&PARTS), institution: partner(input) });
        }
        parts.sort();
        Operation::DeliverService(DeliverService {
            service: service(input),
            parts,
            payer: if input.one_in(8) { partner(input) } else { institution(ACTORS[3]) },
            gross_minor: amount(input),
            currency: Currency::CNY,
            performed: Window::day_of(if input.one_in(8) { time.plus_ms(2 * DAY_MS) } else { time }),
            evidence: Commitment(std::array::from_fn(|place| if place < 2 { input.byte() } else { 0 })),
        })
    }

    fn agreements(&mut self, kind: usize, input: &mut Input<'_>, actor: &str, time: LedgerTime) -> Operation {
        let agreement = self.object("agreement", input);
        let id = AgreementId(agreement);
        match kind {
            21 => Operation::ProposeAgreement(ProposeAgreement {
                consortium: ConsortiumId::new("qinghe-community").expect("a well-formed name"),
                terms: terms(input, actor),
                window: window(input, time),
                schedule: if input.one_in(3) {
                    Schedule::Fixed { length_ms: u64::from(input.byte()) * DAY_MS }
                } else {
                    Schedule::OnDemand
                },
            }),
            22 => {
                let signed = self.terms.get(&agreement).filter(|_| !input.one_in(16));
                let terms_hash = signed.map_or(Hash([1; 32]), |terms| codec::hash(Domain::Terms, terms));
                Operation::SignAgreement(SignAgreement { agreement: id, terms_hash })
            }
            23 => Operation::TerminateAgreement(TerminateAgreement { agreement: id }),
            _ => Operation::ClosePeriod(ClosePeriod {
                agreement: id,
                period: if input.one_in(8) { input.word() as u32 } else { u32::from(input.byte() % 3) },
            }),
        }
    }
}

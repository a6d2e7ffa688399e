//! The day itself: what the institutions record, hour by hour. The same events every time; only keys, tags and salts are random.

use std::collections::BTreeSet;

use anyhow::{Context, Result};
use rand::TryRng;
use yilian_local::moment;
use yilian_spec::base::codec::{self, Domain};
use yilian_spec::base::id::{
    AgreementId, Commitment, ConsortiumId, DisclosureId, GrantId, InstitutionId, ReferralId, ServiceCode,
    ServiceId, SubjectTag, TransactionId, commit,
};
use yilian_spec::base::money::{AmountMinor, Currency};
use yilian_spec::base::time::Window;
use yilian_spec::domain::Operation;
use yilian_spec::domain::access::{
    AccessScope, Category, Decision, DenialReason, GrantAccess, Purpose, RecordDisclosure, RecordReceipt,
    Sensitivity,
};
use yilian_spec::domain::agreement::{ClosePeriod, ProposeAgreement, Schedule, SignAgreement};
use yilian_spec::domain::referral::{
    AcceptReferral, AcknowledgeHandover, CloseAdministratively, CloseClinically, DeclineReferral, Direction,
    HandOver, OutcomeCode, PublishCapacity, ReferralReason, ReportOutcome, RequestReferral, ReturnDownward,
    Urgency,
};
use yilian_spec::domain::service::{DeliverService, PlayedPart, ReversalReason, ReverseService};
use yilian_spec::settlement::PartRole;
use yilian_spec::settlement::rational::Ratio;
use yilian_spec::settlement::templates::{Frame, SplitShare, percentage_split};
use yilian_spec::settlement::terms::{Rounding, Terms};

use super::desk::Desk;
use super::tally::Tally;

const PATIENTS: usize = 24;
const REFERRALS: usize = 8;
const CONSULTATIONS: usize = 30;
const DAY_MS: u64 = 24 * 60 * 60 * 1_000;
/// What a consultation costs: 100.01 yuan, so that the split leaves a fen to allot.
const CONSULTATION_FEN: i64 = 10_001;

/// The desks of the consortium by what they do in the story.
pub(super) struct Desks {
    /// The provincial teaching hospital that leads.
    pub teaching: Desk,
    /// The county hospital.
    pub county: Desk,
    /// The township health centre.
    pub township: Desk,
    /// The insurer.
    pub insurer: Desk,
}

/// What the day leaves behind to look at.
pub(super) struct Evening {
    pub agreement: AgreementId,
    pub subject: SubjectTag,
    pub referral: ReferralId,
    /// A disclosure's transaction, whose receipt is verified offline.
    pub disclosure_transaction: TransactionId,
    pub refusal: String,
    pub grants: usize,
    pub disclosures: usize,
    pub referrals: usize,
    pub services: usize,
}

/// Plays the day; `say` tells what happens.
pub(super) async fn play(desks: &Desks, tally: &mut Tally, say: &dyn Fn(&str)) -> Result<Evening> {
    say("08:00  the teaching hospital publishes capacity; all parties sign a teleconsultation agreement");
    let agreement = sign_agreement(desks, tally).await?;
    say("09:00  the health centre grants the hospitals access to its patients' records");
    let tag = |_| Ok(SubjectTag::of(&desks.township.id, random()?));
    let subjects: Vec<SubjectTag> = (0..PATIENTS).map(tag).collect::<Result<_>>()?;
    let grants = grant_access(desks, &subjects, tally).await?;
    say("10:00  records are disclosed under the grants and received; one request goes beyond its grant");
    let (disclosures, disclosure_transaction) = disclose(desks, &subjects, &grants, tally).await?;
    let refusal = overreach(desks, subjects[0], grants[0], tally).await?;
    say("11:00  patients are referred up, treated, and returned");
    let referral = refer(desks, &subjects, tally).await?;
    say("15:00  teleconsultations are delivered, and one is reversed");
    consult(desks, tally).await?;
    say("18:00  the insurer closes the period");
    let close = Operation::ClosePeriod(ClosePeriod { agreement, period: 0 });
    desks.insurer.record(vec![close], tally).await?;
    Ok(Evening {
        agreement,
        subject: subjects[0],
        referral,
        disclosure_transaction,
        refusal,
        grants: grants.len(),
        disclosures,
        referrals: REFERRALS,
        services: CONSULTATIONS,
    })
}

fn random<const N: usize>() -> Result<[u8; N]> {
    let mut bytes = [0; N];
    rand::rngs::SysRng.try_fill_bytes(&mut bytes).context("the operating system gave no random bytes")?;
    Ok(bytes)
}

/// A commitment to a document that only this demo ever saw; its salt is thrown away.
fn document(text: &str) -> Result<Commitment> {
    Ok(commit(&random()?, text.as_bytes()))
}

fn code(text: &str) -> ServiceCode {
    ServiceCode::new(text).expect("a constant slug")
}

fn scope() -> AccessScope {
    AccessScope {
        categories: BTreeSet::from([Category::EncounterSummary, Category::Laboratory, Category::Imaging]),
        highest_sensitivity: Sensitivity::N,
        purposes: BTreeSet::from([Purpose::Treat, Purpose::Coc]),
    }
}

fn window_from_now() -> Result<Window> {
    let starts = moment::now()?.minus_ms(60_000);
    Ok(Window { starts, expires: starts.plus_ms(365 * DAY_MS) })
}

fn terms(desks: &Desks) -> Result<Terms> {
    let frame = Frame {
        currency: Currency::CNY,
        services: BTreeSet::from([code("teleconsultation")]),
        payer: desks.insurer.id.clone(),
    };
    let share = |desk: &Desk, role, percent| SplitShare {
        institution: desk.id.clone(),
        role,
        weight: Ratio::percent(percent),
    };
    let shares = [
        share(&desks.township, PartRole::Primary, 30),
        share(&desks.teaching, PartRole::Expert, 55),
        share(&desks.county, PartRole::Platform, 15),
    ];
    Ok(percentage_split(&frame, &shares, Rounding::PerEvent)?)
}

async fn sign_agreement(desks: &Desks, tally: &mut Tally) -> Result<AgreementId> {
    let capacity =
        |service, slots| Operation::PublishCapacity(PublishCapacity { service: code(service), slots });
    desks.teaching.record(vec![capacity("cardiology", 20), capacity("imaging", 50)], tally).await?;
    let terms = terms(desks)?;
    let terms_hash = codec::hash(Domain::Terms, &terms);
    let proposal = ProposeAgreement {
        consortium: ConsortiumId::new(crate::consortium::CONSORTIUM).expect("a constant slug"),
        terms,
        window: window_from_now()?,
        schedule: Schedule::OnDemand,
    };
    let proposed = desks.teaching.record(vec![Operation::ProposeAgreement(proposal)], tally).await?;
    let agreement = AgreementId(proposed.objects[0]);
    for desk in [&desks.county, &desks.township, &desks.insurer] {
        let sign = Operation::SignAgreement(SignAgreement { agreement, terms_hash });
        desk.record(vec![sign], tally).await?;
    }
    Ok(agreement)
}

async fn grant_access(desks: &Desks, subjects: &[SubjectTag], tally: &mut Tally) -> Result<Vec<GrantId>> {
    let window = window_from_now()?;
    let grants = subjects
        .iter()
        .enumerate()
        .map(|(number, subject)| {
            let grantee = if number % 2 == 0 { &desks.teaching } else { &desks.county };
            Ok(Operation::GrantAccess(GrantAccess {
                subject: *subject,
                grantee: grantee.id.clone(),
                scope: scope(),
                window,
                consent: document("consent")?,
            }))
        })
        .collect::<Result<Vec<_>>>()?;
    let recorded = desks.township.record(grants, tally).await?;
    Ok(recorded.objects.into_iter().map(GrantId).collect())
}

async fn disclose(
    desks: &Desks,
    subjects: &[SubjectTag],
    grants: &[GrantId],
    tally: &mut Tally,
) -> Result<(usize, TransactionId)> {
    let recipients = [&desks.teaching, &desks.county];
    let mut contents = Vec::new();
    let mut disclosures = Vec::new();
    for (number, (subject, grant)) in subjects.iter().zip(grants).enumerate() {
        let content = document("records")?;
        contents.push(content);
        disclosures.push(disclosure(
            *subject,
            &recipients[number % 2].id,
            content,
            Decision::Permit { grant: *grant },
        ));
    }
    let recorded = desks.township.record(disclosures, tally).await?;
    for (which, recipient) in recipients.into_iter().enumerate() {
        let receipts = recorded
            .objects
            .iter()
            .zip(&contents)
            .skip(which)
            .step_by(2)
            .map(|(disclosure, content)| {
                let disclosure = DisclosureId(*disclosure);
                Operation::RecordReceipt(RecordReceipt { disclosure, content: *content, acting_person: None })
            })
            .collect();
        recipient.record(receipts, tally).await?;
    }
    let denied = Decision::Deny { reason: DenialReason::NoGrant };
    let denial = disclosure(subjects[1], &desks.insurer.id, document("records")?, denied);
    desks.township.record(vec![denial], tally).await?;
    Ok((recorded.objects.len() + 1, recorded.transaction_id))
}

fn disclosure(
    subject: SubjectTag,
    recipient: &InstitutionId,
    content: Commitment,
    decision: Decision,
) -> Operation {
    Operation::RecordDisclosure(RecordDisclosure {
        subject,
        recipient: recipient.clone(),
        category: Category::Laboratory,
        sensitivity: Sensitivity::N,
        purpose: Purpose::Treat,
        content,
        decision,
        acting_person: None,
        origin: None,
    })
}

/// A disclosure that its grant does not cover; the refusal is evidence.
async fn overreach(desks: &Desks, subject: SubjectTag, grant: GrantId, tally: &mut Tally) -> Result<String> {
    let attempt = RecordDisclosure {
        subject,
        recipient: desks.teaching.id.clone(),
        category: Category::Genomic,
        sensitivity: Sensitivity::R,
        purpose: Purpose::Hresch,
        content: document("records")?,
        decision: Decision::Permit { grant },
        acting_person: None,
        origin: None,
    };
    desks.township.attempt(Operation::RecordDisclosure(attempt), tally).await
}

async fn refer(desks: &Desks, subjects: &[SubjectTag], tally: &mut Tally) -> Result<ReferralId> {
    let (up, down) = (&desks.teaching, &desks.township);
    let request = |subject: &SubjectTag, urgency| {
        Ok(Operation::RequestReferral(RequestReferral {
            subject: *subject,
            receiver: up.id.clone(),
            direction: Direction::Up,
            service: code("cardiology"),
            urgency,
            reason: document("reason")?,
            access: scope(),
        }))
    };
    let urgencies = [Urgency::Routine, Urgency::Routine, Urgency::Urgent, Urgency::Emergency];
    let requests = subjects
        .iter()
        .take(REFERRALS)
        .enumerate()
        .map(|(number, subject)| request(subject, urgencies[number % urgencies.len()]))
        .collect::<Result<Vec<_>>>()?;
    let requested = down.record(requests, tally).await?;
    let all: Vec<ReferralId> = requested.objects.into_iter().map(ReferralId).collect();
    let (declined, accepted) = all.split_first().context("the story refers somebody")?;

    let mut answers: Vec<Operation> =
        accepted.iter().map(|id| Operation::AcceptReferral(AcceptReferral { referral: *id })).collect();
    let reason = ReferralReason::BetterElsewhere;
    answers.push(Operation::DeclineReferral(DeclineReferral { referral: *declined, reason }));
    up.record(answers, tally).await?;

    let packages = accepted.iter().map(|_| document("package")).collect::<Result<Vec<_>>>()?;
    let hand_over = |(id, package): (&ReferralId, &Commitment)| {
        Operation::HandOver(HandOver { referral: *id, package: *package })
    };
    down.record(accepted.iter().zip(&packages).map(hand_over).collect(), tally).await?;
    let acknowledge = |(id, package): (&ReferralId, &Commitment)| {
        Operation::AcknowledgeHandover(AcknowledgeHandover { referral: *id, package: *package })
    };
    up.record(accepted.iter().zip(&packages).map(acknowledge).collect(), tally).await?;

    let reports = accepted
        .iter()
        .map(|id| {
            let (outcome, report) = (OutcomeCode::ContinuingCare, document("report")?);
            Ok(Operation::ReportOutcome(ReportOutcome { referral: *id, outcome, report }))
        })
        .collect::<Result<Vec<_>>>()?;
    up.record(reports, tally).await?;
    let back = ReturnDownward {
        returns: accepted[0],
        service: code("rehabilitation"),
        urgency: Urgency::Routine,
        reason: document("reason")?,
        access: scope(),
    };
    let returned = up.record(vec![Operation::ReturnDownward(back)], tally).await?;
    let accept = AcceptReferral { referral: ReferralId(returned.objects[0]) };
    down.record(vec![Operation::AcceptReferral(accept)], tally).await?;
    let clinical = |id: &ReferralId| Operation::CloseClinically(CloseClinically { referral: *id });
    down.record(accepted.iter().map(clinical).collect(), tally).await?;
    let administrative =
        |id: &ReferralId| Operation::CloseAdministratively(CloseAdministratively { referral: *id });
    up.record(accepted.iter().map(administrative).collect(), tally).await?;
    Ok(accepted[0])
}

async fn consult(desks: &Desks, tally: &mut Tally) -> Result<()> {
    let part = |role, desk: &Desk| PlayedPart { role, institution: desk.id.clone() };
    let performed = Window::day_of(moment::now()?);
    let services = (0..CONSULTATIONS)
        .map(|_| {
            Ok(Operation::DeliverService(DeliverService {
                service: code("teleconsultation"),
                performed,
                parts: vec![
                    part(PartRole::Primary, &desks.township),
                    part(PartRole::Expert, &desks.teaching),
                    part(PartRole::Platform, &desks.county),
                ],
                payer: desks.insurer.id.clone(),
                gross_minor: AmountMinor(CONSULTATION_FEN),
                currency: Currency::CNY,
                evidence: document("claim")?,
            }))
        })
        .collect::<Result<Vec<_>>>()?;
    let delivered = desks.township.record(services, tally).await?;
    let service = ServiceId(delivered.objects[0]);
    let reverse = ReverseService { service, reason: ReversalReason::ClaimRejected };
    desks.township.record(vec![Operation::ReverseService(reverse)], tally).await?;
    Ok(())
}

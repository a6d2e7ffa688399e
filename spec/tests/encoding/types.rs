//! How each type of the protocol is drawn: its fields and variants, in the words of the crate.

use yilian_spec::base::codec;
use yilian_spec::base::time::{LedgerTime, Window};
use yilian_spec::base::version::{VersionSchedule, VersionStart};
use yilian_spec::crypto::merkle::log::Frontier;
use yilian_spec::crypto::signature::{PublicKey, Signature};
use yilian_spec::domain::Operation;
use yilian_spec::domain::access::*;
use yilian_spec::domain::agreement::work::AgreementWork;
use yilian_spec::domain::agreement::*;
use yilian_spec::domain::membership::rotation::Absence;
use yilian_spec::domain::membership::validators::*;
use yilian_spec::domain::membership::*;
use yilian_spec::domain::parameters::*;
use yilian_spec::domain::referral::*;
use yilian_spec::domain::refusal::Refusal;
use yilian_spec::domain::service::*;
use yilian_spec::ledger::block::*;
use yilian_spec::ledger::genesis::*;
use yilian_spec::ledger::receipt::{Outcome, Receipt};
use yilian_spec::ledger::transaction::{Transaction, TransactionBody};
use yilian_spec::settlement::evaluate::{Figure, FigureValue};
use yilian_spec::settlement::expression::{Expression, Measure, MetricSide, Step, StepIndex};
use yilian_spec::settlement::period::{MetricSum, PartPlayed, PartVolume, Tally, Volume};
use yilian_spec::settlement::rational::Ratio;
use yilian_spec::settlement::statement::{Line, LineKind, Share, Statement};
use yilian_spec::settlement::terms::{Party, Rounding, Terms};
use yilian_spec::settlement::{PartRole, PartyIndex};
use yilian_spec::state::stream::{Entry, EntryKind};

use crate::generate::{Arbitrary, Gen};
use crate::{choice, record, wrap};

/// Two things are called a tier: a level of care and a step of a price.
type PriceTier = yilian_spec::settlement::expression::Tier;
use yilian_spec::base::height::Height;

wrap!(Height LedgerTime PartyIndex StepIndex);

record! {
    Window { starts, expires }
    Institution { id, name, kind, tier, consortia }
    KeyRecord { institution, role, window, revoked_at }
    EarlyEnd { at, how }
    ReportedOutcome { outcome, report }
    CountedIn { agreement, period }
    Validator { key, institution, power }
    Absence { institution, until, missed, used }
    GenesisKey { key, role, window }
    GenesisInstitution { institution, keys }
    VersionStart { height, version }
    Parameters {
        versions, block_transactions_max, block_bytes_max, block_work_max, quota_work_per_s, receipt_deadline_ms, referral_answer_deadline_ms,
        referral_handover_deadline_ms, referral_acknowledge_deadline_ms, referral_outcome_deadline_ms,
        referral_closure_deadline_ms, referral_access_ms, consensus,
    }
    ConsensusTimeouts { propose_ms, propose_min_ms, prevote_ms, precommit_ms, delta_ms, rebroadcast_ms, bound_ms }
    Genesis { network, time, parameters, institutions, validators }
    Header {
        version, chain_id, height, previous, time, proposer, transaction_count, transactions_root, receipts_root,
        log_size, log_root, state_root, validators_hash, next_validators_hash,
    }
    Block { header, transactions }
    CommitSignature { validator, signature }
    CommitCertificate { height, round, block_id, signatures }
    TransactionBody { chain_id, author, institution, created, expires, nonce, operations }
    Transaction { body, signature }
    Receipt { transaction_id, outcome, effects }
    RegisterKey { key, role, window, possession }
    RotateKey { old_key, new_key, window, possession }
    RevokeKey { key, reason }
    AccessScope { categories, highest_sensitivity, purposes }
    GrantAccess { subject, grantee, scope, window, consent }
    RevokeGrant { grant, reason }
    RecordDisclosure { subject, recipient, category, sensitivity, purpose, content, decision, acting_person, origin }
    RecordReceipt { disclosure, content, acting_person }
    PublishCapacity { service, slots }
    RequestReferral { subject, receiver, direction, service, urgency, reason, access }
    AcceptReferral { referral }
    DeclineReferral { referral, reason }
    RedirectReferral { referral, proposed_receiver, reason }
    ConfirmRedirect { referral, receiver }
    CancelReferral { referral, reason }
    HandOver { referral, package }
    AcknowledgeHandover { referral, package }
    ReportOutcome { referral, outcome, report }
    AmendOutcome { referral, outcome, report }
    CloseClinically { referral }
    CloseAdministratively { referral }
    ReturnDownward { returns, service, urgency, reason, access }
    PlayedPart { role, institution }
    DeliverService { service, performed, parts, payer, gross_minor, currency, evidence }
    ReverseService { service, reason }
    ProposeAgreement { consortium, terms, window, schedule }
    SignAgreement { agreement, terms_hash }
    TerminateAgreement { agreement }
    ClosePeriod { agreement, period }
    Ratio { numerator, denominator }
    PriceTier { up_to, rate }
    Expression { steps }
    Party { institution, roles }
    Terms { currency, services, metrics, parties, payer, rounding, expression }
    Tally { count, gross_minor }
    Volume { delivered, reversed }
    PartPlayed { party, role }
    PartVolume { service, played, volume }
    MetricSum { metric, party, numerator, denominator }
    Share { count, gross_minor, amount_minor }
    Line { party, kind, share }
    Figure { name, value }
    Statement { currency, payer, services, figures, lines }
    Grant { grantor, grantee, subject, scope, window, consent, referral, ended }
    Disclosure { source, recipient, subject, content, decision, transaction_id, receipt_due, received_at }
    Referral {
        requester, receiver, subject, direction, service, urgency, reason, access, state, since, due, grant,
        holds_slot, proposed_receiver, redirects, package, outcome, ended_because, returns, returned_by,
    }
    Capacity { slots, reserved }
    Service { delivered, recorder, transaction_id, counted_in, reversed_at }
    Agreement {
        consortium, terms, terms_hash, window, schedule, state, signed, open_period, period_began,
    }
    ClosedPeriod { began, closed, events, events_root, statement_hash }
    PeriodStatement { agreement, period, began, closed, statement }
    Entry { height, transaction_id, operation, kind }
    AgreementWork { event, close, change }
}

choice! {
    PublicKey { Ed25519(bytes) }
    Signature { Ed25519(bytes) }
    InstitutionKind {
        Hospital, PrimaryCare, ImagingCentre, Laboratory, Insurer, PharmaceuticalCompany, Platform, Regulator,
    }
    Tier { Village, Township, County, City, Province }
    Role { Validator, Node, Administrator, AccessGateway, ReferralGateway, Finance, Auditor }
    RevocationReason { Compromised, Lost, Retired }
    Category {
        EncounterSummary, ProblemList, Laboratory, Imaging, Medication, Procedure, Immunization, Allergy, VitalSigns,
        CarePlan, Billing, Genomic, MentalHealth,
    }
    Sensitivity { U, L, M, N, R, V }
    Purpose { Treat, Etreat, Hpaymt, Hoperat, Hresch, Pubhlth, Patrqt, Coc, Hlegal }
    GrantRevocationReason { ConsentWithdrawn, TreatmentEnded, Mistake }
    DenialReason { NoGrant, OutsideGrant, NoTreatmentRelation, NoRecords }
    Decision { Permit { grant }, Deny { reason } }
    Direction { Up, Down, Lateral }
    Urgency { Routine, Urgent, Emergency }
    ReferralReason {
        NoCapacity, BetterElsewhere, ServiceNotOffered, InsufficientInformation, PatientDeclined, NoShow,
        NoLongerNeeded,
    }
    OutcomeCode { Completed, ContinuingCare, AdviceGiven, NoShow, NotTreated }
    PartRole { Primary, Expert, Platform, Reader, Laboratory, Pharmacy }
    ReversalReason { Mistake, Duplicate, NotDelivered, ClaimRejected }
    Schedule { Fixed { length_ms }, OnDemand }
    Rounding { PerEvent, PerPeriod }
    Measure { DeliveredCount, ReversedCount, NetCount, DeliveredGross, ReversedGross, NetGross }
    MetricSide { Numerator, Denominator }
    Step {
        Constant { value }, PerParty { values }, Events { service, measure }, PartyEvents { service, role, measure },
        Metric { metric, side }, PartyMetric { metric, side }, Add { left, right }, Subtract { left, right },
        Multiply { left, right }, Divide { left, right }, Minimum { left, right }, Maximum { left, right },
        Clamp { value, low, high }, AtLeast { value, threshold, then, otherwise }, Tiers { value, tiers, beyond },
        Place { party, value }, Sum { vector }, Round { value, figure }, Allot { amount, weights, figure },
    }
    LineKind { Earned, Adjustment { period } }
    FigureValue { Single { value }, PerParty { values } }
    GrantEnd { Revoked, ReferralClosed }
    ReferralState {
        Requested, Redirected, Accepted, HandedOver, InCare, OutcomeReported, ClosedClinically, Closed, Declined,
        Cancelled,
    }
    AgreementState { Proposed, Active, Terminated }
    EntryKind { Applied, Refused }
    Outcome { Applied, Refused { operation, reason } }
    Refusal {
        KeyUnknown, KeyOfAnotherInstitution, WrongRole, KeyRevoked, KeyNotYetValid, KeyExpired, TooMuchWork,
        KeyAlreadyRegistered, BadPossession, TooManyNodeKeys, KeyNotRegistrable, ValidatorKeyNeedsBallot,
        BadWindow, NoSuchKey, KeyAlreadyRevoked, LastAdministrator, NoSuchInstitution, SameInstitution,
        EmptyScope, NoSuchGrant, NotTheCustodian, NotTheGrantor, OtherGrantee, OtherSubject, GrantNotYetValid,
        GrantExpired, GrantRevoked, GrantEnded, CategoryNotGranted, SensitivityNotGranted, PurposeNotGranted,
        NoSuchDisclosure, OtherRecipient, DisclosureDenied, AlreadyReceived, CommitmentMismatch, NoSuchReferral,
        NotThatParty, WrongReferralState, Lapsed, OtherReceiver, DirectionMismatch, NoCapacity, CapacityInUse,
        TooManySlots, TooManyRedirects, AlreadyReturned, AmountOutOfBounds, NoPartPlayed, EvidenceRepeated,
        NoSuchService, NotTheRecorder, AlreadyReversed, Overflow, NoSuchAgreement, NotAParty,
        WrongAgreementState, AlreadySigned, TermsMismatch, NotInConsortium, TooManyAgreements, NotTheOpenPeriod,
        PeriodNotOver, TermsNotEvaluable, NotYetPerformed,
    }
    Operation {
        RegisterKey(operation), RotateKey(operation), RevokeKey(operation), GrantAccess(operation),
        RevokeGrant(operation), RecordDisclosure(operation), RecordReceipt(operation), PublishCapacity(operation),
        RequestReferral(operation), AcceptReferral(operation), DeclineReferral(operation),
        RedirectReferral(operation), CancelReferral(operation), HandOver(operation), AcknowledgeHandover(operation),
        ReportOutcome(operation), AmendOutcome(operation), CloseClinically(operation), CloseAdministratively(operation),
        ReturnDownward(operation), DeliverService(operation), ReverseService(operation),
        ProposeAgreement(operation), SignAgreement(operation), TerminateAgreement(operation), ClosePeriod(operation),
        ConfirmRedirect(operation),
    }
}

impl Arbitrary for ValidatorSet {
    fn arbitrary(draw: &mut Gen) -> Self {
        Self::new(Vec::arbitrary(draw))
    }
}

impl Arbitrary for Frontier {
    fn arbitrary(draw: &mut Gen) -> Self {
        let length = draw.below(1 << 20);
        let peaks = (0..length.count_ones()).map(|_| Arbitrary::arbitrary(draw)).collect();
        Self::from_parts(length, peaks).expect("one peak for each one-bit of the length")
    }
}

/// Its field is private; what has the same field has the same encoding.
impl Arbitrary for VersionSchedule {
    fn arbitrary(draw: &mut Gen) -> Self {
        let starts = Vec::<VersionStart>::arbitrary(draw);
        codec::decode(&codec::encode(&starts), usize::MAX).expect("a list of versions")
    }
}

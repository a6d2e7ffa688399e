//! Why the rules refuse an operation. One variant per rule; the name is what JSON, receipts and the book of rules
//! (`spec/protocol/05-operations.md`) call it.

use serde::{Deserialize, Serialize};
use thiserror::Error;
use utoipa::ToSchema;
use wincode::{SchemaRead, SchemaWrite};

use crate::base::limits;

/// A refusal. The transaction stays on the ledger with it, and changes nothing else.
#[derive(
    Debug,
    Error,
    Clone,
    Copy,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Serialize,
    Deserialize,
    SchemaRead,
    SchemaWrite,
    ToSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum Refusal {
    // Authority (rules A-…), checked for every transaction.
    ///
    #[error("the author's key is not registered")]
    #[wincode(tag = 0)]
    KeyUnknown,
    ///
    #[error("the author's key belongs to another institution")]
    #[wincode(tag = 1)]
    KeyOfAnotherInstitution,
    ///
    #[error("the author's key has another role than the operation needs")]
    #[wincode(tag = 2)]
    WrongRole,
    ///
    #[error("the author's key was revoked")]
    #[wincode(tag = 3)]
    KeyRevoked,
    ///
    #[error("the author's key is not valid yet")]
    #[wincode(tag = 4)]
    KeyNotYetValid,
    ///
    #[error("the author's key has expired: rotate it with an administrator key")]
    #[wincode(tag = 5)]
    KeyExpired,
    ///
    #[error(
        "the transaction costs more than {} units of work: split it",
        crate::base::limits::TRANSACTION_WORK_MAX
    )]
    #[wincode(tag = 6)]
    TooMuchWork,

    // Membership (rules O-1…).
    /// The key to register is known already.
    #[error("the key is registered already")]
    #[wincode(tag = 7)]
    KeyAlreadyRegistered,
    /// The new key does not prove that its owner holds the secret.
    #[error("the new key's proof of possession does not verify")]
    #[wincode(tag = 8)]
    BadPossession,
    /// More node keys than one institution may have in force.
    #[error(
        "the institution has {} node keys in force, the most it may have: revoke or rotate one",
        limits::NODE_KEYS_PER_INSTITUTION_MAX
    )]
    #[wincode(tag = 9)]
    TooManyNodeKeys,
    /// Not a prime-order key in canonical encoding.
    #[error("the new key is not canonical or not of prime order")]
    #[wincode(tag = 10)]
    KeyNotRegistrable,
    /// The role is given by ballots only.
    #[error("validator keys come from the genesis and from ballots only")]
    #[wincode(tag = 11)]
    ValidatorKeyNeedsBallot,
    /// The window is empty or too long.
    #[error("the window is empty, over already, or longer than allowed")]
    #[wincode(tag = 12)]
    BadWindow,
    /// The key to rotate or revoke is unknown or another institution's.
    #[error("no such key of this institution")]
    #[wincode(tag = 13)]
    NoSuchKey,
    /// The key to rotate or revoke is revoked already.
    #[error("the key is revoked already")]
    #[wincode(tag = 14)]
    KeyAlreadyRevoked,
    /// An institution must keep one administrator.
    #[error("the institution's last administrator key cannot be revoked: rotate it")]
    #[wincode(tag = 15)]
    LastAdministrator,

    // Access.
    /// An institution that an operation names is not a member.
    #[error("an institution that the operation names is not a member")]
    #[wincode(tag = 16)]
    NoSuchInstitution,
    /// Grantor and grantee, requester and receiver are the same.
    #[error("an institution cannot do this with itself")]
    #[wincode(tag = 17)]
    SameInstitution,
    /// No category or no purpose.
    #[error("a grant needs at least one category and one purpose")]
    #[wincode(tag = 18)]
    EmptyScope,
    /// No such grant.
    #[error("no such grant")]
    #[wincode(tag = 19)]
    NoSuchGrant,
    /// Another institution keeps records under the tag.
    #[error(
        "the tag is not one of your institution's, so the records that it stands for are kept by another: draw a tag of your own"
    )]
    #[wincode(tag = 20)]
    NotTheCustodian,
    /// Not the grantor.
    #[error("only the grantor may do this")]
    #[wincode(tag = 21)]
    NotTheGrantor,
    /// Not for this recipient.
    #[error("the grant is for another grantee")]
    #[wincode(tag = 22)]
    OtherGrantee,
    /// Not for this subject.
    #[error("the grant is for another subject")]
    #[wincode(tag = 23)]
    OtherSubject,
    /// Before its window.
    #[error("the grant is not valid yet")]
    #[wincode(tag = 24)]
    GrantNotYetValid,
    /// After its window.
    #[error("the grant has expired")]
    #[wincode(tag = 25)]
    GrantExpired,
    /// Revoked.
    #[error("the grant was revoked")]
    #[wincode(tag = 26)]
    GrantRevoked,
    /// Ended with the referral that gave it.
    #[error("the grant ended with its referral")]
    #[wincode(tag = 27)]
    GrantEnded,
    /// A category outside the grant.
    #[error("the grant does not cover this category")]
    #[wincode(tag = 28)]
    CategoryNotGranted,
    /// More sensitive than the grant allows.
    #[error("the records are more sensitive than the grant allows")]
    #[wincode(tag = 29)]
    SensitivityNotGranted,
    /// A purpose outside the grant.
    #[error("the grant does not cover this purpose")]
    #[wincode(tag = 30)]
    PurposeNotGranted,
    /// No such disclosure.
    #[error("no such disclosure")]
    #[wincode(tag = 31)]
    NoSuchDisclosure,
    /// Not the recipient.
    #[error("the disclosure was made to another recipient")]
    #[wincode(tag = 32)]
    OtherRecipient,
    /// The disclosure was a denial.
    #[error("nothing was disclosed: the source denied it")]
    #[wincode(tag = 33)]
    DisclosureDenied,
    /// There is a receipt already.
    #[error("the disclosure has a receipt already")]
    #[wincode(tag = 34)]
    AlreadyReceived,
    /// Other content than was sent.
    #[error("the commitment differs from the one that was sent")]
    #[wincode(tag = 35)]
    CommitmentMismatch,

    // Referrals.
    /// No such referral.
    #[error("no such referral")]
    #[wincode(tag = 36)]
    NoSuchReferral,
    /// The other party of the referral must do this.
    #[error("the other party of the referral must do this")]
    #[wincode(tag = 37)]
    NotThatParty,
    /// The referral is in another state.
    #[error("the referral is in another state than this needs")]
    #[wincode(tag = 38)]
    WrongReferralState,
    /// The deadline is over.
    #[error("the request has lapsed: its deadline is over, ask anew")]
    #[wincode(tag = 39)]
    Lapsed,
    /// Another institution than the one proposed.
    #[error("the request was redirected to another institution than this names")]
    #[wincode(tag = 40)]
    OtherReceiver,
    /// The direction does not agree with the tiers.
    #[error("the direction does not agree with the tiers of the two institutions")]
    #[wincode(tag = 41)]
    DirectionMismatch,
    /// All published slots are reserved.
    #[error("no free capacity for this service: publish more slots or redirect")]
    #[wincode(tag = 42)]
    NoCapacity,
    /// Fewer slots than are reserved.
    #[error("more slots are reserved than this would publish")]
    #[wincode(tag = 43)]
    CapacityInUse,
    /// Too many slots.
    #[error("more slots than may be published")]
    #[wincode(tag = 44)]
    TooManySlots,
    /// Redirected too often.
    #[error("the referral was redirected too often")]
    #[wincode(tag = 45)]
    TooManyRedirects,
    /// Returned before.
    #[error("the referral was returned already")]
    #[wincode(tag = 46)]
    AlreadyReturned,

    // Services and agreements.
    /// The amount is outside its bounds.
    #[error("the amount is negative or above the limit")]
    #[wincode(tag = 47)]
    AmountOutOfBounds,
    /// The author's institution played no part.
    #[error("the author's institution played no part in the service")]
    #[wincode(tag = 48)]
    NoPartPlayed,
    /// Evidence repeats.
    #[error("another service carries the same evidence: an event settles once")]
    #[wincode(tag = 49)]
    EvidenceRepeated,
    /// No such service.
    #[error("no such service")]
    #[wincode(tag = 50)]
    NoSuchService,
    /// Not the institution that recorded it.
    #[error("only the institution that recorded the service may reverse it")]
    #[wincode(tag = 51)]
    NotTheRecorder,
    /// Reversed before.
    #[error("the service is reversed already")]
    #[wincode(tag = 52)]
    AlreadyReversed,
    /// An arithmetic overflow.
    #[error("an amount or a count overflows: close the period or split the service")]
    #[wincode(tag = 53)]
    Overflow,
    /// No such agreement.
    #[error("no such agreement")]
    #[wincode(tag = 54)]
    NoSuchAgreement,
    /// Proposed by an institution that has no part in it.
    #[error("the author's institution is no party of the agreement")]
    #[wincode(tag = 55)]
    NotAParty,
    /// Not proposed any more, or not active.
    #[error("the agreement is in another state than this needs")]
    #[wincode(tag = 56)]
    WrongAgreementState,
    /// Signed before.
    #[error("the party has signed already")]
    #[wincode(tag = 57)]
    AlreadySigned,
    /// Other terms.
    #[error("the hash is not that of the agreement's terms")]
    #[wincode(tag = 58)]
    TermsMismatch,
    /// Not a member of the consortium.
    #[error("a party is not a member of the consortium")]
    #[wincode(tag = 59)]
    NotInConsortium,
    /// Too many agreements cover the service.
    #[error("too many agreements cover this payer's service")]
    #[wincode(tag = 60)]
    TooManyAgreements,
    /// The period named is not the open one.
    #[error("this is not the open period")]
    #[wincode(tag = 61)]
    NotTheOpenPeriod,
    /// The period's end is not reached.
    #[error("the period has not ended yet")]
    #[wincode(tag = 62)]
    PeriodNotOver,
    /// The terms cannot be evaluated over the period's events.
    #[error("the terms cannot be evaluated over these events")]
    #[wincode(tag = 63)]
    TermsNotEvaluable,
    /// A service is recorded before it was performed.
    #[error("the service was not performed yet: its last day begins more than a day after this block")]
    #[wincode(tag = 64)]
    NotYetPerformed,
}

impl Refusal {
    /// All refusals, by their numbers.
    pub const ALL: [Self; 65] = [
        Self::KeyUnknown,
        Self::KeyOfAnotherInstitution,
        Self::WrongRole,
        Self::KeyRevoked,
        Self::KeyNotYetValid,
        Self::KeyExpired,
        Self::TooMuchWork,
        Self::KeyAlreadyRegistered,
        Self::BadPossession,
        Self::TooManyNodeKeys,
        Self::KeyNotRegistrable,
        Self::ValidatorKeyNeedsBallot,
        Self::BadWindow,
        Self::NoSuchKey,
        Self::KeyAlreadyRevoked,
        Self::LastAdministrator,
        Self::NoSuchInstitution,
        Self::SameInstitution,
        Self::EmptyScope,
        Self::NoSuchGrant,
        Self::NotTheCustodian,
        Self::NotTheGrantor,
        Self::OtherGrantee,
        Self::OtherSubject,
        Self::GrantNotYetValid,
        Self::GrantExpired,
        Self::GrantRevoked,
        Self::GrantEnded,
        Self::CategoryNotGranted,
        Self::SensitivityNotGranted,
        Self::PurposeNotGranted,
        Self::NoSuchDisclosure,
        Self::OtherRecipient,
        Self::DisclosureDenied,
        Self::AlreadyReceived,
        Self::CommitmentMismatch,
        Self::NoSuchReferral,
        Self::NotThatParty,
        Self::WrongReferralState,
        Self::Lapsed,
        Self::OtherReceiver,
        Self::DirectionMismatch,
        Self::NoCapacity,
        Self::CapacityInUse,
        Self::TooManySlots,
        Self::TooManyRedirects,
        Self::AlreadyReturned,
        Self::AmountOutOfBounds,
        Self::NoPartPlayed,
        Self::EvidenceRepeated,
        Self::NoSuchService,
        Self::NotTheRecorder,
        Self::AlreadyReversed,
        Self::Overflow,
        Self::NoSuchAgreement,
        Self::NotAParty,
        Self::WrongAgreementState,
        Self::AlreadySigned,
        Self::TermsMismatch,
        Self::NotInConsortium,
        Self::TooManyAgreements,
        Self::NotTheOpenPeriod,
        Self::PeriodNotOver,
        Self::TermsNotEvaluable,
        Self::NotYetPerformed,
    ];

    /// The number that encodes it, in a receipt as everywhere.
    pub const fn number(self) -> u32 {
        self as u32
    }
}

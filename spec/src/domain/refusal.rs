//! Why the rules refuse an operation. One variant per rule; the name is what JSON, receipts and the book of rules
//! (`spec/protocol/05-operations.md`) call it.

use serde::{Deserialize, Serialize};
use thiserror::Error;
use wincode::{SchemaRead, SchemaWrite};

use crate::base::limits;

/// A refusal. The transaction stays on the ledger with it, and changes nothing else.
#[derive(
    Debug, Error, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, SchemaRead, SchemaWrite,
)]
#[serde(rename_all = "snake_case")]
pub enum Refusal {
    // Authority (rules A-…), checked for every transaction.
    ///
    #[error("the author's key is not registered")]
    KeyUnknown,
    ///
    #[error("the author's key belongs to another institution")]
    KeyOfAnotherInstitution,
    ///
    #[error("the author's key has another role than the operation needs")]
    WrongRole,
    ///
    #[error("the author's key is not valid yet")]
    KeyNotYetValid,
    ///
    #[error("the author's key has expired: rotate it with an administrator key")]
    KeyExpired,
    ///
    #[error("the author's key was revoked")]
    KeyRevoked,

    ///
    #[error(
        "the transaction costs more than {} units of work: split it",
        crate::base::limits::TRANSACTION_WORK_MAX
    )]
    TooMuchWork,

    // Membership (rules O-1…).
    /// The key to register is known already.
    #[error("the key is registered already")]
    KeyAlreadyRegistered,
    /// The new key does not prove that its owner holds the secret.
    #[error("the new key's proof of possession does not verify")]
    BadPossession,
    /// Not a prime-order key in canonical encoding.
    #[error("the new key is not canonical or not of prime order")]
    KeyNotRegistrable,
    /// The role is given by ballots only.
    #[error("validator keys come from the genesis and from ballots only")]
    ValidatorKeyNeedsBallot,
    /// The window is empty or too long.
    #[error("the window is empty, over already, or longer than allowed")]
    BadWindow,
    /// The key to rotate or revoke is unknown or another institution's.
    #[error("no such key of this institution")]
    NoSuchKey,
    /// The key to rotate or revoke is revoked already.
    #[error("the key is revoked already")]
    KeyAlreadyRevoked,
    /// An institution must keep one administrator.
    #[error("the institution's last administrator key cannot be revoked: rotate it")]
    LastAdministrator,

    // Access.
    /// An institution that an operation names is not a member.
    #[error("an institution that the operation names is not a member")]
    NoSuchInstitution,
    /// Grantor and grantee, requester and receiver are the same.
    #[error("an institution cannot do this with itself")]
    SameInstitution,
    /// No category or no purpose.
    #[error("a grant needs at least one category and one purpose")]
    EmptyScope,
    /// No such grant.
    #[error("no such grant")]
    NoSuchGrant,
    /// Another institution keeps records under the tag.
    #[error(
        "the tag is not one of your institution's, so the records that it stands for are kept by another: draw a tag of your own"
    )]
    NotTheCustodian,
    /// Not the grantor.
    #[error("only the grantor may do this")]
    NotTheGrantor,
    /// Not for this recipient.
    #[error("the grant is for another grantee")]
    OtherGrantee,
    /// Not for this subject.
    #[error("the grant is for another subject")]
    OtherSubject,
    /// Before its window.
    #[error("the grant is not valid yet")]
    GrantNotYetValid,
    /// After its window.
    #[error("the grant has expired")]
    GrantExpired,
    /// Revoked.
    #[error("the grant was revoked")]
    GrantRevoked,
    /// Ended with the referral that gave it.
    #[error("the grant ended with its referral")]
    GrantEnded,
    /// A category outside the grant.
    #[error("the grant does not cover this category")]
    CategoryNotGranted,
    /// More sensitive than the grant allows.
    #[error("the records are more sensitive than the grant allows")]
    SensitivityNotGranted,
    /// A purpose outside the grant.
    #[error("the grant does not cover this purpose")]
    PurposeNotGranted,
    /// No such disclosure.
    #[error("no such disclosure")]
    NoSuchDisclosure,
    /// Not the recipient.
    #[error("the disclosure was made to another recipient")]
    OtherRecipient,
    /// The disclosure was a denial.
    #[error("nothing was disclosed: the source denied it")]
    DisclosureDenied,
    /// There is a receipt already.
    #[error("the disclosure has a receipt already")]
    AlreadyReceived,
    /// Other content than was sent.
    #[error("the commitment differs from the one that was sent")]
    CommitmentMismatch,

    // Referrals.
    /// No such referral.
    #[error("no such referral")]
    NoSuchReferral,
    /// The other party of the referral must do this.
    #[error("the other party of the referral must do this")]
    NotThatParty,
    /// The referral is in another state.
    #[error("the referral is in another state than this needs")]
    WrongReferralState,
    /// The deadline is over.
    #[error("the request has lapsed: its deadline is over, ask anew")]
    Lapsed,
    /// Another institution than the one proposed.
    #[error("the request was redirected to another institution than this names")]
    OtherReceiver,
    /// The direction does not agree with the tiers.
    #[error("the direction does not agree with the tiers of the two institutions")]
    DirectionMismatch,
    /// All published slots are reserved.
    #[error("no free capacity for this service: publish more slots or redirect")]
    NoCapacity,
    /// Fewer slots than are reserved.
    #[error("more slots are reserved than this would publish")]
    CapacityInUse,
    /// Too many slots.
    #[error("more slots than may be published")]
    TooManySlots,
    /// Redirected too often.
    #[error("the referral was redirected too often")]
    TooManyRedirects,
    /// Returned before.
    #[error("the referral was returned already")]
    AlreadyReturned,

    // Services and agreements.
    /// The amount is outside its bounds.
    #[error("the amount is negative or above the limit")]
    AmountOutOfBounds,
    /// The author's institution played no part.
    #[error("the author's institution played no part in the service")]
    NoPartPlayed,
    /// Evidence repeats.
    #[error("another service carries the same evidence: an event settles once")]
    EvidenceRepeated,
    /// No such service.
    #[error("no such service")]
    NoSuchService,
    /// Not the institution that recorded it.
    #[error("only the institution that recorded the service may reverse it")]
    NotTheRecorder,
    /// Reversed before.
    #[error("the service is reversed already")]
    AlreadyReversed,
    /// An arithmetic overflow.
    #[error("an amount or a count overflows: close the period or split the service")]
    Overflow,
    /// No such agreement.
    #[error("no such agreement")]
    NoSuchAgreement,
    /// Proposed by an institution that has no part in it.
    #[error("the author's institution is no party of the agreement")]
    NotAParty,
    /// Not proposed any more, or not active.
    #[error("the agreement is in another state than this needs")]
    WrongAgreementState,
    /// Signed before.
    #[error("the party has signed already")]
    AlreadySigned,
    /// Other terms.
    #[error("the hash is not that of the agreement's terms")]
    TermsMismatch,
    /// Not a member of the consortium.
    #[error("a party is not a member of the consortium")]
    NotInConsortium,
    /// Too many agreements cover the service.
    #[error("too many agreements cover this payer's service")]
    TooManyAgreements,
    /// The period named is not the open one.
    #[error("this is not the open period")]
    NotTheOpenPeriod,
    /// The period's end is not reached.
    #[error("the period has not ended yet")]
    PeriodNotOver,
    /// The terms cannot be evaluated over the period's events.
    #[error("the terms cannot be evaluated over these events")]
    TermsNotEvaluable,

    // Membership again; at the end, because the order is the encoding.
    /// More node keys than one institution may have in force.
    #[error(
        "the institution has {} node keys in force, the most it may have: revoke or rotate one",
        limits::NODE_KEYS_PER_INSTITUTION_MAX
    )]
    TooManyNodeKeys,
}

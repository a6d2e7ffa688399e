//! Operations that tests and benchmarks record: grants of access, and disclosures under them.

use std::collections::BTreeSet;
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result};
use rand::TryRng as _;
use yilian_spec::base::id::{Commitment, GrantId, InstitutionId, SubjectTag, commit};
use yilian_spec::base::time::{LedgerTime, Window};
use yilian_spec::domain::Operation;
use yilian_spec::domain::access::{
    AccessScope, Category, Decision, GrantAccess, Purpose, RecordDisclosure, Sensitivity,
};

/// One day in milliseconds.
pub const DAY_MS: u64 = 24 * 60 * 60 * 1_000;

/// Random bytes from the operating system.
///
/// # Errors
/// When it gives none.
pub fn random<const N: usize>() -> Result<[u8; N]> {
    let mut bytes = [0; N];
    rand::rngs::SysRng.try_fill_bytes(&mut bytes).context("the operating system gave no random bytes")?;
    Ok(bytes)
}

/// This machine's clock as ledger time.
///
/// # Errors
/// When it is before 1970.
pub fn now() -> Result<LedgerTime> {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).context("the clock is before 1970")?;
    Ok(LedgerTime(u64::try_from(since.as_millis())?))
}

/// A subject of an institution's that nobody else knows.
///
/// # Errors
/// When there is no randomness.
pub fn subject(custodian: &InstitutionId) -> Result<SubjectTag> {
    Ok(SubjectTag::of(custodian, random()?))
}

/// A commitment to a document whose salt is thrown away.
///
/// # Errors
/// When there is no randomness.
pub fn commitment() -> Result<Commitment> {
    Ok(commit(&random()?, b"a document"))
}

/// Laboratory results of ordinary sensitivity for treatment, for a year from a minute ago.
///
/// # Errors
/// When there is no randomness or clock.
pub fn grant(subject: SubjectTag, grantee: &InstitutionId) -> Result<Operation> {
    let starts = now()?.minus_ms(60_000);
    Ok(Operation::GrantAccess(GrantAccess {
        subject,
        grantee: grantee.clone(),
        scope: AccessScope {
            categories: BTreeSet::from([Category::Laboratory]),
            highest_sensitivity: Sensitivity::N,
            purposes: BTreeSet::from([Purpose::Treat]),
        },
        window: Window { starts, expires: starts.plus_ms(365 * DAY_MS) },
        consent: commitment()?,
    }))
}

/// A disclosure of new content that [`grant`] allows.
///
/// # Errors
/// When there is no randomness.
pub fn disclosure(subject: SubjectTag, grant: GrantId, recipient: &InstitutionId) -> Result<Operation> {
    Ok(Operation::RecordDisclosure(RecordDisclosure {
        subject,
        recipient: recipient.clone(),
        category: Category::Laboratory,
        sensitivity: Sensitivity::N,
        purpose: Purpose::Treat,
        content: commitment()?,
        decision: Decision::Permit { grant },
        acting_person: None,
        origin: None,
    }))
}

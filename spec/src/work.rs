//! Work: what executing an operation costs, in units that are known before it is executed (rules ).
//!
//! One unit is about what it takes to execute an ordinary operation, such as a grant: some tens of microseconds. What an
//! agreement costs depends on its terms; it is computed once, when the terms are proposed, and kept in a row of its
//! own, so that asking for the work of an operation reads a few short rows. The factors below were measured with
//! `cargo bench -p yilian-spec --bench work`, which prints what a unit of each operation takes.

use serde::{Deserialize, Serialize};
use wincode::{SchemaRead, SchemaWrite};

use crate::codec::{self, Canonical};
use crate::id::{AgreementId, InstitutionId};
use crate::limits::{COVERAGE_WORK_MAX, TRANSACTION_WORK_MAX};
use crate::operation::Operation;
use crate::settlement::check;
use crate::settlement::expression::Step;
use crate::settlement::terms::{Rounding, Terms};
use crate::state::key::StateKey;
use crate::state::record::Service;
use crate::state::{StateView, ViewError};
use crate::transaction::TransactionBody;

/// Scalar operations of an expression (rule T-11) in one unit.
const EXPRESSION_PER_UNIT: u64 = 2;
/// Rows of a period's sums that are searched in one unit.
const SEARCHED_ROWS_PER_UNIT: u64 = 8_192;
/// Rows of a period's sums that are read and written in one unit.
const COUNTED_ROWS_PER_UNIT: u64 = 128;
/// Bytes of terms that are read and written in one unit.
const TERMS_BYTES_PER_UNIT: u64 = 4_096;
/// Streams of institutions that an entry is appended to in one unit.
const STREAMS_PER_UNIT: u64 = 4;
/// Rows that say which agreements count a service, changed in one unit.
const COVERAGE_ROWS_PER_UNIT: u64 = 2;
/// Units of a new key: its signature is verified, and that its point has prime order.
const NEW_KEY: u64 = 8;

/// What the operations on an agreement cost, by its terms.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, SchemaRead, SchemaWrite)]
#[serde(deny_unknown_fields)]
pub struct AgreementWork {
    /// To count a service, or to take one back in the period that counted it.
    pub event: u32,
    /// To evaluate the terms over a period.
    pub close: u32,
    /// To propose, sign or terminate it.
    pub change: u32,
}

impl AgreementWork {
    /// The work of an agreement of these terms.
    pub fn of(terms: &Terms) -> Self {
        let parties = terms.parties.len() as u64;
        let parts: u64 = terms.parties.iter().map(|party| party.roles.len() as u64).sum();
        let services = terms.services.len() as u64;
        // Sums of a period: by service, and by service, party and part.
        let rows = services * (1 + parts);
        let searched = terms.expression.steps.iter().map(|step| match step {
            Step::PartyEvents { .. } => parties * rows,
            Step::Events { .. } => services,
            _ => 0,
        });
        let expression =
            check::work(terms) as u64 / EXPRESSION_PER_UNIT + searched.sum::<u64>() / SEARCHED_ROWS_PER_UNIT;
        let (each_event, each_period) = match terms.rounding {
            Rounding::PerEvent => (expression, 0),
            Rounding::PerPeriod => (0, expression),
        };
        let players = terms.parties.iter().filter(|party| !party.roles.is_empty()).count() as u64;
        let bytes = codec::encode(terms).len() as u64 / TERMS_BYTES_PER_UNIT;
        let streams = parties / STREAMS_PER_UNIT;
        let sums = rows / COUNTED_ROWS_PER_UNIT;
        Self {
            event: units(1 + sums + bytes + each_event),
            close: units(1 + sums + bytes + each_period + streams),
            change: units(1 + bytes + streams + players * services / COVERAGE_ROWS_PER_UNIT),
        }
    }

    /// To take a service back whose period is closed, which is settled anew (rule T-19).
    pub fn late_reversal(self) -> u64 {
        u64::from(self.event) + u64::from(self.close)
    }
}

fn units(work: u64) -> u32 {
    u32::try_from(work).unwrap_or(u32::MAX)
}

/// The work of an institution's operation, from what the state says before it is executed (rule X-5).
///
/// # Errors
/// [`ViewError`] when storage fails.
pub fn of(
    institution: &InstitutionId,
    operation: &Operation,
    view: &dyn StateView,
) -> Result<u64, ViewError> {
    match operation {
        Operation::RegisterKey(_) | Operation::RotateKey(_) => Ok(NEW_KEY),
        Operation::RevokeKey(_)
        | Operation::GrantAccess(_)
        | Operation::RevokeGrant(_)
        | Operation::RecordDisclosure(_)
        | Operation::RecordReceipt(_)
        | Operation::PublishCapacity(_)
        | Operation::RequestReferral(_)
        | Operation::AcceptReferral(_)
        | Operation::DeclineReferral(_)
        | Operation::RedirectReferral(_)
        | Operation::CancelReferral(_)
        | Operation::HandOver(_)
        | Operation::AcknowledgeHandover(_)
        | Operation::ReportOutcome(_)
        | Operation::CloseClinically(_)
        | Operation::CloseAdministratively(_)
        | Operation::ReturnDownward(_)
        | Operation::ConfirmRedirect(_) => Ok(1),
        Operation::DeliverService(service) => {
            let mut work = 1 + service.parts.len() as u64 / STREAMS_PER_UNIT;
            let key = StateKey::Coverage(service.payer.clone(), institution.clone(), service.service.clone());
            let agreements: Vec<AgreementId> = record(view, &key)?.unwrap_or_default();
            for id in agreements {
                work += agreement(view, id)?.map_or(0, |work| u64::from(work.event));
            }
            Ok(work)
        }
        Operation::ReverseService(reverse) => {
            let Some(service) = record::<Service>(view, &StateKey::Service(reverse.service))? else {
                return Ok(1);
            };
            let mut work = 1 + service.delivered.parts.len() as u64 / STREAMS_PER_UNIT;
            for (id, _) in service.counted_in {
                work += agreement(view, id)?.map_or(0, AgreementWork::late_reversal);
            }
            Ok(work)
        }
        Operation::ProposeAgreement(proposal) => Ok(u64::from(AgreementWork::of(&proposal.terms).change)),
        Operation::SignAgreement(sign) => {
            Ok(agreement(view, sign.agreement)?.map_or(1, |work| u64::from(work.change)))
        }
        Operation::TerminateAgreement(end) => {
            Ok(agreement(view, end.agreement)?.map_or(1, |work| u64::from(work.change)))
        }
        Operation::ClosePeriod(close) => {
            Ok(agreement(view, close.agreement)?.map_or(1, |work| u64::from(work.close)))
        }
    }
}

/// What a transaction may be expected to cost on this state: the sum of its operations, at most what any may cost. What
/// earlier operations and blocks change before it is executed is not looked at.
///
/// # Errors
/// [`ViewError`] when storage fails.
pub fn expected(body: &TransactionBody, view: &dyn StateView) -> Result<u64, ViewError> {
    let mut work: u64 = 0;
    for operation in &body.operations {
        work = work.saturating_add(of(&body.institution, operation, view)?);
        if work >= TRANSACTION_WORK_MAX {
            return Ok(TRANSACTION_WORK_MAX);
        }
    }
    Ok(work)
}

/// Whether agreements that count one payer's service leave a reversal of it possible (rule O-23).
///
/// # Errors
/// [`ViewError`] when storage fails.
pub fn may_count_together(agreements: &[AgreementId], view: &dyn StateView) -> Result<bool, ViewError> {
    let mut work = 0;
    for id in agreements {
        work += agreement(view, *id)?.map_or(0, AgreementWork::late_reversal);
    }
    Ok(work <= COVERAGE_WORK_MAX)
}

fn agreement(view: &dyn StateView, id: AgreementId) -> Result<Option<AgreementWork>, ViewError> {
    record(view, &StateKey::AgreementWork(id))
}

fn record<T: Canonical>(view: &dyn StateView, key: &StateKey) -> Result<Option<T>, ViewError> {
    let decode =
        |row: Vec<u8>| codec::decode_own(&row).map_err(|error| ViewError(format!("row {key:?}: {error}")));
    view.get(&key.bytes())?.map(decode).transpose()
}

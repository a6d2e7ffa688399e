//! Real input: FHIR R4 as Synthea and others write it, recorded on the ledger.
//!
//! ```text
//! files ──source──▶ raw ──resolve──▶ Collected ──plan──▶ operations in waves ──submit──▶ ledger
//!                         (index)       ▲                  │     ▲         ▲
//!                                    mapping            changes──┴─journal─┘   agreement: sums in statements
//! ```
//!
//! The rules, cited by the code:
//!
//! - **I-1** An organisation is the member institution that the [`mapping`] says, and a coverage the payer that it says.
//!   What names another is skipped. A resource is known by base, type and id ([`index`]); what could mean several is
//!   skipped.
//! - **I-2** Every institution at which a patient was treated has its own tag for that patient. The link table holds
//!   it under `<institution>/<patient id>`.
//! - **I-3** Of an encounter that a claim bills, the institution discloses the summary to whoever pays that claim (purpose
//!   HPAYMT), which records the receipt; under one grant for each patient, institution and payer. No claim, no disclosure.
//! - **I-4** Two consecutive encounters of a patient (by the beginning of their periods) at different institutions are a
//!   referral from the first to the second: requested, accepted, handed over, acknowledged, its outcome reported, closed
//!   clinically and administratively. Up or down by the tiers of both, else lateral; the service is that of the second
//!   encounter. Two at organisations that the mapping makes one institution are none, nor are two of which it is not
//!   certain that one came first ([`instant`]).
//! - **I-5** Under the grant that accepting a referral gives, the first institution discloses to the second what it has
//!   recorded of the patient by then (purpose TREAT): one disclosure, and one receipt, for each category of
//!   records, the categories by types of resources. Records belong to the encounter that they name.
//! - **I-6** Every active claim under a coverage that a member pays is a delivered service of its provider, or, where a
//!   person claims, of the organisation that treated: a coarse code by the claim's type and the encounter's class.
//!   The explanation of benefit that answers the claim (the latest one) is part of
//!   the evidence. It was performed on the days that the claim bills, else on the one when its encounter began, else
//!   today. What nobody insures is nobody's debt.
//! - **I-7** Amounts are read from their decimal text and rounded once, half up on the magnitude, to the currency's
//!   minor unit (rule T-3). The gross amount of a service is what is claimed; or, where asked for
//!   ([`Gross::Paid`]), what the payer grants. Either way the summary gives both sums, and how many amounts were rounded.
//! - **I-8** Each provider and payer have an agreement that owes the provider the gross amounts, proposed by the provider
//!   and signed by the payer where the ledger has none yet.
//! - **I-9** What was recorded and is no longer what the input says is found by the digests in the [`journal`] and listed.
//!   A service is corrected where asked for: reversed, and recorded as it is now; the rest stays.
//!
//! Nothing else reaches the ledger: no name, identifier, date, text or clinical code. Dates only put encounters in
//! order; documents are committed to under salts that come from a local secret ([`document`]). All encounters, claims
//! and digests of records are in memory at once, at most [`limits::RESOURCES_MAX`] resources; their texts are not.
//!
//! Nothing is passed over without a word: the [`summary`] counts every file, folder and type of resource and says what
//! became of it.
//!
//! Running an import again adds nothing: the [`journal`] knows what is recorded, also after a crash in the middle. Without the
//! journal of an earlier import nothing says what is recorded, so nothing is: not where the directory lost it ([`state`]),
//! and not where the ledger has services of an import that another directory knows ([`agreement`]). Where the journal is an
//! older copy, what it lacks is read from the ledger ([`missed`]). What others record beside it stops it ([`watch`]).
//!
//! What was recorded can be taken back as a whole ([`withdraw`]).
//!
//! What the rules would refuse is not submitted ([`submit`]) and is tried again by the next run; what depends on it is left out,
//! everything else goes on.

mod address;
pub mod agreement;
pub mod changes;
pub mod codes;
pub mod collect;
mod counted;
pub mod document;
pub mod draft;
pub mod error;
mod fhir;
mod index;
pub mod instant;
pub mod journal;
pub mod limits;
pub mod mapping;
mod missed;
mod order;
pub mod payer;
pub mod plan;
mod proposal;
mod raw;
mod record;
mod resolve;
mod run;
pub mod skip;
pub mod source;
mod state;
pub mod submit;
pub mod summary;
mod trial;
pub mod watch;
pub mod withdraw;

use std::path::PathBuf;

use indicatif::ProgressBar;

use crate::consortium::Consortium;
use mapping::Mapping;

pub use error::ImportError;
pub use plan::Gross;
pub use run::{propose_mapping, run};
pub use summary::Summary;
pub use withdraw::{Withdrawal, Withdrawn, withdraw};

/// What an import is to do.
#[derive(Debug, Clone)]
pub struct Options {
    /// The directory with the input.
    pub directory: PathBuf,
    /// Nodes and keys of the institutions. A dry run can do without.
    pub consortium: Option<Consortium>,
    /// Organisations onto institutions. A dry run can do without: then the mapping is proposed, or, without a
    /// consortium, every organisation is an institution of its own.
    pub mapping: Option<Mapping>,
    /// The directory for the import's own files: secret, link table and journal. Made where there is none. Not needed by
    /// a dry run.
    pub state: Option<PathBuf>,
    /// Also read the folders in the directory.
    pub is_recursive: bool,
    /// The input is a part: what it lacks was not withdrawn, and the mapping may name more.
    pub is_partial: bool,
    /// Import although files were refused, without them.
    pub goes_without_refused: bool,
    /// Reverse services that changed and record them anew, and note everything else that changed as known.
    pub corrects: bool,
    /// What other imports recorded between the same parties comes from other sources.
    pub is_beside_others: bool,
    /// Read and plan only; needs no node and writes nothing.
    pub is_dry_run: bool,
    /// Close the periods at the end, and add their statements up.
    pub closes_periods: bool,
    /// Which amount is the gross amount of a service.
    pub gross: Gross,
    /// Operations in one transaction.
    pub operations_per_transaction: usize,
    /// Transactions that are on their way at a time.
    pub transactions_in_flight: usize,
    /// Shows how far the import is.
    pub progress: ProgressBar,
}

impl Options {
    /// The options for a directory, with nothing but defaults.
    pub fn new(directory: PathBuf) -> Self {
        Self {
            directory,
            consortium: None,
            mapping: None,
            state: None,
            is_recursive: false,
            is_partial: false,
            goes_without_refused: false,
            corrects: false,
            is_beside_others: false,
            is_dry_run: false,
            closes_periods: false,
            gross: Gross::Claimed,
            operations_per_transaction: limits::OPERATIONS_PER_TRANSACTION,
            transactions_in_flight: limits::TRANSACTIONS_IN_FLIGHT,
            progress: ProgressBar::hidden(),
        }
    }
}

#[cfg(test)]
mod tests;

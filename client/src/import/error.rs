//! Why an import stops. What it had recorded by then stays recorded; running it again goes on from there.

use std::path::PathBuf;

use thiserror::Error;
use yilian_spec::base::id::{AgreementId, InstitutionId, ServiceId, TransactionId};
use yilian_spec::settlement::terms::TermsError;

use super::journal::JournalError;
use super::limits;
use super::mapping::MappingError;
use super::source::SourceError;
use crate::consortium::ConsortiumError;
use crate::error::{ClientError, exit};
use crate::subject::SubjectError;
use yilian_local::durable::FileError;

/// Why an import stops.
#[derive(Debug, Error)]
pub enum ImportError {
    /// Nothing of the input can be read; nothing was submitted.
    #[error(transparent)]
    Source(#[from] SourceError),
    /// The mapping cannot be used.
    #[error(transparent)]
    Mapping(#[from] MappingError),
    /// The consortium file cannot be used.
    #[error(transparent)]
    Consortium(#[from] ConsortiumError),
    /// The journal cannot be used.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// The table of subject tags cannot be used.
    #[error(transparent)]
    Subjects(#[from] SubjectError),
    /// A local file.
    #[error(transparent)]
    File(#[from] FileError),
    /// The ledger cannot be asked, or does not take a transaction.
    #[error(transparent)]
    Client(#[from] ClientError),
    /// Something that an import into a ledger needs was not given.
    #[error("an import needs {what}; a look at the input alone is --dry-run")]
    Missing {
        /// What is missing, and how to give it.
        what: &'static str,
    },
    /// A bound of the options.
    #[error("{option} must be 1 to {max}, not {given}")]
    OptionOutOfRange {
        /// The option.
        option: &'static str,
        /// The bound.
        max: usize,
        /// What was given.
        given: usize,
    },
    /// Another import is running.
    #[error(
        "another import or withdrawal has {}: wait until it is done and run this again, which adds only what is missing then; an import \
         of another source needs a --state directory of its own", path.display()
    )]
    StateBusy {
        /// The directory.
        path: PathBuf,
    },
    /// Files were refused, and nobody said to go on without them.
    #[error(
        "nothing was recorded, since {} files were refused:\n  {}\nmend them, or import the others with --without-refused",
        refused.len(), first(refused)
    )]
    FilesRefused {
        /// What is wrong with each.
        refused: Vec<String>,
    },
    /// The secret is gone, and what it made is not.
    #[error("{} is gone, but not the journal or the subject tags beside it: restore it from a backup", path.display())]
    SecretLost {
        /// The file.
        path: PathBuf,
    },
    /// The secret is another import's.
    #[error(
        "{} is not the secret that this journal's transactions were made with: restore both from one backup", path.display()
    )]
    OtherSecret {
        /// The file.
        path: PathBuf,
    },
    /// The secret is not one.
    #[error("{} does not hold 64 hexadecimal digits: restore it from a backup", path.display())]
    Secret {
        /// The file.
        path: PathBuf,
    },
    /// Another import recorded services between the same parties.
    #[error(
        "the ledger has services of {provider} that {payer} pays, imported under agreement {agreement}, and the --state \
         directory knows of none. Where they come from this input, all of it would be recorded twice: give the --state \
         directory of that import, or restore it from a backup. Where they come from another source: --beside-others"
    )]
    RecordedElsewhere {
        /// The agreement.
        agreement: AgreementId,
        /// The provider.
        provider: InstitutionId,
        /// The payer.
        payer: InstitutionId,
    },
    /// Services that the agreements do not count once.
    #[error(
        "of the services of this import, {unowed} are counted by no agreement with its terms and {owed_twice} by two (the first is \
         {first}, delivered by {provider}, paid by {payer}): an agreement ended, or another one began, while they were recorded. See to \
         it that one agreement of these terms is active (`yilian agreement list`), and run this again with the whole input and \
         --correct, which reverses these services and records them anew"
    )]
    Miscounted {
        /// Owed by nobody.
        unowed: usize,
        /// Owed twice.
        owed_twice: usize,
        /// The first.
        first: ServiceId,
        /// Its provider.
        provider: InstitutionId,
        /// Its payer.
        payer: InstitutionId,
    },
    /// Two agreements count the same services.
    #[error(
        "agreements {one} and {other} have the same terms and are both active, so what {provider} delivers and {payer} pays would be \
         owed under each. End one (`yilian agreement terminate {other}`), and run this again"
    )]
    TwoAgreements {
        /// One.
        one: AgreementId,
        /// The other.
        other: AgreementId,
        /// The provider.
        provider: InstitutionId,
        /// The payer.
        payer: InstitutionId,
    },
    /// The agreement of the import was terminated, or its window is over.
    #[error(
        "agreement {agreement}, under which this import records what {provider} delivers and {payer} pays, has ended: what it \
         recorded now would be owed by nobody. Propose another one of the same terms (`yilian agreement show {agreement} --json` \
         prints them under `terms`; `yilian agreement propose terms FILE --consortium ID --expires +365d`), have it signed, and run this again"
    )]
    AgreementOver {
        /// The agreement.
        agreement: AgreementId,
        /// The provider.
        provider: InstitutionId,
        /// The payer.
        payer: InstitutionId,
    },
    /// Somebody recorded services between the same parties since the import last looked.
    #[error(
        "the ledger has services that {provider} delivered and {payer} pays ({count}, the first is {service}), recorded since this \
         import last looked, which neither its journal nor the input explains. Where they come from this input (another import \
         recorded them, or this one with a newer journal), they would be recorded twice: go on with the --state directory that \
         knows them, or its newest copy. Where two directories each recorded a part, take the part of one back (`yilian \
         import withdraw`) and go on with the other. Where they come from another source: --beside-others"
    )]
    UnknownServices {
        /// How many.
        count: usize,
        /// The first.
        service: ServiceId,
        /// The provider.
        provider: InstitutionId,
        /// The payer.
        payer: InstitutionId,
    },
    /// Another import is recording for the same parties.
    #[error(
        "while this import was running, {provider} proposed another agreement of the same terms, {agreement}: an import with \
         another --state directory does the same. What this one recorded, its directory knows. Go on with one of the two \
         directories; where they record different sources: --beside-others"
    )]
    OtherAgreement {
        /// The other agreement.
        agreement: AgreementId,
        /// The provider.
        provider: InstitutionId,
    },
    /// The journal lacks what the ledger has, and the input does not say what it was.
    #[error(
        "transaction {transaction} of {institution} is of this import and not in its journal, which is an older copy, and what it \
         recorded cannot be told from this input and mapping. Nothing was recorded. Restore the newest copy of the --state \
         directory, or import the input and mapping as they were when that was recorded, and then this one"
    )]
    JournalBehind {
        /// The transaction.
        transaction: TransactionId,
        /// Who signed it.
        institution: InstitutionId,
    },
    /// The consortium file contradicts the ledger.
    #[error(
        "the consortium file says that {institution} is {file}, the ledger says {ledger}: correct the file"
    )]
    OtherInstitution {
        /// The institution.
        institution: InstitutionId,
        /// Kind and tier in the file.
        file: String,
        /// Kind and tier on the ledger.
        ledger: String,
    },
    /// Provider and payer cannot make an agreement.
    #[error(
        "{provider} and {payer} have no consortium in common, so they cannot agree on a payment: map to others"
    )]
    NoCommonConsortium {
        /// The provider.
        provider: InstitutionId,
        /// The payer.
        payer: InstitutionId,
    },
    /// The terms of an agreement would break a rule.
    #[error(transparent)]
    Terms(#[from] TermsError),
    /// The sums of the statements leave the range of amounts.
    #[error(transparent)]
    Money(#[from] yilian_spec::base::money::MoneyError),
}

/// The first of some texts, each on its line.
fn first(texts: &[String]) -> String {
    texts.iter().take(limits::KEYS_SHOWN_MAX).map(String::as_str).collect::<Vec<_>>().join("\n  ")
}

impl From<rand::rngs::SysError> for ImportError {
    fn from(error: rand::rngs::SysError) -> Self {
        Self::Client(error.into())
    }
}

impl ImportError {
    /// The exit code that a script sees.
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Client(error) => error.exit_code(),
            Self::Missing { .. } | Self::OptionOutOfRange { .. } => exit::USAGE,
            _ => exit::LOCAL,
        }
    }
}

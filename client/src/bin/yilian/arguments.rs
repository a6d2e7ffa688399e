//! Arguments that several commands share: the subject, the scope of an access, a commitment, a window of time.

use std::path::{Path, PathBuf};

use clap::Args;
use yilian_client::commitment;
use yilian_local::moment;
use yilian_spec::base::id::{Commitment, SubjectTag};
use yilian_spec::base::time::{LedgerTime, Window};
use yilian_spec::domain::access::{AccessScope, Category, Purpose, Sensitivity};

use crate::context::Context;
use crate::failure::Failure;
use crate::output;
use crate::parse;

/// Whose records.
#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
pub struct SubjectArguments {
    /// The subject's tag.
    #[arg(long, value_name = "TAG")]
    subject: Option<SubjectTag>,
    /// The subject's record number; its tag is looked up in the profile's table, where `subject create` has put it.
    #[arg(long, value_name = "NUMBER")]
    record: Option<String>,
}

impl SubjectArguments {
    /// The tag.
    ///
    /// # Errors
    /// When the table cannot be opened or has no such record number.
    pub fn tag(&self, context: &Context) -> Result<SubjectTag, Failure> {
        match (&self.subject, &self.record) {
            (Some(tag), _) => Ok(*tag),
            (None, Some(number)) => context.tag_of(number),
            (None, None) => Err(Failure::Usage("give --subject TAG or --record NUMBER".to_owned())),
        }
    }
}

/// What stands for a document.
#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
pub struct CommitmentArguments {
    /// The document. Its commitment is computed with the salt in FILE.salt.json, which is made where there is none;
    /// whoever gets the document needs that file with it.
    #[arg(long, value_name = "FILE")]
    document: Option<PathBuf>,
    /// The commitment itself, where something else computed it.
    #[arg(long, value_name = "HEX")]
    commitment: Option<Commitment>,
}

impl CommitmentArguments {
    /// The commitment; says where a salt that was made for it lies.
    ///
    /// # Errors
    /// When the document or its salt cannot be read or written.
    pub fn commitment(&self) -> Result<Commitment, Failure> {
        match (&self.commitment, &self.document) {
            (Some(commitment), _) => Ok(*commitment),
            (None, Some(document)) => commit_to(document),
            (None, None) => Err(Failure::Usage("give --document FILE or --commitment HEX".to_owned())),
        }
    }
}

/// The commitment of a document that stays here; says where a salt that was made for it lies.
///
/// # Errors
/// When the document or its salt cannot be read or written.
pub fn commit_to(document: &Path) -> Result<Commitment, Failure> {
    let salt = commitment::salt_path(document);
    let is_new = !salt.exists();
    let commitment = commitment::commit_to_file(document)?;
    if is_new {
        output::note(&format!(
            "{} was made; keep it with {}: without it nobody can show that the commitment is to that document",
            salt.display(),
            document.display()
        ));
    }
    Ok(commitment)
}

impl CommitmentArguments {
    /// The commitment of a document that goes to somebody else, who is to get its salt with it; says so.
    ///
    /// # Errors
    /// As [`CommitmentArguments::commitment`].
    pub fn commitment_to_send(&self, context: &Context) -> Result<Commitment, Failure> {
        let commitment = self.commitment()?;
        if let (None, Some(document), false) = (&self.commitment, &self.document, context.json()) {
            let (salt, document) = (commitment::salt_path(document), document.display());
            output::note(&format!(
                "send {} together with {document}: the recipient needs both",
                salt.display()
            ));
        }
        Ok(commitment)
    }
}

/// What stands for a document that somebody else sent.
#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
pub struct ReceivedArguments {
    /// The document as it came, with its salt FILE.salt.json beside it, which must come with it.
    #[arg(long, value_name = "FILE")]
    document: Option<PathBuf>,
    /// The commitment itself, where something else computed it.
    #[arg(long, value_name = "HEX")]
    commitment: Option<Commitment>,
}

impl ReceivedArguments {
    /// The commitment.
    ///
    /// # Errors
    /// When the document or its salt cannot be read, or the salt is not there.
    pub fn commitment(&self) -> Result<Commitment, Failure> {
        match (&self.commitment, &self.document) {
            (Some(commitment), _) => Ok(*commitment),
            (None, Some(document)) => Ok(commitment::commitment_of_received(document)?),
            (None, None) => Err(Failure::Usage("give --document FILE or --commitment HEX".to_owned())),
        }
    }
}

/// What may be seen, how sensitive, and what for.
#[derive(Debug, Args)]
pub struct ScopeArguments {
    /// Categories of records, separated by commas, such as laboratory,imaging,medication.
    #[arg(long = "category", value_name = "CATEGORY", required = true, value_delimiter = ',', value_parser = parse::coded::<Category>())]
    categories: Vec<Category>,
    /// The highest sensitivity: U, L, M, N, R or V (HL7 Confidentiality).
    #[arg(long, value_name = "CODE", default_value = "N", value_parser = parse::coded::<Sensitivity>())]
    sensitivity: Sensitivity,
    /// Purposes, separated by commas, such as TREAT,COC (HL7 PurposeOfUse).
    #[arg(long = "purpose", value_name = "PURPOSE", default_value = "TREAT", value_delimiter = ',', value_parser = parse::coded::<Purpose>())]
    purposes: Vec<Purpose>,
}

impl ScopeArguments {
    /// The scope.
    pub fn scope(&self) -> AccessScope {
        AccessScope {
            categories: self.categories.iter().copied().collect(),
            highest_sensitivity: self.sensitivity,
            purposes: self.purposes.iter().copied().collect(),
        }
    }
}

/// From when to when.
#[derive(Debug, Args)]
pub struct WindowArguments {
    /// First moment: now, +1d, 2026-11-21 or 2026-11-21T09:30:00Z.
    #[arg(long, value_name = "TIME", default_value = "now", allow_hyphen_values = true, value_parser = parse::moment)]
    starts: LedgerTime,
    /// First moment after: +30d from now, a date or a time.
    #[arg(long, value_name = "TIME", allow_hyphen_values = true, value_parser = parse::moment)]
    expires: LedgerTime,
}

impl WindowArguments {
    /// The window.
    ///
    /// # Errors
    /// When it is empty, or over.
    pub fn window(&self) -> Result<Window, Failure> {
        if self.expires < moment::now()? {
            let expires = moment::show(self.expires);
            return Err(Failure::Usage(format!(
                "--expires {expires} lies in the past: give a later moment, such as +30d"
            )));
        }
        let window = Window { starts: self.starts, expires: self.expires };
        if window.is_ordered() {
            return Ok(window);
        }
        let (starts, expires) = (moment::show(self.starts), moment::show(self.expires));
        Err(Failure::Usage(format!("the window is empty: it starts {starts} and expires {expires}")))
    }
}

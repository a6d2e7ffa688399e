//! `yilian import`: health records of other systems, recorded on the ledger.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};
use serde_json::json;
use yilian_client::consortium::{self, Consortium};
use yilian_client::error::exit;
use yilian_client::import::mapping::Mapping;
use yilian_client::import::{self, Gross, ImportError, Options, Withdrawal, limits};
use yilian_local::durable;
use yilian_spec::domain::service::ReversalReason;

use crate::context::Context;
use crate::failure::{Failure, Outcome};
use crate::output;
use crate::parse;

/// Import from other systems.
#[derive(Debug, Subcommand)]
#[command(after_help = "Example:\n  yilian import fhir synthea/ --dry-run")]
pub enum ImportCommand {
    /// Record FHIR R4 resources: NDJSON or bundles as Synthea writes them, plain or gzip.
    Fhir(Fhir),
    /// Take an import back: reverse its services and revoke its grants.
    Withdraw(Withdraw),
}

/// The help of `import fhir` behind its options.
fn fhir_help() -> String {
    let example: String = consortium::EXAMPLE.lines().map(|line| format!("  {line}\n")).collect();
    format!("{FHIR_HELP}\n\nA consortium file, whose paths are relative to its own directory:\n\n{example}")
}

const FHIR_HELP: &str = "\
What becomes of the resources:
  organisations become member institutions, by the mapping; patients become subject tags, one for each institution
  encounters become disclosures to whoever pays a claim for them, under grants, and referrals where the institution changes
  claims that a member pays become delivered services, with the explanations of benefit in their evidence
No name, identifier, date, text or clinical code goes to the ledger. What is not in the mapping is refused, never given
to somebody else. The summary counts every file and type of resource, and says what became of it.

Running it again with the same --state directory adds nothing, and without that directory it is refused. What the rules would
refuse is not submitted. Where a source changed or was withdrawn after it was recorded, the summary lists it and
what the ledger holds, and --correct reverses the services and records them as they are now. `yilian import withdraw` takes
an import back as a whole.

Exits with 5 also when a source changed or a file was refused, with 1 when the ledger refused an operation.

Examples:
  yilian import fhir synthea/ --dry-run
  yilian import fhir synthea/ --consortium consortium.toml \\
    --propose-mapping mapping.toml
  yilian import fhir synthea/ --consortium consortium.toml \\
    --mapping mapping.toml --state import/ --close
  yilian import fhir synthea/ --consortium consortium.toml \\
    --mapping mapping.toml --state import/ --correct";

/// Record FHIR R4 resources: NDJSON or bundles as Synthea writes them, plain or gzip.
#[derive(Debug, Args)]
#[command(after_help = fhir_help())]
pub struct Fhir {
    /// The directory with .ndjson, .jsonl and .json files, or these with .gz.
    #[arg(value_name = "DIR")]
    directory: PathBuf,
    /// Nodes and keys of the institutions.
    #[arg(long, value_name = "FILE")]
    consortium: Option<PathBuf>,
    /// Also read the folders in DIR; without it they are listed and left alone.
    #[arg(long)]
    recursive: bool,
    /// Which institution each organisation is, and who pays under which coverage.
    #[arg(long, value_name = "FILE")]
    mapping: Option<PathBuf>,
    /// Write a mapping of all organisations and coverages, with names and sums, to look over, and end.
    #[arg(long, value_name = "FILE", requires = "consortium", conflicts_with = "mapping")]
    propose_mapping: Option<PathBuf>,
    /// The import's own directory, with its secret, link table and journal; made where there is none. Keep it.
    #[arg(long, value_name = "DIR")]
    state: Option<PathBuf>,
    /// Read and say what would be recorded; with --state also what changed since. Needs no node.
    #[arg(long)]
    dry_run: bool,
    /// Reverse services whose claims changed or were withdrawn and record them as they are now; revoke grants that nothing
    /// asks for any more; note other changes as known.
    #[arg(long)]
    correct: bool,
    /// DIR is a part: what it lacks was not withdrawn, and the mapping may name more than it has.
    #[arg(long)]
    partial: bool,
    /// Import although files were refused, without them.
    #[arg(long)]
    without_refused: bool,
    /// Record beside what other imports or commands recorded between the same parties: it comes from another source.
    #[arg(long)]
    beside_others: bool,
    /// Close the periods at the end, and add their statements up.
    #[arg(long)]
    close: bool,
    /// Which amount is the gross amount of a service.
    #[arg(long, value_enum, default_value = "claimed")]
    gross: GrossArgument,
    /// Operations in one transaction.
    #[arg(long, value_name = "NUMBER", default_value_t = limits::OPERATIONS_PER_TRANSACTION)]
    operations_per_transaction: usize,
    /// Transactions that are on their way at a time.
    #[arg(long, value_name = "NUMBER", default_value_t = limits::TRANSACTIONS_IN_FLIGHT)]
    transactions_in_flight: usize,
}

/// Take an import back: reverse its services and revoke its grants.
///
/// Needs no input: the journal of the import says what it recorded. Disclosures and referrals have happened and stay.
/// Running it again takes back what is left; importing again records anew.
#[derive(Debug, Args)]
#[command(after_help = "\
Exits with 1 when the ledger refused a part.

Examples:
  yilian import withdraw --state import/ --dry-run
  yilian import withdraw --state import/ --consortium consortium.toml \\
    --reason duplicate")]
pub struct Withdraw {
    /// The import's own directory.
    #[arg(long, value_name = "DIR")]
    state: PathBuf,
    /// Nodes and keys of the institutions.
    #[arg(long, value_name = "FILE")]
    consortium: Option<PathBuf>,
    /// Why the services are reversed.
    #[arg(long, default_value = "mistake", value_parser = parse::coded::<ReversalReason>())]
    reason: ReversalReason,
    /// Say what would be taken back. Needs no node.
    #[arg(long)]
    dry_run: bool,
}

/// An amount of a claim.
#[derive(Debug, Clone, Copy, ValueEnum)]
enum GrossArgument {
    /// What the provider claims.
    Claimed,
    /// What the payer grants, where it has answered.
    Paid,
}

impl From<ImportError> for Failure {
    fn from(error: ImportError) -> Self {
        match error {
            ImportError::Client(error) => Self::Client(error),
            other if other.exit_code() == exit::USAGE => Self::Usage(other.to_string()),
            other => Self::Local(other.to_string()),
        }
    }
}

impl ImportCommand {
    /// Runs the command.
    ///
    /// # Errors
    /// Why it failed.
    pub async fn run(self, context: &Context) -> Outcome {
        match self {
            Self::Fhir(command) => command.run(context).await,
            Self::Withdraw(command) => command.run(context).await,
        }
    }
}

impl Withdraw {
    async fn run(self, context: &Context) -> Outcome {
        let consortium =
            self.consortium.as_deref().map(Consortium::load).transpose().map_err(ImportError::from)?;
        let withdrawal = Withdrawal {
            state: self.state,
            consortium,
            reason: self.reason,
            is_dry_run: self.dry_run,
            progress: output::progress_bar(),
        };
        let withdrawn = import::withdraw(withdrawal).await?;
        if context.json() {
            output::print_json(&withdrawn);
        } else {
            output::print_line(withdrawn.text().trim_end());
        }
        Ok(withdrawn.exit_code())
    }
}

impl Fhir {
    async fn run(self, context: &Context) -> Outcome {
        let consortium =
            self.consortium.as_deref().map(Consortium::load).transpose().map_err(ImportError::from)?;
        if let (Some(file), Some(consortium)) = (&self.propose_mapping, &consortium) {
            let text = import::propose_mapping(&self.directory, self.recursive, consortium)?;
            durable::create(file, text.as_bytes())?;
            if context.json() {
                output::print_json(&json!({"mapping": file}));
            } else {
                output::print_line(&format!("Look over {}, then import with --mapping.", file.display()));
            }
            return Ok(exit::OK);
        }
        let options = Options {
            consortium,
            mapping: self.mapping.as_deref().map(Mapping::load).transpose().map_err(ImportError::from)?,
            state: self.state,
            is_recursive: self.recursive,
            is_partial: self.partial,
            goes_without_refused: self.without_refused,
            corrects: self.correct,
            is_beside_others: self.beside_others,
            is_dry_run: self.dry_run,
            closes_periods: self.close,
            gross: match self.gross {
                GrossArgument::Claimed => Gross::Claimed,
                GrossArgument::Paid => Gross::Paid,
            },
            operations_per_transaction: self.operations_per_transaction,
            transactions_in_flight: self.transactions_in_flight,
            progress: output::progress_bar(),
            ..Options::new(self.directory)
        };
        let summary = import::run(options).await?;
        if context.json() {
            output::print_json(&summary);
        } else {
            output::print_line(summary.text().trim_end());
        }
        Ok(summary.exit_code())
    }
}

//! `yilian service`: delivered services and their reversal.

use clap::{Args, Subcommand};
use yilian_client::describe;
use yilian_client::error::exit;
use yilian_local::moment;
use yilian_spec::api::Entry;
use yilian_spec::base::id::{InstitutionId, ServiceCode, ServiceId};
use yilian_spec::base::limits::{SERVICE_AHEAD_MS_MAX, SERVICE_DAYS_MAX};
use yilian_spec::base::money::Currency;
use yilian_spec::base::time::{LedgerTime, Window};
use yilian_spec::domain::Operation;
use yilian_spec::domain::service::Service;
use yilian_spec::domain::service::{CountedIn, DeliverService, PlayedPart, ReversalReason, ReverseService};
use yilian_spec::settlement::PartRole;

use crate::arguments::CommitmentArguments;
use crate::context::Context;
use crate::failure::{Failure, Outcome};
use crate::output;
use crate::parse;
use crate::submission::submit;

/// Delivered services and their reversal.
#[derive(Debug, Subcommand)]
#[command(
    after_help = "Example:\n  yilian service show \\\n    0a1b2c3d4e5f60718293a4b5c6d7e8f90a1b2c3d4e5f60718293a4b5c6d7e8f9"
)]
pub enum ServiceCommand {
    /// Record a delivered service; agreements that cover it count it.
    #[command(
        after_help = "Example:\n  yilian service deliver --service teleconsultation \\\n    --part primary=qinghe-county-hospital --part expert=renhe-hospital \\\n    --payer anping-insurer --amount 180.00 --document claim.json\n  yilian service deliver --service inpatient-stay \\\n    --performed 2026-11-16 --until 2026-11-20 \\\n    --part primary=renhe-hospital --payer anping-insurer \\\n    --amount 4200.00 --document claim.json"
    )]
    Deliver(Deliver),
    /// Reverse a service that one's institution recorded.
    #[command(
        after_help = "Example:\n  yilian service reverse \\\n    0a1b2c3d4e5f60718293a4b5c6d7e8f90a1b2c3d4e5f60718293a4b5c6d7e8f9 \\\n    --reason duplicate"
    )]
    Reverse {
        /// The service.
        service: ServiceId,
        /// Why: mistake, duplicate, not-delivered or claim-rejected.
        #[arg(long, value_parser = parse::coded::<ReversalReason>())]
        reason: ReversalReason,
    },
    /// Show a service, and the periods that count it.
    #[command(
        after_help = "Example:\n  yilian service show \\\n    0a1b2c3d4e5f60718293a4b5c6d7e8f90a1b2c3d4e5f60718293a4b5c6d7e8f9"
    )]
    Show {
        /// The service.
        service: ServiceId,
    },
}

/// What was delivered.
#[derive(Debug, Args)]
pub struct Deliver {
    /// What was done, such as teleconsultation.
    #[arg(long, value_name = "CODE")]
    service: ServiceCode,
    /// The day on which it was performed in UTC, such as 2026-11-21; today unless given. The first day, where --until says
    /// the last.
    #[arg(long = "performed", value_name = "DATE", allow_hyphen_values = true, value_parser = parse::moment)]
    performed: Option<LedgerTime>,
    /// The last day on which it was performed.
    #[arg(long, value_name = "DATE", allow_hyphen_values = true, requires = "performed", value_parser = parse::moment)]
    until: Option<LedgerTime>,
    /// Who played which part: ROLE=INSTITUTION, once for each; roles are primary, expert, platform, reader,
    /// laboratory and pharmacy.
    #[arg(long = "part", value_name = "ROLE=INSTITUTION", required = true, value_parser = parse::part)]
    parts: Vec<(PartRole, InstitutionId)>,
    /// Who pays.
    #[arg(long, value_name = "INSTITUTION")]
    payer: InstitutionId,
    /// The gross amount in the currency's unit, such as 180.00.
    #[arg(long)]
    amount: String,
    /// The currency.
    #[arg(long, default_value = "CNY")]
    currency: Currency,
    #[command(flatten)]
    evidence: CommitmentArguments,
}

impl Deliver {
    fn operation(self) -> Result<Operation, Failure> {
        let mut parts: Vec<PlayedPart> =
            self.parts.into_iter().map(|(role, institution)| PlayedPart { role, institution }).collect();
        parts.sort();
        let performed = performed(self.performed, self.until)?;
        Ok(Operation::DeliverService(DeliverService {
            service: self.service,
            performed,
            parts,
            payer: self.payer,
            gross_minor: parse::amount(&self.amount, self.currency).map_err(Failure::Usage)?,
            currency: self.currency,
            evidence: self.evidence.commitment()?,
        }))
    }
}

/// The days from the first to the last.
fn performed(first: Option<LedgerTime>, last: Option<LedgerTime>) -> Result<Window, Failure> {
    let now = moment::now()?;
    let first = Window::day_of(first.unwrap_or(now));
    let window = Window { starts: first.starts, expires: last.map_or(first, Window::day_of).expires };
    let (from, until) = (moment::show(window.starts), moment::show(window.expires));
    if !window.is_whole_days(SERVICE_DAYS_MAX) {
        return Err(Failure::Usage(format!(
            "a service is performed on 1 to {SERVICE_DAYS_MAX} days, not from {from} to {until}: record parts of a longer one"
        )));
    }
    if window.starts > now.plus_ms(SERVICE_AHEAD_MS_MAX) {
        return Err(Failure::Usage(format!(
            "--performed lies ahead, from {from} on: record a service when it was performed"
        )));
    }
    Ok(window)
}

impl ServiceCommand {
    /// Runs the command.
    ///
    /// # Errors
    /// Why it failed.
    pub async fn run(self, context: &Context) -> Outcome {
        match self {
            Self::Deliver(deliver) => submit(context, deliver.operation()?).await,
            Self::Reverse { service, reason } => {
                submit(context, Operation::ReverseService(ReverseService { service, reason })).await
            }
            Self::Show { service } => show(context, service).await,
        }
    }
}

async fn show(context: &Context, id: ServiceId) -> Outcome {
    let client = context.client(None).await?;
    let listed: Entry<ServiceId, Service> = client.service(id).await?;
    if context.json() {
        output::print_json(&listed);
        return Ok(exit::OK);
    }
    let Service { delivered, recorder, transaction_id, counted_in, reversed_at } = &listed.record;
    let part = |part: &PlayedPart| format!("{} {}", output::name(&part.role), part.institution);
    let period = |counted: &CountedIn| format!("{}.{}", counted.agreement, counted.period);
    output::print_fields(&[
        ("id", listed.id.to_string()),
        ("service", delivered.service.to_string()),
        ("performed", moment::show_days(delivered.performed)),
        ("parts", delivered.parts.iter().map(part).collect::<Vec<_>>().join(", ")),
        ("payer", delivered.payer.to_string()),
        ("gross", describe::amount(delivered.gross_minor.0, delivered.currency)),
        ("evidence", delivered.evidence.to_string()),
        ("recorded by", recorder.to_string()),
        ("transaction", transaction_id.to_string()),
        ("counted in", counted_in.iter().map(period).collect::<Vec<_>>().join(", ")),
        ("reversed", output::or_dash(reversed_at.map(moment::show))),
        ("as of", format!("what the node says; `yilian stream show institution/{recorder}` is proven")),
    ]);
    Ok(exit::OK)
}

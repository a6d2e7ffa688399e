//! `yilian statement`: who is owed what for a closed period, and why.

use std::path::PathBuf;

use clap::Subcommand;
use yilian_client::describe;
use yilian_client::error::exit;
use yilian_local::moment;
use yilian_spec::base::id::AgreementId;
use yilian_spec::domain::agreement::Agreement;
use yilian_spec::proof::StatementProof;
use yilian_spec::settlement::evaluate::FigureValue;
use yilian_spec::settlement::statement::LineKind;
use yilian_spec::settlement::terms::Party;

use crate::context::Context;
use crate::failure::{Failure, Outcome};
use crate::output;
use crate::saving::save;

/// Statements of closed periods.
#[derive(Debug, Subcommand)]
#[command(
    after_help = "Example:\n  yilian statement show \\\n    0a1b2c3d4e5f60718293a4b5c6d7e8f90a1b2c3d4e5f60718293a4b5c6d7e8f9 0"
)]
pub enum StatementCommand {
    /// Show a statement: volumes, figures, a line for each party.
    #[command(
        after_help = "Example:\n  yilian statement show \\\n    0a1b2c3d4e5f60718293a4b5c6d7e8f90a1b2c3d4e5f60718293a4b5c6d7e8f9 0"
    )]
    Show {
        /// The agreement.
        agreement: AgreementId,
        /// The number of the period, from 0.
        period: u32,
    },
    /// Save a statement with its proof, for `yilian verify`.
    #[command(
        after_help = "Example:\n  yilian statement save \\\n    0a1b2c3d4e5f60718293a4b5c6d7e8f90a1b2c3d4e5f60718293a4b5c6d7e8f9 \\\n    0 statement.json"
    )]
    Save {
        /// The agreement.
        agreement: AgreementId,
        /// The number of the period, from 0.
        period: u32,
        /// The file; one that exists is not overwritten.
        file: PathBuf,
    },
}

impl StatementCommand {
    /// Runs the command.
    ///
    /// # Errors
    /// Why it failed.
    pub async fn run(self, context: &Context) -> Outcome {
        let (Self::Show { agreement, period } | Self::Save { agreement, period, .. }) = &self;
        let client = context.client(None).await?;
        let (proof, verified) = client.statement(*agreement, *period).await?;
        match self {
            Self::Show { .. } if context.json() => {
                output::print_json(&serde_json::json!({
                    "statement": proof.statement,
                    "terms": record(&proof)?.terms,
                    "height": proof.block.header.height,
                    "time_ms": proof.block.header.time,
                    "verified": verified,
                }));
            }
            Self::Show { .. } => print(&proof, verified)?,
            Self::Save { file, .. } => save(context, &file, proof.into(), verified)?,
        }
        Ok(exit::OK)
    }
}

fn record(proof: &StatementProof) -> Result<Agreement, Failure> {
    Ok(proof.agreement_row.require("agreement")?)
}

fn print(proof: &StatementProof, verified: bool) -> Result<(), Failure> {
    let Agreement { terms, .. } = record(proof)?;
    let period = &proof.statement;
    let statement = &period.statement;
    let amount = |minor: i64| describe::amount(minor, statement.currency);
    let party = |position: usize| {
        terms.parties.get(position).map_or("?", |party: &Party| party.institution.as_str()).to_owned()
    };
    let header = &proof.block.header;
    output::print_fields(&[
        ("agreement", period.agreement.to_string()),
        (
            "period",
            format!("{}, {} to {}", period.period, moment::show(period.began), moment::show(period.closed)),
        ),
        ("payer", party(statement.payer.position())),
        ("as of", output::standing(header.height.0, header.time, verified)),
    ]);
    let volumes = statement.services.iter().map(|(service, volume)| {
        let net = volume.net();
        let (delivered, reversed) = (volume.delivered.count, volume.reversed.count);
        vec![service.to_string(), delivered.to_string(), reversed.to_string(), amount(net.gross_minor.0)]
    });
    output::print_table(&["service", "delivered", "reversed", "gross"], volumes.collect());
    let figures = statement.figures.iter().map(|figure| {
        let value = match &figure.value {
            FigureValue::Single { value } => value.to_string(),
            FigureValue::PerParty { values } => {
                values.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
            }
        };
        vec![figure.name.to_string(), value]
    });
    output::print_table(&["figure", "minor units"], figures.collect());
    let lines = statement.lines.iter().map(|line| {
        let kind = match line.kind {
            LineKind::Earned => "earned".to_owned(),
            LineKind::Adjustment { period } => format!("adjustment of period {period}"),
        };
        let share = line.share;
        vec![
            party(line.party.position()),
            kind,
            share.count.to_string(),
            amount(share.gross_minor.0),
            amount(share.amount_minor.0),
        ]
    });
    output::print_table(&["party", "for", "parts", "gross", "owed"], lines.collect());
    let total = statement.total().map_err(|error| Failure::Verification(error.to_string()))?;
    output::print_line(&format!("total {}", amount(total.0)));
    Ok(())
}

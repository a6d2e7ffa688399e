//! `yilian period`: closing periods, and what a closed one holds.

use clap::Subcommand;
use yilian_local::moment;
use yilian_spec::base::id::AgreementId;
use yilian_spec::domain::Operation;
use yilian_spec::domain::agreement::ClosePeriod;
use yilian_spec::domain::agreement::{Agreement, ClosedPeriod};
use yilian_spec::domain::membership::Role;
use yilian_spec::state::key::StateKey;

use crate::context::Context;
use crate::failure::Outcome;
use crate::saving::{SaveArgument, show_record};
use crate::submission::submit_with;

/// Periods of agreements.
#[derive(Debug, Subcommand)]
#[command(
    after_help = "Example:\n  yilian period close \\\n    0a1b2c3d4e5f60718293a4b5c6d7e8f90a1b2c3d4e5f60718293a4b5c6d7e8f9"
)]
pub enum PeriodCommand {
    /// Close the open period: fix its events, compute its statement, open the next.
    #[command(
        after_help = "Example:\n  yilian period close \\\n    0a1b2c3d4e5f60718293a4b5c6d7e8f90a1b2c3d4e5f60718293a4b5c6d7e8f9 \\\n    --period 0"
    )]
    Close {
        /// The agreement.
        agreement: AgreementId,
        /// The number of the period that is meant [default: the open one]. With it a repeat closes nothing else.
        #[arg(long, value_name = "NUMBER")]
        period: Option<u32>,
    },
    /// Show a closed period.
    #[command(
        after_help = "Example:\n  yilian period show \\\n    0a1b2c3d4e5f60718293a4b5c6d7e8f90a1b2c3d4e5f60718293a4b5c6d7e8f9 0"
    )]
    Show {
        /// The agreement.
        agreement: AgreementId,
        /// The number of the period, from 0.
        period: u32,
        #[command(flatten)]
        save: SaveArgument,
    },
}

impl PeriodCommand {
    /// Runs the command.
    ///
    /// # Errors
    /// Why it failed.
    pub async fn run(self, context: &Context) -> Outcome {
        match self {
            Self::Close { agreement, period } => {
                let client = context.client(Some(Role::Finance)).await?;
                let period = match period {
                    Some(period) => period,
                    None => {
                        let key = StateKey::Agreement(agreement);
                        client.record::<Agreement>(&key).await?.value.open_period
                    }
                };
                let close = Operation::ClosePeriod(ClosePeriod { agreement, period });
                submit_with(context, &client, vec![close]).await
            }
            Self::Show { agreement, period, save } => {
                let client = context.client(None).await?;
                let key = StateKey::ClosedPeriod(agreement, period);
                show_record::<ClosedPeriod>(
                    context,
                    &client,
                    &key,
                    &format!("{agreement}.{period}"),
                    save,
                    |closed| {
                        vec![
                            ("began", moment::show(closed.began)),
                            ("closed", moment::show(closed.closed)),
                            ("events", closed.events.to_string()),
                            ("events root", closed.events_root.to_string()),
                            ("statement hash", closed.statement_hash.to_string()),
                        ]
                    },
                )
                .await
            }
        }
    }
}

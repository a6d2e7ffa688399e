//! `yilian institution`: who belongs to the ledger.

use clap::Subcommand;
use yilian_client::error::exit;
use yilian_spec::api::Entry;
use yilian_spec::base::id::InstitutionId;
use yilian_spec::domain::membership::Institution;
use yilian_spec::state::key::StateKey;

use crate::context::Context;
use crate::failure::Outcome;
use crate::output;
use crate::saving::{SaveArgument, show_record};

/// Institutions of the ledger.
#[derive(Debug, Subcommand)]
#[command(after_help = "Example:\n  yilian institution list")]
pub enum InstitutionCommand {
    /// List all institutions.
    #[command(after_help = "Example:\n  yilian institution list --json")]
    List,
    /// Show an institution.
    #[command(after_help = "Example:\n  yilian institution show renhe-hospital")]
    Show {
        /// The institution [default: the profile's].
        institution: Option<InstitutionId>,
        #[command(flatten)]
        save: SaveArgument,
    },
}

impl InstitutionCommand {
    /// Runs the command.
    ///
    /// # Errors
    /// Why it failed.
    pub async fn run(self, context: &Context) -> Outcome {
        let client = context.client(None).await?;
        match self {
            Self::List => {
                let list = client.list::<Entry<InstitutionId, Institution>>("/v1/institutions", &[]).await?;
                if context.json() {
                    output::print_json(&list.items);
                } else {
                    let row = |listed: &Entry<InstitutionId, Institution>| {
                        let record = &listed.record;
                        vec![
                            record.id.to_string(),
                            record.name.clone(),
                            output::name(&record.kind),
                            output::or_dash(record.tier.map(|tier| output::name(&tier))),
                            consortia(record),
                        ]
                    };
                    let rows = list.items.iter().map(row).collect();
                    output::print_table(&["institution", "name", "kind", "tier", "consortia"], rows);
                }
            }
            Self::Show { institution, save } => {
                let id = institution.map_or_else(|| context.institution(), Ok)?;
                let key = StateKey::Institution(id.clone());
                show_record::<Institution>(context, &client, &key, id.as_str(), save, |record| {
                    vec![
                        ("name", record.name.clone()),
                        ("kind", output::name(&record.kind)),
                        ("tier", output::or_dash(record.tier.map(|tier| output::name(&tier)))),
                        ("consortia", consortia(record)),
                    ]
                })
                .await?;
            }
        }
        Ok(exit::OK)
    }
}

fn consortia(institution: &Institution) -> String {
    institution.consortia.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

//! `yilian grant`: who may see whose records.

use clap::{Args, Subcommand};
use yilian_local::moment;
use yilian_spec::api::Entry;
use yilian_spec::base::id::{GrantId, InstitutionId};
use yilian_spec::base::time::Window;
use yilian_spec::domain::Operation;
use yilian_spec::domain::access::Grant;
use yilian_spec::domain::access::{GrantAccess, GrantRevocationReason, RevokeGrant};
use yilian_spec::state::key::StateKey;

use crate::arguments::{CommitmentArguments, ScopeArguments, SubjectArguments, WindowArguments};
use crate::context::Context;
use crate::failure::Outcome;
use crate::output;
use crate::parse;
use crate::saving::{SaveArgument, show_record};
use crate::submission::submit;

/// Grants: who may see whose records.
#[derive(Debug, Subcommand)]
#[command(after_help = "Example:\n  yilian grant list --institution qinghe-county-hospital")]
pub enum GrantCommand {
    /// Allow another institution to see records of one subject.
    #[command(
        after_help = "Example:\n  yilian grant create --to renhe-hospital --record 104-2231 \\\n    --category laboratory,imaging --purpose TREAT --expires +30d \\\n    --document consent.pdf"
    )]
    Create(Create),
    /// End a grant at once.
    #[command(
        after_help = "Example:\n  yilian grant revoke \\\n    5f0c8a1b2e3d4c5f60718293a4b5c6d7e8f9010203040506070809aabbccddee \\\n    --reason consent-withdrawn"
    )]
    Revoke {
        /// The grant.
        grant: GrantId,
        /// Why: consent-withdrawn, treatment-ended or mistake.
        #[arg(long, value_parser = parse::coded::<GrantRevocationReason>())]
        reason: GrantRevocationReason,
    },
    /// Show a grant.
    #[command(
        after_help = "Example:\n  yilian grant show \\\n    5f0c8a1b2e3d4c5f60718293a4b5c6d7e8f9010203040506070809aabbccddee \\\n    --save grant.json"
    )]
    Show {
        /// The grant.
        grant: GrantId,
        #[command(flatten)]
        save: SaveArgument,
    },
    /// List the grants that concern an institution.
    #[command(after_help = "Example:\n  yilian grant list --json")]
    List {
        /// The institution [default: the profile's].
        #[arg(long)]
        institution: Option<InstitutionId>,
    },
}

/// What is granted to whom.
#[derive(Debug, Args)]
pub struct Create {
    /// Who may see the records.
    #[arg(long, value_name = "INSTITUTION")]
    to: InstitutionId,
    #[command(flatten)]
    subject: SubjectArguments,
    #[command(flatten)]
    scope: ScopeArguments,
    #[command(flatten)]
    window: WindowArguments,
    #[command(flatten)]
    consent: CommitmentArguments,
}

impl GrantCommand {
    /// Runs the command.
    ///
    /// # Errors
    /// Why it failed.
    pub async fn run(self, context: &Context) -> Outcome {
        match self {
            Self::Create(create) => {
                let grant = GrantAccess {
                    subject: create.subject.tag(context)?,
                    grantee: create.to,
                    scope: create.scope.scope(),
                    window: create.window.window()?,
                    consent: create.consent.commitment()?,
                };
                submit(context, Operation::GrantAccess(grant)).await
            }
            Self::Revoke { grant, reason } => {
                submit(context, Operation::RevokeGrant(RevokeGrant { grant, reason })).await
            }
            Self::Show { grant, save } => show(context, grant, save).await,
            Self::List { institution } => list(context, institution).await,
        }
    }
}

async fn show(context: &Context, id: GrantId, save: SaveArgument) -> Outcome {
    let client = context.client(None).await?;
    show_record::<Grant>(context, &client, &StateKey::Grant(id), &id.to_string(), save, |grant| {
        vec![
            ("from", grant.grantor.to_string()),
            ("to", grant.grantee.to_string()),
            ("subject", grant.subject.to_string()),
            ("categories", output::names(&grant.scope.categories)),
            ("sensitivity", format!("up to {}", output::name(&grant.scope.highest_sensitivity))),
            ("purposes", output::names(&grant.scope.purposes)),
            ("valid", window(&grant.window)),
            ("consent", grant.consent.to_string()),
            ("referral", output::or_dash(grant.referral)),
            ("ended", ended(grant)),
        ]
    })
    .await
}

/// From when to when.
pub fn window(window: &Window) -> String {
    format!("{} to {}", moment::show(window.starts), moment::show(window.expires))
}

fn ended(grant: &Grant) -> String {
    output::or_dash(
        grant.ended.map(|ended| format!("{} ({})", moment::show(ended.at), output::name(&ended.how))),
    )
}

async fn list(context: &Context, institution: Option<InstitutionId>) -> Outcome {
    let client = context.client(None).await?;
    let list = client.list::<Entry<GrantId, Grant>>("/v1/grants", &client.about(institution)).await?;
    if context.json() {
        output::print_json(&list.items);
    } else {
        let row = |Entry { id, record, .. }: &Entry<GrantId, Grant>| {
            vec![
                id.to_string(),
                record.grantor.to_string(),
                record.grantee.to_string(),
                output::names(&record.scope.categories),
                moment::show(record.window.expires),
                ended(record),
            ]
        };
        let rows = list.items.iter().map(row).collect();
        output::print_table(&["grant", "from", "to", "categories", "expires", "ended"], rows);
    }
    Ok(yilian_client::error::exit::OK)
}

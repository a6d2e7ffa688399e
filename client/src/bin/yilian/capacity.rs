//! `yilian capacity`: how many cases of a service can be taken at a time.

use clap::Subcommand;
use yilian_client::error::exit;
use yilian_spec::api::Entry;
use yilian_spec::base::id::{InstitutionId, ServiceCode};
use yilian_spec::domain::Operation;
use yilian_spec::domain::referral::Capacity;
use yilian_spec::domain::referral::PublishCapacity;
use yilian_spec::state::key::StateKey;

use crate::context::Context;
use crate::failure::{Failure, Outcome};
use crate::output;
use crate::saving::{SaveArgument, show_record};
use crate::submission::submit;

/// Capacity: how many cases of a service can be taken.
#[derive(Debug, Subcommand)]
#[command(after_help = "Example:\n  yilian capacity show renhe-hospital")]
pub enum CapacityCommand {
    /// Publish how many cases of a service one's institution can take at a time.
    #[command(after_help = "Example:\n  yilian capacity publish --service cardiology --slots 12")]
    Publish {
        /// The service.
        #[arg(long, value_name = "CODE")]
        service: ServiceCode,
        /// The slots.
        #[arg(long)]
        slots: u32,
    },
    /// Show an institution's capacity; with --service, proven.
    #[command(after_help = "Example:\n  yilian capacity show renhe-hospital --service cardiology")]
    Show {
        /// The institution [default: the profile's].
        institution: Option<InstitutionId>,
        /// One service.
        #[arg(long, value_name = "CODE")]
        service: Option<ServiceCode>,
        #[command(flatten)]
        save: SaveArgument,
    },
}

impl CapacityCommand {
    /// Runs the command.
    ///
    /// # Errors
    /// Why it failed.
    pub async fn run(self, context: &Context) -> Outcome {
        match self {
            Self::Publish { service, slots } => {
                submit(context, Operation::PublishCapacity(PublishCapacity { service, slots })).await
            }
            Self::Show { institution, service, save } => {
                let institution = institution.map_or_else(|| context.institution(), Ok)?;
                match service {
                    Some(service) => show(context, institution, service, save).await,
                    None if save.is_asked() => Err(Failure::Usage(
                        "--save needs --service: each service's capacity has its own proof".to_owned(),
                    )),
                    None => list(context, institution).await,
                }
            }
        }
    }
}

async fn show(
    context: &Context,
    institution: InstitutionId,
    service: ServiceCode,
    save: SaveArgument,
) -> Outcome {
    let client = context.client(None).await?;
    let id = format!("{institution}/{service}");
    let key = StateKey::Capacity(institution, service);
    show_record::<Capacity>(context, &client, &key, &id, save, |capacity| {
        vec![("slots", capacity.slots.to_string()), ("reserved", capacity.reserved.to_string())]
    })
    .await
}

async fn list(context: &Context, institution: InstitutionId) -> Outcome {
    let client = context.client(None).await?;
    let path = format!("/v1/capacity/{institution}");
    let list = client.list::<Entry<ServiceCode, Capacity>>(&path, &[]).await?;
    if context.json() {
        output::print_json(&list.items);
        return Ok(exit::OK);
    }
    let row = |Entry { id, record, .. }: &Entry<ServiceCode, Capacity>| {
        let free = record.slots.saturating_sub(record.reserved);
        vec![id.to_string(), record.slots.to_string(), record.reserved.to_string(), free.to_string()]
    };
    let rows = list.items.iter().map(row).collect();
    output::print_table(&["service", "slots", "reserved", "free"], rows);
    Ok(exit::OK)
}

//! `yilian access`: disclosures, denials, receipts.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use yilian_client::error::exit;
use yilian_local::moment;
use yilian_spec::api::Entry;
use yilian_spec::base::id::{DisclosureId, GrantId, InstitutionId};
use yilian_spec::domain::Operation;
use yilian_spec::domain::access::Disclosure;
use yilian_spec::domain::access::{
    Category, Decision, DenialReason, Purpose, RecordDisclosure, RecordReceipt, Sensitivity,
};
use yilian_spec::state::key::StreamId;

use crate::arguments::{CommitmentArguments, ReceivedArguments, SubjectArguments, commit_to};
use crate::context::Context;
use crate::failure::{Failure, Outcome};
use crate::output;
use crate::parse;
use crate::submission::submit;

/// Access: disclosures, denials, and receipts of what was disclosed.
#[derive(Debug, Subcommand)]
#[command(after_help = "Example:\n  yilian access open")]
pub enum AccessCommand {
    /// Record that records were disclosed under a grant. By their source.
    #[command(
        after_help = "Example:\n  yilian access disclose --grant \\\n    5f0c8a1b2e3d4c5f60718293a4b5c6d7e8f9010203040506070809aabbccddee \\\n    --to renhe-hospital --record 104-2231 --category laboratory \\\n    --document bundle.json"
    )]
    Disclose {
        /// The grant that allows it.
        #[arg(long, value_name = "ID")]
        grant: GrantId,
        #[command(flatten)]
        request: Request,
    },
    /// Record that records were asked for and not disclosed. By their source.
    #[command(
        after_help = "Example:\n  yilian access deny --reason no-grant --to renhe-hospital --record 104-2231 \\\n    --category mental-health --document request.json"
    )]
    Deny {
        /// Why: no-grant, outside-grant, no-treatment-relation or no-records.
        #[arg(long, value_parser = parse::coded::<DenialReason>())]
        reason: DenialReason,
        #[command(flatten)]
        request: Request,
    },
    /// Record that what was disclosed has arrived. By the recipient.
    ///
    /// The document must have come with its salt, the file FILE.salt.json that the source's `access disclose` made beside
    /// it: only with both comes the recipient to the commitment that the source recorded.
    #[command(
        after_help = "Example:\n  yilian access receive \\\n    0a1b2c3d4e5f60718293a4b5c6d7e8f90a1b2c3d4e5f60718293a4b5c6d7e8f9 \\\n    --document bundle.json"
    )]
    Receive {
        /// The disclosure.
        disclosure: DisclosureId,
        #[command(flatten)]
        content: ReceivedArguments,
        /// A file that names the person who received it: the ledger gets a commitment to it, whose salt is kept
        /// beside it. One file for each access: the same commitment twice shows that it was the same person.
        #[arg(long, value_name = "FILE")]
        acting_person: Option<PathBuf>,
    },
    /// List the disclosures that have no receipt yet.
    #[command(after_help = "Example:\n  yilian access open --institution renhe-hospital")]
    Open {
        /// The institution that disclosed or should receive [default: the profile's].
        #[arg(long)]
        institution: Option<InstitutionId>,
    },
    /// Show a disclosure.
    #[command(
        after_help = "Example:\n  yilian access show \\\n    0a1b2c3d4e5f60718293a4b5c6d7e8f90a1b2c3d4e5f60718293a4b5c6d7e8f9"
    )]
    Show {
        /// The disclosure.
        disclosure: DisclosureId,
    },
}

/// What was asked for.
#[derive(Debug, Args)]
pub struct Request {
    /// Who asked.
    #[arg(long, value_name = "INSTITUTION")]
    to: InstitutionId,
    #[command(flatten)]
    subject: SubjectArguments,
    /// The category of the records, such as laboratory.
    #[arg(long, value_parser = parse::coded::<Category>())]
    category: Category,
    /// How sensitive they are: U, L, M, N, R or V.
    #[arg(long, value_name = "CODE", default_value = "N", value_parser = parse::coded::<Sensitivity>())]
    sensitivity: Sensitivity,
    /// What for, such as TREAT.
    #[arg(long, default_value = "TREAT", value_parser = parse::coded::<Purpose>())]
    purpose: Purpose,
    #[command(flatten)]
    content: CommitmentArguments,
    /// A file that names the person who acted: the ledger gets a commitment to it, whose salt is kept
    /// beside it. One file for each access: the same commitment twice shows that it was the same person.
    #[arg(long, value_name = "FILE")]
    acting_person: Option<PathBuf>,
    /// A file that says where the records come from: committed to in the same way.
    #[arg(long, value_name = "FILE")]
    origin: Option<PathBuf>,
}

impl Request {
    fn operation(self, context: &Context, decision: Decision) -> Result<Operation, Failure> {
        let acting_person = self.acting_person.as_deref().map(commit_to).transpose()?;
        let origin = self.origin.as_deref().map(commit_to).transpose()?;
        Ok(Operation::RecordDisclosure(RecordDisclosure {
            subject: self.subject.tag(context)?,
            recipient: self.to,
            category: self.category,
            sensitivity: self.sensitivity,
            purpose: self.purpose,
            content: match decision {
                Decision::Permit { .. } => self.content.commitment_to_send(context)?,
                Decision::Deny { .. } => self.content.commitment()?,
            },
            decision,
            acting_person,
            origin,
        }))
    }
}

impl AccessCommand {
    /// Runs the command.
    ///
    /// # Errors
    /// Why it failed.
    pub async fn run(self, context: &Context) -> Outcome {
        match self {
            Self::Disclose { grant, request } => {
                submit(context, request.operation(context, Decision::Permit { grant })?).await
            }
            Self::Deny { reason, request } => {
                submit(context, request.operation(context, Decision::Deny { reason })?).await
            }
            Self::Receive { disclosure, content, acting_person } => {
                let acting_person = acting_person.as_deref().map(commit_to).transpose()?;
                let receipt = RecordReceipt { disclosure, content: content.commitment()?, acting_person };
                submit(context, Operation::RecordReceipt(receipt)).await
            }
            Self::Open { institution } => open(context, institution).await,
            Self::Show { disclosure } => show(context, disclosure).await,
        }
    }
}

async fn open(context: &Context, institution: Option<InstitutionId>) -> Outcome {
    let client = context.client(None).await?;
    let mut filter = client.about(institution);
    filter.push(("open", "true".to_owned()));
    let list = client.list::<Entry<DisclosureId, Disclosure>>("/v1/disclosures", &filter).await?;
    if context.json() {
        output::print_json(&list.items);
        return Ok(exit::OK);
    }
    let row = |Entry { id, record, overdue, .. }: &Entry<DisclosureId, Disclosure>| {
        vec![
            id.to_string(),
            record.source.to_string(),
            record.recipient.to_string(),
            moment::show(record.receipt_due),
            overdue_word(*overdue),
        ]
    };
    let rows = list.items.iter().map(row).collect();
    output::print_table(&["disclosure", "source", "recipient", "receipt due", ""], rows);
    Ok(exit::OK)
}

/// The word for what is past its deadline.
pub fn overdue_word(overdue: Option<bool>) -> String {
    if overdue == Some(true) { "overdue".to_owned() } else { String::new() }
}

async fn show(context: &Context, id: DisclosureId) -> Outcome {
    let client = context.client(None).await?;
    let listed: Entry<DisclosureId, Disclosure> = client.disclosure(id).await?;
    if context.json() {
        output::print_json(&listed);
        return Ok(exit::OK);
    }
    let record = &listed.record;
    let (decision, stream) = match record.decision {
        Decision::Permit { grant } => (format!("permitted under grant {grant}"), StreamId::Grant(grant)),
        Decision::Deny { reason } => {
            (format!("denied: {}", output::name(&reason)), StreamId::Subject(record.subject))
        }
    };
    output::print_fields(&[
        ("id", listed.id.to_string()),
        ("source", record.source.to_string()),
        ("recipient", record.recipient.to_string()),
        ("subject", record.subject.to_string()),
        ("decision", decision),
        ("content", record.content.to_string()),
        ("transaction", record.transaction_id.to_string()),
        ("receipt due", moment::show(record.receipt_due)),
        ("received", output::or_dash(record.received_at.map(moment::show))),
        ("as of", format!("what the node says; `yilian stream show {stream}` is proven")),
    ]);
    Ok(exit::OK)
}

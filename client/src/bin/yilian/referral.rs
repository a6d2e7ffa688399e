//! `yilian referral`: from the request to both closures.

use clap::{Args, Subcommand};
use yilian_client::error::exit;
use yilian_local::moment;
use yilian_spec::api::Entry;
use yilian_spec::base::id::{InstitutionId, ReferralId, ServiceCode};
use yilian_spec::domain::Operation;
use yilian_spec::domain::referral::Referral;
use yilian_spec::domain::referral::{
    AcceptReferral, AcknowledgeHandover, AmendOutcome, CancelReferral, CloseAdministratively,
    CloseClinically, ConfirmRedirect, DeclineReferral, Direction, HandOver, OutcomeCode, RedirectReferral,
    ReferralReason, ReportOutcome, RequestReferral, ReturnDownward, Urgency,
};
use yilian_spec::state::key::StateKey;

use crate::arguments::{CommitmentArguments, ReceivedArguments, ScopeArguments, SubjectArguments};
use crate::context::Context;
use crate::failure::{Failure, Outcome};
use crate::output;
use crate::parse;
use crate::saving::{SaveArgument, show_record};
use crate::submission::submit;

/// Referrals: from the request to both closures.
#[derive(Debug, Subcommand)]
#[command(after_help = "Example:\n  yilian referral list --overdue")]
pub enum ReferralCommand {
    /// Ask another institution to take over a case.
    #[command(
        after_help = "Example:\n  yilian referral request --to renhe-hospital --record 104-2231 \\\n    --direction up --service cardiology --category laboratory,imaging \\\n    --document reason.pdf"
    )]
    Request(Request),
    /// Take the case: reserve capacity and grant the access that the request names.
    #[command(
        after_help = "Example:\n  yilian referral accept \\\n    0a1b2c3d4e5f60718293a4b5c6d7e8f90a1b2c3d4e5f60718293a4b5c6d7e8f9"
    )]
    Accept(Which),
    /// Do not take the case.
    #[command(
        after_help = "Example:\n  yilian referral decline \\\n    0a1b2c3d4e5f60718293a4b5c6d7e8f90a1b2c3d4e5f60718293a4b5c6d7e8f9 \\\n    --reason no-capacity"
    )]
    Decline(Ended),
    /// Propose another institution for the request; the requester confirms it.
    #[command(
        after_help = "Example:\n  yilian referral redirect \\\n    0a1b2c3d4e5f60718293a4b5c6d7e8f90a1b2c3d4e5f60718293a4b5c6d7e8f9 \\\n    --to qinghe-county-hospital --reason better-elsewhere"
    )]
    Redirect {
        /// Who should be asked instead.
        #[arg(long, value_name = "INSTITUTION")]
        to: InstitutionId,
        #[command(flatten)]
        ended: Ended,
    },
    /// Ask the institution to which one's request was redirected.
    #[command(
        after_help = "Example:\n  yilian referral confirm-redirect \\\n    0a1b2c3d4e5f60718293a4b5c6d7e8f90a1b2c3d4e5f60718293a4b5c6d7e8f9 \\\n    --to qinghe-county-hospital"
    )]
    ConfirmRedirect {
        /// The referral.
        referral: ReferralId,
        /// Who is asked now: the institution that was proposed.
        #[arg(long, value_name = "INSTITUTION")]
        to: InstitutionId,
    },
    /// Take one's request back.
    #[command(
        after_help = "Example:\n  yilian referral cancel \\\n    0a1b2c3d4e5f60718293a4b5c6d7e8f90a1b2c3d4e5f60718293a4b5c6d7e8f9 \\\n    --reason patient-declined"
    )]
    Cancel(Ended),
    /// Hand the patient and the documents over.
    #[command(
        after_help = "Example:\n  yilian referral hand-over \\\n    0a1b2c3d4e5f60718293a4b5c6d7e8f90a1b2c3d4e5f60718293a4b5c6d7e8f9 \\\n    --document package.zip"
    )]
    HandOver(WithDocument),
    /// Confirm the hand-over, with the same commitment. The package must have come with its salt, FILE.salt.json.
    #[command(
        after_help = "Example:\n  yilian referral acknowledge \\\n    0a1b2c3d4e5f60718293a4b5c6d7e8f90a1b2c3d4e5f60718293a4b5c6d7e8f9 \\\n    --document package.zip"
    )]
    Acknowledge(WithReceived),
    /// Report what came of the case.
    #[command(
        after_help = "Example:\n  yilian referral report \\\n    0a1b2c3d4e5f60718293a4b5c6d7e8f90a1b2c3d4e5f60718293a4b5c6d7e8f9 \\\n    --outcome continuing-care --document report.pdf"
    )]
    Report {
        /// What: completed, continuing-care, advice-given, no-show or not-treated.
        #[arg(long, value_parser = parse::coded::<OutcomeCode>())]
        outcome: OutcomeCode,
        #[command(flatten)]
        with: WithDocument,
    },
    /// Correct the outcome before the referral is closed; the requester reads it again. By the receiver.
    #[command(
        after_help = "Example:\n  yilian referral amend \\\n    0a1b2c3d4e5f60718293a4b5c6d7e8f90a1b2c3d4e5f60718293a4b5c6d7e8f9 \\\n    --outcome completed --document report.pdf"
    )]
    Amend {
        /// What: completed, continuing-care, advice-given, no-show or not-treated.
        #[arg(long, value_parser = parse::coded::<OutcomeCode>())]
        outcome: OutcomeCode,
        #[command(flatten)]
        with: WithDocument,
    },
    /// Close the case clinically, having read its outcome. By the requester.
    #[command(
        after_help = "Example:\n  yilian referral close-clinically \\\n    0a1b2c3d4e5f60718293a4b5c6d7e8f90a1b2c3d4e5f60718293a4b5c6d7e8f9"
    )]
    CloseClinically(Which),
    /// Close the case administratively: free the slot, end the access. By the receiver.
    #[command(
        after_help = "Example:\n  yilian referral close-administratively \\\n    0a1b2c3d4e5f60718293a4b5c6d7e8f90a1b2c3d4e5f60718293a4b5c6d7e8f9"
    )]
    CloseAdministratively(Which),
    /// Return the patient downward: a new referral, linked to the one it returns.
    #[command(
        after_help = "Example:\n  yilian referral return \\\n    0a1b2c3d4e5f60718293a4b5c6d7e8f90a1b2c3d4e5f60718293a4b5c6d7e8f9 \\\n    --service rehabilitation --category care-plan \\\n    --document plan.pdf"
    )]
    Return(Return),
    /// Show a referral.
    #[command(
        after_help = "Example:\n  yilian referral show \\\n    0a1b2c3d4e5f60718293a4b5c6d7e8f90a1b2c3d4e5f60718293a4b5c6d7e8f9"
    )]
    Show {
        /// The referral.
        referral: ReferralId,
        #[command(flatten)]
        save: SaveArgument,
    },
    /// List the referrals that concern an institution.
    #[command(after_help = "Example:\n  yilian referral list --overdue")]
    List {
        /// The institution [default: the profile's].
        #[arg(long)]
        institution: Option<InstitutionId>,
        /// Only those past their deadline.
        #[arg(long)]
        overdue: bool,
    },
}

/// One referral.
#[derive(Debug, Args)]
pub struct Which {
    /// The referral.
    referral: ReferralId,
}

/// One referral, and why it ends or moves on.
#[derive(Debug, Args)]
pub struct Ended {
    /// The referral.
    referral: ReferralId,
    /// Why: no-capacity, better-elsewhere, service-not-offered, insufficient-information, patient-declined, no-show or
    /// no-longer-needed.
    #[arg(long, value_parser = parse::coded::<ReferralReason>())]
    reason: ReferralReason,
}

/// One referral and a document.
#[derive(Debug, Args)]
pub struct WithDocument {
    /// The referral.
    referral: ReferralId,
    #[command(flatten)]
    document: CommitmentArguments,
}

/// One referral and a document that came from the other side.
#[derive(Debug, Args)]
pub struct WithReceived {
    /// The referral.
    referral: ReferralId,
    #[command(flatten)]
    document: ReceivedArguments,
}

/// What is asked for.
#[derive(Debug, Args)]
pub struct Request {
    /// Who is asked.
    #[arg(long, value_name = "INSTITUTION")]
    to: InstitutionId,
    #[command(flatten)]
    subject: SubjectArguments,
    /// Where it goes: up, down or lateral.
    #[arg(long, value_parser = parse::coded::<Direction>())]
    direction: Direction,
    #[command(flatten)]
    case: Case,
}

/// What a referral and a return have in common.
#[derive(Debug, Args)]
pub struct Case {
    /// The service that is asked for, such as cardiology.
    #[arg(long, value_name = "CODE")]
    service: ServiceCode,
    /// How soon: routine, urgent or emergency.
    #[arg(long, default_value = "routine", value_parser = parse::coded::<Urgency>())]
    urgency: Urgency,
    #[command(flatten)]
    access: ScopeArguments,
    #[command(flatten)]
    reason: CommitmentArguments,
}

/// A return.
#[derive(Debug, Args)]
pub struct Return {
    /// The referral that is returned.
    referral: ReferralId,
    #[command(flatten)]
    case: Case,
}

impl ReferralCommand {
    /// Runs the command.
    ///
    /// # Errors
    /// Why it failed.
    pub async fn run(self, context: &Context) -> Outcome {
        match self {
            Self::Show { referral, save } => show(context, referral, save).await,
            Self::List { institution, overdue } => list(context, institution, overdue).await,
            command => submit(context, command.operation(context)?).await,
        }
    }

    /// The operation that a command submits.
    fn operation(self, context: &Context) -> Result<Operation, Failure> {
        Ok(match self {
            Self::Request(request) => request.operation(context)?,
            Self::Accept(Which { referral }) => Operation::AcceptReferral(AcceptReferral { referral }),
            Self::Decline(Ended { referral, reason }) => {
                Operation::DeclineReferral(DeclineReferral { referral, reason })
            }
            Self::Redirect { to, ended: Ended { referral, reason } } => {
                Operation::RedirectReferral(RedirectReferral { referral, proposed_receiver: to, reason })
            }
            Self::ConfirmRedirect { referral, to } => {
                Operation::ConfirmRedirect(ConfirmRedirect { referral, receiver: to })
            }
            Self::Cancel(Ended { referral, reason }) => {
                Operation::CancelReferral(CancelReferral { referral, reason })
            }
            Self::HandOver(WithDocument { referral, document }) => {
                let package = document.commitment_to_send(context)?;
                Operation::HandOver(HandOver { referral, package })
            }
            Self::Acknowledge(WithReceived { referral, document }) => {
                let package = document.commitment()?;
                Operation::AcknowledgeHandover(AcknowledgeHandover { referral, package })
            }
            Self::Report { outcome, with: WithDocument { referral, document } } => {
                let report = document.commitment()?;
                Operation::ReportOutcome(ReportOutcome { referral, outcome, report })
            }
            Self::Amend { outcome, with: WithDocument { referral, document } } => {
                let report = document.commitment()?;
                Operation::AmendOutcome(AmendOutcome { referral, outcome, report })
            }
            Self::CloseClinically(Which { referral }) => {
                Operation::CloseClinically(CloseClinically { referral })
            }
            Self::CloseAdministratively(Which { referral }) => {
                Operation::CloseAdministratively(CloseAdministratively { referral })
            }
            Self::Return(request) => request.operation()?,
            Self::Show { .. } | Self::List { .. } => {
                return Err(Failure::Usage("this command submits nothing".to_owned()));
            }
        })
    }
}

impl Request {
    fn operation(self, context: &Context) -> Result<Operation, Failure> {
        Ok(Operation::RequestReferral(RequestReferral {
            subject: self.subject.tag(context)?,
            receiver: self.to,
            direction: self.direction,
            service: self.case.service,
            urgency: self.case.urgency,
            reason: self.case.reason.commitment()?,
            access: self.case.access.scope(),
        }))
    }
}

impl Return {
    fn operation(self) -> Result<Operation, Failure> {
        Ok(Operation::ReturnDownward(ReturnDownward {
            returns: self.referral,
            service: self.case.service,
            urgency: self.case.urgency,
            reason: self.case.reason.commitment()?,
            access: self.case.access.scope(),
        }))
    }
}

async fn show(context: &Context, id: ReferralId, save: SaveArgument) -> Outcome {
    let client = context.client(None).await?;
    show_record::<Referral>(context, &client, &StateKey::Referral(id), &id.to_string(), save, |referral| {
        vec![
            ("state", output::name(&referral.state)),
            ("since", moment::show(referral.since)),
            ("due", output::or_dash(referral.due.map(moment::show))),
            ("from", referral.requester.to_string()),
            ("to", referral.receiver.to_string()),
            ("redirected to", output::or_dash(referral.proposed_receiver.as_ref())),
            ("subject", referral.subject.to_string()),
            ("direction", output::name(&referral.direction)),
            ("service", referral.service.to_string()),
            ("urgency", output::name(&referral.urgency)),
            ("access", output::names(&referral.access.categories)),
            ("grant", output::or_dash(referral.grant)),
            ("outcome", output::or_dash(referral.outcome.map(|reported| output::name(&reported.outcome)))),
            ("ended because", output::or_dash(referral.ended_because.map(|reason| output::name(&reason)))),
            ("returns", output::or_dash(referral.returns)),
            ("returned by", output::or_dash(referral.returned_by)),
        ]
    })
    .await
}

async fn list(context: &Context, institution: Option<InstitutionId>, overdue: bool) -> Outcome {
    let client = context.client(None).await?;
    let mut filter = client.about(institution);
    if overdue {
        filter.push(("overdue", "true".to_owned()));
    }
    let list = client.list::<Entry<ReferralId, Referral>>("/v1/referrals", &filter).await?;
    if context.json() {
        output::print_json(&list.items);
        return Ok(exit::OK);
    }
    let row = |Entry { id, record, overdue, .. }: &Entry<ReferralId, Referral>| {
        vec![
            id.to_string(),
            record.requester.to_string(),
            record.receiver.to_string(),
            record.service.to_string(),
            output::name(&record.state),
            output::or_dash(record.due.map(moment::show)),
            crate::access::overdue_word(*overdue),
        ]
    };
    let rows = list.items.iter().map(row).collect();
    output::print_table(&["referral", "from", "to", "service", "state", "due", ""], rows);
    Ok(exit::OK)
}

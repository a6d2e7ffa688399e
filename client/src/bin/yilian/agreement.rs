//! `yilian agreement`: terms that parties propose, sign and terminate.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use yilian_client::error::exit;
use yilian_local::moment;
use yilian_spec::api::Entry;
use yilian_spec::base::id::{AgreementId, ConsortiumId, Hash, InstitutionId, ServiceCode};
use yilian_spec::base::money::Currency;
use yilian_spec::domain::Operation;
use yilian_spec::domain::agreement::Agreement;
use yilian_spec::domain::agreement::{ProposeAgreement, Schedule, SignAgreement, TerminateAgreement};
use yilian_spec::settlement::PartRole;
use yilian_spec::settlement::expression::Tier;
use yilian_spec::settlement::rational::Ratio;
use yilian_spec::settlement::templates::{self, Frame, ReadingFees, SplitShare};
use yilian_spec::settlement::terms::{Rounding, Terms};
use yilian_spec::state::key::StateKey;

use crate::arguments::WindowArguments;
use crate::context::{Context, read_json};
use crate::failure::{Failure, Outcome};
use crate::grant;
use crate::output;
use crate::parse;
use crate::saving::{SaveArgument, show_record};
use crate::submission::{submit, submit_with};

/// Agreements: terms that parties sign.
#[derive(Debug, Subcommand)]
#[command(after_help = "Example:\n  yilian agreement list")]
pub enum AgreementCommand {
    /// Propose an agreement. Proposing signs it for one's own institution.
    #[command(subcommand)]
    Propose(Propose),
    /// Sign an agreement, after its terms were read and verified.
    #[command(
        after_help = "Example:\n  yilian agreement sign \\\n    0a1b2c3d4e5f60718293a4b5c6d7e8f90a1b2c3d4e5f60718293a4b5c6d7e8f9"
    )]
    Sign {
        /// The agreement.
        agreement: AgreementId,
        /// The hash of the terms that were read elsewhere; others are not signed.
        #[arg(long, value_name = "HEX")]
        terms_hash: Option<Hash>,
    },
    /// Terminate an agreement: services no longer count.
    #[command(
        after_help = "Example:\n  yilian agreement terminate \\\n    0a1b2c3d4e5f60718293a4b5c6d7e8f90a1b2c3d4e5f60718293a4b5c6d7e8f9"
    )]
    Terminate {
        /// The agreement.
        agreement: AgreementId,
    },
    /// Show an agreement; its terms in full with --json.
    #[command(
        after_help = "Example:\n  yilian agreement show \\\n    0a1b2c3d4e5f60718293a4b5c6d7e8f90a1b2c3d4e5f60718293a4b5c6d7e8f9 --json"
    )]
    Show {
        /// The agreement.
        agreement: AgreementId,
        #[command(flatten)]
        save: SaveArgument,
    },
    /// List the agreements that concern an institution.
    #[command(after_help = "Example:\n  yilian agreement list --institution anping-insurer")]
    List {
        /// The institution [default: the profile's].
        #[arg(long)]
        institution: Option<InstitutionId>,
    },
}

/// The arrangements that terms can be made from.
#[derive(Debug, Subcommand)]
#[command(
    after_help = "Example:\n  yilian agreement propose fixed-price --consortium qinghe-community \\\n    --service teleconsultation --payer anping-insurer \\\n    --provider renhe-hospital --role expert --fee 180.00 --expires +365d"
)]
pub enum Propose {
    /// A fixed price for each service (arrangement A1).
    #[command(
        after_help = "Example:\n  yilian agreement propose fixed-price --consortium qinghe-community \\\n    --service teleconsultation --payer anping-insurer \\\n    --provider renhe-hospital --role expert --fee 180.00 --expires +365d"
    )]
    FixedPrice {
        #[command(flatten)]
        common: Common,
        /// Who delivers; once for each.
        #[arg(long = "provider", value_name = "INSTITUTION", required = true)]
        providers: Vec<InstitutionId>,
        /// The part that is paid, such as primary or expert.
        #[arg(long, value_parser = parse::coded::<PartRole>())]
        role: PartRole,
        /// The fee in the currency's unit, such as 180.00.
        #[arg(long)]
        fee: String,
    },
    /// A percentage split of the gross amount (arrangement A2).
    #[command(
        after_help = "Example:\n  yilian agreement propose percentage-split --consortium qinghe-community \\\n    --service teleconsultation --payer anping-insurer \\\n    --share primary=qinghe-county-hospital:30 --share expert=renhe-hospital:70 \\\n    --rounding per-event --expires +365d"
    )]
    PercentageSplit {
        #[command(flatten)]
        common: Common,
        /// Who gets how much for which part: ROLE=INSTITUTION:WEIGHT; once for each.
        #[arg(long = "share", value_name = "ROLE=INSTITUTION:WEIGHT", required = true, value_parser = parse::share)]
        shares: Vec<(PartRole, InstitutionId, Ratio)>,
        /// When the split rounds: per-event or per-period. It changes amounts, so it is signed.
        #[arg(long, value_parser = parse::coded::<Rounding>())]
        rounding: Rounding,
    },
    /// Fees for image reading: marginal tiers, a platform's share, the rest by reads (arrangement A3).
    #[command(
        after_help = "Example:\n  yilian agreement propose image-reading --consortium qinghe-community \\\n    --service image-reading --payer anping-insurer --hospital renhe-hospital \\\n    --platform image-platform --tier 1000:25.00 --tier 5000:20.00 \\\n    --beyond 16.00 --platform-share 12% --expires +365d"
    )]
    ImageReading {
        #[command(flatten)]
        common: Common,
        /// Who reads; once for each.
        #[arg(long = "hospital", value_name = "INSTITUTION", required = true)]
        hospitals: Vec<InstitutionId>,
        /// Who runs the platform.
        #[arg(long, value_name = "INSTITUTION")]
        platform: InstitutionId,
        /// Up to so many reads, at so much each: UP_TO:FEE; ascending, once for each.
        #[arg(long = "tier", value_name = "UP_TO:FEE", required = true, value_parser = parse::tier)]
        tiers: Vec<(i64, String)>,
        /// The fee above the last tier.
        #[arg(long, value_name = "FEE")]
        beyond: String,
        /// The platform's share of the gross fee, such as 12%.
        #[arg(long, value_name = "RATIO", value_parser = parse::ratio)]
        platform_share: Ratio,
    },
    /// Terms from a JSON file, as `yilian agreement show --json` prints them under `terms`.
    #[command(
        after_help = "Example:\n  yilian agreement propose terms terms.json --consortium qinghe-community \\\n    --expires +365d --period 30d"
    )]
    Terms {
        /// The file.
        file: PathBuf,
        #[command(flatten)]
        frame: Validity,
    },
}

/// Where and when an agreement counts.
#[derive(Debug, Args)]
pub struct Validity {
    /// The consortium it is made in.
    #[arg(long, value_name = "CONSORTIUM")]
    consortium: ConsortiumId,
    #[command(flatten)]
    window: WindowArguments,
    /// The length of its periods, such as 30d [default: a period ends when a party closes it].
    #[arg(long, value_name = "LENGTH", value_parser = parse::length_ms)]
    period: Option<u64>,
}

/// What all templates have in common.
#[derive(Debug, Args)]
pub struct Common {
    #[command(flatten)]
    validity: Validity,
    /// The services that it covers; once for each.
    #[arg(long = "service", value_name = "CODE", required = true)]
    services: Vec<ServiceCode>,
    /// Who owes the sum.
    #[arg(long, value_name = "INSTITUTION")]
    payer: InstitutionId,
    /// The currency.
    #[arg(long, default_value = "CNY")]
    currency: Currency,
}

impl Common {
    fn frame(&self) -> Frame {
        Frame {
            currency: self.currency,
            services: self.services.iter().cloned().collect(),
            payer: self.payer.clone(),
        }
    }

    fn fee(&self, text: &str) -> Result<Ratio, Failure> {
        let amount = parse::amount(text, self.currency).map_err(Failure::Usage)?;
        Ok(Ratio::whole(amount.0))
    }
}

impl Propose {
    /// The terms, checked, and where and when they count.
    fn terms(self) -> Result<(Terms, Validity), Failure> {
        match self {
            Self::FixedPrice { common, providers, role, fee } => {
                let fee = parse::amount(&fee, common.currency).map_err(Failure::Usage)?;
                let terms = templates::fixed_price(&common.frame(), &providers, role, fee);
                Ok((terms.map_err(unsound)?, common.validity))
            }
            Self::PercentageSplit { common, shares, rounding } => {
                let share = |(role, institution, weight)| SplitShare { institution, role, weight };
                let shares: Vec<SplitShare> = shares.into_iter().map(share).collect();
                let terms = templates::percentage_split(&common.frame(), &shares, rounding);
                Ok((terms.map_err(unsound)?, common.validity))
            }
            Self::ImageReading { common, hospitals, platform, tiers, beyond, platform_share } => {
                let tier = |(up_to, fee): (i64, String)| {
                    Ok(Tier { up_to: Ratio::whole(up_to), rate: common.fee(&fee)? })
                };
                let tiers = tiers.into_iter().map(tier).collect::<Result<_, Failure>>()?;
                let fees = ReadingFees { tiers, beyond: common.fee(&beyond)?, platform_share };
                let terms = templates::image_reading(&common.frame(), &hospitals, &platform, &fees);
                Ok((terms.map_err(unsound)?, common.validity))
            }
            Self::Terms { file, frame } => {
                let terms: Terms = read_json(&file, "the terms of an agreement")?;
                terms.check().map_err(unsound)?;
                Ok((terms, frame))
            }
        }
    }

    fn operation(self) -> Result<Operation, Failure> {
        let (terms, validity) = self.terms()?;
        let schedule = match validity.period {
            Some(length_ms) => Schedule::Fixed { length_ms },
            None => Schedule::OnDemand,
        };
        let window = validity.window.window()?;
        let consortium = validity.consortium;
        Ok(Operation::ProposeAgreement(ProposeAgreement { consortium, terms, window, schedule }))
    }
}

fn unsound(error: yilian_spec::settlement::terms::TermsError) -> Failure {
    Failure::Usage(format!("the terms cannot be signed: {error}"))
}

impl AgreementCommand {
    /// Runs the command.
    ///
    /// # Errors
    /// Why it failed.
    pub async fn run(self, context: &Context) -> Outcome {
        match self {
            Self::Propose(propose) => submit(context, propose.operation()?).await,
            Self::Sign { agreement, terms_hash } => sign(context, agreement, terms_hash).await,
            Self::Terminate { agreement } => {
                submit(context, Operation::TerminateAgreement(TerminateAgreement { agreement })).await
            }
            Self::Show { agreement, save } => show(context, agreement, save).await,
            Self::List { institution } => list(context, institution).await,
        }
    }
}

/// Signs what the ledger holds, and only if its hash is that of the terms in it.
async fn sign(context: &Context, agreement: AgreementId, expected: Option<Hash>) -> Outcome {
    let role = yilian_spec::domain::membership::Role::Finance;
    let client = context.client(Some(role)).await?;
    let record = client.record::<Agreement>(&StateKey::Agreement(agreement)).await?.value;
    let terms_hash = yilian_spec::base::codec::hash(yilian_spec::base::codec::Domain::Terms, &record.terms);
    if terms_hash != expected.unwrap_or(record.terms_hash) {
        return Err(Failure::Verification(format!(
            "the terms of agreement {agreement} have hash {terms_hash}, not the one expected: not signed"
        )));
    }
    submit_with(context, &client, vec![Operation::SignAgreement(SignAgreement { agreement, terms_hash })])
        .await
}

async fn show(context: &Context, id: AgreementId, save: SaveArgument) -> Outcome {
    let client = context.client(None).await?;
    show_record(context, &client, &StateKey::Agreement(id), &id.to_string(), save, fields).await
}

fn fields(agreement: &Agreement) -> Vec<(&'static str, String)> {
    let terms = &agreement.terms;
    let party = |party: &yilian_spec::settlement::terms::Party| {
        let parts = output::names(&party.roles);
        let signed = if agreement.signed.contains(&party.institution) { "signed" } else { "not signed" };
        format!("{} ({}{signed})", party.institution, if parts.is_empty() { parts } else { parts + "; " })
    };
    let schedule = match agreement.schedule {
        Schedule::Fixed { length_ms } => format!("every {} hours", length_ms / 3_600_000),
        Schedule::OnDemand => "when a party closes it".to_owned(),
    };
    vec![
        ("state", output::name(&agreement.state)),
        ("consortium", agreement.consortium.to_string()),
        ("services", terms.services.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")),
        ("parties", terms.parties.iter().map(party).collect::<Vec<_>>().join(", ")),
        ("payer", output::or_dash(terms.payer_institution())),
        ("currency", terms.currency.to_string()),
        ("rounding", output::name(&terms.rounding)),
        ("valid", grant::window(&agreement.window)),
        ("open period", format!("{} since {}", agreement.open_period, moment::show(agreement.period_began))),
        ("period ends", schedule),
        ("terms hash", agreement.terms_hash.to_string()),
    ]
}

async fn list(context: &Context, institution: Option<InstitutionId>) -> Outcome {
    let client = context.client(None).await?;
    let filter = client.about(institution);
    let list = client.list::<Entry<AgreementId, Agreement>>("/v1/agreements", &filter).await?;
    if context.json() {
        output::print_json(&list.items);
        return Ok(exit::OK);
    }
    let row = |Entry { id, record, .. }: &Entry<AgreementId, Agreement>| {
        vec![
            id.to_string(),
            record.terms.services.iter().map(ToString::to_string).collect::<Vec<_>>().join(", "),
            output::or_dash(record.terms.payer_institution()),
            output::name(&record.state),
            format!("{} of {}", record.signed.len(), record.terms.parties.len()),
            record.open_period.to_string(),
        ]
    };
    let rows = list.items.iter().map(row).collect();
    output::print_table(&["agreement", "services", "payer", "state", "signed", "open period"], rows);
    Ok(exit::OK)
}

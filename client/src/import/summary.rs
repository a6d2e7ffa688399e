//! What an import did, for people and for programs.

use std::collections::BTreeMap;

use serde::Serialize;
use yilian_spec::base::id::InstitutionId;

use super::Options;
use super::agreement::{AlsoCounting, Totals};
use super::changes::{Changes, OnLedger};
use super::collect::{Collected, EMPTY_ENTRY};
use super::payer::{self, Asked, SumsByCurrency};
use super::plan::{Gross, Plan, Planning, Share, Sums};
use super::proposal;
use super::skip::{Noted, Skipped, Skips};
use super::source::walk::{Unread, UnreadEntry};
use super::submit::Tally;
use crate::error::exit;

pub(super) mod text;

/// What was read.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Read {
    /// Files.
    pub files: u64,
    /// What else is in the directory, and what was refused.
    pub unread: Vec<UnreadEntry>,
    /// Resources by type, and what became of them.
    pub resources: BTreeMap<String, Became>,
    /// Organisations that were read or are referred to.
    pub organizations: u64,
    /// Patients.
    pub patients: u64,
    /// Encounters that took place.
    pub encounters: u64,
    /// Active claims.
    pub claims: u64,
    /// Explanations of benefit that answer a claim.
    pub explanations_of_benefit: u64,
    /// Clinical records that name an encounter.
    pub records: u64,
}

/// What became of the resources of one type.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Became {
    /// How many were read.
    pub read: u64,
    /// How many of them count.
    pub used: u64,
    /// How many were left out, each for a reason that stands among those skipped.
    pub left_out: u64,
    /// What those that count are for.
    pub purpose: &'static str,
}

/// An organisation that the mapping does not name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct UnmappedOrganization {
    /// What the mapping can call it.
    pub key: String,
    /// Its name.
    pub name: String,
    /// Encounters at it.
    pub encounters: u64,
    /// Its claims.
    pub claims: u64,
    /// What they claim, by currency, in minor units.
    pub claimed_minor: SumsByCurrency,
}

/// The summary of an import.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Summary {
    /// Whether nothing was submitted.
    pub dry_run: bool,
    /// What was read.
    pub read: Read,
    /// Which amount is the gross amount of a service.
    pub gross: Gross,
    /// What belongs to each institution.
    pub institutions: BTreeMap<InstitutionId, Share>,
    /// Organisations that are left out.
    pub unmapped: Vec<UnmappedOrganization>,
    /// What the claims ask of whom.
    pub payers: Vec<Asked>,
    /// Subject tags, one for each patient and custodian.
    pub subjects: u64,
    /// Referrals.
    pub referrals: u64,
    /// Consecutive encounters at two organisations that are one institution.
    pub within_one_institution: u64,
    /// The operations that record all this, by name, beside those of agreements.
    pub operations: BTreeMap<&'static str, u64>,
    /// Sums by currency, of what the input asks for.
    pub sums: BTreeMap<String, Sums>,
    /// What was left out.
    pub skipped: Vec<Skipped>,
    /// What was noted.
    pub noted: Vec<Noted>,
    /// What became of the operations; `None` after a dry run.
    pub recorded: Option<Tally>,
    /// What changed since it was recorded; `None` where nothing was.
    pub changes: Option<Changes>,
    /// The services of this import that the ledger holds, by currency.
    pub on_ledger: BTreeMap<String, OnLedger>,
    /// Active agreements with other terms that count the same kinds of services, too.
    pub also_counting: Vec<AlsoCounting>,
    /// What the statements say, where the periods were closed.
    pub statements: Vec<Totals>,
}

impl Summary {
    /// The summary of a plan.
    pub fn new(options: &Options, planning: &Planning<'_>, plan: &Plan) -> Self {
        let collected = planning.collected;
        let operations = plan.counts();
        Self {
            dry_run: options.is_dry_run,
            read: Read::new(collected, plan),
            gross: options.gross,
            institutions: plan.shares.clone(),
            unmapped: unmapped(planning),
            payers: payer::asked(collected, Some(planning.mapping)),
            subjects: plan.subjects.len() as u64,
            referrals: operations.get("request_referral").copied().unwrap_or(0),
            within_one_institution: plan.within_one_institution,
            operations,
            sums: plan.sums.clone(),
            skipped: plan.skips.list(),
            noted: plan.notes.list(),
            recorded: None,
            changes: None,
            on_ledger: BTreeMap::new(),
            also_counting: Vec::new(),
            statements: Vec::new(),
        }
    }

    /// What a script is told: refusals of the ledger, then sources that changed and files that were refused.
    pub fn exit_code(&self) -> u8 {
        let has_changes = self.changes.as_ref().is_some_and(|changes| !changes.is_empty());
        let has_refused_files = self.read.unread.iter().any(|entry| entry.reason == Unread::Refused);
        if self.recorded.as_ref().is_some_and(|tally| !tally.refused.is_empty()) {
            exit::REFUSED
        } else if has_changes || has_refused_files {
            exit::LOCAL
        } else {
            exit::OK
        }
    }
}

impl Read {
    fn new(collected: &Collected, plan: &Plan) -> Self {
        let answered = collected.benefits.keys().filter(|claim| collected.claims.contains_key(*claim));
        Self {
            files: collected.files,
            unread: collected.unread.clone(),
            resources: became(collected, &plan.skips),
            organizations: collected.organizations.len() as u64,
            patients: collected.patients.len() as u64,
            encounters: collected.encounters.len() as u64,
            claims: collected.claims.len() as u64,
            explanations_of_benefit: answered.count() as u64,
            records: plan.records,
        }
    }
}

fn became(collected: &Collected, skips: &Skips) -> BTreeMap<String, Became> {
    let one = |(kind, read): (&String, &u64)| {
        let left_out = skips.of(kind);
        let became =
            Became { read: *read, used: read.saturating_sub(left_out), left_out, purpose: purpose(kind) };
        (kind.clone(), became)
    };
    collected.resources.iter().map(one).collect()
}

/// What the resources of a type that count are for.
fn purpose(kind: &str) -> &'static str {
    match kind {
        "Bundle" | "Parameters" => "opened",
        "Patient" => "subject tags",
        "Organization" => "institutions, by the mapping",
        "Practitioner" | "PractitionerRole" => "who claims",
        "Coverage" => "who pays",
        "Encounter" => "summaries for payers, and referrals",
        "Claim" => "services",
        "ExplanationOfBenefit" => "evidence of services",
        EMPTY_ENTRY => "said below",
        other if super::codes::category(other).is_some() => "records that go along with referrals",
        _ => "of no use to the ledger",
    }
}

fn unmapped(planning: &Planning<'_>) -> Vec<UnmappedOrganization> {
    let Planning { collected, mapping, .. } = *planning;
    proposal::by_volume(collected)
        .into_iter()
        .filter(|(key, _)| mapping.institution(collected, key).is_none())
        .map(|(key, volume)| UnmappedOrganization {
            key: key.to_owned(),
            name: collected.organizations.get(key).map(|one| one.name.clone()).unwrap_or_default(),
            encounters: volume.encounters,
            claims: volume.claims,
            claimed_minor: volume.claimed_minor,
        })
        .collect()
}

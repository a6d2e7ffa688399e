//! What the ledger has of this import and the journal does not know, as where the journal is an older copy of it.
//!
//! Commitments follow from the secret, so that what was recorded can be told by them. Behind the place in each author's stream
//! up to which the journal has looked, the transactions that it does not know are read ([`super::watch`]). One whose operations
//! are all of the plan is put into the journal, as if it had never been missing there. One of which only some are is another
//! matter: the input has changed since, and nobody can say what the rest was, so the import stops.
//!
//! A service that was reversed and recorded anew has evidence of its own ([`super::plan`]), which depends on how often that was.
//! So it is looked for under several numbers; the ones before, of which the input says nothing any more, are
//! replaced by it.

use std::collections::BTreeMap;

use yilian_spec::base::id::{Commitment, ReferralId};
use yilian_spec::domain::Operation;
use yilian_spec::ledger::receipt::Outcome;
use yilian_spec::ledger::transaction::Transaction;

use super::changes::{self, Sources};
use super::document::{Digest, Key, Secret};
use super::draft::{Draft, Item};
use super::error::ImportError;
use super::journal::{Contents, Journal};
use super::limits;
use super::plan::{Plan, Planning};
use super::run;

/// Transactions on the ledger that the journal does not know, by the institutions that the import acts for.
#[derive(Debug)]
pub struct Missed {
    transactions: Vec<Transaction>,
}

impl Missed {
    /// These transactions.
    pub fn of(transactions: Vec<Transaction>) -> Self {
        Self { transactions }
    }

    /// Those that were not adopted.
    pub fn rest(&self) -> &[Transaction] {
        &self.transactions
    }

    /// Puts into the journal what is of the plan; how many operations that were.
    ///
    /// # Errors
    /// [`ImportError::JournalBehind`], or when the journal cannot be written.
    pub fn adopt(&mut self, journal: &mut Journal, planning: &Planning<'_>) -> Result<u64, ImportError> {
        let mut count = 0;
        loop {
            // What is adopted tells more of the rest: steps by their referral, a service recorded anew by its reversal.
            let plan = run::plan(planning, Some(journal.contents()));
            let mut known = Known::of(&plan, planning.secret, journal.contents());
            if self.transactions.iter().any(|one| known.lacks_service(one)) {
                known.add_recorded_anew(planning);
            }
            let (mut signed, mut rest, mut replaced) = (Vec::new(), Vec::new(), Vec::new());
            let mut parted = None;
            for transaction in std::mem::take(&mut self.transactions) {
                let operations = &transaction.body.operations;
                let found: Vec<Found> =
                    operations.iter().filter_map(|operation| known.find(operation)).collect();
                if found.len() == operations.len() {
                    count += found.len() as u64;
                    replaced.extend(found.iter().flat_map(|one| known.replaced(&one.key)));
                    signed.push((transaction, found.iter().map(|one| (one.key, one.source)).collect()));
                    continue;
                }
                if found.iter().any(|one| one.is_certain) {
                    parted = Some((transaction.id(), transaction.body.institution.clone()));
                }
                rest.push(transaction);
            }
            self.transactions = rest;
            if signed.is_empty() {
                return match parted {
                    Some((transaction, institution)) => {
                        Err(ImportError::JournalBehind { transaction, institution })
                    }
                    None => Ok(count),
                };
            }
            let applied: Vec<_> =
                signed.iter().map(|(transaction, _)| (transaction.id(), Some(Outcome::Applied))).collect();
            journal.note_replaced(&replaced)?;
            journal.sign(signed)?;
            journal.finish(&applied)?;
        }
    }
}

/// What an operation can be told by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Mark {
    /// What it commits to.
    Commitment(Commitment),
    /// The item that requested its referral.
    Referral(Key),
}

/// What an operation on the ledger is in the journal.
#[derive(Debug, Clone, Copy)]
struct Found {
    key: Key,
    /// The digest of what the input asks for.
    source: Digest,
    /// Whether nobody but this import can have signed it: a step of its referral, or a correction, may be by hand.
    is_certain: bool,
}

/// The operations of a plan, and the corrections of what the journal knows.
struct Known<'a> {
    /// By the operation's name and its mark.
    items: BTreeMap<(&'static str, Mark), (Key, Digest)>,
    /// The items that requested referrals.
    requests: BTreeMap<ReferralId, Key>,
    /// By the key of a service recorded anew: the keys of those before it that the journal does not know.
    before: BTreeMap<Key, Vec<Key>>,
    contents: &'a Contents,
    secret: &'a Secret,
}

impl<'a> Known<'a> {
    fn of(plan: &Plan, secret: &'a Secret, contents: &'a Contents) -> Self {
        let sources = Sources::new(secret, &plan.subjects);
        let item = |item: &Item| {
            let named = (item.draft.name(), mark(&item.draft)?);
            Some((named, (item.key, sources.of(item))))
        };
        let requests = plan.items.iter().filter(|item| matches!(item.draft, Draft::Request { .. }));
        let request = |item: &Item| Some((ReferralId(contents.object(&item.key)?), item.key));
        Self {
            items: plan.items.iter().filter_map(item).collect(),
            requests: requests.filter_map(request).collect(),
            before: BTreeMap::new(),
            contents,
            secret,
        }
    }

    /// Whether a transaction records a service that is none of these.
    fn lacks_service(&self, transaction: &Transaction) -> bool {
        let mut operations = transaction.body.operations.iter();
        operations.any(|one| matches!(one, Operation::DeliverService(_)) && self.find(one).is_none())
    }

    /// Adds the services as they would be, had they been reversed and recorded anew without a word in the journal.
    fn add_recorded_anew(&mut self, planning: &Planning<'_>) {
        let (contents, secret) = (self.contents, self.secret);
        let mut before: Vec<Vec<Key>> = Vec::new();
        for times in 0..=limits::RECORDED_ANEW_MAX {
            let plan = planning.plan(&|claim| changes::reversals(contents, secret, claim) + times);
            let sources = Sources::new(secret, &plan.subjects);
            let services = plan.items.iter().filter(|item| matches!(item.draft, Draft::Deliver { .. }));
            // The plans differ in nothing but these items, which stand in the same order in each.
            for (item, place) in services.zip(0..) {
                if let Some(mark) = mark(&item.draft) {
                    self.items.insert((item.draft.name(), mark), (item.key, sources.of(item)));
                }
                if before.len() == place {
                    before.push(Vec::new());
                }
                self.before.insert(item.key, before[place].clone());
                before[place].extend(Some(item.key).filter(|key| contents.get(key).is_none()));
            }
        }
    }

    /// The services that the one under a key replaced.
    fn replaced(&self, key: &Key) -> Vec<Key> {
        self.before.get(key).cloned().unwrap_or_default()
    }

    /// What an operation on the ledger is in the journal.
    fn find(&self, operation: &Operation) -> Option<Found> {
        let of_referral = |referral: &ReferralId| self.requests.get(referral).copied().map(Mark::Referral);
        let mark = match operation {
            Operation::GrantAccess(grant) => Mark::Commitment(grant.consent),
            Operation::RecordDisclosure(disclosure) => Mark::Commitment(disclosure.content),
            Operation::RecordReceipt(receipt) => Mark::Commitment(receipt.content),
            Operation::RequestReferral(request) => Mark::Commitment(request.reason),
            Operation::HandOver(step) => Mark::Commitment(step.package),
            Operation::AcknowledgeHandover(step) => Mark::Commitment(step.package),
            Operation::ReportOutcome(step) => Mark::Commitment(step.report),
            Operation::DeliverService(service) => Mark::Commitment(service.evidence),
            Operation::AcceptReferral(step) => of_referral(&step.referral)?,
            Operation::CloseClinically(step) => of_referral(&step.referral)?,
            Operation::CloseAdministratively(step) => of_referral(&step.referral)?,
            Operation::ReverseService(reverse) => {
                return self.correction("reverse", reverse.service.0, &reverse.service.to_string());
            }
            Operation::RevokeGrant(revoke) => {
                return self.correction("revoke", revoke.grant.0, &revoke.grant.to_string());
            }
            // Agreements are looked for on the ledger, and periods closed by their numbers.
            Operation::ProposeAgreement(_) | Operation::SignAgreement(_) | Operation::ClosePeriod(_) => {
                return None;
            }
            // No import records these.
            Operation::RegisterKey(_)
            | Operation::RotateKey(_)
            | Operation::RevokeKey(_)
            | Operation::PublishCapacity(_)
            | Operation::DeclineReferral(_)
            | Operation::RedirectReferral(_)
            | Operation::ConfirmRedirect(_)
            | Operation::CancelReferral(_)
            | Operation::AmendOutcome(_)
            | Operation::ReturnDownward(_)
            | Operation::TerminateAgreement(_) => return None,
        };
        let (key, source) = *self.items.get(&(operation.name(), mark))?;
        Some(Found { key, source, is_certain: matches!(mark, Mark::Commitment(_)) })
    }

    /// The key under which a correction of what the journal knows stands there.
    fn correction(&self, kind: &str, object: [u8; 32], id: &str) -> Option<Found> {
        let key = self.secret.key(kind, &[id]);
        let found = Found { key, source: Digest::default(), is_certain: false };
        Some(found).filter(|_| self.contents.has_object(&object))
    }
}

fn mark(draft: &Draft) -> Option<Mark> {
    Some(match draft {
        Draft::Grant { consent: commitment, .. }
        | Draft::Disclose { content: commitment, .. }
        | Draft::Receive { content: commitment, .. }
        | Draft::Request { reason: commitment, .. }
        | Draft::HandOver { package: commitment, .. }
        | Draft::Acknowledge { package: commitment, .. }
        | Draft::Report { report: commitment, .. }
        | Draft::Deliver { evidence: commitment, .. } => Mark::Commitment(*commitment),
        Draft::Accept { referral }
        | Draft::CloseClinically { referral }
        | Draft::CloseAdministratively { referral } => Mark::Referral(*referral),
        Draft::Reverse { .. }
        | Draft::Revoke { .. }
        | Draft::Propose { .. }
        | Draft::Sign { .. }
        | Draft::ClosePeriod { .. } => return None,
    })
}

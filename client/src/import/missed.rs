//! What the ledger has of this import and the journal does not know, as where the journal is an older copy of it.
//!
//! The import knows its own transactions by their nonces ([`super::document`]). Behind the place in each author's stream up to which
//! the journal has looked, those that it does not know are read ([`super::watch`]). Commitments follow from the secret, so that what
//! an operation recorded can be told by them, as long as the input asks for it. Where each operation can be told, the
//! journal is completed, as if nothing had ever been missing there; otherwise nobody can say what the rest was, nothing is
//! written, and the import stops. Who takes an import back need not know what an operation was; the next import tells that, as far
//! as its input does.
//!
//! A service that was reversed and recorded anew has evidence of its own ([`super::plan`]), which depends on how often that was.
//! So it is looked for under several numbers; the ones before it, of which the input says nothing any more, are spent: delivered,
//! and reversed.

use std::collections::{BTreeMap, BTreeSet};

use yilian_spec::base::codec::{self, Domain};
use yilian_spec::base::id::{Commitment, Hash, InstitutionId, ReferralId, ServiceId, TransactionId};
use yilian_spec::domain::Operation;
use yilian_spec::domain::service::DeliverService;
use yilian_spec::ledger::receipt::Outcome;
use yilian_spec::ledger::transaction::Transaction;

use super::agreement::{self, Pair};
use super::changes::{self, Sources};
use super::collect::Amount;
use super::document::{Digest, Key, Secret};
use super::draft::{Draft, Item};
use super::error::ImportError;
use super::journal::{Contents, Journal, Signed};
use super::limits;
use super::plan::{Plan, Planning};
use super::run;

/// Transactions of this import on the ledger that the journal does not know.
#[derive(Debug)]
pub struct Missed {
    transactions: Vec<Transaction>,
    /// Services that somebody has reversed, by this import or otherwise.
    reversed: BTreeSet<ServiceId>,
    /// Those of the transactions that the journal has without knowing what they were, and that may stay so: their services are
    /// reversed and their grants revoked.
    untold: BTreeSet<TransactionId>,
}

/// What is to be written of transactions.
#[derive(Debug, Default)]
pub struct Adoption {
    rounds: Vec<Round>,
}

/// What is to be written of a round of adoption.
#[derive(Debug)]
struct Round {
    replaced: Vec<Key>,
    signed: Vec<Signed>,
}

impl Missed {
    /// These transactions, where these services were reversed.
    pub fn of(transactions: Vec<Transaction>, reversed: BTreeSet<ServiceId>) -> Self {
        Self { transactions, reversed, untold: BTreeSet::new() }
    }

    /// These, and those that the journal has and knows nothing of.
    pub fn and_untold(mut self, journal: &Contents) -> Self {
        self.untold = journal.untold().map(Transaction::id).collect();
        self.transactions.extend(journal.untold().cloned());
        self.reversed.extend(journal.reversed());
        self
    }

    /// Tells what all of them were.
    ///
    /// # Errors
    /// [`ImportError::JournalBehind`].
    pub fn tell(mut self, journal: &Contents, planning: &Planning<'_>) -> Result<Adoption, ImportError> {
        let mut contents = journal.clone();
        let mut adoption = Adoption::default();
        while !self.transactions.is_empty() {
            // What is adopted tells more of the rest: steps by their referral, a service recorded anew by its reversal.
            let round = self.round(&contents, planning);
            if round.signed.is_empty() {
                let missing = self.transactions.iter().find(|one| !self.untold.contains(&one.id()));
                return match missing {
                    None => Ok(adoption),
                    Some(first) => {
                        let (transaction, institution) = (first.id(), first.body.institution.clone());
                        Err(ImportError::JournalBehind { transaction, institution })
                    }
                };
            }
            contents.adopt(&round.replaced, &round.signed);
            adoption.rounds.push(round);
        }
        Ok(adoption)
    }

    /// Takes out the transactions of which each operation can be told.
    fn round(&mut self, contents: &Contents, planning: &Planning<'_>) -> Round {
        let plan = run::plan(planning, Some(contents));
        let mut known = Known::of(&plan, planning.secret, contents, &self.reversed);
        if self.transactions.iter().any(|one| known.lacks_service(one)) {
            known.add_recorded_anew(planning);
        }
        let mut round = Round { replaced: Vec::new(), signed: Vec::new() };
        let mut rest = Vec::new();
        for transaction in std::mem::take(&mut self.transactions) {
            let operations = transaction.body.operations.iter().zip(0..);
            let found: Option<Vec<Found>> =
                operations.map(|(operation, index)| known.find(&transaction, operation, index)).collect();
            match found {
                Some(found) => {
                    round.replaced.extend(found.iter().flat_map(|one| known.replaced(&one.key)));
                    let keys = found.iter().map(|one| (one.key, one.source)).collect();
                    round.signed.push((transaction, keys));
                }
                None => rest.push(transaction),
            }
        }
        self.transactions = rest;
        round
    }
}

impl Adoption {
    /// Puts everything into the journal; how many operations that are.
    ///
    /// # Errors
    /// When the journal cannot be written.
    pub fn write(self, journal: &mut Journal) -> Result<u64, ImportError> {
        let mut count = 0;
        for Round { replaced, signed } in self.rounds {
            count += signed.iter().map(|(_, operations)| operations.len() as u64).sum::<u64>();
            let applied: Vec<_> =
                signed.iter().map(|(transaction, _)| (transaction.id(), Some(Outcome::Applied))).collect();
            journal.note_replaced(&replaced)?;
            journal.sign(signed)?;
            journal.finish(&applied)?;
        }
        Ok(count)
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
    /// The digest of what the input asks for; another one where that differs from what was recorded.
    source: Digest,
}

/// The operations of a plan, and the corrections of what the journal knows.
struct Known<'a> {
    /// By the operation's name and its mark.
    items: BTreeMap<(&'static str, Mark), (Key, Digest)>,
    /// The items that requested referrals.
    requests: BTreeMap<ReferralId, Key>,
    /// By the key of a service recorded anew: the keys of those before it that the journal does not know.
    before: BTreeMap<Key, Vec<Key>>,
    /// Of the services among the items: who pays what.
    debts: BTreeMap<Key, (InstitutionId, Amount)>,
    pairs: BTreeSet<Pair>,
    contents: &'a Contents,
    secret: &'a Secret,
    reversed: &'a BTreeSet<ServiceId>,
}

impl<'a> Known<'a> {
    fn of(
        plan: &Plan,
        secret: &'a Secret,
        contents: &'a Contents,
        reversed: &'a BTreeSet<ServiceId>,
    ) -> Self {
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
            debts: plan.items.iter().filter_map(debt).collect(),
            pairs: agreement::pairs(plan),
            contents,
            secret,
            reversed,
        }
    }

    /// Whether a transaction records a service that is none of these.
    fn lacks_service(&self, transaction: &Transaction) -> bool {
        let mut operations = transaction.body.operations.iter();
        operations.any(|one| match one {
            Operation::DeliverService(service) => {
                self.item(one, Mark::Commitment(service.evidence)).is_none()
            }
            _ => false,
        })
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
                self.debts.extend(debt(item));
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
    fn find(&self, transaction: &Transaction, operation: &Operation, index: u16) -> Option<Found> {
        let author = &transaction.body.institution;
        let of_referral = |referral: &ReferralId| self.requests.get(referral).copied().map(Mark::Referral);
        let mark = match operation {
            Operation::GrantAccess(grant) => Mark::Commitment(grant.consent),
            Operation::RecordDisclosure(disclosure) => Mark::Commitment(disclosure.content),
            Operation::RecordReceipt(receipt) => Mark::Commitment(receipt.content),
            Operation::RequestReferral(request) => Mark::Commitment(request.reason),
            Operation::HandOver(step) => Mark::Commitment(step.package),
            Operation::AcknowledgeHandover(step) => Mark::Commitment(step.package),
            Operation::ReportOutcome(step) => Mark::Commitment(step.report),
            Operation::AcceptReferral(step) => of_referral(&step.referral)?,
            Operation::CloseClinically(step) => of_referral(&step.referral)?,
            Operation::CloseAdministratively(step) => of_referral(&step.referral)?,
            Operation::DeliverService(service) => {
                let id = ServiceId(transaction.object_id(index)?);
                return self.service(operation, service).or_else(|| self.spent(id));
            }
            Operation::ReverseService(reverse) => {
                return self.correction("reverse", reverse.service.0, &reverse.service.to_string());
            }
            Operation::RevokeGrant(revoke) => {
                return self.correction("revoke", revoke.grant.0, &revoke.grant.to_string());
            }
            Operation::ProposeAgreement(proposal) => {
                let pair = self.pair(&codec::hash(Domain::Terms, &proposal.terms))?;
                return Some(Found::own(agreement::key(self.secret, pair)))
                    .filter(|_| pair.provider == *author);
            }
            Operation::SignAgreement(sign) => {
                let pair = self.pair(&sign.terms_hash)?;
                return Some(Found::own(agreement::sign_key(self.secret, pair)))
                    .filter(|_| pair.payer == *author);
            }
            Operation::ClosePeriod(close) => {
                return Some(Found::own(agreement::close_key(self.secret, close.agreement, close.period)));
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
        self.item(operation, mark)
    }

    fn item(&self, operation: &Operation, mark: Mark) -> Option<Found> {
        let (key, source) = *self.items.get(&(operation.name(), mark))?;
        Some(Found { key, source })
    }

    /// A service, which is another one than the input asks for where payer or amount are others.
    fn service(&self, operation: &Operation, recorded: &DeliverService) -> Option<Found> {
        let found = self.item(operation, Mark::Commitment(recorded.evidence))?;
        let is_asked_for = self.debts.get(&found.key).is_some_and(|(payer, gross)| {
            *payer == recorded.payer
                && (gross.minor, gross.currency) == (recorded.gross_minor, recorded.currency)
        });
        Some(if is_asked_for { found } else { Found::own(found.key) })
    }

    /// A service of which the input says nothing any more, and that was reversed.
    fn spent(&self, id: ServiceId) -> Option<Found> {
        let found = Found::own(self.secret.key("spent", &[&id.to_string()]));
        Some(found).filter(|_| self.reversed.contains(&id))
    }

    fn pair(&self, terms: &Hash) -> Option<&Pair> {
        self.pairs.iter().find(|pair| agreement::terms_hash(pair).is_ok_and(|hash| hash == *terms))
    }

    /// The key under which a correction of what the journal knows stands there.
    fn correction(&self, kind: &str, object: [u8; 32], id: &str) -> Option<Found> {
        let found = Found::own(self.secret.key(kind, &[id]));
        Some(found).filter(|_| self.contents.has_object(&object))
    }
}

impl Found {
    /// What follows from no source.
    fn own(key: Key) -> Self {
        Self { key, source: Digest::default() }
    }
}

/// Who pays what for a service.
fn debt(item: &Item) -> Option<(Key, (InstitutionId, Amount))> {
    match &item.draft {
        Draft::Deliver { payer, gross, .. } => Some((item.key, (payer.clone(), *gross))),
        _ => None,
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

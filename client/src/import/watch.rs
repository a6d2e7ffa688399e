//! What others record beside an import, for the institutions that it acts for: another import from another directory, or
//! a person with a command.
//!
//! The import knows its own transactions by their nonces ([`super::document`]). What somebody else's commitments stand for, nobody
//! else can say: a service may well be one of this input. So services of the same parties that others recorded stop the import,
//! unless somebody says that they come from another source; another copy of this directory at work always does. It looks before it begins, once it has proposed its agreements,
//! before it records services, after each lot of them, and at the end: of two imports at once at least one sees the other
//! before it signs anything, or where the agreement was there before, before it has recorded more than one service of a provider.

use std::collections::{BTreeMap, BTreeSet};

use futures::StreamExt as _;
use yilian_spec::base::codec::{self, Domain};
use yilian_spec::base::height::Height;
use yilian_spec::base::id::{AgreementId, Hash, InstitutionId, ServiceId, TransactionId};
use yilian_spec::crypto::merkle::log::Frontier;
use yilian_spec::domain::Operation;
use yilian_spec::ledger::transaction::Transaction;
use yilian_spec::state::key::{StateKey, StreamId};
use yilian_spec::state::stream::{Entry, EntryKind};

use super::agreement::Pair;
use super::document::Secret;
use super::error::ImportError;
use super::journal::Contents;
use crate::client::Client;
use crate::error::ClientError;
use crate::limits;

type Clients = BTreeMap<InstitutionId, Client>;

/// How far the authors' streams are read, and what nobody else should record.
#[derive(Debug, Default)]
pub struct Watch {
    /// Up to this height nothing is of this import; what others recorded there, its agreements are checked for.
    began: Height,
    /// Whether others may record services of the same parties: only another copy of this import must not.
    is_beside_others: bool,
    /// By author: entries of its stream that were looked at.
    read: BTreeMap<InstitutionId, u64>,
    /// Whose services the import records.
    pairs: BTreeSet<Pair>,
    /// The hashes of the terms that it proposes.
    terms: BTreeSet<Hash>,
}

impl Watch {
    /// Goes on where the journal has looked to.
    pub fn new(contents: &Contents, authors: impl Iterator<Item = InstitutionId>) -> Self {
        let read = authors.map(|author| (author.clone(), contents.seen(&author))).collect();
        Self { began: contents.began(), read, ..Self::default() }
    }

    /// Lets others record services of the same parties from now on.
    pub fn beside_others(mut self) -> Self {
        self.is_beside_others = true;
        self
    }

    /// What the import records itself: whose services, under which terms.
    pub fn set_own(&mut self, pairs: BTreeSet<Pair>, terms: BTreeSet<Hash>) {
        (self.pairs, self.terms) = (pairs, terms);
    }

    /// Entries of each author's stream that were looked at.
    pub fn read(&self) -> Vec<(InstitutionId, u64)> {
        self.read.iter().map(|(author, entries)| (author.clone(), *entries)).collect()
    }

    /// The transactions of the authors that the journal does not know, since the last look.
    ///
    /// # Errors
    /// What asking the ledger gives.
    pub async fn look(
        &mut self,
        clients: &Clients,
        contents: &Contents,
    ) -> Result<Vec<Transaction>, ClientError> {
        let mut transactions = Vec::new();
        for (author, read) in &mut self.read {
            let Some(client) = clients.get(author) else { continue };
            let stream = client.stream(&StreamId::Institution(author.clone()), *read).await?;
            *read += stream.entries.len() as u64;
            let began = self.began;
            let is_new = |entry: &&Entry| entry.kind == EntryKind::Applied && entry.height > began;
            let applied = stream.entries.iter().filter(is_new);
            let mut ids: Vec<TransactionId> =
                applied.map(|entry| entry.transaction_id).filter(|id| !contents.knows(id)).collect();
            ids.dedup();
            // In their order: of a grant that was given, revoked and given anew, the last one counts.
            let asked: Vec<_> = ids.into_iter().map(|id| own(client, author, id)).collect();
            let mut answers = futures::stream::iter(asked).buffered(limits::LOOKUPS_IN_FLIGHT);
            while let Some(found) = answers.next().await {
                transactions.extend(found?);
            }
        }
        Ok(transactions)
    }

    /// Refuses services like those of the import among transactions that it did not sign.
    ///
    /// # Errors
    /// [`ImportError::UnknownServices`].
    pub fn refuse_services(
        &self,
        transactions: &[Transaction],
        contents: &Contents,
    ) -> Result<(), ImportError> {
        if self.is_beside_others {
            return Ok(());
        }
        let reversed = reversed(transactions);
        let mut services: Vec<(Pair, ServiceId)> = Vec::new();
        for transaction in transactions {
            for (operation, index) in transaction.body.operations.iter().zip(0..) {
                if let (Operation::DeliverService(service), Some(id)) =
                    (operation, transaction.object_id(index))
                {
                    let (provider, payer) = (transaction.body.institution.clone(), service.payer.clone());
                    services.push((Pair { provider, payer, currency: service.currency }, ServiceId(id)));
                }
            }
        }
        services.retain(|(pair, id)| {
            self.pairs.contains(pair) && !reversed.contains(id) && !contents.is_reversed(*id)
        });
        let Some((pair, service)) = services.first().cloned() else { return Ok(()) };
        let count = services.iter().filter(|(others, _)| *others == pair).count();
        let Pair { provider, payer, .. } = pair;
        Err(ImportError::UnknownServices { count, service, provider, payer })
    }

    /// Refuses proposals of the same terms among transactions that the import did not sign.
    ///
    /// # Errors
    /// [`ImportError::OtherAgreement`].
    pub fn refuse_agreements(&self, transactions: &[Transaction]) -> Result<(), ImportError> {
        if self.is_beside_others {
            return Ok(());
        }
        for transaction in transactions {
            for (operation, index) in transaction.body.operations.iter().zip(0..) {
                if let (Operation::ProposeAgreement(proposal), Some(id)) =
                    (operation, transaction.object_id(index))
                    && self.terms.contains(&codec::hash(Domain::Terms, &proposal.terms))
                {
                    let provider = transaction.body.institution.clone();
                    return Err(ImportError::OtherAgreement { agreement: AgreementId(id), provider });
                }
            }
        }
        Ok(())
    }
}

/// Of transactions that the journal does not know: those of the import, and the others.
pub fn own_and_others(
    transactions: Vec<Transaction>,
    secret: &Secret,
) -> (Vec<Transaction>, Vec<Transaction>) {
    transactions.into_iter().partition(|one| secret.made(&one.body.nonce))
}

/// The services that transactions reverse.
pub fn reversed(transactions: &[Transaction]) -> BTreeSet<ServiceId> {
    let operations = transactions.iter().flat_map(|one| &one.body.operations);
    operations
        .filter_map(|operation| match operation {
            Operation::ReverseService(reverse) => Some(reverse.service),
            _ => None,
        })
        .collect()
}

/// A transaction, where the author's institution signed it. What others signed is theirs to know.
async fn own(
    client: &Client,
    author: &InstitutionId,
    id: TransactionId,
) -> Result<Option<Transaction>, ClientError> {
    match client.transaction_proof(id).await {
        Ok((proof, _)) => Ok(Some(proof.transaction).filter(|found| found.body.institution == *author)),
        Err(ClientError::Rejected { status: 403, .. }) => Ok(None),
        Err(error) => Err(error),
    }
}

/// How far the ledger and the authors' streams have come: a height that all of them have, and the lengths.
///
/// # Errors
/// What asking the ledger gives.
pub async fn beginning(clients: &Clients) -> Result<(Height, Vec<(InstitutionId, u64)>), ClientError> {
    let (mut lengths, mut heights) = (Vec::new(), Vec::new());
    for (author, client) in clients {
        let head = StateKey::StreamHead(StreamId::Institution(author.clone()));
        let head = client.row::<Frontier>(&head).await?;
        heights.push(head.height);
        lengths.push((author.clone(), head.value.map_or(0, |head| head.length())));
    }
    Ok((heights.into_iter().min().unwrap_or_default(), lengths))
}

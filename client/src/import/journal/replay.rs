//! Reading the journal again: what its lines say together.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{BufRead, BufReader, Read, Seek, SeekFrom};
use std::path::Path;

use yilian_spec::base::codec;
use yilian_spec::base::height::Height;
use yilian_spec::base::id::{ChainId, GrantId, InstitutionId, ServiceId, TransactionId};
use yilian_spec::base::limits::TRANSACTION_BYTES_MAX;
use yilian_spec::domain::Operation;
use yilian_spec::ledger::receipt::Outcome;
use yilian_spec::ledger::transaction::Transaction;

use super::{Contents, Entry, FORMAT, Fate, Header, JournalError, Recorded, Settled, Signed, What};
use crate::import::agreement::Pair;
use crate::import::document::{Digest, Key, Secret, digest_of};
use crate::import::limits;

/// Reads all whole lines; also how many bytes they are.
pub(super) fn replay(
    path: &Path,
    file: &File,
    chain_id: Option<ChainId>,
) -> Result<(Contents, u64), JournalError> {
    let io = |source| JournalError::Io { action: "read", path: path.to_owned(), source };
    let mut file = file.try_clone().map_err(io)?;
    file.seek(SeekFrom::Start(0)).map_err(io)?;
    let mut reader = BufReader::new(file);
    let mut contents = Contents::default();
    let (mut line, mut whole) = (Vec::new(), 0);
    for number in 1.. {
        line.clear();
        let mut bounded = reader.by_ref().take(limits::JOURNAL_LINE_BYTES_MAX);
        let length = bounded.read_until(b'\n', &mut line).map_err(io)?;
        let wrong = |reason: String| JournalError::Line { path: path.to_owned(), line: number, reason };
        if length as u64 == limits::JOURNAL_LINE_BYTES_MAX {
            return Err(wrong("too long".to_owned()));
        }
        let Some(text) = line.strip_suffix(b"\n") else { break };
        if number == 1 {
            let header: Header = serde_json::from_slice(text).map_err(|error| wrong(error.to_string()))?;
            if header.format != FORMAT {
                return Err(wrong(format!("the format is {:?}, not {FORMAT:?}", header.format)));
            }
            let found = header.chain_id;
            if let Some(expected) = chain_id.filter(|expected| *expected != found) {
                return Err(JournalError::OtherChain { path: path.to_owned(), found, expected });
            }
        } else {
            let entry = serde_json::from_slice(text).map_err(|error| wrong(error.to_string()))?;
            contents.apply(entry).map_err(wrong)?;
        }
        whole += length as u64;
    }
    Ok((contents, whole))
}

impl Contents {
    pub(super) fn apply(&mut self, entry: Entry) -> Result<(), String> {
        match entry {
            Entry::Signed { transaction, keys, sources } => {
                let transaction = read_transaction(&transaction)?;
                let operations = transaction.body.operations.len();
                if keys.len() != operations || sources.len() != operations {
                    return Err("not one key and one source for each operation".to_owned());
                }
                let one = |(key, source): (&String, &String)| Ok((Key(read_hex(key)?), read_hex(source)?));
                let keys = keys.iter().zip(&sources).map(one).collect::<Result<Vec<_>, String>>()?;
                self.open(transaction, keys);
            }
            Entry::Applied(id) => self.close(id, Some(Outcome::Applied))?,
            Entry::Refused { transaction, operation, reason } => {
                self.close(transaction, Some(Outcome::Refused { operation, reason }))?;
            }
            Entry::Void(id) => self.close(id, None)?,
            Entry::Seen { institution, entries } => _ = self.seen.insert(institution, entries),
            Entry::Began(height) => self.began = height,
            Entry::Untold(transaction) => self.take_untold(read_transaction(&transaction)?),
            Entry::Reversed(service) => _ = self.reversed.insert(service),
            Entry::ReversedByOthers(service) => _ = self.reversed_by_others.insert(service),
            Entry::Replaced(key) => _ = self.replaced.insert(Key(read_hex(&key)?)),
            Entry::Known { key, source } => {
                let source = source.as_deref().map(read_hex).transpose()?;
                let settled = self.settled.get_mut(&Key(read_hex(&key)?));
                settled.ok_or("it knows of an operation that is not there")?.source = source;
            }
        }
        Ok(())
    }

    /// Takes in a transaction that took effect under keys of no source.
    fn take_untold(&mut self, transaction: Transaction) {
        let id = transaction.id();
        let keys = untold_keys(&transaction).map(|key| (key, Digest::default())).collect();
        self.open(transaction.clone(), keys);
        self.close(id, Some(Outcome::Applied)).expect("it was just opened");
        self.untold.insert(id, transaction);
    }

    /// Notes a transaction that was signed, or of which it is known now what it stands for.
    pub(super) fn open(&mut self, transaction: Transaction, operations: Vec<(Key, Digest)>) {
        let id = transaction.id();
        if let Some(untold) = self.untold.remove(&id) {
            for key in untold_keys(&untold) {
                self.settled.remove(&key);
            }
        }
        self.transactions.insert(id);
        self.first_nonce.get_or_insert(transaction.body.nonce);
        self.open.insert(id, (transaction, operations));
    }

    /// Notes what became of a transaction. The operations of a refused one are free to be signed again, but for the
    /// one that was refused.
    pub(super) fn close(&mut self, id: TransactionId, outcome: Option<Outcome>) -> Result<(), String> {
        let (transaction, keys) =
            self.open.remove(&id).ok_or("it speaks of a transaction that is not open")?;
        let author = &transaction.body.institution;
        let objects = &mut self.objects;
        let mut settle = |(key, source): (Key, Digest), operation: &Operation, fate| {
            if let (Operation::ReverseService(reverse), Fate::Applied { .. }) = (operation, &fate) {
                self.reversed.insert(reverse.service);
            }
            if let (Operation::RevokeGrant(revoke), Fate::Applied { .. }) = (operation, &fate) {
                self.revoked.insert(revoke.grant);
            }
            self.settled.insert(key, Settled { fate, source: Some(source), what: what(author, operation) });
        };
        match outcome {
            Some(Outcome::Applied) => {
                for ((one, operation), index) in keys.into_iter().zip(&transaction.body.operations).zip(0..) {
                    let object = operation.object_id(id, index);
                    objects.insert(object);
                    settle(one, operation, Fate::Applied { object });
                }
            }
            Some(Outcome::Refused { operation, reason }) => {
                let place = usize::from(operation);
                let refused = keys.get(place).copied().zip(transaction.body.operations.get(place));
                let (one, operation) = refused.ok_or("it refuses an operation that is not there")?;
                settle(one, operation, Fate::Refused(reason));
            }
            None => {}
        }
        Ok(())
    }

    /// Takes in transactions that took effect, and what they replaced.
    pub fn adopt(&mut self, replaced: &[Key], signed: &[Signed]) {
        self.replaced.extend(replaced);
        for (transaction, operations) in signed {
            self.open(transaction.clone(), operations.clone());
            self.close(transaction.id(), Some(Outcome::Applied)).expect("it was just opened");
        }
    }

    /// Transactions that took effect, of which it is not known what their operations stand for.
    pub fn untold(&self) -> impl Iterator<Item = &Transaction> {
        self.untold.values()
    }

    /// The services that were reversed.
    pub fn reversed(&self) -> &BTreeSet<ServiceId> {
        &self.reversed
    }

    /// Up to which height no transaction is of this import.
    pub fn began(&self) -> Height {
        self.began
    }

    /// The institutions whose streams were looked at.
    pub fn looked_at(&self) -> impl Iterator<Item = &InstitutionId> {
        self.seen.keys()
    }

    /// The services that took effect, reversed since or not.
    pub fn services(&self) -> impl Iterator<Item = &Recorded> {
        self.settled.values().filter(|settled| matches!(settled.fate, Fate::Applied { .. })).filter_map(
            |settled| match &settled.what {
                What::Service(recorded) => Some(recorded),
                What::Grant { .. } | What::Stays { .. } | What::Own => None,
            },
        )
    }

    /// The services that took effect and that nobody reversed, as far as the journal knows.
    pub fn standing(&self) -> impl Iterator<Item = (ServiceId, &Recorded)> {
        self.settled.iter().filter_map(|(key, settled)| match &settled.what {
            What::Service(recorded) => {
                let service = self.object(key).map(ServiceId)?;
                let stands = !self.is_reversed(service) && !self.is_reversed_by_others(service);
                stands.then_some((service, recorded))
            }
            What::Grant { .. } | What::Stays { .. } | What::Own => None,
        })
    }

    /// Whether a service was reversed by somebody else, and stays so.
    pub fn is_reversed_by_others(&self, service: ServiceId) -> bool {
        self.reversed_by_others.contains(&service)
    }

    /// How many services somebody else reversed and nothing was recorded in the place of.
    pub fn reversed_by_others(&self) -> usize {
        self.reversed_by_others.difference(&self.reversed).count()
    }

    /// Whether a transaction was ever signed here, whatever became of it.
    pub fn knows(&self, transaction: &TransactionId) -> bool {
        self.transactions.contains(transaction)
    }

    /// Whether an operation that took effect created this object.
    pub fn has_object(&self, object: &[u8; 32]) -> bool {
        self.objects.contains(object)
    }

    /// How much of an author's stream was looked at.
    pub fn seen(&self, institution: &InstitutionId) -> u64 {
        self.seen.get(institution).copied().unwrap_or(0)
    }

    /// Whether no operation was ever signed.
    pub fn is_empty(&self) -> bool {
        self.settled.is_empty() && self.open.is_empty()
    }

    /// The object that an operation created, when it took effect.
    pub fn object(&self, key: &Key) -> Option<[u8; 32]> {
        match self.settled.get(key)?.fate {
            Fate::Applied { object } => Some(object),
            Fate::Refused(_) => None,
        }
    }

    /// What is known of an operation.
    pub fn get(&self, key: &Key) -> Option<&Settled> {
        self.settled.get(key)
    }

    /// Every operation whose fate is known.
    pub fn settled(&self) -> impl Iterator<Item = (&Key, &Settled)> {
        self.settled.iter()
    }

    /// Whether a service between these parties took effect and stands.
    pub fn has_service(&self, pair: &Pair) -> bool {
        self.settled.iter().any(|(key, settled)| match &settled.what {
            What::Service(Recorded { recorder, payer, currency, gross_minor: _ }) => {
                let stands = self.object(key).is_some_and(|object| !self.is_reversed(ServiceId(object)));
                stands && (recorder, payer, currency) == (&pair.provider, &pair.payer, &pair.currency)
            }
            What::Grant { .. } | What::Stays { .. } | What::Own => false,
        })
    }

    /// Whether transactions were signed with nonces of another secret.
    pub fn is_of_another(&self, secret: &Secret) -> bool {
        self.first_nonce.is_some_and(|nonce| !secret.made(&nonce))
    }

    /// Whether an operation gave a grant that the import has revoked since: where the input asks for it again, it is given
    /// anew, under the same key.
    pub fn is_revoked(&self, key: &Key) -> bool {
        self.object(key).is_some_and(|object| self.revoked.contains(&GrantId(object)))
    }

    /// Whether a service is known by what replaced it alone.
    pub fn is_replaced(&self, key: &Key) -> bool {
        self.replaced.contains(key)
    }

    /// Whether a service was reversed.
    pub fn is_reversed(&self, service: ServiceId) -> bool {
        self.reversed.contains(&service)
    }
}

/// What an operation did.
fn what(author: &InstitutionId, operation: &Operation) -> What {
    match operation {
        Operation::DeliverService(service) => What::Service(Recorded {
            recorder: author.clone(),
            payer: service.payer.clone(),
            gross_minor: service.gross_minor,
            currency: service.currency,
        }),
        Operation::GrantAccess(_) => What::Grant { grantor: author.clone() },
        Operation::ReverseService(_)
        | Operation::RevokeGrant(_)
        | Operation::ProposeAgreement(_)
        | Operation::SignAgreement(_)
        | Operation::ClosePeriod(_) => What::Own,
        // Whatever else an import signs says what happened, and what happened cannot be taken back.
        other => What::Stays { name: other.name() },
    }
}

fn read_transaction(text: &str) -> Result<Transaction, String> {
    let bytes = hex::decode(text).map_err(|error| error.to_string())?;
    codec::decode(&bytes, TRANSACTION_BYTES_MAX).map_err(|error| error.to_string())
}

/// Keys for the operations of a transaction that follow from no source.
fn untold_keys(transaction: &Transaction) -> impl Iterator<Item = Key> {
    let id = transaction.id().to_string();
    let key = move |index: usize| Key(digest_of(["untold", &id, &index.to_string()].into_iter()));
    (0..transaction.body.operations.len()).map(key)
}

fn read_hex(text: &str) -> Result<[u8; 32], String> {
    let mut bytes = [0; 32];
    hex::decode_to_slice(text, &mut bytes).map_err(|error| error.to_string())?;
    Ok(bytes)
}

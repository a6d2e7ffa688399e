//! What the load needs before it starts: the cluster, several gateway keys for each institution, as hospitals have, and
//! grants to disclose under.

use anyhow::{Context, Result};
use yilian_node::consortium::Options;
use yilian_spec::base::codec;
use yilian_spec::base::id::{Commitment, GrantId, InstitutionId, SubjectTag};
use yilian_spec::base::limits::OPERATIONS_PER_TRANSACTION_MAX;
use yilian_spec::base::time::Window;
use yilian_spec::crypto::signature::SecretKey;
use yilian_spec::domain::Operation;
use yilian_spec::domain::access::{Category, Decision, Purpose, RecordDisclosure, Sensitivity};
use yilian_spec::domain::membership::Role;
use yilian_spec::domain::membership::{RegisterKey, possession_bytes};
use yilian_spec::domain::parameters::Parameters;
use yilian_spec::ledger::transaction::{Transaction, TransactionBody};

use super::plan::Plan;
use super::progress;
use super::signed::Signed;
use crate::caller::{self, Caller};
use crate::cluster::{Cluster, VALIDATORS};
use crate::simulator::liars::forge::spoil;
use crate::work;

/// How long after its signing a transaction may become final; a run is over long before.
pub const LIFETIME_MS: u64 = 60 * 60 * 1_000;

/// An institution that discloses.
struct Source {
    institution: InstitutionId,
    gateways: Vec<SecretKey>,
    grants: Vec<(SubjectTag, GrantId)>,
    recipient: InstitutionId,
}

/// The cluster and those who record.
pub struct Scene {
    /// The nodes.
    pub cluster: Cluster,
    sources: Vec<Source>,
    /// Transactions signed so far, so that each run goes on where the last one ended.
    signed: usize,
    operations_signed: usize,
}

impl Scene {
    /// Starts the nodes, registers the gateway keys and records the grants.
    ///
    /// # Errors
    /// When that fails.
    pub async fn open(plan: &Plan) -> Result<Self> {
        Self::open_with((plan.gateways, plan.grants), Parameters::default()).await
    }

    /// [`Scene::open`] with so many gateways and grants for each institution, and with these parameters of the ledger.
    ///
    /// # Errors
    /// As [`Scene::open`].
    pub async fn open_with(sizes: (usize, usize), parameters: Parameters) -> Result<Self> {
        let options = Options { log_level: "warn".to_owned(), parameters, ..Options::default() };
        let mut cluster = Cluster::prepare(&options).await?;
        cluster.start_nodes(&VALIDATORS).await?;
        Self::over(cluster, sizes).await
    }

    /// The scene in a cluster whose validators run.
    ///
    /// # Errors
    /// When keys or grants cannot be recorded.
    pub async fn over(cluster: Cluster, sizes: (usize, usize)) -> Result<Self> {
        Self::over_nodes(cluster, &VALIDATORS, sizes).await
    }

    /// The scene in a cluster of which these nodes run, for their institutions alone.
    ///
    /// # Errors
    /// As [`Scene::over`].
    pub async fn over_nodes(cluster: Cluster, nodes: &[usize], sizes: (usize, usize)) -> Result<Self> {
        let mut sources = Vec::new();
        for node in nodes {
            sources.push(Source::make(&cluster, *node, sizes).await?);
        }
        Ok(Self { cluster, sources, signed: 0, operations_signed: 0 })
    }

    /// Signs transactions of so many disclosures each: institutions, their gateways and their grants in turn.
    ///
    /// # Errors
    /// When there is no randomness.
    pub fn sign(&mut self, operations: usize, count: usize) -> Result<Signed> {
        let bar = progress(count as u64);
        let mut signed = Signed::new(operations);
        for _ in 0..count {
            let source = self.signed % self.sources.len();
            let transaction = self.transaction(source, operations, LIFETIME_MS)?;
            signed.push(transaction.id(), &codec::encode(&transaction));
            bar.inc(1);
        }
        bar.finish_and_clear();
        Ok(signed)
    }

    /// Signs disclosures of one institution, each a transaction that no block may carry later than `lifetime_ms` from
    /// now.
    ///
    /// # Errors
    /// When there is no randomness.
    pub fn sign_of(&mut self, institution: usize, count: usize, lifetime_ms: u64) -> Result<Signed> {
        let mut signed = Signed::new(1);
        for _ in 0..count {
            let transaction = self.transaction(institution, 1, lifetime_ms)?;
            signed.push(transaction.id(), &codec::encode(&transaction));
        }
        Ok(signed)
    }

    /// As [`Scene::sign_of`], with signatures that do not verify.
    ///
    /// # Errors
    /// When there is no randomness.
    pub fn forge_of(&mut self, institution: usize, count: usize, lifetime_ms: u64) -> Result<Signed> {
        let mut signed = Signed::new(1);
        for _ in 0..count {
            let mut transaction = self.transaction(institution, 1, lifetime_ms)?;
            spoil(&mut transaction.signature, 0);
            signed.push(transaction.id(), &codec::encode(&transaction));
        }
        Ok(signed)
    }

    fn transaction(&mut self, source: usize, operations: usize, lifetime_ms: u64) -> Result<Transaction> {
        let source = &self.sources[source];
        let gateway = &source.gateways[(self.signed / self.sources.len()) % source.gateways.len()];
        self.signed += 1;
        let first = self.operations_signed;
        self.operations_signed += operations;
        let created = work::now()?;
        let body = TransactionBody {
            chain_id: self.cluster.files.genesis.chain_id(),
            author: gateway.public_key(),
            institution: source.institution.clone(),
            created,
            expires: created.plus_ms(lifetime_ms),
            nonce: work::random()?,
            operations: (first..first + operations)
                .map(|number| source.disclosure(number))
                .collect::<Result<_>>()?,
        };
        Ok(body.sign(gateway))
    }

    /// Speaks to a node in the name of an institution, with a token that has just been made.
    ///
    /// # Errors
    /// When the caller cannot be set up.
    pub fn caller(&self, institution: usize, node: usize) -> Result<Caller> {
        let member = self.cluster.member(institution);
        let audience = self.cluster.audience(node);
        let token = caller::token(&member.id, &audience, &member.secrets[&Role::AccessGateway], 0)?;
        Caller::new(&self.cluster.url(node), Some(token))
    }
}

impl Source {
    async fn make(cluster: &Cluster, node: usize, (gateways, grants): (usize, usize)) -> Result<Self> {
        let (institution, recipient) =
            (cluster.institution(node), cluster.institution((node + 1) % VALIDATORS.len()));
        let desk = cluster.desk(node).await?;
        let gateways: Vec<SecretKey> =
            (0..gateways).map(|_| Ok(SecretKey::from_seed(&work::random()?))).collect::<Result<_>>()?;
        let registrations = gateways
            .iter()
            .map(|key| registration(cluster, &institution, key))
            .collect::<Result<Vec<_>>>()?;
        desk.record(registrations).await?;
        let subjects: Vec<SubjectTag> =
            (0..grants).map(|_| work::subject(&institution)).collect::<Result<_>>()?;
        let mut grants = Vec::new();
        for part in subjects.chunks(OPERATIONS_PER_TRANSACTION_MAX) {
            let operations =
                part.iter().map(|subject| work::grant(*subject, &recipient)).collect::<Result<Vec<_>>>()?;
            let recorded = desk.record(operations).await?;
            grants.extend(
                part.iter().zip(0u16..).map(|(subject, index)| (*subject, GrantId(recorded.object(index)))),
            );
        }
        Ok(Self { institution, gateways, grants, recipient })
    }

    fn disclosure(&self, number: usize) -> Result<Operation> {
        let (subject, grant) =
            self.grants.get(number % self.grants.len().max(1)).copied().context("a source has grants")?;
        Ok(Operation::RecordDisclosure(RecordDisclosure {
            subject,
            recipient: self.recipient.clone(),
            category: Category::Laboratory,
            sensitivity: Sensitivity::N,
            purpose: Purpose::Treat,
            // Salted hashes look like random bytes, and cost the ledger as much.
            content: Commitment(work::random()?),
            decision: Decision::Permit { grant },
            acting_person: None,
            origin: None,
        }))
    }
}

fn registration(cluster: &Cluster, institution: &InstitutionId, key: &SecretKey) -> Result<Operation> {
    let (role, starts) = (Role::AccessGateway, work::now()?.minus_ms(60_000));
    let chain_id = cluster.files.genesis.chain_id();
    let possession = key.sign(&possession_bytes(chain_id, institution, role, key.public_key()));
    let window = Window { starts, expires: starts.plus_ms(365 * work::DAY_MS) };
    Ok(Operation::RegisterKey(RegisterKey { key: key.public_key(), role, window, possession }))
}

//! What the load needs before it starts: the cluster, several gateway keys for each institution, as hospitals have, and
//! grants to disclose under.

use anyhow::{Context, Result};
use yilian_node::consortium::Options;
use yilian_spec::codec;
use yilian_spec::id::{Commitment, GrantId, InstitutionId, SubjectTag};
use yilian_spec::limits::OPERATIONS_PER_TRANSACTION_MAX;
use yilian_spec::membership::Role;
use yilian_spec::operation::Operation;
use yilian_spec::operation::access::{Category, Decision, Purpose, RecordDisclosure, Sensitivity};
use yilian_spec::operation::membership::{RegisterKey, possession_bytes};
use yilian_spec::signature::SecretKey;
use yilian_spec::time::Window;
use yilian_spec::transaction::TransactionBody;

use super::plan::Plan;
use super::progress;
use super::signed::Signed;
use crate::cluster::{Cluster, VALIDATORS};
use crate::work;

/// How long after its signing a transaction may become final; a run is over long before.
const LIFETIME_MS: u64 = 60 * 60 * 1_000;

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
        let options = Options { log_level: "warn".to_owned(), ..Options::default() };
        let mut cluster = Cluster::prepare(&options).await?;
        cluster.start_nodes(&VALIDATORS).await?;
        let mut sources = Vec::new();
        for node in VALIDATORS {
            sources.push(Source::make(&cluster, node, plan).await?);
        }
        Ok(Self { cluster, sources, signed: 0, operations_signed: 0 })
    }

    /// Signs transactions of so many disclosures each: institutions, their gateways and their grants in turn.
    ///
    /// # Errors
    /// When there is no randomness.
    pub fn sign(&mut self, operations: usize, count: usize) -> Result<Signed> {
        let chain_id = self.cluster.files.genesis.chain_id();
        let created = work::now()?;
        let bar = progress(count as u64);
        let mut signed = Signed::new(operations);
        for _ in 0..count {
            let number = self.signed;
            self.signed += 1;
            let source = &self.sources[number % self.sources.len()];
            let gateway = &source.gateways[(number / self.sources.len()) % source.gateways.len()];
            let disclosures = (0..operations)
                .map(|_| {
                    self.operations_signed += 1;
                    source.disclosure(self.operations_signed)
                })
                .collect::<Result<_>>()?;
            let body = TransactionBody {
                chain_id,
                author: gateway.public_key(),
                institution: source.institution.clone(),
                created,
                expires: created.plus_ms(LIFETIME_MS),
                nonce: work::random()?,
                operations: disclosures,
            };
            let transaction = body.sign(gateway);
            signed.push(transaction.id(), &codec::encode(&transaction));
            bar.inc(1);
        }
        bar.finish_and_clear();
        Ok(signed)
    }
}

impl Source {
    async fn make(cluster: &Cluster, node: usize, plan: &Plan) -> Result<Self> {
        let (institution, recipient) =
            (cluster.institution(node), cluster.institution((node + 1) % VALIDATORS.len()));
        let desk = cluster.desk(node).await?;
        let gateways: Vec<SecretKey> =
            (0..plan.gateways).map(|_| Ok(SecretKey::from_seed(&work::random()?))).collect::<Result<_>>()?;
        let registrations = gateways
            .iter()
            .map(|key| registration(cluster, &institution, key))
            .collect::<Result<Vec<_>>>()?;
        desk.record(registrations).await?;
        let subjects: Vec<SubjectTag> = (0..plan.grants).map(|_| work::subject()).collect::<Result<_>>()?;
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

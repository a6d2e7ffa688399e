//! The client: submits and asks over several nodes, and verifies what they answer.
//!
//! - [`transport`]: one request over several nodes, with failover and bounded answers; [`http`] below it knows proxies,
//!   [`clock`] notices clocks that differ.
//! - [`token`]: what says who asks.
//! - [`submit`]: signing, submitting the same signed bytes until a node takes them, waiting for finality.
//! - [`query`]: rows with their proofs, lists.
//! - [`stream`]: streams, part by part; [`history`]: what their entries say.
//! - [`freshness`]: whether an answer is of the present, and the comparison of nodes.
//! - [`events`]: new blocks as they come.

pub mod clock;
pub mod events;
pub mod freshness;
pub mod history;
mod http;
pub mod query;
pub mod stream;
pub mod submit;
pub mod token;
pub mod transport;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use yilian_spec::api::ledger::Chain;
use yilian_spec::base::id::{ChainId, InstitutionId};
use yilian_spec::crypto::signature::{PublicKey, SecretKey};
use yilian_spec::domain::membership::Role;
use yilian_spec::ledger::block::Header;
use yilian_spec::proof::{Checkpoint, Proof, ProofDocument};

use crate::error::ClientError;
use crate::health::Health;
use crate::memory::Memory;
use clock::ClockWatch;
use freshness::Freshness;
use token::{Asker, NodeToken};
use transport::{Request, Transport};

/// The keys that a client signs with: one for each role, and one for all others.
#[derive(Debug, Clone, Default)]
pub struct Signers {
    /// Keys by role.
    pub by_role: BTreeMap<Role, SecretKey>,
    /// The key for every other role.
    pub other: Option<SecretKey>,
}

impl Signers {
    /// One key for everything.
    pub fn one(key: SecretKey) -> Self {
        Self { by_role: BTreeMap::new(), other: Some(key) }
    }

    /// The key for a role.
    pub fn for_role(&self, role: Role) -> Option<&SecretKey> {
        self.by_role.get(&role).or(self.other.as_ref())
    }

    /// A key that signs requests; any registered one will do.
    pub fn any(&self) -> Option<&SecretKey> {
        self.other.as_ref().or_else(|| self.by_role.values().next())
    }
}

/// What a client is made from.
#[derive(Debug, Clone, Default)]
pub struct Settings {
    /// Addresses of nodes.
    pub nodes: Vec<String>,
    /// The institution it acts for.
    pub institution: Option<InstitutionId>,
    /// Its keys.
    pub signers: Signers,
    /// What it verifies against.
    pub checkpoint: Option<Checkpoint>,
    /// The ledger; without it, that of the checkpoint, or what the node says.
    pub chain_id: Option<ChainId>,
    /// Certificates of authorities in PEM, trusted beside the system's.
    pub ca_pem: Option<Vec<u8>>,
    /// The directory in which what is remembered of the ledger is kept; without it, it is forgotten at the end.
    pub memory: Option<PathBuf>,
    /// The keys that nodes must have, by address; of others the first one that they name is remembered.
    pub node_keys: BTreeMap<String, PublicKey>,
    /// Nodes that [`Client::compare`] asks beside `nodes`.
    pub witnesses: Vec<String>,
    /// How old answers about the present may be.
    pub freshness: Freshness,
    /// Where it is noted that a node's clock differs from this machine's.
    pub clock: Arc<ClockWatch>,
}

/// Speaks to a ledger for one institution.
#[derive(Debug)]
pub struct Client {
    transport: Transport,
    memory: Memory,
    freshness: Freshness,
    institution: Option<InstitutionId>,
    signers: Signers,
    checkpoint: Option<Checkpoint>,
}

impl Client {
    /// Sets the client up. Asks a node for the chain id only where neither settings nor checkpoint say it.
    ///
    /// # Errors
    /// [`ClientError::Setup`] when the settings cannot be used, [`ClientError::OtherChain`] when they disagree, or
    /// what asking a node gives.
    pub async fn connect(settings: Settings) -> Result<Self, ClientError> {
        let Settings {
            nodes,
            institution,
            signers,
            checkpoint,
            chain_id,
            ca_pem,
            memory,
            node_keys,
            witnesses,
            freshness,
            clock,
        } = settings;
        let transport = Transport::new(&nodes, &witnesses, ca_pem.as_deref(), clock)?;
        let trusted = checkpoint.as_ref().map(|checkpoint| checkpoint.chain_id);
        let chain_id = match (chain_id, trusted) {
            (Some(expected), Some(found)) if expected != found => {
                return Err(ClientError::OtherChain { found, expected });
            }
            (Some(chain_id), _) | (None, Some(chain_id)) => chain_id,
            (None, None) => chain(&transport).await?.chain_id,
        };
        let node_keys = node_keys.into_iter().map(|(node, key)| (node.trim_end_matches('/').to_owned(), key));
        let memory = Memory::open(memory.as_deref(), chain_id, node_keys.collect())?;
        Ok(Self { transport, memory, freshness, institution, signers, checkpoint })
    }

    /// Whether one of its keys is this one.
    pub fn signs_with(&self, key: &PublicKey) -> bool {
        let Signers { by_role, other } = &self.signers;
        by_role.values().chain(other).any(|own| own.public_key() == *key)
    }

    /// The ledger.
    pub fn chain_id(&self) -> ChainId {
        self.memory.chain_id()
    }

    /// The institution it acts for.
    pub fn institution(&self) -> Option<&InstitutionId> {
        self.institution.as_ref()
    }

    /// What answers are verified against; `None` where they are not.
    pub fn checkpoint(&self) -> Option<&Checkpoint> {
        self.checkpoint.as_ref()
    }

    /// The tip of the ledger, as a node says. Not proven.
    ///
    /// # Errors
    /// [`ClientError::OtherChain`] when the node serves another ledger, or what asking gives.
    pub async fn chain(&self) -> Result<Chain, ClientError> {
        let chain = chain(&self.transport).await?;
        self.require_chain(chain.chain_id)?;
        Ok(chain)
    }

    fn require_chain(&self, found: ChainId) -> Result<(), ClientError> {
        let expected = self.chain_id();
        if found == expected { Ok(()) } else { Err(ClientError::OtherChain { found, expected }) }
    }

    /// What is remembered of the ledger.
    pub fn memory(&self) -> &Memory {
        &self.memory
    }

    /// Who asks.
    fn asker(&self) -> Result<Asker<'_>, ClientError> {
        let no_key = || ClientError::NoKey { purpose: "asking a node".to_owned() };
        let key = self.signers.any().ok_or_else(no_key)?;
        let institution = self.institution.as_ref().ok_or_else(no_key)?;
        Ok(Asker { memory: &self.memory, institution, key })
    }

    /// A token for requests that another program makes to the first node, which holds for `lifetime_s`, at most
    /// [`TOKEN_LIFETIME_S_MAX`](yilian_spec::base::limits::TOKEN_LIFETIME_S_MAX).
    ///
    /// # Errors
    /// [`ClientError::NoKey`], [`ClientError::Token`] when it would hold for too long, or what asking for the node's key
    /// gives.
    pub async fn token(&self, lifetime_s: u64) -> Result<NodeToken, ClientError> {
        self.transport.token(self.asker()?, lifetime_s).await
    }

    /// Sends a request with a token.
    async fn send(&self, request: Request<'_>) -> Result<transport::Answer, ClientError> {
        self.transport.send(request, Some(self.asker()?)).await
    }

    /// Checks that a proof is of this ledger, and where there is a checkpoint, that it verifies and, unless it is about
    /// a transaction, that it is of the present. Returns whether it was verified.
    ///
    /// # Errors
    /// [`ClientError::OtherChain`], [`ClientError::Verification`], [`ClientError::Conflict`], [`ClientError::Stale`],
    /// [`ClientError::TooOld`].
    pub fn verify(&self, document: &ProofDocument) -> Result<bool, ClientError> {
        let header: &Header = &document.block().header;
        self.require_chain(header.chain_id)?;
        let Some(checkpoint) = &self.checkpoint else { return Ok(false) };
        document.verify(checkpoint)?;
        self.memory.saw(document.block())?;
        match &document.proof {
            // It stands in its block for ever, whatever came since.
            Proof::Transaction(_) => {}
            Proof::State(_)
            | Proof::Stream(_)
            | Proof::Statement(_)
            | Proof::Inclusion(_)
            | Proof::Consistency(_) => self.require_present(header)?,
        }
        Ok(true)
    }
}

/// How the first node that answers is; also an unhealthy one answers. Needs neither key nor chain.
///
/// # Errors
/// [`ClientError::Setup`], [`ClientError::Unreachable`], [`ClientError::Answer`].
pub async fn health(settings: Settings) -> Result<Health, ClientError> {
    let transport = Transport::new(&settings.nodes, &[], settings.ca_pem.as_deref(), settings.clock)?;
    transport.send(Request::get("/health").even_unhealthy(), None).await?.any_json()
}

async fn chain(transport: &Transport) -> Result<Chain, ClientError> {
    transport.send(Request::get("/v1/chain"), None).await?.json()
}

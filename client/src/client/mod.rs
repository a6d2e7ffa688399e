//! The client: submits and asks over several nodes, and verifies what they answer.
//!
//! - [`transport`]: one request over several nodes, with failover and bounded answers.
//! - [`submit`]: signing, submitting the same signed bytes until a node takes them, waiting for finality.
//! - [`query`]: rows with their proofs, lists, streams.
//! - [`events`]: new blocks as they come.

pub mod events;
pub mod query;
pub mod submit;
pub mod transport;

use std::collections::BTreeMap;

use yilian_spec::block::Header;
use yilian_spec::id::{ChainId, InstitutionId};
use yilian_spec::membership::Role;
use yilian_spec::proof::{Checkpoint, ProofDocument};
use yilian_spec::signature::SecretKey;

use crate::error::ClientError;
use crate::wire::{Chain, Health};
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
}

/// Speaks to a ledger for one institution.
#[derive(Debug)]
pub struct Client {
    transport: Transport,
    chain_id: ChainId,
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
        let Settings { nodes, institution, signers, checkpoint, chain_id, ca_pem } = settings;
        let transport = Transport::new(&nodes, ca_pem.as_deref())?;
        let trusted = checkpoint.as_ref().map(|checkpoint| checkpoint.chain_id);
        let chain_id = match (chain_id, trusted) {
            (Some(expected), Some(found)) if expected != found => {
                return Err(ClientError::OtherChain { found, expected });
            }
            (Some(chain_id), _) | (None, Some(chain_id)) => chain_id,
            (None, None) => chain(&transport).await?.chain_id,
        };
        Ok(Self { transport, chain_id, institution, signers, checkpoint })
    }

    /// The ledger.
    pub fn chain_id(&self) -> ChainId {
        self.chain_id
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
        if chain.chain_id != self.chain_id {
            return Err(ClientError::OtherChain { found: chain.chain_id, expected: self.chain_id });
        }
        Ok(chain)
    }

    /// A token for one request.
    fn token(&self) -> Result<String, ClientError> {
        let no_key = || ClientError::NoKey { purpose: "asking a node".to_owned() };
        let key = self.signers.any().ok_or_else(no_key)?;
        let institution = self.institution.as_ref().ok_or_else(no_key)?;
        transport::token(institution, &self.chain_id, key)
    }

    /// Sends a request with a token.
    async fn send(&self, request: Request<'_>) -> Result<transport::Answer, ClientError> {
        self.transport.send(request, || self.token().map(Some)).await
    }

    /// Checks that a proof is of this ledger, and verifies it where there is a checkpoint. Returns whether it did.
    ///
    /// # Errors
    /// [`ClientError::OtherChain`], [`ClientError::Verification`].
    pub fn verify(&self, document: &ProofDocument) -> Result<bool, ClientError> {
        let header: &Header = &document.block().header;
        if header.chain_id != self.chain_id {
            return Err(ClientError::OtherChain { found: header.chain_id, expected: self.chain_id });
        }
        match &self.checkpoint {
            Some(checkpoint) => Ok(document.verify(checkpoint).map(|_| true)?),
            None => Ok(false),
        }
    }
}

/// How the first node that answers is; also an unhealthy one answers. Needs neither key nor chain.
///
/// # Errors
/// [`ClientError::Setup`], [`ClientError::Unreachable`], [`ClientError::Answer`].
pub async fn health(settings: Settings) -> Result<Health, ClientError> {
    let transport = Transport::new(&settings.nodes, settings.ca_pem.as_deref())?;
    transport.send(Request::get("/health").even_unhealthy(), || Ok(None)).await?.any_json()
}

async fn chain(transport: &Transport) -> Result<Chain, ClientError> {
    transport.send(Request::get("/v1/chain"), || Ok(None)).await?.json()
}

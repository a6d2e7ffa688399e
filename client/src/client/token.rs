//! Tokens: what a caller signs so that a node knows who asks. Each is for one node of one ledger.

use rand::TryRng as _;
use serde::Serialize;
use yilian_spec::base::id::InstitutionId;
use yilian_spec::base::time::LedgerTime;
use yilian_spec::crypto::signature::{PublicKey, SecretKey};
use yilian_spec::crypto::token::{self, Audience, Claims};

use super::transport::{Attempt, Transport, name_of};
use crate::error::ClientError;
use crate::limits;
use crate::memory::Memory;
use yilian_local::moment;

/// Who asks, where a node wants to know it.
#[derive(Debug, Clone, Copy)]
pub struct Asker<'a> {
    /// The ledger that is asked, and what is remembered of its nodes.
    pub memory: &'a Memory,
    /// The institution.
    pub institution: &'a InstitutionId,
    /// Its key.
    pub key: &'a SecretKey,
}

impl Asker<'_> {
    /// A token for one request to the node with this key.
    pub(super) fn token(&self, node: PublicKey) -> Result<String, ClientError> {
        self.token_for(node, moment::now()?.0 / 1_000, limits::TOKEN_LIFETIME_S)
    }

    /// A token for requests to the node with this key.
    fn token_for(&self, node: PublicKey, now_s: u64, lifetime_s: u64) -> Result<String, ClientError> {
        let mut nonce = [0; 16];
        rand::rngs::SysRng.try_fill_bytes(&mut nonce)?;
        let audience = Audience { chain_id: self.memory.chain_id(), node };
        let mut claims = Claims::new(self.institution.as_str(), &audience, now_s, lifetime_s);
        claims.nonce = Some(hex::encode(nonce));
        Ok(token::sign(&claims, self.key)?)
    }
}

/// A token for requests that another program makes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct NodeToken {
    /// What goes behind `Authorization: Bearer`.
    pub token: String,
    /// The address of the node that takes it; no other does.
    pub node: String,
    /// That node's key.
    pub node_key: PublicKey,
    /// For whom it speaks.
    pub institution: InstitutionId,
    /// From when on it is void.
    #[serde(rename = "expires_ms")]
    pub expires: LedgerTime,
}

impl Transport {
    /// A token for the first node, which holds for so long.
    ///
    /// # Errors
    /// [`ClientError::Unreachable`] when the node's key is not known and it does not answer,
    /// [`ClientError::OtherChain`], or why no token can be made.
    pub async fn token(&self, asker: Asker<'_>, lifetime_s: u64) -> Result<NodeToken, ClientError> {
        // There is at least one.
        let node = &self.nodes[0];
        let node_key = match self.node_key(node, asker.memory).await {
            Ok(key) => key,
            Err(Attempt::Fatal(error)) => return Err(error),
            Err(Attempt::Next(reason)) => return Err(ClientError::Unreachable { attempts: vec![reason] }),
        };
        let now_s = moment::now()?.0 / 1_000;
        Ok(NodeToken {
            token: asker.token_for(node_key, now_s, lifetime_s)?,
            node: name_of(node),
            node_key,
            institution: asker.institution.clone(),
            expires: LedgerTime((now_s + lifetime_s) * 1_000),
        })
    }
}

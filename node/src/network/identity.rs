//! The node's identity on the network: an Ed25519 key, and the peer id that Noise proves.

use libp2p::PeerId;
use libp2p::identity::{DecodingError, Keypair, ed25519};
use yilian_spec::crypto::signature::{PublicKey, Signature};

/// The key with which a node proves who it is to its peers.
#[derive(Clone)]
pub struct NodeIdentity {
    keypair: Keypair,
}

impl NodeIdentity {
    /// The identity of the Ed25519 key with this 32-byte seed (RFC 8032, section 5.1.5).
    ///
    /// # Errors
    /// When the bytes are not a key; with 32 bytes this does not happen.
    pub fn from_ed25519_seed(mut seed: [u8; 32]) -> Result<Self, DecodingError> {
        // The call overwrites its input with zeros.
        let secret = ed25519::SecretKey::try_from_bytes(&mut seed)?;
        Ok(Self { keypair: Keypair::from(ed25519::Keypair::from(secret)) })
    }

    /// The peer id that others see.
    pub fn peer_id(&self) -> PeerId {
        self.keypair.public().to_peer_id()
    }

    /// The key by which the ledger names the node.
    pub fn public_key(&self) -> PublicKey {
        let key = self.keypair.public().try_into_ed25519().expect("made from an Ed25519 key");
        PublicKey::Ed25519(key.to_bytes())
    }

    /// Signs a message of this project: one that begins with its domain.
    pub(super) fn sign(&self, message: &[u8]) -> Signature {
        let signature = self.keypair.sign(message).expect("signing with Ed25519 does not fail");
        Signature::Ed25519(signature.try_into().expect("an Ed25519 signature has 64 bytes"))
    }

    /// The key pair as libp2p wants it.
    pub(crate) fn keypair(&self) -> &Keypair {
        &self.keypair
    }
}

impl std::fmt::Debug for NodeIdentity {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "NodeIdentity({})", self.peer_id())
    }
}

/// The peer id of an Ed25519 public key: the ledger knows its members by key, the network by peer id.
///
/// # Errors
/// When the 32 bytes are not a point of the curve.
pub fn peer_id_of_ed25519(public_key: &[u8; 32]) -> Result<PeerId, DecodingError> {
    let key = ed25519::PublicKey::try_from_bytes(public_key)?;
    Ok(libp2p::identity::PublicKey::from(key).to_peer_id())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_peer_id_follows_from_the_public_key_alone() {
        let identity = NodeIdentity::from_ed25519_seed([7; 32]).unwrap();
        let public = identity.keypair().public().try_into_ed25519().unwrap().to_bytes();
        assert_eq!(peer_id_of_ed25519(&public).unwrap(), identity.peer_id());
        assert!(!format!("{identity:?}").contains("07070707"));
    }
}

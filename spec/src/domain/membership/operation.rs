//! Keys: registration, rotation, revocation. By an administrator of the institution that owns them.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use wincode::{SchemaRead, SchemaWrite};

use crate::base::codec::{self, Domain};
use crate::base::id::{ChainId, InstitutionId};
use crate::base::time::Window;
use crate::crypto::signature::{PublicKey, Signature};
use crate::domain::membership::Role;

/// Registers a key for the author's institution.
///
/// Needs: a prime-order, canonically encoded key that the ledger does not know yet; proof of its possession; a window
/// not longer than [`crate::base::limits::KEY_LIFETIME_MS_MAX`]. Validator keys come from genesis and from ballots only.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, SchemaRead, SchemaWrite, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RegisterKey {
    /// The new key.
    pub key: PublicKey,
    /// What it may do.
    pub role: Role,
    /// When it may act.
    pub window: Window,
    /// The new key's signature over [`possession_bytes`].
    pub possession: Signature,
}

/// Replaces a key by a new one of the same role; the old one is revoked in the same moment.
///
/// Needs what [`RegisterKey`] needs, and an old key of the author's institution that is not revoked. An expired key
/// may be rotated, so that a forgotten expiry is mended in one step.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, SchemaRead, SchemaWrite, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RotateKey {
    /// The key to replace.
    pub old_key: PublicKey,
    /// Its successor.
    pub new_key: PublicKey,
    /// When the successor may act.
    pub window: Window,
    /// The successor's signature over [`possession_bytes`].
    pub possession: Signature,
}

/// Why a key is revoked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, SchemaRead, SchemaWrite, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum RevocationReason {
    /// Somebody else may hold the secret.
    Compromised,
    /// Nobody holds the secret any more.
    Lost,
    /// No longer needed.
    Retired,
}

/// Revokes a key of the author's institution at once.
///
/// Needs: the key is registered, not revoked, no validator key, and not the institution's last administrator.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, SchemaRead, SchemaWrite, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RevokeKey {
    /// The key.
    pub key: PublicKey,
    /// Why.
    pub reason: RevocationReason,
}

/// What a new key signs to show that its owner holds the secret: chain, institution, role and key.
pub fn possession_bytes(
    chain_id: ChainId,
    institution: &InstitutionId,
    role: Role,
    key: PublicKey,
) -> Vec<u8> {
    codec::signing_bytes(Domain::KeyPossession, &(chain_id, institution.clone(), role, key))
}

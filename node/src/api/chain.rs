//! `/v1/chain`, `/v1/checkpoint`: which ledger this is, and where it stands.

use axum::Json;
use axum::extract::State;
use serde::Serialize;
use utoipa::ToSchema;
use yilian_spec::base::version::ProtocolVersion;
use yilian_spec::domain::parameters::Parameters;
use yilian_spec::proof::Checkpoint;

use super::Api;

/// The ledger and its tip.
#[derive(Debug, Serialize, ToSchema)]
pub struct ChainAnswer {
    /// The ledger: the hash of its genesis, 64 hexadecimal digits.
    pub chain_id: String,
    /// This node's public key, 66 hexadecimal digits: whom a token for this node must be for.
    pub node: String,
    /// The ledger's name for people.
    pub network: String,
    /// The last block's height; 0 before the first.
    pub height: u64,
    /// The last block's id; before the first, the chain id.
    pub block_id: String,
    /// The last block's time in milliseconds since 1970-01-01 UTC.
    pub time: u64,
    /// The validators of the next block.
    pub validators: Vec<ValidatorAnswer>,
    /// The version of the protocol of the next block.
    pub protocol_version: u16,
    /// The last version of the protocol that this node knows: below the other it has to be updated.
    pub protocol_version_known: u16,
    /// The parameters of the next block.
    #[schema(value_type = Object)]
    pub parameters: Parameters,
}

/// A validator.
#[derive(Debug, Serialize, ToSchema)]
pub struct ValidatorAnswer {
    /// Its public key, 66 hexadecimal digits.
    pub key: String,
    /// The institution that runs it.
    pub institution: String,
    /// Its voting power.
    pub power: u64,
}

/// Which ledger this is, and where it stands. Needs no token.
#[utoipa::path(get, path = "/v1/chain", tag = "chain", security(()), responses((status = 200, body = ChainAnswer)))]
pub async fn chain(State(api): State<Api>) -> Json<ChainAnswer> {
    let published = api.reader.tip();
    let tip = &published.tip;
    let validators = tip.validators.validators().iter().map(|validator| ValidatorAnswer {
        key: validator.key.to_string(),
        institution: validator.institution.to_string(),
        power: validator.power,
    });
    Json(ChainAnswer {
        chain_id: tip.chain_id.to_string(),
        node: api.node.to_string(),
        network: api.network.clone(),
        height: tip.height.0,
        block_id: tip.block_id.to_string(),
        time: tip.time.0,
        validators: validators.collect(),
        protocol_version: tip.parameters.versions.number_at(tip.height.next()),
        protocol_version_known: ProtocolVersion::LATEST.number(),
        parameters: tip.parameters.clone(),
    })
}

/// A checkpoint at the tip, to verify proofs against later. Trust in it is the caller's to decide. Needs no token.
#[utoipa::path(
    get, path = "/v1/checkpoint", tag = "chain", security(()),
    responses((status = 200, body = Object, description = "serde form of the protocol's Checkpoint"))
)]
pub async fn checkpoint(State(api): State<Api>) -> Json<Checkpoint> {
    let published = api.reader.tip();
    let tip = &published.tip;
    Json(Checkpoint {
        chain_id: tip.chain_id,
        height: tip.height,
        validators: tip.validators.clone(),
        block_id: (tip.height.0 > 0).then_some(tip.block_id),
    })
}

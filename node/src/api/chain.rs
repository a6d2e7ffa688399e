//! `/v1/chain`, `/v1/checkpoint`: which ledger this is, and where it stands.

use axum::Json;
use axum::extract::State;
use yilian_spec::api::ledger::Chain;
use yilian_spec::base::version::ProtocolVersion;
use yilian_spec::proof::Checkpoint;

use super::Api;

/// Which ledger this is, and where it stands. Needs no token.
#[utoipa::path(get, path = "/v1/chain", tag = "chain", security(()), responses((status = 200, body = Chain)))]
pub async fn chain(State(api): State<Api>) -> Json<Chain> {
    let published = api.reader.tip();
    let tip = &published.tip;
    Json(Chain {
        chain_id: tip.chain_id,
        node: api.node,
        network: api.network.clone(),
        height: tip.height,
        block_id: tip.block_id,
        time: tip.time,
        validators: tip.validators.clone(),
        protocol_version: tip.parameters.versions.number_at(tip.height.next()),
        protocol_version_known: ProtocolVersion::LATEST.number(),
        parameters: tip.parameters.clone(),
    })
}

/// A checkpoint at the tip, to verify proofs against later. Trust in it is the caller's to decide. Needs no token.
#[utoipa::path(
    get, path = "/v1/checkpoint", tag = "chain", security(()),
    responses((status = 200, body = Checkpoint))
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

//! Answers that carry their proof: transactions, rows of the state and their absence, whole streams, statements.
//!
//! Every proof is the document of `spec::proof`, which a caller verifies against its own checkpoint. All parts of one
//! answer are read at one height.

use axum::Json;
use axum::extract::State;
use serde::Deserialize;
use utoipa::IntoParams;
use yilian_spec::api::ErrorBody;
use yilian_spec::base::height::Height;
use yilian_spec::base::id::{AgreementId, GrantId, InstitutionId, ReferralId, TransactionId};
use yilian_spec::base::limits::STREAM_PART_ENTRIES_MAX;
use yilian_spec::crypto::signature::PublicKey;
use yilian_spec::domain::access::Grant;
use yilian_spec::domain::agreement::Agreement;
use yilian_spec::domain::referral::Referral;
use yilian_spec::ledger::receipt::Outcome;
use yilian_spec::ledger::transaction::Transaction;
use yilian_spec::proof::{ProofDocument, StateProof, StatementProof};
use yilian_spec::state::key::StateKey;

use super::Api;
use super::agreements::read_agreement;
use super::auth::Caller;
use super::error::ApiError;
use super::extract::{PathOf, QueryOf};
use super::ledger::View;
use super::rights;
use super::streams::stream_of;

type Answer = Result<Json<ProofDocument>, ApiError>;

/// A transaction and its receipt, proven in their block.
#[utoipa::path(
    get, path = "/v1/transactions/{id}/proof", operation_id = "transaction_proof", tag = "proofs", params(("id" = TransactionId, Path, description = "64 hexadecimal digits")),
    responses((status = 200, body = ProofDocument), (status = 403, body = ErrorBody), (status = 404, body = ErrorBody))
)]
pub async fn transaction(
    State(api): State<Api>,
    caller: Caller,
    PathOf(id): PathOf<TransactionId>,
) -> Answer {
    api.read(move |view| {
        let proof = view.proven_transaction(id)?;
        let proof = proof.ok_or(ApiError::NotFound { what: "transaction", height: view.height().0 })?;
        require_whole(view, &caller, &proof.transaction, proof.receipt.outcome)?;
        Ok(Json(proof.into()))
    })
    .await
}

/// A transaction and its receipt, proven in the ledger's log as of the latest block: for whoever trusts a later checkpoint than
/// that of their own block.
#[utoipa::path(
    get, path = "/v1/transactions/{id}/inclusion", operation_id = "inclusion_proof", tag = "proofs", params(("id" = TransactionId, Path, description = "64 hexadecimal digits")),
    responses((status = 200, body = ProofDocument), (status = 403, body = ErrorBody), (status = 404, body = ErrorBody))
)]
pub async fn inclusion(State(api): State<Api>, caller: Caller, PathOf(id): PathOf<TransactionId>) -> Answer {
    api.read(move |view| {
        let proof = view.included_transaction(id)?;
        let proof = proof.ok_or(ApiError::NotFound { what: "transaction", height: view.height().0 })?;
        require_whole(view, &caller, &proof.transaction, proof.receipt.outcome)?;
        Ok(Json(proof.into()))
    })
    .await
}

/// That the ledger's log of the latest block begins with that of an earlier one.
#[utoipa::path(
    get, path = "/v1/blocks/{height}/consistency", operation_id = "consistency_proof", tag = "proofs", params(("height" = u64, Path, description = "the earlier block's height, which has transactions up to it and is below the latest", minimum = 1)),
    responses((status = 200, body = ProofDocument), (status = 400, body = ErrorBody), (status = 404, body = ErrorBody))
)]
pub async fn consistency(State(api): State<Api>, _caller: Caller, PathOf(height): PathOf<u64>) -> Answer {
    api.read(move |view| Ok(Json(view.growth_since(Height(height))?.into()))).await
}

/// Refuses unless all operations of the transaction concern the caller: a proof shows the whole of it.
fn require_whole(
    view: &View<'_>,
    caller: &Caller,
    transaction: &Transaction,
    outcome: Outcome,
) -> Result<(), ApiError> {
    match rights::concerning(view, caller, transaction, outcome)?.len() {
        0 => Err(ApiError::NotYours { what: "the transaction" }),
        some if some < transaction.body.operations.len() => Err(ApiError::PartlyYours),
        _ => Ok(()),
    }
}

/// Refuses unless the row under these key bytes may be read by the caller, or that there is none.
fn require_row(view: &View<'_>, caller: &Caller, key: &[u8]) -> Result<(), ApiError> {
    const WHAT: &str = "row";
    let Some(parsed) = StateKey::parse(key) else {
        return Err(ApiError::Malformed("these bytes are no key of a row".to_owned()));
    };
    match parsed {
        // For every caller.
        StateKey::Institution(_)
        | StateKey::Key(_)
        | StateKey::Validators
        | StateKey::Parameters
        | StateKey::Attendance
        | StateKey::Capacity(..) => Ok(()),
        StateKey::Grant(_) => rights::require_party::<Grant>(view, caller, &parsed, WHAT),
        StateKey::Referral(_) => rights::require_party::<Referral>(view, caller, &parsed, WHAT),
        StateKey::Agreement(id) | StateKey::ClosedPeriod(id, _) => {
            rights::require_party::<Agreement>(view, caller, &StateKey::Agreement(id), WHAT)
        }
        StateKey::StreamHead(ref stream) => rights::require_stream(view, caller, stream),
        StateKey::StreamEntry(..)
        | StateKey::Disclosure(_)
        | StateKey::Service(_)
        | StateKey::Evidence(_)
        | StateKey::Coverage(..)
        | StateKey::Accumulator(..)
        | StateKey::Statement(..)
        | StateKey::Administrators(_)
        | StateKey::Settled(..)
        | StateKey::AgreementWork(_)
        | StateKey::StreamNode(..)
        | StateKey::NodeKeys(_)
        | StateKey::GrantIndex(..)
        | StateKey::ReferralIndex(..)
        | StateKey::AgreementIndex(..)
        | StateKey::OpenDisclosureIndex(..)
        | StateKey::KeyIndex(..) => {
            Err(ApiError::Malformed("rows under this key have no leaf in the state tree".to_owned()))
        }
    }
}

fn state_proof(view: &View<'_>, key: &[u8]) -> Answer {
    let row = view.proven_row(key)?;
    let block = view.certified(view.height())?;
    Ok(Json(StateProof { row, block }.into()))
}

async fn state_proof_of(api: Api, caller: Caller, key: StateKey) -> Answer {
    api.read(move |view| {
        let key = key.bytes();
        require_row(view, &caller, &key)?;
        state_proof(view, &key)
    })
    .await
}

/// A row of the state, or its absence, where the caller may know of it.
#[utoipa::path(
    get, path = "/v1/state/{key}/proof", operation_id = "state_proof", tag = "proofs", params(("key" = String, Path, description = "the row's key, hexadecimal", pattern = "^([0-9a-f]{2})+$", max_length = 512)),
    responses((status = 200, body = ProofDocument), (status = 400, body = ErrorBody), (status = 403, body = ErrorBody), (status = 404, body = ErrorBody))
)]
pub async fn state(State(api): State<Api>, caller: Caller, PathOf(key): PathOf<String>) -> Answer {
    let key = hex::decode(&key).map_err(|_| ApiError::Malformed("the key must be hexadecimal".to_owned()))?;
    api.read(move |view| {
        require_row(view, &caller, &key)?;
        state_proof(view, &key)
    })
    .await
}

/// A grant, or, for a regulator, its absence.
#[utoipa::path(
    get, path = "/v1/grants/{id}/proof", operation_id = "grant_proof", tag = "proofs", params(("id" = GrantId, Path, description = "64 hexadecimal digits")),
    responses((status = 200, body = ProofDocument), (status = 404, body = ErrorBody))
)]
pub async fn grant(State(api): State<Api>, caller: Caller, PathOf(id): PathOf<GrantId>) -> Answer {
    state_proof_of(api, caller, StateKey::Grant(id)).await
}

/// A referral, or, for a regulator, its absence.
#[utoipa::path(
    get, path = "/v1/referrals/{id}/proof", operation_id = "referral_proof", tag = "proofs", params(("id" = ReferralId, Path, description = "64 hexadecimal digits")),
    responses((status = 200, body = ProofDocument), (status = 404, body = ErrorBody))
)]
pub async fn referral(State(api): State<Api>, caller: Caller, PathOf(id): PathOf<ReferralId>) -> Answer {
    state_proof_of(api, caller, StateKey::Referral(id)).await
}

/// An agreement, or, for a regulator, its absence.
#[utoipa::path(
    get, path = "/v1/agreements/{id}/proof", operation_id = "agreement_proof", tag = "proofs", params(("id" = AgreementId, Path, description = "64 hexadecimal digits")),
    responses((status = 200, body = ProofDocument), (status = 404, body = ErrorBody))
)]
pub async fn agreement(State(api): State<Api>, caller: Caller, PathOf(id): PathOf<AgreementId>) -> Answer {
    state_proof_of(api, caller, StateKey::Agreement(id)).await
}

/// A key, or its absence.
#[utoipa::path(
    get, path = "/v1/keys/{key}/proof", operation_id = "key_proof", tag = "proofs", params(("key" = PublicKey, Path, description = "66 hexadecimal digits")),
    responses((status = 200, body = ProofDocument))
)]
pub async fn key(State(api): State<Api>, caller: Caller, PathOf(key): PathOf<PublicKey>) -> Answer {
    state_proof_of(api, caller, StateKey::Key(key)).await
}

/// An institution, or its absence.
#[utoipa::path(
    get, path = "/v1/institutions/{id}/proof", operation_id = "institution_proof", tag = "proofs", params(("id" = InstitutionId, Path, description = "slug")),
    responses((status = 200, body = ProofDocument))
)]
pub async fn institution(
    State(api): State<Api>,
    caller: Caller,
    PathOf(id): PathOf<InstitutionId>,
) -> Answer {
    state_proof_of(api, caller, StateKey::Institution(id)).await
}

/// A closed period, or that it is not closed.
#[utoipa::path(
    get, path = "/v1/agreements/{id}/periods/{period}/proof", operation_id = "period_proof", tag = "proofs",
    params(("id" = AgreementId, Path, description = "64 hexadecimal digits"), ("period" = u32, Path, description = "from 0")),
    responses((status = 200, body = ProofDocument), (status = 404, body = ErrorBody))
)]
pub async fn period(
    State(api): State<Api>,
    caller: Caller,
    PathOf((id, period)): PathOf<(AgreementId, u32)>,
) -> Answer {
    state_proof_of(api, caller, StateKey::ClosedPeriod(id, period)).await
}

/// The statement of a closed period, proven with its agreement.
#[utoipa::path(
    get, path = "/v1/agreements/{id}/periods/{period}/statement/proof", operation_id = "statement_proof", tag = "proofs",
    params(("id" = AgreementId, Path, description = "64 hexadecimal digits"), ("period" = u32, Path, description = "from 0")),
    responses((status = 200, body = ProofDocument), (status = 404, body = ErrorBody))
)]
pub async fn statement(
    State(api): State<Api>,
    caller: Caller,
    PathOf((id, period)): PathOf<(AgreementId, u32)>,
) -> Answer {
    api.read(move |view| {
        read_agreement(view, &caller, id)?;
        let statement =
            view.require(&StateKey::Statement(id, period), "statement (the period may still be open)")?;
        let closed_period = view.proven_row(&StateKey::ClosedPeriod(id, period).bytes())?;
        let agreement_row = view.proven_row(&StateKey::Agreement(id).bytes())?;
        let block = view.certified(view.height())?;
        Ok(Json(StatementProof { statement, closed_period, agreement_row, block }.into()))
    })
    .await
}

/// Which part of a stream is proven.
#[derive(Debug, Clone, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct PartQuery {
    /// The first entry of the proof; 0 unless told.
    #[serde(default)]
    pub from: u64,
    /// Entries at most, 1 to 4000; 4000 unless told.
    pub entries: Option<u64>,
}

/// Entries of a stream that follow each other, with the proof that they are all between the first and the last of them; for a
/// regulator an unknown stream is an empty one. A longer stream is read in parts: the next one begins behind the last entry.
#[utoipa::path(
    get, path = "/v1/streams/{kind}/{id}/proof", operation_id = "stream_proof", tag = "proofs",
    params(
        ("kind" = String, Path, description = "subject, institution, grant, referral or period"),
        ("id" = String, Path, description = "the object's id; of a period `<agreement>.<number>`"),
        PartQuery
    ),
    responses((status = 200, body = ProofDocument), (status = 400, body = ErrorBody), (status = 403, body = ErrorBody), (status = 404, body = ErrorBody))
)]
pub async fn stream(
    State(api): State<Api>,
    caller: Caller,
    PathOf((kind, id)): PathOf<(String, String)>,
    QueryOf(query): QueryOf<PartQuery>,
) -> Answer {
    let stream = stream_of(&kind, &id)?;
    let count = query.entries.unwrap_or(STREAM_PART_ENTRIES_MAX);
    if !(1..=STREAM_PART_ENTRIES_MAX).contains(&count) {
        return Err(ApiError::Malformed(format!(
            "entries is {count}: it must lie between 1 and {STREAM_PART_ENTRIES_MAX}"
        )));
    }
    api.read(move |view| {
        rights::require_stream(view, &caller, &stream)?;
        let length = view.stream_length(&stream)?;
        if query.from > length {
            return Err(ApiError::Malformed(format!(
                "the stream has {length} entries: give from=0 to {length}"
            )));
        }
        Ok(Json(view.proven_stream(stream, query.from, count)?.into()))
    })
    .await
}

//! Answers that carry their proof: transactions, rows of the state and their absence, whole streams, statements.
//!
//! Every proof is the document of `spec::proof`, which a caller verifies against its own checkpoint. All parts of one
//! answer are read at one height.

use axum::Json;
use axum::extract::State;
use serde::Deserialize;
use utoipa::IntoParams;
use yilian_spec::api::ErrorBody;
use yilian_spec::base::id::{AgreementId, GrantId, InstitutionId, ReferralId, TransactionId};
use yilian_spec::crypto::signature::PublicKey;
use yilian_spec::domain::access::Grant;
use yilian_spec::domain::agreement::Agreement;
use yilian_spec::domain::referral::Referral;
use yilian_spec::proof::{ProofDocument, StateProof, StatementProof, StreamProof};
use yilian_spec::state::key::{StateKey, StreamId};

use super::Api;
use super::agreements::read_agreement;
use super::auth::Caller;
use super::error::ApiError;
use super::extract::{PathOf, QueryOf};
use super::ledger::View;
use super::limits::API_STREAM_PROOF_ENTRIES_MAX;
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
        match rights::concerning(view, &caller, &proof.transaction, proof.receipt.outcome)?.len() {
            0 => Err(ApiError::NotYours { what: "the transaction" }),
            some if some < proof.transaction.body.operations.len() => Err(ApiError::PartlyYours),
            _ => Ok(Json(proof.into())),
        }
    })
    .await
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

/// From where a stream's proof starts.
#[derive(Debug, Clone, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct FromQuery {
    /// The first entry of the proof; 0, which proves completeness, unless told.
    #[serde(default)]
    pub from: u64,
}

/// A stream with its entries, proven complete from the first one asked for; for a regulator an unknown stream is an empty one.
#[utoipa::path(
    get, path = "/v1/streams/{kind}/{id}/proof", operation_id = "stream_proof", tag = "proofs",
    params(
        ("kind" = String, Path, description = "subject, institution, grant, referral or period"),
        ("id" = String, Path, description = "the object's id; of a period `<agreement>.<number>`"),
        FromQuery
    ),
    responses((status = 200, body = ProofDocument), (status = 400, body = ErrorBody), (status = 403, body = ErrorBody), (status = 404, body = ErrorBody))
)]
pub async fn stream(
    State(api): State<Api>,
    caller: Caller,
    PathOf((kind, id)): PathOf<(String, String)>,
    QueryOf(query): QueryOf<FromQuery>,
) -> Answer {
    let stream = stream_of(&kind, &id)?;
    api.read(move |view| {
        rights::require_stream(view, &caller, &stream)?;
        stream_proof(view, stream, query.from)
    })
    .await
}

fn stream_proof(view: &View<'_>, stream: StreamId, first: u64) -> Answer {
    let head = view.proven_row(&StateKey::StreamHead(stream.clone()).bytes())?;
    let length = view.stream_length(&stream)?;
    if first > length {
        return Err(ApiError::Malformed(format!("the stream has {length} entries: give from=0 to {length}")));
    }
    let count = length - first;
    if count > API_STREAM_PROOF_ENTRIES_MAX {
        return Err(ApiError::Malformed(format!(
            "{count} entries are more than the {API_STREAM_PROOF_ENTRIES_MAX} of one proof: give from={} or later",
            length - API_STREAM_PROOF_ENTRIES_MAX
        )));
    }
    let before = view.frontier_before(&stream, first)?;
    let count = usize::try_from(count).expect("at most the bound of a proof");
    let entries = view.entries(&stream, first, count)?;
    let block = view.certified(view.height())?;
    Ok(Json(StreamProof { stream, head, before, entries, block }.into()))
}

//! `/v1/services`, `/v1/agreements`: what was delivered, under which terms, and what is owed for it.

use axum::Json;
use axum::extract::State;
use serde::Serialize;
use utoipa::ToSchema;
use yilian_spec::base::id::{AgreementId, ServiceId};
use yilian_spec::domain::agreement::{Agreement, ClosedPeriod, PeriodStatement};
use yilian_spec::domain::service::Service;
use yilian_spec::settlement::period::Accumulator;
use yilian_spec::state::key::{RowKind, StateKey};

use super::Api;
use super::access::{PartyQuery, list_institution};
use super::auth::Caller;
use super::error::{ApiError, ErrorBody};
use super::extract::{PathOf, QueryOf};
use super::ledger::View;
use super::list::{self, Listed};
use super::page::{Page, PageRequest};
use super::record::Entry;
use super::rights;

/// Whether a period still counts.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum PeriodState {
    /// It counts.
    Open,
    /// It is settled.
    Closed,
}

/// A period of an agreement.
#[derive(Debug, Serialize, ToSchema)]
pub struct PeriodAnswer {
    /// The agreement.
    pub agreement: String,
    /// The period, from 0.
    pub period: u32,
    /// The height that was read.
    pub height: u64,
    /// Whether it still counts.
    pub state: PeriodState,
    /// The closed period in the serde form of the protocol's `ClosedPeriod`.
    #[schema(value_type = Option<Object>)]
    pub record: Option<ClosedPeriod>,
    /// What the open period has counted so far, in the serde form of the protocol's `Accumulator`.
    #[schema(value_type = Option<Object>)]
    pub accumulator: Option<Accumulator>,
}

/// The statement of a closed period.
#[derive(Debug, Serialize, ToSchema)]
pub struct StatementAnswer {
    /// The agreement.
    pub agreement: String,
    /// The period, from 0.
    pub period: u32,
    /// The height that was read.
    pub height: u64,
    /// The statement in the serde form of the protocol's `PeriodStatement`; its hash stands in the closed period.
    #[schema(value_type = Object)]
    pub record: PeriodStatement,
}

/// One delivered service.
#[utoipa::path(
    get, path = "/v1/services/{id}", tag = "settlement", params(("id" = String, Path, description = "64 hexadecimal digits")),
    responses((status = 200, body = Entry<Object>), (status = 404, body = ErrorBody))
)]
pub async fn service(
    State(api): State<Api>,
    caller: Caller,
    PathOf(id): PathOf<ServiceId>,
) -> Result<Json<Entry<Service>>, ApiError> {
    api.read(move |view| {
        let record: Service = rights::object(view, &caller, &StateKey::Service(id), "service")?;
        Ok(Json(Entry::single(id, record, view.height().0)))
    })
    .await
}

/// The agreements of an institution.
#[utoipa::path(
    get, path = "/v1/agreements", tag = "settlement", params(PartyQuery),
    responses((status = 200, body = Page<Entry<Object>>), (status = 403, body = ErrorBody))
)]
pub async fn agreements(
    State(api): State<Api>,
    caller: Caller,
    QueryOf(query): QueryOf<PartyQuery>,
) -> Result<Json<Page<Entry<Agreement>>>, ApiError> {
    let request = PageRequest::new(query.limit, query.cursor.as_deref())?;
    let institution = list_institution(&caller, query.institution, "the list of agreements")?;
    api.read(move |view| {
        let prefix = match institution {
            Some(id) => RowKind::AgreementIndex.under(&id),
            None => RowKind::Agreement.prefix(),
        };
        list::page(view, &prefix, request, |key, _| {
            let (StateKey::AgreementIndex(_, id) | StateKey::Agreement(id)) = key else {
                return Err(list::stray(&key));
            };
            Ok(Listed::Item(Entry::item(id, view.require(&StateKey::Agreement(id), "agreement")?)))
        })
        .map(Json)
    })
    .await
}

/// Reads an agreement of which the caller is a party.
pub(super) fn read_agreement(
    view: &View<'_>,
    caller: &Caller,
    id: AgreementId,
) -> Result<Agreement, ApiError> {
    rights::object(view, caller, &StateKey::Agreement(id), "agreement")
}

/// One agreement.
#[utoipa::path(
    get, path = "/v1/agreements/{id}", tag = "settlement", params(("id" = String, Path, description = "64 hexadecimal digits")),
    responses((status = 200, body = Entry<Object>), (status = 404, body = ErrorBody))
)]
pub async fn agreement(
    State(api): State<Api>,
    caller: Caller,
    PathOf(id): PathOf<AgreementId>,
) -> Result<Json<Entry<Agreement>>, ApiError> {
    api.read(move |view| {
        let record = read_agreement(view, &caller, id)?;
        Ok(Json(Entry::single(id, record, view.height().0)))
    })
    .await
}

/// One period: what it has counted so far, or how it was closed.
#[utoipa::path(
    get, path = "/v1/agreements/{id}/periods/{period}", tag = "settlement",
    params(("id" = String, Path, description = "64 hexadecimal digits"), ("period" = u32, Path, description = "from 0")),
    responses((status = 200, body = PeriodAnswer), (status = 404, body = ErrorBody))
)]
pub async fn period(
    State(api): State<Api>,
    caller: Caller,
    PathOf((id, number)): PathOf<(AgreementId, u32)>,
) -> Result<Json<PeriodAnswer>, ApiError> {
    api.read(move |view| {
        let agreement = read_agreement(view, &caller, id)?;
        let closed: Option<ClosedPeriod> = view.row(&StateKey::ClosedPeriod(id, number))?;
        if closed.is_none() && number != agreement.open_period {
            return Err(ApiError::NotFound { what: "period", height: view.height().0 });
        }
        let accumulator = match closed {
            Some(_) => None,
            None => Some(view.row(&StateKey::Accumulator(id, number))?.unwrap_or_default()),
        };
        Ok(Json(PeriodAnswer {
            agreement: id.to_string(),
            period: number,
            height: view.height().0,
            state: if closed.is_some() { PeriodState::Closed } else { PeriodState::Open },
            record: closed,
            accumulator,
        }))
    })
    .await
}

/// The statement of a closed period.
#[utoipa::path(
    get, path = "/v1/agreements/{id}/periods/{period}/statement", tag = "settlement",
    params(("id" = String, Path, description = "64 hexadecimal digits"), ("period" = u32, Path, description = "from 0")),
    responses((status = 200, body = StatementAnswer), (status = 404, body = ErrorBody))
)]
pub async fn statement(
    State(api): State<Api>,
    caller: Caller,
    PathOf((id, number)): PathOf<(AgreementId, u32)>,
) -> Result<Json<StatementAnswer>, ApiError> {
    api.read(move |view| {
        read_agreement(view, &caller, id)?;
        let record =
            view.require(&StateKey::Statement(id, number), "statement (the period may still be open)")?;
        Ok(Json(StatementAnswer {
            agreement: id.to_string(),
            period: number,
            height: view.height().0,
            record,
        }))
    })
    .await
}

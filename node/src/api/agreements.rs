//! `/v1/services`, `/v1/agreements`: what was delivered, under which terms, and what is owed for it.

use axum::Json;
use axum::extract::State;
use yilian_spec::api::settlement::{Period, PeriodState, Statement};
use yilian_spec::api::{Entry, ErrorBody, Page};
use yilian_spec::base::id::{AgreementId, ServiceId};
use yilian_spec::domain::agreement::{Agreement, ClosedPeriod};
use yilian_spec::domain::service::Service;
use yilian_spec::state::key::{RowKind, StateKey};

use super::Api;
use super::access::{PartyQuery, list_institution};
use super::auth::Caller;
use super::error::ApiError;
use super::extract::{PathOf, QueryOf};
use super::ledger::View;
use super::list::{self, Listed};
use super::page::PageRequest;
use super::rights;

/// One delivered service.
#[utoipa::path(
    get, path = "/v1/services/{id}", tag = "settlement", params(("id" = ServiceId, Path, description = "64 hexadecimal digits")),
    responses((status = 200, body = Entry<ServiceId, Service>), (status = 404, body = ErrorBody))
)]
pub async fn service(
    State(api): State<Api>,
    caller: Caller,
    PathOf(id): PathOf<ServiceId>,
) -> Result<Json<Entry<ServiceId, Service>>, ApiError> {
    api.read(move |view| {
        let record: Service = rights::object(view, &caller, &StateKey::Service(id), "service")?;
        Ok(Json(Entry::single(id, record, view.height())))
    })
    .await
}

/// The agreements of an institution.
#[utoipa::path(
    get, path = "/v1/agreements", tag = "settlement", params(PartyQuery),
    responses((status = 200, body = Page<Entry<AgreementId, Agreement>>), (status = 403, body = ErrorBody))
)]
pub async fn agreements(
    State(api): State<Api>,
    caller: Caller,
    QueryOf(query): QueryOf<PartyQuery>,
) -> Result<Json<Page<Entry<AgreementId, Agreement>>>, ApiError> {
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
    get, path = "/v1/agreements/{id}", tag = "settlement", params(("id" = AgreementId, Path, description = "64 hexadecimal digits")),
    responses((status = 200, body = Entry<AgreementId, Agreement>), (status = 404, body = ErrorBody))
)]
pub async fn agreement(
    State(api): State<Api>,
    caller: Caller,
    PathOf(id): PathOf<AgreementId>,
) -> Result<Json<Entry<AgreementId, Agreement>>, ApiError> {
    api.read(move |view| {
        let record = read_agreement(view, &caller, id)?;
        Ok(Json(Entry::single(id, record, view.height())))
    })
    .await
}

/// One period: what it has counted so far, or how it was closed.
#[utoipa::path(
    get, path = "/v1/agreements/{id}/periods/{period}", tag = "settlement",
    params(("id" = AgreementId, Path, description = "64 hexadecimal digits"), ("period" = u32, Path, description = "from 0")),
    responses((status = 200, body = Period), (status = 404, body = ErrorBody))
)]
pub async fn period(
    State(api): State<Api>,
    caller: Caller,
    PathOf((id, number)): PathOf<(AgreementId, u32)>,
) -> Result<Json<Period>, ApiError> {
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
        Ok(Json(Period {
            agreement: id,
            period: number,
            height: view.height(),
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
    params(("id" = AgreementId, Path, description = "64 hexadecimal digits"), ("period" = u32, Path, description = "from 0")),
    responses((status = 200, body = Statement), (status = 404, body = ErrorBody))
)]
pub async fn statement(
    State(api): State<Api>,
    caller: Caller,
    PathOf((id, number)): PathOf<(AgreementId, u32)>,
) -> Result<Json<Statement>, ApiError> {
    api.read(move |view| {
        read_agreement(view, &caller, id)?;
        let record =
            view.require(&StateKey::Statement(id, number), "statement (the period may still be open)")?;
        Ok(Json(Statement { agreement: id, period: number, height: view.height(), record }))
    })
    .await
}

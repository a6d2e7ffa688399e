//! `/health`, `/metrics`, `/v1/openapi.json`: what watches over the node. None of them needs a token.

use axum::Json;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};

use super::Api;
use crate::health::{HealthReport, HealthStatus};
use crate::metrics::Format;

/// Whether the node does its work; if not, why and what to do.
#[utoipa::path(
    get, path = "/health", tag = "system", security(()),
    responses((status = 200, body = HealthReport), (status = 503, body = HealthReport))
)]
pub async fn health(State(api): State<Api>) -> (StatusCode, Json<HealthReport>) {
    let report = api.health.report();
    let status = match report.status {
        HealthStatus::Healthy => StatusCode::OK,
        _ => StatusCode::SERVICE_UNAVAILABLE,
    };
    (status, Json(report))
}

/// The node's measurements in the text format of Prometheus, or as OpenMetrics to whoever asks for that.
#[utoipa::path(
    get, path = "/metrics", tag = "system", security(()),
    responses((status = 200, body = String, content_type = "text/plain"))
)]
pub async fn metrics(State(api): State<Api>, headers: HeaderMap) -> Response {
    let accept = headers.get(header::ACCEPT).and_then(|accept| accept.to_str().ok());
    let format = Format::accepted(accept.unwrap_or_default());
    ([(header::CONTENT_TYPE, format.content_type())], api.metrics.encode(format)).into_response()
}

/// This description.
#[utoipa::path(get, path = "/v1/openapi.json", tag = "system", security(()), responses((status = 200, body = Object)))]
pub async fn openapi(State(api): State<Api>) -> Response {
    ([(header::CONTENT_TYPE, "application/json")], api.openapi.clone()).into_response()
}

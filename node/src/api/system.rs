//! `/health`, `/metrics`, `/v1/openapi.json`: what watches over the node. None of them needs a token.

use axum::Json;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};

use super::Api;
use crate::health::{HealthReport, HealthStatus};

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

/// The node's measurements in the text format of Prometheus.
#[utoipa::path(
    get, path = "/metrics", tag = "system", security(()),
    responses((status = 200, body = String, content_type = "text/plain"))
)]
pub async fn metrics(State(api): State<Api>) -> Response {
    const FORMAT: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    ([(header::CONTENT_TYPE, FORMAT)], api.metrics.encode()).into_response()
}

/// This description.
#[utoipa::path(get, path = "/v1/openapi.json", tag = "system", security(()), responses((status = 200, body = Object)))]
pub async fn openapi(State(api): State<Api>) -> Response {
    ([(header::CONTENT_TYPE, "application/json")], api.openapi.clone()).into_response()
}

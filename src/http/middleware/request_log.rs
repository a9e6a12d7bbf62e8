//! One line and the metrics of every request, when its answer begins. The line has the route's template, never
//! the path or the query string: both can name a patient. The request's id is in the span around it.

use std::sync::Arc;

use axum::body::HttpBody;
use axum::extract::{MatchedPath, Request};
use axum::http::Method;
use axum::middleware::Next;
use axum::response::Response;
use tokio::time::Instant;

use crate::http::body::BodyProgress;
use crate::telemetry::metrics::{HTTP_REQUEST_SECONDS, HTTP_REQUESTS};

pub(super) async fn write(request: Request, next: Next) -> Response {
    let begun = Instant::now();
    let method = method_label(request.method());
    let route = request.extensions().get::<MatchedPath>().cloned();
    let progress = request.extensions().get::<Arc<BodyProgress>>().cloned();

    let response = next.run(request).await;

    let route = route.as_ref().map_or("unmatched", MatchedPath::as_str);
    let status = response.status().as_u16();
    let duration = begun.elapsed();
    tracing::info!(
        method,
        route,
        status,
        duration_ms = u64::try_from(duration.as_millis()).unwrap_or(u64::MAX),
        bytes_in = progress.map(|progress| progress.bytes()),
        bytes_out = response.body().size_hint().exact(),
        "request"
    );
    let labels = [("method", method.to_owned()), ("route", route.to_owned())];
    metrics::histogram!(HTTP_REQUEST_SECONDS, &labels).record(duration);
    let [method, route] = labels;
    metrics::counter!(HTTP_REQUESTS, &[method, route, ("status", status.to_string())]).increment(1);
    response
}

/// The method as a label: a client can invent methods, but not labels.
fn method_label(method: &Method) -> &'static str {
    match method.as_str() {
        "GET" => "GET",
        "HEAD" => "HEAD",
        "POST" => "POST",
        "PUT" => "PUT",
        "PATCH" => "PATCH",
        "DELETE" => "DELETE",
        "OPTIONS" => "OPTIONS",
        _ => "other",
    }
}

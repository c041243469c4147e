//! `POST /api/v1/namespaces/NS/serviceaccounts/NAME/token`, with a token that means nothing.

use bytes::Bytes;
use http::Response;
use http_body_util::Full;
use serde_json::json;

/// Answers a `TokenRequest`.
pub(super) fn answer(path: &str) -> Response<Full<Bytes>> {
    let account = path.rsplit('/').nth(1).unwrap_or_default();
    let body = json!({
        "apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "metadata": {},
        "spec": {"audiences": []},
        "status": {"token": format!("token-of-{account}"), "expirationTimestamp": "2099-01-01T00:00:00Z"},
    });
    let mut response = Response::new(Full::new(body.to_string().into()));
    *response.status_mut() = http::StatusCode::CREATED;
    response
}

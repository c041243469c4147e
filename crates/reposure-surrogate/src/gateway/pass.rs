//! Passing a request on and its answer back.

use std::sync::Arc;

use futures::FutureExt;
use http::{Request, Response, StatusCode, Uri};
use http_body::Body as _;
use reposure_oci::transport::{self, Body, Transport};
use reposure_parcel::{
    problem::{Code, Problem},
    wire,
};
use tokio::sync::oneshot;

use super::{headers, path};
use crate::{
    announced::announced,
    answer::{self, Answer},
    body,
    results::Results,
    upstream::refusal,
};

/// Passes a request on to the registry.
pub(crate) async fn pass(
    registry: Arc<dyn Transport>,
    results: &Results,
    request: Request<Body>,
) -> Result<Answer, Problem> {
    path::check(request.uri())?;
    let may_come_later = request.headers().contains_key(wire::ASYNC_HEADER);
    let (request, sent) = prepare(request);
    let work = exchange(registry, request);
    if !may_come_later {
        return work.await;
    }
    let work = async { work.await.unwrap_or_else(|problem| answer::problem(&problem)) };
    Ok(results.answer(work, sent.map(drop)).await)
}

/// Makes the registry's request of a client's, and tells when the client's body was read to its end.
fn prepare(request: Request<Body>) -> (Request<Body>, oneshot::Receiver<()>) {
    let (mut parts, incoming) = request.into_parts();
    headers::to_registry(&mut parts.headers);
    parts.uri = parts.uri.path_and_query().map_or_else(|| Uri::from_static("/v2/"), |p| Uri::from(p.clone()));
    parts.version = http::Version::HTTP_11;
    parts.extensions.clear();
    let (body, sent) =
        announced(if incoming.is_end_stream() { transport::empty() } else { body::with_deadline(incoming) });
    (Request::from_parts(parts, body), sent)
}

/// Sends a request that holds nothing but what is for the registry, and makes its answer one for the client.
pub(crate) async fn exchange(
    registry: Arc<dyn Transport>,
    request: Request<Body>,
) -> Result<Answer, Problem> {
    let path = request.uri().path().to_owned();
    let doing = format!("cannot {} {path}", request.method());
    let response = registry.send(request).await.map_err(|error| answer::unreachable(&doing, &error))?;
    match response.status() {
        // A client would take these for the API server's or the surrogate's own.
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN | StatusCode::PAYLOAD_TOO_LARGE => {
            Err(refusal::problem(&doing, response).await)
        }
        status if status.is_informational() || status == StatusCode::SWITCHING_PROTOCOLS => {
            Err(Problem::new(Code::UpstreamRefused, format!("{doing}: the registry answered {status}")))
        }
        _ => Ok(to_client(response, &path)),
    }
}

fn to_client(response: Response<Body>, path: &str) -> Answer {
    let (mut parts, incoming) = response.into_parts();
    headers::to_client(&mut parts.headers, path);
    parts.version = http::Version::HTTP_11;
    parts.extensions.clear();
    Response::from_parts(parts, body::with_deadline(incoming))
}

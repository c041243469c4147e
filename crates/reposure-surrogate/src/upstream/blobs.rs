//! The registry's requests for blobs.
//!
//! See the [distribution specification, "Push"](https://github.com/opencontainers/distribution-spec/blob/main/spec.md#push).

use std::time::Duration;

use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, header};
use reposure_oci::{
    Digest, RepositoryName,
    transport::{self, Body, Transport},
};
use reposure_parcel::problem::{Code, Problem};
use tokio::time::timeout;
use url::Url;

use super::refusal;
use crate::answer;

/// How long a request without a body of note may take.
const DEADLINE: Duration = Duration::from_secs(60);

/// Where an upload goes on at the registry: a path and query, which may hold secrets.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Location(String);

impl std::fmt::Debug for Location {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("Location(…)")
    }
}

/// What came of a mount.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Mount {
    /// The blob is there.
    Mounted,
    /// It could not be mounted; the registry opened an upload instead.
    Opened(Location),
}

impl Location {
    /// Reads the `Location` of the answer to a request for `path`. Its host does not matter: some registries name themselves
    /// as they are known outside.
    pub(crate) fn read(headers: &HeaderMap, path: &str) -> Option<Self> {
        relative(headers.get(header::LOCATION)?.to_str().ok()?, path).map(Self)
    }

    fn with_digest(&self, digest: &Digest) -> String {
        let separator = if self.0.contains('?') { '&' } else { '?' };
        format!("{}{separator}digest={digest}", self.0)
    }
}

/// Resolves an absolute or relative reference and returns its path and query.
pub(crate) fn relative(reference: &str, path: &str) -> Option<String> {
    // The base's host never shows.
    let base = Url::parse("http://registry").ok()?.join(path).ok()?;
    let url = base.join(reference).ok()?;
    Some(match url.query() {
        Some(query) => format!("{}?{query}", url.path()),
        None => url.path().to_owned(),
    })
}

/// Returns a blob's size, if the registry has it; 0 where the registry does not say.
pub(crate) async fn head(
    registry: &dyn Transport,
    repository: &RepositoryName,
    digest: &Digest,
) -> Result<Option<u64>, Problem> {
    let doing = format!("cannot ask for blob {digest} of {repository}");
    let path = format!("/v2/{repository}/blobs/{digest}");
    let response = send(registry, &doing, request(&Method::HEAD, &path, transport::empty())?).await?;
    match response.status() {
        status if status.is_success() => Ok(Some(length(response.headers()).unwrap_or(0))),
        StatusCode::NOT_FOUND => Ok(None),
        _ => Err(refusal::problem(&doing, response).await),
    }
}

/// Mounts a blob from another repository.
pub(crate) async fn mount(
    registry: &dyn Transport,
    repository: &RepositoryName,
    digest: &Digest,
    from: &RepositoryName,
) -> Result<Mount, Problem> {
    let doing = format!("cannot mount blob {digest} from {from} into {repository}");
    let path = format!("/v2/{repository}/blobs/uploads/?mount={digest}&from={from}");
    let response = send(registry, &doing, request(&Method::POST, &path, transport::empty())?).await?;
    match response.status() {
        StatusCode::CREATED => Ok(Mount::Mounted),
        StatusCode::ACCEPTED => located(&doing, &response, &path).map(Mount::Opened),
        _ => Err(refusal::problem(&doing, response).await),
    }
}

/// Opens an upload.
pub(crate) async fn open(registry: &dyn Transport, repository: &RepositoryName) -> Result<Location, Problem> {
    let doing = format!("cannot open an upload in {repository}");
    let path = format!("/v2/{repository}/blobs/uploads/");
    let response = send(registry, &doing, request(&Method::POST, &path, transport::empty())?).await?;
    match response.status() {
        StatusCode::ACCEPTED => located(&doing, &response, &path),
        _ => Err(refusal::problem(&doing, response).await),
    }
}

/// Sends a blob's bytes to an upload without ending it, as one streamed body, and returns where it goes on.
pub(crate) async fn patch(
    registry: &dyn Transport,
    location: &Location,
    body: Body,
) -> Result<Location, Problem> {
    let doing = "cannot send the blob";
    let response = exchange(registry, doing, with_bytes(&Method::PATCH, &location.0, body)?).await?;
    match response.status() {
        // ECR answers 201.
        StatusCode::ACCEPTED | StatusCode::CREATED => {
            Ok(Location::read(response.headers(), &location.0).unwrap_or_else(|| location.clone()))
        }
        _ => Err(refusal::problem(doing, response).await),
    }
}

/// Ends an upload, with the blob's bytes or after them, and makes sure that the registry has the blob.
pub(crate) async fn put(
    registry: &dyn Transport,
    repository: &RepositoryName,
    location: &Location,
    (digest, size): (&Digest, u64),
    body: Body,
) -> Result<(), Problem> {
    let doing = format!("cannot store blob {digest} in {repository}");
    let request = with_bytes(&Method::PUT, &location.with_digest(digest), body)?;
    let response = exchange(registry, &doing, request).await?;
    if response.status() != StatusCode::CREATED {
        return Err(refusal::problem(&doing, response).await);
    }
    let named = response.headers().get("docker-content-digest").map(HeaderValue::as_bytes);
    match named {
        Some(named) if named == digest.to_string().as_bytes() => Ok(()),
        Some(_) => {
            Err(Problem::new(Code::DigestMismatch, format!("{doing}: the registry names another digest")))
        }
        None => confirm(registry, repository, digest, size).await,
    }
}

/// Ends an upload that is given up. What comes of it does not matter: registries purge what is left in time.
pub(crate) async fn cancel(registry: &dyn Transport, location: &Location) {
    if let Ok(request) = request(&Method::DELETE, &location.0, transport::empty()) {
        let _ = send(registry, "cannot cancel an upload", request).await;
    }
}

async fn confirm(
    registry: &dyn Transport,
    repository: &RepositoryName,
    digest: &Digest,
    size: u64,
) -> Result<(), Problem> {
    match head(registry, repository, digest).await? {
        Some(found) if found == size => Ok(()),
        _ => {
            let message =
                format!("the registry took blob {digest}, but does not show it with its {size} bytes");
            Err(Problem::new(Code::UpstreamRefused, message).transient())
        }
    }
}

fn located(doing: &str, response: &Response<Body>, path: &str) -> Result<Location, Problem> {
    Location::read(response.headers(), path).ok_or_else(|| {
        Problem::new(Code::UpstreamRefused, format!("{doing}: the registry does not say where it goes on"))
    })
}

fn with_bytes(method: &Method, path: &str, body: Body) -> Result<Request<Body>, Problem> {
    let mut request = request(method, path, body)?;
    let octets = HeaderValue::from_static("application/octet-stream");
    request.headers_mut().insert(header::CONTENT_TYPE, octets);
    Ok(request)
}

fn request(method: &Method, path: &str, body: Body) -> Result<Request<Body>, Problem> {
    // Some registries hang on a POST or PUT that says nothing of a length; a streamed body says that it is chunked.
    let length = http_body::Body::size_hint(&body).exact();
    let mut builder = Request::builder().method(method.clone()).uri(path);
    if let Some(length) = length.filter(|_| *method != Method::HEAD) {
        builder = builder.header(header::CONTENT_LENGTH, length);
    }
    builder.header(header::ACCEPT_ENCODING, "identity").body(body).map_err(|_| {
        Problem::new(Code::UpstreamRefused, "the registry named a place that cannot be asked for")
    })
}

/// Sends a request whose answer has a deadline.
async fn send(
    registry: &dyn Transport,
    doing: &str,
    request: Request<Body>,
) -> Result<Response<Body>, Problem> {
    timeout(DEADLINE, exchange(registry, doing, request)).await.unwrap_or_else(|_| {
        let message = format!("{doing}: no answer within {} s", DEADLINE.as_secs());
        Err(Problem::new(Code::UpstreamUnreachable, message).transient())
    })
}

/// Sends a request with bytes that come as slowly as they do; the upload has the deadlines.
async fn exchange(
    registry: &dyn Transport,
    doing: &str,
    request: Request<Body>,
) -> Result<Response<Body>, Problem> {
    registry.send(request).await.map_err(|error| answer::unreachable(doing, &error))
}

fn length(headers: &HeaderMap) -> Option<u64> {
    headers.get(header::CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn locations_lose_their_host_and_keep_their_query() {
        let path = "/v2/a/blobs/uploads/";
        for (location, expected) in [
            (
                "http://outside.example:5000/v2/a/blobs/uploads/1?_state=x%3D",
                "/v2/a/blobs/uploads/1?_state=x%3D",
            ),
            ("/v2/a/blobs/uploads/1", "/v2/a/blobs/uploads/1"),
            ("1?x=y", "/v2/a/blobs/uploads/1?x=y"),
            ("//evil.example/v2/x", "/v2/x"),
        ] {
            assert_eq!(relative(location, path).as_deref(), Some(expected), "{location}");
        }
    }

    #[test]
    fn a_digest_is_added_behind_what_is_there() {
        let digest = Digest::sha256_of("");
        assert_eq!(Location("/a".into()).with_digest(&digest), format!("/a?digest={digest}"));
        assert_eq!(Location("/a?b=c".into()).with_digest(&digest), format!("/a?b=c&digest={digest}"));
    }
}

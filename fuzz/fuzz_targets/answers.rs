//! Takes any bytes for a registry's answers: challenges, `Link`, `Content-Range`, `Location`, lists, manifests, errors.

#![no_main]

use std::{sync::LazyLock, time::Duration};

use bytes::Bytes;
use futures::future::BoxFuture;
use http::{HeaderMap, HeaderName, HeaderValue, Request, Response, StatusCode, header};
use libfuzzer_sys::fuzz_target;
use reposure_oci::{
    Body, Digest, Reference, RepositoryName, Tag, Transport, TransportError,
    auth::Challenge,
    registry::{Client, Limits},
    transport::full,
};
use tokio::runtime::{Builder, Runtime};

static RUNTIME: LazyLock<Runtime> =
    LazyLock::new(|| Builder::new_current_thread().enable_all().build().unwrap());

const HEADERS: [HeaderName; 7] = [
    header::WWW_AUTHENTICATE,
    header::LINK,
    header::CONTENT_RANGE,
    header::CONTENT_TYPE,
    header::LOCATION,
    header::RANGE,
    HeaderName::from_static("docker-content-digest"),
];

/// Answers each request alike: a status, lines that are headers, an empty line, a body.
struct Double {
    status: StatusCode,
    headers: HeaderMap,
    body: Bytes,
}

impl Double {
    fn parse(data: &[u8]) -> Option<Self> {
        let (&status, mut rest) = data.split_first()?;
        let status = [200, 201, 202, 206, 204, 400, 401, 404, 429, 503][usize::from(status) % 10];
        let mut headers = HeaderMap::new();
        while let Some(end) = rest.iter().position(|byte| *byte == b'\n').filter(|end| *end > 0) {
            let name = HEADERS[usize::from(rest[0]) % HEADERS.len()].clone();
            if let Ok(value) = HeaderValue::from_bytes(&rest[1..end]) {
                headers.append(name, value);
            }
            rest = &rest[end + 1..];
        }
        let status = StatusCode::from_u16(status).ok()?;
        Some(Self { status, headers, body: Bytes::copy_from_slice(rest) })
    }
}

impl Transport for Double {
    fn send(&self, _: Request<Body>) -> BoxFuture<'_, Result<Response<Body>, TransportError>> {
        let mut answer = Response::new(full(self.body.clone()));
        *answer.status_mut() = self.status;
        *answer.headers_mut() = self.headers.clone();
        Box::pin(std::future::ready(Ok(answer)))
    }
}

fuzz_target!(|data: &[u8]| {
    let Some(double) = Double::parse(data) else { return };
    assert!(Challenge::all(&double.headers).len() <= 16);
    RUNTIME.block_on(ask(double));
});

async fn ask(double: Double) {
    let limits = Limits { attempts: 1, call: Duration::from_secs(5), ..Limits::default() };
    let body = double.body.clone();
    let client = Client::with_limits(double, limits);
    let repository: RepositoryName = "a/b".parse().unwrap();
    let tag: Tag = "v1".parse().unwrap();
    let _ = client.ping().await;
    let _ = client.tags(&repository).await;
    let _ = client.catalog().await;
    let _ = client.head_manifest(&repository, &Reference::Tag(tag.clone())).await;
    if let Ok(manifest) = client.get_manifest(&repository, &Reference::Tag(tag)).await {
        assert_eq!(manifest.bytes(), &body);
        let _ = manifest.parse();
    }
    let digest = Digest::sha256_of(&body);
    let _ = client.get_blob(&repository, &digest, 1 << 20).await;
    if let Ok(stream) = client.get_blob_range(&repository, &digest, 1..3).await {
        assert_eq!(stream.range, 1..3);
    }
    if let Ok(mut session) = client.start_upload(&repository).await {
        let _ = client.upload_status(&mut session).await;
        let _ = client.patch_chunk(&mut session, Bytes::from_static(b"x")).await;
        let _ = client.finish_upload(session, &digest, 1).await;
    }
}

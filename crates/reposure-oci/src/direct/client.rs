//! A pool of HTTP/1.1 connections.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use futures::future::BoxFuture;
use http::{HeaderValue, Request, Response, header};
use http_body_util::BodyExt;
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::{
    client::legacy::{Client, Error, connect::HttpConnector},
    rt::{TokioExecutor, TokioTimer},
};
use rustls::ClientConfig;

use super::error::{Cause, DirectError};
use crate::{
    endpoint::Scheme,
    transport::{AnswerLimits, Body, Transport, TransportError, Watch, stalling},
};

/// How long a connection may take: what makes up for two lost SYN packets, and no more.
const CONNECT_LIMIT: Duration = Duration::from_secs(10);
/// How long an idle connection is kept: less than the 60 s after which common load balancers close it.
const IDLE_LIMIT: Duration = Duration::from_secs(30);
/// How many idle connections are kept: as many as one client's requests at once.
const IDLE_CONNECTIONS: usize = 32;
/// How often a connection is probed, so that one to a host that is gone ends.
const KEEPALIVE: Duration = Duration::from_secs(30);
/// What registries' logs know us by.
const USER_AGENT: &str = concat!("reposure/", env!("CARGO_PKG_VERSION"));

/// Sends requests with absolute URIs; knows of no credentials and follows no redirects.
#[derive(Clone, Debug)]
pub(crate) struct HttpClient {
    client: Client<HttpsConnector<HttpConnector>, Body>,
    answer_limit: Duration,
    hop: &'static str,
}

impl HttpClient {
    /// `scheme` says whether plain HTTP is allowed, `answer_limit` how long an answer, or the next piece of one, may take.
    pub(crate) fn new(tls: ClientConfig, scheme: Scheme, answer_limit: Duration, hop: &'static str) -> Self {
        let mut tcp = HttpConnector::new();
        tcp.enforce_http(false);
        tcp.set_nodelay(true);
        tcp.set_connect_timeout(Some(CONNECT_LIMIT));
        tcp.set_keepalive(Some(KEEPALIVE));
        let schemes = HttpsConnectorBuilder::new().with_tls_config(tls);
        let schemes = match scheme {
            Scheme::Http => schemes.https_or_http(),
            Scheme::Https => schemes.https_only(),
        };
        let client = Client::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(IDLE_LIMIT)
            .pool_max_idle_per_host(IDLE_CONNECTIONS)
            .build(schemes.enable_http1().wrap_connector(tcp));
        Self { client, answer_limit, hop }
    }

    async fn exchange(&self, mut request: Request<Body>) -> Result<Response<Body>, TransportError> {
        let headers = request.headers_mut();
        // Compressed by the registry's proxy, blobs would have other bytes than their digests say.
        headers.insert(header::ACCEPT_ENCODING, HeaderValue::from_static("identity"));
        headers.entry(header::USER_AGENT).or_insert(HeaderValue::from_static(USER_AGENT));
        let at = Request::builder().method(request.method().clone()).uri(request.uri().clone());
        let at = at.body(()).unwrap_or_default();
        let failed = Arc::new(AtomicBool::new(false));
        let (request, watch) = watched(request, &failed);
        let limits = AnswerLimits { piece: self.answer_limit, end: self.answer_limit };
        match watch.answer(limits, self.client.request(request)).await {
            Ok(Ok(answer)) => {
                Ok(answer.map(|body| stalling(body.map_err(Into::into).boxed_unsync(), self.answer_limit)))
            }
            Ok(Err(error)) => {
                let cause = Cause::of(&error, failed.load(Ordering::Relaxed));
                Err(self.error(&at, cause, Some(error)))
            }
            Err(limit) => Err(self.error(&at, Cause::Timeout(limit), None)),
        }
    }

    fn error(&self, request: &Request<()>, cause: Cause, source: Option<Error>) -> TransportError {
        let host = request.uri().authority().map(ToString::to_string).unwrap_or_default();
        let source = source.map(Into::into);
        TransportError {
            method: request.method().clone(),
            path: request.uri().path().into(),
            hop: self.hop,
            transient: cause.is_transient(),
            source: DirectError { host, cause, source }.into(),
        }
    }
}

/// Watches a body's progress, and notes that it failed of itself, which the client's error does not tell.
fn watched(request: Request<Body>, failed: &Arc<AtomicBool>) -> (Request<Body>, Arc<Watch>) {
    let (parts, body) = request.into_parts();
    let failed = Arc::clone(failed);
    let body = body.map_err(move |error| {
        failed.store(true, Ordering::Relaxed);
        error
    });
    let (body, watch) = Watch::over(body.boxed_unsync());
    (Request::from_parts(parts, body), watch)
}

impl Transport for HttpClient {
    fn send(&self, request: Request<Body>) -> BoxFuture<'_, Result<Response<Body>, TransportError>> {
        Box::pin(self.exchange(request))
    }
}

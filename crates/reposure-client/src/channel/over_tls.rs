//! A pool of HTTP/1.1 connections over TLS, or without, with a surrogate, on streams of any kind.

use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response, Uri, uri::Scheme};
use http_body_util::{BodyExt as _, Full};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder, MaybeHttpsStream};
use hyper_util::{
    client::legacy::{self, connect::Connection},
    rt::{TokioExecutor, TokioIo, TokioTimer},
};
use reposure_oci::{Body, transport::BoxError};
use tokio::time::Instant;
use tower::{Service, ServiceExt as _, util::MapResponse};

use super::{
    any_certificate,
    greedy::{Greedy, greedy},
    pool::Pool,
};

/// How long an idle connection is kept: less than the surrogate keeps it.
const IDLE: Duration = Duration::from_secs(80);

/// The stream of HTTP, over TLS on a stream `S`.
type Secured<S> = TokioIo<Greedy<TokioIo<MaybeHttpsStream<S>>>>;
type Connector<C> = MapResponse<
    HttpsConnector<C>,
    fn(MaybeHttpsStream<<C as Service<Uri>>::Response>) -> Secured<<C as Service<Uri>>::Response>,
>;

/// Connections that `C` makes.
pub(super) struct OverTls<C: Service<Uri>> {
    scheme: Scheme,
    /// What the URIs of requests name; a connector may have no use for it.
    authority: String,
    pool: Pool<Connector<C>, Full<Bytes>>,
}

impl<C> OverTls<C>
where
    C: Service<Uri> + Clone + Send + Sync + 'static,
    C::Response: hyper::rt::Read + hyper::rt::Write + Connection + Unpin + Send + 'static,
    C::Future: Send,
    C::Error: Into<BoxError>,
{
    pub(super) fn new(connector: C, authority: String) -> Result<Self, rustls::Error> {
        let connector = HttpsConnectorBuilder::new()
            .with_tls_config(any_certificate::client_config()?)
            .https_or_http()
            .enable_http1()
            .wrap_connector(connector);
        let greedy: fn(_) -> _ = greedy;
        let mut builder = legacy::Builder::new(TokioExecutor::new());
        builder.pool_timer(TokioTimer::new()).pool_idle_timeout(IDLE);
        let pool = Pool::new(builder, connector.map_response(greedy));
        Ok(Self { scheme: Scheme::HTTPS, authority, pool })
    }

    /// Returns connections without TLS.
    pub(super) fn without_tls(&self) -> Self {
        Self { scheme: Scheme::HTTP, ..self.clone() }
    }

    /// Uses no connection again that there was at `sent`.
    pub(super) fn leave_idle(&self, sent: Instant) {
        self.pool.leave(sent);
    }

    pub(super) async fn send(&self, request: Request<Bytes>) -> Result<Response<Body>, BoxError> {
        let (mut parts, body) = request.into_parts();
        let path = parts.uri.path_and_query().map_or("/", |path| path.as_str());
        parts.uri = format!("{}://{}{path}", self.scheme, self.authority).parse::<Uri>()?;
        let response = self.pool.clone().oneshot(Request::from_parts(parts, Full::new(body))).await?;
        Ok(response.map(|body| body.map_err(BoxError::from).boxed_unsync()))
    }
}

impl<C: Service<Uri>> Clone for OverTls<C>
where
    Connector<C>: Clone,
{
    fn clone(&self) -> Self {
        let (scheme, authority) = (self.scheme.clone(), self.authority.clone());
        Self { scheme, authority, pool: self.pool.clone() }
    }
}

impl<C: Service<Uri>> std::fmt::Debug for OverTls<C> {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("OverTls").field("authority", &self.authority).finish_non_exhaustive()
    }
}

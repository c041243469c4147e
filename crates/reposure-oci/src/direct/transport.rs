//! The transport: connections, credentials, redirects.

use std::{sync::Arc, time::Duration};

use futures::future::BoxFuture;
use http::{HeaderValue, Request, Response, StatusCode, Uri, header, request::Parts};

use super::{
    clients::Clients,
    error::{Cause, DirectError},
    location,
    peer::PeerCertificate,
    redirect,
    replay::Replay,
    tls::{ClientIdentity, TlsError, TrustAnchors},
};
use crate::{
    auth::{AuthError, Authenticator, Credentials, CredentialsSource, FixedCredentials, Scopes},
    endpoint::Endpoint,
    transport::{self, Body, BoxError, Transport, TransportError},
};

/// How long a registry may take to answer, or to send or take the next piece of a body. Putting a large blob into an object
/// store at the end of an upload takes Distribution a minute and more.
const ANSWER_LIMIT: Duration = Duration::from_secs(300);

/// How a registry is reached.
#[derive(Clone, Debug)]
pub struct DirectOptions {
    /// Where it is.
    pub endpoint: Endpoint,
    /// Which certificates are trusted.
    pub trust: TrustAnchors,
    /// The certificate that is shown to the registry, where it asks for one.
    pub identity: Option<ClientIdentity>,
    /// Who takes note of the certificate that the registry shows.
    pub peer: Option<Arc<PeerCertificate>>,
    /// Who we are.
    pub credentials: Arc<dyn CredentialsSource>,
    /// Where tokens are fetched, instead of where the registry says.
    pub realm: Option<url::Url>,
    /// How long the registry may take to answer, or to send or take the next piece of a body; 5 minutes by default. While a
    /// request's own body has nothing to give, the time does not run.
    pub answer_limit: Duration,
}

impl DirectOptions {
    /// Reaches a registry as nobody, trusting the system's certificates.
    pub fn new(endpoint: Endpoint) -> Self {
        let credentials = Arc::new(FixedCredentials::from(Credentials::Anonymous));
        Self {
            endpoint,
            trust: TrustAnchors::System,
            identity: None,
            peer: None,
            credentials,
            realm: None,
            answer_limit: ANSWER_LIMIT,
        }
    }
}

/// A direct connection to a registry.
#[derive(Clone, Debug)]
pub struct DirectTransport {
    endpoint: Endpoint,
    clients: Clients,
    authenticator: Arc<Authenticator>,
}

impl DirectTransport {
    /// Prepares connections; none is made yet.
    ///
    /// # Errors
    /// When the trusted certificates are malformed, or the client's own does not fit its key.
    pub fn new(options: DirectOptions) -> Result<Self, TlsError> {
        let endpoint = options.endpoint;
        let (identity, peer) = (options.identity.as_ref(), options.peer.as_ref());
        let clients = Clients::new(&endpoint, &options.trust, identity, peer, options.answer_limit)?;
        let authenticator = Authenticator::new(endpoint.clone(), options.credentials);
        let authenticator = Arc::new(match options.realm {
            Some(realm) => authenticator.with_realm(realm),
            None => authenticator,
        });
        Ok(Self { endpoint, clients, authenticator })
    }

    /// Returns where the registry is.
    pub const fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }

    async fn exchange(&self, request: Request<Body>) -> Result<Response<Body>, TransportError> {
        let (parts, body) = self.absolute(request).into_parts();
        let failed = |source| self.error(&parts, Cause::Body, Some(source));
        let replay = Replay::of(body).await.map_err(failed)?;
        let mut answer = self.authenticated(&parts, replay).await?;
        location::make_relative(&mut answer, &self.endpoint);
        Ok(answer)
    }

    /// Sends a request with credentials, and again with other ones if they are refused.
    async fn authenticated(&self, parts: &Parts, replay: Replay) -> Result<Response<Body>, TransportError> {
        let scopes = parts.extensions.get().cloned().unwrap_or_else(|| Scopes::of(&parts.method, &parts.uri));
        let failed = |source| auth_error(parts, source);
        let (authenticator, clients) = (&self.authenticator, &self.clients);
        let used = if replay.is_once() {
            authenticator.prepare(clients, &scopes).await.map_err(failed)?
        } else {
            authenticator.authorize(clients, &scopes).await.map_err(failed)?
        };
        let (body, again) = replay.take();
        let answer = self.follow(parts, body, used.as_ref()).await?;
        let (StatusCode::UNAUTHORIZED, Some(again)) = (answer.status(), again) else { return Ok(answer) };
        let other =
            authenticator.renew(clients, &scopes, used.as_ref(), answer.headers()).await.map_err(failed)?;
        match other {
            Some(other) => self.follow(parts, transport::full(again), Some(&other)).await,
            None => Ok(answer),
        }
    }

    /// Sends a request, and follows where it is redirected to.
    async fn follow(
        &self,
        parts: &Parts,
        body: Body,
        authorization: Option<&HeaderValue>,
    ) -> Result<Response<Body>, TransportError> {
        let mut answer = self.once(parts, parts.uri.clone(), body, authorization).await?;
        let mut at = parts.uri.clone();
        for _ in 0..redirect::LIMIT {
            let Some(target) = redirect::target(&parts.method, &answer) else { return Ok(answer) };
            let refused =
                |refusal: redirect::Refusal| self.error(parts, Cause::Redirect, Some(refusal.into()));
            at = redirect::resolve(&at, &target, &self.endpoint).map_err(refused)?;
            answer = self.once(parts, at.clone(), transport::empty(), authorization).await?;
        }
        match redirect::target(&parts.method, &answer) {
            Some(_) => Err(self.error(parts, Cause::Redirect, Some(redirect::Refusal::TooMany.into()))),
            None => Ok(answer),
        }
    }

    async fn once(
        &self,
        parts: &Parts,
        uri: Uri,
        body: Body,
        authorization: Option<&HeaderValue>,
    ) -> Result<Response<Body>, TransportError> {
        let own = self.endpoint.is_origin_of(&uri);
        let mut request = Request::new(body);
        *request.method_mut() = parts.method.clone();
        *request.headers_mut() = parts.headers.clone();
        *request.uri_mut() = uri;
        if let Some(value) = authorization.filter(|_| own) {
            request.headers_mut().insert(header::AUTHORIZATION, value.clone());
        }
        self.clients.send(request).await
    }

    /// Puts the registry's scheme and host before a request's path, and takes off what only this transport may say.
    fn absolute(&self, mut request: Request<Body>) -> Request<Body> {
        *request.uri_mut() = self.endpoint.uri(request.uri().path_and_query());
        request.headers_mut().remove(header::AUTHORIZATION);
        request.headers_mut().remove(header::HOST);
        request
    }

    fn error(&self, parts: &Parts, cause: Cause, source: Option<BoxError>) -> TransportError {
        let host = self.endpoint.host().into();
        TransportError {
            method: parts.method.clone(),
            path: parts.uri.path().into(),
            hop: "registry",
            transient: cause.is_transient(),
            source: DirectError { host, cause, source }.into(),
        }
    }
}

fn auth_error(parts: &Parts, source: AuthError) -> TransportError {
    TransportError {
        method: parts.method.clone(),
        path: parts.uri.path().into(),
        hop: source.hop(),
        transient: source.is_transient(),
        source: source.into(),
    }
}

impl Transport for DirectTransport {
    fn send(&self, request: Request<Body>) -> BoxFuture<'_, Result<Response<Body>, TransportError>> {
        Box::pin(self.exchange(request))
    }

    fn url(&self, path: &str) -> String {
        format!("{}{path}", self.endpoint)
    }

    fn host(&self) -> Option<&str> {
        Some(self.endpoint.host())
    }
}

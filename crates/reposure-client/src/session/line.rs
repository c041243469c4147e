//! A channel with its tokens: single exchanges, without what makes a session of them.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use http::{HeaderValue, Method, Request, Response, StatusCode, header};
use reposure_oci::Body;
use reposure_parcel::{
    hello::Hello,
    wire::{self, Right},
};
use secrecy::ExposeSecret as _;
use tokio::time::{Instant, timeout};

use super::{Answer, SessionError, answer, pace::Pace, request, round_trip::RoundTrip};
use crate::{channel::Channel, token::TokenSource};

/// How long any answer may take to begin: a surrogate answers within `limits::SILENCE` once a request is there whole.
pub(super) const ANSWER_DEADLINE: Duration = Duration::from_secs(30);

/// A channel, and who speaks over it.
#[derive(Debug)]
pub(super) struct Line {
    pub(super) channel: Arc<dyn Channel>,
    pub(super) tokens: Arc<dyn TokenSource>,
    pub(super) right: Right,
    pub(super) round_trip: Arc<RoundTrip>,
    pub(super) pace: Arc<Pace>,
}

impl Line {
    /// Returns the same over another channel.
    pub(super) fn over(&self, channel: Arc<dyn Channel>) -> Self {
        let (tokens, right) = (self.tokens.clone(), self.right);
        Self { channel, tokens, right, round_trip: self.round_trip.clone(), pace: self.pace.clone() }
    }

    /// Asks who is there, and checks that there is a version that both speak.
    pub(super) async fn hello(&self, deadline: Duration) -> Result<Hello, SessionError> {
        let hello = timeout(deadline, self.ask_hello())
            .await
            .map_err(|_| SessionError::Timeout { path: wire::HELLO.into(), waited: deadline })??;
        let (oldest, newest) = hello.versions;
        if oldest > wire::VERSION || newest < wire::OLDEST_VERSION {
            return Err(SessionError::Version { build: hello.build, oldest, newest });
        }
        Ok(hello)
    }

    async fn ask_hello(&self) -> Result<Hello, SessionError> {
        let asked = request(Method::GET, wire::HELLO, "", Bytes::new())?;
        self.ask_once(asked, wire::HELLO).await?.parse(wire::HELLO)
    }

    /// Sends a request as it is, and returns the surrogate's own answer, of a status below 400. One that takes longer is none.
    pub(super) async fn ask_once(&self, request: Request<Bytes>, path: &str) -> Result<Answer, SessionError> {
        let response = self.exchange(request).await?;
        let response = answer::checked(response, self.channel.as_ref(), path).await?;
        Answer::read(response, path).await
    }

    /// Sends a request, once more with a new token where the surrogate refuses the one in the cache.
    pub(super) async fn ask(&self, request: Request<Bytes>) -> Result<Response<Body>, SessionError> {
        let response = self.exchange(request.clone()).await?;
        if response.status() != StatusCode::UNAUTHORIZED || !answer::is_of_surrogate(&response) {
            return Ok(response);
        }
        self.tokens.forget().await;
        self.exchange(request).await
    }

    /// Sends one request with a token and the headers that every request has.
    pub(super) async fn exchange(&self, mut request: Request<Bytes>) -> Result<Response<Body>, SessionError> {
        if self.channel.needs_token() {
            self.add_token(&mut request).await?;
        }
        self.exchange_as_it_is(request).await
    }

    /// Sends one request that shows another leave than a token, with the headers that every request has.
    pub(super) async fn exchange_as_it_is(
        &self,
        mut request: Request<Bytes>,
    ) -> Result<Response<Body>, SessionError> {
        let path = request.uri().path().to_owned();
        // The API server's HTTP client asks for gzip where no encoding is named, and unpacks it: a digest would not fit.
        request.headers_mut().insert(header::ACCEPT_ENCODING, HeaderValue::from_static("identity"));
        let length = request.body().len();
        let began = Instant::now();
        let answered = match self.pace.wait(length, self.channel.send(request)).await {
            Ok(answered) => answered,
            Err(waited) => {
                self.channel.leave_idle(began);
                return Err(SessionError::Timeout { path, waited });
            }
        };
        let response = answered.map_err(|source| SessionError::Channel {
            channel: self.channel.name(),
            path,
            source,
        })?;
        self.round_trip.note(began.elapsed());
        if response.status().is_success() && answer::is_of_surrogate(&response) {
            self.pace.note(length, began.elapsed());
        }
        Ok(response)
    }

    async fn add_token(&self, request: &mut Request<Bytes>) -> Result<(), SessionError> {
        let token = timeout(ANSWER_DEADLINE, self.tokens.token(self.right))
            .await
            .map_err(|_| SessionError::Timeout { path: "a token".into(), waited: ANSWER_DEADLINE })?;
        if let Some(token) = token.map_err(SessionError::Token)? {
            let mut value = HeaderValue::from_str(token.expose_secret()).map_err(|source| {
                SessionError::Malformed { path: request.uri().path().into(), source: source.into() }
            })?;
            value.set_sensitive(true);
            request.headers_mut().insert(wire::TOKEN_HEADER, value);
        }
        Ok(())
    }
}

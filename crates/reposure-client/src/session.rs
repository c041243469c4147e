//! A channel with its tokens and the surrogate's hello: what push, pull, list and delete speak to.

mod answer;
mod early;
mod error;
mod line;
mod pace;
mod probe;
mod round_trip;
mod scouted;
mod storage;
mod tickets;

use std::{pin::pin, sync::Arc, time::Duration};

use bytes::{Bytes, BytesMut};
use futures::{
    FutureExt as _,
    future::{BoxFuture, Either, select},
};
use http::{HeaderValue, Method, Request, Response, StatusCode, header};
use http_body::Body as _;
use http_body_util::{BodyExt as _, Limited};
use reposure_oci::{Body, Transport, TransportError, transport};
use reposure_parcel::{
    exists::{Exists, Missing},
    hello::Hello,
    limits,
    problem::Code,
    ticket,
    upload::{Open, Progress as UploadProgress, Stored},
    wire::{self, Right},
};
use serde::{Serialize, de::DeserializeOwned};
use tokio::time::{Instant, timeout};

use crate::{
    channel::{Alternatives, Channel},
    push::Ahead,
    token::TokenSource,
};

use early::Early;
pub use error::SessionError;
use line::Line;
pub use round_trip::FAR;
use round_trip::RoundTrip;
use scouted::Scouted;
pub(crate) use tickets::Tickets;

/// How long the first answer of a surrogate may take.
const HELLO_DEADLINE: Duration = Duration::from_secs(10);
/// How long it may take on a way that is taken only if it is there.
const SECOND_HELLO_DEADLINE: Duration = Duration::from_secs(3);
/// How long an answer's body may bring nothing.
const STALL_DEADLINE: Duration = Duration::from_secs(30);
/// How often a late answer is asked for, at most: the surrogate holds each such request back until there is one.
const LATE_ANSWERS: usize = 120;
/// The largest answer that is held in memory whole, as JSON.
const JSON_ANSWER: usize = 1 << 20;

/// A surrogate that said hello.
///
/// As a [`Transport`] it sends `/v2/…` requests to the registry behind the surrogate.
#[derive(Debug)]
pub struct Session {
    line: Line,
    hello: Hello,
    early: Early,
    /// The way for blobs without TLS, where the surrogate gives tickets.
    clear: Option<Arc<dyn Channel>>,
    /// Whether chunks go that way.
    chunks: Scouted,
}

/// A status with a JSON body.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) bytes: Bytes,
}

/// What came of opening an upload.
#[derive(Debug)]
pub(crate) enum Opened {
    /// The blob may come.
    Upload(UploadProgress),
    /// It is there.
    Stored(Stored),
}

impl Answer {
    /// Reads an answer of the surrogate's own to its end.
    async fn read(response: Response<Body>, path: &str) -> Result<Self, SessionError> {
        let status = response.status();
        Ok(Self { status, bytes: collect(response.into_body(), path, JSON_ANSWER).await? })
    }

    pub(crate) fn parse<T: DeserializeOwned>(&self, path: &str) -> Result<T, SessionError> {
        serde_json::from_slice(&self.bytes)
            .map_err(|source| SessionError::Malformed { path: path.into(), source: source.into() })
    }
}

impl Session {
    /// Says hello over `channel`, to work with the rights of `right`.
    ///
    /// # Errors
    /// When the surrogate itself does not answer within 10 s, refuses the token, or speaks no version of ours.
    pub async fn open(
        channel: Arc<dyn Channel>,
        tokens: Arc<dyn TokenSource>,
        right: Right,
    ) -> Result<Self, SessionError> {
        Self::open_for(channel, tokens, right, None).await
    }

    /// Does the same for a push, which asks its first question along with the hello.
    ///
    /// # Errors
    /// As [`open`](Self::open). A question without an answer is asked again by the push.
    pub async fn open_for(
        channel: Arc<dyn Channel>,
        tokens: Arc<dyn TokenSource>,
        right: Right,
        ahead: Option<&Ahead>,
    ) -> Result<Self, SessionError> {
        let line =
            Line { channel, tokens, right, round_trip: Arc::new(RoundTrip::unknown()), pace: Arc::default() };
        let early = Early::default();
        let hello = Self::ask_first(&line, &early, ahead).await?;
        let clear = line.channel.clear().filter(|_| hello.can(ticket::CAPABILITY));
        let mut session = Self { line, hello, early, clear, chunks: Scouted::default() };
        session.unwrap().await;
        Ok(session)
    }

    /// Says hello and asks what a push wants to know; without a hello there is no answer to wait for.
    async fn ask_first(line: &Line, early: &Early, ahead: Option<&Ahead>) -> Result<Hello, SessionError> {
        let (hello, asked) = (pin!(line.hello(HELLO_DEADLINE)), pin!(early.ask(line, ahead)));
        match select(hello, asked).await {
            Either::Left((hello, asked)) => {
                let hello = hello?;
                // What was answered until then is there.
                let _ = timeout(early::PATIENCE, asked).await;
                Ok(hello)
            }
            Either::Right(((), hello)) => hello.await,
        }
    }

    /// Leaves the surrogate's TLS out, where the way does without it and leads to the surrogate so.
    async fn unwrap(&mut self) {
        let unwrapped = self.line.channel.unwrapped().filter(|_| self.hello.can(wire::PLAIN));
        let Some(unwrapped) = unwrapped else { return };
        let unwrapped = self.line.over(unwrapped);
        if unwrapped.hello(SECOND_HELLO_DEADLINE).await.is_ok() {
            self.line = unwrapped;
        }
    }

    /// Goes on over the next of these channels where the one in use stays broken.
    #[must_use]
    pub fn with_alternatives(self, others: Vec<Arc<dyn Channel>>) -> Self {
        if others.is_empty() {
            return self;
        }
        let channel = Arc::new(Alternatives::new(self.line.channel.clone(), others));
        Self { line: self.line.over(channel), ..self }
    }

    /// Returns what the surrogate said of itself.
    pub const fn hello(&self) -> &Hello {
        &self.hello
    }

    /// Returns how long the quickest answer took so far.
    pub(crate) fn round_trip(&self) -> Duration {
        self.line.round_trip.get()
    }

    /// Tells whether the way to the surrogate is a long one, as far as that is known: [`FAR`] or longer.
    pub fn is_far(&self) -> bool {
        self.round_trip() >= FAR
    }

    /// Takes note that what was asked for at `sent` stopped to come, so that nothing is asked for on what is idle since then.
    pub(crate) fn leave_idle(&self, sent: Instant) {
        self.line.channel.leave_idle(sent);
    }

    /// Returns how many chunks or ranges at once are the most that make its channel quicker, where it is near.
    pub(crate) fn most_at_once(&self) -> usize {
        self.line.channel.most_at_once()
    }

    /// Returns the channel's name.
    pub fn channel_name(&self) -> &'static str {
        self.line.channel.name()
    }

    /// Sends a message and returns the surrogate's own answer, of a status below 400.
    pub(crate) async fn call<T: Serialize>(
        &self,
        method: Method,
        path: &str,
        message: Option<&T>,
    ) -> Result<Answer, SessionError> {
        let body = json(path, message)?;
        let response = self.send(request(method, path, "application/json", body)?).await?;
        Answer::read(response, path).await
    }

    /// Asks which blobs are missing.
    pub(crate) async fn exists(&self, question: &Exists) -> Result<Missing, SessionError> {
        if let Some(missing) = self.early.missing(question) {
            return Ok(missing);
        }
        self.call(Method::POST, wire::EXISTS, Some(question)).await?.parse(wire::EXISTS)
    }

    /// Opens an upload, unless the blob is there or can be mounted.
    pub(crate) async fn open_upload(&self, wish: &Open) -> Result<Opened, SessionError> {
        if let Some(opened) = self.early.upload(wish) {
            return Ok(Opened::Upload(opened));
        }
        let answer = self.call(Method::POST, wire::UPLOADS, Some(wish)).await?;
        if answer.status == StatusCode::CREATED {
            answer.parse(wire::UPLOADS).map(Opened::Upload)
        } else {
            answer.parse(wire::UPLOADS).map(Opened::Stored)
        }
    }

    /// Sends bytes and returns the surrogate's own answer, of a status below 400.
    pub(crate) async fn put(&self, path: &str, bytes: Bytes) -> Result<Answer, SessionError> {
        let response = self.send(request(Method::PUT, path, "application/octet-stream", bytes)?).await?;
        Answer::read(response, path).await
    }

    /// Sends a request and returns an answer that is no error of the API server's or the surrogate's own.
    ///
    /// # Errors
    /// When there is no such answer. What the registry answers is no error here, whatever its status.
    ///
    /// # Cancel safety
    /// Dropping the future ends the exchange; the surrogate may have acted on it.
    pub async fn send(&self, request: Request<Bytes>) -> Result<Response<Body>, SessionError> {
        let path = request.uri().path().to_owned();
        // The late answer to a HEAD is asked for by HEAD, lest its length be taken for that of a body.
        let method = if *request.method() == Method::HEAD { Method::HEAD } else { Method::GET };
        let mut response = self.line.ask(request).await?;
        for questions in 0..LATE_ANSWERS {
            let Some(result) = answer::late(&response) else {
                let checked = answer::checked(response, self.line.channel.as_ref(), &path).await;
                return checked.map_err(|error| if questions > 0 { lost_answer(error) } else { error });
            };
            let later =
                self::request(method.clone(), &format!("{}/{result}", wire::RESULTS), "", Bytes::new())?;
            response = self.line.ask(later).await?;
        }
        Err(SessionError::Timeout { path, waited: limits::SILENCE.saturating_mul(120) })
    }
}

impl Transport for Session {
    fn send(&self, request: Request<Body>) -> BoxFuture<'_, Result<Response<Body>, TransportError>> {
        async move {
            let (method, path) = (request.method().clone(), request.uri().path().to_owned());
            let (mut parts, body) = request.into_parts();
            parts.headers.insert(wire::ASYNC_HEADER, HeaderValue::from_static("1"));
            let limit = usize::try_from(limits::LARGEST_CHUNK).unwrap_or(usize::MAX);
            let sent = async {
                let body = collect(body, &path, limit).await?;
                Self::send(self, Request::from_parts(parts, body)).await
            };
            sent.await.map_err(|error| transport_error(method, path.clone(), error))
        }
        .boxed()
    }
}

/// A surrogate that does not know a late answer has been replaced meanwhile, or has given it already: the request is to be made
/// again.
fn lost_answer(error: SessionError) -> SessionError {
    match error {
        SessionError::Problem { path, problem, .. } if problem.code == Code::NotFound => {
            SessionError::Broken { path, source: problem.message.into() }
        }
        error => error,
    }
}

fn transport_error(method: Method, path: String, error: SessionError) -> TransportError {
    TransportError { method, path, hop: error.hop(), transient: error.is_transient(), source: error.into() }
}

fn json<T: Serialize>(path: &str, message: Option<&T>) -> Result<Bytes, SessionError> {
    let Some(message) = message else { return Ok(Bytes::new()) };
    let malformed =
        |source: serde_json::Error| SessionError::Malformed { path: path.into(), source: source.into() };
    serde_json::to_vec(message).map(Into::into).map_err(malformed)
}

pub(crate) fn request(
    method: Method,
    path: &str,
    content_type: &'static str,
    body: Bytes,
) -> Result<Request<Bytes>, SessionError> {
    let mut builder = Request::builder().method(method).uri(path);
    if !content_type.is_empty() {
        builder = builder.header(header::CONTENT_TYPE, content_type);
    }
    builder.body(body).map_err(|source| SessionError::Malformed { path: path.into(), source: source.into() })
}

/// Reads a body to its end, with a deadline for each piece.
pub(crate) async fn collect(body: Body, path: &str, limit: usize) -> Result<Bytes, SessionError> {
    // What an answer says of its length is a hint; the limit is what holds.
    let announced = body.size_hint().exact().and_then(|length| usize::try_from(length).ok());
    let mut whole = BytesMut::with_capacity(announced.unwrap_or_default().min(limit));
    let mut body = Limited::new(body, limit);
    while let Some(bytes) = frame(&mut body, path).await? {
        whole.extend_from_slice(&bytes);
    }
    Ok(whole.freeze())
}

/// Reads the next piece of a body, within the deadline that it has; `None` is the body's end.
pub(crate) async fn frame<B>(body: &mut B, path: &str) -> Result<Option<Bytes>, SessionError>
where
    B: http_body::Body<Data = Bytes, Error = transport::BoxError> + Unpin,
{
    let frame = timeout(STALL_DEADLINE, body.frame())
        .await
        .map_err(|_| SessionError::Timeout { path: path.into(), waited: STALL_DEADLINE })?;
    let Some(frame) = frame else { return Ok(None) };
    let frame = frame.map_err(|source| SessionError::Broken { path: path.into(), source })?;
    // Trailers are no bytes.
    Ok(Some(frame.into_data().unwrap_or_default()))
}

#[cfg(test)]
mod tests;

//! A channel with its tokens and the surrogate's hello: what push, pull, list and delete speak to.

mod answer;
mod early;
mod error;
mod line;
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
use tokio::time::timeout;

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
        let line = Line { channel, tokens, right, round_trip: Arc::new(RoundTrip::unknown()) };
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
mod tests {
    use std::{
        collections::VecDeque,
        sync::{
            Mutex,
            atomic::{AtomicUsize, Ordering},
        },
    };

    use reposure_oci::Digest;
    use reposure_parcel::{
        hello::{Limits, Upstream},
        problem::Problem,
    };
    use reposure_testing::RandomImage;
    use secrecy::SecretString;
    use serde_json::Value;

    use super::*;
    use crate::{
        channel::ChannelError,
        token::{NoTokens, TokenError},
    };

    /// A surrogate that gives these answers, whatever is asked.
    #[derive(Debug)]
    struct Script {
        answers: Mutex<VecDeque<Response<Body>>>,
        /// The tokens that came.
        tokens: Mutex<Vec<String>>,
    }

    fn script(answers: impl Into<VecDeque<Response<Body>>>) -> Arc<Script> {
        Arc::new(Script { answers: Mutex::new(answers.into()), tokens: Mutex::default() })
    }

    /// Gives another token each time that one was forgotten.
    #[derive(Debug, Default)]
    struct Tokens(AtomicUsize);

    impl TokenSource for Tokens {
        fn token(&self, _: Right) -> BoxFuture<'_, Result<Option<SecretString>, TokenError>> {
            let token = format!("token-{}", self.0.load(Ordering::Relaxed));
            std::future::ready(Ok(Some(token.into()))).boxed()
        }

        fn forget(&self) -> BoxFuture<'_, ()> {
            self.0.fetch_add(1, Ordering::Relaxed);
            std::future::ready(()).boxed()
        }
    }

    impl Channel for Script {
        fn name(&self) -> &'static str {
            "script"
        }

        fn send(&self, request: Request<Bytes>) -> BoxFuture<'_, Result<Response<Body>, ChannelError>> {
            let token = request.headers().get(wire::TOKEN_HEADER).map(|token| token.to_str().unwrap().into());
            self.tokens.lock().unwrap().extend(token);
            let answer = self.answers.lock().unwrap().pop_front().expect("no more is asked");
            std::future::ready(Ok(answer)).boxed()
        }
    }

    fn answer(status: u16, header: &str, body: impl Serialize) -> Response<Body> {
        let body = transport::full(serde_json::to_vec(&body).unwrap());
        let answer = Response::builder().status(status).header(wire::VERSION_HEADER, "1");
        answer.header(header, "a1").body(body).unwrap()
    }

    fn hello() -> Hello {
        Hello {
            versions: (1, 1),
            build: String::new(),
            namespace: String::new(),
            registry: String::new(),
            pod_uid: String::new(),
            right: Right::Pull,
            upstream: Upstream {
                host: String::new(),
                reachable: true,
                problem: None,
                kind: None,
                certificate: None,
            },
            limits: Limits::default(),
            capabilities: Vec::new(),
        }
    }

    #[tokio::test]
    async fn an_answer_that_a_new_surrogate_does_not_know_may_be_asked_for_again() {
        let unknown =
            || answer(404, wire::PROBLEM_HEADER, Problem::new(Code::NotFound, "there is no result"));
        let answers =
            [answer(200, "x", hello()), answer(202, wire::RESULT_HEADER, Value::Null), unknown(), unknown()];
        let session = Session::open(script(answers), Arc::new(NoTokens), Right::Pull).await.unwrap();
        let ask = || request(Method::GET, "/v2/", "", Bytes::new()).unwrap();
        let late = session.send(ask()).await.unwrap_err();
        assert!(late.is_transient(), "{late:?}");
        let at_once = session.send(ask()).await.unwrap_err();
        assert!(!at_once.is_transient() && at_once.code() == Some(Code::NotFound), "{at_once:?}");
    }

    #[tokio::test]
    async fn a_question_that_goes_along_with_the_hello_is_not_asked_again() {
        let image = RandomImage::new(1, 1, 10).unwrap();
        let question = Exists {
            repository: "app".parse().unwrap(),
            digests: image.blobs().iter().map(Digest::sha256_of).collect(),
            uploads: 1,
        };
        let ahead = Ahead::of_question(question.clone());
        let missing = |number: usize| Missing { missing: question.digests[..number].to_vec() };
        let answers = [answer(200, "x", hello()), answer(200, "x", missing(1)), answer(200, "x", missing(2))];
        let session =
            Session::open_for(script(answers), Arc::new(NoTokens), Right::Push, Some(&ahead)).await.unwrap();
        let other = Exists { digests: Vec::new(), ..question.clone() };
        assert!(session.early.missing(&other).is_none(), "it is for that question alone");
        assert_eq!(session.exists(&question).await.unwrap(), missing(1));
        assert_eq!(session.exists(&question).await.unwrap(), missing(2), "it may have changed");
    }

    #[tokio::test]
    async fn a_question_without_an_answer_is_asked_by_the_push() {
        let question =
            Exists { repository: "app".parse().unwrap(), digests: vec![Digest::sha256_of("a")], uploads: 1 };
        let ahead = Ahead::of_question(question.clone());
        let busy = answer(503, wire::PROBLEM_HEADER, Problem::new(Code::UpstreamBusy, "not now"));
        let good = answer(200, "x", Missing { missing: Vec::new() });
        let answers = [answer(200, "x", hello()), busy, good];
        let session =
            Session::open_for(script(answers), Arc::new(NoTokens), Right::Push, Some(&ahead)).await.unwrap();
        assert_eq!(session.exists(&question).await.unwrap().missing, []);
    }

    /// A surrogate of another version, older or newer, is taken if there is one version that both speak.
    #[tokio::test]
    async fn versions_may_be_others_as_long_as_one_is_common() {
        for (versions, fits) in [((0, 1), true), ((1, 9), true), ((2, 3), false), ((0, 0), false)] {
            let hello = Hello { versions, build: "another".into(), ..hello() };
            let opened =
                Session::open(script([answer(200, "x", hello)]), Arc::new(NoTokens), Right::Pull).await;
            match opened {
                Ok(session) => assert!(fits, "{:?}", session.hello()),
                Err(error @ SessionError::Version { .. }) => {
                    assert!(!fits && !error.is_transient(), "{error}");
                    let (oldest, newest) = versions;
                    let said = format!(
                        "the surrogate (another) speaks versions {oldest} to {newest}, this client 1 to 1"
                    );
                    assert_eq!(error.to_string(), said);
                }
                Err(error) => panic!("{error:?}"),
            }
        }
    }

    /// A token that was good when it was given may not be any more: the cluster has new keys, or a clock is wrong.
    #[tokio::test]
    async fn a_token_that_is_refused_is_replaced_once() {
        let refused = || answer(401, wire::PROBLEM_HEADER, Problem::new(Code::Unauthorized, "no"));
        let good = || answer(200, "x", Value::Null);
        let channel = script([answer(200, "x", hello()), refused(), good(), good(), refused(), refused()]);
        let session = Session::open(channel.clone(), Arc::new(Tokens::default()), Right::Pull).await.unwrap();
        let ask = || request(Method::GET, "/v2/", "", Bytes::new()).unwrap();
        session.send(ask()).await.unwrap();
        session.send(ask()).await.unwrap();
        let error = session.send(ask()).await.unwrap_err();
        assert_eq!(error.code(), Some(Code::Unauthorized));
        let tokens = channel.tokens.lock().unwrap().clone();
        assert_eq!(tokens, ["token-0", "token-0", "token-1", "token-1", "token-1", "token-2"]);
    }
}

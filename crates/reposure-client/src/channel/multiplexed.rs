//! Sessions with a surrogate over standard input and output: HTTP/2, many requests at once on each.
//!
//! There are two where there is much to send: one stream through the API server is slower than a core can be, and small requests wait
//! behind all that is on its way. More would only cost the API server. See `reposure_parcel::session`.

use std::{
    fmt, io,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use futures::{FutureExt as _, future::BoxFuture};
use http::{Method, Request, Response, Uri, Version};
use http_body_util::{BodyExt as _, Full};
use hyper::client::conn::http2;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use reposure_oci::{Body, transport::BoxError};
use reposure_parcel::{
    session::{
        ANY_TIME, CONNECTION_WINDOW, FRAME, GREETING, PING, SEND_BUFFER, SILENCE, STREAM_WINDOW, is_greeting,
    },
    watched::Watched,
};
use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWrite},
    runtime::Handle,
    sync::Mutex,
    task::JoinHandle,
    time::timeout,
};
use tokio_util::task::AbortOnDropHandle;

use super::{Channel, ChannelError, upgrade::UpgradeError};
use crate::text::excerpt;

/// The most sessions of a client: two are as fast as four, measured on two cores.
const SESSIONS: usize = 2;
/// What makes a request a large one, in bytes.
const BULK: usize = 64 << 10;
/// How long the process in the pod may take to greet once the API server has said yes.
const GREETING_DEADLINE: Duration = Duration::from_secs(10);
/// How long a session that nobody needs may take to say goodbye, and what is under way on it to end.
const GOODBYE: Duration = Duration::from_secs(1);
/// What stands in URIs in place of an address, which has no meaning.
const AUTHORITY: &str = "http://surrogate";

/// Opens streams to `reposure-surrogate session`.
pub(super) trait Open: Send + Sync + fmt::Debug {
    /// The channel's name.
    const NAME: &str;
    /// Standard input and output.
    type Stream: AsyncRead + AsyncWrite + Send + Unpin + 'static;

    /// Starts a process and returns its stream, which begins with a greeting.
    ///
    /// # Cancel safety
    /// Dropping the future ends the process.
    fn open(&self) -> BoxFuture<'_, Result<Self::Stream, OpenError>>;
}

/// Why there is no session.
#[derive(Debug, thiserror::Error)]
pub(super) enum OpenError {
    #[error(transparent)]
    Upgrade(#[from] UpgradeError),
    #[error("cannot start {program}")]
    Start {
        program: String,
        #[source]
        source: io::Error,
    },
    #[error("no session began")]
    Greeting(#[source] io::Error),
    #[error("what answered is no surrogate: {0:?}")]
    OtherGreeting(String),
    #[error("no session began within {} s", GREETING_DEADLINE.as_secs())]
    Silent,
    #[error("the session broke at its start")]
    Http(#[source] hyper::Error),
}

/// Sessions that `O` opens, when they are needed.
#[derive(Debug)]
pub(super) struct Multiplexed<O> {
    opener: O,
    places: [Place; SESSIONS],
}

/// The place of a session.
#[derive(Debug, Default)]
struct Place {
    session: Mutex<Option<Session>>,
    large_requests: Arc<AtomicUsize>,
}

#[derive(Clone, Debug)]
struct Session {
    // It is dropped first: that is what the connection ends by.
    sender: http2::SendRequest<Full<Bytes>>,
    _connection: Arc<Connection>,
}

/// The task of a session, which says goodbye when nobody has a request for it any more.
#[derive(Debug)]
struct Connection(Option<JoinHandle<()>>);

impl Drop for Connection {
    fn drop(&mut self) {
        let Some(task) = self.0.take() else { return };
        let abort = AbortOnDropHandle::new(task);
        // There is no runtime any more when the process ends.
        if let Ok(runtime) = Handle::try_current() {
            runtime.spawn(timeout(GOODBYE, abort));
        }
    }
}

/// A large request that is under way.
#[derive(Debug)]
struct Busy(Arc<AtomicUsize>);

impl Busy {
    fn new(count: &Arc<AtomicUsize>) -> Self {
        count.fetch_add(1, Ordering::Relaxed);
        Self(count.clone())
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl<O: Open> Multiplexed<O> {
    pub(super) fn new(opener: O) -> Self {
        Self { opener, places: Default::default() }
    }

    /// Sends a request, on the session with the fewest large ones if it is large itself.
    async fn exchange(&self, request: Request<Bytes>) -> Result<Response<Body>, ChannelError> {
        let large = is_large(&request);
        let place = self.place(large);
        let busy = large.then(|| Busy::new(&place.large_requests));
        let mut session = match place.session(&self.opener).await {
            Ok(session) => session,
            Err(error) => return refused(error),
        };
        let request = absolute(request).map_err(|error| ChannelError::of_surrogate(error.into()))?;
        let response = session.sender.send_request(request).await;
        let response = response.map_err(|error| ChannelError::of_surrogate(error.into()))?;
        Ok(response.map(|body| {
            let body = body.map_err(move |error| {
                // It is under way until its body has ended.
                let _ = &busy;
                BoxError::from(error)
            });
            body.boxed_unsync()
        }))
    }

    fn place(&self, large: bool) -> &Place {
        let [first, ..] = &self.places;
        let quietest = self.places.iter().min_by_key(|place| place.large_requests.load(Ordering::Relaxed));
        quietest.filter(|_| large).unwrap_or(first)
    }
}

impl<O: Open> Channel for Multiplexed<O> {
    fn name(&self) -> &'static str {
        O::NAME
    }

    /// Whoever may `exec` into the pod may do all that it can.
    fn needs_token(&self) -> bool {
        false
    }

    fn send(&self, request: Request<Bytes>) -> BoxFuture<'_, Result<Response<Body>, ChannelError>> {
        self.exchange(request).boxed()
    }
}

impl Place {
    /// Returns the session, and opens one where there is none or it has ended; of many at once, one opens it.
    async fn session(&self, opener: &impl Open) -> Result<Session, OpenError> {
        let mut place = self.session.lock().await;
        if let Some(session) = place.as_ref().filter(|session| !session.sender.is_closed()) {
            return Ok(session.clone());
        }
        *place = None;
        let session = open(opener).await?;
        Ok(place.insert(session).clone())
    }
}

async fn open(opener: &impl Open) -> Result<Session, OpenError> {
    let mut stream = opener.open().await?;
    timeout(GREETING_DEADLINE, greeted(&mut stream)).await.map_err(|_| OpenError::Silent)??;
    speak(stream, PING, SILENCE).await
}

/// Begins HTTP/2 over a stream that has greeted, asks for a sign of life each `ping`, and ends after so much `silence`.
async fn speak(
    stream: impl AsyncRead + AsyncWrite + Send + Unpin + 'static,
    ping: Duration,
    silence: Duration,
) -> Result<Session, OpenError> {
    let (sender, connection) = http2::Builder::new(TokioExecutor::new())
        .timer(TokioTimer::new())
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .max_frame_size(FRAME)
        .max_send_buf_size(SEND_BUFFER)
        .keep_alive_interval(ping)
        .keep_alive_timeout(ANY_TIME)
        .keep_alive_while_idle(true)
        .handshake(TokioIo::new(Watched::new(stream, silence)))
        .await
        .map_err(OpenError::Http)?;
    let connection = tokio::spawn(async move {
        if let Err(error) = connection.await {
            // Its requests say so too.
            tracing::debug!(%error, "a session broke");
        }
    });
    Ok(Session { sender, _connection: Arc::new(Connection(Some(connection))) })
}

/// Reads the greeting, and not a byte more.
async fn greeted(stream: &mut (impl AsyncRead + Unpin)) -> Result<(), OpenError> {
    let mut line = Vec::new();
    while line.len() < GREETING {
        match stream.read_u8().await.map_err(OpenError::Greeting)? {
            b'\n' if is_greeting(&line) => return Ok(()),
            b'\n' => break,
            byte => line.push(byte),
        }
    }
    Err(OpenError::OtherGreeting(excerpt(&line)))
}

/// Tells whether a request has much to send or to fetch.
fn is_large(request: &Request<Bytes>) -> bool {
    let fetches_blob = *request.method() == Method::GET && request.uri().path().contains("/blobs/");
    request.body().len() >= BULK || fetches_blob
}

fn absolute(request: Request<Bytes>) -> Result<Request<Full<Bytes>>, http::uri::InvalidUri> {
    let (mut parts, body) = request.into_parts();
    let path = parts.uri.path_and_query().map_or("/", |path| path.as_str());
    parts.uri = format!("{AUTHORITY}{path}").parse::<Uri>()?;
    parts.version = Version::HTTP_2;
    Ok(Request::from_parts(parts, Full::new(body)))
}

/// Passes on what the API server answered, if it is the one that refused.
fn refused(error: OpenError) -> Result<Response<Body>, ChannelError> {
    match error {
        OpenError::Upgrade(error) => error.answer().map_or_else(|| Err(error.into()), Ok),
        error => Err(ChannelError::of_surrogate(error.into())),
    }
}

#[cfg(test)]
mod tests {
    use reposure_testing::http2::{Frame, NO_SETTINGS, PREFACE, Windows};
    use tokio::io::AsyncWriteExt as _;

    use super::*;

    /// A sign of life waits behind all that is on its way; what comes meanwhile is as good.
    #[tokio::test]
    async fn a_session_lives_as_long_as_anything_comes_and_no_longer() {
        let (ping, silence) = (Duration::from_millis(20), Duration::from_millis(400));
        let beat = Duration::from_millis(100);
        let (ours, way) = tokio::io::duplex(1 << 20);
        let (theirs, far_end) = tokio::io::duplex(1 << 20);
        // What goes up is held back from some time on, and so are the answers to questions.
        let (holding, mut is_held) = tokio::sync::watch::channel(false);
        let (mut from_us, mut to_us) = tokio::io::split(way);
        let (mut from_them, mut to_them) = tokio::io::split(theirs);
        tokio::spawn(async move {
            let mut buffer = vec![0; 1 << 10];
            while let Ok(length @ 1..) = from_us.read(&mut buffer).await {
                let _ = is_held.wait_for(|held| !held).await;
                to_them.write_all(&buffer[..length]).await.unwrap();
            }
        });
        tokio::spawn(async move { tokio::io::copy(&mut from_them, &mut to_us).await });
        let service = hyper::service::service_fn(move |_| async move {
            let pieces = futures::stream::unfold(0, move |number| async move {
                tokio::time::sleep(beat).await;
                // Then it says nothing more.
                if number == 15 {
                    std::future::pending::<()>().await;
                }
                let piece = Bytes::from_static(&[0; 100]);
                Some((Ok::<_, io::Error>(hyper::body::Frame::data(piece)), number + 1))
            });
            Ok::<_, io::Error>(Response::new(http_body_util::StreamBody::new(pieces)))
        });
        let server = hyper::server::conn::http2::Builder::new(TokioExecutor::new());
        tokio::spawn(server.serve_connection(TokioIo::new(far_end), service));

        let mut session = speak(ours, ping, silence).await.unwrap();
        let request = Request::get("http://surrogate/").body(Full::default()).unwrap();
        let mut body = session.sender.send_request(request).await.unwrap().into_body();
        holding.send_replace(true);
        for _ in 0..15 {
            body.frame().await.expect("a piece").expect("it is cut though something came");
        }
        let end = timeout(Duration::from_secs(30), body.frame()).await.expect("it ends");
        assert!(end.expect("an error").is_err());
    }

    #[tokio::test]
    async fn a_greeting_is_read_to_its_end_and_no_further() {
        let line = reposure_parcel::session::greeting("0.2.0");
        let text = format!("{line}PRI");
        let mut stream = text.as_bytes();
        greeted(&mut stream).await.unwrap();
        assert_eq!(stream, b"PRI");
    }

    #[tokio::test]
    async fn what_is_no_greeting_is_refused() {
        for text in ["sh: not found\n", &"x".repeat(1000), "reposure-session 1", "", "\n"] {
            let mut stream = text.as_bytes();
            assert!(greeted(&mut stream).await.is_err(), "{text}");
        }
    }

    #[tokio::test]
    async fn a_session_that_nobody_needs_says_goodbye() {
        let (ours, mut theirs) = tokio::io::duplex(1 << 20);
        let session = speak(ours, PING, SILENCE).await.unwrap();
        // Which it answers.
        theirs.write_all(NO_SETTINGS).await.unwrap();
        tokio::time::sleep(Duration::from_millis(50)).await;
        drop(session);
        let mut said = Vec::new();
        timeout(Duration::from_secs(30), theirs.read_to_end(&mut said)).await.expect("it ends").unwrap();
        let (mut said, mut kinds) = (&said[PREFACE.len()..], Vec::new());
        while !said.is_empty() {
            kinds.push(Frame::read(&mut said).await.unwrap().kind);
        }
        assert_eq!(kinds.last(), Some(&Frame::GOAWAY), "{kinds:?}");
    }

    /// With the usual ones a pull takes a round trip for every 64 KiB, or with hyper's own for every 2 MiB.
    #[tokio::test]
    async fn both_windows_of_what_comes_are_raised() {
        let (ours, mut theirs) = tokio::io::duplex(1 << 20);
        let _session = speak(ours, PING, SILENCE).await.unwrap();
        theirs.read_exact(&mut [0; PREFACE.len()]).await.unwrap();
        let windows = timeout(Duration::from_secs(30), Windows::read(&mut theirs)).await;
        let windows = windows.expect("the window of the connection is raised").unwrap();
        assert_eq!(windows, Windows { stream: 16 << 20, connection: 32 << 20 });
    }
}

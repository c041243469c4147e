//! Registries that break off, lie, or never end: each request gives an error that names its URL and, where an answer came, the
//! status, in bounded time and memory, and no push leaves a tag without all that belongs to it.

mod deletes;
mod elsewhere;
mod pulls;
mod pushes;
mod requests;

use std::{error::Error, time::Duration};

use http::StatusCode;
use reposure_oci::{
    Digest, DirectOptions, DirectTransport, Endpoint, Scheme,
    registry::{Client, Limits},
};
use reposure_testing::{Fault, RawAnswer, RawServer, When};

use crate::fixture::limits;

/// As long as any of these may take; what goes on forever is to be cut off long before.
const DEADLINE: Duration = Duration::from_secs(60);

/// Answers that announce an answer, without end.
const ANNOUNCEMENTS: &str = "nothing but announcements";

/// So short that a busy machine may take even what is right for silent; that is an error like others.
fn short(attempts: u32) -> Limits {
    let wait = Duration::from_millis(300);
    Limits { call: wait, stall: wait, store: wait, attempts, ..limits() }
}

/// The error with all of its sources, as a program shows it.
fn text(error: &(dyn Error + 'static)) -> String {
    let chain = std::iter::successors(Some(error), |error: &&(dyn Error + 'static)| (*error).source());
    chain.map(ToString::to_string).collect::<Vec<_>>().join(": ")
}

/// Tells whether a status stands there as `502 Bad Gateway`.
fn names_status(text: &str) -> bool {
    let known = (200..600).filter_map(|status| StatusCode::from_u16(status).ok());
    known
        .filter(|status| status.canonical_reason().is_some())
        .any(|status| text.contains(&status.to_string()))
}

fn client(server: &RawServer, scheme: Scheme, attempts: u32) -> Client<DirectTransport> {
    let options = DirectOptions::new(Endpoint::new(scheme, &server.host()).unwrap());
    Client::with_limits(DirectTransport::new(options).unwrap(), short(attempts))
}

fn once(text: &str) -> RawAnswer {
    RawAnswer { start: text.into(), ..RawAnswer::default() }
}

fn forever(start: &str, forever: &str) -> RawAnswer {
    RawAnswer { start: start.into(), forever: forever.repeat(1000).into(), ..RawAnswer::default() }
}

/// What comes instead of an answer.
struct Bad {
    what: &'static str,
    answer: RawAnswer,
    /// Whether it is an answer to a `HEAD`, which has no body.
    whole_head: bool,
    /// The status, where one came.
    status: Option<&'static str>,
}

fn bad(what: &'static str, answer: RawAnswer) -> Bad {
    Bad { what, answer, whole_head: false, status: None }
}

/// What has a good status.
fn fine(what: &'static str, answer: RawAnswer) -> Bad {
    Bad { status: Some("200 OK"), ..bad(what, answer) }
}

/// Answers that are none.
fn answers() -> Vec<Bad> {
    let page = "<html><title>Some Proxy</title></html>";
    let page =
        format!("HTTP/1.1 200 OK\r\ncontent-type: text/html\r\ncontent-length: {}\r\n\r\n{page}", page.len());
    let again = "HTTP/1.1 302 Found\r\nlocation: /v2/again\r\ncontent-length: 0\r\n\r\n";
    let cut = "HTTP/1.1 200 OK\r\ncontent-length: 200000\r\n\r\n{\"ta";
    vec![
        bad("before the headers", once("")),
        bad("in the headers", once("HTTP/1.1 200 OK\r\ncontent-le")),
        Bad { whole_head: true, ..fine("in the body", once(cut)) },
        fine("before the end", once("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\n{}\r\n")),
        bad("no HTTP", once("220 ready\r\n")),
        Bad { whole_head: true, ..fine("a web page", once(&page)) },
        bad("a redirect to itself", once(again)),
        bad("headers without end", forever("HTTP/1.1 200 OK\r\n", "x-more: and more\r\n")),
        fine("a body without end", forever("HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n\r\n", " ")),
        bad(ANNOUNCEMENTS, forever("", "HTTP/1.1 100 Continue\r\n\r\n")),
    ]
}

/// Connections that end before a request has come in full.
fn cuts() -> Vec<(&'static str, Scheme, RawAnswer)> {
    let cut = |when, start: &[u8]| RawAnswer { when, start: start.into(), ..RawAnswer::default() };
    vec![
        ("once there is a connection", Scheme::Http, cut(When::Accepted, b"")),
        ("in the request", Scheme::Http, cut(When::Begun, b"")),
        ("before the TLS handshake", Scheme::Https, cut(When::Accepted, b"")),
        ("in the TLS handshake", Scheme::Https, cut(When::Begun, b"")),
        // The start of a record, and of the message in it.
        ("in the server's part of it", Scheme::Https, cut(When::Begun, b"\x16\x03\x03\x00\x7a\x02\x00")),
        ("by an alert", Scheme::Https, cut(When::Begun, b"\x15\x03\x03\x00\x02\x02\x28")),
    ]
}

/// What a registry may do wrong at one request.
fn faults() -> Vec<Fault> {
    let lie = Digest::sha256_of("lie").to_string();
    let lie = |status| Fault::Answer {
        status,
        headers: vec![("docker-content-digest".into(), lie.clone()), ("location".into(), "/v2/x".into())],
        body: "lie".into(),
    };
    vec![
        Fault::html(200),
        Fault::html(502),
        Fault::code(403, "DENIED"),
        Fault::status(500),
        Fault::DropAfter(0),
        Fault::DropAfter(100),
        Fault::DropAnswer,
        Fault::Truncate(1),
        Fault::Endless,
        lie(200),
        lie(201),
        lie(202),
    ]
}

/// Each fault, once and for good.
fn faults_of_times() -> impl Iterator<Item = (Fault, usize)> {
    faults().into_iter().flat_map(|fault| [(fault.clone(), 1), (fault, 1000)])
}

//! What goes wrong at a registry.

use std::{fmt, time::Duration};

use http::{Method, StatusCode};

use super::{code::ErrorCode, operation::Operation};
use crate::{
    auth::AuthError,
    blob::BlobError,
    digest::Digest,
    manifest::ManifestError,
    transport::{BoxError, TransportError, asked_again},
};

/// From how many seconds on it is said how long an operation was tried: nobody has waited for less.
const WORTH_SAYING: u16 = 3;

/// An operation on a registry failed.
#[derive(Debug, thiserror::Error)]
#[error("cannot {operation}{}{}", again(.operation), self.asked_text())]
pub struct Error {
    /// What was being done.
    pub operation: Operation,
    /// The last request of it, if there was one.
    pub asked: Option<Box<Asked>>,
    /// Why it failed.
    #[source]
    pub failure: Box<Failure>,
}

/// A request, and how it was answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Asked {
    /// The method.
    pub method: Method,
    /// The URL, or the path where the transport knows no more, without a query, which may hold secrets.
    pub url: String,
    /// The answer's status, if there was an answer.
    pub status: Option<StatusCode>,
}

fn again(operation: &Operation) -> String {
    match (operation.tries, operation.seconds) {
        (..=1, _) => String::new(),
        (tries, ..WORTH_SAYING) => format!(", tried {tries} times"),
        (tries, seconds) => format!(", tried {tries} times within {seconds} s"),
    }
}

/// Why an operation failed.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// There was no answer.
    #[error("there was no answer")]
    Transport(#[source] TransportError),
    /// There was no answer in time.
    #[error("there was no answer within {} s", .0.as_secs_f32())]
    Timeout(Duration),
    /// The registry refused.
    #[error("the registry answered {0}")]
    Refused(Refusal),
    /// The blob's source cannot be read, or the blob is not what its descriptor says.
    #[error("the blob cannot be had as it should be")]
    Source(#[source] BlobError),
    /// The tag is one that may not be changed: 409, 412, or a 400, 403 or 405 that says so.
    #[error("the tag is immutable: the registry answered {0}")]
    ImmutableTag(Refusal),
    /// A page for people came where a registry's answer should be.
    #[error("a web page came with status {status}{}, so what answered is no registry", titled(.title.as_deref()))]
    Html {
        /// The answer's status.
        status: StatusCode,
        /// The page's title.
        title: Option<String>,
    },
    /// The answer is over its limit.
    #[error("the answer is over the limit of {0} bytes")]
    TooLarge(usize),
    /// The answer broke off.
    #[error("the answer broke off")]
    Broken(#[source] BoxError),
    /// The registry has other content than was asked for, or stored other content than was sent.
    #[error("the digest is {actual}, not {expected}")]
    Digest {
        /// The digest that it should have.
        expected: Digest,
        /// The digest that it has.
        actual: Digest,
    },
    /// The registry has content of another size than was sent, or none.
    #[error("{expected} bytes were sent, but the registry has {}", counted(*.actual))]
    Size {
        /// The size that it should have, in bytes.
        expected: u64,
        /// The size that it has, if it is there.
        actual: Option<u64>,
    },
    /// A header is missing or malformed.
    #[error("the answer's {name} header is {value:?}")]
    Header {
        /// The header.
        name: &'static str,
        /// What it holds, if it is there.
        value: Option<String>,
    },
    /// A text can stand in no request.
    #[error("{0:?} can stand in no request")]
    Unsendable(String),
    /// An upload is to go on at another host, which nothing is sent to.
    #[error("the upload is to go on at another host, {0}, which nothing is sent to")]
    ForeignLocation(String),
    /// The registry has other bytes of an upload than were sent, so it must start again in another form.
    #[error("the registry has {received} bytes of the upload, after {sent} were sent")]
    Received {
        /// How many bytes were sent.
        sent: u64,
        /// How many the registry says that it has.
        received: u64,
    },
    /// The registry says `0-0`, which means no byte or one, after some were sent; the upload must start again.
    #[error("the registry does not tell whether it has a byte of the upload")]
    AmbiguousOffset,
    /// The registry sends other bytes of a blob than were asked for.
    #[error("the registry sends bytes {actual} of the blob, not {}-{}", .expected.start, .expected.end)]
    Range {
        /// The bytes that were asked for, the last one excluded.
        expected: std::ops::Range<u64>,
        /// What the registry says.
        actual: String,
    },
    /// The answer is no JSON of the expected shape.
    #[error("the answer is malformed")]
    Malformed(#[source] serde_json::Error),
    /// The manifest cannot be taken.
    #[error("the manifest cannot be taken")]
    Manifest(#[source] ManifestError),
    /// What is under the tag of referrers is no index of them.
    #[error("what is under the tag of referrers is no index")]
    NoReferrers,
    /// Others change the index of referrers at the same time.
    #[error(
        "others change the index of referrers at the same time: it was stored {0} times, and was another one each time"
    )]
    Contended(u32),
    /// A list has no end.
    #[error("the list has more than {0} pages")]
    Endless(usize),
}

fn counted(size: Option<u64>) -> String {
    size.map_or_else(|| "nothing".into(), |size| size.to_string())
}

fn titled(title: Option<&str>) -> String {
    title.map(|title| format!(" and title {title:?}")).unwrap_or_default()
}

/// A status of an error, and what came with it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// The status.
    pub status: StatusCode,
    /// The errors that the registry names.
    pub errors: Vec<OciError>,
    /// Where it names none: what it says instead, cut short; of a web page the title.
    pub text: Option<String>,
    /// Whether what it says is a web page: a proxy answered, not the registry.
    pub html: bool,
    /// Whether the registry says that its disk, or its share of one, is full.
    pub is_full: bool,
    /// When to ask again.
    pub retry_after: Option<Duration>,
}

/// One error that a registry names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OciError {
    /// What a program goes by.
    pub code: ErrorCode,
    /// What a person reads, cut short and without control characters; may be empty.
    pub message: String,
}

impl fmt::Display for OciError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.message.is_empty() {
            write!(formatter, "{}", self.code)
        } else {
            write!(formatter, "{} ({})", self.code, self.message)
        }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}", self.status)?;
        for (index, error) in self.errors.iter().enumerate() {
            write!(formatter, "{} {error}", if index == 0 { ":" } else { "," })?;
        }
        match (&self.text, self.html) {
            (Some(title), true) => write!(formatter, ", a web page with title {title:?}"),
            (None, true) => formatter.write_str(", a web page"),
            (Some(text), false) => write!(formatter, ": {text}"),
            (None, false) => Ok(()),
        }?;
        if self.is_full {
            formatter.write_str(", its disk is full")?;
        }
        formatter.write_str(&asked_again(self.retry_after))
    }
}

impl Error {
    pub(crate) fn new(operation: &Operation, failure: Failure) -> Self {
        Self { operation: operation.clone(), asked: None, failure: Box::new(failure) }
    }

    /// Adds the request, where what went wrong does not name it.
    fn asked_text(&self) -> String {
        let Some(asked) = &self.asked else { return String::new() };
        let Asked { method, url, status } = &**asked;
        match (&*self.failure, status) {
            (Failure::Transport(_), _) => String::new(),
            (Failure::Refused(_), _) | (_, None) => format!(" ({method} {url})"),
            (_, Some(status)) => format!(" ({method} {url}, {status})"),
        }
    }

    fn refusal(&self) -> Option<&Refusal> {
        match &*self.failure {
            Failure::Refused(refusal) | Failure::ImmutableTag(refusal) => Some(refusal),
            _ => None,
        }
    }

    /// Returns the status of the registry's refusal.
    pub fn status(&self) -> Option<StatusCode> {
        self.refusal().map(|refusal| refusal.status)
    }

    /// Tells whether the registry named this code.
    pub fn has_code(&self, code: &ErrorCode) -> bool {
        self.refusal().is_some_and(|refusal| refusal.errors.iter().any(|error| error.code == *code))
    }

    /// Returns why the registry could not be told who asks, if that is what failed.
    fn auth_error(&self) -> Option<&AuthError> {
        match &*self.failure {
            Failure::Transport(error) => error.source.downcast_ref(),
            _ => None,
        }
    }

    /// Returns when the registry, or its realm, asks to be asked again.
    pub fn retry_after(&self) -> Option<Duration> {
        match self.refusal() {
            Some(refusal) => refusal.retry_after,
            None => self.auth_error()?.retry_after(),
        }
    }

    /// Tells whether there is no such repository, manifest or blob.
    pub fn is_not_found(&self) -> bool {
        self.status() == Some(StatusCode::NOT_FOUND)
    }

    /// Tells whether other credentials, or other rights, are needed.
    pub fn is_denied(&self) -> bool {
        match &*self.failure {
            Failure::Refused(refusal) => {
                matches!(refusal.status, StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN)
            }
            _ => self.auth_error().is_some_and(AuthError::is_denied),
        }
    }

    /// Tells whether to send a blob in another form would not help either.
    pub(crate) fn is_final(&self) -> bool {
        self.is_denied() || matches!(*self.failure, Failure::Source(_))
    }

    /// Tells whether a tag may not be changed.
    pub fn is_immutable(&self) -> bool {
        matches!(&*self.failure, Failure::ImmutableTag(_))
    }

    /// Tells whether the registry, or what is before it, takes no body of this size.
    pub fn is_too_large(&self) -> bool {
        self.status() == Some(StatusCode::PAYLOAD_TOO_LARGE)
    }

    /// Tells whether the same may succeed later.
    pub fn is_transient(&self) -> bool {
        match &*self.failure {
            // To send it all again would fill what others make room for.
            Failure::Refused(refusal) => !refusal.is_full && is_transient(refusal.status),
            Failure::Transport(error) => error.transient,
            Failure::Timeout(_) | Failure::Broken(_) => true,
            _ => false,
        }
    }
}

/// The statuses of go-containerregistry's retries.
fn is_transient(status: StatusCode) -> bool {
    matches!(
        status,
        StatusCode::REQUEST_TIMEOUT
            | StatusCode::TOO_MANY_REQUESTS
            | StatusCode::INTERNAL_SERVER_ERROR
            | StatusCode::BAD_GATEWAY
            | StatusCode::SERVICE_UNAVAILABLE
            | StatusCode::GATEWAY_TIMEOUT
    )
}

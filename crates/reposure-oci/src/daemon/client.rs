//! Getting images out of a daemon and into it.

use std::time::Duration;

use http::{HeaderValue, Method, Request, StatusCode, header};
use serde::Deserialize;

use super::{
    address::DaemonAddress,
    body::BodyReader,
    connection::{Connector, PING_LIMIT, SILENCE_LIMIT},
    error::{DaemonError, Engine},
    load,
};
use crate::{
    archive::{self, Archive, Form, OpenError, Options},
    place::LocalName,
    transport::{self, Body, CollectError},
};

/// The largest text of an error, or of what was loaded, in bytes: a line for each of a thousand images.
const TEXT_LIMIT: usize = 1 << 20;
/// What a daemon says of itself, and nothing else that answers `/_ping` does.
const API_VERSION: &str = "api-version";

/// A daemon on this machine that holds images.
#[derive(Clone, Debug)]
pub struct Daemon {
    connector: Connector,
}

/// What a daemon says of an error.
#[derive(Deserialize)]
struct Problem {
    message: String,
}

impl Daemon {
    /// Names a daemon; nothing is asked of it yet.
    pub const fn new(engine: Engine, address: DaemonAddress) -> Self {
        Self { connector: Connector { engine, address } }
    }

    /// Returns where the daemon listens.
    pub const fn address(&self) -> &DaemonAddress {
        &self.connector.address
    }

    /// Asks the daemon whether it is there.
    ///
    /// # Errors
    /// When it does not run, may not be used, or is something else.
    ///
    /// # Cancel safety
    /// A call that is dropped has no effect.
    pub async fn ping(&self) -> Result<(), DaemonError> {
        let answer = self.send(Method::GET, "/_ping", transport::empty(), PING_LIMIT).await?;
        if answer.headers().contains_key(API_VERSION) {
            return Ok(());
        }
        let (engine, address) = (self.connector.engine, self.connector.address.clone());
        Err(DaemonError::Stranger { engine, address, status: answer.status() })
    }

    /// Takes an image into the spool of `options`, as the docker-archive that `docker save` writes, and opens it.
    ///
    /// # Errors
    /// When the daemon cannot be reached, has no such image, or what it sends is no whole archive.
    ///
    /// # Cancel safety
    /// A call that is dropped has no effect on the daemon's images.
    pub async fn image(&self, name: &LocalName, options: Options) -> Result<Archive, DaemonError> {
        self.ping().await?;
        // Its characters are those of paths.
        let path = format!("/images/{}/get", name.with_tag());
        let answer = self.send(Method::GET, &path, transport::empty(), SILENCE_LIMIT).await?;
        let engine = self.connector.engine;
        match answer.status() {
            StatusCode::OK => {}
            StatusCode::NOT_FOUND => return Err(DaemonError::NotFound { engine, name: name.clone() }),
            _ => return Err(self.refused(Method::GET, path, answer).await),
        }
        let reader = BodyReader::new(answer.into_body());
        let options = match options.form {
            Form::Detect | Form::File => Options { form: Form::Images, ..options },
            _ => options,
        };
        let received = archive::receive(reader, format!("the archive of {name}"), options).await;
        received.map_err(|source| self.unusable(name, source))
    }

    fn unusable(&self, name: &LocalName, source: OpenError) -> DaemonError {
        DaemonError::Archive { engine: self.connector.engine, name: name.clone(), source: Box::new(source) }
    }

    /// Gives the daemon an archive, in a form that `docker load` takes, and returns the names of its images, or their IDs.
    ///
    /// The archive may be a stream of unknown length. The daemon keeps what was loaded before an error.
    ///
    /// # Errors
    /// When the daemon cannot be reached, refuses the archive, or names no image that it has loaded; and when `archive` fails.
    ///
    /// # Cancel safety
    /// None: the daemon may have loaded images, or not.
    pub async fn load(&self, archive: Body) -> Result<Vec<String>, DaemonError> {
        const PATH: &str = "/images/load";
        self.ping().await?;
        let answer = self.send(Method::POST, "/images/load?quiet=1", archive, SILENCE_LIMIT).await?;
        if answer.status() != StatusCode::OK {
            return Err(self.refused(Method::POST, PATH.into(), answer).await);
        }
        let text = transport::collect(answer.into_body(), TEXT_LIMIT).await;
        let text = text.map_err(|error| self.broken(Method::POST, PATH.into(), error))?;
        let engine = self.connector.engine;
        load::outcome(&text).map_err(|message| DaemonError::NotLoaded { engine, message })
    }

    async fn send(
        &self,
        method: Method,
        path: &str,
        body: Body,
        silence: Duration,
    ) -> Result<http::Response<Body>, DaemonError> {
        let mut request = Request::new(body);
        *request.method_mut() = method;
        // Names were checked when they were parsed; were one no path after all, the daemon has no such thing as `/`.
        *request.uri_mut() = path.parse().unwrap_or_default();
        request.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/x-tar"));
        self.connector.send(request, silence).await
    }

    async fn refused(&self, method: Method, path: String, answer: http::Response<Body>) -> DaemonError {
        let status = answer.status();
        match transport::collect(answer.into_body(), TEXT_LIMIT).await {
            Ok(text) => {
                let parsed = serde_json::from_slice(&text).map(|problem: Problem| problem.message);
                let message = parsed.unwrap_or_else(|_| String::from_utf8_lossy(&text).trim().into());
                DaemonError::Refused { engine: self.connector.engine, method, path, status, message }
            }
            Err(error) => self.broken(method, path, error),
        }
    }

    fn broken(&self, method: Method, path: String, error: CollectError) -> DaemonError {
        let source = match error {
            CollectError::TooLarge(limit) => format!("the answer is over the limit of {limit} bytes").into(),
            CollectError::Broken(source) => source,
        };
        let (engine, address) = (self.connector.engine, self.connector.address.clone());
        DaemonError::Broken { engine, address, method, path, source }
    }
}

//! The cluster's API server, asked with a token that is mounted.

use std::{fmt, path::PathBuf, time::Duration};

use bytes::Bytes;
use http::{HeaderValue, Method, Request, StatusCode, Uri, header};
use http_body_util::{BodyExt, Empty, Limited};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::TokioExecutor,
};
use reposure_parcel::{config, status::Reason};
use secrecy::{ExposeSecret, SecretString};
use tokio::time::timeout;

use crate::{reason, tls};

/// How long an answer may take.
const DEADLINE: Duration = Duration::from_secs(10);
/// The largest mounted file, in bytes.
const FILE: u64 = 1 << 20;

/// The API server, with what it is to be trusted and asked by. Files are read anew each time: they are rotated.
#[derive(Clone, Debug)]
pub(crate) struct ApiServer {
    /// Without a slash at its end.
    address: String,
    authority_file: PathBuf,
    token_file: PathBuf,
}

/// The address of the API server is not of the form `https://HOST[:PORT]`.
#[derive(Debug, thiserror::Error)]
#[error("{0:?} is no address of an API server: expected https://HOST[:PORT]")]
pub(crate) struct AddressError(String);

/// Why there is no answer.
#[derive(Debug)]
pub(crate) struct CallError {
    pub(crate) reason: Reason,
    pub(crate) source: Box<dyn std::error::Error + Send + Sync>,
}

impl fmt::Display for CallError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("the API server gave no answer")
    }
}

impl std::error::Error for CallError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(self.source.as_ref())
    }
}

/// An answer, whatever its status.
#[derive(Debug)]
pub(crate) struct Answered {
    pub(crate) status: StatusCode,
    pub(crate) body: Bytes,
}

/// What is asked.
#[derive(Debug)]
pub(crate) struct Call<'a> {
    pub(crate) method: Method,
    /// Path and query.
    pub(crate) path: &'a str,
    /// What is wanted as an answer.
    pub(crate) accept: &'static str,
    /// The largest answer that is taken, in bytes.
    pub(crate) largest: usize,
}

impl ApiServer {
    /// Takes note of where the API server is; it is not asked yet.
    ///
    /// # Errors
    /// When the address is no `https://HOST[:PORT]`.
    pub(crate) fn new(config: config::ApiServer) -> Result<Self, AddressError> {
        let config::ApiServer { address, authority_file, token_file } = config;
        let address = address.trim_end_matches('/').to_owned();
        let is_whole =
            |uri: &Uri| uri.scheme_str() == Some("https") && uri.path().trim_matches('/').is_empty();
        if address.parse::<Uri>().is_ok_and(|uri| is_whole(&uri)) {
            return Ok(Self { address, authority_file, token_file });
        }
        Err(AddressError(address))
    }

    /// Asks, and waits for the whole answer for at most 10 s.
    ///
    /// # Errors
    /// When there is none, or the files cannot be used. An answer with an error's status is an answer.
    pub(crate) async fn call(&self, call: Call<'_>) -> Result<Answered, CallError> {
        timeout(DEADLINE, self.exchange(call)).await.unwrap_or_else(|_| {
            let source = format!("no answer within {} s", DEADLINE.as_secs()).into();
            Err(CallError { reason: Reason::Timeout, source })
        })
    }

    async fn exchange(&self, call: Call<'_>) -> Result<Answered, CallError> {
        let authorities = read(&self.authority_file).await?;
        let token = SecretString::from(String::from_utf8_lossy(&read(&self.token_file).await?).trim());
        let (client, largest) = (client(&authorities)?, call.largest);
        let response =
            client.request(self.request(call, &token)?).await.map_err(|source| failed(source.into()))?;
        let status = response.status();
        let body = Limited::new(response.into_body(), largest).collect().await.map_err(failed)?;
        Ok(Answered { status, body: body.to_bytes() })
    }

    fn request(&self, call: Call<'_>, token: &SecretString) -> Result<Request<Empty<Bytes>>, CallError> {
        let mut authorization = HeaderValue::from_str(&format!("Bearer {}", token.expose_secret()))
            .map_err(|source| CallError { reason: Reason::CredentialsInvalid, source: source.into() })?;
        authorization.set_sensitive(true);
        Request::builder()
            .method(call.method)
            .uri(format!("{}{}", self.address, call.path))
            .header(header::AUTHORIZATION, authorization)
            .header(header::ACCEPT, call.accept)
            .body(Empty::new())
            .map_err(|source| failed(source.into()))
    }
}

fn client(authorities: &[u8]) -> Result<Client<HttpsConnector<HttpConnector>, Empty<Bytes>>, CallError> {
    let tls = tls::client(authorities)
        .map_err(|source| CallError { reason: Reason::CredentialsInvalid, source: source.into() })?;
    let connector = HttpsConnectorBuilder::new().with_tls_config(tls).https_only().enable_http1().build();
    Ok(Client::builder(TokioExecutor::new()).build(connector))
}

async fn read(path: &PathBuf) -> Result<Vec<u8>, CallError> {
    let invalid = |source: std::io::Error| {
        let source = format!("cannot read {}: {source}", path.display()).into();
        CallError { reason: Reason::CredentialsInvalid, source }
    };
    let size = tokio::fs::metadata(path).await.map_err(invalid)?.len();
    if size > FILE {
        return Err(invalid(std::io::ErrorKind::FileTooLarge.into()));
    }
    tokio::fs::read(path).await.map_err(invalid)
}

fn failed(source: Box<dyn std::error::Error + Send + Sync>) -> CallError {
    CallError { reason: reason::of(source.as_ref()), source }
}

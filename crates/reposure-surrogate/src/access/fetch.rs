//! Fetching the cluster's keys from the API server.
//!
//! See [Kubernetes, "Service account issuer discovery"](https://kubernetes.io/docs/tasks/configure-pod-container/configure-service-account/#service-account-issuer-discovery).

use std::{path::PathBuf, time::Duration};

use bytes::Bytes;
use futures::future::BoxFuture;
use http::{HeaderValue, Request, StatusCode, Uri, header};
use http_body_util::{BodyExt, Empty, Limited};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::TokioExecutor,
};
use reposure_parcel::status::Reason;
use secrecy::{ExposeSecret, SecretString};
use tokio::time::timeout;

use super::keys::{FetchError, Source};
use crate::{reason, tls};

/// The path of the keys.
const PATH: &str = "/openid/v1/jwks";
/// How long fetching may take.
const DEADLINE: Duration = Duration::from_secs(10);
/// The largest set of keys, in bytes.
const SET: usize = 256 << 10;
/// The largest mounted file, in bytes.
const FILE: u64 = 1 << 20;

/// The API server, with what it is to be trusted and asked by. Files are read anew each time: they are rotated.
#[derive(Debug)]
pub(super) struct ApiServer {
    pub(super) uri: Uri,
    pub(super) authority_file: PathBuf,
    pub(super) token_file: PathBuf,
}

/// The address of the API server is not of the form `https://HOST[:PORT]`.
#[derive(Debug, thiserror::Error)]
#[error("{0:?} is no address of an API server: expected https://HOST[:PORT]")]
pub(crate) struct AddressError(String);

impl ApiServer {
    pub(super) fn new(
        address: &str,
        authority_file: PathBuf,
        token_file: PathBuf,
    ) -> Result<Self, AddressError> {
        let uri = format!("{}{PATH}", address.trim_end_matches('/'))
            .parse::<Uri>()
            .ok()
            .filter(|uri| uri.scheme_str() == Some("https"))
            .ok_or_else(|| AddressError(address.into()))?;
        Ok(Self { uri, authority_file, token_file })
    }

    async fn get(&self) -> Result<Vec<u8>, FetchError> {
        let authorities = read(&self.authority_file).await?;
        let token = SecretString::from(String::from_utf8_lossy(&read(&self.token_file).await?).trim());
        let client = client(&authorities)?;
        let response = client.request(self.request(&token)?).await.map_err(|source| failed(source.into()))?;
        let reason = match response.status() {
            StatusCode::OK => Reason::Ok,
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => Reason::Unauthorized,
            _ => Reason::ServerError,
        };
        if reason != Reason::Ok {
            let source = format!("the API server answered {}", response.status()).into();
            return Err(FetchError { reason, source });
        }
        let body = Limited::new(response.into_body(), SET).collect().await.map_err(failed)?;
        Ok(body.to_bytes().to_vec())
    }

    fn request(&self, token: &SecretString) -> Result<Request<Empty<Bytes>>, FetchError> {
        let mut authorization = HeaderValue::from_str(&format!("Bearer {}", token.expose_secret()))
            .map_err(|source| FetchError { reason: Reason::CredentialsInvalid, source: source.into() })?;
        authorization.set_sensitive(true);
        Request::get(self.uri.clone())
            .header(header::AUTHORIZATION, authorization)
            .body(Empty::new())
            .map_err(|source| failed(source.into()))
    }
}

impl Source for ApiServer {
    fn fetch(&self) -> BoxFuture<'_, Result<Vec<u8>, FetchError>> {
        Box::pin(async {
            timeout(DEADLINE, self.get()).await.unwrap_or_else(|_| {
                let source = format!("no answer within {} s", DEADLINE.as_secs()).into();
                Err(FetchError { reason: Reason::Timeout, source })
            })
        })
    }
}

fn client(authorities: &[u8]) -> Result<Client<HttpsConnector<HttpConnector>, Empty<Bytes>>, FetchError> {
    let tls = tls::client(authorities)
        .map_err(|source| FetchError { reason: Reason::CredentialsInvalid, source: source.into() })?;
    let connector = HttpsConnectorBuilder::new().with_tls_config(tls).https_only().enable_http1().build();
    Ok(Client::builder(TokioExecutor::new()).build(connector))
}

async fn read(path: &PathBuf) -> Result<Vec<u8>, FetchError> {
    let invalid = |source: std::io::Error| {
        let source = format!("cannot read {}: {source}", path.display()).into();
        FetchError { reason: Reason::CredentialsInvalid, source }
    };
    let size = tokio::fs::metadata(path).await.map_err(invalid)?.len();
    if size > FILE {
        return Err(invalid(std::io::ErrorKind::FileTooLarge.into()));
    }
    tokio::fs::read(path).await.map_err(invalid)
}

fn failed(source: Box<dyn std::error::Error + Send + Sync>) -> FetchError {
    FetchError { reason: reason::of(source.as_ref()), source }
}

//! Fetching the cluster's keys from the API server.
//!
//! See [Kubernetes, "Service account issuer discovery"](https://kubernetes.io/docs/tasks/configure-pod-container/configure-service-account/#service-account-issuer-discovery).

use futures::future::BoxFuture;
use http::{Method, StatusCode};
use reposure_parcel::status::Reason;

use super::keys::{FetchError, Source};
use crate::api_server::{ApiServer, Call, CallError};

/// The path of the keys.
const PATH: &str = "/openid/v1/jwks";
/// Whatever the API server calls them.
const ACCEPT: &str = "*/*";
/// The largest set of keys, in bytes.
const SET: usize = 256 << 10;

async fn get(server: &ApiServer) -> Result<Vec<u8>, FetchError> {
    let call = Call { method: Method::GET, path: PATH, accept: ACCEPT, largest: SET };
    let answered =
        server.call(call).await.map_err(|CallError { reason, source }| FetchError { reason, source })?;
    let reason = match answered.status {
        StatusCode::OK => return Ok(answered.body.to_vec()),
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => Reason::Unauthorized,
        _ => Reason::ServerError,
    };
    Err(FetchError { reason, source: format!("the API server answered {}", answered.status).into() })
}

impl Source for ApiServer {
    fn fetch(&self) -> BoxFuture<'_, Result<Vec<u8>, FetchError>> {
        Box::pin(get(self))
    }
}

//! Asks a surrogate for its status.

use std::{net::SocketAddr, time::Duration};

use bytes::Bytes;
use http::{Request, StatusCode, header::HOST};
use http_body_util::{BodyExt as _, Empty, Limited};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use k8s_openapi::api::core::v1::Pod;
use reposure_parcel::{status::Status, wire};
use tokio::net::TcpStream;

/// How long a surrogate may take to answer: it only reads its memory.
const LIMIT: Duration = Duration::from_secs(2);
/// The largest answer, in bytes: a status is below one KiB.
const LARGEST: usize = 16 << 10;

/// Why a surrogate's status is not known.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ProbeError {
    /// The pod has no address yet.
    #[error("its pod has no address yet")]
    NoAddress,
    /// It does not answer in time.
    #[error("{0} does not answer within {limit} s", limit = LIMIT.as_secs())]
    Timeout(SocketAddr),
    /// It cannot be connected to.
    #[error("cannot connect to {0}: {1}")]
    Connect(SocketAddr, #[source] std::io::Error),
    /// The exchange breaks off.
    #[error("the exchange with {0} breaks off")]
    Http(SocketAddr, #[source] hyper::Error),
    /// It answers with something else than success.
    #[error("{0} answers with status {1}")]
    Refused(SocketAddr, StatusCode),
    /// Its body cannot be read, or is too large.
    #[error("the answer of {0} cannot be read")]
    Body(SocketAddr, #[source] Box<dyn std::error::Error + Send + Sync>),
    /// It is no status.
    #[error("the answer of {0} is no status")]
    Malformed(SocketAddr, #[source] serde_json::Error),
    /// Another pod has the address by now.
    #[error("{0} belongs to another pod")]
    OtherPod(SocketAddr),
}

/// Asks the surrogate in `pod` for its status, within [`LIMIT`]. Cancel safe.
pub(crate) async fn probe(pod: &Pod) -> Result<Status, ProbeError> {
    let text = pod.status.as_ref().and_then(|status| status.pod_ip.as_deref());
    let address = text.and_then(|text| text.parse().ok()).ok_or(ProbeError::NoAddress)?;
    let address = SocketAddr::new(address, wire::STATUS_PORT);
    let uid = pod.metadata.uid.as_deref().unwrap_or_default();
    ask(address, uid).await
}

async fn ask(address: SocketAddr, uid: &str) -> Result<Status, ProbeError> {
    let status = tokio::time::timeout(LIMIT, exchange(address))
        .await
        .map_err(|_elapsed| ProbeError::Timeout(address))??;
    // Outside of a cluster a surrogate knows no UID.
    if !status.pod_uid.is_empty() && status.pod_uid != uid {
        return Err(ProbeError::OtherPod(address));
    }
    Ok(status)
}

async fn exchange(address: SocketAddr) -> Result<Status, ProbeError> {
    let stream = TcpStream::connect(address).await.map_err(|error| ProbeError::Connect(address, error))?;
    let (mut sender, connection) =
        http1::handshake(TokioIo::new(stream)).await.map_err(|error| ProbeError::Http(address, error))?;
    let mut request = Request::new(Empty::<Bytes>::new());
    *request.uri_mut() = http::Uri::from_static(wire::STATUS);
    if let Ok(host) = address.to_string().parse() {
        request.headers_mut().insert(HOST, host);
    }
    let answer = async {
        let answer = sender.send_request(request).await.map_err(|error| ProbeError::Http(address, error))?;
        if answer.status() != StatusCode::OK {
            return Err(ProbeError::Refused(address, answer.status()));
        }
        let body = Limited::new(answer.into_body(), LARGEST).collect().await;
        let body = body.map_err(|error| ProbeError::Body(address, error))?.to_bytes();
        serde_json::from_slice(&body).map_err(|error| ProbeError::Malformed(address, error))
    };
    // The connection is driven here and no longer than the answer takes, so that no task is left behind.
    let mut answer = std::pin::pin!(answer);
    tokio::select! {
        result = &mut answer => result,
        _ended = connection => answer.await,
    }
}

#[cfg(test)]
mod tests {
    use tokio::{
        io::{AsyncReadExt as _, AsyncWriteExt as _},
        net::TcpListener,
    };

    use super::*;

    /// Answers one connection with `answer`, then keeps it open until the other side leaves.
    async fn serve(answer: String) -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut request = [0; 1024];
            let _ = stream.read(&mut request).await;
            let _ = stream.write_all(answer.as_bytes()).await;
            let _ = stream.read(&mut request).await;
        });
        address
    }

    fn ok(body: &str) -> String {
        format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{body}", body.len())
    }

    fn status(uid: &str) -> String {
        let check = r#"{"reason": "Ok"}"#;
        format!(r#"{{"build": "b", "podUid": "{uid}", "registry": {check}, "keys": {check}}}"#)
    }

    #[tokio::test]
    async fn reads_a_status() {
        let address = serve(ok(&status("u"))).await;
        assert_eq!(ask(address, "u").await.unwrap().build, "b");
    }

    #[tokio::test]
    async fn notices_the_status_of_another_pod() {
        let address = serve(ok(&status("other"))).await;
        assert!(matches!(ask(address, "u").await, Err(ProbeError::OtherPod(_))));
    }

    #[tokio::test]
    async fn refuses_what_is_no_status() {
        let cases = [
            ok("{}"),
            "HTTP/1.1 503 Service Unavailable\r\ncontent-length: 0\r\n\r\n".into(),
            ok(&" ".repeat(LARGEST + 1)),
            "garbage\r\n\r\n".into(),
        ];
        for answer in cases {
            let address = serve(answer.clone()).await;
            assert!(ask(address, "u").await.is_err(), "{answer:.40}");
        }
    }

    #[tokio::test]
    async fn gives_up_on_silence() {
        let address = serve(String::new()).await;
        assert!(matches!(ask(address, "u").await, Err(ProbeError::Timeout(_))));
    }
}

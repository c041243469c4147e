//! `/alive` and `/ready` for the kubelet, `/metrics` for Prometheus.

use std::{
    convert::Infallible,
    net::{Ipv4Addr, Ipv6Addr},
    sync::Arc,
    time::Duration,
};

use bytes::Bytes;
use http::{HeaderValue, Request, Response, StatusCode, header::CONTENT_TYPE};
use http_body_util::Full;
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::Semaphore,
    task::JoinSet,
};

use crate::{metrics::Metrics, standing::Standing};

/// The connections that may be open at once; the kubelet makes two, Prometheus one.
const CONNECTIONS: usize = 16;
/// How long a connection may last.
const LIMIT: Duration = Duration::from_secs(10);

/// What `/metrics` is written in.
const METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// What can be asked for.
#[derive(Clone)]
pub(crate) struct Health {
    pub(crate) standing: Arc<Standing>,
    pub(crate) metrics: Arc<Metrics>,
}

/// Binds the port, on IPv6 and IPv4 where the kernel has both.
pub(crate) async fn bind(port: u16) -> std::io::Result<TcpListener> {
    match TcpListener::bind((Ipv6Addr::UNSPECIFIED, port)).await {
        Ok(listener) => Ok(listener),
        Err(_no_ipv6) => TcpListener::bind((Ipv4Addr::UNSPECIFIED, port)).await,
    }
}

/// Serves until it is dropped, and with it every connection.
pub(crate) async fn serve(listener: TcpListener, health: Health) -> Infallible {
    let permits = Arc::new(Semaphore::new(CONNECTIONS));
    let mut connections = JoinSet::new();
    loop {
        let Ok(permit) = Arc::clone(&permits).acquire_owned().await else { continue };
        let Ok((stream, _peer)) = listener.accept().await else {
            // Out of descriptors: not to spin.
            tokio::time::sleep(Duration::from_millis(100)).await;
            continue;
        };
        let health = health.clone();
        connections.spawn(async move {
            let _ended = tokio::time::timeout(LIMIT, connection(stream, health)).await;
            drop(permit);
        });
        while connections.try_join_next().is_some() {}
    }
}

async fn connection(stream: TcpStream, health: Health) -> Result<(), hyper::Error> {
    let service = service_fn(move |request| {
        let answer = answer(&request, &health);
        async move { Ok::<_, Infallible>(answer) }
    });
    http1::Builder::new()
        .timer(TokioTimer::new())
        .keep_alive(false)
        .serve_connection(TokioIo::new(stream), service)
        .await
}

fn answer(request: &Request<Incoming>, health: &Health) -> Response<Full<Bytes>> {
    if request.uri().path() == "/metrics" {
        health.standing.measure(&health.metrics);
        let mut response = Response::new(Full::from(health.metrics.text()));
        response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(METRICS));
        return response;
    }
    let (status, text) = judge(request.uri().path(), || health.standing.is_ready());
    let mut response = Response::new(Full::from(text));
    *response.status_mut() = status;
    response
}

fn judge(path: &str, ready: impl Fn() -> bool) -> (StatusCode, &'static str) {
    match path {
        "/alive" => (StatusCode::OK, "alive\n"),
        "/ready" if ready() => (StatusCode::OK, "ready\n"),
        "/ready" => (StatusCode::SERVICE_UNAVAILABLE, "the cluster has not been seen yet\n"),
        _ => (StatusCode::NOT_FOUND, "only /alive, /ready and /metrics are here\n"),
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    use super::*;

    async fn get(port: u16, path: &str) -> String {
        let mut stream = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
        stream.write_all(format!("GET {path} HTTP/1.1\r\nhost: a\r\n\r\n").as_bytes()).await.unwrap();
        let mut text = String::new();
        stream.read_to_string(&mut text).await.unwrap();
        text
    }

    #[tokio::test]
    async fn says_whether_it_is_alive_and_ready() {
        let listener = bind(0).await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let health = Health { standing: Arc::default(), metrics: Arc::new(Metrics::new()) };
        let server = tokio::spawn(serve(listener, health.clone()));
        assert!(get(port, "/alive").await.starts_with("HTTP/1.1 200"));
        assert!(get(port, "/ready").await.starts_with("HTTP/1.1 503"));
        assert!(get(port, "/").await.starts_with("HTTP/1.1 404"));
        assert!(get(port, "/metrics").await.contains("\nreposure_operator_leader 0\n"));
        // It stands by, and the API server has said so.
        health.standing.answered();
        assert!(get(port, "/ready").await.starts_with("HTTP/1.1 200"));
        server.abort();
    }
}

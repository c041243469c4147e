//! `/alive` and `/ready`, for the kubelet.

use std::{
    convert::Infallible,
    net::{Ipv4Addr, Ipv6Addr},
    sync::Arc,
    time::Duration,
};

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body_util::Full;
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::Semaphore,
    task::JoinSet,
};

/// The connections that may be open at once; the kubelet makes two.
const CONNECTIONS: usize = 16;
/// How long a connection may last.
const LIMIT: Duration = Duration::from_secs(10);

/// Says whether the operator is ready.
pub(crate) type Ready = Arc<dyn Fn() -> bool + Send + Sync>;

/// Binds the port, on IPv6 and IPv4 where the kernel has both.
pub(crate) async fn bind(port: u16) -> std::io::Result<TcpListener> {
    match TcpListener::bind((Ipv6Addr::UNSPECIFIED, port)).await {
        Ok(listener) => Ok(listener),
        Err(_no_ipv6) => TcpListener::bind((Ipv4Addr::UNSPECIFIED, port)).await,
    }
}

/// Serves until it is dropped, and with it every connection.
pub(crate) async fn serve(listener: TcpListener, ready: Ready) -> Infallible {
    let permits = Arc::new(Semaphore::new(CONNECTIONS));
    let mut connections = JoinSet::new();
    loop {
        let Ok(permit) = Arc::clone(&permits).acquire_owned().await else { continue };
        let Ok((stream, _peer)) = listener.accept().await else {
            // Out of descriptors: not to spin.
            tokio::time::sleep(Duration::from_millis(100)).await;
            continue;
        };
        let ready = Arc::clone(&ready);
        connections.spawn(async move {
            let _ended = tokio::time::timeout(LIMIT, connection(stream, ready)).await;
            drop(permit);
        });
        while connections.try_join_next().is_some() {}
    }
}

async fn connection(stream: TcpStream, ready: Ready) -> Result<(), hyper::Error> {
    let service = service_fn(move |request| {
        let answer = answer(&request, &*ready);
        async move { Ok::<_, Infallible>(answer) }
    });
    http1::Builder::new()
        .timer(TokioTimer::new())
        .keep_alive(false)
        .serve_connection(TokioIo::new(stream), service)
        .await
}

fn answer(request: &Request<Incoming>, ready: &dyn Fn() -> bool) -> Response<Full<Bytes>> {
    let (status, text) = judge(request.uri().path(), ready);
    let mut response = Response::new(Full::from(text));
    *response.status_mut() = status;
    response
}

fn judge(path: &str, ready: &dyn Fn() -> bool) -> (StatusCode, &'static str) {
    match path {
        "/alive" => (StatusCode::OK, "alive\n"),
        "/ready" if ready() => (StatusCode::OK, "ready\n"),
        "/ready" => (StatusCode::SERVICE_UNAVAILABLE, "the cluster has not been seen yet\n"),
        _ => (StatusCode::NOT_FOUND, "only /alive and /ready are here\n"),
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
        let server = tokio::spawn(serve(listener, Arc::new(|| false)));
        assert!(get(port, "/alive").await.starts_with("HTTP/1.1 200"));
        assert!(get(port, "/ready").await.starts_with("HTTP/1.1 503"));
        assert!(get(port, "/").await.starts_with("HTTP/1.1 404"));
        server.abort();
        assert_eq!(judge("/ready", &|| true).0, StatusCode::OK);
    }
}

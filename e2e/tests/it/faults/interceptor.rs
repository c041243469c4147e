//! What stands between an operator and the API server, and stops it at a step: the fault points are here, and none in the operator.

use std::{
    io::{BufRead as _, BufReader},
    net::SocketAddr,
    process::Child,
    sync::{
        Arc, Mutex, PoisonError,
        mpsc::{self, Receiver, RecvTimeoutError, Sender},
    },
    time::Duration,
};

use anyhow::{Context as _, Result, bail};
use bytes::Bytes;
use http::{Request, Response, StatusCode, Uri};
use http_body_util::{BodyExt, Full, combinators::UnsyncBoxBody};
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::{TokioExecutor, TokioIo},
};
use reposure_e2e::Stage;
use tokio::{net::TcpListener, runtime::Runtime, sync::Notify};

type Body = UnsyncBoxBody<Bytes, hyper::Error>;

/// Where an operator is stopped: at which of its steps, and whether the API server has done by then what it asks for.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Stop {
    pub(crate) at: usize,
    pub(crate) done: bool,
}

/// A server that passes on what an operator asks the API server.
pub(crate) struct Interceptor {
    address: SocketAddr,
    shared: Arc<Shared>,
    reached: Receiver<()>,
    upstream: Child,
    _runtime: Runtime,
}

struct Shared {
    client: Client<HttpConnector, Full<Bytes>>,
    upstream: String,
    stop: Option<Stop>,
    steps: Mutex<Vec<String>>,
    reached: Sender<()>,
    go_on: Notify,
}

impl Interceptor {
    /// Listens at an address with a free port, and passes on with the rights of a kubeconfig, by `kubectl proxy`.
    pub(crate) fn start(
        stage: &Stage,
        kubeconfig: &std::path::Path,
        host: &str,
        stop: Option<Stop>,
    ) -> Result<Self> {
        let proxy = ["proxy", "--port=0", "--disable-filter=true"];
        let mut upstream = stage.kubectl(&proxy).env("KUBECONFIG", kubeconfig).spawn()?;
        let said = BufReader::new(upstream.stdout.take().context("no standard output")?).lines().next();
        let said = said.context("kubectl proxy says nothing")??;
        let port = said.rsplit(':').next().unwrap_or_default().to_owned();
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
        let (sender, reached) = mpsc::channel();
        let shared = Arc::new(Shared {
            client: Client::builder(TokioExecutor::new()).build_http(),
            upstream: format!("127.0.0.1:{port}"),
            stop,
            steps: Mutex::default(),
            reached: sender,
            go_on: Notify::new(),
        });
        let listener = runtime.block_on(TcpListener::bind((host, 0)))?;
        let address = listener.local_addr()?;
        runtime.spawn(serve(listener, Arc::clone(&shared)));
        Ok(Self { address, shared, reached, upstream, _runtime: runtime })
    }

    /// Returns where it is.
    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Returns the steps so far: requests that are no watches, no lists and none for the Lease.
    pub(crate) fn steps(&self) -> Vec<String> {
        self.shared.steps.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Waits until the operator is stopped; tells whether it is within `limit`.
    pub(crate) fn is_reached(&self, limit: Duration) -> Result<bool> {
        match self.reached.recv_timeout(limit) {
            Ok(()) => Ok(true),
            Err(RecvTimeoutError::Timeout) => Ok(false),
            Err(RecvTimeoutError::Disconnected) => bail!("nothing is passed on any more"),
        }
    }

    /// Lets the operator go on that was stopped.
    pub(crate) fn go_on(&self) {
        self.shared.go_on.notify_one();
    }
}

impl Drop for Interceptor {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.upstream.kill().and_then(|()| self.upstream.wait());
    }
}

async fn serve(listener: TcpListener, shared: Arc<Shared>) {
    while let Ok((stream, _)) = listener.accept().await {
        let shared = Arc::clone(&shared);
        tokio::spawn(async move {
            let answer = service_fn(move |request| answer(Arc::clone(&shared), request));
            // Whoever is killed says no goodbye.
            let _ = http1::Builder::new().serve_connection(TokioIo::new(stream), answer).await;
        });
    }
}

async fn answer(shared: Arc<Shared>, request: Request<Incoming>) -> Result<Response<Body>, hyper::Error> {
    let (mut parts, body) = request.into_parts();
    let stop = shared.count(&parts).then(|| shared.stop).flatten();
    let body = body.collect().await?.to_bytes();
    if stop.is_some_and(|stop| !stop.done) {
        shared.stand_still().await;
    }
    let path = parts.uri.path_and_query().map(ToString::to_string).unwrap_or_default();
    parts.uri = Uri::try_from(format!("http://{}{path}", shared.upstream)).unwrap_or_default();
    parts.headers.remove(http::header::HOST);
    let answer = match shared.client.request(Request::from_parts(parts, Full::new(body))).await {
        Ok(answer) => answer.map(BodyExt::boxed_unsync),
        Err(error) => return Ok(unavailable(&error.to_string())),
    };
    if stop.is_some_and(|stop| stop.done) {
        shared.stand_still().await;
    }
    Ok(answer)
}

impl Shared {
    /// Takes note of a request if it is a step. Tells whether it is the one to be stopped at.
    fn count(&self, parts: &http::request::Parts) -> bool {
        let (path, query) = (parts.uri.path(), parts.uri.query().unwrap_or_default());
        let is_list = ["watch=", "limit=", "sendInitialEvents="].iter().any(|word| query.contains(word));
        if is_list || path.contains("/leases") {
            return false;
        }
        let mut steps = self.steps.lock().unwrap_or_else(PoisonError::into_inner);
        steps.push(format!("{} {path}", parts.method));
        self.stop.is_some_and(|stop| stop.at + 1 == steps.len())
    }

    /// Lets nobody hear anything until he may go on.
    async fn stand_still(&self) {
        // Whoever waits for it may have gone.
        let _ = self.reached.send(());
        self.go_on.notified().await;
    }
}

fn unavailable(why: &str) -> Response<Body> {
    let body = Full::new(Bytes::from(why.to_owned())).map_err(|never| match never {}).boxed_unsync();
    let mut answer = Response::new(body);
    *answer.status_mut() = StatusCode::BAD_GATEWAY;
    answer
}

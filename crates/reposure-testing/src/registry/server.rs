//! The socket, and the handle that tests hold.

use std::{
    convert::Infallible,
    io,
    net::SocketAddr,
    sync::{Arc, atomic::Ordering},
};

use bytes::Bytes;
use http::{Method, Request};
use http_body_util::BodyExt as _;
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpListener, TcpStream},
    task::{AbortHandle, JoinSet},
};
use tokio_rustls::TlsAcceptor;

use super::{
    answer::{self, Answer, Halt},
    attended::Attended,
    auth,
    fault::{Fault, Injection},
    handler,
    intake::Intake,
    log::Entry,
    openshift::ImageStreamApi,
    options::{Auth, Options, Quirks},
    route::Route,
    shared::Shared,
    store::StoredManifest,
    tls::Identity,
};

/// A registry that listens until it is dropped.
#[derive(Debug)]
pub struct MemoryRegistry {
    shared: Arc<Shared>,
    authority: Option<String>,
    client: Option<[String; 2]>,
    task: AbortHandle,
}

impl MemoryRegistry {
    /// Starts to listen.
    ///
    /// # Errors
    /// When the address cannot be listened on.
    pub async fn start(options: Options) -> io::Result<Self> {
        let listener = TcpListener::bind(options.listen).await?;
        let address = listener.local_addr()?;
        let make = if options.client_certificate { Identity::asking } else { Identity::new };
        let identity = options.tls.then(|| make(address, &options.names)).transpose()?;
        let shared = Arc::new(Shared::new(address, options.tls, options.auth, options.quirks));
        let (acceptor, authority, client) = match identity {
            Some(identity) => (Some(identity.acceptor), Some(identity.authority), identity.client),
            None => (None, None, None),
        };
        let task = tokio::spawn(accept(listener, acceptor, Arc::clone(&shared))).abort_handle();
        Ok(Self { shared, authority, client, task })
    }

    /// Returns where it listens.
    pub fn address(&self) -> SocketAddr {
        self.shared.address
    }

    /// Returns `host:port`.
    pub fn host(&self) -> String {
        self.address().to_string()
    }

    /// Returns `scheme://host:port`.
    pub fn url(&self) -> String {
        format!("{}://{}", self.shared.scheme(), self.address())
    }

    /// Returns the PEM of the authority, where it speaks TLS.
    pub fn authority(&self) -> Option<&str> {
        self.authority.as_deref()
    }

    /// Returns PEM of a certificate that TLS asks for, where it does, and of its key.
    pub fn client_certificate(&self) -> Option<&[String; 2]> {
        self.client.as_ref()
    }

    /// Changes how it departs from the specification, from the next request on.
    pub fn change_quirks(&self, change: impl FnOnce(&mut Quirks)) {
        self.shared.change_quirks(change);
    }

    /// Makes requests fail.
    pub fn inject(&self, injection: Injection) {
        self.shared.faults.add(injection);
    }

    /// Makes no request fail any more.
    pub fn heal(&self) {
        self.shared.faults.clear();
    }

    /// Makes every token that was given out worthless.
    pub fn revoke_tokens(&self) {
        self.shared.tokens.revoke();
    }

    /// Takes the first identity token again, and none that took its place.
    pub fn forget_identity(&self) {
        self.shared.tokens.forget_identity();
    }

    /// Returns what was asked so far.
    pub fn requests(&self) -> Vec<Entry> {
        self.shared.log.entries()
    }

    /// Returns how many requests of this method had `path` in their path.
    pub fn count(&self, method: &Method, path: &str) -> usize {
        self.requests().iter().filter(|entry| entry.method == *method && entry.path.contains(path)).count()
    }

    /// Returns how many bytes of bodies were read so far.
    pub fn received(&self) -> u64 {
        self.requests().iter().map(|entry| entry.received).sum()
    }

    /// Forgets what was asked so far.
    pub fn clear_requests(&self) {
        self.shared.log.clear();
    }

    /// Starts an API server that has this registry's ImageStreams.
    ///
    /// # Errors
    /// When the registry is none of OpenShift's, or nothing can be listened on.
    pub async fn image_streams(&self) -> io::Result<ImageStreamApi> {
        let Auth::OpenShift(cluster) = &self.shared.auth else {
            return Err(io::Error::other("the registry is none of OpenShift's"));
        };
        ImageStreamApi::start(cluster.clone(), Arc::clone(&self.shared)).await
    }

    /// Makes an empty repository.
    pub fn make_repository(&self, name: &str) {
        self.shared.store().make_repository(name);
    }

    /// Makes an empty project, the first part of repositories' names.
    pub fn make_project(&self, name: &str) {
        self.shared.store().make_project(name);
    }

    /// Stores a blob and returns its digest.
    pub fn put_blob(&self, repository: &str, bytes: impl Into<Bytes>) -> String {
        self.shared.store().put_blob(repository, bytes.into())
    }

    /// Stores a manifest, whose blobs need not be there, and returns its digest.
    pub fn put_manifest(
        &self,
        repository: &str,
        tag: Option<&str>,
        media_type: &str,
        bytes: impl Into<Bytes>,
    ) -> String {
        let manifest = StoredManifest { media_type: media_type.into(), bytes: bytes.into() };
        self.shared.store().put_manifest(repository, tag, manifest)
    }

    /// Returns a blob.
    pub fn blob(&self, repository: &str, digest: &str) -> Option<Bytes> {
        self.shared.store().blob(repository, digest)
    }

    /// Returns the bytes of a manifest, by tag or digest.
    pub fn manifest(&self, repository: &str, reference: &str) -> Option<Bytes> {
        self.shared.store().manifest(repository, reference).map(|manifest| manifest.bytes)
    }

    /// Returns the tags of a repository.
    pub fn tags(&self, repository: &str) -> Vec<String> {
        self.shared.store().tags(repository).unwrap_or_default()
    }

    /// Returns how many connections there were so far.
    pub fn connections(&self) -> usize {
        self.shared.connections.load(Ordering::Relaxed)
    }

    /// Returns how many uploads are open.
    pub fn open_uploads(&self) -> usize {
        self.shared.store().uploads.len()
    }

    /// Loses all uploads that are open, as a registry that is started anew without a volume.
    pub fn forget_uploads(&self) {
        self.shared.store().uploads.clear();
    }
}

impl Drop for MemoryRegistry {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Serves connections until the task is aborted, which ends them too.
async fn accept(listener: TcpListener, acceptor: Option<TlsAcceptor>, shared: Arc<Shared>) -> Infallible {
    let mut connections = JoinSet::new();
    loop {
        if let Ok((stream, _)) = listener.accept().await {
            shared.connections.fetch_add(1, Ordering::Relaxed);
            connections.spawn(connect(stream, acceptor.clone(), Arc::clone(&shared)));
        }
        while connections.try_join_next().is_some() {}
    }
}

async fn connect(stream: TcpStream, acceptor: Option<TlsAcceptor>, shared: Arc<Shared>) {
    // Without this, small answers wait for the client's delayed acknowledgement.
    let _ = stream.set_nodelay(true);
    match acceptor {
        Some(acceptor) => {
            if let Ok(stream) = acceptor.accept(stream).await {
                serve(stream, shared).await;
            }
        }
        None => serve(stream, shared).await,
    }
}

async fn serve(stream: impl AsyncRead + AsyncWrite + Unpin, shared: Arc<Shared>) {
    let service = service_fn(move |request| answer_logged(Arc::clone(&shared), request));
    // A connection that breaks is the test's doing.
    let _ = http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
}

async fn answer_logged(shared: Arc<Shared>, request: Request<Incoming>) -> io::Result<Answer> {
    let number = shared.log.begin(&request);
    let answer = match answer(&shared, number, request).await {
        Ok(answer) => answer,
        Err(Halt::Answer(answer)) => *answer,
        Err(Halt::Cut) => return Err(io::ErrorKind::ConnectionReset.into()),
    };
    shared.log.answered(number, answer.status());
    Ok(answer.map(|body| Attended::new(body, shared, number).boxed_unsync()))
}

async fn answer(shared: &Arc<Shared>, number: usize, request: Request<Incoming>) -> Result<Answer, Halt> {
    let fault = shared.faults.take(request.method(), request.uri().path());
    match fault {
        Some(Fault::Answer { status, headers, body }) => {
            Intake::new(request.into_body(), shared, number, None).linger();
            Ok(injected(status, &headers, body))
        }
        Some(Fault::Stall) => std::future::pending().await,
        Some(Fault::Endless) => Ok(answer::endless()),
        Some(Fault::DropAfter(bytes)) => {
            let _ = ordinary(shared, number, request, Some(bytes)).await;
            Err(Halt::Cut)
        }
        Some(Fault::DropAnswer) => {
            let _ = ordinary(shared, number, request, None).await;
            Err(Halt::Cut)
        }
        Some(Fault::Truncate(bytes)) => {
            Ok(answer::shorten(ordinary(shared, number, request, None).await?, bytes, false).await)
        }
        Some(Fault::StallBody(bytes)) => {
            Ok(answer::shorten(ordinary(shared, number, request, None).await?, bytes, true).await)
        }
        None => ordinary(shared, number, request, None).await,
    }
}

fn injected(status: u16, headers: &[(String, String)], body: String) -> Answer {
    let status = http::StatusCode::from_u16(status).unwrap_or(http::StatusCode::INTERNAL_SERVER_ERROR);
    let mut answer = answer::bytes(status, body);
    for (name, value) in headers {
        answer::set(&mut answer, name, value);
    }
    answer
}

async fn ordinary(
    shared: &Arc<Shared>,
    number: usize,
    request: Request<Incoming>,
    cut_after: Option<u64>,
) -> Result<Answer, Halt> {
    let (parts, body) = request.into_parts();
    let route = Route::parse(parts.uri.path());
    let mut intake = Intake::new(body, shared, number, cut_after);
    if route != Route::Token
        && let Some(refusal) = auth::check(shared, &route, &parts.method, &parts.headers)
    {
        return Ok(refusal);
    }
    let answer = handler::handle(shared, &parts, route, &mut intake).await;
    if matches!(answer, Err(Halt::Answer(_))) {
        intake.linger();
    }
    answer
}
